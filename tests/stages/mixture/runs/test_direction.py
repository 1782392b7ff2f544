"""Which way is better: read off names and ranges that leave no doubt, refused otherwise."""

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.runs.direction import contradicts, direction_of, kind_of_name

FRACTIONS, NATS, PERCENT = [0.2, 0.5], [2.5, 3.1], [31.0, 55.0]


def columns(*values: list[float]) -> np.ndarray:
    return np.array(values).T


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("piqa_acc_norm", "accuracies"), ("arcEasyAcc", "accuracies"), ("mmlu/accuracy", "accuracies"),
        ("squad f1", "accuracies"), ("nq-exact_match", "accuracies"), ("humaneval_pass@10", "accuracies"),
        ("pass_at_1", "accuracies"), ("alpaca_win_rate", "accuracies"), ("wmt.bleu", "accuracies"),
        ("train_loss_web", "losses"), ("c4/ppl", "losses"), ("arc_bpb", "losses"), ("word_error_rate", "losses"),
        ("winogrande", None), ("hitchhiker", None), ("accra", None), ("qa", None), ("acc_loss", None), ("fresh", None),
    ],
)  # fmt: skip
def test_kind_of_a_name_rests_on_whole_words(name, kind):
    assert kind_of_name(name) == kind


@pytest.mark.parametrize(
    ("names", "values", "direction"),
    [
        (("a_acc", "b_acc"), columns(FRACTIONS, PERCENT), "accuracies"),
        (("qa", "prose"), columns(NATS, NATS), "losses"),
        (("x_loss", "y_bpb"), columns(PERCENT, FRACTIONS), "losses"),
        (("x_loss", "prose"), columns(FRACTIONS, NATS), "losses"),
    ],
)
def test_certain_targets_give_their_direction(names, values, direction):
    assert direction_of(names, values)[0] == direction


@pytest.mark.parametrize(
    ("names", "values", "says"),
    [
        (("qa", "prose"), columns(NATS, FRACTIONS), "values of prose tell .prose runs from 0.2 to 0.5"),
        (("mmlu",), columns(PERCENT), "--direction"),
        (("a_acc", "b_loss"), columns(FRACTIONS, NATS), "one search goes one way"),
        (("a_acc", "mmlu"), columns(FRACTIONS, NATS), "values of mmlu"),
        (("a_acc",), columns([120.0, 900.0]), "look like accuracies by name, yet"),
        (("a_loss",), columns([-3.0, -1.0]), "--direction"),
    ],
)
def test_doubt_is_an_error_that_asks(names, values, says):
    with pytest.raises(ConfigError, match=says):
        direction_of(names, values)


def test_names_against_a_given_direction_are_told():
    assert contradicts("losses", ["a_acc", "b", "c_loss"]) == ["a_acc"]
