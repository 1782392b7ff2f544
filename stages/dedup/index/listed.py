"""What an index across runs holds, in lines: the command `index`."""

import json
from collections.abc import Iterator
from pathlib import Path

import pyarrow.parquet as pq

from gristmill.pipeline.contract.drawing.tables import count, plural, size
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.dedup.index.manifest import FORMAT, SEGMENTS, Manifest, read_manifest, remove
from gristmill.stages.dedup.index.segments import FILES


def index_lines(index: str, removed: str | None) -> Iterator[str]:
    """Its runs in their order, with what each holds; `removed`: a run that is taken out first. Raises ConfigError."""
    manifest = read_manifest(index)
    if manifest is None:
        raise ConfigError(f"{index}: there is no index of kept documents; `dedup.index: {index}` in a config makes one")
    if removed is not None:
        entry, manifest = remove(index, removed)
        yield f"{index}: {entry.name} ({entry.run}) and its {count(entry.documents)} documents are taken out"
    runs = manifest.runs
    sizes = [_size(Path(index) / SEGMENTS / entry.segment) for entry in runs]
    documents = sum(entry.documents for entry in runs)
    all_of_them = f"{plural(len(runs), 'run')}, {plural(documents, 'document')} that stay"
    yield f"{index}: {all_of_them}, {size(sum(sizes))}, format {FORMAT}"
    if runs:
        yield from _parameters(manifest)
    for entry, held in zip(runs, sizes, strict=True):
        texts, bands = (_rows(Path(index) / SEGMENTS / entry.segment / f"{file}.parquet") for file in list(FILES)[:2])
        yield (
            f"  {entry.name} ({entry.run}): {count(entry.documents)} documents, {count(texts)} texts, "
            f"{count(bands)} bands, {size(held)}; compared with {plural(len(entry.older), 'run')}"
        )
    if stale := manifest.stale():
        names = ", ".join(entry.name for entry in stale)
        yield f"{names} compared with runs that are no longer there; run their commands again, in this order"


def _parameters(manifest: Manifest) -> Iterator[str]:
    for name, value in manifest.parameters.items():
        yield f"  {name}: {json.dumps(value)}"


def _size(segment: Path) -> int:
    return sum(path.stat().st_size for path in segment.iterdir()) if segment.is_dir() else 0


def _rows(path: Path) -> int:
    """Raises ConfigError for a file that is gone or damaged."""
    try:
        return int(pq.read_metadata(path).num_rows)
    except (OSError, ValueError) as error:
        raise ConfigError(f"{path} cannot be read ({error}); take its run out with --remove") from None
