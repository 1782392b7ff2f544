"""A run from config to corpus: plan, say what will happen, run the phases, balance the books, write the papers."""

import shutil
from collections.abc import Callable, Iterable, Sequence
from contextlib import suppress
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import cast

from gristmill.pipeline.books.ledger import books
from gristmill.pipeline.books.seal import break_seal, write_seal
from gristmill.pipeline.books.stopped import forget_stop, record_stop
from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import DataError, GristmillError, PlanError
from gristmill.pipeline.contract.shapes import Source
from gristmill.pipeline.contract.state import DamagedFile, read_state, write_json, write_text
from gristmill.pipeline.plan.config import Recipe, preflight
from gristmill.pipeline.plan.identity import is_ours, reference_of
from gristmill.pipeline.plan.plan import Plan, load_plan, make_plan
from gristmill.pipeline.run.deaths import Deaths
from gristmill.pipeline.run.emptied import refuse_nothing
from gristmill.pipeline.run.exchange.memory import worker_memory
from gristmill.pipeline.run.executors import Engine, Job, job_for, limit_threads, no_word, waiting_jobs
from gristmill.pipeline.run.failures import failures, record_failure
from gristmill.pipeline.run.forecast import Intent, intents
from gristmill.pipeline.run.losses import review_source
from gristmill.pipeline.run.phases.sinking import SCATTER, Gather, forget_scattered
from gristmill.pipeline.run.phases.work import Work
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.shards import corpus_folder, remove_left_over
from gristmill.pipeline.run.store import Store, locked, refuse_links
from gristmill.pipeline.run.units import RunStep, work_of
from gristmill.pipeline.run.view import RunView

CONFIG_HEAD = "# The resolved config of this run"
CAUSES = 3  # named in a line of the plan
JOBS = "jobs.json"  # ids of the jobs that a queueing engine was given


class RunFailed(GristmillError):
    """Some parts failed; the rest of the run went on without them."""


@dataclass(frozen=True)
class Situation:
    """A plan beside what the run folder holds."""

    plan: Plan
    old: Plan | None
    intents: list[Intent]
    removed: list[str]  # part keys whose input is gone from the config
    unseen: tuple[str, ...]  # classes of the config's that were not imported
    resplit: list[str]  # part keys that only a different cutting of the same file has made obsolete
    notes: list[str]  # what the source leaves out


def survey(recipe: Recipe, store: Store, until: str | None) -> Situation:
    """Lists inputs, checks the steps and predicts the run. Raises for anything that must not be started."""
    refuse_links(store.root)
    preflight(recipe)
    source = cast(Source, recipe.stages[0])
    plan = make_plan(recipe.name, recipe.digest, recipe.stages, source.parts())
    own = store.root.resolve()
    for part in plan.parts:
        if "://" not in part.path and Path(part.path).resolve().is_relative_to(own):
            raise PlanError(f"input {part.path} lies inside the run folder {store.root}; choose another --out")
    old, notes = saved_plan(store), source.notes()
    if old is None and (store.root / "plan.json").exists():
        notes.append(f"{store.root}/plan.json is damaged; it is made again, and what has a receipt is kept")
    if old is None and not is_own(store.root):
        raise PlanError(f"{store.root} is not empty and holds no Gristmill run; choose another --out or empty it")
    keys = {p.key for p in plan.parts}
    gone = [p for p in old.parts if p.key not in keys] if old else []
    paths = {p.path for p in plan.parts}
    source.preview(plan.parts)
    plan.until(until)
    return Situation(
        plan,
        old,
        intents(plan.until(until), store, old),
        sorted(p.key for p in gone if p.path not in paths),
        recipe.unseen,
        sorted(p.key for p in gone if p.path in paths),
        notes,
    )


def saved_plan(store: Store) -> Plan | None:
    """The plan that a run left in its folder; None where it left none, or one that cannot be read."""
    path = store.root / "plan.json"
    try:
        return load_plan(path, past=True) if path.is_file() else None
    except DamagedFile:
        return None


def is_own(root: Path) -> bool:
    """Whether a folder is empty, absent, or a run's: it holds the lock that a run makes first, or its config."""
    if not root.is_dir():
        return True
    names = {p.name for p in root.iterdir() if not fnmatch(p.name, ".*.tmp-*")}
    if ".workers.lock" in names or not names - {".lock", "failures", "logs"}:
        return True
    try:
        with (root / "config.yaml").open("rb") as f:
            return f.read(len(CONFIG_HEAD)) == CONFIG_HEAD.encode()
    except OSError:
        return False


def refuse(situation: Situation, store: Store, confirmed: bool) -> None:
    """Raises PlanError for what only `--yes` may do: convert another config's run, forget removed inputs."""
    if confirmed:
        return
    refuse_queued(situation.plan, store)
    if situation.old is None:
        return
    if situation.old.name != situation.plan.name:
        raise PlanError(
            f"{store.root} holds a run of config {situation.old.name!r}, this is {situation.plan.name!r}; "
            "choose another --out, or say --yes to convert it"
        )
    if situation.removed:
        shown = ", ".join(situation.removed[:5]) + (", ..." if len(situation.removed) > 5 else "")
        raise PlanError(
            f"{len(situation.removed)} inputs of this run are gone from the config ({shown}); "
            "put them back, choose another --out, or say --yes to take their documents out of the corpus"
        )


def refuse_queued(plan: Plan, store: Store) -> None:
    """Raises PlanError while Slurm jobs of an earlier command wait or work on this run."""
    try:
        jobs = [str(job) for job in read_state(store.root / JOBS, "jobs")["jobs"]]
    except DamagedFile:
        return
    waiting = waiting_jobs(jobs)
    view = RunView(store, plan)
    if waiting and not all(settled(work_of(view, phase)) for phase in plan.phases):
        shown = ", ".join(waiting[:5]) + (", ..." if len(waiting) > 5 else "")
        raise PlanError(
            f"{len(waiting)} Slurm jobs of this run are queued or running ({shown}); gristmill status {store.root} "
            "tells how far it is. To start over, scancel them and say --yes"
        )


def describe(situation: Situation, until: str | None) -> list[str]:
    """Lines that say what will be done, redone and skipped, and why."""
    lines = [
        f"{len(situation.plan.parts)} parts, {len(situation.intents)} steps" + (f", until {until}" if until else "")
    ]
    lines += [f"code  {name}: a run imports it; this plan is without it" for name in situation.unseen]
    if situation.removed:
        lines.append(f"removed inputs: {', '.join(situation.removed)}")
    words = {"skip": "skip", "run": "run ", "maybe": "maybe"}
    for intent in situation.intents:
        counts = ", ".join(f"{n} {what}" for what, n in _plain(intent).items() if n)
        what = f"{words[intent.verdict]:5} {intent.step.name:22} {intent.step.kind:9} {counts}"
        lines.append(f"{what}{f'  ({reason_of(intent)})' if intent.why and intent.verdict != 'skip' else ''}".rstrip())
    return lines


def reason_of(intent: Intent) -> str:
    """Why a step runs; of one that may, what would have to change."""
    causes = intent.why.removeprefix("follows ").split(", ")
    if not intent.why.startswith("follows ") or intent.verdict != "maybe":
        return intent.why
    if causes == ["the rows"]:
        return "redone if other documents reach it"
    more = f" or {len(causes) - CAUSES} more" if len(causes) > CAUSES else ""
    return f"redone if what {', '.join(dict.fromkeys(causes[:CAUSES]))}{more} gives changes"


def _plain(intent: Intent) -> dict[str, int]:
    names = {"skip": "parts done", "new": "new", "changed": "to redo", "rows": "with other rows"}
    return {names[k]: v for k, v in intent.counts.items()}


def launch(
    recipe: Recipe,
    situation: Situation,
    store: Store,
    engine: Engine,
    until: str | None,
    progress: Progress,
    papers: Callable[[Store, Plan], None],
) -> list[dict[str, object]]:
    """Runs everything that is not done; returns the ledger's books.

    Raises RunFailed when parts were quarantined, the reducer's own error when one failed, BooksError when they do
    not balance. The folder resumes from wherever this stops.
    """
    for stage in recipe.stages:
        stage.check_code()
    with locked(store.root):
        plan = situation.plan
        prepare(recipe, situation, store)
        cut = plan.until(until)
        limit_threads(1)
        aside = 0
        view = RunView(store, cut)
        view.memory = worker_memory(recipe.engine, getattr(engine, "workers", 1))
        if engine.queues and submit(view, engine):
            return []
        for number, phase in enumerate(cut.phases):
            try:
                work = work_of(view, phase)
                run_phase(work, number, engine, progress)
                failed = failures(store)
                fatal = [f for f in failed if f["phase"] == phase.name and work.vital]
                if fatal:
                    raise failed_step(fatal[0])
                if len(failed) > aside:
                    aside = len(failed)
                    if aside >= len(plan.parts):
                        raise failed_step(failed[0])
                if phase.kind == "wave":
                    review_source(view, cut, phase)
                    refuse_nothing(view, cut, phase)
            except (GristmillError, OSError, KeyboardInterrupt) as error:
                with suppress(OSError):  # a full disk, say: the error itself is what matters
                    record_stop(store, phase, error)
                raise
        entries = books(view, cut)
        write_json(store.root / "ledger.json", entries)
        if until is None:
            finish_corpus(view)
            papers(view, cut)
        write_seal(view)
        failed = failures(store)
        if failed:
            lines = "\n".join(f"  {f['unit']}: {f['error']}: {f['message']}" for f in failed)
            raise RunFailed(
                f"{len(failed)} of {len(plan.parts)} parts failed and are not in the corpus; "
                f"run again to retry them:\n{lines}"
            )
        return entries


def failed_step(failure: dict[str, object]) -> GristmillError:
    error = RunFailed(f"{failure['phase']}: {failure['message']}")
    error.exit_status = int(failure["exit_status"])  # pyright: ignore
    return error


def prepare(recipe: Recipe, situation: Situation, store: Store) -> None:
    """Clears what a killed run left, forgets obsolete parts, saves plan and config."""
    from gristmill.pipeline.plan.config import to_yaml

    break_seal(store)
    forget_stop(store)
    (store.root / JOBS).unlink(missing_ok=True)
    shutil.rmtree(watch.folder(store.root), ignore_errors=True)
    store.remove_leftovers()
    shutil.rmtree(store.root / "failures", ignore_errors=True)
    datasets = {s.name for p in (situation.plan, situation.old) if p for s in p.steps if s.kind != "reducer"}
    for key in [*situation.removed, *situation.resplit]:
        for dataset in [*datasets, "ingest.rejected", "ledger"]:
            store.remove(dataset, key)
        forget_scattered(store, key)
    head = f"{CONFIG_HEAD}; digest {recipe.digest}\n"
    write_text(store.root / "config.yaml", head + to_yaml(recipe.resolved))
    write_json(store.root / "plan.json", situation.plan.as_json())


def run_phase(work: Work, number: int, engine: Engine, progress: Progress) -> None:
    view, phase = work.view, work.phase
    if work.passing and settled(work):
        return
    todo = work.pending()
    all_units = work.units()
    progress.start(phase, len(all_units), len(all_units) - len(todo), view, todo)
    if todo:
        places = {u: i for i, u in enumerate(all_units)}
        job = job_of(work, number, len(all_units), [places[u] for u in todo], Deaths(view, phase))
        given_up = engine.run(job, progress.tick)
        view.forget(phase, work.touched(todo))
        left = left_by(work, given_up, all_units, job.tasks)
        if len(left) > 1:
            # Which unit of a rank killed its worker is not known: each that is left gets a rank of its own.
            step = step_of(view, number, left)
            alone = Job(
                [step], len(left), range(len(left)), job.logs.with_name(f"{job.logs.name}-one-by-one"), job.died
            )
            given_up = engine.run(alone, progress.tick)
            view.forget(phase, work.touched(left))
            left = left_by(work, given_up, left, alone.tasks)
        for unit in left:
            died = GristmillError("its worker was killed three times (out of memory?)")
            record_failure(view, phase, unit, died)
        view.forget(phase, work.touched(left))
    work.tidy()
    progress.end()


def left_by(work: Work, ranks: list[int], among: Sequence[str], tasks: int) -> list[str]:
    """Units of the ranks that an engine has given up which are not done."""
    if not ranks:
        return []
    todo = set(work.pending())
    return [unit for rank in ranks for unit in among[rank::tasks] if unit in todo]


def job_of(work: Work, number: int, n_units: int, wanted: Iterable[int], died: Deaths | None = None) -> Job:
    step = step_of(work.view, number)
    logs = work.view.root / "logs" / f"{number:02d}-{work.phase.name.split('+')[0]}"
    return job_for([step], n_units, wanted, logs, died or no_word)


def step_of(view: RunView, number: int, only: Sequence[str] | None = None) -> RunStep:
    steps = view.plan.steps
    classes = {reference_of(type(s.stage)) for s in steps}
    code = tuple(sorted(c for c in classes if not is_ours(c)))
    return RunStep(str(view.root.absolute()), number, len(steps), only, code, view.memory)


def submit(view: RunView, engine: Engine) -> bool:
    """Queues all phases from the first that is not done, each behind the one before; False when all are done.

    How many shards there will be is known only when the mixture is, so the gathering ranks share them out at run time.
    """
    queued = False
    for number, phase in enumerate(view.plan.phases):
        work = work_of(view, phase)
        if queued or not settled(work):
            queued = True
            n = work.most()
            engine.run(job_of(work, number, n, range(n)), lambda: None)
            write_json(view.root / JOBS, {"jobs": getattr(engine, "jobs", [])})  # each at once: the next may fail
    return queued


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
    about = gather.steps[0].sink.finish(corpus_folder(view), wanted)
    remove_left_over(view, wanted, about)
    shutil.rmtree(view.root / SCATTER, ignore_errors=True)
