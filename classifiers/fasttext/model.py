"""Trains, loads and applies fastText text classifiers (arXiv:1607.01759): small ones of the run, or any by path."""

import hashlib
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from math import ceil
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import TYPE_CHECKING, Annotated

import numpy as np
import polars as pl

from gristmill.classifiers.fasttext.check import check_model
from gristmill.classifiers.fasttext.file import read_labels
from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.ranges import Count, Dimensions, Hundreds, Range, Seed, SomeAmount

if TYPE_CHECKING:
    from fasttext.FastText import _FastText

POSITIVE, NEGATIVE = "__label__reference", "__label__crawl"
DECIMALS = 4  # stored weights are rounded, so that last-bit differences of another CPU do not show


@dataclass(frozen=True)
class Training:
    """How a classifier is trained: word pairs as in DCLM (arXiv:2406.11794), smaller tables for smaller data.

    The library's 5 epochs at rate 0.1 leave a model of a few hundred texts untrained (docs/decisions/quality.md), so
    the number of steps is set, not of epochs.
    """

    dim: Dimensions = 16  # of the vectors; two classes need few
    steps: Count = 20_000  # lines seen in training, repeats included, within the epochs below
    min_epochs: Count = 5  # the library's default
    max_epochs: Count = 100  # a few texts seen more often teach nothing new
    learning_rate: SomeAmount = 0.5  # at the start; it falls to 0
    word_ngrams: Hundreds = 2  # DCLM: 2
    buckets: Annotated[int, Range(1, 2**31 - 1)] = 100_000  # of the hashed word pairs
    min_count: Count = 3  # rarer words are left out of the vocabulary
    seed: Seed = 0  # of the vectors at the start


def train(positives: Sequence[str], negatives: Sequence[str], settings: Training, path: Path) -> None:
    """As `train_labelled`, with two labels."""
    train_labelled({POSITIVE: positives, NEGATIVE: negatives}, settings, path)


def train_labelled(lines: Mapping[str, Sequence[str]], settings: Training, path: Path) -> None:
    """Trains on lines by label (see `gristmill.pipeline.kernels.text.lines.one_line`) and saves the model.

    One thread, so that the same lines in order give the same bytes. Lines alternate between the classes: the learning
    rate falls, and the last lines weigh less than the first.
    """
    import fasttext

    with NamedTemporaryFile("w", encoding="utf-8", dir=path.parent, suffix=".txt") as file:
        labelled = [(i / len(own), label, line) for label, own in lines.items() for i, line in enumerate(own)]
        for _, label, line in sorted(labelled, key=lambda item: item[:2]):
            file.write(f"{label} {line}\n")
        file.flush()
        model = fasttext.train_supervised(
            file.name,
            dim=settings.dim,
            epoch=min(max(settings.min_epochs, ceil(settings.steps / max(1, len(labelled)))), settings.max_epochs),
            lr=settings.learning_rate,
            wordNgrams=settings.word_ngrams,
            bucket=settings.buckets,
            minCount=settings.min_count,
            seed=settings.seed,
            thread=1,
            verbose=0,
        )
    model.set_matrices(model.get_input_matrix().round(DECIMALS), model.get_output_matrix().round(DECIMALS))
    model.save_model(str(path))


def labels_of(path: str, key: str) -> tuple[str, ...]:
    """Labels of a model, from the dictionary at its beginning; `key`: the setting that names it.

    Raises InputError for a file that is no fastText model, or that the library cannot open (in a process of its own).
    """
    try:
        labels = read_labels(path)
    except InputError as error:
        raise InputError(f"{key}: {path} {error}") from None
    except OSError as error:
        raise InputError(f"{key}: {path} cannot be read ({error.strerror})") from None
    check_model(path, key)
    return labels


def load(path: Path | str):
    """Raises InputError for a file that is no fastText classifier."""
    import fasttext

    try:
        model = fasttext.load_model(str(path))
    except (ValueError, RuntimeError, MemoryError) as error:
        raise InputError(f"{path} is no fastText model: {error}") from error
    if not model.labels or not model.labels[0].startswith("__label__"):
        raise InputError(f"{path} is no fastText classifier: it has no labels")
    return model


@dataclass(frozen=True, eq=False)
class FastTextScorer:
    """A fastText classifier as a Scorer. `line` prepares texts as those that the model was trained on."""

    model: "_FastText"
    labels: tuple[str, ...]
    digest: str
    line: Callable[[pl.Series], list[str]]

    def score(self, texts: Sequence[str]) -> np.ndarray:
        column = {label: i for i, label in enumerate(self.labels)}
        values = np.zeros((len(texts), len(self.labels)))
        lines = self.line(pl.Series(texts, dtype=pl.String))
        found, probs = self.model.predict(lines, k=-1)
        rows = np.repeat(np.arange(len(lines)), [len(labels) for labels in found])
        if len(rows):
            values[rows, [column[label] for labels in found for label in labels]] = np.concatenate(probs)
        return values.clip(0.0, 1.0)  # the library adds 1e-5

    def probability(self, label: str, texts: Sequence[str]) -> np.ndarray:
        """(n,) P(label) of each text. Raises InputError for a label that the model has not."""
        if label not in self.labels:
            known = ", ".join(sorted(self.labels)[:20])
            raise InputError(f"a fastText model has no label {label!r}; it has {known}")
        return self.score(texts)[:, self.labels.index(label)]

    def best_label(self, texts: Sequence[str]) -> np.ndarray:
        """(n,) float64: the likeliest label of each text as a number (`__label__3` is 3), as CLIMB reads it."""
        labels, _ = self.model.predict(self.line(pl.Series(texts, dtype=pl.String)), k=1)
        try:
            return np.array([float(found[0].removeprefix("__label__")) if found else np.nan for found in labels])
        except ValueError as error:
            raise InputError(
                f"labels of the fastText model are not numbers ({error}); score its probability"
            ) from error


def open_scorer(path: Path | str, line: Callable[[pl.Series], list[str]]) -> FastTextScorer:
    """Raises InputError for a file that is no fastText classifier."""
    model = load(path)
    with Path(path).open("rb") as file:
        digest = hashlib.file_digest(file, hashlib.blake2b).hexdigest()
    return FastTextScorer(model, tuple(map(str, model.labels)), digest, line)


def as_given(texts: pl.Series) -> list[str]:
    """Texts that are one line each already."""
    return texts.to_list()


def plain_line(texts: pl.Series) -> list[str]:
    """Newlines become spaces, nothing else changes: how DCLM's classifier reads a text."""
    return texts.fill_null("").str.replace_all("\n", " ", literal=True).to_list()


def climb_line(texts: pl.Series) -> list[str]:
    """Newlines become a word, . ! ? , ' / ( ) stand alone, all lowercase: how CLIMB's classifiers read a text."""
    lines = texts.fill_null("").str.replace_all("\n", " <newline> ", literal=True)
    lines = lines.str.replace_all(r"([.!?,'/()])", " $1 ").str.to_lowercase()
    return lines.str.replace_all(r"\s+", " ").str.strip_chars().to_list()
