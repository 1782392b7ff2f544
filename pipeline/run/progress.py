"""What a run shows while it works: live bars on a terminal, plain lines elsewhere. Reads receipts, asks no worker.

A step's speed is documents over the seconds that its receipts say it took, so it is the step's own, per worker. What
the run is at stands in logs/progress.json as well, for `gristmill status`.
"""

import sys
import time
from collections.abc import Sequence
from contextlib import suppress

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.drawing.tables import duration
from gristmill.pipeline.contract.shown import say, shown
from gristmill.pipeline.contract.state import write_json
from gristmill.pipeline.plan.plan import INTERIM, Phase
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.receipts.logs import Appended
from gristmill.pipeline.run.view import RunView

POLL_S = 0.5
SAY_S = 10.0  # between two lines on a phase that lasts
LONG_S = 3.0  # a wave of that length says which of its steps took the time
SLOW_STEPS = 3
NAMES_CHARS = 56
NOW = "logs/progress.json"


class Progress:
    """Plain lines: one when a phase ends, and one per SAY_S while it lasts."""

    def __init__(self) -> None:
        self.began = time.time()
        self.phase: Phase | None = None
        self.looked = 0.0
        self.said = 0.0

    def start(self, phase: Phase, total: int, done: int, store: RunView) -> None:
        self.phase, self.total, self.already, self.store = phase, total, done, store
        self.started = self.said = time.monotonic()
        self.wall = time.time()
        self.todo = total - done
        # Step -> part -> documents in and out, seconds of its receipt
        self.counted: dict[str, dict[str, tuple[int, int, float]]] = {step.name: {} for step in self.steps()}
        self.written = {step.name: Appended(store.root / step.name) for step in self.steps()} if self.todo else {}
        phases = store.plan.phases
        self.number, numbers = phases.index(phase), numbers_of(phases)
        last = str(numbers[-1])
        self.place = f"{numbers[self.number]:{len(last)}}/{last}"
        if self.todo:
            with suppress(OSError):  # a full disk: the run will say so itself
                self.write_down()
        self.opened()

    def write_down(self) -> None:
        """What the run is at, with the times since when, in seconds since 1970."""
        assert self.phase is not None
        now = {
            "began": self.began, "phase_began": self.wall, "phase": self.names(), "place": self.place.strip(),
            "number": self.number, "total": self.total, "already": self.already,
        }  # fmt: skip
        path = self.store.root / NOW
        path.parent.mkdir(exist_ok=True)
        write_json(path, now)

    def names(self) -> str:
        """The steps of the phase, without saying a step and its gate twice."""
        assert self.phase is not None
        if not self.steps():
            name, kind, number = self.phase.name.replace("+", ", "), self.phase.kind, self.phase.number
            what = f"round {number + 1}, {self.total} runs" if kind == "answer" else kind
            return name if kind in ("reducer", "ledger") else f"{name} ({what})"
        names = ", ".join(dict.fromkeys(s.name.removesuffix(".gate") for s in self.steps()))
        return names if len(names) <= NAMES_CHARS else names[: NAMES_CHARS - 4].rpartition(",")[0] + ", ..."

    def tick(self) -> None:
        now = time.monotonic()
        if now - self.looked < POLL_S or self.phase is None or not self.todo:
            return
        self.looked = now
        self.look()
        self.show()

    def end(self) -> None:
        if self.phase is not None and self.todo:
            self.look()
            self.closed()
        self.phase = None

    def look(self) -> None:
        """Counts receipts written since the phase began."""
        for name, appended in self.written.items():
            self.counted[name].update((key, (r.docs_in, r.docs_out, r.seconds)) for key, r in appended.since())

    def steps(self) -> Sequence[Step]:
        return self.phase.steps if self.phase is not None and self.phase.kind == "wave" else ()

    def counts(self, step: Step) -> tuple[int, int, int, float]:
        """(parts, documents in, documents out, seconds of workers) of a step so far in this phase."""
        seen = self.counted[step.name].values()
        return len(seen), sum(r[0] for r in seen), sum(r[1] for r in seen), sum(r[2] for r in seen)

    def opened(self) -> None:
        return

    def show(self) -> None:
        if time.monotonic() - self.said > SAY_S:
            self.said = time.monotonic()
            self.say(f"  ... {self.so_far()}")

    def so_far(self) -> str:
        """What the phase has done, and in how much time the rest will be done if it goes on so."""
        assert self.phase is not None
        seconds = time.monotonic() - self.started
        words = [f"{self.phase.name.split('+')[0]}: {duration(seconds)}"]
        if self.steps():
            done = min(self.counts(s)[0] for s in self.steps())
            words.append(f"{done} of {self.todo} parts")
            first = self.counts(self.steps()[0])
            if first[1]:
                words.append(f"{first[1]:,} documents, {first[1] / seconds:,.0f} a second")
            if done:
                words.append(f"about {duration(seconds / done * (self.todo - done))} left")
        words += list(watch.notes(self.store.root).values())[:1]
        return ", ".join(words)

    def closed(self) -> None:
        assert self.phase is not None
        seconds = time.monotonic() - self.started
        said = f"{self.place}  {self.names():{NAMES_CHARS}}"
        if not self.steps():
            self.say(f"{said} {duration(seconds):>9}")
            return
        counted = [(step, *self.counts(step)) for step in self.steps()]
        first, gates = counted[0], [c for c in counted if c[0].kind in ("gate", "source")]
        docs = f"  {first[2]:,} documents"
        if first[0].kind == "source":
            docs = f"  {first[2]:,} records, {first[3]:,} documents"
        if gates and gates[-1][3] != first[3 if first[0].kind == "source" else 2]:
            docs += f", {gates[-1][3]:,} kept"
        self.say(f"{said} {duration(seconds):>9}{docs}")
        if seconds >= LONG_S:
            whole = sum(c[4] for c in counted)
            slow = [c for c in sorted(counted, key=lambda c: -c[4])[:SLOW_STEPS] if c[4] > 0.05 * whole]
            each = (f"{s.name} {took:.1f} s ({n / took:,.0f} documents/s)" for s, _, n, _, took in slow)
            self.say(f"{'':{len(self.place)}}    of a worker's time: {', '.join(each)}")

    def say(self, line: str) -> None:
        say([line], sys.stderr)


class LiveProgress(Progress):
    """A bar per stage: parts, documents/s of a worker, kept %, time left."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self.console = Console(stderr=True)
        self.live = None

    def opened(self) -> None:
        if not self.todo:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        assert self.phase is not None
        self.live = Bars(
            TextColumn("{task.description:20}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>10} {task.fields[kept]:>8}", markup=False),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            transient=True,
        )
        names = [s.name for s in self.steps()] or [self.phase.name]
        self.bars = {n: self.live.add_task(n, total=self.todo, rate="", kept="") for n in names}
        self.live.start()

    def show(self) -> None:
        if self.live is None:
            return
        for step in self.steps():
            parts, docs_in, docs_out, took = self.counts(step)
            kept = f"{100 * docs_out / docs_in:.0f}% kept" if docs_in and step.kind != "annotator" else ""
            rate = f"{docs_in / took:,.0f}/s" if took > 0 else ""
            self.live.update(self.bars[step.name], completed=parts, rate=rate, kept=kept)
        if not self.steps():
            said = shown("; ".join(list(watch.notes(self.store.root).values())[:1]))
            self.live.update(next(iter(self.bars.values())), rate=said)

    def closed(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
        super().closed()

    def say(self, line: str) -> None:
        self.console.print(shown(line), highlight=False, markup=False, soft_wrap=True)


def numbers_of(phases: Sequence[Phase]) -> list[int]:
    """The number that each phase is shown with, from 1. What is taken, joined and asked for a reducer has the
    reducer's, as a small corpus goes without."""
    numbers, number = [], 1
    for phase in phases:
        numbers.append(number)
        number += phase.kind not in INTERIM
    return numbers


def make_progress() -> Progress:
    return LiveProgress() if sys.stderr.isatty() else Progress()
