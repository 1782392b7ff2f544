"""Planted optima and the negative control: does a search find what is there, and say so where nothing is?

    python benchmarks/mixture/planted.py [mixtures|one_shot|theta|nothing ...] [--seeds N]

The worlds are those of the specifications: a sparse concave utility of the weights (CLIMB, RegMix), documents with a
latent quality (QuaDMix), and losses that have nothing to do with the weights.
"""

import argparse
import time

import numpy as np
from tables import mean_interval, regmix_tables

from gristmill.pipeline.kernels.numbers.sampling_curve import Shape, sampling_value
from gristmill.stages.mixture.constraints import unconstrained
from gristmill.stages.mixture.objective import Objective, mean_of
from gristmill.stages.mixture.predictors.average import Average
from gristmill.stages.mixture.predictors.trees import CLIMB_TREES
from gristmill.stages.mixture.rates.searchers import Evaluate, QuadmixSpace, ThetaSearch, TrustRegion
from gristmill.stages.mixture.search.bayes import REFINED, Bayes
from gristmill.stages.mixture.search.final_mixture import ARGMIN
from gristmill.stages.mixture.search.regmix_climb import Climb, OneShot
from gristmill.stages.mixture.search.search import Method, SearchResult, search, search_runs

UTILITY = Objective((("utility", 1.0),), "accuracies")


class Planted:
    """base + gain * sum_i a_i log(w_i + 0.03), four a_i above 0, noise; higher is better."""

    kind = "planted"
    targets = ("utility",)

    def __init__(self, buckets: int, seed: int, noise: float) -> None:
        rng = np.random.default_rng(seed)
        self.buckets = tuple(f"b{i:02d}" for i in range(buckets))
        self.a = np.zeros(buckets)
        self.a[rng.choice(buckets, 4, replace=False)] = rng.dirichlet(np.full(4, 2.0))
        self.natural = rng.dirichlet(np.full(buckets, 2.0))
        self.noise, self.rng = noise, rng

    def true(self, weights: np.ndarray) -> np.ndarray:
        return 60.0 + 4.0 * (np.log(np.atleast_2d(weights) + 0.03) @ self.a)

    def best(self) -> float:
        """By water-filling: w_i + 0.03 in proportion to a_i where that leaves w_i above 0."""
        level = np.sort(self.a)[::-1]
        for m in range(4, 0, -1):
            scale = (1 + 0.03 * m) / level[:m].sum()
            if level[m - 1] * scale > 0.03:
                break
        return float(self.true(np.maximum(self.a * scale - 0.03, 0.0))[0])

    def share(self, weights: np.ndarray) -> float:
        """Of the way from natural to the optimum."""
        home = float(self.true(self.natural)[0])
        return (float(self.true(weights)[0]) - home) / (self.best() - home)

    def losses(self, weights: np.ndarray) -> np.ndarray:
        return (self.true(weights) + self.rng.normal(0.0, self.noise, len(weights)))[:, None]


class Nothing(Planted):
    """Every loss belongs to another mixture, drawn as the search's own are: shuffled, whatever is asked."""

    def losses(self, weights: np.ndarray) -> np.ndarray:
        return super().losses(self.rng.dirichlet(self.natural * 10, len(weights)))


METHODS: dict[str, Method] = {
    "climb 64/32/16": Climb(),
    "one shot of 112": OneShot(112, predictor=CLIMB_TREES, final=ARGMIN),
    "bayes, 32 runs": Bayes(evaluations=32),
    "bayes, 48 runs": Bayes(evaluations=48),
}


def found(proxy: Planted, method: Method, seed: int) -> SearchResult:
    return search(proxy, proxy.natural, unconstrained(proxy.buckets), UTILITY, method, seed)


def mixtures(seeds: int) -> None:
    print(f"\n## 21 buckets, noise 0.15, {seeds} seeds: share of the way from natural to the optimum")
    print("method | share | worst seed | CPU s | better than one shot of 112 | every round's mean rises")
    shares: dict[str, list[float]] = {}
    for name in sorted(METHODS, key=lambda n: n != "one shot of 112"):
        seconds, rises = [], 0
        for s in range(seeds):
            proxy, started = Planted(21, s, 0.15), time.process_time()
            result = found(proxy, METHODS[name], s)
            seconds.append(time.process_time() - started)
            shares.setdefault(name, []).append(proxy.share(result.weights))
            rises += bool((np.diff([r.mean_score for r in result.trace]) < 0).all())
        wins = sum(a > b for a, b in zip(shares[name], shares["one shot of 112"], strict=True))
        rising = f"{rises} of {seeds}" if name.startswith("climb") else ""
        print(
            f"{name} | {mean_interval(shares[name])} | {min(shares[name]):.3f} | {np.mean(seconds):.1f} | "
            f"{wins} of {seeds} | {rising}",
            flush=True,
        )


def one_shot(seeds: int) -> None:
    print(f"\n## 8 buckets, noise 0.05, RegMix's one shot of 512, {seeds} seeds")
    print("seed | Spearman of unseen runs | utility: natural, best of 512, chosen, optimum | gap / (optimum - natural)")
    for s in range(seeds):
        proxy = Planted(8, s, 0.05)
        result = found(proxy, OneShot(), s)
        home, best, reached = proxy.true(proxy.natural)[0], proxy.best(), proxy.true(result.weights)[0]
        ran = proxy.true(result.runs.weights).max()
        print(
            f"{s} | {result.report.objective.spearman:.3f} | {home:.2f}, {ran:.2f}, {reached:.2f}, {best:.2f} | "
            f"{(best - reached) / (best - home):.2f}",
            flush=True,
        )


NEED = np.array([0.5, 0.3, 0.15, 0.05])  # shares of the domains that the loss wants
NOISE = (0.3, 1.0, 3.0)  # sd of what the three criteria add to a document's latent quality
DOCS = 400


def theta(seeds: int) -> None:
    print(f"\n## QuaDMix: 4 domains, 3 criteria, 600 runs, {seeds} seeds")
    print(
        "seed, lambda | loss: median run, best run, averaged top 10, trust region | alpha of the criteria, best first"
    )
    for s in range(seeds):
        for scale in ("log10", "linear"):
            space = QuadmixSpace(len(NOISE), len(NEED), scale)
            world = theta_world(space, s)
            goal = mean_of(("loss",), "losses")
            plain = ThetaSearch(600, 20_000).run(space, world, goal, ("loss",), s)
            near = TrustRegion(200, 20, 20).run(space, world, goal, ("loss",), s)
            ends = [float(world(t.theta[None])[0, 0]) for t in (plain, near)]
            alpha = space.unpack(plain.theta)["alpha"].mean(axis=0)
            print(
                f"{s}, {scale} | {np.median(plain.losses):.2f}, {plain.losses.min():.2f}, {ends[0]:.2f}, "
                f"{ends[1]:.2f} | {', '.join(f'{a:.2f}' for a in alpha)}",
                flush=True,
            )


def theta_world(space: QuadmixSpace, seed: int) -> Evaluate:
    """(n, p) -> (n, 1): divergence of the domains' shares from NEED, and the quality that was left lying."""
    rng = np.random.default_rng(seed)
    quality = rng.normal(size=(len(NEED), DOCS))
    seen = np.stack([quality + rng.normal(size=quality.shape) * sd for sd in NOISE], axis=2)
    ranks = (-seen).argsort(axis=1).argsort(axis=1) / DOCS

    def one(values: np.ndarray) -> float:
        p, kept, good = space.unpack(values), np.zeros(len(NEED)), 0.0
        for m in range(len(NEED)):
            rank = ((ranks[m] @ p["alpha"][m]).argsort().argsort() + 1) / DOCS
            s = sampling_value(rank, Shape(p["lambda"][m], p["omega"][m], p["eta"][m], p["epsilon"][m]))
            kept[m] = s.sum()
            good += NEED[m] * (s * quality[m]).sum() / s.sum()
        return float((NEED * np.log(NEED / kept * kept.sum())).sum() + 0.5 * (2.2 - good))

    return lambda batch: np.array([[one(v)] for v in batch])


def nothing(seeds: int) -> None:
    print(f"\n## Negative control: losses of other mixtures, {seeds} seeds")
    print("search | says that it found something | predictor's Spearman on unseen runs")
    for name, method in METHODS.items():
        results = [found(Nothing(21, s, 0.15), method, s) for s in range(seeds)]
        verdict(name, results)
    train, *_ = regmix_tables()
    results = []
    for s in range(seeds):
        rng = np.random.default_rng(s)
        part = train.take(rng.permutation(len(train))[:64])
        losses = part.losses[rng.permutation(len(part))]
        shuffled = type(part)(**{**part.__dict__, "losses": losses})
        goal, natural = mean_of(part.targets, "losses"), part.weights.mean(axis=0)
        results.append(search_runs(shuffled, natural, unconstrained(part.buckets), goal, Average(), REFINED, s))
    verdict("64 of RegMix's runs with shuffled losses, default predictor", results)


def verdict(name: str, results: list[SearchResult]) -> None:
    print(
        f"{name} | {sum(r.found for r in results)} of {len(results)} | "
        f"{mean_interval([r.report.objective.spearman for r in results])}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parts = {"mixtures": (mixtures, 12), "one_shot": (one_shot, 5), "theta": (theta, 3), "nothing": (nothing, 20)}
    parser.add_argument("parts", nargs="*", default=list(parts))
    parser.add_argument("--seeds", type=int)
    args = parser.parse_args()
    unknown = sorted(set(args.parts) - set(parts))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    for name in args.parts:
        part, seeds = parts[name]
        part(args.seeds or seeds)


if __name__ == "__main__":
    main()
