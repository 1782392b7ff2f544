"""Mixtures to try before anything is known: RegMix's sampler, CLIMB's candidate pool, and a space-filling design."""

from dataclasses import dataclass

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError, InfeasibleError
from gristmill.stages.mixture.constraints import Constraints, project


@dataclass(frozen=True)
class RegMixSampler:
    """RegMix's swarm (arXiv:2407.01492; constants as in its released configuration sampler)."""

    temperature: float = 0.5  # exponent on the prior, applied if below 1
    min_strength: float = 0.1  # Dirichlet strengths, log-spaced
    max_strength: float = 5.0
    strengths: int = 15
    oversample: int = 100  # draws per mixture that is kept
    max_usage: float = 15.0  # cap: this many times the untempered prior
    minimum: float = 2e-4  # smaller weights become 0; also the rounding step
    same: float = 1e-5  # two mixtures closer than this in L1 are one

    def draw(self, prior: np.ndarray, n: int, rng: np.random.Generator, cap: np.ndarray | None = None) -> np.ndarray:
        """(n, k) mixtures around the prior (k,). Rows sum to 1 up to the rounding, as the original's do.

        `cap` (k,) replaces max_usage * prior. Raises InfeasibleError if fewer than n different mixtures are found.
        """
        prior = normal(prior)
        cap = np.minimum(self.max_usage * prior, 1.0) if cap is None else cap
        around = normal(prior**self.temperature) if self.temperature < 1 else prior
        strength = np.logspace(np.log10(self.min_strength), np.log10(self.max_strength), self.strengths)
        draws = self.oversample * n
        # The original draws one row per strength and keeps one at random: drawing the strength is the same law.
        w = dirichlet(around, strength[rng.integers(self.strengths, size=draws)], rng)
        w = w[(w <= cap).all(axis=1)]
        w = np.where(w < self.minimum, 0.0, w)
        w = w[w.sum(axis=1) > 0]
        w = np.round(w / w.sum(axis=1, keepdims=True) / self.minimum) * self.minimum
        w = distinct(w, self.same)
        if len(w) < n:
            raise InfeasibleError(
                f"RegMix's sampler found {len(w)} different mixtures under the caps in {draws} draws, {n} are needed: "
                "raise max_usage (or the caps), the oversampling, or ask for fewer"
            )
        return w[rng.choice(len(w), size=n, replace=False)]


def normal(prior: np.ndarray) -> np.ndarray:
    prior = np.asarray(prior, dtype=float)
    if (prior < 0).any() or not prior.sum() > 0:
        raise ConfigError("a prior over buckets must be >= 0 and have a sum above 0")
    return prior / prior.sum()


def dirichlet(prior: np.ndarray, strength: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """(n, k) rows from Dir(prior * strength[i]). A bucket with prior 0 always has weight 0.

    Gamma draws with tiny shape underflow to 0, so they are made in logs: G(a) = G(a + 1) * U^(1/a).
    """
    shape = np.maximum(strength[:, None] * prior, 1e-300)
    log_g = np.log(rng.standard_gamma(shape + 1.0)) + np.log1p(-rng.random(shape.shape)) / shape
    log_g = np.where(prior > 0, log_g, -np.inf)
    w = np.exp(log_g - log_g.max(axis=1, keepdims=True))
    return w / w.sum(axis=1, keepdims=True)


def distinct(w: np.ndarray, same: float) -> np.ndarray:
    """Rows in lexicographic order; a row within L1 distance `same` of the last one kept is dropped."""
    w = w[np.lexsort(w.T)]
    kept = []
    for i in range(len(w)):
        if not kept or np.abs(w[i] - w[kept[-1]]).sum() > same:
            kept.append(i)
    return w[kept]


def swarm(sampler: RegMixSampler, prior: np.ndarray, n: int, c: Constraints, rng: np.random.Generator) -> np.ndarray:
    """(n, k) RegMix mixtures that obey the constraints: rejected over the caps as the original does, then moved to
    the nearest allowed mixture. Where caps are so tight that rejection starves, all draws are moved instead."""
    upper = np.minimum(np.array(c.upper), np.minimum(sampler.max_usage * normal(prior), 1.0))
    try:
        drawn = sampler.draw(prior, n, rng, cap=upper)
    except InfeasibleError:
        drawn = sampler.draw(prior, n, rng, cap=np.ones(len(prior)))
    return project(drawn, c)


def pool(prior: np.ndarray, n: int, c: Constraints, rng: np.random.Generator, strength: float = 1.0) -> np.ndarray:
    """(n, k) candidates: Dir(strength * prior), moved into the constraints (the originals leave them out here)."""
    return project(dirichlet(normal(prior), np.full(n, strength), rng), c)


def cover(prior: np.ndarray, n: int, c: Constraints, rng: np.random.Generator, oversample: int = 20) -> np.ndarray:
    """(n, k) space-filling design: of many draws at RegMix's strengths, those that are farthest apart in
    log(w + 1e-3) (greedy maximin from the draw nearest to the prior, Kennard and Stone 1969)."""
    sampler = RegMixSampler()
    strength = np.logspace(np.log10(sampler.min_strength), np.log10(sampler.max_strength), sampler.strengths)
    around = normal(normal(prior) ** sampler.temperature)
    w = project(dirichlet(around, strength[rng.integers(len(strength), size=oversample * n)], rng), c)
    x = np.log(w + 1e-3)
    start = int(np.argmin(((x - np.log(project(normal(prior)[None], c) + 1e-3)) ** 2).sum(axis=1)))
    chosen, distance = [start], ((x - x[start]) ** 2).sum(axis=1)
    while len(chosen) < n:
        chosen.append(int(np.argmax(distance)))
        distance = np.minimum(distance, ((x - x[chosen[-1]]) ** 2).sum(axis=1))
    return w[chosen]
