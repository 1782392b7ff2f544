"""`gristmill train`: a fastText classifier from labelled texts, with a report on texts that it has not seen.

The held-out texts are drawn by their own hash, so that equal texts fall on one side, whatever their order.
"""

import argparse
import json
import os
from collections.abc import Sequence
from dataclasses import asdict, fields, replace
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import polars as pl

from gristmill.classifiers.calibration import auc
from gristmill.classifiers.fasttext import Training, open_scorer, plain_line, train_labelled
from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.contract.texts import read_records

PREFIX = "__label__"
LEAST = 2  # held-out texts of a label, and texts that it is trained on
MOST_LABELS = 1000


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("texts", nargs="+", metavar="FILE", help="JSONL, JSON or Parquet (also .gz, .zst of text)")
    parser.add_argument("--out", type=Path, required=True, help="the model's file; the report is written beside it")
    parser.add_argument("--text", default="text", help="field of the text (default: text)")
    parser.add_argument("--label", default="label", help="field of the label (default: label)")
    parser.add_argument("--held-out", type=float, default=0.2, help="share of texts for the report (default: 0.2)")
    for setting in fields(Training):
        name, default = setting.name.replace("_", "-"), setting.default
        parser.add_argument(f"--{name}", type=type(default), default=default, help=f"default: {default}")


def train_command(a: argparse.Namespace) -> int:
    """Trains, writes the model and FILE.json, and prints the report. Raises ConfigError and DataError."""
    if not 0 < a.held_out < 1:
        raise ConfigError(f"--held-out {a.held_out}: more than 0 and less than 1")
    if not a.out.parent.is_dir():
        raise ConfigError(f"--out {a.out}: there is no folder {a.out.parent}")
    settings = replace(Training(), **{f.name: getattr(a, f.name) for f in fields(Training)})
    for name, hint in get_type_hints(Training, include_extras=True).items():
        for limit in get_args(hint)[1:]:
            if not limit.holds(getattr(settings, name)):
                raise ConfigError(f"--{name.replace('_', '-')} {getattr(settings, name)}: {limit}")
    texts, labels = read_labelled(a.texts, a.text, a.label)
    held = held_out(texts, a.held_out, settings.seed)
    check_sides(labels, held)
    sides = list(zip(texts, labels, held, strict=True))
    lines = {name: [t for t, own, out in sides if own == name and not out] for name in sorted(set(labels))}
    made = a.out.with_name(f".{a.out.name}.new")
    train_labelled(lines, settings, made)
    report = held_out_report(made, [t for t, _, out in sides if out], [own for _, own, out in sides if out])
    report |= {"trained_on": {name: len(own) for name, own in lines.items()}, "settings": asdict(settings)}
    a.out.with_name(f"{a.out.name}.json").write_text(json.dumps(report, indent=1))
    os.replace(made, a.out)
    say([*shown(report), str(a.out)])
    return 0


def read_labelled(paths: Sequence[str], text: str, label: str) -> tuple[list[str], list[str]]:
    """One line and fastText's label for each record; records of an empty text are left out."""
    texts, labels = [], []
    for path in paths:
        for where, record in read_records(path, "train"):
            for field in (text, label):
                if field not in record:
                    has = ", ".join(map(str, record))
                    raise ConfigError(f"{where}: no field {field!r}; it has {has}: name it with --text or --label")
            line, name = str(record[text] or ""), "_".join(str(record[label]).split())
            if line.strip():
                texts.append(plain_line(pl.Series([line]))[0].replace(PREFIX, "label "))  # text that would be a label
                labels.append(name if name.startswith(PREFIX) else PREFIX + name)
    if len(names := set(labels)) < 2:
        raise DataError(f"a classifier needs two labels, and the texts have {', '.join(names) or 'none'}")
    if len(names) > MOST_LABELS:
        raise DataError(f"{len(names):,} labels; is the field {label!r} the label? At most {MOST_LABELS:,}")
    return texts, labels


def held_out(texts: Sequence[str], share: float, seed: int) -> list[bool]:
    return (uniform(texts, f"train:{seed}") < share).tolist()


def check_sides(labels: Sequence[str], held: Sequence[bool]) -> None:
    for name in sorted(set(labels)):
        out = sum(h for own, h in zip(labels, held, strict=True) if own == name)
        if min(out, labels.count(name) - out) < LEAST:
            raise DataError(f"label {name}: {labels.count(name)} texts, of which {out} are held out; give more of it")


def held_out_report(model: Path, texts: Sequence[str], labels: Sequence[str]) -> dict:
    """Accuracy, and for each label precision and recall where it is the likeliest, and AUC of its probability."""
    scorer = open_scorer(model, plain_line)
    scores = scorer.score(texts)
    truth = np.array(labels)
    said = np.array(scorer.labels)[scores.argmax(axis=1)]
    rows = {}
    for i, name in enumerate(scorer.labels):
        right = int(((said == name) & (truth == name)).sum())
        rows[name] = {
            "held_out": int((truth == name).sum()),
            "precision": round(right / n, 4) if (n := int((said == name).sum())) else None,
            "recall": round(right / n, 4) if (n := int((truth == name).sum())) else None,
            "auc": None if (value := auc(scores[:, i], truth == name)) is None else round(value, 4),
        }
    return {"accuracy": round(float((said == truth).mean()), 4), "labels": dict(sorted(rows.items()))}


def shown(report: dict) -> list[str]:
    lines = [f"{'label':30} {'trained on':>10} {'held out':>8} {'precision':>9} {'recall':>7} {'AUC':>7}"]
    for name, row in report["labels"].items():
        values = (row[key] for key in ("precision", "recall", "auc"))
        p, r, area = ("-" if value is None else f"{value:.3f}" for value in values)
        lines.append(f"{name:30} {report['trained_on'][name]:10,} {row['held_out']:8,} {p:>9} {r:>7} {area:>7}")
    return [*lines, f"accuracy {report['accuracy']:.3f}"]
