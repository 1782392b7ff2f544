"""The machine on a toy recipe: books, receipts, resuming, quarantine, killed workers, worker counts."""

import hashlib
import json
import multiprocessing
import os
import random
import shutil
import signal
import time
from pathlib import Path
from typing import ClassVar

import pytest

import toy
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.contract.errors import DataError, PlanError
from gristmill.pipeline.launch import describe, launch, refuse, survey
from gristmill.pipeline.plan.plan import load_plan, make_plan
from gristmill.pipeline.plan.steps import check
from gristmill.pipeline.run.engines.local import LocalEngine, cores
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import RunStep
from gristmill.pipeline.through import RunFailed
from places import receipts_below


class Quiet(Progress):
    def say(self, line: str) -> None:
        return


def go(
    folder: Path, out: Path, workers: int = 1, until: str | None = None, confirmed: bool = False, **options: object
) -> list:
    made = toy.recipe(folder, **options)
    store = Store(out)
    situation = survey(made, store, until)
    refuse(situation, store, confirmed)
    engine = LocalEngine(workers)
    try:
        return launch(made, situation, store, engine, until, Quiet(), lambda store, plan: None)
    finally:
        engine.close()


def corpus_digest(out: Path) -> str:
    h = hashlib.blake2b()
    for path in sorted((out / "corpus" / "data").iterdir()):
        h.update(path.name.encode() + path.read_bytes())
    h.update((out / "ledger.json").read_bytes())
    return h.hexdigest()


def dataset_times(out: Path, dataset: str) -> list[int]:
    return [p.stat().st_mtime_ns for p in sorted((out / dataset).glob("*.parquet"))]


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"))


@pytest.fixture(scope="module")
def undisturbed(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("undisturbed") / "run"
    go(lines, out, gate={"min_words": 3})
    return out


def test_books_every_record_has_one_fate(undisturbed: Path):
    ingest, words, _twins, slow, ranking, rank, corpus = read_books(Store(undisturbed))
    assert (ingest["docs_in"], ingest["docs_out"]) == (84, 80)
    assert ingest["dropped"]["empty_line"] == {"docs": 4, "bytes": 4, "tokens": 0}
    assert ingest["bytes_in"] == ingest["bytes_out"] + sum(r["bytes"] for r in ingest["dropped"].values())
    assert words["docs_in"] == words["docs_out"] + words["dropped"]["too_few_words"]["docs"] == 80
    assert (
        slow["docs_in"]
        == slow["docs_out"]
        == ranking["docs_out"]
        == rank["docs_out"]
        == corpus["docs_out"]
        == words["docs_out"]
    )


@pytest.mark.parametrize("workers", [2, 4])
def test_any_number_of_workers_same_bytes(lines: Path, undisturbed: Path, tmp_path: Path, workers: int):
    go(lines, tmp_path / "run", workers, gate={"min_words": 3})
    assert corpus_digest(tmp_path / "run") == corpus_digest(undisturbed)


@pytest.mark.parametrize("change", [{"fields": {"min_words": "three"}}, {"class": "toy:WordsGateOfOld"}])
def test_a_plan_of_another_version_is_named_and_a_run_goes_on_from_its_files(
    undisturbed: Path, lines: Path, tmp_path: Path, change: dict
):
    out = tmp_path / "run"
    shutil.copytree(undisturbed, out)
    saved = json.loads((out / "plan.json").read_text())
    gate = next(s for s in saved["steps"] if s["class"] == "toy:WordsGate")
    gate |= change
    (out / "plan.json").write_text(json.dumps(saved))
    with pytest.raises(PlanError, match=r"another version .*toy:WordsGate.*gristmill run goes on from it"):
        load_plan(out / "plan.json")
    times = dataset_times(out, "ingest")
    go(lines, out, gate={"min_words": 3})
    assert corpus_digest(out) == corpus_digest(undisturbed)
    assert dataset_times(out, "ingest") == times
    load_plan(out / "plan.json")


def test_parts_in_any_order_and_any_world_size_same_bytes(lines: Path, undisturbed: Path, tmp_path: Path):
    made, store = toy.recipe(lines, gate={"min_words": 3}), Store(tmp_path / "run")
    situation = survey(made, store, None)

    class Shuffled:
        queues = False

        def run(self, job: object, tick: object) -> list[int]:
            world = 3
            for rank in (2, 0, 1):
                step: RunStep = job.pipeline[0]  # pyright: ignore
                list(step.run(None, rank, world))
            return []

        def close(self) -> None:
            return

    launch(made, situation, store, Shuffled(), None, Quiet(), lambda store, plan: None)
    assert corpus_digest(tmp_path / "run") == corpus_digest(undisturbed)


def test_rerun_computes_nothing(lines: Path, tmp_path: Path):
    log = tmp_path / "computed"
    go(lines, tmp_path / "run", words={"log": str(log)})
    once = log.read_text()
    before = corpus_digest(tmp_path / "run")
    go(lines, tmp_path / "run", words={"log": str(log)})
    assert log.read_text() == once
    assert corpus_digest(tmp_path / "run") == before


def test_changed_threshold_recomputes_the_gate_and_what_follows_only(lines: Path, undisturbed: Path, tmp_path: Path):
    out, log = tmp_path / "run", tmp_path / "computed"
    go(lines, out, words={"log": str(log)}, gate={"min_words": 5})
    computed, ingest, words = log.read_text(), dataset_times(out, "ingest"), dataset_times(out, "words")
    said = "\n".join(describe(survey(toy.recipe(lines, gate={"min_words": 3}), Store(out), None), None))
    assert "min_words: 5 -> 3" in said
    assert [line.split()[0] for line in said.split("\n")[1:]] == [
        "skip",
        "skip",
        "run",
        "maybe",
        "run",
        "maybe",
        "maybe",
        "maybe",
    ]
    go(lines, out, gate={"min_words": 3})
    assert (log.read_text(), dataset_times(out, "ingest"), dataset_times(out, "words")) == (computed, ingest, words)
    assert corpus_digest(out) == corpus_digest(undisturbed)


def test_rows_that_come_back_are_the_only_ones_computed(lines: Path, tmp_path: Path):
    """Same recipe, new rows: an annotator behind a loosened gate computes the difference."""
    out = tmp_path / "run"
    go(lines, out, gate={"min_words": 6}, until="rank")
    few = sum(len(p.read_bytes()) for p in (out / "rank").glob("*.parquet"))
    go(lines, out, gate={"min_words": None}, until="rank")
    assert sum(len(p.read_bytes()) for p in (out / "rank").glob("*.parquet")) > few
    fresh = tmp_path / "fresh"
    go(lines, fresh, until="rank")
    for path in (fresh / "rank").glob("*.parquet"):
        assert (out / "rank" / path.name).read_bytes() == path.read_bytes()


def test_added_shard_computes_only_its_own_part(tmp_path: Path):
    folder, out, log = toy.write_lines(tmp_path / "in", shards=2), tmp_path / "run", tmp_path / "computed"
    go(folder, out)
    before = dataset_times(out, "words")
    (folder / "shard9.txt").write_text("only this one here\n")
    situation = survey(toy.recipe(folder), Store(out), None)
    assert {i.step.name: i.counts.get("new") for i in situation.intents}["words"] == 1
    go(folder, out, words={"log": str(log)})
    assert log.read_text() == "only this one here\n"
    assert dataset_times(out, "words")[:2] == before


def test_changed_shard_is_redone_and_removed_shard_needs_confirmation(tmp_path: Path):
    folder, out = toy.write_lines(tmp_path / "in", shards=3), tmp_path / "run"
    go(folder, out)
    (folder / "shard0.txt").write_text("a new first line\nand a second")
    assert go(folder, out)[0]["docs_in"] == 2 + 42
    (folder / "shard1.txt").unlink()
    with pytest.raises(PlanError, match=r"shard1.*--yes"):
        go(folder, out)
    assert go(folder, out, confirmed=True)[0]["docs_in"] == 2 + 21
    fresh = tmp_path / "fresh"
    go(folder, fresh)
    assert corpus_digest(out) == corpus_digest(fresh)


def test_folder_of_another_config_is_refused(lines: Path, undisturbed: Path, tmp_path: Path):
    with pytest.raises(PlanError, match="holds a run of config 'toy'"):
        go(lines, undisturbed, name="other")
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.tex").touch()
    with pytest.raises(PlanError, match="holds no Gristmill run"):
        go(lines, tmp_path / "mine")


def test_part_that_fails_is_quarantined_and_the_rest_goes_on(tmp_path: Path):
    folder, out = toy.write_lines(tmp_path / "in", shards=3), tmp_path / "run"
    (folder / "shard1.txt").write_text("fine\nraise\n")
    with pytest.raises(RunFailed, match=r"1 of 3 parts failed(.|\n)*shard1: ValueError: this text raises"):
        go(folder, out, words={"trouble": "raise"})
    assert read_books(Store(out))[-1]["docs_out"] == 40
    go(folder, out)
    fresh = tmp_path / "fresh"
    go(folder, fresh)
    assert corpus_digest(out) == corpus_digest(fresh)


def test_worker_killed_once_changes_nothing(tmp_path: Path):
    folder, out = toy.write_lines(tmp_path / "in", shards=3), tmp_path / "run"
    (folder / "shard1.txt").write_text("fine\nkill\n")
    go(folder, out, workers=2, words={"trouble": "kill once", "marker": str(tmp_path / "killed")})
    assert (tmp_path / "killed").exists()
    go(folder, tmp_path / "fresh")
    assert corpus_digest(out) == corpus_digest(tmp_path / "fresh")


def test_part_that_always_kills_its_worker_is_quarantined(tmp_path: Path):
    folder, out = toy.write_lines(tmp_path / "in", shards=3), tmp_path / "run"
    (folder / "shard1.txt").write_text("fine\nkill\n")
    with pytest.raises(RunFailed, match=r"shard1.*killed three times"):
        go(folder, out, workers=2, words={"trouble": "kill"})
    assert read_books(Store(out))[-1]["docs_out"] == 40


def test_reducer_that_fails_stops_the_run_with_its_message(lines: Path, tmp_path: Path):
    with pytest.raises(RunFailed, match="ranking: too few; add more"):
        go(lines, tmp_path / "run", ranking={"fail": "too few; add more"})


def _run(folder: str, out: str) -> None:
    os.setsid()
    go(Path(folder), Path(out), workers=2, slow=0.05, gate={"min_words": 3})


@pytest.mark.parametrize("seed", [0, 1, 2, *(pytest.param(n, marks=pytest.mark.slow) for n in (3, 4, 5))])
def test_killed_anywhere_resumes_to_the_same_bytes(lines: Path, undisturbed: Path, tmp_path: Path, seed: int):
    rng, out = random.Random(seed), tmp_path / "run"
    context = multiprocessing.get_context("spawn")
    for _ in range(3):
        run = context.Process(target=_run, args=(str(lines), str(out)))
        run.start()
        # Wait for a state, not for a time: so many receipts exist.
        wanted = rng.randrange(0, 26)
        while run.is_alive() and receipts_below(out) < wanted:
            time.sleep(0.002)
        if run.is_alive():
            os.kill(run.pid, signal.SIGKILL)
        run.join()
    go(lines, out, workers=2, slow=0.05, gate={"min_words": 3})
    fresh = tmp_path / "fresh"
    go(lines, fresh, slow=0.05, gate={"min_words": 3})
    assert corpus_digest(out) == corpus_digest(fresh)
    assert not [p for p in out.rglob("*") if ".tmp-" in p.name]


def test_killed_between_data_and_receipt_the_part_is_done_again(lines: Path, undisturbed: Path, tmp_path: Path):
    out = tmp_path / "run"
    go(lines, out, gate={"min_words": 3})
    (log,) = (out / "words" / "receipts").iterdir()
    lines_of_log = log.read_bytes().splitlines(keepends=True)
    log.write_bytes(b"".join(line for line in lines_of_log if b" shard2 " not in line))
    (out / "words" / "shard2.parquet").write_bytes(b"half a fi")
    go(lines, out, gate={"min_words": 3})
    assert corpus_digest(out) == corpus_digest(undisturbed)


def test_receipt_of_another_size_is_not_believed(lines: Path, undisturbed: Path, tmp_path: Path):
    out = tmp_path / "run"
    go(lines, out, gate={"min_words": 3})
    shard = next((out / "corpus" / "data").iterdir())
    shard.write_bytes(shard.read_bytes()[:-10])
    go(lines, out, gate={"min_words": 3})
    assert corpus_digest(out) == corpus_digest(undisturbed)


def test_two_runs_in_one_folder_the_second_is_refused(lines: Path, tmp_path: Path):
    from gristmill.pipeline.run.session import locked

    with locked(tmp_path / "run"), pytest.raises(PlanError, match="in use by another run"):
        go(lines, tmp_path / "run")


def test_until_stops_after_the_stage(lines: Path, tmp_path: Path):
    entries = go(lines, tmp_path / "run", until="words")
    assert [e["stage"] for e in entries] == ["ingest", "words"]
    assert not (tmp_path / "run" / "rank").exists()
    with pytest.raises(PlanError, match="nothing"):
        go(lines, tmp_path / "run", until="nothing")


def test_plan_step_that_reads_an_unwritten_column_is_refused(lines: Path):
    class Wants(toy.WordsGate):
        reads: ClassVar = {"words": ("letters_n",)}

    with pytest.raises(PlanError, match=r"words.gate reads words.letters_n, which no earlier step writes"):
        make_plan("x", "", [toy.Lines(str(lines)), toy.Words(), Wants()], [])


def test_plan_without_a_source_is_refused():
    with pytest.raises(PlanError, match="first step must be a source"):
        check([])


def test_annotator_that_drops_a_row_is_caught(lines: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    from gristmill.pipeline.run import part as engine

    plan = make_plan("x", "", [toy.Lines(str(lines)), toy.Words()], toy.Lines(str(lines)).parts())
    store = Store(tmp_path)
    run = engine.PartRun(store, plan, plan.parts[0], {})
    run.do(plan.steps[0])
    run.opened[engine.digest([plan.steps[1].fingerprint, {}])] = lambda batch: batch.head(1).select("doc_id")
    with pytest.raises(DataError, match="changed the rows or their order"):
        run.do(plan.steps[1])


def test_plan_json_tells_the_steps(undisturbed: Path):
    saved = json.loads((undisturbed / "plan.json").read_text())
    assert [s["name"] for s in saved["steps"]] == [
        "ingest", "words", "words.gate", "twins", "slow", "ranking", "rank", "corpus",
    ]  # fmt: skip


def test_workers_that_start_ahead_compute_the_same_and_end_with_the_engine(tmp_path: Path):
    lines = toy.write_lines(tmp_path / "lines")
    go(lines, tmp_path / "one")
    made, store, engine = toy.recipe(lines), Store(tmp_path / "ahead"), LocalEngine(2)
    try:
        engine.start_ahead("gristmill.pipeline.started:import_ahead")
        started = [worker.process for worker in engine.pool]
        assert len(started) == min(2, max(1, cores() - 1))
        launch(made, survey(made, store, None), store, engine, None, Quiet(), lambda store, plan: None)
        assert [worker.process for worker in engine.pool][: len(started)] == started
    finally:
        engine.close()
    assert not any(process.is_alive() for process in started)
    assert corpus_digest(tmp_path / "ahead") == corpus_digest(tmp_path / "one")
