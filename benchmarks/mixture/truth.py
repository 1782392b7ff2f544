"""The truth, end to end: does the searched mixture train a fresh, larger model better than natural and uniform?

    python benchmarks/mixture/truth.py [--data FOLDER] --folder DIR  # prints the table; finished models are kept in DIR
    python benchmarks/mixture/truth.py --folder DIR --targets brown_genres wikipedia --chars 100000 --budget 300000

The second case is hard: the targets' kinds are mixtures themselves and fall into many clusters.

Twenty domains of real English text, labels hidden: buckets are CLIMB's clusters (stages/embed.py, stages/cluster.py).
The objective is text held back from two of the domains. The search is the product's own (`search`, caps at 4 epochs
of what is there) and asks the n-gram proxy only; the judges are gpt proxies trained on the three mixtures with other
seeds and other draws of the documents, which the search never saw.
"""

import argparse
import os
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import cast

import numpy as np
import polars as pl
from domains import END, Document, read, split, tokenizer, tokens_of
from proxies import TWENTY
from scipy.stats import t as student

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import FrameCorpus

from gristmill.stages.cluster import AssignCluster, Cluster
from gristmill.stages.embed import Embed, EmbedModel
from gristmill.stages.mixture.constraints import constraints_from
from gristmill.stages.mixture.objective import mean_of
from gristmill.stages.mixture.proxies.gpt import GptProxy
from gristmill.stages.mixture.proxies.gpt_settings import PRESETS
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.runs.runs import Proxy
from gristmill.stages.mixture.search.search import METHODS, search


def clusters_of(documents: Sequence[Document], tokens: Sequence[int], k: int, folder: Path) -> list[int]:
    """CLIMB's cluster of every document, from its text alone."""
    frame = pl.DataFrame(
        {"doc_id": [d.doc_id for d in documents], "text": [d.text for d in documents], "token_count": tokens},
    ).with_columns(language=pl.lit("en"))
    artifacts = {name: folder / name for name in ("embed.model", "cluster")}
    for path in artifacts.values():
        path.mkdir(parents=True)
    EmbedModel(sample_docs=5000).run(FrameCorpus([frame], {}), artifacts["embed.model"])
    embedded = frame.join(Embed().open(artifacts)(frame), on="doc_id", maintain_order="left")
    Cluster(k_final=k).run(FrameCorpus([embedded], artifacts), artifacts["cluster"])
    return AssignCluster().open(artifacts)(embedded)["cluster_id"].to_list()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True)
    parser.add_argument("--targets", nargs=2, default=["tech_docs", "religious"], metavar="DOMAIN")
    parser.add_argument("--clusters", type=int, default=21, help="arXiv:2504.13161: 21")
    parser.add_argument("--chars", type=int, default=1_500_000, help="at most, of each domain")
    parser.add_argument("--held-chars", type=int, default=100_000, help="held back of each target, about")
    parser.add_argument("--method", choices=sorted(set(METHODS) - {"ladder"}), default="direct", help="the default's")
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--budget", type=int, default=500_000, help="tokens of each corpus")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="mini")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=2)
    args = parser.parse_args()
    started = time.perf_counter()

    pool: list[Document] = []
    label: list[str] = []
    held: dict[str, list[Document]] = {}
    for name in TWENTY:
        documents = read(name, args.chars + (args.held_chars if name in args.targets else 0))
        if name in args.targets:
            documents, held[name] = split(documents, args.held_chars / (args.chars + args.held_chars))
        pool += documents
        label += [name] * len(documents)
    encoder = tokenizer([d.text for d in pool[::8]], args.vocab)
    sizes = [len(e.ids) + 1 for e in encoder.encode_batch([d.text for d in pool])]
    targets = {n: tokens_of(encoder, d, "truth.target")[:20_000] for n, d in held.items()}
    with tempfile.TemporaryDirectory() as scratch:
        assigned = clusters_of(pool, sizes, args.clusters, Path(scratch))
    names = [f"cluster {c:02d}" for c in sorted(set(assigned))]
    members = [[d for d, c in zip(pool, assigned, strict=True) if c == i] for i in sorted(set(assigned))]
    tokens = np.bincount(assigned, weights=sizes)[sorted(set(assigned))]
    natural = tokens / tokens.sum()
    print(
        f"{len(pool):,} documents, {tokens.sum():,.0f} tokens, {len(names)} clusters; corpora of {args.budget:,} tokens"
    )

    def streams(seed: int) -> list[np.ndarray]:
        return [tokens_of(encoder, m, f"truth.corpus/{seed}")[: args.budget] for m in members]

    ngram = NgramProxy.fit(
        streams(-1), list(targets.values()), names, list(targets),
        budget_tokens=args.budget, vocab=args.vocab, end_id=END, threads=args.threads,
    )  # fmt: skip
    constraints = constraints_from(names, tokens=dict(zip(names, tokens.tolist(), strict=True)), budget=args.budget)
    goal = mean_of(tuple(targets), "losses")
    result = search(cast(Proxy, ngram), natural, constraints, goal, args.method, 0)
    searched = result.weights
    mixtures = {"searched": searched, "natural": natural, "uniform": np.full(len(names), 1 / len(names))}
    print(f"{args.method}: {len(result.runs)} n-gram runs, {time.perf_counter() - started:.0f} s since the start")
    print(f"{result.verdict}; at their cap: {int((searched >= np.array(constraints.upper) - 1e-5).sum())} clusters")
    for name, w in mixtures.items():
        print(f"  {name:9s} n-gram loss {ngram.losses(w[None]).mean():.4f}")
    for i in np.argsort(-searched)[:6]:
        inside = Counter(n for n, c in zip(label, assigned, strict=True) if c == sorted(set(assigned))[i])
        what = ", ".join(f"{n} {100 * v / inside.total():.0f}%" for n, v in inside.most_common(3))
        epochs = searched[i] * args.budget / tokens[i]
        print(f"  {names[i]}: {natural[i]:.3f} -> {searched[i]:.3f} ({epochs:.1f} epochs)   [{what}]")

    settings = replace(PRESETS[args.preset], device=args.device, threads=args.threads, together=3)
    losses = []
    for seed in range(args.seeds):
        judge = GptProxy(
            tuple(streams(seed)), tuple(targets.values()), tuple(names), tuple(targets),
            args.budget, args.vocab, END, settings, 1000 + seed, args.folder,
        )  # fmt: skip
        losses.append(judge.losses(np.stack(list(mixtures.values()))).mean(axis=1))
        print(
            f"seed {seed}: " + "  ".join(f"{n} {v:.4f}" for n, v in zip(mixtures, losses[-1], strict=True)), flush=True
        )
    table(np.array(losses), list(mixtures), f"gpt of {judge.parameters:,} weights")
    print(f"{(time.perf_counter() - started) / 60:.1f} min (load {os.getloadavg()[0]:.1f}; finished models are read)")


def table(losses: np.ndarray, names: Sequence[str], judge: str) -> None:
    """losses (seeds, mixtures); the first mixture is compared with the others."""
    seeds = len(losses)
    print(f"\n| mixture | loss on the objective ({judge}) | minus searched | 95% interval | searched wins |")
    print("|---|--:|--:|--:|--:|")
    for i, name in enumerate(names):
        row = f"| {name} | {losses[:, i].mean():.4f} |"
        if i == 0:
            print(row + " | | |")
            continue
        difference = losses[:, i] - losses[:, 0]
        half = student.ppf(0.975, seeds - 1) * difference.std(ddof=1) / np.sqrt(seeds) if seeds > 1 else np.nan
        mean = difference.mean()
        print(f"{row} {mean:.4f} | {mean - half:.4f} to {mean + half:.4f} | {(difference > 0).sum()} of {seeds} |")


if __name__ == "__main__":
    main()
