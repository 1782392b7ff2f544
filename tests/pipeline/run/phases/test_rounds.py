"""A reducer that asks for work in rounds: workers, kills and bounds leave its bytes, and no answer is made twice."""

from collections import Counter
from pathlib import Path

import pytest
from test_takes import Died, Noting, go, written

import toy
from gristmill.pipeline.books.status import status_lines
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.engines.local import LocalEngine
from gristmill.pipeline.run.store import Store
from lawrun import InProcess

ASKS, BOUND = 3, 5
ANSWERS = 3 * ASKS


def made(log: Path) -> Counter[str]:
    return Counter(log.read_text().split()) if log.exists() else Counter()


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Lines, and a run whose reducer shares nothing out."""
    folder = tmp_path_factory.mktemp("rounds")
    lines = toy.write_lines(folder / "lines", shards=3, lines=8)
    go(lines, folder / "run", ranking={"asks": ASKS, "log": str(folder / "log")})
    assert len(made(folder / "log")) == ANSWERS  # all different
    return lines, folder / "run"


@pytest.mark.parametrize("bound", [1, ASKS, BOUND])
def test_rounds_give_the_bytes_of_one_process_whatever_their_bound(run: tuple[Path, Path], tmp_path: Path, bound: int):
    engine, log = Noting(), tmp_path / "log"
    go(run[0], tmp_path / "run", engine, ranking={"asks": ASKS, "bound": bound, "log": str(log)})
    rounds = min(bound, ASKS)
    kinds = Counter(kind for kind, _ in engine.ran)
    assert (kinds["ask"], kinds["reducer"]) == (min(bound, ASKS + 1), 1)
    assert [n for kind, n in engine.ran if kind == "answer"] == [i for i in range(rounds) for _ in range(2)]  # `spread`
    assert set(made(log).values()) == {1}
    assert len(made(log)) == ANSWERS
    assert written(tmp_path / "run") == written(run[1])
    assert not list((tmp_path / "run").glob("*.taken"))
    again = Noting()
    go(run[0], tmp_path / "run", again, ranking={"asks": ASKS, "bound": bound, "log": str(log)})
    assert again.ran == []


@pytest.mark.parametrize("kind", ["ask", "answer", "reducer"])
@pytest.mark.parametrize("after", [0, 1])
def test_stopped_anywhere_a_rerun_makes_no_answer_twice(run: tuple[Path, Path], tmp_path: Path, kind: str, after: int):
    settings = {"asks": ASKS, "bound": BOUND, "log": str(tmp_path / "log")}
    with pytest.raises(Died):
        go(run[0], tmp_path / "run", Noting(kind, after), ranking=settings)
    go(run[0], tmp_path / "run", ranking=settings)
    assert written(tmp_path / "run") == written(run[1])
    assert set(made(tmp_path / "log").values()) == {1}


def test_another_input_asks_anew(run: tuple[Path, Path], tmp_path: Path):
    lines = toy.write_lines(tmp_path / "lines", shards=3, lines=8)
    settings = {"asks": ASKS, "bound": BOUND}
    with pytest.raises(Died):
        go(lines, tmp_path / "run", Noting("reducer"), ranking=settings)
    (lines / "shard2.txt").write_text("one line\nand another")
    go(lines, tmp_path / "run", ranking=settings)
    go(lines, tmp_path / "fresh", ranking={"asks": ASKS})
    assert written(tmp_path / "run") == written(tmp_path / "fresh")


def test_an_answer_that_failed_is_tried_again_by_the_next_command_and_no_other(run: tuple[Path, Path], tmp_path: Path):
    log, broken = tmp_path / "log", tmp_path / "broken"
    settings = {"asks": ASKS, "bound": BOUND, "log": str(log), "broken": str(broken)}
    with pytest.raises(Died):
        go(run[0], tmp_path / "run", Noting("answer"), ranking=settings)
    broken.touch()
    with pytest.raises(Exception, match="an answer failed"):
        go(run[0], tmp_path / "run", ranking=settings)
    broken.unlink()
    go(run[0], tmp_path / "run", ranking=settings)
    assert written(tmp_path / "run") == written(run[1])
    assert set(made(log).values()) == {2}
    go(run[0], tmp_path / "run", ranking=settings)
    assert set(made(log).values()) == {2}


def test_workers_of_a_pool_share_the_answers_out(run: tuple[Path, Path], tmp_path: Path):
    engine, settings = LocalEngine(2), {"asks": ASKS, "bound": BOUND, "log": str(tmp_path / "log")}
    try:
        go(run[0], tmp_path / "run", engine, ranking=settings)
    finally:
        engine.close()
    assert written(tmp_path / "run") == written(run[1])
    assert set(made(tmp_path / "log").values()) == {1}


class Asking(InProcess):
    """Looks at the status before every rank of an answer."""

    def __init__(self, root: Path):
        self.root, self.seen = root, []

    def run(self, job, tick):
        step = job.pipeline[0]
        plan = load_plan(self.root / "plan.json")
        for rank in job.ranks:
            if plan.phases[step.phase].kind == "answer":
                self.seen.append(status_lines(Store(self.root), plan)[0][1])
            list(step.run(None, rank, job.tasks))
        return []


def test_status_says_how_many_of_a_round_are_done(run: tuple[Path, Path], tmp_path: Path):
    engine = Asking(tmp_path / "run")
    go(run[0], tmp_path / "run", engine, ranking={"asks": ASKS, "bound": BOUND})
    assert len(engine.seen) == 2 * ASKS
    assert engine.seen[0].startswith("at: ranking (round 1, 3 runs) (phase ")
    assert engine.seen[0].endswith("; 0 of 3 runs")
    assert "; 2 of 3 runs, about" in engine.seen[1]  # the first rank's share
    assert engine.seen[4].startswith("at: ranking (round 3, 3 runs) (phase ")
    assert engine.seen[4].endswith("; 0 of 3 runs")
