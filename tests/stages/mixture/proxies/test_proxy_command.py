"""The command proxy with real child processes."""

import multiprocessing
import os
import re
import select
import signal
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest

from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.stages.mixture.proxies.command import CommandProxy, CommandSettings

TRAINER = textwrap.dedent(
    """
    import json, pathlib, sys
    mixture, metrics = json.load(open(sys.argv[1])), pathlib.Path(sys.argv[2])
    calls = pathlib.Path(sys.argv[3])
    calls.write_text(calls.read_text() + "x" if calls.exists() else "x")
    w = mixture["weights"]
    assert mixture["data"] == {"books": ["books.bin"], "code": ["c1.bin", "c2.bin"]}, mixture
    losses = {"news": 3 - w["books"] + mixture["seed"], "math": 2 + w["code"] ** 2}
    metrics.write_text(json.dumps({"losses": losses, "realised": {"books": 0.5, "code": 0.5}}))
    """
)
WEIGHTS = np.array([[0.25, 0.75], [1.0, 0.0]])


@pytest.fixture
def proxy(tmp_path):
    def make(source=TRAINER, seed=0, command=None, **settings):
        script = tmp_path / "train it.py"
        script.write_text(source)
        line = command or f"'{sys.executable}' '{script}' {{mixture}} {{metrics}} '{tmp_path / 'calls'}'"
        return CommandProxy(
            buckets=("books", "code"), targets=("math", "news"),
            data={"books": ("books.bin",), "code": ("c1.bin", "c2.bin")}, buckets_digest="d", budget_tokens=1000,
            settings=CommandSettings(command=line, **settings), seed=seed, folder=tmp_path / "the runs",
        )  # fmt: skip

    return make


def calls(tmp_path):
    return len((tmp_path / "calls").read_text())


def test_losses_come_in_the_order_of_the_targets(proxy):
    assert proxy().losses(WEIGHTS).tolist() == [[2.5625, 2.75], [2.0, 2.0]]


def test_losses_again_are_read_and_a_new_seed_or_mixture_is_run(proxy, tmp_path):
    proxy().losses(WEIGHTS)
    proxy().losses(WEIGHTS[::-1])
    assert calls(tmp_path) == 2
    assert proxy().reseeded(1).losses(WEIGHTS[:1]).tolist() == [[2.5625, 3.75]]
    assert calls(tmp_path) == 3


def test_the_same_mixture_twice_runs_once(proxy, tmp_path):
    losses = proxy(at_once=2).losses(WEIGHTS[[0, 0]])
    assert losses.tolist() == [[2.5625, 2.75]] * 2
    assert calls(tmp_path) == 1


def test_realised_is_what_the_trainer_reports_and_else_what_was_asked(proxy):
    one = proxy()
    assert one.realised(WEIGHTS).tolist() == WEIGHTS.tolist()
    one.losses(WEIGHTS)
    assert one.realised(WEIGHTS).tolist() == [[0.5, 0.5]] * 2


def said_by(failing: CommandProxy, weights: np.ndarray = WEIGHTS[:1]) -> str:
    """What a proxy says of runs that failed; their losses are NaN."""
    losses = failing.losses(weights)
    assert len(failing.failures) == np.isnan(losses).all(axis=1).sum() > 0
    return "\n".join(failing.failures)


def test_exit_status_is_named_with_the_end_of_the_output(proxy):
    failing = proxy("import sys\nprint('out of memory on rank 3')\nsys.exit(7)")
    assert re.search(r"status 7[\s\S]*\| out of memory on rank 3", said_by(failing))


def test_a_killed_command_names_the_signal(proxy):
    assert "killed by signal 9" in said_by(proxy(command="kill -9 $$ # {mixture} {metrics}", retries=0))


def test_a_missing_metric_is_named_beside_those_that_are_there(proxy):
    source = "import sys; open(sys.argv[2], 'w').write('{\"losses\": {\"news\": 1.0}}')"
    assert "no loss for target 'math'; it has ['news']" in said_by(proxy(source))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("", "is not JSON"),
        ("[1, 2]", "needs"),
        ('{"losses": {"math": NaN, "news": 1}}', "nan, not a finite number"),
        ('{"losses": {"math": "low", "news": 1}}', "'low', not a finite number"),
        ('{"losses": {"math": 1, "news": 1}, "realised": {"books": 50, "code": 50}}', "its 2 shares sum to 100"),
        ('{"losses": {"math": 1, "news": 1}, "realised": {"books": 1.0}}', "its 1 shares sum to 1"),
        ('{"losses": {"math": 1, "news": 1}, "realised": {"books": -0.5, "code": 1.5}}', "books is -0.5"),
        ('{"losses": {"math": 1, "news": 1}, "realised": {"web": 1.0}}', "{bucket: share of the tokens} is needed"),
        ('{"losses": {"math": 1, "news": 1}, "realised": 3}', "{bucket: share of the tokens} is needed"),
    ],
)
def test_metrics_that_are_no_numbers_are_refused(proxy, content, message):
    source = f"import sys; open(sys.argv[2], 'w').write({content!r})"
    assert message in said_by(proxy(source))


def test_no_metrics_file_is_an_error_even_with_status_0(proxy):
    assert "was not written although the command exited with 0" in said_by(proxy("print('done')"))


def test_timeout_kills_the_whole_session(proxy, tmp_path):
    """A grandchild holds a pipe open: the pipe hangs up when it is dead, not when only the shell is. A machine so busy
    that the shell was killed before its child had opened the pipe gives it twice the time."""
    pipe, held = tmp_path / "pipe", tmp_path / "held"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    line = f"(: > '{held}'; sleep 600) > '{pipe}' & sleep 600 # {{mixture}} {{metrics}}"
    seconds = 0.5
    while not held.exists():
        assert f"stopped after {seconds} s" in said_by(proxy(command=line, timeout_s=seconds, retries=0))
        seconds *= 2
    poll = select.poll()
    poll.register(reader, select.POLLHUP)
    assert poll.poll(60_000) == [(reader, select.POLLHUP)]
    os.close(reader)


def _ask(folder: Path, line: str) -> None:
    settings = CommandSettings(command=line, retries=0)
    CommandProxy(("books", "code"), ("news",), {}, "d", 1000, settings, 0, folder).losses(WEIGHTS[:1])


def test_a_trainer_does_not_outlive_the_one_who_asked_for_it(tmp_path):
    """A worker that is killed (Ctrl-C ends so, or the machine runs out of memory) leaves no trainer behind."""
    pipe = tmp_path / "pipe"
    os.mkfifo(pipe)
    reader = os.open(pipe, os.O_RDONLY | os.O_NONBLOCK)
    line = f"(trap '' TERM; echo begun; sleep 60) > '{pipe}' & sleep 60 # {{mixture}} {{metrics}}"
    child = multiprocessing.get_context("spawn").Process(target=_ask, args=(tmp_path, line))
    child.start()
    poll = select.poll()
    poll.register(reader, select.POLLIN)
    assert poll.poll(60_000)
    assert os.read(reader, 100) == b"begun\n"
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    assert poll.poll(20_000) == [(reader, select.POLLHUP)]
    os.close(reader)


def test_a_failed_attempt_is_tried_again(proxy, tmp_path):
    flaky = TRAINER.replace("w = mixture", "assert len(calls.read_text()) > 1, 'first call fails'\nw = mixture")
    assert proxy(flaky, retries=1).losses(WEIGHTS[:1]).tolist() == [[2.5625, 2.75]]
    assert calls(tmp_path) == 2
    logs = sorted(p.name for p in (tmp_path / "the runs").glob("*/attempt-*.log"))
    assert logs == ["attempt-0.log", "attempt-1.log"]


def test_a_run_that_fails_does_not_take_the_others_with_it(proxy, tmp_path):
    half = TRAINER.replace("w = mixture", "assert mixture['weights']['code'], 'no code'\nw = mixture")
    failing = proxy(half, retries=0)
    assert "no code" in said_by(failing, WEIGHTS)
    assert len(failing.failures) == 1
    assert proxy(half, retries=0).losses(WEIGHTS[:1]).tolist() == [[2.5625, 2.75]]
    assert calls(tmp_path) == 2


@pytest.mark.parametrize(
    "kept",
    ['{"losses": {"math": NaN, "news": 1}}', '{"losses": {"math": 1}}', '{"losses"', '{"losses": 1, "realised": 3}'],
)
def test_a_bad_result_that_was_kept_is_made_again(proxy, tmp_path, kept):
    proxy().losses(WEIGHTS[:1])
    (path,) = (tmp_path / "the runs").glob("*/result.json")
    path.write_text(kept)
    assert proxy().losses(WEIGHTS[:1]).tolist() == [[2.5625, 2.75]]
    assert calls(tmp_path) == 2


def test_metrics_of_a_killed_call_are_not_a_result(proxy, tmp_path):
    """Killed after the trainer wrote metrics but before the result: the run is made again."""
    proxy().losses(WEIGHTS[:1])
    (result,) = Path(tmp_path / "the runs").glob("*/result.json")
    result.unlink()
    assert proxy().losses(WEIGHTS[:1]).tolist() == [[2.5625, 2.75]]
    assert calls(tmp_path) == 2


def test_a_command_without_its_places_is_refused(proxy):
    with pytest.raises(ConfigError, match=r"needs \{metrics\}"):
        proxy(command="train {mixture}")


def test_weights_off_the_simplex_are_refused(proxy):
    with pytest.raises(DataError, match="sum to 1"):
        proxy().losses(np.array([[0.5, 0.6]]))
