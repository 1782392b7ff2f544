"""Histograms of the columns that gates limit, over documents drawn part by part, with the limits drawn in."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import polars as pl

from gristmill.pipeline.contract.draws import drawn_order
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.store import Store

BINS = 36
DRAWN_DOCS = 100_000  # whole parts, in the order of their draws, until there are so many
_LONG_TAIL = 12.0  # 99th percentile over median from which counts are shown on a logarithmic axis
_FRAMED = 0.995  # of the documents lie inside the axis; the rest are counted in its last bin


@dataclass(frozen=True)
class Limited:
    """A column that a gate bounds. rules: those that read it, () where the gate does not say."""

    gate: Step
    dataset: str
    column: str
    low: float | None
    high: float | None
    rules: tuple[str, ...]


@dataclass(frozen=True)
class Histogram:
    """Documents per bin (BINS,): kept by the gate, dropped by a rule on this column, dropped by another."""

    limited: Limited
    edges: list[float]  # (BINS + 1,)
    logarithmic: bool
    kept: list[int]
    dropped: list[int]
    other: list[int]
    quantiles: list[float]  # 1, 25, 50, 75 and 99%

    @property
    def dropped_n(self) -> int:
        return sum(self.dropped)


def limits(plan: Plan) -> list[Limited]:
    """By the naming of fields and columns: a gate's `min_words` bounds the column it reads as `words`, `words_n` or
    `*_words`; with a `table` of its rules in force, only columns that those read."""
    found = []
    for gate in (s for s in plan.steps if s.kind == "gate"):
        table = gate.gate.table()
        rules = {rule: set(broken.meta.root_names()) for rule, broken in table.items()}
        bounds: dict[str, dict[str, float]] = {}
        read = {c: d for d, columns in gate.reads.items() for c in columns}
        for name, value in vars(gate.stage).items():
            side, _, rest = name.partition("_")
            column = bounded(rest, tuple(read)) if side in ("min", "max") else None
            if column and isinstance(value, (int, float)) and not isinstance(value, bool):
                bounds.setdefault(column, {})[side] = float(value)
        for column, sides in bounds.items():
            reading = tuple(r for r, columns in rules.items() if column in columns)
            if reading or not rules:
                found.append(Limited(gate, read[column], column, sides.get("min"), sides.get("max"), reading))
    return found


def bounded(rest: str, columns: Sequence[str]) -> str | None:
    for wanted in (rest, f"{rest}_n", f"{rest}_frac"):
        if wanted in columns:
            return wanted
    ends = [c for c in columns if c.endswith(f"_{rest}")]
    return ends[0] if len(ends) == 1 else None


def histograms(store: Store, plan: Plan) -> tuple[list[Histogram], int]:
    """The limited columns, those whose rules drop most first; and the number of documents drawn."""
    found = limits(plan)
    drawn = {gate: draw(store, plan, gate, found) for gate in dict.fromkeys(x.gate for x in found)}
    made = [h for x in found if (h := histogram(x, drawn[x.gate])) is not None]
    made.sort(key=lambda h: (-h.dropped_n, -sum(h.kept)))
    return made, max((frame.height for frame in drawn.values()), default=0)


def draw(store: Store, plan: Plan, gate: Step, found: Sequence[Limited]) -> pl.DataFrame:
    """rule and the gate's limited columns, of all documents that it judged in the drawn parts."""
    keys = [p.key for p in plan.parts if store.receipt(gate.name, p.key) is not None]
    frames: list[pl.DataFrame] = []
    for key in drawn_order(keys, "report"):
        frame = store.read(gate.name, key, ("rule",))
        for dataset in dict.fromkeys(x.dataset for x in found if x.gate == gate):
            columns = [x.column for x in found if (x.gate, x.dataset) == (gate, dataset)]
            read = store.read(dataset, key, columns)
            frame = frame.join(read, on="doc_id", how="left", maintain_order="left")
        frames.append(frame)
        if sum(f.height for f in frames) >= DRAWN_DOCS:
            break
    return pl.concat(frames) if frames else pl.DataFrame({"rule": pl.Series([], dtype=pl.String)})


def histogram(limited: Limited, rows: pl.DataFrame) -> Histogram | None:
    """None where no document has a value."""
    if limited.column not in rows.columns or not rows[limited.column].dtype.is_numeric():
        return None
    values = rows[limited.column].cast(pl.Float64).fill_null(float("nan")).to_numpy()
    known = np.isfinite(values)
    if not known.any():
        return None
    values, rule = values[known], rows["rule"].filter(pl.Series(known))
    edges, logarithmic = axis(values, [x for x in (limited.low, limited.high) if x is not None])
    at = np.clip(np.searchsorted(edges, values, side="right") - 1, 0, BINS - 1)
    gone = rule.is_not_null().to_numpy()
    here = rule.is_in(list(limited.rules)).fill_null(False).to_numpy() if limited.rules else np.zeros(len(at), bool)

    def per_bin(rows: np.ndarray) -> list[int]:
        return np.bincount(at[rows], minlength=BINS).tolist()

    return Histogram(
        limited,
        edges.tolist(),
        logarithmic,
        per_bin(~gone),
        per_bin(here),
        per_bin(gone & ~here),
        np.quantile(values, [0.01, 0.25, 0.5, 0.75, 0.99]).tolist(),
    )


def axis(values: np.ndarray, marks: Sequence[float]) -> tuple[np.ndarray, bool]:
    """Bin edges (BINS + 1,) that frame nearly all values and every limit near them."""
    low, middle, high = np.quantile(values, [1 - _FRAMED, 0.5, _FRAMED])
    near = [m for m in marks if m <= max(high, middle) * 3 + 1e-9]
    low, high = min([low, *near]), max([high, *near])
    if low >= 0 and high > _LONG_TAIL * max(middle, 1.0):
        return np.expm1(np.linspace(np.log1p(low), np.log1p(high), BINS + 1)), True
    if high <= low:
        low, high = low - 0.5, high + 0.5
    room = (high - low) * 0.04
    return np.linspace(low if low == 0 else low - room, high + room, BINS + 1), False
