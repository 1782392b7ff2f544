"""Token ids: fastokens gives those of tokenizers on every file that it reads; what it refuses goes to the other."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest
from tokenizers import Regex, Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from gristmill.classifiers.tokenizer import CALL_CHARS, PIECE_CHARS, open_encoder
from gristmill.stages.ingest import Ingest

ODD = [
    "", " ", "\0", "a\u0301 é ﬁ Ⅳ ½", "👩‍👩‍👧 x", "<|endoftext|> within <|endoftext|>", "  \n\n \t  lines\r\n\r\n",
    "1234567890 12,345.67", "İstanbul ẞ straße", "\u202eabc\ufeff", "　全角　です。日本語の文章",
    "Привет, мир! Как дела?", "ไม่มีช่องว่าง", "שלום עולם", "مرحبا بالعالم", "don't WE'LL i'd",
    "x" * (2 * PIECE_CHARS + 7), "line\n" * PIECE_CHARS,
]  # fmt: skip
# The patterns by which published models split text before BPE (their tokenizer.json): GPT-4 and Llama 3, Qwen 2.
GPT4 = (
    r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*"
    r"|\s*[\r\n]+|\s+(?!\S)|\s+"
)
QWEN = GPT4.replace("{1,3}", "")


@pytest.fixture(scope="module")
def texts(demo_shard: Path) -> list[str]:
    stage = Ingest(paths=(str(demo_shard),))
    return [*stage.run(stage.parts()[0])[0]["text"][:120], *ODD]


def split_by(pattern: str) -> pre_tokenizers.PreTokenizer:
    split = pre_tokenizers.Split(Regex(pattern), "isolated")
    return pre_tokenizers.Sequence([split, pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)])


def bpe(
    texts: list[str], before: pre_tokenizers.PreTokenizer, normal: normalizers.Normalizer | None = None
) -> Tokenizer:
    made = Tokenizer(models.BPE())
    made.pre_tokenizer = before
    made.decoder = decoders.ByteLevel()
    if normal is not None:
        made.normalizer = normal
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    trainer = trainers.BpeTrainer(
        vocab_size=3000, special_tokens=["<|endoftext|>", "<pad>"], show_progress=False, initial_alphabet=alphabet
    )
    made.train_from_iterator(texts[:100], trainer)
    return made


def made(kind: str, texts: list[str]) -> Tokenizer:
    plain = pre_tokenizers.ByteLevel(add_prefix_space=False)
    if kind in ("wordpiece", "unigram"):
        result = Tokenizer(models.WordPiece(unk_token="<unk>") if kind == "wordpiece" else models.Unigram())
        result.normalizer = normalizers.BertNormalizer(lowercase=True) if kind == "wordpiece" else normalizers.NFKC()
        result.pre_tokenizer = pre_tokenizers.BertPreTokenizer() if kind == "wordpiece" else pre_tokenizers.Metaspace()
        of = trainers.WordPieceTrainer if kind == "wordpiece" else trainers.UnigramTrainer
        more = {} if kind == "wordpiece" else {"unk_token": "<unk>"}
        result.train_from_iterator(
            texts[:60], of(vocab_size=1500, special_tokens=["<unk>"], show_progress=False, **more)
        )
        return result
    result = {
        "run": lambda: bpe(texts, plain),
        "prefix": lambda: bpe(texts, pre_tokenizers.ByteLevel(add_prefix_space=True)),
        "lower": lambda: bpe(texts, plain, normalizers.Sequence([normalizers.NFC(), normalizers.Lowercase()])),
        "llama": lambda: bpe(texts, split_by(GPT4)),
        "qwen": lambda: bpe(texts, split_by(QWEN), normalizers.NFC()),
        "metaspace": lambda: bpe(texts, pre_tokenizers.Metaspace()),
    }[kind]()
    if kind == "run":
        result.add_tokens(["hello", "  "])
        result.post_processor = processors.TemplateProcessing(
            single="<pad> $A <pad>", special_tokens=[("<pad>", result.token_to_id("<pad>"))]
        )
        result.enable_truncation(7)
        result.enable_padding(length=9)
    return result


@pytest.mark.parametrize(
    ("kind", "library"),
    [
        ("run", "fastokens"), ("prefix", "fastokens"), ("lower", "fastokens"), ("llama", "fastokens"),
        ("qwen", "fastokens"), ("metaspace", "tokenizers"), ("wordpiece", "tokenizers"), ("unigram", "tokenizers"),
    ],
)  # fmt: skip
def test_ids_are_those_of_tokenizers_whatever_the_file_holds(kind, library, texts, tmp_path):
    made(kind, texts).save(str(tmp_path / "t.json"))
    encoder, reference = open_encoder(tmp_path / "t.json"), open_encoder(tmp_path / "t.json", "tokenizers")
    assert encoder.library == library
    for ours, theirs in zip(encoder.ids(texts), reference.ids(texts), strict=True):
        assert np.array_equal(ours, theirs)
    assert encoder.counts(texts).tolist() == np.diff(encoder.ids(texts)[1]).tolist()


def test_ids_of_a_text_are_its_own_and_read_back(texts, tmp_path):
    tokenizer = bpe(texts, pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.save(str(tmp_path / "t.json"))
    encoder = open_encoder(tmp_path / "t.json")
    ids, offsets = encoder.ids(texts)
    for i, text in enumerate(texts):
        own = ids[offsets[i] : offsets[i + 1]]
        assert np.array_equal(own, encoder.ids([text])[0])
        assert tokenizer.decode(own.tolist(), skip_special_tokens=False) == text
    assert encoder.ids([])[1].tolist() == [0]


def test_texts_beyond_one_call_are_counted_like_alone(texts, tmp_path):
    bpe(texts, pre_tokenizers.ByteLevel(add_prefix_space=False)).save(str(tmp_path / "t.json"))
    encoder = open_encoder(tmp_path / "t.json")
    many = ["a line of text\n" * (CALL_CHARS // 40), "b", "c " * CALL_CHARS]
    assert encoder.counts(many).tolist() == [int(encoder.counts([t])[0]) for t in many]


def test_tokens_stage_counts_what_the_reference_encodes(texts, tmp_path):
    from gristmill.stages.tokens import TOKENIZER, Tokens

    tokenizer = bpe(texts, pre_tokenizers.ByteLevel(add_prefix_space=False))
    tokenizer.save(str(tmp_path / TOKENIZER))
    short = [t for t in texts if len(t) <= PIECE_CHARS]
    batch = pl.DataFrame({"doc_id": [str(i) for i in range(len(short))], "text": short})
    counted = Tokens().open({"ingest.tokenizer": tmp_path})(batch)["token_count"].to_list()
    assert counted == [len(tokenizer.encode(t, add_special_tokens=False)) for t in short]
