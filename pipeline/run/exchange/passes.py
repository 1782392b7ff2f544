"""The passes of a grouping over slice files: scatter and sort a bundle, gather a range of keys, merge, settle a part.

Nothing here knows of receipts or of a run folder: `pipeline/run/phases/exchange.py` does.
"""

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.shapes import Grouping, Part, PolarsType
from gristmill.pipeline.run.exchange.large import by_keys, in_order
from gristmill.pipeline.run.exchange.slices import KEYS, Slices, power, ranges, together, weight
from gristmill.pipeline.run.exchange.sorter import SHARE, Sorter

BUNDLES = 512  # of parts, by the names of their files
EXTRA = BUNDLES  # the bundle of documents that no part holds
NODE_BITS = 54  # of a node: the document's number in its bundle; those above them: the bundle
PARTITION_BYTES = 256 << 20  # of rows in a partition, on average


def bundle_of(part: Part) -> int:
    """All parts of a file are in one bundle, which depends on the file's name alone."""
    return int.from_bytes(blake2b(part.name.encode(), digest_size=8).digest(), "little") % BUNDLES


def nodes_of(bundle: int) -> tuple[int, int]:
    """The range of its documents' nodes."""
    return bundle << NODE_BITS, (bundle + 1) << NODE_BITS


def partitions(size: int) -> int:
    """Into how many partitions so many bytes of rows go: a power of two, a function of the rows alone."""
    return power(size / PARTITION_BYTES)


def sorted_by_key(stage: Grouping, batches: Iterable[tuple[int, pl.DataFrame]], sorter: Sorter, path: Path) -> int:
    """Scatters (first node, batch) of a bundle into a slice file; how many documents there were."""
    documents = 0
    for start, batch in batches:
        nodes = np.arange(start, start + batch.height, dtype=np.uint64)
        rows = stage.scatter(batch.with_columns(pl.Series("node", nodes)))
        sorter.add(as_declared(rows, {"key": pl.UInt64, "node": pl.UInt64, **stage.scatters}, f"{stage.name}.scatter"))
        documents += batch.height
    sorter.write(path)
    return documents


def as_declared(rows: pl.DataFrame, schema: Mapping[str, PolarsType], what: str) -> pl.DataFrame:
    """The rows with exactly these columns. Raises DataError where they have others."""
    if dict(rows.schema) != dict(schema):
        if set(rows.columns) != set(schema) or any(rows.schema[name] != kind for name, kind in schema.items()):
            raise DataError(f"{what} gave {dict(rows.schema)} where the stage declares {dict(schema)}")
        rows = rows.select(*schema)
    return rows


def gathered(stage: Grouping, files: Sequence[Slices], low: int, high: int, budget: int, out: Sorter) -> int:
    """Gathers all keys of [low, high) into `out`, as many at a time as fit a share of `budget`; how many rows it read.

    Raises DataError for a key whose rows do not fit, where the stage does not stream them.
    """
    limit = budget // SHARE
    size = _at_most(files, low, high)
    if size > limit and high - low > _finest(files):
        middle = (low + high) // 2
        return sum(gathered(stage, files, a, b, budget, out) for a, b in ((low, middle), (middle, high)))
    if size > 2 * limit:
        return _from_disk(stage, files, low, high, budget, out)
    rows = together(files, low, high)
    if rows is None:
        return 0
    read = rows.height
    rows = with_known(stage, rows, low, high)
    size = weight(rows)
    if size > limit and rows["key"].min() != rows["key"].max():
        rows = None
        middle = (low + high) // 2
        return sum(gathered(stage, files, a, b, budget, out) for a, b in ((low, middle), (middle, high)))
    if size > 2 * limit:
        rows = None
        return _from_disk(stage, files, low, high, budget, out)
    _gather(stage, rows, out)
    return read


def _gather(stage: Grouping, rows: pl.DataFrame, out: Sorter) -> None:
    """Whole keys through `gather`."""
    if stage.meets:
        rows = rows[meeting(rows["key"].to_numpy())]
    rows = rows.sort("key", *stage.order, "node")
    back = as_declared(stage.gather(rows), gives(stage), f"{stage.name}.gather")
    if not back["node"].is_in(rows["node"].implode()).all():
        raise DataError(f"{stage.name}.gather gave rows for documents that it was not given")
    out.add(back)


def _from_disk(stage: Grouping, files: Sequence[Slices], low: int, high: int, budget: int, out: Sorter) -> int:
    """As `gathered`, for a range of keys that does not fit: its rows are sorted on disk, and long keys streamed."""
    folder, limit, read = out.folder / "large", budget // SHARE, 0

    def mine() -> Iterator[pl.DataFrame]:
        return (rows for file in files if (rows := file.read(low, high)) is not None)

    def all_rows() -> Iterator[pl.DataFrame]:
        nonlocal read
        keys, columns = [np.zeros(0, np.uint64)], []
        for rows in mine():
            read += rows.height
            keys.append(np.unique(rows["key"].to_numpy()))
            columns = rows.columns
            yield rows
        held = pl.DataFrame({"key": np.unique(np.concatenate(keys))})
        yield from (rows.select(columns) for rows in shared_keys(stage.known(low, high), held))

    by = ("key", *stage.order, "node")
    ordered = in_order(all_rows(), by, _at_most(files, low, high), budget, folder)
    for item in by_keys(ordered, 2 * limit, folder / "key.slices"):
        if isinstance(item, pl.DataFrame):
            _gather(stage, item, out)
            continue
        if not streams(stage):
            raise DataError(
                f"{stage.name}: {item.rows:,} rows ({item.size:,} bytes) have the key {item.key:016x}, more than fit "
                f"into the {budget:,} bytes that a worker may take; raise engine.memory, or have fewer workers"
            )
        for back in stage.gather_long(item.frames):
            out.add(as_declared(back, gives(stage), f"{stage.name}.gather_long"))
    shutil.rmtree(folder, ignore_errors=True)  # there is none where nothing was read
    return read


def gives(stage: Grouping) -> dict[str, PolarsType]:
    """Columns that `gather` and `gather_long` give."""
    return {"node": pl.UInt64, **(stage.gathers if stage.merges else stage.returns)}


def streams(stage: Grouping) -> bool:
    return type(stage).gather_long is not Grouping.gather_long


def meeting(keys: np.ndarray) -> np.ndarray:
    """The places of the keys that stand there more than once."""
    order = np.argsort(keys)
    ordered = keys[order]
    again = ordered[1:] == ordered[:-1]
    return order[np.concatenate([[False], again]) | np.concatenate([again, [False]])]


def with_known(stage: Grouping, rows: pl.DataFrame, low: int, high: int) -> pl.DataFrame:
    """The rows, and those of other runs that share a key with one of them, frame by frame."""
    found = [frame.select(rows.columns) for frame in shared_keys(stage.known(low, high), rows)]
    return pl.concat([rows, *found]) if found else rows


def shared_keys(frames: Iterable[pl.DataFrame], rows: pl.DataFrame) -> Iterator[pl.DataFrame]:
    """Of each frame the rows with a `key` that is one of `rows`."""
    keys = np.zeros(0, np.uint64)
    for frame in frames:
        keys = keys if keys.size else np.sort(rows["key"].to_numpy())
        theirs = frame["key"].to_numpy()
        places = np.minimum(np.searchsorted(keys, theirs), keys.size - 1)
        yield frame.filter(pl.Series(keys[places] == theirs))


def _at_most(files: Sequence[Slices], low: int, high: int) -> int:
    """Bytes of the pieces that a range of keys meets."""
    return sum(file.size(low, high) for file in files)


def _finest(files: Sequence[Slices]) -> int:
    """Keys in a piece of the file that has most: a narrower range meets no fewer pieces of any."""
    return KEYS // max((len(file.index) for file in files), default=1)


def merged(stage: Grouping, files: Sequence[Slices], budget: int, out: Sorter) -> None:
    """`merge` over what was gathered."""

    def walk() -> Iterator[pl.DataFrame]:
        for low, high in stretches(files, budget // SHARE**2):
            frame = together(files, low, high)
            if frame is not None:
                yield frame.sort("node", maintain_order=True)

    for frame in stage.merge(walk):
        out.add(as_declared(frame, {"node": pl.UInt64, **stage.returns}, f"{stage.name}.merge"))


def stretches(files: Sequence[Slices], size: int) -> Iterator[tuple[int, int]]:
    """All keys, in ranges whose rows in all files take about `size` bytes, or of one piece."""
    begin, held = 0, 0
    for low, high in ranges(max([1, *(len(file.index) for file in files)])):
        more = _at_most(files, low, high)
        if held and held + more > size:
            yield begin, low
            begin, held = low, 0
        held += more
    yield begin, KEYS


def come_back(stage: Grouping, files: Sequence[Slices], low: int, high: int) -> pl.DataFrame:
    """What came back to the nodes of [low, high), sorted by node; where `several` rows may, as lists. Raises DataError
    where one came back twice that must not."""
    found = together(files, low, high)
    if found is None:
        kinds = {name: pl.List(kind) if stage.several else kind for name, kind in stage.returns.items()}
        return pl.DataFrame(schema={"node": pl.UInt64, **kinds})
    if stage.several:
        return found.sort("node", *stage.returns).group_by("node", maintain_order=True).all()
    found = found.sort("node")
    if found["node"].n_unique() < found.height:
        raise DataError(f"{stage.name}: a document came back twice; what is gathered per key needs `merges`")
    return found


def beside(batch: pl.DataFrame, back: pl.DataFrame, start: int) -> pl.DataFrame:
    """The batch with the columns that came back to its documents, whose nodes begin at `start`; null where none did."""
    nodes = pl.DataFrame({"node": np.arange(start, start + batch.height, dtype=np.uint64)})
    columns = nodes.join(back, on="node", how="left", maintain_order="left").drop("node")
    return batch.hstack(columns.get_columns())


def settled(stage: Grouping, batch: pl.DataFrame, back: pl.DataFrame, start: int) -> pl.DataFrame:
    """The columns of a part. Raises DataError where the stage changes the rows."""
    frame = stage.settle(beside(batch, back, start))
    if not frame["doc_id"].equals(batch["doc_id"]):
        raise DataError(f"{stage.name}.settle changed the rows or their order; it returns the rows it was given")
    return frame
