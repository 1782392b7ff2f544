"""A run from config to corpus: plan, say what will happen, refuse what must not, run the phases or queue them."""

import shutil
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path
from typing import cast

from gristmill.pipeline.books.seal import break_seal
from gristmill.pipeline.books.stopped import forget_stop
from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.loading import is_imported
from gristmill.pipeline.contract.shapes import Source
from gristmill.pipeline.contract.state import DamagedFile, write_json, write_text
from gristmill.pipeline.plan.config import Recipe, preflight
from gristmill.pipeline.plan.plan import Plan, load_plan, make_plan, placed
from gristmill.pipeline.queued import refuse_queued, submit
from gristmill.pipeline.run.engines.job import Engine, limit_threads
from gristmill.pipeline.run.engines.on_slurm import SlurmEngine
from gristmill.pipeline.run.exchange.memory import bytes_of, worker_memory
from gristmill.pipeline.run.forecast import Intent, intents
from gristmill.pipeline.run.objects.reached import look_again
from gristmill.pipeline.run.phases.rounds import forget_failed
from gristmill.pipeline.run.phases.sinking import forget_scattered
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.session import JOBS, locked
from gristmill.pipeline.run.store import Store, refuse_links
from gristmill.pipeline.run.view import RunView
from gristmill.pipeline.through import Papers, Passage, close

CONFIG_HEAD = "# The resolved config of this run"
CAUSES = 3  # named in a line of the plan


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
    parts, old = source.parts(), saved_plan(store)
    stages = placed(recipe.stages, parts, old)
    plan = make_plan(recipe.name, recipe.digest, stages, parts)
    own = store.root.resolve()
    for part in plan.parts:
        if "://" not in part.path and Path(part.path).resolve().is_relative_to(own):
            raise PlanError(f"input {part.path} lies inside the run folder {store.name}; choose another --out")
    notes = [note for stage in stages for note in stage.notes()]
    if old is None and (store.root / "plan.json").exists():
        notes.append(f"{store.name}/plan.json is damaged; it is made again, and what has a receipt is kept")
    if old is None and not is_own(store.root):
        raise PlanError(f"{store.name} is not empty and holds no Gristmill run; choose another --out or empty it")
    gone = [p for p in old.parts if p.key not in plan.part] if old else []
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
            f"{store.name} holds a run of config {situation.old.name!r}, this is {situation.plan.name!r}; "
            "choose another --out, or say --yes to convert it"
        )
    if situation.removed:
        are = "is" if len(situation.removed) == 1 else "are"
        shown = ", ".join(situation.removed[:5]) + (", ..." if len(situation.removed) > 5 else "")
        raise PlanError(
            f"{plural(len(situation.removed), 'input')} of this run {are} gone from the config ({shown}); "
            "put them back, choose another --out, or say --yes to take their documents out of the corpus"
        )


def describe(situation: Situation, until: str | None) -> list[str]:
    """Lines that say what will be done, redone and skipped, and why."""
    lines = [
        f"{plural(len(situation.plan.parts), 'part')}, {plural(len(situation.intents), 'step')}"
        + (f", until {until}" if until else "")
    ]
    named = dict.fromkeys(name for s in situation.plan.steps for name in s.stage.own_code if not is_imported(name))
    lines += [f"code  {name}: a run imports it; this plan does not know what it asks for" for name in named]
    lines += [f"code  {name}: a run imports it; this plan is without it" for name in situation.unseen]
    if situation.removed:
        lines.append(f"removed inputs: {', '.join(situation.removed)}")
    for intent in situation.intents:
        counts = ", ".join(f"{n} {what}" for what, n in _plain(intent).items() if n)
        what = f"{intent.verdict:5} {intent.step.name:22} {intent.step.kind:9} {counts}"
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
    papers: Papers,
) -> list[dict[str, object]]:
    """Runs everything that is not done, or queues it; returns the ledger's books, none where it was queued.

    Raises RunFailed when parts were quarantined, the reducer's own error when one failed, BooksError when they do
    not balance. The folder resumes from wherever this stops.
    """
    for stage in recipe.stages:
        stage.check_code()
    with locked(store.root) as token:
        look_again(store.root)
        view = RunView(store, situation.plan.until(until))
        prepare(recipe, situation, view)
        view.send(view.root / "config.yaml")  # by it a run knows its folder
        view.send()
        limit_threads(1)
        view.memory = memory_of(recipe, engine)
        if engine.queues and submit(view, cast(SlurmEngine, engine), recipe.engine, papers if until is None else None):
            return []
        view.session = token if getattr(engine, "remote", False) else ""
        passage = Passage(view, engine, progress, recipe.engine)
        for number in range(len(view.plan.phases)):
            passage.go(number)
        return close(view, papers if until is None else None)


def memory_of(recipe: Recipe, engine: Engine) -> int:
    """Bytes that a worker may take for sorting: of a cluster's task what is asked for, or half of what it reserves."""
    reserved = getattr(engine, "memory", None)
    if reserved is None:
        return worker_memory(recipe.engine, getattr(engine, "workers", 1))
    given = recipe.engine.get("memory")
    return reserved // 2 if given is None else bytes_of(given)


def prepare(recipe: Recipe, situation: Situation, store: Store) -> None:
    """Clears what a killed run left, forgets obsolete parts, saves plan and config."""
    from gristmill.pipeline.plan.config import to_yaml

    break_seal(store)
    forget_stop(store)
    (store.root / JOBS).unlink(missing_ok=True)
    shutil.rmtree(watch.folder(store.root), ignore_errors=True)
    store.remove_leftovers()
    forget_failed(store.root)
    store.receipts.merge()
    shutil.rmtree(store.root / "failures", ignore_errors=True)
    datasets = {s.name for p in (situation.plan, situation.old) if p for s in p.steps if s.kind != "reducer"}
    for key in [*situation.removed, *situation.resplit]:
        for dataset in [*datasets, "ingest.rejected", "ledger"]:
            store.remove(dataset, key)
        forget_scattered(store, key)
    head = f"{CONFIG_HEAD}; digest {recipe.digest}\n"
    write_text(store.root / "config.yaml", head + to_yaml(recipe.resolved))
    write_json(store.root / "plan.json", situation.plan.as_json())
