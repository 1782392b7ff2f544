"""Says whether a run goes on, waits, stopped, failed or is finished; since when, how fast, and how long still."""

import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from gristmill.pipeline.books.stopped import STOPPED
from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.drawing.tables import duration, plural
from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.state import DamagedFile, read_state
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.queued import queue_of
from gristmill.pipeline.run.engines.on_slurm import ENDED, NODE_LOGS, QueuedJob
from gristmill.pipeline.run.failures import failures
from gristmill.pipeline.run.forecast import Intent, intents
from gristmill.pipeline.run.progress import NOW
from gristmill.pipeline.run.session import by, here, in_use, read_lease
from gristmill.pipeline.run.shards import RECEIPTS
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import work_of
from gristmill.pipeline.run.view import RunView

SHOWN_STEPS = 8
SHOWN_JOBS = 10


def status_lines(store: Store, plan: Plan, every: bool = False) -> tuple[list[str], bool]:
    """(lines, whether all is done and nothing failed). `every`: a line for each step, done or not."""
    view = RunView(store, plan)
    steps = [(intent, how_far(view, intent)) for intent in intents(plan, view, plan)]
    todo = [(intent, said) for intent, said in steps if said is not None]
    failed = failures(store)
    jobs = queue_of(view)
    state, complete = standing(view, jobs, bool(todo), bool(failed))
    lines = [f"{plan.name}: {state}", *current(view, state), *queue_lines(jobs, view)]
    done = len(steps) - len(todo)
    shards = plural(len(list((store.root / RECEIPTS).glob("*.json"))), "shard")
    lines.append(f"done: {done} of {plural(len(steps), 'step')} over {plural(len(plan.parts), 'part')}, {shards}")
    if every:
        lines += [f"  {intent.step.label:22} {intent.step.kind:9} {said or 'done'}" for intent, said in steps]
    elif todo:
        begun = {i.step.label: f" ({said})" for i, said in todo if said and said[0] != "0" and "of" in said}
        left = list(dict.fromkeys(intent.step.label for intent, _ in todo))
        more = f", and {len(left) - SHOWN_STEPS} more" if len(left) > SHOWN_STEPS else ""
        lines.append(f"to do: {', '.join(x + begun.get(x, '') for x in left[:SHOWN_STEPS])}{more}")
    lines += [f"FAILED {f['unit']}: {f['message']}" for f in failed]
    return lines, complete


def how_far(view: RunView, intent: Intent) -> str | None:
    """What is left of a step; None where it is done."""
    step, plan = intent.step, view.plan
    if step.kind == "sink":
        return None if (view.root / "ledger.json").is_file() or intent.verdict == "skip" else "not written"
    if step.kind == "reducer":
        return None if view.artifact_receipt(step.name) is not None else "not made"
    done = sum(view.receipt(step.name, p.key) is not None for p in plan.parts)
    return None if done == len(plan.parts) else f"{done} of {plural(len(plan.parts), 'part')}"


def standing(view: RunView, jobs: list[QueuedJob], left: bool, failed: bool) -> tuple[str, bool]:
    """(the run's state in a sentence, whether it is finished with everything that its plan asks for)."""
    root, now = view.root, at(view)
    began = now.get("began")
    waiting = [job for job in jobs if job.waits]
    if waiting:
        n = sum(job.states.get("RUNNING", 0) for job in waiting)
        return (
            f"{'running' if n else 'queued'} as {plural(len(waiting), 'Slurm job')}, {plural(n, 'task')} at work",
            False,
        )
    if in_use(root):
        return f"running{f' since {clock(began)}' if began else ''}{by_other(root)}", False
    ended = root / "ledger.json"
    stop = state_of(view, STOPPED)
    if stop:
        word = "failed" if stop.get("failed") or failed else "stopped"
        where = f" at {stop['phase']}" if stop.get("phase") else ""
        when = clock((root / STOPPED).stat().st_mtime)
        return f"{word}{where}, {when}: {' '.join(str(stop.get('why')).split())}", False
    if not ended.is_file():
        return "stopped: it was interrupted or killed; the same gristmill run command goes on", False
    finished = ended.stat().st_mtime
    took = f", after {duration(max(0.0, finished - began))}" if isinstance(began, float) else ""
    if failed:
        return f"finished without the parts that failed, {clock(finished)}{took}", False
    return f"finished{' as far as it was asked' if left else ''}, {clock(finished)}{took}", not left


def current(view: RunView, state: str) -> Iterator[str]:
    """Of a run that goes on: the phase that it is at, its speed, and the time that is left of it."""
    now = at(view)
    if not state.startswith("running") or not now:
        return
    began, total, already = now["phase_began"], now["total"], now["already"]
    seconds = max(0.0, time.time() - began)
    line = f"at: {now['phase']} (phase {now['place']}), for {duration(seconds)}"
    phase, done = view.plan.phases[now["number"]], already
    if phase.kind == "wave":
        done, docs = wave(view, phase)
        line += f"; {done} of {total} parts"
        if done > already and seconds:
            line += f", {docs / seconds:,.0f} documents a second"
    elif phase.kind == "answer":
        with suppress(DataError):  # the round has ended meanwhile
            done = total - len(work_of(view, phase).pending())
            line += f"; {done} of {plural(total, 'run')}"
    if done > already and seconds:
        line += f", about {duration(seconds / (done - already) * (total - done))} left of it"
    yield line
    yield from (f"  {unit}: {said}" for unit, said in watch.notes(view.root).items())


def wave(view: RunView, phase: Phase) -> tuple[int, int]:
    """Parts that have every step of a wave behind them, and documents that this run has read for it."""
    began = float(at(view).get("phase_began", 0.0))
    first, last = phase.steps[0], phase.steps[-1]
    done = {p.key: r for p in view.plan.parts if (r := view.receipt(last.name, p.key)) is not None}
    new = [key for key, receipt in done.items() if receipt.modified / 1e9 >= began - 0.01]
    return len(done), sum(r.docs_in for k in new if (r := view.receipt(first.name, k)) is not None)


def queue_lines(jobs: list[QueuedJob], view: RunView) -> list[str]:
    """The jobs that wait or run, and those that ended otherwise than well, while Slurm remembers them."""
    shown = [job for job in jobs if job.states.keys() - {"COMPLETED"}]
    more = [f"  and {len(shown) - SHOWN_JOBS} more jobs"] if len(shown) > SHOWN_JOBS else []
    bad = any(job.states.keys() & ENDED - {"COMPLETED"} for job in shown)
    where = (
        "logs/*/slurm_logs/ in the run folder" if view.mirror is None else f"{NODE_LOGS}/JOB_TASK.out on their nodes"
    )
    said = [f"  what the tasks said: {where}, or engine.slurm.slurm_logs_folder"] if bad else []
    return [*(f"  {job.said}" for job in shown[:SHOWN_JOBS]), *more, *said]


def by_other(root: Path) -> str:
    """Where the run goes on, if that is another host."""
    lease = read_lease(root)
    return by(root) if lease is not None and lease.host != here(root) else ""


def at(view: RunView) -> dict:
    return state_of(view, NOW)


def state_of(view: RunView, name: str) -> dict:
    try:
        return read_state(view.root / name)
    except DamagedFile:
        return {}


def clock(seconds: object) -> str:
    """A point in time on this machine's clock."""
    return time.strftime("%Y-%m-%d %H:%M:%S", time.localtime(float(str(seconds))))
