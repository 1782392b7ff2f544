"""Runs units of a phase: a part through a wave, a reducer, a slice of the sink. Skips by receipt, quarantines failures.

`RunStep` is a datatrove PipelineStep, so any datatrove executor can run it: rank r of w takes units[r::w] of the full,
frozen list, and what is done is decided by receipts, never by datatrove's completion markers (they are keyed by rank).
"""

import errno
import time
import traceback
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from datatrove.pipeline.base import PipelineStep
from loguru import logger

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.contract.loading import import_code
from gristmill.pipeline.contract.secrets import scrubbed
from gristmill.pipeline.plan.identity import CODE_VERSION
from gristmill.pipeline.plan.plan import Phase, Plan, load_plan
from gristmill.pipeline.run.failures import failure_path, quarantined, record_failure
from gristmill.pipeline.run.objects.found import folder_of
from gristmill.pipeline.run.objects.written import passed_on, written
from gristmill.pipeline.run.phases.exchange import Group, Merge, Return, Sort
from gristmill.pipeline.run.phases.fates import Fates
from gristmill.pipeline.run.phases.reduction import Join, Reductions, Take
from gristmill.pipeline.run.phases.rounds import Answer, Ask, go_on
from gristmill.pipeline.run.phases.sinking import Gather, Scatter
from gristmill.pipeline.run.phases.wave import Wave
from gristmill.pipeline.run.phases.work import Opened, Work
from gristmill.pipeline.run.session import NoSession, may_work, working
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import MEMORY, RunView

SEEN_S = 10.0  # for a new file to be seen on another node (NFS looks anew at a folder after some seconds)
ATTEMPTS = 2  # a part that fails is retried once in place; a killed worker's part is retried by the executor
KINDS: Mapping[str, type[Work]] = {
    "wave": Wave, "take": Take, "join": Join, "ask": Ask, "answer": Answer, "reducer": Reductions, "sort": Sort,
    "group": Group, "merge": Merge, "return": Return, "scatter": Scatter, "gather": Gather, "ledger": Fates,
}  # fmt: skip


def work_of(view: RunView, phase: Phase) -> Work:
    return KINDS[phase.kind](view, phase)


class RunStep(PipelineStep):
    """Carries a run folder and a phase's number, nothing heavy."""

    name = "gristmill"
    type = "phase"

    def __init__(
        self,
        root: str,
        phase: int,
        steps: int,
        only: Sequence[str] | None = None,
        code: tuple[str, ...] = (),
        memory: int = MEMORY,
        session: str = "",
    ):
        """`root`: the run folder, or the address of one in an object store for workers that the command does not
        start, whose nodes have mirrors of their own. `only`: these units, in the place of all that the phase has.
        `code`: classes outside this package that the config names; plan.json alone lets nothing be imported. `memory`:
        bytes that a rank may take for sorting. `session`: the token of the command, of workers that do not end with it
        (`session.working`)."""
        super().__init__()
        self.root, self.phase, self.steps, self.only, self.code = root, phase, steps, only, code
        self.memory, self.session, self.version = memory, session, CODE_VERSION

    def lacks(self) -> str | None:
        """What this process lacks to run the step on the driver's behalf; None where it has all."""
        root, until = folder_of(self.root), time.monotonic() + SEEN_S
        while self.session and not may_work(root, self.session):
            if time.monotonic() > until:
                return f"it does not see the run folder {self.root} that the driver sees; --out must be a shared one"
            time.sleep(0.2)
        if self.version != CODE_VERSION:
            return f"it has Gristmill {CODE_VERSION}, the driver {self.version}; install the same on all nodes"
        try:
            import_code(self.code)
        except ConfigError as error:
            return f"{error}; put it into a folder that all nodes share, or name it in engine.ray.runtime_env"
        return None

    def run(self, data: object = None, rank: int = 0, world_size: int = 1) -> Iterator[object]:  # pyright: ignore
        yield from data or ()  # pyright: ignore
        root = folder_of(self.root)
        root.mkdir(parents=True, exist_ok=True)
        with working(root, self.session):
            store = Store(root)
            if store.mirror is not None and self.session:  # other nodes have done the phases before
                store.mirror.look_once(f"{self.session} {self.phase}")
            self.go(store, rank, world_size)

    def go(self, store: Store, rank: int, world_size: int) -> None:
        import_code(self.code)
        held = held_for(store, self.phase, self.steps)
        work = held.work
        work.view.memory = self.memory
        work.view.receipts.look_again()  # of this rank's parts, a worker that died may have written some
        aside = quarantined(store)
        for unit in (work.units() if self.only is None else self.only)[rank::world_size]:
            if unit in aside:
                continue
            watch.begin_unit(store.root, unit, work.limit_s)
            try:
                with self.track_time("unit"):
                    guarded(work, unit, held.opened)
            finally:
                watch.end_unit()
                if store.mirror is not None:
                    self.send(work, unit)
                work.view.drop(work.touched([unit]))

    def send(self, work: Work, unit: str) -> None:
        """Puts what a unit has written into the object store, as long as the command holds the run."""
        if self.session and not may_work(work.view.root, self.session):
            raise NoSession(f"{work.view.name}: the command that this worker belongs to no longer holds the run")
        work.view.send(*written(work, unit))


@dataclass(frozen=True)
class Held:
    """What a process keeps from rank to rank of a phase: the plan, the receipts that it has read, opened models."""

    work: Work
    opened: Opened = field(default_factory=dict)


_held: dict[tuple[object, ...], Held] = {}


def held_for(store: Store, number: int, steps: int) -> Held:
    """Made once per process and phase. Each run writes plan.json anew, so nothing outlives the run it was read in; what
    rounds have opened outlives their phase."""
    path = store.root / "plan.json"
    written = path.stat() if path.is_file() else None
    key = (str(path), number, steps, written and (written.st_ino, written.st_mtime_ns))
    if key not in _held:
        before = [held for was, held in _held.items() if (was[0], was[3]) == (key[0], key[3])]
        _held.clear()
        plan = load_plan(path)
        plan = Plan(plan.name, plan.config_digest, plan.steps[:steps], plan.parts)
        phase = plan.phases[number]
        opened = next((held.opened for held in before if go_on(held.work.phase, phase)), {})
        _held[key] = Held(work_of(RunView(store, plan), phase), opened)
    return _held[key]


def guarded(work: Work, unit: str, opened: Opened) -> None:
    """Runs one unit; on failure retries, then writes failures/<unit>.json. A full disk ends the rank at once."""
    store, phase = work.view, work.phase
    failure = failure_path(store, phase, unit)
    for attempt in range(1, ATTEMPTS + 1):
        try:
            for path in passed_on(work) if store.mirror is not None else ():
                store.whole(path)
            work.compute(unit, opened)
            failure.unlink(missing_ok=True)
            return
        except Exception as error:  # the unit's boundary: recorded, reported, run exits non-zero
            if isinstance(error, OSError) and error.errno == errno.ENOSPC:
                error.add_note(f"no space left under {store.root}; free some and run the same command to resume")
                raise
            # A warning: into the rank's log, not on the console, where the failure is reported once at the end.
            said = scrubbed("".join(traceback.format_exception(error)))
            logger.warning(f"{phase.name} {unit}: attempt {attempt} of {ATTEMPTS}\n{said}")
            record_failure(store, phase, unit, error)
            if isinstance(error, GristmillError):  # a verdict on the data, the same at every attempt
                return
