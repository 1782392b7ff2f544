"""The command `index`: what an index across runs holds, and a run taken out of it."""

from argparse import Namespace

from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.shown import say
from gristmill.pipeline.recipe import STAGES


def index_command(a: Namespace) -> int:
    """Raises ConfigError for a folder that is no index, and for a run that it does not hold."""
    for line in load_object(f"{STAGES}.dedup.index.listed:index_lines")(str(a.index), a.remove):  # pyright: ignore
        say([line])
    return 0
