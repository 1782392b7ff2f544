"""The command line. Flags choose what to run, never what it computes; that is the config's."""

from __future__ import annotations

import argparse
import json
import sys
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.pipeline.arguments import (
    add_contamination_arguments,
    add_dedup_arguments,
    add_diff_arguments,
    add_index_arguments,
    add_push_arguments,
    add_thresholds_arguments,
    find_folders,
    late,
)
from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.contract.secrets import scrubbed
from gristmill.pipeline.contract.shown import say

if TYPE_CHECKING:
    from gristmill.pipeline.plan.plan import Plan
    from gristmill.pipeline.run.store import Store


def parser(whole: bool = True) -> argparse.ArgumentParser:
    """`whole`: with the arguments of `search`, whose module is slow to import."""
    top = argparse.ArgumentParser(
        prog="gristmill", description="From crawl shards to a corpus with a searched mixture."
    )
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")

    def command(name: str, text: str) -> argparse.ArgumentParser:
        return commands.add_parser(name, help=text, description=text)

    for name, text in (("run", "run a config (resumes)"), ("plan", "say what a run would do, and why")):
        c = command(name, text)
        c.add_argument("config", type=Path, help="YAML file")
        c.add_argument("overrides", nargs="*", metavar="section.key=value", help="settings that replace the config's")
        c.add_argument("--out", type=Path, required=True, help="the run folder, or s3://bucket/folder")
        c.add_argument(
            "--until", metavar="STAGE", help="stop after this stage, with its books (default: go to the corpus)"
        )
        if name == "run":
            c.add_argument(
                "--workers",
                type=int,
                default=None,
                help="processes (default: the cores this process may use; on a cluster what it gives)",
            )
            c.add_argument(
                "--engine",
                default="local",
                choices=["local", "ray", "slurm"],
                help="local (default): processes of this machine; ray, slurm: a cluster (engine.ray, engine.slurm)",
            )
            c.add_argument("--dry-run", action="store_true", help="the same as `plan`")
            c.add_argument(
                "--check",
                action="store_true",
                help="first digest every file of the run folder; make changed ones again",
            )
            c.add_argument("--yes", action="store_true", help="go on where a run would lose earlier work or inputs")
    c = command("status", "whether a run goes on, stopped, failed or is finished, since when, and how long still")
    c.add_argument("run", type=Path, help="a run folder")
    c.add_argument("--steps", action="store_true", help="a line for every step")
    for name, text in (("verify", "recount everything from the files"), ("report", "write report.html again")):
        command(name, text).add_argument("run", type=Path, help="a run folder")
    c = command("ledger", "documents, bytes and tokens in, out and dropped, by stage and rule")
    c.add_argument("run", type=Path, help="a run folder")
    c.add_argument("--json", action="store_true", help="the books as JSON")
    c = command("inspect", "documents that a stage dropped, by rule, with the value that broke it and the text")
    c.add_argument("run", type=Path, help="a run folder")
    c.add_argument("stage", help="a stage or step, as `gristmill ledger` names it: gates, dedup.minhash, signals")
    c.add_argument("--rule", help="only documents dropped by this rule")
    c.add_argument("-n", type=int, default=10, help="how many documents (default: 10)")
    c.add_argument("--what-if", nargs="+", metavar="LIMIT=VALUE", help="what other limits of its gate would change")
    c = command("explain", "what became of one document and why, then its whole way")
    c.add_argument("run", type=Path, help="a run folder")
    c.add_argument("document", help="doc_id or URL")
    add_dedup_arguments(command("dedup", "planted near-duplicates through a config's deduplication, and the theory"))
    add_index_arguments(command("index", "what an index across runs holds, and a run taken out of it"))
    c = command("diff", "what changed from one run to another, and by which rule documents left or came")
    add_diff_arguments(c)
    add_push_arguments(command("push", "send a finished run's corpus to the Hugging Face hub"))
    add_thresholds_arguments(command("thresholds", "limits and stop words per language, from a run's documents"))
    add_contamination_arguments(command("contamination", "benchmark items that stand in a run's corpus"))
    c = command("train", "train a fastText classifier (toxicity, adult, quality) from labelled texts")
    if whole:
        from gristmill.pipeline.recipe import train_command

        train_command("add_arguments")(c)
    c = command("search", "search a mixture from finished proxy runs")
    if whole:
        from gristmill.pipeline.recipe import search_arguments

        search_arguments()(c)
    c = command("sample-data", "write WARC shards made of the texts of this Python installation")
    c.add_argument("out", type=Path, help="the folder to write")
    return top


def parsed(given: list[str]) -> argparse.Namespace:
    """Settings may also stand behind options, where argparse no longer expects them."""
    commands = parser(whole=given[:1] in (["search"], ["train"]))
    arguments, left = commands.parse_known_args(given)
    takes_settings = hasattr(arguments, "overrides")
    if wrong := [word for word in left if not takes_settings or word.startswith("-") or "=" not in word]:
        commands.error(f"unrecognized arguments: {' '.join(wrong)}")
    if takes_settings:
        arguments.overrides = [*arguments.overrides, *left]
    return arguments


def main(argv: list[str] | None = None) -> int:
    """Exit status: 0 done and balanced, 1 parts failed or books do not balance, 2 usage or config, 130 interrupted."""
    arguments = parsed(sys.argv[1:] if argv is None else argv)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):  # a terminal of ASCII only: shown as \\u2019, not an error at the end
            stream.reconfigure(errors="backslashreplace")
    try:
        find_folders(arguments)
        return COMMANDS[arguments.command](arguments)
    except GristmillError as error:
        notes = "".join(f"\n  {n}" for n in getattr(error, "__notes__", ()))
        say(f"gristmill: {scrubbed(f'{error}{notes}')}", sys.stderr)
        return error.exit_status
    except BrokenPipeError:  # the reader of our output (head, say) has enough
        return 0
    except OSError as error:
        say(f"gristmill: {scrubbed(str(error))}", sys.stderr)
        return 1
    except KeyboardInterrupt:
        say("gristmill: interrupted; the same command goes on from here", sys.stderr)
        return 130
    except Exception as error:  # the last boundary: one line, and the whole story in a file
        from gristmill.pipeline.run.failures import write_trace

        place = write_trace(getattr(arguments, "out", None) or getattr(arguments, "run", None))
        what = " ".join(str(error).split())[:200]
        say(
            f"gristmill: {type(error).__name__}: {scrubbed(what)}; this is a fault of Gristmill, see {place}",
            sys.stderr,
        )
        return 1


def run(a: argparse.Namespace) -> int:
    from gristmill.pipeline.started import start

    return start(a)


def opened(folder: Path, settle: bool = False) -> tuple[Store, Plan]:
    """`settle`: a run that did not come to its end is cut to what it has done, and stderr says where it stopped."""
    from gristmill.pipeline.books.stopped import headline, settled
    from gristmill.pipeline.plan.plan import load_plan
    from gristmill.pipeline.run.store import Store
    from gristmill.pipeline.run.view import RunView

    store = Store(folder)
    if not folder.is_dir():
        raise ConfigError(f"no run folder {store.name}")
    store = RunView(store, plan := load_plan(folder / "plan.json"))
    if settle:
        plan = settled(store, plan)
        if lines := list(headline(store)):
            say(lines, sys.stderr)
    return store, plan


def status(a: argparse.Namespace) -> int:
    from gristmill.pipeline.books.status import status_lines

    store, plan = opened(a.run)
    lines, complete = status_lines(store, plan, a.steps)
    say(lines)
    return 0 if complete else 1


def ledger(a: argparse.Namespace) -> int:
    from gristmill.pipeline.books.ledger import read_books
    from gristmill.pipeline.books.sources import funnel_lines, funnels
    from gristmill.pipeline.books.summary import ledger_lines

    store, plan = opened(a.run, settle=True)
    entries = read_books(store)
    lines = [] if a.json else [*ledger_lines(entries), *funnel_lines(funnels(store, plan))]
    say(json.dumps(entries, indent=1) if a.json else lines)
    return 0


def inspect(a: argparse.Namespace) -> int:
    from gristmill.pipeline.books.document.dropped import inspect as look
    from gristmill.pipeline.books.document.what_if import what_if

    if a.n < 1:
        raise ConfigError(f"-n {a.n}: at least 1")
    if a.what_if:
        say(what_if(*opened(a.run, settle=True), a.stage, a.what_if))
        return 0
    say(look(*opened(a.run, settle=True), a.stage, a.rule, a.n))
    return 0


def explain(a: argparse.Namespace) -> int:
    from gristmill.pipeline.books.document.explain import explain as way

    say(way(*opened(a.run, settle=True), a.document))
    return 0


def verify(a: argparse.Namespace) -> int:
    from gristmill.pipeline.books.verify import verify as recount

    say(recount(*opened(a.run, settle=True)))
    return 0


def report(a: argparse.Namespace) -> int:
    from gristmill.pipeline.books.seal import reseal
    from gristmill.pipeline.report.page import write_report

    store, plan = opened(a.run, settle=True)
    write_report(store, plan)
    reseal(store, store.root / "report.html")
    say(f"{store.name}/report.html")
    return 0


def sample_data(a: argparse.Namespace) -> int:
    from gristmill.pipeline.demo.shards import write_sample_data

    if a.out.exists() and not a.out.is_dir():
        raise ConfigError(f"{a.out} is a file; name a folder")
    made = write_sample_data(a.out)
    size = f"{made.html_bytes / 1e6:.1f} MB"
    say(f"{made.pages:,} pages ({size}) of {made.distributions} distributions in {len(made.shards)} shards in {a.out}")
    return 0


def thresholds(a: argparse.Namespace) -> int:
    from gristmill.pipeline.contract.state import write_text
    from gristmill.pipeline.recipe import language_statistics

    if a.min_docs < 1:
        raise ConfigError(f"--min-docs {a.min_docs}: at least 1")
    if a.out.is_dir():
        raise ConfigError(f"--out {a.out} is a folder; name a file")
    text, said = language_statistics(*opened(a.run), a.min_docs, a.tail)
    write_text(a.out, text)
    say([*said, str(a.out)])
    return 0


def contamination_command(a: argparse.Namespace) -> int:
    from gristmill.pipeline.recipe import contamination as look

    if a.n < 0:
        raise ConfigError(f"-n {a.n}: at least 0")
    say(look(*opened(a.run), a.benchmarks, a.n))
    return 0


def search(a: argparse.Namespace) -> int:
    from gristmill.pipeline.recipe import search_command

    return search_command()(a)


def train(a: argparse.Namespace) -> int:
    from gristmill.pipeline.recipe import train_command

    return train_command("train_command")(a)


COMMANDS = {
    "run": run,
    "plan": run,
    "status": status,
    "ledger": ledger,
    "inspect": inspect,
    "explain": explain,
    "verify": verify,
    "dedup": late("planted:dedup_command"),
    "index": late("indexed:index_command"),
    "diff": late("compare.command:diff_command"),
    "push": late("push:push_command"),
    "report": report,
    "contamination": contamination_command,
    "search": search,
    "train": train,
    "thresholds": thresholds,
    "sample-data": sample_data,
}

if __name__ == "__main__":
    sys.exit(main())
