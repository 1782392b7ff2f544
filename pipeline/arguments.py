"""Commands whose own modules are slow to import: their arguments, and what imports them when they are called."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from gristmill.pipeline.contract.loading import load_object


def late(command: str) -> Callable[[Namespace], int]:
    """The command "module:function" of gristmill.pipeline."""
    return lambda a: load_object(f"gristmill.pipeline.{command}")(a)  # pyright: ignore[reportReturnType]


def add_diff_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run_a", type=Path, help="a run folder: before")
    parser.add_argument("run_b", type=Path, help="a run folder: after")
    parser.add_argument("--json", action="store_true", help="the differences as JSON")


def add_push_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="the folder of a finished run")
    parser.add_argument("--to", required=True, metavar="USER/NAME", help="the dataset's repository")
    parser.add_argument("--dry-run", action="store_true", help="check the run and say what would be sent")
    parser.add_argument("--public", action="store_true", help="make a new repository public (default: private)")
