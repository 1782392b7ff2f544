"""A run's way through its phases, and its end: what stands between the workers and the books.

The same for every engine: a command that stays goes this way itself, jobs of a queue go it piece by piece (queued.py).
"""

import shutil
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field

from gristmill.pipeline.books.ledger import books
from gristmill.pipeline.books.seal import write_seal
from gristmill.pipeline.books.stopped import STOPPED, record_stop
from gristmill.pipeline.books.sums import sums_of
from gristmill.pipeline.contract.errors import DataError, GristmillError
from gristmill.pipeline.contract.state import write_json
from gristmill.pipeline.plan.identity import is_ours, reference_of
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.run.deaths import Deaths
from gristmill.pipeline.run.emptied import refuse_nothing
from gristmill.pipeline.run.engines.job import MOST_TASKS, Engine, Job, Resources, no_word, resources_of
from gristmill.pipeline.run.failures import failures, record_failure
from gristmill.pipeline.run.losses import review_source
from gristmill.pipeline.run.phases.sinking import SCATTER, Gather
from gristmill.pipeline.run.phases.work import Work
from gristmill.pipeline.run.progress import NOW, Progress
from gristmill.pipeline.run.shards import corpus_folder, remove_left_over
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import RunStep, work_of
from gristmill.pipeline.run.view import RunView

Papers = Callable[[Store, Plan], None]


class RunFailed(GristmillError):
    """Some parts failed; the rest of the run went on without them."""


@dataclass(frozen=True)
class Passage:
    """Phases of a run on an engine. `settings`: the config's section `engine`."""

    view: RunView
    engine: Engine
    progress: Progress
    settings: Mapping[str, object] = field(default_factory=dict)

    def go(self, number: int) -> None:
        """One phase; raises where the run cannot go on after it, and writes down why."""
        view, phase = self.view, self.view.plan.phases[number]
        try:
            work = work_of(view, phase)
            self._run(work, number)
            failed = failures(view)
            fatal = [f for f in failed if f["phase"] == phase.name and work.vital]
            if fatal:
                raise failed_step(fatal[0])
            if failed and len(failed) >= len(view.plan.parts):
                raise failed_step(failed[0])
            if phase.kind == "wave":
                review_source(view, view.plan, phase)
                refuse_nothing(view, view.plan, phase)
        except (GristmillError, OSError, KeyboardInterrupt) as error:
            with suppress(OSError, GristmillError):  # a full disk, say: the error itself is what matters
                record_stop(view, phase, error)
                # No more than that: workers may still be writing.
                view.send(view.root / STOPPED, view.root / "failures")
            raise

    def _run(self, work: Work, number: int) -> None:
        view, phase = work.view, work.phase
        if work.passing and settled(work):
            return
        todo = work.pending()
        all_units = work.units()
        self.progress.start(phase, len(all_units), len(all_units) - len(todo), view)
        if todo:
            view.send(view.root / NOW)
            places = {u: i for i, u in enumerate(all_units)}
            needs = needs_of(phase, self.settings)
            job = job_of(work, number, len(all_units), [places[u] for u in todo], Deaths(view, phase), needs)
            given_up = self.engine.run(job, self.progress.tick)
            self._hear()
            view.forget(phase, work.touched(todo))
            left = left_by(work, given_up, all_units, job.tasks)
            if len(left) > 1:
                # Which unit of a rank killed its worker is not known: each that is left gets a rank of its own.
                logs = job.logs.with_name(f"{job.logs.name}-one-by-one")
                alone = Job([step_of(view, number, left)], len(left), range(len(left)), logs, job.died, needs)
                given_up = self.engine.run(alone, self.progress.tick)
                self._hear()
                view.forget(phase, work.touched(left))
                left = left_by(work, given_up, left, alone.tasks)
            for unit in left:
                died = GristmillError("its worker was killed three times (out of memory?)")
                record_failure(view, phase, unit, died)
            view.forget(phase, work.touched(left))
        work.tidy()
        self.progress.end()
        if todo:
            view.receipts.merge()  # no worker writes between two phases
            view.send()

    def _hear(self) -> None:
        """What workers of other nodes have put into an object store."""
        if self.view.mirror is not None and self.view.session:
            with self.view.mirror.locked():
                self.view.mirror.look(alone=False)


def close(view: RunView, papers: Papers | None) -> list[dict[str, object]]:
    """Balances the books, finishes the corpus and writes its papers (None: the run ends before the corpus).

    Raises RunFailed where some parts failed.
    """
    entries = books(view, view.plan, sums_of(view, view.plan))
    write_json(view.root / "ledger.json", entries)
    if papers is not None:
        finish_corpus(view)
        papers(view, view.plan)
    view.receipts.merge()
    write_seal(view)
    view.send()
    failed = failures(view)
    if failed:
        lines = "\n".join(f"  {f['unit']}: {f['error']}: {f['message']}" for f in failed)
        n = f"{len(failed)} of {len(view.plan.parts)} parts"
        raise RunFailed(f"{n} failed and are not in the corpus; run again to retry them:\n{lines}")
    return entries


def failed_step(failure: dict[str, object]) -> GristmillError:
    phase, unit = str(failure["phase"]), str(failure["unit"])
    message, steps = str(failure["message"]), phase.split("+")
    named = message.partition(": ")[0] in steps  # the stage has said who it is
    error = RunFailed(message if named else f"{unit if unit in steps else phase}: {message}")
    error.exit_status = int(failure["exit_status"])  # pyright: ignore
    return error


def left_by(work: Work, ranks: list[int], among: Sequence[str], tasks: int) -> list[str]:
    """Units of the ranks that an engine has given up which are not done."""
    if not ranks:
        return []
    todo = set(work.pending())
    return [unit for rank in ranks for unit in among[rank::tasks] if unit in todo]


def needs_of(phase: Phase, settings: Mapping[str, object]) -> Resources:
    return resources_of(settings, [name for step in phase.steps for name in (step.name, step.label)])


def job_of(
    work: Work, number: int, n_units: int, wanted: Iterable[int], died: Deaths | None, needs: Resources,
    most: int = MOST_TASKS,
) -> Job:  # fmt: skip
    logs = work.view.root / "logs" / f"{number:02d}-{job_name(work.phase)}"
    tasks = max(
        1, min(n_units, most, work.widest or most)
    )  # one unit per rank until there are `most` ranks, then several
    return Job([step_of(work.view, number)], tasks, sorted({i % tasks for i in wanted}), logs, died or no_word, needs)


def job_name(phase: Phase) -> str:
    first = phase.name.split("+")[0]
    return first if phase.kind in ("wave", "reducer", "ledger") else f"{first}-{phase.kind}"


def step_of(view: RunView, number: int, only: Sequence[str] | None = None) -> RunStep:
    steps = len(view.plan.steps)
    return RunStep(place_of(view), number, steps, only, code_of(view.plan), view.memory, view.session)


def place_of(view: RunView) -> str:
    """By which a worker finds the run. One that the command does not start may be on another node, which has a mirror
    of its own."""
    return view.name if view.mirror is not None and view.session else str(view.root.absolute())


def code_of(plan: Plan) -> tuple[str, ...]:
    """Code of the user's own that a plan names: plan.json alone lets nothing be imported."""
    names = {name for s in plan.steps for name in (reference_of(type(s.stage)), *s.stage.own_code)}
    return tuple(sorted(name for name in names if not is_ours(name)))


def settled(work: Work) -> bool:
    try:
        return work.settled()
    except (DataError, FileNotFoundError):  # something before it is not done
        return False


def finish_corpus(view: RunView) -> None:
    """Writes the sink's files about all shards, removes those of an earlier numbering and the intermediate files.

    Raises PlanError for a file among the shards that no run wrote.
    """
    gather = next(p for p in view.plan.phases if p.kind == "gather")
    wanted = Gather(view, gather).units()
    about = gather.steps[0].sink.finish(view.whole(corpus_folder(view)), wanted)
    remove_left_over(view, wanted, about)
    shutil.rmtree(view.root / SCATTER, ignore_errors=True)
