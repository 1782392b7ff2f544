"""Which row of the metrics belongs to which row of the ratios."""

from collections.abc import Sequence

import numpy as np

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.stages.mixture.runs.csv_sheet import Sheet

ROW_NUMBERS = ("", "unnamed: 0")  # what pandas calls an index that was written along
NAMES = ("run_id", "run", "index", "config_name", "name")  # olmix: run, name, index
RUN_COLUMNS = (*NAMES, *ROW_NUMBERS)
SEED, STEP = ("seed",), ("step", "checkpoint", "n_tokens", "tokens")


def rows_of_one(sheet: Sheet, buckets: Sequence[str]) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """As `joined`, of a table that holds both. Without a column that names runs, a run is a mixture and a seed."""
    column, at = sheet.named(*NAMES), np.arange(len(sheet))
    if column is not None:
        return tidy(sheet.labels[column]), at, at, []
    seed = sheet.named(*SEED)
    first: dict[tuple[str, ...], str] = {}
    parts = [*buckets, seed] if seed else buckets
    same = zip(*(sheet.labels[p] for p in parts), strict=True)
    return [first.setdefault(key, str(sheet.lines[i])) for i, key in enumerate(same)], at, at, []


def joined(left: Sheet, right: Sheet) -> tuple[list[str], np.ndarray, np.ndarray, list[str]]:
    """(run ids, rows of the ratios, rows of the metrics, notes). A run of several seeds or steps may stand once in the
    ratios and several times in the metrics. Raises InputError where no column names runs in both tables."""
    a, b = run_columns(left, right)
    ids, others = tidy(left.labels[a]), tidy(right.labels[b])
    apart = [(left.named(*n), right.named(*n)) for n in (STEP, SEED)]
    left_keys = keyed(left, a, ids, [c for c, d in apart if c and d])
    at = {k: i for i, k in enumerate(left_keys)}
    keyed(right, b, others, [d for _, d in apart if d])
    found: dict[int, list[int]] = {}
    lost = []
    for j, key in enumerate(zip(others, *(right.labels[d] for c, d in apart if c and d), strict=True)):
        if key in at:
            found.setdefault(at[key], []).append(j)
        else:
            lost.append(j)
    missing = [i for i in range(len(left)) if i not in found]
    if missing:
        raise DataError(
            f"{right.path} has no row for {len(missing)} runs of {left.path}, first {ids[missing[0]]} "
            f"({left.place(missing[0])}); add their metrics, or take them out of the ratios"
        )
    pairs = np.array([(i, j) for i in range(len(left)) for j in found[i]])
    notes = []
    if lost:
        notes = [f"{len(lost)} rows of {right.path} have no weights and are left out, first run {others[lost[0]]}"]
    return [ids[i] for i in pairs[:, 0]], pairs[:, 0], pairs[:, 1], notes


def run_columns(left: Sheet, right: Sheet) -> tuple[str, str]:
    """The column that names runs in both tables: of those usual for it, else of those that hold words, the one that
    most runs share; row numbers only where nothing else does. Raises InputError where two columns pair rows
    differently: one of them is wrong, and nothing here says which."""
    words = [c.casefold() for c in left.columns if c not in left.numbers and c.casefold() not in RUN_COLUMNS]
    pairings = {name: paired(left, right, name) for name in (*NAMES, *words, *ROW_NUMBERS)}
    pairings = {name: at for name, at in pairings.items() if any(at)}
    if not pairings:
        raise InputError(
            f"{left.path} and {right.path} share none of the run columns {', '.join(c for c in RUN_COLUMNS if c)} with "
            "a run in it, and no other column of words; give both a column `run` that names each run"
        )
    named = [n for n in pairings if n not in ROW_NUMBERS] or list(pairings)
    usual = [n for n in named if n in RUN_COLUMNS] or named
    chosen = max(usual, key=lambda n: len(set(pairings[n]) - {frozenset()}))  # the first of equals
    # A word that several rows of the ratios share (a model, a status) names no run.
    for other in (n for n in named if n in NAMES or max(map(len, pairings[n])) == 1):
        for j, (mine, theirs) in enumerate(zip(pairings[chosen], pairings[other], strict=True)):
            if mine and theirs and mine.isdisjoint(theirs):
                raise InputError(
                    f"{left.path} and {right.path} name runs twice, and differently: the row at {right.place(j)} "
                    f"belongs to {left.place(min(mine))} by column {chosen!r} and to {left.place(min(theirs))} by "
                    f"column {other!r}; take the wrong one out of both tables (a row number is wrong after sorting)"
                )
    a, b = left.named(chosen), right.named(chosen)
    assert a is not None
    assert b is not None
    return a, b


def paired(left: Sheet, right: Sheet, name: str) -> list[frozenset[int]]:
    """For every row of `right`, the rows of `left` with the same label in this column; empty without such a column."""
    a, b = left.named(name), right.named(name)
    if a is None or b is None:
        return [frozenset()] * len(right)
    at: dict[str, set[int]] = {}
    for i, label in enumerate(tidy(left.labels[a])):
        if label:
            at.setdefault(label, set()).add(i)
    return [frozenset(at.get(label, ())) for label in tidy(right.labels[b])]


def keyed(sheet: Sheet, column: str, ids: list[str], more: Sequence[str]) -> list[tuple[str, ...]]:
    found = list(zip(ids, *(sheet.labels[c] for c in more), strict=True))
    at: dict[tuple[str, ...], int] = {}
    for i, key in enumerate(found):
        if at.setdefault(key, i) != i:
            raise DataError(
                f"{sheet.place(i)}: run {ids[i]} stands in column {column!r} more than once (line "
                f"{sheet.lines[at[key]]}); tell repeats apart by a column seed, and checkpoints by a column step"
            )
    return found


def tidy(names: Sequence[str]) -> list[str]:
    """1.0 and 1 name the same run: a gap in one table makes its whole numbers floats."""
    return [n[:-2] if n.endswith(".0") and n[:-2].isdecimal() else n for n in names]
