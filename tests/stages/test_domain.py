"""domain and domain.bucket: labels by prototype or fastText, and the unit of the mixture a document belongs to."""

from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frames import FakeCorpus
from gristmill.classifiers.domain import LABELS, Prototypes
from gristmill.classifiers.domain_labels import DOMAIN_WORDS
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.kernels.numbers.embedding import vectors_to_series
from gristmill.stages.domain import Bucket, Domain
from gristmill.stages.embed import Embed, EmbedModel


def word_docs(copies: int = 12) -> pl.DataFrame:
    """Documents of eight words of one label, so that the right answer is known."""
    rng = np.random.default_rng(0)
    rows = [
        (f"{label}-{i}", " ".join(rng.permutation(sorted(set(words.split())))[:20]), label)
        for label, words in DOMAIN_WORDS.items()
        for i in range(copies)
    ]
    return pl.DataFrame(rows, schema=["doc_id", "text", "label"], orient="row").with_columns(language=pl.lit("en"))


@pytest.fixture(scope="module")
def embedded(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Path], pl.DataFrame]:
    docs, out = word_docs(), tmp_path_factory.mktemp("embed.model")
    EmbedModel(min_df=1, dims=64).run(FakeCorpus([docs]), out)
    artifacts = {"embed.model": out}
    return artifacts, docs.with_columns(Embed().open(artifacts)(docs)["embedding"])


def test_labels_are_the_published_26():
    assert len(LABELS) == len(set(LABELS)) == 26
    assert {"Adult", "Science", "Travel_and_Transportation", "Sensitive_Subjects"} <= set(LABELS)


def test_domain_documents_of_a_labels_words_get_that_label(embedded):
    artifacts, docs = embedded
    found = Domain().open(artifacts)(docs.select("doc_id", "embedding"))
    # Some words stand in several lists (church, rent, price), so a few documents are honestly ambiguous.
    assert (found["domain"] == docs["label"]).mean() > 0.9
    assert found["domain_prob"].is_between(1 / 26, 1).all()


def test_domain_of_a_zero_vector_is_null(embedded):
    artifacts, docs = embedded
    zeros = pl.DataFrame({"doc_id": ["a"], "embedding": [[0.0] * len(docs["embedding"][0])]})
    found = Domain().open(artifacts)(zeros.cast({"embedding": pl.List(pl.Float32)}))
    assert found.rows() == [("a", None, None)]


def test_domain_below_min_prob_is_null_but_keeps_its_probability(embedded):
    artifacts, docs = embedded
    plain = Domain().open(artifacts)(docs)
    limit = sorted(plain["domain_prob"])[docs.height // 2]
    strict = Domain(min_prob=limit).open(artifacts)(docs)
    assert strict["domain_prob"].equals(plain["domain_prob"])
    assert strict["domain"].is_null().to_list() == (plain["domain_prob"] < limit).to_list()
    assert strict["domain"].null_count() == docs.height // 2


def test_domain_any_split_of_a_batch_changes_nothing(embedded):
    artifacts, docs = embedded
    annotate = Domain().open(artifacts)
    whole = annotate(docs)
    for size in (1, 17):
        assert pl.concat([annotate(docs[i : i + size]) for i in range(0, docs.height, size)]).equals(whole)
    assert annotate(docs.clear()).schema == {"doc_id": pl.String, "domain": pl.String, "domain_prob": pl.Float32}


def test_probabilities_are_a_softmax_of_cosines():
    prototypes = Prototypes(("a", "b"), np.array([[1, 0], [0, 1]], np.float32))
    found = prototypes.probabilities(np.array([[1, 0], [0.6, 0.8], [0, 0]], np.float32), temperature=0.5)
    expected = 1 / (1 + np.exp(-np.array([1.0, -0.2, 0.0]) / 0.5))
    assert found[:, 0] == pytest.approx(expected, rel=1e-6)
    assert found.sum(axis=1) == pytest.approx(np.ones(3))


@pytest.fixture(scope="module")
def fasttext_model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    import fasttext

    folder = tmp_path_factory.mktemp("ft")
    lines = ["__label__sea ocean ship sail wave", "__label__law court judge act statute"] * 50
    (folder / "train.txt").write_text("\n".join(lines))
    model = fasttext.train_supervised(str(folder / "train.txt"), epoch=20, dim=8, thread=1, verbose=0, seed=1)
    model.save_model(str(folder / "model.bin"))
    return folder / "model.bin"


def test_domain_fasttext_labels_by_the_models_names(fasttext_model):
    docs = pl.DataFrame({"doc_id": list("abcd"), "text": ["the ocean\nwave", "judge and court", "", None]})
    stage = Domain(model=str(fasttext_model))
    assert (stage.reads, stage.needs) == ({"ingest": ("text",)}, ())
    annotate = stage.open({})
    found = annotate(docs)
    assert found["domain"].to_list() == ["sea", "law", None, None]
    assert found["domain_prob"][0] > 0.5
    assert found["domain_prob"].max() <= 1
    assert pl.concat([annotate(docs[i : i + 1]) for i in range(4)]).equals(found)
    assert annotate(docs.clear()).schema == found.schema


def test_domain_fasttext_without_its_file_is_an_input_error(tmp_path):
    with pytest.raises(InputError, match="no file"):
        Domain(model=str(tmp_path / "none.bin")).open({})


def test_bucket_by_cluster_numbers_with_two_digits(tmp_path):
    (tmp_path / "clusters.json").write_text('{"clusters": [{"id": 3}]}')
    batch = pl.DataFrame({"doc_id": list("abc"), "cluster_id": [3, 112, None]})
    assert Bucket().reads == {"cluster": ("cluster_id",)}
    assert Bucket().open({"cluster": tmp_path})(batch).rows() == [("a", "c03"), ("b", "c112"), ("c", "unknown")]


@pytest.mark.parametrize(
    ("by", "dataset", "column"),
    [("domain", "domain", "domain"), ("language", "language", "language"), ("dump", "ingest", "dump")],
)
def test_bucket_by_a_column_is_its_value(by: str, dataset: str, column: str):
    stage = Bucket(by=by)
    assert stage.reads == {dataset: (column,)}
    batch = pl.DataFrame({"doc_id": ["a", "b"], column: ["x", None]})
    assert stage.open({})(batch).rows() == [("a", "x"), ("b", "unknown")]
    assert stage.open({})(batch.clear()).schema == {"doc_id": pl.String, "bucket": pl.String}


def test_bucket_by_source_is_the_registered_domain_or_the_file():
    rows = [
        ("https://en.wikipedia.org/wiki/X", "f.warc.gz", "wikipedia.org"),
        ("http://news.bbc.co.uk:80/a", "f.warc.gz", "bbc.co.uk"),
        ("http://alice.github.io/", "f.warc.gz", "github.io"),
        ("http://192.168.0.1/x", "f.warc.gz", "192.168.0.1"),
        ("http://[2001:db8::1]/x", "f.warc.gz", "2001:db8::1"),
        ("http://localhost/x", "f.warc.gz", "localhost"),
        ("http://[broken", "f.warc.gz", "f.warc.gz"),
        (None, "s3://b/dir/books.jsonl.zst", "books.jsonl.zst"),
        ("", None, "unknown"),
    ]
    batch = pl.DataFrame(
        {"doc_id": [str(i) for i in range(len(rows))], "url": [r[0] for r in rows], "file_path": [r[1] for r in rows]}
    ).with_columns(source=pl.lit(None, pl.String))
    assert Bucket(by="source").open({})(batch)["bucket"].to_list() == [r[2] for r in rows]
    assert Bucket(by="source").open({})(batch.clear()).schema == {"doc_id": pl.String, "bucket": pl.String}


def test_bucket_by_anything_else_is_a_config_error():
    with pytest.raises(ConfigError, match="cluster, domain"):
        Bucket(by="colour")


def test_vectors_round_trip_through_a_column():
    rows = np.arange(6, dtype=np.float32).reshape(2, 3)
    assert vectors_to_series(rows).to_list() == rows.tolist()
