"""QuaDMix's parameters in a run: from a parameter vector to every document's copies (arXiv:2504.16511, 3.1)."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Annotated, Literal

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Count, Range, Share, Size, SomeShare
from gristmill.pipeline.kernels.numbers.criteria import BucketParameters, Criterion, Normalise, merged_quality
from gristmill.pipeline.kernels.numbers.sampling_curve import (
    DEFAULT_SHAPE,
    UNKNOWN_RANK,
    EtaMode,
    Shape,
    kept_ratio,
    sampling_value,
    token_ranks,
)
from gristmill.stages.mixture.constraints import Constraints, project
from gristmill.stages.mixture.rates.searchers import QuadmixSpace, ThetaSearch, TrustRegion

LEAST_FLOOR = 1e-6  # epsilon of stored parameters: at 0 some quotas could not be met
MARGIN = 1e-6  # of the unit cube, where a start would lie on its border


@dataclass(frozen=True)
class ParameterSection:
    """The search for QuaDMix's parameters (modes quadmix and both)."""

    method: Literal["trust_region", "random"] = "trust_region"  # random: the paper's (draws, LightGBM, ten best)
    runs: Annotated[int, Range(40, 10_000_000)] | None = (
        None  # proxy runs; null: ngram 1200 (random: 3000, the paper's), gpt and command 64
    )
    lambda_scale: Literal["log10", "linear"] = "log10"  # the paper's "10 3 lambda": 10^(3 lambda), or 1000 lambda
    # Greatest omega. Paper: 0.1, as it picks 30B tokens of a huge pool; here a bucket's quota may be most of it
    omega_max: SomeShare = 1.0
    epsilon_max: SomeShare = 0.001  # paper: 0.001
    # Buckets with a smaller share of the tokens have one set of parameters together; 1: all have one
    shared_below: Share = 0.02
    cells: Size = (
        256  # groups of like documents, of those they read, that gpt and command weigh; ngram weighs documents
    )

    def __post_init__(self) -> None:
        if self.runs is not None and self.runs < 40:
            raise ConfigError(f"mixture.parameters.runs: {self.runs}; at least 40, or there is nothing to learn from")
        if not 0 < self.omega_max <= 1 or not 0 < self.epsilon_max <= 1 or not 0 <= self.shared_below <= 1:
            raise ConfigError(
                "mixture.parameters: omega_max and epsilon_max must lie above 0 and at most at 1, shared_below between "
                f"0 and 1; got {self.omega_max}, {self.epsilon_max}, {self.shared_below}"
            )
        if self.cells < 1:
            raise ConfigError(f"mixture.parameters.cells: {self.cells}; at least 1")

    def searcher(self, exact: bool) -> ThetaSearch | TrustRegion:
        n = self.runs or (64 if not exact else 1200 if self.method == "trust_region" else 3000)
        if self.method == "random":
            return ThetaSearch(n)
        batch = max(4, n // 60)
        rounds = (n - max(24, n // 6)) // batch
        return TrustRegion(n - rounds * batch, rounds, batch)


@dataclass(frozen=True)
class Copying:
    """What the sections `quadmix` and `sample` say about copies: the search must sample as the run will."""

    criteria: tuple[Criterion, ...] = (Criterion("q_reference"), Criterion("q_importance"))
    normalise: Normalise = "rank"
    shape: Shape = DEFAULT_SHAPE
    buckets: tuple[BucketParameters, ...] = ()
    eta_mode: EtaMode = "power"
    sample_docs: Count | None = 10_000
    max_copies: int = 4


PARAMETERS, COPYING = ParameterSection(), Copying()


@dataclass(frozen=True, eq=False)
class Documents:
    """n documents, read or drawn. bucket (n,) from 0; tokens (n,) float64 that each stands for; scaled (n, criteria),
    NaN where unknown; cell (n,)."""

    bucket: np.ndarray
    tokens: np.ndarray
    scaled: np.ndarray
    cell: np.ndarray

    @cached_property
    def rows(self) -> list[np.ndarray]:
        """Documents of each bucket."""
        order = np.argsort(self.bucket, kind="stable")
        return np.split(order, np.cumsum(np.bincount(self.bucket))[:-1])


@dataclass(frozen=True, eq=False)
class Rule:
    """S of k buckets: alphas (k, criteria) and shapes."""

    alphas: np.ndarray
    shapes: tuple[Shape, ...]

    def by_bucket(self, buckets: Sequence[str]) -> dict[str, dict[str, object]]:
        """As it is stored."""
        return {
            b: {"weights": a.tolist(), "shape": vars(s)}
            for b, a, s in zip(buckets, self.alphas, self.shapes, strict=True)
        }


def default_rule(copying: Copying, k: int) -> Rule:
    """What mode climb samples by."""
    alpha = np.array([c.weight for c in copying.criteria])
    return Rule(np.tile(alpha / alpha.sum(), (k, 1)), (copying.shape,) * k)


def groups_of(sizes: np.ndarray, shared_below: float) -> np.ndarray:
    """(k,) which set of parameters each bucket has: large ones their own, the small ones one together."""
    small = sizes < shared_below * sizes.sum()
    group = np.zeros(len(sizes), np.int64)
    group[~small] = np.arange((~small).sum())
    group[small] = (~small).sum()
    return group


def rule_of(space: QuadmixSpace, theta: np.ndarray, group: np.ndarray) -> Rule:
    """theta (p,) as a rule for k buckets, group (k,); rounded as it is stored."""
    parts = space.unpack(theta)
    columns = (parts["lambda"], parts["omega"], parts["eta"], np.maximum(parts["epsilon"], LEAST_FLOOR))
    shapes = [Shape(*(round(float(v), 6) for v in row)) for row in zip(*columns, strict=True)]
    return Rule(np.round(parts["alpha"], 6)[group], tuple(shapes[g] for g in group))


def start_of(space: QuadmixSpace, copying: Copying, cuts: np.ndarray | None = None) -> np.ndarray:
    """(1, inputs) uniform numbers that give every set of parameters the default's criteria and shape, as far as the
    space's ranges reach; cuts (sets,): their omegas instead of the default's."""
    alpha, shape, m = np.array([c.weight for c in copying.criteria]), copying.shape, space.domains
    steep = np.log10(max(shape.slope, 1.0)) / 3 if space.lambda_scale == "log10" else shape.slope / 1000
    omega = np.full(m, shape.cut) if cuts is None else cuts
    numbers = [np.full(m, steep), omega / space.omega_max, np.full(m, shape.gain)]
    numbers += [np.full(m, shape.floor / space.epsilon_max)]
    u = np.concatenate([alpha / alpha.max(), np.ones(len(alpha) * m), *numbers])
    return np.clip(u, MARGIN, 1 - MARGIN)[None]


def leaning(weights: np.ndarray, sizes: np.ndarray, group: np.ndarray, copying: Copying) -> np.ndarray:
    """(sets,) omegas by which shares near `weights` (k,) emerge from buckets of `sizes` (k,): a start for mode quadmix.
    The most favoured set takes all of its buckets."""
    ratio = np.bincount(group, weights=weights) / np.bincount(group, weights=sizes)
    wanted = ratio / ratio.max() * kept_ratio(replace(copying.shape, cut=1.0), copying.eta_mode)
    low, high = np.zeros(len(ratio)), np.ones(len(ratio))
    for _ in range(20):
        middle = (low + high) / 2
        kept = np.array([kept_ratio(replace(copying.shape, cut=float(c)), copying.eta_mode) for c in middle])
        low, high = np.where(kept < wanted, middle, low), np.where(kept < wanted, high, middle)
    return high


def relative(docs: Documents, rule: Rule, eta_mode: EtaMode) -> np.ndarray:
    """(n,) sampling value S of every document: criteria merged, ranked in the bucket's tokens, shaped (eq. 1 to 3)."""
    result = np.empty(len(docs.tokens))
    for b, rows in enumerate(docs.rows):
        merged = merged_quality(docs.scaled[rows], rule.alphas[b].tolist())
        known = ~np.isnan(merged)
        ranks = np.full(len(rows), UNKNOWN_RANK)
        if known.any():
            ranks[known] = token_ranks(merged[known], docs.tokens[rows][known])
        result[rows] = sampling_value(ranks, rule.shapes[b], eta_mode)
    return result


def emerging(docs: Documents, rate: np.ndarray, limits: Constraints) -> np.ndarray:
    """(k,) the buckets' shares that S alone gives, moved into the limits."""
    mass = np.bincount(docs.bucket, weights=rate * docs.tokens)
    return project(mass[None], limits)[0]


def copies(docs: Documents, rate: np.ndarray, quota: np.ndarray, cap: float) -> np.ndarray:
    """(n,) expected copies min(k_b * S, cap), k_b solved so that bucket b has quota[b] tokens (or all it can hold)."""
    result = np.empty(len(docs.tokens))
    for b, rows in enumerate(docs.rows):
        result[rows] = met(rate[rows], docs.tokens[rows], float(quota[b]), cap)
    return result


def met(rate: np.ndarray, tokens: np.ndarray, quota: float, cap: float) -> np.ndarray:
    """(n,) min(k * rate, cap) that hold `quota` tokens; rate (n,) > 0."""
    order = np.argsort(-rate, kind="stable")
    r, t = rate[order], tokens[order]
    capped = cap * (np.cumsum(t) - t)  # tokens of those before, all at the cap
    rest = np.cumsum((r * t)[::-1])[::-1]
    k = (quota - capped) / np.maximum(rest, 1e-300)
    fits = np.flatnonzero(k * r <= cap)
    if not len(fits):
        return np.full(len(rate), cap)
    return np.minimum(max(float(k[fits[0]]), 0.0) * rate, cap)
