"""Counts over the text that quality rules need: Gopher's, C4's, FineWeb's and RedPajama-V2's, in one kernel pass.

Nothing is dropped here; `gristmill.stages.gates` decides over the columns.
"""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import ClassVar, Literal, TypeAlias

import numpy as np
import polars as pl

from gristmill.classifiers.segmenter import check_icu, word_places
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Count, FilePath, FolderPath
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Reads
from gristmill.pipeline.kernels.text.c4_lines import MAY_HOLD_PHRASE
from gristmill.pipeline.kernels.text.characters import class_table, fold_table
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.repetition import stop_word_keys
from gristmill.pipeline.kernels.text.text_stats import COLUMN, measure
from gristmill.pipeline.kernels.text.words import abbreviation_hashes
from gristmill.stages.language.stop_words import ABBREVIATIONS, SHORT_CODES, STOP_WORDS
from gristmill.stages.language.thresholds import read_languages

# Stored counts: column, count of the kernel.
COUNTS = {
    "chars_n": "chars",
    "words_n": "words",
    "segments_n": "segments",
    "sentences_n": "sentences",
    "lines_n": "lines",
    "paragraphs_n": "paragraphs",
    "curly_braces_n": "curly_braces",
    "lorem_ipsums_n": "lorem_ipsums",
    "c4_lines_n": "c4_kept",
    "c4_sentences_n": "c4_sentences",
    "c4_long_word_lines_n": "c4_long_word",
    "c4_unended_lines_n": "c4_no_terminal",
    "c4_short_lines_n": "c4_few_words",
    "c4_lorem_lines_n": "c4_lorem",
    "c4_javascript_lines_n": "c4_javascript",
    "c4_curly_lines_n": "c4_curly",
    "c4_policy_lines_n": "c4_policy",
}

# Stored fractions and ratios: column, count, divided by; null where the divisor is 0.
RATIOS = {
    "mean_word_len": ("word_chars", "words"),
    "unique_words_frac": ("unique_words", "words"),
    "alpha_words_frac": ("alpha_segments", "segments"),
    "caps_words_frac": ("caps_segments", "segments"),
    "hash_ratio": ("hashes", "segments"),
    "ellipsis_ratio": ("ellipses", "segments"),
    "newline_ratio": ("newlines", "segments"),
    "alpha_chars_frac": ("alpha_chars", "chars"),
    "upper_chars_frac": ("upper_chars", "chars"),
    "numeric_chars_frac": ("numeric_chars", "chars"),
    "bullet_lines_frac": ("bullet_lines", "all_lines"),
    "bullet_point_lines_frac": ("bullet_point_lines", "lines"),
    "ellipsis_lines_frac": ("ellipsis_lines", "all_lines"),
    "ended_lines_frac": ("terminal_lines", "lines"),
    "short_lines_frac": ("short_lines", "lines"),
    "dup_lines_frac": ("dup_lines", "parted_lines"),
    "dup_line_chars_frac": ("dup_line_chars", "chars"),
    "dup_paragraphs_frac": ("dup_paragraphs", "paragraphs"),
    "dup_paragraph_chars_frac": ("dup_paragraph_chars", "chars"),
    "top_2gram_chars_frac": ("top2", "chars"),
    "top_3gram_chars_frac": ("top3", "chars"),
    "top_4gram_chars_frac": ("top4", "chars"),
    "dup_5gram_chars_frac": ("dup5", "chars"),
    "dup_6gram_chars_frac": ("dup6", "chars"),
    "dup_7gram_chars_frac": ("dup7", "chars"),
    "dup_8gram_chars_frac": ("dup8", "chars"),
    "dup_9gram_chars_frac": ("dup9", "chars"),
    "dup_10gram_chars_frac": ("dup10", "chars"),
    "c4_kept_chars_frac": ("c4_kept_chars", "chars"),
}


# Columns whose English limits were set on whitespace runs (Gopher, arXiv:2112.11446, A1.1; RedPajama-V2's card); other
# languages' limits (FineWeb2), and those on lines and n-grams, were set on split words by datatrove.
PUBLISHED = frozenset(("words_n", "mean_word_len", "alpha_words_frac", "hash_ratio", "ellipsis_ratio", "symbol_ratio"))
ENGLISH = ("en", "eng")
RUNS = {name: f"run_{name}" for name in ("segments", "words", "word_chars", "alpha_segments")}

# RedPajama-V2's count per line, summed; in ASCII letters of any case.
JAVASCRIPT = r"(?i-u:javascript)"
# Formulas between dollars: displayed ones; those with a sign of TeX, which prices lack; those of up to three letters or
# digits. And TeX's other delimiters and its environments for display.
MATH = (
    r"\$\$[^$]+\$\$|\$[^$\n]*[\\^_={}<>+][^$\n]*\$|\$[A-Za-z0-9]{1,3}\$|\\\(.+?\\\)|\\\[[^\]]+\\\]"
    r"|\\begin\{(?:equation|align|gather|multline|eqnarray|displaymath|math)\*?\}"
)
# Lines that only code has: ended by a brace, a semicolon or an arrow, begun by a keyword or a preprocessor's word.
CODE_LINE = (
    r"(?m)^[^\n]*(?:[{};]|=>|\):)[ \t]*$"
    r"|^[ \t]*(?:#include[ <]|#define |#!/|def [A-Za-z0-9_]+\(|import [A-Za-z0-9_.]+[ \t]*$"
    r"|from [A-Za-z0-9_.]+ import |return [^ \n]|>>> |\$ [a-z]|@[A-Za-z0-9_]+\()[^\n]*$"
)
TABLE_ROW = r"(?m)^[^\t\n]*[^ \t\n][^\t\n]*\t[^\n]*[^ \t\n][^\n]*$|^\|[^\n]*\|[^\n]*\|[ \t]*$"
# Column -> its pattern, and one of literals that a text needs for that to be tried: few texts have it, and literals are
# found thirty times as fast.
SHAPES = {
    "math_n": (MATH, r"\$|\\\(|\\\[|\\begin\{"),
    "code_lines_n": (CODE_LINE, r"[{};]\n|\):\n|=>\n|#include|#define|#!/|>>> "),
    "table_rows_n": (TABLE_ROW, r"\t|\n\||\A\|"),
}
# C4's code: in these no word has to end where the bad word ends, and these words are no bad ones.
UNSPACED = ("ja", "th", "zh")
_ALLOWED = {"ja": {"sm", "グロ", "女の子"}, "zh": {"性"}}


@dataclass(frozen=True)
class Signals(Annotator):
    """One row of counts and fractions per text."""

    # What a word is. "split": as spaCy's English tokenizer, close to it: punctuation marks and clitics are words of
    # their own (datatrove, and so FineWeb's and FineWeb2's limits); "whitespace": runs of non-space (Gopher's and
    # RedPajama-V2's). "published": split, but runs in the English counts that those two set limits on: words_n,
    # mean_word_len, alpha_words_frac, hash_ratio, ellipsis_ratio, symbol_ratio.
    words: Literal["published", "split", "whitespace"] = "published"
    # Scripts without spaces (Chinese, Japanese, Thai, Lao, Khmer, Burmese) are cut by our own rules, or by the
    # dictionaries of ICU of this major version (package icu4py; 78). Null: our rules.
    icu: Count | None = None
    # Folder with a list of bad words per language (file en, de, ...; a word or phrase a line), such as LDNOOBW, which
    # C4 and RedPajama-V2 use. Not part of Gristmill; null: bad_words_n is null.
    bad_words: FolderPath | None = None
    # Data file whose stop words are used for its languages, in place of our own lists (see gates.languages_file).
    languages_file: FilePath | None = None

    name: ClassVar[str] = "signals"
    version: ClassVar[int] = 8
    reads: ClassVar[Reads] = {"ingest": ("text",), "language": ("language",)}
    writes: ClassVar[tuple[str, ...]] = (
        *COUNTS,
        *RATIOS,
        "symbol_ratio",
        "dup_line_body_frac",
        "word_entropy",
        "stop_words_n",
        "stop_words_frac",
        "javascripts_n",
        "bad_words_n",
        *SHAPES,
    )
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["kept", "all"]] = "kept"
    files: ClassVar[tuple[str, ...]] = ("languages_file", "bad_words")

    def __post_init__(self) -> None:
        if self.words not in ("published", "split", "whitespace"):
            raise ConfigError(f'signals.words is {self.words!r}; say "published", "split" or "whitespace"')

    def preflight(self) -> None:
        self.open({})

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        own = {} if self.languages_file is None else read_languages(self.languages_file)
        stop_words = stop_word_table(tuple((code, e.stop_words) for code, e in own.items() if e.stop_words))

        if self.icu is not None:
            check_icu(self.icu)
        bad_words = {} if self.bad_words is None else read_bad_words(Path(self.bad_words))

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            text = batch["text"].fill_null("")
            places = None if self.icu is None else word_places(text)
            runs = (batch["language"].is_in(ENGLISH) & (self.words == "published")).fill_null(False).to_numpy()
            counts = measure_texts(text, batch["language"], self.words != "whitespace", stop_words, places, runs)
            javascripts = text.str.count_matches(JAVASCRIPT).cast(pl.Int64).alias("javascripts_n")
            bad = count_bad_words(text, batch["language"], bad_words)
            return batch.select("doc_id").with_columns(*_columns(counts, runs), javascripts, bad, *count_shapes(text))

        return annotate


def count_shapes(texts: pl.Series) -> list[pl.Series]:
    """Formulas, lines of code and rows of tables of each text, as columns of `SHAPES`."""
    columns = []
    for name, (pattern, needed) in SHAPES.items():
        there = texts.str.contains(needed)
        counts = np.zeros(len(texts), np.int64)
        counts[there.to_numpy()] = texts.filter(there).str.count_matches(pattern).to_numpy()
        columns.append(pl.Series(name, counts))
    return columns


StopWords: TypeAlias = tuple[Mapping[str, int], np.ndarray, np.ndarray]


def measure_texts(
    texts: pl.Series,
    languages: pl.Series,
    split: bool,
    stop_words: StopWords | None = None,
    places: tuple[np.ndarray, np.ndarray] | None = None,
    runs: np.ndarray | None = None,
) -> np.ndarray:
    """(rows, kernel counts) float64, columns as in kernels.text.text_stats; a null text counts as empty.

    places: where words begin in scripts without spaces, as classifiers.segmenter finds them; None: by our rules.
    runs (rows,) bool: the texts whose whitespace runs are counted besides; None: no text's.
    """
    octets, bounds = utf8(texts)
    rows = len(texts)
    numbers, keys, bits = stop_words or stop_word_table()
    language = languages.replace_strict(numbers, default=-1, return_dtype=pl.Int32).to_numpy()
    abbreviations = abbreviation_hashes(ABBREVIATIONS)
    begins, ends = places or (np.zeros(0, np.int32), np.zeros(rows + 1, np.int64))
    runs = np.zeros(rows, bool) if runs is None else runs
    phrases = texts.str.contains(MAY_HOLD_PHRASE).fill_null(False).to_numpy()
    return measure(
        octets, bounds, language, class_table(), fold_table(), abbreviations, keys, bits, split, runs, phrases,
        begins, ends,
    )  # fmt: skip


@cache
def stop_word_table(own: tuple[tuple[str, tuple[str, ...]], ...] = ()) -> StopWords:
    """Language code -> number, and the kernel's table of stop words (keys uint64, bits int32). own: a file's lists."""
    lists = {code: tuple(line.split()) for code, line in STOP_WORDS.items()} | dict(own)
    numbers = {code: i for i, code in enumerate(sorted(lists))}
    words = [(numbers[code], bit, word) for code, line in lists.items() for bit, word in enumerate(line)]
    keys, bits = stop_word_keys(words)
    longer = {long: numbers[short] for long, short in SHORT_CODES.items()}
    return longer | numbers, keys, bits


def read_bad_words(folder: Path) -> dict[str, str]:
    """Language code -> pattern of its bad words in lower-case text, as in C4's code.

    Raises ConfigError for a folder without lists.
    """
    lists = {p.name: p.read_text("utf-8") for p in sorted(folder.glob("*")) if p.is_file() and p.suffix == ""}
    if not lists:
        raise ConfigError(f"signals.bad_words: {folder} is no folder with a list per language (files en, de, ...)")
    patterns: dict[str, str] = {}
    for code, content in lists.items():
        words = {line.strip().lower() for line in content.split("\n")} - {""} - _ALLOWED.get(code, set())
        if words:
            alternatives = "|".join(re.escape(word) for word in sorted(words))
            patterns[code] = alternatives if code in UNSPACED else rf"(?:\W|^)(?:{alternatives})(?:\W|$)"
    return patterns | {long: patterns[short] for long, short in SHORT_CODES.items() if short in patterns}


def count_bad_words(text: pl.Series, language: pl.Series, patterns: Mapping[str, str]) -> pl.Series:
    """Bad words per text; null where the language has no list."""
    counts = pl.Series("bad_words_n", [None] * len(text), pl.Int64)
    for code in language.unique().drop_nulls():
        if code in patterns:
            rows = (language == code).arg_true()
            counts = counts.scatter(
                rows, text[rows].str.to_lowercase().str.count_matches(patterns[code]).cast(pl.Int64)
            )
    return counts


def _ratio(part: np.ndarray, whole: np.ndarray) -> pl.Series:
    """part / whole as float32, null where whole is 0."""
    known = whole > 0
    values = np.divide(part, whole, out=np.zeros_like(part), where=known).astype(np.float32)
    return pl.select(pl.when(pl.Series(known)).then(pl.Series(values))).to_series()


def _columns(counts: np.ndarray, runs: np.ndarray) -> list[pl.Series]:
    """The stage's columns in the order of `Signals.writes`. runs (rows,): whether PUBLISHED are those of runs."""

    def of(name: str, column: str = "") -> np.ndarray:
        if column in PUBLISHED and name in RUNS:
            return np.where(runs, counts[:, COLUMN[RUNS[name]]], counts[:, COLUMN[name]])
        return counts[:, COLUMN[name]]

    known = of("stop_kinds") >= 0
    stop_words = pl.select(pl.when(pl.Series(known)).then(pl.Series(of("stop_kinds").astype(np.int64)))).to_series()
    words = of("words")
    safe = np.maximum(words, 1)
    entropy = (np.log(safe) - of("entropy_sum") / safe).astype(np.float32)
    return [
        *(pl.Series(name, of(count, name).astype(np.int64)) for name, count in COUNTS.items()),
        *(_ratio(of(part, name), of(whole, name)).alias(name) for name, (part, whole) in RATIOS.items()),
        _ratio(of("hashes") + of("ellipses"), of("segments", "symbol_ratio")).alias("symbol_ratio"),
        _ratio(of("dup_body_chars"), of("chars") - of("newlines")).alias("dup_line_body_frac"),
        pl.select(pl.when(pl.Series(words > 0)).then(pl.Series(entropy))).to_series().alias("word_entropy"),
        stop_words.alias("stop_words_n"),
        _ratio(of("stop_words"), np.where(known, words, 0)).alias("stop_words_frac"),
    ]
