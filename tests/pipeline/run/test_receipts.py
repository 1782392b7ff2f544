"""Logs of receipts: what is cut or changed proves nothing, the line written last counts, merging changes nothing."""

import os
import resource
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import permutations
from pathlib import Path

import pytest

import toy
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.receipts import logs
from gristmill.pipeline.run.receipts.logs import Appended, Receipts, logs_in, results_of
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


def receipt(n: int, seconds: float = 0.5) -> Receipt:
    dropped = {"too_few_words": {"docs": n, "bytes": 10 * n}}
    return Receipt(f"identity {n}", "rows", "kept", 9, n, dropped=dropped, content=f"{n}", seconds=seconds, modified=n)


def known(root: Path, dataset: str = "words") -> dict[str, int]:
    """Part -> documents that went on, as somebody who has just come reads it."""
    return {key: r.docs_out for key, r in Receipts(root).all(dataset).items()}


def only_log(root: Path) -> Path:
    ((path, *_),) = logs_in(root / "words")
    return path


def test_a_receipt_is_read_as_it_was_written(tmp_path: Path):
    written = Receipts(tmp_path)
    whole = Receipt("identity", "r", "k", 5, 4, 50, 40, {"a": {"docs": 1}}, "c", 7, 0.25, "x", {"f": ("d", 1)}, "9")
    written.record("words", "part-1", whole)
    written.record("words", "part-2", receipt(2))
    for reader in (written, Receipts(tmp_path)):
        found = reader.read("words", "part-1")
        assert found is not None
        assert {**vars(found), "files": {"f": ("d", 1)}} == vars(whole)
        assert reader.read("words", "part-2") == receipt(2)
        assert reader.read("words", "part-3") is None
        assert reader.read("other", "part-1") is None


def test_a_log_that_is_cut_anywhere_keeps_the_lines_before(tmp_path: Path):
    writer = Receipts(tmp_path)
    for n in range(3):
        writer.record("words", f"part-{n}", receipt(n))
    log = only_log(tmp_path)
    data = log.read_bytes()
    ends = [i + 1 for i, byte in enumerate(data) if byte == 0x0A]
    for size in range(len(data)):
        log.write_bytes(data[:size])
        assert known(tmp_path) == {f"part-{n}": n for n, end in enumerate(ends) if end <= size}


def test_a_log_with_any_byte_changed_proves_nothing_that_was_not_so(tmp_path: Path):
    writer = Receipts(tmp_path)
    for n in range(3):
        writer.record("words", f"part-{n}", receipt(n))
    log, all_three = only_log(tmp_path), {f"part-{n}": n for n in range(3)}
    data = log.read_bytes()
    for at in range(len(data)):
        for change in (1, 0x20):
            log.write_bytes(data[:at] + bytes([data[at] ^ change]) + data[at + 1 :])
            found = known(tmp_path)
            assert found.items() <= all_three.items()
            assert len(found) >= (1 if data[at] == 0x0A else 2)  # the end of a line is the end of two
            assert results_of(log.read_bytes()) is None


def test_the_line_that_was_written_last_counts_whoever_wrote_it(tmp_path: Path):
    first, second, third = (Receipts(tmp_path) for _ in range(3))
    first.record("words", "a", receipt(1))
    first.record("words", "b", receipt(1))
    second.take_away("words", "a")
    assert known(tmp_path) == {"b": 1}
    third.record("words", "a", receipt(3))
    third.record("words", "b", receipt(3))
    assert known(tmp_path) == {"a": 3, "b": 3}
    third.take_away("words", "b")
    third.take_away("words", "b")
    third.take_away("words", "c")
    assert known(tmp_path) == {"a": 3}
    paths = [path for path, *_ in logs_in(tmp_path / "words")]
    assert len(paths) == 3
    contents = [path.read_bytes() for path in paths]
    assert sum(data.count(b"\n") for data in contents) == 6
    for order in permutations(contents):
        for path, data in zip(paths, order, strict=True):
            path.write_bytes(data)
        assert known(tmp_path) == {"a": 3}


def test_what_others_write_is_seen_by_who_looks_again(tmp_path: Path):
    mine, other = Receipts(tmp_path), Receipts(tmp_path)
    other.record("words", "a", receipt(1))
    assert mine.read("words", "a") == receipt(1)
    other.record("words", "a", receipt(2))
    other.record("words", "b", receipt(2))
    assert mine.read("words", "b") is None
    mine.look_again()
    assert (mine.read("words", "a"), mine.read("words", "b")) == (receipt(2), receipt(2))


def test_logs_that_are_merged_while_somebody_reads_are_read_where_they_are_then(tmp_path: Path):
    for key in "ab":
        Receipts(tmp_path).record("words", key, receipt(1))
    readers = [Receipts(tmp_path) for _ in range(2)]
    assert [reader.read("words", "none") for reader in readers] == [None, None]
    late = [Receipts(tmp_path) for _ in range(2)]
    for reader in late:
        reader._listed("words")
    Receipts(tmp_path).merge()
    assert [reader.read("words", "b") for reader in (*readers, late[0])] == [receipt(1)] * 3
    assert late[1].all("words") == {"a": receipt(1), "b": receipt(1)}


@pytest.mark.parametrize("parts", [1, 4, 9])
def test_merged_logs_are_the_same_bytes_whoever_wrote_them(parts: int, tmp_path: Path, monkeypatch):
    monkeypatch.setattr(logs, "PARTS", 2)
    keys = [f"part-{n}" for n in range(9)]
    for name, writers in (("one", 1), ("three", 3)):
        several = [Receipts(tmp_path / name, 9 if w else parts) for w in range(writers)]  # of more parts, too
        for n, key in enumerate(keys if writers == 1 else reversed(keys)):
            several[n % writers].record("words", key, receipt(int(key[-1])))
        Receipts(tmp_path / name, parts).merge()
        assert known(tmp_path / name) == {key: int(key[-1]) for key in keys}
        wanted = {f"{logs.range_of(key, n):03d}-of-{n:03d}.log" for n in [logs.logs_for(parts)] for key in keys}
        assert {path.name for path in (tmp_path / name / "words" / "receipts").iterdir()} == wanted
    one, three = ({p.name: p.read_bytes() for p, *_ in logs_in(tmp_path / n / "words")} for n in ("one", "three"))
    assert one == three


def test_merging_that_is_killed_anywhere_loses_and_revives_nothing(tmp_path: Path, monkeypatch):
    class Killed(BaseException):
        pass

    def prepared(root: Path) -> Receipts:
        first, second = Receipts(root), Receipts(root)
        for key in "abc":
            first.record("words", key, receipt(1))
        first.merge()
        second.record("words", "a", receipt(2))
        second.take_away("words", "b")
        Receipts(root).record("words", "d", receipt(4))
        return Receipts(root)

    want, left = {"a": 2, "c": 1, "d": 4}, [0]
    for owner, name in ((Path, "replace"), (os, "fsync"), (Path, "unlink")):
        original = getattr(owner, name)

        def struck(*given: object, original=original, **named: object) -> object:
            left[0] -= 1
            if left[0] == 0:
                raise Killed
            return original(*given, **named)

        monkeypatch.setattr(owner, name, struck)
    for strike in range(1, 20):
        root = tmp_path / str(strike)
        receipts = prepared(root)
        left[0] = strike
        try:
            receipts.merge()
        except Killed:
            assert known(root) == want
            left[0] = 0
            Receipts(root).merge()
            assert known(root) == want
            continue
        left[0] = 0
        assert strike > 4
        return
    raise AssertionError("merging never came to its end")


@contextmanager
def no_file_longer_than(size: int) -> Iterator[None]:
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def test_a_line_for_which_there_is_no_room_is_taken_back_whole(tmp_path: Path):
    writer = Receipts(tmp_path)
    writer.record("words", "a", receipt(1))
    before = only_log(tmp_path).read_bytes()
    with no_file_longer_than(len(before) + 20), pytest.raises(OSError, match=r"space|too large"):
        writer.record("words", "b", receipt(2))
    assert only_log(tmp_path).read_bytes() == before
    writer.record("words", "b", receipt(3))
    assert known(tmp_path) == {"a": 1, "b": 3}


def test_appended_gives_each_new_receipt_once_and_no_half_of_one(tmp_path: Path):
    writer = Receipts(tmp_path)
    writer.record("words", "a", receipt(1))
    appended = Appended(tmp_path / "words")
    assert list(appended.since()) == []
    writer.record("words", "b", receipt(2))
    other = Receipts(tmp_path)
    other.record("words", "c", receipt(3))
    assert sorted(appended.since(), key=lambda given: given[0]) == [("b", receipt(2)), ("c", receipt(3))]
    writer.record("words", "d", receipt(4))
    log = next(p for p, *_ in logs_in(tmp_path / "words") if b" d " in p.read_bytes())
    whole = log.read_bytes()
    log.write_bytes(whole[:-9])
    assert list(appended.since()) == []
    log.write_bytes(whole)
    assert list(appended.since()) == [("d", receipt(4))]


def go(lines: Path, out: Path) -> None:
    made, store = toy.recipe(lines), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)


def test_more_parts_than_before_are_logged_in_more_ranges_and_nothing_old_is_done_again(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(logs, "PARTS", 2)
    lines, out = toy.write_lines(tmp_path / "lines", shards=2, lines=3), tmp_path / "run"
    go(lines, out)
    before = {p.name: p.stat().st_mtime_ns for p in (out / "words").glob("*.parquet")}
    assert {path.name for path, *_ in logs_in(out / "words")} == {"000-of-001.log"}
    toy.write_lines(lines, shards=5, lines=3)
    go(lines, out)
    assert {path.name[-7:] for path, *_ in logs_in(out / "words")} == {"004.log"}
    assert {n: t for n, t in before.items() if (out / "words" / n).stat().st_mtime_ns != t} == {}


def test_two_equal_runs_are_sealed_alike(tmp_path: Path):
    lines = toy.write_lines(tmp_path / "lines", shards=3, lines=3)
    go(lines, tmp_path / "one")
    go(lines, tmp_path / "two")
    shutil.rmtree(tmp_path / "two" / "words")
    go(lines, tmp_path / "two")
    assert (tmp_path / "one" / "seal.json").read_bytes() == (tmp_path / "two" / "seal.json").read_bytes()


def test_a_folder_with_a_file_per_receipt_is_refused_with_the_way_out(tmp_path: Path):
    lines, out = toy.write_lines(tmp_path / "lines", shards=2, lines=3), tmp_path / "run"
    go(lines, out)
    shutil.rmtree(out / "ingest" / "receipts")
    (out / "ingest" / "shard0.receipt.json").write_text("{}")
    with pytest.raises(PlanError, match="choose another --out, or delete the folder"):
        go(lines, out)
    with pytest.raises(PlanError, match="each receipt in a file of its own"):
        load_plan(out / "plan.json")
