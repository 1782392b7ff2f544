"""How well safety's scores tell labelled texts apart: precision, recall and AUC, also of what `gristmill train` makes.

    python benchmarks/text/safety.py --quality FOLDER

FOLDER holds tweets_toxicity.jsonl.zst (text, task, split, label), hplt_human_inspection.jsonl.zst (text, lang, porn)
and ldnoobw/ (a word list per language). The toxicity classifier is trained on the tweets' training split, and once more
by `gristmill train` on all splits, which holds out a fifth by the hash of the text; so is the adult one, on pages.
"""

import argparse
import json
import tempfile
from pathlib import Path

import numpy as np
import polars as pl

from gristmill.classifiers import fasttext
from gristmill.classifiers.calibration import auc
from gristmill.pipeline.cli import main as gristmill
from gristmill.pipeline.contract.texts import read_records
from gristmill.stages.safety import Safety


def scores(stage: Safety, texts: list[str], languages: list[str]) -> pl.DataFrame:
    ids = [str(i) for i in range(len(texts))]
    frame = pl.DataFrame({"doc_id": ids, "text": texts, "language": languages})
    return stage.open({})(frame.with_columns(url=pl.lit(None, pl.String)))


def say(name: str, score: np.ndarray, truth: np.ndarray, limit: float) -> None:
    found = score > limit
    right = int((found & truth).sum())
    precision, recall = right / max(int(found.sum()), 1), right / max(int(truth.sum()), 1)
    area = auc(score, truth) or 0.0
    print(
        f"{name:28} {truth.size:6,} texts, {int(truth.sum()):5,} of the kind: AUC {area:.3f}, above {limit:g}: "
        f"precision {precision:.3f}, recall {recall:.3f}"
    )


PAGE_CHARS = 5000  # of a page that a classifier is trained on


def trained(name: str, labelled: list[tuple[str, str]]) -> None:
    """Runs `gristmill train` on (text, label), which prints its report."""
    print(f"\n{name}: gristmill train")
    with tempfile.TemporaryDirectory() as folder:
        texts = Path(folder) / "texts.jsonl"
        texts.write_text("".join(json.dumps({"text": text, "label": label}) + "\n" for text, label in labelled))
        if status := gristmill(["train", str(texts), "--out", str(Path(folder) / "model.bin")]):
            raise SystemExit(status)


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--quality", type=Path, required=True)
    a = arguments.parse_args()
    tweets = [t for _, t in read_records(str(a.quality / "tweets_toxicity.jsonl.zst"), "--quality")]
    words = Safety(words=str(a.quality / "ldnoobw"))
    for task in sorted({str(t["task"]) for t in tweets}):
        mine = [t for t in tweets if t["task"] == task]
        training = [t for t in mine if t["split"] == "train"]
        held = [t for t in mine if t["split"] == "test"]
        truth = np.array(
            [not str(t["label"]).startswith("non") and not str(t["label"]).startswith("not") for t in held]
        )
        texts = [str(t["text"]) for t in held]
        listed = scores(words, texts, ["en"] * len(held))["unsafe_words_frac"].fill_null(0).to_numpy()
        say(f"{task}: word list", listed, truth, 0.0)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "model.bin"
            lines: dict[bool, list[str]] = {True: [], False: []}
            for t in training:
                lines[t["label"] == task] += fasttext.plain_line(pl.Series([str(t["text"])]))
            fasttext.train(lines[True], lines[False], fasttext.Training(), path)
            stage = Safety(toxicity=str(path), toxicity_label=fasttext.POSITIVE)
            say(f"{task}: classifier", scores(stage, texts, ["en"] * len(held))["toxicity_prob"].to_numpy(), truth, 0.5)
    records = [r for _, r in read_records(str(a.quality / "hplt_human_inspection.jsonl.zst"), "--quality")]
    pages = [p for p in records if str(p.get("porn")) in ("0", "1")]
    codes = [str(p["lang"]).partition("_")[0] for p in pages]
    found = scores(words, [str(p["text"]) for p in pages], codes)["unsafe_words_frac"]
    known = found.is_not_null().to_numpy()
    truth = np.array([str(p["porn"]) == "1" for p in pages])[known]
    for limit in (0.0, 0.05, 0.2):
        say("pages, porn: word list", found.drop_nulls().to_numpy(), truth, limit)
    for task in sorted({str(t["task"]) for t in tweets}):
        trained(task, [(str(t["text"]), str(t["label"])) for t in tweets if t["task"] == task])
    adult = {"0": "other", "1": "adult"}
    trained("pages, adult", [(str(p["text"])[:PAGE_CHARS], adult[str(p["porn"])]) for p in pages])


if __name__ == "__main__":
    main()
