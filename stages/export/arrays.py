"""Formats of token ids: Megatron's bin and idx, datatrove's ds, plain numpy arrays, MosaicML's MDS.

Layouts: megatron-core's indexed_dataset.py (IndexedDataset), datatrove's tokens/tokenizer.py (TokenizedFile), MosaicML
streaming's base/format/mds (MDSWriter). Each is read back in the tests.
"""

import json
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.state import replaced, write_text
from gristmill.stages.export.format import Format, Shard

_MEGATRON_HEADER = b"MMIDIDX\x00\x00"
_MEGATRON_DTYPES = {"uint16": 8, "int32": 4}  # megatron-core's DType


def write_array(path: Path, array: np.ndarray) -> None:
    with replaced(path) as file:
        array.tofile(file)


@dataclass(frozen=True)
class Megatron(Format):
    """<shard>.bin with the ids and <shard>.idx with lengths, byte offsets and documents: Megatron's IndexedDataset."""

    folder: ClassVar = "megatron"
    suffix: ClassVar = ".bin"
    tokens: ClassVar = True

    def write(self, shard: Shard, path: Path) -> list[Path]:
        spans = shard.spans
        ids = spans.ids if spans.ids.dtype == np.uint16 else spans.ids.astype(np.int32)
        lengths = np.diff(spans.ends).astype(np.int32)
        write_array(path, ids)
        index = path.with_suffix(".idx")
        with replaced(index) as file:
            file.write(_MEGATRON_HEADER)
            file.write(struct.pack("<QBQQ", 1, _MEGATRON_DTYPES[str(ids.dtype)], len(lengths), len(lengths) + 1))
            file.write(lengths.tobytes())
            file.write((spans.ends[:-1] * ids.itemsize).astype(np.int64).tobytes())
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

    def write(self, shard: Shard, path: Path) -> list[Path]:
        spans, beside = shard.spans, [path.with_name(path.name + end) for end in (".index", ".metadata")]
        write_array(path, spans.ids)
        write_array(beside[0], spans.ends[1:].astype("<u8"))
        total = len(spans.ids)
        write_text(beside[1], f"gristmill|{spans.ids.itemsize}\n{total}\n{total / 1e9:.1f}")
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

    def write(self, shard: Shard, path: Path) -> list[Path]:
        ends = path.with_suffix(".ends.npy")
        for place, array in ((path, shard.spans.ids), (ends, shard.spans.ends[1:])):
            with replaced(place) as file:
                np.save(file, array)
        return [path, ends]

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

    def write(self, shard: Shard, path: Path) -> list[Path]:
        samples = []
        for i, (doc_id, text) in enumerate(shard.rows.select("doc_id", "text").iter_rows()):
            cells = (doc_id.encode(), text.encode(), shard.spans.of(i).tobytes())
            samples.append(np.array([len(c) for c in cells], np.uint32).tobytes() + b"".join(cells))
        config = json.dumps(self._described(), sort_keys=True).encode()
        before = 4 + 4 * (len(samples) + 1) + len(config)
        offsets = before + np.concatenate([[0], np.cumsum([len(s) for s in samples])])
        if int(offsets[-1]) >= 1 << 32:
            raise ValueError(f"{path.name} would pass 4 GiB, which MDS cannot address; lower corpus.shard_bytes")
        with replaced(path) as file:
            file.write(struct.pack("<I", len(samples)) + offsets.astype("<u4").tobytes() + config)
            file.writelines(samples)
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
