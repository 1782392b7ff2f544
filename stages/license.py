"""Licence and opt-out of every document, and the gate that decides which are taken."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import polars as pl

from gristmill.classifiers.license.judge import WINDOW, Link, Page, judge
from gristmill.classifiers.license.sites import BUILT_IN, SiteTable, parse_rules
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.ranges import FilePath, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads, first_broken

# Signals that reserve something else than the training of text models on the page.
_NOT_TEXT = ("noimageai", "ai-input", "tdm-policy:")
_EVIDENCE = ("license_links", "rights_text", "license_declared", "opt_out_signals")


def opts_out(signals: list[str] | None) -> bool:
    """True if a signal reserves the text: noai, noml, TDM reservation, ai-train=no; not images, not search answers."""
    return any(not any(word in signal for word in _NOT_TEXT) for signal in signals or ())


@dataclass(frozen=True)
class License(Annotator):
    """Reads the licence of the text from ingest's evidence and from rules over sites. Drops nothing."""

    # A file of site rules instead of the built-in ones; five fields a line: host (or suffix:gov), path prefix or -,
    # government|site|blocked, licence or -, evidence. Null: MixtureVitae's lists (arXiv:2509.25531).
    site_rules: FilePath | None = None

    name: ClassVar[str] = "license"
    version: ClassVar[int] = 2
    reads: ClassVar[Reads] = {"ingest": ("text", "url", *_EVIDENCE)}
    writes: ClassVar[tuple[str, ...]] = (
        "license",
        "license_tier",
        "license_evidence",
        "license_confidence",
        "opt_out",
    )
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["kept", "all"]] = "kept"
    files: ClassVar[tuple[str, ...]] = (
        "site_rules",
    )  # fields that hold paths: their contents are part of the identity

    def preflight(self) -> None:
        self.open({})

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Reads the site rules. Raises InputError for a missing file, ConfigError for a bad line."""
        if self.site_rules is None:
            table = SiteTable(parse_rules(BUILT_IN, "built-in site rules"))
        elif Path(self.site_rules).is_file():
            table = SiteTable(parse_rules(Path(self.site_rules).read_text("utf-8"), self.site_rules))
        else:
            raise InputError(f"license.site_rules: there is no file {self.site_rules}")

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            ends = batch.select(
                "url",
                *_EVIDENCE,
                head=pl.col("text").fill_null("").str.head(WINDOW),
                tail=pl.col("text").fill_null("").str.tail(WINDOW),
            )
            verdicts = [judge(_page(row), table) for row in ends.iter_rows(named=True)]
            return batch.select(
                "doc_id",
                pl.Series("license", [v.license for v in verdicts], dtype=pl.String),
                pl.Series("license_tier", [v.tier for v in verdicts], dtype=pl.String),
                pl.Series("license_evidence", [v.evidence for v in verdicts], dtype=pl.String),
                pl.Series("license_confidence", [round(v.confidence, 3) for v in verdicts], dtype=pl.Float32),
                pl.Series("opt_out", [opts_out(s) for s in ends["opt_out_signals"].to_list()], dtype=pl.Boolean),
            )

        return annotate


def _page(row: Mapping) -> Page:
    links = [
        Link(link["href"] or "", link["kind"] or "", link["place"] or "", link["text"] or "")
        for link in row["license_links"] or ()
    ]
    return Page(row["url"], row["head"], row["tail"], links, row["rights_text"] or "", row["license_declared"])


@dataclass(frozen=True)
class LicenseGate(Gate):
    """What is taken, as data: every policy is keep or drop."""

    opt_out: Literal["keep", "drop"] = "drop"  # the page or its server reserves it from training
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
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"license": ("license", "license_tier", "license_confidence", "opt_out")}
    rules: ClassVar[tuple[str, ...]] = (
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

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        tier, license = pl.col("license_tier"), pl.col("license")
        noncommercial = license.str.contains(r"CC-[A-Z\-]*\bNC\b")
        no_derivatives = license.str.contains(r"CC-[A-Z\-]*\bND\b")
        table = {
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
        return first_broken(batch, rules)
