"""Reads a failed, stopped or killed run: where it stopped, why, and the books up to there.

A run writes ledger.json at its end. Where there is none, `settle` writes the fates of the parts that are done, under
the steps that are done, so that ledger, verify, report, inspect and explain work on what is there; a resume writes
them anew.
"""

from contextlib import suppress
from dataclasses import replace

from gristmill.pipeline.books.ledger import books
from gristmill.pipeline.books.sums import sums_of
from gristmill.pipeline.contract.errors import DataError, GristmillError
from gristmill.pipeline.contract.state import DamagedFile, read_state, write_json
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.failures import failures
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.phases.fates import write_fates
from gristmill.pipeline.run.session import locked
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import work_of
from gristmill.pipeline.run.view import NotReady, RunView, view_of

STOPPED = "stopped.json"


def record_stop(store: Store, phase: Phase | None, error: BaseException) -> None:
    interrupted = isinstance(error, KeyboardInterrupt)
    why = "it was interrupted; the same gristmill run command goes on" if interrupted else str(error)
    write_json(store.root / STOPPED, {"phase": steps_of(phase), "why": why, "failed": not interrupted})


def forget_stop(store: Store) -> None:
    """When a run begins: neither books nor reason of an earlier one may be taken for its own."""
    for name in (STOPPED, "ledger.json"):
        (store.root / name).unlink(missing_ok=True)


def headline(store: Store) -> list[str]:
    """One line that says where the run stopped and why; none for a run that came to its end."""
    try:
        stop = read_state(store.root / STOPPED)
    except DamagedFile:
        return []
    where = f" at {stop.get('phase')}" if stop.get("phase") else ""
    return [f"This run stopped{where}: {' '.join(str(stop.get('why')).split())}"]


def settled(store: Store, plan: Plan) -> Plan:
    """The plan cut to the steps that are in the books; writes those books first where the run left none.

    Raises PlanError while another process works on the run, DataError where not one part is done.
    """
    if not (store.root / "ledger.json").is_file():
        with locked(store.root):
            settle(store, plan)
            store.send()
    try:
        last = read_state(store.root / STOPPED).get("steps")
    except DamagedFile:
        return plan
    return plan if not isinstance(last, int) else replace(plan, steps=plan.steps[:last])


def settle(store: Store, plan: Plan) -> None:
    """Writes fates and ledger.json of what is done, and how far that is. The caller holds the run's lock."""
    store = RunView(store, plan)
    done, at = done_so_far(store, plan)
    if not done.steps:
        raise DataError(
            f"{store.name} has no finished part yet: there is nothing to count; gristmill run goes on from here"
        )
    parts = []
    for part in done.parts:
        try:
            write_fates(PartRun(store, done, part, {}))
            parts.append(part)
        except NotReady:
            store.unprove("ledger", part.key)
    known: dict[str, object] = {
        "phase": steps_of(at),
        "why": reason(store, len(parts), len(plan.parts)),
        "failed": bool(failures(store)),
    }
    with suppress(DamagedFile):
        known |= read_state(store.root / STOPPED)
    write_json(store.root / STOPPED, {**known, "steps": len(done.steps)})
    write_json(store.root / "ledger.json", books(store, done, sums_of(store, done)))


def steps_of(phase: Phase | None) -> str:
    """The first step of a wave, or every step of another phase."""
    return "" if phase is None else ", ".join(phase.name.split("+")[: 1 if phase.kind == "wave" else None])


def done_so_far(store: Store, plan: Plan) -> tuple[Plan, Phase | None]:
    """The plan cut to the steps that are done, and the first phase that is not.

    Of a wave that is done in part, the steps count that at least half of its begun parts have behind them.
    """
    done: set[tuple[str, str]] = set()
    for phase in plan.phases:
        if phase.kind == "wave":
            reached = [sum(is_done(store, plan, step, p.key) for p in plan.parts) for step in phase.steps]
            behind = [s for s, count in zip(phase.steps, reached, strict=True) if count and 2 * count >= reached[0]]
            whole = reached[-1] >= len(view_of(store, plan).usable)
        else:  # passes leave nothing to count until the last one is done
            whole = phase.kind == "ledger" or finished(store, plan, phase)
            behind = phase.steps if whole and phase.kind in ("reducer", "return", "gather") else ()
        done |= {(step.name, step.kind) for step in behind}
        if not whole:
            n = next((i for i, s in enumerate(plan.steps) if (s.name, s.kind) not in done), len(plan.steps))
            return replace(plan, steps=plan.steps[:n]), phase
    return plan, None


def is_done(store: Store, plan: Plan, step: Step, key: str) -> bool:
    try:
        return PartRun(store, plan, plan.part[key], {}).is_done(step)
    except NotReady:
        return False


def finished(store: Store, plan: Plan, phase: Phase) -> bool:
    try:
        work = work_of(view_of(store, plan), phase)
        return work.settled() if work.passing else not work.pending()
    except (GristmillError, OSError):  # what it is made from is not done
        return False


def reason(store: Store, done: int, parts: int) -> str:
    failed = failures(store)
    if failed:
        return str(failed[0]["message"])
    return f"it was interrupted or killed ({done} of {parts} parts counted); the same gristmill run command goes on"
