"""Limits and stop words of a language from texts in it, after FineWeb2 (arXiv:2506.20920): no rule is made by hand.

A limit lies where it takes the same share of the language's documents as English's limit takes of the English ones
(or a share that is given). Stop words are the words that make up at least 0.8% of the language's words (FineWeb2's
share), the commonest first.
"""

from collections.abc import Iterable, Mapping
from dataclasses import asdict

import numpy as np
import polars as pl
import yaml

from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.stages.gates import RULES, Gates
from gristmill.stages.language.thresholds import MAX_STOP_WORDS, LanguageThresholds

LIMITS = {rule.limit: rule.column for rule in RULES if rule.scope == "words"}
STOP_WORD_SHARE = 0.008
SEEN_CHARS = 5_000  # of a text: so that few long ones do not decide the stop words
# Scripts in which the runs of letters between spaces are no words.
_SPACELESS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}\p{Tibetan}]"


def estimate_limits(
    documents: pl.DataFrame, gates: Gates, min_docs: int, tail: float | None
) -> list[LanguageThresholds]:
    """Limits of every language with `min_docs` documents but English, sorted by code.

    documents: language and the columns of LIMITS. tail: the share of documents that each limit takes; None: English's.
    Raises DataError where the English documents are too few to tell it.
    """
    if tail is not None and not 0 < tail < 0.5:
        raise ConfigError(f"--tail {tail}: a share between 0 and 0.5")
    english = documents.filter(pl.col("language").is_in(["en", "eng"]))
    if tail is None and english.height < min_docs:
        raise DataError(
            f"{english.height} English documents are too few to carry English's limits over (fewer than --min-docs "
            f"{min_docs}); give the share that each limit may take with --tail"
        )
    shares = {
        name: tail if tail is not None else taken(english[LIMITS[name]], getattr(gates, name), name) for name in LIMITS
    }
    found = []
    for (language,), rows in documents.drop_nulls("language").group_by("language"):
        if language not in ("en", "eng") and rows.height >= min_docs:
            limits = {name: limit_at(rows[column], shares[name], name) for name, column in LIMITS.items()}
            found.append(LanguageThresholds(str(language), **limits))
    return sorted(found, key=lambda entry: entry.language)


def taken(values: pl.Series, limit: float | None, name: str) -> float | None:
    """Share of the known values that a limit takes; None where it is off."""
    known = values.drop_nulls().to_numpy()
    if limit is None or not known.size:
        return None
    bound = np.float32(limit)
    return float((known < bound).mean() if name.startswith("min_") else (known > bound).mean())


def limit_at(values: pl.Series, share: float | None, name: str) -> float | None:
    """The limit that takes at most `share` of the values; None where that is none of them."""
    known = np.sort(values.drop_nulls().to_numpy().astype(np.float64))
    count = 0 if share is None else min(int(share * known.size), known.size - 1)
    if count == 0:
        return None
    # The value that stays on the border stays: limits are compared strictly.
    if name.startswith("min_"):
        return float(np.floor(known[count] * 1000) / 1000)
    return float(np.ceil(known[known.size - 1 - count] * 1000) / 1000)


def estimate_stop_words(texts: Iterable[pl.DataFrame], languages: Iterable[str]) -> dict[str, list[str]]:
    """Stop words by language, from batches of language and text; languages written without spaces have none."""
    wanted = list(languages)
    counts: dict[str, pl.DataFrame] = {}
    for batch in texts:
        rows = batch.filter(pl.col("language").is_in(wanted)).select(
            "language", pl.col("text").str.head(SEEN_CHARS).str.to_lowercase().str.extract_all(r"\p{L}[\p{L}\p{M}]*")
        )
        for (language,), part in rows.group_by("language"):
            words = part.select(pl.col("text").explode().drop_nulls().alias("word"))
            new = words.group_by("word").agg(pl.len().cast(pl.Int64).alias("n"))
            old = counts.get(str(language))
            both = new if old is None else pl.concat([old, new]).group_by("word").agg(pl.col("n").sum())
            counts[str(language)] = both
    return {language: commonest(frame) for language, frame in sorted(counts.items())}


def commonest(counts: pl.DataFrame) -> list[str]:
    total = int(counts["n"].sum())
    spaceless = int(counts.filter(pl.col("word").str.contains(_SPACELESS))["n"].sum())
    if not total or spaceless > total / 2:
        return []
    common = counts.filter(pl.col("n") >= STOP_WORD_SHARE * total).sort(["n", "word"], descending=[True, False])
    return common["word"].head(MAX_STOP_WORDS).to_list()


def to_yaml(
    limits: list[LanguageThresholds], stop_words: Mapping[str, list[str]], docs: Mapping[str, int], about: str
) -> str:
    """The data file that gates.languages_file and signals.languages_file read."""
    rows = []
    for entry in limits:
        row = {"language": entry.language, "docs": docs[entry.language]}
        row |= {name: value for name, value in asdict(entry).items() if name != "language"}
        if words := stop_words.get(entry.language):
            row["stop_words"] = words
        rows.append(row)
    text = yaml.safe_dump({"languages": rows}, sort_keys=False, allow_unicode=True, width=110)
    return "".join(f"# {line}\n" for line in about.splitlines()) + text
