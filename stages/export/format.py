"""What an export format is: one output shard's rows (and token ids, where it wants them) to files, and the way back."""

from collections.abc import Generator, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, TypeAlias

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.contract.columns import arrow_schema

MAX_UINT16 = 65_500  # megatron-core takes uint16 below this size of vocabulary, else int32


@dataclass(frozen=True, eq=False)
class TokenSpans:
    """Token ids of the rows of a shard: row i has ids[ends[i]:ends[i + 1]], its begin and end tokens with it."""

    ids: np.ndarray  # uint16 or uint32
    ends: np.ndarray  # (rows + 1,) int64

    def of(self, row: int) -> np.ndarray:
        return self.ids[self.ends[row] : self.ends[row + 1]]


@dataclass(frozen=True, eq=False)
class Shard:
    """An output shard. tokens: None for formats that hold text only."""

    rows: pl.DataFrame
    tokens: TokenSpans | None
    carried: pa.Table | None = None  # columns of the input, which `rows` has too, with their own Arrow types

    @property
    def table(self) -> pa.Table:
        """The rows with the types of the column dictionary, and those of the input."""
        own = self.carried.column_names if self.carried is not None else []
        rows = self.rows.drop(own)
        table = rows.to_arrow().cast(arrow_schema(rows.columns))
        for name in own:
            table = table.append_column(name, self.carried[name])  # pyright: ignore[reportOptionalSubscript]
        return table

    @property
    def spans(self) -> TokenSpans:
        assert self.tokens is not None
        return self.tokens


def joined(pieces: Sequence[Shard]) -> Shard:
    """The pieces of a shard as one."""
    if len(pieces) == 1:
        return pieces[0]
    tokens = None
    if pieces[0].tokens is not None:
        spans = [piece.spans for piece in pieces]
        sizes = np.concatenate([np.diff(s.ends) for s in spans])
        tokens = TokenSpans(np.concatenate([s.ids for s in spans]), np.concatenate([[0], np.cumsum(sizes)]))
    tables = [piece.carried for piece in pieces if piece.carried is not None]
    return Shard(pl.concat([p.rows for p in pieces]), tokens, pa.concat_tables(tables) if tables else None)


Writing: TypeAlias = Generator[None, Shard | None, list[Path]]


def written_by(formats: Sequence[tuple["Format", Path]], pieces: Iterator[Shard]) -> list[Path]:
    """Writes the pieces of a shard in all formats, piece after piece; every file that was written."""
    files: list[Path] = []
    with ExitStack() as stack:
        running = [stack.enter_context(closing(one.writing(path))) for one, path in formats]
        for writing in running:
            next(writing)
        for piece in pieces:
            for writing in running:
                writing.send(piece)
        for writing in running:
            try:
                writing.send(None)
            except StopIteration as end:
                files += end.value
    return files


class Format:
    """A file format of the corpus: a frozen dataclass whose fields are its settings."""

    folder: ClassVar[str]  # below corpus/
    suffix: ClassVar[str]  # of the file that a shard is
    tokens: ClassVar[bool] = False  # whether `write` is given token ids

    def write(self, shard: Shard, path: Path) -> list[Path]:
        """Writes a shard to `path` (which ends in `suffix`) and files beside it; all that it wrote."""
        raise NotImplementedError

    def writing(self, path: Path) -> Writing:
        """A coroutine that is sent the pieces of a shard in order, then None, and returns all that it wrote.

        This one keeps the whole shard in memory for `write`; a format that can do without overrides it.
        """
        pieces: list[Shard] = []
        while (piece := (yield)) is not None:
            pieces.append(piece)
        return self.write(joined(pieces), path)

    def finish(self, paths: Sequence[Path]) -> list[Path]:
        """Files about all shards, after the last; `paths` are those that `write` was given, in order."""
        return []

    def recount(self, path: Path) -> tuple[int, int | None]:
        """(documents, tokens) that a written shard holds, read from its bytes; tokens None where it holds text."""
        raise NotImplementedError


class Unread(Format):
    """A format of the user's own whose code is not imported: a place in the plan that nothing can write or read."""

    def __init__(self, name: str):
        self.folder, self.suffix = name, ""  # pyright: ignore[reportAttributeAccessIssue]
