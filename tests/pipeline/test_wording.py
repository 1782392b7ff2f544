"""What a reader sees at the places where first readers stumbled: one sentence each, with the thing and the way out."""

from collections.abc import Callable
from pathlib import Path

import pytest

from gristmill.pipeline.contract.columns import DICTIONARY
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.notes import read_notes
from gristmill.pipeline.docs import config_page
from gristmill.pipeline.launch import reason_of
from gristmill.pipeline.plan.config import override
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.forecast import Intent
from gristmill.pipeline.through import failed_step
from gristmill.stages.mixture.constraints import constraints_from
from gristmill.stages.mixture.search.confirm import Comparison, judged
from gristmill.stages.mixture.shares import reachable
from gristmill.stages.mixture.standalone.write_up import UNCONFIRMED
from gristmill.stages.quality.model import QualityModel, _too_few

BUCKETS = [f"site{i}.example" for i in range(789)]


def refused(call: Callable[[], object]) -> str:
    with pytest.raises(ConfigError) as caught:
        call()
    return str(caught.value)


def given(*settings: str) -> str:
    return refused(lambda: make_recipe(override({"input": {"paths": "x"}}, settings), "x"))


def intent(why: str, verdict: str) -> str:
    plan_step = None  # not looked at
    return reason_of(Intent(plan_step, verdict, {}, why))  # pyright: ignore[reportArgumentType]


def failure(message: str) -> dict[str, object]:
    return {"phase": "clean.repeated_lines", "unit": "p00", "message": message, "exit_status": 1}


def note_of(folder: Path) -> str:
    assert reachable(50_000_000, 720_605, 4.0, folder) == 2_882_420
    return read_notes(folder)[0]


SIZES = {b: float(i) for i, b in enumerate(BUCKETS)}
FIRST = Comparison("natural", -0.0003, -0.0033, 0.0028, 3, 5, ())


@pytest.mark.parametrize(
    ("said", "wanted"),
    [
        pytest.param(
            lambda: _too_few(QualityModel(), {"references": 13, "documents": 332}, 13),
            "No quality model: only 13 of your 332 documents can serve as reference pages; it needs 16 "
            "(quality.min_examples)",
            id="1-too-few-references",
        ),
        pytest.param(
            lambda: refused(lambda: constraints_from(BUCKETS, tokens=SIZES, budget=1.0, fixed={"fw": 0.6})),
            "no bucket fw; there are 789: site788.example, site787.example, ",
            id="3-no-bucket",
        ),
        pytest.param(
            lambda: refused(lambda: constraints_from(("c01", "c02"), fixed={"c1": 0.6})),
            "no bucket c1; did you mean c01?; there are 2: c01, c02",
            id="3-a-bucket-spelt-alike",
        ),
        pytest.param(
            lambda: judged(FIRST, 0.95)[1],
            "no measurable gain over natural: loss -0.0003 nats/token (95%",
            id="10-no-gain",
        ),
        pytest.param(lambda: intent("follows the rows", "maybe"), "redone if other documents reach it", id="11-maybe"),
        pytest.param(
            lambda: intent("follows ingest, tokens, license, quadmix, sample", "maybe"),
            "redone if what ingest, tokens, license or 2 more gives changes",
            id="11-maybe-after-others",
        ),
        pytest.param(lambda: intent("min_words: 50 -> 60", "run"), "min_words: 50 -> 60", id="11-run"),
        pytest.param(
            lambda: UNCONFIRMED,
            "Predicted, not trained. Train this mixture and the natural one once",
            id="13-not-confirmed",
        ),
        pytest.param(
            lambda: given("quality.models=[{path: /tmp/x.bin}]"),
            "quality.models, entry 1: `name` is missing; its keys are name, path, score, label, ",
            id="15-field-missing",
        ),
        pytest.param(
            lambda: given("mixture.bounds=[{bucket: c01}, {fixed: 0.5}]"),
            "mixture.bounds, entry 2: `bucket` is missing; its keys are bucket, minimum, maximum, fixed",
            id="15-second-entry",
        ),
        pytest.param(
            lambda: given("min_words=20"),
            "unknown key 'min_words'; there are clean.min_words and gates.min_words",
            id="9-key-of-sections",
        ),
        pytest.param(lambda: given("dedup.exact.exempt=x"), "sources: [{name: ..., dedup: off}]", id="9-spared"),
        pytest.param(lambda: given("gates.skip=x"), "sources: [{name: ..., gates: off}]", id="9-ungated"),
        pytest.param(lambda: given("engine.memory=4"), "4 is 4 bytes; give at least 1MB", id="17-memory-without-unit"),
        pytest.param(lambda: given("engine.memory=4"), "did you mean 4GB?", id="17-memory-meant"),
        pytest.param(lambda: given("engine.memory=999KB"), "is 999,000 bytes; give at least 1MB", id="17-little"),
        pytest.param(
            lambda: str(failed_step(failure("clean.repeated_lines: 9 rows have one key"))),
            "clean.repeated_lines: 9 rows have one key",
            id="18-label-once",
        ),
        pytest.param(
            lambda: str(failed_step(failure("no such file: x"))),
            "clean.repeated_lines: no such file: x",
            id="18-label-given",
        ),
        pytest.param(
            lambda: given("extra=[{stage: 'gristmill.stages.embed:Embed', after: signals, with: {params: 1}}]"),
            "extra: gristmill.stages.embed:Embed has no params; it has ",
            id="16-extra-has-no",
        ),
    ],
)  # fmt: skip
def test_messages(said: Callable[[], str], wanted: str):
    shown = said()
    assert wanted in shown
    assert shown.count("clean.repeated_lines:") <= 1


def test_4_a_budget_that_cannot_be_had_is_a_sentence_with_both_numbers(tmp_path: Path):
    said = note_of(tmp_path)
    assert said.startswith("50,000,000 tokens cannot be had: 720,605 are available")
    assert "2,882,420" in said


@pytest.mark.parametrize(
    "row",
    [
        "fewer reference texts than this count as none, and a note says what is off",
        "cluster, domain (topic), language, dump, or source (the name in the list `sources`",
        "null switches a rule off; a document exactly at a limit passes.",
    ],
)
def test_17_to_19_the_config_reference(row: str):
    assert row in config_page()


def test_20_the_quality_rank_says_which_end_is_good():
    meaning = next(c.meaning for c in DICTIONARY if c.name == "quality_rank")
    assert "0 is the best document of the bucket, 1 the worst" in meaning
