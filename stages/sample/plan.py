"""Solves, for training or each of its phases, how often every document is written so that the shares are met.

Documents that validation holds count for nothing here: training has its whole budget without them.
"""

import json
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, ClassVar

import polars as pl

from gristmill.pipeline.contract.corpus.splits import TRAIN, VALIDATION, split_names
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import DataError, InfeasibleError
from gristmill.pipeline.contract.notes import write_notes
from gristmill.pipeline.contract.ranges import Inner, Range
from gristmill.pipeline.contract.shapes import Corpus, Reads, Reducer, Tables
from gristmill.pipeline.contract.state import read_state, write_parquet
from gristmill.stages.sample import filling, phased
from gristmill.stages.sample.filling import Filled
from gristmill.stages.sample.phased import Phased
from gristmill.stages.sample.schedule import Division, PhaseSection, check_names, given_buckets, weights_of
from gristmill.stages.sample.solving import PROMISE

NO_DOCUMENTS = "sample: no document has come this far; look at the ledger for what dropped them"
QUOTAS = "quotas.json"
ADJUSTED = "adjusted.parquet"
WEIGHTS = "weights.json"
REPEATED = 2.0  # times that a document is written on average, from which a note says so
SHOWN = 5  # buckets named in a note


@dataclass(frozen=True)
class HeldBack:
    """What the section `corpus` says of validation."""

    validation: Inner | None = None


NONE_HELD = HeldBack()


@dataclass(frozen=True)
class SamplePlan(Reducer):
    """Solves k_b per split and bucket for the token quotas of the mixture."""

    max_copies: Annotated[int, Range(1, 1_000_000)] = (
        4  # of one document; "To Repeat or Not To Repeat": up to about 4 epochs cost nothing
    )
    phases: tuple[PhaseSection, ...] = ()  # not a key of this section: the list `phases`
    held_back: HeldBack = NONE_HELD  # not a key of this section: corpus.validation
    name: ClassVar = "sample"
    version: ClassVar = 3
    reads: ClassVar[Reads] = {
        "ingest": ("text_bytes", "source"),
        "ingest.tokens": ("token_count",),
        "domain.bucket": ("bucket",),
        "quadmix": ("sampling_value",),
    }
    needs: ClassVar = ("mixture",)
    borrowed: ClassVar = {"phases": ("phases",), "held_back": ("corpus",)}

    def __post_init__(self) -> None:
        check_names(self.phases)

    @property
    def splits(self) -> tuple[str, ...]:
        return split_names([p.name for p in self.phases], self.held_back.validation)

    def mentions(self) -> dict[str, tuple[str, Sequence[str]]]:
        weights: dict[str, tuple[str, Sequence[str]]] = {
            f"phase {p.name}: weights": ("bucket", given_buckets(p)) for p in self.phases if p.weights
        }
        return weights | {f"phase {p.name}: sources": ("source", p.sources) for p in self.phases if p.sources}

    @property
    def passes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        if not self.phases:
            return ("sizes", "turns", "near")
        validation = ("validation",) if self.held_back.validation else ()
        return ("cells", "ends", "sizes", "turns", "near", *validation)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        """Sizes of the buckets; small buckets as they are and histograms of the others; what lies near their cuts."""
        if self.phases:
            return self._phased(corpus).take(name, (b for b in corpus.batches(phased.COLUMNS) if b.height), known)
        share = self.held_back.validation or 0.0
        batches = (filling.prepared(batch, share) for batch in corpus.batches(filling.COLUMNS))
        return filling.take(name, batches, known, self.max_copies)

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        """Raises DataError where no document has come this far."""
        joined = self._phased(corpus).join(name, list(taken), known) if self.phases else filling.join(name, list(taken))
        if name == self.passes[0] and joined[name].is_empty():
            raise DataError(NO_DOCUMENTS)
        if name != "turns" or self.phases:
            return joined
        asked, budget = self._asked(corpus)
        return {**joined, "windows": filling.windows(asked, budget, {**known, **joined}, self.max_copies)}

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        """Raises InfeasibleError where the documents with all their copies are fewer tokens than the budget."""
        if self.phases:
            self._finish_phases(known, corpus, out)
            return
        asked, budget = self._asked(corpus)
        filled, limited = filling.filled(asked, budget, known, self.max_copies)
        plan = self.split_plan(filled, TRAIN, asked, budget, limited)
        splits: dict[str, object] = {TRAIN: plan.quotas}
        if self.held_back.validation:
            splits[VALIDATION] = filling.held_out(known, {b: f.k for b, f in filled.items()})
        division = Division((TRAIN,), self.held_back.validation or 0.0, {}, frozenset(), {})
        self._write(out, splits, division, [plan])

    def _asked(self, corpus: Corpus) -> tuple[dict[str, float], int]:
        """Tokens that training asks of every bucket, and the budget."""
        mixture = json.loads((corpus.artifacts["mixture"] / WEIGHTS).read_text(encoding="utf-8"))
        budget = mixture["budget_tokens"]
        return {r["bucket"]: r["weight"] * budget for r in mixture["buckets"] if r["weight"] > 0}, budget

    def _phased(self, corpus: Corpus) -> Phased:
        mixture = json.loads((corpus.artifacts["mixture"] / WEIGHTS).read_text(encoding="utf-8"))
        rows = {row["bucket"]: row for row in mixture["buckets"]}
        weights = {p.name: weights_of(p, rows) for p in self.phases}
        return Phased(self.phases, weights, self.held_back.validation or 0.0, self.max_copies)

    def _finish_phases(self, known: Tables, corpus: Corpus, out: Path) -> None:
        passes = self._phased(corpus)
        plans, splits = [], {}
        for phase in self.phases:
            before = f"{phase.name}/"
            filled, limited = passes.filled(phase, known)
            mine = {b.removeprefix(before): f for b, f in filled.items()}
            asked = {b.removeprefix(before): tokens for b, tokens in passes.asked(phase).items()}
            few = {b.removeprefix(before) for b in limited}
            plans.append(self.split_plan(mine, phase.name, asked, phase.budget_tokens, few))
            splits[phase.name] = plans[-1].quotas
        if self.held_back.validation:
            splits[VALIDATION] = known["validation"].row(0, named=True)
        self._write(out, splits, passes.division(known), plans)

    def _write(self, out: Path, splits: Mapping[str, object], division: Division, plans: Sequence["SplitPlan"]) -> None:
        document = {"splits": splits, "max_copies": self.max_copies, "division": division.as_json()}
        (out / QUOTAS).write_text(json.dumps(document, indent=1, sort_keys=True))
        if notes := [note for plan in plans for note in plan.notes]:
            write_notes(out, *notes)
        write_parquet(out / ADJUSTED, pl.concat([p.adjusted for p in plans]).sort("split", "doc_id").to_arrow())

    def split_plan(
        self, filled: Mapping[str, Filled], split: str, asked: Mapping[str, float], budget: int, limited: set[str]
    ) -> "SplitPlan":
        """Raises InfeasibleError where the documents with all their copies are fewer tokens than the budget."""
        total = sum(f.tokens for f in filled.values())
        name = "the corpus" if split == TRAIN else f"phase {split}"
        room = self.max_copies * sum(f.available for f in filled.values())
        if total < (1 - PROMISE) * budget and room < budget:
            raise InfeasibleError(
                f"{name} would hold {total:,} of {budget:,} tokens with at most {self.max_copies} "
                "copies of each document; raise sample.max_copies, or lower mixture.max_epochs or the budget"
            )
        buckets = {
            b: {"k": f.k, "asked_tokens": asked[b], "written_tokens": f.tokens, "limited": b in limited}
            for b, f in filled.items()
        }
        frames = [f.exact.select("doc_id", pl.lit(split).alias("split"), "copies_n") for f in filled.values()]
        empty = pl.DataFrame(schema={"doc_id": pl.String, "split": pl.String, "copies_n": pl.Int64})
        sums = {"rows": sum(f.rows for f in filled.values()), "bytes": sum(f.bytes for f in filled.values())}
        notes = [*missed(name, filled, asked, budget), *repeated(name, filled.values())]
        quotas = {"buckets": buckets, "budget_tokens": budget, "tokens": total, **sums}
        return SplitPlan(quotas, pl.concat([empty, *frames]), notes)

    def papers(self, run: Finished) -> dict[str, object]:
        """mixture/weights.json: what the mixture wrote, with what the corpus holds of every bucket; and, with phases,
        mixture/phases.json, the same of each."""
        mixture = json.loads((run.artifact("mixture") / WEIGHTS).read_text(encoding="utf-8"))
        splits = json.loads((run.artifact("sample") / QUOTAS).read_text(encoding="utf-8"))["splits"]
        quotas = {} if self.phases else splits[TRAIN]["buckets"]
        tokens = run.written("bucket")
        total = sum(tokens.values())
        rows = []
        for row in mixture["buckets"]:
            written = tokens.get(row["bucket"], 0)
            rows.append(
                {
                    **row,
                    # Too few or too large documents for the quota: the others share what it could not hold.
                    "limited": quotas.get(row["bucket"], {}).get("limited", False),
                    "achieved_tokens": written,
                    "achieved_share": round(written / total, 6) if total else 0.0,
                    "epochs": round(written / row["available_tokens"], 4) if row["available_tokens"] else 0.0,
                }
            )
        papers: dict[str, object] = {f"mixture/{WEIGHTS}": {**mixture, "buckets": rows, "achieved_tokens": total}}
        if self.phases:
            papers["mixture/phases.json"] = {"phases": [self.phase_paper(p, splits[p.name], run) for p in self.phases]}
        return papers

    def phase_paper(self, phase: PhaseSection, quotas: Mapping, run: Finished) -> dict[str, object]:
        tokens = run.written("bucket", phase.name)
        total = sum(tokens.values())
        buckets = [
            {
                "bucket": bucket,
                "weight": round(row["asked_tokens"] / phase.budget_tokens, 6),
                "limited": row["limited"],
                "achieved_tokens": tokens.get(bucket, 0),
                "achieved_share": round(tokens.get(bucket, 0) / total, 6) if total else 0.0,
            }
            for bucket, row in sorted(quotas["buckets"].items())
        ]
        about = {"name": phase.name, "budget_tokens": phase.budget_tokens, "reuse": phase.reuse}
        return {**about, "achieved_tokens": total, "buckets": buckets}

    def tell(self, run: Finished) -> Told:
        path = run.artifact("sample") / QUOTAS
        if not path.is_file() or self.splits == (TRAIN,):
            return Told()
        splits = json.loads(path.read_text(encoding="utf-8"))["splits"]
        card = ["## Splits", "", "| split | rows | tokens | budget | files |", "|---|--:|--:|--:|---|"]
        summary = []
        for name in self.splits:
            row = splits[name]
            budget = f"{row['budget_tokens']:,}" if "budget_tokens" in row else ""
            where = "" if name == TRAIN else f"{name}/"
            card.append(f"| {name} | {row['rows']:,} | {row['tokens']:,} | {budget} | `{where}` |")
            if name != TRAIN:
                summary.append((name, f"{plural(row['rows'], 'row')}, {row['tokens']:,} tokens in corpus/{name}"))
        if self.held_back.validation:
            share = f"{self.held_back.validation:.3%}"
            card += ["", f"`{VALIDATION}` holds {share} of the documents, once each; training has none of them."]
        shared = [p.name for p in self.phases if p.reuse]
        if self.phases:
            but = f", except in {', '.join(shared)}, which may hold documents of the others" if shared else ""
            card += ["", f"No document is in two phases{but}."]
        return Told(card=(*card, ""), summary=tuple(summary))

    def complaints(self, run: Finished) -> list[str]:
        """Buckets whose share of the corpus is not the one in weights.json, or not the weight for no stated reason."""
        rows = read_state(run.root / "mixture" / WEIGHTS, "buckets")["buckets"]
        found = unlike(rows, run.written("bucket"), "", judge=not self.phases)
        if self.phases:
            for phase in read_state(run.root / "mixture" / "phases.json", "phases")["phases"]:
                tokens = run.written("bucket", phase["name"])
                found += unlike(phase["buckets"], tokens, f"phase {phase['name']}: ", judge=True)
        return found


def unlike(rows: Sequence[Mapping], tokens: Mapping[object, int], where: str, judge: bool) -> list[str]:
    """Buckets that do not hold what `rows` say they do or, to `judge`, what their weights ask for."""
    total = sum(tokens.values())
    found = []
    for row in rows:
        share = tokens.get(row["bucket"], 0) / total if total else 0.0
        if abs(share - row["achieved_share"]) > 1e-6:
            found.append(f"{where}bucket {row['bucket']} holds {share:.4f} of the tokens, weights.json says otherwise")
        explained = row.get("capped") or any(r["limited"] for r in rows)
        if judge and abs(share - row["weight"]) > PROMISE and not explained:
            found.append(
                f"{where}bucket {row['bucket']} holds {share:.4f} of the tokens, its weight is {row['weight']:.4f}"
            )
    return found


@dataclass(frozen=True, eq=False)
class SplitPlan:
    """Quotas of a split as they are stored; documents whose copies differ from what their scale says; notes."""

    quotas: dict[str, object]
    adjusted: pl.DataFrame
    notes: list[str]


def missed(name: str, filled: Mapping[str, Filled], asked: Mapping[str, float], budget: float) -> Iterator[str]:
    """Says so where documents are too large for what is asked, and the corpus is smaller (or larger) for it."""
    total = sum(f.tokens for f in filled.values())
    if abs(total - budget) <= PROMISE * budget:
        return
    small = [b for b, f in filled.items() if f.shortest > asked[b]]
    few = f": {', '.join(small[:SHOWN])}{', ...' if len(small) > SHOWN else ''}" if small else ""
    yield (
        f"sample: {name} holds {total:,} of {budget:,} tokens; {len(small)} of {len(filled)} buckets are to give "
        f"fewer tokens than their shortest document has{few}"
    )


def repeated(name: str, filled: Collection[Filled]) -> Iterator[str]:
    """Says so where the budget is met by writing the same documents again and again."""
    of = "" if name == "the corpus" else f" of {name}"
    documents, distinct, total = (sum(getattr(f, n) for f in filled) for n in ("documents", "distinct", "tokens"))
    if distinct and total / distinct >= REPEATED:
        yield (
            f"sample: the budget{of} is met by repetition: {documents:,} documents of {distinct:,} tokens are written "
            f"{total / distinct:.1f} times each on average; give more input, or lower mixture.budget_tokens"
        )
