"""The passes of a grouping as phases: sort by bundles, group by partitions, merge as one, return by bundles.

A bundle is the parts whose files' names hash to one of 512 numbers, a partition a range of keys of which there are as
many as the rows' bytes ask for: both are functions of the data, never of workers. Slices lie in `<step>.exchange/` and
go when all has come back; what stays there is a receipt per bundle with a digest of what came back to each part, which
is the identity of the part's columns: where another document changes nothing for a part, nothing behind it is redone.
"""

from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import polars as pl

from gristmill.pipeline.contract.errors import DataError
from gristmill.pipeline.contract.shapes import Grouping, Part
from gristmill.pipeline.contract.state import temporary, write_json, write_parquet
from gristmill.pipeline.plan.identity import digest, digest_file
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.plan.steps import Step
from gristmill.pipeline.run.exchange import passes
from gristmill.pipeline.run.exchange.slices import Slices, between, ranges
from gristmill.pipeline.run.exchange.sorter import Sorter
from gristmill.pipeline.run.part import PartRun
from gristmill.pipeline.run.phases.work import Opened, Work
from gristmill.pipeline.run.receipts.receipt import Receipt, finish, proven, read_receipt
from gristmill.pipeline.run.store import read_parquet
from gristmill.pipeline.run.view import NotReady, RunView, Want, artifact_contents, inputs_of, part_receipt

PARTITION_RANKS = 32  # ranks of a queued engine that gather partitions: how many there are, the sorted rows decide
EXTRA_KEY = "extra"  # beside the parts: what came back to documents that no part holds


class Pass(Work):
    """What the passes of one grouping share: its bundles, where its slices lie, and its identities."""

    vital: ClassVar[bool] = True

    def __init__(self, view: RunView, phase: Phase):
        super().__init__(view, phase)
        self.step: Step = phase.steps[0]
        self.stage: Grouping = self.step.grouping
        self.folder: Path = view.root / f"{self.step.name}.exchange"

    @cached_property
    def has_extra(self) -> bool:
        return type(self.stage).extra is not Grouping.extra

    def bundles(self) -> dict[int, list[Part]]:
        """Bundle -> its parts, in the order of their keys."""

        def make() -> dict[int, list[Part]]:
            found: dict[int, list[Part]] = {passes.EXTRA: []} if self.has_extra else {}
            for part in self.view.usable:
                found.setdefault(passes.bundle_of(part), []).append(part)
            return dict(sorted(found.items()))

        return self.view.once(("bundles", self.has_extra), make)

    def bundle_units(self) -> list[str]:
        return [f"bundle:{number:03d}" for number in self.bundles()]

    def extra_path(self, dataset: str) -> Path:
        return self.view.root / f"{dataset}.exchange" / f"{EXTRA_KEY}.parquet"

    def extra_receipt(self, dataset: str) -> Receipt | None:
        path = self.extra_path(dataset)
        return self.view.pass_receipt((dataset, "extra"), lambda: proven(path.with_suffix(".receipt.json"), path))

    def slices(self, unit: str) -> Path:
        return self.folder / f"{unit.replace(':', '-')}.slices"

    def receipt_of(self, unit: str) -> Receipt | None:
        """Of the slices that a pass left for a unit."""
        path = self.slices(unit)
        return self.view.pass_receipt(
            (self.step.name, unit), lambda: proven(path.with_name(f"{path.name}.receipt.json"), path)
        )

    def keep(self, unit: str, receipt: Receipt) -> None:
        path = self.slices(unit)
        write_json(path.with_name(f"{path.name}.receipt.json"), vars(finish(receipt, "", path.stat().st_size)))

    def begin(self, unit: str, by: Sequence[str]) -> Sorter:
        """Takes away the receipt of the unit's slices; what sorts the new ones."""
        path = self.slices(unit)
        path.with_name(f"{path.name}.receipt.json").unlink(missing_ok=True)
        spill = temporary(self.view.root / f"{path.stem}.{self.step.name}")
        return Sorter(spill, by, self.view.memory)

    def sort_identity(self, bundle: int) -> str:
        """Of a bundle's rows: the stage, its artifacts, its parts with their inputs and rows."""
        parts = inputs_of(self.view, self.step, self.bundles()[bundle])
        reads = self.step.reads if bundle == passes.EXTRA else ()
        extra = [r.identity for d in reads if (r := self.extra_receipt(d))]
        return digest([self.step.fingerprint, artifact_contents(self.view, self.step), parts, extra])

    def identity(self) -> str:
        """Of what is gathered: a digest of those of all bundles."""
        return self.view.once(
            ("exchange", self.step.name), lambda: digest([self.sort_identity(bundle) for bundle in self.bundles()])
        )

    def as_sorted(self) -> list[Receipt]:
        """The receipts of the sorted bundles. Raises NotReady where one is missing."""
        found = [self.receipt_of(unit) for unit in self.bundle_units()]
        if None in found:
            raise NotReady(f"{self.step.name}: not all bundles are sorted")
        return [receipt for receipt in found if receipt]

    def trust_sorted(self) -> None:
        """In a worker: the identity by the sorted bundles' receipts, which the parent has compared with the parts'."""
        self.view.once(("exchange", self.step.name), lambda: digest([r.identity for r in self.as_sorted()]))

    def partition_units(self) -> list[str]:
        n = passes.partitions(sum(receipt.bytes_out for receipt in self.as_sorted()))
        return [f"{i:05d}-of-{n:05d}" for i in range(n)]

    def gathered(self) -> list[Slices]:
        """What was gathered. Raises DataError where rows that were sorted were not gathered, or some twice."""
        units = self.partition_units()
        found = [self.receipt_of(unit) for unit in units]
        if None in found:
            raise NotReady(f"{self.step.name}: not all partitions are gathered")
        rows, read = (sum(r.docs_out for r in self.as_sorted()), sum(r.docs_in for r in found if r))
        if rows != read:
            raise DataError(f"{self.step.name}: {rows:,} rows were sorted and {read:,} gathered")
        return [Slices(self.slices(unit), "node") for unit in units]


class Passing(Pass):
    """A pass whose slices go when all has come back."""

    passing: ClassVar[bool] = True

    def settled(self) -> bool:
        return Return(self.view, self.phase).settled()


class Sort(Passing):
    """Bundle by bundle: parts are scattered into rows, which are sorted by their keys."""

    def units(self) -> list[str]:
        return self.bundle_units()

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.receipt_of(unit), Want(self.sort_identity(number_of(unit)))

    def compute(self, unit: str, opened: Opened) -> None:
        if self.done(unit):
            return
        identity = self.sort_identity(number_of(unit))
        sorter = self.begin(unit, ("key", *self.stage.order, "node"))
        docs = passes.sorted_by_key(self.stage, self.batches(number_of(unit)), sorter, self.slices(unit))
        self.keep(unit, Receipt(identity, "", "", docs, sorter.rows, bytes_out=sorter.weight))

    def batches(self, bundle: int) -> Iterator[tuple[int, pl.DataFrame]]:
        start = passes.nodes_of(bundle)[0]
        if bundle == passes.EXTRA:
            extra = self.extra()
            if extra is not None:
                yield start, extra
            return
        for part in self.bundles()[bundle]:
            run = PartRun(self.view, self.view.plan, part, {})
            batch = run.batch(self.step, run.ids(self.step))
            yield start, batch
            start += batch.height

    def extra(self) -> pl.DataFrame | None:
        frame = self.stage.extra({a: self.view.artifact(a) for a in self.step.needs})
        if frame is None:
            return None
        for dataset in self.step.reads:
            if self.extra_receipt(dataset) is not None:
                back = read_parquet(self.extra_path(dataset))
                frame = frame.join(back, on="doc_id", how="left", maintain_order="left")
        return frame


class Gathering(Passing):
    """A pass that sorts what a stage made of its rows by the documents it goes back to."""

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        yield self.receipt_of(unit), Want(digest([self.identity(), unit]))

    def compute(self, unit: str, opened: Opened) -> None:
        self.trust_sorted()
        if self.done(unit):
            return
        files = self.files()
        sorter = self.begin(unit, ("node",))
        rows = self.fill(unit, files, sorter)
        sorter.write(self.slices(unit))
        self.keep(unit, Receipt(digest([self.identity(), unit]), "", "", rows, sorter.rows, bytes_out=sorter.weight))

    def files(self) -> list[Slices]:
        """What the pass reads."""
        raise NotImplementedError

    def fill(self, unit: str, files: Sequence[Slices], sorter: Sorter) -> int:
        """Reads the unit's rows and gives the sorter what the stage makes of them; how many it read."""
        raise NotImplementedError


class Group(Gathering):
    """Partition by partition: all rows of a range of keys are gathered, and sorted by the documents they go back to."""

    def units(self) -> list[str]:
        return self.partition_units()

    def most(self) -> int:
        return PARTITION_RANKS

    def files(self) -> list[Slices]:
        return [Slices(self.slices(b), "key") for b in self.bundle_units()]

    def fill(self, unit: str, files: Sequence[Slices], sorter: Sorter) -> int:
        number, n = (int(word) for word in unit.split("-of-"))
        low, high = list(ranges(n))[number]
        return passes.gathered(self.stage, files, low, high, self.view.memory, sorter)


class Merge(Gathering):
    """What was gathered, as a whole."""

    limit_s: ClassVar[float | None] = None

    def units(self) -> list[str]:
        return ["merged"]

    def files(self) -> list[Slices]:
        return self.gathered()

    def fill(self, unit: str, files: Sequence[Slices], sorter: Sorter) -> int:
        passes.merged(self.stage, files, self.view.memory, sorter)
        return sum(file.rows for file in files)


class Return(Pass):
    """Bundle by bundle: what was gathered goes to the documents' parts and becomes the columns of the dataset."""

    def units(self) -> list[str]:
        return self.bundle_units()

    def settled(self) -> bool:
        try:
            self.identity()  # once: where a part is not done, every bundle would find that out anew
        except NotReady:
            return False
        return super().settled()

    def record(self, unit: str) -> Path:
        return self.folder / f"{unit.replace(':', '-')}.returned.json"

    def returned(self, unit: str) -> Receipt | None:
        return self.view.pass_receipt((self.step.name, "returned", unit), lambda: read_receipt(self.record(unit)))

    def owed(self, unit: str) -> Iterator[tuple[Receipt | None, Want]]:
        receipt = self.returned(unit)
        yield receipt, Want(digest([self.identity(), unit]))
        if receipt is None:
            return
        for part in self.bundles()[number_of(unit)]:
            yield self.view.receipt(self.step.name, part.key), self.want(part, str(receipt.files[part.key][0]))
        if number_of(unit) == passes.EXTRA:
            yield self.extra_receipt(self.step.name), Want(str(receipt.files[EXTRA_KEY][0]))

    def want(self, part: Part, back: str) -> Want:
        """`back`: digest of what came back to the part."""
        inputs = {d: part_receipt(self.view, d, part).identity for d, c in self.step.reads.items() if self.seen(c)}
        rows = part_receipt(self.view, self.view.plan.rows_source(self.step).name, part).kept
        return Want(digest({"step": self.step.fingerprint, "inputs": inputs, "returned": back}), rows)

    def seen(self, columns: Iterable[str]) -> bool:
        return not set(self.stage.settles).isdisjoint(columns)

    def touched(self, units: Iterable[str]) -> list[str]:
        bundles = self.bundles()
        return [p.key for unit in units for p in bundles.get(number_of(unit), ())]

    def compute(self, unit: str, opened: Opened) -> None:
        if self.stage.merges:
            files = [Slices(self.slices("merged"), "node")]
        else:
            files = self.view.once(("gathered", self.step.name), self.gathered)
        self.trust_sorted()
        if self.done(unit):
            return
        self.record(unit).unlink(missing_ok=True)
        bundle = number_of(unit)
        start, end = passes.nodes_of(bundle)
        back = passes.come_back(self.stage, files, start, end)
        taken, rows = {}, back.height
        for part in self.bundles()[bundle]:
            taken[part.key], start = self.settle(part, back, start)
        if bundle == passes.EXTRA:
            taken[EXTRA_KEY], start = self.settle_extra(back, start)
        if taken and sum(n for _, n in taken.values()) != rows:
            raise DataError(f"{self.step.name}: {rows:,} rows came back to {unit}, whose documents took others")
        receipt = Receipt(digest([self.identity(), unit]), "", "", rows, rows, files=taken)
        write_json(self.record(unit), vars(finish(receipt, "", 0)))

    def settle(self, part: Part, back: pl.DataFrame, start: int) -> tuple[tuple[str, int], int]:
        """Writes the part's dataset: (digest and number of the rows that came back to it), the next part's start."""
        run = PartRun(self.view, self.view.plan, part, {})
        ids = run.ids(self.step)
        mine = between(back, "node", start, start + ids.len())
        said = digest_of(mine, start)
        want = self.want(part, said)
        if not want.met_by(self.view.receipt(self.step.name, part.key)):
            frame = passes.settled(self.stage, run.batch(self.step, ids, self.stage.settles), mine, start)
            receipt = Receipt(want.identity, want.rows, want.rows, ids.len(), ids.len())
            self.view.write(self.step.name, part.key, frame, self.step.writes, receipt)
        return (said, mine.height), start + ids.len()

    def settle_extra(self, back: pl.DataFrame, start: int) -> tuple[tuple[str, int], int]:
        extra = Sort(self.view, self.phase).extra()
        ids = pl.DataFrame({"doc_id": []}, schema={"doc_id": pl.String}) if extra is None else extra.select("doc_id")
        path = self.extra_path(self.step.name)
        path.with_suffix(".receipt.json").unlink(missing_ok=True)
        write_parquet(path, passes.beside(ids, back, start).to_arrow())
        said = digest([self.step.fingerprint, digest_of(back, start)])
        receipt = finish(Receipt(said, "", "", ids.height, ids.height), digest_file(path), path.stat().st_size)
        write_json(path.with_suffix(".receipt.json"), vars(receipt))
        return (said, back.height), start + ids.height

    def tidy(self) -> None:
        if self.folder.is_dir() and any(self.folder.glob("*.slices")) and self.settled():
            for path in (*self.folder.glob("*.slices.receipt.json"), *self.folder.glob("*.slices")):
                path.unlink(missing_ok=True)


def number_of(unit: str) -> int:
    return int(unit.removeprefix("bundle:"))


def digest_of(back: pl.DataFrame, start: int) -> str:
    """Of the rows that came back, by the documents' places in the part."""
    rows = back.with_columns(pl.col("node") - start).write_ndjson()
    return blake2b(rows.encode(), digest_size=16).hexdigest()
