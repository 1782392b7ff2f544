"""A reducer in passes: bundles are taken and joined; any bundles, workers and kills leave the artifact's bytes."""

from pathlib import Path

import pytest

import toy
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.phases import reduction
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


def go(lines: Path, out: Path, engine: InProcess | None = None, **options: dict) -> None:
    made, store = toy.recipe(lines, **options), Store(out)
    launch(made, survey(made, store, None), store, engine or InProcess(), None, Silent(), lambda store, plan: None)


def written(out: Path) -> dict[str, bytes]:
    names = ("artifacts", "rank", "corpus")
    return {p.relative_to(out).as_posix(): p.read_bytes() for name in names for p in (out / name).rglob("*.[jp]*")
            if not p.name.endswith(".receipt.json")}  # fmt: skip


class Noting(InProcess):
    """Notes the ranks of every phase, and stops before or behind one of them."""

    def __init__(self, kind: str = "", after: int = 0):
        self.kind, self.after = kind, after
        self.ran: list[tuple[str, int]] = []

    def run(self, job, tick):
        step = job.pipeline[0]
        phase = load_plan(Path(step.root) / "plan.json").phases[step.phase]
        for n, rank in enumerate(job.ranks):
            if phase.kind == self.kind and n == self.after:
                raise Died
            list(step.run(None, rank, job.tasks))
            self.ran.append((phase.kind, phase.number))
        if phase.kind == self.kind:
            raise Died
        return []


class Died(BaseException):
    """What no code of ours may catch."""


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Lines, and a run that takes them as one."""
    folder = tmp_path_factory.mktemp("takes")
    lines = toy.write_lines(folder / "lines", shards=6, lines=8)
    go(lines, folder / "run")
    return lines, folder / "run"


@pytest.fixture
def large(monkeypatch: pytest.MonkeyPatch) -> pytest.MonkeyPatch:
    """Every corpus has bundles."""
    monkeypatch.setattr(reduction, "SMALL_DOCUMENTS", 1)
    return monkeypatch


def test_a_small_corpus_is_one_unit(run: tuple[Path, Path], tmp_path: Path):
    engine = Noting()
    go(run[0], tmp_path / "run", engine)
    assert [ran for ran in engine.ran if ran[0] in ("take", "join", "reducer")] == [("reducer", 0)]


@pytest.mark.parametrize("bundles", [1, 3, 512])
def test_bundles_change_no_byte_and_leave_nothing(run: tuple[Path, Path], tmp_path: Path, large, bundles: int):
    large.setattr(reduction, "BUNDLES", bundles)
    engine = Noting()
    go(run[0], tmp_path / "run", engine)
    takes = len({reduction.bundle_of(part) for part in load_plan(tmp_path / "run" / "plan.json").parts})
    want = [("take", 0)] * takes + [("join", 0)] + [("take", 1)] * takes + [("reducer", 0)]
    assert [ran for ran in engine.ran if ran[0] in ("take", "join", "reducer")] == want
    assert written(tmp_path / "run") == written(run[1])
    assert not list((tmp_path / "run").glob("*.taken"))
    again = Noting()
    go(run[0], tmp_path / "run", again)
    assert again.ran == []


@pytest.mark.parametrize("kind", ["take", "join", "reducer"])
@pytest.mark.parametrize("after", [0, 1, 3])
def test_stopped_before_and_inside_every_pass_a_rerun_gives_the_same_bytes(
    run: tuple[Path, Path], tmp_path: Path, large, kind: str, after: int
):
    with pytest.raises(Died):
        go(run[0], tmp_path / "run", Noting(kind, after))
    engine = Noting()
    go(run[0], tmp_path / "run", engine)
    assert written(tmp_path / "run") == written(run[1])
    done = 0 if kind != "take" else min(after, 6) or 0
    first = engine.ran.count(("take", 0))
    assert first == (6 - done if kind == "take" else 0)


def test_a_changed_part_is_taken_again_and_the_others_of_a_killed_run_are_not(
    run: tuple[Path, Path], tmp_path: Path, large
):
    lines = toy.write_lines(tmp_path / "lines", shards=6, lines=8)
    with pytest.raises(Died):
        go(lines, tmp_path / "run", Noting("join"))
    (lines / "shard2.txt").write_text("one line\nand another")
    engine = Noting()
    go(lines, tmp_path / "run", engine)
    assert engine.ran.count(("take", 0)) == 1
    go(lines, tmp_path / "fresh")
    assert written(tmp_path / "run") == written(tmp_path / "fresh")


def test_a_reducer_that_fails_in_its_last_pass_stops_the_run_with_its_message(
    run: tuple[Path, Path], tmp_path: Path, large
):
    with pytest.raises(Exception, match="ranking: no ranks today"):
        go(run[0], tmp_path / "run", ranking={"fail": "no ranks today"})
    engine = Noting()
    go(run[0], tmp_path / "run", engine)
    assert [kind for kind, _ in engine.ran if kind in ("take", "join", "reducer")] == ["reducer"]
    assert written(tmp_path / "run") == written(run[1])
