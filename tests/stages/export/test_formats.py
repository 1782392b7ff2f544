"""Every export format is read back, by its own reader where there is one: the same documents, tokens and order."""

import json
import struct
import tarfile
from decimal import Decimal
from itertools import pairwise
from pathlib import Path

import numpy as np
import orjson
import polars as pl
import pytest
import zstandard
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from gristmill.pipeline.contract.corpus.splits import numbered
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.export import CorpusShards
from gristmill.stages.export.corpus import COLUMNS
from gristmill.stages.export.named import FORMATS
from gristmill.stages.export.packed import best_fit, concatenated

UNITS = ("00000-of-00002", "00001-of-00002")
TEXTS = [
    "one small text",
    "",
    "Zwei Zeilen\nüber 日本語",
    "x" * 3000,
    "the end <|endoftext|> is within",
    "again, the fifth",
]


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=400, special_tokens=["<|endoftext|>", "<s>"], show_progress=False,
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
    )  # fmt: skip
    made.train_from_iterator(TEXTS * 20, trainer)
    folder = tmp_path_factory.mktemp("tokenizer")
    made.save(str(folder / "tokenizer.json"))
    return folder


def rows(first: int, n: int) -> pl.DataFrame:
    texts = [TEXTS[(first + i) % len(TEXTS)] for i in range(n)]
    columns: dict[str, object] = dict.fromkeys(COLUMNS)
    columns |= {"doc_id": [f"d{first + i}" for i in range(n)], "text": texts, "copies_n": 1, "epoch": 0, "bucket": "b"}
    return pl.DataFrame(columns).select("doc_id", *COLUMNS, "epoch")


@pytest.fixture(scope="module")
def written(tokenizer: Path, tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, CorpusShards, list[pl.DataFrame]]:
    sink = CorpusShards(format=tuple(FORMATS), sequence_length=64, begin_token="<s>")
    corpus = tmp_path_factory.mktemp("corpus")
    frames = [rows(0, 7), rows(7, 5)]
    for unit, frame in zip(UNITS, frames, strict=True):
        for path in sink.write([frame[:3], frame[3:]], corpus, unit, {"ingest.tokenizer": tokenizer}):
            assert path.is_file()
    assert [p.name for p in sink.finish(corpus, UNITS)] == ["index.json"]
    return corpus, sink, frames


def expected_ids(tokenizer: Path, text: str) -> list[int]:
    reference = Tokenizer.from_file(str(tokenizer / "tokenizer.json"))
    return [
        reference.token_to_id("<s>"), *reference.encode(text, add_special_tokens=False).ids,
        reference.token_to_id("<|endoftext|>"),
    ]  # fmt: skip


def test_every_format_counts_all_documents_and_tokens(written, tokenizer):
    corpus, sink, frames = written
    texts = [t for f in frames for t in f["text"]]
    ids = sum(len(expected_ids(tokenizer, t)) for t in texts)
    held = {"megatron": ids, "ds": ids, "npy": ids, "packed": ids}
    assert sink.recount(corpus, UNITS) == {name: (12, held.get(name)) for name in FORMATS}


@pytest.mark.parametrize("shard", [0, 1])
def test_text_formats_hold_the_rows_in_order(written, shard):
    corpus, _, frames = written
    stem, frame = f"train-{UNITS[shard]}", frames[shard]
    assert (
        pl.read_parquet(corpus / "data" / f"{stem}.parquet")
        .select("doc_id", "text")
        .equals(frame.select("doc_id", "text"))
    )
    lines = zstandard.open(corpus / "jsonl" / f"{stem}.jsonl.zst").read().split(b"\n")[:-1]
    assert [json.loads(line) for line in lines] == frame.to_dicts()
    with tarfile.open(corpus / "webdataset" / f"{stem}.tar") as tar:
        names = tar.getnames()
        texts = [tar.extractfile(n).read().decode() for n in names if n.endswith(".txt")]  # type: ignore[union-attr]
        about = [orjson.loads(tar.extractfile(n).read()) for n in names if n.endswith(".json")]  # type: ignore[union-attr]
    assert texts == frame["text"].to_list()
    assert [a["doc_id"] for a in about] == frame["doc_id"].to_list()


def test_datasets_reads_parquet_and_json_lines(written, tmp_path):
    datasets = pytest.importorskip("datasets")
    corpus, _, frames = written
    texts = [t for f in frames for t in f["text"]]
    for kind, files in (("parquet", "data/train-*.parquet"), ("json", "jsonl/train-*.jsonl.zst")):
        found = datasets.load_dataset(
            kind, data_files=str(corpus / files), split="train", streaming=True, cache_dir=str(tmp_path)
        )
        assert [row["text"] for row in found] == texts


def test_webdataset_reads_its_shards(written):
    webdataset = pytest.importorskip("webdataset")
    corpus, _, frames = written
    files = [str(p) for p in sorted((corpus / "webdataset").glob("*.tar"))]
    found = [sample["txt"].decode() for sample in webdataset.WebDataset(files, shardshuffle=False)]
    assert found == [t for f in frames for t in f["text"]]


@pytest.mark.parametrize("shard", [0, 1])
def test_token_formats_hold_the_ids_of_tokenizers_in_order(written, tokenizer, shard):
    corpus, _, frames = written
    stem = f"train-{UNITS[shard]}"
    wanted = [expected_ids(tokenizer, t) for t in frames[shard]["text"]]
    assert megatron_documents(corpus / "megatron" / stem) == wanted
    ends = np.fromfile(corpus / "ds" / f"{stem}.ds.index", "<u8")
    ids = np.fromfile(corpus / "ds" / f"{stem}.ds", "<u2")
    assert [p.tolist() for p in np.split(ids, ends[:-1].astype(int))] == wanted
    plain, ends = np.load(corpus / "npy" / f"{stem}.npy"), np.load(corpus / "npy" / f"{stem}.ends.npy")
    assert [p.tolist() for p in np.split(plain, ends[:-1])] == wanted


def megatron_documents(path: Path) -> list[list[int]]:
    """megatron-core's documented layout (core/datasets/indexed_dataset.py), read without our writer."""
    index = path.with_suffix(".idx").read_bytes()
    assert index[:9] == b"MMIDIDX\x00\x00"
    version, kind, sequences, documents = struct.unpack_from("<QBQQ", index, 9)
    assert (version, kind, documents) == (1, 8, sequences + 1)
    at = 9 + struct.calcsize("<QBQQ")
    lengths = np.frombuffer(index, np.int32, sequences, at)
    pointers = np.frombuffer(index, np.int64, sequences, at + 4 * sequences)
    assert np.frombuffer(index, np.int64, documents, at + 12 * sequences).tolist() == list(range(documents))
    data = path.with_suffix(".bin").read_bytes()
    return [np.frombuffer(data, np.uint16, n, p).tolist() for n, p in zip(lengths, pointers, strict=True)]


def test_datatrove_reads_its_token_files(written, tokenizer):
    from datatrove.utils.dataset import DatatroveFolderDataset

    corpus, _, frames = written
    wanted = [i for f in frames for t in f["text"] for i in expected_ids(tokenizer, t)]
    found = DatatroveFolderDataset(str(corpus / "ds"), seq_len=63, filename_pattern="*.ds", token_size=2)
    read = [int(i) for n in range(len(found)) for i in found[n]["input_ids"]]
    first = shard_size(frames[0], tokenizer)
    pieces = [*blocks(wanted[:first]), *blocks(wanted[first:])]
    assert read == [i for block in pieces for i in block]


def shard_size(frame: pl.DataFrame, tokenizer: Path) -> int:
    return sum(len(expected_ids(tokenizer, t)) for t in frame["text"])


def blocks(ids: list[int]) -> list[list[int]]:
    """Whole windows of 64 ids of one file, which is how datatrove's dataset reads it."""
    return [ids[i : i + 64] for i in range(0, len(ids) - 63, 64)]


def test_mds_shards_read_as_streaming_lays_them_out(written, tokenizer):
    """MosaicML streaming's own reader wants another huggingface-hub than datasets does; its layout is read here."""
    corpus, _, frames = written
    index = json.loads((corpus / "mds" / "index.json").read_text())
    found = []
    for shard in index["shards"]:
        data = (corpus / "mds" / shard["raw_data"]["basename"]).read_bytes()
        assert len(data) == shard["raw_data"]["bytes"]
        (n,) = struct.unpack_from("<I", data)
        assert n == shard["samples"]
        offsets = np.frombuffer(data, "<u4", n + 1, 4)
        assert json.loads(data[4 * (n + 2) : offsets[0]])["column_names"] == shard["column_names"]
        for begin, end in pairwise(offsets):
            sizes = np.frombuffer(data, "<u4", 3, begin)
            cells, at = [], begin + 12
            for size in sizes:
                cells.append(data[at : at + size])
                at += size
            assert at == end
            found.append((cells[0].decode(), cells[1].decode(), np.frombuffer(cells[2], np.uint16).tolist()))
    assert found == [
        (i, t, expected_ids(tokenizer, t)) for f in frames for i, t in f.select("doc_id", "text").iter_rows()
    ]


def test_packed_sequences_hold_every_token_once(written, tokenizer):
    corpus, _, frames = written
    for unit, frame in zip(UNITS, frames, strict=True):
        sequences = np.load(corpus / "packed" / f"train-{unit}.npy")
        pieces = np.load(corpus / "packed" / f"train-{unit}.pieces.npy")
        assert sequences.shape[1] == 64
        found: dict[int, dict[int, int]] = {}
        for number, place, row, first, tokens in pieces.tolist():
            for i in range(tokens):
                found.setdefault(row, {})[first + i] = int(sequences[number, place + i])
        for row, text in enumerate(frame["text"]):
            wanted = expected_ids(tokenizer, text)
            assert [found[row][i] for i in range(len(wanted))] == wanted


@pytest.mark.parametrize("pack", [best_fit, concatenated])
@pytest.mark.parametrize("seed", range(3))
def test_packing_places_every_token_and_overfills_nothing(pack, seed):
    lengths = np.random.default_rng(seed).integers(0, 300, 200)
    packed = pack(lengths, 128)
    assert all(sum(n for _, _, n in pieces) <= 128 for pieces in packed)
    seen = sorted(piece for pieces in packed for piece in pieces)
    for row, n in enumerate(lengths.tolist()):
        own = [(first, size) for r, first, size in seen if r == row]
        assert sum(size for _, size in own) == n
        assert [first for first, _ in own] == [sum(s for _, s in own[:i]) for i in range(len(own))]


def test_best_fit_keeps_short_documents_whole_and_wastes_little():
    lengths = np.random.default_rng(0).integers(1, 100, 2000)
    packed = best_fit(lengths, 128)
    assert all(first == 0 for pieces in packed for _, first, _ in pieces)
    assert len(packed) * 128 < 1.02 * lengths.sum()
    assert len(concatenated(lengths, 128)) == -(-int(lengths.sum()) // 128)


def test_large_vocabularies_take_32_bits_and_no_end_token_is_no_error(tmp_path):
    made = Tokenizer(models.WordLevel({f"w{i}": i for i in range(70_000)}, unk_token="w0"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    sink = CorpusShards(format=("megatron", "npy"))
    frame = rows(0, 2).with_columns(text=pl.Series(["w69999 w1", "w2"]))
    sink.write([frame], tmp_path / "corpus", "00000-of-00001", {"ingest.tokenizer": tmp_path})
    ids = np.load(tmp_path / "corpus/npy/train-00000-of-00001.npy")
    assert (ids.dtype, ids.tolist()) == (np.uint32, [69_999, 1, 2])
    assert np.fromfile(tmp_path / "corpus/megatron/train-00000-of-00001.bin", np.int32).tolist() == [69_999, 1, 2]


@pytest.mark.parametrize(
    ("fields", "said"),
    [
        ({"format": ("csv",)}, "corpus.format: 'csv'; there are ds, jsonl.zst"),
        ({"format": ()}, "at least one"),
        ({"format": ("parquet", "parquet")}, "different formats"),
    ],
)
def test_wrong_formats_are_refused_with_those_that_there_are(fields, said):
    with pytest.raises(ConfigError, match=said):
        CorpusShards(**fields)


def test_a_token_that_the_tokenizer_has_not_is_named(tokenizer, tmp_path):
    sink = CorpusShards(format=("npy",), end_token="<|im_end|>")
    with pytest.raises(ConfigError, match=r"corpus\.end_token: the run's tokenizer has no token '<|im_end|>'"):
        sink.write([rows(0, 1)], tmp_path, UNITS[0], {"ingest.tokenizer": tokenizer})


def test_every_shard_is_a_random_sample_of_the_buckets():
    """Chi-square of bucket counts over 8 shards, with 1 to 3 copies of each document."""
    rng = np.random.default_rng(0)
    n = 12_000
    batch = pl.DataFrame({"doc_id": [f"d{i}" for i in range(n)], "copies_n": rng.integers(1, 4, n),
                          "bucket": rng.choice(["a", "b", "c", "d"], n, p=[0.5, 0.3, 0.15, 0.05])})  # fmt: skip
    out = CorpusShards().scatter(batch, numbered(8))
    counts = (
        out.group_by("shard", "bucket").len().pivot(on="bucket", index="shard", values="len").drop("shard").to_numpy()
    )
    expected = counts.sum(axis=0) / 8
    assert ((counts - expected) ** 2 / expected).sum() < 48.3  # 99.9% of chi-square with 28 degrees of freedom


def test_copies_of_a_document_are_an_epoch_apart():
    batch = pl.DataFrame({"doc_id": [f"d{i}" for i in range(3000)], "copies_n": [1 + i % 3 for i in range(3000)]})
    out = CorpusShards().scatter(batch, numbered(1)).sort("_key").with_row_index("at")
    thrice = out.filter(pl.col("copies_n") == 3).sort("doc_id", "epoch")
    places = thrice["at"].to_numpy().reshape(-1, 3) / out.height
    assert (np.diff(places) > 0).all()
    assert (places[:, 0] < 0.36).all()
    assert (places[:, 2] > 0.64).all()
    assert np.diff(places).mean() == pytest.approx(1 / 3, abs=0.02)


def test_decimals_and_bytes_have_a_form_in_json_and_empty_documents_are_counted(tmp_path):
    sink = CorpusShards(format=("jsonl.zst", "webdataset", "packed"), published=(("x", ("price", "raw")),))
    frame = rows(0, 2).with_columns(price=pl.Series([Decimal("1.50"), None]), raw=pl.Series([b"\xff", b""]))
    made = Tokenizer(models.WordLevel({"one": 0, "small": 1}, unk_token="one"))
    made.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    made.save(str(tmp_path / "tokenizer.json"))
    sink.write([frame], tmp_path / "corpus", "00000-of-00001", {"ingest.tokenizer": tmp_path})
    (line, *_) = zstandard.open(tmp_path / "corpus/jsonl/train-00000-of-00001.jsonl.zst").read().split(b"\n")
    assert (json.loads(line)["price"], json.loads(line)["raw"]) == ("1.50", "/w==")
    counts = sink.recount(tmp_path / "corpus", ["00000-of-00001"])
    assert counts == {"jsonl.zst": (2, None), "webdataset": (2, None), "packed": (2, 3)}
