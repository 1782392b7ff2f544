"""What a run asks of its receipts: a command reads each log at most three times, whatever the number of parts."""

import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

import toy
from gristmill.pipeline.books.status import status_lines
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.identity import digest, digest_from
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.receipts import logs
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import work_of
from gristmill.pipeline.run.view import RunView
from lawrun import InProcess, Silent

READS = 3  # of one log by one command
LOGS = len({logs.range_of(f"shard{i}", 8) for i in range(12)})  # of a dataset: 12 parts in 8 ranges
_counting: list[Counter[str]] = []


def _hear(event: str, arguments: tuple) -> None:
    appends = event == "open" and str(arguments[1]).startswith("a")
    if event == "open" and not appends and _counting and Path(str(arguments[0])).parent.name == "receipts":
        _counting[-1][str(arguments[0])] += 1


sys.addaudithook(_hear)


@contextmanager
def reads() -> Iterator[Counter[str]]:
    """Log of receipts -> how often this process opened it."""
    _counting.append(Counter())
    try:
        yield _counting[-1]
    finally:
        _counting.pop()


def go(lines: Path, out: Path, **options: dict) -> list[dict[str, object]]:
    made, store = toy.recipe(lines, **options), Store(out)
    return launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Path]]:
    folder = tmp_path_factory.mktemp("many")
    lines = toy.write_lines(folder / "lines", shards=12, lines=4)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(logs, "PARTS", 2)
        go(lines, folder / "run")
        yield lines, folder / "run"


def test_a_dataset_has_as_many_logs_as_its_parts_ask_for(run: tuple[Path, Path]):
    datasets = ["ingest", "words", "words.gate", "twins", "slow", "rank", "ledger"]
    assert sorted(p.parent.parent.name for p in run[1].glob("*/receipts/*")) == sorted(datasets * LOGS)
    alone = {p.parent.name for p in run[1].glob("*/*.receipt.json")}
    assert alone == {"artifacts", "corpus.receipts", "twins.exchange"}


class Looking(InProcess):
    """Looks at the logs before each phase that computes something."""

    def __init__(self, out: Path):
        self.out, self.seen = out, []

    def run(self, job, tick):
        self.seen.append([path.name for path in self.out.glob("*/receipts/*")])
        return super().run(job, tick)


def test_between_two_phases_the_logs_are_merged(run: tuple[Path, Path], tmp_path: Path):
    engine = Looking(tmp_path / "run")
    made, store = toy.recipe(run[0]), Store(tmp_path / "run")
    launch(made, survey(made, store, None), store, engine, None, Silent(), lambda store, plan: None)
    assert sorted({len(names) / LOGS for names in engine.seen}) == [0, 3, 4, 5, 6]  # datasets; the ledger comes last
    assert {name.count(".") for names in engine.seen for name in names} == {1}


def test_idle_rerun_reads_each_log_at_most_three_times(run: tuple[Path, Path]):
    with reads() as counted:
        go(*run)
    assert len(counted) == 7 * LOGS  # six datasets and the ledger
    assert max(counted.values()) <= READS


def test_status_and_plan_read_each_log_once(run: tuple[Path, Path]):
    lines, out = run
    with reads() as counted:
        status_lines(Store(out), load_plan(out / "plan.json"))
    assert set(counted.values()) == {1}
    with reads() as counted:
        survey(toy.recipe(lines), Store(out), None)
    assert set(counted.values()) == {1}


def test_a_view_forgets_what_other_processes_have_written(run: tuple[Path, Path], tmp_path: Path):
    lines, _ = run
    go(lines, tmp_path / "run")
    store = Store(tmp_path / "run")
    plan = load_plan(store.root / "plan.json")
    view, wave = RunView(store, plan), plan.phases[0]
    assert work_of(view, wave).pending() == []
    key = plan.parts[3].key
    store.unprove("words", key)
    assert work_of(view, wave).pending() == []  # it remembers
    view.forget(wave, [key])
    assert work_of(view, wave).pending() == [key]


def test_a_receipt_that_is_taken_away_is_not_remembered(run: tuple[Path, Path], tmp_path: Path):
    view = RunView(Store(tmp_path), load_plan(run[1] / "plan.json"))
    frame = RunView(Store(run[1]), view.plan).read("words", view.plan.parts[0].key, ("words_toy_n",))
    view.write("words", "part", frame, ("words_toy_n",), Receipt("identity", "rows", "rows", 4, 4))
    with reads() as counted:
        known = view.receipt("words", "part")
    assert known is not None
    assert known.identity == "identity"
    assert not counted
    view.unprove("words", "part")
    assert view.receipt("words", "part") is None


@pytest.mark.parametrize("last", ["", "00001-of-00002", {"b": 1.0, "a": [3.5]}, None])
def test_a_digest_of_a_list_is_the_same_begun_before_its_last_item(last: object):
    head = ["fingerprint", {"b": "2", "a": "1"}, [["part", {}, "kept"], ["\u00fc", {"x": "y"}, ""]]]
    assert digest_from(head)(last) == digest([*head, last])
    assert digest_from([head])(last) == digest([head, last])
