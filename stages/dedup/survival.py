"""Which copy of a text stays: the order in which the documents of a group are asked.

A held-out document comes first where the group has one, so that no copy of a held-out text stays in the corpus. Then
columns decide, in the order of `keep`; documents that are equal in all of them are told apart by their draw, which
prefers no crawl, file or worker. Exact and near-duplicates share the draw.
"""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.contract.columns import COLUMNS
from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import PolarsType, Reads
from gristmill.pipeline.kernels.numbers.dates import instants
from gristmill.pipeline.kernels.numbers.minhash import to_binary

SALT = "dedup"
LAST = np.uint64(0xFFFFFFFFFFFFFFFF)
DATE = "ISO 8601"  # unit of the columns of text that hold dates


@dataclass(frozen=True)
class Preference:
    """A column by which one copy is preferred to another; a document without a value comes last."""

    column: str  # dataset.column of an earlier step: license.license_tier, ingest.text_bytes
    # values; of dates, small is the earliest: ISO 8601 (UTC where no offset stands), those of HTTP and mail, seconds or
    # milliseconds since 1970; 01.05.2024 and other text that does not say which is the day is no value
    prefer: Literal["small", "large"] = "small"
    order: tuple[str, ...] = ()  # of a column of words: the best first; a word that is not here comes after them

    def __post_init__(self) -> None:
        if not all(self.column.rpartition(".")[::2]):
            raise ConfigError(f"keep: {self.column!r} is no dataset.column, e.g. ingest.text_bytes")
        if self.order and self.prefer == "large":
            raise ConfigError(f"keep: {self.column} has an order of words; leave out prefer")


# The licence that allows most, then the longer text, then the earlier capture.
KEEP = (
    Preference(
        "license.license_tier",
        order=("permissive", "site", "government", "copyleft", "contested", "unknown", "restricted", "reserved"),
    ),
    Preference("ingest.text_bytes", "large"),
    Preference("ingest.date"),
)


def check_kinds(keep: Sequence[Preference], key: str) -> None:
    """Raises ConfigError with the key of a preference by a column whose declared type has no order that is meant."""
    for i, preference in enumerate(keep):
        declared = COLUMNS.get(preference.column.rpartition(".")[2])
        if declared is None:  # the plan names a column that there is not
            continue
        if pa.types.is_nested(declared.type):
            raise ConfigError(f"{key}.{i}.column: {preference.column} is no column of numbers, words or dates")
        if pa.types.is_string(declared.type) and declared.unit != DATE and not preference.order:
            raise ConfigError(
                f"{key}.{i}.column: {preference.column} is text and no date; say which words are preferred, "
                "order: [the best first, ...], or name a column of numbers or dates"
            )


def read_for(keep: Sequence[Preference], reads: Reads) -> Reads:
    """`reads` with the columns of the preferences."""
    found = {dataset: list(columns) for dataset, columns in reads.items()}
    for preference in keep:
        dataset, _, column = preference.column.rpartition(".")
        if column not in found.setdefault(dataset, []):
            found[dataset].append(column)
    return {dataset: tuple(columns) for dataset, columns in found.items()}


def names(keep: Sequence[Preference]) -> tuple[str, ...]:
    """Columns that order a group by, all of `asked`."""
    return ("behind", *(f"by_{i}" for i in range(len(keep))), "rank")


def types(keep: Sequence[Preference]) -> dict[str, PolarsType]:
    return {name: pl.Boolean if name == "behind" else pl.UInt64 for name in names(keep)}


def asked(batch: pl.DataFrame, keep: Sequence[Preference]) -> pl.DataFrame:
    """`names` per row of `batch` (doc_id, is_held_out and the preferences' columns): the smaller stays. Equal ones are
    told apart by doc_id."""
    by = {f"by_{i}": _numbers(batch[p.column.rpartition(".")[2]], p) for i, p in enumerate(keep)}
    return pl.DataFrame({"behind": ~batch["is_held_out"], **by}).with_columns(ranks(batch))


def joined(column: str) -> pl.Expr:
    """The different values of a column of texts (each a line or several) as sorted lines; null where there is none."""
    values = pl.col(column).drop_nulls().str.split("\n").list.explode().unique().sort()
    lines = values.str.join("\n")
    return pl.when(pl.col(column).count() > 0).then(lines)


def lines_of(texts: pl.Series) -> list[str]:
    """The different lines of a column of texts, as `joined` puts them together."""
    return texts.drop_nulls().str.split("\n").list.explode().unique().to_list()


def text_of(lines: Collection[str]) -> str | None:
    """The lines as `joined` puts them together; None where there are none."""
    return "\n".join(sorted(lines)) or None


def bytes_of(asked_: pl.DataFrame) -> pl.Series:
    """Binary per row of `asked`: equal orders are equal bytes, and bytes sort as the columns do."""
    behind = asked_["behind"].to_numpy().astype(np.uint8)[:, None]
    numbers = np.stack([asked_[name].to_numpy() for name in asked_.columns[1:]], axis=1).astype(">u8")
    whole = np.concatenate(
        [behind, np.ascontiguousarray(numbers).view(np.uint8).reshape(len(behind), 8 * numbers.shape[1])], axis=1
    )
    return to_binary(whole, np.ones(len(behind), bool))


def unpacked(column: str, keep: Sequence[Preference]) -> list[pl.Expr]:
    """`names` out of `bytes_of`; where a run of another policy wrote them, by the draw alone."""
    whole = pl.col(column).bin
    same = whole.size() == 1 + 8 * (len(keep) + 1)

    def number(offset: int) -> pl.Expr:
        return whole.slice(offset, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")

    by = [
        pl.when(same).then(number(1 + 8 * i)).otherwise(pl.lit(0, pl.UInt64)).alias(f"by_{i}") for i in range(len(keep))
    ]
    rank = whole.slice(-8, 8).bin.reinterpret(dtype=pl.UInt64, endianness="big")
    return [(whole.slice(0, 1) == pl.lit(b"\x01")).alias("behind"), *by, rank.alias("rank")]


def ranks(batch: pl.DataFrame) -> pl.Series:
    """UInt64 per row of `batch` (doc_id, is_held_out): held-out documents first, then by draw."""
    draws = key64(batch["doc_id"], SALT) >> np.uint64(1)
    behind = (~batch["is_held_out"].to_numpy()).astype(np.uint64) << np.uint64(63)
    return pl.Series("rank", draws | behind, dtype=pl.UInt64)


def _numbers(values: pl.Series, preference: Preference) -> pl.Series:
    """UInt64 in the order of preference; the last for null. Raises ConfigError for a column of another kind."""
    if preference.order:
        place = {word: i for i, word in enumerate(preference.order)}
        known = values.cast(pl.String).replace_strict(place, default=len(place), return_dtype=pl.UInt64)
        return pl.select(pl.when(values.is_not_null()).then(known).otherwise(pl.lit(LAST, pl.UInt64))).to_series()
    if values.dtype == pl.String:
        values = instants(values)
    elif values.dtype in (pl.Date, pl.Datetime):
        values = values.dt.epoch("us")
    elif not (values.dtype.is_numeric() or values.dtype in (pl.Boolean, pl.Null)):
        raise ConfigError(f"keep: {preference.column} is no column of numbers, words or dates")
    plain = values.cast(pl.Float64).fill_nan(None)
    bits = (plain.fill_null(0.0).to_numpy() + 0.0).view(np.uint64)
    ordered = np.where(bits >> np.uint64(63) == 1, ~bits, bits | np.uint64(1 << 63))
    ordered = ~ordered if preference.prefer == "large" else ordered
    return pl.Series(np.where(plain.is_null().to_numpy(), LAST, ordered), dtype=pl.UInt64)
