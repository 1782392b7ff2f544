"""Pins the total weight of every language, and limits the search to languages that target text is written in.

Target text in one language says nothing about another, and a search that is free to do so moves everything to the
targets' language. So the shares of languages are set by a rule, and weights move inside a language only.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.constraints import Constraints, Group, project, unconstrained, unimax

Rule = str | Mapping[str, float]
FREE, NATURAL, UNIMAX, TEMPERATURE = "free", "natural", "unimax", "temperature"
UNKNOWN = "unknown"
SMALL = "other"  # languages that share a bucket
LEAST = 0.05  # of the targets' tokens: a language with less has too little text to be searched for
SMOOTHING = 0.1  # added to every token's count, so that a language's model gives every token a probability


@dataclass(frozen=True, eq=False)
class Languages:
    """names (l,); of (k,): which language a bucket is of; shares (l,): of the corpus's tokens."""

    names: tuple[str, ...]
    of: np.ndarray
    shares: np.ndarray
    rule: str

    def pinned(self, c: Constraints) -> Constraints:
        """Every language's buckets together have its share. Raises InfeasibleError where bounds contradict that."""
        groups = []
        for i, name in enumerate(self.names):
            members = tuple(np.flatnonzero(self.of == i).tolist())
            groups.append(Group(f"language {name}", members, float(self.shares[i]), float(self.shares[i])))
        return replace(c, groups=tuple(groups))

    def only(self, c: Constraints, natural: np.ndarray, searched: Sequence[str]) -> Constraints:
        """Buckets of all other languages are fixed at their natural part of the language's share. natural (k,)."""
        home = project(natural[None], c)[0]
        fixed = np.array([self.names[i] not in searched for i in self.of])
        lower, upper = np.where(fixed, home, c.lower), np.where(fixed, home, c.upper)
        return replace(c, lower=tuple(lower.tolist()), upper=tuple(upper.tolist()))

    def of_text(self, streams: Sequence[np.ndarray], target: np.ndarray, vocab: int) -> str:
        """The language whose documents give a text's tokens the highest likelihood (unigrams, a naive Bayes classifier
        of the run's own making). streams: token ids per bucket."""
        best, name = -np.inf, UNKNOWN
        for i, language in enumerate(self.names):
            mine = [s for s, of in zip(streams, self.of, strict=True) if of == i]
            counts = np.bincount(np.concatenate(mine), minlength=vocab) + SMOOTHING
            score = float(np.log(counts[target] / counts.sum()).sum())
            if score > best:
                best, name = score, language
        return name

    def searched(self, streams: Sequence[np.ndarray], texts: Sequence[np.ndarray], vocab: int) -> list[str]:
        """Languages of several buckets in which at least LEAST of the target texts' tokens are written."""
        tokens = dict.fromkeys(self.names, 0)
        for text in texts:
            tokens[self.of_text(streams, text, vocab)] += len(text)
        least = LEAST * sum(map(len, texts))
        several = {name for i, name in enumerate(self.names) if (self.of == i).sum() > 1}
        return [name for name in self.names if name in several and tokens[name] >= max(least, 1)]

    def summary(self, searched: Sequence[str]) -> dict[str, object]:
        shares = {name: round(float(s), 6) for name, s in zip(self.names, self.shares, strict=True)}
        return {"language_rule": self.rule, "languages_searched": list(searched), "languages": shares}


def check_rule(rule: Rule) -> None:
    """Raises ConfigError for what is no rule."""
    ways = f"{NATURAL}, {UNIMAX}, {FREE}, {{{TEMPERATURE}: 3}} or {{language: share}}"
    if isinstance(rule, str):
        if rule not in (FREE, NATURAL, UNIMAX):
            raise ConfigError(f"mixture.languages: {rule!r} is none of {ways}")
    elif set(rule) == {TEMPERATURE}:
        if rule[TEMPERATURE] < 1:
            raise ConfigError(f"mixture.languages.temperature: at least 1 (1 is natural), not {rule[TEMPERATURE]:g}")
    elif not rule or sum(rule.values()) > 1 + 1e-6:
        raise ConfigError(f"mixture.languages: {dict(rule)} names no shares that sum to 1 at most; give {ways}")


def languages_of(
    docs: pl.DataFrame, buckets: Sequence[str], rule: Rule, budget: int, epochs: float
) -> Languages | None:
    """What the rule makes of the run's languages; None where there is one, or buckets hold several.

    docs: bucket, language, token_count. Raises ConfigError where shares are given and buckets hold several languages.
    """
    docs = docs.filter(pl.col("bucket").is_in(buckets))
    table = docs.group_by("bucket", "language").agg(pl.col("token_count").sum()).sort("bucket", "language")
    # Languages that have one bucket together and no other are one: the small ones (stages/cluster).
    whole = table.filter(pl.len().over("language") == 1, pl.len().over("bucket") > 1)["bucket"]
    small = table.filter(pl.col("bucket").is_in(whole.implode()), pl.len().over("language") == 1)["language"]
    docs = docs.with_columns(
        pl.when(pl.col("language").is_in(small.implode())).then(pl.lit(SMALL)).otherwise("language").alias("language")
    )
    table = docs.group_by("bucket", "language").agg(pl.col("token_count").sum()).sort("bucket", "language")
    mixed = table.height != len(buckets)
    names = tuple(sorted(table["language"].unique().to_list()))
    if rule == FREE or len(names) < 2:
        return None
    if mixed:
        if rule == NATURAL:
            return None
        raise ConfigError("mixture.languages: the buckets hold several languages; set domain.bucket.by: cluster")
    owner = dict(table.select("bucket", "language").iter_rows())
    of = np.array([names.index(owner[b]) for b in buckets])
    sizes = dict(docs.group_by("language").agg(pl.col("token_count").sum()).iter_rows())
    tokens = np.array([float(sizes[n]) for n in names])
    shares = shares_of(names, tokens, rule, budget, epochs)
    told = rule if isinstance(rule, str) else ", ".join(f"{key} {value:g}" for key, value in rule.items())
    return Languages(names, of, shares, told)


def shares_of(names: Sequence[str], tokens: np.ndarray, rule: Rule, budget: int, epochs: float) -> np.ndarray:
    """(l,) shares within what `epochs` of each language's tokens allow at the budget, rounded to 6 decimals."""
    natural = tokens / tokens.sum()
    if rule == NATURAL:
        return natural
    if rule == UNIMAX:
        return unimax(tokens, budget, epochs)
    assert not isinstance(rule, str)
    if set(rule) == {TEMPERATURE}:
        wanted = natural ** (1 / rule[TEMPERATURE])  # arXiv:1907.05019: p ~ n^(1/T)
        caps = replace(unconstrained(names), upper=tuple(np.minimum(1.0, tokens * epochs / budget).tolist()))
        return project((wanted / wanted.sum())[None], caps)[0]
    unknown = sorted(set(rule) - set(names))
    if unknown:
        raise ConfigError(f"mixture.languages: no bucket is of {', '.join(unknown)}; there are {', '.join(names)}")
    given = np.array([rule.get(n, 0.0) for n in names])
    rest = np.where([n in rule for n in names], 0.0, natural)
    left = 1 - given.sum()
    if rest.sum() > 0:
        return given + left * rest / rest.sum()
    return given / given.sum()
