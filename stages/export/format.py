"""What an export format is: one output shard's rows (and token ids, where it wants them) to files, and the way back."""

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

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


class Format:
    """A file format of the corpus: a frozen dataclass whose fields are its settings."""

    folder: ClassVar[str]  # below corpus/
    suffix: ClassVar[str]  # of the file that a shard is
    tokens: ClassVar[bool] = False  # whether `write` is given token ids

    def write(self, shard: Shard, path: Path) -> list[Path]:
        """Writes a shard to `path` (which ends in `suffix`) and files beside it; all that it wrote."""
        raise NotImplementedError

    def finish(self, paths: Sequence[Path]) -> list[Path]:
        """Files about all shards, after the last; `paths` are those that `write` was given, in order."""
        return []

    def recount(self, path: Path) -> tuple[int, int | None]:
        """(documents, tokens) that a written shard holds, read from its bytes; tokens None where it holds text."""
        raise NotImplementedError
