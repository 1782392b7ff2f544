"""Counts tokens under a byte-level BPE trained on the corpus itself, or under any `tokenizers` file.

Counts cover all documents, also those that gates drop, because the ledger books tokens at every stage.
"""

import hashlib
import json
import re
import shutil
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar, Literal

import polars as pl

from gristmill.classifiers.tokenizer import open_encoder, open_tokenizer, training_threads
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import Count, FilePath, Range
from gristmill.pipeline.contract.samples import drawn, reaching, tables_of, together
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Corpus, Reads, Reducer, Tables

TOKENIZER = "tokenizer.json"
THREADS = 2  # of the training: a worker's neighbours wait for it


@dataclass(frozen=True)
class TokenizerModel(Reducer):
    """Trains (or copies) the tokenizer whose tokens the run counts and budgets in."""

    # A `tokenizers` JSON file, or a folder with tokenizer.json; null trains a byte-level BPE on the ingested text
    path: FilePath | None = None
    vocab_size: Annotated[int, Range(257, 2**24)] = (
        16384  # small enough to train in seconds; only counts and the proxies' n-grams depend on it
    )
    train_bytes: Count = 8_000_000  # text to train on, drawn over documents
    train_doc_bytes: Count = 20_000  # at most so much of one document: a single huge page must not shape the vocabulary
    name: ClassVar = "ingest.tokenizer"
    version: ClassVar = 2
    reads: ClassVar[Reads] = {"ingest": ("text", "text_bytes")}
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["all"]] = "all"
    files: ClassVar = ("path",)

    def __post_init__(self) -> None:
        """Raises ConfigError for a folder without the file, and for the name of a model of the Hub."""
        if self.path is None or Path(self.path).is_file():
            return
        inside = Path(self.path) / TOKENIZER
        if Path(self.path).is_dir():
            if not inside.is_file():
                raise ConfigError(f"tokenizer.path: the folder {self.path} holds no {TOKENIZER}")
            object.__setattr__(self, "path", str(inside))
        elif re.fullmatch(r"[\w-]+(?:\.[\w-]+)*(?:/[\w.-]+)?", self.path) and not self.path.endswith(".json"):
            raise ConfigError(
                f"tokenizer.path: there is no file {self.path}; for a model of the Hugging Face hub, fetch the file: "
                f"hf download {self.path} {TOKENIZER} --local-dir tokenizer"
            )

    def preflight(self) -> None:
        if self.path is not None:
            open_tokenizer(Path(self.path))

    @property
    def passes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return ("drawn", "texts") if self.path is None else ()

    def run(self, corpus: Corpus, out: Path) -> None:
        if self.path is None:
            super().run(corpus, out)
            return
        tokenizer = open_tokenizer(Path(self.path))
        given = json.loads(Path(self.path).read_text(encoding="utf-8"))
        if given.get("truncation") or given.get("padding"):
            tokenizer.save(str(out / TOKENIZER))  # without them, for everyone who opens the artifact
        else:
            shutil.copyfile(self.path, out / TOKENIZER)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """Documents with the smallest draws until `train_bytes` are reached; then their texts, cut."""
        if name == "drawn":
            size = pl.col("text_bytes").clip(upper_bound=self.train_doc_bytes).cast(pl.Int64)
            sizes = (
                drawn(batch, "tokenizer").select("doc_id", "draw", size) for batch in corpus.batches(("text_bytes",))
            )
            return {"drawn": reaching(sizes, "text_bytes", self.train_bytes)}
        if not known["drawn"].width:
            return {"texts": pl.DataFrame()}
        batches = corpus.batches(("text",), of=known["drawn"]["doc_id"])
        return {"texts": together([batch.with_columns(self._cut(batch["text"])) for batch in batches])}

    def _cut(self, texts: pl.Series) -> pl.Series:
        return pl.Series("text", [t.encode()[: self.train_doc_bytes].decode(errors="ignore") for t in texts], pl.String)

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        if name == "drawn":
            return {"drawn": reaching(tables_of("drawn", taken), "text_bytes", self.train_bytes)}
        texts = together(tables_of("texts", taken))
        in_order = known["drawn"].join(texts, on="doc_id", maintain_order="left") if texts.width else texts
        return {"texts": in_order}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """Raises DataError where there is no text to train on."""
        if known["texts"].is_empty():
            raise DataError("no documents to train the tokenizer on: every input record was rejected (see the ledger)")
        from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

        tokenizer = Tokenizer(models.BPE())
        tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)  # pyright: ignore
        tokenizer.decoder = decoders.ByteLevel()  # pyright: ignore
        trainer = trainers.BpeTrainer(
            vocab_size=self.vocab_size,
            initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
            special_tokens=["<|endoftext|>"],
            show_progress=False,
        )
        with training_threads(THREADS):
            tokenizer.train_from_iterator(known["texts"]["text"].to_list(), trainer)
        tokenizer.save(str(out / TOKENIZER))

    def tell(self, run: Finished) -> Told:
        """The card's lines on the tokenizer; a copy of it lies beside the shards."""
        path = run.artifact(self.name) / TOKENIZER
        if not path.is_file():
            return Told()
        of = f"`{Path(self.path).name}`" if self.path is not None else "a byte-level BPE trained on the run's own text"
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        said = (
            f"Tokens are those of {of} with {open_tokenizer(path).get_vocab_size():,} ids (sha256 of `tokenizer.json`: "
            f"`{digest}`): `token_count`, the budget and the files of token ids."
        )
        return Told(card=("## Tokenizer", "", said, ""), files=(path,))


@dataclass(frozen=True)
class Tokens(Annotator):
    """token_count of every document under the run's tokenizer."""

    name: ClassVar = "ingest.tokens"
    version: ClassVar = 2
    reads: ClassVar[Reads] = {"ingest": ("text",)}
    writes: ClassVar = ("token_count",)
    needs: ClassVar = ("ingest.tokenizer",)
    rows: ClassVar[Literal["all"]] = "all"

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        encoder = open_encoder(artifacts["ingest.tokenizer"] / TOKENIZER)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            counts = encoder.counts(batch["text"].fill_null("").to_list())
            return batch.select("doc_id", pl.Series("token_count", counts, pl.Int64))

        return annotate
