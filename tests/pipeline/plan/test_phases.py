"""Phases of a plan: each step once, behind all that it is made from, and reducers side by side where they may be."""

from pathlib import Path

import pytest

from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.plan.plan import Plan, make_plan, placed
from gristmill.pipeline.recipe import make_recipe

CONFIGS = Path(__file__).parents[3] / "configs"
LAST = ("wave", "reducer", "return", "gather")  # kinds of phases after which their steps are done


def plan_of(folder: Path, *settings: str, config: str = "quickstart") -> Plan:
    (folder / "in.jsonl").write_text('{"text": "A line."}\n')
    given = [f"input.paths={folder}/in.jsonl", *settings]
    recipe = make_recipe(override(read_config(CONFIGS / f"{config}.yaml"), given), "t")
    parts = recipe.stages[0].parts()  # pyright: ignore[reportAttributeAccessIssue]
    return make_plan("t", "", placed(recipe.stages, parts, None), parts)


WITHOUT_CLUSTERS = tuple(f"{name}.enabled=false" for name in ("embed", "cluster", "domain"))
VARIANTS = [
    (), ("quality.min_reference=0.2",), ("quality.enabled=false",), ("mixture.mode=both",), ("gates.min_chars=500",),
    ("dedup.exact.enabled=false", "dedup.minhash.enabled=false"), ("domain.bucket.by=source", *WITHOUT_CLUSTERS),
]  # fmt: skip


@pytest.mark.parametrize("settings", VARIANTS)
@pytest.mark.parametrize("config", ["quickstart", "commoncrawl"])
def test_a_step_is_done_once_and_behind_all_that_it_is_made_from(
    settings: tuple[str, ...], config: str, tmp_path: Path
):
    plan = plan_of(tmp_path, *settings, config=config)
    done = [(step.name, step.kind) for phase in plan.phases if phase.kind in LAST for step in phase.steps]
    assert sorted(done) == sorted((step.name, step.kind) for step in plan.steps)
    at = {step: number for number, phase in enumerate(plan.phases) if phase.kind in LAST
          for step in ((s.name, s.kind) for s in phase.steps)}  # fmt: skip
    first = {(s.name, s.kind): n for n, phase in reversed([*enumerate(plan.phases)]) for s in phase.steps}
    written = {name: (step.name, step.kind) for name, step in plan.writing.items()}
    made = {s.name: (s.name, s.kind) for s in plan.steps if s.kind == "reducer"}
    for step in plan.steps[1:]:
        rows = plan.rows_source(step)
        before = [*(written[d] for d in step.reads), *(made[a] for a in step.needs), (rows.name, rows.kind)]
        own = (step.name, step.kind)
        for other in before:
            together = at[other] == at[own] and plan.phases[at[own]].kind == "wave"
            assert at[other] < first[own] or (together and done.index(other) < done.index(own)), (step.name, other)


def names(plan: Plan, kind: str) -> list[str]:
    return [phase.name for phase in plan.phases if phase.kind == kind]


def test_reducers_that_do_without_each_other_are_made_in_one_phase_and_the_steps_behind_them_are_one_wave(
    tmp_path: Path,
):
    plan = plan_of(tmp_path)
    assert "quality.model+embed.model" in names(plan, "reducer")
    assert "quality+embed" in names(plan, "wave")
    reducer = next(n for n, phase in enumerate(plan.phases) if phase.name == "quality.model+embed.model")
    assert {phase.kind for phase in plan.phases[reducer - 5 : reducer]} == {"take", "join"}


def test_a_reducer_of_the_rows_that_a_gate_leaves_stays_behind_it(tmp_path: Path):
    plan = plan_of(tmp_path, "quality.min_reference=0.2")
    assert {"quality.model", "embed.model"} <= set(names(plan, "reducer"))
    assert "quality+quality.gate" in names(plan, "wave")


def test_a_reducer_that_shares_out_its_runs_is_made_alone(tmp_path: Path):
    proxy = ("mixture.proxy=command", "mixture.command.run=train {mixture} {metrics}", "mixture.command.spread=4")
    plan = plan_of(tmp_path, *proxy)
    assert "mixture" in names(plan, "reducer")
    assert names(plan, "ask")
