"""Steps: stages at their places in a recipe, what each reads from where, and whether they fit together."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from typing import cast

from gristmill.pipeline.contract import columns as schema
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.shapes import (
    Annotator,
    Gate,
    Grouping,
    Kind,
    Part,
    Reducer,
    Shape,
    Sink,
    Source,
    Stage,
)
from gristmill.pipeline.plan.identity import digest

MEASURING = ("source", "annotator", "grouping")  # kinds of steps that write columns of documents


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
    def grouping(self) -> Grouping:
        return cast(Grouping, self.stage)

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


def kind_of(stage: Stage) -> Kind:
    """Raises PlanError for an object that derives from none of the six shapes."""
    if isinstance(stage, Shape):
        return stage.kind
    raise PlanError(f"{type(stage).__name__} derives from none of the six shapes (pipeline/contract/shapes.py)")


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
