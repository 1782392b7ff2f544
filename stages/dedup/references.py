"""Reference documents: what good text looks like (for the quality model) and what the mixture is searched for.

Either documents of the crawl, chosen by host, or texts given as files. A drawn share of them is held out: those are
the objective of the mixture search and never reach the corpus.
"""

import json
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import polars as pl

from gristmill.classifiers.hosts import hosts_of, parts_of
from gristmill.classifiers.language import check_code
from gristmill.classifiers.license.sites import HOST_CHARS
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.notes import write_notes
from gristmill.pipeline.contract.ranges import FilePath, Share, Whole
from gristmill.pipeline.contract.samples import summed, tables_of
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Reducer, Tables
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.contract.texts import is_sidecar, records_of

SALT = "held_out"
HOSTS = {"host": pl.String, "documents": pl.Int64, "references": pl.Int64}
_TEXTS = {"doc_id": pl.String, "text": pl.String, "language": pl.String, "is_held_out": pl.Boolean}


@dataclass(frozen=True)
class References(Reducer):
    """Settles what a reference is: rule.json, texts.parquet (doc_id, text, language, is_held_out), report.json.

    Where there are fewer than `min_references`, there are none: notes.json says so, and the run goes on without a
    quality model and without texts to search the mixture for.
    """

    # false: no document is a reference, so there is no quality model, and nothing to search the mixture for.
    enabled: bool = True
    off_is_empty: ClassVar = True
    # A host is a reference if it is one of these or below it: encyclopaedias, libraries, standards, official bodies.
    hosts: tuple[str, ...] = (
        "wikipedia.org",
        "wikibooks.org",
        "wikiversity.org",
        "wikisource.org",
        "wikivoyage.org",
        "wikinews.org",
        "britannica.com",
        "scholarpedia.org",
        "newworldencyclopedia.org",
        "encyclopediaofmath.org",
        "gutenberg.org",
        "archives-ouvertes.fr",
        "arxiv.org",
        "biorxiv.org",
        "plos.org",
        "ncbi.nlm.nih.gov",
        "jstor.org",
        "openstax.org",
        "libretexts.org",
        "courtlistener.com",
        "europa.eu",
        "un.org",
        "who.int",
        "bund.de",
        "admin.ch",
        "gc.ca",
        "w3.org",
        "ietf.org",
        "rfc-editor.org",
        "readthedocs.io",
        "readthedocs.org",
        "docs.rs",
        "python.org",
        "gnu.org",
        "mozilla.org",
        "kernel.org",
        "postgresql.org",
        "apache.org",
        "wikimedia.org",
        "creativecommons.org",
        "hypotheses.org",
        "openedition.org",
        "nature.com",
        "science.org",
        "springer.com",
        "cambridge.org",
        "spektrum.de",
        "smithsonianmag.com",
        "nationalgeographic.com",
        "cern.ch",
        "ethz.ch",
        "eawag.ch",
        "mpg.de",
        "nhs.uk",
        "bundestag.de",
        "bundesrat.de",
        "bundesregierung.de",
        "bmbf.de",
        "bpb.de",
        "destatis.de",
    )
    # ... or its public suffix begins with one of these: nih.gov, ox.ac.uk, service-public.gouv.fr, bka.gv.at.
    registries: tuple[str, ...] = ("gov", "edu", "ac", "mil", "gouv", "gob", "gub", "govt", "gv")
    # ... or its first label is one of these: documentation hosts.
    first_labels: tuple[str, ...] = ("docs", "doc", "developer", "developers", "documentation", "devdocs")
    # Never a reference, nor anything below it: documents that anybody can put there.
    excluded_hosts: tuple[str, ...] = ("docs.google.com", "forums.developer.apple.com", "bugzilla.mozilla.org")
    # Only documents of these languages, as the language stage writes them; None takes every language.
    languages: tuple[str, ...] | None = None
    # Files of reference texts: .jsonl or .parquet (also .jsonl.gz, .jsonl.zst), or .txt with one text per file. If
    # there are any, no document of the crawl is a reference.
    paths: tuple[FilePath, ...] = ()
    text_field: str = "text"  # of the files; a field `language` is read where there is one
    held_out_frac: Share = 0.2  # share of the references that is held out
    min_references: Whole = 12  # fewer reference texts than this count as none, and a note says what is off
    name: ClassVar = "dedup.references"
    version: ClassVar = 2
    files: ClassVar = ("paths",)
    reads: ClassVar = {"ingest": ("url",), "language": ("language",)}
    needs: ClassVar = ()
    passes: ClassVar = ("hosts",)

    def __post_init__(self) -> None:
        for code in self.languages or ():
            check_code(code, "dedup.references.languages")

    def preflight(self) -> None:
        for path in self.paths:
            if not is_sidecar(path):
                next(records_of(path, self.text_field, "dedup.references.paths"), None)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """Documents, and references per host; a host that is null counts only for the documents."""
        return {"hosts": summed((self._counted(batch) for batch in corpus.batches()), "host")}

    def _counted(self, batch: pl.DataFrame) -> pl.DataFrame:
        seen = pl.DataFrame({"host": [None], "documents": [batch.height], "references": [0]}, HOSTS)
        if not self.enabled or self.paths:
            return seen
        found = hosts_of(batch.filter(is_reference(batch, self))["url"]).alias("host").to_frame()
        by_host = found.group_by("host").agg(documents=pl.lit(0, pl.Int64), references=pl.len().cast(pl.Int64))
        return pl.concat([seen, by_host])

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        return {"hosts": summed(tables_of("hosts", taken), "host")}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        texts = given_texts(self if self.enabled else replace(self, paths=()))
        by_host = known["hosts"] if known["hosts"].width else pl.DataFrame(schema=HOSTS)
        documents, found = (int(by_host[column].sum()) for column in ("documents", "references"))
        references = texts.height + found
        rule = self
        if self.enabled and references < self.min_references:
            rule, texts = replace(self, enabled=False, paths=()), texts.clear()
            write_notes(out, _too_few(self, references, documents))
        write_parquet(out / "texts.parquet", texts.to_arrow())
        top = by_host.filter(pl.col("references") > 0).select("host", "references")
        top = top.sort("references", "host", descending=[True, False]).head(50)
        report = {
            "documents": documents,
            "references": references,
            "hosts": dict(top.iter_rows()),
            "enabled": rule.enabled,
        }
        (out / "report.json").write_text(json.dumps(report, indent=1, ensure_ascii=False))
        (out / "rule.json").write_text(json.dumps(asdict(rule), indent=1, ensure_ascii=False))


def _too_few(rule: References, references: int, documents: int) -> str:
    if rule.paths:
        found = f"{', '.join(rule.paths)} hold {references} reference texts"
    else:
        found = f"{references} of {documents:,} documents are of reference hosts"
    return (
        f"No quality model and nothing to search the mixture for: {found}, fewer than dedup.references.min_references "
        f"= {rule.min_references}. q_reference and q_importance are null. To have them, give texts of the kind you "
        "want as dedup.references.paths, or add to dedup.references.hosts; dedup.references.enabled: false says that "
        "they are not wanted"
    )


@dataclass(frozen=True)
class ReferenceFlags(Annotator):
    """Marks the crawl's reference documents by the settled rule, and which of them are held out."""

    name: ClassVar = "dedup.references"
    version: ClassVar = 2
    reads: ClassVar = {"ingest": ("url",), "language": ("language",)}
    writes: ClassVar = ("is_reference", "is_held_out")
    needs: ClassVar = ("dedup.references",)
    rows: ClassVar = "kept"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        stored = json.loads((artifacts["dedup.references"] / "rule.json").read_text())
        fields: dict = {key: tuple(value) if isinstance(value, list) else value for key, value in stored.items()}
        rule = References(**fields)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            reference = is_reference(batch, rule)
            drawn = pl.Series(uniform(batch["doc_id"], SALT) < rule.held_out_frac, dtype=pl.Boolean)
            return batch.select("doc_id").with_columns(is_reference=reference, is_held_out=reference & drawn)

        return annotate


def is_reference(batch: pl.DataFrame, rule: References) -> pl.Series:
    """Boolean per row of `batch` (url, language); false for every row where references are off or given as files."""
    if rule.paths or not rule.enabled:
        return pl.repeat(False, batch.height, dtype=pl.Boolean, eager=True)
    hosts = hosts_of(batch["url"])
    names = hosts.drop_nulls().unique()
    good = names.filter(pl.Series([matches(name, rule) for name in names], dtype=pl.Boolean))
    flags = hosts.is_in(good.implode()).fill_null(False)
    if rule.languages is not None:
        flags &= batch["language"].is_in(list(rule.languages)).fill_null(False)
    return flags


def matches(host: str, rule: References) -> bool:
    """Whether a host (as `hosts_of` gives it) is a reference by `rule`; look-alikes below another domain are not."""
    if len(host) > HOST_CHARS:
        return False
    labels = host.split(".")
    above = {".".join(labels[i:]) for i in range(len(labels))}
    if not above.isdisjoint(rule.excluded_hosts):
        return False
    suffix = _suffix(host)
    if suffix and host != suffix and suffix.split(".")[0] in rule.registries:
        return True
    return not above.isdisjoint(rule.hosts) or (len(labels) > 2 and labels[0] in rule.first_labels)


def _suffix(host: str) -> str:
    return parts_of(host).suffix


def given_texts(rule: References) -> pl.DataFrame:
    """doc_id, text, language, is_held_out of the texts in `rule.paths`, each text once, sorted by doc_id.

    doc_id is "reference-" and a hash of the text. Raises InputError for a file that cannot be read, DataError for a
    record without the field.
    """
    rows = [
        ("reference-" + blake2b(text.encode(), digest_size=16).hexdigest(), text, language)
        for path in rule.paths
        if not is_sidecar(path)
        for text, language in records_of(path, rule.text_field, "dedup.references.paths")
        if not text.isspace() and text
    ]
    texts = pl.DataFrame(rows, schema=dict(list(_TEXTS.items())[:3]), orient="row").unique("doc_id").sort("doc_id")
    held_out = pl.Series(uniform(texts["doc_id"], SALT) < rule.held_out_frac, dtype=pl.Boolean)
    return texts.with_columns(is_held_out=held_out)
