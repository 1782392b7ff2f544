"""Naive Bayes language scores over byte n-grams that an automaton finds, and counts of scripts, in one pass each.

The automaton and the formula are langid.py's (Lui and Baldwin, ACL 2012) as py3langid 0.4 has them: log(1 + count) of
each n-gram times its log-likelihood, plus the prior; softmax at temperature sqrt(bytes).
"""

import numpy as np
from numba import njit

_GROUPS = 16  # n-grams that a text has fewer times are added by their count
_LOG1P = np.log1p(np.arange(float(_GROUPS)))


@njit(cache=True, nogil=True)
def language_probs(data, offsets, moves, rows, start, depth, table, shared, step, prior, twin, counts):
    """(n, k) float64 probabilities; a row of zeros where no n-gram was found.

    data uint8, offsets (n + 1,); moves (256, r) next state (by byte first: what is often read lies together), rows
    (states,) their place in it, start the first state, depth as in `walk`; table (states that end an n-gram, k) int16
    in units of `step`: those states come first, and the last len(shared) of them end an n-gram that others end, too,
    of which `shared` names the one that counts; prior (k,); twin (k,): class whose probability a class is added to
    (itself: none); counts (states,) uint32 zeros, and zeros again afterwards.
    """
    n, k = len(offsets) - 1, len(prior)
    out = np.zeros((n, k))
    states = walk(data, offsets, moves, rows, start, depth)
    longest = 0
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    found, by_count = np.empty(longest + 1, np.uint32), np.empty(longest + 1, np.uint32)
    ends, sums = np.empty(_GROUPS + 1, np.int64), np.empty(k, np.int32)
    for i in range(n):
        path = states[offsets[i] : offsets[i + 1]]
        n_found = _count(path, counts, table, shared, found)
        if n_found:
            _grouped(found, n_found, counts, by_count, ends)
            _add(out[i], table, by_count, n_found, counts, ends, sums)
            _softmax(out[i], step, prior, np.float64(len(path)), twin)
        for f in range(n_found):
            counts[found[f]] = 0
        for state in path:
            counts[state] = 0
    return out


@njit(cache=True, nogil=True)
def _count(path, counts, table, shared, found):
    """Counts states and writes those that end an n-gram to `found`, once each; how many they are. No branches:

    whether a byte ends an n-gram, or a new one, cannot be predicted.
    """
    n = 0
    for state in path:
        found[n] = state
        n += (counts[state] == 0) & (state < len(table))
        counts[state] += np.uint32(1)
    own = len(table) - len(shared)
    kept = 0
    for f in range(n):
        state = found[f]
        if state >= own and shared[state - own] != state:
            counted = shared[state - own]
            if counts[counted]:  # its own place in `found` stands for both, or one before this did
                counts[counted] += counts[state]
                continue
            counts[counted] = counts[state]
            state = counted
        found[kept] = state
        kept += 1
    return kept


@njit(cache=True, nogil=True)
def _grouped(found, n, counts, out, ends):
    """Sorts states by count into `out`; ends[g]: where those that were seen g times end, the last one's for more."""
    ends[:] = 0
    for f in range(n):
        ends[min(counts[found[f]], _GROUPS)] += 1
    at = 0
    for g in range(_GROUPS + 1):
        size = ends[g]
        ends[g] = at
        at += size
    for f in range(n):
        g = min(counts[found[f]], _GROUPS)
        out[ends[g]] = found[f]
        ends[g] += 1


@njit(cache=True, nogil=True)
def _add(score, table, states, n, counts, ends, sums):
    """Adds log(1 + count) of each state times its line. Lines of equal counts are added first, as whole numbers.

    So their order does not matter, and four lines are added in 16 bits: four times -15 / STEP is more than -2^15.
    """
    k = len(score)
    begin = 0
    for g in range(1, _GROUPS):
        end = ends[g]
        if end == begin:
            continue
        sums[:] = 0
        fours = end - (end - begin) % 4
        for f in range(begin, fours, 4):
            p, q, r, s = table[states[f]], table[states[f + 1]], table[states[f + 2]], table[states[f + 3]]
            for c in range(k):
                sums[c] += np.int16(p[c] + q[c] + r[c] + s[c])
        for f in range(fours, end):
            line = table[states[f]]
            for c in range(k):
                sums[c] += line[c]
        weight = _LOG1P[g]
        for c in range(k):
            score[c] += weight * sums[c]
        begin = end
    for f in range(begin, n):
        weight, line = np.log1p(np.float64(counts[states[f]])), table[states[f]]
        for c in range(k):
            score[c] += weight * line[c]


@njit(cache=True, nogil=True)
def _softmax(score, step, prior, size, twin):
    heat = 1.0 / np.sqrt(size)
    best = -np.inf
    for c in range(len(score)):
        score[c] = (step * score[c] + prior[c]) * heat
        best = max(best, score[c])
    total = 0.0
    for c in range(len(score)):
        score[c] = np.exp(score[c] - best)
        total += score[c]
    for c in range(len(score)):
        score[c] /= total
    for c in range(len(score)):
        if twin[c] != c:
            score[twin[c]] += score[c]
            score[c] = 0.0


@njit(cache=True, nogil=True)
def best_classes(probs, k):
    """(n, k) int64 classes and float64 probabilities of 4 decimals, best first; of equal ones the earlier class."""
    best = np.empty((len(probs), k), np.int64)
    rounded = np.empty((len(probs), k))
    for i in range(len(probs)):
        row = np.rint(probs[i] * 1e4) / 1e4
        for j in range(k):
            c = np.argmax(row)
            best[i, j], rounded[i, j] = c, row[c]
            row[c] = -1.0
    return best, rounded


@njit(cache=True, nogil=True)
def walk(data, offsets, moves, rows, start, depth):
    """The automaton's state after each byte of its text (uint32).

    A state says which n-gram's beginning, of at most `depth` bytes, the text ends with; so it is the same from
    `depth` bytes before. Each text is walked in eight pieces at once, because a step waits for memory.
    """
    states = np.empty(len(data), dtype=np.uint32)
    for one in range(len(offsets) - 1):
        begin, end = offsets[one], offsets[one + 1]
        size = (end - begin) // 8
        if size > depth:
            a, b, c, d = begin, begin + size, begin + 2 * size, begin + 3 * size
            e, f, g, h = begin + 4 * size, begin + 5 * size, begin + 6 * size, begin + 7 * size
            s = t = u = v = w = x = y = z = start
            for j in range(-depth, 0):
                t, u = moves[data[b + j], rows[t]], moves[data[c + j], rows[u]]
                v, w = moves[data[d + j], rows[v]], moves[data[e + j], rows[w]]
                x, y = moves[data[f + j], rows[x]], moves[data[g + j], rows[y]]
                z = moves[data[h + j], rows[z]]
            for j in range(size):
                s, t = moves[data[a + j], rows[s]], moves[data[b + j], rows[t]]
                u, v = moves[data[c + j], rows[u]], moves[data[d + j], rows[v]]
                w, x = moves[data[e + j], rows[w]], moves[data[f + j], rows[x]]
                y, z = moves[data[g + j], rows[y]], moves[data[h + j], rows[z]]
                states[a + j], states[b + j], states[c + j], states[d + j] = s, t, u, v
                states[e + j], states[f + j], states[g + j], states[h + j] = w, x, y, z
            begin += 8 * size
            state = z
        else:
            state = start
        for j in range(begin, end):
            state = moves[data[j], rows[state]]
            states[j] = state
    return states


@njit(cache=True, nogil=True)
def script_counts(points, offsets, script_of, n_scripts):
    """(n, n_scripts) int64: code points of each text by script; script 0 is common, inherited and unknown ones."""
    n = len(offsets) - 1
    out = np.zeros((n, n_scripts), dtype=np.int64)
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            out[i, script_of[points[j]]] += 1
    return out
