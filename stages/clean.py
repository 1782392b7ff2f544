"""Cuts the lines out of texts that C4's line rules drop (arXiv:1910.10683, sec. 2.2, and its code), with counts.

Off unless `clean.enabled` is set. Ingest's text stays on disk; every later step reads the cleaned one (`replaces`).
Lorem ipsum, curly braces and too few sentences cost C4 the whole page: they are rules of `gates`, which find
those lines still here.
"""

from collections.abc import Callable
from dataclasses import dataclass, fields
from hashlib import blake2b
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.classifiers.language import check_code
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Count, Whole
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads, first_broken
from gristmill.pipeline.kernels.text.characters import class_table
from gristmill.pipeline.kernels.text.cleaning import RULES, clean
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.words import abbreviation_hashes
from gristmill.stages.language.stop_words import ABBREVIATIONS, SHORT_CODES

_LINES = tuple(f"cut_{rule}_lines_n" for rule in RULES)
_BYTES = tuple(f"cut_{rule}_bytes" for rule in RULES)


@dataclass(frozen=True)
class SourceClean:
    """Whether a source's texts are cleaned; null: as the others."""

    name: str
    clean: bool | None = None


@dataclass(frozen=True)
class Clean(Annotator):
    """Drops lines by C4's rules and citation marks from the lines that stay. Each rule can be switched off."""

    # Whether the run has this step at all. Off: every step reads the text as ingest wrote it.
    enabled: bool = False
    # Languages whose texts are cleaned; the others stay as they are. Null: all (then end_marks should be "any").
    languages: tuple[str, ...] | None = ("en",)
    unit: Literal["line", "sentence"] = "line"  # what is judged and dropped; "sentence": each sentence of a line
    # How a line has to end. "c4": . ? ! " or ', but not in an ellipsis; "any": also the full stops of every script.
    end_marks: Literal["c4", "any"] | None = "c4"
    min_words: Whole | None = 3  # fewest words of a line; C4: at least 3
    max_word_chars: Count | None = 1000  # lines with a longer word go; C4's code: 1000
    javascript: bool = True  # lines with the word javascript go
    policy: bool = True  # lines on cookies, a privacy policy or terms of use go; C4's code
    citations: bool = True  # [12], [], [edit] and [citation needed] are taken off

    sources: tuple[SourceClean, ...] = ()  # of the list `sources`

    name: ClassVar[str] = "clean"
    version: ClassVar[int] = 1
    borrowed: ClassVar = {"sources": ("sources",)}
    replaces: ClassVar[Reads] = {"ingest": ("text", "text_bytes", "text_hash")}
    writes: ClassVar[tuple[str, ...]] = (
        "text", "text_bytes", "text_hash", "lines_judged_n", *_LINES, *_BYTES, "cut_space_bytes",
    )  # fmt: skip
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["all"]] = "all"  # the ledger counts tokens of the cleaned text, of dropped documents too

    def __post_init__(self) -> None:
        changed = [
            f.name for f in fields(self) if f.name not in ("enabled", "sources") and getattr(self, f.name) != f.default
        ]
        if changed and not self.enabled:
            raise ConfigError(f"clean.{changed[0]} is set, but nothing is cleaned: add clean.enabled: true")
        for code in self.languages or ():
            check_code(code, "clean.languages")

    @property
    def reads(self) -> Reads:
        return {"ingest": ("text", "source") if self.sources else ("text",), "language": ("language",)}

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        marks = {None: 0, "c4": 1, "any": 2}[self.end_marks]
        limits = [-1 if limit is None else limit for limit in (self.max_word_chars, self.min_words)]
        settings = np.array(
            [limits[0], marks, limits[1], self.javascript, self.policy, self.citations], np.int64
        )  # gristmill.pipeline.kernels.text.c4_lines
        codes = {code: code for code in self.languages or ()}
        codes |= {long: long for long, short in SHORT_CODES.items() if short in codes}

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            texts = batch["text"].fill_null("")
            chosen = (
                np.ones(batch.height, bool)
                if self.languages is None
                else batch["language"].is_in(list(codes)).fill_null(False).to_numpy()
            )
            if self.sources:
                spared = [source.name for source in self.sources if source.clean is False]
                chosen = chosen & ~batch["source"].is_in(spared).fill_null(False).to_numpy()
            cleaned, counts = clean_texts(texts, chosen, settings, self.unit == "sentence")
            numbers = zip(("lines_judged_n", *_LINES, *_BYTES, "cut_space_bytes"), counts.T, strict=True)
            return batch.select("doc_id").with_columns(
                cleaned.alias("text"),
                cleaned.str.len_bytes().cast(pl.Int64).alias("text_bytes"),
                pl.Series(
                    "text_hash", [blake2b(t.encode(), digest_size=16).hexdigest() for t in cleaned], dtype=pl.String
                ),
                *(pl.Series(name, values, pl.Int64) for name, values in numbers),
            )

        return annotate


def clean_texts(
    texts: pl.Series, chosen: np.ndarray, settings: np.ndarray, by_sentence: bool
) -> tuple[pl.Series, np.ndarray]:
    """The cleaned texts and the kernel's counts (rows, 14); texts without nulls, chosen (rows,) bool."""
    octets, bounds = utf8(texts)
    rows = len(texts)
    abbreviations = abbreviation_hashes(ABBREVIATIONS)
    out, ends, counts = clean(octets, bounds, chosen, class_table(), abbreviations, settings, by_sentence)
    made = pa.LargeStringArray.from_buffers(rows, pa.py_buffer(ends), pa.py_buffer(out))
    return pl.Series("text", made, dtype=pl.String), counts


@dataclass(frozen=True)
class CleanGate(Gate):
    """Drops texts of which cleaning leaves nothing."""

    enabled: bool = False  # as in the annotator
    name: ClassVar[str] = "clean.gate"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"clean": ("text_bytes", "lines_judged_n")}
    rules: ClassVar[tuple[str, ...]] = ("nothing_left",)

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        emptied = (pl.col("text_bytes") == 0) & (pl.col("lines_judged_n") > 0)
        return first_broken(batch, {"nothing_left": emptied})
