"""Ingest against the bare physical work on the same file: inflate, decode, HTML parse, extract; nothing else.

    python benchmarks/ingest/ingest.py SHARD.warc.gz [rounds]  # ours: ../shared/data/web/CC-MAIN-shard-00002.warc.gz

The two run in turns; CPU seconds of one process, the least of the rounds. Also prints where ingest's time goes.
"""

import sys
import time
from collections.abc import Callable
from pathlib import Path

from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import bytes_to_str, detect_encoding
from resiliparse.parse.html import HTMLTree

sys.path.insert(0, str(Path(__file__).parents[2] / ".src"))
from gristmill.pipeline.kernels.text.markup import scan_markup
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.page.charset import decode
from gristmill.stages.ingest.page.evidence import NEEDLES, harvest


def bare(path: str) -> int:
    """Documents with text."""
    documents = 0
    for record in ArchiveIterator(path, record_types=WarcRecordType.response):
        body = record.reader.read()
        text = bytes_to_str(body, record.http_charset or detect_encoding(body) or "utf-8")
        documents += bool(extract_plain_text(HTMLTree.parse(text), main_content=True).strip())
    return documents


def ingest(path: str) -> int:
    stage = Ingest(paths=(path,))
    return sum(stage.run(part)[0].height for part in stage.parts())


def cpu(call: Callable[[], object]) -> float:
    start = time.process_time()
    call()
    return time.process_time() - start


def main() -> None:
    path, rounds = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else 5
    documents = ingest(path)
    turns = [(cpu(lambda: bare(path)), cpu(lambda: ingest(path))) for _ in range(rounds)]
    physical, whole = min(b for b, _ in turns), min(i for _, i in turns)
    print(f"bare   {physical:6.3f} s  {documents / physical:7.0f} documents/s")
    print(f"ingest {whole:6.3f} s  {documents / whole:7.0f} documents/s  ratio {whole / physical:.2f}")
    ratios = sorted(i / b for b, i in turns)
    print(f"ratio in each round: {' '.join(f'{r:.2f}' for r in ratios)}")

    bodies = [(r.reader.read(), r.http_charset) for r in ArchiveIterator(path, record_types=WarcRecordType.response)]
    pages = [decode(body, charset).text for body, charset in bodies]
    raws = [page.encode() for page in pages]
    trees = [HTMLTree.parse(page) for page in pages]
    scans = [scan_markup(raw, NEEDLES) for raw in raws]
    steps: dict[str, Callable[[], object]] = {
        "read records": lambda: sum(1 for _ in ArchiveIterator(path, record_types=WarcRecordType.response)),
        "decode": lambda: [decode(body, charset) for body, charset in bodies],
        "scan": lambda: [scan_markup(raw, NEEDLES) for raw in raws],
        "parse": lambda: [HTMLTree.parse(page) for page in pages],
        "extract": lambda: [extract_plain_text(t, main_content=True, preserve_formatting=True) for t in trees],
        "harvest": lambda: [harvest(r, s, lambda t=t: t, {}) for r, s, t in zip(raws, scans, trees, strict=True)],
    }
    for name, step in steps.items():
        print(f"  {name:12s} {min(cpu(step) for _ in range(3)) * 1e3:7.1f} ms")


if __name__ == "__main__":
    main()
