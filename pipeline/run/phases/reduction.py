"""A reducer: bundles of parts are taken and joined, pass after pass, and what was joined last becomes the artifact.

A bundle is the parts whose keys hash to one of 512 numbers: a function of the data, never of workers. What is taken
lies in `<step>.taken/` and goes when the artifact is made. A small corpus has no bundles: the reduction takes it whole.
"""

import shutil
import time
from collections.abc import Iterable, Iterator, Sequence
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import polars as pl
from loguru import logger

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.shapes import Artifacts, Part, Reducer, Tables
from gristmill.pipeline.contract.state import temporary, write_json, write_parquet
from gristmill.pipeline.plan.identity import digest, digest_file
from gristmill.pipeline.plan.plan import Phase, Plan
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.exchange.slices import Slices
from gristmill.pipeline.run.exchange.sorter import SHARE, Sorter
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.phases.work import Opened, Work
from gristmill.pipeline.run.receipts.receipt import Receipt, finish, read_receipt
from gristmill.pipeline.run.store import Store, read_parquet
from gristmill.pipeline.run.view import (
    NotReady,
    RunView,
    Want,
    artifact_contents,
    corpus_identity,
    inputs_of,
    part_receipt,
)

BUNDLES = 512  # of parts, by their keys
ORDERED_BYTES = 32 << 20  # of a frame of `ordered`
SMALL_DOCUMENTS = 20_000  # so many are read in the time that two phases more take on a machine, about a second


class StoredCorpus:
    """What a reducer reads: one batch per part, straight from the store."""

    def __init__(self, store: Store, plan: Plan, step: Step, parts: Sequence[Part] | None = None):
        """`parts`: of a bundle; None: all that are usable."""
        self.view = store if isinstance(store, RunView) else RunView(store, plan)
        self.plan, self.step = plan, step
        self.parts = self.view.usable if parts is None else parts
        self.artifacts: Artifacts = {a: store.artifact(a) for a in step.needs}
        self.scratch = store.scratch(step.name)

    def batches(self, columns: Sequence[str] | None = None, of: pl.Series | None = None) -> Iterator[pl.DataFrame]:
        for i, part in enumerate(self.parts, 1):
            watch.note(f"part {i:,} of {len(self.parts):,}")
            run = PartRun(self.view, self.plan, part, {})
            ids = run.ids(self.step)
            chosen = None if of is None else ids.is_in(of.implode())
            if chosen is not None and not chosen.any():
                continue
            batch = run.batch(self.step, ids, columns)
            yield batch if chosen is None else batch.filter(chosen)
        watch.note("all parts are read")

    def ordered(self, frames: Iterable[pl.DataFrame], by: Sequence[str]) -> Iterator[pl.DataFrame]:
        path = temporary(self.view.root / f"{self.step.name}.{by[0]}")
        sorter = Sorter(path.with_name(f"{path.name}.spill"), by, self.view.memory // 2)  # the stage takes frames, too
        try:
            for frame in frames:
                sorter.add(frame)
            sorter.write(path)
            yield from Slices(path, by[0]).walk(min(self.view.memory // SHARE, ORDERED_BYTES))
        finally:
            path.unlink(missing_ok=True)


class Passed(Work):
    """What the phases of one reducer share: its bundles, and where tables lie."""

    vital: ClassVar[bool] = True

    def __init__(self, view: RunView, phase: Phase):
        """phase: of one reducer."""
        super().__init__(view, phase)
        self.step: Step = phase.steps[0]
        self.stage: Reducer = self.step.reducer
        self.folder: Path = view.root / f"{self.step.name}.taken"

    def bundles(self) -> dict[str, list[Part]]:
        """Unit -> its parts, in the order of their keys; none where the corpus is small."""

        def make() -> dict[str, list[Part]]:
            small = self.documents() < SMALL_DOCUMENTS and not self.stage.rounds  # rounds need what passes joined
            if not self.stage.passes or small:
                return {}
            found: dict[str, list[Part]] = {}
            for part in self.view.usable:
                found.setdefault(f"bundle:{bundle_of(part):03d}", []).append(part)
            return dict(sorted(found.items()))

        return self.view.once(("taken", self.step.name), make)

    def documents(self, parts: Sequence[Part] | None = None) -> int:
        """Rows of the step in these parts, or in all. Raises NotReady where they are not known yet."""
        rows = self.view.plan.rows_source(self.step).name
        return sum(part_receipt(self.view, rows, p).docs_out for p in (self.view.usable if parts is None else parts))

    def stem(self, number: int, unit: str) -> str:
        return f"{self.stage.passes[number]}.{unit.replace(':', '-')}"

    def stem_of(self, unit: str) -> str:
        """What the names of the files of a unit of this phase begin with."""
        return self.stem(self.phase.number, unit)

    def receipt_of(self, stem: str) -> Receipt | None:
        """Of the tables that were taken of a bundle, or joined of all, if they are there."""

        def read() -> Receipt | None:
            receipt = read_receipt(self.folder / f"{stem}.receipt.json")
            try:
                whole = receipt is not None and all(
                    (self.folder / f"{stem}.{table}.parquet").stat().st_size == size
                    for table, (_, size) in receipt.files.items()
                )
            except FileNotFoundError:
                return None
            return receipt if whole else None

        return self.view.pass_receipt((self.step.name, stem), read)

    def keep(self, stem: str, tables: Tables, identity: str, docs: int, good: int | None = None) -> None:
        """`good`: of these documents, or rows; None: all."""
        files = {}
        for name, frame in tables.items():
            path = self.folder / f"{stem}.{name}.parquet"
            write_parquet(path, frame.to_arrow(), checksums=True)
            files[name] = (digest_file(path), path.stat().st_size)
        receipt = Receipt(identity, "", "", docs, docs if good is None else good, files=files)
        write_json(self.folder / f"{stem}.receipt.json", vars(finish(receipt, "", 0)))

    def unprove_tables(self, stem: str) -> None:
        self.folder.mkdir(exist_ok=True)
        (self.folder / f"{stem}.receipt.json").unlink(missing_ok=True)

    def proven(self, stem: str) -> Receipt:
        """Raises NotReady where the tables are not made."""
        receipt = self.receipt_of(stem)
        if receipt is None:
            raise NotReady(f"{self.step.name}: {stem} is not made")
        return receipt

    def tables(self, stem: str) -> dict[str, pl.DataFrame]:
        """Raises NotReady where they are not made."""
        receipt = self.proven(stem)
        places = {table: self.view.whole(self.folder / f"{stem}.{table}.parquet") for table in sorted(receipt.files)}
        return {table: read_parquet(place) for table, place in places.items()}

    def taken(self, number: int) -> Iterator[Tables]:
        return (self.tables(self.stem(number, unit)) for unit in self.bundles())

    def known(self, number: int) -> dict[str, pl.DataFrame]:
        """What the passes before have joined."""
        return {name: frame for i in range(number) for name, frame in self.tables(self.stem(i, "joined")).items()}

    def take_identity(self, number: int, unit: str) -> str:
        """Of what is taken of a bundle: the stage, its artifacts, what is known, its parts, their inputs and rows."""

        def make() -> str:
            parts = inputs_of(self.view, self.step, self.bundles()[unit])
            before = [] if number == 0 else [self.joined(number - 1).identity]
            return digest([self.step.fingerprint, number, artifact_contents(self.view, self.step), before, parts])

        return self.view.once(("take", self.step.name, number, unit), make)

    def joined(self, number: int) -> Receipt:
        return self.proven(self.stem(number, "joined"))

    def join_identity(self, number: int) -> str:
        """Of what is joined: a digest of those of all bundles."""
        return self.view.once(
            ("joined", self.step.name, number), lambda: digest([self.take_identity(number, u) for u in self.bundles()])
        )

    def asked(self, number: int) -> dict[str, pl.DataFrame]:
        """Unit -> its row, of what a round asks for; none once nothing more is asked. Raises NotReady."""

        def make() -> dict[str, pl.DataFrame]:
            if not self.bundles() or (number > 0 and not self.asked(number - 1)):
                return {}
            rows = self.tables(f"asked-{number:03d}")["asked"].iter_slices(1)
            base = self.joined(len(self.stage.passes) - 1).identity
            return {f"answer:{digest([base, row.row(0)])}": row for row in rows}

        return self.view.once(("asked", self.step.name, number), make)

    def answering(self, rounds: int) -> list[str]:
        """Stems of the answers to the first `rounds` rounds, in the order in which they were asked."""
        return [unit.replace(":", "-") for i in range(rounds) for unit in self.asked(i)]

    def answers(self, rounds: int) -> pl.DataFrame:
        """To the first `rounds` rounds."""
        answers = [self.tables(stem)["answer"] for stem in self.answering(rounds)]
        return pl.concat(answers) if answers else pl.DataFrame()

    def sharing(self, opened: Opened) -> Opened:
        """The methods of what the stage shares out, as this process has opened it."""
        if "ask" not in opened:
            known, corpus = self.known(len(self.stage.passes)), StoredCorpus(self.view, self.view.plan, self.step, ())
            made = self.stage.sharing(known, corpus)
            opened |= {"ask": made.ask, "answer": made.answer, "finish": made.finish}
        return opened

    def check_taken(self, number: int) -> None:
        """Raises NotReady where what was taken is not what is to be joined."""
        for unit in self.bundles():
            receipt = self.receipt_of(self.stem(number, unit))
            if receipt is None or receipt.identity != self.take_identity(number, unit):
                raise NotReady(f"{self.step.name}: {self.stem(number, unit)} is not taken")


class Interim(Passed):
    """Its tables go when the artifact is made."""

    passing: ClassVar[bool] = True

    def settled(self) -> bool:
        return Reduction(self.view, Phase("reducer", self.phase.steps)).done(self.step.name) or super().settled()


class Take(Interim):
    """Bundle by bundle: what a pass needs of the parts."""

    def units(self) -> list[str]:
        return list(self.bundles())

    def most(self) -> int:
        return min(BUNDLES, len(self.view.usable))

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.receipt_of(self.stem_of(unit)), Want(self.take_identity(self.phase.number, unit))

    def touched(self, units: Iterable[str]) -> tuple[str, ...]:
        return ()

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        number, parts = self.phase.number, self.bundles()[unit]
        identity = self.take_identity(number, unit)
        known = self.view.once(("known", self.step.name, number), lambda: self.known(number))
        self.unprove_tables(self.stem_of(unit))
        corpus = StoredCorpus(self.view, self.view.plan, self.step, parts)
        tables = self.stage.take(self.stage.passes[number], corpus, known)
        self.keep(self.stem_of(unit), tables, identity, self.documents(parts))


class Join(Interim):
    """What a pass took of all bundles, as one."""

    limit_s: ClassVar[float | None] = None

    def units(self) -> list[str]:
        return ["joined"] if self.bundles() else []

    def most(self) -> int:
        return 1

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.receipt_of(self.stem_of(unit)), Want(self.join_identity(self.phase.number))

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        number = self.phase.number
        self.check_taken(number)
        self.unprove_tables(self.stem_of(unit))
        corpus = StoredCorpus(self.view, self.view.plan, self.step, ())
        tables = self.stage.join(self.stage.passes[number], self.taken(number), corpus, self.known(number))
        self.keep(self.stem_of(unit), tables, self.join_identity(number), self.documents())


class Reductions(Work):
    """Artifacts, each from what was taken for it last."""

    vital: ClassVar[bool] = True
    limit_s: ClassVar[float | None] = None

    def __init__(self, view: RunView, phase: Phase):
        super().__init__(view, phase)
        self.each = {step.name: Reduction(view, Phase("reducer", (step,))) for step in phase.steps}

    def units(self) -> list[str]:
        return list(self.each)

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        return self.each[unit].owed(unit)

    def compute(self, unit: str, opened: Opened) -> None:
        self.each[unit].compute(unit, opened)

    def tidy(self) -> None:
        for reduction in self.each.values():
            reduction.tidy()


class Reduction(Passed):
    """One of them."""

    def units(self) -> list[str]:
        return [self.step.name]

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.view.artifact_receipt(unit), Want(corpus_identity(self.view, self.step))

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        view, step, stage = self.view, self.step, self.stage
        started = time.perf_counter()
        docs = self.documents()
        with view.making(step.name, Receipt(corpus_identity(view, step), "", "", docs, docs)) as out:
            if not self.bundles():
                stage.run(StoredCorpus(view, view.plan, step), out)
            elif stage.rounds:
                self.sharing(opened)["finish"](self.answers(stage.rounds), out)
            else:
                last = len(stage.passes) - 1
                self.check_taken(last)
                corpus = StoredCorpus(view, view.plan, step, ())
                known = self.known(last)
                known |= stage.join(stage.passes[last], self.taken(last), corpus, known)
                stage.finish(known, corpus, out)
        logger.info(f"{step.name}: {docs} documents in {time.perf_counter() - started:.1f} s")

    def tidy(self) -> None:
        if self.folder.is_dir() and self.done(self.step.name):
            shutil.rmtree(self.folder, ignore_errors=True)


def bundle_of(part: Part) -> int:
    return int.from_bytes(blake2b(part.key.encode(), digest_size=8).digest(), "little") % BUNDLES
