"""dedup.references and dedup.held_out: what a reference is, which are held out, and where their texts go."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest
import zstandard

from frames import CountingCorpus, FakeCorpus, doc_id, splits
from gristmill.classifiers.hosts import hosts_of
from gristmill.pipeline.contract.columns import arrow_schema
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.pipeline.contract.notes import read_notes
from gristmill.stages.dedup.held_out import HeldOutGate, HeldOutTexts
from gristmill.stages.dedup.references import ReferenceFlags, References, given_texts, matches


def documents(urls: list[str | None], language: str = "en") -> pl.DataFrame:
    return pl.DataFrame(
        {"doc_id": [doc_id(f"{i} {u}") for i, u in enumerate(urls)], "url": urls, "language": [language] * len(urls)},
        schema={"doc_id": pl.String, "url": pl.String, "language": pl.String},
    )


def settle(rule: References, batch: pl.DataFrame, out: Path) -> pl.DataFrame:
    """Runs the reducer, then the annotator."""
    out.mkdir(parents=True, exist_ok=True)
    rule.run(FakeCorpus([batch]), out)
    return ReferenceFlags().open({"dedup.references": out})(batch)


@pytest.mark.parametrize(
    ("host", "wanted"),
    [
        ("wikipedia.org", True),
        ("de.m.wikipedia.org", True),
        ("wikipedia.org.evil.com", False),
        ("evilwikipedia.org", False),
        ("wikipedia.org.", True),
        ("nih.gov", True),
        ("www.ox.ac.uk", True),
        ("edu.evil.com", False),
        ("gov.evil.co.uk", False),
        ("ac.uk", False),
        ("www.education.gouv.fr", True),
        ("e900110.hailedu.gov.sa", True),
        ("docs.python.org", True),
        ("docs.rs", True),
        ("mydocs.example.com", False),
        ("docs.example.com", True),
        ("docs.com", False),
        ("docs.google.com", False),
        ("sub.docs.google.com", False),
        ("numpy.readthedocs.io", True),
        ("localhost", False),
        ("192.168.0.1", False),
        ("gov", False),
        ("", False),
    ],
)
def test_reference_host_by_the_default_rule(host, wanted):
    assert matches(host.rstrip("."), References()) is wanted


@pytest.mark.parametrize(
    ("url", "host"),
    [
        ("https://en.Wikipedia.org/wiki/X", "en.wikipedia.org"),
        ("HTTPS://en.wikipedia.org:8443?q", "en.wikipedia.org"),
        ("http://wikipedia.org@evil.com/", "evil.com"),
        ("http://a:b@c@evil.com/wikipedia.org", "evil.com"),
        ("http://evil.com\\@wikipedia.org/", "evil.com"),
        ("http://evil.com#@wikipedia.org/", "evil.com"),
        ("http://evil.com/http://wikipedia.org", "evil.com"),
        ("http://wikipedia.org./", "wikipedia.org"),
        ("file://a.txt#1", "a.txt"),
        ("wikipedia.org/wiki", None),
        ("", None),
        (None, None),
    ],
)
def test_host_of_a_url_is_where_a_browser_would_go(url, host):
    assert hosts_of(pl.Series([url], dtype=pl.String)).to_list() == [host]


def test_reference_flags_follow_rule_and_draw_in_any_batches(tmp_path):
    urls = [f"https://{h}/{i}" for i in range(40) for h in ("en.wikipedia.org", "shop.example.com")] + [None]
    batch = documents(urls)
    flags = settle(References(held_out_frac=0.3), batch, tmp_path / "a")
    wanted = [u is not None and "wikipedia" in u for u in urls]
    drawn = uniform(batch["doc_id"], "held_out") < 0.3
    assert flags["is_reference"].to_list() == wanted
    assert flags["is_held_out"].to_list() == [w and bool(d) for w, d in zip(wanted, drawn, strict=True)]
    assert 0 < flags["is_held_out"].sum() < 40
    annotate = ReferenceFlags().open({"dedup.references": tmp_path / "a"})
    for frames in splits(batch):
        assert pl.concat([annotate(f) for f in frames]).equals(flags)
    empty = annotate(batch[:0])
    assert empty.to_arrow().cast(arrow_schema(empty.columns)).num_rows == 0


def test_references_of_other_languages_are_left_out_where_languages_are_given(tmp_path):
    batch = pl.concat(
        [documents(["https://a.gov/1"]), documents(["https://a.gov/2"], "de"), documents(["https://a.gov/3"], None)]
    )  # type: ignore[arg-type]
    flags = settle(References(languages=("de",), min_references=1), batch, tmp_path)
    assert flags["is_reference"].to_list() == [False, True, False]


def test_references_too_few_count_as_none_and_a_note_names_the_way_out(tmp_path):
    flags = settle(References(), documents(["https://a.gov/", "https://b.com/"]), tmp_path)
    assert flags["is_reference"].to_list() == flags["is_held_out"].to_list() == [False, False]
    (note,) = read_notes(next(tmp_path.rglob("notes.json")).parent)
    assert "1 of 2 documents are of reference hosts" in note
    assert "dedup.references.paths" in note


def test_given_references_too_few_count_as_none(tmp_path):
    path = tmp_path / "good.txt"
    path.write_text("a reference")
    batch = documents(["https://a.gov/"] * 20)
    flags = settle(References(paths=(str(path),)), batch, tmp_path)
    assert not flags["is_reference"].any()
    folder = next(tmp_path.rglob("notes.json")).parent
    assert "good.txt hold 1 reference texts" in read_notes(folder)[0]
    assert pl.read_parquet(folder / "texts.parquet").is_empty()


def test_references_artifact_is_the_same_bytes_in_any_order(tmp_path):
    batch = documents([f"https://h{i % 7}.gov/{i}" for i in range(50)])
    files = []
    for n, frames in enumerate([[batch], splits(batch.reverse())[1]]):
        out = tmp_path / str(n)
        out.mkdir()
        References().run(FakeCorpus(frames), out)
        files.append({p.name: p.read_bytes() for p in out.iterdir()})
    assert files[0] == files[1]
    assert json.loads(files[0]["report.json"])["hosts"]["h0.gov"] == 8


def test_given_texts_of_every_format_are_read_once_each(tmp_path):
    lines = "\n".join(json.dumps({"text": t, "language": "en"}) for t in ("one\u2028line", "two", "two", " "))
    (tmp_path / "a.jsonl").write_text(lines, encoding="utf-8")
    (tmp_path / "b.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "c.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    pl.DataFrame({"text": ["three", None]}).write_parquet(tmp_path / "d.parquet")
    (tmp_path / "e.txt").write_text("four\nlines")
    paths = tuple(str(p) for p in sorted(tmp_path.iterdir()))
    texts = given_texts(References(paths=paths, held_out_frac=0.5))
    assert sorted(texts["text"]) == ["four\nlines", "one\u2028line", "three", "two"]
    assert texts["doc_id"].is_sorted()
    assert texts.equals(given_texts(References(paths=paths[::-1], held_out_frac=0.5)))
    assert dict(texts.select("text", "language").iter_rows())["two"] == "en"


@pytest.mark.parametrize(
    ("name", "content", "error"),
    [
        ("a.jsonl", b'{"text": "x"}\n{broken', DataError),
        ("a.jsonl", b'{"body": "x"}', DataError),
        ("a.jsonl", b'{"text": 3}', DataError),
        ("a.jsonl", b'["text"]', DataError),
        ("a.jsonl", b"\xe9\xff", InputError),
        ("a.jsonl.gz", b"no gzip", InputError),
        ("a.jsonl.gz", gzip.compress(b"x" * 999, mtime=0)[:-12], InputError),
        ("a.jsonl.zst", b"no zstd", InputError),
        ("a.parquet", b"no parquet", InputError),
        ("a.docx", b"", InputError),
    ],
)
def test_given_texts_that_cannot_be_read_are_an_error_that_names_the_file(tmp_path, name, content, error):
    path = tmp_path / name
    path.write_bytes(content)
    with pytest.raises(error, match=name):
        given_texts(References(paths=(str(path),)))


def test_given_texts_that_are_missing_are_an_input_error(tmp_path):
    with pytest.raises(InputError, match=r"nowhere\.jsonl"):
        given_texts(References(paths=(str(tmp_path / "nowhere.jsonl"),)))


def test_references_by_path_leave_no_crawl_document_a_reference(tmp_path):
    path = tmp_path / "r.jsonl"
    path.write_text("\n".join(json.dumps({"text": f"text {i}"}) for i in range(30)))
    flags = settle(References(paths=(str(path),)), documents(["https://a.gov/"] * 3), tmp_path / "out")
    assert not flags["is_reference"].any()
    assert not flags["is_held_out"].any()
    texts = pl.read_parquet(tmp_path / "out" / "texts.parquet")
    assert texts.height == 30
    assert 0 < texts["is_held_out"].sum() < 30


def held_out_corpus(frames: list[pl.DataFrame], folder: Path) -> FakeCorpus:
    folder.mkdir(exist_ok=True)
    given_texts(References()).write_parquet(folder / "texts.parquet")
    (folder / "report.json").write_text(json.dumps({"enabled": True}))
    return FakeCorpus(frames, {"dedup.references": folder})


def held_out_batch(n: int) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "doc_id": [doc_id(str(i)) for i in range(n)],
            "text": [f"text {i} " * 10 for i in range(n)],
            "text_bytes": [len(f"text {i} ") * 10 for i in range(n)],
            "is_held_out": [i % 2 == 0 for i in range(n)],
        }
    )


def test_held_out_texts_are_saved_sorted_and_then_dropped(tmp_path):
    batch = held_out_batch(20)
    written = []
    for n, frames in enumerate([[batch], splits(batch.reverse())[2]]):
        out = tmp_path / str(n)
        out.mkdir()
        HeldOutTexts().run(held_out_corpus(frames, tmp_path / "r"), out)
        written.append((out / "texts.parquet").read_bytes())
    assert written[0] == written[1]
    texts = pl.read_parquet(tmp_path / "0" / "texts.parquet")
    want = batch.filter("is_held_out").select("doc_id", "text", pl.lit("references").alias("target")).sort("doc_id")
    assert texts.equals(want)
    assert HeldOutGate().decide(batch).to_list() == ["held_out" if i % 2 == 0 else None for i in range(20)]


def test_held_out_texts_beyond_the_limit_are_left_out_by_draw(tmp_path):
    batch = held_out_batch(200)
    sizes = {}
    for limit in (1_000_000, 3_000, 1):
        out = tmp_path / str(limit)
        out.mkdir()
        HeldOutTexts(max_bytes=limit).run(held_out_corpus([batch], tmp_path / "r"), out)
        sizes[limit] = pl.read_parquet(out / "texts.parquet")
    assert sizes[1_000_000].height == 100
    assert sizes[1].height == 1
    assert 2_900 <= sizes[3_000]["text"].str.len_bytes().sum() <= 3_000
    assert set(sizes[1]["doc_id"]) <= set(sizes[3_000]["doc_id"]) <= set(sizes[1_000_000]["doc_id"])


def test_held_out_texts_too_few_are_none_and_a_note_names_the_way_out(tmp_path):
    out = tmp_path / "out"
    out.mkdir()
    HeldOutTexts().run(held_out_corpus([held_out_batch(4)], tmp_path / "r"), out)
    assert pl.read_parquet(out / "texts.parquet").is_empty()
    (note,) = read_notes(out)
    assert "2 held-out reference texts" in note
    assert "held_out_frac" in note


def test_held_out_texts_keep_no_batches(tmp_path):
    (tmp_path / "out").mkdir()
    frames = [held_out_batch(20)[i : i + 1] for i in range(20)]
    corpus = CountingCorpus(frames, held_out_corpus([], tmp_path / "r").artifacts)
    HeldOutTexts().run(corpus, tmp_path / "out")
    assert corpus.most <= 3
