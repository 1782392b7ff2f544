"""Memory per document and time of every reducer of the recipe, each in a process of its own, on made columns and texts.

    PYTHONPATH=.src python benchmarks/job/reducers.py 100000 [--text 3300] [--only embed.model,sample] [--folder DIR]

`held` is the peak of a run over what the process holds after a run on the first file, divided by the documents: what
a reducer holds of the corpus, with samples of fixed size in it. Seconds are CPU time for 10^5 documents, with reading.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.pipeline.contract.shapes import Reducer
from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.stages.cluster import Cluster
from gristmill.stages.contamination import ObjectiveIndex
from gristmill.stages.dedup import HeldOutTexts, References
from gristmill.stages.dedup.references import given_texts
from gristmill.stages.embed import EmbedModel
from gristmill.stages.ingest import Ingest
from gristmill.stages.limits import Limit, LimitTables
from gristmill.stages.mixture import Mixture
from gristmill.stages.mixture.proxies.sections import NgramSection
from gristmill.stages.mixture.rates.rule import ParameterSection
from gristmill.stages.mixture.rates.search import Mode
from gristmill.stages.quadmix import QuadmixTables
from gristmill.stages.quality import QualityModel
from gristmill.stages.sample import SamplePlan
from gristmill.stages.sample.plan import HeldBack
from gristmill.stages.sample.schedule import PhaseSection
from gristmill.stages.tokens import TokenizerModel

PART = 5000  # documents of a file
DIMS = 32
BUCKETS = 21


def with_parameters(mode: Mode) -> Mixture:
    """QuaDMix's parameters searched by few runs, without a confirmation."""
    few, ngram = ParameterSection(runs=60), NgramSection(corpus_tokens=1_000_000)
    return Mixture(mode=mode, parameters=few, confirm=None, target_tokens=20_000, ngram=ngram, pull=0.0)


STAGES: dict[str, Callable[[], Reducer]] = {
    "ingest.tokenizer": lambda: TokenizerModel(vocab_size=4096),
    "dedup.references": References,
    "dedup.held_out": HeldOutTexts,
    "dedup.objective": ObjectiveIndex,
    "quality.model": QualityModel,
    "limits": lambda: LimitTables((Limit("q_reference", top_share=0.5),)),
    "embed.model": EmbedModel,
    "cluster": Cluster,
    "mixture natural": lambda: Mixture(method="natural", languages="free"),
    "mixture": lambda: Mixture(
        confirm=None, target_tokens=20_000, ngram=NgramSection(corpus_tokens=1_000_000), pull=0.0
    ),
    "mixture both": lambda: with_parameters("both"),
    "mixture quadmix": lambda: with_parameters("quadmix"),
    "quadmix": QuadmixTables,
    "sample": SamplePlan,
    "sample phases": lambda: SamplePlan(
        phases=(PhaseSection("early", 1_500_000), PhaseSection("late", 500_000)), held_back=HeldBack(0.01)
    ),
}


def write_documents(folder: Path, documents: int, text: int) -> None:
    """Files of PART documents with the columns that reducers read; texts of about `text` bytes, put together."""
    shards = write_sample_data(folder / "demo", shards=1, max_docs=1000).shards
    stage = Ingest(paths=tuple(map(str, shards)))
    paragraphs = [
        p[:1200] for part in stage.parts() for t in stage.run(part)[0]["text"] for p in t.split("\n\n") if len(p) > 80
    ]
    sizes = np.array([len(p.encode()) for p in paragraphs])
    rng = np.random.default_rng(0)
    (folder / "in").mkdir()
    for begin in range(0, documents, PART):
        n = min(PART, documents - begin)
        pick = rng.integers(len(paragraphs), size=(n, max(1, round(text / sizes.mean()))))
        texts = ["\n\n".join(paragraphs[i] for i in row)[: text if text < 500 else None] for row in pick.tolist()]
        reference = rng.random(n) < 0.05
        vectors = rng.normal(size=(n, DIMS)).astype(np.float32)
        vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
        frame = pl.DataFrame(
            {
                "doc_id": [blake2b(f"{begin + i}".encode(), digest_size=16).hexdigest() for i in range(n)],
                "text": texts,
                "text_bytes": [len(t.encode()) for t in texts],
                "url": [
                    f"https://{'docs.python.org' if r else f'site{i % 5000}.example'}/{begin + i}"
                    for i, r in enumerate(reference)
                ],
                "language": "en",
                "source": "made",
                "is_reference": reference,
                "is_held_out": reference & (rng.random(n) < 0.2),
                "token_count": pl.Series(rng.integers(20, 2000, n), dtype=pl.Int64),
                "bucket": [f"c{i:02d}" for i in rng.integers(BUCKETS, size=n)],
                "q_reference": pl.Series(rng.random(n), dtype=pl.Float32),
                "q_importance": pl.Series(rng.normal(size=n), dtype=pl.Float32),
                "sampling_value": rng.gamma(2.0, 0.5, n) + 1e-3,
                "embedding": pl.Series(vectors, dtype=pl.Array(pl.Float32, DIMS)).arr.to_list(),
            }
        )
        frame.write_parquet(folder / "in" / f"{begin // PART:05d}.parquet")


@dataclass
class Files:
    """Files as the corpus that a reducer reads."""

    paths: Sequence[Path]
    columns: Sequence[str]
    artifacts: dict[str, Path]
    scratch: Path = field(default=Path("no-scratch"))

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        wanted = ["doc_id", *(self.columns if columns is None else columns)]
        for path in self.paths:
            if of is None:
                yield pl.read_parquet(path, columns=wanted, glob=False)
                continue
            chosen = pl.read_parquet(path, columns=["doc_id"], glob=False)["doc_id"].is_in(of.implode())
            if chosen.any():
                yield pl.read_parquet(path, columns=wanted, glob=False).filter(chosen)


def write_artifacts(folder: Path) -> dict[str, Path]:
    """What reducers need of earlier ones, from the first file."""
    names = ("dedup.references", "dedup.held_out", "ingest.tokenizer", "embed.model", "mixture")
    made = {name: folder / "artifacts" / name for name in names}
    for path in made.values():
        path.mkdir(parents=True)
    given_texts(References()).write_parquet(made["dedup.references"] / "texts.parquet")
    facts = {"enabled": True, "documents": PART, "references": PART // 20}
    (made["dedup.references"] / "report.json").write_text(json.dumps(facts))
    first = sorted((folder / "in").glob("*.parquet"))[:1]
    for stage in (HeldOutTexts(), TokenizerModel(vocab_size=4096), EmbedModel()):
        stage.run(corpus(stage, first, made), made[stage.name])
    rows = [{"bucket": f"c{i:02d}", "weight": 1 / BUCKETS, "natural_share": 1 / BUCKETS} for i in range(BUCKETS)]
    weights = {"buckets": rows, "budget_tokens": 500 * PART}  # what the first file can hold, for the run before
    (made["mixture"] / "weights.json").write_text(json.dumps(weights))
    return made


def corpus(stage: Reducer, paths: Sequence[Path], artifacts: dict[str, Path]) -> Files:
    columns = [c for names in stage.reads.values() for c in names]
    return Files(paths, columns, {name: artifacts[name] for name in stage.needs})


def measure(folder: Path, name: str) -> None:
    """In a process of its own: prints peak and growth in bytes, and CPU seconds."""
    stage = STAGES[name]()
    paths = sorted((folder / "in").glob("*.parquet"))
    artifacts = {p.name: p for p in (folder / "artifacts").iterdir()}
    with tempfile.TemporaryDirectory() as out:
        warm, whole = Path(out) / "warm", Path(out) / "whole"
        warm.mkdir()
        whole.mkdir()
        stage.run(corpus(stage, paths[:1], artifacts), warm)
        gc.collect()
        Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (Linux)
        before = resident("VmRSS")
        began = time.process_time()
        stage.run(corpus(stage, paths, artifacts), whole)
        seconds = time.process_time() - began
        peak = resident("VmHWM")
    print(json.dumps({"peak": peak, "growth": peak - before, "seconds": seconds}))


def resident(name: str) -> int:
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith(f"{name}:")) << 10


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int)
    parser.add_argument("--text", type=int, default=3300)
    parser.add_argument("--only", default=",".join(STAGES))
    parser.add_argument("--folder", type=Path, help="where documents are made, or lie from a run before")
    parser.add_argument("--measure", help=argparse.SUPPRESS)
    arguments = parser.parse_args()
    if arguments.measure:
        measure(arguments.folder, arguments.measure)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = arguments.folder or Path(name)
        if not (folder / "artifacts").is_dir():
            folder.mkdir(exist_ok=True)
            write_documents(folder, arguments.documents, arguments.text)
            write_artifacts(folder)
        print(f"{'reducer':20} {'held, B/doc':>12} {'peak, MB':>9} {'CPU-s per 10^5':>15}")
        for stage in arguments.only.split(","):
            command = [sys.executable, __file__, str(arguments.documents), "--folder", str(folder), "--measure", stage]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            if done.returncode:
                print(f"{stage:20} {done.stderr.strip().splitlines()[-1]}")
                continue
            found = json.loads(done.stdout)
            per = 1e5 / arguments.documents
            print(
                f"{stage:20} {found['growth'] / arguments.documents:12,.0f} {found['peak'] / 1e6:9,.0f} "
                f"{found['seconds'] * per:15.1f}",
                flush=True,
            )


if __name__ == "__main__":
    main()
