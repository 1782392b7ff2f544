"""Identifies language and script of every document, and gates by language."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import ClassVar, Literal

import polars as pl
import pyarrow as pa

from gristmill.classifiers.fasttext import labels_of
from gristmill.classifiers.language import NO_LANGUAGE, check_code, open_embedded, open_fasttext
from gristmill.classifiers.scripts import scripts
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Count, FilePath, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads

_TOP = 3


@dataclass(frozen=True)
class SourceLanguage:
    """The language that all documents of a source have."""

    name: str
    language: str | None = None

    def __post_init__(self) -> None:
        if self.language is not None:
            check_code(self.language, f"language of source {self.name}")


@dataclass(frozen=True)
class Language(Annotator):
    """Identifies the language from the first characters of the text; the page's own claim (html_lang) is not used."""

    # Path of a fastText model (lid.176.bin, GlotLID, ...); null: the embedded one (py3langid's, 140 languages).
    model: FilePath | None = None
    # The embedded model's digest; the default is py3langid 0.4.0's. Chosen by measuring: docs/decisions/language.md.
    embedded: str = "1e7b222d82c3af2c"
    # How many characters are looked at: more no longer helps (docs/decisions/language.md).
    chars: Count = 2000
    sources: tuple[SourceLanguage, ...] = ()  # of the list `sources`

    name: ClassVar[str] = "language"
    version: ClassVar[int] = 1
    borrowed: ClassVar = {"sources": ("sources",)}
    writes: ClassVar[tuple[str, ...]] = ("language", "language_score", "language_script", "language_top")
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["kept", "all"]] = "kept"
    files: ClassVar[tuple[str, ...]] = ("model",)  # fields that hold paths: their contents are part of the identity

    def __post_init__(self) -> None:
        if self.chars < 1:
            raise ConfigError(f"language.chars must be at least 1, not {self.chars}")

    def preflight(self) -> None:
        if self.model is not None:
            labels_of(self.model, "language.model")

    @property
    def reads(self) -> Reads:
        return {"ingest": ("text", "source") if self.sources else ("text",)}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        """Loads the model. Raises ConfigError where the embedded one is another, InputError for a missing file."""
        identifier = open_fasttext(self.model) if self.model else open_embedded(self.embedded)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            texts = batch["text"].fill_null("").str.slice(0, self.chars).to_list()
            script = scripts(texts)
            # Digits and punctuation alone are no language, whatever a model says of them.
            ranked = [r if s else [] for r, s in zip(identifier.rank(texts, _TOP), script, strict=True)]
            best = [r[0] if r and r[0][0] != NO_LANGUAGE else (None, None) for r in ranked]
            made = batch.select(
                "doc_id",
                pl.Series("language", [code for code, _ in best], dtype=pl.String),
                pl.Series("language_score", [p for _, p in best], dtype=pl.Float32),
                pl.Series("language_script", script, dtype=pl.String),
                _lists("language_top", [[code for code, _ in r] for r in ranked]),
            )
            return self._as_declared(made, batch["source"]) if self.sources else made

        return annotate

    def _as_declared(self, made: pl.DataFrame, source: pl.Series) -> pl.DataFrame:
        """The declared languages in place of the model's, whose score is then null."""
        given = {s.name: s.language for s in self.sources if s.language is not None}
        declared = source.replace_strict(given, default=None, return_dtype=pl.String)
        return made.with_columns(
            pl.coalesce(declared, "language").alias("language"),
            pl.when(declared.is_null()).then("language_score").alias("language_score"),
        )


def _lists(name: str, values: list[list[str]]) -> pl.Series:
    """Through Arrow: polars builds a Series for every inner list (10 us each)."""
    kind = pa.list_(pa.string())
    return pl.Series(name, pl.from_arrow(pa.chunked_array([pa.array(values, kind)], kind)), dtype=pl.List(pl.String))


@dataclass(frozen=True)
class LanguageGate(Gate):
    """Drops documents in other languages than the kept ones, and those whose language is not sure."""

    # Codes to keep, ISO 639-1 where there is one (en, de, yue, ...); null keeps all.
    keep: tuple[str, ...] | None = None
    # Least language_score; null: none. FineWeb asks 0.65 of fastText's lid.176 (arXiv:2406.17557, 3.2).
    min_score: Share | None = None

    name: ClassVar[str] = "language.gate"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"language": ("language", "language_score")}
    rules: ClassVar[tuple[str, ...]] = ("language_unsure", "language_not_kept")
    limits: ClassVar[Mapping[str, str]] = {"language_unsure": "min_score", "language_not_kept": "keep"}

    def __post_init__(self) -> None:
        if self.keep is not None:
            if not self.keep:
                raise ConfigError("language.keep is empty: nothing would be kept; write null to keep all languages")
            for code in self.keep:
                check_code(code, "language.keep")

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        return {} if self.keep is None else {"language": self.keep}

    def table(self) -> dict[str, pl.Expr]:
        rules: dict[str, pl.Expr] = {}
        unsure = [pl.col("language").is_null()] if self.keep is not None or self.min_score is not None else []
        if self.min_score is not None:
            unsure.append(pl.col("language_score") < self.min_score)
        if unsure:
            rules["language_unsure"] = pl.any_horizontal(unsure)
        if self.keep is not None:
            rules["language_not_kept"] = ~pl.col("language").is_in(self.keep)
        return rules

    def is_idle(self) -> bool:
        return not self.table()
