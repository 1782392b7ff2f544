"""Estimates documents, time, disk and memory of what a run has still to do, by the rates that its folder has measured.

The first parts tell: `gristmill run CONFIG input.paths=ONE_FILE --out RUN`, then `plan` with all of them.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gristmill.pipeline.contract.drawing.tables import count, duration, plural, size
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.run.forecast import Intent
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import RunView, view_of

ENOUGH = 100  # documents, from which rates are taken
WORKER_BYTES = 272 << 20  # of a worker before its first document: the libraries (docs/scale.md, Measured)
SLICE_BYTES = 202  # per document, at most, of a grouping's slices, which go again (docs/scale.md, Measured)
# Seconds of a worker per document and pass: 1,204 s for nine passes over 10^8 documents (docs/scale.md, Measured);
# rounded up, because stored signatures were not read there.
PASS_S = 2e-6
PASSES = ("sort", "group", "merge", "return")
NAME_CHARS = 56


@dataclass(frozen=True)
class Rate:
    """What a step has cost per document that was read: seconds of one worker, bytes on disk."""

    seconds: float
    bytes: float


def rate_of(view: RunView, name: str) -> Rate | None:
    """Over the parts of which the step is done; None where they hold too few documents."""
    pairs = [(view.receipt(view.plan.source.name, p.key), view.receipt(name, p.key)) for p in view.plan.parts]
    done = [(read, made) for read, made in pairs if read is not None and made is not None]
    documents = sum(read.docs_out for read, _ in done)
    if documents < ENOUGH:
        return None
    return Rate(sum(made.seconds for _, made in done) / documents, sum(made.file_bytes for _, made in done) / documents)


def estimate_lines(plan: Plan, intents: Sequence[Intent], store: Store, workers: int, memory: int) -> Iterator[str]:
    """Lines to print; none where nothing is left to do. memory: bytes that all workers share for sorting."""
    view = view_of(store, plan)
    todo = {(i.step.name, i.step.kind) for i in intents if i.verdict != "skip"}
    if not todo:
        return
    sizes = {part.key: part.end - part.start for part in plan.parts}
    read = {key: receipt for key in sizes if (receipt := view.receipt(plan.source.name, key)) is not None}
    found, of = sum(r.docs_out for r in read.values()), sum(sizes[key] for key in read)
    if found < ENOUGH or not of:
        yield f"estimate: none yet; run some of these files with --out {store.root}, and plan says what the rest takes"
        return
    new = found * (sum(sizes.values()) - of) / of  # documents of parts that are not read
    rates = {s.name: rate for s in plan.steps if (rate := rate_of(view, s.name)) is not None}
    yield (
        f"estimate: about {count(round(found + new))} documents, {count(found)} of them read "
        f"({plural(len(read), 'part')} of {len(sizes)}); by the rates of these, with {plural(workers, 'worker')}:"
    )
    times: dict[str, float] = {}
    unknown: list[str] = []
    for phase in plan.phases:
        steps = [s for s in phase.steps if (s.name, s.kind) in todo]
        if not steps:
            continue
        measured = phase.kind in PASSES or any(s.name in rates for s in steps)
        if measured:
            each = PASS_S if phase.kind in PASSES else sum(rates[s.name].seconds for s in steps if s.name in rates)
            documents = found + new if phase.kind in PASSES else new
            seconds = each * documents / (1 if phase.kind == "merge" else workers)
            times[named(phase)] = times.get(named(phase), 0.0) + seconds
        else:
            unknown += [s.label for s in steps]
    for name, seconds in times.items():
        yield f"  {name:{NAME_CHARS}} {duration(seconds):>12}"
    yield f"  {'together':{NAME_CHARS}} {duration(sum(times.values())):>12}"
    if unknown:
        yield f"  not measured: {', '.join(dict.fromkeys(unknown))}"
    stays = new * sum(rates[name].bytes for name in rates)
    passing = (found + new) * SLICE_BYTES if any(phase.kind in PASSES for phase in plan.phases) else 0
    yield f"  disk: {size(stays)} more that stay, {size(passing)} of slices that go again"
    yield f"  memory: {size(memory)} of all workers for sorting, {size(WORKER_BYTES * workers)} for their libraries"


def named(phase: Phase) -> str:
    """The steps of a phase, as far as they fit."""
    text = ", ".join(dict.fromkeys(s.label for s in phase.steps))
    return text if len(text) <= NAME_CHARS else text[: NAME_CHARS - 5].rpartition(",")[0] + ", ..."
