"""Inputs that would give no document are refused before anything runs, or with the rule that took them."""

import json
from pathlib import Path

import polars as pl
import pytest

from gristmill.pipeline.contract.errors import ConfigError, DataError, GristmillError, InputError
from gristmill.pipeline.contract.shapes import Counted, Part
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.recipe import make_recipe
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.review import review
from gristmill.stages.language import LanguageGate
from lawrun import execute
from places import ROOT

ROWS = [{"content": f"text {i}", "hexsha": "ab", "stars": i} for i in range(5)]


def write(folder: Path, name: str) -> Path:
    path = folder / name
    lines = "".join(json.dumps(row) + "\n" for row in ROWS)
    if name == "rows.parquet":
        pl.DataFrame(ROWS).write_parquet(path)
    elif name == "cut.parquet":
        pl.DataFrame(ROWS).write_parquet(path)
        path.write_bytes(path.read_bytes()[:-20])
    elif name == "array.json":
        path.write_text(json.dumps([{"text": "a"}]))
    elif name == "rows.csv":
        path.write_text("text,id\nhello,1\n")
    elif name == "number.jsonl":
        path.write_text('{"text": 3, "body": "b"}\n')
    elif name == "rows.jsonl.zst":
        import zstandard

        path.write_bytes(zstandard.compress(lines.encode()))
    elif name == "empty.jsonl":
        path.write_bytes(b"")
    elif name == "notes.txt":
        path.write_text("Dear reader,\nthis is prose.\n")
    else:
        path.write_text(lines)
    return path


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (
            "rows.jsonl",
            "rows.jsonl has no column 'text'; it has content, hexsha, stars; name .* text_column .content or",
        ),
        ("rows.jsonl.zst", "has no column 'text'; it has content, hexsha, stars"),
        ("rows.parquet", "has no column 'text'; it has content, hexsha, stars"),
        ("cut.parquet", "cannot be read as Parquet, it is cut off or damaged"),
        ("array.json", "JSON array.; write one object per line"),
        ("rows.csv", "rows.csv is neither WARC, .* .CSV.; convert it"),
        ("number.jsonl", "'text' holds int, no text; .* .body."),
        ("empty.jsonl", "empty.jsonl is empty"),
        ("notes.txt", "notes.txt is neither WARC, .* .plain text."),
    ],
)
def test_a_file_that_can_give_no_document_is_named_before_the_run(name, said, tmp_path):
    ingest = Ingest(paths=(str(write(tmp_path, name)),))
    with pytest.raises(InputError, match=said):
        ingest.preview(ingest.parts())


def test_one_damaged_file_among_good_ones_is_left_to_the_ledger_but_a_missing_column_is_not(tmp_path):
    good = tmp_path / "a.jsonl"
    good.write_text('{"text": "hello"}\n')
    ingest = Ingest(paths=(str(good), str(write(tmp_path, "empty.jsonl"))))
    ingest.preview(ingest.parts())
    ingest = Ingest(paths=(str(good), str(write(tmp_path, "rows.jsonl"))))
    with pytest.raises(InputError, match="no column 'text'"):
        ingest.preview(ingest.parts())


def test_a_named_text_column_is_looked_for(tmp_path):
    ingest = Ingest(paths=(str(write(tmp_path, "rows.parquet")),), text_column="content")
    ingest.preview(ingest.parts())


PART = Part("k", "p", "n", 0, 1, "")


@pytest.mark.parametrize(
    ("documents", "rejected", "said"),
    [
        (4, {"no_text": 5, "broken_line": 1}, r"6 of 10 records were rejected \(5 by no_text, 1 by broken_line\)"),
        (1, {"no_text": 7}, r"7 of 8 .*is the text in another column\? set text_column"),
    ],
)
def test_too_many_rejected_records_are_an_error_with_the_rule(documents, rejected, said):
    with pytest.raises(DataError, match=said):
        review([Counted(PART, documents, rejected)], 0.5)


def test_records_that_are_no_pages_do_not_count_nor_does_exactly_the_limit():
    review([Counted(PART, 1, {"not_a_response": 500, "revisit": 9, "bad_status": 80, "not_html": 70})], 0.5)
    review([Counted(PART, 5, {"no_text": 5})], 0.5)
    review([Counted(PART, 1, {"part_full": 500})], 0.5)


def test_the_run_ends_after_ingest_where_most_records_are_lost(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "hello there"}\n' + '{"text": null}\n' * 3)
    tree = override(read_config(ROOT / "configs" / "commoncrawl.yaml"), [f"input.paths={path}"])
    with pytest.raises(DataError, match=r"3 of 4 records were rejected \(3 by no_text\).*input.max_rejected = 0.5"):
        execute(make_recipe(tree, "x"), tmp_path / "run")


def test_the_run_ends_where_a_gate_leaves_nothing_and_names_its_rule(tmp_path):
    path = tmp_path / "a.jsonl"
    path.write_text('{"text": "The house stands by the river and has a garden."}\n' * 4)
    tree = override(read_config(ROOT / "configs" / "commoncrawl.yaml"), [f"input.paths={path}", "language.keep=de"])
    with pytest.raises(
        GristmillError, match=r"language left no document: 4 documents in, dropped by language_not_kept 4"
    ):
        execute(make_recipe(tree, "x"), tmp_path / "run")


def test_a_language_by_its_name_is_refused():
    with pytest.raises(ConfigError, match="english"):
        LanguageGate(keep=("english",))
