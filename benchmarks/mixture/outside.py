"""Tables that nothing was chosen on: published ones, made ones with a known truth, and any that are given.

    python benchmarks/mixture/arena.py outside outside-search [--tables DIR ...] [--subsets N]
        how well unseen runs are ranked, and how soon the best tabled run is found

A DIR holds ratios.csv and metrics.csv (olmix's shape, or any that `gristmill search` reads); a name that ends in
`.accuracies` says that higher is better. Each line ends with the paired difference to the best of the other methods.
"""

import time
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
from tables import climb_table, mean_interval, mixing_law_tables, per_target
from threadpoolctl import threadpool_limits

from gristmill.stages.mixture.constraints import unconstrained
from gristmill.stages.mixture.objective import Objective, mean_of
from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.protocol import Predictor, fit_runs, group_folds
from gristmill.stages.mixture.runs.import_tables import TableProxy, read_tables, table_runs
from gristmill.stages.mixture.runs.runs import Fidelity, Runs
from gristmill.stages.mixture.search.candidates import dirichlet, normal
from gristmill.stages.mixture.search.trials import Trials

Tables = dict[str, tuple[Runs, str]]
SIZES = (16, 32, 64, 128)
JUDGED = 16  # runs left to judge by, at least


def outside_tables(folders: Sequence[Path]) -> Tables:
    found: Tables = {f"Data Mixing Laws, {name}": (runs, "losses") for name, runs in mixing_law_tables().items()}
    found["CLIMB"] = climb_table(), "accuracies"
    for name, runs in made_tables().items():
        found[f"made: {name}"] = runs, "accuracies" if "accuracies" in name else "losses"
    for folder in folders:
        direction = "accuracies" if folder.name.endswith(".accuracies") else "losses"
        found[folder.name] = read_tables(folder / "ratios.csv", folder / "metrics.csv"), direction
    return found


def made_tables() -> dict[str, Runs]:
    """Laws other than the ones that the predictors hold: exponential with products of buckets, noise, and a price for
    repeating a small bucket."""
    rng = np.random.default_rng(0)

    def truth(w: np.ndarray, targets: int, seen: float, noise: float, product: float = 0.5) -> np.ndarray:
        k, rng = w.shape[1], np.random.default_rng(w.shape[1] * 1000 + targets)
        slope = rng.exponential(1.0, (targets, k)) * (rng.random((targets, k)) < seen)
        slope[np.arange(targets), np.arange(targets) % k] += 3.0
        pair = rng.normal(0, product, (targets, k, k)) * (rng.random((targets, k, k)) < seen)
        level = rng.uniform(1.5, 3.5, targets)
        y = level + np.exp(0.5 - w @ slope.T - np.einsum("ni,tij,nj->nt", w, pair, w))
        repeated = np.maximum(w - rng.uniform(0.2, 1.0, k), 0.0) ** 2 @ rng.uniform(0, 2, (k, targets))
        return y + repeated + noise * np.random.default_rng(1).normal(size=y.shape)

    def drawn(n: int, k: int, strength: tuple[float, float]) -> np.ndarray:
        prior = normal(rng.exponential(1.0, k) + 0.1)
        return dirichlet(prior, np.exp(rng.uniform(np.log(strength[0]), np.log(strength[1]), n)), rng)

    def made(w: np.ndarray, y: np.ndarray) -> Runs:
        names = [tuple(f"{letter}{i}" for i in range(m)) for letter, m in (("b", w.shape[1]), ("t", y.shape[1]))]
        return table_runs(w, y, names[0], names[1], tuple(map(str, range(len(w)))), Fidelity())

    sparse = drawn(200, 60, (0.5, 4.0))
    sparse = np.where(sparse < 0.03, 0.0, sparse)
    sparse = sparse / sparse.sum(axis=1, keepdims=True)
    eye = np.eye(7)
    pairs = [(eye[i] + eye[j])[None] / 2 for i in range(7) for j in range(i)]
    grid = np.concatenate([eye, *pairs, drawn(36, 7, (2.0, 8.0))])
    two, three = drawn(40, 2, (1.0, 4.0)), drawn(60, 3, (1.0, 6.0))
    eight, ten = drawn(160, 8, (1.0, 10.0)), drawn(160, 10, (1.0, 10.0))
    scales = truth(ten, 5, 0.4, 0.01) * np.array([1e-2, 1, 1, 1, 3.0])
    wild = truth(eight, 6, 0.4, 0.01)
    wild[np.random.default_rng(3).permutation(160)[:3]] = [[1e3], [11.0], [60.0]]
    return {
        "2 buckets": made(two, truth(two, 3, 0.5, 0.01)),
        "3 buckets": made(three, truth(three, 4, 0.5, 0.01)),
        "8 buckets, much noise": made(eight, truth(eight, 6, 0.4, 0.1)),
        "8 buckets, 3 diverged runs": made(eight, wild),
        "10 buckets, scales apart": made(ten, scales),
        "10 buckets, accuracies": made(ten, 100 / (1 + np.exp(truth(ten, 5, 0.4, 0.03) - 2.5))),
        "singles, pairs and draws": made(grid, truth(grid, 7, 0.3, 0.01)),
        "60 buckets, mostly zero": made(sparse, truth(sparse, 8, 0.1, 0.01)),
    }


def predict_outside(tables: Tables, predictors: dict[str, Predictor], default: str, repeats: int) -> None:
    """Fitted on n random runs and judged on the others; `all`: 5-fold by run."""
    print(f"\n## Outside tables, prediction: {repeats} repeats; Spearman on runs that were not fitted")
    print("table | runs fitted | predictor | per target | mean loss | error / spread | default minus this, per target")
    for label, (runs, _) in tables.items():
        for n in (*(s for s in SIZES if s <= len(runs) - JUDGED), 0):
            rows: dict[str, list[list[float]]] = {name: [] for name in predictors}
            for s in range(repeats):
                for name, predictor in predictors.items():
                    rows[name].append(scored(predictor, runs, n, s))
            for name, cells in rows.items():
                ahead = [a[0] - b[0] for a, b in zip(rows[default], cells, strict=True)]
                shown = " | ".join(mean_interval(c) for c in zip(*cells, strict=True))
                print(f"{label} | {n or 'all'} | {name} | {shown} | {mean_interval(ahead)}", flush=True)


def scored(predictor: Predictor, runs: Runs, n: int, seed: int) -> list[float]:
    groups, rng = runs.groups(), np.random.default_rng(seed)
    if n:
        train = np.isin(groups, rng.permutation(np.unique(groups))[:n])
        parts = [(train, ~train)]
    else:
        parts = [(~fold, fold) for fold in group_folds(groups, min(5, len(np.unique(groups))), rng)]
    out = np.full_like(runs.losses, np.nan)
    for train, test in parts:
        out[test] = fit_runs(predictor, runs.take(train), runs.losses[train], seed).mean(runs.weights[test])
    judged = np.isfinite(out).all(axis=1)
    p, y = out[judged], runs.losses[judged]
    # Medians, for some tables hold diverged runs.
    spread = np.median(np.abs(y - np.median(y, axis=0)), axis=0)
    error = np.median(np.abs(p - y), axis=0) / np.where(spread > 0, spread, 1.0)
    return [per_target(p, y), spearman(p.mean(axis=1), y.mean(axis=1)), float(error.mean())]


Player = Callable[[Trials, int, int], None]


def search_outside(
    tables: Tables, players: dict[str, tuple[Player, str]], default: str, seeds: int, at: Sequence[int]
) -> None:
    """Regret of the best evaluated, in standard deviations of the tabled objective, so that tables can be compared."""
    print(f"\n## Outside tables, search: regret of the best evaluated in sd, {seeds} seeds, median [mean]")
    print("table | method | " + " | ".join(f"{n} runs" for n in at) + " | this minus default (mean) | s")
    for label, (runs, direction) in tables.items():
        steps = [n for n in at if n <= 0.8 * len(runs)]
        goal = mean_of(runs.targets, "losses" if direction == "losses" else "accuracies")
        tabled = goal.score(runs.losses, runs.targets)
        middle = float(np.quantile(tabled, 0.75) - np.quantile(tabled, 0.25)) / 1.349
        regret: dict[str, np.ndarray] = {}
        for name in sorted(players, key=lambda p: p != default):
            player, fit = players[name]
            started, rows = time.process_time(), []
            for s in range(seeds if steps else 0):
                objective = Objective(goal.weights, goal.direction, "average" if fit == "average" else "per_target")
                trials = Trials(TableProxy(runs), unconstrained(runs.buckets), objective, runs.weights.mean(axis=0))
                with threadpool_limits(1):
                    player(trials, max(steps), s)
                scores = objective.score(trials.runs().losses, runs.targets)
                rows.append([(scores[:n].min() - tabled.min()) / middle for n in steps])
            if rows:
                regret[name] = np.array(rows)
                cells = [f"{np.median(c):.3f} [{c.mean():.3f}]" for c in regret[name].T] + ["-"] * (
                    len(at) - len(steps)
                )
                ahead = [mean_interval(c) for c in (regret[name] - regret[default]).T]
                spent = (time.process_time() - started) / seeds
                print(f"{label} | {name} | {' | '.join(cells)} | {', '.join(ahead)} | {spent:.1f}", flush=True)
