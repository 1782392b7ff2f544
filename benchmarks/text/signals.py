"""Signals and gates against datatrove's four filters on the same real texts: speed per core, agreement by rule.

    python benchmarks/text/signals.py FOLDER --cache /tmp/web_texts.parquet --parity  # ours: ../shared/data/web

Needs spacy beside the development tools (datatrove's English word tokenizer).
Texts are extracted once with resiliparse. A disagreement is put down to the cutting of words where datatrove's own
filter, given our words and sentences (tests/stages/signals_twin.py), decides as we do; to symbols where it does so when
a word of Unicode's symbols and marks alone counts as no word, beside one of datatrove's list; else it is unexplained.
"""

import argparse
import inspect
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import polars as pl

from gristmill.pipeline.kernels.text.characters import SYMBOL, class_of
from gristmill.stages.clean import Clean
from gristmill.stages.gates import Gates
from gristmill.stages.signals import Signals

REPEATS = 5  # of our pass; the fastest counts, as the machine may be shared


def read_texts(web: Path, cache: Path | None) -> pl.DataFrame:
    """doc_id, text, language of every HTML response under `web` (main content; language by py3langid)."""
    if cache is not None and cache.exists():
        return pl.read_parquet(cache)
    import py3langid
    from fastwarc.warc import ArchiveIterator, WarcRecordType
    from resiliparse.extract.html2text import extract_plain_text
    from resiliparse.parse.encoding import bytes_to_str, detect_encoding

    texts = []
    for path in sorted(web.glob("*.warc.gz")):
        with path.open("rb") as stream:
            for record in ArchiveIterator(stream, record_types=WarcRecordType.response, parse_http=True):
                body = record.reader.read()
                html = bytes_to_str(body, record.http_charset or detect_encoding(body), errors="replace")
                texts.append(extract_plain_text(html, main_content=True))
    languages = [py3langid.classify(text[:3000])[0] if text else None for text in texts]
    frame = pl.DataFrame({"doc_id": [str(i) for i in range(len(texts))], "text": texts, "language": languages})
    if cache is not None:
        frame.write_parquet(cache)
    return frame


def fastest(run: Callable[[], object]) -> float:
    """Seconds of processor time of the fastest of REPEATS runs."""
    times = []
    for _ in range(REPEATS):
        start = time.process_time()
        run()
        times.append(time.process_time() - start)
    return min(times)


def datatrove_filters() -> list:
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    return [GopherRepetitionFilter(), GopherQualityFilter(), C4QualityFilter(), FineWebQualityFilter()]


def drops(step, text: str) -> bool:
    """Whether a datatrove filter drops the text (it divides by zero on some texts without words: dropped)."""
    from datatrove.data import Document

    try:
        result = step.filter(Document(text=text, id="0"))
    except ZeroDivisionError:
        return True
    return result is not True


def cold(text: str) -> str:
    """The text as datatrove's cache of split words has not seen it: the cache must not help a second pass."""
    from datatrove.utils.text import split_into_parts

    split_into_parts.cache_clear()
    return text


def speed(frame: pl.DataFrame, sample: int) -> None:
    annotate, gate = Signals(words="split").open({}), Gates()
    annotate(frame.head(2))  # compiles
    megabytes = frame["text"].str.len_bytes().sum() / 1e6
    signals = fastest(lambda: annotate(frame))
    measured = annotate(frame).with_columns(frame["language"])
    gates = fastest(lambda: gate.decide(measured))
    both = len(frame) / (signals + gates)
    print(f"signals          {len(frame) / signals:10.0f} docs/s {megabytes / signals:7.1f} MB/s per core")
    print(f"signals + gates  {both:10.0f} docs/s {megabytes / (signals + gates):7.1f} MB/s per core")

    english = frame.filter(pl.col("language") == "en")
    both = len(english) / fastest(lambda: gate.decide(annotate(english).with_columns(english["language"])))
    print(f"  on English     {both:10.0f} docs/s")
    texts = english.sample(min(sample, len(english)), seed=0)["text"].to_list()
    steps = datatrove_filters()
    drops(steps[0], texts[0])
    for title, leave_early in (("every filter on every text", False), ("dropped texts leave early", True)):
        start = time.process_time()
        for text in texts:
            cold(text)
            for step in steps:
                if drops(step, text) and leave_early:
                    break
        theirs = len(texts) / (time.process_time() - start)
        print(f"datatrove        {theirs:10.1f} docs/s ({title}): ours x {both / theirs:.0f}")


def rule_by_rule() -> dict[str, Callable[[str], bool]]:
    """Our rule name -> datatrove's decision on it alone."""
    from datatrove.pipeline.filters import (
        C4QualityFilter,
        FineWebQualityFilter,
        GopherQualityFilter,
        GopherRepetitionFilter,
    )

    def of(step) -> Callable[[str], bool]:
        return lambda text: drops(step, text)

    off = dict.fromkeys(("dup_line_frac", "dup_para_frac", "dup_line_char_frac", "dup_para_char_frac"))
    off |= {"top_n_grams": (), "dup_n_grams": ()}
    repetition = {
        "too_many_dup_lines": {"dup_line_frac": 0.3},
        "too_many_dup_paragraphs": {"dup_para_frac": 0.3},
        "too_many_dup_line_chars": {"dup_line_char_frac": 0.2},
        "too_many_dup_paragraph_chars": {"dup_para_char_frac": 0.2},
    }
    for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16)):
        repetition[f"top_{n}gram_too_common"] = {"top_n_grams": ((n, limit),)}
    for n in range(5, 11):
        repetition[f"too_many_dup_{n}grams"] = {"dup_n_grams": ((n, round(0.2 - n / 100, 2)),)}
    rules = {name: of(GopherRepetitionFilter(**(off | limits))) for name, limits in repetition.items()}

    off = dict.fromkeys(list(inspect.signature(GopherQualityFilter).parameters)[:9])  # its limits
    for name, limits in {
        "too_few_words": {"min_doc_words": 50},
        "too_many_words": {"max_doc_words": 100_000},
        "words_too_short": {"min_avg_word_length": 3},
        "words_too_long": {"max_avg_word_length": 10},
        "too_many_hashes or too_many_ellipses": {"max_symbol_word_ratio": 0.1},
        "too_many_bullet_lines": {"max_bullet_lines_ratio": 0.9},
        "too_many_ellipsis_lines": {"max_ellipsis_lines_ratio": 0.3},
        "too_few_alphabetic_words": {"max_non_alpha_words_ratio": 0.8},
        "too_few_stop_words": {"min_stop_words": 2},
    }.items():
        rules[name] = of(GopherQualityFilter(**(off | limits)))

    off = {"filter_lorem_ipsum": False, "filter_curly_bracket": False, "min_num_sentences": -1}
    for name, limits in {
        "lorem_ipsum": {"filter_lorem_ipsum": True},
        "curly_brace": {"filter_curly_bracket": True},
        "too_few_sentences": {"min_num_sentences": 5},
    }.items():
        rules[name] = of(C4QualityFilter(**(off | limits)))

    off = {"line_punct_thr": 0, "short_line_thr": 1, "char_duplicates_ratio": 1, "new_line_ratio": 1e9}
    for name, limits in {
        "too_few_ended_lines": {"line_punct_thr": 0.12},
        "too_many_short_lines": {"short_line_thr": 0.67},
        "too_many_dup_line_body": {"char_duplicates_ratio": 0.01},
        "too_many_newlines": {"new_line_ratio": 0.3},
    }.items():
        rules[name] = of(FineWebQualityFilter(**(off | limits)))
    return rules


def datatrove_decisions(texts: list[str]) -> pl.DataFrame:
    """One boolean column per rule, and "all rules together"."""
    rules, steps = rule_by_rule(), datatrove_filters()
    rows = [
        [decide(text) for decide in rules.values()] + [any(drops(step, text) for step in steps)] for text in texts
    ]  # by text: datatrove keeps the words of the last few texts
    return pl.DataFrame(rows, schema=[*rules, "all rules together"], orient="row")


class Symbols:
    """What the kernels take for a symbol, as a set."""

    def __contains__(self, character: str) -> bool:
        return bool(class_of(character) & SYMBOL)


@contextmanager
def our_words(symbols: bool) -> Iterator[None]:
    """Inside, datatrove's filters get our words and our sentences, and our symbols too if asked for."""
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "stages"))
    import signals_twin as twin
    from datatrove.pipeline.filters import (
        c4_filters,
        fineweb_quality_filter,
        gopher_quality_filter,
        gopher_repetition_filter,
    )

    last: dict[str, list[str]] = {}

    def words(text: str, _: str) -> list[str]:
        if text not in last:
            last.clear()
            last[text] = twin.words_of(text, True)
        return last[text]

    def sentences(line: str, _: str) -> list[str]:
        return [""] * twin.sentences_in(line)

    word_filters = (fineweb_quality_filter, gopher_quality_filter, gopher_repetition_filter)
    patches = [(module, "split_into_words", words) for module in word_filters]
    patches += [(c4_filters, "split_into_sentences", sentences)]
    if symbols:
        patches += [(gopher_quality_filter, "PUNCTUATION_SET", Symbols())]
    before = [getattr(module, name) for module, name, _ in patches]
    for module, name, new in patches:
        setattr(module, name, new)
    try:
        yield
    finally:
        for (module, name, _), old in zip(patches, before, strict=True):
            setattr(module, name, old)


def our_decisions(english: pl.DataFrame, rules: list[str], words: str) -> pl.DataFrame:
    measured = Signals(words=words).open({})(english).with_columns(english["language"])
    broken = measured.select(expression.fill_null(False).alias(name) for name, expression in Gates().table().items())
    names = {rule: broken.columns if rule == "all rules together" else rule.split(" or ") for rule in rules}
    return broken.select(pl.any_horizontal(*columns).alias(rule) for rule, columns in names.items())


def parity(english: pl.DataFrame) -> None:
    """Prints per rule: datatrove's drops, ours, texts decided alike; disagreements by cause; the same for the papers'
    words."""
    texts = english["text"].to_list()
    theirs = datatrove_decisions(texts)
    with our_words(symbols=False):
        recut = datatrove_decisions(texts)
    with our_words(symbols=True):
        recounted = datatrove_decisions(texts)
    ours = our_decisions(english, theirs.columns, "split")
    plain = our_decisions(english, theirs.columns, "whitespace")
    print(f"{'rule':40} datatrove   ours  agree  differ: words symbols unexplained  whitespace: ours  agree")
    for rule in theirs.columns:
        a, b, c, d, e = (frame[rule] for frame in (theirs, ours, recut, recounted, plain))
        cut, counted = (a != b) & (c == b), (a != b) & (c != b) & (d == b)
        left = (b != d) | ((a != b) & ~cut & ~counted)
        print(
            f"{rule:40} {a.sum():9} {b.sum():6} {(a == b).mean():6.4f} {cut.sum():14} {counted.sum():7} "
            f"{left.sum():11} {e.sum():17} {(a == e).mean():6.4f}"
        )
        for i in left.arg_true()[:3]:
            print(f"    unexplained: text {english['doc_id'][i]}, datatrove {a[i]}, recounted {d[i]}, ours {b[i]}")


def cleaning(english: pl.DataFrame) -> None:
    """Prints the share of texts that `gristmill.stages.clean` and datatrove's C4 filter leave alike, and our speed."""
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4QualityFilter

    annotate = Clean(enabled=True).open({})
    ours = annotate(english)
    seconds = fastest(lambda: annotate(english))
    print(f"cleaning         {english['text'].str.len_bytes().sum() / 1e6 / seconds:10.1f} MB/s per core")
    step = C4QualityFilter(min_num_sentences=-1, filter_lorem_ipsum=False, filter_curly_bracket=False)
    whole = C4QualityFilter()
    alike, passed, alike_passed = 0, 0, 0
    start = time.process_time()
    for raw, text in zip(english["text"], ours["text"], strict=True):
        document = Document(text=raw, id="0")
        step.filter(document)
        alike += document.text == text
        if document.text != text:
            print(f"    differs: {document.text[:200]!r} / {text[:200]!r}")
        document = Document(text=raw, id="0")
        if whole.filter(document) is True:
            passed += 1
            alike_passed += document.text == text
    print(f"datatrove, both filters: {time.process_time() - start:.1f} s of processor time")
    print(f"same text by the line rules alone: {alike} of {len(english)}")
    print(f"same text of the pages that datatrove's whole C4 filter keeps: {alike_passed} of {passed}")
    cut = ours.select(pl.selectors.starts_with("cut_").sum(), pl.col("text_bytes").sum())
    print(", ".join(f"{name} {value:,}" for name, value in cut.row(0, named=True).items()))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    arguments.add_argument("web", type=Path, help="folder of WARC shards")
    arguments.add_argument("--cache", type=Path, help="Parquet file that keeps the extracted texts")
    arguments.add_argument("--sample", type=int, default=200, help="texts for datatrove's speed")
    arguments.add_argument("--parity", action="store_true", help="agreement by rule (minutes)")
    arguments.add_argument("--clean", action="store_true", help="cleaned texts against datatrove's C4 filter")
    options = arguments.parse_args()
    frame = read_texts(options.web, options.cache)
    print(f"{len(frame)} texts, {frame['text'].str.len_bytes().sum() / 1e6:.1f} MB")
    speed(frame, options.sample)
    english = frame.filter(pl.col("language") == "en", pl.col("text").str.strip_chars() != "")
    if options.parity:
        parity(english)
    if options.clean:
        cleaning(english)


if __name__ == "__main__":
    main()
