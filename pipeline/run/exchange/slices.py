"""Slice files: rows sorted by a 64-bit key in pieces that are addressed by offset, one piece per equal range of keys.

Layout: a piece after another, each an Arrow IPC stream of the rows whose key's first bits are the piece's number; then
an index of (offset, bytes, rows, bytes in memory, CRC-32) per piece; then the number of pieces, the CRC-32 of the index
and a mark. A reader of a range of keys reads the end of the file and the pieces that the range meets, whatever the
number of files.
The sink's files (`phases/sinking.py`) have the same layout, with pieces that their first piece names.
"""

import io
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.state import replaced
from gristmill.pipeline.run.exchange.planes import unpacked

KEYS = 1 << 64  # there are so many keys
PIECE_BYTES = 1 << 18  # of rows in a piece, on average
MOST_PIECES = 4096  # of one file: with 512 files at most about 2 million pieces
_END = struct.Struct("<II8s")
_MARK = b"gmslice2"
_ENTRY = 40  # bytes of a piece in the index


def weight(frame: pl.DataFrame) -> int:
    """Bytes of the values: a function of the rows, not of how they lie in memory."""
    total = 0
    for name, dtype in frame.schema.items():
        if dtype == pl.String:
            total += int(frame[name].str.len_bytes().sum()) + 8 * frame.height
        elif dtype == pl.Binary:
            total += int(frame[name].bin.size().sum()) + 8 * frame.height
        else:
            total += frame.height * (1 if dtype == pl.Boolean else 8)
    return total


def power(n: float) -> int:
    """The smallest power of two that is not below n."""
    return 1 << max(0, int(np.ceil(n)) - 1).bit_length()


def pieces_for(size: int) -> int:
    """Into how many pieces rows of so many bytes go."""
    return min(MOST_PIECES, power(size / PIECE_BYTES))


def ranges(n: int, low: int = 0, high: int = KEYS) -> Iterator[tuple[int, int]]:
    """[low, high) in n equal ranges; n divides it."""
    step = (high - low) // n
    return ((low + i * step, low + (i + 1) * step) for i in range(n))


def between(frame: pl.DataFrame, key: str, low: int, high: int) -> pl.DataFrame:
    """The rows of a sorted frame with low <= key < high."""
    keys = frame[key].to_numpy()
    begin = int(np.searchsorted(keys, np.uint64(low))) if low else 0
    end = int(np.searchsorted(keys, np.uint64(high))) if high < KEYS else frame.height
    return frame[begin:end]


Packing = Callable[[pl.DataFrame], tuple[pa.Table, pa.ipc.IpcWriteOptions]]


def as_is(frame: pl.DataFrame) -> tuple[pa.Table, pa.ipc.IpcWriteOptions]:
    return frame.to_arrow().combine_chunks(), pa.ipc.IpcWriteOptions()


def write_slices(path: Path, frames: Iterator[pl.DataFrame], pack: Packing = as_is) -> int:
    """Writes a piece per frame, in order, into a file that takes the place of `path`; how many rows it holds.

    A frame without columns is a piece of no bytes. `pack`: as_is, or planes.packed.
    """
    index: list[tuple[int, int, int, int, int]] = []
    with replaced(path) as file:
        for frame in frames:
            piece = _Checked(file)
            if frame.width:
                table, options = pack(frame)
                with pa.ipc.new_stream(piece, table.schema, options=options) as stream:
                    stream.write_table(table)
            index.append((piece.begin, file.tell() - piece.begin, frame.height, weight(frame), piece.crc))
        head = np.array(index, "<u8").reshape(-1, _ENTRY // 8).tobytes()
        file.write(head + _END.pack(len(index), zlib.crc32(head), _MARK))
    return sum(entry[2] for entry in index)


class _Checked(io.RawIOBase):
    """Writes through to a file, and holds the CRC-32 of what was written. Closing it leaves the file open."""

    def __init__(self, file: IO[bytes]):
        self.file, self.begin, self.crc = file, file.tell(), 0

    def writable(self) -> bool:
        return True

    def write(self, data: bytes) -> int:  # pyright: ignore[reportIncompatibleMethodOverride]
        self.crc = zlib.crc32(data, self.crc)
        return self.file.write(data)


@dataclass(frozen=True)
class Pieces:
    """What `write_slices` wrote, by the numbers of the pieces. Raises DataError where the file holds something else."""

    path: Path

    @cached_property
    def index(self) -> np.ndarray:
        """(pieces, 5) uint64: offset, bytes, rows, bytes in memory, CRC-32."""
        with self.path.open("rb") as file:
            size = file.seek(0, io.SEEK_END)
            if size >= _END.size:
                file.seek(size - _END.size)
                pieces, crc, mark = _END.unpack(file.read(_END.size))
                length = _ENTRY * pieces
                if mark == _MARK and size >= length + _END.size:
                    file.seek(size - _END.size - length)
                    head = file.read(length)
                    if zlib.crc32(head) == crc:
                        return np.frombuffer(head, "<u8").reshape(-1, _ENTRY // 8)
        raise self._damaged()

    @property
    def rows(self) -> int:
        return int(self.index[:, 2].sum())

    def frames(self, numbers: Iterable[int]) -> Iterator[pl.DataFrame]:
        """Pieces by their numbers; those of no bytes are left out."""
        with self.path.open("rb") as file:
            for number in numbers:
                offset, length, _, _, crc = (int(n) for n in self.index[number])
                if not length:
                    continue
                file.seek(offset)
                data = file.read(length)
                if zlib.crc32(data) != crc:
                    raise self._damaged()
                yield unpacked(pa.ipc.open_stream(data).read_all())

    def _damaged(self) -> DataError:
        return DataError(f"{self.path} is damaged; delete it and run again to recompute it")


@dataclass(frozen=True)
class Slices(Pieces):
    """A slice file of rows sorted by `key`."""

    key: str

    def _met(self, low: int, high: int) -> range:
        if not len(self.index):
            return range(0)
        step = KEYS // len(self.index)
        return range(low // step, -(-high // step))

    def size(self, low: int = 0, high: int = KEYS) -> int:
        """Bytes that the pieces which a range of keys meets take in memory."""
        met = self._met(low, high)
        return int(self.index[met.start : met.stop, 3].sum())

    def read(self, low: int = 0, high: int = KEYS) -> pl.DataFrame | None:
        """The rows with low <= key < high, sorted by key; None where there are none."""
        met = self._met(low, high)
        if not len(met) or not self.index[met.start : met.stop, 2].any():
            return None
        found = list(self.frames(met))
        frame = between(pl.concat(found), self.key, low, high)
        return frame if frame.height else None

    def walk(self, size: int) -> Iterator[pl.DataFrame]:
        """All rows in the order of their keys, in frames of about `size` bytes or one piece."""
        at = 0
        while at < len(self.index):
            ends = np.cumsum(self.index[at:, 3])
            stop = at + max(1, int(np.searchsorted(ends, size, side="right")))
            step = KEYS // len(self.index)
            frame = self.read(at * step, stop * step)
            if frame is not None:
                yield frame
            at = stop


def together(files: Sequence[Slices], low: int = 0, high: int = KEYS) -> pl.DataFrame | None:
    """The rows of a range of keys in several files, not sorted; None where there are none."""
    found = [frame for file in files if (frame := file.read(low, high)) is not None]
    return pl.concat(found) if found else None
