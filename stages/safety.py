"""Scores how unsafe a text is (word lists, lists of URLs, toxicity and adult classifiers), and drops by limits on that.

Nothing of it comes with Gristmill: lists and models are named by path, and without any the step is left out. Word
ratios are MixtureVitae's (arXiv:2509.25531, its curation code): listed words among words of more than three letters,
in the first 1,000 characters. Ours leaves stop words in: most are shorter than that, and few languages have a list.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import polars as pl

from gristmill.classifiers import fasttext
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Count, FilePath, FolderPath, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads
from gristmill.stages.language.stop_words import SHORT_CODES
from gristmill.stages.reservations.url_lists import listed_by, read_url_lists
from gristmill.stages.signals import UNSPACED, count_bad_words

LONG_WORD = r"[\p{L}\p{M}\p{N}_]{4,}"  # MixtureVitae: words longer than three


@dataclass(frozen=True)
class Safety(Annotator):
    """Counts listed words, looks the URL up in lists, and asks the classifiers."""

    # Folder with a list of words per language (file en, de, ...; a word or phrase a line), such as LDNOOBW.
    words: FolderPath | None = None
    window_chars: Count = 1000  # the beginning of the text whose words are counted
    # Files of domains and URLs (one a line, # comments; also .gz, .zst): a domain stands for all below it, a URL for
    # all that begin with it. url_list names the file, or its folder where it is called domains or urls (UT1's form).
    url_lists: tuple[FilePath, ...] = ()
    toxicity: FilePath | None = None  # a fastText classifier
    toxicity_label: str = "__label__toxic"  # whose probability is toxicity_prob
    adult: FilePath | None = None  # a fastText classifier
    adult_label: str = "__label__adult"  # whose probability is adult_prob

    name: ClassVar[str] = "safety"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"ingest": ("text", "url"), "language": ("language",)}
    writes: ClassVar[tuple[str, ...]] = (
        "unsafe_words_n", "unsafe_words_frac", "url_list", "toxicity_prob", "adult_prob",
    )  # fmt: skip
    files: ClassVar[tuple[str, ...]] = ("words", "url_lists", "toxicity", "adult")

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.words or self.url_lists or self.toxicity or self.adult)

    @property
    def classifiers(self) -> tuple[tuple[str, str | None, str], ...]:
        """Name, path and label of each."""
        return (("toxicity", self.toxicity, self.toxicity_label), ("adult", self.adult, self.adult_label))

    def preflight(self) -> None:
        for name, path, label in self.classifiers:
            known = (label,) if path is None else fasttext.labels_of(path, f"safety.{name}")
            if label not in known:
                raise ConfigError(f"safety.{name}_label: no {label!r}; the model has {', '.join(known[:9])}")

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        patterns = {} if self.words is None else word_patterns(Path(self.words))
        lists = read_url_lists(self.url_lists)
        models = [
            (label, None if path is None else fasttext.open_scorer(path, fasttext.plain_line))
            for _, path, label in self.classifiers
        ]

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            text, language = batch["text"].fill_null(""), batch["language"]
            beginning = text.str.slice(0, self.window_chars)
            listed = count_bad_words(beginning, language, patterns)
            of = beginning.str.count_matches(LONG_WORD)
            share = pl.select(pl.when(listed.is_not_null()).then((listed / of.clip(1)).clip(0.0, 1.0)))
            scores = [
                pl.repeat(None, batch.height, dtype=pl.Float32, eager=True)
                if scorer is None
                else pl.Series(scorer.probability(label, text.to_list()), dtype=pl.Float32)
                for label, scorer in models
            ]
            return batch.select("doc_id").with_columns(
                count_bad_words(text, language, patterns).alias("unsafe_words_n"),
                share.to_series().cast(pl.Float32).alias("unsafe_words_frac"),
                pl.Series("url_list", list(listed_by(batch["url"], lists)), dtype=pl.String),
                scores[0].alias("toxicity_prob"),
                scores[1].alias("adult_prob"),
            )

        return annotate


def word_patterns(folder: Path) -> dict[str, str]:
    """Language code -> pattern of its listed words in lower-case text: whole words, except in scripts without spaces.

    Raises ConfigError for a folder without lists.
    """
    lists = {p.name: p.read_text("utf-8").lower() for p in sorted(folder.glob("*")) if p.is_file() and p.suffix == ""}
    if not lists:
        raise ConfigError(f"safety.words: {folder} is no folder with a list per language (files en, de, ...)")
    patterns: dict[str, str] = {}
    for code, content in lists.items():
        words = sorted({line.strip() for line in content.split("\n")} - {""}, key=lambda w: (-len(w), w))
        if words:
            patterns[code] = "|".join(re.escape(w) if code in UNSPACED else _whole(w) for w in words)
    return patterns | {long: patterns[short] for long, short in SHORT_CODES.items() if short in patterns}


def _whole(word: str) -> str:
    return (r"\b" if word[0].isalnum() else "") + re.escape(word) + (r"\b" if word[-1].isalnum() else "")


@dataclass(frozen=True)
class SafetyGate(Gate):
    """Drops texts of too many listed words, pages of listed URLs, and what the classifiers are sure of."""

    # As in the annotator: without any of these the step is left out.
    words: FolderPath | None = None
    url_lists: tuple[FilePath, ...] = ()
    toxicity: FilePath | None = None
    adult: FilePath | None = None
    max_words_frac: Share | None = 0.2  # MixtureVitae: 0.2; Wikipedia there 0.25
    listed_urls: bool = True  # whether pages of listed URLs are dropped
    max_toxicity: Share | None = None  # probability; the model's own scale, so there is no default
    max_adult: Share | None = None  # as max_toxicity

    name: ClassVar[str] = "safety.gate"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"safety": ("unsafe_words_frac", "url_list", "toxicity_prob", "adult_prob")}
    rules: ClassVar[tuple[str, ...]] = ("listed_url", "too_many_unsafe_words", "toxic", "adult")
    limits: ClassVar[Mapping[str, str]] = {
        "too_many_unsafe_words": "max_words_frac", "toxic": "max_toxicity", "adult": "max_adult",
    }  # fmt: skip

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.words or self.url_lists or self.toxicity or self.adult)

    def table(self) -> dict[str, pl.Expr]:
        broken = {"listed_url": pl.col("url_list").is_not_null()} if self.listed_urls else {}
        for rule, column in (
            ("too_many_unsafe_words", "unsafe_words_frac"), ("toxic", "toxicity_prob"), ("adult", "adult_prob"),
        ):  # fmt: skip
            limit = getattr(self, self.limits[rule])
            if limit is not None:
                broken[rule] = pl.col(column) > pl.lit(limit, pl.Float32)
        return broken
