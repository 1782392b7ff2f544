"""Arguments of commands whose own modules are slow to import."""

from argparse import ArgumentParser
from pathlib import Path


def add_diff_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run_a", type=Path, help="a run folder: before")
    parser.add_argument("run_b", type=Path, help="a run folder: after")
    parser.add_argument("--json", action="store_true")
