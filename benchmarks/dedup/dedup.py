"""Deduplication: speed per core, recall and precision against exact Jaccard, what chaining does.

    python benchmarks/dedup/dedup.py [--shared ../shared]

Times are CPU seconds of one thread. Pairs and texts are those of data/dedup.
"""

import argparse
import io
import json
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import exchanged

from gristmill.pipeline.kernels.numbers.minhash import similarity
from gristmill.stages.dedup.components import Components
from gristmill.stages.dedup.minhash import Scheme, Signatures
from gristmill.stages.dedup.near import NearDuplicates


def records(path: Path) -> list[dict]:
    with zstandard.open(io.BytesIO(path.read_bytes()), "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines.read().split("\n") if line]


def frame_of(texts: Sequence[str]) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "doc_id": [blake2b(str(i).encode(), digest_size=16).hexdigest() for i in range(len(texts))],
            "text": texts,
            "is_held_out": False,
            "exact_copies_n": pl.Series([1] * len(texts), dtype=pl.Int64),
        }
    ).with_columns(pl.lit(None, pl.String).alias(name) for name in ("url", "dump", "exact_hosts", "exact_dumps"))


def speed(texts: Sequence[str], name: str) -> None:
    frame = frame_of(texts)
    annotate = Signatures().open({})
    annotate(frame[:10])
    size = frame["text"].str.len_bytes().sum()
    best = min(_cpu(lambda: annotate(frame)) for _ in range(5))
    rate = f"{frame.height / best:,.0f} docs/s, {size / best / 1e6:.0f} MB/s"
    print(f"signatures, {name}: {rate} ({size / frame.height:,.0f} bytes a text)")


def _cpu(action) -> float:
    start = time.process_time()
    action()
    return time.process_time() - start


def recall(kind: str, texts: dict[str, str], pairs: list[dict], seeds: int = 10) -> None:
    """Share of pairs that meet in a band, per tenth of J, against 1 - (1 - J^8)^14."""
    names = sorted({p[k] for p in pairs for k in "ab"})
    place = {name: i for i, name in enumerate(names)}
    a, b = (np.array([place[p[k]] for p in pairs]) for k in "ab")
    jaccard = np.array([p["jaccard5"] for p in pairs])
    theory = 1 - (1 - jaccard**8) ** 14
    meet, error = np.zeros((seeds, len(pairs)), bool), []
    for seed in range(seeds):
        packed, valid = Scheme(seed=seed).pack(pl.Series([texts[n] for n in names]))
        keys = packed[:, :112].reshape(len(names), 14, 8)
        meet[seed] = (keys[a] == keys[b]).all(axis=2).any(axis=1) & valid[a] & valid[b]
        error.append(similarity((packed[a, 112:] == packed[b, 112:]).sum(axis=1), 112) - jaccard)
    rms = np.sqrt(np.mean(np.square(error)))
    print(f"\n{kind}: {len(pairs)} pairs, {seeds} seeds; estimate's bias {np.mean(error):+.4f}, rms error {rms:.4f}")
    print("  J     pairs  meet   theory")
    for tenth in range(11):
        rows = np.round(jaccard * 10) == tenth
        if rows.any():
            print(f"  {tenth / 10:.1f}  {rows.sum():6d}  {meet[:, rows].mean():.3f}  {theory[rows].mean():.3f}")


def chaining(kind: str, texts: dict[str, str], pairs: list[dict]) -> None:
    """The texts as one corpus: what the similarity limit does to clusters and pairs."""
    names = sorted(texts)
    frame = frame_of([texts[n] for n in names])
    frame = frame.hstack(Signatures().open({})(frame).drop("doc_id"))
    shingles = {n: _shingles(texts[n]) for n in names}
    print(f"\n{kind} as a corpus of {len(names)} texts: pairs by J of which at most one text stays; texts dropped, and")
    print("their J with the text that stays for them (share below 0.5, median); the largest cluster")
    print("  min_similarity    <0.5  0.5-0.7  0.7-0.8  0.8-0.9    >=0.9  dropped   <0.5  median  largest")
    for limit in (None, 0.5, 0.6, 0.7, 0.8):
        with tempfile.TemporaryDirectory() as folder:
            joined = exchanged(Components(), frame, Path(folder))
            near = NearDuplicates(min_similarity=limit, keep=())
            done = exchanged(near, frame.hstack(joined.drop("doc_id")), Path(folder))
        of = dict(zip(names, done["near_duplicate_of"].to_list(), strict=True))
        name_of = dict(zip(frame["doc_id"], names, strict=True))
        survivor = {n: name_of[d] if d else n for n, d in of.items()}
        together = np.array([survivor[p["a"]] != p["a"] or survivor[p["b"]] != p["b"] for p in pairs])
        jaccard = np.array([p["jaccard5"] for p in pairs])
        cells = [
            together[(jaccard >= lo) & (jaccard < hi)].mean()
            for lo, hi in ((0, 0.5), (0.5, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 2))
        ]
        drops = [len(shingles[n] & shingles[s]) / len(shingles[n] | shingles[s]) for n, s in survivor.items() if n != s]
        cells += [len(drops), np.mean(np.array(drops) < 0.5), np.median(drops), done["minhash_cluster_size"].max()]
        print(f"  {limit!s:12s}" + "".join(f"  {c:7.4g}" for c in cells))


def _shingles(text: str) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + 5]) for i in range(max(1, len(words) - 4))}


def spaceless(shared: Path) -> None:
    """Similarity of unrelated paragraphs and of edited ones, by characters in a shingle."""
    for language in ("zh", "th", "en"):
        found = [
            r["text"]
            for p in sorted((shared / "data/domains/multilingual").glob("*xquad*.zst"))
            for r in records(p)
            if r.get("lang") == language
        ]
        texts = list(dict.fromkeys(found))[:200]
        if not texts:
            continue
        rng = np.random.default_rng(0)
        edited = []
        for text in texts:  # a tenth of the words, or of the characters in pairs, replaced
            units = text.split(" ") if language == "en" else [text[i : i + 2] for i in range(0, len(text), 2)]
            other = list(units)
            for i in rng.choice(len(units), len(units) // 10, replace=False):
                other[i] = units[rng.integers(len(units))]
            edited.append((" " if language == "en" else "").join(other))
        for n in (5, 6, 7, 8, 10, 15) if language != "en" else (5,):
            scheme = Scheme(char_ngram=n)
            packed, _ = scheme.pack(pl.Series(texts + edited))
            bytes_ = packed[:, 112:]
            own = similarity((bytes_[: len(texts)] == bytes_[len(texts) :]).sum(axis=1), 112)
            apart = similarity((bytes_[: len(texts) - 1] == bytes_[1 : len(texts)]).sum(axis=1), 112)
            alike = f"J with a tenth edited {own.mean():.3f}, with the next text {apart.mean():.3f}"
            print(f"  {language} n={n:2d}: {len(texts)} texts, {alike} (at most {apart.max():.3f})")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[3] / "shared")
    options = parser.parse_args()
    folder = options.shared / "data/dedup"
    web = {r["sha1"]: r["text"] for r in records(folder / "web_pair_texts.jsonl.zst")}
    licences = {r["id"]: r["text"] for r in records(folder / "license_variant_texts.jsonl.zst")}
    speed(list(web.values()), "whole web pages")
    speed(list(licences.values()), "licence texts")
    for kind, texts, name in (("web pairs", web, "web_pairs"), ("licence variants", licences, "license_variant_pairs")):
        pairs = records(folder / f"{name}.jsonl.zst")
        recall(kind, texts, pairs)
        chaining(kind, texts, pairs)
    print("\nscripts without spaces (XQuAD)")
    spaceless(options.shared)


if __name__ == "__main__":
    main()
