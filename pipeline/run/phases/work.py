"""A kind of phase: its units, what each unit's receipts must say, and what computes a unit.

A unit is done when every receipt that it owes meets what is wanted of it. This is the one place that says so.
"""

from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import ClassVar

from gristmill.pipeline.contract import watch
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.view import NotReady, RunView, Want

Opened = dict[str, Callable]  # models that this process has opened, by digest


class Work:
    """A phase of a run, as its view shows it."""

    vital: ClassVar[bool] = False  # without one of its units the run cannot go on
    limit_s: ClassVar[float | None] = watch.UNIT_S  # CPU time of a unit
    passing: ClassVar[bool] = False  # its files go once what they are for is done
    widest: int | None = None  # ranks that its units are shared out among at most; None: as many as an engine takes

    def __init__(self, view: RunView, phase: Phase):
        self.view, self.phase = view, phase

    def units(self) -> Sequence[str]:
        """All of them, in order. Raises FileNotFoundError or DataError where that is not known yet."""
        raise NotImplementedError

    def most(self) -> int:
        """How many units there will be at most, as far as that is known before they are."""
        return len(self.units())

    def queued(self) -> int:
        """How many ranks an engine queues before the units are known; more than parts would have nothing to do."""
        return max(1, min(self.most(), self.widest or len(self.view.plan.parts)))

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        """The receipts of a unit beside what they must say, in the order in which they come to be."""
        raise NotImplementedError

    def compute(self, unit: str, opened: Opened) -> None:
        """Makes what is not there; called for units that are not done, and again after a failure."""
        raise NotImplementedError

    def done(self, unit: str) -> bool:
        try:
            return all(want.met_by(receipt) for receipt, want in self.owed(unit))
        except NotReady:
            return False

    def pending(self) -> list[str]:
        """Units that are not done and did not fail in an earlier phase; by receipts alone."""
        return [unit for unit in self.units() if unit not in self.view.aside and not self.done(unit)]

    def touched(self, units: Iterable[str]) -> Iterable[str]:
        """Parts whose receipts these units may have written."""
        return units

    def tidy(self) -> None:
        """Removes what has served, when no worker is at it."""
        return

    def settled(self) -> bool:
        """Whether nothing is left to do, also where what it wrote has served and is gone."""
        return not self.pending()


class PartWork(Work):
    """A phase whose units are the parts."""

    def units(self) -> list[str]:
        return [part.key for part in self.view.plan.parts]

    def of(self, unit: str, opened: Opened | None = None) -> PartRun:
        return PartRun(self.view, self.view.plan, self.view.plan.part[unit], {} if opened is None else opened)
