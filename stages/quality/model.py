"""Trains the quality models of a run: classifiers that tell reference texts from the crawl.

Two criteria: a fastText classifier (as DCLM, arXiv:2406.11794, sec. 4.4) and DSIR's n-gram importance. Both are
cross-fitted: documents are drawn into folds, and a document is scored by the model that saw none of its fold. So a
reference gets no bonus for having been trained on, and the report's figures are honest without a separate test set.
"""

import json
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from typing import Annotated, ClassVar

import numpy as np
import polars as pl

from gristmill.classifiers import fasttext
from gristmill.classifiers.calibration import auc, calibrated, platt
from gristmill.classifiers.fasttext import Training
from gristmill.classifiers.importance import count, importance, log_ratios
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.notes import write_notes
from gristmill.pipeline.contract.ranges import Count, Range, Size
from gristmill.pipeline.contract.samples import drawn, smallest, tables_of, together
from gristmill.pipeline.contract.shapes import Corpus, Reads, Reducer, Tables
from gristmill.pipeline.kernels.text.lines import one_line
from gristmill.pipeline.kernels.threads import side_by_side
from gristmill.stages.quality.sources import SourceQuality, judged

COLUMNS = ("language", "is_reference")
SIDE_BY_SIDE = 2  # folds that are trained at a time: the library holds no lock, and a worker's neighbours wait here
# report.json where there are no models.
NO_REPORT = {
    "references": 0, "others": 0, "q_reference_auc": None, "q_importance_auc": None, "accuracy": None, "brier": None,
    "languages": {},
}  # fmt: skip


def fold_of(doc_ids: pl.Series, folds: int) -> np.ndarray:
    """(n,) int64 in [0, folds): the fold whose models did not see the document."""
    return (uniform(doc_ids, "quality.fold") * folds).astype(np.int64)


@dataclass(frozen=True)
class QualityModel(Reducer):
    """Trains both models on references and as many crawl documents of the same languages.

    Files: model-<fold>.bin, importance.npy (folds, buckets), model.json (what scoring needs) and report.json (what was
    trained on and how well it separates, by the models that had not seen the document).
    Where fewer than `min_examples` of either class are left, or without `enabled`, there are no models (model.json
    says `"folds": 0`), and both criteria are null for every document.
    """

    enabled: bool = True  # false: no quality model and no criteria; no document is dropped or chosen by quality
    off_is_empty: ClassVar = True
    max_examples: Count = 4_000  # of each class; more add seconds, hardly accuracy
    min_examples: Count = 16  # of each class
    max_chars: Count = 2_000  # of a text: the first ones, in training and in the classifier's scoring
    folds: Annotated[int, Range(2, 100)] = 3  # each model is trained on the other two thirds
    classifier: Training = field(default_factory=Training)  # settings of fastText's training
    importance_buckets: Size = 50_000  # DSIR: 10,000; measured better here (docs/decisions/quality.md)
    sources: tuple[SourceQuality, ...] = ()  # of the list `sources`
    name: ClassVar = "quality.model"
    version: ClassVar = 2
    borrowed: ClassVar = {"sources": ("sources",)}
    needs: ClassVar = ("dedup.references",)
    passes: ClassVar = ("chosen", "texts")

    @property
    def reads(self) -> Reads:
        return {
            "ingest": ("text", "source") if self.sources else ("text",),
            "language": ("language",),
            "dedup.references": ("is_reference",),
        }

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """The first examples of each class and language by draw; then the beginnings of the chosen ones' texts."""
        if not self._settled(corpus)["enabled"]:
            return {}
        if name == "texts":
            batches = corpus.batches(("text",), of=known["chosen"]["doc_id"])
            return {"texts": together(self._beginnings(batch) for batch in batches)}
        _, stratum = self._given(corpus, ["is_held_out", "language"])
        columns = (*COLUMNS, "source") if self.sources else COLUMNS
        batches = (batch.filter(judged(self.sources)) for batch in corpus.batches(columns))
        return {"first": self._first(_example(batch, stratum) for batch in batches)}

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        if not self._settled(corpus)["enabled"]:
            return {}
        given, stratum = self._given(corpus)
        if name == "texts":
            texts = together([self._beginnings(given), *tables_of("texts", taken)])
            return {"texts": known["chosen"].join(texts, on="doc_id", how="inner").sort("draw", "doc_id")}
        first = self._first(chain([_example(given, stratum)], tables_of("first", taken)))
        return {"chosen": self._balanced(first)}

    def _settled(self, corpus: Corpus) -> dict:
        """What the references' report says; nothing is enabled where this stage is not."""
        settled = json.loads((corpus.artifacts["dedup.references"] / "report.json").read_text())
        return {**settled, "enabled": self.enabled and settled["enabled"]}

    def _given(self, corpus: Corpus, columns: list[str] | None = None) -> tuple[pl.DataFrame, pl.Expr]:
        """References of files that are not held out (all columns, or some), and the stratum of an example."""
        given = pl.read_parquet(corpus.artifacts["dedup.references"] / "texts.parquet", columns=columns, glob=False)
        given = given.filter(~pl.col("is_held_out")).with_columns(is_reference=pl.lit(True))
        return given, pl.col("language") if given["language"].null_count() == 0 else pl.lit("")

    def _beginnings(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", text=pl.col("text").str.slice(0, self.max_chars))

    def _first(self, examples: Iterable[pl.DataFrame]) -> pl.DataFrame:
        """The first `max_examples` of each class and stratum by draw."""
        return smallest(examples, self.max_examples, ("is_reference", "stratum"))

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        settled = self._settled(corpus)
        if not settled["enabled"]:  # the references' own notes say why
            _without_models(out)
            return
        examples = known["texts"]
        positive = examples["is_reference"].to_numpy()
        fold = fold_of(examples["doc_id"], self.folds)
        seen = [(label & (fold != k)).sum() for label in (positive, ~positive) for k in range(self.folds)]
        if min(positive.sum(), (~positive).sum()) < self.min_examples or min(seen) == 0:
            _without_models(out)
            write_notes(out, _too_few(self, settled, int(positive.sum())))
            return
        lines = one_line(examples["text"], self.max_chars)
        scores = np.empty(len(lines))

        def train(k: int) -> None:
            path = out / f"model-{k}.bin"
            fasttext.train(
                [lines[i] for i in np.flatnonzero(positive & (fold != k))],
                [lines[i] for i in np.flatnonzero(~positive & (fold != k))],
                self.classifier,
                path,
            )
            unseen = np.flatnonzero(fold == k)
            scorer = fasttext.open_scorer(path, fasttext.as_given)
            scores[unseen] = scorer.probability(fasttext.POSITIVE, [lines[i] for i in unseen])

        side_by_side(train, range(self.folds), SIDE_BY_SIDE)
        ratios = self._ratios(examples["text"], positive, fold)
        np.save(out / "importance.npy", ratios)
        slope, intercept = platt(scores, positive)
        model = {"folds": self.folds, "max_chars": self.max_chars, "slope": slope, "intercept": intercept}
        (out / "model.json").write_text(json.dumps(model, indent=1))
        report = _report(
            examples["language"],
            positive,
            calibrated(scores, slope, intercept),
            np.nan_to_num(importance(examples["text"], ratios, fold)),
        )
        (out / "report.json").write_text(json.dumps(report, indent=1))

    def _balanced(self, known: pl.DataFrame) -> pl.DataFrame:
        """As many references as other documents in every language, at most `max_examples` each, by draw.

        known: in the order of the draws. So the models learn what references are, not which language they are in.
        Where texts given as files do not name their language, languages are not matched.
        """
        known = known.with_columns(place=pl.int_range(pl.len()).over("is_reference", "stratum"))
        counted = known.with_columns(
            references=pl.col("is_reference").sum().over("stratum"),
            others=(~pl.col("is_reference")).sum().over("stratum"),
        )
        balanced = counted.filter(pl.col("place") < pl.min_horizontal("references", "others"))
        balanced = balanced.sort("place", "stratum", "draw", "doc_id")  # a language's pairs leave together at the limit
        balanced = balanced.with_columns(place=pl.int_range(pl.len()).over("is_reference"))
        return balanced.filter(pl.col("place") < self.max_examples).select("doc_id", "is_reference", "language", "draw")

    def _ratios(self, texts: pl.Series, positive: np.ndarray, fold: np.ndarray) -> np.ndarray:
        """(folds, buckets) float64: row k from the examples outside fold k."""
        counts = np.array(
            [
                [
                    count(texts.filter(pl.Series((fold == k) & label)), self.importance_buckets)
                    for k in range(self.folds)
                ]
                for label in (positive, ~positive)
            ]
        )
        references, crawl = counts.sum(axis=1, keepdims=True) - counts
        return np.array([log_ratios(r, c) for r, c in zip(references, crawl, strict=True)])


def _example(batch: pl.DataFrame, stratum: pl.Expr) -> pl.DataFrame:
    """What choosing needs of a document; one without a language is none."""
    return drawn(batch.select("doc_id", *COLUMNS, stratum=stratum), "quality.example").drop_nulls("stratum")


def _without_models(out: Path) -> None:
    (out / "model.json").write_text(json.dumps({"folds": 0}, indent=1))
    (out / "report.json").write_text(json.dumps(NO_REPORT, indent=1))


def _too_few(stage: QualityModel, settled: dict, examples: int) -> str:
    found = f"only {examples:,} of your {settled['documents']:,} documents can serve as reference pages"
    if settled["references"] >= stage.min_examples:
        found = (
            f"of your {settled['documents']:,} documents {settled['references']:,} are reference pages, and only "
            f"{examples:,} of these have others of their language to be compared with"
        )
    return (
        f"No quality model: {found}; it needs {stage.min_examples} (quality.min_examples), and as many others in their "
        "languages. q_reference and q_importance are null. Give texts of the kind you want as "
        "dedup.references.paths=FILE, or add to dedup.references.hosts; quality.enabled=false says that they are not "
        "wanted"
    )


def _report(language: pl.Series, positive: np.ndarray, reference: np.ndarray, ratio: np.ndarray) -> dict:
    """Counts, AUC of both criteria, accuracy and Brier score of the calibrated probability; also by language."""

    def figures(rows: np.ndarray) -> dict:
        return {
            "references": int(positive[rows].sum()),
            "others": int((~positive[rows]).sum()),
            "q_reference_auc": _rounded(auc(reference[rows], positive[rows])),
            "q_importance_auc": _rounded(auc(ratio[rows], positive[rows])),
        }

    everything = figures(np.ones(positive.size, bool))
    everything["accuracy"] = _rounded(float(((reference > 0.5) == positive).mean()))
    everything["brier"] = _rounded(float(((reference - positive) ** 2).mean()))
    names = language.fill_null("").to_numpy()
    return everything | {"languages": {str(n): figures(names == n) for n in np.unique(names)}}


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 4)
