import json
import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import signals_twin as twin
import zstandard
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipeline.contract.columns import COLUMNS
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.kernels.text import characters as ch
from gristmill.pipeline.kernels.text.c4_lines import MAY_HOLD_PHRASE, PHRASES
from gristmill.pipeline.kernels.text.text_stats import NAMES
from gristmill.pipeline.plan.identity import fingerprint
from gristmill.stages.gates import PRESETS, RULES, Gates
from gristmill.stages.ingest import Ingest
from gristmill.stages.signals import Signals, count_bad_words, count_shapes, measure_texts

HOSTILE = [
    "",
    "x",
    "\0",
    "\n\n\n",
    " \t\r\n \u2028\x85",
    ".",
    "...",
    "…",
    "'s",
    "n't",
    "-",
    "a.b",
    "[1]",
    "[1][2].[edit]",
    "He said so.[1][citation needed]",
    "http://a.b/c?d=e, www.x.org and me@x.org.",
    "I don't, we'll they've U.S. e.g. Mr. Smith's 3-4 and/or well-known 20% $5 +3 A+.",
    "lorem ipsum LOREM IPSUM dolor.",
    "We use cooKies here, ok.",  # Kelvin sign
    "JavaScript must be on, friend.",
    "a { b } c d.",
    "a " * 1001 + "b",
    "w" * 1001 + " a b c.",
    "שלום עולם. مرحبا بالعالم؟ نعم",
    "我们今天去北京。明天回来！テストの日本語、カタカナ語です。",
    "ខ្មែរ\u200bក្រុម\u200b \u200babc\u200bdef ไทย\u200b\u200b(ก\u200bข)\u200b.",
    "ภาษาไทยไม่มีช่องว่าง ຂອງລາວ ភាសាខ្មែរ မြန်မာစာ བོད་ཡིག་དང་",
    "\U0002a6d6\U0001f600👩‍👩‍👧 e\u0301a ﬁ ǅ Ⅷ ª İ",
    "line\nline\nline\n\nline\n\nline\nline\nline",
    "one two three four five six seven eight nine ten eleven " * 5,
    "spam " * 300,
]


def frame(texts: list[str], languages: list[str | None] | None = None) -> pl.DataFrame:
    language = languages or ["en"] * len(texts)
    return pl.DataFrame(
        {"doc_id": [f"{i:03}" for i in range(len(texts))], "text": texts, "language": language},
        schema={"doc_id": pl.String, "text": pl.String, "language": pl.String},
    )


def signals(texts: list[str], words: str = "split") -> pl.DataFrame:
    return Signals(words=words).open({})(frame(texts))


def one(text: str, words: str = "split") -> dict:
    return signals([text], words).row(0, named=True)


def compare_with_twin(texts: list[str], language: str | None, split: bool) -> None:
    languages, runs = pl.Series([language] * len(texts), dtype=pl.String), np.ones(len(texts), bool)
    ours = measure_texts(pl.Series(texts, dtype=pl.String), languages, split, runs=runs)
    theirs = twin.table(tuple(NAMES), [twin.measure(text, language, split, runs=True) for text in texts])
    for row, text in enumerate(texts):
        wrong = {
            name: (ours[row, i], theirs[row, i])
            for i, name in enumerate(NAMES)
            if not np.isclose(ours[row, i], theirs[row, i], rtol=1e-12, atol=0)
        }
        assert wrong == {}, repr(text)


@pytest.mark.parametrize("split", [True, False])
@pytest.mark.parametrize("language", ["en", "ja", None])
def test_kernel_hostile_texts_equals_plain_python(split: bool, language: str | None):
    compare_with_twin(HOSTILE, language, split)


ATOMS = """the The to of and that don't we'll U.S. Mr. a.m. e.g. NASA. J. x.Y 3-D 3-4 and/or co-op 1,000 a,b 20% $5 +3
    C++ . .. ... … , ; : ! ? " ' ( ) [ ] [1] [edit] { } - – — • # @ * & www.x.org http://x.y/z me@x.y © ° 😀 lorem ipsum
    javascript cookies use policy privacy der und die 我 们 。 日本 テスト ー ไทย ก็ ລາວ ខ្មែ မြန်း བོད་ཡིག ། é ß İ ǅ ﬁ ½
    ٣ שלום spam spam spam"""
SPECIALS = [
    "\u0e44\u0e17\u0e22\u200b\u0e01",
    "\r\n",
    "\r",
    "\f",
    "\u2029",
    "\u200b",
    "[\u0663]",
    "\u212a",
    "e\u0301",
    "\u200b",
    "\ufeff",
    "\0",
    "\x85",
    "\u2028",
    "\xa0",
    "\t",
]
WORDS = st.one_of(st.sampled_from(ATOMS.split() + SPECIALS), st.text(st.characters(codec="utf-8"), max_size=6))
GAPS = st.sampled_from(["", " ", " ", " ", "\n", "\n\n", " \n"])
TEXTS = st.lists(st.tuples(WORDS, GAPS), max_size=60).map(lambda pairs: "".join(map("".join, pairs)))


@settings(max_examples=400, deadline=None)
@given(TEXTS, st.sampled_from(["en", "de", "zh", None]), st.booleans())
def test_kernel_generated_texts_equals_plain_python(text: str, language: str | None, split: bool):
    compare_with_twin([text], language, split)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from("ab"), max_size=80).map(" ".join), st.sampled_from([" ", "\n", "\n\n"]))
def test_kernel_repetitive_texts_equals_plain_python(text: str, gap: str):
    compare_with_twin([gap.join([text, text[::-1], text])], "en", True)


OPTIONAL = dict.fromkeys((rule.limit for rule in RULES if not rule.presets), 1)
# Every rule alone (so that none hides behind an earlier one), and all together.
ALL_RULES = replace(Gates(presets=PRESETS), **OPTIONAL)
EACH_RULE = [replace(ALL_RULES, **{r.limit: None for r in RULES if r.limit != rule.limit}) for rule in RULES]


def compare_columns_and_decisions(text: str, language: str | None, words: str) -> None:
    batch = frame([text], [language])
    measured = Signals(words=words).open({})(batch)  # pyright: ignore[reportArgumentType]
    row = twin.columns(text, language, words)
    assert set(row) == set(Signals.writes)
    entropy = row.pop("word_entropy")  # a sum of logarithms: its last bit depends on their order
    assert {name: measured[name][0] for name in row} == row
    assert (entropy is None) == (measured["word_entropy"][0] is None)
    assert entropy is None or np.isclose(measured["word_entropy"][0], entropy, rtol=1e-6, atol=1e-6)
    judged = measured.with_columns(batch["language"])
    for gates in (ALL_RULES, Gates(), *EACH_RULE):
        assert gates.decide(judged)[0] == twin.decide(measured.row(0, named=True), language, gates), text


@settings(max_examples=120, deadline=None)
@given(
    TEXTS,
    st.sampled_from(["en", "eng", "de", "deu", "zh", "th", "tlh", None]),
    st.sampled_from(["published", "split", "whitespace"]),
)
def test_columns_and_decisions_generated_texts_equal_plain_python(text: str, language: str | None, words: str):
    compare_columns_and_decisions(text, language, words)


def test_columns_and_decisions_hostile_texts_equal_plain_python():
    for text in HOSTILE:
        for language in ("en", "ja", None):
            compare_columns_and_decisions(text, language, "published")


def test_published_words_are_runs_in_english_where_gopher_set_the_limit():
    """Five tokens of nine are no words to spaCy; Gopher's share of alphabetic words is 1 of runs."""
    texts = ["The sum (of a, b) is 'c'; it's \"d\", e, f."] * 2
    english, german = signals(texts, "published").rows(named=True), None
    split, runs = one(texts[0], "split"), one(texts[0], "whitespace")
    assert english[0]["alpha_words_frac"] == runs["alpha_words_frac"] == 1
    assert split["alpha_words_frac"] < 0.6
    assert english[0]["words_n"] == 11
    for name in ("newline_ratio", "unique_words_frac", "top_2gram_chars_frac", "segments_n"):
        assert english[0][name] == split[name]
    german = Signals().open({})(frame(texts[:1], ["de"])).row(0, named=True)
    assert {k: v for k, v in german.items() if "stop" not in k} == {k: v for k, v in split.items() if "stop" not in k}


def test_kernel_whitespace_words_are_python_words():
    text = "The quick (brown) fox -- it's 3.5% done...\n\n# over the lazy dog, and the\tend"
    row = one(text, "whitespace")
    assert row["segments_n"] == len(text.split())
    assert row["words_n"] == len(text.split()) - 2  # -- and #
    words = [w for w in text.split() if any(c.isalnum() for c in w)]
    assert row["mean_word_len"] == np.float32(sum(map(len, words)) / len(words))
    assert row["alpha_words_frac"] == np.float32(sum(any(c.isalpha() for c in w) for w in text.split()) / 16)
    assert row["stop_words_n"] == 2  # the, and


def by_places(text: str, begins: list[int]) -> dict[str, float]:
    places = np.array(begins, np.int32), np.array([0, len(begins)], np.int64)
    row = measure_texts(pl.Series([text]), pl.Series(["th"]), True, None, places)[0]
    return dict(zip(NAMES, row, strict=True))


def test_words_of_a_segmenter_replace_our_rules_in_scripts_without_spaces():
    text = "กขคง จฉ abcdef ก(ข)"
    row = by_places(text, [0, 3, 5, 8, 11, 15, 16, 17, 18])
    assert row["segments"] == len(["กขค", "ง", "จฉ", "abcdef", "ก", "(", "ข", ")"])
    assert row["word_chars"] == 3 + 1 + 2 + 6 + 1 + 1
    assert by_places("我们今天", [0])["words"] == 1
    assert by_places("我们今天", [0, 1, 2, 3])["words"] == 4
    assert by_places("", [])["words"] == 0


def test_icu_cuts_words_as_its_own_iterator():
    breakers = pytest.importorskip("icu4py.breakers")
    texts = [
        "ภาษาไทยไม่มีช่องว่าง",
        "我们今天去北京 𠀀我们 再去",
        "今日はテストを書く",
        "ພາສາລາວ",
        "ភាសាខ្មែរ",
        "မြန်မာစာ",
        "plain",
        "",
    ]
    for text in texts:
        bounds = [(a, b) for a, b in breakers.WordBreaker(text, "root").segments()]
        utf16 = text.encode("utf-16-le")
        segments = [utf16[2 * a : 2 * b].decode("utf-16-le") for a, b in bounds]
        wanted = [s for s in segments if s.strip()]
        row = Signals(icu=78).open({})(frame([text])).row(0, named=True)
        assert row["segments_n"] == len(wanted), text
    assert Signals(icu=78).open({})(frame(texts))["segments_n"].sum() > 20


def test_icu_of_another_version_is_refused():
    with pytest.raises(ConfigError, match=r"signals\.icu"):
        Signals(icu=12).open({})


def test_classes_agree_with_python():
    table = ch.class_table()
    for name, bit in {
        "isspace": ch.SPACE,
        "isalpha": ch.ALPHA,
        "isupper": ch.UPPER,
        "islower": ch.LOWER,
        "isnumeric": ch.NUMERIC,
    }.items():
        wrong = [code for code in range(ch.TABLE_SIZE) if getattr(chr(code), name)() != bool(table[code] & bit)]
        assert wrong == [], name


def test_split_words_as_expected():
    words = 'He said: "Don\'t go to the U.S. or/and co-op (now)..." at http://x.org/a-b, Mr. Smith!'
    pieces = """He said : " Do n't go to the U.S. or / and co - op ( now ) ... " at http://x.org/a-b , Mr. Smith !"""
    assert " ".join(twin.words_of(words, True)) == pieces


def test_repetition_counts_by_hand():
    row = one("a b c d e f\na b c d e f\n\nx\n\nx", "whitespace")
    assert row["lines_n"] == 4
    assert row["paragraphs_n"] == 3
    assert row["dup_lines_frac"] == 0.5
    assert row["dup_line_chars_frac"] == np.float32(12 / 29)
    assert row["dup_paragraph_chars_frac"] == np.float32(1 / 29)
    assert row["dup_line_body_frac"] == np.float32(12 / 24)
    assert row["top_2gram_chars_frac"] == np.float32(2 * 3 / 29)
    assert row["dup_5gram_chars_frac"] == np.float32(5 / 29)
    assert row["dup_6gram_chars_frac"] == np.float32(6 / 29)
    assert row["dup_7gram_chars_frac"] == 0


def test_c4_lines_by_hand():
    text = "\n".join(
        [
            "This line stays. It has two sentences.",
            "Menu item",
            "Too short.",
            "Please enable JavaScript here.",
            "Read our privacy policy first.",
            "A line of code { here }.",
            "Cited fact of the day.[12][edit]",
            "Unfinished business of the day...",
        ]
    )
    row = one(text)
    assert {k: v for k, v in row.items() if k.startswith("c4_") and k.endswith("_n")} == {
        "c4_lines_n": 2,
        "c4_sentences_n": 3,
        "c4_long_word_lines_n": 0,
        "c4_unended_lines_n": 2,
        "c4_short_lines_n": 1,
        "c4_lorem_lines_n": 0,
        "c4_javascript_lines_n": 1,
        "c4_curly_lines_n": 1,
        "c4_policy_lines_n": 1,
    }


def test_texts_with_a_phrase_of_c4_are_those_that_may_hold_one():
    spelled = [p for phrase in PHRASES for p in (phrase, phrase.upper(), phrase.title(), phrase.replace("k", "\u212a"))]
    assert pl.Series(spelled).str.contains(MAY_HOLD_PHRASE).all()
    assert not pl.Series(["uses of a policeman", "java scripts", ""]).str.contains(MAY_HOLD_PHRASE).any()


def test_javascript_counts_in_any_line_and_case():
    row = one("no end JavaScript javascript\njava script")
    assert (row["javascripts_n"], row["c4_javascript_lines_n"]) == (2, 0)


def bad_word_lists(folder: Path) -> Path:
    (folder / "en").write_text("darn\nbloody hell\na.b\n\n")
    (folder / "de").write_text("Mist\n")
    (folder / "ja").write_text("ばか\nsm\n")
    (folder / "LICENSE.txt").write_text("not a list")
    return folder


def test_bad_words_are_counted_as_c4_matches_them(tmp_path: Path):
    stage = Signals(bad_words=str(bad_word_lists(tmp_path)))
    cases = [
        ("Darn it, DARN!", "en", 2),
        ("darned Bloody\tHell bloody hell?", "en", 1),
        ("a.b axb", "eng", 1),
        ("Mist! Optimist.", "deu", 1),
        ("このばかもの sm", "ja", 1),
        ("darn", "fr", None),
        ("darn", None, None),
        ("", "en", 0),
    ]
    batch = frame([text for text, _, _ in cases], [language for _, language, _ in cases])
    assert stage.open({})(batch)["bad_words_n"].to_list() == [n for _, _, n in cases]
    assert signals(["darn"])["bad_words_n"].to_list() == [None]


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.sampled_from(["darn", "Darn", "DARNED", "bloody", "hell", "a.b", ".", "-", "é", "_", "\n"]), max_size=8)
)
def test_bad_words_are_found_where_datatrove_finds_them(words: list[str]):
    from datatrove.data import Document
    from datatrove.pipeline.filters import C4BadWordsFilter

    step = C4BadWordsFilter()
    step._badwords_regex["en"] = re.compile(r"(?:\W|^)(darn|bloody\ hell|a\.b)(?:\W|$)")
    pattern = {"en": r"(?:\W|^)(?:a\.b|bloody\ hell|darn)(?:\W|$)"}
    for text in ("".join(words), " ".join(words)):
        found = count_bad_words(pl.Series([text]), pl.Series(["en"]), pattern)[0]
        assert (found == 0) == (step.filter(Document(text=text, id="0")) is True)


def test_bad_words_folder_without_lists_is_an_error(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"signals\.bad_words"):
        Signals(bad_words=str(tmp_path / "none")).open({})


def test_bad_words_lists_are_part_of_the_identity(tmp_path: Path):
    stage = Signals(bad_words=str(bad_word_lists(tmp_path)))
    before = fingerprint(stage)  # pyright: ignore[reportArgumentType]
    (tmp_path / "en").write_text("darn\n")
    assert fingerprint(stage) != before  # pyright: ignore[reportArgumentType]


def test_unknown_language_stop_words_are_null():
    batch = frame(["the cat and the dog"] * 4, ["en", "eng", "tlh", None])
    assert Signals().open({})(batch)["stop_words_n"].to_list() == [2, 2, None, None]


def test_empty_text_fractions_are_null():
    row = one("")
    assert row["chars_n"] == row["words_n"] == row["lines_n"] == 0
    assert row["mean_word_len"] is None
    assert row["dup_lines_frac"] is None
    assert row["word_entropy"] is None


def test_signals_empty_batch_keeps_the_schema():
    empty = Signals().open({})(frame([]))
    assert empty.schema == signals(["a b"]).schema
    assert empty.height == 0


def test_signals_writes_the_declared_types():
    table = signals(["a b", ""]).to_arrow()
    assert table.column_names == ["doc_id", *Signals.writes]
    assert {name: table.schema.field(name).type for name in Signals.writes} == {
        n: COLUMNS[n].type for n in Signals.writes
    }


@pytest.mark.parametrize("cuts", [[1], [7, 8], [3, 3, 20]])
def test_signals_split_batch_changes_nothing(cuts: list[int]):
    batch = frame(HOSTILE)
    annotate = Signals().open({})
    bounds = [0, *cuts, batch.height]
    parts = [annotate(batch.slice(a, b - a)) for a, b in pairwise(bounds)]
    assert pl.concat(parts).equals(annotate(batch))


def test_signals_sliced_and_chunked_input_is_read_where_it_stands():
    batch = frame(HOSTILE)
    annotate = Signals().open({})
    chunked = pl.concat([batch.slice(5, 4), batch.slice(0, 3)], rechunk=False)
    assert annotate(chunked).equals(pl.concat([annotate(batch).slice(5, 4), annotate(batch).slice(0, 3)]))


def test_signals_one_megabyte_line_is_measured():
    row = one("word " * 200_000)
    assert row["words_n"] == 200_000
    assert row["unique_words_frac"] == np.float32(1 / 200_000)
    assert row["top_2gram_chars_frac"] == np.float32(199_999 * 9 / 1_000_000)


def test_signals_unknown_words_is_an_error():
    with pytest.raises(ConfigError, match=r"signals\.words"):
        Signals(words="tokens")


def test_kernel_real_texts_equals_plain_python(shared: Path):
    texts = []
    for path in sorted((shared / "domains").rglob("*.jsonl.zst"))[:60]:
        with zstandard.open(path, "rt", encoding="utf-8") as lines:
            texts.append(json.loads(next(lines))["text"][:4000])
    assert len(texts) > 20
    compare_with_twin(texts, "en", True)


def test_kernel_demo_texts_equals_plain_python(demo_shard: Path):
    stage = Ingest(paths=(str(demo_shard),))
    documents, _ = stage.run(stage.parts()[0])
    compare_with_twin([text[:4000] for text in documents["text"][:60]], "en", True)


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        ("Where $x<2$ and $n$ is \\(a\\) and $$b$$, so that\n\\begin{align*} a \\end{align*}", (5, 0, 0)),
        ("It costs $5, or US$6 a month; the $ fell.", (0, 0, 0)),
        ("def f(x):\n    return x\n\nint main() {\n  x = 1;\n}\nHe said:\nno", (0, 5, 0)),
        ("A\t\tB\n1\t\t2\n| a | b |\n\tindented\nyes | no\n", (0, 0, 3)),
        ("", (0, 0, 0)),
        (None, (0, 0, 0)),
    ],
)
def test_formulas_code_and_rows_of_tables_are_counted(text, shapes):
    columns = count_shapes(pl.Series([text], dtype=pl.String).fill_null(""))
    assert tuple(c.item() for c in columns) == shapes
    assert tuple(c.name for c in columns) == ("math_n", "code_lines_n", "table_rows_n")
