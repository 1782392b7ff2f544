"""The mixture as a step of the run: buckets and held-back texts in, searched weights out.

The proxy reads the same fraction of every bucket, and its budget is that fraction of the target's, so that a bucket is
repeated in the proxy as often as it would be in the corpus (specs: repetition must match, or tiny buckets win).
"""

import json
from dataclasses import dataclass, field
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar, cast

import numpy as np
import polars as pl

from pipeline.draw import uniform
from pipeline.errors import ConfigError, DataError
from pipeline.stage import Corpus, Reads
from stages.mixture.constraints import Constraints, constraints_from, rounded
from stages.mixture.ngram import NgramProxy
from stages.mixture.objective import Objective, mean_of
from stages.mixture.runs import Proxy, write_parquet
from stages.mixture.search import METHODS, SearchResult, search

END_OF_TEXT = "<|endoftext|>"
# A ladder climbs from cheap proxies to a dear one; a run has one proxy.
RUN_METHODS = ("natural", *sorted(set(METHODS) - {"ladder"}))


@dataclass(frozen=True)
class Mixture:
    """Searches the bucket weights that give the held-back texts the lowest predicted loss."""

    # direct | bayes | climb | regmix (stages/mixture/search.py), or natural: no search. direct follows the proxy's
    # exact gradient and found the lowest losses in the least time (docs/decisions/mixture.md).
    method: str = "direct"
    budget_tokens: int | None = None  # size of the corpus; null: budget_share of what is available
    budget_share: float = 0.5  # of the tokens that reached the mixture
    max_epochs: float = 4.0  # per bucket at the budget ("To Repeat or Not To Repeat": up to 4 costs nothing)
    minimum: dict[str, float] = field(default_factory=dict)  # bucket -> least share
    maximum: dict[str, float] = field(default_factory=dict)  # bucket -> greatest share
    fixed: dict[str, float] = field(default_factory=dict)  # bucket -> share
    proxy_tokens: int = 4_000_000  # of the corpus that the proxy counts: the same fraction of every bucket
    target_tokens: int = 100_000  # per target; more sharpen the loss, not the ranking
    order: int = 3  # of the n-gram proxy
    validation: tuple[str, ...] = ()  # your own validation texts (.txt, .jsonl with "text"): a target per file
    seed: int = 0  # of the search
    threads: int = 2  # fixed, so that results do not depend on the machine's size
    name: ClassVar = "mixture"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {
        "ingest": ("text",),
        "ingest.tokens": ("token_count",),
        "domain.bucket": ("bucket",),
    }
    needs: ClassVar = ("ingest.tokenizer", "dedup.held_out")
    files: ClassVar = ("validation",)

    def __post_init__(self) -> None:
        if self.method not in RUN_METHODS:
            raise ConfigError(f"mixture.method: {self.method!r}; there are {', '.join(RUN_METHODS)}")
        if self.budget_tokens is not None and self.budget_tokens < 1:
            raise ConfigError("mixture.budget_tokens must be at least 1, or null for a share of what is available")

    def run(self, corpus: Corpus, out: Path) -> None:
        batches = [batch for batch in corpus.batches(("bucket", "token_count")) if batch.height]
        if not batches:
            raise DataError("no documents reached the mixture: every one was dropped (gristmill ledger tells where)")
        narrow = pl.concat(batches).sort("doc_id")
        sizes = narrow.group_by("bucket").agg(pl.col("token_count").sum(), pl.len().alias("docs")).sort("bucket")
        sizes = sizes.filter(pl.col("token_count") > 0)
        buckets, tokens = sizes["bucket"].to_list(), sizes["token_count"].to_numpy().astype(np.float64)
        available = int(tokens.sum())
        budget = self.budget_tokens or max(1, round(self.budget_share * available))
        natural = tokens / available
        constraints = constraints_from(
            buckets,
            tokens=dict(zip(buckets, tokens.tolist(), strict=True)),
            budget=budget,
            max_epochs=self.max_epochs,
            minimum=self.minimum,
            maximum=self.maximum,
            fixed=self.fixed,
        )
        found = self._search(corpus, out, narrow, buckets, natural, constraints, budget, available)
        write_weights(out, self, sizes, found, constraints, budget, available)

    def _search(
        self, corpus: Corpus, out: Path, narrow: pl.DataFrame, buckets: list[str], natural: np.ndarray,
        constraints: Constraints, budget: int, available: int,
    ) -> "Found":  # fmt: skip
        if self.method == "natural" or len(buckets) == 1:
            return Found(
                rounded(natural, constraints), {"method": "natural", "proxy": "none", "runs": 0, "targets": []}
            )
        fraction = min(1.0, self.proxy_tokens / available)
        encode, vocab, end = encoder(corpus.artifacts["ingest.tokenizer"] / "tokenizer.json")
        streams = bucket_streams(corpus, narrow, buckets, fraction, encode, end)
        targets = self._targets(corpus, encode, end)
        proxy = NgramProxy.fit(
            [streams[b] for b in buckets], list(targets.values()), buckets, list(targets),
            budget_tokens=max(1, round(budget * fraction)), vocab=vocab, end_id=end, max_order=self.order,
            threads=self.threads,
        )  # fmt: skip
        objective = mean_of(tuple(targets), "losses")
        # Named by content, so that runs of this clustering are never taken for another's.
        content = blake2b(
            "\n".join(map("/".join, narrow.select("bucket", "doc_id").iter_rows())).encode(), digest_size=16
        )
        result = search(
            cast(Proxy, proxy), natural, constraints, objective, self.method, self.seed, content.hexdigest()
        )
        write_parquet(result.runs, out / "runs.parquet")
        return settle(proxy, objective, result, rounded(natural, constraints))

    def _targets(self, corpus: Corpus, encode: object, end: int) -> dict[str, np.ndarray]:
        texts: dict[str, list[str]] = {}
        if self.validation:
            for path in self.validation:
                texts[Path(path).stem] = read_texts(Path(path))
        else:
            held = pl.read_parquet(corpus.artifacts["dedup.held_out"] / "texts.parquet")
            held = held.with_columns(pl.Series("u", uniform(held["doc_id"], "target"))).sort("u", "doc_id")
            for target, text in held.select("target", "text").iter_rows():
                texts.setdefault(target, []).append(text)
        return {name: stream(encode, texts[name], end, self.target_tokens) for name in sorted(texts)}


@dataclass(frozen=True, eq=False)
class Found:
    """The weights (k,) and how they were found (for weights.json)."""

    weights: np.ndarray
    search: dict[str, object]


def settle(proxy: NgramProxy, objective: Objective, result: SearchResult, natural: np.ndarray) -> Found:
    """Measures the chosen mixture, the best run and natural on the proxy and takes the lowest: no prediction decides.

    The n-gram proxy has no noise, so a measured difference is a difference. Ties go to natural, then to the choice.
    """
    runs = objective.score(result.runs.losses, result.runs.targets)
    best = result.runs.weights[int(np.argmin(np.round(runs, 9)))]
    candidates = np.stack([natural, result.weights, best])
    measured = np.round(objective.score(proxy.losses(candidates), proxy.targets), 9)
    winner = int(np.argmin(measured))
    gain = float(measured[0] - measured[winner])
    if winner:
        which = "the chosen mixture" if winner == 1 else "the best run"
        verdict = f"{which} measures {gain:.4f} nats/token below natural on the proxy"
    else:
        verdict = "not better than natural: no mixture measures lower on the proxy; the natural mixture stands"
    search = {
        **result.summary(),
        "method": result.method,
        "proxy": "ngram",
        "runs": len(result.runs),
        "targets": list(result.runs.targets),
        "found": winner > 0,
        "verdict": verdict,
        "measured_objective": round(float(measured[winner]), 6),
        "natural_measured": round(float(measured[0]), 6),
    }
    return Found(candidates[winner], search)


def encoder(path: Path) -> tuple[object, int, int]:
    """(tokenizer, vocabulary size, id that ends a document: the end-of-text token, or one past the vocabulary)."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(path))
    size = tokenizer.get_vocab_size()
    end = tokenizer.token_to_id(END_OF_TEXT)
    return (tokenizer, size, end) if end is not None else (tokenizer, size + 1, size)


def stream(tokenizer: object, texts: list[str], end: int, limit: int | None) -> np.ndarray:
    """Token ids of the texts in order, each closed by `end`, cut at `limit` tokens. (n,) int32."""
    ids: list[int] = []
    for text in texts:
        if limit is not None and len(ids) >= limit:
            break
        # A text of n tokens has at least n characters' worth of bytes: no need to encode far beyond the limit.
        room = len(text) if limit is None else 16 * (limit - len(ids))
        ids += tokenizer.encode(text[:room], add_special_tokens=False).ids  # pyright: ignore
        ids.append(end)
    return np.array(ids if limit is None else ids[:limit], np.int32)


def bucket_streams(
    corpus: Corpus, narrow: pl.DataFrame, buckets: list[str], fraction: float, tokenizer: object, end: int
) -> dict[str, np.ndarray]:
    """The proxy's share of each bucket, documents in the order of their draws: at least one document per bucket."""
    drawn = narrow.with_columns(pl.Series("u", uniform(narrow["doc_id"], "proxy"))).sort("bucket", "u", "doc_id")
    first = drawn.group_by("bucket", maintain_order=True).head(1)["doc_id"]
    chosen = drawn.filter((pl.col("u") < fraction) | pl.col("doc_id").is_in(first.implode()))
    texts: dict[str, str] = {}
    for batch in corpus.batches(("text",)):
        picked = batch.filter(pl.col("doc_id").is_in(chosen["doc_id"].implode()))
        texts.update(zip(picked["doc_id"], picked["text"], strict=True))
    ids = {b: chosen.filter(pl.col("bucket") == b)["doc_id"].to_list() for b in buckets}
    return {b: stream(tokenizer, [texts[i] for i in ids[b]], end, None) for b in buckets}


def read_texts(path: Path) -> list[str]:
    """Texts of a validation file. Raises ConfigError naming what is wrong with it."""
    if not path.is_file():
        raise ConfigError(f"mixture.validation: no file {path}")
    content = path.read_text(encoding="utf-8")
    if path.suffix != ".jsonl":
        return [content]
    try:
        return [json.loads(line)["text"] for line in content.split("\n") if line.strip()]
    except (json.JSONDecodeError, KeyError, TypeError) as error:
        raise ConfigError(f'mixture.validation: {path} has a line that is no {{"text": ...}} ({error})') from None


def write_weights(
    out: Path, stage: Mixture, sizes: pl.DataFrame, found: Found, constraints: Constraints, budget: int, available: int
) -> None:
    rows = []
    for i, (bucket, tokens, docs) in enumerate(sizes.iter_rows()):
        weight = float(found.weights[i])
        rows.append(
            {
                "bucket": bucket,
                "docs": docs,
                "available_tokens": tokens,
                "natural_share": round(tokens / available, 6),
                "weight": weight,
                "cap": round(constraints.upper[i], 6),
                "capped": bool(weight >= constraints.upper[i] - 1e-6 and constraints.upper[i] < 1),
                "quota": round(weight * budget),
            }
        )
    document = {
        "budget_tokens": budget,
        "available_tokens": available,
        "max_epochs": stage.max_epochs,
        "search": found.search,
        "buckets": rows,
    }
    (out / "weights.json").write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
