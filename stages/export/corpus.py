"""The corpus as shuffled shards: each copy of a document lies at a random place in its own stretch of the shuffle."""

import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.classifiers.tokenizer import open_encoder, open_tokenizer
from gristmill.pipeline.contract.carried.types import Notation
from gristmill.pipeline.contract.carried.values import restored
from gristmill.pipeline.contract.corpus.splits import (
    TRAIN,
    VALIDATION,
    numbered,
    pattern,
    place,
    split_names,
    split_of,
)
from gristmill.pipeline.contract.draws import key64
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Count, Inner
from gristmill.pipeline.contract.shapes import Artifacts, Reads, Sink
from gristmill.stages.export.format import MAX_UINT16, Format, Shard, TokenSpans, Unread, written_by
from gristmill.stages.export.named import format_of
from gristmill.stages.export.packed import Packed

COLUMNS = (
    "text", "id", "url", "date", "dump", "source", "title", "file_path", "language", "language_score", "token_count",
    "license", "license_tier", "license_confidence", "quality", "quality_rank", "cluster_id", "domain", "domain_prob",
    "bucket", "copies_n",
)  # fmt: skip

READS: Reads = {
    "ingest": ("text", "id", "url", "date", "dump", "source", "title", "file_path"),
    "language": ("language", "language_score"),
    "ingest.tokens": ("token_count",),
    "license": ("license", "license_tier", "license_confidence"),
    "quadmix": ("quality", "quality_rank"),
    "cluster": ("cluster_id",),
    "domain": ("domain", "domain_prob"),
    "domain.bucket": ("bucket",),
    "sample": ("copies_n",),
}
ENDS = ("<|endoftext|>", "</s>", "<eos>", "<|end_of_text|>", "[SEP]")  # GPT-2, Llama 2, Gemma, Llama 3, BERT
TOKENIZER = "ingest.tokenizer"
GATHERED_BYTES = 40 << 20  # of a shard's text in memory at once
TOKEN_BYTES = 5  # of text, about: 4.1 to 4.8 in the tokenizers of GPT-4 and Llama 3
CARRIED, TYPES = "ingest.carried", "types.json"
OWN, OWN_TYPES = "carried", "carried_types"  # the columns that hold them


@dataclass(frozen=True)
class PhaseName:
    """What the shards need to know of a phase."""

    name: str


@dataclass(frozen=True)
class CorpusShards(Sink):
    """corpus/<format>/train-*, Parquet in corpus/data."""

    # parquet, jsonl.zst, webdataset; with token ids: megatron, mds, ds (datatrove's), npy, packed. module:Class: a
    # format of your own (CONTRIBUTING.md)
    format: tuple[str, ...] = ("parquet",)
    shard_bytes: Count = 800_000_000  # text per shard: files of some 310 MB (web text takes 0.39 of its size in zstd)
    shard_tokens: Count | None = None  # tokens per shard instead
    begin_token: str | None = None  # put before each document's ids; null: none
    end_token: str | None = None  # put behind them; null: the first that the tokenizer has of <|endoftext|>, </s>, ...
    sequence_length: Count = 4096  # tokens of a sequence of `packed`
    # best_fit: documents stay whole where they are no longer than a sequence; concatenate: they are cut at its end
    packing: Literal["best_fit", "concatenate"] = "best_fit"
    # columns of the run's stages beside the standard ones, by name or pattern: [q_*, title]; docs/columns.md has all
    columns: tuple[str, ...] = ()
    # share of the documents that training never sees, chosen by doc_id, e.g. 0.005: corpus/validation holds one copy
    # of those of them that training would have had
    validation: Inner | None = None
    phases: tuple[PhaseName, ...] = ()  # not a key of this section: names in the list `phases`
    # Not a key of this section: (dataset, columns) that the run's stages publish beside the standard columns
    published: tuple[tuple[str, tuple[str, ...]], ...] = ()
    name: ClassVar = "corpus"
    version: ClassVar = 5
    borrowed: ClassVar = {"published": (), "phases": ("phases",)}
    own_names: ClassVar = ("format",)

    def __post_init__(self) -> None:
        if not self.format or len(set(self.format)) < len(self.format):
            raise ConfigError("corpus.format: a list of different formats, at least one")
        folders = [f.folder for f in self.formats]
        if len(set(folders)) < len(folders):
            raise ConfigError(f"corpus.format: two formats write into corpus/{folders[0]}")

    @cached_property
    def formats(self) -> tuple[Format, ...]:
        packed = Packed(self.sequence_length, self.packing)
        return tuple(packed if name == "packed" else format_of(name) for name in self.format)

    @property
    def loads(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return tuple(
            pattern(TRAIN, f.folder, f"*{f.suffix}") for f in self.formats if f.suffix in (".parquet", ".jsonl.zst")
        )

    @property
    def splits(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        return split_names([p.name for p in self.phases], self.validation)

    @property
    def needs(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        tokens = (TOKENIZER,) if any(f.tokens for f in self.formats) else ()
        return ("sample", *tokens, *((CARRIED,) if self.carries else ()))

    @property
    def carries(self) -> bool:
        """Whether the documents carry columns of the input."""
        return any(OWN in columns for _, columns in self.published)

    @property
    def reads(self) -> Reads:
        own = dict(self.published)
        reads = READS if self.splits == (TRAIN,) else {**READS, "sample": ("copies_n", "splits_n")}
        return {d: (*reads.get(d, ()), *own.get(d, ())) for d in dict.fromkeys([*reads, *own])}

    def units(self, artifacts: Artifacts) -> list[str]:
        quotas = json.loads((artifacts["sample"] / "quotas.json").read_text(encoding="utf-8"))["splits"]
        size, limit = ("tokens", self.shard_tokens) if self.shard_tokens is not None else ("bytes", self.shard_bytes)
        return [u for split in self.splits for u in numbered(max(1, -(-quotas[split][size] // limit)), split)]

    @property
    def pieces(self) -> int:
        """Stretches of a shard that are gathered one after another."""
        size = self.shard_bytes if self.shard_tokens is None else self.shard_tokens * TOKEN_BYTES
        return max(1, -(-size // GATHERED_BYTES))

    def scatter(self, batch: pl.DataFrame, units: Sequence[str]) -> pl.DataFrame:
        if self.splits == (TRAIN,):
            return scattered(batch, TRAIN, len(units), self.pieces)
        frames, first = [], 0
        for number, split in enumerate(self.splits):
            n = sum(split_of(unit) == split for unit in units)
            copies = batch.with_columns(pl.col("splits_n").list.get(number).alias("copies_n"))
            mine = scattered(copies.drop("splits_n"), split, n, self.pieces)
            frames.append(mine.with_columns(pl.col("shard") + first))
            first += n
        return pl.concat(frames)

    def gather(self, slices: Iterator[pl.DataFrame]) -> pl.DataFrame:
        rows = pl.concat(list(slices)).sort("_key", "doc_id")
        return rows.select("doc_id", *COLUMNS, "epoch", *(c for _, columns in self.published for c in columns))

    def write(self, pieces: Iterable[pl.DataFrame], corpus: Path, unit: str, artifacts: Artifacts) -> list[Path]:
        formats = [(one, self.path_of(one, corpus, unit)) for one in self.formats]
        for _, path in formats:
            path.parent.mkdir(parents=True, exist_ok=True)
        wanted = any(f.tokens for f in self.formats)
        spans_of = self.open_spans(artifacts[TOKENIZER] / "tokenizer.json") if wanted else None
        types = json.loads((artifacts[CARRIED] / TYPES).read_text(encoding="utf-8")) if self.carries else None

        def made(rows: pl.DataFrame) -> Shard:
            spans = spans_of(rows) if spans_of is not None else None
            carried = None
            if types is not None:
                rows, carried = with_carried(rows, types)
            return Shard(rows, spans, carried)

        return written_by(formats, map(made, pieces))

    def finish(self, corpus: Path, units: Sequence[str]) -> list[Path]:
        splits = {split: [u for u in units if split_of(u) == split] for split in map(split_of, units)}
        return [
            path
            for one in self.formats
            for mine in splits.values()
            for path in one.finish([self.path_of(one, corpus, unit) for unit in mine])
        ]

    def recount(self, corpus: Path, units: Sequence[str]) -> dict[str, tuple[int, int | None]]:
        counts: dict[str, tuple[int, int | None]] = {}
        for name, one in zip(self.format, self.formats, strict=True):
            if isinstance(one, Unread):
                continue
            found = [one.recount(self.path_of(one, corpus, unit)) for unit in units]
            tokens = [t for _, t in found if t is not None]
            counts[name] = (sum(n for n, _ in found), sum(tokens) if one.tokens and tokens else None)
        return counts

    def path_of(self, one: Format, corpus: Path, unit: str) -> Path:
        return corpus / place(unit, one.folder, one.suffix)

    def marks(self, path: Path) -> tuple[list[int], list[int], int]:
        """Ids put before and behind each document, and the number above all ids.

        Raises ConfigError for a token that the tokenizer does not have.
        """
        tokenizer = open_tokenizer(path)
        for key, asked in (("begin_token", self.begin_token), ("end_token", self.end_token)):
            if asked is not None and tokenizer.token_to_id(asked) is None:
                raise ConfigError(f"corpus.{key}: the run's tokenizer has no token {asked!r}")
        begin = None if self.begin_token is None else tokenizer.token_to_id(self.begin_token)
        ends = (tokenizer.token_to_id(t) for t in ((self.end_token,) if self.end_token is not None else ENDS))
        end = next((i for i in ends if i is not None), None)
        above = 1 + max(tokenizer.get_vocab().values())
        return [i for i in (begin,) if i is not None], [i for i in (end,) if i is not None], above

    def open_spans(self, path: Path) -> Callable[[pl.DataFrame], TokenSpans]:
        """What gives the token ids of rows, each with the begin and end tokens."""
        before, behind, vocab = self.marks(path)
        encoder, more = open_encoder(path), len(before) + len(behind)

        def spans_of(rows: pl.DataFrame) -> TokenSpans:
            kind = np.uint16 if vocab < MAX_UINT16 else np.uint32
            ids, ends = encoder.ids(rows["text"].fill_null("").to_list(), kind)
            all_ends = ends + more * np.arange(len(ends))
            whole = np.empty(int(all_ends[-1]), kind)
            begins, last = all_ends[:-1] + len(before), 0
            for begin, end in zip(begins.tolist(), ends[1:].tolist(), strict=True):
                whole[begin : begin + end - last] = ids[last:end]
                last = end
            if before:
                whole[all_ends[:-1]] = before[0]
            if behind:
                whole[all_ends[1:] - 1] = behind[0]
            return TokenSpans(whole, all_ends)

        return spans_of


def with_carried(rows: pl.DataFrame, types: Mapping[str, Notation]) -> tuple[pl.DataFrame, pa.Table]:
    """The rows with the columns that they carry, and these alone; input_NAME where the corpus has a NAME of its own."""
    table = restored(rows[OWN].to_list(), rows[OWN_TYPES].to_list(), types)
    rows = rows.drop(OWN, OWN_TYPES)
    table = table.rename_columns([f"input_{name}" if name in rows.columns else name for name in table.column_names])
    shown = pl.from_arrow(table) if table.num_columns else pl.DataFrame()
    assert isinstance(shown, pl.DataFrame)
    return rows.hstack(shown), table


def scattered(batch: pl.DataFrame, split: str, shards: int, pieces: int) -> pl.DataFrame:
    """The copies of a split's documents by shard and piece, each with these and its place in the split's shuffle."""
    copies = batch["copies_n"].to_numpy()
    rows = np.repeat(np.arange(batch.height), copies)
    copy = np.arange(len(rows)) - np.repeat(np.cumsum(copies) - copies, copies)
    salt = "shuffle" if split in (TRAIN, VALIDATION) else f"shuffle/{split}"
    draw = key64((f"{i}/{c}" for i, c in zip(batch["doc_id"].gather(rows), copy.tolist(), strict=True)), salt)
    # Copy c of n lies in the c-th of n stretches of the shuffle: copies are far apart, all places equally likely.
    stretches = copies[rows].astype(np.uint64) if len(rows) else np.ones(0, np.uint64)
    key = copy.astype(np.uint64) * (np.uint64(2**64 - 1) // stretches) + draw // stretches
    # High bits choose the shard, what is left of them the piece, the whole key the place: one permutation of all rows.
    place = (key >> np.uint64(32)) * np.uint64(shards)
    piece = (place & np.uint64(2**32 - 1)) * np.uint64(pieces) >> np.uint64(32)
    order = np.lexsort((piece, place >> np.uint64(32)))
    out = batch[rows[order]] if len(rows) else batch.clear()
    return out.with_columns(
        pl.Series("epoch", copy[order].astype(np.int64)),
        pl.Series("shard", (place[order] >> np.uint64(32)).astype(np.int64)),
        pl.Series("piece", piece[order].astype(np.int64)),
        pl.Series("_key", key[order]),
    )
