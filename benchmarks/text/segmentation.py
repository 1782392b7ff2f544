"""Our cut of scripts without spaces against ICU's dictionaries: characters per word, boundaries, words as the baseline.

    python benchmarks/text/segmentation.py FOLDER  # ours: ../shared/data/domains/multilingual

Needs icu4py (ICU itself). Khmer, Tibetan and Dzongkha, which the folder lacks, are CLDR's names of places, languages
and scripts (babel); Khmer's carry word boundaries of their own (zero-width spaces), a second judge.
"""

import argparse
import io
import json
import re
import sys
from collections.abc import Callable
from itertools import accumulate
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "stages"))

SCRIPTS = {
    "zh": r"[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff]+",
    "ja": r"[\u3005\u3007\u3400-\u4dbf\u4e00-\u9fff\u3041-\u309f\u30a1-\u30fa\u30fc-\u30ff]+",
    "th": r"[\u0e01-\u0e3a\u0e40-\u0e4e]+",
    "lo": r"[\u0e81-\u0edf]+",
    "my": r"[\u1000-\u103f]+",
    "km": r"[\u1780-\u17d3\u17d7\u17dc\u17dd]+",
    "bo": r"[\u0f40-\u0fbc\u0f0b\u0f0c]+",
    "dz": r"[\u0f40-\u0fbc\u0f0b\u0f0c]+",
}
CODES = {"zh-cn": "zh", "zh-tw": "zh", "cmn": "zh", "ja-jp": "ja", "jpn": "ja", "tha": "th", "lao": "lo", "mya": "my"}
ZWSP, TSHEGS = "\u200b", "\u0f0b\u0f0c"


def texts_of(folder: Path) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {lang: [] for lang in SCRIPTS}
    for path in sorted(folder.glob("*.jsonl.zst")):
        with zstandard.open(io.BytesIO(path.read_bytes()), "rt", encoding="utf-8", newline="\n") as lines:
            for line in filter(None, lines.read().split("\n")):
                row = json.loads(line)
                lang = CODES.get(row["lang"].lower(), row["lang"].lower())
                if lang in ("zh", "ja", "th", "lo", "my"):
                    found[lang].append(row["text"])
    for lang in ("km", "bo", "dz"):
        from babel import Locale

        locale = Locale(lang)
        names = [*locale.territories.values(), *locale.languages.values(), *locale.scripts.values()]
        found[lang] = [name for name in names if re.search(SCRIPTS[lang], name)]
    return found


def cuts(pieces: list[str]) -> set[int]:
    """Places inside the text where one piece ends and the next begins."""
    return set(accumulate(map(len, pieces[:-1])))


def icu(lang: str) -> Callable[[str], list[str]]:
    from icu4py.breakers import WordBreaker

    def pieces(text: str) -> list[str]:
        return [text[a:b] for a, b in WordBreaker(text, lang).segments()]

    return pieces


def compare(texts: list[str], script: str, gold: Callable[[str], list[str]]) -> tuple[int, ...]:
    """Runs of the script: characters, words by gold and by us, places cut by gold, by us, by both."""
    from signals_twin import cut_dense

    chars = words = ours = places = mine = both = 0
    for text in texts:
        whole = {x for x in cuts(gold(text)) if text[x] not in TSHEGS}  # ICU sets syllable marks apart
        for run in re.finditer(script, text):
            a, b = run.span()
            wanted = {x - a for x in whole if a < x < b}
            made = cuts(cut_dense(run[0]))
            chars += b - a
            words += len(wanted) + 1
            ours += len(made) + 1
            places += len(wanted)
            mine += len(made)
            both += len(wanted & made)
    return chars, words, ours, places, mine, both


def show(name: str, figures: tuple[int, ...]) -> None:
    chars, words, ours, places, mine, both = figures
    p, r = both / max(1, mine), both / max(1, places)
    f = 2 * p * r / (p + r) if both else 0.0
    print(
        f"| {name:16} | {chars:7,} | {chars / words:5.2f} | {chars / ours:5.2f} | {ours / words:4.2f} "
        f"| {p:.2f} | {r:.2f} | {f:.2f} | {chars / words:.2f} |"
    )


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("folder", type=Path, help="domains/multilingual")
    found = texts_of(arguments.parse_args().folder)
    print(
        "|  | characters | chars/word, ICU | ours | words, ours / ICU | P | R | F1 | words if each character is one |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for lang, texts in found.items():
        bare = [text.replace(ZWSP, "") for text in texts]
        show(f"{lang}", compare(bare, SCRIPTS[lang], icu(lang)))
    marked = [text for text in found["km"] if ZWSP in text]
    pieces = {text.replace(ZWSP, ""): text.split(ZWSP) for text in marked}
    show("km, CLDR's marks", compare(list(pieces), SCRIPTS["km"], pieces.__getitem__))


if __name__ == "__main__":
    main()
