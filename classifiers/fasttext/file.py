"""Reads what a fastText model file says of itself without loading it: its labels, and whether all its bytes are there.

The library loads a file that was cut short without a word, its missing weights as zeros. Layout: fastText's
FastText::saveModel, Dictionary::save, DenseMatrix::save, QuantMatrix::save and ProductQuantizer::save.
"""

import os
import struct
from collections.abc import Iterator
from typing import BinaryIO

from gristmill.pipeline.contract.errors import InputError

_MAGIC, _NEWEST = 793712314, 12  # fasttext.cc: FASTTEXT_FILEFORMAT_MAGIC_INT32, FASTTEXT_VERSION
_HEAD = struct.Struct("<2i12id3i2q")  # magic, version, the arguments, and the dictionary's sizes
_MOST_ENTRIES = 50_000_000
_CENTROIDS = 256  # of a product quantizer's part: one byte names one


def read_labels(path: str) -> tuple[str, ...]:
    """Labels of a whole model. Raises InputError, without the path, for any other file."""
    try:
        with open(path, "rb") as file:
            head = _HEAD.unpack(file.read(_HEAD.size))
            magic, version, entries, pruned = head[0], head[1], head[15], head[19]
            if magic != _MAGIC or not 11 <= version <= _NEWEST or not 0 <= entries <= _MOST_ENTRIES:
                raise InputError("is no fastText model")
            end = _HEAD.size
            labels = []
            for entry in _entries(file, entries):
                end += len(entry) + 1
                if entry[-1] == 1:  # entry_type::label
                    labels.append(entry[:-9].decode("utf-8", "replace"))
            needed = _end_of_matrices(file, end + 8 * max(pruned, 0))
            if needed > (size := os.fstat(file.fileno()).st_size):
                raise InputError(f"is damaged: it has {size:,} bytes and says that it has {needed:,}; fetch it again")
    except (struct.error, EOFError) as error:
        raise InputError(f"is no fastText model ({error})") from None
    if not labels:
        raise InputError("is no fastText classifier: it has no labels")
    return tuple(labels)


def _entries(file: BinaryIO, n: int) -> Iterator[bytes]:
    """Words of a dictionary, each with its count (8 bytes) and type (1) but without the zero after the word."""
    held, at = b"", 0
    for _ in range(n):
        while (end := held.find(b"\0", at)) < 0 or len(held) < end + 10:
            more = file.read(1 << 20)
            if not more:
                raise EOFError("it is cut short")
            held, at = held[at:] + more, 0
        yield held[at:end] + held[end + 1 : end + 10]
        at = end + 10


def _end_of_matrices(file: BinaryIO, at: int) -> int:
    """Where the file must end at least, from the sizes that its two matrices state; `at`: where they begin."""
    file.seek(at)
    (quantized,) = _read(file, "<?")
    end = _end_of_matrix(file, at + 1, quantized)
    file.seek(end)
    (both,) = _read(file, "<?")
    return _end_of_matrix(file, end + 1, quantized and both)


def _end_of_matrix(file: BinaryIO, at: int, quantized: bool) -> int:
    file.seek(at)
    if not quantized:
        rows, columns = _positive(*_read(file, "<2q"))
        return at + 16 + 4 * rows * columns
    normed, rows, columns, codes = _read(file, "<?2qi")
    _positive(rows, columns, codes)
    end = _end_of_quantizer(file, at + 21 + codes)
    return _end_of_quantizer(file, end + rows) if normed else end


def _end_of_quantizer(file: BinaryIO, at: int) -> int:
    file.seek(at)
    dimensions, *parts = _positive(*_read(file, "<4i"))
    return at + 4 * (1 + len(parts)) + 4 * dimensions * _CENTROIDS


def _read(file: BinaryIO, form: str) -> tuple:
    return struct.unpack(form, file.read(struct.calcsize(form)))


def _positive(*sizes: int) -> tuple[int, ...]:
    if min(sizes) < 0:
        raise InputError("is damaged: it states a negative size; fetch it again")
    return sizes
