"""Writes the ledger (the stage and rule that ended each record) and sums it to books that must balance per stage.

Per part, `fates` follows the gates and says where each record ended. `books` sums them by stage and checks them
against what the receipts counted while the stages ran: in = out + dropped, and one stage's out is the next one's in.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from gristmill.pipeline.books.splits import splits_of
from gristmill.pipeline.books.sums import ENDED, SPLITS, WRITTEN, Sums
from gristmill.pipeline.contract.errors import BooksError
from gristmill.pipeline.contract.shapes import Part
from gristmill.pipeline.contract.state import DamagedFile, parse_json
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store, read_parquet

# One row per record. `stage`, `rule`: what dropped it; both null: it is in the corpus (or still kept, before sampling).
LEDGER = pa.schema(
    [
        ("doc_id", pa.string()),  # null: the record never became a document
        ("record", pa.int64()),  # rejected records: ordinal or byte offset in the file
        ("url", pa.string()),
        ("stage", pa.string()),
        ("rule", pa.string()),
        ("record_bytes", pa.int64()),
        ("text_bytes", pa.int64()),  # of the text as it was when the record met its fate
        # of text that each replacing stage had cut out of it before, in order; below 0 where it had put more in
        ("cut_bytes", pa.list_(pa.int64())),
        ("token_count", pa.int64()),
        ("copies_n", pa.int64()),
        ("stays_doc_id", pa.string()),  # of a duplicate: the document that stays for it
        ("similarity", pa.float64()),  # ... and how alike they are, in [0, 1]
    ]
)


def fates(
    documents: pl.DataFrame,
    rejected: pl.DataFrame,
    gates: Sequence[tuple[str, pl.DataFrame]],
    tokens: pl.DataFrame | None,
    copies: pl.DataFrame | None,
    source: str,
    replaced: Sequence[tuple[Sequence[str], pl.DataFrame]] = (),
    instead: Sequence[tuple[str, pl.DataFrame]] = (),
) -> pl.DataFrame:
    """LEDGER rows of one part. Raises BooksError when a gate decided on other rows than the one before it kept.

    replaced: per stage that replaces text, the stages whose drops came before it, and text_bytes of its texts.
    instead: per gate that drops a document for another, its label and doc_id, stays_doc_id and similarity.
    """
    fate = documents.with_columns(pl.lit(None, pl.String).alias("stage"), pl.lit(None, pl.String).alias("rule"))
    for label, decision in gates:
        alive = fate.filter(pl.col("stage").is_null())["doc_id"]
        if not alive.equals(decision["doc_id"]):
            raise BooksError(f"{label} decided on {decision.height} rows, {alive.len()} were kept before it")
        broken = decision.drop_nulls("rule").select(
            "doc_id", pl.lit(label).alias("_stage"), pl.col("rule").alias("_rule")
        )
        fate = (
            fate.join(broken, on="doc_id", how="left", maintain_order="left")
            .with_columns(pl.coalesce("stage", "_stage").alias("stage"), pl.coalesce("rule", "_rule").alias("rule"))
            .drop("_stage", "_rule")
        )
    cuts = []
    for i, (before, texts) in enumerate(replaced):
        new = texts.select("doc_id", pl.col("text_bytes").alias("_new"))
        fate = fate.join(new, on="doc_id", how="left", maintain_order="left")
        gone = pl.col("stage").is_in(list(before)).fill_null(False)
        loss = pl.when(gone).then(0).otherwise(pl.col("text_bytes") - pl.col("_new")).cast(pl.Int64)
        fate = fate.with_columns(loss.alias(f"_cut{i}")).with_columns(pl.col("text_bytes") - pl.col(f"_cut{i}"))
        fate = fate.drop("_new")
        cuts.append(f"_cut{i}")
    listed = pl.concat_list(cuts) if cuts else pl.lit([], pl.List(pl.Int64))
    fate = fate.with_columns(listed.alias("cut_bytes")).drop(cuts)
    for extra, name in ((tokens, "token_count"), (copies, "copies_n")):
        if extra is None:
            fate = fate.with_columns(pl.lit(None, pl.Int64).alias(name))
        else:
            fate = fate.join(extra.select("doc_id", name), on="doc_id", how="left", maintain_order="left")
    fate = _with_instead(fate, instead)
    lost = rejected.select(
        pl.lit(None, pl.String).alias("doc_id"),
        "record",
        "url",
        pl.lit(source).alias("stage"),
        "rule",
        "record_bytes",
        pl.lit(0, pl.Int64).alias("text_bytes"),
        pl.lit([], pl.List(pl.Int64)).alias("cut_bytes"),
        pl.lit(0, pl.Int64).alias("token_count"),
        pl.lit(None, pl.Int64).alias("copies_n"),
        pl.lit(None, pl.String).alias("stays_doc_id"),
        pl.lit(None, pl.Float64).alias("similarity"),
    )
    names = LEDGER.names
    return pl.concat([fate.with_columns(pl.lit(None, pl.Int64).alias("record")).select(names), lost.select(names)])


def _with_instead(fate: pl.DataFrame, instead: Sequence[tuple[str, pl.DataFrame]]) -> pl.DataFrame:
    """The fates with the document that stays for each that one of these gates dropped."""
    schema = {"doc_id": pl.String, "stage": pl.String, "stays_doc_id": pl.String, "similarity": pl.Float64}
    known = [frame.with_columns(stage=pl.lit(label)).select(*schema) for label, frame in instead]
    named = pl.concat([pl.DataFrame(schema=schema), *known])
    return fate.join(named, on=["doc_id", "stage"], how="left", maintain_order="left")


# Rules of records that are no pages: an archive's requests and metadata. No document is lost by them.
NO_DOCUMENT = frozenset({"not_a_response"})


@dataclass(frozen=True)
class Total:
    """Documents, bytes and tokens."""

    docs: int = 0
    bytes: int = 0
    tokens: int = 0

    def __add__(self, other: "Total") -> "Total":
        return Total(self.docs + other.docs, self.bytes + other.bytes, self.tokens + other.tokens)


def read_fates(store: Store, plan: Plan, columns: Sequence[str] | None = None) -> Iterator[tuple[str, pl.DataFrame]]:
    """(part key, LEDGER rows) of every part that has them; `columns`: those that are read, None: all."""
    for part in finished_parts(store, plan):
        yield part.key, read_parquet(store.data("ledger", part.key), columns)


def labels(plan: Plan) -> list[str]:
    """Stages of the books, in order: the main stages, and named parts that can drop documents."""
    gates = {s.label for s in plan.steps if s.kind == "gate"}
    flow = [s.label for s in plan.steps if not s.all_rows or s in plan.replacers]
    return list(dict.fromkeys(label for label in flow if "." not in label or label in gates))


def books(store: Store, plan: Plan, sums: Sums) -> list[dict[str, object]]:
    """One entry per stage: {stage, docs_in, docs_out, bytes_in, bytes_out, tokens_in, tokens_out, dropped by rule}.

    sums: of the run's records (`sums.sums_of`).
    Bytes are of text, except that ingest takes in the records' bodies; what extraction takes off kept documents is
    booked there as `markup` with no documents, and what a stage that replaces text cuts out of documents that go on,
    there as `cut_text` (below 0 where it puts in more than it takes). Raises BooksError when anything does not add up.
    """
    ended: dict[str, dict[str, Total]] = {}
    records, documents, markup = Total(), Total(), 0
    cut = dict.fromkeys((s.label for s in plan.replacers), 0)
    for (stage, rule), (docs, record_bytes, text_bytes, tokens, *cuts) in sums.get(ENDED, {}).items():
        rejected = stage == plan.source.label
        total = Total(docs, record_bytes if rejected else text_bytes, tokens)
        records += Total(docs, record_bytes, tokens)
        if not rejected:
            documents += total
            markup += record_bytes - text_bytes - sum(cuts)
            for label, n in zip(cut, cuts, strict=True):
                cut[label] += n
        if stage is not None:
            ended.setdefault(str(stage), {})[str(rule)] = total
    if markup:
        ended.setdefault(plan.source.label, {})["markup"] = Total(0, markup, 0)
    for label, n in cut.items():
        if n:
            ended.setdefault(label, {})["cut_text"] = Total(0, n, 0)
    entries: list[dict[str, object]] = []
    going = records
    for label in labels(plan):
        rules = ended.pop(label, {})
        gone = sum(rules.values(), Total())
        out = Total(going.docs - gone.docs, going.bytes - gone.bytes, going.tokens - gone.tokens)
        entry: dict[str, object] = {
            "stage": label,
            "docs_in": going.docs, "docs_out": out.docs,
            "bytes_in": going.bytes, "bytes_out": out.bytes,
            "tokens_in": going.tokens, "tokens_out": out.tokens,
            "dropped": {rule: vars(t) for rule, t in sorted(rules.items())},
        }  # fmt: skip
        if label == "corpus":
            entry |= dict(zip(("rows", "bytes", "tokens"), sums.get(WRITTEN, {}).get((), (0, 0, 0)), strict=True))
            if splits := splits_of(plan):
                entry["splits"] = {name: split_entry(sums, name) for name in splits}
        check_receipts(store, plan, label, going.docs, out.docs)
        entries.append(entry)
        going = out
    if ended:
        raise BooksError(f"records ended in stages that the plan does not have: {sorted(ended)}")
    if documents.docs != entries[0]["docs_out"]:
        raise BooksError(f"ingest let {entries[0]['docs_out']} documents out, the ledger knows {documents.docs}")
    return entries


def split_entry(sums: Sums, name: str) -> dict[str, int]:
    counts = sums.get(SPLITS, {}).get((name,), (0, 0, 0, 0))
    return dict(zip(("docs", "rows", "bytes", "tokens"), counts, strict=True))


def check_receipts(store: Store, plan: Plan, label: str, docs_in: int, docs_out: int) -> None:
    """The counts that the stage itself wrote down must be those of the ledger."""
    keys = [part.key for part in finished_parts(store, plan)]
    for step in plan.steps:
        if step.label != label or step.all_rows or step.kind in ("reducer", "sink"):
            continue
        receipts = [store.receipt(step.name, key) for key in keys]
        counted_in = sum(r.docs_in for r in receipts if r)
        counted_out = sum(r.docs_out for r in receipts if r)
        expected_in = docs_in
        expected_out = docs_out if step.kind in ("gate", "source") else docs_in
        has_gate = any(s.kind == "gate" and s.label == label for s in plan.steps)
        if step.kind in ("annotator", "grouping") and not has_gate:
            expected_out = docs_out
        if (counted_in, counted_out) != (expected_in, expected_out):
            raise BooksError(
                f"{step.name}: its receipts count {counted_in} in and {counted_out} out, "
                f"the ledger {expected_in} and {expected_out}"
            )


def finished_parts(store: Store, plan: Plan) -> list[Part]:
    """Parts whose fates are written."""
    return [part for part in plan.parts if store.receipt("ledger", part.key) is not None]


ENTRY = {"stage", "docs_in", "docs_out", "bytes_in", "bytes_out", "tokens_in", "tokens_out", "dropped"}


def read_books(store: Store) -> list[dict[str, object]]:
    path = store.root / "ledger.json"
    try:
        entries = parse_json(path.read_text(encoding="utf-8"))
        if isinstance(entries, list) and entries and all(isinstance(e, dict) and set(e) >= ENTRY for e in entries):
            return entries
        raise ValueError("not the books of a run")
    except (OSError, ValueError, RecursionError) as error:
        raise DamagedFile(f"{path} is damaged ({error}); the same gristmill run command makes it again") from None
