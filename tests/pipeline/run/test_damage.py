"""Every file of a finished run, damaged: verify names it, the same command makes it again; nothing is a traceback."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import toy
from gristmill.pipeline.books.seal import check_seal
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.run.receipts.receipt import read_receipt
from gristmill.pipeline.run.recheck import forget_changed
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent

NO_RESULTS = {"logs", "scratch", ".lock", ".workers.lock"}


def run(lines: Path, out: Path) -> None:
    made, store = toy.recipe(lines, gate={"min_words": 3}), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)


def names(out: Path) -> list[str]:
    files = (p.relative_to(out) for p in sorted(out.rglob("*")) if p.is_file())
    return [f.as_posix() for f in files if not NO_RESULTS & set(f.parts)]


def contents(out: Path) -> dict[str, bytes]:
    """What a run makes; receipts hold times, and the seal digests of them."""
    return {n: (out / n).read_bytes() for n in names(out) if not is_receipt(n) and n != "seal.json"}


def is_receipt(name: str) -> bool:
    return name.endswith(".receipt.json") or "/receipts/" in name


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return toy.write_lines(tmp_path_factory.mktemp("lines"), shards=1, lines=6)


@pytest.fixture(scope="module")
def finished(lines: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("finished") / "run"
    run(lines, out)
    return out


def flipped(data: bytes) -> bytes:
    at = len(data) // 2
    return data[:at] + bytes([data[at] ^ 1]) + data[at + 1 :]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "flipped": flipped, "cut": lambda data: data[: len(data) // 2], "emptied": lambda data: b"",
    "other JSON": lambda data: b"[]", "nested": lambda data: b"[" * 100_000,
}  # fmt: skip


@pytest.mark.parametrize("how", DAMAGE)
def test_any_damaged_file_is_named_by_verify_and_made_again_by_the_same_command(
    how: str, lines: Path, finished: Path, tmp_path: Path, capsys
):
    for i, name in enumerate(names(finished)):
        if how in ("other JSON", "nested") and not name.endswith(".json"):
            continue
        out = tmp_path / str(i)
        shutil.copytree(finished, out)
        (out / name).write_bytes(DAMAGE[how]((out / name).read_bytes()))
        capsys.readouterr()
        for command in ("verify", "status", "ledger"):
            status = main([command, str(out)])
            said = capsys.readouterr().err
            assert "fault of Gristmill" not in said, (command, name)
            if command == "verify":
                assert status, name
                assert name in said, (name, said)
        run(lines, out)
        assert contents(out) == contents(finished), name
        check_seal(Store(out))


def test_a_state_file_with_any_byte_changed_is_read_or_named(lines: Path, finished: Path, tmp_path: Path, capsys):
    out = tmp_path / "run"
    shutil.copytree(finished, out)
    for name in ("plan.json", "ledger.json", "seal.json"):
        whole = (out / name).read_bytes()
        for at in range(0, len(whole), max(1, len(whole) // 12)):
            for byte in (0, 0x22, 0x39, 0x7B, 0xFF):
                (out / name).write_bytes(whole[:at] + bytes([byte]) + whole[at + 1 :])
                changed = (out / name).read_bytes() != whole
                status = main(["verify", str(out)])
                said = capsys.readouterr().err
                assert "fault of Gristmill" not in said, (name, at, byte)
                assert bool(status) or not changed, (name, at, byte)
        (out / name).write_bytes(whole)


def test_a_resume_notices_what_was_written_to_since_and_check_what_was_not(lines: Path, finished: Path, tmp_path: Path):
    for rot in (False, True):  # a flipped bit of the disk leaves the file's time as it was
        out = tmp_path / f"rot-{rot}"
        shutil.copytree(finished, out)
        victim = next(out.glob("words/*.parquet"))
        before = victim.stat()
        victim.write_bytes(flipped(victim.read_bytes()))
        store = Store(out)
        if rot:
            os.utime(victim, ns=(before.st_atime_ns, before.st_mtime_ns))
            assert store.receipt("words", victim.stem) is not None
            assert forget_changed(store) == [victim.relative_to(out).as_posix()]
        assert store.receipt("words", victim.stem) is None
        run(lines, out)
        assert contents(out) == contents(finished)
        assert forget_changed(store) == []


def test_a_copied_run_is_digested_once_and_nothing_of_it_is_made_again(lines: Path, finished: Path, tmp_path: Path):
    out = tmp_path / "copy"
    shutil.copytree(finished, out, copy_function=shutil.copyfile)  # every file is as new as its receipt
    written = {n: (out / n).stat().st_ino for n in names(out) if is_receipt(n)}
    run(lines, out)
    assert {n: (out / n).stat().st_ino for n in names(out) if is_receipt(n)} == written
    for path in (*out.glob("words/*.parquet"), *out.glob("ingest/*.parquet")):
        receipt = Store(out).receipts.read(path.parent.name, path.stem)
        assert receipt is not None
        assert path.stat().st_mtime_ns == receipt.modified


def test_a_receipt_proves_nothing_once_a_field_of_it_is_changed(finished: Path, tmp_path: Path):
    path = next(finished.glob("artifacts/*.receipt.json"))
    fields = json.loads(path.read_text())
    for name, value in fields.items():
        other = tmp_path / "other.json"
        other.write_text(json.dumps({**fields, name: value + 1 if isinstance(value, int | float) else f"{value}x"}))
        if not isinstance(value, dict):
            assert read_receipt(other) is None, name
    other.write_text(json.dumps({**fields, "dropped": {"x": {"docs": 1}}}))
    assert read_receipt(other) is None


def test_rows_of_some_documents_are_those_of_the_whole_file_and_a_damaged_one_is_named(finished: Path, tmp_path: Path):
    store = Store(shutil.copytree(finished, tmp_path / "run"))
    path = next((store.root / "ingest").glob("*.parquet"))
    whole = store.read("ingest", path.stem, ("url", "text"))
    ids = [whole["doc_id"][4], whole["doc_id"][1], "none"]
    found = store.read("ingest", path.stem, ("url", "text"), ids)
    assert found.equals(whole.filter(pl.col("doc_id").is_in(ids)))
    assert found.height == 2
    data = path.read_bytes()
    flipped = data.index(b"\x28\xb5\x2f\xfd") + 12  # in the first page, behind zstd's magic number
    path.write_bytes(data[:flipped] + bytes([data[flipped] ^ 1]) + data[flipped + 1 :])
    with pytest.raises(DataError, match="run again to recompute it"):
        store.read("ingest", path.stem, ("text",), ids)
    path.write_bytes(data[:-20])
    with pytest.raises(DataError, match="run again to recompute it"):
        store.read("ingest", path.stem, ("text",), ids)
    path.unlink()
    with pytest.raises(DataError, match="run again to recompute it"):
        store.read("ingest", path.stem, ("text",), ids)


def test_a_folder_that_is_no_run_is_no_traceback(tmp_path: Path, capsys):
    for content in ("", "[]", "{}", "null", '{"steps": [], "parts": []}', '{"steps": [{}], "parts": [{}]}'):
        (tmp_path / "plan.json").write_text(content)
        for command in ("verify", "status", "ledger"):
            assert main([command, str(tmp_path)])
            said = capsys.readouterr().err
            assert "plan.json" in said
            assert "fault of Gristmill" not in said
