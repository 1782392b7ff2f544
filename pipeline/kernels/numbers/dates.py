"""Dates as they stand in inputs, as instants: ISO 8601, dates of HTTP and mail, seconds or milliseconds since 1970."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

import polars as pl

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
# Year, month, day, hour, minute, second, fraction, then Z or hours and minutes of the offset.
_ISO = (
    r"^([0-9]{4})(?:[-/]([0-9]{2})(?:[-/]([0-9]{2})"
    r"(?:[Tt ]([0-9]{2})(?::?([0-9]{2})(?::?([0-9]{2})(?:[.,]([0-9]+))?)?)?"
    r" ?(?:[Zz]|UTC|GMT|([+-][0-9]{2})(?::?([0-9]{2}))?)?)?)?)?$"
)
_SECONDS, _MILLISECONDS = r"^[0-9]{9,10}(\.[0-9]+)?$", r"^[0-9]{12,13}(\.[0-9]+)?$"  # from 1973 on
# RFC 5322, section 3.3 and RFC 9110, section 5.6.7 with its two obsolete forms.
_NAMED_MONTH = (
    r"^(?:(?:[A-Za-z]{3,9}, *)?[0-9]{1,2}[ -][A-Za-z]{3}[ -][0-9]{2,4} +[0-9]{1,2}:[0-9]{2}(?::[0-9]{2})?(?: .{1,20})?"
    r"|[A-Za-z]{3} [A-Za-z]{3} +[0-9]{1,2} [0-9]{2}:[0-9]{2}:[0-9]{2} [0-9]{4})$"
)


def instants(texts: pl.Series) -> pl.Series:
    """Int64 microseconds since 1970 in UTC per text; null where it is none of the dates below.

    2024-05-01T12:00:00.5+09:00 and shorter forms down to the year, also without hyphens and colons (20240501120000);
    Wed, 01 May 2024 12:00:00 GMT; 1714564800 and 1714564800000. A time without an offset is UTC, a date without a time
    its first instant. 01.05.2024 and 01/05/2024 are no dates: who writes them decides what is the day.
    """
    text = texts.str.strip_chars()
    frame = pl.DataFrame({"text": text}).with_columns(iso=_canonical(), seconds=_since_1970())
    parsed = pl.col("iso").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="us", strict=False).dt.epoch("us")
    found = frame.select("text", at=pl.coalesce(parsed, "seconds"))
    others = found.filter(pl.col("at").is_null() & pl.col("text").str.contains(_NAMED_MONTH))["text"].unique()
    if not others.is_empty():
        found = found.with_columns(pl.coalesce("at", pl.col("text").replace_strict(_named(others), default=None)))
    return found["at"].cast(pl.Int64)


def _canonical() -> pl.Expr:
    """The column `text` as YYYY-MM-DDThh:mm:ss.ffffff+hh:mm; null where it has not the shape of ISO 8601."""
    text = pl.col("text").str.replace("^([0-9]{8})([0-9]{6})$", "${1}T${2}")  # of web archives
    text = text.str.replace("^([0-9]{4})([0-9]{2})([0-9]{2})((?:[Tt ].*)?)$", "${1}-${2}-${3}${4}")
    part = text.str.extract_groups(_ISO).struct.field
    year, defaults = part("1"), ("01", "01", "00", "00", "00", "0", "+00", "00")
    month, day, hour, minute, second, fraction, hours, minutes = (
        part(str(i)).fill_null(default) for i, default in enumerate(defaults, 2)
    )
    date = pl.format("{}-{}-{}T{}:{}:{}", year, month, day, hour, minute, second)
    return pl.format("{}.{}{}:{}", date, fraction.str.slice(0, 6), hours, minutes)


def _since_1970() -> pl.Expr:
    number = pl.col("text").cast(pl.Float64, strict=False)
    return (
        pl.when(pl.col("text").str.contains(_SECONDS))
        .then(number * 1e6)
        .when(pl.col("text").str.contains(_MILLISECONDS))
        .then(number * 1e3)
        .round()
        .cast(pl.Int64, strict=False)
    )


def _named(texts: Iterable[str]) -> dict[str, int | None]:
    """Microseconds since 1970 of dates with the name of a month."""
    found: dict[str, int | None] = {}
    for text in texts:
        try:
            at = parsedate_to_datetime(text)
        except ValueError:
            found[text] = None
            continue
        at = at if at.tzinfo else at.replace(tzinfo=UTC)
        found[text] = (at - _EPOCH) // timedelta(microseconds=1)
    return found
