"""Which predictor and which search is best, on real published runs: the figures behind the defaults.

    python benchmarks/mixture/arena.py [golden|prediction|cv|climb|outside|fit|search|outside-search|rungs|pairs ...]
                               [--quick] [--subsets N] [--tables DIR ...] [--data FOLDER]

Reads the public tables of RegMix (FOLDER/runs/regmix/{train,test}_{mixture,pile_loss}_1m.csv, ...), CLIMB
(FOLDER/runs/climb/climb_350m.csv) and Data Mixing Laws (FOLDER/runs/mixing_laws/*.csv.gz). Every figure is a
mean (or median) over random subsets or seeds with a 95% interval of that mean.
"""

import argparse
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
from fidelities import pairs, rungs
from outside import outside_tables, predict_outside, search_outside
from tables import (
    NOTEBOOK,
    NOTEBOOK_OPTIMUM,
    PILE,
    cells,
    climb_table,
    per_target,
    published_weights,
    regmix_tables,
)
from threadpoolctl import threadpool_limits

from gristmill.stages.mixture.constraints import unconstrained
from gristmill.stages.mixture.objective import Objective, mean_of
from gristmill.stages.mixture.predictors.average import Average
from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.mixing_law import Law
from gristmill.stages.mixture.predictors.protocol import Predictor, fit_runs, group_folds
from gristmill.stages.mixture.predictors.ridge import Ridge
from gristmill.stages.mixture.predictors.trees import CLIMB_TREES, REGMIX_TREES
from gristmill.stages.mixture.runs.import_tables import TableProxy
from gristmill.stages.mixture.runs.runs import Runs
from gristmill.stages.mixture.search.bayes import Bayes
from gristmill.stages.mixture.search.regmix_climb import fit_trials, predictor_view
from gristmill.stages.mixture.search.trials import Trials, best_rows


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


DEFAULT, DEFAULT_SEARCH = "average (default)", "gp-ei per target, cbrt (default)"
RIVALS = {n: PREDICTORS[n] for n in (DEFAULT, "gp cbrt", "law", "ridge log", "lightgbm climb", "lightgbm regmix")}


def prediction(subsets: int, quick: bool) -> None:
    train, test1, test60, test1b = regmix_tables()
    print("\n## Prediction, RegMix: mean Spearman over 13 targets, and of the mean of the 13 losses")
    print("runs | predictor | 1M per target | 1M mean loss | 60M per target | 1B per target | 1B mean loss")
    for n in (32, 64, 128) if quick else (32, 64, 128, 256, 512):
        for name, predictor in PREDICTORS.items():
            rows = []
            for s in range(1 if n == len(train) else subsets):
                part = train.take(np.random.default_rng(s).permutation(len(train))[:n])
                fitted = fit_runs(predictor, part, part.losses, s)
                row = []
                for table in (test1, test60, test1b):
                    p = fitted.mean(table.weights)
                    row += [per_target(p, table.losses), spearman(p.mean(axis=1), table.losses.mean(axis=1))]
                rows.append([row[0], row[1], row[2], row[4], row[5]])
            print(f"{n} | {name} | " + cells(rows), flush=True)


def left_out(predictor: Predictor, runs: Runs, y: np.ndarray, folds: int, seed: int) -> np.ndarray:
    """(n, t) every run predicted by a fit that has not seen it, its checkpoints or its repeats."""
    out = np.empty_like(y)
    for fold in group_folds(runs.groups(), min(folds, len(np.unique(runs.groups()))), np.random.default_rng(seed)):
        out[fold] = fit_runs(predictor, runs.take(~fold), y[~fold], seed).mean(runs.weights[fold])
    return out


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
                out = left_out(predictor, part, part.losses, 5, s)
                rows.append([per_target(out, part.losses), spearman(out.mean(axis=1), part.losses.mean(axis=1))])
            print(f"{n} | {name} | " + cells(rows), flush=True)


def climb_prediction(repeats: int) -> None:
    runs = climb_table()
    y = runs.losses.mean(axis=1, keepdims=True)
    groups = runs.groups()
    print(f"\n## Prediction, CLIMB's 379 runs: mean accuracy, 10-fold by run, Spearman over {repeats} repeats")
    print("predictor | all training rows | half of them | half of them minus LightGBM (CLIMB's) on all")
    whole: list[float] = []
    for name in sorted(PREDICTORS, key=lambda n: n != "lightgbm climb"):
        rows = []
        for r in range(repeats):
            out = np.empty((len(runs), 2))
            for fold in group_folds(groups, 10, np.random.default_rng(r)):
                kept = np.flatnonzero(~fold)
                half = np.random.default_rng(1000 + r).permutation(kept)[: len(kept) // 2]
                for j, rows_fitted in enumerate((kept, half)):
                    fitted = fit_runs(PREDICTORS[name], runs.take(rows_fitted), y[rows_fitted], r)
                    out[fold, j] = fitted.mean(runs.weights[fold])[:, 0]
            rows.append([spearman(out[:, j], y[:, 0]) for j in (0, 1)])
        whole = whole or [a for a, _ in rows]
        print(f"{name} | " + cells([[a, b, b - w] for (a, b), w in zip(rows, whole, strict=True)]), flush=True)


def fit_time() -> None:
    """CPU seconds to fit all of RegMix's training runs, 13 targets, on one thread."""
    train, *_ = regmix_tables()
    print(f"\n## Seconds of CPU to fit {len(train)} runs x {len(train.targets)} targets on one thread")
    for name, predictor in PREDICTORS.items():
        started = time.process_time()
        fit_runs(predictor, train, train.losses, 0)
        print(f"{name} | {time.process_time() - started:.1f}", flush=True)


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


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument(
        "parts",
        nargs="*",
        default=["golden", "prediction", "cv", "climb", "outside", "fit", "search", "outside-search", "rungs", "pairs"],
    )
    parser.add_argument("--quick", action="store_true", help="fewer subsets and seeds, no table of 256 and 512 runs")
    parser.add_argument("--subsets", type=int, default=20)
    parser.add_argument("--tables", type=Path, nargs="*", default=[], help="folders of outside tables (see outside.py)")
    args = parser.parse_args()
    n = min(args.subsets, 4) if args.quick else args.subsets
    parts = {
        "golden": golden,
        "prediction": lambda: prediction(n, args.quick),
        "cv": lambda: own_ranking(n),
        "climb": lambda: climb_prediction(n),
        "outside": lambda: predict_outside(outside_tables(args.tables), RIVALS, DEFAULT, n),
        "fit": fit_time,
        "search": lambda: search_arena(n),
        "outside-search": lambda: search_outside(outside_tables(args.tables), PLAYERS, DEFAULT_SEARCH, n, AT),
        "rungs": lambda: rungs(n),
        "pairs": lambda: pairs(n),
    }
    unknown = sorted(set(args.parts) - set(parts))
    if unknown:
        parser.error(f"no part {', '.join(unknown)}; there are {', '.join(parts)}")
    for name in args.parts:
        parts[name]()


if __name__ == "__main__":
    main()
