"""Folders that commands are given, and commands whose own modules are slow to import: their arguments."""

import re
from argparse import ArgumentParser, Namespace
from collections.abc import Callable
from pathlib import Path

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object

_URL = re.compile(r"([a-z][a-z0-9+.\-]+):/+(.+)")  # also as Path shortens it: s3:/bucket/run


def run_folder(given: str | Path) -> Path:
    """Raises ConfigError for a URL: a run's files are locked, renamed and read at offsets."""
    if found := _URL.fullmatch(str(given)):
        url = f"{found[1]}://{found[2]}"
        raise ConfigError(
            f"{url}: a run folder is a local one, or one that all nodes share, and no object store; run into such a "
            f"folder, then send the corpus on (aws s3 sync RUN/corpus {url}, gristmill push). Inputs may be URLs"
        )
    return Path(given)


def check_folders(arguments: Namespace) -> None:
    for name in ("out", "run", "run_a", "run_b"):
        if (given := getattr(arguments, name, None)) is not None:
            run_folder(given)


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
