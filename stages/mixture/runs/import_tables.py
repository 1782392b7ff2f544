"""Finished runs as a proxy: RegMix's CSVs, olmix's ratios.csv + metrics.csv, or any tables joined by run."""

import re
from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.stages.mixture.runs.csv_sheet import Sheet, read_sheet
from gristmill.stages.mixture.runs.direction import kind_of_name
from gristmill.stages.mixture.runs.diverged import beyond, diverged
from gristmill.stages.mixture.runs.match_rows import RUN_COLUMNS, SEED, STEP, joined, rows_of_one
from gristmill.stages.mixture.runs.runs import SUM_TOLERANCE, Fidelity, Runs, last_checkpoints, unrounded
from gristmill.stages.mixture.search.trials import keys

SIZE = ("model_size",)
# Numbers about a run that are neither a share nor a measurement: what W&B, MLflow, TensorBoard, Comet and Hugging
# Face's trainer write beside the metrics. Compared in lower case, blanks as _; also as the last part of a path.
ABOUT = frozenset((*RUN_COLUMNS, *SEED, *STEP, *SIZE)) | frozenset(
    [
        "train_time", "timestamp", "cost", "weight_decay", "runtime", "epoch", "lr", "learning_rate",
        "global_step", "grad_norm", "train_runtime", "total_flos", "train_samples_per_second",
        "train_steps_per_second", "eval_runtime", "eval_samples_per_second", "eval_steps_per_second",
        "throughput", "tokens_per_second", "samples_per_second", "steps_per_second", "tokens_seen",
        "num_tokens", "total_tokens", "num_params", "n_params", "params", "parameters", "batch_size",
        "wall_time", "walltime", "duration", "elapsed", "start_time", "end_time", "created", "created_at",
        "updated_at", "curr_step", "curr_epoch", "gpu_hours", "iteration", "iter", "line", "version", "count",
    ]
)  # fmt: skip
# Of what a run has read so far (samples_seen, num_input_tokens_seen; Megatron's consumed_samples)
SEEN = re.compile(
    r"(?:.*[/_])?(?:samples|sequences|examples|tokens|batches|steps|epochs|bytes)_(?:seen|consumed|processed)"
    r"|(?:.*/)?consumed_\w+"
)
TRACKED = ("_", "sys/", "system/", "perf/", "throughput/", "timing/", "memory/", "gpu", "optim/", "params.", "lr-")
CLOCK = 1e8  # every run above it: seconds since 1970, bytes, counters; no loss, accuracy or perplexity is
BUCKET_PREFIXES = ("train_", "ratio_", "ratio/", "weight_", "weight/")  # RegMix and CLIMB, ADMIRE, Data Mixing Laws
TARGET_PREFIXES = ("metric/", "metric_", "loss/")
GAPS = 0.1  # a target that more than this share of the runs lack is left out; of the others, the runs that lack one
COUNTS = 1000.0  # whole numbers that sum to this at least are tokens


def read_tables(
    ratios: Path,
    metrics: Path,
    fidelity: Fidelity | None = None,
    targets: Sequence[str] | None = None,
    buckets_digest: str = "",
) -> Runs:
    """Joins two CSVs on their run column; one that holds both, row by row. Run ids get the ratios file's name in front:
    two tables that both count from 1 do not hold the same runs. What was left out or read otherwise than it stands is
    told in `notes`. Raises InputError or DataError naming the file, the line and the column."""
    left, right = read_sheet(ratios), read_sheet(metrics)
    buckets = columns(left, BUCKET_PREFIXES)
    one = ratios.resolve() == metrics.resolve()
    if one and not buckets[0].startswith(BUCKET_PREFIXES):
        raise InputError(
            f"{ratios} is given for both tables and marks no weights; name their columns with one of "
            f"{', '.join(BUCKET_PREFIXES)} in front, or give two tables"
        )
    taken = columns(right, TARGET_PREFIXES, without=set(buckets) if one else weights_again(right, buckets))
    measured = taken if targets is None else list(targets)
    absent = sorted(set(measured) - set(right.numbers))
    if absent:
        raise DataError(f"{metrics} has no column {', '.join(absent)} of numbers")
    ids, i, j, notes = rows_of_one(left, buckets) if one else joined(left, right)
    if len(buckets) < 2:
        raise DataError(f"{ratios} has one column of weights, {buckets[0]!r}: there is nothing to weigh")
    names = stripped(measured, TARGET_PREFIXES)
    asked = np.stack([left.numbers[b] for b in buckets], axis=1)[i]
    weights, said = shares(asked, buckets, [f"{left.place(a)}, run {n!r}" for a, n in zip(i, ids, strict=True)])
    losses = np.stack([right.numbers[t] for t in measured], axis=1)[j]
    told = [f"run {n!r} ({right.place(b)})" for n, b in zip(ids, j, strict=True)]
    rows, used, gaps = complete(weights, losses, names, told)
    runs = table_runs(
        weights[rows],
        losses[np.ix_(rows, used)],
        stripped(buckets, BUCKET_PREFIXES),
        tuple(names[t] for t in used),
        tuple(f"{ratios.stem}:{ids[r]}" for r in rows),
        Fidelity() if fidelity is None else fidelity,
        buckets_digest,
    )
    i, j = i[rows], j[rows]
    sizes = about(SIZE, (right, j), (left, i))
    if fidelity is None and sizes is not None:
        runs = replace(runs, fidelity=tuple(Fidelity("table", s) for s in sizes.tolist()))
    for name, names_ in (("seed", SEED), ("step", STEP)):
        values = about(names_, (right, j), (left, i))
        if values is not None:
            runs = replace(runs, **{name: values.astype(np.int64)})
    idle = [b for b, w in zip(runs.buckets, runs.weights.T, strict=True) if not w.any()]
    if idle:
        gaps.append(f"no run has any of {', '.join(idle)}: nothing is known of what they are worth")
    return last_checkpoints(replace(runs, notes=(*notes, *said, *gaps)))


def own(column: str) -> bool:
    """Whether a tracker wrote the column about the run: no share, no measurement."""
    name = column.casefold().replace(" ", "_")
    return (
        SEEN.fullmatch(name.replace("-", "_")) is not None
        or name.startswith(TRACKED)
        or bool(ABOUT & {name, column.casefold()})
        or ("/" in name and name.rpartition("/")[2] in ABOUT)
    )


def clock(values: np.ndarray) -> bool:
    finite = values[np.isfinite(values)]
    return len(finite) > 0 and bool((finite > CLOCK).all())


def marked(sheet: Sheet, prefixes: Sequence[str]) -> set[str]:
    """Columns of numbers with the first prefix that two at least have, and that sum to one number in every row where
    some do: `train_web` is a share, `train_loss_web` is none."""
    sets = [{c for c in sheet.numbers if c.startswith(p) and not own(c)} for p in prefixes]
    sets = [s for s in sets if len(s) > 1]
    if prefixes is BUCKET_PREFIXES:
        plain = [{c for c in s if kind_of_name(c) is None} for s in sets]
        sets = [s for s in plain if len(s) > 1 and level(sheet, s)] or sets
    return sets[0] if sets else set()


def level(sheet: Sheet, columns: Collection[str]) -> bool:
    """Whether the columns sum to the same in all rows, as shares, percentages and tokens of equal runs do."""
    total = np.nansum([sheet.numbers[c] for c in columns], axis=0)
    return near(total, float(np.median(total))) if np.median(total) > 0 else False


def weights_again(sheet: Sheet, buckets: Sequence[str]) -> set[str]:
    """Columns of the metrics that repeat the weights: marked as such, named like the buckets, and summing alike."""
    names = set(stripped(buckets, BUCKET_PREFIXES)) | set(buckets)
    found = {
        c
        for c in marked(sheet, BUCKET_PREFIXES)
        if c in names or any(c.removeprefix(p) in names for p in BUCKET_PREFIXES)
    }
    return found if found and level(sheet, found) else set()


def columns(sheet: Sheet, prefixes: Sequence[str], without: Collection[str] = ()) -> list[str]:
    """Those that are marked with one of the prefixes, else all columns of numbers that are not about the run itself.
    Raises DataError where there is none."""
    free = [c for c in sheet.numbers if not own(c) and c not in without]
    if prefixes is TARGET_PREFIXES:
        free = [c for c in free if not clock(sheet.numbers[c])]
    chosen = [c for c in free if c in marked(sheet, prefixes)] or free
    if not chosen:
        raise DataError(f"{sheet.path} has no column of numbers that could be weights or losses")
    return chosen


def about(names: Sequence[str], *tables: tuple[Sheet, np.ndarray]) -> np.ndarray | None:
    """The first table's column of that name, at these rows; sizes may be written as 70M or 1B."""
    for sheet, rows in tables:
        column = sheet.named(*names)
        if column is not None:
            return np.nan_to_num(sheet.sizes(column)[rows])
    return None


def stripped(names: Sequence[str], prefixes: Sequence[str]) -> tuple[str, ...]:
    """Without the first prefix that all have."""
    prefix = next((p for p in prefixes if all(n.startswith(p) for n in names)), "")
    return tuple(n.removeprefix(prefix) for n in names)


def complete(
    weights: np.ndarray, losses: np.ndarray, targets: Sequence[str], places: Sequence[str]
) -> tuple[np.ndarray, np.ndarray, list[str]]:
    """(rows, columns, notes): without the targets that many runs lack, the runs that lack another, and the runs that
    diverged. Raises DataError if nothing is left."""
    notes, gap = [], np.isnan(losses)
    for t in np.flatnonzero(gap.mean(axis=0) > GAPS).tolist():
        notes.append(f"target {targets[t]} is left out: {int(gap[:, t].sum())} of {len(losses)} runs lack it")
    used = np.flatnonzero(gap.mean(axis=0) <= GAPS)
    rows = np.arange(len(losses))
    for what, bad in (
        ("lack a loss", lambda w, y: np.isnan(y)),
        ("have a loss that is not finite", lambda w, y: np.isinf(y)),
        (
            "diverged (of perplexities that are truly so far apart, give the logarithms)",
            lambda w, y: diverged(w, y)[:, None] * (1.0 + beyond(y)),
        ),
    ):
        if not len(rows) or not len(used):
            break
        wrong = bad(weights[rows], losses[np.ix_(rows, used)])
        at = np.flatnonzero(wrong.any(axis=1))
        if len(at):
            t = int(used[np.argmax(wrong[at[0]])])
            notes.append(
                f"{len(at)} of {len(losses)} runs {what} and are left out, first {places[int(rows[at[0]])]}: "
                f"{targets[t]} is {losses[rows[at[0]], t]:g}"
            )
            rows = np.delete(rows, at)
    if not len(rows) or not len(used):
        raise DataError(f"no run has a loss for every target: {'; '.join(notes)}")
    same = np.ptp(losses[np.ix_(rows, used)], axis=0) == 0
    for t in used[same].tolist() if len(rows) > 1 else []:
        notes.append(f"target {targets[t]} is the same in all runs: it says nothing about weights")
    return rows, used if same.all() or len(rows) == 1 else used[~same], notes


def shares(weights: np.ndarray, buckets: Sequence[str], places: Sequence[str]) -> tuple[np.ndarray, list[str]]:
    """(n, k) rows that sum to 1, and what was said otherwise: percentages, and tokens where all rows hold as many.

    Raises DataError for rows that are no shares: a bucket's column missing, or the metrics in the place of the ratios.
    """
    notes, empty = [], np.isnan(weights)
    w = np.where(empty, 0.0, weights)
    total = w.sum(axis=1)
    whole = bool((w == np.round(w)).all()) and len(w) > 0
    unit = 1.0
    if len(w) and near(total, 100.0):
        unit, what = 100.0, "percentages"
    elif whole and total.min() >= COUNTS and near(total, float(np.median(total))):
        unit, what = float(np.median(total)), "numbers of tokens"
    if unit != 1.0:
        notes.append(f"weights are read as {what}: rows sum to {unit:g}, and are divided by their sum")
    w = unrounded(w, unit)
    good = (np.abs(total / unit - 1) <= SUM_TOLERANCE) & (w >= 0).all(axis=1)
    if not good.all():
        i = int(np.argmin(good))
        low = int(np.argmin(w[i]))
        which = f"{buckets[low]!r} is {w[i, low]:g}" if w[i, low] < 0 else f"they sum to {total[i]:.4g}"
        shown = ", ".join(buckets[:4]) + (", ..." if len(buckets) > 4 else "")
        raise DataError(
            f"{places[i]}: the {len(buckets)} columns taken for weights ({shown}) must be >= 0 and sum to 1, {which} "
            f"({len(w) - int(good.sum())} of {len(w)} runs): are ratios and metrics swapped, is a bucket's column "
            "missing, or are some of these percentages?"
        )
    if empty.any():
        notes.append(f"{int(empty.sum())} empty weights are read as 0: the other weights of their rows sum to 1")
    return w / total[:, None], notes


def near(total: np.ndarray, unit: float) -> bool:
    return bool((np.abs(total / unit - 1) <= SUM_TOLERANCE).all())


def table_runs(
    weights: np.ndarray,
    losses: np.ndarray,
    buckets: tuple[str, ...],
    targets: tuple[str, ...],
    run_id: tuple[str, ...],
    fidelity: Fidelity,
    buckets_digest: str = "",
) -> Runs:
    """Runs from bare arrays, one per row, each weights row normalised (published tables are rounded).

    Raises DataError for rows that are no shares.
    """
    n = len(weights)
    weights, notes = shares(np.asarray(weights, dtype=float), buckets, [f"run {r!r}" for r in run_id])
    return Runs(
        buckets=buckets,
        targets=targets,
        buckets_digest=buckets_digest,
        weights=weights,
        losses=losses,
        realised=weights,
        run_id=run_id,
        fidelity=(fidelity,) * n,
        tokens=np.full(n, int(fidelity.tokens), dtype=np.int64),
        seed=np.zeros(n, dtype=np.int64),
        step=np.full(n, -1, dtype=np.int64),
        cost=np.ones(n),
        notes=tuple(notes),
    )


@dataclass(frozen=True, eq=False)
class TableProxy:
    """Answers for the mixtures of finished runs and for no other: to replay a search and compare methods."""

    runs: Runs
    kind: str = "table"

    @property
    def buckets(self) -> tuple[str, ...]:
        return self.runs.buckets

    @property
    def targets(self) -> tuple[str, ...]:
        return self.runs.targets

    @property
    def mixtures(self) -> np.ndarray:
        return self.runs.weights

    @property
    def fidelity(self) -> Fidelity:
        return self.runs.fidelity[0]

    @property
    def cost(self) -> float:
        return float(self.runs.cost[0])

    def realised(self, weights: np.ndarray) -> np.ndarray:
        return weights

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """Raises DataError for a mixture that the table does not hold."""
        at = {k: i for i, k in enumerate(keys(self.runs.weights))}
        rows = []
        for k, w in zip(keys(weights), weights, strict=True):
            if k not in at:
                raise DataError(f"the table of {len(self.runs)} runs holds no mixture {np.round(w, 4).tolist()}")
            rows.append(at[k])
        return self.runs.losses[rows]
