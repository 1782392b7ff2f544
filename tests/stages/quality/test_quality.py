"""quality.model and quality: what is trained on, honest scores, locality, determinism, models by path, calibration."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from frames import HOSTILE, CountingCorpus, FakeCorpus, doc_id, splits
from gristmill.classifiers import fasttext
from gristmill.classifiers.calibration import auc, calibrated, platt
from gristmill.classifiers.importance import count, importance, log_ratios
from gristmill.pipeline.contract import columns as schema
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.notes import read_notes
from gristmill.stages.quality.model import QualityModel, fold_of
from gristmill.stages.quality.score import Model, Quality, QualityGate

GOOD = [
    "theorem",
    "history",
    "science",
    "research",
    "university",
    "result",
    "method",
    "evidence",
    "theory",
    "analysis",
    "river",
    "century",
]
BAD = [
    "buy",
    "cheap",
    "click",
    "here",
    "now",
    "discount",
    "shipping",
    "cart",
    "login",
    "cookie",
    "offer",
    "free",
    "subscribe",
    "sale",
    "price",
]
FAST = fasttext.Training(steps=4_000, buckets=1_000)


def text_of(words: list[str], name: str, n: int = 60) -> str:
    """Mostly `words`, some words that both kinds have."""
    rng = np.random.default_rng(int(doc_id(name)[:8], 16))
    return " ".join(rng.choice([*words, *["the", "of", "and", "a", "in", "to", "is", "it"]], n))


def documents(good: int, bad: int, language: str = "en") -> pl.DataFrame:
    rows = [(f"{language}-good-{i}", GOOD, True) for i in range(good)]
    rows += [(f"{language}-bad-{i}", BAD, False) for i in range(bad)]
    return pl.DataFrame(
        {
            "doc_id": [doc_id(name) for name, _, _ in rows],
            "text": [text_of(words, name) for name, words, _ in rows],
            "language": [language] * len(rows),
            "is_reference": [good for _, _, good in rows],
        },
        schema={"doc_id": pl.String, "text": pl.String, "language": pl.String, "is_reference": pl.Boolean},
    )


def fit(frames: list[pl.DataFrame], out: Path, given_texts: pl.DataFrame | None = None, **fields) -> Path:
    references, artifact = out / "references", out / "quality.model"
    references.mkdir(parents=True)
    artifact.mkdir()
    empty = pl.DataFrame(
        schema={"doc_id": pl.String, "text": pl.String, "language": pl.String, "is_held_out": pl.Boolean}
    )
    (empty if given_texts is None else given_texts).write_parquet(references / "texts.parquet")
    (references / "report.json").write_text(json.dumps({"documents": 130, "references": 30, "enabled": True}))
    QualityModel(**{"classifier": FAST, **fields}).run(FakeCorpus(frames, {"dedup.references": references}), artifact)
    return artifact


def report(artifact: Path) -> dict:
    return json.loads((artifact / "report.json").read_text())


@pytest.fixture(scope="module")
def fitted(tmp_path_factory) -> Path:
    return fit([documents(60, 200)], tmp_path_factory.mktemp("fitted"))


def test_quality_scores_references_above_the_crawl_though_no_model_saw_them(fitted):
    batch = documents(80, 80)
    scores = Quality().open({"quality.model": fitted})(batch)
    for name in ("q_reference", "q_importance"):
        assert auc(scores[name].to_numpy(), batch["is_reference"].to_numpy()) == 1.0
    assert report(fitted)["q_reference_auc"] == report(fitted)["q_importance_auc"] == 1.0
    assert report(fitted)["accuracy"] == 1.0


def test_quality_of_references_that_differ_in_nothing_is_a_coin_toss(tmp_path):
    """A model that scored its own training texts would tell them apart by heart; cross-fitted ones cannot."""
    rng = np.random.default_rng(0)
    batch = documents(0, 300).with_columns(is_reference=pl.Series(rng.random(300) < 0.5))
    artifact = fit([batch], tmp_path)
    figures = report(artifact)
    assert figures["references"] == figures["others"] > 100
    assert abs(figures["q_reference_auc"] - 0.5) < 0.12
    assert abs(figures["q_importance_auc"] - 0.5) < 0.12
    scores = Quality().open({"quality.model": artifact})(batch)["q_reference"].to_numpy()
    assert abs(scores.mean() - 0.5) < 0.05
    assert scores.std() < 0.1


def test_quality_is_row_local_typed_and_takes_hostile_texts(fitted):
    batch = pl.DataFrame({"doc_id": [doc_id(str(i)) for i in range(len(HOSTILE))], "text": HOSTILE})
    stage = Quality()
    annotate = stage.open({"quality.model": fitted})
    whole = annotate(batch)
    assert whole.schema == {"doc_id": pl.String, "q_reference": pl.Float32, "q_importance": pl.Float32}
    assert whole["q_reference"].is_between(0, 1).all()
    assert whole["q_importance"].is_null().to_list()[:3] == [True, True, False]
    for frames in splits(batch):
        assert pl.concat([annotate(f) for f in frames]).equals(whole)
    assert annotate(batch[:0]).schema == whole.schema


def test_quality_model_in_any_order_and_batches_is_the_same_bytes(tmp_path):
    batch = pl.concat([documents(30, 60), documents(30, 40, "de")])
    want = {p.name: p.read_bytes() for p in fit([batch], tmp_path / "a").iterdir()}
    assert set(want) == {"model-0.bin", "model-1.bin", "model-2.bin", "importance.npy", "model.json", "report.json"}
    for n, frames in enumerate((splits(batch)[2], [batch.sample(batch.height, shuffle=True, seed=1), batch[:0]])):
        assert {p.name: p.read_bytes() for p in fit(frames, tmp_path / str(n)).iterdir()} == want


def test_quality_model_takes_as_many_of_each_language_from_both_classes(tmp_path):
    batch = pl.concat([documents(40, 25), documents(20, 90, "de"), documents(0, 50, "fr"), documents(9, 0, "it")])
    figures = report(fit([batch], tmp_path))
    assert {k: (v["references"], v["others"]) for k, v in figures["languages"].items()} == {
        "de": (20, 20),
        "en": (25, 25),
    }
    assert (figures["references"], figures["others"]) == (45, 45)
    figures = report(fit([batch], tmp_path / "few", max_examples=20))
    assert (figures["references"], figures["others"]) == (20, 20)
    assert all(v["references"] == v["others"] for v in figures["languages"].values())


def test_quality_model_of_given_texts_uses_those_that_are_not_held_out(tmp_path):
    batch = (
        documents(60, 200).with_columns(is_reference=pl.lit(False)).filter(pl.col("text").str.contains("cheap|cart"))
    )
    given_texts = pl.DataFrame(
        {
            "doc_id": [f"reference-{i}" for i in range(40)],
            "text": [text_of(GOOD, f"given {i}") for i in range(40)],
            "language": pl.Series([None] * 40, dtype=pl.String),
            "is_held_out": [i % 4 == 0 for i in range(40)],
        }
    )
    artifact = fit([batch], tmp_path, given_texts)
    assert report(artifact)["references"] == report(artifact)["others"] == 30
    assert report(artifact)["q_reference_auc"] == 1.0


def test_quality_model_with_too_few_examples_has_no_models_and_a_note_with_the_way_out(tmp_path):
    batch = documents(15, 100)
    made = fit([batch, documents(30, 0, "de")], tmp_path / "a")
    (note,) = read_notes(made)
    assert "of your 130 documents 30 are reference pages, and only 15 of these have others" in note
    assert "dedup.references.paths" in note
    scores = Quality().open({"quality.model": made})(batch)
    assert scores.select(pl.all().exclude("doc_id").is_null().all()).row(0) == (True, True)
    assert scores["doc_id"].equals(batch["doc_id"])
    (note,) = read_notes(fit([documents(1, 1)], tmp_path / "b", min_examples=1))
    assert "only 1 of these have others" in note


def test_quality_model_that_is_off_scores_nothing_and_says_nothing(tmp_path):
    batch = documents(30, 100)
    made = fit([batch], tmp_path / "a", enabled=False)
    assert read_notes(made) == []
    scores = Quality(enabled=False).open({"quality.model": made})(batch.select("doc_id"))
    assert scores["q_reference"].null_count() == batch.height


def test_quality_model_keeps_no_batches(tmp_path):
    fit([documents(20, 20)], tmp_path / "empty")
    (tmp_path / "out").mkdir()
    frames = splits(documents(30, 30))[2]
    corpus = CountingCorpus(frames, {"dedup.references": tmp_path / "empty" / "references"})
    QualityModel(classifier=FAST).run(corpus, tmp_path / "out")
    assert corpus.most <= 3


def test_folds_are_drawn_by_document_and_of_even_size():
    folds = fold_of(pl.Series([doc_id(str(i)) for i in range(9_000)]), 3)
    assert (np.abs(np.bincount(folds, minlength=3) - 3_000) < 4 * np.sqrt(9_000 * 2 / 9)).all()
    assert folds.tolist() == [int(fold_of(pl.Series([doc_id(str(i))]), 3)[0]) for i in range(9_000)]


def saved_model(folder: Path, labels: tuple[str, str]) -> str:
    path = folder / "given.bin"
    lines = {POS: [text_of(w, f"{i}") for i in range(50)] for POS, w in zip(labels, (GOOD, BAD), strict=True)}
    source = folder / "lines.txt"
    source.write_text("\n".join(f"{label} {line}" for label, texts in lines.items() for line in texts) + "\n")
    import fasttext as library

    library.train_supervised(str(source), dim=8, epoch=50, lr=0.5, thread=1, verbose=0).save_model(str(path))
    return str(path)


def test_quality_models_by_path_add_declared_columns(fitted, tmp_path):
    path = saved_model(tmp_path, ("__label__hq", "__label__cc"))
    stage = Quality(models=(Model("dclm", path), Model("junk", path, label="__label__cc", sign=-1)))
    assert stage.writes == ("q_reference", "q_importance", "q_dclm", "q_junk")
    assert stage.model_paths == (path, path)
    schema.register(stage.columns)
    batch = documents(20, 20)
    scores = stage.open({"quality.model": fitted})(batch)
    assert scores.to_arrow().cast(schema.arrow_schema(scores.columns)).num_columns == 5
    for name in ("q_dclm", "q_junk"):
        assert auc(scores[name].to_numpy(), batch["is_reference"].to_numpy()) == 1.0
    np.testing.assert_allclose(scores["q_dclm"] - scores["q_junk"], 1, atol=1e-4)


def test_quality_models_with_number_labels_are_read_as_climb_does(fitted, tmp_path):
    path = saved_model(tmp_path, ("__label__4", "__label__-1"))
    stage = Quality(models=(Model("educational_value", path, score="label", text="climb"),))
    scores = stage.open({"quality.model": fitted})(documents(5, 5))
    assert scores["q_educational_value"].to_list() == [4.0] * 5 + [-1.0] * 5


def test_quality_models_that_cannot_be_used_are_errors_that_name_them(fitted, tmp_path):
    (tmp_path / "junk.bin").write_bytes(b"no model")
    path = saved_model(tmp_path, ("__label__hq", "__label__cc"))
    for model, message in (
        (Model("a", str(tmp_path / "nowhere.bin")), "nowhere"),
        (Model("a", str(tmp_path / "junk.bin")), "junk"),
        (Model("a", path, label="__label__x"), "__label__cc, __label__hq"),
        (Model("a", path, score="label"), "not numbers"),
    ):
        with pytest.raises(InputError, match=message):
            Quality(models=(model,)).open({"quality.model": fitted})(documents(2, 2))


def test_climb_line_is_the_published_preparation():
    texts = pl.Series(["Hello, World!\nIt's 1/2 (ok).", None])
    assert fasttext.climb_line(texts) == ["hello , world ! <newline> it ' s 1 / 2 ( ok ) .", ""]
    assert fasttext.plain_line(texts) == ["Hello, World! It's 1/2 (ok).", ""]


def test_quality_gate_drops_below_its_limits_and_nothing_by_default():
    batch = pl.DataFrame({"q_reference": [0.1, 0.5, 0.9, None], "q_importance": [0.0, -1.0, -0.5, None]})
    assert QualityGate().decide(batch).to_list() == [None] * 4
    gate = QualityGate(min_reference=0.5, min_importance=-0.5)
    assert gate.decide(batch).to_list() == ["unlike_references", "unimportant", None, None]


def test_importance_equals_the_mean_log_ratio_of_counts():
    references, crawl = pl.Series(["alpha beta", "alpha"]), pl.Series(["gamma delta", "alpha gamma"])
    ratios = log_ratios(count(references, 50), count(crawl, 50))
    p, q = count(references, 50) + 1, count(crawl, 50) + 1
    np.testing.assert_allclose(ratios, np.log(p / p.sum() / (q / q.sum())), atol=6e-5)
    weight = count(pl.Series(["alpha gamma !"]), 50)
    want = (weight * ratios).sum() / weight.sum()
    assert importance(pl.Series(["alpha gamma !"]), ratios[None], np.zeros(1, np.int64))[0] == pytest.approx(want)


@given(st.lists(st.tuples(st.integers(0, 20), st.booleans()), min_size=1, max_size=40))
@settings(max_examples=100, deadline=None)
def test_auc_is_the_share_of_pairs_in_order(rows):
    scores, positive = np.array([s for s, _ in rows], float), np.array([p for _, p in rows])
    pairs = [(a > b) + (a == b) / 2 for a in scores[positive] for b in scores[~positive]]
    assert auc(scores, positive) == (pytest.approx(np.mean(pairs)) if pairs else None)


def test_platt_recovers_a_planted_curve_and_never_turns_the_order():
    rng = np.random.default_rng(0)
    raw = rng.uniform(0.001, 0.999, 40_000)
    positive = rng.random(40_000) < calibrated(raw, 0.6, -0.4)
    slope, intercept = platt(raw, positive)
    assert slope == pytest.approx(0.6, abs=0.03)
    assert intercept == pytest.approx(-0.4, abs=0.05)
    assert platt(raw, rng.random(40_000) > raw)[0] == 0.01
    assert platt(np.array([0.5, 0.5]), np.array([True, False])) == (0.01, 0.0)


def test_labels_that_are_no_numbers_are_told_before_the_run(tmp_path):
    path = saved_model(tmp_path, ("__label__hq", "__label__cc"))
    with pytest.raises(ConfigError, match=r"quality.models.0.score: .* has '__label__cc'; set score: probability"):
        Quality(models=(Model("a", path, score="label"),)).preflight()
    Quality(models=(Model("a", saved_model(tmp_path, ("__label__4", "__label__-1")), score="label"),)).preflight()
