"""Proxy runs that workers share: the same search as one process makes, and no run is made twice."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from test_mixture_stage import GPT, corpus, files, run, trainer

from frames import FakeCorpus
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.config import CommandSection, ConfirmSection, GptSection
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import Fitted
from gristmill.stages.mixture.sharing import Opened
from gristmill.stages.mixture.stage import Mixture


def in_rounds(stage: Mixture, given: FakeCorpus, out: Path, *, workers: int = 1000) -> list[int]:
    """Runs the stage as the machine does, in as many processes as there are things to do, or in one; the units of every
    round."""
    known: dict[str, pl.DataFrame] = {}
    for name in stage.passes:
        known |= stage.join(name, iter([stage.take(name, given, known)]), given, known)
    rounds: list[int] = []
    answers = pl.DataFrame()
    one = stage.sharing(known, given)

    def opened() -> Opened:
        return one if workers == 1 else stage.sharing(known, given)

    for _ in range(stage.rounds):
        asked = opened().ask(answers)
        if not asked.height:
            break
        rounds.append(asked.height)
        made = [opened().answer(row) for row in reversed(list(asked.iter_slices(1)))]
        answers = pl.concat([*([answers] if answers.width else []), *reversed(made)])
    out.mkdir(parents=True)
    opened().finish(answers, out)
    return rounds


def calls(folder: Path) -> list[str]:
    return (folder / "log").read_text().splitlines()


def shared(stage: Mixture, spread: int) -> Mixture:
    """As many runs at once as the stage makes, by that many workers."""
    return replace(stage, command=replace(stage.command, at_once=stage.command.at_once // spread, spread=spread))


@pytest.mark.parametrize("method", ["bayes", "climb", "regmix", "ladder"])
def test_a_search_in_rounds_gives_the_bytes_of_a_search_in_one_process(tmp_path: Path, method: str):
    stage = trainer(tmp_path)
    stage = replace(stage, method=method, command=replace(stage.command, parameters=1e9))
    confirmed = run(stage, corpus(tmp_path), tmp_path / "out")["confirm"] is not None
    assert confirmed == (method in ("bayes", "ladder"))
    alone = Counter(calls(tmp_path))
    (tmp_path / "log").unlink()
    rounds = in_rounds(shared(stage, 2), corpus(tmp_path / "again"), tmp_path / "rounds")
    assert files(tmp_path / "rounds") == files(tmp_path / "out")
    assert Counter(calls(tmp_path)) == alone
    assert sum(rounds) == alone.total()
    assert len(rounds) == {"bayes": 5, "ladder": 5, "climb": 3, "regmix": 1}[method]


@pytest.mark.parametrize("method", ["bayes", "ladder"])
def test_a_worker_that_asks_again_fits_nothing_twice(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, method: str):
    fitted: list[bytes] = []
    fit = GaussianProcess.fit

    def noted(self: GaussianProcess, weights: np.ndarray, losses: np.ndarray, *more: object) -> Fitted:
        fitted.append(losses.tobytes())
        return fit(self, weights, losses, *more)  # pyright: ignore[reportArgumentType]

    monkeypatch.setattr(GaussianProcess, "fit", noted)
    stage = trainer(tmp_path)
    stage = replace(stage, method=method, command=replace(stage.command, parameters=1e9))
    run(stage, corpus(tmp_path), tmp_path / "out")
    alone = fitted.copy()
    fitted.clear()
    in_rounds(shared(stage, 2), corpus(tmp_path / "again"), tmp_path / "rounds", workers=1)
    assert files(tmp_path / "rounds") == files(tmp_path / "out")
    assert fitted == alone


def test_runs_beyond_the_rounds_are_made_by_the_last_step(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    stage = shared(trainer(tmp_path), 2)
    in_rounds(stage, corpus(tmp_path), tmp_path / "out")
    made = calls(tmp_path)
    (tmp_path / "log").unlink()
    monkeypatch.setattr(type(stage.searcher), "batches", 1)
    assert len(in_rounds(stage, corpus(tmp_path / "again"), tmp_path / "short")) == 2
    assert Counter(calls(tmp_path)) == Counter(made)
    assert files(tmp_path / "short") == files(tmp_path / "out")


def test_a_confirmation_alone_may_be_shared(tmp_path: Path):
    judge = trainer(tmp_path).command
    stage = Mixture(confirm=ConfirmSection(proxy="command", seeds=2), command=judge, threads=1)
    run(stage, corpus(tmp_path), tmp_path / "out")
    (tmp_path / "log").unlink()
    rounds = in_rounds(shared(stage, 2), corpus(tmp_path / "again"), tmp_path / "rounds")
    assert len(rounds) == 1
    assert rounds[0] == len(calls(tmp_path))
    assert files(tmp_path / "rounds") == files(tmp_path / "out")


def test_gpt_models_that_are_trained_together_are_one_unit(tmp_path: Path):
    pytest.importorskip("torch")
    stage = replace(GPT, method="regmix", runs=8, gpt=GptSection(tokens=3000, together=2, spread=2, device="cpu"))
    rounds = in_rounds(stage, corpus(tmp_path), tmp_path / "rounds")
    assert rounds[0] == 4
    run(stage, corpus(tmp_path / "again"), tmp_path / "out")
    assert files(tmp_path / "rounds") == files(tmp_path / "out")


def test_runs_that_fail_are_left_out_as_in_one_process(tmp_path: Path):
    stage = replace(trainer(tmp_path), confirm=None)
    bad = "\nimport json, sys\nw = json.load(open(sys.argv[1]))['weights']\nif max(w, key=w.get) == 'law':\n"
    bad += "    json.dump({'losses': {'references': float('nan')}}, open(sys.argv[2], 'w'))\n"
    (tmp_path / "train.py").write_text((tmp_path / "train.py").read_text() + bad)
    found = run(stage, corpus(tmp_path), tmp_path / "out")
    assert found["search"]["failed_runs"] > 0
    in_rounds(shared(stage, 2), corpus(tmp_path / "again"), tmp_path / "rounds")
    assert files(tmp_path / "rounds") == files(tmp_path / "out")


def test_a_proxy_that_one_process_serves_has_no_rounds(tmp_path: Path):
    stage = trainer(tmp_path)
    assert stage.rounds == Mixture().rounds == 0
    assert shared(stage, 2).rounds == 1 + -(-(10 - 5) // 2) + 1  # a design of half the runs, batches of 2, confirmation
    assert shared(replace(stage, confirm=None), 2).rounds == 4
    assert replace(shared(stage, 2), method="natural", runs=None).rounds == 0


@pytest.mark.parametrize("mode", ["quadmix", "both"])
def test_modes_whose_runs_one_process_makes_say_so(mode: str):
    with pytest.raises(ConfigError, match=f"one process makes the runs of mode {mode}"):
        Mixture(mode=mode, proxy="command", command=CommandSection(run="t {mixture} {metrics}", spread=2))
