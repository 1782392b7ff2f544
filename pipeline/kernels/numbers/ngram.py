"""Kernels of the n-gram proxy: n-gram ids, count tables, and the probabilities of many mixtures side by side.

A *feature* is a slice of a bucket (feature = bucket * slices + slice). A mixture gives every feature a rate: how often
its tokens are read. Counts are linear in the rates; the number of distinct followers of a context is not, because a
follower that several buckets share counts once. So the followers that more than one bucket has are kept as lists of
features ("shared"), and those that one bucket has are only counted ("own").
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import inlined, kernel


@kernel
def _slot(key, mask):
    h = np.uint64(key) * np.uint64(0x9E3779B97F4A7C15)  # Fibonacci hashing
    return np.int64((h ^ (h >> np.uint64(32))) & np.uint64(mask))


@kernel
def hash_table(keys):
    """Open-addressing table of distinct int64 keys >= 0: (slots,) indexes into keys, -1 where empty."""
    size = 16
    while size < 2 * keys.size:
        size *= 2
    table = np.full(size, -1, np.int32)
    for i in range(keys.size):
        s = _slot(keys[i], size - 1)
        while table[s] >= 0:
            s = (s + 1) & (size - 1)
        table[s] = i
    return table


@kernel
def next_states(states, tokens, end_id, vocab, keys, table):
    """States of one more token of history: states (n,) int32 of m - 1 tokens -> (n,) int32 of m tokens.

    A state is 0 at the start of a document, -1 if the target never has that history, else 1 + index in `keys`
    (keys: state of the shorter history one token earlier * vocab + token).
    """
    out = np.empty(tokens.size, np.int32)
    mask = table.size - 1
    before = np.int64(0)
    for i in range(tokens.size):
        found = np.int32(-1)
        if tokens[i] == end_id:
            found = np.int32(0)
        elif before >= 0:
            key = before * vocab + tokens[i]
            s = _slot(key, mask)
            while table[s] >= 0:
                if keys[table[s]] == key:
                    found = np.int32(table[s] + 1)
                    break
                s = (s + 1) & mask
        out[i] = found
        before = np.int64(states[i])
    return out


@kernel
def events(states, tokens, vocab, features, ends, first_feature, out):
    """Writes ((state * vocab + token) * features + feature) of every position whose history the target has, in order,
    into `out` (tokens.size,) int64, and returns how many there are.

    states (n,) of the history that ends at each position; slice s of the bucket ends before position ends[s].
    """
    n = 0
    before = np.int64(0)
    s = 0
    for i in range(tokens.size):
        while i >= ends[s]:
            s += 1
        if before >= 0:
            out[n] = (before * vocab + tokens[i]) * features + first_feature + s
            n += 1
        before = np.int64(states[i])
    return n


@kernel
def run_lengths(values):
    """Distinct values of a sorted array and how often each occurs (float64); the array's beginning is overwritten."""
    n = 0
    for i in range(values.size):
        n += i == 0 or values[i] != values[i - 1]
    counts = np.zeros(n, np.float64)
    n = -1
    for i in range(values.size):
        if n < 0 or values[i] != values[n]:
            n += 1
            values[n] = values[i]
        counts[n] += 1.0
    return values[: n + 1].copy(), counts


@kernel
def tabulate(composite, counts, vocab, features, slices, contexts, grams):
    """The tables of one order, grouped by context.

    composite (e,) sorted, as `events` makes them, with their counts; contexts (c,) sorted states; grams (g,) sorted
    state * vocab + token of the target. Returns, per context c or gram g (pointers have one entry more than rows):
    total_at, total_feature, total_count   counts of the context by feature
    own_at, own_feature, own_count         followers that only one bucket has, by the first feature that has them
    shared_at                              per context, its followers that several buckets have
    feature_at, shared_feature             per shared follower, the first feature of each bucket that has it
    gram_at, gram_feature, gram_count      counts of the target's grams by feature
    first_at, first_feature                the first feature of each bucket that has the gram
    context_gram_at                        per context, its grams
    """
    total_at = np.zeros(contexts.size + 1, np.int64)
    total_feature = np.empty(composite.size, np.uint16)
    total_count = np.empty(composite.size, np.float64)
    own_at = np.zeros(contexts.size + 1, np.int64)
    own_feature = np.empty(composite.size, np.uint16)
    own_count = np.empty(composite.size, np.float64)
    shared_at = np.zeros(contexts.size + 1, np.int64)
    feature_at = np.zeros(composite.size + 1, np.int64)
    shared_feature = np.empty(composite.size, np.uint16)
    gram_at = np.zeros(grams.size + 1, np.int64)
    gram_feature = np.empty(composite.size, np.uint16)
    gram_count = np.empty(composite.size, np.float64)
    first_at = np.zeros(grams.size + 1, np.int64)
    first_feature = np.empty(composite.size, np.uint16)
    context_gram_at = np.zeros(contexts.size + 1, np.int64)
    totals = np.zeros(features, np.float64)
    owned = np.zeros(features, np.float64)
    e = g = 0
    n_total = n_own = n_shared = n_feature = n_gram = n_first = 0
    for c in range(contexts.size):
        high = (contexts[c] + 1) * vocab
        totals[:] = 0.0
        owned[:] = 0.0
        while e < composite.size and composite[e] // features < high:
            key = composite[e] // features
            while g < grams.size and grams[g] < key:
                gram_at[g + 1] = n_gram
                first_at[g + 1] = n_first
                g += 1
            wanted = g < grams.size and grams[g] == key
            buckets = 0
            last = -1
            start = n_feature
            while e < composite.size and composite[e] // features == key:
                f = composite[e] % features
                totals[f] += counts[e]
                if f // slices != last:
                    last = f // slices
                    buckets += 1
                    shared_feature[n_feature] = f
                    n_feature += 1
                if wanted:
                    gram_feature[n_gram] = f
                    gram_count[n_gram] = counts[e]
                    n_gram += 1
                e += 1
            if wanted:
                for i in range(start, n_feature):
                    first_feature[n_first] = shared_feature[i]
                    n_first += 1
            if buckets == 1:
                n_feature = start
                owned[shared_feature[start]] += 1.0
            else:
                n_shared += 1
                feature_at[n_shared] = n_feature
        while g < grams.size and grams[g] < high:
            gram_at[g + 1] = n_gram
            first_at[g + 1] = n_first
            g += 1
        for f in range(features):
            if totals[f] > 0:
                total_feature[n_total] = f
                total_count[n_total] = totals[f]
                n_total += 1
            if owned[f] > 0:
                own_feature[n_own] = f
                own_count[n_own] = owned[f]
                n_own += 1
        total_at[c + 1] = n_total
        own_at[c + 1] = n_own
        shared_at[c + 1] = n_shared
        context_gram_at[c + 1] = g
    return (
        total_at,
        total_feature[:n_total].copy(),
        total_count[:n_total].copy(),
        own_at,
        own_feature[:n_own].copy(),
        own_count[:n_own].copy(),
        shared_at,
        feature_at[: n_shared + 1].copy(),
        shared_feature[:n_feature].copy(),
        gram_at,
        gram_feature[:n_gram].copy(),
        gram_count[:n_gram].copy(),
        first_at,
        first_feature[:n_first].copy(),
        context_gram_at,
    )


@kernel
def probabilities(tables, low, high, rate, absent, discount, strength, lower, suffix, out, kept):
    """Interpolated absolute discounting for the grams of contexts low to high of one order, many mixtures side by side.

    rate, absent (features, lanes, or 1 for all lanes): copies of each feature, and the share of it that was never read
    (1 - min(rate, 1)); discount, strength (lanes,); lower (lower grams, lanes) with suffix (g,) indexes into it; out
    (g, lanes) becomes (seen + (strength + discount * followers) * lower) / (total + strength), where seen is
    count - discount * present, or `lower` where nothing was read and strength is 0. kept: total (c, lanes), followers
    (c, lanes), zeros at first, and seen (g, lanes), for `slopes`; or arrays without rows.
    """
    (
        total_at, total_feature, total_count, own_at, own_feature, own_count, shared_at, feature_at, shared_feature,
        gram_at, gram_feature, gram_count, first_at, first_feature, context_gram_at,
    ) = tables  # fmt: skip
    kept_total, kept_followers, kept_seen = kept
    keeps = kept_total.shape[0] > 0
    lanes, rates = out.shape[1], rate.shape[1]
    total = np.empty(lanes)
    followers = np.empty(lanes)
    inverse = np.empty(lanes)
    back_off = np.empty(lanes)
    product = np.empty(lanes)
    count = np.empty(lanes)
    for c in range(low, high):
        for x in range(rates):
            total[x] = 0.0
            followers[x] = 0.0
        for i in range(total_at[c], total_at[c + 1]):
            n = total_count[i]
            f = total_feature[i]
            for x in range(rates):
                total[x] += n * rate[f, x]
        for i in range(own_at[c], own_at[c + 1]):
            n = own_count[i]
            f = own_feature[i]
            for x in range(rates):
                followers[x] += n - n * absent[f, x]
            if keeps:  # the other order of rounding is what searches have always followed
                for x in range(rates):
                    kept_followers[c, x] += n * (1.0 - absent[f, x])
        for t in range(shared_at[c], shared_at[c + 1]):
            for x in range(rates):
                product[x] = 1.0
            for i in range(feature_at[t], feature_at[t + 1]):
                f = shared_feature[i]
                for x in range(rates):
                    product[x] *= absent[f, x]
            for x in range(rates):
                followers[x] += 1.0 - product[x]
            if keeps:
                for x in range(rates):
                    kept_followers[c, x] += 1.0 - product[x]
        for x in range(rates, lanes):
            total[x] = total[0]
            followers[x] = followers[0]
        for x in range(lanes):
            mass = total[x] + strength[x]
            inverse[x] = 1.0 / mass if mass > 0.0 else 0.0
            back_off[x] = (strength[x] + discount[x] * followers[x]) * inverse[x] if mass > 0.0 else 1.0
        if keeps:
            for x in range(lanes):
                kept_total[c, x] = total[x]
        for g in range(context_gram_at[c], context_gram_at[c + 1]):
            for x in range(rates):
                count[x] = 0.0
                product[x] = 1.0
            for i in range(gram_at[g], gram_at[g + 1]):
                n = gram_count[i]
                f = gram_feature[i]
                for x in range(rates):
                    count[x] += n * rate[f, x]
            for i in range(first_at[g], first_at[g + 1]):
                f = first_feature[i]
                for x in range(rates):
                    product[x] *= absent[f, x]
            for x in range(rates, lanes):
                count[x] = count[0]
                product[x] = product[0]
            s = suffix[g]
            for x in range(lanes):
                seen = count[x] - discount[x] * (1.0 - product[x])
                out[g, x] = seen * inverse[x] + back_off[x] * lower[s, x]
                count[x] = seen
            if keeps:
                for x in range(lanes):
                    kept_seen[g, x] = count[x]


@kernel
def surprisals(probability, gram, target, share, targets):
    """(targets, lanes): sum of -share * ln(probability) over each target's distinct grams.

    Up to four neighbours with the same target and share take one logarithm (of their product: 4 x 1e-12 is far from
    underflow), a third of the time of four.
    """
    lanes = probability.shape[1]
    out = np.zeros((targets, lanes))
    product = np.empty(lanes)
    i = 0
    while i < gram.size:
        first = i
        for x in range(lanes):
            product[x] = probability[gram[i], x]
        i += 1
        while i < gram.size and i < first + 4 and target[i] == target[first] and share[i] == share[first]:
            for x in range(lanes):
                product[x] *= probability[gram[i], x]
            i += 1
        for x in range(lanes):
            out[target[first], x] -= share[first] * np.log(product[x])
    return out


@inlined
def _add_product_slope(features, low, high, absent, moving, slope, absent_slope):
    """absent_slope[f] += slope * d(product of absent[features[low:high]])/d absent[f], where f is moving."""
    any_moving = False
    for i in range(low, high):
        any_moving |= moving[features[i]]
    if not any_moving:
        return
    for x in range(slope.size):
        product = 1.0
        for i in range(low, high):
            product *= absent[features[i], x]
        if product > 0.0:
            for i in range(low, high):
                f = features[i]
                if moving[f]:
                    absent_slope[f, x] += slope[x] * product / absent[f, x]


@kernel
def slopes(
    tables, low, high, kept, absent, moving, discount, strength, lower, suffix, slope, lower_slope, rate_slope,
    absent_slope,
):  # fmt: skip
    """The reverse of `probabilities`, with what it kept: adds to the last three what `slope` (g, lanes) = dLoss/dp
    implies; to the last two only for features that are `moving` (features,), and to the last only where the feature is
    not all read (absent > 0).

    absent, rate_slope, absent_slope (features, lanes); lower, lower_slope (lower grams, lanes); the discount and the
    strength are those of all lanes.
    """
    (
        total_at, total_feature, total_count, own_at, own_feature, own_count, shared_at, feature_at, shared_feature,
        gram_at, gram_feature, gram_count, first_at, first_feature, context_gram_at,
    ) = tables  # fmt: skip
    total, followers, seen = kept
    lanes = absent.shape[1]
    inverse = np.empty(lanes)
    mass_slope = np.empty(lanes)
    back_off_slope = np.empty(lanes)
    change = np.empty(lanes)
    for c in range(low, high):
        for x in range(lanes):
            mass = total[c, x] + strength
            inverse[x] = 1.0 / mass if mass > 0.0 else 0.0
            mass_slope[x] = 0.0
            back_off_slope[x] = 0.0
        for g in range(context_gram_at[c], context_gram_at[c + 1]):
            s = suffix[g]
            for x in range(lanes):
                back_off = (strength + discount * followers[c, x]) * inverse[x] if inverse[x] > 0.0 else 1.0
                mass_slope[x] += slope[g, x] * seen[g, x]
                back_off_slope[x] += slope[g, x] * lower[s, x]
                lower_slope[s, x] += slope[g, x] * back_off
                change[x] = slope[g, x] * inverse[x]
            for i in range(gram_at[g], gram_at[g + 1]):
                f = gram_feature[i]
                if moving[f]:
                    for x in range(lanes):
                        rate_slope[f, x] += change[x] * gram_count[i]
            for x in range(lanes):
                change[x] *= discount
            _add_product_slope(first_feature, first_at[g], first_at[g + 1], absent, moving, change, absent_slope)
        for x in range(lanes):
            change[x] = -(back_off_slope[x] * discount * inverse[x])
            mass_slope[x] += back_off_slope[x] * (strength + discount * followers[c, x])
            mass_slope[x] = -mass_slope[x] * inverse[x] * inverse[x]
        for i in range(total_at[c], total_at[c + 1]):
            f = total_feature[i]
            if moving[f]:
                for x in range(lanes):
                    rate_slope[f, x] += mass_slope[x] * total_count[i]
        for i in range(own_at[c], own_at[c + 1]):
            f = own_feature[i]
            if moving[f]:
                for x in range(lanes):
                    absent_slope[f, x] += change[x] * own_count[i]
        for t in range(shared_at[c], shared_at[c + 1]):
            _add_product_slope(shared_feature, feature_at[t], feature_at[t + 1], absent, moving, change, absent_slope)
