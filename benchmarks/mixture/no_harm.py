"""Does the default mixture ever do worse than natural? Twenty seeds of four cases, and what caution costs.

    gristmill sample-data quickstart/input
    gristmill run configs/quickstart.yaml --out quickstart/run
    python benchmarks/mixture/no_harm.py quickstart/run [quickstart planted shuffled truth ...] [--seeds 20]

quickstart: the documents and held-out texts of that run, each seed with other draws of both (their ids are renamed).
planted: word lists for languages of their own, a target of 2,000 to 8,000 tokens that is one of them or a blend of two.
shuffled: the same, documents and targets dealt at random, so that nothing can be found. Both are judged on 40,000 fresh
tokens and fresh draws. truth: the texts of truth.py (domains/en of the shared data), pulled and not.

Differences are nats per token against the natural mixture, below 0 is better; 0 where natural is written.
"""

import argparse
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import polars as pl
from domains import read, split, tokenizer
from proxies import TWENTY
from tables import mean_interval
from truth import clusters_of

from gristmill.pipeline.contract.shapes import Artifacts
from gristmill.stages.mixture.config import ConfirmSection
from gristmill.stages.mixture.material.readings import tokens_of
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.stage import Mixture
from gristmill.stages.mixture.streams import stream

KINDS, DOCS, WORDS = 8, 60, 250
STAGE = Mixture(confirm=ConfirmSection(seeds=5))


@dataclass(frozen=True)
class Rows:
    """A frame of documents as the mixture sees a corpus."""

    frame: pl.DataFrame
    artifacts: Artifacts
    scratch: Path

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        chosen = self.frame if of is None else self.frame.filter(pl.col("doc_id").is_in(of.implode()))
        yield chosen if columns is None else chosen.select("doc_id", *columns)


def searched(frame: pl.DataFrame, model: Path, held: pl.DataFrame, stage: Mixture) -> Mapping:
    """weights.json of a mixture over `frame` (doc_id, text, bucket, token_count, language) and held-out texts."""
    import json

    with tempfile.TemporaryDirectory() as folder:
        out = Path(folder) / "out"
        out.mkdir()
        held.write_parquet(Path(folder) / "texts.parquet")
        artifacts = {"ingest.tokenizer": model, "dedup.held_out": Path(folder)}
        stage.run(Rows(frame, artifacts, Path(folder)), out)
        return json.loads((out / "weights.json").read_text(encoding="utf-8"))


def confirmed(found: Mapping) -> float:
    if not found["search"].get("found") or found["confirm"] is None:
        return 0.0
    return next(c["difference"] for c in found["confirm"]["comparisons"] if c["baseline"] == "natural")


def renamed(frame: pl.DataFrame, seed: int) -> pl.DataFrame:
    """Other ids, so that every draw falls otherwise."""
    return frame.with_columns(pl.format("{}/{}", pl.lit(seed), "doc_id").alias("doc_id"))


def run_documents(run: Path) -> tuple[pl.DataFrame, pl.DataFrame]:
    def rows(dataset: str, *columns: str) -> pl.DataFrame:
        files = sorted((run / dataset).glob("*.parquet"))
        return pl.concat([pl.read_parquet(f, columns=["doc_id", *columns]) for f in files])

    frame = rows("domain.bucket", "bucket")
    for dataset, column in (("ingest", "text"), ("ingest.tokens", "token_count"), ("language", "language")):
        frame = frame.join(rows(dataset, column), on="doc_id")
    return frame, pl.read_parquet(run / "artifacts" / "dedup.held_out" / "texts.parquet")


def quickstart(run: Path, seeds: int) -> None:
    frame, held = run_documents(run)
    model = run / "artifacts" / "ingest.tokenizer"
    found = [searched(renamed(frame, s), model, renamed(held, s), STAGE) for s in range(seeds)]
    told("quickstart", [confirmed(f) for f in found], found)


class World:
    """KINDS languages of 60 words, each word followed by a few others; a document is of one kind."""

    def __init__(self, seed: int, shuffled: bool) -> None:
        self.rng = np.random.default_rng(seed)
        self.words = [f"{chr(97 + i // 26)}{chr(97 + i % 26)}" for i in range(200)]
        self.known = [self.rng.choice(200, 60, replace=False) for _ in range(KINDS)]
        self.next = [self.rng.integers(60, size=(60, 4)) for _ in range(KINDS)]
        aim = np.zeros(KINDS)
        aim[self.rng.choice(KINDS, 2, replace=False)] = self.rng.choice([(1.0, 0.0), (0.6, 0.4)])
        self.size = self.rng.dirichlet(np.full(KINDS, 3.0))
        self.aim = self.size if shuffled else aim

    def text(self, kind: int, words: int = WORDS) -> str:
        at, said = 0, []
        for _ in range(words):
            at = int(self.rng.integers(60)) if self.rng.random() < 0.1 else int(self.rng.choice(self.next[kind][at]))
            said.append(self.words[self.known[kind][at]])
        return " ".join(said)

    def documents(self) -> list[tuple[str, str, str]]:
        count = np.maximum(2, np.round(self.size * DOCS * KINDS)).astype(int)
        return [(f"d{k}-{i}", f"k{k}", self.text(k)) for k in range(KINDS) for i in range(count[k])]

    def aimed(self, tokens: int) -> list[str]:
        return [self.text(int(self.rng.choice(KINDS, p=self.aim))) for _ in range(max(12, tokens // WORDS))]


def planted(seeds: int, shuffled: bool) -> None:
    found, differences = [], []
    for seed in range(seeds):
        world = World(seed, shuffled)
        rows, target = world.documents(), world.aimed(int(world.rng.choice([2000, 4000, 8000])))
        with tempfile.TemporaryDirectory() as folder:
            encoder = tokenizer([t for _, _, t in rows], 512)
            encoder.save(str(Path(folder) / "tokenizer.json"))
            tokens = tokens_of(Path(folder) / "tokenizer.json")
            encoded = [tokens.encode(t) for _, _, t in rows]
            frame = pl.DataFrame(rows, schema=["doc_id", "bucket", "text"], orient="row").with_columns(
                pl.Series("token_count", [len(e) - 1 for e in encoded]), language=pl.lit("en")
            )
            held = pl.DataFrame({"doc_id": [f"h{i}" for i in range(len(target))], "text": target})
            made = searched(frame, Path(folder), held.with_columns(target=pl.lit("references")), STAGE)
        found.append(made)
        chosen = np.array([[b["weight"] for b in made["buckets"]], [b["natural_share"] for b in made["buckets"]]])
        fresh = [np.concatenate([tokens.encode(t) for t in world.aimed(40_000)])]
        names = [b["bucket"] for b in made["buckets"]]
        losses = []
        for draw in range(5):
            streams = []
            for name in names:
                mine = [i for i, (_, b, _) in enumerate(rows) if b == name]
                streams.append(
                    stream([rows[i][0] for i in mine], [encoded[i][:-1] for i in mine], tokens.end, f"judge/{draw}")
                )
            judge = NgramProxy.fit(
                streams, fresh, names, ["fresh"], budget_tokens=made["budget_tokens"], vocab=tokens.vocab,
                end_id=tokens.end, exact=chosen,
            )  # fmt: skip
            losses.append(judge.losses(chosen)[:, 0])
        gap = np.array(losses)
        differences.append(float((gap[:, 0] - gap[:, 1]).mean()) if made["search"].get("found") else 0.0)
    told("shuffled" if shuffled else "planted", differences, found)


def truth(seeds: int, chars: int = 400_000, held_chars: int = 100_000) -> None:
    """What of the unpulled mixture's confirmed gain the pulled one keeps."""
    targets = ("tech_docs", "religious")
    pool, held = [], []
    for name in TWENTY:
        documents = read(name, chars + (held_chars if name in targets else 0))
        if name in targets:
            documents, back = split(documents, held_chars / (chars + held_chars))
            held += [(d.doc_id, d.text, name) for d in back]
        pool += documents
    encoder = tokenizer([d.text for d in pool[::8]], 2048)
    sizes = [len(e.ids) for e in encoder.encode_batch([d.text for d in pool])]
    texts = pl.DataFrame(held, schema=["doc_id", "text", "target"], orient="row")
    with tempfile.TemporaryDirectory() as folder:
        encoder.save(str(Path(folder) / "tokenizer.json"))
        assigned = clusters_of(pool, sizes, 21, Path(folder))
        frame = pl.DataFrame(
            {"doc_id": [d.doc_id for d in pool], "text": [d.text for d in pool], "token_count": sizes,
             "bucket": [f"c{c:02d}" for c in assigned]}
        ).with_columns(language=pl.lit("en"))  # fmt: skip
        stage = replace(STAGE, budget_tokens=min(500_000, sum(sizes) // 2))
        lost, gain = [], []
        for seed in range(seeds):
            both = [
                confirmed(searched(renamed(frame, seed), Path(folder), renamed(texts, seed), replace(stage, pull=p)))
                for p in (None, 0.0)
            ]
            gain.append(both[1])
            lost.append(1 - both[0] / both[1])
    print(f"truth | unpulled {mean_interval(gain)} nats | of the gain lost {np.mean(lost):.4f}, worst {max(lost):.4f}")


def told(case: str, differences: Sequence[float], found: Sequence[Mapping]) -> None:
    kept = [f["search"].get("pull", {}).get("kept", 0.0) for f in found]
    searched_n = sum(bool(f["search"].get("found")) for f in found)
    print(
        f"{case} | mean {np.mean(differences):+.5f} | worst {max(differences):+.5f} | best {min(differences):+.5f} | "
        f"searched mixture written in {searched_n} of {len(found)} | of the way, mean {np.mean(kept):.2f}",
        flush=True,
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, help="run folder of the quickstart")
    parser.add_argument("cases", nargs="*", default=["quickstart", "planted", "shuffled"])
    parser.add_argument("--seeds", type=int, default=20)
    args = parser.parse_args()
    for case in args.cases:
        started = time.process_time()
        if case == "quickstart":
            quickstart(args.run, args.seeds)
        elif case == "truth":
            truth(min(args.seeds, 3))
        else:
            planted(args.seeds, case == "shuffled")
        print(f"  {time.process_time() - started:.0f} s of CPU")


if __name__ == "__main__":
    main()
