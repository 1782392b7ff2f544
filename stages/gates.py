"""Drops documents by the rules of Gopher, C4, FineWeb and RedPajama-V2, over the columns of `gristmill.stages.signals`.

Word-level rules hold for English, and with their own limits for the languages of `languages`; rules on lines,
paragraphs and repetition hold for every language.
"""

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from difflib import get_close_matches
from typing import Annotated, ClassVar

import polars as pl

from gristmill.classifiers.language import check_code
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Amount, FilePath, Range, Share, Whole
from gristmill.pipeline.contract.shapes import Gate, Reads, first_broken
from gristmill.stages.language.stop_words import SHORT_CODES
from gristmill.stages.language.thresholds import LANGUAGES, LanguageThresholds, read_languages

NO_LANGUAGE = "no_language"  # judged last: what breaks another rule as well says more
PRESETS = ("gopher", "c4", "fineweb", "redpajama")


@dataclass(frozen=True)
class Rule:
    """A rule: it is broken where column < limit (or > limit), limit being the field of `Gates` named `limit`."""

    name: str
    limit: str
    column: str
    presets: str  # presets it belongs to; "" for a rule that holds whenever its limit is set
    # "all": every language; "words": English, and the limit of the same name for languages that have one;
    # "listed": English and every language in `languages`, same limit; "unlisted": all others; "english": English only
    scope: str = "all"

    @property
    def is_minimum(self) -> bool:
        return self.limit.startswith("min_")


# In the order in which a document is judged: the first broken rule is its fate.
RULES = (
    Rule("empty", "min_lines", "lines_n", "gopher c4 fineweb redpajama"),
    Rule("too_few_words", "min_words", "words_n", "gopher redpajama", "listed"),
    Rule("too_few_words_unlisted", "min_words_unlisted", "words_n", "gopher redpajama", "unlisted"),
    Rule("too_many_words", "max_words", "words_n", "gopher", "listed"),
    Rule("too_many_words_redpajama", "max_words_redpajama", "words_n", "redpajama", "listed"),
    Rule("words_too_short", "min_mean_word_len", "mean_word_len", "gopher redpajama", "words"),
    Rule("words_too_long", "max_mean_word_len", "mean_word_len", "gopher redpajama", "words"),
    Rule("too_many_hashes", "max_hash_ratio", "hash_ratio", "gopher"),
    Rule("too_many_ellipses", "max_ellipsis_ratio", "ellipsis_ratio", "gopher"),
    Rule("too_many_symbols", "max_symbol_ratio", "symbol_ratio", "redpajama"),
    Rule("too_many_bullet_lines", "max_bullet_lines_frac", "bullet_lines_frac", "gopher"),
    Rule("too_many_bullet_points", "max_bullet_point_lines_frac", "bullet_point_lines_frac", "redpajama"),
    Rule("too_many_ellipsis_lines", "max_ellipsis_lines_frac", "ellipsis_lines_frac", "gopher"),
    Rule("too_few_alphabetic_words", "min_alpha_words_frac", "alpha_words_frac", "gopher", "words"),
    Rule("too_few_stop_words", "min_stop_words", "stop_words_n", "gopher"),
    Rule("too_many_dup_paragraphs", "max_dup_paragraphs_frac", "dup_paragraphs_frac", "gopher"),
    Rule("too_many_dup_paragraph_chars", "max_dup_paragraph_chars_frac", "dup_paragraph_chars_frac", "gopher"),
    Rule("too_many_dup_lines", "max_dup_lines_frac", "dup_lines_frac", "gopher"),
    Rule("too_many_dup_line_chars", "max_dup_line_chars_frac", "dup_line_chars_frac", "gopher"),
    Rule("top_2gram_too_common", "max_top_2gram_chars_frac", "top_2gram_chars_frac", "gopher redpajama"),
    Rule("top_3gram_too_common", "max_top_3gram_chars_frac", "top_3gram_chars_frac", "gopher"),
    Rule("top_4gram_too_common", "max_top_4gram_chars_frac", "top_4gram_chars_frac", "gopher"),
    Rule("too_many_dup_5grams", "max_dup_5gram_chars_frac", "dup_5gram_chars_frac", "gopher"),
    Rule("too_many_dup_6grams", "max_dup_6gram_chars_frac", "dup_6gram_chars_frac", "gopher"),
    Rule("too_many_dup_7grams", "max_dup_7gram_chars_frac", "dup_7gram_chars_frac", "gopher"),
    Rule("too_many_dup_8grams", "max_dup_8gram_chars_frac", "dup_8gram_chars_frac", "gopher"),
    Rule("too_many_dup_9grams", "max_dup_9gram_chars_frac", "dup_9gram_chars_frac", "gopher"),
    Rule("too_many_dup_10grams", "max_dup_10gram_chars_frac", "dup_10gram_chars_frac", "gopher"),
    Rule("lorem_ipsum", "max_c4_lorem_lines", "c4_lorem_lines_n", "c4"),
    Rule("curly_brace", "max_c4_curly_lines", "c4_curly_lines_n", "c4"),
    Rule("too_few_sentences", "min_c4_sentences", "c4_sentences_n", "c4", "english"),
    Rule("too_few_ended_lines", "min_ended_lines_frac", "ended_lines_frac", "fineweb", "words"),
    Rule("too_many_short_lines", "max_short_lines_frac", "short_lines_frac", "fineweb", "english"),
    Rule("too_many_dup_line_body", "max_dup_line_body_frac", "dup_line_body_frac", "fineweb", "english"),
    Rule("too_many_newlines", "max_newline_ratio", "newline_ratio", "fineweb", "words"),
    Rule("too_few_chars", "min_chars", "chars_n", ""),
    Rule("too_few_unique_words", "min_unique_words_frac", "unique_words_frac", ""),
    Rule("too_little_entropy", "min_word_entropy", "word_entropy", ""),
    Rule("too_many_capital_words", "max_caps_words_frac", "caps_words_frac", ""),
    Rule("too_many_upper_chars", "max_upper_chars_frac", "upper_chars_frac", ""),
    Rule("too_many_numeric_chars", "max_numeric_chars_frac", "numeric_chars_frac", ""),
    Rule("too_many_curly_braces", "max_curly_braces", "curly_braces_n", ""),
    Rule("too_many_lorem_ipsums", "max_lorem_ipsums", "lorem_ipsums_n", ""),
    Rule("too_many_javascripts", "max_javascripts", "javascripts_n", ""),
    Rule("too_many_bad_words", "max_bad_words", "bad_words_n", ""),
    Rule("too_little_kept_by_c4", "min_c4_kept_chars_frac", "c4_kept_chars_frac", ""),
)


OFF = "off"


@dataclass(frozen=True)
class SourceGates:
    """Gates of one source: "off", presets in place of the common ones, or limits that differ ({min_words: 20})."""

    name: str
    gates: str | tuple[str, ...] | dict[str, float | tuple[str, ...] | None] | None = None

    @property
    def presets(self) -> tuple[str, ...] | None:
        """Of this source alone; None: the common ones."""
        if isinstance(self.gates, dict):
            own = self.gates.get("presets")
            return None if own is None else tuple(own)  # pyright: ignore[reportArgumentType]
        return (self.gates,) if isinstance(self.gates, str) else self.gates

    @property
    def limits(self) -> dict[str, float | None]:
        given = self.gates if isinstance(self.gates, dict) else {}
        return {key: value for key, value in given.items() if key != "presets"}  # pyright: ignore


@dataclass(frozen=True)
class Gates(Gate):
    """Drops documents outside the papers' limits. null switches a rule off; a document exactly at a limit passes."""

    # Which sets of rules hold, of gopher, c4, fineweb, redpajama. FineWeb used gopher, most of c4, and its own.
    presets: tuple[str, ...] = ("gopher", "c4", "fineweb")

    # All presets: a text without a line that is not blank.
    min_lines: Whole | None = 1
    # All presets: a text in which no language was found (digits, hex, base64, lists of addresses): word-level limits
    # know no language for it. null keeps such texts.
    min_languages: Annotated[int, Range(1, 1)] | None = 1

    # Gopher (arXiv:2112.11446, A1.1), quality.
    min_words: Whole | None = 50
    # Of languages without limits of their own, whose words may be long: below it a text is a label, not prose.
    min_words_unlisted: Whole | None = 10
    max_words: Whole | None = 100_000
    min_mean_word_len: Amount | None = 3
    max_mean_word_len: Amount | None = 10
    max_hash_ratio: Amount | None = 0.1  # per word
    max_ellipsis_ratio: Amount | None = 0.1  # per word
    max_bullet_lines_frac: Share | None = 0.9
    max_ellipsis_lines_frac: Share | None = 0.3
    min_alpha_words_frac: Share | None = 0.8
    min_stop_words: Whole | None = 2  # different ones, in lower case; languages without a list are not judged

    # Gopher, repetition (table A1).
    max_dup_lines_frac: Share | None = 0.30
    max_dup_paragraphs_frac: Share | None = 0.30
    max_dup_line_chars_frac: Share | None = 0.20
    max_dup_paragraph_chars_frac: Share | None = 0.20
    max_top_2gram_chars_frac: Share | None = 0.20
    max_top_3gram_chars_frac: Share | None = 0.18
    max_top_4gram_chars_frac: Share | None = 0.16
    max_dup_5gram_chars_frac: Share | None = 0.15
    max_dup_6gram_chars_frac: Share | None = 0.14
    max_dup_7gram_chars_frac: Share | None = 0.13
    max_dup_8gram_chars_frac: Share | None = 0.12
    max_dup_9gram_chars_frac: Share | None = 0.11
    max_dup_10gram_chars_frac: Share | None = 0.10

    # C4 (arXiv:1910.10683, 2.2); like its code, over the lines that its line rules have not dropped before.
    min_c4_sentences: Whole | None = 5
    max_c4_lorem_lines: Whole | None = 0
    max_c4_curly_lines: Whole | None = 0

    # FineWeb (arXiv:2406.17557, 3.6); the newline rule is in its code.
    min_ended_lines_frac: Share | None = 0.12
    max_short_lines_frac: Share | None = 0.67
    max_dup_line_body_frac: Share | None = 0.01
    max_newline_ratio: Amount | None = 0.3  # per word

    # RedPajama-V2's rules after Gopher (its dataset card, "Applying Filtering Rules"), where they differ.
    max_words_redpajama: Whole | None = 10_000
    max_symbol_ratio: Amount | None = 0.1  # per word, hash signs and ellipses together
    max_bullet_point_lines_frac: Share | None = 0.9

    # Further columns that RedPajama-V2 and C4 name, without a limit of their own.
    min_chars: Whole | None = None
    min_unique_words_frac: Share | None = None
    min_word_entropy: Amount | None = None  # nats
    max_caps_words_frac: Share | None = None
    max_upper_chars_frac: Share | None = None
    max_numeric_chars_frac: Share | None = None
    max_curly_braces: Whole | None = None
    max_lorem_ipsums: Whole | None = None
    min_c4_kept_chars_frac: Share | None = None
    max_javascripts: Whole | None = None
    max_bad_words: Whole | None = None  # C4: 0, with the list of signals.bad_words

    # Limits of the word-level rules for languages other than English (FineWeb2's).
    languages: tuple[LanguageThresholds, ...] = LANGUAGES
    # Data file with limits of more languages, or of these in their place (gristmill thresholds makes one from a run).
    languages_file: FilePath | None = None

    sources: tuple[SourceGates, ...] = ()  # of the list `sources`

    name: ClassVar[str] = "gates"
    version: ClassVar[int] = 6
    borrowed: ClassVar = {"sources": ("sources",)}
    rules: ClassVar[tuple[str, ...]] = (*(rule.name for rule in RULES), NO_LANGUAGE)
    # rule -> the field that limits it
    limits: ClassVar[dict[str, str]] = {**{rule.name: rule.limit for rule in RULES}, NO_LANGUAGE: "min_languages"}
    files: ClassVar[tuple[str, ...]] = ("languages_file",)

    def __post_init__(self) -> None:
        for preset in self.presets:
            if preset not in PRESETS:
                near = get_close_matches(preset, PRESETS, 1)
                hint = f"; did you mean {near[0]!r}?" if near else ""
                raise ConfigError(f"gates.presets holds {preset!r}; it knows {', '.join(PRESETS)}{hint}")
        defaults = {field.name: field.default for field in fields(self)}
        for source in self.sources:
            self.of(source)
        codes = [entry.language for entry in self.languages]
        for i, code in enumerate(codes):
            check_code(code, f"gates.languages.{i}.language")
            if code in codes[:i]:
                raise ConfigError(f"gates.languages.{i}.language: {code!r} stands twice")
        for rule in RULES:
            changed = getattr(self, rule.limit) not in (None, defaults[rule.limit])
            if changed and rule.presets and not self._holds(rule):
                raise ConfigError(
                    f"gates.{rule.limit} is set, but its rule {rule.name!r} is not in force: "
                    f"add {' or '.join(rule.presets.split())} to gates.presets"
                )

    @property
    def reads(self) -> Reads:
        common = {"language": ("language",), "signals": tuple(dict.fromkeys(rule.column for rule in RULES))}
        return {**common, "ingest": ("source",)} if self.sources else common

    def of(self, source: SourceGates) -> "Gates | None":
        """The gates of a source; None: off. Raises ConfigError for presets and limits that there are not."""
        if source.gates in (OFF, (OFF,)):
            return None
        presets = self.presets if source.presets is None else source.presets
        known = set(self.limits.values())
        defaults = {field.name: field.default for field in fields(self)}
        for key in source.limits:
            if key not in known:
                near = get_close_matches(key, known, 1)
                hint = f"; did you mean {near[0]}?" if near else ""
                raise ConfigError(f"source {source.name}: gates has no limit {key!r}{hint}")
        # A common limit whose rule this source's presets do not hold says nothing about this source.
        outside = {
            rule.limit: defaults[rule.limit]
            for rule in RULES
            if rule.presets and not set(rule.presets.split()) & set(presets)
        }
        whole = {
            key: int(v) if v is not None and isinstance(defaults[key], int) else v for key, v in source.limits.items()
        }
        try:
            return replace(self, sources=(), presets=presets, **{**outside, **whole})  # pyright: ignore
        except ConfigError as error:
            raise ConfigError(f"source {source.name}: {error}") from error

    def _holds(self, rule: Rule) -> bool:
        return not rule.presets or any(preset in rule.presets.split() for preset in self.presets)

    def all_languages(self) -> dict[str, LanguageThresholds]:
        """Language -> its limits: those of the file, then those of `languages`. Raises ConfigError for a bad file."""
        own = {entry.language: entry for entry in self.languages}
        if self.languages_file is not None:
            own |= {language: entry.limits for language, entry in read_languages(self.languages_file).items()}
        return own

    def judged_languages(self) -> set[str]:
        """Codes of the languages for which word-level rules hold; a report warns of the others."""
        return {"en", "eng", *(code for language in self.all_languages() for code in codes_of(language))}

    def table(self) -> dict[str, pl.Expr]:
        """Rule name -> whether a row breaks it, for the rules in force."""
        rules = [rule for rule in RULES if self._holds(rule) and getattr(self, rule.limit) is not None]
        languages = self.all_languages()
        table = {rule.name: self._broken(rule, languages) for rule in rules}
        if self.min_languages is not None:
            table[NO_LANGUAGE] = pl.col("language").is_null()
        return table

    def _broken(self, rule: Rule, languages: dict[str, LanguageThresholds]) -> pl.Expr:
        limit = getattr(self, rule.limit)
        column = pl.col(rule.column)
        # signals stores fractions as float32, so limits are rounded alike: a document exactly at the limit stays
        bound = pl.lit(limit, pl.Int64 if isinstance(limit, int) and rule.column.endswith("_n") else pl.Float32)
        if rule.scope == "unlisted":
            judged = pl.col("language").is_in(sorted(self.judged_languages()))
            bound = pl.when(judged | pl.col("language").is_null()).then(None).otherwise(bound)
        elif rule.scope != "all":
            limits = dict.fromkeys(("en", "eng"), limit)
            if rule.scope != "english":
                for language, entry in languages.items():
                    own = limit if rule.scope == "listed" else getattr(entry, rule.limit)
                    if own is not None and language not in ("en", "eng"):
                        limits |= dict.fromkeys(codes_of(language), own)
            bound = pl.col("language").replace_strict(
                limits, default=None, return_dtype=pl.Int64 if rule.column.endswith("_n") else pl.Float32
            )
        return column < bound if rule.is_minimum else column > bound

    def table_for(self, document: Mapping[str, object]) -> dict[str, pl.Expr]:
        for source in self.sources:
            if document.get("source") == source.name:
                own = self.of(source)
                return own.table() if own else {}
        return self.table()

    def preflight(self) -> None:
        if self.languages_file is not None:
            read_languages(self.languages_file)

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        decision = first_broken(batch, self.table())
        for source in self.sources:
            mine = batch["source"] == source.name
            if mine.any():
                own = self.of(source)
                ruled = first_broken(batch, own.table() if own else {})
                decision = ruled.zip_with(mine.fill_null(False), decision)
        return decision


def codes_of(language: str) -> list[str]:
    """The ISO 639-1 code and the 639-3 codes that stand for it."""
    return [language, *(long for long, short in SHORT_CODES.items() if short == language)]
