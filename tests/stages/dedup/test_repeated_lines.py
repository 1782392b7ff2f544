"""clean.repeated_lines: lines of many documents of a host, or of the corpus, are cut, counted, gone for later steps."""

import json
import re
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_dedup_index import InProcess, Silent

from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.kernels.page.line_keys import line_keys, without_lines
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.exchange import passes
from gristmill.pipeline.run.store import Store

OFF = {name: {"enabled": False} for name in ("language", "license", "signals", "gates")}
LINES = st.sampled_from(["menu", " menu ", "a line", "", " \t", "é", "\r", "menu x"])


@given(texts=st.lists(st.lists(LINES, max_size=6).map("\n".join), max_size=5), cut=st.sets(LINES, max_size=3))
@settings(max_examples=150, deadline=None)
def test_lines_are_cut_as_a_plain_twin_cuts_them(texts: list[str], cut: set[str]):
    seeds = np.array([i % 2 for i in range(len(texts))], np.uint64)

    def keys_of(text: str, seed: int) -> list[int]:
        return line_keys(*utf8(pl.Series([text])), np.array([seed], np.uint64))[0].tolist()

    gone = [sorted({k for line in cut for k in keys_of(line, int(seed))}) for seed in seeds]
    bounds = np.concatenate([[0], np.cumsum([len(g) for g in gone])]).astype(np.int64)
    data, offsets = utf8(pl.Series(texts, dtype=pl.String))
    out, ends, counts = without_lines(
        data, offsets, seeds, np.array([k for keys in gone for k in keys], np.uint64), bounds
    )
    stripped = {line.strip(" \t\r") for line in cut} - {""}
    for i, text in enumerate(texts):
        found = bytes(out[ends[i] : ends[i + 1]]).decode()
        lines = text.split("\n")
        kept = [line for line in lines if line.strip(" \t\r") not in stripped]
        assert counts[i].tolist() == [len(lines) - len(kept), len(text.encode()) - len(found.encode())]
        if len(kept) == len(lines):
            assert found == text
        assert found.lstrip("\n") == "\n".join(kept).lstrip("\n")
        keys = line_keys(*utf8(pl.Series([text])), seeds[i : i + 1])[0]
        assert keys.size == sum(bool(line.strip(" \t\r")) for line in lines)


def write(folder: Path) -> Path:
    """40 pages of two hosts with the host's menu; a page of menus only, one captured five times, one without a host."""
    folder.mkdir()
    rows = []
    for i in range(40):
        host = f"h{i % 2}.org"
        text = "\n".join(
            [f"Home of {host}", "Share this", *(f"line {n} of page {i}" for n in range(5)), f"© {host} 2024"]
        )
        rows.append({"text": text, "url": f"http://{host}/{i}"})
    rows.append({"text": "Home of h0.org\n© h0.org 2024", "url": "http://h0.org/menu"})
    same = "\n".join(f"a page of its own, line {n}" for n in range(4))
    rows += [{"text": same, "url": f"http://h1.org/same/{i}"} for i in range(5)]
    rows.append({"text": "Share this\nbut on a host of few pages", "url": "http://other.org/"})
    rows.append({"text": "Share this\nand on no host"})
    for i in range(3):
        (folder / f"{i}.jsonl").write_text("\n".join(map(json.dumps, rows[i::3])))
    return folder


def go(texts: Path, out: Path, **lines: object) -> dict[str, dict]:
    tree = {"input": {"paths": f"{texts}/*.jsonl", "cut_furniture": False}, **OFF, "clean": {"repeated_lines": lines}}
    recipe, store = make_recipe(tree, "lines"), Store(out)
    launch(
        recipe, survey(recipe, store, "dedup.minhash"), store, InProcess(), "dedup.minhash", Silent(), lambda s, p: None
    )

    def read(name: str) -> pl.DataFrame:
        return pl.concat([pl.read_parquet(p) for p in sorted((out / name).glob("*.parquet"))])

    urls = read("ingest").select("doc_id", "url", before="text")
    found = urls.join(read("clean.lines"), on="doc_id").join(
        read("ledger").select("doc_id", "rule", "cut_bytes"), on="doc_id"
    )
    return {r["url"] or "": r for r in found.iter_rows(named=True)}


@pytest.fixture(scope="module")
def by_host(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path, dict[str, dict]]:
    folder = tmp_path_factory.mktemp("lines")
    return write(folder / "texts"), folder / "run", go(folder / "texts", folder / "run", more_than=3)


def test_lines_of_more_documents_of_a_host_than_allowed_are_cut_and_counted(
    by_host: tuple[Path, Path, dict[str, dict]],
):
    _, out, found = by_host
    page = found["http://h1.org/7"]
    assert page["text"] == "\n".join(f"line {n} of page 7" for n in range(5))
    assert page["cut_repeated_lines_n"] == 3
    assert (
        page["cut_repeated_bytes"] == len(page["before"].encode()) - len(page["text"].encode()) == page["cut_bytes"][0]
    )
    assert found["http://h1.org/same/0"]["text"] == found["http://h1.org/same/0"]["before"]  # one text, often captured
    assert found["http://other.org/"]["cut_repeated_lines_n"] == found[""]["cut_repeated_lines_n"] == 0
    assert found["http://h0.org/menu"]["rule"] == "only_repeated_lines"
    books = {str(e["stage"]): e for e in read_books(Store(out))}
    cut = sum(r["cut_repeated_bytes"] for r in found.values() if r["rule"] != "only_repeated_lines")
    assert books["clean.lines"]["dropped"]["cut_text"]["bytes"] == cut  # type: ignore


def test_the_report_shows_the_lines_that_were_cut_most_and_how_many_documents_had_them(
    by_host: tuple[Path, Path, dict[str, dict]],
):
    plan = load_plan(by_host[1] / "plan.json").until("dedup.minhash")
    (step,) = (s for s in plan.steps if s.name == "clean.lines")
    (section,) = step.stage.tell(FinishedRun(Store(by_host[1]), plan)).sections
    rows = re.findall(r"<tr>(.*?)</tr>", str(section.content), re.DOTALL)
    cells = [[re.sub(r"<[^>]+>", "", c) for c in re.findall(r"<t[dh].*?</t[dh]>", r, re.DOTALL)] for r in rows[1:]]
    assert sorted(cells) == sorted(
        [f"h{i}.org", n, line]
        for i, hosts_own in ((0, "21"), (1, "20"))
        for line, n in ((f"Home of h{i}.org", hosts_own), ("Share this", "20"), (f"© h{i}.org 2024", hosts_own))
    )


def test_exactly_as_many_documents_as_allowed_keep_their_lines(
    by_host: tuple[Path, Path, dict[str, dict]], tmp_path: Path
):
    found = go(by_host[0], tmp_path / "run", more_than=21)  # h0.org's own lines stand in 21
    assert {r["cut_repeated_lines_n"] for r in found.values()} == {0}
    found = go(by_host[0], tmp_path / "run", more_than=20)
    assert found["http://h0.org/0"]["cut_repeated_lines_n"] == 2
    assert found["http://h1.org/1"]["cut_repeated_lines_n"] == 0


def test_by_corpus_all_documents_count_together_also_without_a_host(
    by_host: tuple[Path, Path, dict[str, dict]], tmp_path: Path
):
    found = go(by_host[0], tmp_path / "run", more_than=40, by="corpus")
    assert {r["cut_repeated_lines_n"] for u, r in found.items() if "Share" in r["before"]} == {1}
    assert found[""]["text"] == "and on no host"


def test_any_bundles_and_partitions_same_bytes(
    by_host: tuple[Path, Path, dict[str, dict]], tmp_path: Path, monkeypatch
):
    monkeypatch.setattr(passes, "BUNDLES", 2)
    monkeypatch.setattr(passes, "PARTITION_BYTES", 1 << 10)
    go(by_host[0], tmp_path / "run", more_than=3)
    for path in (by_host[1] / "clean.lines").glob("*.parquet"):
        assert path.read_bytes() == (tmp_path / "run" / "clean.lines" / path.name).read_bytes()
