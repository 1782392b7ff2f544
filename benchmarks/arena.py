"""Which predictor and which search is best, on real published runs: the figures behind the defaults.

    python benchmarks/arena.py [golden|prediction|cv|climb|search|rungs|planted ...] [--quick] [--subsets N]

Reads RegMix's and CLIMB's tables from ../shared/data/runs (or $GRISTMILL_SHARED). Every figure is a mean (or median)
over random subsets or seeds with a 95% interval of that mean.
"""

import argparse
import os
import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from scipy.stats import t as student
from threadpoolctl import threadpool_limits

from stages.mixture.average import Average
from stages.mixture.bayes import Bayes
from stages.mixture.constraints import unconstrained
from stages.mixture.gaussian import GaussianProcess
from stages.mixture.harness import spearman
from stages.mixture.ladder import fit_rungs
from stages.mixture.law import Law
from stages.mixture.linear import Ridge
from stages.mixture.objective import Objective, mean_of
from stages.mixture.predict import Predictor, fit_runs, group_folds
from stages.mixture.runs import Fidelity, Runs
from stages.mixture.search import search
from stages.mixture.sweeps import Climb, OneShot, fit_trials, predictor_view
from stages.mixture.table import TableProxy, read_tables, table_runs
from stages.mixture.trees import CLIMB_TREES, REGMIX_TREES
from stages.mixture.trials import Trials, best_rows

SHARED = Path(os.environ.get("GRISTMILL_SHARED", Path(__file__).resolve().parents[2] / "shared"))
TABLES = SHARED / "data" / "runs"

# The prior of RegMix's notebook: token shares of its 17 Pile domains, in the order of its tables.
PILE = np.array(
    [0.11328527, 0.07960865, 0.00391349, 0.1853759, 0.05108136, 0.01596293, 0.10175077, 0.00370752, 0.06652935,
     0.00175077, 0.02708548, 0.23686921, 0.01184346, 0.00792997, 0.00803296, 0.03882595, 0.04644696]
)  # fmt: skip
NOTEBOOK = [99.6, 99.71, 99.08, 99.45, 97.2, 99.77, 99.73, 99.18, 98.92, 96.87, 98.51, 99.19, 99.12]  # specs 4.5
NOTEBOOK_OPTIMUM = {"pile_cc": 0.8909, "ubuntu_irc": 0.0614, "pubmed_abstracts": 0.0123, "wikipedia_en": 0.0073}


def regmix_tables() -> tuple[Runs, Runs, Runs, Runs]:
    """512 runs of 1M to fit; 256 of 1M, 256 of 60M and 64 of 1B to judge."""

    def table(split: str, name: str, size: float) -> Runs:
        folder = TABLES / "regmix"
        fidelity = Fidelity("table", size, 25e9 if size >= 1e9 else 1e9)
        return read_tables(folder / f"{split}_mixture_{name}.csv", folder / f"{split}_pile_loss_{name}.csv", fidelity)

    return table("train", "1m", 1e6), table("test", "1m", 1e6), table("test", "60m", 6e7), table("test", "1B", 1e9)


def climb_table() -> Runs:
    import polars as pl

    frame = pl.read_csv(TABLES / "climb" / "climb_350m.csv")
    buckets = [c for c in frame.columns if c.startswith("train_")]
    targets = ["piqa_acc_norm", "arc_easy_acc", "hellaswag_acc_norm"]
    return table_runs(
        frame.select(buckets).to_numpy().astype(float),
        frame.select(targets).to_numpy().astype(float),
        tuple(b.removeprefix("train_the_") for b in buckets),
        tuple(targets),
        tuple(frame["config_name"].to_list()),
        Fidelity("table", 3.5e8),
    )


def mean_interval(values: Sequence[float]) -> str:
    a = np.asarray(values, dtype=float)
    if len(a) < 2:
        return f"{a.mean():.4f}"
    half = float(student.ppf(0.975, len(a) - 1)) * a.std(ddof=1) / np.sqrt(len(a))
    return f"{a.mean():.4f} ± {half:.4f}"


def per_target(predicted: np.ndarray, measured: np.ndarray) -> float:
    return float(np.mean([spearman(predicted[:, j], measured[:, j]) for j in range(measured.shape[1])]))


def golden() -> None:
    """RegMix's notebook with its own procedure (it stops by the test rows), then the honest one beside it."""
    train, test, _, _ = regmix_tables()
    raw_w, raw_t = published_weights("train_mixture_1m"), published_weights("test_mixture_1m")
    notebook = REGMIX_TREES.fit_split(raw_w, train.losses, raw_t, test.losses)
    honest = fit_runs(REGMIX_TREES, train, train.losses, 0).mean(test.weights)
    leaky = notebook.mean(raw_t)
    print("\n## RegMix's notebook (Spearman x 100, 256 unseen 1M mixtures)")
    print("target | published | same procedure | stopped on training runs")
    for j, target in enumerate(test.targets):
        a, b = (100 * spearman(p[:, j], test.losses[:, j]) for p in (leaky, honest))
        print(f"{target} | {NOTEBOOK[j]:.2f} | {a:.2f} | {b:.2f}")
    draws = np.random.RandomState(42).dirichlet(PILE, 100_000)
    scores = np.asarray(notebook.boosters[test.targets.index("the_pile_pile_cc_val_loss")].predict(draws))
    optimum = dict(zip(train.buckets, draws[np.argsort(scores)[:128]].mean(axis=0), strict=True))
    for name, value in NOTEBOOK_OPTIMUM.items():
        print(f"optimum {name}: published {value:.4f}, here {optimum['the_pile_' + name]:.4f}")


def published_weights(name: str) -> np.ndarray:
    """As printed, not normalised: the notebook fits on these."""
    import polars as pl

    frame = pl.read_csv(TABLES / "regmix" / f"{name}.csv")
    return frame.select([c for c in frame.columns if c.startswith("train_")]).to_numpy().astype(float)


PREDICTORS: dict[str, Predictor] = {
    "average (default)": Average(),
    "gp cbrt": GaussianProcess("cbrt"),
    "gp log": GaussianProcess("log"),
    "gp sqrt": GaussianProcess("sqrt"),
    "law": Law(),
    "exponential mixing law": Law("exponential"),
    "ridge log": Ridge(),
    "quadratic log": Ridge(2),
    "lightgbm climb": CLIMB_TREES,
    "lightgbm regmix": REGMIX_TREES,
}


def prediction(subsets: int, quick: bool) -> None:
    train, test1, test60, test1b = regmix_tables()
    print("\n## Prediction, RegMix: mean Spearman over 13 targets, and of the mean of the 13 losses")
    print("runs | predictor | 1M per target | 1M mean loss | 60M per target | 1B per target | 1B mean loss")
    for n in (32, 64, 128) if quick else (32, 64, 128, 256, 512):
        for name, predictor in PREDICTORS.items():
            rows = []
            for s in range(1 if n == len(train) else subsets if n < 256 else min(subsets, 5)):
                part = train.take(np.random.default_rng(s).permutation(len(train))[:n])
                fitted = fit_runs(predictor, part, part.losses, s)
                row = []
                for table in (test1, test60, test1b):
                    p = fitted.mean(table.weights)
                    row += [per_target(p, table.losses), spearman(p.mean(axis=1), table.losses.mean(axis=1))]
                rows.append([row[0], row[1], row[2], row[4], row[5]])
            print(f"{n} | {name} | " + " | ".join(mean_interval(c) for c in zip(*rows, strict=True)), flush=True)


def own_ranking(subsets: int) -> None:
    """The same choice seen from training runs alone: 5-fold cross-validation inside 64 and 128 of the 512."""
    train, *_ = regmix_tables()
    print("\n## Cross-validation on training runs only (what the default is chosen by)")
    print("runs | predictor | Spearman per target | mean loss")
    for n in (64, 128):
        for name, predictor in PREDICTORS.items():
            rows = []
            for s in range(subsets):
                part = train.take(np.random.default_rng(s).permutation(len(train))[:n])
                out = np.empty_like(part.losses)
                for fold in group_folds(part.groups(), 5, np.random.default_rng(s)):
                    kept = part.take(~fold)
                    out[fold] = fit_runs(predictor, kept, kept.losses, s).mean(part.weights[fold])
                rows.append([per_target(out, part.losses), spearman(out.mean(axis=1), part.losses.mean(axis=1))])
            print(f"{n} | {name} | " + " | ".join(mean_interval(c) for c in zip(*rows, strict=True)), flush=True)


def climb_prediction(repeats: int) -> None:
    runs = climb_table()
    y = runs.losses.mean(axis=1, keepdims=True)
    groups = runs.groups()
    print("\n## Prediction, CLIMB's 379 runs: mean accuracy, 10-fold by run, Spearman over repeats")
    print("predictor | all training rows | half of them")
    for name, predictor in PREDICTORS.items():
        both: dict[str, list[float]] = {"all": [], "half": []}
        for r in range(repeats):
            out = {k: np.empty(len(runs)) for k in both}
            for fold in group_folds(groups, 10, np.random.default_rng(r)):
                kept = np.flatnonzero(~fold)
                half = np.random.default_rng(1000 + r).permutation(kept)[: len(kept) // 2]
                for k, rows in (("all", kept), ("half", half)):
                    fitted = fit_runs(predictor, runs.take(rows), y[rows], r)
                    out[k][fold] = fitted.mean(runs.weights[fold])[:, 0]
            for k in both:
                both[k].append(spearman(out[k], y[:, 0]))
        print(f"{name} | {mean_interval(both['all'])} | {mean_interval(both['half'])}", flush=True)


Player = Callable[[Trials, int, int], None]
AT = (16, 24, 32, 48)


def play_random(trials: Trials, evaluations: int, seed: int) -> None:
    rows = trials.candidates(evaluations, np.random.default_rng(seed))
    trials.evaluate(rows[np.random.default_rng(seed).permutation(len(rows))[:evaluations]], 1)


def play_trees(trials: Trials, evaluations: int, seed: int) -> None:
    """24 at random, then LightGBM's best 8 at a time."""
    play_random(trials, 24, seed)
    rng = np.random.default_rng(seed)
    for number in range(2, 2 + (evaluations - 24) // 8):
        seen = predictor_view(trials, fit_trials(trials, CLIMB_TREES, rng))
        rows = trials.candidates(0, rng)
        trials.evaluate(rows[best_rows(seen.score(rows), 8)], number)


def play_bayes(settings: Bayes) -> Player:
    def play(trials: Trials, evaluations: int, seed: int) -> None:
        rng = np.random.default_rng(seed)
        rows = trials.candidates(0, rng)
        trials.evaluate(rows[np.random.default_rng(seed).permutation(len(rows))[: settings.first]], 1)
        while len(trials.rows) < evaluations:
            seen = predictor_view(trials, fit_trials(trials, settings.predictor, rng))
            left = min(settings.batch, evaluations - len(trials.rows))
            trials.evaluate(settings.propose(trials, seen, left, rng), len(trials.rounds) + 1)

    return play


PLAYERS: dict[str, tuple[Player, str]] = {
    "random": (play_random, "per_target"),
    "24 random, then lightgbm by 8": (play_trees, "per_target"),
    "gp-ei on the mean, log, isotropic": (play_bayes(Bayes(predictor=GaussianProcess("log", ard_from=1e9))), "average"),
    "gp-ei on the mean, cbrt, ard": (play_bayes(Bayes(predictor=GaussianProcess("cbrt"))), "average"),
    "law greedy per target": (play_bayes(Bayes(predictor=Law())), "per_target"),
    "gp-ei per target, log": (play_bayes(Bayes(predictor=GaussianProcess("log"))), "per_target"),
    "gp-ei per target, sqrt": (play_bayes(Bayes(predictor=GaussianProcess("sqrt"))), "per_target"),
    "gp-ei per target, cbrt, batches of 4": (play_bayes(Bayes(batch=4)), "per_target"),
    "gp-ei per target, cbrt (default)": (play_bayes(Bayes()), "per_target"),
}


def search_arena(seeds: int) -> None:
    for label, runs, direction in (
        ("RegMix, 512 of 1M", regmix_tables()[0], "losses"),
        ("CLIMB, 379 of 350M", climb_table(), "accuracies"),
    ):
        proxy = TableProxy(runs)
        objective = mean_of(runs.targets, "losses" if direction == "losses" else "accuracies")
        best = float(objective.score(runs.losses, runs.targets).min())
        print(f"\n## Search, {label}: regret of the best evaluated (median, [mean], worst) over {seeds} seeds")
        print("method | " + " | ".join(f"{n} runs" for n in AT) + " | s")
        for name, (player, fit) in PLAYERS.items():
            regret, started = [], time.perf_counter()
            for s in range(seeds):
                goal = Objective(
                    objective.weights, objective.direction, "average" if fit == "average" else "per_target"
                )
                trials = Trials(proxy, unconstrained(runs.buckets), goal, runs.weights.mean(axis=0))
                with threadpool_limits(1):
                    player(trials, max(AT), s)
                scores = goal.score(trials.runs().losses, runs.targets)
                regret.append([scores[:n].min() - best for n in AT])
            r = np.array(regret)
            cells = [f"{np.median(c):.3f} [{c.mean():.3f}] {c.max():.3f}" for c in r.T]
            print(f"{name} | " + " | ".join(cells) + f" | {(time.perf_counter() - started) / seeds:.1f}", flush=True)


def rungs(repeats: int) -> None:
    """What cheap runs buy for the 64 runs at 1B: their mixtures are shared with no other table, so all goes through
    the surrogate."""
    train, _, test60, test1b = regmix_tables()
    print("\n## Fidelities: Spearman on the 1B runs that were not fitted (per target, mean loss)")
    print("1B runs fitted | beside them | per target | mean loss")
    predictor = GaussianProcess()
    cheap = {"nothing": [], "128 of 1M": [train], "256 of 60M": [test60], "128 of 1M + 128 of 60M": [train, test60]}
    for n in (0, 8, 16, 32):
        for label, tables in cheap.items():
            if n == 0 and not tables:
                continue
            rows = []
            for s in range(repeats):
                rng = np.random.default_rng(s)
                order = rng.permutation(len(test1b))
                parts = []
                for table in tables:
                    size = 256 if label.startswith("256") else 128
                    part = table.take(rng.permutation(len(table))[:size])
                    parts.append((part, part.losses))
                top = test1b.take(order[:n]) if n else None
                if top is not None:
                    parts.append((top, top.losses))
                rest = test1b.take(order[n:])
                p = fit_rungs(predictor, parts, s).mean(rest.weights)
                rows.append([per_target(p, rest.losses), spearman(p.mean(axis=1), rest.losses.mean(axis=1))])
            print(f"{n} | {label} | " + " | ".join(mean_interval(c) for c in zip(*rows, strict=True)), flush=True)


class Planted:
    """A sparse concave utility: base + gain * sum_i a_i log(w_i + 0.03), noise, higher is better (specs 1.10, 4.7)."""

    kind = "planted"
    targets = ("utility",)

    def __init__(self, buckets: int, seed: int, noise: float = 0.15):
        rng = np.random.default_rng(seed)
        self.buckets = tuple(f"b{i:02d}" for i in range(buckets))
        self.a = np.zeros(buckets)
        self.a[rng.choice(buckets, 4, replace=False)] = rng.dirichlet(np.full(4, 2.0))
        self.natural = rng.dirichlet(np.full(buckets, 2.0))
        self.noise, self.rng = noise, rng

    def true(self, weights: np.ndarray) -> np.ndarray:
        return 60.0 + 4.0 * (np.log(np.atleast_2d(weights) + 0.03) @ self.a)

    def best(self) -> float:
        """By water-filling: w_i + 0.03 proportional to a_i where positive."""
        level = np.sort(self.a)[::-1]
        for m in range(len(level), 0, -1):
            scale = (1 + 0.03 * m) / level[:m].sum()
            if level[m - 1] > 0 and level[m - 1] * scale > 0.03:
                return float(self.true(np.maximum(self.a * scale - 0.03, 0.0) * (self.a * scale > 0.03))[0])
        return float(self.true(self.natural)[0])

    def losses(self, weights: np.ndarray) -> np.ndarray:
        return (self.true(weights) + self.rng.normal(0.0, self.noise, len(weights)))[:, None]


def planted(seeds: int) -> None:
    print("\n## Planted optima, K = 21, noise 0.15: true utility of the chosen mixture")
    methods = {
        "climb 64/32/16": Climb(),
        "one shot, 112": OneShot(112, predictor=CLIMB_TREES, final=Climb().final),
        "bayes, 48 runs": Bayes(),
    }
    for name, method in methods.items():
        share, seconds = [], []
        for s in range(seeds):
            proxy = Planted(21, s)
            started = time.process_time()
            goal = Objective((("utility", 1.0),), "accuracies")
            r = search(proxy, proxy.natural, unconstrained(proxy.buckets), goal, method, s)
            seconds.append(time.process_time() - started)
            floor, best = float(proxy.true(proxy.natural)[0]), proxy.best()
            share.append((float(proxy.true(r.weights)[0]) - floor) / (best - floor))
        print(f"{name}: {mean_interval(share)} of the way from natural to the optimum, {np.mean(seconds):.1f} s of CPU")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts", nargs="*", default=["golden", "prediction", "cv", "climb", "search", "rungs", "planted"]
    )
    parser.add_argument("--quick", action="store_true", help="fewer subsets and seeds, no table of 256 and 512 runs")
    parser.add_argument("--subsets", type=int, default=20)
    args = parser.parse_args()
    n = min(args.subsets, 4) if args.quick else args.subsets
    parts = {
        "golden": golden,
        "prediction": lambda: prediction(n, args.quick),
        "cv": lambda: own_ranking(n),
        "climb": lambda: climb_prediction(2 if args.quick else min(n, 10)),
        "search": lambda: search_arena(n),
        "rungs": lambda: rungs(n),
        "planted": lambda: planted(n),
    }
    unknown = sorted(set(args.parts) - set(parts))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    for name in args.parts:
        parts[name]()


if __name__ == "__main__":
    main()
