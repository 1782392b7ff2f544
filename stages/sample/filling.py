"""Passes that fill the buckets of training: small ones are held, large ones are solved near the cut (`turns`)."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.pipeline.contract.corpus.splits import TRAIN
from gristmill.pipeline.contract.samples import compact, summed, tables_of, together
from gristmill.pipeline.contract.shapes import Tables
from gristmill.stages.sample.schedule import Division
from gristmill.stages.sample.solving import Solved, copies_for, shared, solve, turns_of
from gristmill.stages.sample.turns import SUMS, Window, bin_of, bins_of, is_large

HELD = {
    "doc_id": pl.String, "bucket": pl.String, "token_count": pl.Int64, "text_bytes": pl.Int64,
    "sampling_value": pl.Float64, "u": pl.Float64, "held": pl.Boolean,
}  # fmt: skip
COLUMNS = ("bucket", "token_count", "text_bytes", "sampling_value")


@dataclass(frozen=True, eq=False)
class Filled:
    """A bucket of a split: its scale, what is written of it, and documents whose copies the scale does not give."""

    k: float
    rows: int
    tokens: int
    bytes: int
    documents: int  # that are written at least once
    distinct: int  # tokens of these
    shortest: int  # tokens of its shortest document
    available: int  # tokens
    exact: pl.DataFrame  # doc_id, copies_n


def of_held(solved: Solved, docs: pl.DataFrame) -> Filled:
    """docs: all of the bucket."""
    tokens, copies = docs["token_count"].to_numpy(), solved.copies
    return Filled(
        solved.k, int(copies.sum()), int(copies @ tokens), int(copies @ docs["text_bytes"].to_numpy()),
        int((copies > 0).sum()), int(tokens[copies > 0].sum()), int(docs["token_count"].min() or 0), int(tokens.sum()),  # pyright: ignore
        exact_of(solved, docs),
    )  # fmt: skip


def exact_of(solved: Solved, docs: pl.DataFrame) -> pl.DataFrame:
    off = solved.copies != solved.plain
    return docs.filter(pl.Series(off)).select("doc_id", pl.Series("copies_n", solved.copies[off], pl.Int64))


def prepared(batch: pl.DataFrame, validation: float) -> pl.DataFrame:
    """With u, the document's draw, and whether validation holds it."""
    division = Division((TRAIN,), validation, {}, frozenset(), {})
    return batch.with_columns(
        pl.Series("u", division.draws(batch["doc_id"], TRAIN)), pl.Series("held", division.held_out(batch["doc_id"]))
    )


def take(name: str, batches: Iterator[pl.DataFrame], known: Tables, cap: int) -> Tables:
    if name == "sizes":
        return {"sizes": sizes_of(_sized(batch) for batch in batches)}
    large = large_of(known, cap)
    if name == "near":
        windows = windows_of(known)
        return {"near": together(_near(batch, windows, cap) for batch in batches)}
    small: list[pl.DataFrame] = []

    def bins() -> Iterator[pl.DataFrame]:
        for batch in batches:
            is_one = pl.col("bucket").is_in(large)
            small.append(compact(batch.filter(~is_one)))
            # Of those that validation holds first copies only are asked for.
            for held, copies in ((False, cap), (True, 1)):
                mine = batch.filter(is_one & (pl.col("held") == held))
                if mine.height:
                    yield bins_of(mine, copies).with_columns(held=pl.lit(held))

    sums = summed(bins(), ("bucket", "held", "bin"))
    return {"small": together(small), "bins": sums}


def join(name: str, taken: Sequence[Tables]) -> dict[str, pl.DataFrame]:
    if name == "sizes":
        return {"sizes": sizes_of(tables_of("sizes", taken))}
    if name == "near":
        near = together(tables_of("near", taken))
        return {"near": near.sort("doc_id") if near.width else near}
    small = together(tables_of("small", taken))
    return {
        "small": small.sort("doc_id") if small.width else small,
        "bins": summed(tables_of("bins", taken), ("bucket", "held", "bin")),
    }


def _sized(batch: pl.DataFrame) -> pl.DataFrame:
    rows = batch.filter(~pl.col("held")).group_by("bucket")
    tokens = pl.col("token_count").cast(pl.Int64)
    return rows.agg(docs=pl.len().cast(pl.Int64), tokens=tokens.sum(), shortest=-tokens.min())


def sizes_of(frames: Iterator[pl.DataFrame]) -> pl.DataFrame:
    """bucket, docs, tokens and shortest: tokens of the shortest document, negative. Without what validation holds."""
    return summed(frames, "bucket", greatest=("shortest",))


def large_of(known: Tables, cap: int) -> list[str]:
    rows = known["sizes"].select("bucket", "docs", "tokens").iter_rows()
    return [bucket for bucket, docs, tokens in rows if is_large(docs, tokens, cap)]


def held_small(known: Tables) -> dict[str, pl.DataFrame]:
    """Of each small bucket the documents that validation does not hold, sorted by doc_id."""
    if not known["small"].width:
        return {}
    parts = known["small"].filter(~pl.col("held")).partition_by("bucket", as_dict=True)
    return {str(bucket): docs for (bucket,), docs in parts.items()}


def solved_small(small: Mapping[str, pl.DataFrame], bucket: str, quota: float, cap: int) -> tuple[Solved, pl.DataFrame]:
    docs = small.get(bucket, pl.DataFrame(schema=HELD))
    tokens, rate, u = (docs[c].to_numpy() for c in ("token_count", "sampling_value", "u"))
    return solve(tokens, rate, u, quota, cap), docs


def windows(asked: Mapping[str, float], budget: int, known: Tables, cap: int) -> pl.DataFrame:
    """Of large buckets the window in which the cut lies, with the sums before it.

    For that a large bucket is taken to hold its quota, or all that it has; `filled` finds out what it does hold.
    """
    large, small = set(large_of(known, cap)), held_small(known)
    most = {bucket: cap * tokens for bucket, tokens in known["sizes"].select("bucket", "tokens").iter_rows()}

    def written(bucket: str, quota: float) -> float:
        if bucket in large:
            return min(quota, float(most[bucket]))
        solved, docs = solved_small(small, bucket, quota, cap)
        return float(solved.copies @ docs["token_count"].to_numpy())

    quota, _ = shared(written, dict(asked), budget)
    rows = []
    for bucket in sorted(large & set(asked)):
        mine = known["bins"].filter((pl.col("bucket") == bucket) & ~pl.col("held"))
        window = Window.around(mine, quota[bucket])
        rows.append({"bucket": bucket, "low": window.low, "high": window.high, **window.before})
    schema = {"bucket": pl.String, "low": pl.UInt64, "high": pl.UInt64, **dict.fromkeys(SUMS, pl.Int64)}
    return pl.DataFrame(rows, schema=schema)


def windows_of(known: Tables) -> dict[str, Window]:
    rows = known["windows"].iter_rows(named=True)
    return {row["bucket"]: Window(row["low"], row["high"], {name: row[name] for name in SUMS}) for row in rows}


def _near(batch: pl.DataFrame, windows: Mapping[str, Window], cap: int) -> pl.DataFrame:
    found = [batch.clear()]
    for (bucket,), docs in batch.filter(pl.col("bucket").is_in(list(windows))).group_by("bucket"):
        found.append(docs.filter(pl.Series(windows[str(bucket)].near(docs, cap))))
    return pl.concat(found)


def filled(asked: Mapping[str, float], budget: int, known: Tables, cap: int) -> tuple[dict[str, Filled], set[str]]:
    """Every bucket with its copies, after all passes, and those that cannot hold what is asked of them."""
    near, small, found = windows_of(known), held_small(known), {}

    def written(bucket: str, quota: float) -> float:
        if bucket in near:
            found[bucket] = _filled_near(bucket, quota, near[bucket], known, cap)
        else:
            found[bucket] = of_held(*solved_small(small, bucket, quota, cap))
        return float(found[bucket].tokens)

    _, limited = shared(written, dict(asked), budget)
    return found, limited


def _filled_near(bucket: str, quota: float, window: Window, known: Tables, cap: int) -> Filled:
    sizes = known["sizes"].filter(pl.col("bucket") == bucket).row(0, named=True)
    shortest, available = -sizes["shortest"], sizes["tokens"]
    if quota <= 0:
        none = pl.DataFrame(schema={"doc_id": pl.String, "copies_n": pl.Int64})
        return Filled(0.0, 0, 0, 0, 0, 0, shortest, available, none)
    docs = known["near"].filter((pl.col("bucket") == bucket) & ~pl.col("held"))
    solved, of = window.solve(docs, quota, cap)
    return Filled(
        solved.k, of["copies"], of["tokens"], of["bytes"], of["docs"], of["distinct"], shortest, available,
        exact_of(solved, docs),
    )  # fmt: skip


def held_out(known: Tables, scales: Mapping[str, float]) -> dict[str, int]:
    """Rows, tokens and bytes of validation: held documents that their bucket's scale gives a copy."""
    windows = windows_of(known)
    rows = tokens = size = 0
    for name in windows:
        if not scales[name]:
            continue
        before = (
            known["bins"]
            .filter((pl.col("bucket") == name) & pl.col("held") & (pl.col("bin") < windows[name].low))
            .select(pl.col("docs", "tokens", "bytes").sum())
        )
        rows, tokens, size = (a + b for a, b in zip((rows, tokens, size), before.row(0), strict=True))
    near = [known[t].filter("held") for t in ("small", "near") if known[t].width]
    docs = together(near)
    if docs.width:
        # Of the large ones' near documents some have their first turn before the window: these are counted above.
        taken = docs.filter(pl.Series(wanted(docs, scales, docs["u"].to_numpy())))
        taken = taken.filter(pl.Series(_behind(taken, windows)))
        sums = taken.select(pl.col("token_count", "text_bytes").sum()).row(0)
        rows, tokens, size = rows + taken.height, tokens + sums[0], size + sums[1]
    return {"rows": rows, "tokens": tokens, "bytes": size}


def wanted(docs: pl.DataFrame, scales: Mapping[str, float], draws: np.ndarray) -> np.ndarray:
    """(n,) bool: documents that their bucket's scale gives a copy."""
    scale = np.array([scales.get(b, 0.0) for b in docs["bucket"]])
    return copies_for(scale, docs["sampling_value"].to_numpy(), draws, 1) > 0


def _behind(docs: pl.DataFrame, windows: Mapping[str, Window]) -> np.ndarray:
    """(n,) bool: documents of held buckets, and those whose first turn does not lie before their bucket's window."""
    low = np.array([windows[b].low if b in windows else 0 for b in docs["bucket"]], np.uint64)
    first = bin_of(turns_of(docs["sampling_value"].to_numpy(), docs["u"].to_numpy(), 1))[:, 0]
    return first >= low
