"""A run folder whose receipts are each read once: what a phase needs to know of the run, kept in memory.

A `RunView` is a `Store`, so whatever reads a run folder may be given one. It looks at the logs once and remembers which
receipts prove their files; what this process writes it remembers as written, and what other processes have written
since it must be told to `forget`.
"""

from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TypeVar

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.shapes import Part
from gristmill.pipeline.plan.identity import digest_from
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.failures import quarantined
from gristmill.pipeline.run.receipts.logs import Receipts
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store

T = TypeVar("T")
MEMORY = 1 << 30  # bytes that a worker may take for sorting, where nobody said


class NotReady(DataError):
    """A part's earlier step is not done (it was quarantined); the part waits for the next run."""


@dataclass(frozen=True)
class Want:
    """What a receipt must say: the identity of the values and, of a part, the digest of the rows; "": not compared."""

    identity: str
    rows: str = ""

    def met_by(self, receipt: Receipt | None) -> bool:
        return receipt is not None and receipt.identity == self.identity and self.rows in ("", receipt.rows)


class RunView(Store):
    """The receipts of one run, by part and dataset. About 0.5 kB per receipt."""

    def __init__(self, store: Store, plan: Plan):
        """A view that is made of another view shares its memory."""
        super().__init__(store.root)
        shared = store if isinstance(store, RunView) else None
        self.plan = plan
        self.receipts = shared.receipts if shared else Receipts(store.root, len(plan.parts))
        self._parts: dict[str, dict[str, Receipt]] = shared._parts if shared else {}  # part key -> dataset -> receipt
        self._artifacts: dict[str, Receipt] = shared._artifacts if shared else {}
        self._passes: dict[tuple[str, ...], Receipt] = shared._passes if shared else {}  # of bundles and partitions
        self.memory = shared.memory if shared else MEMORY
        self.session = shared.session if shared else ""  # token of the command, for workers that it does not start
        self._known: dict[object, object] = {}

    @cached_property
    def aside(self) -> frozenset[str]:
        """Units that had failed when this was first asked for."""
        return frozenset(quarantined(self))

    @cached_property
    def usable(self) -> tuple[Part, ...]:
        return tuple(p for p in self.plan.parts if p.key not in self.aside)

    def receipt(self, dataset: str, key: str) -> Receipt | None:
        known = self._parts.get(key)
        if known is not None and dataset in known:
            return known[dataset]
        return self._remember(dataset, key, self.proven_receipt(dataset, key))

    def _remember(self, dataset: str, key: str, receipt: Receipt | None) -> Receipt | None:
        if receipt is None:
            self._parts.get(key, {}).pop(dataset, None)
        else:
            self._parts.setdefault(key, {})[dataset] = receipt
        return receipt

    def artifact_receipt(self, name: str) -> Receipt | None:
        if name not in self._artifacts:
            receipt = super().artifact_receipt(name)
            if receipt is None:
                return None
            self._artifacts[name] = receipt
        return self._artifacts[name]

    def unprove(self, dataset: str, key: str) -> None:
        self._remember(dataset, key, None)
        self._take_away(dataset, key)

    def prove(self, dataset: str, key: str, receipt: Receipt, content: str) -> Receipt:
        done = super().prove(dataset, key, receipt, content)
        self._remember(dataset, key, done)
        return done

    @contextmanager
    def making(self, name: str, receipt: Receipt) -> Iterator[Path]:
        self._artifacts.pop(name, None)
        with super().making(name, receipt) as out:
            yield out
        self._known.clear()

    def pass_receipt(self, key: tuple[str, ...], read: Callable[[], Receipt | None]) -> Receipt | None:
        """What `read` returned for this key, once it was no longer None."""
        receipt = self._passes.get(key) or read()
        if receipt is not None:
            self._passes[key] = receipt
        return receipt

    def once(self, key: object, make: Callable[[], T]) -> T:
        """What `make` returned for this key the first time; forgotten with the receipts that it was made from."""
        if key not in self._known:
            self._known[key] = make()
        return self._known[key]  # pyright: ignore[reportReturnType]

    def drop(self, keys: Iterable[str]) -> None:
        """Gives up the memory of parts that are not asked for again."""
        for key in keys:
            self._parts.pop(key, None)

    def forget(self, phase: Phase, keys: Iterable[str]) -> None:
        """After workers ran a phase: the receipts of these parts, which they may have written, and failed units."""
        self.drop(keys)
        self.receipts.look_again()
        for step in phase.steps:
            self._artifacts.pop(step.name, None)
        self._passes.clear()
        self._known.clear()
        for name in ("aside", "usable"):
            self.__dict__.pop(name, None)


def view_of(store: Store, plan: Plan) -> RunView:
    """The store itself where it is a view of this plan."""
    return store if isinstance(store, RunView) and store.plan is plan else RunView(store, plan)


def artifact_contents(store: Store, step: Step) -> dict[str, str]:
    """Content digests of the artifacts that a step needs. Raises NotReady when one is not made."""
    contents = {}
    for name in step.needs:
        receipt = store.artifact_receipt(name)
        if receipt is None:
            raise NotReady(f"artifact {name} is not made")
        contents[name] = receipt.content
    return contents


def part_receipt(store: Store, dataset: str, part: Part) -> Receipt:
    """Raises NotReady where there is none."""
    receipt = store.receipt(dataset, part.key)
    if receipt is None:
        raise NotReady(f"{dataset} of part {part.key} is not done")
    return receipt


def inputs_of(view: RunView, step: Step, parts: Iterable[Part]) -> list[list[object]]:
    """Of each part what identifies what a step reads of it: its key, its inputs' identities, the rows that are kept."""
    rows = view.plan.rows_source(step).name
    return [
        [part.key, {d: part_receipt(view, d, part).identity for d in step.reads}, part_receipt(view, rows, part).kept]
        for part in parts
    ]


def corpus_identity(view: RunView, step: Step, extra: str = "") -> str:
    """Identity of what a reducer or the sink computes: its recipe, artifacts, and every part's inputs and rows.

    The parts are gone through once for a step, whatever `extra` (an output shard) is asked for.
    """

    def of_all_parts() -> Callable[[object], str]:
        per_part = inputs_of(view, step, view.usable)
        return digest_from([step.fingerprint, artifact_contents(view, step), per_part])

    return view.once(("corpus", step.name, step.fingerprint), of_all_parts)(extra)
