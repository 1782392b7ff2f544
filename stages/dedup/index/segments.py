"""A run's segment of the index: Parquet files of rows sorted by a 64-bit key, read one row group at a time.

texts    key, rest, doc_id            both halves of a text's hash, and who has it
bands    key, component               a band of a signature, and the component of documents that has it
stays    key, order, doc_id, print    a component, and the documents of it that stay, with their fingerprints
joined   key, component               a component of an older run, and the one of which it has become a part
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.shapes import Part, PolarsType
from gristmill.pipeline.contract.state import parquet_writer, replaced
from gristmill.stages.dedup.index.manifest import SEGMENTS, inputs_of, read_manifest

GROUP_ROWS = 1 << 18  # of a row group: 4 MB of bands, 50 MB of fingerprints
FILES: dict[str, dict[str, PolarsType]] = {
    "texts": {"key": pl.UInt64, "rest": pl.UInt64, "doc_id": pl.String},
    "bands": {"key": pl.UInt64, "component": pl.UInt64},
    "stays": {"key": pl.UInt64, "order": pl.Binary, "doc_id": pl.String, "print": pl.Binary},
    "joined": {"key": pl.UInt64, "component": pl.UInt64},
}


def write_rows(folder: Path, file: str, frames: Iterable[pl.DataFrame]) -> int:
    """Writes one of FILES from frames that are sorted by its columns, each different row once; how many rows."""
    names, rows, last = list(FILES[file]), 0, None
    schema = pl.DataFrame(schema=FILES[file]).to_arrow().schema
    with replaced(folder / f"{file}.parquet") as out, parquet_writer(out, schema, checksums=True) as writer:
        for frame in frames:
            once = frame.select(names).unique(maintain_order=True)
            if last is not None and once.height and once.row(0) == last:
                once = once[1:]
            if once.height:
                last = once.row(-1)
                writer.write_table(once.to_arrow().cast(schema), row_group_size=GROUP_ROWS)
                rows += once.height
    return rows


@dataclass(frozen=True)
class Across:
    """What the stages of deduplication take from the section `dedup`."""

    index: str | None = None


NO_INDEX = Across()


@dataclass(frozen=True)
class Segments:
    """Segments of an index, read as one."""

    index: str
    names: tuple[str, ...]

    def rows(self, file: str, low: int, high: int) -> Iterator[pl.DataFrame]:
        """Rows with low <= key < high, sorted by key within a frame; one row group is in memory at a time."""
        within = pl.col("key").is_between(pl.lit(low, pl.UInt64), pl.lit(high - 1, pl.UInt64))
        for first, last, read in self._groups(file):
            if last >= low and first < high:
                yield read().filter(within)

    def at(self, file: str, keys: np.ndarray) -> Iterator[pl.DataFrame]:
        """Rows with one of these keys ((n,) uint64, sorted)."""
        for first, last, read in self._groups(file) if keys.size else ():
            begin = int(np.searchsorted(keys, np.uint64(first)))
            end = int(np.searchsorted(keys, np.uint64(last), "right"))
            if begin < end:
                yield read().filter(pl.col("key").is_in(pl.Series(keys[begin:end], dtype=pl.UInt64).implode()))

    def whole(self, file: str) -> pl.DataFrame:
        """All rows of a file that is small in every segment."""
        return pl.concat([pl.DataFrame(schema=FILES[file]), *(read() for _, _, read in self._groups(file))])

    def _groups(self, file: str) -> Iterator[tuple[int, int, Callable[[], pl.DataFrame]]]:
        """(first key, last key, what reads it) of each row group of each segment. Raises DataError for a segment that
        is gone or damaged."""
        for name in self.names:
            path = Path(self.index) / SEGMENTS / name / f"{file}.parquet"
            try:
                with pq.ParquetFile(path, page_checksum_verification=True) as found:
                    for i in range(found.num_row_groups):
                        held = found.metadata.row_group(i).column(0).statistics
                        yield held.min, held.max, partial(_read, found, i, FILES[file])
            except FileNotFoundError:
                raise DataError(
                    f"dedup.index: {path} is gone: another run of the index was made anew; run the same command again"
                ) from None
            except (OSError, ValueError) as error:
                raise DataError(f"dedup.index: {path} is damaged ({error}); name a new folder as dedup.index") from None


def _read(file: pq.ParquetFile, group: int, schema: Mapping[str, PolarsType]) -> pl.DataFrame:
    return pl.DataFrame(file.read_row_group(group)).cast(schema)  # pyright: ignore[reportArgumentType]


def older_segments(
    index: str | None, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]
) -> tuple[str, ...]:
    """The segments against which the run is deduplicated; the same for all stages of a plan."""
    if index is None:
        return ()
    for stage in earlier:
        if isinstance(found := getattr(stage, "older", None), tuple):
            return found
    manifest = read_manifest(index)
    return tuple(e.segment for e in manifest.before(known_run(parts, before))) if manifest else ()


def known_run(parts: Sequence[Part], before: Sequence[object]) -> str:
    """The run's id: the one of its last plan, so that it outlives added inputs and a moved folder."""
    for stage in before:
        if getattr(stage, "name", "") == "dedup.index" and (run := getattr(stage, "run_id", "")):
            return str(run)
    return inputs_of(parts)


def known_inputs(parts: Sequence[Part], before: Sequence[object]) -> tuple[str, ...]:
    """Digests of the input files of each plan of the run folder, of this one's last."""
    earlier = (getattr(stage, "inputs", ()) for stage in before if getattr(stage, "name", "") == "dedup.index")
    now = inputs_of(parts)
    return (*(digest for digest in next(earlier, ()) if digest != now), now)
