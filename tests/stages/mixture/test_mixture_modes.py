"""Modes quadmix and both: cells, copies by parameters, planted criteria, and the stages that follow."""

import json
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st
from test_mixture_stage import QUICK, WORDS, corpus, files, run, trainer, weights

from frames import FakeCorpus
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.kernels.numbers.criteria import Criterion
from gristmill.pipeline.kernels.numbers.sampling_curve import Shape
from gristmill.pipeline.plan.config import build
from gristmill.pipeline.recipe import make_recipe
from gristmill.stages.mixture.config import Bound, ConfirmSection, GptSection, NgramSection, TargetWeight
from gristmill.stages.mixture.constraints import unconstrained
from gristmill.stages.mixture.material.drawn import Readings, by_bucket, sized, sizes_of, totals_of
from gristmill.stages.mixture.material.readings import Reading, reading
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.rates import views
from gristmill.stages.mixture.rates.cells import cells, misplaced, names_of
from gristmill.stages.mixture.rates.rule import (
    Copying,
    Documents,
    ParameterSection,
    default_rule,
    emerging,
    groups_of,
    met,
    relative,
    rule_of,
    start_of,
)
from gristmill.stages.mixture.rates.searchers import QuadmixSpace
from gristmill.stages.mixture.rates.views import FEWEST_READ, Task, View, view
from gristmill.stages.mixture.result import unsearched
from gristmill.stages.mixture.stage import Mixture
from gristmill.stages.quadmix import Quadmix, QuadmixTables
from gristmill.stages.sample import Sample, SamplePlan

# --- cells -----------------------------------------------------------------------------------------------------------


def test_cells_share_the_tokens_evenly_and_never_mix_buckets():
    rng = np.random.default_rng(0)
    bucket, tokens = rng.integers(0, 3, 3000), rng.integers(1, 100, 3000).astype(float)
    points = rng.random((3000, 2))
    cell = cells(points, tokens, bucket, 60)
    assert [len({int(b) for b in bucket[cell == c]}) for c in range(cell.max() + 1)] == [1] * (cell.max() + 1)
    assert 55 <= cell.max() + 1 <= 60
    size = np.bincount(cell, weights=tokens)
    assert size.max() < 1.5 * size.min()
    assert names_of(cell, bucket, ("a", "b", "c"))[0] == "a/0000"
    owners = [n.split("/")[0] for n in names_of(cell, bucket, ("a", "b", "c"))]
    assert [owners[c] for c in cell] == ["abc"[b] for b in bucket]
    # More cells are finer: even sampling in them is nearer to the documents' own.
    wish = np.where(points[:, 0] > 0.7, 2.0, 0.1)
    fine = cells(points, tokens, bucket, 600)
    assert misplaced(wish, tokens, fine) < 0.6 * misplaced(wish, tokens, cell)
    assert misplaced(np.ones(3000), tokens, cell) == pytest.approx(0.0, abs=1e-12)


def test_documents_that_do_not_differ_are_one_cell_and_unknown_ones_stand_apart():
    points = np.array([[0.5], [0.5], [0.5], [np.nan], [np.nan]])
    cell = cells(points, np.ones(5), np.zeros(5, int), 100)
    assert cell.tolist() == [1, 1, 1, 0, 0]
    assert cells(np.full((4, 2), np.nan), np.zeros(4), np.array([0, 0, 1, 1]), 100).tolist() == [0, 0, 1, 1]


def test_every_cell_has_texts_that_are_read_and_documents_without_any_are_in_the_cells_of_like_ones():
    rng = np.random.default_rng(0)
    bucket, points = rng.integers(0, 3, 3000), rng.random((3000, 2))
    read = rng.random(3000) < np.array([0.1, 0.02, 0.001])[bucket]
    cell = cells(points, read.astype(float), bucket, 60, FEWEST_READ)
    owner = np.zeros(cell.max() + 1, int)
    owner[cell] = bucket
    held = np.bincount(cell[read], minlength=cell.max() + 1)
    assert held.min() >= FEWEST_READ or (np.bincount(owner)[2] == 1 and held[owner < 2].min() >= FEWEST_READ)
    assert cell.max() + 1 > 20
    for c in range(cell.max() + 1):
        inside = points[cell == c]
        box = np.all((points >= inside.min(axis=0)) & (points <= inside.max(axis=0)), axis=1)
        assert set(cell[box & (bucket == owner[c])]) == {c}


# --- copies ----------------------------------------------------------------------------------------------------------


@given(
    st.lists(st.tuples(st.floats(1e-6, 2.0), st.integers(1, 1000)), min_size=1, max_size=40),
    st.floats(0.0, 5.0),
)
def test_copies_meet_the_quota_as_far_as_the_cap_allows(rows, epochs):
    rate, tokens = np.array([r for r, _ in rows]), np.array([t for _, t in rows], float)
    found = met(rate, tokens, epochs * tokens.sum(), 4)
    assert found @ tokens == pytest.approx(min(epochs, 4.0) * tokens.sum(), rel=1e-6)
    assert (found <= 4 + 1e-9).all()
    free = found < 4 - 1e-9
    if free.any() and epochs > 0:
        k = found[free] / rate[free]
        assert k == pytest.approx(np.full(free.sum(), k[0]), rel=1e-6)
        assert (rate[~free] * k[0] >= 4 - 1e-6).all()


def documents(n: int = 400, buckets: int = 2, seed: int = 0) -> Documents:
    rng = np.random.default_rng(seed)
    bucket = np.arange(n) % buckets
    return Documents(bucket, rng.integers(1, 200, n).astype(float), rng.random((n, 2)), np.zeros(n, int))


def test_the_start_is_the_default_rule():
    copying = Copying(criteria=(Criterion("a", 3.0), Criterion("b", 1.0)))
    for scale in ("log10", "linear"):
        space = QuadmixSpace(2, 3, scale, 1.0, 0.001)
        rule = rule_of(space, space.theta(start_of(space, copying))[0], np.array([0, 1, 2]))
        default = default_rule(copying, 3)
        for shape in rule.shapes:
            for name, value in vars(shape).items():
                assert value == pytest.approx(getattr(default.shapes[0], name), abs=2e-3), name
        # Algorithm 1 multiplies a global weight with the bucket's own: both are set.
        assert rule.alphas == pytest.approx(default.alphas, abs=1e-5)


def test_small_buckets_share_their_parameters():
    assert groups_of(np.array([50.0, 1.0, 40.0, 9.0, 0.5]), 0.1).tolist() == [0, 2, 1, 2, 2]
    assert groups_of(np.array([50.0, 1.0]), 1.0).tolist() == [0, 0]
    assert groups_of(np.array([50.0, 1.0]), 0.0).tolist() == [0, 1]


def test_emerging_shares_follow_omega_and_stay_in_the_limits():
    docs = documents()
    rule = replace(default_rule(Copying(), 2), shapes=(Shape(10, 0.2), Shape(10, 0.8)))
    rate = relative(docs, rule, "power")
    share = emerging(docs, rate, unconstrained(("a", "b")))
    kept = [float((rate * docs.tokens)[docs.bucket == b].sum()) for b in (0, 1)]
    assert share == pytest.approx(np.array(kept) / sum(kept))
    assert share[1] > 2 * share[0]
    capped = replace(unconstrained(("a", "b")), upper=(1.0, 0.5))
    assert emerging(docs, rate, capped) == pytest.approx([0.5, 0.5])


def test_documents_that_are_read_whole_or_not_at_all_need_no_slices():
    """The n-gram proxy over documents gives the loss of the corpus that holds the chosen ones."""
    rng = np.random.default_rng(0)
    texts = [np.append(rng.zipf(1.6, int(n)) % 49 + 1, 0).astype(np.int32) for n in rng.integers(5, 60, 40)]
    aim = np.append(rng.zipf(1.6, 400) % 49 + 1, 0).astype(np.int32)
    chosen = rng.random(40) < 0.4
    fixed = {"vocab": 50, "end_id": 0, "discounts": (0.6, 0.7, 0.8), "strengths": (1.0, 0.5, 0.3), "threads": 1}
    size = int(sum(len(t) for t, c in zip(texts, chosen, strict=True) if c))
    names = [str(i) for i in range(40)]
    exact = np.empty((0, 40))
    parts = NgramProxy.fit(texts, [aim], names, ["aim"], budget_tokens=size, exact=exact, **fixed)
    whole = np.concatenate([t for t, c in zip(texts, chosen, strict=True) if c])
    one = NgramProxy.fit([whole], [aim], ["all"], ["aim"], budget_tokens=size, **fixed)
    shares = np.array([len(t) * c for t, c in zip(texts, chosen, strict=True)]) / size
    assert parts.losses(shares[None]) == pytest.approx(one.losses(np.ones((1, 1))), abs=1e-9)


def test_a_view_copies_whole_documents_as_often_as_the_run_would_on_average():
    docs = documents(2000)
    docs = replace(docs, cell=np.argsort(np.argsort(docs.bucket, kind="stable"), kind="stable"))
    names = tuple(map(str, range(2000)))
    seen = View(docs, names, Reading({}, {}), np.random.default_rng(0).random(2000))
    wanted = np.where(docs.scaled[:, 0] > 0.8, 2.3, 0.1)
    share = seen.shares(wanted)
    copied = share[docs.cell] / (docs.tokens + 1)  # the end of a document is read, too
    copied = np.rint(copied / copied[copied > 0].min()).astype(int)
    assert set(copied[wanted > 2]) == {2, 3}
    assert set(copied[wanted < 1]) == {0, 1}
    assert copied[wanted > 2].mean() == pytest.approx(2.3, abs=0.1)
    assert seen.shares(np.full(2000, 1e-9)).sum() == pytest.approx(1.0)  # nothing drawn: as expected, not nothing


CRITERIA = (Criterion("q_reference"), Criterion("q_importance"))


def test_a_proxy_that_trains_reads_its_share_of_every_bucket_and_weighs_it_as_all_documents_are():
    """Documents of very different length: what is read is a bucket's share to the token, in cells of whole documents
    but for the last, and the cells have the shares that all documents have."""
    rng = np.random.default_rng(0)
    n, buckets = 6000, ("a", "b", "c")
    docs = pl.DataFrame(
        {
            "doc_id": [f"{i:05d}" for i in range(n)],
            "bucket": [buckets[i] for i in rng.choice(3, n, p=[0.6, 0.3, 0.1])],
            "token_count": pl.Series(np.round(rng.lognormal(4, 1, n)).astype(int) + 1, dtype=pl.Int64),
            "language": "",
            "q_reference": pl.Series(rng.random(n), dtype=pl.Float32),
            "q_importance": pl.Series(rng.random(n), dtype=pl.Float32),
        }
    )
    sizes = sizes_of([sized(docs)])
    read = reading(docs, 0.1, "proxy", totals_of(sizes))
    tokens = by_bucket(sizes)["token_count"].to_numpy().astype(float)
    fixed = {
        "mode": "both", "settings": ParameterSection(cells=200), "copying": Copying(criteria=CRITERIA), "texts": {}.get,
        "scratch": Path(), "readings": Readings((read,), None, ()), "sizes": tokens, "limits": unconstrained(buckets),
        "climb": unsearched(np.array([0.5, 0.3, 0.2]), ""), "budget": 100_000, "targets": {}, "held_back": [],
        "tokens": None, "objective": None, "section": GptSection(), "judge": GptSection(), "seed": 0, "threads": 1,
    }  # fmt: skip
    whole = Task(docs=docs, sample=docs, **fixed)
    few = docs.filter(pl.int_range(pl.len()).over("bucket") < 500)
    drawn = Task(docs=docs.filter(pl.col("doc_id").is_in(list(read.ids))), sample=few, **fixed)
    seen = view(drawn, read, GptSection(), "proxy")
    size = dict(docs.select("doc_id", pl.col("token_count") + 1).iter_rows())
    assert sorted(i for members in seen.reading.documents.values() for i in members) == sorted(read.ids)
    for bucket in buckets:
        inside = [name for name in seen.names if name.startswith(f"{bucket}/")]
        assert sum(seen.reading.lengths[name] for name in inside) == read.lengths[bucket]
        left = [sum(size[i] for i in seen.reading.documents[name]) - seen.reading.lengths[name] for name in inside]
        assert min(left) >= 0
        assert sum(over > 0 for over in left) <= 1
    rule = replace(default_rule(drawn.copying, 3), shapes=(Shape(30, 0.3), Shape(10, 0.8), Shape(5, 0.1)))
    share = seen.shares(drawn.copies(seen.docs, rule))
    owner = [buckets.index(name[0]) for name in seen.names]
    assert np.bincount(owner, weights=share) == pytest.approx([0.5, 0.3, 0.2])
    # What is read in these shares is as good as what all documents' copies give.
    score = dict(docs.select("doc_id", "q_reference").iter_rows())
    of_cells = [
        np.average([score[i] for i in m], weights=[size[i] for i in m]) for m in seen.reading.documents.values()
    ]
    wanted = whole.copies(whole.drawn, rule) * whole.drawn.tokens
    truth = np.average(docs["q_reference"], weights=wanted)
    assert share @ of_cells == pytest.approx(truth, abs=0.03)
    assert abs(np.mean(of_cells) - truth) > 0.1


# --- the modes on planted texts --------------------------------------------------------------------------------------

FEW = ParameterSection(runs=120, cells=96)


def mixed_text(code: float, seed: int, chunks: int = 40) -> str:
    """Runs of three words, a share `code` of them from the target's kind."""
    rng = np.random.default_rng((seed, 77))
    kinds = ["code" if u < code else ("prose", "law")[seed % 2] for u in rng.random(chunks)]
    parts = []
    for kind in kinds:
        words = WORDS[kind].split()
        i = int(rng.integers(len(words) - 3))
        parts.append(" ".join(words[i : i + 3]))
    return " ".join(parts)


def planted(folder: Path, docs: int = 60, truth: str = "q_reference", parts: int = 1) -> FakeCorpus:
    """Three buckets whose documents hold more or less of the target's text: rich ones more. `truth` sees how much, the
    other criterion is noise."""
    made = corpus(folder)
    rng = np.random.default_rng(5)
    rows = []
    for b, rich in (("poor", 0.15), ("middle", 0.3), ("rich", 0.55)):
        for i in range(docs):
            code = float(np.clip(rich + rng.uniform(-0.3, 0.45), 0, 1))
            rows.append((f"{b}-{i:03d}", b, mixed_text(code, 100 * len(b) + i), code, float(rng.random())))
    noise = "q_importance" if truth == "q_reference" else "q_reference"
    frame = pl.DataFrame(rows, schema=["doc_id", "bucket", "text", truth, noise], orient="row")
    frame = frame.with_columns(pl.col("q_reference", "q_importance").cast(pl.Float32))
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(made.artifacts["ingest.tokenizer"] / "tokenizer.json"))
    frame = frame.with_columns(
        pl.Series("token_count", [len(tokenizer.encode(t).ids) for t in frame["text"]]), language=pl.lit("en")
    )
    return FakeCorpus([frame[i::parts] for i in range(parts)], made.artifacts, made.scratch)


@dataclass(frozen=True)
class Cells(NgramSection):
    """N-gram counts in the place of a proxy that trains."""

    exact: ClassVar = False


def mode(name: str, **changes) -> Mixture:
    return replace(QUICK, mode=name, parameters=FEW, copying=Copying(criteria=CRITERIA), **changes)


@pytest.mark.parametrize("truth", ["q_reference", "q_importance"])
def test_both_finds_the_true_criterion_inside_climb_s_weights(tmp_path, truth):
    given = planted(tmp_path, truth=truth)
    seeds = ConfirmSection(seeds=5)
    climb = run(replace(QUICK, confirm=seeds), given, tmp_path / "climb")
    found = run(mode("both", confirm=seeds), given, tmp_path / "both")
    assert weights(found) == weights(climb)
    parameters = found["search"]["parameters"]
    assert parameters["found"] is True
    assert parameters["measured_objective"] < parameters["climb_measured"]
    at = [c.column for c in CRITERIA].index(truth)
    written = {b["bucket"]: b["weight"] for b in found["buckets"]}
    alpha = sum(written[b] * p["weights"][at] for b, p in parameters["buckets"].items())
    assert alpha > 0.65
    check = {c["baseline"]: c for c in found["confirm"]["comparisons"]}
    assert check["climb"]["high"] < 0
    assert "; better than climb: loss -" in found["verdict"]
    assert found["verdict"].startswith("better than natural")


def test_quadmix_moves_shares_to_the_rich_bucket_and_down_from_the_poor(tmp_path):
    found = run(
        mode("quadmix", method="natural", bounds=(Bound("rich", maximum=0.55),)), planted(tmp_path), tmp_path / "out"
    )
    share = weights(found)
    natural = {b["bucket"]: b["natural_share"] for b in found["buckets"]}
    assert share["rich"] > natural["rich"] * 1.2
    assert share["rich"] <= 0.55 + 1e-6
    assert share["poor"] < natural["poor"]
    assert sum(share.values()) == pytest.approx(1.0)
    assert found["search"]["mode"] == "quadmix"
    assert "never saw" in found["verdict"]


def test_criteria_that_say_nothing_are_not_better(tmp_path):
    """Documents of a bucket are alike: what measures best on the searched text is chance, and unseen text says so."""
    given = planted(tmp_path)
    rng = np.random.default_rng(0)
    frame = given.frames[0].with_columns(
        pl.Series("text", [mixed_text(0.3, i) for i in range(180)]),
        pl.Series("q_reference", rng.random(180), dtype=pl.Float32),
    )
    found = run(mode("both"), FakeCorpus([frame], given.artifacts, given.scratch), tmp_path / "out")
    assert "no measurable gain over climb" in found["verdict"] or "climb's, which stand" in found["verdict"]


def test_batches_in_any_order_give_the_same_bytes(tmp_path):
    a = planted(tmp_path, parts=4)
    b = FakeCorpus([f.sample(fraction=1, shuffle=True, seed=1) for f in a.frames[::-1]], a.artifacts, a.scratch)
    run(mode("quadmix"), a, tmp_path / "a")
    run(mode("quadmix"), b, tmp_path / "b")
    assert "parameters.json" in files(tmp_path / "a")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_bundles_of_parts_give_the_bytes_of_all_together(tmp_path):
    """Also where a sample stands for the scores, and the proxies weigh cells of like documents."""
    made = planted(tmp_path, parts=5)
    few = replace(mode("quadmix"), copying=Copying(criteria=CRITERIA, sample_docs=25))
    few = replace(few, confirm=ConfirmSection(seeds=2), parameters=ParameterSection(runs=60, cells=20))
    like = replace(few, proxy="test_mixture_modes:Cells", method="natural")
    for name, stage in {"documents": few, "cells": like}.items():
        run(stage, made, tmp_path / name)
        known, none, out = {}, FakeCorpus([], made.artifacts, made.scratch), tmp_path / f"{name}-bundles"
        out.mkdir()
        for step in stage.passes:
            bundles = ([made.frames[3]], made.frames[1:3], [made.frames[4], made.frames[0]])
            taken = [stage.take(step, FakeCorpus(b, made.artifacts, made.scratch), known) for b in bundles]
            known |= stage.join(step, iter(taken), none, known)
        assert known["sample"].height == 75
        stage.finish(known, none, out)
        assert files(out) == files(tmp_path / name)


def test_a_sample_of_the_scores_finds_the_true_criterion_too(tmp_path):
    given = planted(tmp_path, docs=120)
    every = run(mode("both"), given, tmp_path / "all")["search"]["parameters"]
    few = replace(mode("both"), copying=Copying(criteria=CRITERIA, sample_docs=40))
    found = run(few, given, tmp_path / "few")["search"]["parameters"]
    assert found["found"] is True
    gain, all_gain = (p["climb_measured"] - p["measured_objective"] for p in (found, every))
    assert gain > 0.7 * all_gain > 0
    assert np.mean([p["weights"][0] for p in found["buckets"].values()]) > 0.6


def test_a_single_bucket_and_few_documents_are_searched_too(tmp_path):
    given = planted(tmp_path, docs=20)
    one = FakeCorpus([given.frames[0].with_columns(bucket=pl.lit("all"))], given.artifacts, given.scratch)
    found = run(mode("both"), one, tmp_path / "one")
    assert weights(found) == {"all": 1.0}
    assert found["search"]["parameters"]["found"] is True
    few = FakeCorpus([given.frames[0].head(2)], given.artifacts, given.scratch)
    assert weights(run(mode("quadmix"), few, tmp_path / "few")) == {"poor": 1.0}


def test_the_papers_search_draws_fits_trees_and_averages(tmp_path):
    pytest.importorskip("lightgbm")
    stage = replace(mode("quadmix"), parameters=ParameterSection(method="random", runs=300))
    parameters = run(stage, planted(tmp_path), tmp_path / "out")["search"]["parameters"]
    assert (parameters["method"], parameters["runs"]) == ("random", 300)
    assert parameters["measured_objective"] <= parameters["climb_measured"]


def test_climb_writes_no_parameters_and_reads_no_quality(tmp_path):
    run(QUICK, corpus(tmp_path), tmp_path / "out")
    assert not (tmp_path / "out" / "parameters.json").exists()
    assert "quality" not in QUICK.reads
    assert mode("both").reads["quality"] == ("q_reference", "q_importance")


def test_hostile_scores_and_texts_are_survived(tmp_path):
    given = planted(tmp_path, docs=20)
    frame = given.frames[0].with_columns(
        q_reference=pl.when(pl.int_range(pl.len()) % 3 == 0).then(None).otherwise(pl.col("q_reference")),
        q_importance=pl.when(pl.int_range(pl.len()) % 5 == 0).then(float("nan")).otherwise(pl.col("q_importance")),
        bucket=pl.when(pl.int_range(pl.len()) < 2).then(pl.lit("x/0001/é\u202e")).otherwise("bucket"),
    )
    given = FakeCorpus([frame], given.artifacts, given.scratch)
    found = run(mode("quadmix"), given, tmp_path / "out")
    assert sum(weights(found).values()) == pytest.approx(1.0)
    empty = FakeCorpus([frame.with_columns(q_importance=pl.lit(None, pl.Float32))], given.artifacts, given.scratch)
    with pytest.raises(DataError, match="q_importance is null in every document"):
        run(mode("quadmix"), empty, tmp_path / "null")


def test_the_stages_that_follow_sample_by_what_was_searched(tmp_path):
    """Mixture to copies: shares met within 0.5%, and documents rated by the searched parameters."""
    given = planted(tmp_path, docs=150)
    frame = given.frames[0]
    for name in ("climb", "both", "quadmix"):
        out = tmp_path / name
        found = run(mode(name), given, out)
        tables = tmp_path / f"{name}-tables"
        tables.mkdir()
        artifacts = {**given.artifacts, "mixture": out, "quadmix": tables}
        QuadmixTables(criteria=CRITERIA).run(FakeCorpus([frame], artifacts), tables)
        facts = json.loads((tables / "quadmix.json").read_text())["buckets"]
        if name != "climb":
            stored = json.loads((out / "parameters.json").read_text())["buckets"]
            assert {b: (f["shape"], f["weights"]) for b, f in facts.items()} == {
                b: (p["shape"], p["weights"]) for b, p in stored.items()
            }
        rated = frame.join(Quadmix(criteria=CRITERIA).open(artifacts)(frame), on="doc_id").with_columns(
            text_bytes=pl.col("text").str.len_bytes().cast(pl.Int64)
        )
        plan = tmp_path / f"{name}-plan"
        plan.mkdir()
        SamplePlan().run(FakeCorpus([rated], artifacts), plan)
        copied = rated.join(Sample().open({"sample": plan})(rated), on="doc_id")
        written = dict(copied.group_by("bucket").agg((pl.col("token_count") * pl.col("copies_n")).sum()).iter_rows())
        for b in found["buckets"]:
            assert abs(written[b["bucket"]] / sum(written.values()) - b["weight"]) <= 0.005, (name, b["bucket"])


def test_gpt_and_command_weigh_cells_of_like_documents(tmp_path):
    """Few runs find little; every mixture of cells that is asked for is one that the documents' copies make."""
    pytest.importorskip("torch")
    given = planted(tmp_path, docs=20)
    few = ParameterSection(runs=40, cells=9)
    gpt = GptSection(tokens=3000, together=8, device="cpu")
    stage = mode("both", method="natural", proxy="gpt", gpt=gpt, confirm=ConfirmSection(seeds=2))
    stage = replace(stage, parameters=few)
    found = run(stage, given, tmp_path / "gpt")
    parameters = found["search"]["parameters"]
    assert parameters["runs"] == 40
    assert 6 <= parameters["cells"] <= 9
    assert 0 < parameters["misplaced"] < 0.5
    if parameters["found"]:
        assert found["confirm"]["proxy"] == "gpt"
        assert found["confirm"]["size"] > 100_000
    trained = len(list((tmp_path / "scratch" / "gpt").glob("*.json")))
    run(stage, given, tmp_path / "again")
    assert files(tmp_path / "again") == files(tmp_path / "gpt")
    assert len(list((tmp_path / "scratch" / "gpt").glob("*.json"))) == trained  # finished runs are read, not trained

    trains = replace(trainer(tmp_path), mode="both", method="natural", runs=None, confirm=None, parameters=few)
    found = run(replace(trains, copying=Copying(criteria=CRITERIA)), given, tmp_path / "command")
    assert found["search"]["parameters"]["runs"] == 40
    assert "; not confirmed" in found["verdict"] or "which stand" in found["verdict"]


def test_more_documents_than_the_ngram_proxy_tells_apart_are_copied_in_units(tmp_path, monkeypatch):
    monkeypatch.setattr(views, "MOST_UNITS", 50)
    found = run(mode("both"), planted(tmp_path), tmp_path / "out")
    assert 40 <= found["search"]["parameters"]["cells"] <= 50
    assert found["search"]["parameters"]["found"] is True


def test_an_ngram_search_may_be_judged_by_a_gpt(tmp_path):
    pytest.importorskip("torch")
    judge = ConfirmSection(proxy="gpt", seeds=2, gpt=GptSection(tokens=1500, device="cpu"))
    found = run(mode("quadmix", confirm=judge), planted(tmp_path, docs=20), tmp_path / "out")
    assert found["confirm"]["proxy"] == "gpt"
    assert [c["baseline"] for c in found["confirm"]["comparisons"]] == ["natural", "climb"]


def test_a_guarded_target_is_not_worse_than_under_natural(tmp_path):
    given = planted(tmp_path)
    for name in ("code", "prose"):
        (tmp_path / f"{name}.txt").write_text(" ".join(mixed_text(float(name == "code"), i) for i in range(0, 60, 2)))
    paths = (str(tmp_path / "code.txt"), str(tmp_path / "prose.txt"))
    goal = (TargetWeight("code"), TargetWeight("prose", weight=0.001, guard=True))
    for name in ("both", "quadmix"):
        found = run(mode(name, validation=paths, objective=goal), given, tmp_path / name)
        parameters = found["search"]["parameters"]
        if parameters["found"]:
            assert parameters["worse_than_natural"]["prose"] <= 1e-9
    free = run(mode("both", validation=paths), given, tmp_path / "free")
    assert free["search"]["parameters"]["measured_objective"] < free["search"]["parameters"]["climb_measured"]


# --- settings --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"mode": "quadmixx"}, "quadmixx"),
        ({"parameters": {"runs": 3}}, "mixture.parameters.runs: 3 is out of range; it must be at least 40"),
        (
            {"parameters": {"omega_max": 0.0}},
            "mixture.parameters.omega_max: 0.0 is out of range; it must be more than 0",
        ),
        ({"parameters": {"cells": 0}}, "mixture.parameters.cells: 0 is out of range; it must be at least 1"),
        ({"parameters": {"lambda": 1}}, "unknown key 'mixture.parameters.lambda'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused(section, says):
    with pytest.raises(ConfigError, match=says):
        build(Mixture, section, "mixture")


def recipe(**sections: dict) -> Mixture:
    made = make_recipe({"input": {"paths": "x"}, **sections}, "x")
    return next(s for s in made.stages if isinstance(s, Mixture))


def test_the_recipe_tells_the_search_what_quadmix_and_sample_will_do():
    own = {"criteria": [{"column": "q_importance"}], "shape": {"cut": 0.3}}
    stage = recipe(mixture={"mode": "both"}, quadmix=own, sample={"max_copies": 2})
    assert stage.copying == Copying((Criterion("q_importance"),), shape=Shape(cut=0.3), max_copies=2)
    assert stage.reads["quality"] == ("q_importance",)
    # climb uses the cap on copies alone, so nothing else there redoes it
    assert recipe(quadmix=own, sample={"max_copies": 2}) == recipe(sample={"max_copies": 2})
    assert recipe(quadmix=own) == recipe()


def test_the_recipe_refuses_what_contradicts_itself():
    with pytest.raises(ConfigError, match=r"searches what quadmix\.buckets sets"):
        recipe(mixture={"mode": "both"}, quadmix={"buckets": [{"bucket": "a"}]})
    with pytest.raises(ConfigError, match=r"unknown key 'mixture.copying'"):
        recipe(mixture={"copying": {"max_copies": 2}})
    with pytest.raises(ConfigError, match=r"^quadmix\.criteria.*valid number"):
        recipe(mixture={"mode": "both"}, quadmix={"criteria": [{"column": "a", "weight": "much"}]})
    resolved = make_recipe({"input": {"paths": "x"}}, "x").resolved["mixture"]
    assert "copying" not in resolved


def test_tables_refuse_parameters_of_other_criteria(tmp_path):
    stored = {"criteria": ["q_other"], "buckets": {}}
    (tmp_path / "parameters.json").write_text(json.dumps(stored))
    rows = pl.DataFrame(
        {
            "doc_id": ["a"],
            "bucket": ["b"],
            "token_count": [1],
            "language": ["en"],
            "q_reference": [1.0],
            "q_importance": [1.0],
        }
    )
    with pytest.raises(ConfigError, match="searched the parameters of"):
        QuadmixTables().run(FakeCorpus([rows], {"mixture": tmp_path}), tmp_path)
