"""Digests every file of a run folder that a receipt speaks for, and takes away the receipts that no longer hold."""

from pathlib import Path

from gristmill.pipeline.contract.corpus.splits import unit_of_mark
from gristmill.pipeline.plan.identity import digest_file, digest_folder
from gristmill.pipeline.run.receipts.receipt import Receipt, read_receipt
from gristmill.pipeline.run.session import locked
from gristmill.pipeline.run.shards import record_path, size_of
from gristmill.pipeline.run.store import REJECTED_DATASET, Store


def forget_changed(store: Store) -> list[str]:
    """Removes the receipt of every file or artifact that is gone or holds something else, so that the run makes it
    again; returns their paths below the folder. A resume itself looks at sizes and times only."""
    if not store.root.is_dir():
        return []
    wrong: list[Path] = []
    store.whole(store.root)
    with locked(store.root):
        for path in sorted(store.root.rglob("*.receipt.json")):
            receipt, proved = read_receipt(path), proved_by(store, path)
            if receipt is None or not holds(store, receipt, proved):
                path.unlink()
                wrong.append(proved)
        store.receipts.look_again()
        for dataset in store.receipts.datasets():
            for key, receipt in store.receipts.all(dataset).items():
                if not (holds(store, receipt, store.data(dataset, key)) and rejected_hold(store, key, receipt)):
                    store.receipts.take_away(dataset, key)
                    wrong.append(store.data(dataset, key))
        store.send()
    return sorted(path.relative_to(store.root).as_posix() for path in wrong)


def proved_by(store: Store, receipt_path: Path) -> Path:
    name = receipt_path.name.removesuffix(".receipt.json")
    if receipt_path.parent == store.root / "artifacts":
        return store.artifact(name)
    if receipt_path.parent == store.root / "corpus.receipts":
        return record_path(store, unit_of_mark(name))
    return receipt_path.with_name(name if name.endswith(".slices") else f"{name}.parquet")


def holds(store: Store, receipt: Receipt, path: Path) -> bool:
    if not path.exists():
        return False
    if path.is_dir():
        return digest_folder(path) == receipt.content
    if any(size_of(p := store.root / n) != size or digest_file(p) != d for n, (d, size) in receipt.files.items()):
        return False
    return receipt.content in ("", digest_file(path))


def rejected_hold(store: Store, key: str, receipt: Receipt) -> bool:
    rejected = store.data(REJECTED_DATASET, key)
    return not receipt.rejected or (rejected.is_file() and digest_file(rejected) == receipt.rejected)
