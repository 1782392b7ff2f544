"""What proxies in a run are made of: documents drawn from every bucket, and texts of the targets, as tokens.

A reading takes the same fraction of every bucket, and a proxy that reads it has that fraction of the corpus's budget,
so that a bucket is repeated in the proxy as often as it would be in the corpus (or tiny buckets win).
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain, pairwise
from pathlib import Path
from typing import Protocol

import numpy as np
import polars as pl

from gristmill.classifiers.tokenizer import open_encoder, open_tokenizer
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.texts import Record, is_sidecar, read_records
from gristmill.stages.records import item_text

_ENDINGS = re.compile(r"(?:\.(?:jsonl|ndjson|json|txt|parquet))?(?:\.gz|\.zst)?$")
END_OF_TEXT = "<|endoftext|>"
AT_ONCE = 2_000  # texts that are encoded at a time
PIECE_CHARS = 20_000  # a target's text is divided in pieces of at most so much


class Encoder(Protocol):
    def __call__(self, text: str) -> np.ndarray:
        """(n,) int32 ids, the last one `end`."""
        ...


class Encoders(Protocol):
    def __call__(self, texts: Sequence[str]) -> list[np.ndarray]:
        """Of each text what an Encoder gives."""
        ...


@dataclass(frozen=True)
class Tokens:
    """The run's tokenizer. `end` closes every document: the end-of-text token, or one past the vocabulary."""

    encode: Encoder
    encode_all: Encoders
    vocab: int
    end: int


def tokens_of(path: Path) -> Tokens:
    tokenizer, encoder = open_tokenizer(path), open_encoder(path)
    size, end = tokenizer.get_vocab_size(), tokenizer.token_to_id(END_OF_TEXT)
    size, end = (size, end) if end is not None else (size + 1, size)

    def encode_all(texts: Sequence[str]) -> list[np.ndarray]:
        ids, offsets = encoder.ids(texts)
        return [np.append(ids[a:b].astype(np.int32), np.int32(end)) for a, b in pairwise(offsets.tolist())]

    return Tokens(lambda text: encode_all([text])[0], encode_all, size, end)


@dataclass(frozen=True, eq=False)
class Reading:
    """Documents of every bucket in the order of a draw, and how many tokens of each bucket are read."""

    documents: Mapping[str, tuple[str, ...]]
    lengths: Mapping[str, int]

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(i for docs in self.documents.values() for i in docs)


def reading(
    docs: pl.DataFrame,
    fraction: float,
    salt: str,
    totals: pl.DataFrame | None = None,
    known: frozenset[str] = frozenset(),
) -> Reading:
    """`fraction` of each bucket's tokens (and at least one), in the order of uniform(doc_id, salt).

    docs: doc_id, bucket, token_count, and that draw where it is known; where they are not all documents, `totals`
    (bucket, total) says how many tokens there are, with an end for each document. Documents that an earlier reading had
    (`known`) come after all others. A smaller fraction reads a beginning of the same.
    """
    if "draw" not in docs.columns:
        docs = docs.with_columns(pl.Series("draw", uniform(docs["doc_id"], salt)))
    drawn = docs.with_columns(
        pl.col("doc_id").is_in(pl.Series(sorted(known), dtype=pl.String).implode()).alias("known"),
        (pl.col("token_count") + 1).alias("size"),  # and the end
    ).sort("bucket", "known", "draw", "doc_id")
    if totals is None:
        drawn = drawn.with_columns(pl.col("size").sum().over("bucket").alias("total"))
    else:
        drawn = drawn.join(totals.select("bucket", "total"), on="bucket", maintain_order="left")
    before = pl.col("size").cum_sum().over("bucket") - pl.col("size")
    chosen = drawn.filter(before < fraction * pl.col("total"))
    grouped = chosen.group_by("bucket", maintain_order=True).agg("doc_id", pl.col("total").first())
    return Reading(
        {b: tuple(ids) for b, ids, _ in grouped.iter_rows()},
        {b: length_of(fraction, total) for b, _, total in grouped.iter_rows()},
    )


def length_of(fraction: float, total: int) -> int:
    """Tokens that are read of a bucket that has `total`."""
    return max(1, round(fraction * total))


def reordered(read: Reading, salt: str) -> Reading:
    """The same documents in the order of another draw."""
    documents = {}
    for bucket, ids in read.documents.items():
        draws = uniform(ids, salt)
        documents[bucket] = tuple(ids[i] for i in sorted(range(len(ids)), key=lambda i: (draws[i], ids[i])))
    return Reading(documents, read.lengths)


@dataclass(frozen=True, eq=False)
class Shelf:
    """Texts and tokens of all documents that the readings name."""

    texts: Mapping[str, str]
    tokens: Mapping[str, np.ndarray]


def shelf_of(texts: Mapping[str, str], encode_all: Encoders) -> Shelf:
    ids = sorted(texts)
    blocks = (ids[i : i + AT_ONCE] for i in range(0, len(ids), AT_ONCE))
    tokens = chain.from_iterable(encode_all([texts[i] for i in block]) for block in blocks)
    return Shelf(texts, dict(zip(ids, tokens, strict=True)))


@dataclass(frozen=True, eq=False)
class Material:
    """Everything that one proxy sees. `streams` (one per bucket) are what it repeats when it wants more."""

    buckets: tuple[str, ...]
    documents: tuple[tuple[str, ...], ...]  # doc_ids per bucket, in reading order
    streams: tuple[np.ndarray, ...]  # int32 ids
    targets: tuple[str, ...]
    target_texts: tuple[tuple[str, ...], ...]
    target_tokens: tuple[np.ndarray, ...]
    budget_tokens: int
    shelf: Shelf
    tokens: Tokens


def material(
    read: Reading, buckets: Sequence[str], targets: Mapping[str, Sequence["Piece"]], budget: int, shelf: Shelf,
    tokens: Tokens,
) -> Material:  # fmt: skip
    return Material(
        tuple(buckets),
        tuple(read.documents[b] for b in buckets),
        tuple(np.concatenate([shelf.tokens[i] for i in read.documents[b]])[: read.lengths[b]] for b in buckets),
        tuple(targets),
        tuple(tuple(p.text for p in pieces) for pieces in targets.values()),
        tuple(np.concatenate([p.tokens for p in pieces]) for pieces in targets.values()),
        budget,
        shelf,
        tokens,
    )


@dataclass(frozen=True, eq=False)
class Piece:
    """A text of a target, or a part of one; tokens end with `end`."""

    text: str
    tokens: np.ndarray
    whole: int = 0  # which of the target's texts it is, or is part of


def whole_texts(parts: Sequence[Piece], least: int) -> list[Piece]:
    """The parts of each text together again; the parts as they are where they are of fewer than `least` texts."""
    texts: dict[int, list[Piece]] = {}
    for part in parts:
        texts.setdefault(part.whole, []).append(part)
    if len(texts) < least:
        return list(parts)
    return [Piece("".join(p.text for p in t), np.concatenate([p.tokens for p in t]), i) for i, t in texts.items()]


def pieces(name: str, texts: Sequence[str], encode: Encoder, limit: int, least: int) -> list[Piece]:
    """The texts in their order, long ones in parts so that there are at least `least`, until `limit` tokens.

    Raises DataError where there is too little text for that.
    """
    reach = sum(len(t) for t in texts)
    size = max(1, min(PIECE_CHARS, reach // (4 * least)))
    result: list[Piece] = []
    left = limit
    for whole, text in enumerate(texts):
        parts = -(-len(text) // size)
        for i in range(parts):
            part = text[i * len(text) // parts : (i + 1) * len(text) // parts]
            tokens = encode(part)[:left]
            result.append(Piece(part, tokens, whole))
            left -= len(tokens)
            if left <= 0 and len(result) >= least:
                return result
            left = max(left, 1)  # a limit below the number of pieces: one token of each
    if len(result) < least:
        raise DataError(
            f"target {name!r} holds {reach} characters, too few to search on one part and confirm on "
            f"{least - 1} others; give it more text, fewer mixture.confirm.seeds, or set mixture.confirm: null"
        )
    return result


def divide(parts: Sequence[Piece], shares: Sequence[float]) -> list[list[Piece]]:
    """Consecutive groups of pieces, none empty, whose tokens come as near to the shares as pieces allow."""
    ends = np.cumsum([len(p.tokens) for p in parts])
    wanted = np.cumsum(shares)[:-1] / np.sum(shares) * ends[-1]
    cuts = [0]
    for i, at in enumerate(wanted):
        nearest = int(np.argmin(np.abs(ends - at))) + 1
        cuts.append(min(max(nearest, cuts[-1] + 1), len(parts) - (len(wanted) - i)))
    return [list(parts[a:b]) for a, b in pairwise([*cuts, len(parts)])]


def divided(
    texts: Mapping[str, Sequence[str]], encode: Encoder, limit: int, seeds: int, back: float
) -> list[dict[str, list[Piece]]]:
    """Target -> pieces of its text: `limit` tokens for the search, then those of each seed of the confirmation, which
    has the share `back` of all; without seeds the search has everything."""
    if not seeds:
        return [{n: pieces(n, t, encode, limit, 1) for n, t in texts.items()}]
    parts = {
        name: divide(pieces(name, t, encode, round(limit / (1 - back)), seeds + 1), [1 - back, *[back / seeds] * seeds])
        for name, t in texts.items()
    }
    return [{name: divided[i] for name, divided in parts.items()} for i in range(seeds + 1)]


def any_held_out(path: Path) -> bool:
    """Whether texts.parquet has any text; none is read."""
    return not pl.read_parquet(path, columns=["doc_id"], glob=False).is_empty()


def held_out_texts(path: Path) -> dict[str, list[str]]:
    """Target -> texts of texts.parquet, in the order of their draws."""
    held = pl.read_parquet(path, glob=False)
    held = held.with_columns(pl.Series("u", uniform(held["doc_id"], "target"))).sort("u", "doc_id")
    texts: dict[str, list[str]] = {}
    for target, text in held.select("target", "text").iter_rows():
        texts.setdefault(target, []).append(text)
    return {name: texts[name] for name in sorted(texts)}


def target_texts(validation: Sequence[str], fields: Sequence[str], held_out: Path) -> dict[str, list[str]]:
    """Target -> texts, of the user's files where there are some, else of the artifact of held-out texts."""
    return validation_texts(validation, fields) if validation else held_out_texts(held_out / "texts.parquet")


def validation_texts(paths: Sequence[str], fields: Sequence[str]) -> dict[str, list[str]]:
    """Target -> texts, a target per file, in the order of a draw: files are often sorted by what they hold.

    `fields` of a record are its text; without them `item_text` says what is. Raises ConfigError for a file without.
    """
    result: dict[str, list[str]] = {}
    for path in paths:
        if is_sidecar(path):
            continue
        name = _ENDINGS.sub("", Path(path).name)
        if name in result:
            raise ConfigError(f"mixture.validation: two files are called {name}; the name is the target's")
        texts = [
            text for where, record in read_records(path, "mixture.validation") if (text := _text(where, record, fields))
        ]
        if not texts:
            raise ConfigError(f"mixture.validation: {path} holds no text")
        draws = uniform([f"{name}/{i}" for i in range(len(texts))], "target")
        result[name] = [texts[i] for i in np.argsort(draws, kind="stable")]
    return {name: result[name] for name in sorted(result)}


def _text(where: str, record: Record, fields: Sequence[str]) -> str:
    try:
        return item_text(record, fields)
    except KeyError as error:
        raise ConfigError(
            f"{where}: no field {error.args[0]!r}; it has {', '.join(map(str, record))}: name those that are the text "
            "in mixture.validation_fields, e.g. [question, answer]"
        ) from None
