"""How well cells of the documents that a training proxy reads stand for all: QuaDMix's parameters, by what they mix.

    python benchmarks/mixture/cells.py RUN TARGET.jsonl... [--mode quadmix] [--fraction 0.25] [--cells 256]

RUN has come to its buckets (`benchmarks/mixture/modes.py DIR` leaves DIR/base and the targets DIR/<kind>.jsonl). A
parameter vector is judged by the loss of the targets under the unigram counts of what it samples: of all documents'
copies, and of the cells of a reading, in the cells' shares. `error` is the standard deviation of the difference over
the vectors, in nats per token; `all documents` are cells of all, of which each is read by a fraction.
"""

import argparse
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
from scipy.stats import spearmanr

from gristmill.stages.mixture.constraints import unconstrained
from gristmill.stages.mixture.material.drawn import Readings, sized, sizes_of, totals_of
from gristmill.stages.mixture.material.readings import Reading, divided, reading, tokens_of, validation_texts
from gristmill.stages.mixture.objective import mean_of
from gristmill.stages.mixture.proxies.sections import GptSection
from gristmill.stages.mixture.rates.cells import cells, names_of
from gristmill.stages.mixture.rates.rule import Copying, ParameterSection, rule_of, start_of
from gristmill.stages.mixture.rates.searchers import QuadmixSpace
from gristmill.stages.mixture.rates.views import Task, View, view
from gristmill.stages.mixture.result import unsearched

VECTORS = 60  # random ones, and as many around the default
DRAWS = 12


def column(run: Path, step: str, *names: str) -> pl.DataFrame:
    return pl.concat(
        pl.read_parquet(path, columns=["doc_id", *names], glob=False) for path in sorted((run / step).glob("*.parquet"))
    )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path)
    parser.add_argument("targets", nargs="+")
    parser.add_argument("--mode", choices=["both", "quadmix"], default="quadmix")
    parser.add_argument("--fraction", type=float, default=0.25, help="of the tokens that is read")
    parser.add_argument("--cells", type=int, default=256)
    args = parser.parse_args()
    docs = column(args.run, "domain.bucket", "bucket")
    for step, *names in (
        ("ingest.tokens", "token_count"),
        ("quality", "q_reference", "q_importance"),
        ("ingest", "text"),
    ):
        docs = docs.join(column(args.run, step, *names), on="doc_id")
    docs = docs.sort("doc_id")
    tokens = tokens_of(args.run / "artifacts" / "ingest.tokenizer" / "tokenizer.json")
    encoded = dict(zip(docs["doc_id"], tokens.encode_all(docs["text"].to_list()), strict=True))
    docs = docs.drop("text")
    targets = divided(validation_texts(args.targets, ()), tokens.encode, 60_000, 0, 0.0)[0]
    sizes = sizes_of([sized(docs.with_columns(language=pl.lit("")))])
    totals, buckets = totals_of(sizes), tuple(sorted(docs["bucket"].unique()))
    size = (
        docs.group_by("bucket").agg(pl.col("token_count").sum()).sort("bucket")["token_count"].to_numpy().astype(float)
    )
    task = Task(
        args.mode, ParameterSection(cells=args.cells), Copying(), Path(), lambda ids: {}, docs, docs,
        Readings((), None, ()), size, unsearched(size / size.sum(), ""), unconstrained(buckets), int(size.sum() / 4),
        targets, [], tokens, mean_of(tuple(targets), "losses"), GptSection(), GptSection(), 0, 1,
    )  # fmt: skip

    def counts(ids: tuple[str, ...], length: int | None = None) -> np.ndarray:
        return np.bincount(np.concatenate([encoded[i] for i in ids])[:length], minlength=tokens.vocab).astype(float)

    aims = np.stack(
        [np.bincount(np.concatenate([p.tokens for p in t]), minlength=tokens.vocab) for t in targets.values()]
    )

    def losses(mixed: np.ndarray) -> np.ndarray:
        mixed = 0.999 * mixed / mixed.sum(axis=1, keepdims=True) + 0.001 / tokens.vocab
        return -(np.log(mixed) @ (aims / aims.sum(axis=1, keepdims=True)).T).mean(axis=1)

    def of_cells(seen: View) -> np.ndarray:
        streams = [counts(seen.reading.documents[n], seen.reading.lengths[n]) for n in seen.names]
        shares = np.stack([seen.shares(task.copies(seen.docs, rule)) for rule in rules])
        return losses(shares @ np.stack([s / s.sum() for s in streams]))

    def of_all(salt: str) -> View:
        cell = cells(task.drawn.scaled, task.drawn.tokens, task.drawn.bucket, args.cells)
        names = names_of(cell, task.drawn.bucket, buckets)
        read = reading(docs.with_columns(bucket=pl.Series([names[c] for c in cell])), args.fraction, salt)
        return View(replace(task.drawn, cell=cell), tuple(names), Reading(read.documents, read.lengths), None)

    space = QuadmixSpace(2, len(buckets), "log10", 1.0, 0.001)
    rng, start = np.random.default_rng(0), start_of(space, task.copying)
    near = np.clip(start + 0.5 * (rng.random((VECTORS, space.inputs)) - 0.5), 1e-6, 1 - 1e-6)
    thetas = space.theta(np.concatenate([start, rng.random((VECTORS, space.inputs)), near]))
    rules = [rule_of(space, theta, np.arange(len(buckets))) for theta in thetas]
    each = np.stack([counts((i,)) for i in docs["doc_id"]])
    truth = losses(np.stack([task.copies(task.drawn, rule) for rule in rules]) @ each)
    ways = {
        "all documents": of_all,
        "documents read": lambda salt: view(task, reading(docs, args.fraction, salt, totals), GptSection(), salt),
    }
    print(f"{docs.height} documents, {int(size.sum())} tokens, sd of the losses {truth.std():.4f}")
    print("| cells of | number | error | Spearman |\n|---|--:|--:|--:|")
    for name, seen in ways.items():
        views = [seen(f"draw/{i}") for i in range(DRAWS)]
        found = [of_cells(v) for v in views]
        error = np.mean([np.std(f - truth) for f in found])
        ranks = np.mean([spearmanr(f, truth).statistic for f in found])
        print(f"| {name} | {np.mean([len(v.names) for v in views]):.0f} | {error:.4f} | {ranks:.3f} |", flush=True)


if __name__ == "__main__":
    main()
