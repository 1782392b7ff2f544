"""Folders that commands are given, and commands whose own modules are slow to import: their arguments."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.run.objects.address import is_address


def find_folders(arguments: Namespace) -> None:
    """Puts in the place of addresses the folders that commands work in."""
    for name in ("out", "run", "run_a", "run_b"):
        if is_address(given := getattr(arguments, name, None)):
            from gristmill.pipeline.run.objects.reached import run_folder

            setattr(arguments, name, run_folder(str(given)))


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


def add_dedup_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("config", type=Path, help="YAML file")
    parser.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that replace the config's")
    parser.add_argument("--pairs", type=int, default=1000, help="planted pairs per similarity (default: 1000)")


def add_index_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("index", help="the folder that `dedup.index` names")
    parser.add_argument("--remove", metavar="RUN", help="take back what this run added (its name or id in the list)")


def add_thresholds_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument("--out", type=Path, required=True, help="the YAML file to write, for gates.languages_file")
    parser.add_argument("--min-docs", type=int, default=200, help="fewest documents of a language (default: 200)")
    parser.add_argument(
        "--tail", type=float, help="share of documents that each limit takes (default: as English's limits of English)"
    )


def add_contamination_arguments(parser: ArgumentParser) -> None:
    parser.add_argument("run", type=Path, help="a run folder")
    parser.add_argument(
        "benchmarks", nargs="+", metavar="FILE[:question=FIELD]",
        help="JSONL, JSON, Parquet or text; also :answer=FIELD, :passage=FIELD, :train=FILE (its words do not count)",
    )  # fmt: skip
    parser.add_argument("-n", type=int, default=10, help="documents to show of each benchmark (default: 10)")
