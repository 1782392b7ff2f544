"""Formats of token ids: Megatron's bin and idx, datatrove's ds, plain numpy arrays, MosaicML's MDS.

Layouts: megatron-core's indexed_dataset.py (IndexedDataset), datatrove's tokens/tokenizer.py (TokenizedFile), MosaicML
streaming's base/format/mds (MDSWriter). Each is read back in the tests.
"""

import json
import shutil
import struct
from collections.abc import Callable, Generator, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryFile
from typing import IO, ClassVar

import numpy as np

from gristmill.pipeline.contract.state import replaced, write_text
from gristmill.stages.export.format import Format, Shard, Writing

_MEGATRON_HEADER = b"MMIDIDX\x00\x00"
_MEGATRON_DTYPES = {"uint16": 8, "int32": 4}  # megatron-core's DType


def ids_into(
    file: IO[bytes], form: Callable[[np.ndarray], np.ndarray] = lambda ids: ids
) -> Generator[None, Shard | None, tuple[np.ndarray, np.dtype]]:
    """Writes the ids of a shard's pieces, each in the given form; (ends (rows + 1,) int64, type of the ids)."""
    ends, total = [np.zeros(1, np.int64)], 0
    kind = np.dtype(np.uint16)
    while (piece := (yield)) is not None:
        ids = form(piece.spans.ids)
        kind = ids.dtype
        ids.tofile(file)
        ends.append(piece.spans.ends[1:] + total)
        total += len(ids)
    return np.concatenate(ends), kind


def header(file: IO[bytes], length: int, kind: np.dtype) -> int:
    """Writes the head of a .npy file of one dimension, which numpy pads so that the length may grow; its bytes."""
    described = {"descr": np.lib.format.dtype_to_descr(kind), "fortran_order": False, "shape": (length,)}
    np.lib.format.write_array_header_1_0(file, described)
    return file.tell()


@dataclass(frozen=True)
class Megatron(Format):
    """<shard>.bin with the ids and <shard>.idx with lengths, byte offsets and documents: Megatron's IndexedDataset."""

    folder: ClassVar = "megatron"
    suffix: ClassVar = ".bin"
    tokens: ClassVar = True

    def writing(self, path: Path) -> Writing:
        with replaced(path) as file:
            ends, kind = yield from ids_into(file, lambda ids: ids if ids.dtype == np.uint16 else ids.astype(np.int32))
        lengths = np.diff(ends).astype(np.int32)
        index = path.with_suffix(".idx")
        with replaced(index) as file:
            file.write(_MEGATRON_HEADER)
            file.write(struct.pack("<QBQQ", 1, _MEGATRON_DTYPES[str(kind)], len(lengths), len(lengths) + 1))
            file.write(lengths.tobytes())
            file.write((ends[:-1] * kind.itemsize).astype(np.int64).tobytes())
            file.write(np.arange(len(lengths) + 1, dtype=np.int64).tobytes())
        return [path, index]

    def recount(self, path: Path) -> tuple[int, int | None]:
        data = path.with_suffix(".idx").read_bytes()
        _, kind, rows, _ = struct.unpack_from("<QBQQ", data, len(_MEGATRON_HEADER))
        width = 2 if kind == _MEGATRON_DTYPES["uint16"] else 4
        return rows, path.stat().st_size // width


@dataclass(frozen=True)
class DatatroveTokens(Format):
    """<shard>.ds with the ids and <shard>.ds.index with the end of each document in tokens (uint64)."""

    folder: ClassVar = "ds"
    suffix: ClassVar = ".ds"
    tokens: ClassVar = True

    def writing(self, path: Path) -> Writing:
        beside = [path.with_name(path.name + end) for end in (".index", ".metadata")]
        with replaced(path) as file:
            ends, kind = yield from ids_into(file)
        with replaced(beside[0]) as file:
            file.write(ends[1:].astype("<u8").tobytes())
        total = int(ends[-1])
        write_text(beside[1], f"gristmill|{kind.itemsize}\n{total}\n{total / 1e9:.1f}")
        return [path, *beside]

    def recount(self, path: Path) -> tuple[int, int | None]:
        ends = np.fromfile(path.with_name(path.name + ".index"), "<u8")
        width = int(path.with_name(path.name + ".metadata").read_text().split("\n")[0].rsplit("|", 1)[1])
        return len(ends), path.stat().st_size // width


@dataclass(frozen=True)
class NumpyTokens(Format):
    """<shard>.npy with the ids in one array and <shard>.ends.npy with the end of each document (int64)."""

    folder: ClassVar = "npy"
    suffix: ClassVar = ".npy"
    tokens: ClassVar = True

    def writing(self, path: Path) -> Writing:
        beside = path.with_suffix(".ends.npy")
        with replaced(path) as file:
            begun = header(file, 0, np.dtype(np.uint16))
            ends, kind = yield from ids_into(file)
            file.seek(0)
            if header(file, int(ends[-1]), kind) != begun:
                raise ValueError(f"{path.name}: numpy left no room for the length in the head of the file")
        with replaced(beside) as file:
            np.save(file, ends[1:])
        return [path, beside]

    def recount(self, path: Path) -> tuple[int, int | None]:
        ids, ends = np.load(path, mmap_mode="r"), np.load(path.with_suffix(".ends.npy"), mmap_mode="r")
        return len(ends), len(ids)


@dataclass(frozen=True)
class Mds(Format):
    """MosaicML's streaming shards with doc_id, text and tokens (ids as bytes), and index.json over all of them."""

    folder: ClassVar = "mds"
    suffix: ClassVar = ".mds"
    tokens: ClassVar = True

    columns: ClassVar = {"doc_id": "str", "text": "str", "tokens": "bytes"}  # in the order of their names

    def writing(self, path: Path) -> Writing:
        sizes: list[int] = []
        with TemporaryFile(dir=path.parent) as samples:  # how many there are stands before the first
            while (piece := (yield)) is not None:
                for i, (doc_id, text) in enumerate(piece.rows.select("doc_id", "text").iter_rows()):
                    cells = (doc_id.encode(), text.encode(), piece.spans.of(i).tobytes())
                    heads = np.array([len(c) for c in cells], np.uint32).tobytes()
                    sizes.append(samples.write(heads + b"".join(cells)))
            config = json.dumps(self._described(), sort_keys=True).encode()
            before = 4 + 4 * (len(sizes) + 1) + len(config)
            offsets = before + np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)])
            if int(offsets[-1]) >= 1 << 32:
                raise ValueError(f"{path.name} would pass 4 GiB, which MDS cannot address; lower corpus.shard_bytes")
            with replaced(path) as file:
                file.write(struct.pack("<I", len(sizes)) + offsets.astype("<u4").tobytes() + config)
                samples.seek(0)
                shutil.copyfileobj(samples, file, 1 << 20)
        return [path]

    def _described(self) -> dict[str, object]:
        return {
            "version": 2, "format": "mds", "compression": None, "hashes": [], "size_limit": None,
            "column_names": list(self.columns), "column_encodings": list(self.columns.values()),
            "column_sizes": [None] * len(self.columns),
        }  # fmt: skip

    def finish(self, paths: Sequence[Path]) -> list[Path]:
        shards = [
            {
                **self._described(),
                "samples": self.recount(path)[0],
                "raw_data": {"basename": path.name, "bytes": path.stat().st_size, "hashes": {}},
                "zip_data": None,
            }
            for path in paths
        ]
        index = paths[0].with_name("index.json")
        write_text(index, json.dumps({"version": 2, "shards": shards}, sort_keys=True))
        return [index]

    def recount(self, path: Path) -> tuple[int, int | None]:
        with path.open("rb") as file:
            return struct.unpack("<I", file.read(4))[0], None
