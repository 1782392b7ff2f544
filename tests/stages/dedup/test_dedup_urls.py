"""dedup.url: one capture of each normalised address stays, by the same policy as copies of a text."""

import json
from pathlib import Path

import polars as pl
import pytest
from test_dedup_index import go

from gristmill.stages.dedup.urls import normalised


@pytest.mark.parametrize(
    ("url", "same"),
    [
        ("https://www.Example.org:443/a/", "http://example.org/a"),
        ("http://example.org./a#part", "http://example.org/a"),
        ("http://example.org/a?b=1&a=2&utm_source=x&fbclid=7", "http://example.org/a?a=2&b=1"),
        ("http://example.org/a?", "http://example.org/a"),
        ("http://example.org", "http://example.org/"),
        ("http://example.org/a?PHPSESSID=3", "http://example.org/a"),
    ],
)
def test_addresses_of_one_page_are_one(url: str, same: str):
    assert normalised(url) == normalised(same)


@pytest.mark.parametrize(
    ("url", "other"),
    [
        ("http://example.org/a", "http://example.org/A"),
        ("http://example.org:8080/a", "http://example.org/a"),
        ("http://example.org/a?id=1", "http://example.org/a?id=2"),
        ("http://example.org/a?sid=1", "http://example.org/a?sid=2"),
        ("http://example.org/a?b", "http://example.org/a"),
        ("http://www2.example.org/", "http://example.org/"),
        ("http://[::1/a", "http://[::2/a"),
        ("urn:isbn:1", "urn:isbn:2"),
        ("file:///a", "file:///b"),
    ],
)
def test_addresses_of_two_pages_are_two(url: str, other: str):
    assert normalised(url) != normalised(other)


def test_in_a_run_the_better_capture_stays_and_the_ledger_says_whether_the_text_was_the_same(tmp_path: Path):
    texts = [
        ("http://www.a.org/x/?utm_source=n", "a short text of five words"),
        ("https://a.org/x", "a longer text with some more words in it"),
        ("https://a.org/x#top", "a longer text with some more words in it"),
        ("https://a.org/y", "a text on another page of the site"),
        (None, "a text of no address that stands here"),
        (None, "and one more of no address in here"),
    ]
    (tmp_path / "texts").mkdir()
    dumps = ["2023-06", "2024-10", "2024-10", "2024-10", "2023-06", None]
    lines = [
        json.dumps({"text": t, **({"url": u} if u else {}), "dump": dump})
        for (u, t), dump in zip(texts, dumps, strict=True)
    ]
    (tmp_path / "texts" / "a.jsonl").write_text("\n".join(lines))
    fates = go(tmp_path / "texts", None, tmp_path / "run", url={"enabled": True})
    (short, one, two) = (fates[u] for u, _ in texts[:3])
    stays, leaves = (one, two) if one["rule"] is None else (two, one)
    assert stays["rule"] is None
    assert (leaves["stage"], leaves["rule"], leaves["stays_doc_id"]) == ("dedup.url", "url_duplicate", stays["doc_id"])
    assert leaves["similarity"] == 1.0
    assert (short["rule"], short["stays_doc_id"], short["similarity"]) == ("url_duplicate", stays["doc_id"], None)
    assert fates["https://a.org/y"]["rule"] is None
    (path,) = (tmp_path / "run" / "dedup.url").glob("*.parquet")
    groups = {r["doc_id"]: (r["url_copies_n"], r["url_dumps"]) for r in pl.read_parquet(path).iter_rows(named=True)}
    assert groups[stays["doc_id"]] == (3, "2023-06\n2024-10")
    assert groups[short["doc_id"]] == (3, None)
    assert groups[fates["https://a.org/y"]["doc_id"]] == (1, None)
    off = go(tmp_path / "texts", None, tmp_path / "off")
    assert {r["rule"] for r in off.values()} == {None, "exact_duplicate"}
