"""The commands `run` and `plan`: from a config to a run, or to what it would do."""

import argparse
import sys

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import make_importable
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.run.engines.local import LocalEngine, cores


def import_ahead() -> None:
    """All that a worker needs of a run without classes of the user's own."""
    from gristmill.pipeline import launch  # noqa: F401
    from gristmill.pipeline.recipe import standard

    standard()


def start(a: argparse.Namespace) -> int:
    """Plans and, unless it is dry, runs. Local workers of a new folder start first, and import beside this process."""
    if a.command == "run" and a.workers is not None and a.workers < 1:
        raise ConfigError(f"--workers {a.workers}: at least 1")
    dry = a.command == "plan" or a.dry_run
    if not dry:
        make_importable(a.config.parent)
    engine = None if dry or a.engine != "local" else LocalEngine(a.workers or cores())
    try:
        if engine is not None and a.config.is_file() and not (a.out / "plan.json").exists():
            engine.start_ahead("gristmill.pipeline.started:import_ahead")
        return planned(a, dry, engine)
    finally:
        if engine is not None:
            engine.close()


def planned(a: argparse.Namespace, dry: bool, engine: LocalEngine | None) -> int:
    from gristmill.pipeline.books.estimate import estimate_lines
    from gristmill.pipeline.books.notes import notes
    from gristmill.pipeline.books.summary import summary, write_papers
    from gristmill.pipeline.launch import describe, launch, refuse, survey
    from gristmill.pipeline.plan.config import override, read_config
    from gristmill.pipeline.recipe import make_recipe
    from gristmill.pipeline.run.engines.named import make_engine
    from gristmill.pipeline.run.exchange.memory import worker_memory
    from gristmill.pipeline.run.progress import make_progress
    from gristmill.pipeline.run.store import Store

    recipe = make_recipe(override(read_config(a.config), a.overrides), a.config.stem, code=not dry)
    if a.out.exists() and not a.out.is_dir():
        raise ConfigError(f"--out {a.out} is a file; name a folder")
    store = Store(a.out)
    if a.command == "run" and a.check and not dry:
        from gristmill.pipeline.run.recheck import forget_changed

        for name in forget_changed(store):
            say([f"{name} was changed or is gone; it is made again"], sys.stderr)
    situation = survey(recipe, store, a.until)
    for note in situation.notes:
        say(f"gristmill: {note}", sys.stderr)
    changed = situation.old is not None and any(i.why and i.verdict != "skip" for i in situation.intents)
    if dry or changed:
        lines = describe(situation, a.until)
        if dry:
            memory = worker_memory(recipe.engine, 1)
            lines += estimate_lines(situation.plan.until(a.until), situation.intents, store, cores(), memory)
        say(lines, sys.stdout if dry else sys.stderr)
    if dry:
        return 0
    refuse(situation, store, a.yes)
    running = engine or make_engine(a.engine, a.workers, recipe.engine)
    try:
        entries = launch(recipe, situation, store, running, a.until, make_progress(), write_papers)
    finally:
        running.close()
    for line in summary(store, situation.plan, entries, a.until):
        say([line])
    say([f"note       {note}" for note in notes(store, situation.plan)])
    return 0
