"""Speed of decontamination per core: documents of real prose against an index of millions of n-grams.

    python benchmarks/text/contamination.py [--ngrams 5000000] [--texts FOLDER]

The index holds n-grams of made-up items and of a few of the documents themselves, so that there are hits to judge.
Texts: *.jsonl.zst with a field `text`; without a folder, the texts of this Python installation.
"""

import argparse
import time
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.texts import read_records
from gristmill.pipeline.demo.texts import good_pages, installed_projects
from gristmill.stages.contamination.index import Item, build_index, memory

SIZE = 30_000_000  # characters of text


def texts_of(folder: Path | None) -> list[str]:
    if folder is None:
        source = (page.article for page in good_pages(installed_projects(), 20_000))
    else:
        files = sorted(folder.rglob("*.jsonl.zst"))
        source = (str(r["text"]) for r in (record for f in files for _, record in read_records(str(f), "--texts")))
    found, size = [], 0
    for text in source:
        found.append(text)
        size += len(text)
        if size > SIZE:
            break
    return found


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--ngrams", type=int, default=5_000_000)
    arguments.add_argument("--texts", type=Path)
    a = arguments.parse_args()
    texts = texts_of(a.texts)
    words = np.array([f"w{i}" for i in range(50_000)])
    rng = np.random.default_rng(0)
    items = [Item("made", str(i), "question", " ".join(rng.choice(words, 112))) for i in range(a.ngrams // 100)]
    items += [Item("real", str(i), "question", t[1000:1300]) for i, t in enumerate(texts[::50])]
    started = time.perf_counter()
    index = build_index(items, 13, 0.5, 10)
    print(f"index: {index.hashes.size:,} n-grams in {time.perf_counter() - started:.1f} s, "
          f"{memory(index.hashes.size) / 1e6:.0f} MB in each worker")  # fmt: skip
    batches = [pl.Series(texts[i : i + 2000]) for i in range(0, len(texts), 2000)]
    index.match(batches[0], 3)
    size = sum(b.str.len_bytes().sum() for b in batches)
    best = 0.0
    for _ in range(3):
        started = time.process_time()
        found = sum(int((index.match(b, 3).hits >= 3).sum()) for b in batches)
        best = max(best, size / 1e6 / (time.process_time() - started))
    print(f"match: {len(texts):,} documents, {size / 1e6:.0f} MB, {found:,} hold an item: {best:.0f} MB/s per core")


if __name__ == "__main__":
    main()
