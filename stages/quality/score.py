"""Scores every document by the quality criteria. Larger is better in each column (QuaDMix counts the other way)."""

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.classifiers import fasttext
from gristmill.classifiers.calibration import calibrated
from gristmill.classifiers.importance import importance
from gristmill.pipeline.contract.columns import Column
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.ranges import FilePath, Number, Share
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads, first_broken
from gristmill.pipeline.kernels.text.lines import one_line
from gristmill.stages.quality.model import fold_of
from gristmill.stages.quality.sources import SourceQuality, judged


@dataclass(frozen=True)
class Model:
    """A published fastText classifier that scores q_<name>."""

    name: str  # of the criterion: the column is q_<name>
    path: FilePath  # of the .bin or .ftz file
    score: Literal["probability", "label"] = "probability"  # P(label), or the likeliest label as a number (CLIMB)
    label: str = "__label__hq"  # for "probability"; DCLM's classifier: __label__hq
    text: Literal["plain", "climb"] = "plain"  # preparation of the text that the model was trained with
    sign: Literal[-1, 1] = 1  # -1 where the model's larger is worse


def _is_number(label: str) -> bool:
    try:
        float(label.removeprefix("__label__"))
    except ValueError:
        return False
    return True


LINES = {"plain": fasttext.plain_line, "climb": fasttext.climb_line}


@dataclass(frozen=True)
class Quality(Annotator):
    """Scores every document: q_reference and q_importance by the run's models, q_<name> by each given model.

    A text without a word or symbol has null q_importance; both are null where the run has no models of its own.
    """

    enabled: bool = True  # as in the model
    off_is_empty: ClassVar = True
    sources: tuple[SourceQuality, ...] = ()  # of the list `sources`
    models: tuple[Model, ...] = ()  # published fastText classifiers, each one more criterion
    borrowed: ClassVar = {"sources": ("sources",)}
    name: ClassVar = "quality"
    version: ClassVar = 2
    files: ClassVar = ("model_paths",)
    needs: ClassVar = ("quality.model",)
    rows: ClassVar = "kept"

    @property
    def reads(self) -> Reads:
        source = ("source",) if self.sources else ()
        return {"ingest": ("text", *source) if self.enabled else ()}

    @property
    def model_paths(self) -> tuple[str, ...]:
        return tuple(model.path for model in self.models)

    @property
    def columns(self) -> tuple[Column, ...]:
        """Declarations of the columns that the column dictionary cannot know."""
        return tuple(
            Column(f"q_{m.name}", pa.float32(), "", f"{m.score} of a fastText model given by path; larger is better")
            for m in self.models
        )

    @property
    def writes(self) -> tuple[str, ...]:
        return ("q_reference", "q_importance", *(column.name for column in self.columns))

    def preflight(self) -> None:
        for i, model in enumerate(self.models):
            labels = fasttext.labels_of(model.path, f"quality.models.{i}.path")
            if model.score == "probability" and model.label not in labels:
                raise ConfigError(
                    f"quality.models.{i}.label: {model.path} has no label {model.label!r}; "
                    f"it has {', '.join(sorted(labels)[:20])}"
                )
            if model.score == "label":
                named = next((label for label in sorted(labels) if not _is_number(label)), None)
                if named is not None:
                    raise ConfigError(
                        f"quality.models.{i}.score: label reads the likeliest label as a number, but {model.path} has "
                        f"{named!r}; set score: probability, and label to the one that counts"
                    )

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        folder = artifacts["quality.model"]
        fitted = json.loads((folder / "model.json").read_text())
        own = [fasttext.open_scorer(folder / f"model-{k}.bin", fasttext.as_given) for k in range(fitted["folds"])]
        ratios = np.load(folder / "importance.npy") if own else None
        given = [fasttext.open_scorer(m.path, LINES[m.text]) for m in self.models] if self.enabled else []

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            scores = dict.fromkeys(self.writes, np.full(batch.height, np.nan))
            if ratios is not None:
                fold = fold_of(batch["doc_id"], fitted["folds"])
                lines = one_line(batch["text"], fitted["max_chars"])
                raw = np.empty(batch.height)
                for k, scorer in enumerate(own):
                    rows = np.flatnonzero(fold == k)
                    raw[rows] = scorer.probability(fasttext.POSITIVE, [lines[i] for i in rows])
                scores["q_reference"] = calibrated(raw, fitted["slope"], fitted["intercept"])
                scores["q_importance"] = importance(batch["text"], ratios, fold)
            for model, scorer in zip(self.models, given, strict=bool(given)):
                scores[f"q_{model.name}"] = _score(model, scorer, batch["text"].fill_null("").to_list())
            made = batch.select("doc_id").with_columns(
                pl.Series(name, values, dtype=pl.Float64, nan_to_null=True).cast(pl.Float32)
                for name, values in scores.items()
            )
            if not (self.sources and self.enabled):
                return made
            scored = batch.select(judged(self.sources).alias("scored")).to_series()
            return made.with_columns(pl.when(scored).then(pl.col(name)).alias(name) for name in scores)

        return annotate


def _score(model: Model, scorer: fasttext.FastTextScorer, texts: list[str]) -> np.ndarray:
    if model.score == "label":
        return model.sign * scorer.best_label(texts)
    return model.sign * scorer.probability(model.label, texts)


@dataclass(frozen=True)
class QualityGate(Gate):
    """Drops documents below a threshold; none by default, for the mixture samples by quality."""

    enabled: bool = True  # as in the model
    off_is_empty: ClassVar = True
    min_reference: Share | None = None  # least q_reference; null: none
    min_importance: Number | None = None  # least q_importance, in nats; null: none
    sources: tuple[SourceQuality, ...] = ()  # of the list `sources`
    borrowed: ClassVar = {"sources": ("sources",)}
    name: ClassVar = "quality.gate"
    version: ClassVar = 2
    rules: ClassVar = ("unlike_references", "unimportant")
    limits: ClassVar = {"unlike_references": "min_reference", "unimportant": "min_importance"}

    @property
    def reads(self) -> Reads:
        columns = {"quality": ("q_reference", "q_importance")}
        return {**columns, "ingest": ("source",)} if self.sources else columns

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        """Raises DataError for a limit on a criterion that no document has."""
        if not self.enabled:
            return first_broken(batch, {})
        scored = batch.filter(judged(self.sources))
        for rule in self.table():
            name = self.limits[rule].replace("min_", "q_")
            if scored.height and scored[name].null_count() == scored.height:
                raise DataError(
                    f"quality.min_{name.removeprefix('q_')} is set, but no document has {name}: too few references for "
                    "a quality model; give some as dedup.references.paths, or leave the limit out"
                )
        return first_broken(batch, self.table())

    def table(self) -> dict[str, pl.Expr]:
        limits = {
            "unlike_references": ("q_reference", self.min_reference),
            "unimportant": ("q_importance", self.min_importance),
        }
        return {rule: pl.col(name) < limit for rule, (name, limit) in limits.items() if limit is not None}

    def is_idle(self) -> bool:
        return not self.table()
