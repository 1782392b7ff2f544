"""The plan: steps in order, checked before anything runs, the frozen list of parts, and what a run will do and why."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal

from gristmill.pipeline.contract import columns as schema
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.contract.shapes import Kind, Part, Sink, Stage
from gristmill.pipeline.contract.state import DamagedFile, read_state
from gristmill.pipeline.plan.identity import fingerprint, freeze, thaw
from gristmill.pipeline.plan.steps import MEASURING, Step, chain, check

INTERIM = ("take", "join", "ask", "answer")  # kinds of phases on a reducer's way to its artifact


@dataclass(frozen=True)
class Phase:
    """Steps that run together: a wave (part by part), reducers side by side, after the takes, joins and rounds of each,
    the passes of a grouping or the two of the sink."""

    kind: Literal[
        "wave", "take", "join", "ask", "answer", "reducer", "sort", "group", "merge", "return", "scatter", "gather",
        "ledger",
    ]  # fmt: skip
    steps: tuple[Step, ...]
    number: int = 0  # of a take and a join: which of the reducer's passes; of an ask and an answer: which round

    @property
    def name(self) -> str:
        return self.kind if self.kind == "ledger" else "+".join(s.name for s in self.steps)


@dataclass(frozen=True)
class Plan:
    """Everything a worker needs to know; stored as plan.json."""

    name: str
    config_digest: str
    steps: tuple[Step, ...]
    parts: tuple[Part, ...]

    @property
    def source(self) -> Step:
        return self.steps[0]

    def index(self, step: Step) -> int:
        return next(i for i, s in enumerate(self.steps) if s is step or (s.name, s.kind) == (step.name, step.kind))

    @cached_property
    def part(self) -> dict[str, Part]:
        """The parts by their keys."""
        return {part.key: part for part in self.parts}

    @cached_property
    def writing(self) -> dict[str, Step]:
        """The steps that write a dataset, by its name."""
        return {s.name: s for s in self.steps if s.kind in (*MEASURING, "gate")}

    def step(self, name: str, kind: Kind | None = None) -> Step:
        for s in self.steps:
            if s.name == name and (kind is None or s.kind == kind):
                return s
        raise PlanError(f"the plan has no step {name!r}; it has {', '.join(dict.fromkeys(s.name for s in self.steps))}")

    def gate_before(self, step: Step) -> Step | None:
        """The last gate before `step`: its kept rows are the rows of `step`."""
        return next((s for s in reversed(self.steps[: self.index(step)]) if s.kind == "gate"), None)

    @property
    def replacers(self) -> tuple[Step, ...]:
        """The steps that replace the source's text, in order; the last one's is the text that the corpus holds."""
        return tuple(s for s in self.steps if "text_bytes" in s.replaces.get(self.source.name, ()))

    def writer(self, column: str) -> str | None:
        """The dataset that holds a column; stages meet in column names."""
        return next((s.name for s in self.steps if s.kind in MEASURING and column in s.writes), None)

    def rows_source(self, step: Step) -> Step:
        """The step whose receipt says which rows `step` covers (its `kept`)."""
        if (key := (step.name, step.kind)) not in self._rows_sources:
            self._rows_sources[key] = self.source if step.all_rows else (self.gate_before(step) or self.source)
        return self._rows_sources[key]

    @cached_property
    def _rows_sources(self) -> dict[tuple[str, Kind], Step]:
        return {}

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        """A reducer that does without what the steps before it write, and without their gates, comes before their wave:
        so the wave goes on with the steps behind the reducer, and what it reads of a part is read once. Reducers that
        then stand side by side and do without each other are made in one phase."""
        phases: list[Phase] = []
        wave: list[Step] = []
        for step in self.steps:
            if step.kind in ("source", "annotator", "gate"):
                wave.append(step)
                continue
            if step.kind != "reducer" or any(s.kind != "annotator" or s.name in step.reads for s in wave):
                phases, wave = [*phases, *([Phase("wave", tuple(wave))] if wave else [])], []
            if step.kind == "reducer":
                phases = beside(phases, of_reducer(step))
            elif step.kind == "grouping":
                merge: list[Literal["merge"]] = ["merge"] if step.grouping.merges else []
                phases += [Phase(kind, (step,)) for kind in ("sort", "group", *merge, "return")]
            else:
                phases += [Phase("scatter", (step,)), Phase("gather", (step,))]
        phases += [Phase("wave", tuple(wave))] if wave else []
        return (*phases, Phase("ledger", ()))

    def until(self, stage: str | None) -> "Plan":
        """The plan cut after the last step of `stage` (a stage, a named part or a step)."""
        if stage is None:
            return self
        exact = [i for i, s in enumerate(self.steps) if stage in (s.name, s.label)]
        family = [i for i, s in enumerate(self.steps) if s.name.startswith(f"{stage}.")]
        last = max(exact or family, default=-1)
        if last < 0:
            raise PlanError(f"--until {stage}: the plan has {', '.join(dict.fromkeys(s.label for s in self.steps))}")
        return Plan(self.name, self.config_digest, self.steps[: last + 1], self.parts)

    def as_json(self) -> dict[str, object]:
        """What plan.json holds; `load_plan` reads it."""
        steps = [{**freeze(s.stage), "name": s.name, "kind": s.kind, "fingerprint": s.fingerprint} for s in self.steps]
        return {
            "name": self.name,
            "config_digest": self.config_digest,
            "steps": steps,
            "parts": [asdict(p) for p in self.parts],
        }


def beside(phases: Sequence[Phase], more: Sequence[Phase]) -> list[Phase]:
    """The phases, and those of one more reducer. Where the last phase makes artifacts that it does without, they are
    made together: their units are on their own for longest. One that shares out work in rounds is made alone."""
    before = phases[-1].steps if phases and phases[-1].kind == "reducer" else ()
    step = more[-1].steps[0]
    if not before or any(s.reducer.rounds for s in (*before, step)) or any(s.name in step.needs for s in before):
        return [*phases, *more]
    return [*phases[:-1], *more[:-1], Phase("reducer", (*before, step))]


def of_reducer(step: Step) -> list[Phase]:
    """A take and a join per pass, of which the last is the reduction's own where no rounds follow."""
    passes, rounds = len(step.reducer.passes), step.reducer.rounds
    phases: list[Phase] = []
    for i in range(passes):
        phases.append(Phase("take", (step,), i))
        if rounds or i < passes - 1:
            phases.append(Phase("join", (step,), i))
    for i in range(rounds):
        phases += [Phase("ask", (step,), i), Phase("answer", (step,), i)]
    return [*phases, Phase("reducer", (step,))]


def make_plan(name: str, config_digest: str, stages: Sequence[Stage], parts: Iterable[Part]) -> Plan:
    """Fingerprints and checks the stages. Raises PlanError for steps that do not fit together."""
    for stage in stages:
        schema.register(() if isinstance(stage, Sink) else stage.columns)
    steps = chain(stages, [fingerprint(stage) for stage in stages])
    check(steps)
    plan = Plan(name, config_digest, steps, tuple(sorted(parts, key=lambda p: p.key)))
    check_names(plan)
    return plan


def placed(stages: Sequence[Stage], parts: Sequence[Part], old: Plan | None) -> list[Stage]:
    """The stages of a recipe in a run of these parts, whose last plan was `old`."""
    before = [step.stage for step in old.steps] if old else []
    found: list[Stage] = []
    for stage in stages:
        found.append(stage.placed(parts, before, found))
    return found


# What key_of of an input makes, and names of steps: both name files of the run folder.
_PART_KEY = re.compile(r"[A-Za-z0-9_\-][A-Za-z0-9._\-]{0,199}")
_STEP_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9._\-]{0,99}")


def check_names(plan: Plan) -> None:
    """Raises PlanError for a part key or a step's name that could lead out of the run folder."""
    for part in plan.parts:
        if not _PART_KEY.fullmatch(part.key):
            raise PlanError(f"part key {part.key!r} is none that this program makes: this plan.json was tampered with")
    for step in plan.steps:
        for name in (step.name, *step.reads, *step.needs):
            if not _STEP_NAME.fullmatch(name):
                raise PlanError(f"step name {name!r}: letters, digits, points, hyphens and underscores only")


def load_plan(path: Path, past: bool = False) -> Plan:
    """The saved plan, with its fingerprints as saved: what a worker computes is what the parent planned.

    A plan is data: it imports no module but ours, and its names stay inside the run folder (`check_names`).

    Raises PlanError where a stage is another version's; a plan of the `past` is without such stages.
    """
    if not path.is_file():
        raise PlanError(f"{path.parent} is not a run folder (no plan.json); start one with gristmill run")
    saved = read_state(path)
    try:
        return _plan_of(saved, path, past)
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DamagedFile(
            f"{path} is damaged ({type(error).__name__}: {error}); the same gristmill run command makes it again"
        ) from None


def _plan_of(saved: Mapping[str, object], path: Path, past: bool) -> "Plan":
    stages: list[Stage] = []
    marks: list[str] = []
    for frozen in saved["steps"]:  # pyright: ignore[reportGeneralTypeIssues]
        try:
            stages.append(thaw(frozen))
        except ConfigError as error:
            if past:
                continue
            raise PlanError(
                f"{path.parent} was planned by another version of Gristmill or of a stage ({error}); "
                "gristmill run goes on from it, anything else needs that version"
            ) from error
        marks.append(frozen["fingerprint"])
    for stage in stages:
        schema.register(() if isinstance(stage, Sink) else stage.columns)
    steps = chain(stages, marks)
    parts = tuple(Part(**p) for p in saved["parts"])  # pyright: ignore[reportGeneralTypeIssues]
    if not (past or steps) or not all(isinstance(p.key, str) and isinstance(p.path, str) for p in parts):
        raise ValueError("steps or parts are not what a plan holds")
    plan = Plan(str(saved["name"]), str(saved["config_digest"]), steps, parts)
    check_names(plan)
    if steps and any((path.parent / steps[0].name / f"{p.key}.receipt.json").exists() for p in parts[:1]):
        raise PlanError(
            f"{path.parent} is of a version of Gristmill that kept each receipt in a file of its own, which this one "
            "does not read; choose another --out, or delete the folder and run again"
        )
    return plan
