"""Types of carried columns, written as JSON, and the least type that holds values of two."""

import json
import re
from collections.abc import Iterable
from functools import reduce
from typing import TypeAlias

import pyarrow as pa

Notation: TypeAlias = "str | list[Notation] | dict[str, Notation]"
UNITS = {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}  # per second, coarse to fine
MOST_FIELDS = 500  # of a struct; one of more (an object with free keys) is its JSON text
MOST_DEPTH = 32
TIME = re.compile(r"timestamp\[(s|ms|us|ns)(?:, tz=(.+))?\]")
_DECIMAL = re.compile(r"decimal(?:32|64|128|256)\((\d+), (-?\d+)\)")
_INTEGERS = {f"{kind}int{bits}": (kind == "u", bits) for kind in ("", "u") for bits in (8, 16, 32, 64)}
_FLOATS = {"halffloat": 16, "float": 32, "double": 64}
_WIDE = {
    "large_string": "string", "string_view": "string", "large_binary": "binary", "binary_view": "binary",
    "date64[ms]": "date64", "date32[day]": "date32",
}  # fmt: skip
EXACT_INTEGER = 2**63


def notation_of(kind: pa.DataType) -> Notation:
    """How the type of an Arrow column is written."""
    if pa.types.is_dictionary(kind):
        return notation_of(kind.value_type)
    if pa.types.is_map(kind):
        return [{"key": notation_of(kind.key_type), "value": notation_of(kind.item_type)}]
    if pa.types.is_struct(kind):
        return {field.name: notation_of(field.type) for field in kind}
    if any(test(kind) for test in (pa.types.is_list, pa.types.is_large_list, pa.types.is_fixed_size_list)):
        return [notation_of(kind.value_type)]
    if pa.types.is_fixed_size_binary(kind):
        return "binary"
    return _WIDE.get(str(kind), str(kind))


def notation_of_value(value: object, depth: int = 0) -> Notation:
    """The type of a JSON value."""
    if value is None:
        return "null"
    if isinstance(value, bool):
        return "bool"
    if isinstance(value, int):
        return "int64" if -EXACT_INTEGER <= value < EXACT_INTEGER else "string"
    if isinstance(value, float):
        return "double"
    if depth < MOST_DEPTH and isinstance(value, list):
        return [reduce(united, (notation_of_value(item, depth + 1) for item in value), "null")]
    if depth < MOST_DEPTH and isinstance(value, dict):
        return {str(key): notation_of_value(item, depth + 1) for key, item in value.items()}
    return "string"


def united(one: Notation, other: Notation) -> Notation:
    """The least type that holds values of both; where they have none in common their text. In any order."""
    if one == other and (not isinstance(one, dict) or list(one) == list(other)):
        return one
    if one == "null" or other == "null":
        return other if one == "null" else one
    if isinstance(one, list) and isinstance(other, list):
        return [united(one[0], other[0])]
    if isinstance(one, dict) and isinstance(other, dict):
        names = sorted({*one, *other})
        return {name: united(one.get(name, "null"), other.get(name, "null")) for name in names}
    if isinstance(one, str) and isinstance(other, str):
        return _united_plain(one, other)
    return "string"


def _united_plain(one: str, other: str) -> str:
    if one in _INTEGERS and other in _INTEGERS:
        (a, first), (b, second) = _INTEGERS[one], _INTEGERS[other]
        if a == b:
            return one if first >= second else other
        signed = max(second if a else first, 2 * (first if a else second))  # room for the unsigned one
        return f"int{signed}" if signed <= 64 else "string"
    if {one, other} <= {*_INTEGERS, *_FLOATS}:
        return "double" if one in _INTEGERS or other in _INTEGERS else max(one, other, key=lambda n: _FLOATS[n])
    times = TIME.fullmatch(one), TIME.fullmatch(other)
    if times[0] and times[1] and (times[0][2] is None) == (times[1][2] is None):
        unit = max(times[0][1], times[1][1], key=lambda u: UNITS[u])
        zone = times[0][2] if times[0][2] == times[1][2] else "UTC"
        return f"timestamp[{unit}, tz={zone}]" if zone else f"timestamp[{unit}]"
    decimals = _DECIMAL.fullmatch(one), _DECIMAL.fullmatch(other)
    if decimals[0] and decimals[1]:
        scale = max(int(decimals[0][2]), int(decimals[1][2]))
        whole = max(int(d[1]) - int(d[2]) for d in decimals if d)
        return (
            f"decimal{128 if whole + scale <= 38 else 256}({whole + scale}, {scale})"
            if whole + scale <= 76
            else "string"
        )
    return "string"


def arrow_of(notation: Notation) -> pa.DataType:
    """The Arrow type of a notation; null, and a struct of too many fields, are strings."""
    if isinstance(notation, list):
        return pa.list_(arrow_of(notation[0]))
    if isinstance(notation, dict):
        if not 0 < len(notation) <= MOST_FIELDS:
            return pa.string()
        return pa.struct([(name, arrow_of(inner)) for name, inner in notation.items()])
    if time := TIME.fullmatch(notation):
        return pa.timestamp(time[1], time[2])
    if decimal := _DECIMAL.fullmatch(notation):
        made = pa.decimal128 if int(decimal[1]) <= 38 else pa.decimal256
        return made(int(decimal[1]), int(decimal[2]))
    return pa.string() if notation == "null" else pa.type_for_alias(notation)


def common_types(types: Iterable[str]) -> dict[str, Notation]:
    """Column -> the type that holds its values in all documents; `types` are theirs, each as JSON, in any order."""
    found: dict[str, Notation] = {}
    for one in sorted(set(types)):
        for name, notation in json.loads(one).items():
            found[name] = united(found.get(name, "null"), notation)
    return dict(sorted(found.items()))
