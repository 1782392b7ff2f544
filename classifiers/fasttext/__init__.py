from gristmill.classifiers.fasttext.model import (
    NEGATIVE,
    POSITIVE,
    FastTextScorer,
    Training,
    as_given,
    climb_line,
    labels_of,
    load,
    open_scorer,
    plain_line,
    train,
    train_labelled,
)

__all__ = [
    "NEGATIVE",
    "POSITIVE",
    "FastTextScorer",
    "Training",
    "as_given",
    "climb_line",
    "labels_of",
    "load",
    "open_scorer",
    "plain_line",
    "train",
    "train_labelled",
]
