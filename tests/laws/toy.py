"""A small recipe of all six shapes over text files, one document per line: what the machine's tests run."""

import hashlib
import json
import os
import signal
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.contract.columns import REJECTED, Column, arrow_schema
from gristmill.pipeline.contract.corpus.splits import numbered
from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.samples import tables_of, together
from gristmill.pipeline.contract.shapes import (
    Annotator,
    Artifacts,
    Corpus,
    Gate,
    Grouping,
    Part,
    Reducer,
    Sink,
    Source,
    Tables,
)
from gristmill.pipeline.contract.state import write_parquet
from gristmill.pipeline.plan.config import Recipe
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store

EXTRA = (
    Column("words_toy_n", pa.int64(), "words", "toy"),
    Column("rank_toy", pa.int64(), "", "toy"),
    Column("twins_toy_n", pa.int64(), "documents", "toy"),
)


@dataclass(frozen=True)
class Lines(Source):
    """Each line a document; empty lines are rejected."""

    folder: str
    name: ClassVar = "ingest"
    version: ClassVar = 1
    writes: ClassVar = ("text", "url", "record_bytes", "text_bytes")
    rules: ClassVar = ("empty_line",)
    outside_identity: ClassVar = ("folder",)

    def parts(self) -> list[Part]:
        parts = []
        for path in sorted(Path(self.folder).glob("*.txt")):
            digest = hashlib.blake2b(path.read_bytes()).hexdigest()[:16]
            parts.append(Part(path.stem, str(path), path.name, 0, path.stat().st_size, digest))
        return parts

    def run(self, part: Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        lines = Path(part.path).read_text().split("\n")
        kept = [(i, t) for i, t in enumerate(lines) if t]
        documents = pl.DataFrame(
            {
                "doc_id": [hashlib.blake2b(f"{part.name}:{i}".encode(), digest_size=16).hexdigest() for i, _ in kept],
                "text": [t for _, t in kept],
                "url": [f"file://{part.name}#{i}" for i, _ in kept],
                "record_bytes": [len(t) + 1 for _, t in kept],
                "text_bytes": [len(t) for _, t in kept],
            },
            schema={
                "doc_id": pl.String,
                "text": pl.String,
                "url": pl.String,
                "record_bytes": pl.Int64,
                "text_bytes": pl.Int64,
            },
        )
        lost = [i for i, t in enumerate(lines) if not t]
        rejected = pl.DataFrame(
            {"record": lost, "record_id": None, "url": None, "rule": "empty_line", "record_bytes": 1},
            schema={
                "record": pl.Int64,
                "record_id": pl.String,
                "url": pl.String,
                "rule": pl.String,
                "record_bytes": pl.Int64,
            },
        ).select(REJECTED.names)
        return documents, rejected


@dataclass(frozen=True)
class Words(Annotator):
    """Word counts. `trouble` names a text that raises, one that kills its worker once, or one that always kills it."""

    trouble: str | None = None
    marker: str | None = None
    log: str | None = None  # every text that is really computed is appended here
    name: ClassVar = "words"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text",)}
    writes: ClassVar = ("words_toy_n",)
    needs: ClassVar = ()
    rows: ClassVar = "kept"
    columns: ClassVar = EXTRA
    outside_identity: ClassVar = ("trouble", "marker", "log")

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            for text in batch["text"]:
                if self.log:
                    with open(self.log, "a") as f:
                        f.write(text + "\n")
                if text == "raise" and self.trouble == "raise":
                    raise ValueError("this text raises")
                if text == "kill" and self.trouble == "kill":
                    os.kill(os.getpid(), signal.SIGKILL)
                if text == "kill" and self.trouble == "kill once" and self.marker and not Path(self.marker).exists():
                    Path(self.marker).touch()
                    os.kill(os.getpid(), signal.SIGKILL)
            n = batch["text"].str.split(" ").list.len().cast(pl.Int64)
            return pl.DataFrame({"doc_id": batch["doc_id"], "words_toy_n": n})

        return annotate


@dataclass(frozen=True)
class WordsGate(Gate):
    min_words: int | None = None
    name: ClassVar = "words.gate"
    version: ClassVar = 1
    reads: ClassVar = {"words": ("words_toy_n",)}
    rules: ClassVar = ("too_few_words",)

    def table(self) -> dict[str, pl.Expr]:
        return {} if self.min_words is None else {"too_few_words": pl.col("words_toy_n") < self.min_words}


@dataclass(frozen=True)
class Ranking(Reducer):
    """All texts, sorted: an artifact that depends on every row. A pass before that counts them. With `asks` it goes on
    from text to text, three at a time, in rounds; at most `bound` of them are shared out."""

    fail: str | None = None
    asks: int = 0
    bound: int = 0
    log: str | None = None  # every answer that is really made is a line here
    broken: str | None = None  # while there is such a file, answers fail
    name: ClassVar = "ranking"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text",)}
    needs: ClassVar = ()
    outside_identity: ClassVar = ("fail", "bound", "log", "broken")
    passes: ClassVar = ("counts", "texts")
    spread: ClassVar = 2

    @property
    def rounds(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.bound

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        if name == "counts":
            return {"counts": pl.DataFrame({"n": [sum(b.height for b in corpus.batches(()))]})}
        assert known["counts"].height == 1
        return {"texts": together(b.select("text") for b in corpus.batches())}

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        joined = together(tables_of(name, taken))
        return {name: joined.sum() if name == "counts" else joined.sort("text")}

    def sharing(self, known: Tables, corpus: Corpus) -> "Lengths":
        return Lengths(self, known["texts"]["text"].to_list())

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        if self.fail:
            raise DataError(self.fail)
        assert known["texts"].height == known["counts"]["n"].sum()
        self.sharing(known, corpus).finish(pl.DataFrame(), out)


@dataclass(frozen=True)
class Lengths:
    """Asks for the lengths of three texts, and then of those that as many texts further on are as the three have
    letters."""

    stage: Ranking
    texts: list[str]

    def ask(self, answers: pl.DataFrame) -> pl.DataFrame:
        start = int(answers["length"].sum()) if answers.height else 0
        if answers.height >= 3 * self.stage.asks:
            return pl.DataFrame(schema={"at": pl.Int64})
        return pl.DataFrame({"at": [(start + i) % len(self.texts) for i in range(3)]})

    def answer(self, asked: pl.DataFrame) -> pl.DataFrame:
        if self.stage.log:
            with open(self.stage.log, "a") as f:
                f.write(f"{asked['at'].item()}\n")
        broken = self.stage.broken is not None and Path(self.stage.broken).exists()
        return asked.with_columns(length=len(self.texts[asked["at"].item()]), failed=pl.lit(broken))

    def finish(self, answers: pl.DataFrame, out: Path) -> None:
        (out / "texts.json").write_text(json.dumps(self.texts))
        if self.stage.asks:
            while len(rows := self.ask(answers)):
                answers = pl.concat([answers, *map(self.answer, rows.iter_slices(1))], how="diagonal")
            assert not answers["failed"].any(), "an answer failed"
            (out / "answers.json").write_text(answers.write_json())


@dataclass(frozen=True)
class Rank(Annotator):
    name: ClassVar = "rank"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text",)}
    writes: ClassVar = ("rank_toy",)
    needs: ClassVar = ("ranking",)
    rows: ClassVar = "kept"
    columns: ClassVar = EXTRA

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        texts = json.loads((artifacts["ranking"] / "texts.json").read_text())

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            ranks = [texts.index(t) for t in batch["text"]]
            return pl.DataFrame({"doc_id": batch["doc_id"], "rank_toy": pl.Series(ranks, dtype=pl.Int64)})

        return annotate


@dataclass(frozen=True)
class Twins(Grouping):
    """How many documents have as many words, by way of a merge; two documents that no part holds take part."""

    fail: str | None = None
    name: ClassVar = "twins"
    version: ClassVar = 1
    reads: ClassVar = {"words": ("words_toy_n",)}
    writes: ClassVar = ("twins_toy_n",)
    scatters: ClassVar = {"doc_id": pl.String}
    order: ClassVar = ("doc_id",)
    merges: ClassVar = True
    gathers: ClassVar = {"n": pl.Int64}
    returns: ClassVar = {"n": pl.Int64}
    columns: ClassVar = EXTRA
    outside_identity: ClassVar = ("fail",)

    def extra(self, artifacts: Artifacts) -> pl.DataFrame:
        return pl.DataFrame({"doc_id": ["given-1", "given-2"], "words_toy_n": [2, 99]})

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        key = batch["words_toy_n"].cast(pl.UInt64) * (2**64 // 101)
        return batch.select(key.alias("key"), "node", "doc_id")

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        if self.fail:
            raise DataError(self.fail)
        assert rows.select("key", "doc_id").equals(rows.select("key", "doc_id").sort("key", "doc_id"))
        return rows.select("node", n=pl.len().over("key").cast(pl.Int64))

    def merge(self, gathered: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        yield from gathered()

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", twins_toy_n="n")


@dataclass(frozen=True)
class Slow(Gate):
    """Nothing but time, so that a kill has something to hit."""

    seconds: float = 0.05
    name: ClassVar = "slow"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ()}
    rules: ClassVar = ("never",)

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        time.sleep(self.seconds)
        return pl.Series([None] * batch.height, dtype=pl.String)


@dataclass(frozen=True)
class TwoShards(Sink):
    name: ClassVar = "corpus"
    version: ClassVar = 1
    reads: ClassVar = {"ingest": ("text",), "rank": ("rank_toy",), "twins": ("twins_toy_n",)}
    needs: ClassVar = ("ranking",)

    def units(self, artifacts: Artifacts) -> list[str]:
        return numbered(2)

    def scatter(self, batch: pl.DataFrame, units: Sequence[str]) -> pl.DataFrame:
        key = key64(batch["doc_id"], "shuffle")
        return batch.with_columns(
            pl.Series("shard", (key % np.uint64(len(units))).astype(np.int64)), pl.Series("_key", key)
        )

    def gather(self, slices: Iterator[pl.DataFrame]) -> pl.DataFrame:
        return pl.concat(list(slices)).sort("_key").drop("_key")

    def write(self, pieces: Iterable[pl.DataFrame], corpus: Path, unit: str, artifacts: Artifacts) -> list[Path]:
        rows = pl.concat(list(pieces))
        path = corpus / "data" / f"train-{unit}.parquet"
        path.parent.mkdir(parents=True, exist_ok=True)
        write_parquet(path, rows.to_arrow().cast(arrow_schema(rows.columns)))
        return [path]


def recipe(folder: Path, *, name: str = "toy", slow: float = 0.0, **options: dict) -> Recipe:
    """options: stage name (words, gate, ranking) -> its fields."""
    stages = (
        Lines(str(folder)),
        Words(**options.get("words", {})),
        WordsGate(**options.get("gate", {})),
        Twins(**options.get("twins", {})),
        Slow(slow),
        Ranking(**options.get("ranking", {})),
        Rank(),
        TwoShards(),
    )
    resolved = {"name": name, "gate": options.get("gate", {}), "paths": str(folder)}
    return Recipe(name, stages, resolved, {}, tuple(s.name for s in stages))


def papers(store: Store, plan: Plan) -> None:
    """In the place of card and report, for which the toy lacks columns."""
    (store.root / "paper.txt").write_text(f"{len(plan.parts)} parts")


def write_lines(folder: Path, shards: int = 4, lines: int = 20) -> Path:
    folder.mkdir(parents=True, exist_ok=True)
    for s in range(shards):
        texts = [" ".join(["word"] * (1 + (i * 7 + s) % 5) + [f"s{s}i{i}"]) for i in range(lines)]
        (folder / f"shard{s}.txt").write_text("\n".join([*texts[:5], "", *texts[5:]]))
    return folder
