"""Calibrates raw scores to probabilities (Platt) and measures how well they separate two classes (AUC)."""

import numpy as np

_LIMIT = 1e-6  # probabilities are read within [1e-6, 1 - 1e-6]


def logit(p: np.ndarray) -> np.ndarray:
    p = np.clip(p, _LIMIT, 1 - _LIMIT)
    return np.log(p / (1 - p))


def calibrated(scores: np.ndarray, slope: float, intercept: float) -> np.ndarray:
    """P(positive) of raw probabilities; monotone in them."""
    return 1 / (1 + np.exp(-(slope * logit(scores) + intercept)))


def platt(scores: np.ndarray, positive: np.ndarray) -> tuple[float, float]:
    """Slope (at least 0.01) and intercept of a logistic curve through raw probabilities, rounded to 4 decimals.

    Platt's smoothed targets and Newton's method (Lin, Lin and Weng 2007): few examples do not give certainty. A
    classifier that learned nothing gets a flat curve and keeps its order.
    """
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    target = np.where(positive, (n_pos + 1) / (n_pos + 2), 1 / (n_neg + 2))
    x = np.column_stack([logit(scores), np.ones(scores.size)])
    w = np.array([0.0, np.log((n_pos + 1) / (n_neg + 1))])
    for _ in range(100):
        p = 1 / (1 + np.exp(-x @ w))
        gradient = x.T @ (p - target)
        hessian = (x * (p * (1 - p))[:, None]).T @ x + 1e-9 * np.eye(2)
        step = np.linalg.solve(hessian, gradient)
        # A full step may overshoot where the scores are extreme: at most 1 in any direction.
        step /= max(1.0, float(np.abs(step).max()))
        w -= step
        if np.abs(step).max() < 1e-9:
            break
    return max(round(float(w[0]), 4), 0.01), round(float(w[1]), 4)


def auc(scores: np.ndarray, positive: np.ndarray) -> float | None:
    """Area under the ROC curve: P(a positive scores above a negative), ties half; None without both classes."""
    n_pos, n_neg = int(positive.sum()), int((~positive).sum())
    if not n_pos or not n_neg:
        return None
    return float((mid_ranks(scores)[positive].sum() - n_pos * (n_pos + 1) / 2) / (n_pos * n_neg))


def mid_ranks(values: np.ndarray) -> np.ndarray:
    """1 for the lowest; equal values share the mean of their ranks."""
    _, at, counts = np.unique(values, return_inverse=True, return_counts=True)
    return (np.cumsum(counts) - (counts - 1) / 2)[at]
