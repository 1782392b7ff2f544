"""Higher fidelity = slope x lower fidelity + Gaussian process; hyper-parameters are averaged by marginal likelihood.

loss = offset + slope * below(w) + d(w) + noise, with d a Gaussian process. How large d is (nothing, to more than the
losses' own spread), how far it reaches and how large the noise is, is not fitted but averaged over a grid by marginal
likelihood, target by target: a few dear runs leave the rung below as it is, many may overrule it. All in closed form,
one eigendecomposition per length.
"""

from dataclasses import dataclass, replace

import numpy as np

from gristmill.stages.mixture.predictors.gaussian_process import LENGTH_SD, ROOT5, matern, squared_distance
from gristmill.stages.mixture.predictors.protocol import Fitted, features, spans

LENGTH_MEAN = (
    2**0.5
)  # of log lengths per root of the number of buckets, as in stages/mixture/predictors/gaussian_process.py
OFFSET_SD = 10.0  # of the scaled losses: unknown
LIKELY = 1e-4  # cells of the grid that are less likely for every target are left out


@dataclass(frozen=True)
class Difference:
    """Settings. Amplitudes and noises are in units of the upper rung's spread of losses."""

    transform: str = "cbrt"  # of the weights
    # Of this rung's losses on those below, and their odds: losses of two sizes of a model fall about alike.
    slopes: tuple[tuple[float, float], ...] = ((0.25, 0.05), (0.5, 0.15), (1.0, 0.6), (2.0, 0.15), (4.0, 0.05))
    slope_sd: float = 0.3  # of a slope, around each of them
    none: float = 0.5  # that there is no difference, before any run speaks
    amplitudes: tuple[float, ...] = (0.1, 0.2, 0.4, 0.8, 1.6)
    lengths: tuple[float, ...] = (0.5, 1.0, 2.0, 4.0, 8.0)  # times the root of the number of buckets
    noises: tuple[float, ...] = (0.03, 0.06, 0.12, 0.25, 0.5)
    # The spread of a few dear runs is luck: the rung below's spread on the same mixtures counts as so many runs.
    spread_runs: float = 4.0

    def fit(
        self, below: Fitted, weights: np.ndarray, losses: np.ndarray, groups: np.ndarray, seed: int
    ) -> "FittedDifference":
        x = below.mean(weights)
        n, k = weights.shape
        variance = (n * losses.var(axis=0) + self.spread_runs * x.var(axis=0)) / (n + self.spread_runs)
        scale = np.where(variance > 0, np.sqrt(variance), 1.0)
        raw = features(weights, self.transform)
        centre, width = spans(raw)
        level, z = losses.mean(axis=0), (raw - centre) / width
        along, y = (x - x.mean(axis=0)) / scale, (losses - level) / scale
        prior = np.exp(-0.5 * ((np.log(self.lengths) - LENGTH_MEAN) / LENGTH_SD) ** 2)
        planes = []
        for i, (length, belief) in enumerate(zip(self.lengths, prior / prior.sum(), strict=True)):
            # With amplitude 0 the length scale has no effect, so those cells are added for the first length only.
            cells = [(a, s) for a in (*[0.0][i:], *self.amplitudes) for s in self.noises]
            some = belief * (1 - self.none) / len(self.amplitudes)
            log_prior = np.log([some if a > 0 else self.none for a, _ in cells])
            reach = length * k**0.5
            turned = np.linalg.eigh(matern_of(z, z, reach))
            for slope, odds in self.slopes:
                basis = Basis(slope, np.array([OFFSET_SD, self.slope_sd * slope]) ** -2.0, along)
                planes.append(plane(z, reach, turned, np.array(cells), log_prior + np.log(odds), basis, y))
        shares = posterior(np.concatenate([p.evidence for p in planes]))
        parts = np.split(shares, np.cumsum([len(p.cells) for p in planes])[:-1])
        kept = tuple(p.weighed(s) for p, s in zip(planes, parts, strict=True) if (s > 0).any())
        residuals = scale * np.add.reduce([p.left_out(groups) for p in kept])
        return FittedDifference(self.transform, below, centre, width, x.mean(axis=0), level, scale, kept, residuals)


def posterior(evidence: np.ndarray) -> np.ndarray:
    """(cells, t) log evidence with prior -> (cells, t) shares that sum to 1, 6 decimals: last bits do not travel on."""
    shares = np.exp(evidence - evidence.max(axis=0))
    shares /= shares.sum(axis=0)
    shares = np.where(shares < LIKELY, 0.0, shares)
    return np.round(shares / shares.sum(axis=0), 6)


@dataclass(frozen=True, eq=False)
class Basis:
    """What every cell has beside its difference: an offset around 0 and a slope on `along` around `slope`."""

    slope: float
    precision: np.ndarray  # (2,) of the offset and the slope
    along: np.ndarray  # (n, t) the rung below, scaled


@dataclass(frozen=True, eq=False)
class Plane:
    """All cells (c) of one length and slope: K = U diag(values) U^T, C = amplitude^2 K + noise^2 I, plus the basis
    with its prior, integrated out."""

    z: np.ndarray  # (n, k)
    length: float
    cells: np.ndarray  # (c, 2) amplitude, noise
    vectors: np.ndarray  # (n, n) U
    inverse: np.ndarray  # (c, n) 1 / (amplitude^2 values + noise^2)
    one: np.ndarray  # (n,) U^T 1
    along: np.ndarray  # (n, t) U^T of the rung below, scaled
    gram: np.ndarray  # (c, t, 2, 2) B^T C^-1 B + prior, inverted
    beta: np.ndarray  # (c, t, 2) mean of offset and slope
    alpha: np.ndarray  # (c, n, t) C^-1 (y - B beta)
    evidence: np.ndarray  # (c, t) log, with the prior of the cell
    shares: np.ndarray  # (c, t)

    def weighed(self, shares: np.ndarray) -> "Plane":
        """The cells that count, by so much."""
        kept = (shares > 0).any(axis=1)
        arrays = ("cells", "inverse", "gram", "beta", "alpha", "evidence")
        return replace(self, shares=shares[kept], **{name: getattr(self, name)[kept] for name in arrays})

    def kernel(self, z: np.ndarray) -> np.ndarray:
        return matern_of(z, self.z, self.length)

    def left_out(self, groups: np.ndarray) -> np.ndarray:
        """(n, t) part of the residual of each run predicted from the other groups: (C^-1)_BB^-1 (C^-1 y)_B with the
        basis in C (Rasmussen and Williams 2006, eq. 5.12)."""
        _, n, t = self.alpha.shape
        first = (self.inverse * self.one) @ self.vectors.T  # (c, n) C^-1 1
        second = np.einsum("ij,cj,jt->cit", self.vectors, self.inverse, self.along, optimize=True)  # C^-1 along
        basis = np.stack([np.broadcast_to(first[:, :, None], second.shape), second])  # (2, c, n, t)
        out = np.empty((n, t))
        for g in np.unique(groups):
            at = np.flatnonzero(groups == g)
            block = np.einsum("ij,cj,kj->cik", self.vectors[at], self.inverse, self.vectors[at], optimize=True)
            b = basis[:, :, at]  # (2, c, b, t)
            whole = block[:, None] - np.einsum("pcit,ctpq,qckt->ctik", b, self.gram, b, optimize=True)
            error = np.linalg.solve(whole, np.moveaxis(self.alpha[:, at], 2, 1)[..., None])[..., 0]  # (c, t, b)
            out[at] = np.einsum("ct,ctb->bt", self.shares, error)
        return out

    def moments(self, z: np.ndarray, along: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """(m, k), (m, t) -> the cells' share of the mean and of the mean square, (m, t) each."""
        power = self.cells[:, 0] ** 2
        turned = self.kernel(z) @ self.vectors  # (m, n)
        explained = power[:, None] ** 2 * (self.inverse @ (turned**2).T)  # (c, m)
        one = 1.0 - power[:, None] * ((self.inverse * self.one) @ turned.T)  # (c, m)
        mean, square = np.zeros_like(along), np.zeros_like(along)
        for j in range(along.shape[1]):
            other = along[:, j] - power[:, None] * ((self.inverse * self.along[:, j]) @ turned.T)
            gram = self.gram[:, j]
            extra = gram[:, :1, 0] * one**2 + 2 * gram[:, :1, 1] * one * other + gram[:, 1:, 1] * other**2
            middle = self.beta[:, j, :1] + self.beta[:, j, 1:] * along[:, j]
            middle = middle + power[:, None] * ((self.alpha[:, :, j] @ self.vectors) @ turned.T)
            variance = np.maximum(power[:, None] - explained, 0.0) + extra
            mean[:, j] = self.shares[:, j] @ middle
            square[:, j] = self.shares[:, j] @ (variance + middle**2)
        return mean, square


def plane(
    z: np.ndarray,
    length: float,
    eigen: tuple[np.ndarray, np.ndarray],
    cells: np.ndarray,
    log_prior: np.ndarray,
    basis: Basis,
    y: np.ndarray,
) -> Plane:
    """eigen: values (n,) and vectors (n, n) of the kernel; y (n, t)."""
    values, vectors = eigen
    variance = cells[:, :1] ** 2 * np.maximum(values, 0.0) + cells[:, 1:] ** 2  # (c, n)
    inverse = 1.0 / variance
    one, second, turned = vectors.sum(axis=0), vectors.T @ basis.along, vectors.T @ (y - basis.slope * basis.along)
    rows = np.stack([np.broadcast_to(one[:, None], second.shape), second])  # (2, n, t)
    gram = np.einsum("cn,pnt,qnt->ctpq", inverse, rows, rows, optimize=True) + np.diag(basis.precision)
    right = np.einsum("cn,pnt,nt->ctp", inverse, rows, turned, optimize=True)
    solved = np.linalg.inv(gram)
    beta = np.einsum("ctpq,ctq->ctp", solved, right)
    quadratic = inverse @ turned**2 - (right * beta).sum(axis=2)
    log_det = np.log(variance).sum(axis=1)[:, None] + np.linalg.slogdet(gram)[1] - np.log(basis.precision).sum()
    alpha = vectors @ (inverse[:, :, None] * (turned - np.einsum("pnt,ctp->cnt", rows, beta)))
    evidence = log_prior[:, None] - 0.5 * (quadratic + log_det)
    beta = beta + np.array([0.0, basis.slope])
    return Plane(z, length, cells, vectors, inverse, one, second, solved, beta, alpha, evidence, np.empty(0))


def matern_of(a: np.ndarray, b: np.ndarray, length: float) -> np.ndarray:
    return matern(ROOT5 / length * np.sqrt(squared_distance(a, b)))


@dataclass(frozen=True, eq=False)
class FittedDifference:
    transform: str
    below: Fitted
    centre: np.ndarray  # (k,) and
    width: np.ndarray  # (k,) of the transformed weights
    x_mean: np.ndarray  # (t,) of the rung below
    level: np.ndarray  # (t,) this rung's mean
    scale: np.ndarray  # (t,)
    planes: tuple[Plane, ...]
    residuals: np.ndarray  # (n, t) leave-one-run-out

    @property
    def slope(self) -> np.ndarray:
        """(t,) of this rung's losses on those below."""
        return np.add.reduce([(p.shares * p.beta[:, :, 1]).sum(axis=0) for p in self.planes])

    @property
    def noise(self) -> np.ndarray:
        return self.scale * np.sqrt(np.add.reduce([p.cells[:, 1] ** 2 @ p.shares for p in self.planes]))

    def standard(self, weights: np.ndarray) -> np.ndarray:
        return (features(weights, self.transform) - self.centre) / self.width

    def mean(self, weights: np.ndarray) -> np.ndarray:
        x, z = self.below.mean(weights), self.standard(weights)
        along = (x - self.x_mean) / self.scale
        out = np.zeros_like(x)
        for p in self.planes:
            out += (p.shares * p.beta[:, :, 0]).sum(axis=0) + along * (p.shares * p.beta[:, :, 1]).sum(axis=0)
            out += p.kernel(z) @ np.einsum("ct,cnt->nt", p.shares * p.cells[:, :1] ** 2, p.alpha)
        return self.level + self.scale * out

    def own_sd(self, weights: np.ndarray) -> np.ndarray:
        """(n, t) without what is unknown of the rung below."""
        z, along = self.standard(weights), (self.below.mean(weights) - self.x_mean) / self.scale
        moments = [p.moments(z, along) for p in self.planes]
        mean, square = (np.add.reduce(m) for m in zip(*moments, strict=True))
        return self.scale * np.sqrt(np.maximum(square - mean**2, 1e-12))

    def sd(self, weights: np.ndarray) -> np.ndarray:
        return np.hypot(self.slope * self.below.sd(weights), self.own_sd(weights))

    def known_below(self, weights: np.ndarray) -> np.ndarray:
        """(n, t) share of this rung's variance that a run one rung down could remove."""
        lower = (self.slope * self.below.sd(weights)) ** 2
        return lower / np.maximum(lower + self.own_sd(weights) ** 2, 1e-30)
