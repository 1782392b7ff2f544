"""Real English text by domain for the benchmarks: documents, tokens, streams.

FOLDER/domains/en/<domain>.jsonl.zst hold {text, doc_id}; FOLDER as in benchmarks/data.py.
"""

import json
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import zstandard
from tokenizers import Tokenizer, models, pre_tokenizers, trainers

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import data_folder

from gristmill.pipeline.contract.draws import uniform
from gristmill.stages.mixture.streams import stream

TEXTS = data_folder() / "domains" / "en"
END = 0


@dataclass(frozen=True)
class Document:
    doc_id: str
    text: str


def read(domain: str, max_chars: int) -> list[Document]:
    """Documents of a domain in the order of their draw, pieces of at most 8,000 characters, max_chars in all."""
    raw = zstandard.ZstdDecompressor().stream_reader((TEXTS / f"{domain}.jsonl.zst").open("rb")).read().decode()
    rows = [json.loads(line) for line in raw.split("\n") if line]
    pieces = [
        Document(f"{row['doc_id']}/{i}", row["text"][i : i + 8000])
        for row in rows
        for i in range(0, len(row["text"]), 8000)
        if row["text"][i : i + 8000].strip()
    ]
    draws = uniform([p.doc_id for p in pieces], "benchmark.read")
    kept, size = [], 0
    for i in np.argsort(draws, kind="stable"):
        if size >= max_chars:
            break
        kept.append(pieces[i])
        size += len(pieces[i].text)
    return kept


def tokenizer(texts: Sequence[str], vocab: int) -> Tokenizer:
    """Byte-level BPE; id 0 closes a document."""
    result = Tokenizer(models.BPE())
    result.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=vocab,
        special_tokens=["<|endoftext|>"],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    result.train_from_iterator(texts, trainer)
    return result


def tokens_of(encoder: Tokenizer, documents: Sequence[Document], salt: str) -> np.ndarray:
    """One stream, documents in the order of their draw under `salt`."""
    encoded = [np.array(e.ids, np.int32) for e in encoder.encode_batch([d.text for d in documents])]
    return stream([d.doc_id for d in documents], encoded, END, salt)


def split(documents: Sequence[Document], held_out: float) -> tuple[list[Document], list[Document]]:
    """(training, held back): whole source documents fall on one side."""
    sources = [d.doc_id.rsplit("/", 1)[0] for d in documents]
    back = uniform(sources, "benchmark.held_out") < held_out
    return [d for d, b in zip(documents, back, strict=True) if not b], [
        d for d, b in zip(documents, back, strict=True) if b
    ]


def domains_and_targets(
    names: Sequence[str], vocab: int, bucket_tokens: int, target_tokens: int
) -> tuple[Mapping[str, np.ndarray], Mapping[str, np.ndarray]]:
    """A bucket and a target per domain: streams of at most so many tokens, from different source documents."""
    documents = {n: read(n, 6 * (bucket_tokens + 5 * target_tokens)) for n in names}
    parts = {n: split(d, 0.1) for n, d in documents.items()}
    sample = [d.text for train, _ in parts.values() for d in train[:100]]
    encoder = tokenizer(sample, vocab)
    buckets = {n: tokens_of(encoder, train, "benchmark.bucket")[:bucket_tokens] for n, (train, _) in parts.items()}
    targets = {n: tokens_of(encoder, back, "benchmark.target")[:target_tokens] for n, (_, back) in parts.items()}
    return buckets, targets
