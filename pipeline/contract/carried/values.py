"""Values of the input's columns that documents carry along: one JSON object, beside the types that they had.

Types are written as JSON, too: "int64", "timestamp[us, tz=UTC]", "decimal128(10, 2)", a list as [type], a struct as
{name: type}; names of types are Arrow's. Values that JSON has no form for stand as integers (times in their unit),
strings (decimals) or base64 (bytes). A map is a list of {key, value}. NaN and infinities are null.
"""

import base64
import json
from collections.abc import Mapping, Sequence
from decimal import Decimal

import orjson
import pyarrow as pa

from gristmill.pipeline.contract.carried.types import EXACT_INTEGER, MOST_DEPTH, TIME, UNITS, Notation, arrow_of


def _written(kind: pa.DataType) -> pa.DataType:
    """The type whose Python values JSON can hold."""
    if pa.types.is_dictionary(kind):
        return _written(kind.value_type)
    if pa.types.is_map(kind):
        return pa.list_(pa.struct([("key", _written(kind.key_type)), ("value", _written(kind.item_type))]))
    if pa.types.is_struct(kind):
        return pa.struct([(field.name, _written(field.type)) for field in kind])
    if any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        return pa.list_(_written(kind.value_type))
    if pa.types.is_date32(kind) or pa.types.is_time32(kind):
        return pa.int32()
    if pa.types.is_temporal(kind):
        return pa.int64()
    return pa.string() if pa.types.is_decimal(kind) else kind


def plain_column(column: pa.Array) -> list[object]:
    """The values of a column as `carried_json` takes them; None where one cannot be read."""
    try:
        return column.cast(_written(column.type)).to_pylist()
    except (pa.ArrowException, ValueError, OverflowError):
        return (
            [None] * len(column)
            if len(column) <= 1
            else [v for i in range(len(column)) for v in plain_column(column[i : i + 1])]
        )


def carried_json(values: Mapping[str, object]) -> str:
    """The JSON object of a document's carried values."""
    try:
        return orjson.dumps(values, _as_text, orjson.OPT_NON_STR_KEYS).decode()
    except orjson.JSONEncodeError:  # integers beyond 64 bits, lone surrogates, what is nested too deep
        return orjson.dumps({name: _sound(value) for name, value in values.items()}).decode()


def _as_text(value: object) -> str:
    return base64.b64encode(value).decode() if isinstance(value, bytes) else str(value)


def _sound(value: object, depth: int = 0) -> object:
    if isinstance(value, bool | float) or value is None:
        return value
    if isinstance(value, int):
        return value if -EXACT_INTEGER <= value < EXACT_INTEGER else str(value)
    if depth < MOST_DEPTH and isinstance(value, list):
        return [_sound(item, depth + 1) for item in value]
    if depth < MOST_DEPTH and isinstance(value, dict):
        return {str(_sound(str(key))): _sound(item, depth + 1) for key, item in value.items()}
    text = _as_text(value) if not isinstance(value, list | dict) else "..."
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def restored(documents: Sequence[str | None], own: Sequence[str | None], types: Mapping[str, Notation]) -> pa.Table:
    """A column per type, from the documents' JSON and the types that their values had there."""
    values = [orjson.loads(document) if document else {} for document in documents]
    had = {text: json.loads(text) for text in {text for text in own if text}}
    columns = {}
    for name, notation in types.items():
        kind = arrow_of(notation)
        seen = [
            (row.get(name), had[text].get(name, "null") if text else "null")
            for row, text in zip(values, own, strict=True)
        ]
        columns[name] = pa.array([_as(value, before, kind) for value, before in seen], kind)
    return pa.table(columns) if columns else pa.table({})


def _as(value: object, before: Notation, kind: pa.DataType) -> object:
    """A value of JSON as pyarrow takes it for `kind`; null where it has no form there."""
    if value is None:
        return None
    if pa.types.is_list(kind) and isinstance(value, list):
        inner = before[0] if isinstance(before, list) else "null"
        return [_as(item, inner, kind.value_type) for item in value]
    if pa.types.is_struct(kind) and isinstance(value, dict):
        inner = before if isinstance(before, dict) else {}
        return {field.name: _as(value.get(field.name), inner.get(field.name, "null"), field.type) for field in kind}
    if pa.types.is_string(kind):
        return _shown(value, before)
    if pa.types.is_binary(kind):
        return base64.b64decode(str(value))
    if pa.types.is_decimal(kind):
        return Decimal(str(value))
    if (
        pa.types.is_timestamp(kind)
        and isinstance(before, str)
        and (was := TIME.fullmatch(before))
        and isinstance(value, int)
    ):
        return value * (UNITS[kind.unit] // UNITS[was[1]])
    return float(value) if pa.types.is_floating(kind) and isinstance(value, int) else value


def _shown(value: object, before: Notation) -> str:
    """A value in a column of text: times and dates as ISO 8601, what is nested as JSON."""
    if isinstance(value, str):
        return value
    if isinstance(before, str) and (TIME.fullmatch(before) or before.startswith("date")):
        return str(pa.scalar(value, arrow_of(before)).cast(pa.string()))
    return orjson.dumps(value).decode() if isinstance(value, list | dict | bool) else str(value)
