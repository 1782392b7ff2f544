"""The manifest of an index across runs: which runs it holds, in the order in which they came, and their segments.

    PATH/index.json                 format, parameters, runs
    PATH/segments/<run>-<digest>/   what a run added (segments.py); never changed, replaced as a whole

A run is deduplicated against the runs before it. It is known by an id, so the same run again takes its own place: it
never meets itself, nor those that came after it. A run folder that starts from the files with which another one began
has that one's id, too: it may take its place as long as the input there is one that it has had itself.
"""

import fcntl
import json
import shutil
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from hashlib import blake2b
from pathlib import Path

from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.contract.secrets import public
from gristmill.pipeline.contract.shapes import Part
from gristmill.pipeline.contract.state import DamagedFile, read_state, synced, write_json

FORMAT = 2
MANIFEST = "index.json"
SEGMENTS = "segments"


@dataclass(frozen=True)
class Entry:
    """A run in the index."""

    run: str  # its id
    name: str  # of its run folder
    segment: str  # folder below `segments`: the id and a digest of what the run added
    documents: int  # that stayed
    older: tuple[str, ...]  # the segments of the runs that it was deduplicated against
    inputs: str  # digest of its input files


@dataclass(frozen=True)
class Manifest:
    """Raises ConfigError where the folder is no index, or of another format."""

    parameters: Mapping[str, object]
    runs: tuple[Entry, ...] = ()

    def before(self, run: str) -> tuple[Entry, ...]:
        """The runs that came before this one; all, where it is not among them."""
        at = next((i for i, entry in enumerate(self.runs) if entry.run == run), len(self.runs))
        return self.runs[:at]

    def place(self, index: str, run: str, inputs: Sequence[str]) -> Entry | None:
        """The entry whose place a run takes, if it has one. inputs: digests of the input files that it has had.

        Raises PlanError where the entry has other input: its documents would be gone from the index.
        """
        held = next((entry for entry in self.runs if entry.run == run), None)
        if held is not None and held.inputs not in inputs:
            raise PlanError(
                f"dedup.index: {index} holds {held.name} ({run}, {held.documents:,} documents), which began with the "
                "same input files and has had others since: this run would take its place; go on in its run folder "
                f"(--out), name another index, or take it out: gristmill index {index} --remove {run}"
            )
        return held

    def stale(self) -> list[Entry]:
        """Runs that were deduplicated against what is no longer there: a run before them was made anew."""
        segments = [entry.segment for entry in self.runs]
        return [entry for i, entry in enumerate(self.runs) if list(entry.older) != segments[:i]]

    def holding(self, entry: Entry) -> "Manifest":
        """With a run in its place, or behind all others."""
        there = any(old.run == entry.run for old in self.runs)
        runs = tuple(entry if old.run == entry.run else old for old in self.runs)
        return Manifest(self.parameters, runs if there else (*runs, entry))


def inputs_of(parts: Sequence[Part]) -> str:
    """Digest of a run's input files; the id of a run that has none yet."""
    files = sorted({(part.name, part.digest) for part in parts})
    return blake2b(json.dumps(files).encode(), digest_size=8).hexdigest()


def read_manifest(index: str) -> Manifest | None:
    """None where there is no index yet. Raises ConfigError for a folder that is none and for an address, DamagedFile
    for a damaged one."""
    if "://" in index:
        raise ConfigError(
            f"dedup.index: {public(index)} is an address; an index is a folder that all nodes of a run share (its path)"
        )
    path = Path(index) / MANIFEST
    if not path.is_file():
        if Path(index).is_file() or (
            Path(index).is_dir() and any(not p.name.startswith(".") for p in Path(index).iterdir())
        ):
            raise ConfigError(
                f"dedup.index: {index} is not an index of kept documents (no {MANIFEST}); name a new folder"
            )
        return None
    saved = read_state(path, "format")
    if saved["format"] != FORMAT:
        raise ConfigError(
            f"dedup.index: {index} is of format {saved['format']}, this version of Gristmill reads and writes "
            f"format {FORMAT}; use the version that made it, or another index"
        )
    try:
        runs = tuple(Entry(**{**entry, "older": tuple(entry["older"])}) for entry in saved["runs"])
        return Manifest(dict(saved["parameters"]), runs)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedFile(f"{path} is damaged ({error}); the index is lost, name a new folder as dedup.index") from None


def check_parameters(index: str, parameters: Mapping[str, object]) -> None:
    """Raises ConfigError where the index was made with others."""
    manifest = read_manifest(index)
    if manifest is not None and manifest.runs and dict(manifest.parameters) != dict(parameters):
        names = sorted({*manifest.parameters, *parameters})
        other = [n for n in names if manifest.parameters.get(n) != parameters.get(n)]
        was = ", ".join(f"{n} = {json.dumps(manifest.parameters.get(n))}" for n in other)
        now = ", ".join(f"{n} = {json.dumps(parameters.get(n))}" for n in other)
        raise ConfigError(
            f"dedup.index: {index} was made with {was}, this run has {now}: their keys do not compare; "
            "give the same, or another index"
        )


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    folder.mkdir(parents=True, exist_ok=True)
    with (folder / ".lock").open("a+") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def add(index: str, made: Path, entry: Entry, parameters: Mapping[str, object], inputs: Sequence[str]) -> Entry:
    """Adds a run, whose segment's files lie in `made` (`entry.segment` is given here); its entry, as it stands there.

    The manifest is replaced as a whole, so a kill leaves the index with the run or without it. Raises PlanError where
    the runs before this one are no longer those that it was deduplicated against, or its place is another's
    (`Manifest.place`).
    """
    folder = Path(index)
    with _alone(folder):
        check_parameters(index, parameters)
        manifest = read_manifest(index) or Manifest(parameters)
        manifest.place(index, entry.run, inputs)
        before = manifest.before(entry.run)
        if tuple(old.segment for old in before) != entry.older:
            new = ", ".join(old.name for old in before if old.segment not in entry.older) or "another run"
            raise PlanError(
                f"dedup.index: {new} was added to {index} while this run was at work, and this run has not been "
                "compared with it; run the same command again (only deduplication and what follows is redone)"
            )
        entry = Entry(**{**asdict(entry), "segment": f"{entry.run}-{_digest(made)}"})
        segments = folder / SEGMENTS
        segments.mkdir(exist_ok=True)
        for left in segments.glob(".*.tmp"):
            shutil.rmtree(left)
        if not (segments / entry.segment).is_dir():
            temporary = segments / f".{entry.segment}.tmp"
            shutil.copytree(made, temporary)
            synced(temporary)
            temporary.rename(segments / entry.segment)
        _write(folder, parameters, manifest.holding(entry).runs)
    return entry


def remove(index: str, run: str) -> tuple[Entry, Manifest]:
    """Takes back what one run added, known by its name or id: its entry, and the index without it.

    Raises ConfigError where no run or several are called so.
    """
    with _alone(Path(index)):
        manifest = read_manifest(index)
        runs = manifest.runs if manifest else ()
        found = [entry for entry in runs if run in (entry.run, entry.name)]
        if manifest is None or len(found) != 1:
            there = ", ".join(f"{entry.name} ({entry.run})" for entry in found or runs) or "no run"
            raise ConfigError(
                f"--remove {run}: {index} holds {there}"
                + ("; give the id of one" if found else "; give one of its runs")
            )
        left = Manifest(manifest.parameters, tuple(entry for entry in runs if entry is not found[0]))
        _write(Path(index), left.parameters, left.runs)
    return found[0], left


def _write(folder: Path, parameters: Mapping[str, object], runs: Sequence[Entry]) -> None:
    """The manifest, then without the segments that it does not name."""
    whole = {"format": FORMAT, "parameters": dict(parameters), "runs": [asdict(entry) for entry in runs]}
    write_json(folder / MANIFEST, whole)
    held = {entry.segment for entry in runs}
    for path in (folder / SEGMENTS).iterdir():
        if path.name not in held:
            shutil.rmtree(path, ignore_errors=True)


def _digest(folder: Path) -> str:
    """Of the files of a folder, whose names are part of it."""
    whole = blake2b(digest_size=8)
    for path in sorted(folder.iterdir()):
        whole.update(path.name.encode() + b"\0")
        with path.open("rb") as file:
            while block := file.read(1 << 20):
                whole.update(block)
    return whole.hexdigest()
