"""Columns of the input in the corpus: `keep_columns: all` and by name, of Parquet and JSON lines, with their types."""

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from test_first_job import prose

from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.carried.types import arrow_of, common_types, notation_of, united
from gristmill.pipeline.contract.carried.values import carried_json, restored

TYPES = {
    "edu_score": pa.float32(), "votes": pa.int16(), "tags": pa.list_(pa.string()), "fetched": pa.timestamp("us", "UTC"),
    "meta": pa.struct([("depth", pa.int64()), ("seen", pa.list_(pa.date32()))]), "price": pa.decimal128(10, 2),
    "language_score": pa.float64(), "raw": pa.binary(), "took": pa.duration("ms"),
}  # fmt: skip


def row(i: int) -> dict[str, object]:
    return {
        "edu_score": i / 7, "votes": i, "tags": ["a", f"t{i}"] if i % 3 else None,
        "fetched": datetime(2024, 1, 1, 12, i % 60, tzinfo=UTC),
        "meta": {"depth": i, "seen": [date(2020, 1, 1 + i % 28)]}, "price": Decimal(i) / 4, "language_score": 0.5,
        "raw": bytes([i % 256, 255]), "took": timedelta(milliseconds=i),
    }  # fmt: skip


@pytest.fixture(scope="module")
def corpus(tmp_path_factory):
    folder = tmp_path_factory.mktemp("carried")
    rng = np.random.default_rng(1)
    n = 60
    table = pa.table(
        {"text": [prose(rng, i) for i in range(n)], "id": [f"w{i}" for i in range(n)], "title": ["T"] * n}
        | {name: pa.array([row(i)[name] for i in range(n)], kind) for name, kind in TYPES.items()}
    )
    pq.write_table(table, folder / "web.parquet")
    lines = [
        {"text": prose(rng, 1000 + i), "id": f"j{i}", "votes": i, "stars": i % 5, "meta": {"depth": 0.5}}
        for i in range(40)
    ]
    text = prose(rng, 2000)
    lines += [
        {
            "text": t,
            "id": f"j{i}",
            "votes": 9,
            "stars": i % 5,
            "meta": {"depth": 0.5},
            "url": f"https://{h}/",
            "dump": d,
        }
        for i, t, h, d in (
            (100, text, "b.org", "CC-2"),
            (101, text, "www.a.org", "CC-1"),
            (102, text.rsplit(" ", 3)[0], "c.org", "CC-1"),
        )
    ]
    (folder / "more.jsonl").write_text("".join(json.dumps(line) + "\n" for line in lines))
    (folder / "job.yaml").write_text(
        f"input: {{paths: [{folder}/web.parquet, {folder}/more.jsonl], keep_columns: all}}\n"
        "gates: {presets: [], limits: [{column: input.votes, min: 5}]}\nlicense: {enabled: false}\n"
        "tokenizer: {vocab_size: 300}\nmixture: {budget_tokens: 90000}\n"
        "corpus: {format: [parquet, jsonl.zst], columns: ['dup_*', minhash_cluster_size]}\n"
    )
    assert main(["run", str(folder / "job.yaml"), "--out", str(folder / "run")]) == 0
    return pq.read_table(sorted((folder / "run/corpus/data").glob("*.parquet"))), folder


def test_all_columns_reach_the_corpus_with_their_types(corpus):
    table, _ = corpus
    for name, kind in TYPES.items():
        there = "input_language_score" if name == "language_score" else name
        expected = {
            "votes": pa.int64(),
            "meta": pa.struct([("depth", pa.float64()), ("seen", pa.list_(pa.date32()))]),
        }.get(name, kind)  # JSON lines have wider numbers
        assert table.schema.field(there).type == expected, name
    seen = 0
    for found in table.to_pylist():
        if found["id"].startswith("w"):
            seen += 1
            i = int(found["id"][1:])
            want = row(i) | {"edu_score": float(np.float32(i / 7))}
            want["input_language_score"] = want.pop("language_score")
            assert {name: found[name] for name in want} == want
        else:
            assert (found["stars"], found["price"]) == (int(found["id"][1:]) % 5, None)
            assert found["meta"] == {"depth": 0.5, "seen": None}
    assert seen
    assert min(found["votes"] for found in table.to_pylist()) >= 5


def test_hosts_dumps_and_number_of_a_cluster_stand_at_the_document_that_stays(corpus):
    rows = corpus[0].select(["id", "dup_hosts_n", "dup_hosts", "dup_dumps", "minhash_cluster_size"]).to_pylist()
    copies = ("j100", "j101", "j102")
    (stays,) = {r["id"] for r in rows if r["id"] in copies}
    assert stays != "j102"  # the shorter text
    found = next({name: r[name] for name in r if name != "id"} for r in rows if r["id"] == stays)
    hosts = ["b.org", "c.org", "www.a.org"]
    assert found == {"dup_hosts_n": 3, "dup_hosts": hosts, "dup_dumps": ["CC-1", "CC-2"], "minhash_cluster_size": 3}
    others = {(r["dup_hosts"], r["minhash_cluster_size"]) for r in rows if r["id"] not in copies}
    assert others == {(None, 1)}


def test_a_limit_on_a_column_that_is_not_kept_is_refused(corpus, capsys):
    _, folder = corpus
    for key, said in (("votes", "no column 'votes'"), ("input.votes", "there are edu_score")):
        given = ["input.keep_columns=[edu_score]", f"gates.limits=[{{column: {key}, min: 5}}]"]
        assert main(["plan", str(folder / "job.yaml"), *given, "--out", str(folder / "other")]) == 2
        assert said in capsys.readouterr().err


def test_a_column_that_no_file_has_is_refused(corpus, capsys):
    _, folder = corpus
    given = [f"input.paths=[{folder}/web.parquet]", "input.keep_columns=[edu_scores]", "gates.limits=[]"]
    assert main(["plan", str(folder / "job.yaml"), *given, "--out", str(folder / "other")]) == 2
    assert "no file has a column 'edu_scores'; there are edu_score," in capsys.readouterr().err


def test_types_of_sources_are_united_in_any_order():
    kinds = [
        "int8", "uint16", "int64", "float", "null", "timestamp[s]", "timestamp[us]", ["int8"], ["float"], {"a": "int8"},
        {"b": "string", "a": "double"}, "string", "decimal128(5, 2)", "decimal128(10, 4)", "bool", "date32",
    ]  # fmt: skip
    for a in kinds:
        for b in kinds:
            assert json.dumps(united(a, b)) == json.dumps(united(b, a))
            for c in kinds:
                assert json.dumps(united(united(a, b), c)) == json.dumps(united(a, united(b, c))), (a, b, c)


def test_every_arrow_type_has_a_notation_that_leads_back():
    for kind in (
        *TYPES.values(),
        pa.uint8(),
        pa.bool_(),
        pa.timestamp("ns"),
        pa.time64("us"),
        pa.date64(),
        pa.float16(),
    ):
        assert arrow_of(json.loads(json.dumps(notation_of(kind)))) == kind


def test_values_without_a_form_cost_themselves():
    odd = carried_json({"big": 10**30, "nan": float("nan"), "lone": "\ud800", "deep": [1]})
    types = json.dumps({"big": "string", "nan": "double", "lone": "string", "deep": ["int64"]})
    (found,) = restored([odd], [types], common_types([types])).to_pylist()
    assert (found["big"], found["nan"], found["deep"]) == (str(10**30), None, [1])
    mixed = [json.dumps({"a": "int64"}), json.dumps({"a": "timestamp[s]"}), json.dumps({"a": ["int64"]})]
    shown = restored(['{"a":3}', '{"a":0}', '{"a":[1,2]}'], mixed, common_types(mixed))
    assert shown["a"].to_pylist() == ["3", "1970-01-01 00:00:00", "[1,2]"]
