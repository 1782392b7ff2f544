"""Texts to token ids under a `tokenizers` file: by fastokens where it can read the file, else by tokenizers itself.

The two give the same ids; fastokens refuses a file with a part that it does not know (docs/decisions/export.md has the
comparison, benchmarks/text/token_ids.py the speed). Truncation and padding are off, whatever the file says: sentence
models ship files that cut every text at 128 or 512 tokens. The marks that a file's post-processor adds (`[CLS]`,
`<s>`) are left out.
"""

from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.kernels.threads import environment

if TYPE_CHECKING:
    import fastokens
    from tokenizers import Tokenizer

# Long texts are cut into pieces before encoding: the memory of `tokenizers` per text is some 100 times its bytes.
PIECE_CHARS = 20_000
CALL_CHARS = 1 << 20  # characters that are encoded in one call


def open_tokenizer(path: Path, key: str = "tokenizer.path") -> "Tokenizer":
    """Raises ConfigError, naming `key`, where there is no such file or it is none that `tokenizers` reads."""
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ConfigError(f"{key}: no file {path}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise ConfigError(f"{key}: {path} is not a tokenizers file ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer


def training_threads(threads: int) -> AbstractContextManager[None]:
    """Lets `tokenizers` count words and pairs on so many threads, where this process has not trained before: its pool
    is made once. What it merges does not depend on them."""
    return environment({"TOKENIZERS_PARALLELISM": "true", "RAYON_NUM_THREADS": str(threads)})


class _Pieces(Protocol):
    def ids_of(self, pieces: list[str]) -> tuple[np.ndarray, np.ndarray]: ...


@dataclass(frozen=True, eq=False)
class _Fast:
    tokenizer: "fastokens.Tokenizer"

    def ids_of(self, pieces: list[str]) -> tuple[np.ndarray, np.ndarray]:
        ids, ends = self.tokenizer.encode_batch_flat(pieces, add_special_tokens=False)
        return np.frombuffer(ids, "<u4"), np.frombuffer(ends, "<u8").astype(np.int64)


@dataclass(frozen=True, eq=False)
class _Reference:
    tokenizer: "Tokenizer"

    def ids_of(self, pieces: list[str]) -> tuple[np.ndarray, np.ndarray]:
        found = [e.ids for e in self.tokenizer.encode_batch_fast(pieces, add_special_tokens=False)]
        ends = np.concatenate([[0], np.cumsum([len(ids) for ids in found])]).astype(np.int64)
        return np.fromiter(chain.from_iterable(found), np.uint32, int(ends[-1])), ends


@dataclass(frozen=True, eq=False)
class TokenEncoder:
    """A loaded tokenizer. `library`: which one encodes."""

    library: str
    pieces: _Pieces

    def ids(self, texts: Sequence[str], kind: type[np.unsignedinteger] = np.uint32) -> tuple[np.ndarray, np.ndarray]:
        """Token ids of all texts (of `kind`, which must hold them) and offsets (n + 1,) int64 into them; no text's ids
        depend on another's."""
        if not texts:
            return np.zeros(0, kind), np.zeros(1, np.int64)
        found: list[np.ndarray] = []
        sizes: list[np.ndarray] = []
        owned: list[int] = []
        for owners, pieces in _calls(texts):
            ids, ends = self.pieces.ids_of(pieces)
            found.append(ids.astype(kind, copy=False))
            sizes.append(np.diff(ends))
            owned += owners
        reached = np.concatenate([[0], np.cumsum(np.concatenate(sizes))]).astype(np.int64)
        pieces_n = np.bincount(owned, minlength=len(texts))
        return np.concatenate(found), reached[np.concatenate([[0], np.cumsum(pieces_n)])]

    def counts(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) int64 tokens of each text."""
        return np.diff(self.ids(texts)[1])


def open_encoder(path: Path, library: str | None = None) -> TokenEncoder:
    """`library`: "fastokens" or "tokenizers" alone; None takes fastokens where it reads the file.

    Raises ConfigError for a file that `tokenizers` does not read.
    """
    import fastokens

    reference = open_tokenizer(path)
    if library != "tokenizers":
        try:
            fast = fastokens.Tokenizer.from_file(str(path))
        except ValueError:
            if library == "fastokens":
                raise
        else:
            fast.no_truncation()
            fast.no_padding()
            return TokenEncoder("fastokens", _Fast(fast))
    return TokenEncoder("tokenizers", _Reference(reference))


def _calls(texts: Sequence[str]) -> Iterator[tuple[list[int], list[str]]]:
    """What to encode at a time: pieces of texts, CALL_CHARS characters at most, and whose they are."""
    owners: list[int] = []
    pieces: list[str] = []
    held = 0
    for i, text in enumerate(texts):
        for piece in _cut(text):
            if pieces and held + len(piece) > CALL_CHARS:
                yield owners, pieces
                owners, pieces, held = [], [], 0
            owners.append(i)
            pieces.append(piece)
            held += len(piece)
    if pieces:
        yield owners, pieces


def _cut(text: str) -> Iterator[str]:
    """Cuts at the last line end (else anywhere) before each limit; the pieces join to the text."""
    begin = 0
    while len(text) - begin > PIECE_CHARS:
        cut = text.rfind("\n", begin + PIECE_CHARS // 2, begin + PIECE_CHARS) + 1 or begin + PIECE_CHARS
        yield text[begin:cut]
        begin = cut
    yield text[begin:]
