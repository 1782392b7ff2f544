"""The command `dedup`: what a config's deduplication finds of planted near-duplicates, before a run."""

from argparse import Namespace

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.recipe import STAGES, make_recipe


def dedup_command(a: Namespace) -> int:
    """Raises ConfigError for a config without near-deduplication."""
    if a.pairs < 1:
        raise ConfigError(f"--pairs {a.pairs}: at least 1")
    recipe = make_recipe(override(read_config(a.config), a.overrides), a.config.stem, code=False)
    found = [s for s in recipe.stages if (s.name, s.kind) == ("dedup.minhash", "grouping")]
    if not found:
        raise ConfigError(f"{a.config}: dedup.minhash is off, so no near-duplicate is looked for")
    for line in load_object(f"{STAGES}.dedup.planted:planted_lines")(found[0], a.pairs):  # pyright: ignore
        say([line])
    return 0
