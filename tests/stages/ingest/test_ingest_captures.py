"""Rows of a crawl's columnar index: just the records that they name are read, from disk and by range requests."""

from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from test_ingest_remote import Server, everything, served

from gristmill.pipeline.contract.errors import InputError
from gristmill.stages.ingest import Ingest

FILE = "crawl-data/CC-MAIN-2024-10/segments/1/warc/a.warc.gz"


@pytest.fixture(scope="module")
def crawl(demo_shard: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, pl.DataFrame]:
    """A folder with a crawl below it, and the index of its responses."""
    root = tmp_path_factory.mktemp("crawl")
    path = root / FILE
    path.parent.mkdir(parents=True)
    data = demo_shard.read_bytes()
    path.write_bytes(data)
    starts, kinds = [], []
    with path.open("rb") as file:
        for record in ArchiveIterator(file, parse_http=False):
            starts.append(record.stream_pos)
            kinds.append(record.record_type)
    rows = [
        {"url_host_registered_domain": f"d{i}", "warc_filename": FILE, "warc_record_offset": start,
         "warc_record_length": end - start}
        for i, (start, end, kind) in enumerate(zip(starts, [*starts[1:], len(data)], kinds, strict=True))
        if kind == WarcRecordType.response
    ]  # fmt: skip
    return root, pl.DataFrame(rows, schema_overrides={"warc_record_offset": pl.Int32, "warc_record_length": pl.Int32})


@pytest.fixture
def host(crawl: tuple[Path, pl.DataFrame]) -> Iterator[tuple[type[Server], str]]:
    pytest.importorskip("aiohttp")
    root, _ = crawl
    handler = type("Handler", (Server,), {"faults": [], "sent": [], "data": (root / FILE).read_bytes()})
    for address in served(handler):
        yield handler, address


def test_an_index_gives_the_documents_of_its_records_and_no_others(crawl):
    root, index = crawl
    some = index.sample(30, seed=2).sort("url_host_registered_domain")  # an index is sorted by URL
    some.write_parquet(root / "some.parquet")
    (root / "list.paths").write_text(FILE + "\n")
    whole, _ = everything(Ingest(paths=(str(root / "list.paths"),)))
    stage = Ingest(paths=(str(root / "some.parquet"),))
    parts = stage.parts()
    stage.preview(parts)
    documents, rejected = everything(stage)
    assert documents.height + rejected.height == 30
    expected = whole.filter(pl.col("doc_id").is_in(documents["doc_id"].implode()))
    assert documents.sort("doc_id").equals(expected.sort("doc_id"))
    assert set(documents["dump"]) == {"CC-MAIN-2024-10"}
    for part_bytes in (5_000, 20_000):
        cut = replace(stage, part_bytes=part_bytes)
        assert len(cut.parts()) > 1
        again, _ = everything(cut)
        assert again.sort("doc_id").equals(documents.sort("doc_id"))


def test_records_come_by_range_requests_and_neighbours_in_one(crawl, host):
    root, index = crawl
    handler, address = host
    near = index.head(20)
    near.write_parquet(root / "near.parquet")
    documents, _ = everything(Ingest(paths=(str(root / "near.parquet"),), paths_base=address))
    assert documents.height == 20
    wanted = near["warc_record_length"].sum()
    moved = [n for n in handler.sent if n > 1]
    assert sum(moved) < 2 * wanted + 200_000
    assert len(moved) < 20


def test_what_is_no_record_is_counted_and_what_leads_elsewhere_refused(crawl):
    root, index = crawl
    off = index.head(3).with_columns(pl.col("warc_record_offset") + 5)
    pl.concat([off, index.head(3)]).write_parquet(root / "off.parquet")
    documents, rejected = everything(Ingest(paths=(str(root / "off.parquet"),)))
    assert documents.height == 3
    assert rejected["rule"].to_list() == ["broken_record"] * 3
    assert rejected["record"].n_unique() == 3
    for name in ("../secret.warc.gz", "/etc/passwd", "http://elsewhere/x.warc.gz"):
        index.head(1).with_columns(warc_filename=pl.lit(name)).write_parquet(root / "bad.parquet")
        with pytest.raises(InputError, match="is no record below"):
            Ingest(paths=(str(root / "bad.parquet"),)).parts()
