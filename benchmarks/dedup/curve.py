"""Recall and precision of near-deduplication by Jaccard bin, on real pairs and on planted ones.

    python benchmarks/dedup/curve.py [--data FOLDER] [--seeds 100]

Reads dedup/web_pairs, web_pair_texts, license_variant_pairs and license_variant_texts. Recall: the share of pairs that
meet in a band, over independent seeds of the hash functions, beside 1 - (1 - J^8)^14. Precision: the texts as a corpus;
of those that leave, the share that is as similar to the one that stays as min_similarity asks, by signatures, verified.
"""

import argparse
import sys
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import data_folder, exchanged
from dedup import frame_of, records

from gristmill.stages.dedup.components import Components
from gristmill.stages.dedup.minhash import Scheme, Signatures
from gristmill.stages.dedup.near import NearDuplicates, Verified
from gristmill.stages.dedup.planted import curve, planted_pairs

POINTS = 0.02


def meeting(left: list[str], right: list[str], seeds: int) -> np.ndarray:
    """(pairs,) share of the seeds with which each pair shares a band."""
    names = list(dict.fromkeys([*left, *right]))
    place = {name: i for i, name in enumerate(names)}
    a, b = (np.array([place[t] for t in side]) for side in (left, right))
    found = np.zeros(len(left))
    for seed in range(seeds):
        packed, valid = Scheme(seed=seed).pack(pl.Series(names))
        keys = packed[:, :112].reshape(len(names), 14, 8)
        found += (keys[a] == keys[b]).all(axis=2).any(axis=1) & valid[a] & valid[b]
    return found / seeds


def recall(kind: str, left: list[str], right: list[str], seeds: int) -> float:
    """Prints a row per twentieth of J; the largest difference in points of those with 20 pairs at least."""
    jaccard = Scheme().jaccard(pl.Series(left), pl.Series(right))
    meet, theory, worst = meeting(left, right, seeds), curve(Scheme(), jaccard), 0.0
    print(f"\n{kind}: {len(left)} pairs, {seeds} seeds\n  J             pairs  recall  theory  points")
    for i in range(20):
        rows = (jaccard >= i / 20) & (jaccard < (i + 1) / 20 if i < 19 else jaccard <= 1)
        if rows.any():
            points = 100 * (meet[rows].mean() - theory[rows].mean())
            worst = max(worst, abs(points)) if rows.sum() >= 20 else worst
            shown = f"{meet[rows].mean():.3f}   {theory[rows].mean():.3f}  {points:+6.2f}"
            print(f"  {i / 20:.2f} - {(i + 1) / 20:.2f}  {rows.sum():6d}   {shown}")
    return worst


def precision(kind: str, texts: list[str]) -> None:
    print(
        f"\n{kind}, a corpus of {len(texts)} texts, min_similarity 0.7: those that leave, by J with the one that stays"
    )
    print("               leave  J < 0.6  0.6-0.7  0.7-0.8  0.8-0.9  0.9-1.0  precision")
    frame = frame_of(texts)
    frame = frame.hstack(Signatures().open({})(frame).drop("doc_id"))
    text = dict(zip(frame["doc_id"], texts, strict=True))
    for how, verify in (("signatures", False), ("verified", True)):
        with tempfile.TemporaryDirectory() as folder:
            joined = frame.hstack(exchanged(Components(), frame, Path(folder)).drop("doc_id"))
            stage = NearDuplicates(min_similarity=0.7, keep=(), verified=Verified(verify))
            gone = exchanged(stage, joined, Path(folder)).drop_nulls("near_duplicate_of")
        pairs = gone.select("doc_id", "near_duplicate_of")
        left, right = (pl.Series([text[d] for d in pairs[c]], dtype=pl.String) for c in pairs.columns)
        jaccard = Scheme().jaccard(left, right)
        cells = np.histogram(jaccard, [0, 0.6, 0.7, 0.8, 0.9, 1.0001])[0]
        right_ones = float((jaccard >= 0.7 - 1e-9).mean()) if jaccard.size else 1.0
        print(f"  {how:11s}  {gone.height:5d}" + "".join(f"  {n:7d}" for n in cells) + f"  {right_ones:9.4f}")


def main() -> None:
    folder = data_folder() / "dedup"
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", type=int, default=100)
    seeds = parser.parse_args().seeds
    worst = {}
    for kind, stem, key in (("web pairs", "web_pair", "sha1"), ("licence variants", "license_variant", "id")):
        texts = {r[key]: r["text"] for r in records(folder / f"{stem}_texts.jsonl.zst")}
        pairs = records(folder / f"{stem}s.jsonl.zst" if stem == "web_pair" else folder / f"{stem}_pairs.jsonl.zst")
        worst[kind] = recall(kind, *([texts[p[side]] for p in pairs] for side in "ab"), seeds)
        precision(kind, list(texts.values()))
    sides = [planted_pairs(level / 20, 200, 1, 5) for level in range(4, 21)]
    left, right = ([t for side in sides for t in side[i]] for i in (0, 1))
    worst["planted"] = recall("planted", left, right, seeds)
    print(
        "\nlargest difference in points, bins of 20 pairs and more:",
        ", ".join(f"{k} {v:.2f}" for k, v in worst.items()),
    )
    sys.exit(any(v > 100 * POINTS for v in worst.values()))


if __name__ == "__main__":
    main()
