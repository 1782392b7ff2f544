"""Naive Bayes language scores over byte n-grams that an automaton finds, and counts of scripts, in one pass each.

The automaton and the formula are langid.py's (Lui and Baldwin, ACL 2012) as py3langid 0.4 has them: log(1 + count) of
each n-gram times its log-likelihood, plus the prior; softmax at temperature sqrt(bytes).
"""

import numpy as np
from numba import njit


@njit(cache=True, nogil=True)
def language_probs(data, offsets, moves, rows, features, table, prior, twin):
    """(n, k) float64 probabilities; a row of zeros where no n-gram was found.

    data uint8, offsets (n + 1,); moves (r, 256) next state, rows (states,) row of `moves`; features (states,) or -1;
    table (features, k) float32; prior (k,); twin (k,): class whose probability a class is added to (itself: none).
    """
    n, k = len(offsets) - 1, len(prior)
    out = np.zeros((n, k))
    counts = np.zeros(len(table), dtype=np.int32)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        found = np.empty(end - start, dtype=np.int32)
        n_found = 0
        state = 0
        for j in range(start, end):
            state = moves[rows[state], data[j]]
            feature = features[state]
            if feature >= 0:
                if counts[feature] == 0:
                    found[n_found] = feature
                    n_found += 1
                counts[feature] += 1
        if n_found == 0:
            continue
        score = out[i]
        for f in range(n_found):  # in order of appearance: the same sum on every CPU
            weight = np.log1p(np.float64(counts[found[f]]))
            counts[found[f]] = 0
            line = table[found[f]]
            for c in range(k):
                score[c] += weight * line[c]
        heat = 1.0 / np.sqrt(np.float64(end - start))
        best = -np.inf
        for c in range(k):
            score[c] = (score[c] + prior[c]) * heat
            best = max(best, score[c])
        total = 0.0
        for c in range(k):
            score[c] = np.exp(score[c] - best)
            total += score[c]
        for c in range(k):
            score[c] /= total
        for c in range(k):
            if twin[c] != c:
                score[twin[c]] += score[c]
                score[c] = 0.0
    return out


@njit(cache=True, nogil=True)
def script_counts(points, offsets, script_of, n_scripts):
    """(n, n_scripts) int64: code points of each text by script; script 0 is common, inherited and unknown ones."""
    n = len(offsets) - 1
    out = np.zeros((n, n_scripts), dtype=np.int64)
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            out[i, script_of[points[j]]] += 1
    return out
