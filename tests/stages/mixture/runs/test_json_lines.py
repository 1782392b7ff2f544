"""Runs written by hand as JSON lines: read where they can be meant, named by line where not."""

import json

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import InputError
from gristmill.stages.mixture.runs.json_lines import read_jsonl

RUN = {"run_id": "a", "weights": {"web": 0.25, "code": 0.75}, "losses": {"qa": 2.5}}


def lines(path, *records):
    path.write_text("".join(json.dumps({**RUN, **r}) + "\n" for r in records))
    return path


def test_a_number_as_name_a_size_in_letters_and_rounding_below_zero_are_read(tmp_path):
    runs = read_jsonl(
        lines(
            tmp_path / "runs.jsonl",
            {"run_id": 7, "fidelity": {"kind": "gpt", "size": "70M", "tokens": 1e9}},
            {"run_id": 8, "weights": {"web": 1 + 1.1e-16, "code": -1.1102230246251565e-16}, "seed": "3"},
        )
    )
    assert runs.run_id == ("7", "8")
    assert runs.fidelity[0].size == 70e6
    assert runs.seed.tolist() == [0, 3]
    assert (runs.weights >= 0).all()


def test_a_run_whose_loss_is_no_number_is_left_out_and_told(tmp_path):
    bad = [{"run_id": "n", "losses": {"qa": float("nan")}}, {"run_id": "m", "losses": {"qa": None}}]
    runs = read_jsonl(lines(tmp_path / "runs.jsonl", {}, *bad))
    assert runs.run_id == ("a",)
    assert np.isfinite(runs.losses).all()
    assert runs.notes[0].startswith("2 of 3 runs of")
    assert runs.notes[0].endswith("first line 2")


@pytest.mark.parametrize(
    ("record", "says"),
    [
        ({"seed": 2**70}, "seed is 11805916"),
        ({"run_id": True}, "run_id is True"),
        ({"run_id": ["x"]}, "run_id is"),
        ({"weights": [0.5, 0.5]}, "weights is"),
        ({"weights": {"web": "half", "code": 0.5}}, "weights of web is 'half'"),
        ({"losses": {}}, "losses is"),
        ({"fidelity": {"kind": "gpt", "size": "big"}}, "fidelity.size is 'big'"),
        ({"fidelity": 3}, "fidelity is 3"),
        ({"tokens": 0.5}, "tokens is 0.5"),
        ({"los": 1}, "unknown field los"),
    ],
)
def test_what_is_no_run_is_named_by_line_and_field(tmp_path, record, says):
    with pytest.raises(InputError, match=rf"line 2: not a run \({says}"):
        read_jsonl(lines(tmp_path / "runs.jsonl", {}, record))
