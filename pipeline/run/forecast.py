"""Predicts, from receipts alone, what a run will compute, redo and skip, and why."""

from dataclasses import dataclass
from typing import Literal

from gristmill.pipeline.contract.shapes import Part
from gristmill.pipeline.plan.identity import stage_fields
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.plan.steps import Step, part_identity, source_identity
from gristmill.pipeline.run.phases.exchange import Return
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import RunView, view_of


@dataclass(frozen=True)
class Intent:
    """What a run will do with one step. `counts`: parts by skip | new | changed | rows."""

    step: Step
    verdict: Literal["skip", "run", "maybe"]
    counts: dict[str, int]
    why: str


def changed_fields(old: Plan | None, step: Step) -> str:
    """ "min_words: 50 -> 60" between the saved plan and this one; "" when nothing changed."""
    if old is None:
        return ""
    before = next((s for s in old.steps if (s.name, s.kind) == (step.name, step.kind)), None)
    if before is None:
        return "new step"
    if before.fingerprint == step.fingerprint:
        gone = [f"{d}.{c}" for d, cs in before.reads.items() for c in cs if c not in step.reads.get(d, ())]
        new = [f"{d}.{c}" for d, cs in step.reads.items() for c in cs if c not in before.reads.get(d, ())]
        return f"reads {', '.join(new)} instead of {', '.join(gone)}" if gone or new else ""
    was, now = stage_fields(before.stage), stage_fields(step.stage)
    changed = [f"{k}: {was.get(k)} -> {v}" for k, v in now.items() if was.get(k) != v]
    return "; ".join(changed) or "its code or a file it names changed"


def intents(plan: Plan, store: Store, old: Plan | None) -> list[Intent]:
    """Predicts, from receipts alone, what a run computes, redoes and skips.

    "maybe": the step follows a change whose outcome is known only when it has run (rows or an artifact may stay equal).
    """
    view = view_of(store, plan)
    result: list[Intent] = []
    unsure: set[str] = set()  # datasets and "artifact:..." whose content may change
    rows_unsure = False
    for step in plan.steps:
        because = changed_fields(old, step)
        if step.kind == "source":
            counts = {"skip": 0, "new": 0, "changed": 0}
            for part in plan.parts:
                receipt = view.receipt(step.name, part.key)
                fresh = receipt is not None and receipt.identity == source_identity(step, part)
                counts["skip" if fresh else "changed" if receipt else "new"] += 1
            todo = counts["new"] + counts["changed"]
            # A part that is done keeps its rows, so only what follows for the other parts, and reducers, is open.
            result.append(Intent(step, "run" if todo else "skip", counts, because))
            if todo:
                unsure.add(step.name)
                rows_unsure = True
            continue
        causes = [d for d in step.reads if d in unsure] + [a for a in step.needs if f"artifact:{a}" in unsure]
        if step.kind in ("annotator", "gate"):
            intent = _row_local_intent(view, step, because, unsure)
            if intent.verdict != "skip":
                unsure.add(step.name)
            if step.kind == "gate" and intent.verdict != "skip":
                rows_unsure = True
        else:
            known = step.kind == "sink" or made(view, step)
            stale = bool(because) or not known
            follows = bool(causes) or rows_unsure
            verdict = "run" if stale else "maybe" if follows else "skip"
            why = because or (
                "not made yet" if not known else f"follows {', '.join(causes) or 'the rows'}" if follows else ""
            )
            intent = Intent(step, verdict, {}, why)
            if verdict != "skip":
                unsure.add(step.name if step.kind == "grouping" else f"artifact:{step.name}")
        result.append(intent)
    return result


def made(view: RunView, step: Step) -> bool:
    """Whether there is an artifact of a reducer; whether what a grouping returned is what this plan would return, so
    far as its inputs are there."""
    if step.kind == "reducer":
        return view.artifact_receipt(step.name) is not None
    return Return(view, Phase("return", (step,))).settled()


def _row_local_intent(view: RunView, step: Step, because: str, unsure: set[str]) -> Intent:
    plan, counts = view.plan, {"skip": 0, "new": 0, "changed": 0, "rows": 0}
    open_artifacts = [a for a in step.needs if f"artifact:{a}" in unsure]
    artifacts = {a: r.content for a in step.needs if (r := view.artifact_receipt(a))}
    rows_step = plan.rows_source(step)
    for part in plan.parts:
        receipt = view.receipt(step.name, part.key)
        inputs = {d: view.receipt(d, part.key) for d in step.reads}
        rows = view.receipt(rows_step.name, part.key)
        if receipt is None or rows is None or None in inputs.values():
            counts["new" if receipt is None else "changed"] += 1
            continue
        stale = not all(_current(view, d, part) for d in inputs)
        identity = part_identity(step, {d: r.identity for d, r in inputs.items() if r}, artifacts)
        if stale or receipt.identity != identity:
            counts["changed"] += 1
        elif receipt.rows != rows.kept or (rows_step.name in unsure and not _current(view, rows_step.name, part)):
            counts["rows"] += 1
        else:
            counts["skip"] += 1
    todo = counts["new"] + counts["changed"] + counts["rows"]
    if open_artifacts and not because:
        return Intent(step, "maybe", counts, f"follows {', '.join(open_artifacts)}")
    if todo:
        causes = [d for d in step.reads if d in unsure] or ([rows_step.name] if rows_step.name in unsure else [])
        return Intent(step, "run", counts, because or (f"follows {', '.join(causes)}" if causes else ""))
    return Intent(step, "skip", counts, because)


def _current(view: RunView, dataset: str, part: Part) -> bool:
    """Whether the stored part of `dataset` is what this plan would compute."""
    return view.once(("current", dataset, part.key), lambda: _as_planned(view, dataset, part))


def _as_planned(view: RunView, dataset: str, part: Part) -> bool:
    step, found = view.plan.writing[dataset], view.receipt(dataset, part.key)
    if found is None:
        return False
    if step.kind == "source":
        return found.identity == source_identity(step, part)
    if step.kind == "grouping":
        return view.once(("made", step.name), lambda: made(view, step))
    inputs = {}
    for d in step.reads:
        receipt = view.receipt(d, part.key)
        if receipt is None or not _current(view, d, part):
            return False
        inputs[d] = receipt.identity
    artifacts = {a: r.content for a in step.needs if (r := view.artifact_receipt(a))}
    return found.identity == part_identity(step, inputs, artifacts)
