import base64
import hashlib
import itertools
from dataclasses import fields, replace

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipeline.contract.columns import COLUMNS
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.gates import PRESETS, RULES, Gates, codes_of
from gristmill.stages.language.identify import Language
from gristmill.stages.language.thresholds import LanguageThresholds
from gristmill.stages.signals import Signals

POLARS = {"int64": pl.Int64, "float": pl.Float32, "string": pl.String}
# A text that no rule minds.
GOOD = {
    "words_n": 400,
    "segments_n": 450,
    "lines_n": 10,
    "chars_n": 2400,
    "c4_sentences_n": 20,
    "mean_word_len": 5.0,
    "alpha_words_frac": 0.9,
    "stop_words_n": 8,
    "ended_lines_frac": 0.9,
    "unique_words_frac": 0.5,
    "word_entropy": 5.0,
    "c4_kept_chars_frac": 0.9,
}


def rows(language: str | list[str | None] = "en", **columns: list) -> pl.DataFrame:
    """Good rows, but for the given columns (all of one length)."""
    length = len(next(iter(columns.values()))) if columns else 1
    languages = [language] * length if isinstance(language, str) else language
    data = {name: columns.get(name, [GOOD.get(name, 0)] * length) for name in Gates().reads["signals"]}
    types = {name: POLARS[str(COLUMNS[name].type)] for name in data}
    return pl.DataFrame({**data, "language": languages}, schema={**types, "language": pl.String})


def fates(gates: Gates, **columns: list) -> list[str | None]:
    return gates.decide(rows(**columns)).to_list()


def every_limit() -> Gates:
    """All presets in force, and the limits that are off by default set."""
    optional = [rule.limit for rule in RULES if not rule.presets]
    return replace(Gates(presets=PRESETS), **dict.fromkeys(optional, 1))


def test_gates_good_text_is_kept():
    assert fates(Gates(presets=PRESETS)) == [None]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_gates_exactly_at_the_limit_keeps(rule):
    gates = every_limit()
    limit = getattr(gates, rule.limit)
    whole = rule.column.endswith("_n")
    step = 1 if whole else max(abs(limit), 1) * 1e-6
    outside = limit - step if rule.is_minimum else limit + step
    alone = replace(gates, **{r.limit: None for r in RULES if r.limit != rule.limit})
    where = {"language": ["tlh", "tlh"]} if rule.scope == "unlisted" else {}
    assert fates(alone, **where, **{rule.column: [limit, outside]}) == [None, rule.name]


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
def test_gates_limit_none_switches_the_rule_off(rule):
    gates = replace(every_limit(), **{rule.limit: None})
    assert rule.name not in gates.table()
    assert set(gates.table()) == set(Gates.rules) - {rule.name}


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([r for r in RULES if r.scope == "all"]), st.floats(0.0, 1.0), st.floats(0.0, 1.0))
def test_gates_looser_limit_never_drops_more(rule, one: float, other: float):
    whole = rule.column.endswith("_n")
    low, high = sorted((int(one * 100), int(other * 100)) if whole else (one, other))
    tight, loose = (high, low) if rule.is_minimum else (low, high)
    values = list(range(0, 101, 7)) if whole else [i / 14 for i in range(15)]
    batch = rows(**{rule.column: values})
    alone = replace(every_limit(), **{r.limit: None for r in RULES if r.limit != rule.limit})
    dropped_tight = replace(alone, **{rule.limit: tight}).decide(batch).is_not_null()
    dropped_loose = replace(alone, **{rule.limit: loose}).decide(batch).is_not_null()
    assert not (dropped_loose & ~dropped_tight).any()


def test_gates_presets_carry_the_published_numbers():
    gates = Gates()
    published = {
        "min_words": 50,
        "max_words": 100_000,
        "min_mean_word_len": 3,
        "max_mean_word_len": 10,
        "max_hash_ratio": 0.1,
        "max_ellipsis_ratio": 0.1,
        "max_bullet_lines_frac": 0.9,
        "max_ellipsis_lines_frac": 0.3,
        "min_alpha_words_frac": 0.8,
        "min_stop_words": 2,
        "max_dup_lines_frac": 0.3,
        "max_dup_paragraphs_frac": 0.3,
        "max_dup_line_chars_frac": 0.2,
        "max_dup_paragraph_chars_frac": 0.2,
        **{f"max_top_{n}gram_chars_frac": limit for n, limit in ((2, 0.2), (3, 0.18), (4, 0.16))},
        **{f"max_dup_{n}gram_chars_frac": round(0.2 - n / 100, 2) for n in range(5, 11)},
    }
    assert {name: getattr(gates, name) for name in published} == published
    of_gopher = {rule.limit for rule in RULES if "gopher" in rule.presets.split()}
    assert of_gopher == {*published, "min_lines", "min_words_unlisted"}


def test_gates_one_preset_knows_only_its_rules():
    assert set(Gates(presets=("c4",)).table()) == {
        *("empty", "lorem_ipsum", "curly_brace", "too_few_sentences", "no_language")
    }
    assert fates(Gates(presets=("c4",)), words_n=[1], c4_sentences_n=[5]) == [None]
    assert fates(Gates(presets=("redpajama",)), words_n=[10_001]) == ["too_many_words_redpajama"]


def test_gates_word_rules_hold_for_english_and_listed_languages_only():
    batch = rows(language=["en", "eng", "de", "deu", "tlh", None], mean_word_len=[12.0] * 6)
    assert Gates().decide(batch).to_list() == ["words_too_long", "words_too_long", None, None, None, "no_language"]
    batch = rows(language=["de", "deu", "tlh"], mean_word_len=[15.1] * 3)
    assert Gates().decide(batch).to_list() == ["words_too_long", "words_too_long", None]
    batch = rows(language=["en", "de", "tlh"], words_n=[49] * 3)
    assert Gates().decide(batch).to_list() == ["too_few_words", "too_few_words", None]
    batch = rows(language=["tlh", "tlh", "hy", None], words_n=[9, 10, 1, 1])
    assert Gates().decide(batch).to_list() == ["too_few_words_unlisted", None, "too_few_words_unlisted", "no_language"]
    assert Gates(min_words_unlisted=None).decide(batch).to_list() == [None, None, None, "no_language"]
    batch = rows(language=["en", "de", "tlh"], c4_sentences_n=[0] * 3)
    assert Gates().decide(batch).to_list() == ["too_few_sentences", None, None]


def test_gates_own_language_limits_replace_the_list():
    gates = Gates(languages=(LanguageThresholds("tlh", min_mean_word_len=4),))
    batch = rows(language=["tlh", "de"], mean_word_len=[3.5, 99])
    assert gates.decide(batch).to_list() == ["words_too_short", None]


def test_gates_languages_without_limits_are_told():
    judged = Gates().judged_languages()
    assert [code in judged for code in ("en", "eng", "deu", "zh", "tlh", None)] == [True] * 4 + [False] * 2


def test_gates_text_without_a_language_is_dropped_unless_told_otherwise():
    batch = rows(language=[None, "tlh", "en"], words_n=[1, 10, 400])
    assert Gates().decide(batch).to_list() == ["no_language", None, None]
    assert Gates(presets=()).decide(batch).to_list() == ["no_language", None, None]
    assert Gates(min_languages=None).decide(batch).to_list() == [None] * 3


def test_gates_texts_of_no_language_are_dropped():
    noise = hashlib.shake_256(b"noise").digest(3000)
    hexes = [noise[i : i + 8].hex() for i in range(0, len(noise), 8)]
    texts = [
        "7", "\u200b\u200b", base64.b64encode(noise).decode(), base64.encodebytes(noise).decode(), noise.hex(),
        " ".join(hexes), noise[:600].hex(" "),
        "\n".join(f"{i:08x}  {h}  |....|" for i, h in enumerate(hexes)),
        "\n".join(f"https://www.example.org/p/{h}.html" for h in hexes), "\n".join(f"{h}@a{h[:3]}.org" for h in hexes),
        " ".join(str(b * 7919) for b in noise[:400]),
        "\n".join(".".join(map(str, noise[i : i + 4])) for i in range(200)),
        "\n".join(f"{a / 7:.6f}, -{b / 3:.6f}" for a, b in itertools.pairwise(noise[:200])), "... --- *** " * 100,
    ]  # fmt: skip
    frame = pl.DataFrame({"doc_id": [str(i) for i in range(len(texts))], "text": texts})
    language = Language().open({})(frame)["language"]
    measured = Signals().open({})(frame.with_columns(language)).with_columns(language)
    assert [rule for rule in Gates().decide(measured) if rule is None] == []


def test_gates_repetition_holds_for_every_language():
    batch = rows(language=["en", "zh", None], dup_5gram_chars_frac=[0.2] * 3)
    assert Gates().decide(batch).to_list() == ["too_many_dup_5grams"] * 3


def test_gates_null_signal_breaks_no_rule():
    assert fates(Gates(), stop_words_n=[None], mean_word_len=[None]) == [None]


def test_gates_unknown_preset_names_the_nearest():
    with pytest.raises(ConfigError, match=r"'gophr'.*did you mean 'gopher'"):
        Gates(presets=("gophr",))


def test_gates_limit_of_a_preset_not_in_force_is_an_error():
    with pytest.raises(ConfigError, match=r"gates\.min_ended_lines_frac .* add fineweb to gates\.presets"):
        Gates(presets=("gopher",), min_ended_lines_frac=0.2)


def test_gates_every_limit_is_read_by_a_rule():
    limits = {field.name for field in fields(Gates)} - {"presets", "languages", "languages_file", "sources"}
    assert limits == set(Gates.limits.values())


def test_gates_empty_batch_decides_nothing():
    assert Gates().decide(rows().clear()).to_list() == []


def test_codes_of_a_language_are_short_and_long():
    assert codes_of("zh") == ["zh", "zho", "cmn"]
    assert codes_of("tlh") == ["tlh"]


def test_gates_on_signals_of_real_prose():
    prose = (
        "The mill stands by the river, and it has ground the wheat of the valley for two hundred years.\n\n"
        "Its wheel was rebuilt in 1921, when the flood had carried the old one away. Nobody was hurt.\n\n"
        "Visitors may see the stones at work on Sundays. They turn slowly, and the flour that falls from "
        "them is warm to the touch. The miller sells it in paper bags to those who have come on foot."
    )
    texts = [prose, "Home\nAbout\nContact\n" * 30, ""]
    frame = pl.DataFrame({"doc_id": ["a", "b", "c"], "text": texts, "language": ["en"] * 3})
    measured = Signals().open({})(frame).with_columns(frame["language"])
    assert Gates().decide(measured).to_list() == [None, "too_few_stop_words", "empty"]
