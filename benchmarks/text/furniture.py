"""Precision and recall of each rule that cuts page furniture, on labelled lines and on articles with a gold text.

    python benchmarks/text/furniture.py FOLDER [--show RULE]  # ours: ../shared/data; --show: lines cut wrongly

turku: lines labelled as bad are right to cut. cleaneval: paragraphs of the gold text and of jusText's output; right to
cut is what the gold text has not. articles: lines of our extraction without the cuts; right to cut is what the gold
body of the article has not. Texts are compared by their letters.
"""

import collections
import json
import re
import sys
from collections.abc import Iterator
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parents[2] / ".src"))
sys.path.insert(0, str(Path(__file__).parents[1] / "ingest"))
from ingest_quality import pages

from gristmill.stages.ingest.content.furniture import rules_of_lines
from gristmill.stages.ingest.content.phrases import RULES
from gristmill.stages.ingest.page.parse import parsed

Judged = Iterator[tuple[str, list[tuple[str, bool]]]]  # text, and its lines with whether each is furniture


def entries(path: Path) -> list[dict]:
    raw = zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode()
    return [json.loads(line) for line in raw.split("\n") if line]


def letters(text: str) -> str:
    return "".join(re.findall(r"[^\W_]+", text.lower()))


def turku(data: Path) -> Judged:
    for entry in entries(data / "quality" / "turku_line_quality.jsonl.zst"):
        lines = [" ".join(line.split()) for line in entry["text"]]
        yield "\n".join(lines), list(zip(lines, [label != "1" for label in entry["labels"]], strict=True))


def cleaneval(data: Path) -> Judged:
    for entry in entries(data / "quality" / "cleaneval_gold.jsonl.zst"):
        gold = letters(re.sub(r"<\w+>", " ", entry["gold"]))
        for found in (entry["gold"], entry["justext_java"]):
            # a paragraph is wrapped over many lines; each begins with its tag
            paragraphs = re.split(r"\n\s*(?=<\w+>)|\n\s*\n", found) if "<p>" in found else found.split("\n")
            lines = [" ".join(re.sub(r"<\w+>", " ", line).split()) for line in paragraphs]
            yield "\n".join(lines), [(line, letters(line) not in gold) for line in lines]


def articles(data: Path) -> Judged:
    gold = {
        e["sha1"]: letters(e["text"])
        for e in entries(data / "web" / "gold" / "extraction_gold.shared.jsonl.zst")
        if e["kind"] == "article_body"
    }
    for key, page in pages(data):
        if key in gold:
            text = parsed(page, page.encode("utf-8", "replace"), {}, "resiliparse").text
            yield text, [(line, letters(line) not in gold[key]) for line in text.split("\n")]


def measure(name: str, judged: Judged, show: str | None) -> None:
    right: collections.Counter[str] = collections.Counter()
    wrong: collections.Counter[str] = collections.Counter()
    bad = 0
    for text, lines in judged:
        if not text:
            continue
        for rule, (line, furniture) in zip(rules_of_lines(text), lines, strict=False):
            bad += furniture and bool(line.strip())
            if rule is None:
                continue
            if rule == "repeated" and name == "articles":
                furniture = True  # its letters are in the gold text because the first one is
            (right if furniture else wrong)[rule] += 1
            if rule == show and not furniture:
                print(f"  {name}: {line[:110]}")
    for rule in (*RULES, "all"):
        hits, misses = (sum(c.values()) if rule == "all" else c[rule] for c in (right, wrong))
        if hits + misses:
            precision, recall = hits / (hits + misses), hits / bad
            print(f"{name:10s} {rule:10s} precision {precision:.3f} ({hits + misses:5d} lines)  recall {recall:.3f}")


if __name__ == "__main__":
    shown = sys.argv[sys.argv.index("--show") + 1] if "--show" in sys.argv else None
    for name, judged in (("turku", turku), ("cleaneval", cleaneval), ("articles", articles)):
        measure(name, judged(Path(sys.argv[1])), shown)
