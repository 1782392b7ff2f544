"""embed.model and embed: terms, the fitted space, transformers, and the laws of a row-local stage."""

import json
import shutil
import unicodedata
from collections import Counter
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frames import FakeCorpus
from gristmill.classifiers.embedder import fit_tfidf_svd, orthonormal
from gristmill.classifiers.vocabulary import fit_vocabulary
from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.pipeline.contract.samples import drawn_sample
from gristmill.pipeline.kernels.numbers.embedding import sparse_product, vectors_of, vectors_to_series
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.terms import SPACELESS, character_tables, distinct_terms, hash_table
from gristmill.stages.embed import Embed, EmbedModel

HOSTILE = [
    "",
    "a",
    "\x00",
    " \t\n\u2028\u0085",
    "e\u0301tude \u202eabc\u202c so\u00adft zero\u200dwidth",
    "שלום עולם مرحبا بالعالم",
    "日本語のテキスト 漢 字 ภาษาไทย",
    "\U00020000\U00020001 \U0001d400\U0001d401 \U0001f600\U0001f600 \U0010ffff",
    "١٢٣ 456 ４５６",
    "İstanbul ΣΊΣΥΦΟΣ ẞ",
    "x" * 1_000_000,
    "word " * 100_000,
]

ENGLISH = pl.Series(["en"] * 100)

TOPICS = {
    "food": "bake the cake with butter sugar flour and eggs in a warm oven until golden",
    "law": "the court shall amend the statute pursuant to section four of the act",
    "sea": "sailors watched the stormy ocean from the deck of their old wooden ship",
}


def topic_docs(copies: int = 20) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    texts = [" ".join(rng.permutation(t.split())[:9]) for t in TOPICS.values() for _ in range(copies)]
    return pl.DataFrame({"doc_id": [f"d{i:03d}" for i in range(len(texts))], "text": texts, "language": "en"})


def fit(out: Path, docs: pl.DataFrame, batch: int = 7, **fields) -> Path:
    out.mkdir(parents=True)
    frames = [docs[i : i + batch] for i in range(0, docs.height, batch)]
    EmbedModel(**({"dims": 8, "max_df_frac": 0.5} | fields)).run(FakeCorpus(frames), out)
    return out


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in folder.iterdir()}


def python_terms(text: str, max_chars: int) -> list[str]:
    """The kernel's terms, spelled out."""
    classes, _ = character_tables()
    terms, word, run = [], "", ""

    def close(kept_word: bool, kept_run: bool) -> None:
        nonlocal word, run
        if word and not kept_word:
            terms.append(word)
            word = ""
        if not kept_run:
            if len(run) == 1:
                terms.append(run)
            run = ""

    for char in text[:max_chars]:
        code, category = ord(char), unicodedata.category(char)
        if category == "Cf" and code < 0x10000:
            continue
        low = "0" if category == "Nd" and code < 0x10000 else char.lower() if len(char.lower()) == 1 else char
        if code >= 0x10000:
            low = char
        spaceless = code >= 0x20000 or (code < 0x10000 and classes[code] == SPACELESS)
        letter = category[0] in "LMN" if code < 0x10000 else code < 0x1F000
        if spaceless:
            close(False, True)
            if run:
                terms.append(run[-1] + low)
            run += low
        elif letter:
            close(True, False)
            word += low
        else:
            close(False, False)
    close(False, False)
    return terms


@pytest.mark.parametrize("max_chars", [3, 8000])
def test_terms_hostile_texts_equal_the_python_twin(max_chars: int):
    docs = pl.Series(HOSTILE)
    hashes, ends = distinct_terms(*utf8(docs), *character_tables(), max_chars)
    expected = [set(python_terms(t, max_chars)) for t in HOSTILE]
    assert np.diff(ends).tolist() == [len(e) for e in expected]
    hash_of: dict[str, int] = {}
    for word in set().union(*expected):
        found, _ = distinct_terms(*utf8(pl.Series([word])), *character_tables(), 8000)
        hash_of[word] = int(found[0])
    assert len(set(hash_of.values())) == len(hash_of)
    for row, words in enumerate(expected):
        assert {int(h) for h in hashes[ends[row] : ends[row + 1]]} == {hash_of[w] for w in words}


def test_text_buffers_of_a_slice_with_nulls_reads_the_same_rows():
    texts = pl.Series(["zero", None, "zwei drei", "日本"])
    for start in range(4):
        _, ends = distinct_terms(*utf8(texts[start:]), *character_tables(), 100)
        assert np.diff(ends).tolist() == [1, 0, 2, 1][start:]


def test_vocabulary_keeps_terms_within_the_document_frequencies():
    texts = pl.Series(["Ab cd", "ab ef", "AB cd gh", "ab 12"])
    vocabulary = fit_vocabulary(texts, ENGLISH[:4], max_terms=10, min_df=2, max_df_frac=0.9, max_chars=100)
    assert vocabulary.terms == ("cd",)
    vocabulary = fit_vocabulary(texts, ENGLISH[:4], max_terms=2, min_df=1, max_df_frac=1.0, max_chars=100)
    assert vocabulary.terms == ("ab", "cd")
    assert vocabulary.frequencies.tolist() == [4, 2]


def test_vocabulary_leaves_out_the_function_words_of_every_common_language():
    english, german = [f"the {'abcdefghi'[i % 9]}" for i in range(70)], [f"der {'jklm'[i % 4]}" for i in range(20)]
    texts, languages = pl.Series(english + german), pl.Series(["en"] * 70 + ["de"] * 20)
    found = fit_vocabulary(texts, languages, 100, min_df=2, max_df_frac=0.9, max_chars=100).terms
    assert "the" not in found
    assert "der" not in found
    # With 19 documents German is too rare to judge.
    found = fit_vocabulary(texts[:89], languages[:89], 100, min_df=2, max_df_frac=0.9, max_chars=100).terms
    assert "der" in found


def test_vocabulary_without_a_qualifying_term_names_the_setting():
    with pytest.raises(DataError, match="min_df"):
        fit_vocabulary(pl.Series(["one", "two"]), ENGLISH[:2], 10, min_df=2, max_df_frac=1.0, max_chars=100)


def test_vocabulary_counts_equal_a_counter():
    texts = pl.Series(["b a b c b", "c 漢字漢字", ""])
    vocabulary = fit_vocabulary(texts, ENGLISH[:3], 100, 1, 1.0, 100)
    rows, terms, counts = vocabulary.count(texts)
    for i, text in enumerate(texts):
        found = {
            vocabulary.terms[t]: int(c)
            for t, c in zip(terms[rows[i] : rows[i + 1]], counts[rows[i] : rows[i + 1]], strict=True)
        }
        assert found == Counter(python_terms(text, 100))


def test_hash_table_with_colliding_low_bits_finds_every_key():
    keys = (np.arange(100, dtype=np.uint64) << np.uint64(32)) + np.uint64(5)
    slots = hash_table(keys)
    assert sorted(slots[slots >= 0].tolist()) == list(range(100))


def test_projection_equals_the_exact_svd():
    texts = topic_docs()["text"]
    vocabulary = fit_vocabulary(texts, ENGLISH[:60], 1000, 1, 1.0, 1000)
    model = fit_tfidf_svd(vocabulary, texts, dims=3, seed=1, threads=1)
    rows, terms, counts = vocabulary.count(texts)
    dense = np.zeros((len(texts), len(vocabulary.terms)))
    for i in range(len(texts)):
        dense[i, terms[rows[i] : rows[i + 1]]] = 1 + np.log(counts[rows[i] : rows[i + 1]])
    dense *= vocabulary.idf()
    unit = dense / np.linalg.norm(dense, axis=1, keepdims=True)
    exact = np.linalg.svd(unit, full_matrices=False)[2][:3]
    reached = (model.weights / vocabulary.idf()[:, None]).T
    assert np.abs(np.sum(exact * reached, axis=1)) == pytest.approx([1, 1, 1], abs=1e-4)
    projected = dense @ reached.T
    expected = projected / np.linalg.norm(projected, axis=1, keepdims=True)
    assert model.embed(texts) == pytest.approx(expected, abs=2e-3)


def test_embed_model_any_order_of_batches_gives_the_same_bytes(tmp_path: Path):
    docs = topic_docs()
    first = files(fit(tmp_path / "a", docs, sample_docs=40))
    second = files(fit(tmp_path / "b", docs.sample(fraction=1, shuffle=True, seed=3), batch=11, sample_docs=40))
    assert first == second
    assert len(json.loads(first["sample.json"])) == 40


def test_embed_model_of_an_empty_corpus_says_so(tmp_path: Path):
    with pytest.raises(DataError, match="no document"):
        fit(tmp_path / "a", topic_docs().clear())


def test_embed_same_topic_is_nearer_than_another(tmp_path: Path):
    docs = topic_docs()
    annotate = Embed().open({"embed.model": fit(tmp_path / "m", docs)})
    vectors = vectors_of(annotate(docs)["embedding"])
    similar = vectors @ vectors.T
    same = np.kron(np.eye(3), np.ones((20, 20))) > 0
    assert similar[same].min() > similar[~same].max()


def test_embed_any_split_of_a_batch_changes_nothing(tmp_path: Path):
    docs = pl.concat(
        [
            topic_docs(),
            pl.DataFrame({"doc_id": [f"h{i}" for i in range(len(HOSTILE))], "text": HOSTILE, "language": "und"}),
        ]
    )
    annotate = Embed().open({"embed.model": fit(tmp_path / "m", docs)})
    whole = annotate(docs)
    for size in (1, 5, 64):
        assert pl.concat([annotate(docs[i : i + size]) for i in range(0, docs.height, size)]).equals(whole)
    assert whole["doc_id"].to_list() == docs["doc_id"].to_list()


def test_embed_rows_are_unit_vectors_or_zero_and_exact_in_float16(tmp_path: Path):
    docs = topic_docs()
    annotate = Embed().open({"embed.model": fit(tmp_path / "m", docs)})
    found = vectors_of(
        annotate(pl.DataFrame({"doc_id": ["a", "b", "c"], "text": [docs["text"][0], "", "???"]}))["embedding"]
    )
    assert np.linalg.norm(found, axis=1) == pytest.approx([1, 0, 0], abs=1e-3)
    assert np.array_equal(found, found.astype(np.float16).astype(np.float32))


def test_embed_empty_batch_keeps_the_schema(tmp_path: Path):
    docs = topic_docs()
    empty = Embed().open({"embed.model": fit(tmp_path / "m", docs)})(docs.clear())
    assert empty.schema == pl.Schema({"doc_id": pl.String, "embedding": pl.List(pl.Float32)})


def test_vectors_of_ragged_or_null_rows_is_an_error():
    for column in ([[1.0], [1.0, 2.0]], [[1.0], None]):
        with pytest.raises(DataError, match="recompute"):
            vectors_of(pl.Series("embedding", column, dtype=pl.List(pl.Float32)))
    with pytest.raises(DataError, match="3 are expected"):
        vectors_of(vectors_to_series(np.ones((2, 2), np.float32)), 3)


def test_drawn_sample_is_the_same_for_any_order_and_per_group():
    docs = pl.DataFrame({"doc_id": [str(i) for i in range(500)], "group": ["a"] * 450 + ["b"] * 50})
    whole = drawn_sample([docs], 30, "s")
    pieces = docs.sample(fraction=1, shuffle=True, seed=1)
    assert drawn_sample([pieces[i : i + 9] for i in range(0, 500, 9)], 30, "s").equals(whole)
    grouped = drawn_sample([pieces[i : i + 9] for i in range(0, 500, 9)], 30, "s", by="group")
    assert grouped.group_by("group").len().sort("group").rows() == [("a", 30), ("b", 30)]
    assert grouped.equals(drawn_sample([docs], 30, "s", by="group"))
    assert drawn_sample([docs], None, "s").height == 500
    assert drawn_sample([], 30, "s").is_empty()


@pytest.fixture(scope="module")
def transformer(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A tiny BERT with random weights, saved as a sentence-transformers folder."""
    pytest.importorskip("sentence_transformers")
    import torch
    from sentence_transformers import SentenceTransformer
    from sentence_transformers.sentence_transformer.modules import Pooling, Transformer
    from transformers import BertConfig, BertModel, BertTokenizerFast

    folder = tmp_path_factory.mktemp("bert")
    words = sorted({w for t in TOPICS.values() for w in t.split()})
    (folder / "vocab.txt").write_text("\n".join(["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *words, *"abcdefgh"]))
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=13 + len(words), hidden_size=32, num_hidden_layers=2, num_attention_heads=2, intermediate_size=64
    )
    BertModel(config).save_pretrained(folder / "bert")
    BertTokenizerFast(vocab_file=str(folder / "vocab.txt")).save_pretrained(folder / "bert")
    word = Transformer(str(folder / "bert"))
    SentenceTransformer(modules=[word, Pooling(32)], device="cpu").save(str(folder / "model"))
    return folder / "model"


@pytest.mark.parametrize("block_rows", [1, 4])
def test_embed_with_a_transformer_is_row_local(tmp_path: Path, transformer: Path, block_rows: int):
    docs = topic_docs(6)
    docs = pl.concat(
        [docs, pl.DataFrame({"doc_id": ["x", "y"], "text": ["", " ".join(TOPICS.values()) * 9], "language": "en"})]
    )
    model = fit(tmp_path / "m", docs, model=str(transformer), block_rows=block_rows)
    annotate = Embed().open({"embed.model": model})
    whole = annotate(docs)
    assert np.linalg.norm(vectors_of(whole["embedding"]), axis=1) == pytest.approx(np.ones(docs.height), abs=2e-3)
    for size in (1, 3):
        assert pl.concat([annotate(docs[i : i + size]) for i in range(0, docs.height, size)]).equals(whole)
    assert annotate(docs.reverse()).reverse().equals(whole)
    assert annotate(docs.clear()).schema == whole.schema


def test_embed_with_a_transformer_equals_sentence_transformers(tmp_path: Path, transformer: Path):
    from sentence_transformers import SentenceTransformer

    docs = topic_docs(2)
    annotate = Embed().open({"embed.model": fit(tmp_path / "m", docs, model=str(transformer))})
    reference = SentenceTransformer(str(transformer), device="cpu").encode(
        docs["text"].to_list(), normalize_embeddings=True
    )
    assert vectors_of(annotate(docs)["embedding"]) == pytest.approx(reference, abs=1e-3)


def test_embed_with_a_changed_model_folder_is_an_error(tmp_path: Path, transformer: Path):
    copy = tmp_path / "copy"
    shutil.copytree(transformer, copy)
    model = fit(tmp_path / "m", topic_docs(2), model=str(copy))
    (copy / "README.md").write_text("changed")
    with pytest.raises(InputError, match="restore"):
        Embed().open({"embed.model": model})


@pytest.mark.parametrize("ratio", [1.0, 1e-3, 1e-9, 0.0])
def test_orthonormal_columns_span_what_they_did_however_near_to_dependent(ratio):
    columns = np.random.default_rng(0).standard_normal((200, 5))
    columns[:, 4] = columns[:, :4].sum(axis=1) + ratio * columns[:, 4]
    basis = orthonormal(columns)
    assert basis.T @ basis == pytest.approx(np.eye(5), abs=1e-8)
    assert basis @ (basis.T @ columns) == pytest.approx(columns, abs=1e-8)


@pytest.mark.parametrize("back", [False, True])
def test_sparse_product_is_the_sum_in_the_order_of_the_rows(back):
    from scipy.sparse import random as some

    matrix = some(40, 30, 0.2, "csr", random_state=0)
    dense = np.random.default_rng(0).standard_normal((40 if back else 30, 7))
    expected = (matrix.T if back else matrix) @ dense
    found = np.zeros(expected.shape)
    for low, high in ((0, 3), (3, 7)):
        sparse_product(matrix.indptr, matrix.indices, matrix.data, dense, found, back, low, high)
    assert found.tolist() == expected.tolist()
