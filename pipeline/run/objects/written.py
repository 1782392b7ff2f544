"""What a unit of a phase has written, for a run in an object store: each of it goes up when the unit is done."""

from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import cast

from gristmill.pipeline.plan.plan import INTERIM
from gristmill.pipeline.run.failures import failure_path
from gristmill.pipeline.run.phases.exchange import Pass, Return
from gristmill.pipeline.run.phases.reduction import Passed, Reductions
from gristmill.pipeline.run.phases.sinking import SCATTER, scattered_path, scattered_receipt_path
from gristmill.pipeline.run.phases.work import Work
from gristmill.pipeline.run.receipts.receipt import read_receipt
from gristmill.pipeline.run.shards import gather_receipt_path, record_place


def written(work: Work, unit: str) -> list[Path]:
    """Files and folders; what is as it was sent is not sent again. Columns go with the logs that prove them."""
    more = _OTHERS.get(work.phase.kind)
    return [
        *work.view.receipts.mine(),
        failure_path(work.view, work.phase, unit),
        *(more(work, unit) if more else ()),
    ]


def _slices(work: Work, unit: str) -> Iterator[Path]:
    path = cast(Pass, work).slices(unit)
    yield from (path, path.with_name(f"{path.name}.receipt.json"))


def _returned(work: Work, unit: str) -> Iterator[Path]:
    phase = cast(Return, work)
    extra = phase.extra_path(phase.step.name)
    yield from (phase.record(unit), extra, extra.with_suffix(".receipt.json"))


def _tables(work: Work, unit: str) -> Iterator[Path]:
    phase = cast(Passed, work)
    yield from phase.folder.glob(f"{phase.stem_of(unit)}.*")


def _artifact(work: Work, unit: str) -> Iterator[Path]:
    yield from (work.view.artifact_place(unit), work.view.artifact_receipt_path(unit))


def _scattered(work: Work, unit: str) -> Iterator[Path]:
    yield from (scattered_path(work.view, unit), scattered_receipt_path(work.view, unit))


def _shard(work: Work, unit: str) -> Iterator[Path]:
    receipt = read_receipt(gather_receipt_path(work.view, unit))
    yield from (gather_receipt_path(work.view, unit), record_place(work.view, unit))
    yield from (work.view.root / name for name in (receipt.files if receipt else ()))


_OTHERS: Mapping[str, Callable[[Work, str], Iterator[Path]]] = {
    "sort": _slices, "group": _slices, "merge": _slices, "return": _returned, "take": _tables, "join": _tables,
    "ask": _tables, "answer": _tables, "reducer": _artifact, "scatter": _scattered, "gather": _shard,
}  # fmt: skip


def passed_on(work: Work) -> list[Path]:
    """What earlier phases left for this one besides columns and artifacts, which are fetched as they are read."""
    view, step = work.view, work.phase.steps[0] if work.phase.steps else None
    if step is None:
        return []
    if work.phase.kind == "gather":
        return [view.root / SCATTER]
    if work.phase.kind in ("sort", "group", "merge", "return"):
        return [cast(Pass, work).extra_path(dataset) for dataset in step.reads] + (
            [] if work.phase.kind == "sort" else [cast(Pass, work).folder]
        )
    if isinstance(work, Reductions):
        return [reduction.folder for reduction in work.each.values()]
    return [cast(Passed, work).folder] if work.phase.kind in INTERIM else []
