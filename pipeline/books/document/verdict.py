"""Reads out of a gate's table of rules which value of a document broke a rule: "dup_line_body_frac = 0.012 > 0.01"."""

from collections.abc import Mapping

import polars as pl
from polars.exceptions import PolarsError

from gristmill.pipeline.contract.shapes import Gate
from gristmill.pipeline.plan.steps import Step

SHOWN_CHARS = 160


def show(value: object) -> str:
    """A value of a column in one line."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, float):
        return f"{value:.4g}"
    if isinstance(value, (list, bytes)) and len(value) > 8:
        return f"[{len(value)} values]"
    text = str(value).replace("\n", " ")
    return repr(text[:SHOWN_CHARS] + "...") if len(text) > SHOWN_CHARS else text


def broken_by(step: Step, rule: str, row: pl.DataFrame) -> str:
    """What of a document breaks a rule of a gate, with the setting that holds the limit.

    row: one row with the columns that the gate reads.
    """
    document = row.row(0, named=True)
    condition = step.gate.table_for(document).get(rule)
    clauses = reasons(condition, row) if condition is not None else []
    if not clauses:
        read = [c for columns in step.reads.values() for c in columns if c in row.columns]
        clauses = [f"{c} = {show(document[c])}" for c in read if document[c] is not None] or ["no value"]
    return " and ".join(dict.fromkeys(clauses)) + setting(step.label, step.gate, rule)


def setting(label: str, gate: Gate, rule: str) -> str:
    """The key of the config that holds the rule's limit, with its value where the condition does not show it."""
    field = gate.limits.get(rule)
    if field is None:
        return ""
    value = getattr(gate, field)
    shown = f": {', '.join(map(str, value))}" if isinstance(value, tuple) and value else ""
    return f" ({label}.{field}{shown})"


def reasons(condition: pl.Expr, row: pl.DataFrame) -> list[str]:
    """The comparisons in a condition that is true of the row, each with its values; [] where it cannot be told.

    A condition of several (and, or, any) is taken apart into those of them that are true.
    """
    inner = condition.meta.pop()
    values = [value_of(child, row) for child in inner]
    if true := [child for child, v in zip(inner, values, strict=True) if v is True]:
        return [reason for child in reversed(true) for reason in reasons(child, row)]
    if len(inner) == 2 and all(isinstance(v, (int, float)) and not isinstance(v, bool) for v in values):
        return [compared(inner[1], values[1], inner[0], values[0], row)]  # pyright: ignore[reportArgumentType]
    document = row.row(0, named=True)
    return [f"{name} = {show(document[name])}" for name in dict.fromkeys(condition.meta.root_names())]


def value_of(expression: pl.Expr, row: pl.DataFrame) -> object:
    try:
        return row.select(expression.alias("value")).item()
    except (PolarsError, ValueError):  # a list of the values to compare with, say
        return None


def compared(left: pl.Expr, value: float, right: pl.Expr, limit: float, row: pl.DataFrame) -> str:
    names = dict.fromkeys(left.meta.root_names())
    sign = "<" if value < limit else ">" if value > limit else "="
    digits = 4
    while value != limit and f"{value:.{digits}g}" == f"{limit:.{digits}g}" and digits < 9:
        digits += 1
    on: Mapping[str, object] = row.row(0, named=True)
    given = dict.fromkeys(right.meta.root_names())  # an expression of several branches names a column in each
    where = "".join(f", the limit for {name} {show(on[name])}" for name in given)
    return f"{' '.join(names) or 'value'} = {value:.{digits}g} {sign} {limit:.{digits}g}{where}"
