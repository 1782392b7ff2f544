"""Quality models: training time, scoring speed, and how they fare on labelled data they were not made for.

    python benchmarks/text/quality.py [--shared ../shared]

Two sets of references: the crawl's own (default rule over hosts of web/*.warc.gz), and texts given as files
(encyclopaedia, textbook, abstracts, documentation of domains/en). AUC 0.5 is a coin toss. Times are CPU seconds.
"""

import argparse
import io
import json
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from hashlib import blake2b
from pathlib import Path

import numpy as np
import polars as pl
import py3langid
import zstandard
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.extract.html2text import extract_plain_text
from resiliparse.parse.encoding import detect_encoding
from resiliparse.parse.html import HTMLTree

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import FrameCorpus

from gristmill.classifiers.calibration import auc
from gristmill.stages.dedup.references import ReferenceFlags, References
from gristmill.stages.quality.model import QualityModel
from gristmill.stages.quality.score import Quality

GIVEN = ("wikipedia", "textbook_psychology", "science_abstracts", "tech_docs")


def records(path: Path) -> list[dict]:
    with zstandard.open(io.BytesIO(path.read_bytes()), "rt", encoding="utf-8", newline="\n") as lines:
        return [json.loads(line) for line in lines.read().split("\n") if line]


def frame_of(texts: Sequence[str], **columns: Sequence) -> pl.DataFrame:
    ids = [blake2b(f"{i} {text}".encode(), digest_size=16).hexdigest() for i, text in enumerate(texts)]
    return pl.DataFrame({"doc_id": ids, "text": texts, **columns})


def crawl(shared: Path) -> pl.DataFrame:
    """Main texts of the web pages: doc_id, text, url, language."""
    rows = []
    for path in sorted((shared / "data/web").glob("CC-MAIN-shard-*.warc.gz")):
        with path.open("rb") as file:
            for record in ArchiveIterator(file, record_types=WarcRecordType.response, parse_http=True):
                body = record.reader.read()
                tree = HTMLTree.parse_from_bytes(body, detect_encoding(body))
                text = extract_plain_text(tree, main_content=True, alt_texts=False)
                if len(text) > 200:
                    url = str(record.headers.get("WARC-Target-URI"))
                    rows.append((text, url, py3langid.classify(text[:2000])[0]))
    texts, urls, languages = zip(*rows, strict=True)
    return frame_of(texts, url=urls, language=languages)


def evaluate(name: str, rule: References, web: pl.DataFrame, shared: Path, folder: Path) -> None:
    references, artifact = folder / "references", folder / "model"
    references.mkdir(parents=True)
    artifact.mkdir()
    rule.run(FrameCorpus([web], {"dedup.references": references}), references)
    flagged = web.hstack(ReferenceFlags().open({"dedup.references": references})(web).drop("doc_id"))
    flagged = flagged.filter(~pl.col("is_held_out"))
    start = time.process_time()
    QualityModel().run(FrameCorpus([flagged], {"dedup.references": references}), artifact)
    took = time.process_time() - start
    report = json.loads((artifact / "report.json").read_text())
    size = sum(p.stat().st_size for p in artifact.iterdir()) / 1e6
    counts = f"{report['references']} references, {report['others']} others"
    print(f"\n{name}: {counts}; trained in {took:.1f} s, {size:.0f} MB")
    print("  " + ", ".join(f"{k} {report[k]}" for k in ("q_reference_auc", "q_importance_auc", "accuracy", "brier")))
    annotate = Quality().open({"quality.model": artifact})
    annotate(web[:5])
    start = time.process_time()
    annotate(web)
    took, size = time.process_time() - start, web["text"].str.len_bytes().sum() / 1e6
    print(f"  scoring: {web.height / took:,.0f} docs/s, {size / took:.0f} MB/s")
    for test, good, bad in labelled(shared):
        scores = annotate(frame_of([*good, *bad]))
        positive = np.arange(len(good) + len(bad)) < len(good)
        figures = [auc(scores[c].fill_null(-9).to_numpy(), positive) for c in ("q_reference", "q_importance")]
        print(f"  {test:48s} {len(good):6d} {len(bad):6d}   {figures[0]:.3f}   {figures[1]:.3f}")


def labelled(shared: Path) -> Iterator[tuple[str, list[str], list[str]]]:
    """(what is compared, better texts, worse texts)."""
    folder = shared / "data/quality"
    turku = records(folder / "turku_line_quality.jsonl.zst")
    for language in ("en", "de", "fr"):
        documents = [r for r in turku if r["lang"] == language]
        lines = [(line, int(label)) for r in documents for line, label in zip(r["text"], r["labels"], strict=True)]
        lines = [(line, label) for line, label in lines if len(line) >= 40]
        yield f"turku {language}: lines to keep / to drop", *([t for t, v in lines if v == w] for w in (1, 0))
    clean = [(r["text"], np.mean([int(v) for v in r["labels"]])) for r in turku if r["lang"] == "en"]
    clean = [("\n".join(text), share) for text, share in clean]
    yield (
        "turku en: documents 90% / under 50% clean lines",
        [t for t, s in clean if s >= 0.9],
        [t for t, s in clean if s < 0.5],
    )
    hplt = records(folder / "hplt_human_inspection.jsonl.zst")
    for language in ("eng_Latn", None):
        rows = [r for r in hplt if language in (None, r["lang"])]
        for column in ("unnatural", "porn"):
            good, bad = ([r["text"] for r in rows if r[column] == v] for v in ("0", "1"))
            if good and bad:
                yield f"hplt {language or 'all'}: not {column} / {column}", good, bad
    clickbait = records(folder / "clickbait_headlines.jsonl.zst")
    yield "headlines: news / clickbait", *([r["text"] for r in clickbait if r["clickbait"] == v] for v in (0, 1))
    levels = records(folder / "onestopenglish_levels.jsonl.zst")
    yield "onestop: advanced / elementary", *([r["text"] for r in levels if r["level"] == v] for v in ("adv", "ele"))
    domains = shared / "data/domains/en"
    good, bad = (
        [r["text"][:5000] for n in names for r in records(domains / f"{n}.jsonl.zst")[:300]]
        for names in (("government", "legal_statutes", "math_latex", "news"), ("chat_irc", "reviews", "dialogue_task"))
    )
    yield "domains: government, law, math, news / chat, reviews", good, bad


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=Path, default=Path(__file__).parents[3] / "shared")
    options = parser.parse_args()
    web = crawl(options.shared)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        evaluate("references of the crawl", References(), web, options.shared, folder / "crawl")
        texts = [
            {"text": r["text"][:20_000], "language": "en"}
            for name in GIVEN
            for r in records(options.shared / f"data/domains/en/{name}.jsonl.zst")
        ]
        path = folder / "given.jsonl"
        path.write_text("\n".join(json.dumps(t) for t in texts), encoding="utf-8")
        rule = replace(References(), paths=(str(path),))
        evaluate("references given as files", rule, web, options.shared, folder / "given")


if __name__ == "__main__":
    main()
