"""Naive Bayes language scores over byte n-grams that an automaton finds, and counts of scripts, in one pass each.

The automaton and the formula are langid.py's (Lui and Baldwin, ACL 2012) as py3langid 0.4 has them: log(1 + count) of
each n-gram times its log-likelihood, plus the prior; softmax at temperature sqrt(bytes).
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel
from gristmill.pipeline.kernels.prefetch import prefetch_row

_GROUPS = 16  # n-grams that a text has fewer times are added by their count
_LOG1P = np.log1p(np.arange(float(_GROUPS)))
_AT_ONCE = 4  # lines that `_lines` adds
_AHEAD = 32  # lines that are asked for before they are added: some 300 ns, about what memory takes


@kernel
def language_probs(data, offsets, moves, rows, start, depth, table, middle, shared, step, prior, twin, counts):
    """(n, k) float64 probabilities; a row of zeros where no n-gram was found.

    data uint8, offsets (n + 1,); moves (256, r) next state (by byte first: what is often read lies together), rows
    (states,) their place in it, start the first state, depth as in `walk`; table (states that end an n-gram and a line
    of zeros, at least k) int16 in units of `step` and less `middle`: those states come first, and the last len(shared)
    of them end an n-gram that others end, too, of which `shared` names the one that counts; prior (k,); twin (k,):
    class whose probability a class is added to (itself: none); counts (states,) uint32 zeros, and zeros again
    afterwards.
    """
    n, k = len(offsets) - 1, len(prior)
    out = np.zeros((n, k))
    longest = 0
    for i in range(n):
        longest = max(longest, offsets[i + 1] - offsets[i])
    states, found = np.empty(longest, np.uint32), np.empty(longest + 1, np.uint32)
    by_count, ends = np.empty(longest + 1 + _AT_ONCE * _GROUPS, np.uint32), np.empty(_GROUPS + 1, np.int64)
    sums = np.empty(table.shape[1], np.int32)
    for i in range(n):
        text = data[offsets[i] : offsets[i + 1]]
        path = states[: len(text)]
        walk(text, path, moves, rows, start, depth)
        n_found = _count(path, counts, len(table) - 1, shared, found)
        if n_found:
            _grouped(found, n_found, counts, len(table) - 1, by_count, ends)
            _add(out[i], table, middle, by_count, counts, ends, sums)
            _softmax(out[i], step, prior, np.float64(len(path)), twin)
        for f in range(n_found):
            counts[found[f]] = 0
    return out


@kernel
def _count(path, counts, ending, shared, found):
    """Counts states that end an n-gram and writes them to `found`, once each; how many they are. No branches:

    whether a byte ends an n-gram, or a new one, cannot be predicted.
    """
    n = 0
    for state in path:
        found[n] = state
        ends = state < ending
        n += ends & (counts[state] == 0)
        counts[state] += np.uint32(ends)
    own = ending - len(shared)
    kept = 0
    for f in range(n):
        state = found[f]
        if state >= own and shared[state - own] != state:
            counted = shared[state - own]
            stands = counts[counted] > 0  # its own place in `found` stands for both, or one before this did
            counts[counted] += counts[state]
            counts[state] = 0
            if stands:
                continue
            state = counted
        found[kept] = state
        kept += 1
    return kept


@kernel
def _grouped(found, n, counts, nothing, out, ends):
    """Sorts states by count into `out`, each group filled up with `nothing` to a multiple of _AT_ONCE but the last one.

    ends[g]: how many were seen g times, the last one's for more. Most are seen once, and are told without a branch.
    """
    once = 0
    ends[:] = 0
    for f in range(n):
        out[once] = found[f]
        once += counts[found[f]] == 1
    for f in range(n):
        ends[min(counts[found[f]], _GROUPS)] += 1
    at = np.zeros(_GROUPS + 1, np.int64)
    end = 0
    for g in range(1, _GROUPS):
        at[g] = end
        end += ends[g]
        while end % _AT_ONCE:
            out[end] = nothing
            end += 1
    at[_GROUPS] = end
    for f in range(n):
        g = min(counts[found[f]], _GROUPS)
        if g > 1:
            out[at[g]] = found[f]
            at[g] += 1


@kernel
def _add(score, table, middle, states, counts, ends, sums):
    """Adds log(1 + count) of each state times its line. Lines of equal counts are added first, as whole numbers,

    so that their order does not matter.
    """
    begin = 0
    for g in range(1, _GROUPS):
        size = ends[g]
        if size == 0:
            continue
        sums[:] = size * middle
        end = begin + -(-size // _AT_ONCE) * _AT_ONCE
        _lines(table, states[begin:end], sums)
        weight = _LOG1P[g]
        for c in range(len(score)):
            score[c] += weight * sums[c]
        begin = end
    for f in range(begin, begin + ends[_GROUPS]):
        weight, line = np.log1p(np.float64(counts[states[f]])), table[states[f]]
        for c in range(len(score)):
            score[c] += weight * (line[c] + middle)


@kernel
def _lines(table, states, sums):
    """Adds lines, four at a time in 16 bits: less the middle of -15 / STEP and 0, four are less than 2^15."""
    last = len(states) - 1
    for f in range(0, len(states), _AT_ONCE):
        for ahead in range(f + _AHEAD, f + _AHEAD + _AT_ONCE):
            prefetch_row(table, np.intp(states[min(ahead, last)]))  # pyright: ignore[reportCallIssue]
        p, q, r, s = table[states[f]], table[states[f + 1]], table[states[f + 2]], table[states[f + 3]]
        for c in range(len(sums)):
            sums[c] += np.int16(p[c] + q[c] + r[c] + s[c])


@kernel
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


@kernel
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


@kernel
def walk(data, states, moves, rows, start, depth):
    """Writes the automaton's state after each byte of a text to `states` (uint32).

    A state says which n-gram's beginning, of at most `depth` bytes, the text ends with; so it is the same from
    `depth` bytes before. The text is walked in eight pieces at once, because a step waits for memory.
    """
    size = len(states) // 8
    state, done = start, 0
    if size > depth:
        a, b, c, d = 0, size, 2 * size, 3 * size
        e, f, g, h = 4 * size, 5 * size, 6 * size, 7 * size
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
        state, done = z, 8 * size
    for j in range(done, len(states)):
        state = moves[data[j], rows[state]]
        states[j] = state


@kernel
def script_counts(points, offsets, script_of, n_scripts):
    """(n, n_scripts) int64: code points of each text by script; script 0 is common, inherited and unknown ones."""
    n = len(offsets) - 1
    out = np.zeros((n, n_scripts), dtype=np.int64)
    for i in range(n):
        for j in range(offsets[i], offsets[i + 1]):
            out[i, script_of[points[j]]] += 1
    return out
