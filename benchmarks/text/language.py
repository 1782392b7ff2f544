"""Accuracy and documents/s of language identifiers that packages carry, on domains/multilingual.

    PYTHONPATH=.src python benchmarks/text/language.py [NAME ...] [--chars N] [--data FOLDER]
    PYTHONPATH=.src python benchmarks/text/language.py --base CHECKOUT    # speed of the stage's model beside another's

FOLDER/domains/multilingual/<set>.jsonl.zst (`SETS` below) hold {text, lang}.

Candidates that are not installed are skipped. Accuracy is the mean over languages (each counts the same), for whole
texts (their first N characters) and for 200-character snippets from the middle. A label counts as right if it is the
language's ISO 639-1 code or a member of its macrolanguage (nb, nn = no; hr, bs, sr in Latin script count apart).
"""

import argparse
import io
import json
import os
import re
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable
from pathlib import Path

import zstandard

sys.path.insert(0, str(Path(__file__).parents[1]))
from data import data_folder

from gristmill.classifiers.language import TWO_LETTERS, open_embedded
from gristmill.stages.language.identify import Language

DATA = data_folder()
ENGLISH = frozenset(["the", "of", "and", "to", "that", "with", "this", "are", "is", "by", "from", "which", "be"])
BATCH = 477  # web pages, the batch of docs/decisions/language.md
SETS = ("xquad", "debian_handbook", "debian_reference", "genesis", "web_registers", "udhr")

# What the data sets and the candidates call a language, where it is not the ISO 639-1 code already. The
# UDHR's codes are ISO 639-3; members of a macrolanguage count as the macrolanguage that identifiers know.
ALIASES = {
    "nb": "no", "nn": "no", "nob": "no", "nno": "no", "iw": "he", "jw": "jv", "in": "id", "fil": "tl",
    "arb": "ar", "ary": "ar", "cmn": "zh", "zho": "zh", "uzn": "uz", "khk": "mn", "pes": "fa", "prs": "fa",
    "swh": "sw", "zsm": "ms", "zlm": "ms", "als": "sq", "ekk": "et", "lvs": "lv", "ydd": "yi", "azj": "az", "plt": "mg",
    "gaz": "om", "quz": "qu", "kmr": "ku", "pnb": "pa", "npi": "ne", "ory": "or", "ayr": "ay", "gug": "gn",
}  # fmt: skip


def normal(code: str) -> str:
    base = code.replace("_", "-").split("-")[0].lower()
    if base in ALIASES:
        return ALIASES[base]
    return TWO_LETTERS.get(base, base)


def load(name: str) -> list[tuple[str, str]]:
    """(language, text)."""
    path = DATA / "domains/multilingual" / f"{name}.jsonl.zst"
    with path.open("rb") as f:
        lines = io.TextIOWrapper(zstandard.ZstdDecompressor().stream_reader(f), "utf-8").read().split("\n")
    rows = [json.loads(line) for line in lines if line]
    # UDHR: some files are in an orthography of their own ("und"). Debian: many passages stand untranslated.
    pairs = [(normal(r["lang"]), r["text"]) for r in rows if r["lang"] != "und"]
    return [(lang, text) for lang, text in pairs if lang == "en" or not untranslated(text)]


def untranslated(text: str) -> bool:
    """English function words are a tenth of the words: a rule that asks no candidate."""
    words = [w.lower() for w in re.findall(r"[^\W\d_]+", text)]
    return sum(w in ENGLISH for w in words) >= 0.1 * len(words)


def snippet(text: str) -> str:
    start = max(0, len(text) // 2 - 100)
    return text[start : start + 200]


def py3langid() -> Callable[[str], str]:
    from py3langid.langid import LanguageIdentifier

    identifier = LanguageIdentifier.from_model_file("data/model.npz.xz", norm_probs=True)
    return lambda text: identifier.classify(text)[0]


def eldc() -> Callable[[str], str]:
    import eldc

    eldc.init()
    return eldc.detect


def cld2() -> Callable[[str], str]:
    import pycld2

    def detect(text: str) -> str:
        clean = "".join(c if c.isprintable() else " " for c in text)  # it refuses control characters
        return pycld2.detect(clean, bestEffort=True)[2][0][1]

    return detect


def cld3() -> Callable[[str], str]:
    import gcld3

    identifier = gcld3.NNetLanguageIdentifier(min_num_bytes=0, max_num_bytes=4000)
    return lambda text: identifier.FindLanguage(text).language


def lingua_high() -> Callable[[str], str]:
    from lingua import LanguageDetectorBuilder

    return _lingua(LanguageDetectorBuilder.from_all_languages())


def lingua_low() -> Callable[[str], str]:
    from lingua import LanguageDetectorBuilder

    return _lingua(LanguageDetectorBuilder.from_all_languages().with_low_accuracy_mode())


def _lingua(builder) -> Callable[[str], str]:
    detector = builder.with_preloaded_language_models().build()

    def detect(text: str) -> str:
        language = detector.detect_language_of(text)
        return language.iso_code_639_1.name.lower() if language else "und"

    return detect


def langdetect() -> Callable[[str], str]:
    import langdetect

    langdetect.DetectorFactory.seed = 0

    def detect(text: str) -> str:
        try:
            return langdetect.detect(text)
        except langdetect.LangDetectException:
            return "und"

    return detect


def heliport() -> Callable[[str], str]:
    from heliport import Identifier

    return Identifier().identify


def common_lingua() -> Callable[[str], str]:
    import common_lingua

    def detect(text: str) -> str:
        scores = common_lingua.detect(text)
        return max(scores, key=scores.__getitem__) if scores else "und"

    return detect


def gristmill() -> Callable[[str], str]:
    """The stage's own default, a document at a time."""
    model = open_embedded(Language().embedded)
    model.rank(["warm up"], 1)
    return lambda text: next((code for code, _ in model.rank([text], 1)[0]), "und")


CANDIDATES = {
    f.__name__: f
    for f in (gristmill, py3langid, eldc, cld2, cld3, lingua_low, lingua_high, langdetect, heliport, common_lingua)
}


RATES = """
import json, sys, time
texts = json.load(sys.stdin)
try:
    from gristmill.classifiers.language import open_embedded
    from gristmill.stages.language.identify import Language
except ImportError:
    from classifiers.language import open_embedded
    from stages.language import Language
model = open_embedded(Language().embedded)
def seconds(call):
    taken = []
    for _ in range(15):
        began = time.process_time()
        call()
        taken.append(time.process_time() - began)
    return min(taken)
model.rank(texts, 3)
print(seconds(lambda: model.rank(texts, 3)), seconds(lambda: [model.rank([text], 3) for text in texts]))
"""


def beside(base: Path, texts: list[str]) -> None:
    """CPU time for the same texts of this checkout and another, in turn; of each the least that was seen."""
    ours, theirs = Path(__file__).parents[2] / ".src", base / ".src"
    places = {"this checkout": ours, base.name: theirs if theirs.is_dir() else base}
    seen: dict[str, list[list[float]]] = defaultdict(list)
    for _ in range(3):
        for name, place in places.items():
            run = subprocess.run(
                [sys.executable, "-c", RATES], input=json.dumps(texts), capture_output=True, text=True, check=True,
                env={**os.environ, "PYTHONPATH": str(place)}, cwd=base,
            )  # fmt: skip
            seen[name].append([float(word) for word in run.stdout.split()])
    least = {name: [min(column) for column in zip(*rows, strict=True)] for name, rows in seen.items()}
    for name, (batch, single) in least.items():
        print(
            f"{name:14} {len(texts)} texts: {1e3 * batch:.1f} ms in one batch, {1e3 * single:.1f} ms one at a time"
            f" ({len(texts) / batch:,.0f} and {len(texts) / single:,.0f} documents/s)"
        )
    (batch, single), (base_batch, base_single) = least.values()
    print(f"{base_batch / batch:.2f} and {base_single / single:.2f} times as many documents/s")


def macro(pairs: list[tuple[str, str]]) -> tuple[float, dict[str, float]]:
    by = defaultdict(list)
    for lang, got in pairs:
        by[lang].append(lang == got)
    each = {lang: sum(hits) / len(hits) for lang, hits in by.items()}
    return sum(each.values()) / len(each), each


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("names", nargs="*", default=list(CANDIDATES))
    parser.add_argument("--chars", type=int, default=2000)
    parser.add_argument("--per-language", type=int, default=25, help="texts per language and set")
    parser.add_argument("--errors", action="store_true")
    parser.add_argument("--base", type=Path, help="another checkout")
    args = parser.parse_args()
    if args.base:
        beside(args.base.resolve(), [text[: args.chars] for _, text in load("web_registers")][:BATCH])
        return
    data = {}
    for name in SETS:
        taken = defaultdict(list)
        for lang, text in load(name):
            if len(taken[lang]) < args.per_language and len(text) >= 200:
                taken[lang].append(text)
        data[name] = [(lang, text) for lang, texts in taken.items() for text in texts if len(lang) == 2]
        print(
            f"{name}: {len(data[name])} texts in {len({lang for lang, _ in data[name]})} languages with ISO 639-1 codes"
        )
    heads = "".join(f"{name[:15]:>19}" for name in SETS)
    print(f"{'':14}{'docs/s':>8}{'snips/s':>8}  {heads}   (whole / 200 characters)")
    for name in args.names:
        try:
            detect = CANDIDATES[name]()
        except ImportError:
            continue
        cells, seconds, counts, wrong = [], [0.0, 0.0], [0, 0], defaultdict(int)
        for which in SETS:
            scores = []
            for k, cut in enumerate((lambda t: t[: args.chars], snippet)):
                texts = [cut(text) for _, text in data[which]]
                start = time.process_time()
                got = [detect(text) for text in texts]
                seconds[k] += time.process_time() - start
                counts[k] += len(texts)
                pairs = [(lang, normal(g)) for (lang, _), g in zip(data[which], got, strict=True)]
                scores.append(macro(pairs)[0])
                if k == 1:
                    for lang, g in pairs:
                        if lang != g:
                            wrong[lang, g] += 1
            cells.append(f"{scores[0]:.4f} / {scores[1]:.4f}")
        rate = [f"{n / s:8.0f}" for n, s in zip(counts, seconds, strict=True)]
        print(f"{name:14}{rate[0]}{rate[1]}  " + "".join(f"{c:>19}" for c in cells), flush=True)
        if args.errors:
            print("   ", sorted(wrong.items(), key=lambda x: -x[1])[:40])


if __name__ == "__main__":
    main()
