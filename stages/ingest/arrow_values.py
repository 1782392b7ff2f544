"""Arrow columns as lists of Python values in which one that has no Python form costs itself, never its neighbours.

A string that is no UTF-8 comes as its bytes; dates and times become ISO 8601 text, without a time zone database, and
null outside the years 1 to 9999.
"""

from collections.abc import Callable

import numpy as np
import pyarrow as pa

# What `as_py` raises: decoders, datetime, missing pandas, unknown zones (KeyError), Arrow itself.
_NO_FORM = (ValueError, OverflowError, ImportError, KeyError, TypeError, pa.ArrowException)
_FIRST, _LAST = np.datetime64("0001-01-01", "s"), np.datetime64("9999-12-31T23:59:59", "s")


def values_of(column: pa.Array) -> list[object]:
    """One value per row; None for null and for what cannot be read."""
    kind = column.type
    if isinstance(column, pa.DictionaryArray):
        column, kind = column.dictionary_decode(), kind.value_type
    if pa.types.is_timestamp(kind) or pa.types.is_date(kind):
        return _iso_dates(column)
    try:
        return column.to_pylist()
    except _NO_FORM:
        return [_value_of(scalar) for scalar in column]


def _value_of(scalar: pa.Scalar) -> object:
    kind = scalar.type
    if pa.types.is_string(kind) or pa.types.is_large_string(kind) or kind == pa.string_view():
        buffer = scalar.as_buffer()
        return None if buffer is None else _text_or_bytes(buffer.to_pybytes())
    if isinstance(scalar, pa.ListScalar):
        return None if scalar.values is None else values_of(scalar.values)
    try:
        return scalar.as_py()
    except _NO_FORM:
        return None


def _text_or_bytes(value: bytes) -> str | bytes:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value


def _iso_dates(column: pa.Array) -> list[object]:
    """Timestamps with a zone are instants: they end in Z."""
    kind = column.type
    if pa.types.is_date32(kind):
        unit, numbers = "D", column.cast(pa.int32()).cast(pa.int64())
    elif pa.types.is_date64(kind):
        unit, numbers = "ms", column.cast(pa.int64())
    else:
        unit, numbers = kind.unit, column.cast(pa.int64())
    known = ~np.asarray(numbers.is_null().to_numpy(zero_copy_only=False), dtype=bool)
    whole = numbers.fill_null(0).to_numpy(zero_copy_only=False)
    seconds = _seconds(whole, unit)
    known &= (seconds >= _FIRST.astype(np.int64)) & (seconds <= _LAST.astype(np.int64))
    texts = np.datetime_as_string(np.where(known, whole, 0).astype(f"datetime64[{unit}]")).tolist()
    end = "Z" if pa.types.is_timestamp(kind) and kind.tz else ""
    shape: Callable[[str], str] = (lambda t: t[:10]) if pa.types.is_date(kind) else (lambda t: _short(t) + end)
    return [shape(text) if is_known else None for text, is_known in zip(texts, known.tolist(), strict=True)]


def _seconds(numbers: np.ndarray, unit: str) -> np.ndarray:
    """Whole seconds since 1970 of counts of `unit`; days beyond the range of int64 seconds do not exist in date32."""
    if unit == "D":
        return numbers * 86_400
    return numbers // {"s": 1, "ms": 10**3, "us": 10**6, "ns": 10**9}[unit]


def _short(text: str) -> str:
    """Without a fraction of a second that is zero."""
    return text.rstrip("0").rstrip(".") if "." in text else text
