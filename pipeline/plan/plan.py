"""The plan: steps in order, checked before anything runs, the frozen list of parts, and what a run will do and why."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path
from typing import Literal, cast

from gristmill.pipeline.contract import columns as schema
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.contract.shapes import Annotator, Gate, Kind, Part, Reducer, Shape, Sink, Source, Stage
from gristmill.pipeline.contract.state import DamagedFile, read_state
from gristmill.pipeline.plan.identity import digest, fingerprint, freeze, thaw


@dataclass(frozen=True)
class Step:
    """A stage at its place in the recipe. `moved`: (dataset, column, the earlier stage that replaced it)."""

    stage: Stage
    kind: Kind
    fingerprint: str
    moved: tuple[tuple[str, str, str], ...] = ()

    @property
    def source(self) -> Source:
        return cast(Source, self.stage)

    @property
    def annotator(self) -> Annotator:
        return cast(Annotator, self.stage)

    @property
    def gate(self) -> Gate:
        return cast(Gate, self.stage)

    @property
    def reducer(self) -> Reducer:
        return cast(Reducer, self.stage)

    @property
    def sink(self) -> Sink:
        return cast(Sink, self.stage)

    @property
    def name(self) -> str:
        return self.stage.name

    @property
    def rules(self) -> tuple[str, ...]:
        return tuple(self.stage.rules)

    @cached_property
    def reads(self) -> dict[str, tuple[str, ...]]:
        """What the stage reads, each column from where it lies now."""
        now = {(dataset, column): place for dataset, column, place in self.moved}
        reads: dict[str, tuple[str, ...]] = {}
        for dataset, columns in self.stage.reads.items():
            if not columns:
                reads.setdefault(dataset, ())
            for column in columns:
                place = now.get((dataset, column), dataset)
                reads[place] = (*reads.get(place, ()), column)
        return reads

    @property
    def replaces(self) -> dict[str, tuple[str, ...]]:
        return dict(self.stage.replaces) if isinstance(self.stage, Annotator) else {}

    @property
    def writes(self) -> tuple[str, ...]:
        return ("rule",) if self.kind == "gate" else tuple(self.stage.writes)

    @property
    def needs(self) -> tuple[str, ...]:
        return tuple(self.stage.needs)

    @property
    def all_rows(self) -> bool:
        return self.stage.rows == "all"

    @property
    def label(self) -> str:
        """The stage that the ledger books this step under."""
        return self.name.removesuffix(".gate")


@dataclass(frozen=True)
class Phase:
    """Steps that run together: a wave (part by part), a reducer, or the two passes of the sink."""

    kind: Literal["wave", "reducer", "scatter", "gather", "ledger"]
    steps: tuple[Step, ...]

    @property
    def name(self) -> str:
        names = [s.name for s in self.steps]
        return self.kind if self.kind == "ledger" else (f"{names[0]}" if self.kind == "reducer" else "+".join(names))


def kind_of(stage: Stage) -> Kind:
    """Raises PlanError for an object that derives from none of the five shapes."""
    if isinstance(stage, Shape):
        return stage.kind
    raise PlanError(f"{type(stage).__name__} derives from none of the five shapes (pipeline/contract/shapes.py)")


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
        return {s.name: s for s in self.steps if s.kind in ("source", "annotator", "gate")}

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
        return next((s.name for s in self.steps if s.kind in ("source", "annotator") and column in s.writes), None)

    def rows_source(self, step: Step) -> Step:
        """The step whose receipt says which rows `step` covers (its `kept`)."""
        if (step.name, step.kind) not in self._rows_sources:
            rows = self.source if step.all_rows else (self.gate_before(step) or self.source)
            self._rows_sources[step.name, step.kind] = rows
        return self._rows_sources[step.name, step.kind]

    @cached_property
    def _rows_sources(self) -> dict[tuple[str, Kind], Step]:
        return {}

    @cached_property
    def phases(self) -> tuple[Phase, ...]:
        phases: list[Phase] = []
        wave: list[Step] = []
        for step in self.steps:
            if step.kind in ("source", "annotator", "gate"):
                wave.append(step)
                continue
            if wave:
                phases.append(Phase("wave", tuple(wave)))
                wave = []
            if step.kind == "reducer":
                phases.append(Phase("reducer", (step,)))
            else:
                phases += [Phase("scatter", (step,)), Phase("gather", (step,))]
        if wave:
            phases.append(Phase("wave", tuple(wave)))
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


def make_plan(name: str, config_digest: str, stages: Sequence[Stage], parts: Iterable[Part]) -> Plan:
    """Fingerprints and checks the stages. Raises PlanError for steps that do not fit together."""
    for stage in stages:
        schema.register(() if isinstance(stage, Sink) else stage.columns)
    steps = chain(stages, [fingerprint(stage) for stage in stages])
    check(steps)
    plan = Plan(name, config_digest, steps, tuple(sorted(parts, key=lambda p: p.key)))
    check_names(plan)
    return plan


def chain(stages: Sequence[Stage], fingerprints: Sequence[str]) -> tuple[Step, ...]:
    """The stages as steps: after a stage that `replaces` columns, the others read those columns from it.

    Several may replace one column: each reads what the one before it wrote.
    """
    steps: list[Step] = []
    moved: dict[tuple[str, str], str] = {}
    for stage, mark in zip(stages, fingerprints, strict=True):
        steps.append(Step(stage, kind_of(stage), mark, tuple((*old, new) for old, new in moved.items())))
        for dataset, columns in steps[-1].replaces.items():
            moved |= {(dataset, column): stage.name for column in columns}
    return tuple(steps)


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
    return plan


def check(steps: Sequence[Step]) -> None:
    """Every column a stage reads is written earlier, every artifact is made earlier, names are unique."""
    if not steps or steps[0].kind != "source":
        raise PlanError("the first step must be a source")
    written: dict[str, set[str]] = {}
    made: set[str] = set()
    for step in steps:
        for dataset, columns in step.reads.items():
            if dataset not in written:
                raise PlanError(
                    f"{step.name} reads dataset {dataset!r}, which no earlier step writes; "
                    f"there are {', '.join(sorted(written))}"
                )
            for name in columns:
                if name not in written[dataset]:
                    owners = [d for d, cols in written.items() if name in cols]
                    hint = (
                        f"{owners[0]} writes it"
                        if owners
                        else f"{dataset} writes {', '.join(sorted(written[dataset]))}"
                    )
                    raise PlanError(f"{step.name} reads {dataset}.{name}, which no earlier step writes; {hint}")
        for artifact in step.needs:
            if artifact not in made:
                raise PlanError(f"{step.name} needs artifact {artifact!r}, which no earlier step makes; add it before")
        for name in step.writes:
            schema.column(name)
        for dataset, columns in step.replaces.items():
            check_replacement(step, dataset, columns, written)
        if step.kind == "reducer":
            if step.name in made:
                raise PlanError(f"two steps make the artifact {step.name!r}; give one another name")
            made.add(step.name)
        elif step.kind != "sink":
            if step.name in written:
                raise PlanError(f"two steps write the dataset {step.name!r}; give one another name")
            written[step.name] = set(step.writes)


def check_replacement(step: Step, dataset: str, columns: Sequence[str], written: dict[str, set[str]]) -> None:
    """Raises PlanError unless every later reader finds each column, for each row, in the step's own dataset."""
    missing = [c for c in columns if c not in step.writes or c not in written.get(dataset, ())]
    if missing:
        raise PlanError(f"{step.name} replaces {dataset}.{missing[0]}, which it, or {dataset}, does not write")
    if not step.all_rows:
        raise PlanError(f'{step.name} replaces columns of {dataset} for some rows only; its rows must be "all"')


def part_identity(step: Step, inputs: dict[str, str], artifacts: dict[str, str]) -> str:
    """Identity of the values that `step` computes, from those of the datasets and artifacts it uses."""
    return digest({"step": step.fingerprint, "inputs": inputs, "artifacts": artifacts})


def source_identity(step: Step, part: Part) -> str:
    return digest({"step": step.fingerprint, "part": asdict(part)})
