"""What `status` says of a run that goes on, is finished, stopped, killed or failed; what a run says meanwhile."""

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

import toy
from gristmill.pipeline.books.status import status_lines
from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.drawing.tables import duration
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.progress import NOW, Progress
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.through import RunFailed
from lawrun import InProcess


class Heard(Progress):
    """Keeps its lines, and looks at the run's status whenever a phase begins."""

    def __init__(self, root: Path | None = None) -> None:
        super().__init__()
        self.root, self.lines, self.states = root, list[str](), list[list[str]]()

    def say(self, line: str) -> None:
        self.lines.append(line)

    def opened(self) -> None:
        if self.root is not None:
            self.states.append(status_lines(Store(self.root), load_plan(self.root / "plan.json"))[0])


class Interrupted(InProcess):
    """Ctrl-C at the second phase."""

    calls = 0

    def run(self, job: object, tick: Callable[[], None]) -> list[int]:
        self.calls += 1
        if self.calls == 2:
            raise KeyboardInterrupt
        return super().run(job, tick)


def run(folder: Path, out: Path, progress: Progress, engine: InProcess, **options: dict) -> list[str]:
    made, store = toy.recipe(folder, **options), Store(out)
    launch(made, survey(made, store, None), store, engine, None, progress, lambda store, plan: None)
    return status_lines(store, load_plan(out / "plan.json"))[0]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=2, lines=6)


def test_a_run_that_goes_on_and_one_that_is_finished(lines: Path, tmp_path: Path):
    heard = Heard(tmp_path / "run")
    said = run(lines, tmp_path / "run", heard, InProcess())
    assert [
        re.match(r"\w+: running since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d$", seen[0]) is not None for seen in heard.states
    ]
    assert re.match(r"at: .* \(phase 2/\d+\), for 0\.\d s", heard.states[1][1])
    assert re.match(r"\w+: finished, \d{4}.*, after \d", said[0]), said
    assert re.match(r"done: (\d+) of \1 steps over 2 parts, \d shards?$", said[1]), said
    assert len(said) == 2
    assert len(status_lines(Store(tmp_path / "run"), load_plan(tmp_path / "run" / "plan.json"), every=True)[0]) > 6


def test_every_phase_is_a_line_with_its_place_and_what_it_left(lines: Path, tmp_path: Path):
    heard = Heard()
    run(lines, tmp_path / "run", heard, InProcess())
    places = [line.split()[0] for line in heard.lines if re.match(r" ?\d", line)]
    phases = load_plan(tmp_path / "run" / "plan.json").phases
    # Passes of a reducer, which have its number, have no units where the corpus is small.
    shown = [p for p in phases if p.kind not in ("take", "join")]
    assert places == [f"{i}/{len(shown)}" for i in range(1, len(shown) + 1)], phases
    assert len(shown) < len(phases)
    assert re.match(r" 1/\d+  ingest, words .* s  \d+ records, 12 documents", heard.lines[0]), heard.lines


def test_an_interrupted_and_a_killed_run_are_stopped(lines: Path, tmp_path: Path):
    with pytest.raises(KeyboardInterrupt):
        run(lines, tmp_path / "run", Heard(), Interrupted())
    store, plan = Store(tmp_path / "run"), load_plan(tmp_path / "run" / "plan.json")
    said, complete = status_lines(store, plan)
    assert not complete
    assert re.match(
        r"\w+: stopped at \w+, \d{4}.*: it was interrupted; the same gristmill run command goes on$", said[0]
    )
    assert said[2].startswith("to do: ")
    (tmp_path / "run" / "stopped.json").unlink()  # as a kill leaves it
    assert "stopped: it was interrupted or killed" in status_lines(store, plan)[0][0]


def test_a_run_with_a_part_that_failed_says_so(tmp_path: Path):
    lines = toy.write_lines(tmp_path / "in", shards=2, lines=6)
    (lines / "bad.txt").write_text("raise\n")
    with pytest.raises(RunFailed):
        run(lines, tmp_path / "run", Heard(), InProcess(), words={"trouble": "raise"})
    said, complete = status_lines(Store(tmp_path / "run"), load_plan(tmp_path / "run" / "plan.json"))
    assert not complete
    assert "finished without the parts that failed" in said[0]
    assert said[-1] == "FAILED bad: this text raises (in step words of part bad (" + f"{lines / 'bad.txt'}))"


def test_a_long_phase_says_its_speed_and_the_time_that_is_left(lines: Path, tmp_path: Path):
    heard = Heard()
    run(lines, tmp_path / "run", heard, InProcess())
    plan = load_plan(tmp_path / "run" / "plan.json")
    from gristmill.pipeline.run.view import RunView

    shutil.copytree(tmp_path / "run", tmp_path / "done")
    shutil.rmtree(tmp_path / "run")
    (tmp_path / "run").mkdir()
    heard.start(plan.phases[0], 4, 0, RunView(Store(tmp_path / "run"), plan))
    assert json.loads((tmp_path / "run" / NOW).read_text())["place"].startswith("1/")
    heard.started -= 60  # as if two of four parts had been done in the last minute
    shutil.copytree(tmp_path / "done", tmp_path / "run", dirs_exist_ok=True)
    heard.look()
    assert re.match(
        r"ingest: 1 min 00 s, 2 of 4 parts, \d+ documents, 0 a second, about 1 min 00 s left$", heard.so_far()
    )


def test_a_workers_note_is_seen_from_outside(tmp_path: Path):
    heard: list[str] = []
    watch.listen(heard.append)
    try:
        watch.note("part 2 of 5")
    finally:
        watch.listen(None)
    watch.note("nobody hears this")
    assert heard == ["part 2 of 5"]
    assert watch.notes(tmp_path) == {}


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(0.04, "0.0 s"), (9.94, "9.9 s"), (9.96, "10 s"), (59.6, "1 min 00 s"), (207, "3 min 27 s"), (7500, "2 h 05 min")],
)
def test_durations(seconds: float, said: str):
    assert duration(seconds) == said
