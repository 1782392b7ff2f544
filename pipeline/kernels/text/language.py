"""Naive Bayes language scores over byte n-grams that an automaton finds, and counts of scripts, in one pass each.

The automaton and the formula are langid.py's (Lui and Baldwin, ACL 2012) as py3langid 0.4 has them: log(1 + count) of
each n-gram times its log-likelihood, plus the prior; softmax at temperature sqrt(bytes).
"""

import numpy as np
from numba import njit

_LOG1P = np.log1p(np.arange(256.0))


@njit(cache=True, nogil=True)
def language_probs(data, offsets, moves, rows, features, table, step, prior, twin):
    """(n, k) float64 probabilities; a row of zeros where no n-gram was found.

    data uint8, offsets (n + 1,); moves (256, r) next state (by byte first: what is often
    read lies together), rows (states,) their place in it; features (states,) or -1;
    table (features, k) in units of `step`; prior (k,); twin (k,): class whose probability a class is added to (itself:
    none).
    """
    n, k = len(offsets) - 1, len(prior)
    out = np.zeros((n, k))
    counts = np.zeros(len(table), dtype=np.int32)
    states = _walk(data, offsets, moves, rows)
    for i in range(n):
        start, end = offsets[i], offsets[i + 1]
        found = np.empty(end - start, dtype=np.int32)
        n_found = 0
        for j in range(start, end):
            feature = features[states[j]]
            if feature >= 0:
                if counts[feature] == 0:
                    found[n_found] = feature
                    n_found += 1
                counts[feature] += 1
        if n_found == 0:
            continue
        score = out[i]
        # In order of appearance: the same sum on every CPU. Four lines at once, because memory is what they wait for.
        for f in range(0, n_found - n_found % 4, 4):
            w0, line0 = _weight(counts, found[f]), table[found[f]]
            w1, line1 = _weight(counts, found[f + 1]), table[found[f + 1]]
            w2, line2 = _weight(counts, found[f + 2]), table[found[f + 2]]
            w3, line3 = _weight(counts, found[f + 3]), table[found[f + 3]]
            for c in range(k):
                score[c] += w0 * line0[c] + w1 * line1[c] + (w2 * line2[c] + w3 * line3[c])
        for f in range(n_found - n_found % 4, n_found):
            weight, line = _weight(counts, found[f]), table[found[f]]
            for c in range(k):
                score[c] += weight * line[c]
        heat = 1.0 / np.sqrt(np.float64(end - start))
        best = -np.inf
        for c in range(k):
            score[c] = (step * score[c] + prior[c]) * heat
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
def _walk(data, offsets, moves, rows):
    """The automaton's state after each byte of its text. Four texts of like length at once: a step waits for memory."""
    states = np.empty(len(data), dtype=np.uint32)
    order = np.argsort(offsets[1:] - offsets[:-1])
    for g in range(0, len(order), 4):
        four = order[g : g + 4]
        together = 0
        if len(four) == 4:
            together = offsets[four[0] + 1] - offsets[four[0]]  # the shortest
            a, b, c, d = offsets[four[0]], offsets[four[1]], offsets[four[2]], offsets[four[3]]
            s = t = u = v = np.uint32(0)
            for j in range(together):
                s, t = moves[data[a + j], rows[s]], moves[data[b + j], rows[t]]
                u, v = moves[data[c + j], rows[u]], moves[data[d + j], rows[v]]
                states[a + j], states[b + j], states[c + j], states[d + j] = s, t, u, v
        for i in four:
            begin = offsets[i] + together
            state = states[begin - 1] if together else np.uint32(0)
            for j in range(begin, offsets[i + 1]):
                state = moves[data[j], rows[state]]
                states[j] = state
    return states


@njit(cache=True, nogil=True)
def _weight(counts, feature):
    """log(1 + count), and the count is 0 again."""
    count = counts[feature]
    counts[feature] = 0
    return _LOG1P[count] if count < len(_LOG1P) else np.log1p(np.float64(count))


@njit(cache=True, nogil=True)
def script_counts(points, offsets, script_of, n_scripts):
    """(n, n_scripts) int64: code points of each text by script; script 0 is common, inherited and unknown ones."""
    n = len(offsets) - 1
    out = np.zeros((n, n_scripts), dtype=np.int64)
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            out[i, script_of[points[j]]] += 1
    return out
