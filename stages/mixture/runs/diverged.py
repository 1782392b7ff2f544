"""Tells diverged runs from runs of mixtures that are truly bad, by their neighbours' losses."""

import numpy as np

from gristmill.pipeline.contract.errors import DataError

FAR, LARGE = 50.0, 10.0
REACH, TARGETS, RUNS = 3.0, 3, 8
FEW = 5  # if more than 1 run in 5 looks diverged, drop none: the table is heavy-tailed
APART, BEYOND = 1.5, 0.1


def steady(weights: np.ndarray, losses: np.ndarray, groups: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The rows that did not diverge: one that did would decide a fit. Raises DataError for a loss that is no number."""
    bad = np.argwhere(~np.isfinite(losses))
    if len(bad):
        raise DataError(f"row {bad[0][0]}, target {bad[0][1]}: the loss is {losses[tuple(bad[0])]}; leave the run out")
    out = diverged(weights, losses)
    return (weights[~out], losses[~out], groups[~out]) if out.any() else (weights, losses, groups)


def diverged(weights: np.ndarray, losses: np.ndarray) -> np.ndarray:
    """(n, k), (n, t) finite -> (n,) bool. Left out one by one, worst first, until none is left.

    A run diverged if one loss lies FAR quartile distances from the target's median and is LARGE times that median; or
    if, of TARGETS targets at least, the middle one lies REACH quartile distances beyond the quartiles. A mixture
    without a bucket costs up to 11 of them in published tables, but on that bucket's targets only: on the middle target
    no published run reaches 2.5. A run whose mixture stands apart from all others is never judged by the second rule.
    """
    out = np.zeros(len(losses), dtype=bool)
    while len(losses) - out.sum() > 3:
        rows = np.flatnonzero(~out)
        reach = beyond(losses[rows])
        several = losses.shape[1] >= TARGETS and len(rows) >= RUNS
        middle = np.median(reach, axis=1) if several else np.zeros(len(rows))
        middle = np.where(middle > REACH, middle, 0.0)
        if middle.any():
            middle[apart(weights[rows])] = 0.0
        wild = np.where(far_and_large(losses[rows]), reach, 0.0).max(axis=1)
        score = np.maximum(middle, wild)
        if not score.any():
            break
        out[rows[int(np.argmax(score))]] = True
    return out if out.sum() * FEW <= len(losses) else np.zeros(len(losses), dtype=bool)


def beyond(losses: np.ndarray) -> np.ndarray:
    """(n, t) how far outside the quartiles, in their distance; 0 where that is 0."""
    low, high = np.quantile(losses, (0.25, 0.75), axis=0)
    spread = high - low
    outside = np.maximum(np.maximum(losses - high, low - losses), 0.0)
    return np.divide(outside, spread, out=np.zeros_like(outside), where=spread > 0)


def far_and_large(losses: np.ndarray) -> np.ndarray:
    low, middle, high = np.quantile(losses, (0.25, 0.5, 0.75), axis=0)
    far = np.abs(losses - middle) > FAR * (high - low)
    return far & (np.abs(losses) > LARGE * np.abs(middle)) & (high > low) & (middle != 0)


def apart(weights: np.ndarray) -> np.ndarray:
    """(n,) bool: no other run is near in total variation, or a bucket has a weight that no other run's comes near."""
    distance = np.stack([0.5 * np.abs(weights - w).sum(axis=1) for w in weights])
    np.fill_diagonal(distance, np.inf)
    nearest = distance.min(axis=1)
    lone = nearest > APART * np.median(nearest)
    two = np.sort(weights, axis=0)
    # The greatest and the least weight of the others.
    top = np.where(weights == two[-1], two[-2], two[-1])
    least = np.where(weights == two[0], two[1], two[0])
    return lone | (weights > top + BEYOND).any(axis=1) | ((weights == 0) & (least > 0)).any(axis=1)
