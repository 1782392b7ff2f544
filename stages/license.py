"""Decides licence and reservations of every document, and gates by a policy over them.

What a page, its response and its site's robots.txt reserve is evidence; which kinds of it count is a setting.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl
import pyarrow as pa

from gristmill.classifiers.license.agents import AGENTS, agents_of
from gristmill.classifiers.license.judge import WINDOW, Link, Page, judge
from gristmill.classifiers.license.reservations import COUNTED, KINDS, Reservation, reasons
from gristmill.classifiers.license.sites import BUILT_IN, SiteTable, parse_rules
from gristmill.classifiers.license.terms import NAMING_WORDS
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.ranges import FilePath, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads
from gristmill.stages.reservations.lookup import RobotsTable
from gristmill.stages.reservations.url_lists import listed_by, read_url_lists

_EVIDENCE = ("license_links", "rights_text", "license_declared", "opt_out_signals")


@dataclass(frozen=True)
class RobotsFiles:
    """What the section `input` says of robots.txt files."""

    robots: tuple[str, ...] = ()


@dataclass(frozen=True)
class License(Annotator):
    """Reads the licence of the text from ingest's evidence and from rules over sites. Drops nothing."""

    # A file of site rules instead of the built-in ones; five fields a line: host (or suffix:gov), path prefix or -,
    # government|site|blocked, licence or -, evidence. Null: MixtureVitae's lists (arXiv:2509.25531).
    site_rules: FilePath | None = None
    # Reservations that make a document opted out (opt_out, opt_out_reasons); all that are found stand in
    # reservation_signals. Also known: noimageai, ai_input, ai_index, tdm_policy, usage_info.
    reservations: tuple[Reservation, ...] = COUNTED
    # A file of names of robots, one a line, that gather text for training: what robots.txt says to them by name is a
    # reservation. Null: the list of 2026-11-27 that comes with Gristmill.
    agents_file: FilePath | None = None
    # Files of domains and URLs (one a line, # comments; also .gz, .zst) that the gate drops, whatever their licence: a
    # domain stands for all below it, a URL for all that begin with it.
    block_lists: tuple[FilePath, ...] = ()
    beside: RobotsFiles = field(default_factory=RobotsFiles)

    name: ClassVar[str] = "license"
    version: ClassVar[int] = 7
    borrowed: ClassVar = {"beside": ("input",)}
    outside_identity: ClassVar[tuple[str, ...]] = ("beside",)  # the index's identity is in its artifact's
    reads: ClassVar[Reads] = {"ingest": ("text", "url", "dump", *_EVIDENCE)}
    writes: ClassVar[tuple[str, ...]] = (
        "license",
        "license_tier",
        "license_evidence",
        "license_confidence",
        "opt_out",
        "opt_out_reasons",
        "reservation_signals",
        "blocked_by",
    )
    rows: ClassVar[Literal["kept", "all"]] = "kept"
    files: ClassVar[tuple[str, ...]] = ("site_rules", "agents_file", "block_lists")

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ("ingest.robots",) if self.beside.robots else ()

    def tell(self, run: Finished) -> Told:
        kinds = ", ".join(self.reservations) or "none"
        robots = f"; robots.txt of {plural(len(self.beside.robots), 'file')}" if self.beside.robots else ""
        said = (
            f"Looked for in every page, its headers and metadata{robots}: machine-readable reservations of text mining "
            f"and training. Those that count: {kinds}. All that were found stand in `reservation_signals`."
        )
        return Told(card=("## Opt-out", "", said, ""))

    def preflight(self) -> None:
        self._sites()
        self._agents()
        read_url_lists(self.block_lists)

    def _sites(self) -> SiteTable:
        if self.site_rules is None:
            return SiteTable(parse_rules(BUILT_IN, "built-in site rules"))
        return SiteTable(parse_rules(_read("site_rules", self.site_rules), self.site_rules))

    def _agents(self) -> frozenset[str]:
        if self.agents_file is None:
            return AGENTS
        if not (named := agents_of(_read("agents_file", self.agents_file))):
            raise ConfigError(f"license.agents_file: {self.agents_file} names no robot; write one name a line")
        return named

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Reads the site rules. Raises InputError for a missing file, ConfigError for a bad line."""
        table, blocked = self._sites(), read_url_lists(self.block_lists)
        robots = RobotsTable(artifacts["ingest.robots"], self._agents()) if self.needs else None

        def signals_of(row: Mapping) -> list[str]:
            own = row["opt_out_signals"] or []
            return own if robots is None else sorted({*own, *robots.signals(row["url"], row["dump"])})

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            ends = batch.select(
                "url",
                "dump",
                *_EVIDENCE,
                head=_naming(pl.col("text").fill_null("").str.head(WINDOW)),
                tail=_naming(pl.col("text").fill_null("").str.tail(WINDOW)),
            )
            verdicts, signals = [], []
            for row in ends.iter_rows(named=True):
                verdicts.append(judge(_page(row), table))
                signals.append(signals_of(row))
            why = [reasons(found, self.reservations) for found in signals]
            return batch.select(
                "doc_id",
                pl.Series("license", [v.license for v in verdicts], dtype=pl.String),
                pl.Series("license_tier", [v.tier for v in verdicts], dtype=pl.String),
                pl.Series("license_evidence", [v.evidence for v in verdicts], dtype=pl.String),
                pl.Series("license_confidence", [round(v.confidence, 3) for v in verdicts], dtype=pl.Float32),
                pl.Series("opt_out", [bool(kinds) for kinds in why], dtype=pl.Boolean),
                _lists("opt_out_reasons", why),
                _lists("reservation_signals", signals),
                pl.Series("blocked_by", list(listed_by(batch["url"], blocked)), dtype=pl.String),
            )

        return annotate


def _naming(end: pl.Expr) -> pl.Expr:
    """The end of a text where a word stands that licences are named with, else nothing: there is nothing to find."""
    folded = end.str.to_lowercase().str.replace_all("ı", "i", literal=True)
    return pl.when(folded.str.contains_any(list(NAMING_WORDS))).then(end).otherwise(pl.lit(""))


def _lists(name: str, values: Sequence[Sequence[str]]) -> pl.Series:
    """Through Arrow: polars builds a Series for every inner list (10 us each)."""
    kind = pa.list_(pa.string())
    return pl.Series(name, pl.from_arrow(pa.chunked_array([pa.array(values, kind)], kind)), dtype=pl.List(pl.String))


def _read(key: str, path: str) -> str:
    if not Path(path).is_file():
        raise InputError(f"license.{key}: there is no file {path}")
    return Path(path).read_text("utf-8-sig")


def _page(row: Mapping) -> Page:
    links = [
        Link(link["href"] or "", link["kind"] or "", link["place"] or "", link["text"] or "")
        for link in row["license_links"] or ()
    ]
    return Page(row["url"], row["head"], row["tail"], links, row["rights_text"] or "", row["license_declared"])


# Reservations in the robots words of the page itself: dropped as opted_out, the others as opted_out_KIND.
WORDS: tuple[Reservation, ...] = ("noai", "noml")


@dataclass(frozen=True)
class LicenseGate(Gate):
    """What is taken, as data: every policy is keep or drop."""

    opt_out: Literal["keep", "drop"] = "drop"  # it is reserved from training: opt_out_reasons
    blocked: Literal["keep", "drop"] = "drop"  # its URL is on a list of license.block_lists
    unknown: Literal["keep", "drop"] = "keep"  # nothing says what is allowed; MixtureVitae: drop
    noncommercial: Literal["keep", "drop"] = "keep"  # CC ... NC; MixtureVitae: drop
    no_derivatives: Literal["keep", "drop"] = "keep"  # CC ... ND; MixtureVitae: drop
    reserved: Literal["keep", "drop"] = "keep"  # all rights reserved, in words; MixtureVitae: drop
    contested: Literal["keep", "drop"] = "keep"  # an open licence and all rights reserved; MixtureVitae: drop
    copyleft: Literal["keep", "drop"] = "keep"  # GPL, GFDL; MixtureVitae has none
    government: Literal["keep", "drop"] = "keep"  # tier 3; MixtureVitae: keep
    site: Literal["keep", "drop"] = "keep"  # tier 2a: known from the site alone; MixtureVitae: keep
    min_confidence: Share | None = None  # least license_confidence of a licence that is not unknown; null: none

    name: ClassVar[str] = "license.gate"
    version: ClassVar[int] = 2
    reads: ClassVar[Reads] = {
        "license": ("license", "license_tier", "license_confidence", "opt_out", "opt_out_reasons", "blocked_by")
    }
    rules: ClassVar[tuple[str, ...]] = (
        "blocked_url",
        *(f"opted_out_{kind}" for kind in KINDS if kind not in WORDS),
        "opted_out",
        "license_unknown",
        "license_noncommercial",
        "license_no_derivatives",
        "license_restricted",
        "license_reserved",
        "license_contested",
        "license_copyleft",
        "license_government",
        "license_site",
        "license_unsure",
    )

    def __post_init__(self) -> None:
        if self.min_confidence is not None and not 0 <= self.min_confidence <= 1:
            raise ConfigError(f"license.min_confidence must be between 0 and 1, not {self.min_confidence}")

    def tell(self, run: Finished) -> Told:
        dropped = [f.name for f in fields(self) if getattr(self, f.name) == "drop"]
        opted = "are dropped" if self.opt_out == "drop" else "are kept, and their column `opt_out` says so"
        said = f"Documents with one {opted}. The licence policy drops: {', '.join(dropped) or 'nothing'}."
        return Told(card=(said, ""))

    def table(self) -> dict[str, pl.Expr]:
        tier, license = pl.col("license_tier"), pl.col("license")
        noncommercial = license.str.contains(r"CC-[A-Z\-]*\bNC\b")
        no_derivatives = license.str.contains(r"CC-[A-Z\-]*\bND\b")
        why = pl.col("opt_out_reasons")
        table = {
            "blocked_url": (self.blocked, pl.col("blocked_by").is_not_null()),
            **{f"opted_out_{kind}": (self.opt_out, why.list.first() == kind) for kind in KINDS if kind not in WORDS},
            "opted_out": (self.opt_out, pl.col("opt_out")),
            "license_unknown": (self.unknown, tier == "unknown"),
            "license_noncommercial": (self.noncommercial, noncommercial),
            "license_no_derivatives": (self.no_derivatives, no_derivatives),
            # Restricted in another way (source-available): as reserved.
            "license_restricted": (self.reserved, (tier == "restricted") & ~noncommercial & ~no_derivatives),
            "license_reserved": (self.reserved, tier == "reserved"),
            "license_contested": (self.contested, tier == "contested"),
            "license_copyleft": (self.copyleft, tier == "copyleft"),
            "license_government": (self.government, tier == "government"),
            "license_site": (self.site, tier == "site"),
        }
        rules = {name: broken for name, (policy, broken) in table.items() if policy == "drop"}
        if self.min_confidence is not None:
            rules["license_unsure"] = (tier != "unknown") & (pl.col("license_confidence") < self.min_confidence)
        return rules
