"""Where a whole run's time goes, phase by phase, with one worker and with two.

    PYTHONPATH=.src python benchmarks/job/phases.py 50000 [--pages] [--workers 1 2] [--folder DIR] [KEY=VALUE ...]

The documents and the recipe are those of row_local.py --whole; with `--pages` they are web pages in WARC files, under
configs/commoncrawl.yaml. Of each phase: wall time, CPU time of the command's own
process and of its workers together, and the path: the command's CPU time and that of the busiest worker, which is what
the phase would last on a machine of its own. `beside` is what stands between two phases, `end` the books, card and
report. The last line is how many times as fast the run is with the last number of workers as with the first.
"""

import argparse
import json
import tempfile
import time
from collections import defaultdict
from dataclasses import dataclass, field
from functools import partial
from html import escape
from pathlib import Path

import psutil
from row_local import write_documents

from gristmill.pipeline.books.summary import write_papers
from gristmill.pipeline.demo.pages import Page
from gristmill.pipeline.demo.shards import Http, response_of
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.engines.local import LocalEngine
from gristmill.pipeline.run.progress import Progress
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import RunView

COMMONCRAWL = Path(__file__).parents[2] / "configs" / "commoncrawl.yaml"


@dataclass
class Cost:
    wall_s: float = 0.0
    own_s: float = 0.0
    workers_s: float = 0.0
    path_s: float = 0.0


@dataclass
class Clock:
    """CPU times of this process and of its children, read again and again."""

    at: float = field(default_factory=time.monotonic)
    own: float = field(default_factory=time.process_time)
    children: dict[int, float] = field(default_factory=dict)

    def since(self) -> Cost:
        """From the last call, or the beginning."""
        at, own = time.monotonic(), time.process_time()
        children = {}
        for child in psutil.Process().children(recursive=True):
            try:
                times = child.cpu_times()
            except psutil.Error:
                continue
            children[child.pid] = times.user + times.system
        spent = [seconds - self.children.get(pid, 0.0) for pid, seconds in children.items()]
        cost = Cost(at - self.at, own - self.own, sum(spent), own - self.own + max(spent, default=0.0))
        self.at, self.own, self.children = at, own, children
        return cost


class Timed(Progress):
    def __init__(self) -> None:
        super().__init__()
        self.clock, self.costs = Clock(), defaultdict(Cost)
        self.now = "beside"

    def book(self, name: str) -> None:
        cost, sum_ = self.clock.since(), self.costs[name]
        sum_.wall_s += cost.wall_s
        sum_.own_s += cost.own_s
        sum_.workers_s += cost.workers_s
        sum_.path_s += cost.path_s

    def start(self, phase: Phase, total: int, done: int, store: RunView) -> None:
        self.book("beside")
        super().start(phase, total, done, store)

    def end(self) -> None:
        phase = self.phase
        super().end()
        if phase is not None:
            self.book(f"{phase.name} ({phase.kind})" if phase.kind not in ("wave", "reducer") else phase.name)

    def say(self, line: str) -> None:
        return


def write_pages(folder: Path, documents: int) -> None:
    """The same documents as web pages in WARC files."""
    with tempfile.TemporaryDirectory(dir=folder.parent) as name:
        made = Path(name, "in")
        made.mkdir()
        write_documents(made, documents, True)
        for path in sorted(made.glob("*.jsonl")):
            with path.open(encoding="utf-8") as lines, (folder / f"{path.stem}.warc.gz").open("wb") as out:
                for line in lines:
                    row = json.loads(line)
                    host, address = row["url"].removeprefix("https://").split("/")
                    paragraphs = "\n".join(f"<p>{escape(p)}</p>" for p in row["text"].split("\n\n"))
                    page = Page("made", host, f"/{address}", f"Page {address}", paragraphs, host)
                    out.write(response_of(page, Http())[0])
            path.unlink()


def measured(config: Path, out: Path, workers: int, settings: list[str]) -> dict[str, Cost]:
    recipe = make_recipe(override(read_config(config), settings), config.stem)
    store, progress, engine = Store(out), Timed(), LocalEngine(workers)
    try:
        launch(recipe, survey(recipe, store, None), store, engine, None, progress, write_papers)
        progress.book("end")
    finally:
        engine.close()
    return progress.costs


def shown(workers: int, costs: dict[str, Cost]) -> None:
    print(f"{workers} workers{'':31}{'wall s':>9}{'own CPU':>9}{'workers':>9}{'path':>9}")
    total = Cost()
    for name, cost in costs.items():
        print(f"{name[:40]:40}{cost.wall_s:9.2f}{cost.own_s:9.2f}{cost.workers_s:9.2f}{cost.path_s:9.2f}")
        total = Cost(*(getattr(total, f) + getattr(cost, f) for f in ("wall_s", "own_s", "workers_s", "path_s")))
    print(f"{'all':40}{total.wall_s:9.2f}{total.own_s:9.2f}{total.workers_s:9.2f}{total.path_s:9.2f}", flush=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int)
    parser.add_argument("--pages", action="store_true")
    parser.add_argument("settings", nargs="*", help="KEY=VALUE of the config")
    parser.add_argument("--workers", type=int, nargs="+", default=[1, 2])
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "in").mkdir()
        write = write_pages if arguments.pages else partial(write_documents, shuffled=True)
        write(folder / "in", arguments.documents)
        config = folder / "config.yaml"
        config.write_text("name: phases\n" if not arguments.pages else COMMONCRAWL.read_text(encoding="utf-8"))
        arguments.settings.append(f"input.paths={folder}/in/*")
        runs = [measured(config, folder / f"out{n}", n, arguments.settings) for n in arguments.workers]
        for workers, costs in zip(arguments.workers, runs, strict=True):
            shown(workers, costs)
        walls, paths = ([sum(getattr(c, f) for c in costs.values()) for costs in runs] for f in ("wall_s", "path_s"))
        print(f"{walls[0] / walls[-1]:.2f} times as fast by wall time, {paths[0] / paths[-1]:.2f} by the path")


if __name__ == "__main__":
    main()
