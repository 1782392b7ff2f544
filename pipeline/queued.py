"""A run as a chain of Slurm jobs: an array of ranks per phase, and behind each a turn, which says whether it goes on.

A turn does what the command does between two phases on any engine: it runs what the array left undone (a task that was
cancelled, killed or ran out of time), reviews the phase and goes through the phases of few units that follow. The last
turn writes books, card and report. Arrays are followed whatever became of them, for receipts say what is done; a turn
is followed only if it ended well, and Slurm then cancels what stands behind it.
"""

import os
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

from datatrove.pipeline.base import PipelineStep

from gristmill.pipeline.books.stopped import STOPPED, forget_stop, record_stop
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.errors import DataError, GristmillError, PlanError
from gristmill.pipeline.contract.loading import import_code
from gristmill.pipeline.contract.state import DamagedFile, read_state, unique, write_json
from gristmill.pipeline.plan.plan import Plan, load_plan
from gristmill.pipeline.run.engines.job import Job, Resources
from gristmill.pipeline.run.engines.local import LocalEngine
from gristmill.pipeline.run.engines.on_slurm import FILES, QueuedJob, SlurmEngine, look
from gristmill.pipeline.run.objects.found import folder_of
from gristmill.pipeline.run.objects.reached import look_again
from gristmill.pipeline.run.phases.work import Work
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.session import JOBS, NoSession, locked, may_work
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import work_of
from gristmill.pipeline.run.view import RunView
from gristmill.pipeline.through import (
    Papers,
    Passage,
    RunFailed,
    close,
    code_of,
    job_name,
    job_of,
    needs_of,
    place_of,
    settled,
)

SHOWN = 8
FEW = 4  # units that a turn runs itself: two more jobs to wait for cost more (docs/decisions/engines.md)
TURN_PATIENCE_S = 600.0  # for somebody who looks at the folder with ledger or verify meanwhile


class Turn(PipelineStep):
    """The phases `first` to `last` with the workers of one task; after the last phase, the end of the run."""

    name = "gristmill"
    type = "turn"

    def __init__(self, view: RunView, first: int, last: int, papers: Papers | None):
        super().__init__()
        self.root, self.steps = place_of(view), len(view.plan.steps)
        self.code, self.memory, self.session = code_of(view.plan), view.memory, view.session
        self.first, self.last, self.papers = first, last, papers

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[object]:  # pyright: ignore
        yield from data or ()  # pyright: ignore
        store = Store(folder_of(self.root))
        with locked(store.root, TURN_PATIENCE_S):
            if not may_work(store.root, self.session):
                raise NoSession(f"{store.name}: these jobs belong to an earlier command")
            try:
                look_again(store.root)
                self.go(self.opened(store))
            except RunFailed:  # of parts, or of a phase, which is written down
                raise
            except Exception as error:  # nobody sees it but `status`
                with suppress(OSError, GristmillError):  # the error itself is what matters
                    if not (store.root / STOPPED).exists():
                        record_stop(store, None, error)
                    store.send(store.root / STOPPED)
                raise

    def opened(self, store: Store) -> RunView:
        import_code(self.code)
        plan = load_plan(store.root / "plan.json")
        forget_stop(store)  # somebody's `gristmill ledger` meanwhile leaves a reason
        return RunView(store, Plan(plan.name, plan.config_digest, plan.steps[: self.steps], plan.parts))

    def go(self, view: RunView) -> None:
        engine = LocalEngine(int(os.environ.get("SLURM_CPUS_PER_TASK", "1")))
        view.memory = self.memory // engine.workers
        view.receipts.merge()  # of the array's ranks, which have ended
        passage = Passage(view, engine, Progress())
        try:
            for number in range(self.first, self.last + 1):
                passage.go(number)
        finally:
            engine.close()
        if self.last == len(view.plan.phases) - 1:
            close(view, self.papers)
        else:
            view.send()


@dataclass
class Link:
    """Of the chain: phases that a turn goes through; where there is an array, it runs the first of them before."""

    first: int
    last: int
    name: str
    needs: Resources
    array: Job | None


def submit(view: RunView, engine: SlurmEngine, settings: Mapping[str, object], papers: Papers | None) -> bool:
    """Queues all phases from the first that is not done; False when all are done. `papers`: of the last turn.

    Raises ConfigError with what Slurm says; whatever is raised, nothing is queued then.
    """
    phases = view.plan.phases
    first = next((n for n, phase in enumerate(phases) if not settled(work_of(view, phase))), None)
    if first is None:
        return False
    view.session = unique()
    jobs: list[dict[str, object]] = []

    def add(job: Job, name: str, after: str) -> str:
        jobs.append({"id": engine.add(job, name, after, view.name), "name": name, "tasks": len(job.ranks)})
        if view.mirror is not None:
            for path in (job.logs / file for file in FILES):
                view.mirror.bucket.send(view.mirror.name_of(path), path)
        write_json(view.root / JOBS, {"session": view.session, "jobs": jobs})
        view.send(view.root / JOBS)
        return str(jobs[-1]["id"])

    after = ""
    try:
        for link in chain(view, engine.most, settings, first):
            if link.array is not None:
                # Without the turn before, the array is cancelled, which is an end, too: its own turn waits for both.
                after = ",".join([*after.split(), f"afterany:{add(link.array, link.name, after)}"])
            logs = view.root / "logs" / f"{link.first:02d}-{link.name}-turn"
            turn = Job([Turn(view, link.first, link.last, papers)], 1, [0], logs, needs=link.needs)
            after = f"afterok:{add(turn, f'{link.name}-turn' if link.array else link.name, after)}"
        engine.release()
    except BaseException:
        engine.take_back()
        raise
    return True


def chain(view: RunView, most: int, settings: Mapping[str, object], first: int) -> list[Link]:
    """Phases of few units need no array; those of the same resources go into the turn before them."""
    links: list[Link] = []
    for number in range(first, len(view.plan.phases)):
        phase = view.plan.phases[number]
        work, needs = work_of(view, phase), needs_of(phase, settings)
        n, todo = ranks_of(work, number == first)
        if n <= FEW and links and links[-1].needs == needs:
            links[-1].last = number
            continue
        array = None if n <= FEW else job_of(work, number, n, todo, None, needs, most)
        links.append(Link(number, number, job_name(phase), needs, array))
    return links


def ranks_of(work: Work, known: bool) -> tuple[int, Sequence[int]]:
    """(units to share out among ranks, those that are to do). How many partitions or shards there will be is known only
    at run time."""
    if known:
        with suppress(DataError, FileNotFoundError):
            units, todo = work.units(), set(work.pending())
            return max(1, len(units)), [i for i, unit in enumerate(units) if unit in todo]
    n = work.queued()
    return n, range(n)


def refuse_queued(plan: Plan, store: Store) -> None:
    """Raises PlanError while jobs of an earlier command wait or work on this run."""
    waiting = [job for job in queue_of(store) if job.waits]
    view = RunView(store, plan)
    if not waiting or all(settled(work_of(view, phase)) for phase in plan.phases):
        return
    ids = ",".join(job.id for job in waiting)
    lines, are = "\n".join(f"  {job.said}" for job in waiting[:SHOWN]), "is" if len(waiting) == 1 else "are"
    raise PlanError(
        f"{plural(len(waiting), 'Slurm job')} of this run {are} queued or running:\n{lines}\n"
        f"gristmill status {store.name} tells how far it is. To start over: scancel {ids}"
    )


def queue_of(store: Store) -> list[QueuedJob]:
    """The jobs of the last command that queued some, as Slurm knows them. Where it cannot be asked: all as waiting, or
    none after the run's end."""
    try:
        jobs = read_state(store.root / JOBS, "jobs")["jobs"]
    except DamagedFile:
        return []
    found = look(jobs)
    if found is None:
        if any((store.root / name).exists() for name in ("ledger.json", STOPPED)):
            return []
        return [QueuedJob(str(j["id"]), str(j["name"]), {"UNKNOWN": int(j["tasks"])}) for j in jobs]
    return found
