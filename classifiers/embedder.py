"""Embeds texts as unit vectors, by TF-IDF and SVD fitted to the corpus or by a sentence-transformers model.

The fitted model needs no download and embeds thousands of pages a second on a core; a transformer knows paraphrase
and other languages but wants a GPU. Both give values that float16 holds exactly, so that sidecars compress.
"""

import hashlib
import json
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Protocol, cast

import numpy as np
import polars as pl

from gristmill.classifiers.vocabulary import Vocabulary
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.kernels.numbers.embedding import embed_rows, sparse_product
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.terms import character_tables, hash_table
from gristmill.pipeline.kernels.threads import side_by_side

TFIDF_SVD = "tfidf-svd"

SIDE_BY_SIDE = 2  # parts of a product: a worker's neighbours wait while the model is fitted
LEAST_STRENGTH = 1e-4  # of a column beside the others, as a share of the greatest

# log(count) is tabulated up to here; no count in 2 * max_chars terms is much larger.
_LOG_COUNTS = 4096


class Embedder(Protocol):
    """Texts to (n, dims) float32 rows of unit length; all zeros where the text holds nothing the model knows."""

    def embed(self, texts: pl.Series) -> np.ndarray: ...


@dataclass(frozen=True)
class TfidfSvd:
    """Latent semantic analysis: sublinear TF-IDF projected on its leading right singular vectors.

    weights (terms, dims) float32 = idf x singular vectors.
    """

    vocabulary: Vocabulary
    weights: np.ndarray

    def embed(self, texts: pl.Series) -> np.ndarray:
        log_counts = np.zeros(_LOG_COUNTS, np.float32)
        log_counts[1:] = 1 + np.log(np.arange(1, _LOG_COUNTS))
        vocabulary = self.vocabulary
        table = hash_table(vocabulary.hashes)
        buffers, tables = utf8(texts), character_tables()
        rows = embed_rows(*buffers, *tables, vocabulary.max_chars, vocabulary.hashes, table, self.weights, log_counts)
        return half_precision(rows)


def fit_tfidf_svd(vocabulary: Vocabulary, texts: pl.Series, dims: int, seed: int, threads: int) -> TfidfSvd:
    """Fits the projection to `texts`. Fewer than `dims` dimensions come out if the texts span fewer.

    Randomised range finder with power iterations (Halko, Martinsson, Tropp, arXiv:0909.4061, alg. 4.4); each
    vector's largest entry is made positive, and entries are rounded to six decimals.
    """
    from scipy.sparse import csr_matrix, diags
    from threadpoolctl import threadpool_limits

    ends, ids, counts = vocabulary.count(texts)
    idf = vocabulary.idf()
    values = (1 + np.log(counts)) * idf[ids]
    shape = (len(texts), len(idf))
    matrix = csr_matrix((values, ids, ends), shape=shape)
    norms = np.sqrt(np.asarray(matrix.multiply(matrix).sum(axis=1)).ravel())
    matrix = csr_matrix(diags(1 / np.where(norms > 0, norms, 1)) @ matrix)
    rank = min(dims, *shape)
    rows = matrix.indptr, matrix.indices, matrix.data

    def project(dense: np.ndarray, back: bool = False) -> np.ndarray:
        """matrix @ dense, or its transpose; columns side by side, which do not depend on each other."""
        out, width = np.zeros((shape[back], dense.shape[1])), dense.shape[1]
        cuts = [width * i // SIDE_BY_SIDE for i in range(SIDE_BY_SIDE + 1)]
        side_by_side(
            lambda i: sparse_product(*rows, dense, out, back, cuts[i], cuts[i + 1]), range(SIDE_BY_SIDE), SIDE_BY_SIDE
        )
        return out

    with threadpool_limits(threads):
        # 20 extra directions and 4 power iterations: the residual of the last kept vector is below 1%.
        width = min(rank + 20, *shape)
        basis = project(np.random.default_rng(seed).standard_normal((shape[1], width)))
        for _ in range(4):
            basis = orthonormal(project(orthonormal(basis), back=True))
            basis = project(basis)
        basis, _ = np.linalg.qr(basis)
        _, strengths, vectors = np.linalg.svd(project(basis, back=True).T, full_matrices=False)
    spanned = strengths[:rank] > 1e-6 * strengths[0]
    vectors = vectors[:rank][spanned]
    largest = np.abs(np.round(vectors, 9)).argmax(axis=1)
    vectors *= np.sign(vectors[np.arange(len(vectors)), largest])[:, None]
    weights = np.ascontiguousarray(np.round(vectors.T * idf[:, None], 6), dtype=np.float32)
    return TfidfSvd(vocabulary, weights)


def orthonormal(columns: np.ndarray) -> np.ndarray:
    """(n, m) orthonormal columns of the same span, to about 1e-16 times the square of its condition.

    Cholesky's factor of the Gram matrix (Fukaya et al., arXiv:1401.7899) takes a fifth of Householder's time, which
    stays where the columns are nearly dependent.
    """
    try:
        factor = np.linalg.cholesky(columns.T @ columns)
    except np.linalg.LinAlgError:
        return np.linalg.qr(columns)[0]
    strengths = np.diag(factor)
    if strengths.min() < LEAST_STRENGTH * strengths.max():
        return np.linalg.qr(columns)[0]
    return columns @ np.linalg.inv(factor).T


@dataclass(frozen=True)
class SentenceEncoder:
    """A sentence-transformers model. Inputs of one length class are encoded in blocks of one fixed shape.

    A row is padded to the next of 16, 32, 64 ... max_tokens and a block is filled up with empty rows, so every
    matrix product has a shape that depends on the row's own length, not on its neighbours.
    """

    model: str
    revision: str | None
    max_tokens: int
    max_chars: int
    device: str
    block_rows: int
    threads: int
    trust_remote_code: bool

    def embed(self, texts: pl.Series) -> np.ndarray:
        import torch

        model = _open_transformer(self.model, self.revision, self.device, self.trust_remote_code)
        torch.set_num_threads(self.threads)
        tokenizer = cast(Callable, model.tokenizer)
        heads = [t[: self.max_chars] for t in texts.fill_null("")]
        limit = min(self.max_tokens, model.max_seq_length or self.max_tokens)
        lengths = [len(i) for i in tokenizer(heads, truncation=True, max_length=limit)["input_ids"]] if heads else []
        classes = [min(limit, max(16, 1 << (n - 1).bit_length())) for n in lengths]
        rows = np.zeros((len(heads), _width(model)), np.float32)
        for length in sorted(set(classes)):
            members = [i for i, c in enumerate(classes) if c == length]
            for start in range(0, len(members), self.block_rows):
                block = members[start : start + self.block_rows]
                filled = [heads[i] for i in block] + [""] * (self.block_rows - len(block))
                features = tokenizer(
                    filled, padding="max_length", truncation=True, max_length=length, return_tensors="pt"
                )
                with torch.inference_mode():
                    out = model({k: v.to(model.device) for k, v in features.items()})["sentence_embedding"]
                rows[block] = out.float().cpu().numpy()[: len(block)]
        norms = np.sqrt(np.square(rows, dtype=np.float64).cumsum(axis=1)[:, -1:]) if len(rows) else rows[:, :1]
        return half_precision((rows / np.where(norms > 0, norms, 1)).astype(np.float32))


@cache
def _open_transformer(name: str, revision: str | None, device: str, trust_remote_code: bool):
    """Kept for the life of the process: opening one takes seconds and gigabytes."""
    try:
        from sentence_transformers import SentenceTransformer
    except ImportError as e:
        raise ConfigError(
            f"embed.model={name!r} needs sentence-transformers; install gristmill[transformers] or use {TFIDF_SVD!r}"
        ) from e
    options = {"revision": revision, "device": device, "trust_remote_code": trust_remote_code}
    return SentenceTransformer(name, **options).eval()


def _width(model) -> int:
    probe = getattr(model, "get_embedding_dimension", None) or model.get_sentence_embedding_dimension
    return int(probe())


def half_precision(rows: np.ndarray) -> np.ndarray:
    """The nearest values that float16 holds, as float32."""
    return rows.astype(np.float16).astype(np.float32)


def folder_digest(folder: Path) -> str:
    """blake2b-128 of a local model's files, by name and content."""
    digest = hashlib.blake2b(digest_size=16)
    for path in sorted(p for p in folder.rglob("*") if p.is_file()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        with path.open("rb") as file:
            digest.update(hashlib.file_digest(file, "blake2b").digest())
    return digest.hexdigest()


def save_tfidf_svd(model: TfidfSvd, folder: Path) -> None:
    """The vocabulary is saved beside it by the caller."""
    np.save(folder / "weights.npy", model.weights)
    facts = {"kind": TFIDF_SVD, "dims": model.weights.shape[1]}
    (folder / "model.json").write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")


def save_encoder(encoder: SentenceEncoder, folder: Path) -> None:
    """Names the model; a local one also by the digest of its files."""
    local = Path(encoder.model)
    facts = {
        "kind": "sentence-transformers",
        "digest": folder_digest(local) if local.is_dir() else None,
        **{name: getattr(encoder, name) for name in encoder.__dataclass_fields__},
    }
    (folder / "model.json").write_text(json.dumps(facts, sort_keys=True), encoding="utf-8")


def open_embedder(folder: Path) -> Embedder:
    """The embedder whose artifact lies in `folder`. Raises InputError if a local model's files have changed."""
    facts = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    if facts["kind"] == TFIDF_SVD:
        return TfidfSvd(Vocabulary.load(folder), np.load(folder / "weights.npy"))
    digest = facts.pop("digest")
    facts.pop("kind")
    encoder = SentenceEncoder(**facts)
    if digest is not None and (not Path(encoder.model).is_dir() or folder_digest(Path(encoder.model)) != digest):
        raise InputError(
            f"embed.model: the files of {encoder.model} are not those this run was started with; restore them or "
            "start a new run folder"
        )
    return encoder
