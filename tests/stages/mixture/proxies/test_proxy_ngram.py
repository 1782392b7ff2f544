"""The n-gram proxy against a model counted, in plain Python, on the written-out mixture."""

import math
from collections import Counter, defaultdict
from itertools import pairwise

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.mixture.proxies.ngram import NgramProxy

END, VOCAB = 0, 13
SIZES = (128, 64, 256)
DISCOUNTS, STRENGTHS = (0.3, 0.6, 0.8, 0.85), (2.0, 1.5, 0.4, 0.2)


def stream(seed, size, favourite):
    """Documents of 1-20 tokens around a favourite token, so that buckets share some n-grams and not others."""
    rng = np.random.default_rng(seed)
    tokens = (favourite + rng.geometric(0.35, size)) % (VOCAB - 1) + 1
    tokens[rng.random(size) < 0.08] = END
    return tokens


STREAMS = [stream(i, n, f) for i, (n, f) in enumerate(zip(SIZES, (0, 3, 4), strict=True))]
TARGETS = [stream(9, 90, 1), np.append(stream(8, 70, 4), END)]


def fit(**changes):
    settings = {
        "budget_tokens": 256, "vocab": VOCAB, "end_id": END, "max_order": 3,
        "discounts": DISCOUNTS[:3], "strengths": STRENGTHS[:3], "repeat_value": 1.0, "threads": 1,
    } | changes  # fmt: skip
    return NgramProxy.fit(STREAMS, TARGETS, ("a", "b", "c"), ("x", "y"), **settings)


def materialised(tokens_read):
    """The training text: of each bucket the first n tokens of its stream, repeated from the start where n is longer."""
    return [np.resize(s, n).tolist() if n <= s.size else s.tolist() * (n // s.size) + s[: n % s.size].tolist()
            for s, n in zip(STREAMS, tokens_read, strict=True)]  # fmt: skip


def passes(text, size):
    return [text[i : i + size] for i in range(0, len(text), size)]


def grams(tokens, order):
    """(history, token) at each position; history reaches back to the document's start and is padded with END."""
    history = [END] * (order - 1)
    for token in tokens:
        yield tuple(history), token
        history = [END] * (order - 1) if token == END else ([*history, token])[1:] if order > 1 else []


def twin(training, order, discounts, strengths, target, values=None):
    """Mean -ln p of the target under the interpolated model counted on `training` (a list of token lists).

    A token of the i-th list counts values[i], 1 without values.
    """
    counts = [defaultdict(Counter) for _ in range(order)]
    for tokens, value in zip(training, values or [1] * len(training), strict=True):
        for n in range(order):
            for history, token in grams(tokens, n + 1):
                counts[n][history][token] += value

    def probability(history, token, n):
        if n < 0:
            return 1 / VOCAB
        seen = counts[n][history[len(history) - n :]]
        total, mass = sum(seen.values()), strengths[n] + discounts[n] * len(seen)
        lower = probability(history, token, n - 1)
        if total + strengths[n] == 0:
            return lower
        return (seen[token] - discounts[n] * (token in seen) + mass * lower) / (total + strengths[n])

    return np.mean([-math.log(probability(h, t, order - 1)) for h, t in grams(target, order)])


@pytest.mark.parametrize(
    "tokens_read",
    [(128, 64, 64), (32, 64, 160 - 32), (0, 192, 64), (256, 0, 0), (128, 128, 0), (64, 64 + 32, 32 + 64)],
)
@pytest.mark.parametrize("order", [1, 2, 3, 4])
def test_losses_where_slices_end_equal_a_model_counted_on_the_mixture(tokens_read, order):
    # Slices of a stream end at halves of it, so every size above is either such an end or whole epochs plus one.
    ends = {n for s in SIZES for n in [0, *(s >> i for i in range(8))]}
    tokens_read = tuple(n if n % s in ends else s for n, s in zip(tokens_read, SIZES, strict=True))
    budget = sum(tokens_read)
    proxy = fit(budget_tokens=budget, max_order=order, discounts=DISCOUNTS[:order], strengths=STRENGTHS[:order])
    losses = proxy.losses(np.array([tokens_read]) / budget)[0]
    training = [p for text, s in zip(materialised(tokens_read), SIZES, strict=True) for p in passes(text, s)]
    expected = [twin(training, order, DISCOUNTS, STRENGTHS, t.tolist()) for t in TARGETS]
    assert losses == pytest.approx(expected, abs=1e-9)


def test_losses_without_strength_are_plain_absolute_discounting():
    proxy = fit(budget_tokens=64, strengths=(0.0, 0.0, 0.0))
    training = passes(materialised((0, 64, 0))[1], 64)
    expected = [twin(training, 3, DISCOUNTS, (0, 0, 0), t.tolist()) for t in TARGETS]
    assert proxy.losses(np.array([[0.0, 1.0, 0.0]]))[0] == pytest.approx(expected, abs=1e-9)


@pytest.mark.parametrize("value", [0.0, 0.3])
def test_repeat_value_is_what_a_token_counts_when_it_is_read_again(value):
    proxy = fit(budget_tokens=128 + 32 + 192 + 64, repeat_value=value)
    training = [*passes(materialised((160, 0, 0))[0], 128), *passes(materialised((0, 192, 0))[1], 64), STREAMS[2][:64]]
    values = [1, value, 1, value, value, 1]
    expected = [twin(training, 3, DISCOUNTS, STRENGTHS, list(t), values) for t in TARGETS]
    assert proxy.losses(np.array([[160, 192, 64]]) / proxy.budget_tokens)[0] == pytest.approx(expected, abs=1e-9)


def test_losses_between_slice_ends_lie_near_those_of_the_written_out_prefix():
    proxy = fit(budget_tokens=100)
    training = [t[:n] for t, n in zip(map(list, STREAMS), (50, 30, 20), strict=True)]
    expected = [twin(training, 3, DISCOUNTS, STRENGTHS, t.tolist()) for t in TARGETS]
    assert proxy.losses(np.array([[0.5, 0.3, 0.2]]))[0] == pytest.approx(expected, abs=0.05)


@pytest.mark.parametrize(("budget", "value"), [(37, 1.0), (151, 1.0), (1000, 1.0), (1000, 0.3)])
def test_gradient_equals_finite_differences(budget, value):
    proxy = fit(budget_tokens=budget, repeat_value=value)
    weights = np.array([0.2312, 0.1459, 0.6229])
    targets = np.array([0.7, 0.3])
    step = 1e-6
    around = [weights + sign * step * np.eye(3)[i] for i in range(3) for sign in (1, -1)]
    loss = proxy.losses(np.array(around)) @ targets
    slope = proxy.gradient(weights[None], targets[None])[0]
    assert slope == pytest.approx((loss[::2] - loss[1::2]) / (2 * step), rel=1e-5, abs=1e-7)


def test_gradient_at_a_corner_points_inside():
    """A bucket that is not read yet still has a slope: strength makes the loss continuous where its share is 0."""
    proxy = fit(budget_tokens=150)
    corner, inside = np.array([0.0, 0.4, 0.6]), np.array([1e-7, 0.4, 0.6])
    slope = (proxy.losses(inside[None]) - proxy.losses(corner[None]))[0] / 1e-7
    assert proxy.gradient(corner[None], np.array([[1.0, 0.0]]))[0, 0] == pytest.approx(slope[0], rel=1e-3)


def test_losses_of_a_row_do_not_depend_on_the_rows_beside_it_or_on_threads():
    weights = np.random.default_rng(0).dirichlet(np.ones(3), 70)
    together = fit(threads=2).losses(weights)
    alone = np.concatenate([fit().losses(row[None]) for row in weights])
    assert together.tolist() == alone.tolist()


def test_gradients_of_a_row_do_not_depend_on_the_rows_beside_it_or_on_threads():
    rng = np.random.default_rng(0)
    weights, targets = rng.dirichlet(np.ones(3), 70), rng.dirichlet(np.ones(2), 70)
    together = fit(threads=2).gradient(weights, targets)
    alone = [fit().gradient(row[None], goal[None])[0] for row, goal in zip(weights, targets, strict=True)]
    assert together.tolist() == np.array(alone).tolist()


def test_losses_at_another_budget_equal_a_fit_for_that_budget():
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 5)
    assert fit().at_budget(77).losses(weights).tolist() == fit(budget_tokens=77).losses(weights).tolist()


def test_losses_with_more_fresh_text_of_the_target_kind_fall():
    proxy = NgramProxy.fit(
        [stream(1, 4000, 3)], [stream(2, 500, 3)], ("a",), ("x",),
        budget_tokens=4000, vocab=VOCAB, end_id=END, discounts=(0.5, 0.6, 0.7), strengths=(1.0, 1.0, 1.0),
    )  # fmt: skip
    curve = [proxy.at_budget(n).losses(np.ones((1, 1)))[0, 0] for n in (0 + 60, 250, 1000, 4000)]
    assert sorted(curve, reverse=True) == curve


def test_fit_tunes_on_the_buckets_and_not_on_the_targets():
    one = fit(discounts=None, strengths=None)
    other = NgramProxy.fit(
        STREAMS, [TARGETS[0][::-1].copy()], ("a", "b", "c"), ("z",),
        budget_tokens=256, vocab=VOCAB, end_id=END, threads=1,
    )  # fmt: skip
    assert (one.discounts, one.strengths) == (other.discounts, other.strengths)


def test_fit_twice_gives_the_same_numbers():
    weights = np.random.default_rng(2).dirichlet(np.ones(3), 9)
    assert fit(discounts=None).losses(weights).tolist() == fit(discounts=None).losses(weights).tolist()


def test_fit_with_an_empty_bucket_names_it():
    with pytest.raises(DataError, match="bucket 'b' has no tokens"):
        NgramProxy.fit(
            [STREAMS[0], np.empty(0, int)], TARGETS, ("a", "b"), ("x", "y"), budget_tokens=9, vocab=VOCAB, end_id=END
        )


def test_fit_with_ids_of_another_tokenizer_names_the_target():
    with pytest.raises(DataError, match=r"target 'x' has token ids outside \[0, 5\)"):
        NgramProxy.fit([np.array([1, 2, 0])], [np.array([7, 0])], ("a",), ("x",), budget_tokens=9, vocab=5, end_id=END)


@pytest.mark.parametrize("row", [(0.5, 0.5, 0.5), (-0.1, 0.5, 0.6), (float("nan"), 0.5, 0.5)])
def test_losses_off_the_simplex_are_refused(row):
    with pytest.raises(DataError, match="sum to 1"):
        fit().losses(np.array([row]))


def test_stretches_of_targets_have_the_losses_and_slopes_of_targets_of_their_own():
    ends = {name: [0, *(np.flatnonzero(t == END) + 1)] for name, t in zip("xy", TARGETS, strict=True)}
    cut = {f"{name} {i}": (name, a, b) for name, at in ends.items() for i, (a, b) in enumerate(pairwise(at[::2]))}
    parts = [TARGETS["xy".index(name)][a:b] for name, a, b in cut.values()]
    assert len(parts) == 4
    weights = np.random.default_rng(1).dirichlet(np.ones(3), 7)
    own = NgramProxy.fit(
        STREAMS, parts, ("a", "b", "c"), tuple(cut), budget_tokens=256, vocab=VOCAB, end_id=END, max_order=3,
        discounts=DISCOUNTS[:3], strengths=STRENGTHS[:3], repeat_value=1.0, threads=1,
    )  # fmt: skip
    stretched = fit().on_stretches(cut)
    assert stretched.targets == tuple(cut)
    assert stretched.losses(weights) == pytest.approx(own.losses(weights), abs=1e-12)
    goals = np.random.default_rng(2).random((7, len(cut)))
    assert stretched.gradient(weights, goals) == pytest.approx(own.gradient(weights, goals), abs=1e-10)


def test_halves_of_the_contexts_are_all_of_them_and_have_about_as_many_counts():
    for order in fit(max_order=4, discounts=DISCOUNTS, strengths=STRENGTHS).orders:
        contexts = len(order.tables[0]) - 1
        assert [c for a, b in order.halves for c in range(a, b)] == list(range(contexts))
        assert all(a < b for a, b in order.halves)
        assert len(order.halves) == min(2, contexts)
