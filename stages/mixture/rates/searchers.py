"""QuaDMix's parameter search (arXiv:2504.16511): random parameters, a regression, the average of the best simulated.

Generic over a space: anything that maps uniform numbers to parameter vectors. A trust-region version spends later
runs near the best so far, because 182 dimensions are too many for random draws to come close.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from threadpoolctl import threadpool_limits

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.objective import Objective, fit_table
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Fitted, Predictor, objective_mean
from gristmill.stages.mixture.predictors.trees import Trees
from gristmill.stages.mixture.search.trials import best_rows

Evaluate = Callable[[np.ndarray], np.ndarray]  # (n, p) parameters -> (n, t) losses


class Space(Protocol):
    @property
    def inputs(self) -> int:
        """How many uniform numbers make one parameter vector."""
        ...

    def theta(self, u: np.ndarray) -> np.ndarray:
        """(n, inputs) in [0, 1) -> (n, p)."""
        ...


@dataclass(frozen=True)
class QuadmixSpace:
    """Algorithm 1: per domain the criteria's weights alpha (N) and lambda, omega, eta, epsilon: (N + 4) * M numbers,
    alpha of all domains first. A global weight per criterion comes first, or every criterion would weigh 1/N on
    average."""

    criteria: int
    domains: int
    lambda_scale: Literal["log10", "linear"] = "log10"  # the paper's "10 3 lambda" can be read both ways (specs 2.3)
    omega_max: float = 0.1
    epsilon_max: float = 1e-3

    @property
    def inputs(self) -> int:
        return self.criteria + self.criteria * self.domains + 4 * self.domains

    def theta(self, u: np.ndarray) -> np.ndarray:
        n, m = self.criteria, self.domains
        overall = u[:, :n] / u[:, :n].sum(axis=1, keepdims=True)
        alpha = overall[:, None, :] * u[:, n : n + n * m].reshape(-1, m, n)
        alpha = alpha / alpha.sum(axis=2, keepdims=True)
        rest = u[:, n + n * m :].reshape(-1, 4, m)
        # Kept as the exponent under log10, so that averages and trees see the scale that was drawn.
        steep = 3.0 * rest[:, 0] if self.lambda_scale == "log10" else 1000.0 * rest[:, 0]
        parts = [alpha.reshape(-1, m * n), steep, self.omega_max * rest[:, 1], rest[:, 2]]
        return np.concatenate([*parts, self.epsilon_max * rest[:, 3]], axis=1)

    def unpack(self, theta: np.ndarray) -> dict[str, np.ndarray]:
        """(p,) -> alpha (M, N) and lambda, omega, eta, epsilon (M,)."""
        n, m = self.criteria, self.domains
        steep, omega, eta, epsilon = theta[m * n :].reshape(4, m)
        return {
            "alpha": theta[: m * n].reshape(m, n),
            "lambda": 10.0**steep if self.lambda_scale == "log10" else steep,
            "omega": omega,
            "eta": eta,
            "epsilon": epsilon,
        }


@dataclass(frozen=True, eq=False)
class ThetaResult:
    theta: np.ndarray  # (p,)
    predicted: float
    thetas: np.ndarray  # (n, p) that were run
    losses: np.ndarray  # (n, t)


THETA_TREES = Trees(max_depth=-1, min_leaf=20, l1=0.0, l2=0.0, name="lightgbm_theta")
THETA_GP = GaussianProcess("raw", ard_from=float("inf"), hyper_rows=256, name="gp_theta")


@dataclass(frozen=True)
class ThetaSearch:
    """The paper's: n random runs, LightGBM, 100,000 simulated parameters, the 10 best averaged."""

    n: int = 3000
    pool: int = 100_000
    top: int = 10
    predictor: Predictor = THETA_TREES

    def run(
        self,
        space: Space,
        evaluate: Evaluate,
        objective: Objective,
        targets: tuple[str, ...],
        seed: int,
        start: np.ndarray | None = None,
    ) -> ThetaResult:
        """start (m, inputs): uniform numbers of the first runs, where something is known to be good."""
        rng = np.random.default_rng(seed)
        with threadpool_limits(1):
            thetas = space.theta(begun(rng.random((self.n, space.inputs)), start))
            losses = evaluate(thetas)
            fitted, mix = fit_thetas(self.predictor, thetas, losses, objective, targets, seed)
            draws = space.theta(rng.random((self.pool, space.inputs)))
            best = draws[best_rows(objective_mean(fitted, draws, mix), self.top)]
            # Averaged after rescaling: alpha stays on its simplex (the paper does not say).
            theta = np.round(best.mean(axis=0), 6)
            return ThetaResult(theta, float(objective_mean(fitted, theta[None], mix)[0]), thetas, losses)


@dataclass(frozen=True)
class TrustRegion:
    """Random runs, then batches inside a box around the best run; the box grows on success and shrinks on failure
    (TuRBO, arXiv:1910.01739), moving about 20 coordinates at a time."""

    first: int = 400
    rounds: int = 20
    batch: int = 20
    length: float = 0.8  # side of the box at the start, of the unit cube
    shortest: float = 0.01
    pool: int = 4000
    predictor: Predictor = THETA_GP

    def run(
        self,
        space: Space,
        evaluate: Evaluate,
        objective: Objective,
        targets: tuple[str, ...],
        seed: int,
        start: np.ndarray | None = None,
    ) -> ThetaResult:
        """start (m, inputs): uniform numbers of the first runs, where something is known to be good."""
        if self.first < 2:
            raise ConfigError("trust region: two runs at least before the first box")
        rng = np.random.default_rng(seed)
        with threadpool_limits(1):
            u = begun(rng.random((self.first, space.inputs)), start)
            losses = evaluate(space.theta(u))
            length = self.length
            for _ in range(self.rounds):
                scores = objective.score(losses, targets)
                centre, best = u[best_rows(scores, 1)[0]], float(scores.min())
                near = best_rows(scores, max(self.first, 200))
                fitted, mix = fit_thetas(self.predictor, space.theta(u[near]), losses[near], objective, targets, seed)
                inside = centre + length * (rng.random((self.pool, space.inputs)) - 0.5)
                moved = rng.random(inside.shape) < min(1.0, 20.0 / space.inputs)
                inside = np.clip(np.where(moved, inside, centre), 1e-6, 1 - 1e-6)
                picked = inside[best_rows(objective_mean(fitted, space.theta(inside), mix), self.batch)]
                fresh = evaluate(space.theta(picked))
                u, losses = np.concatenate([u, picked]), np.concatenate([losses, fresh])
                better = float(objective.score(fresh, targets).min()) < best
                length = min(length * 1.5, 1.6) if better else max(length / 1.5, self.shortest)
            scores = objective.score(losses, targets)
            theta = np.round(space.theta(u[best_rows(scores, 1)])[0], 6)
            return ThetaResult(theta, float(scores.min()), space.theta(u), losses)


def begun(u: np.ndarray, start: np.ndarray | None) -> np.ndarray:
    return u if start is None else np.concatenate([start, u])[: len(u)]


def fit_thetas(
    predictor: Predictor,
    thetas: np.ndarray,
    losses: np.ndarray,
    objective: Objective,
    targets: tuple[str, ...],
    seed: int,
) -> tuple[Fitted, np.ndarray]:
    columns, mix = fit_table(objective, losses, targets)
    return predictor.fit(thetas, columns, np.arange(len(thetas)), seed), mix
