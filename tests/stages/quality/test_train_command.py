"""`gristmill train`: a classifier from labelled texts, the same bytes each time, judged on texts it has not seen."""

import json
import random
from pathlib import Path

import polars as pl
import pytest

from gristmill.pipeline.cli import main
from gristmill.stages.safety import Safety

WORDS = {
    "toxic": ["idiot", "stupid", "moron", "hate", "ugly", "loser"],
    "fine": ["river", "garden", "music", "bread", "morning", "friend"],
}
COMMON = ["the", "a", "of", "and", "is", "was", "in", "to", "it", "you", "with", "on"]


def write(path: Path, n: int = 400, **names: str) -> Path:
    rng = random.Random(3)
    rows = []
    for i in range(n):
        label = ("toxic", "fine")[i % 2]
        words = rng.choices(COMMON, k=8) + rng.choices(WORDS[label], k=3)
        rng.shuffle(words)
        rows.append({names.get("text", "text"): " ".join(words) + f" {i}", names.get("label", "label"): label})
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_first_try_trains_reports_and_serves_the_safety_stage(tmp_path, capsys):
    """`gristmill train labelled.jsonl --out toxicity.bin`, then `safety: {toxicity: toxicity.bin}`."""
    texts, out = write(tmp_path / "labelled.jsonl"), tmp_path / "toxicity.bin"
    assert main(["train", str(texts), "--out", str(out), "--steps", "2000"]) == 0
    printed = capsys.readouterr().out
    assert "__label__toxic" in printed
    assert "accuracy" in printed
    report = json.loads((tmp_path / "toxicity.bin.json").read_text())
    held = sum(row["held_out"] for row in report["labels"].values())
    assert 40 < held < 120
    assert held + sum(report["trained_on"].values()) == 400
    assert report["accuracy"] > 0.95
    assert report["labels"]["__label__toxic"]["auc"] > 0.95
    stage = Safety(toxicity=str(out))
    stage.preflight()
    texts = ["you stupid ugly moron", "a river in the morning"]
    rows = pl.DataFrame(
        {"doc_id": ["a", "b"], "text": texts, "url": [None] * 2, "language": ["en"] * 2},
        schema_overrides={"url": pl.String},
    )
    toxic, fine = stage.open({})(rows)["toxicity_prob"].to_list()
    assert toxic > 0.9 > 0.1 > fine
    assert sorted(p.name for p in tmp_path.iterdir()) == ["labelled.jsonl", "toxicity.bin", "toxicity.bin.json"]


def test_same_texts_and_seed_give_the_same_bytes(tmp_path):
    texts = write(tmp_path / "labelled.jsonl", text="comment", label="class")
    models = []
    for name, seed in (("a", "0"), ("b", "0"), ("c", "1")):
        given = ["--text", "comment", "--label", "class", "--steps", "500", "--buckets", "1000", "--seed", seed]
        assert main(["train", str(texts), "--out", str(tmp_path / name), *given]) == 0
        models.append((tmp_path / name).read_bytes())
    assert models[0] == models[1] != models[2]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--label", "class"], "no field 'class'; it has text, label: name it with --text or --label"),
        (["--label", "text"], "is the field 'text' the label"),
        (["--held-out", "1.5"], "--held-out 1.5: more than 0 and less than 1"),
        (["--dim", "0"], "--dim 0: at least 1"),
        (["--out", "nowhere/x.bin"], "there is no folder nowhere"),
    ],
)
def test_what_cannot_be_meant_is_told_in_one_line(tmp_path, capsys, given, message):
    texts = write(tmp_path / "labelled.jsonl", n=2400)
    assert main(["train", str(texts), "--out", str(tmp_path / "x.bin"), *given]) != 0
    assert message in capsys.readouterr().err
    assert [p.name for p in tmp_path.iterdir()] == ["labelled.jsonl"]


def test_one_label_or_too_few_texts_of_one_are_told(tmp_path, capsys):
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "toxic"}\n' * 9)
    assert main(["train", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "x.bin")]) != 0
    assert "a classifier needs two labels, and the texts have __label__toxic" in capsys.readouterr().err
    (tmp_path / "x.jsonl").write_text('{"text": "a", "label": "toxic"}\n{"text": "b", "label": "fine"}\n')
    assert main(["train", str(tmp_path / "x.jsonl"), "--out", str(tmp_path / "x.bin")]) != 0
    assert "give more of it" in capsys.readouterr().err
