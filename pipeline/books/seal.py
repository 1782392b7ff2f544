"""seal.json: what every file of a finished run holds, so that `verify` notices any that was edited, came or went.

It proves nothing against somebody who rewrites it too; a digest of it, kept elsewhere, does.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import cache
from hashlib import blake2b
from pathlib import Path

from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.contract.state import parse_json, write_json
from gristmill.pipeline.plan.identity import digest, digest_file
from gristmill.pipeline.run.receipts.logs import LOGS, results_of
from gristmill.pipeline.run.receipts.receipt import Receipt, read_receipt
from gristmill.pipeline.run.shards import INDEX, RECEIPTS
from gristmill.pipeline.run.store import REJECTED_DATASET, Store

SEAL = "seal.json"
RECEIPT = ".receipt.json"
# Logs, failures and what a killed step would go on from are no results.
_LEFT_OUT = frozenset({SEAL, "logs", "failures", "scratch"})
CHECK = "/"  # its key for a digest of the other ones; no folder is called so
NAMED = 20_000  # files of a folder that are sealed one by one; of a larger folder the seal holds one digest
SHOWN = 5


def write_seal(store: Store) -> None:
    """Seals the run as it is; digests that its receipts hold are not computed again."""
    _write(store, {name: _kept(marks) for name, marks in _marks(store, trusting=True).items()})


def _write(store: Store, sealed: dict[str, dict[str, str]]) -> None:
    write_json(store.root / SEAL, {**sealed, CHECK: {"": digest(sealed)}})


def break_seal(store: Store) -> None:
    """Before the run changes anything."""
    (store.root / SEAL).unlink(missing_ok=True)


def reseal(store: Store, path: Path) -> None:
    """Takes up one file that was written again (the report); an unsealed run stays so."""
    sealed = _read(store)
    if sealed is not None:
        name = path.relative_to(store.root).as_posix()
        folder = name.partition("/")[0] if "/" in name else ""
        sealed.setdefault(folder, {})[name] = _mark(path)
        _write(store, sealed)
    store.send(path, store.root / SEAL)


def check_seal(store: Store) -> str:
    """A line that says what was compared. Raises BooksError naming the files that do not hold what they held."""
    sealed = _read(store)
    if sealed is None:
        raise BooksError(f"{store.name} has no {SEAL}: its run has not come to its end; run it again")
    found = _marks(store, trusting=False)
    wrong: list[str] = []
    for folder in sorted({*sealed, *found}):
        was, now = sealed.get(folder, {}), found.get(folder, {})
        if "" in was and len(was) == 1:
            if was != _kept(now, whole=True):
                wrong.append(f"{folder}: one of its {len(now):,} files was changed, came or went")
            continue
        wrong += [f"{name} is gone" for name in sorted({*was} - {*now})]
        wrong += [f"{name} is not of this run" for name in sorted({*now} - {*was})]
        wrong += [f"{name} was changed after the run" for name in sorted({*was} & {*now}) if was[name] != now[name]]
    if wrong:
        more = f"; and {len(wrong) - SHOWN} more" if len(wrong) > SHOWN else ""
        raise BooksError(f"{'; '.join(wrong[:SHOWN])}{more}. Delete what was changed and run again to make it anew")
    return f"{sum(map(len, found.values())):,} files hold what they held when the run ended"


def _read(store: Store) -> dict[str, dict[str, str]] | None:
    try:
        sealed = parse_json((store.root / SEAL).read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except (OSError, ValueError, RecursionError) as error:
        raise BooksError(f"{store.root / SEAL} cannot be read ({error}); run again to write it") from error
    if not (isinstance(sealed, dict) and all(isinstance(marks, dict) for marks in sealed.values())):
        raise BooksError(f"{store.root / SEAL} is no seal; run again to write it")
    check = sealed.pop(CHECK, None)
    if check not in (None, {"": digest(sealed)}):
        raise BooksError(f"{store.root / SEAL} was changed after the run; run again to write it")
    return sealed


def _kept(marks: Mapping[str, str], whole: bool = False) -> dict[str, str]:
    """The marks themselves or, of too many, one digest under an empty name."""
    return {"": digest(sorted(marks.items()))} if whole or len(marks) > NAMED else dict(marks)


def _marks(store: Store, trusting: bool) -> dict[str, dict[str, str]]:
    """Folder of the run -> path below the run -> what the file holds; "" is the run's own folder."""
    found: dict[str, dict[str, str]] = {}
    read = cache(read_receipt)  # a shard's is asked for twice; a part's the store remembers
    for path in _files(store.root):
        name = path.relative_to(store.root).as_posix()
        folder = name.partition("/")[0] if "/" in name else ""
        found.setdefault(folder, {})[name] = (_receipts_mark(store, path, read) if trusting else "") or _mark(
            store.whole(path), read if trusting else read_receipt
        )
    return found


def _files(root: Path) -> Iterator[Path]:
    for top in sorted(root.iterdir()):
        if top.name in _LEFT_OUT or top.name.startswith("."):
            continue
        if top.is_dir() and not top.is_symlink():
            yield from (p for p in sorted(top.rglob("*")) if p.is_symlink() or not p.is_dir())
        else:
            yield top


def _mark(path: Path, read: Callable[[Path], Receipt | None] = read_receipt) -> str:
    """A digest of the contents; of a receipt that of what it proves, without how long it took."""
    if path.is_symlink():
        return f"link to {path.readlink()}"
    if path.name.endswith(RECEIPT) and (receipt := read(path)) is not None:
        return digest({**vars(receipt), "seconds": 0, "check": ""})
    if path.parent.name == LOGS and (results := results_of(path.read_bytes())) is not None:
        return blake2b(b"\n".join(results), digest_size=16).hexdigest()
    return digest_file(path)


def _receipts_mark(store: Store, path: Path, read: Callable[[Path], Receipt | None]) -> str:
    """The mark of a part's file by what the store knows of it already; "" where it does not."""
    if path.is_symlink():
        return ""
    if path.parent.name == "data" and path.parent.parent.name == "corpus":
        return _record_mark(store, path, read)
    if path.parent.parent != store.root or path.parent.name in ("artifacts", RECEIPTS, REJECTED_DATASET):
        return ""
    if path.parent.name == INDEX:
        return _record_mark(store, path, read)
    receipt = store.receipt(path.parent.name, path.stem) if path.suffix == ".parquet" else None
    return receipt.content if receipt is not None else ""


def _record_mark(store: Store, path: Path, read: Callable[[Path], Receipt | None]) -> str:
    receipt = read(store.root / RECEIPTS / f"{path.stem}{RECEIPT}") if path.suffix == ".parquet" else None
    return receipt.content if receipt is not None else ""
