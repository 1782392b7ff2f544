"""What the config's paths mean, and tabular input: Parquet by row groups, JSON lines by bytes."""

import gzip
import json
import zipfile
from pathlib import Path

import lz4.frame
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import zstandard
from hypothesis import example, given, settings
from hypothesis import strategies as st

from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.shapes import Part, Source
from gristmill.stages.ingest import Ingest

ROWS = [
    {"text": f"Text number {i} \u2028 with\x0cseparators.", "id": f"r{i}", "url": f"http://a/{i}"} for i in range(20)
]


def put(path: Path, data: bytes = b'{"text": "x"}\n') -> str:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(data)
    return str(path)


def names(*paths: str, **fields) -> list[str]:
    return [part.name for part in Ingest(paths=paths, **fields).parts()]


def everything(stage: Ingest) -> tuple[pl.DataFrame, pl.DataFrame]:
    frames = [stage.run(part) for part in stage.parts()]
    return pl.concat([d for d, _ in frames]), pl.concat([r for _, r in frames])


def lines(rows: list[dict] = ROWS) -> bytes:
    return b"".join(json.dumps(row, ensure_ascii=False).encode() + b"\n" for row in rows)


# names, keys and digests


def test_stage_is_a_source():
    assert isinstance(Ingest(), Source)


def test_name_is_relative_to_the_folder_before_the_wildcard(tmp_path, monkeypatch):
    put(tmp_path / "a" / "b" / "x.jsonl")
    put(tmp_path / "a" / "c" / "x.jsonl")
    assert names(f"{tmp_path}/a/*/x.jsonl") == ["b/x.jsonl", "c/x.jsonl"]
    assert names(f"{tmp_path}/a/**/x.jsonl") == ["b/x.jsonl", "c/x.jsonl"]
    assert names(f"{tmp_path}/a/b/x.jsonl") == ["x.jsonl"]
    monkeypatch.chdir(tmp_path)
    assert names("a/*/x.jsonl") == ["b/x.jsonl", "c/x.jsonl"]
    assert names("*/b/x.jsonl") == ["a/b/x.jsonl"]


def test_doc_id_does_not_depend_on_the_place_of_the_file(tmp_path, monkeypatch):
    for folder in ("here", "there"):
        put(tmp_path / folder / "x.jsonl", lines())
    monkeypatch.chdir(tmp_path / "here")
    here, there = Ingest(paths=("x.jsonl",)), Ingest(paths=(f"{tmp_path}/there/*.jsonl",))
    assert everything(here)[0]["doc_id"].to_list() == everything(there)[0]["doc_id"].to_list()


def test_part_keys_are_sorted_safe_unique_and_stable_when_files_are_added(tmp_path):
    for name in ("b.jsonl", "a b/ü.jsonl", "a_b/ü.jsonl"):
        put(tmp_path / name)
    before = [part.key for part in Ingest(paths=(f"{tmp_path}/**/*.jsonl",)).parts()]
    put(tmp_path / "aa.jsonl")
    after = [part.key for part in Ingest(paths=(f"{tmp_path}/**/*.jsonl",)).parts()]
    assert len(set(after)) == 4
    assert after == sorted(after)
    assert set(before) < set(after)
    assert all(set(key) <= set("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789._-") for key in after)


def test_digest_changes_with_the_file_only(tmp_path):
    path = put(tmp_path / "x.jsonl", lines())
    first, again = Ingest(paths=(path,)).parts()[0].digest, Ingest(paths=(path,)).parts()[0].digest
    put(tmp_path / "x.jsonl", lines(ROWS[:-1]))
    assert first == again != Ingest(paths=(path,)).parts()[0].digest


def test_missing_inputs_are_named(tmp_path):
    put(tmp_path / "empty.paths", b"\n")
    put(tmp_path / "dead.paths", b"nowhere.warc.gz\n")
    for pattern, said in (
        ("no/such/file.warc.gz", "no/such/file.warc.gz does not exist"),
        (f"{tmp_path}/*.nothing", "no file matches"),
        (f"{tmp_path}/empty.paths", "is empty"),
        (f"{tmp_path}/dead.paths", "nowhere.warc.gz"),
        (f"{tmp_path}/no.paths.gz", "does not exist"),
        (str(tmp_path), "is a folder"),
        ("nonsense://a/b", "nonsense"),
    ):
        with pytest.raises(InputError, match=said):
            Ingest(paths=(pattern,)).parts()
    with pytest.raises(InputError, match="empty"):
        Ingest().parts()


def test_inputs_that_collide_are_refused(tmp_path):
    for folder in "ab":
        put(tmp_path / folder / "x.jsonl")
    with pytest.raises(InputError, match="two inputs are named"):
        names(f"{tmp_path}/a/x.jsonl", f"{tmp_path}/b/x.jsonl")
    with pytest.raises(InputError, match="given twice"):
        names(f"{tmp_path}/a/*.jsonl", f"{tmp_path}/*/x.jsonl")
    assert names(f"{tmp_path}/a/*.jsonl", f"{tmp_path}/a/x.jsonl") == ["x.jsonl"]


def test_list_of_paths_gives_its_lines_as_names(tmp_path):
    put(tmp_path / "data" / "one.jsonl")
    put(tmp_path / "data" / "two.jsonl")
    listed = put(tmp_path / "jsonl.paths.gz", gzip.compress(b"data/one.jsonl\n\ndata/two.jsonl\n"))
    assert names(listed) == ["data/one.jsonl", "data/two.jsonl"]
    elsewhere = put(tmp_path / "lists" / "x.paths", b"data/one.jsonl\n")
    assert names(elsewhere, paths_base=str(tmp_path)) == ["data/one.jsonl"]


def test_dump_comes_from_the_config_or_the_path(tmp_path):
    path = put(tmp_path / "CC-MAIN-2024-22" / "x.jsonl", lines())
    assert everything(Ingest(paths=(path,)))[0]["dump"].unique().to_list() == ["CC-MAIN-2024-22"]
    assert everything(Ingest(paths=(path,), dump="mine"))[0]["dump"].unique().to_list() == ["mine"]


@pytest.mark.parametrize(
    "fields",
    [{"format": "pdf"}, {"extractor": "magic"}, {"fallback": "resiliparse"}, {"part_bytes": 0}, {"page_s": 0.0}],
)
def test_fields_that_cannot_be_meant_are_refused(fields):
    with pytest.raises(ConfigError, match=next(iter(fields))):
        Ingest(paths=("x",), **fields)


# JSON lines


@pytest.mark.parametrize(
    ("name", "compress"),
    [
        ("x.jsonl", bytes),
        ("x.jsonl.gz", gzip.compress),
        ("x.jsonl.zst", zstandard.compress),
        ("x.jsonl.lz4", lz4.frame.compress),
    ],
)
def test_json_lines_are_documents(tmp_path, name, compress):
    documents, rejected = everything(Ingest(paths=(put(tmp_path / name, compress(lines())),)))
    assert documents["text"].to_list() == [row["text"].replace("\u2028", "\n") for row in ROWS]
    assert documents["url"].to_list() == [row["url"] for row in ROWS]
    assert documents["charset_source"].unique().to_list() == ["declared"]
    assert rejected.is_empty()


def test_json_lines_cut_anywhere_are_read_exactly_once(tmp_path):
    data = lines(ROWS[:6]) + b"\n\nbroken\n" + lines(ROWS[6:8])[:-1]
    path = put(tmp_path / "x.jsonl", data)
    stage = Ingest(paths=(path,))
    whole = stage.run(Part("k", path, "x.jsonl", 0, len(data), ""))
    assert (whole[0].height, whole[1].height) == (8, 1)
    for cut in range(len(data) + 1):
        left, right = (stage.run(Part("k", path, "x.jsonl", a, b, "")) for a, b in ((0, cut), (cut, len(data))))
        assert pl.concat([left[0], right[0]]).equals(whole[0]), cut
        assert pl.concat([left[1], right[1]]).equals(whole[1]), cut


def test_json_lines_that_hold_no_document_are_counted(tmp_path):
    data = b'{"text": "ok"}\n{"text": \n[1]\n{"text": ""}\n{"text": 5}\n{"url": "u"}\n\xff\xfe\n\n{"text": "%s"}\n' % (
        b"x" * 2000
    )
    documents, rejected = everything(Ingest(paths=(put(tmp_path / "x.jsonl", data),), body_bytes=1000))
    assert documents["text"].to_list() == ["ok"]
    assert rejected["rule"].to_list() == [
        "broken_line", "broken_line", "no_text", "no_text", "no_text", "broken_line", "too_large",
    ]  # fmt: skip
    assert rejected["record"].to_list() == [15, 25, 29, 42, 54, 67, 71]


def test_json_text_is_cleaned_of_what_utf8_cannot_hold(tmp_path):
    path = put(tmp_path / "x.jsonl", b'{"text": "a\\ud800b\\u0000c\\ud83d\\ude00"}\n')
    assert everything(Ingest(paths=(path,)))[0]["text"].to_list() == ["a\ufffdbc\U0001f600"]


def test_truncated_compressed_lines_are_documents_as_far_as_they_go(tmp_path):
    rows = [{"text": f"{i} " + str(hash(str(i)))} for i in range(9000)]
    path = put(tmp_path / "x.jsonl.gz", gzip.compress(lines(rows))[:-5000])
    documents, rejected = everything(Ingest(paths=(path,)))
    assert documents.height > 1000
    assert rejected["rule"].to_list() == ["truncated"]


@settings(max_examples=100, deadline=None)
@example(b"\xff\x06\x00\x00sNaPpY\n{}", 0)
@given(st.binary(max_size=200), st.integers(0, 200))
def test_any_bytes_as_json_lines_have_fates(tmp_path_factory, data, cut):
    path, cut = put(tmp_path_factory.mktemp("b") / "x.jsonl", data), min(cut, len(data))
    stage = Ingest(paths=(path,), format="jsonl")
    whole = stage.run(Part("k", path, "x.jsonl", 0, len(data), ""))
    halves = [stage.run(Part("k", path, "x.jsonl", a, b, "")) for a, b in ((0, cut), (cut, len(data)))]
    if data:
        assert sum(r.height for _, r in halves) == whole[1].height
        if whole[1]["rule"].to_list() == ["unknown_compression"]:  # snappy and the like, refused by name: one fate
            return
        filled = [line for line in data.split(b"\n") if line.strip()]
        assert whole[0].height + whole[1].height == len(filled)


def test_columns_are_named_by_the_config(tmp_path):
    path = put(tmp_path / "x.jsonl", b'{"body": "t", "u": "http://u", "lic": "CC-BY-4.0", "when": "2020-01-01"}\n')
    stage = Ingest(
        paths=(path,), text_column="body", url_column="u", license_column="lic", date_column="when", id_column=""
    )
    row = everything(stage)[0].row(0, named=True)
    assert (row["text"], row["url"], row["license_declared"], row["date"]) == (
        "t",
        "http://u",
        "CC-BY-4.0",
        "2020-01-01",
    )


# Parquet


def parquet(path: Path, rows: list[dict] = ROWS, group: int = 3) -> str:
    pq.write_table(pa.Table.from_pylist(rows), path, row_group_size=group)
    return str(path)


def test_parquet_cut_anywhere_is_read_exactly_once(tmp_path):
    path = parquet(tmp_path / "x.parquet")
    size, stage = Path(path).stat().st_size, Ingest(paths=(path,))
    whole = stage.run(Part("k", path, "x.parquet", 0, size, ""))
    assert whole[0]["text"].to_list() == [row["text"].replace("\u2028", "\n") for row in ROWS]
    for cut in range(0, size + 1, 7):
        left, right = (stage.run(Part("k", path, "x.parquet", a, b, ""))[0] for a, b in ((0, cut), (cut, size)))
        assert pl.concat([left, right]).equals(whole[0]), cut


def test_parquet_part_without_the_beginning_rejects_nothing(tmp_path):
    path = put(tmp_path / "x.parquet", b"PAR1" + b"x" * 500)
    stage = Ingest(paths=(path,), part_bytes=100)
    assert everything(stage)[1]["rule"].to_list() == ["not_a_parquet_file"]


def test_broken_row_group_costs_its_rows(tmp_path):
    path = Path(parquet(tmp_path / "x.parquet", [{"text": f"{i} " + "text " * 50} for i in range(9)]))
    data = bytearray(path.read_bytes())
    start = pq.ParquetFile(path).metadata.row_group(1).column(0).dictionary_page_offset
    data[start : start + 40] = b"\xff" * 40
    path.write_bytes(data)
    documents, rejected = everything(Ingest(paths=(str(path),)))
    assert documents["text"].str.slice(0, 1).to_list() == list("012678")
    assert rejected["rule"].to_list() == ["broken_record"] * 3
    assert rejected["record"].to_list() == [3, 4, 5]


def test_parquet_without_the_text_column_is_rejected_whole(tmp_path):
    path = parquet(tmp_path / "x.parquet", [{"content": "x"}])
    assert everything(Ingest(paths=(path,)))[1]["rule"].to_list() == ["no_text_column"]


def test_bad_file_among_good_ones_is_a_counted_rejection(tmp_path):
    put(tmp_path / "a.jsonl", lines())
    put(tmp_path / "b.warc.gz", b"")
    put(tmp_path / "c.parquet", b"not parquet")
    put(tmp_path / "d.txt", b"just text")
    documents, rejected = everything(Ingest(paths=(f"{tmp_path}/*",)))
    assert documents.height == len(ROWS)
    assert sorted(rejected["rule"]) == ["empty_file", "not_a_parquet_file", "not_an_archive"]


def test_wacz_stands_for_the_archives_inside(tmp_path):
    record = b"WARC/1.0\r\nWARC-Type: conversion\r\nContent-Length: 5\r\n\r\nhello\r\n\r\n"
    for method in (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED):
        with zipfile.ZipFile(tmp_path / "x.wacz", "w", method) as archive:
            archive.writestr("archive/data.warc.gz", gzip.compress(record))
            archive.writestr("indexes/index.cdx", b"x")
        documents, _ = everything(Ingest(paths=(f"{tmp_path}/*.wacz",)))
        assert documents["text"].to_list() == ["hello"]
        assert documents["file_path"].to_list() == [f"{tmp_path}/x.wacz!/archive/data.warc.gz"]


# matches that are no files, run folders, odd names


def test_a_link_to_nothing_among_a_globs_matches_is_an_error_that_names_it(tmp_path):
    put(tmp_path / "a.jsonl")
    (tmp_path / "b.jsonl").symlink_to("/nowhere/b.jsonl")
    with pytest.raises(InputError, match=r"b\.jsonl.*link to /nowhere/b\.jsonl"):
        names(f"{tmp_path}/*.jsonl")
    with pytest.raises(InputError, match=r"b\.jsonl.*link to /nowhere/b\.jsonl"):
        names(f"{tmp_path}/b.jsonl")


def test_a_folder_among_a_globs_matches_is_an_error_unless_its_files_are_matched(tmp_path):
    put(tmp_path / "a.jsonl")
    put(tmp_path / "more" / "b.jsonl")
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"more, matched by .* is a folder"):
        names(f"{tmp_path}/*")
    assert names(f"{tmp_path}/**/*") == ["a.jsonl", "more/b.jsonl"]
    (tmp_path / "c.jsonl").mkdir()
    assert names(f"{tmp_path}/**/*") == ["a.jsonl", "more/b.jsonl"]
    with pytest.raises(InputError, match=r"c\.jsonl, matched by .* is a folder"):  # an empty one, too
        names(f"{tmp_path}/*.jsonl")
    put(tmp_path / "c.jsonl" / "data.txt")
    with pytest.raises(InputError, match=r"c\.jsonl, matched by"):
        names(f"{tmp_path}/**/*.jsonl")


def test_files_of_a_run_folder_are_never_a_globs_matches(tmp_path):
    put(tmp_path / "a.jsonl")
    put(tmp_path / "run" / ".workers.lock", b"")
    put(tmp_path / "run" / "corpus" / "data" / "train.parquet")
    put(tmp_path / "copy" / "plan.json")
    put(tmp_path / "copy" / "config.yaml")
    (tmp_path / "link").symlink_to(tmp_path / "run" / "corpus")
    stage = Ingest(paths=(f"{tmp_path}/**/*",))
    assert [p.name for p in stage.parts()] == ["a.jsonl"]
    assert [str(tmp_path / "copy") in stage.notes()[0], str(tmp_path / "run") in stage.notes()[1]] == [True, True]
    with pytest.raises(InputError, match="only files of the run folder"):
        names(f"{tmp_path}/r*/corpus/data/*")
    assert names(f"{tmp_path}/run/corpus/data/*") == ["train.parquet"]  # named by its folder: another run's corpus


@pytest.mark.parametrize(
    "name", ["shard[1].jsonl", "what?.jsonl", "a*b.jsonl", "a!/x.jsonl", "[x]/y.jsonl", "l i\tn.jsonl"]
)
def test_a_path_that_exists_is_that_path_whatever_characters_it_has(tmp_path, name):
    path = put(tmp_path / name, lines(ROWS[:2]))
    put(tmp_path / "shard1.jsonl", lines())
    documents, _ = everything(Ingest(paths=(path,)))
    assert documents.height == 2
    put(tmp_path / "list.paths", name.encode())
    assert everything(Ingest(paths=(f"{tmp_path}/list.paths",)))[0].height == 2
