import json
from dataclasses import replace
from pathlib import Path

import polars as pl
import pytest
import signals_twin as twin
from datatrove.data import Document
from datatrove.pipeline.filters import C4QualityFilter
from hypothesis import given, settings
from hypothesis import strategies as st
from test_signals import HOSTILE, TEXTS

from frames import text_hash
from gristmill.pipeline.contract.columns import COLUMNS
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.launch import describe, launch, survey
from gristmill.pipeline.plan.identity import digest_folder
from gristmill.pipeline.plan.plan import load_plan, make_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.report.facts import read_facts
from gristmill.pipeline.report.page import report_path, write_report
from gristmill.pipeline.run.part import text_dataset
from gristmill.pipeline.run.store import Store
from gristmill.stages.clean import Clean, CleanGate
from lawrun import InProcess, Silent

ON = Clean(enabled=True)
LOOSE = replace(ON, end_marks=None, min_words=None, max_word_chars=None, javascript=False, policy=False)
LOOSE = replace(LOOSE, citations=False)


def frame(texts: list[str], language: str | None = "en") -> pl.DataFrame:
    return pl.DataFrame(
        {"doc_id": [f"{i:03}" for i in range(len(texts))], "text": texts, "language": [language] * len(texts)},
        schema={"doc_id": pl.String, "text": pl.String, "language": pl.String},
    )


def cleaned(stage: Clean, *texts: str, language: str | None = "en") -> list[str]:
    return stage.open({})(frame(list(texts), language))["text"].to_list()


def datatrove_text(stage: Clean, text: str) -> str:
    """What datatrove's C4 filter makes of the text with the same rules; the page's own rules are off."""
    document = Document(text=text, id="0")
    step = C4QualityFilter(
        remove_citations=stage.citations,
        filter_no_terminal_punct=stage.end_marks is not None,
        min_num_sentences=-1,
        min_words_per_line=-1 if stage.min_words is None else stage.min_words,
        max_word_length=-1 if stage.max_word_chars is None else stage.max_word_chars,
        filter_lorem_ipsum=False,
        filter_javascript=stage.javascript,
        filter_curly_bracket=False,
        filter_policy=stage.policy,
    )
    assert step.filter(document) is True
    return document.text


LINES = [
    "This line stays. It has two sentences.",
    "Menu item",
    "Too short.",
    "Please enable JavaScript here.",
    "Read our privacy policy first.",
    "A line of code { here }.",
    "Lorem ipsum dolor sit amet.",
    "Cited [3] fact of the day.[12][edit]",
    "Unfinished business of the day...",
    "a " + "w" * 1001 + " b.",
]


def test_clean_each_rule_takes_its_lines():
    row = ON.open({})(frame(["\n\n".join(LINES)])).row(0, named=True)
    assert row["text"].split("\n") == [LINES[0], LINES[5], LINES[6], "Cited  fact of the day."]
    assert {k: v for k, v in row.items() if k.endswith("_n")} == {
        "lines_judged_n": 10,
        "cut_long_word_lines_n": 1,
        "cut_unended_lines_n": 2,
        "cut_short_lines_n": 1,
        "cut_javascript_lines_n": 1,
        "cut_policy_lines_n": 1,
        "cut_citation_lines_n": 1,
    }
    assert row["cut_unended_bytes"] == len(LINES[1]) + len(LINES[8])
    assert row["cut_citation_bytes"] == len("[3][12][edit]")
    assert row["text_bytes"] == len(row["text"])
    assert row["text_hash"] == text_hash(row["text"])


@pytest.mark.parametrize(
    ("change", "kept"),
    [
        ({"max_word_chars": None}, LINES[9]),
        ({"end_marks": None}, LINES[8]),
        ({"min_words": 2}, LINES[2]),
        ({"min_words": None}, LINES[2]),
        ({"javascript": False}, LINES[3]),
        ({"policy": False}, LINES[4]),
        ({"citations": False, "end_marks": None}, LINES[7]),
    ],
    ids=str,
)
def test_clean_rule_switched_off_keeps_its_lines(change: dict, kept: str):
    assert kept not in cleaned(ON, "\n".join(LINES))[0]
    assert kept in cleaned(replace(ON, **change), "\n".join(LINES))[0]


def test_clean_leaves_other_languages_alone_unless_told():
    text = "Menü\nDas ist ein ganzer Satz.\n"
    assert cleaned(ON, text, language="de") == cleaned(ON, text, language=None) == [text]
    assert cleaned(ON, text, language="eng") == ["Das ist ein ganzer Satz."]
    assert cleaned(replace(ON, languages=("de",)), text, language="deu") == ["Das ist ein ganzer Satz."]
    assert cleaned(replace(ON, languages=None), text, language=None) == ["Das ist ein ganzer Satz."]


def test_clean_end_marks_of_any_script():
    text = "我们 今天 去北京。\n菜单"
    assert cleaned(replace(ON, languages=None), text) == [""]
    assert cleaned(replace(ON, languages=None, end_marks="any"), text) == ["我们 今天 去北京。"]


def test_clean_by_sentence_keeps_the_rest_of_the_line():
    text = "One two three four. Short one. Use cookies all day long. Five six seven eight.\nThe next line stays too."
    whole = "One two three four. Five six seven eight.\nThe next line stays too."
    assert cleaned(replace(ON, unit="sentence"), text) == [whole]
    text = "我们今天去北京。菜单！Too short。明天回来。"
    assert cleaned(replace(ON, unit="sentence", end_marks="any", languages=None, min_words=2), text) == ["Too short。"]


def test_clean_nothing_to_cut_keeps_the_text_and_its_blank_lines():
    assert cleaned(LOOSE, "one\n\ntwo [1]\n\n\n{three}") == ["one\n\ntwo [1]\n\n\n{three}"]


def balanced(stage: Clean, texts: list[str]) -> None:
    rows = stage.open({})(frame(texts))
    cut = rows.select(pl.sum_horizontal(c for c in rows.columns if c.startswith("cut_") and c.endswith("_bytes")))
    sizes = [len(t.encode()) for t in texts]
    assert [a + b for a, b in zip(rows["text_bytes"], cut.to_series(), strict=True)] == sizes
    assert rows["text_bytes"].to_list() == [len(t.encode()) for t in rows["text"]]
    assert (rows.select(pl.min_horizontal(pl.selectors.numeric())).to_series() >= 0).all()


RULES_OFF = st.fixed_dictionaries(
    {},
    optional={
        "end_marks": st.just(None),
        "min_words": st.sampled_from([None, 0, 1, 5]),
        "max_word_chars": st.sampled_from([None, 8]),
        "javascript": st.just(False),
        "policy": st.just(False),
        "citations": st.just(False),
    },
)
BREAKS = st.sampled_from(["", "\n", "\r\n", "\r", "\x85", "\u2028", "\x0b\x0c", " \n ", "[1]", "[٣]", "[edit][", "."])
BROKEN = st.lists(st.tuples(TEXTS, BREAKS), max_size=5).map(lambda pairs: "".join(map("".join, pairs)))


@settings(max_examples=300, deadline=None)
@given(BROKEN, RULES_OFF)
def test_clean_equals_datatrove_on_generated_texts(text: str, change: dict):
    stage = replace(ON, **change)
    assert cleaned(stage, text) == [datatrove_text(stage, text)]
    balanced(stage, [text])


def test_clean_equals_datatrove_on_hostile_texts():
    for stage in (ON, LOOSE):
        assert cleaned(stage, *HOSTILE) == [datatrove_text(stage, text) for text in HOSTILE]
        balanced(stage, HOSTILE)


@settings(max_examples=150, deadline=None)
@given(BROKEN, RULES_OFF)
def test_clean_by_sentence_equals_plain_python_and_balances(text: str, change: dict):
    stage = replace(ON, unit="sentence", languages=None, **change)
    assert cleaned(stage, text) == [twin.clean_by_sentence(text, stage)]
    balanced(stage, [text])


def test_clean_leaves_c4_the_same_verdict_on_the_page():
    from gristmill.stages.signals import Signals

    text = "\n".join(LINES)
    before, after = (Signals().open({})(frame([t])).row(0, named=True) for t in (text, cleaned(ON, text)[0]))
    for column in ("c4_lines_n", "c4_sentences_n", "c4_lorem_lines_n", "c4_curly_lines_n"):
        assert before[column] == after[column]
    assert after["c4_unended_lines_n"] == after["c4_short_lines_n"] == after["c4_policy_lines_n"] == 0


def test_clean_gate_drops_only_what_cleaning_emptied():
    rows = ON.open({})(frame(["Menu\nHome", "", " \n", "All of this line stays."]))
    assert CleanGate(enabled=True).decide(rows).to_list() == ["nothing_left", None, None, None]


def test_clean_empty_batch_has_the_declared_types():
    table = ON.open({})(frame([])).to_arrow()
    assert table.column_names == ["doc_id", *Clean.writes]
    assert all(table.schema.field(n).type in (COLUMNS[n].type, "large_string") for n in Clean.writes)


# --- in the recipe -------------------------------------------------------------------------------------------------


def plan_of(**sections: dict):
    recipe = make_recipe({"input": {"paths": "x"}, **sections}, "t")
    return make_plan("t", recipe.digest, recipe.stages, [])


def test_recipe_without_clean_reads_ingests_text():
    plan = plan_of()
    assert "clean" not in [s.name for s in plan.steps]
    assert plan.step("signals").reads == {"ingest": ("text",), "language": ("language",)}
    assert plan.replacers == ()


def test_recipe_with_clean_every_later_step_reads_the_cleaned_text():
    plan = plan_of(clean={"enabled": True})
    names = [s.name for s in plan.steps]
    for step in plan.steps:
        behind = names.index("clean") < plan.index(step)
        text = {"text", "text_bytes", "text_hash"} & set(step.reads.get("ingest", ()))
        assert not (behind and text), step.name
        assert text_dataset(plan, step) == ("clean" if behind else "ingest")
    assert plan.step("corpus").reads["clean"] == ("text",)
    assert plan.step("corpus").reads["ingest"] == (
        "id", "url", "date", "dump", "source", "title", "file_path",
    )  # fmt: skip
    assert plan.step("license", "annotator").reads["ingest"][0] == "text"
    assert plan.step("dedup.exact", "grouping").reads == {
        "clean": ("text_hash", "text_bytes"),
        "dedup.references": ("is_held_out",),
        "license": ("license_tier",),
        "ingest": ("url", "dump", "date"),
    }


def test_recipe_clean_limit_without_clean_is_an_error():
    with pytest.raises(ConfigError, match=r"clean\.min_words is set.*add clean\.enabled: true"):
        make_recipe({"input": {"paths": "x"}, "clean": {"min_words": 5}}, "t")


PROSE = "The mill stands by the river, and it has ground the wheat of the valley for {} years."


def run_until_gates(folder: Path, store: Store, *, clean: bool) -> tuple[list[str], dict[str, dict]]:
    """What the plan said would happen, and the books by stage."""
    section = {"enabled": True, "languages": None} if clean else {}
    recipe = make_recipe({"input": {"paths": str(folder / "in.jsonl")}, "clean": section}, "toggled")
    situation = survey(recipe, store, "gates")
    said = describe(situation, "gates")
    entries = launch(recipe, situation, store, InProcess(), "gates", Silent(), lambda store, plan: None)
    return said, {str(e["stage"]): e for e in entries}


def test_clean_switched_on_and_off_redoes_what_follows_and_the_books_balance(tmp_path: Path):
    texts = ["\n".join(["Home", "About us", *(PROSE.format(i + 10 * j) for i in range(9)), "[1]"]) for j in range(8)]
    texts += ["Home\nContact\nImprint"] * 2
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    store = Store(tmp_path / "run")
    _, raw = run_until_gates(tmp_path, store, clean=False)
    untouched = digest_folder(store.root / "ingest")
    said, books = run_until_gates(tmp_path, store, clean=True)
    (signals,) = [line for line in said if line.split()[1] == "signals"]
    assert "1 to redo" in signals
    assert "reads clean.text instead of ingest.text" in signals
    assert digest_folder(store.root / "ingest") == untouched
    nothing_left = books["clean"]["dropped"]["nothing_left"]
    assert nothing_left == {"docs": 2, "bytes": 2 * len(texts[-1]), "tokens": 0}
    assert books["clean"]["dropped"]["cut_text"] == {"docs": 0, "bytes": 8 * len("Home\nAbout us\n\n[1]"), "tokens": 0}
    (part,) = load_plan(store.root / "plan.json").parts
    frame = store.read("clean", part.key, ("text_bytes",))
    assert books["clean"]["bytes_out"] == books["gates"]["bytes_in"] == frame["text_bytes"].sum()
    assert sum(e["docs"] for e in books["clean"]["dropped"].values()) == 2
    write_report(store, load_plan(store.root / "plan.json").until("gates"))
    facts = read_facts(store, load_plan(store.root / "plan.json").until("gates"))
    assert facts.cuts == {**dict.fromkeys(facts.cuts, (0, 0)), "unended": (24, 8 * 15), "space": (0, 8 * 3)}
    assert sum(n for _, n in facts.cuts.values()) == books["clean"]["dropped"]["cut_text"]["bytes"]
    assert "cut_text" in report_path(store).read_text()
    said, again = run_until_gates(tmp_path, store, clean=True)
    assert again == books
    assert all(line.startswith("skip") for line in said[1:])
    said, again = run_until_gates(tmp_path, store, clean=False)
    assert again == raw
    assert any("reads ingest.text instead of clean.text" in line for line in said)
