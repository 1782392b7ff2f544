"""Extraction on web/gold and charset detection on the UDHR in legacy charsets.

    python benchmarks/ingest/ingest_quality.py FOLDER [extractor ...]  # ours: ../shared/data

Segments: precision, recall and F1 of segments that must and must not appear (as trafilatura's evaluation counts them).
Articles: F1 of word 4-grams against the article's text (as scrapinghub's benchmark counts them), mean over pages.
"""

import collections
import json
import re
import sys
import time
import zipfile
from collections.abc import Iterator
from hashlib import sha1
from pathlib import Path

import numpy as np
import polars as pl
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

sys.path.insert(0, str(Path(__file__).parents[2] / ".src"))
from gristmill.stages.ingest.content.blocks import MARKDOWN, PLAIN
from gristmill.stages.ingest.content.characters import normalised
from gristmill.stages.ingest.content.furniture import without_furniture
from gristmill.stages.ingest.page.charset import decode
from gristmill.stages.ingest.page.parse import EXTRACTORS, Extract, parsed
from gristmill.stages.ingest.page.plain import plain_text

WORDS = re.compile(r"\w+")
UDHR = {
    "Latin1": "cp1252", "UTF8": "utf-8", "Latin2": "iso8859-2", "Cyrillic": "cp1251", "Arabic": "cp1256",
    "Hebrew": "cp1255", "Greek": "cp1253", "Turkish": "cp1254", "Baltic": "cp1257", "EUC": "euc_jp", "SJIS": "cp932",
    "JIS": "iso2022_jp", "GB2312": "gb18030",
}  # fmt: skip


def pages(data: Path) -> Iterator[tuple[str, str]]:
    """(sha1 of the body, decoded page)."""
    for shard in sorted((data / "web").glob("*.warc.gz")):
        for record in ArchiveIterator(str(shard), record_types=WarcRecordType.response):
            body = record.reader.read()
            yield sha1(body).hexdigest(), decode(body, record.http_charset).text


def shingles(text: str) -> collections.Counter[tuple[str, ...]]:
    words = WORDS.findall(text.lower())
    return collections.Counter(tuple(words[i : i + 4]) for i in range(max(len(words) - 3, 1)))


def measure(name: str, extract: Extract, held: dict[str, str], gold: list[dict]) -> None:
    texts: dict[str, str] = {}
    trees = {key: HTMLTree.parse(page) for key, page in held.items()}
    start = time.process_time()
    for key, page in held.items():
        texts[key] = extract(trees[key], page)
    seconds = time.process_time() - start
    hit = miss = false = 0
    articles = []
    for entry in gold:
        text = " ".join(texts[entry["sha1"]].split())
        if entry["kind"] == "segments":
            found = sum(" ".join(s.split()) in text for s in entry["with_segments"])
            hit, miss = hit + found, miss + len(entry["with_segments"]) - found
            false += sum(" ".join(s.split()) in text for s in entry["without_segments"])
        else:
            mine, true = shingles(text), shingles(entry["text"])
            both = sum((mine & true).values())
            articles.append(2 * both / max(sum(mine.values()) + sum(true.values()), 1))
    precision, recall = hit / max(hit + false, 1), hit / (hit + miss)
    f1 = 2 * precision * recall / (precision + recall)
    print(
        f"{name:24s} precision {precision:.3f} recall {recall:.3f} F1 {f1:.3f}"
        f"  articles F1 {sum(articles) / len(articles):.3f}  {seconds:6.2f} s"
    )


def extraction(data: Path, names: list[str]) -> None:
    path = data / "web" / "gold" / "extraction_gold.shared.jsonl.zst"
    lines = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode().split("\n")
    gold = [entry for line in lines if line and (entry := json.loads(line))["kind"] in ("segments", "article_body")]
    wanted = {entry["sha1"] for entry in gold}
    held = {key: page for key, page in pages(data) if key in wanted}
    gold = [entry for entry in gold if entry["sha1"] in held]
    print(f"{len(held)} pages, {len(gold)} gold entries")
    extractors: dict[str, Extract] = {
        **EXTRACTORS,
        "as ingest writes it": as_written,
        "the same, markdown": lambda tree, page: as_written(tree, page, MARKDOWN),
        "everything between tags": lambda tree, page: plain_text(page),
    }
    for name in names or extractors:
        measure(name, extractors[name], held, gold)


def as_written(tree: HTMLTree, page: str, style: str = PLAIN) -> str:
    """With formulas, tables and code, characters normalised, page furniture cut."""
    read = parsed(page, page.encode("utf-8", "replace"), {}, "resiliparse", blocks=style)
    text, _ = normalised(read.text)
    return without_furniture(pl.Series([text]), np.ones(1, bool))[0].item()


def charset(data: Path) -> None:
    """Share of files decoded exactly; a "Latin2" file with C1 bytes is windows-1250 in truth."""
    right: collections.Counter[str] = collections.Counter()
    archive = zipfile.ZipFile(data / "domains" / "multilingual" / "udhr_legacy_charsets.zip")
    for name in archive.namelist():
        label = UDHR.get(name.rsplit("-", 1)[-1]) if "-" in name else None
        if label is None:
            continue
        body = archive.read(name)
        if label == "iso8859-2" and re.search(rb"[\x80-\x9f]", body):
            label = "cp1250"
        truth = body.decode(label, "replace").removeprefix("\ufeff")
        right["files"] += 1
        right["resiliparse"] += bytes_to_str(body, detect_encoding(body) or "utf-8").removeprefix("\ufeff") == truth
        right["gristmill"] += decode(body, None).text == truth
        right["gristmill with header"] += decode(body, label).text == truth
    print("charset: " + ", ".join(f"{who} {n / right['files']:.3f}" for who, n in right.items() if who != "files"))


if __name__ == "__main__":
    charset(Path(sys.argv[1]))
    extraction(Path(sys.argv[1]), sys.argv[2:])
