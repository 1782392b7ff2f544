"""The laws of design.md and style.md, over every stage of the standard recipe, on the batches of a small real run.

A stage that joins the recipe is covered without a line here.
"""

import ast
import inspect
import json
import os
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import MISSING, FrozenInstanceError, fields, is_dataclass, replace
from importlib.util import find_spec
from pathlib import Path
from typing import get_args, get_type_hints

import numpy as np
import polars as pl
import pyarrow as pa
import pytest

from frames import HOSTILE, exchanged
from gristmill.pipeline.books.ledger import books
from gristmill.pipeline.books.sums import ENDED, MEANS, VALUES, read_sums, sums_of
from gristmill.pipeline.contract.columns import COLUMNS, REJECTED, arrow_schema
from gristmill.pipeline.contract.corpus.splits import numbered
from gristmill.pipeline.contract.drawing.told import MEAN_PARTS
from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.contract.shapes import Annotator, Gate, Grouping, Reducer, Sink, Source, Stage
from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.pipeline.docs import field_notes
from gristmill.pipeline.plan.identity import digest_folder, fingerprint, freeze, thaw
from gristmill.pipeline.plan.plan import Phase, load_plan
from gristmill.pipeline.plan.steps import kind_of
from gristmill.pipeline.run.phases.exchange import Sort
from gristmill.pipeline.run.shards import records as shard_records
from gristmill.pipeline.run.store import read_parquet
from gristmill.pipeline.run.view import RunView
from gristmill.stages.mixture.rates.rule import Copying, ParameterSection
from lawrun import LawRun, chunks, corpus, execute, law_recipe, shuffled, table_of, thinned, values
from places import SOURCE

STAGES = law_recipe("unused").stages
HOSTILE_TEXTS = [
    *HOSTILE,
    "\n",
    "\n" * 100_000,
    "\t\u00a0\u2003\u3000",
    "-" * 3000,
    "?!\u2026\u3002\u061f",
    "\U000f0000\ue000",
    "\u2028\u2029",
    "e" + "\u0301" * 5000,
    "👨🏽\u200d🚀" * 200,
    "\u202eright to left\u202c \u200f",
    "a\n" * 50_000,
    "ไทย中文 mixed עברית العربية हिन्दी 한국어 ",
    "{" * 2000 + "}" * 2000,
    "http://" + "a" * 5000,
]
# Settings under which a stage works in another way, beside those of the run.
VARIANTS = {
    "clean": [
        {"end_marks": "c4", "min_words": 3},
        {"end_marks": "any", "languages": None},
        {"end_marks": "c4", "min_words": 3, "languages": None, "unit": "sentence"},
    ],
    "signals": [{"words": "whitespace"}, *([{"icu": 78}] if find_spec("icu4py") else [])],
    "domain.bucket": [{"by": by} for by in ("domain", "language", "dump", "source")],
    "domain": [{"min_prob": 0.5}],
}
# The published searches beside the run's own, and QuaDMix's parameters by a sample of the scores; some seconds each.
SLOW_VARIANTS = {
    "mixture": [
        *({"method": m} for m in ("climb", "regmix", "bayes", "natural")),
        *(
            {"mode": m, "parameters": ParameterSection(runs=60), "copying": Copying(sample_docs=15)}
            for m in ("both", "quadmix")
        ),
    ]
}
# A limit can be set only where its rule is in force.
LOOSENED_WITH = {"gates": {"presets": ("gopher", "c4", "fineweb", "redpajama")}}


def of_kind(kind: str, variants: dict[str, list[dict]] | None = None, marks: Sequence = ()) -> list:
    """pytest parameters: the recipe's stages of a kind, and their variants."""
    stages = [s for s in STAGES if kind_of(s) == kind]
    plain = [pytest.param(s, id=s.name) for s in stages]
    for s in stages:
        for v in (variants or {}).get(s.name, []):
            label = ",".join(str(value) for value in v.values() if not is_dataclass(value))
            plain.append(pytest.param(replace(s, **v), id=f"{s.name}[{label}]", marks=marks))
    return plain


ANNOTATORS = of_kind("annotator", VARIANTS)
GATES = of_kind("gate")
REDUCERS = of_kind("reducer")
EVERY = [pytest.param(s, id=f"{kind_of(s)}-{s.name}") for s in STAGES]


@pytest.fixture(scope="session")
def sample(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("law-input")
    write_sample_data(folder, shards=3, max_docs=500)
    return folder


@pytest.fixture(scope="session")
def run(sample: Path, tmp_path_factory: pytest.TempPathFactory) -> LawRun:
    store = execute(law_recipe(f"{sample}/*.warc.gz"), tmp_path_factory.mktemp("law-run"))
    return LawRun(store, load_plan(store.root / "plan.json"))


# --- every stage ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", EVERY)
def test_stage_is_a_frozen_dataclass_of_plain_documented_fields(stage: Stage):
    assert is_dataclass(stage)
    notes = field_notes(type(stage))
    for f in fields(stage):
        with pytest.raises(FrozenInstanceError):
            setattr(stage, f.name, None)
        assert f.default is not MISSING or f.default_factory is not MISSING, f"{f.name} has no default"
        assert notes.get(f.name), f"{stage.name}.{f.name} has no comment that says what it means"
    assert inspect.cleandoc(type(stage).__doc__ or "")


@pytest.mark.parametrize("stage", EVERY)
def test_stage_frozen_and_thawed_is_equal_with_an_equal_fingerprint(stage: Stage):
    frozen = json.loads(json.dumps(freeze(stage)))
    again = thaw(frozen)
    assert again == stage
    assert type(again) is type(stage)
    assert fingerprint(again) == fingerprint(stage)


@pytest.mark.parametrize("stage", EVERY)
def test_stage_declares_known_columns_and_rules(stage: Stage):
    assert isinstance(stage.version, int)
    assert stage.version >= 1
    for dataset, columns in getattr(stage, "reads", {}).items():
        assert dataset
        assert set(columns) <= set(COLUMNS), dataset
    writes, rules = getattr(stage, "writes", ()), getattr(stage, "rules", ())
    assert set(writes) <= set(COLUMNS)
    assert len(set(writes)) == len(writes)
    assert len(set(rules)) == len(rules)


@pytest.fixture(scope="module")
def fingerprints_elsewhere() -> dict[str, dict[str, str]]:
    """PYTHONHASHSEED -> stage -> fingerprint, as other processes see them."""
    code = (
        "import json, sys\n"
        "from gristmill.pipeline.plan.identity import fingerprint, thaw\n"
        "print(json.dumps([fingerprint(thaw(s)) for s in json.load(sys.stdin)]))"
    )
    frozen = json.dumps([freeze(s) for s in STAGES])
    seen = {}
    for seed in ("1", "4242"):
        environment = {**os.environ, "PYTHONPATH": str(SOURCE), "PYTHONHASHSEED": seed}
        done = subprocess.run(
            [sys.executable, "-c", code], input=frozen, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stderr
        seen[seed] = {f"{kind_of(s)}-{s.name}": p for s, p in zip(STAGES, json.loads(done.stdout), strict=True)}
    return seen


@pytest.mark.parametrize("stage", EVERY)
def test_fingerprint_is_the_same_in_every_process(stage: Stage, fingerprints_elsewhere: dict[str, dict[str, str]]):
    key = f"{kind_of(stage)}-{stage.name}"
    assert {seen[key] for seen in fingerprints_elsewhere.values()} == {fingerprint(stage)}


def test_fingerprints_of_different_stages_differ():
    assert len({fingerprint(s) for s in STAGES}) == len(STAGES)


# --- annotators ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", ANNOTATORS)
def test_annotator_any_splitting_and_order_gives_the_same_values(run: LawRun, stage: Annotator):
    batch = run.batch(stage)
    assert batch.height > 100
    annotate = stage.open(run.artifacts(stage))
    frame = annotate(batch)
    assert frame["doc_id"].equals(batch["doc_id"])
    whole = table_of(stage, frame)
    assert whole.schema.equals(arrow_schema(["doc_id", *stage.writes]))
    expected = dict(zip(whole["doc_id"].to_pylist(), values(whole), strict=True))
    if stage in STAGES:
        assert values(run.stored(stage)) == list(expected.values())

    few = thinned(batch, 40)
    ways = {
        "one row": chunks(few, [1]),
        "odd chunks": chunks(batch, [3, 1, 17, 2, 64, 5]),
        "reversed": iter([batch.reverse()]),
        "shuffled": chunks(shuffled(batch, 1), [29]),
        "every row twice, apart": iter([pl.concat([few, few])]),
    }
    for way, pieces in ways.items():
        for piece in pieces:
            table = table_of(stage, annotate(piece))
            assert table["doc_id"].to_pylist() == piece["doc_id"].to_list(), way
            assert values(table) == [expected[i] for i in piece["doc_id"]], way


@pytest.mark.parametrize("stage", ANNOTATORS)
def test_annotator_opened_twice_gives_equal_results_and_leaves_its_batch_alone(run: LawRun, stage: Annotator):
    batch = thinned(run.batch(stage), 60)
    before = batch.clone()
    first = table_of(stage, stage.open(run.artifacts(stage))(batch))
    second = table_of(stage, stage.open(run.artifacts(stage))(batch))
    assert values(first) == values(second)
    assert batch.equals(before)
    assert batch.schema == before.schema


@pytest.mark.parametrize("stage", ANNOTATORS)
def test_annotator_empty_batch_keeps_the_schema(run: LawRun, stage: Annotator):
    frame = stage.open(run.artifacts(stage))(run.batch(stage).clear())
    table = table_of(stage, frame)
    assert table.num_rows == 0
    assert table.schema.equals(arrow_schema(["doc_id", *stage.writes]))
    # Concatenating parts, or rows that came back, needs the frame's own types to agree too.
    full = stage.open(run.artifacts(stage))(thinned(run.batch(stage), 5))
    assert frame.select(full.columns).schema == full.schema


# Columns that hold whatever the web says; `bucket` and the like hold words of a closed set, which no text can leave.
FREE = ("text", "title", "url", "rights_text", "license_declared", "html_lang")


def hostile_batch(batch: pl.DataFrame, others: str) -> pl.DataFrame:
    """A row per hostile text. The other columns are those of real rows, null, or hostile too where they can be."""
    n = len(HOSTILE_TEXTS)
    rows = batch[[i % batch.height for i in range(n)]]
    if others == "null":
        rows = rows.with_columns(pl.lit(None, dtype=t).alias(c) for c, t in rows.schema.items() if c != "doc_id")
    free = [c for c in rows.columns if c in (FREE if others == "hostile" else ("text",))]
    texts = pl.Series(HOSTILE_TEXTS, dtype=pl.String)
    ids = pl.Series("doc_id", [f"hostile-{i:03d}" for i in range(n)])
    return rows.with_columns(ids, *(texts.alias(c) for c in free)).select(batch.columns)


def verdict(act: Callable[[], pa.Table]) -> tuple[pa.Table | None, str]:
    """The table, or what the stage says against its input."""
    try:
        return act(), ""
    except GristmillError as error:
        return None, str(error)


@pytest.mark.parametrize("others", ["real", "hostile"])
@pytest.mark.parametrize("stage", ANNOTATORS)
def test_annotator_hostile_texts_never_crash(run: LawRun, stage: Annotator, others: str):
    batch = hostile_batch(run.batch(stage), others)
    annotate = stage.open(run.artifacts(stage))
    whole = table_of(stage, annotate(batch))
    assert whole["doc_id"].to_pylist() == batch["doc_id"].to_list()
    alone = [table_of(stage, annotate(piece)) for piece in chunks(batch, [1])]
    assert values(pa.concat_tables(alone)) == values(whole)
    for name in stage.writes:
        if pa.types.is_floating(whole.schema.field(name).type):
            assert np.isfinite(whole[name].drop_null().to_numpy()).all(), name


@pytest.mark.parametrize("stage", ANNOTATORS)
def test_annotator_null_columns_are_taken_or_named(run: LawRun, stage: Annotator):
    """Texts that are hostile or null; where an earlier stage never writes a null, an error that names the column."""
    annotate = stage.open(run.artifacts(stage))
    columns = [c for names in stage.reads.values() for c in names]
    hostile = hostile_batch(run.batch(stage), "null")
    few = thinned(run.batch(stage), 5)
    alone = [few.with_columns(pl.lit(None, dtype=few.schema[c]).alias(c)) for c in columns]
    for batch in (hostile, *alone):
        table, said = verdict(lambda batch=batch: table_of(stage, annotate(batch)))
        if table is None:
            assert any(c in said for c in columns), said
            assert "text" not in columns, said
        else:
            assert table["doc_id"].to_pylist() == batch["doc_id"].to_list()


# --- gates ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stage", GATES)
def test_gate_decides_row_by_row_by_declared_rules_only(run: LawRun, stage: Gate):
    batch = run.batch(stage)
    assert batch.height > 100
    decision = stage.decide(batch)
    assert decision.dtype == pl.String
    assert decision.len() == batch.height
    assert set(decision.drop_nulls()) <= set(stage.rules)
    assert decision.to_list() == run.stored(stage)["rule"].to_pylist()
    for pieces in (chunks(batch, [1, 37, 2]), chunks(batch, [101])):
        assert pl.concat([stage.decide(piece) for piece in pieces]).to_list() == decision.to_list()
    backwards = stage.decide(batch.reverse())
    assert backwards.to_list()[::-1] == decision.to_list()


@pytest.mark.parametrize("stage", GATES)
def test_gate_empty_batch_gives_no_decision(run: LawRun, stage: Gate):
    decision = stage.decide(run.batch(stage).clear())
    assert decision.dtype == pl.String
    assert decision.len() == 0


@pytest.mark.parametrize("stage", GATES)
def test_gate_null_columns_do_not_crash(run: LawRun, stage: Gate):
    batch = thinned(run.batch(stage), 30)
    columns = [c for c in batch.columns if c != "doc_id"]
    for names in [columns, *([c] for c in columns)]:
        nulls = batch.with_columns(pl.lit(None, dtype=batch.schema[c]).alias(c) for c in names)
        decision = stage.decide(nulls)
        assert decision.len() == batch.height
        assert set(decision.drop_nulls()) <= set(stage.rules)


def limits() -> list:
    """(gate, name of a numeric limit) of every gate."""
    found = []
    for stage in (s for s in STAGES if kind_of(s) == "gate"):
        hints = get_type_hints(type(stage))
        for f in fields(stage):
            kinds = set(get_args(hints[f.name])) or {hints[f.name]}
            if f.name.startswith(("min_", "max_")) and kinds <= {int, float, type(None)}:
                found.append(pytest.param(stage, f.name, id=f"{stage.name}-{f.name}"))
    return found


def ladder(stage: Gate, name: str) -> list[Gate]:
    """The gate with one limit from tightest to loosest, off (None) last; values that the gate refuses left out."""
    whole = int in (get_args(get_type_hints(type(stage))[name]) or (get_type_hints(type(stage))[name],))
    now = getattr(stage, name)
    scale = (0, 1, 2, 3, 5, 10, 50, 300, 2000, 100_000) if whole else (0.0, 0.01, 0.1, 0.3, 0.6, 0.9, 1.0, 3.0, 10.0)
    rungs = sorted({*scale, *((now,) if now is not None else ())}, reverse=name.startswith("min_"))
    made = []
    for value in [*rungs, None]:
        try:
            made.append(replace(stage, **LOOSENED_WITH.get(stage.name, {}), **{name: value}))
        except ConfigError:
            continue
        except TypeError:  # no None for this limit
            continue
    return made


@pytest.mark.parametrize(("stage", "name"), limits())
def test_gate_looser_limit_never_drops_more(run: LawRun, stage: Gate, name: str):
    batch = run.batch(stage)
    gates = ladder(stage, name)
    assert len(gates) >= 4
    kept = [gate.decide(batch).is_null() for gate in gates]
    for tighter, looser, gate in zip(kept, kept[1:], gates[1:], strict=False):
        assert (looser | ~tighter).all(), f"{name}={getattr(gate, name)} drops what a tighter limit kept"


# --- reducers ------------------------------------------------------------------------------------------------------


def reduced(stage: Reducer, run: LawRun, bundles: Sequence[Sequence[pl.DataFrame]], out: Path) -> str:
    """Digest of the files that the reducer leaves of bundles of batches, pass by pass."""
    out.mkdir()
    if len(bundles) == 1:
        stage.run(corpus(run, stage, bundles[0]), out)
    else:
        none, known = corpus(run, stage, ()), {}
        for name in stage.passes:
            tables = [stage.take(name, corpus(run, stage, frames), known) for frames in bundles]
            known |= stage.join(name, iter(tables), none, known)
        stage.finish(known, none, out)
    assert any(out.iterdir())
    return digest_folder(out)


def check_reducer(run: LawRun, stage: Reducer, folder: Path) -> str:
    parts = run.parts(stage)
    assert len(parts) == 3
    everything = pl.concat(parts)
    odd = [piece for chunk in chunks(shuffled(everything, 7), [1, 40, 3, 90]) for piece in (chunk, everything.clear())]
    ways: dict[str, Sequence[pl.DataFrame]] = {
        "as stored": parts,
        "batches reversed": parts[::-1],
        "one batch": [everything],
        "rows shuffled, odd batches, empty ones between": odd,
    }
    bundles = {way: [frames] for way, frames in ways.items()}
    if stage.passes:
        bundles |= {"odd bundles": [odd[5:], odd[:2], odd[2:5]], "a bundle per part": [[part] for part in parts[::-1]]}
    digests = {way: reduced(stage, run, frames, folder / str(i)) for i, (way, frames) in enumerate(bundles.items())}
    assert len(set(digests.values())) == 1, digests
    return digests["as stored"]


@pytest.mark.parametrize("stage", REDUCERS)
def test_reducer_same_bytes_in_any_order_and_splitting(run: LawRun, stage: Reducer, tmp_path: Path):
    receipt = run.store.artifact_receipt(stage.name)
    assert receipt is not None
    assert check_reducer(run, stage, tmp_path) == receipt.content


@pytest.mark.slow
@pytest.mark.parametrize("stage", of_kind("reducer", SLOW_VARIANTS)[len(REDUCERS) :])
def test_reducer_in_its_other_ways_same_bytes(run: LawRun, stage: Reducer, tmp_path: Path):
    check_reducer(run, stage, tmp_path)


def readers_open(run: LawRun, stage: Reducer, out: Path) -> None:
    """Every annotator that needs this artifact alone takes the one in `out`, or says what is wrong with it."""
    for reader in STAGES:
        if kind_of(reader) == "annotator" and reader.needs == (stage.name,):  # pyright: ignore
            batch = run.batch(reader)[:1]
            table, said = verdict(lambda r=reader, b=batch: table_of(r, r.open({stage.name: out})(b)))  # pyright: ignore
            assert said or (table is not None and table.num_rows == 1)


@pytest.mark.parametrize("documents", [0, 1])
@pytest.mark.parametrize("stage", REDUCERS)
def test_reducer_of_no_or_one_document_makes_an_artifact_or_says_what_is_missing(
    run: LawRun, stage: Reducer, documents: int, tmp_path: Path
):
    everything = run.batch(stage)
    one = everything[:documents]
    ways = [[one], [everything.clear(), one, everything.clear()]] + ([] if documents else [[]])
    ends = []
    for i, frames in enumerate(ways):
        out = tmp_path / str(i)
        try:
            ends.append(reduced(stage, run, [frames], out))
        except GristmillError as error:
            ends.append(str(error))
        else:
            readers_open(run, stage, out)
    assert len(set(ends)) == 1, ends
    assert len(ends[0]) > 20


@pytest.mark.parametrize(
    ("lines", "said"),
    [
        (['{"text": ""}', "no json"], "ingest left no document: 2 records in"),
        (
            ['{"text": "One document alone, of a few words."}'],
            "gates left no document: 1 documents in, dropped by too_few_words 1",
        ),
    ],
)
def test_recipe_on_next_to_nothing_ends_with_what_is_missing(tmp_path: Path, lines: list[str], said: str):
    (tmp_path / "in.jsonl").write_text("\n".join(lines))
    recipe = law_recipe(str(tmp_path / "in.jsonl"))
    with pytest.raises(GristmillError, match=said):
        execute(recipe, tmp_path / "run")


# --- groupings -----------------------------------------------------------------------------------------------------


GROUPINGS = of_kind("grouping")


def extra_of(run: LawRun, stage: Grouping) -> pl.DataFrame | None:
    """Documents that no part holds, with what earlier groupings gave them."""
    return Sort(RunView(run.store, run.plan), Phase("sort", (replace(run.step(stage), stage=stage),))).extra()


@pytest.mark.parametrize("stage", GROUPINGS)
def test_grouping_same_columns_for_any_order_bundles_partitions_and_memory(
    run: LawRun, stage: Grouping, tmp_path: Path
):
    parts, extra = run.parts(stage), extra_of(run, stage)
    everything = pl.concat(parts)
    odd = [piece for chunk in chunks(shuffled(everything, 7), [1, 40, 3, 90]) for piece in (chunk, everything.clear())]
    ways: list[tuple[list, int, int]] = [
        ([parts], 1, 1 << 30),
        ([[p] for p in parts[::-1]], 4, 1 << 30),
        ([odd[:5], [], odd[5:]], 64, 1 << 30),
        ([[everything]], 1, 1 << 16),  # beyond memory: spilled, and gathered a few keys at a time
    ]
    for i, (bundles, partitions, memory) in enumerate(ways):
        (tmp_path / str(i)).mkdir()
        written, _ = exchanged(stage, bundles, tmp_path / str(i), extra, partitions, memory)
        table = table_of(stage, pl.concat(written).sort("doc_id"))
        assert values(table) == values(run.stored(stage).sort_by("doc_id")), i


@pytest.mark.parametrize("stage", GROUPINGS)
def test_grouping_of_no_or_one_document_keeps_its_schema(run: LawRun, stage: Grouping, tmp_path: Path):
    for n in (0, 1):
        (tmp_path / str(n)).mkdir()
        (written,), _ = exchanged(stage, [[run.batch(stage)[:n]]], tmp_path / str(n), extra_of(run, stage))
        table = table_of(stage, written)
        assert table.schema.equals(arrow_schema(["doc_id", *stage.writes]))
        assert table.num_rows == n


# --- source and sink -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="session")
def source(sample: Path) -> Source:
    (found,) = [s for s in law_recipe(f"{sample}/*.warc.gz").stages if kind_of(s) == "source"]
    return found  # pyright: ignore[reportReturnType]


def test_source_two_runs_are_equal_and_declared(source: Source):
    parts = source.parts()
    assert parts == source.parts()
    assert [p.key for p in parts] == sorted(p.key for p in parts)
    documents, rejected = source.run(parts[0])
    table = table_of(source, documents)
    assert rejected.to_arrow().cast(REJECTED).schema.equals(REJECTED)
    again, rejected_again = source.run(parts[0])
    assert values(table_of(source, again)) == values(table)
    assert rejected_again.equals(rejected)
    assert set(rejected["rule"]) <= set(source.rules)
    assert documents["doc_id"].n_unique() == documents.height
    assert (
        documents.select(pl.col("doc_id", "text", "record_bytes", "text_bytes").null_count()).sum_horizontal()[0] == 0
    )
    assert (documents["text_bytes"] == documents["text"].str.len_bytes()).all()


def test_source_every_record_is_a_document_or_rejected(source: Source, sample: Path):
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    for part in source.parts():
        documents, rejected = source.run(part)
        with open(part.path, "rb") as stream:
            records = sum(1 for _ in ArchiveIterator(stream, record_types=WarcRecordType.any_type, parse_http=False))
        assert documents.height + rejected.height == records > 100


def test_source_parts_of_a_file_together_are_the_file(source: Source):
    small = replace(source, part_bytes=60_000)  # pyright: ignore
    whole = {p.path: source.run(p) for p in source.parts()}
    split: dict[str, list] = {}
    for part in small.parts():
        split.setdefault(part.path, []).append((part.start, small.run(part)))
    assert set(split) == set(whole)
    for path, pieces in split.items():
        assert len(pieces) > 3
        pieces.sort(key=lambda piece: piece[0])
        for side in (0, 1):
            together = pl.concat([frames[side] for _, frames in pieces])
            assert values(together.to_arrow()) == values(whole[path][side].to_arrow())


@pytest.fixture(scope="module")
def sink() -> Sink:
    (found,) = [s for s in STAGES if kind_of(s) == "sink"]
    return found  # pyright: ignore[reportReturnType]


@pytest.mark.parametrize("shards", [1, 3])
def test_sink_same_shards_for_any_splitting(run: LawRun, sink: Sink, shards: int):
    batch = run.batch(sink)
    assert sink.units(run.artifacts(sink)) == numbered(1)
    ways = {
        "parts": run.parts(sink),
        "one batch": [batch],
        "odd batches and empty ones": [*chunks(shuffled(batch, 3), [1, 30, 2]), batch.clear()],
    }
    made: dict[str, list] = {}
    for way, frames in ways.items():
        rows = [sink.scatter(frame, numbered(shards)) for frame in frames]
        assert sum(r.height for r in rows) == batch["copies_n"].sum()
        assert all(r["shard"].is_between(0, shards - 1).all() for r in rows)
        made[way] = [
            values(sink.gather(r.filter(pl.col("shard") == s).drop("shard") for r in rows).to_arrow())
            for s in range(shards)
        ]
    assert made["one batch"] == made["parts"] == made["odd batches and empty ones"]
    copies = [ast.literal_eval(row)["doc_id"] for shard in made["parts"] for row in shard]
    wanted = dict(batch.select("doc_id", "copies_n").iter_rows())
    assert {i: copies.count(i) for i in set(copies)} == {i: n for i, n in wanted.items() if n}


def test_sink_writes_what_the_run_wrote(run: LawRun, sink: Sink):
    rows = [sink.scatter(frame, numbered(1)).drop("shard") for frame in run.parts(sink)]
    (path,) = (run.store.root / "corpus" / "data").glob("*.parquet")
    frame = sink.gather(iter(rows))
    schema = arrow_schema(frame.columns)
    assert values(frame.to_arrow().cast(schema)) == values(read_parquet(path).to_arrow().cast(schema))


def test_sink_shard_without_rows_keeps_the_schema(run: LawRun, sink: Sink):
    full = sink.gather(iter([sink.scatter(frame, numbered(1)).drop("shard") for frame in run.parts(sink)]))
    empty = sink.gather(iter([sink.scatter(frame.clear(), numbered(1)).drop("shard") for frame in run.parts(sink)]))
    assert empty.height == 0
    assert empty.schema == full.schema


# --- what the mixture is measured on ---------------------------------------------------------------------------------


def word_ngrams(text: str, n: int = 13) -> set[tuple[str, ...]]:
    words = re.findall(r"\w+", text.lower())
    return {tuple(words[i : i + n]) for i in range(len(words) - n + 1)}


def test_corpus_shares_no_13_words_with_an_objective_text_beyond_chance(run: LawRun):
    """More than two different 13-grams of one text, not counting those that ten documents and more have."""
    held = pl.read_parquet(run.store.artifact("dedup.held_out") / "texts.parquet")
    texts = pl.concat([read_parquet(p, ["doc_id", "text"]) for p in shard_records(run.store)]).unique("doc_id")
    assert held.height >= 4
    assert texts.height > 50
    found = [word_ngrams(text) for text in texts["text"]]
    documents = Counter(gram for grams in found for gram in grams)
    for target in held["text"]:
        grams = {gram for gram in word_ngrams(target) if documents[gram] < 10}
        assert max(len(grams & mine) for mine in found) <= 2
    dropped = sum(e["docs"] for e in books_of(run) if e["rule"] == "objective_text")
    assert dropped > 0  # the law was not kept by chance


def test_what_a_part_s_ledger_says_of_its_records_is_what_they_add_up_to(run: LawRun):
    """Counted here one record at a time."""

    def column(part: str, name: str) -> dict[str, object]:
        dataset = run.plan.writer(name)
        assert dataset is not None
        return dict(run.store.read(dataset, part, (name,)).select("doc_id", name).iter_rows())

    for part in run.plan.parts:
        ended, values, means = Counter(), Counter(), Counter()
        of = {name: column(part.key, name) for name in ("language", "license_tier", "cluster_id", "q_reference")}
        for row in read_parquet(run.store.data("ledger", part.key)).iter_rows(named=True):
            ended[row["stage"], row["rule"]] += row["token_count"] or 0
            for name in ("language", "license_tier"):
                if row["doc_id"] in of[name]:
                    values[name, of[name][row["doc_id"]]] += (row["copies_n"] or 0) * (row["token_count"] or 0)
            if row["doc_id"] in of["cluster_id"] and (score := of["q_reference"][row["doc_id"]]) is not None:
                means[of["cluster_id"][row["doc_id"]]] += round(float(str(score)) * MEAN_PARTS)
        sums = read_sums(run.store, part.key)
        assert {key: counts[3] for key, counts in sums[ENDED].items()} == ended
        assert {
            key: counts[4] for key, counts in sums[VALUES].items() if key[0] in ("language", "license_tier")
        } == values
        assert {key[1]: counts[0] for key, counts in sums[MEANS].items() if key[2] == "q_reference"} == means


def books_of(run: LawRun) -> list[dict]:
    return [
        {"rule": rule, **total}
        for entry in books(run.store, run.plan, sums_of(run.store, run.plan))
        for rule, total in entry["dropped"].items()  # pyright: ignore[reportAttributeAccessIssue]
    ]
