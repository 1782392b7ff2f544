"""Documents of one address: normalised URLs (RFC 3986, sec. 6.2), and one capture of each stays.

Off unless `dedup.url.enabled` is set: a page that changes has one address and different texts.
"""

from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qsl, urlencode, urlsplit

import polars as pl

from gristmill.pipeline.contract.draws import key128
from gristmill.pipeline.contract.shapes import Grouping, PolarsType, Reads
from gristmill.stages.dedup.repeats import RepeatGate
from gristmill.stages.dedup.survival import KEEP, Preference, asked, check_kinds, joined, names, read_for, types

# Parameters that say where a reader came from, not what the page is: Google Analytics (utm_*), ad networks' click ids,
# mail campaigns and session ids; not `sid`, which is an article's number on many sites.
TRACKING = frozenset({
    "gclid", "gclsrc", "dclid", "gbraid", "wbraid", "fbclid", "msclkid", "twclid", "yclid", "igshid", "mc_cid",
    "mc_eid", "_ga", "_gl", "ref_src", "phpsessid", "jsessionid", "sessionid",
})  # fmt: skip
PORTS = {"http": 80, "https": 443}


def normalised(url: str) -> str:
    """Host in lower case without www. and the scheme's own port, path without its last slash, the query's parameters
    in order without those that only track, no scheme and no fragment. A URL that is none stays as it is."""
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), (parts.hostname or "").rstrip("."), parts.port
    except ValueError:
        return url
    if scheme not in PORTS or not host:
        return url
    given = parse_qsl(parts.query, keep_blank_values=True)
    query = sorted((k, v) for k, v in given if k.lower() not in TRACKING and not k.lower().startswith("utm_"))
    place = host.removeprefix("www.") + (f":{port}" if port not in (None, PORTS[scheme]) else "")
    return f"{place}{parts.path.rstrip('/')}{'?' if query else ''}{urlencode(query)}"


@dataclass(frozen=True)
class UrlDuplicates(Grouping):
    """Which document each other capture of an address repeats; whether their texts are the same is said, too."""

    enabled: bool = False  # of the captures of one normalised URL, one stays, whatever their texts
    # Which capture stays: a held-out one, then by these columns in turn, then the smallest draw (see dedup.exact).
    keep: tuple[Preference, ...] = KEEP
    name: ClassVar = "dedup.url"
    version: ClassVar = 3
    writes: ClassVar = ("url_duplicate_of", "url_similarity", "url_copies_n", "url_dumps")
    returns: ClassVar = {
        "url_duplicate_of": pl.String, "url_similarity": pl.Float64, "url_copies_n": pl.Int64, "url_dumps": pl.String,
    }  # fmt: skip

    @property
    def reads(self) -> Reads:
        return read_for(self.keep, {"ingest": ("url", "text_hash", "dump"), "dedup.references": ("is_held_out",)})

    @property
    def scatters(self) -> dict[str, PolarsType]:
        return {
            "rest": pl.UInt64,
            **types(self.keep),
            "doc_id": pl.String,
            "text_hash": pl.String,
            "url_dumps": pl.String,
        }

    @property
    def order(self) -> tuple[str, ...]:
        return ("rest", *names(self.keep), "doc_id")

    def preflight(self) -> None:
        check_kinds(self.keep, f"{self.name}.keep")

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("url")
        halves = key128(map(normalised, batch["url"]), self.name)
        rows = batch.select("doc_id", "node", "text_hash", url_dumps="dump").hstack(asked(batch, self.keep))
        return rows.with_columns(key=pl.Series(halves[:, 0]), rest=pl.Series(halves[:, 1]))

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        first = {name: pl.col(name).first().over("key", "rest") for name in ("doc_id", "text_hash")}
        same, repeats = pl.col("text_hash") == first["text_hash"], pl.col("of") != pl.col("doc_id")
        met = rows.with_columns(of=first["doc_id"], same=same, url_copies_n=pl.len().over("key", "rest").cast(pl.Int64))
        return met.filter(pl.col("url_copies_n") > 1).select(
            "node",
            pl.when(repeats).then("of").alias("url_duplicate_of"),
            pl.when(repeats & pl.col("same")).then(1.0).alias("url_similarity"),
            "url_copies_n",
            pl.when(~repeats).then(joined("url_dumps").over("key", "rest")).alias("url_dumps"),
        )

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        known = pl.col("url_copies_n").fill_null(1)
        return batch.select("doc_id", "url_duplicate_of", "url_similarity", known, "url_dumps")


@dataclass(frozen=True)
class UrlGate(RepeatGate):
    """Drops all but one of the captures of an address."""

    enabled: bool = False  # as in the grouping
    name: ClassVar = "dedup.url.gate"
    version: ClassVar = 1
    rules: ClassVar = ("url_duplicate",)
    instead: ClassVar = ("url_duplicate_of", "url_similarity")
