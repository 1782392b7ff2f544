"""What cheap runs buy for dear ones: the arena's parts `rungs` (RegMix's tables) and `pairs` (Data Mixing Laws')."""

import numpy as np
from tables import cells, mixing_law_tables, per_target, regmix_tables
from threadpoolctl import threadpool_limits

from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.fidelities import STEP, fit_rungs
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Fitted, fit_runs
from gristmill.stages.mixture.runs.runs import Runs

PREDICTOR = GaussianProcess()


def rungs(repeats: int) -> None:
    """RegMix: the mixtures of the 64 runs at 1B are shared with no other table, so all goes through the surrogate."""
    train, _, test60, test1b = regmix_tables()
    print("\n## Fidelities: Spearman on the 1B runs that were not fitted (per target, mean loss)")
    print("1B runs fitted | runs of 1M | runs of 60M | per target | mean loss")

    def below(n1: int, n60: int, seed: int) -> Fitted | None:
        rng = np.random.default_rng(seed)
        parts = [
            (t := table.take(np.sort(rng.permutation(len(table))[:n])), t.losses)
            for table, n in ((train, n1), (test60, n60))
            if n
        ]
        return fit_rungs(PREDICTOR, STEP, parts, seed) if parts else None

    for n1, n60 in ((0, 0), (128, 0), (512, 0), (0, 128), (0, 256), (128, 128), (512, 256)):
        whole = n1 in (0, len(train)) and n60 in (0, len(test60))  # then every seed takes the same runs
        fits = [below(n1, n60, s) for s in range(1 if whole else repeats)]
        for n in (0, 8, 16, 32):
            if n == 0 and n1 == n60 == 0:
                continue
            rows = []
            for s in range(repeats):
                order = np.random.default_rng(1000 + s).permutation(len(test1b))
                top, rest = test1b.take(order[:n]), test1b.take(order[n:])
                fitted = fits[s % len(fits)]
                if fitted is None:
                    fitted = fit_runs(PREDICTOR, top, top.losses, s)
                elif n:
                    fitted = on_top(fitted, top, s)
                rows.append(ranks(fitted.mean(rest.weights), rest))
            print(f"{n} | {n1} | {n60} | " + cells(rows), flush=True)


def pairs(repeats: int) -> None:
    """Data Mixing Laws: all runs of one size below few of a larger one (the same mixtures), and below it the runs of
    other validation sets, a rung that misleads."""
    tables = mixing_law_tables()
    print(f"\n## Fidelities, Data Mixing Laws: dear runs that were not fitted, {repeats} draws")
    print("(per target, mean loss, RMSE over the sd of the losses)")
    print("cheap | dear | dear runs | predictor | per target | mean loss | RMSE / sd")
    names = sorted(tables)
    for cheap, dear in ((a, b) for a in names for b in names if a.split()[0] == b.split()[0]):
        low, high = tables[cheap], tables[dear]
        if low.fidelity[0].size >= high.fidelity[0].size or low.targets != high.targets:
            continue
        for label, columns in ((cheap, low.losses), (f"{cheap}, wrong targets", np.roll(low.losses, 1, axis=1))):
            fitted = fit_runs(PREDICTOR, low, columns, 0)
            for n in (8, 12):
                compare(f"{label} | {dear}", fitted, high, n, repeats)


def compare(label: str, below: Fitted, dear: Runs, n: int, repeats: int) -> None:
    rows: dict[str, list[list[float]]] = {"below, scaled": [], "dear alone": [], "rungs": []}
    for s in range(repeats):
        order = np.random.default_rng(1000 + s).permutation(len(dear))
        top, rest = dear.take(order[:n]), dear.take(order[n:])
        predicted = (
            scaled(below, top, rest.weights),
            fit_runs(PREDICTOR, top, top.losses, s).mean(rest.weights),
            on_top(below, top, s).mean(rest.weights),
        )
        for found, p in zip(rows.values(), predicted, strict=True):
            error = np.sqrt(((p - rest.losses) ** 2).mean(axis=0) / rest.losses.var(axis=0)).mean()
            found.append([*ranks(p, rest), float(error)])
    for name, found in rows.items():
        print(f"{label} | {n} | {name} | " + cells(found), flush=True)


def on_top(below: Fitted, top: Runs, seed: int) -> Fitted:
    with threadpool_limits(1):
        return STEP.fit(below, top.weights, top.losses, top.groups(), seed)


def scaled(below: Fitted, top: Runs, weights: np.ndarray) -> np.ndarray:
    """(n, t) the rung below by linear regression, its slope pulled towards 1 as if by one more run."""
    x, y, n = below.mean(top.weights), top.losses, len(top)
    spread = x.var(axis=0)
    together = ((x - x.mean(axis=0)) * (y - y.mean(axis=0))).mean(axis=0)
    slope = np.maximum((n * together + spread) / np.maximum((n + 1) * spread, 1e-30), 0.0)
    return y.mean(axis=0) + slope * (below.mean(weights) - x.mean(axis=0))


def ranks(predicted: np.ndarray, rest: Runs) -> list[float]:
    return [per_target(predicted, rest.losses), spearman(predicted.mean(axis=1), rest.losses.mean(axis=1))]
