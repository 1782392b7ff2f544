"""Phases solved in passes, over bundles of the corpus, are those of a plan that holds all documents."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import sample_twin

from frames import FakeCorpus, doc_id
from gristmill.pipeline.contract.errors import DataError
from gristmill.stages.sample import Sample, SamplePlan, solving, turns
from gristmill.stages.sample.plan import HeldBack
from gristmill.stages.sample.schedule import PhaseSection

N = 3000
PHASES = {
    "plain": (PhaseSection("early", 60_000), PhaseSection("late", 30_000, weights={"b0": 0.8, "b1": 0.2})),
    "sources": (
        PhaseSection("early", 60_000, sources=("web", "wiki")),
        PhaseSection("late", 20_000, sources=("wiki",), mixture="natural"),
        PhaseSection("again", 10_000, weights={"b2": 1.0}, reuse=True),
    ),
    "one": (PhaseSection("only", 60_000),),
}


def documents() -> pl.DataFrame:
    rng = np.random.default_rng(5)
    return pl.DataFrame(
        {
            "doc_id": [doc_id(f"{i}") for i in range(N)],
            "bucket": [f"b{i}" for i in rng.integers(3, size=N)],
            "source": [("web", "wiki", "code")[i] for i in rng.integers(3, size=N)],
            "token_count": pl.Series(np.round(rng.lognormal(4, 1, N)).astype(int) + 1, dtype=pl.Int64),
            "text_bytes": pl.Series(rng.integers(1, 9000, N), dtype=pl.Int64),
            "sampling_value": rng.gamma(2.0, 0.5, N) + 1e-3,
        }
    )


def in_bundles(stage: SamplePlan, corpora: list[FakeCorpus], out: Path) -> None:
    known: dict[str, pl.DataFrame] = {}
    for name in stage.passes:
        taken = [stage.take(name, corpus, known) for corpus in corpora]
        known |= stage.join(name, iter(taken), corpora[0], known)
    stage.finish(known, corpora[0], out)


@pytest.fixture
def mixture(tmp_path: Path) -> dict[str, Path]:
    rows = [{"bucket": f"b{i}", "weight": w, "natural_share": 1 / 3} for i, w in enumerate((0.2, 0.5, 0.3))]
    (tmp_path / "weights.json").write_text(json.dumps({"buckets": rows, "budget_tokens": 90_000}))
    return {"mixture": tmp_path}


@pytest.mark.parametrize("validation", [None, 0.1])
@pytest.mark.parametrize("which", PHASES)
def test_phases_in_passes_are_as_if_all_were_held(tmp_path, monkeypatch, mixture, which, validation):
    docs, phases = documents(), PHASES[which]
    stage = SamplePlan(phases=phases, held_back=HeldBack(validation))
    for module in (turns, solving):
        monkeypatch.setattr(module, "SUBSET_SUM_BITS", 0)
        monkeypatch.setattr(module, "PASSED", 300)
    written = {}
    for way, held, at_once in (("held", 10**9, N), ("near", 0, 170)):
        monkeypatch.setattr(turns, "HELD_DOCS", held)
        frames = [docs[i : i + at_once] for i in range(0, N, at_once)]
        (out := tmp_path / way).mkdir()
        in_bundles(stage, [FakeCorpus(frames[i::3], mixture) for i in range(min(3, len(frames)))], out)
        written[way] = {p.name: p.read_bytes() for p in out.iterdir()}
    assert written["near"] == written["held"]
    rows = json.loads((mixture["mixture"] / "weights.json").read_text())["buckets"]
    given = {p.name: {b: float(w) for b, w in p.weights.items()} for p in phases if p.weights}
    key = {"searched": "weight", "natural": "natural_share"}
    weights = {p.name: given.get(p.name) or {r["bucket"]: r[key[p.mixture]] for r in rows} for p in phases}
    wanted = sample_twin.phased(docs, phases, weights, validation or 0.0, stage.max_copies)
    plan = json.loads(written["held"]["quotas.json"])["splits"]
    copies = Sample().open({"sample": tmp_path / "near"})(docs).select("doc_id", "splits_n")
    for number, phase in enumerate(phases):
        split = plan[phase.name]["buckets"]
        found = dict(copies.select("doc_id", pl.col("splits_n").list.get(number)).iter_rows())
        assert {i: n for i, n in found.items() if n} == wanted[phase.name][0]
        assert {b: row["k"] for b, row in split.items()} == wanted[phase.name][1]
        assert {b for b, row in split.items() if row["limited"]} == wanted[phase.name][2]
    if validation:
        chosen = set(copies.filter(pl.col("splits_n").list.get(len(phases)) > 0)["doc_id"])
        assert chosen == wanted["validation"]
        sums = docs.filter(pl.col("doc_id").is_in(chosen)).select(pl.col("token_count", "text_bytes").sum()).row(0)
        assert plan["validation"] == {"rows": len(chosen), "tokens": sums[0], "bytes": sums[1]}


def test_a_phase_of_a_source_without_documents_and_a_corpus_without_any_are_told(tmp_path, mixture):
    phases = (PhaseSection("early", 1000), PhaseSection("late", 1000, sources=("books",)))
    with pytest.raises(DataError, match="phase late: no document of its sources books"):
        SamplePlan(phases=phases).run(FakeCorpus([documents()], mixture), tmp_path)
    with pytest.raises(DataError, match="no document has come this far"):
        SamplePlan(phases=phases).run(FakeCorpus([documents()[:0]], mixture), tmp_path)
