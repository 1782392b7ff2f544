"""What a run shows while it works: live bars on a terminal, plain lines elsewhere. Reads receipts, asks no worker."""

import json
import sys
import time
from collections import deque
from collections.abc import Sequence

from gristmill.pipeline.contract.shown import say, shown
from gristmill.pipeline.plan.plan import Phase, Step
from gristmill.pipeline.run.store import Store

POLL_S = 0.5
LOOK_S = 0.1  # a look at the receipts of many units ends after so long, and the next one goes on from there


class Progress:
    """Plain lines: one when a phase ends, and one per 10 s while it lasts."""

    def __init__(self) -> None:
        self.began = time.monotonic()
        self.phase: Phase | None = None
        self.looked = 0.0
        self.said = 0.0

    def start(self, phase: Phase, total: int, done: int, store: Store, units: Sequence[str]) -> None:
        """`units`: those that are not done."""
        self.phase, self.total, self.already, self.store = phase, total, done, store
        self.waiting = deque(units)  # units of which not every receipt has been seen
        self.started = self.said = time.monotonic()
        self.wall = time.time()
        self.todo = total - done
        self.counted: dict[tuple[str, str], tuple[int, int]] = {}
        self.opened()

    def tick(self) -> None:
        now = time.monotonic()
        if now - self.looked < POLL_S or self.phase is None or not self.todo:
            return
        self.looked = now
        self.look()
        self.show()

    def end(self) -> None:
        if self.phase is not None and self.todo:
            self.look(float("inf"))
            self.closed()
        self.phase = None

    def look(self, seconds: float = LOOK_S) -> None:
        """Counts receipts written since the phase began: (documents in, documents out) per step and unit."""
        until = time.monotonic() + seconds
        for _ in range(len(self.waiting) if self.steps() else 0):
            unit = self.waiting.popleft()
            if sum(self.seen(step, unit) for step in self.steps()) < len(self.steps()):
                self.waiting.append(unit)
            if time.monotonic() > until:
                return

    def seen(self, step: Step, unit: str) -> bool:
        """Counts a unit's receipt, once, if it was written since the phase began."""
        if (step.name, unit) in self.counted:
            return True
        path = self.store.receipt_path(step.name, unit)
        try:
            if path.stat().st_mtime < self.wall - 0.01:
                return False
            receipt = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return False
        self.counted[step.name, unit] = (receipt["docs_in"], receipt["docs_out"])
        return True

    def steps(self) -> Sequence[Step]:
        return self.phase.steps if self.phase is not None and self.phase.kind == "wave" else ()

    def counts(self, step: Step) -> tuple[int, int, int]:
        """(parts, documents in, documents out) of a step so far in this phase."""
        rows = [v for (name, _), v in self.counted.items() if name == step.name]
        return len(rows), sum(r[0] for r in rows), sum(r[1] for r in rows)

    def opened(self) -> None:
        return

    def show(self) -> None:
        if time.monotonic() - self.said > 10 and self.phase is not None:
            self.said = time.monotonic()
            parts = min((self.counts(s)[0] for s in self.steps()), default=0)
            self.say(f"  ... {self.phase.name.split('+')[0]}: {parts} of {self.todo} parts")

    def closed(self) -> None:
        assert self.phase is not None
        seconds = time.monotonic() - self.started
        if not self.steps():
            self.say(f"{self.phase.name:18} {self.phase.kind:8} {seconds:6.1f} s")
        for step in self.steps():
            parts, docs_in, docs_out = self.counts(step)
            if parts:
                kept = f"{100 * docs_out / docs_in:5.1f}% kept" if docs_in else ""
                rate = f"{docs_in / max(seconds, 1e-3):8.0f} docs/s"
                self.say(f"{step.name:18} {parts:4} parts {docs_in:8} docs {kept:11} {rate}")

    def say(self, line: str) -> None:
        say([line], sys.stderr)


class LiveProgress(Progress):
    """A bar per stage: parts, documents/s, kept %, time left."""

    def __init__(self) -> None:
        super().__init__()
        from rich.console import Console

        self.console = Console(stderr=True)
        self.live = None

    def opened(self) -> None:
        if not self.todo:
            return
        from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
        from rich.progress import Progress as Bars

        assert self.phase is not None
        self.live = Bars(
            TextColumn("{task.description:20}"),
            BarColumn(bar_width=30),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]:>10} {task.fields[kept]:>8}"),
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
        seconds = time.monotonic() - self.started
        for step in self.steps():
            parts, docs_in, docs_out = self.counts(step)
            kept = f"{100 * docs_out / docs_in:.0f}% kept" if docs_in else ""
            self.live.update(self.bars[step.name], completed=parts, rate=f"{docs_in / seconds:.0f}/s", kept=kept)

    def closed(self) -> None:
        if self.live is not None:
            self.live.stop()
            self.live = None
        super().closed()

    def say(self, line: str) -> None:
        self.console.print(shown(line), highlight=False, markup=False)


def make_progress() -> Progress:
    return LiveProgress() if sys.stderr.isatty() else Progress()
