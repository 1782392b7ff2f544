"""Exact and near-duplicates in a run: the same columns and ledger for any bundles, partitions, memory and stops."""

import json
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.exchange import passes
from gristmill.pipeline.run.store import Store
from gristmill.stages.dedup.audit import AUDIT
from gristmill.stages.dedup.exact import ExactGate
from gristmill.stages.dedup.minhash import Scheme
from gristmill.stages.dedup.near import NearDuplicates, NearGate
from lawrun import InProcess, Silent

GIANT, LITTLE = 31, 3 << 12  # documents of one component; bytes of which half hold fewer than that
SETTINGS = {
    "language": {"enabled": False},
    "license": {"enabled": False},
    "signals": {"enabled": False},
    "gates": {"enabled": False},
}


class Died(BaseException):
    """What no code of ours may catch."""


class Stopping(InProcess):
    """Stops before a pass of a phase, or after its first unit."""

    def __init__(self, name: str, kind: str, units: int):
        self.at, self.units = (name, kind), units

    def run(self, job: object, tick: object) -> list[int]:
        step = job.pipeline[0]  # pyright: ignore
        phase = load_plan(Path(step.root) / "plan.json").phases[step.phase]
        if (phase.name, phase.kind) == self.at:
            for rank in job.ranks[: self.units]:  # pyright: ignore
                list(step.run(None, rank, job.tasks))  # pyright: ignore
            raise Died
        return super().run(job, tick)  # pyright: ignore


def go(texts: Path, out: Path, memory: int = 1 << 30, engine: InProcess | None = None) -> None:
    recipe = make_recipe({"input": {"paths": f"{texts}/*.jsonl"}, **SETTINGS}, "dedup")
    recipe, store = replace(recipe, engine={"memory": memory}), Store(out)
    situation = survey(recipe, store, "dedup.minhash")
    launch(recipe, situation, store, engine or InProcess(), "dedup.minhash", Silent(), lambda store, plan: None)


def columns(out: Path) -> dict[str, bytes]:
    names = ("dedup.exact", "dedup.components", "dedup.minhash", "dedup.minhash.gate", "ledger")
    return {p.relative_to(out).as_posix(): p.read_bytes() for n in names for p in (out / n).glob("*.parquet")}


def text(rng: np.random.Generator, n: int = 120) -> list[str]:
    return [f"word{i}" for i in rng.integers(0, 5000, n)]


def documents() -> Iterator[str]:
    rng = np.random.default_rng(0)
    for _ in range(40):
        words = text(rng)
        yield " ".join(words)
        for copies in range(int(rng.integers(0, 3))):
            yield " ".join(words)
            yield " ".join([*words[:110], *text(rng, 10 + copies)])
    words = text(rng)
    for _ in range(GIANT):
        yield " ".join([*words[:115], *text(rng, 5)])


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("dedup-run")
    (folder / "texts").mkdir()
    found = list(documents())
    for i in range(5):
        lines = [
            json.dumps({"text": t, "url": f"http://h{n % 3}.org/{i}/{n}", "dump": f"CC-{i}"})
            for n, t in enumerate(found[i::5])
        ]
        (folder / "texts" / f"{i}.jsonl").write_text("\n".join(lines))
    go(folder / "texts", folder / "run")
    return folder / "texts", folder / "run"


def test_copies_leave_and_each_names_the_one_that_stays(run: tuple[Path, Path]):
    found = list(documents())
    books = {str(e["stage"]): e for e in read_books(Store(run[1]))}
    assert books["dedup.exact"]["docs_in"] == len(found)
    assert books["dedup.exact"]["docs_out"] == len(set(found))
    assert books["dedup.minhash"]["docs_out"] == 41  # type: ignore
    near = pl.concat([pl.read_parquet(p) for p in (run[1] / "dedup.minhash").glob("*.parquet")])
    stays = near.filter(pl.col("near_duplicate_of").is_null())
    assert set(near["near_duplicate_of"].drop_nulls()) <= set(stays["doc_id"])
    assert stays["minhash_cluster_size"].sum() == len(found)


def test_the_survivor_has_the_hosts_and_dumps_of_its_cluster(run: tuple[Path, Path]):
    def read(dataset: str) -> pl.DataFrame:
        return pl.concat([pl.read_parquet(p) for p in (run[1] / dataset).glob("*.parquet")])

    rows = read("ingest").join(read("dedup.exact"), on="doc_id").select("doc_id", "url", "dump", "exact_duplicate_of")
    near = {r["doc_id"]: r for r in read("dedup.minhash").iter_rows(named=True)}
    clusters: dict[str, list[tuple[str, str]]] = {}
    for doc, url, dump, of in rows.iter_rows():
        stays = near[of or doc]["near_duplicate_of"] or of or doc
        clusters.setdefault(stays, []).append((url.split("/")[2], dump))
    assert {len(hosts) for hosts in clusters.values()} == {1, 3, 5, GIANT}
    for doc, row in near.items():
        found = row["dup_hosts_n"], row["dup_hosts"], row["dup_dumps"]
        if len(clusters.get(doc, ())) < 2:
            assert found == (None, None, None)
        else:
            hosts, dumps = (sorted(set(column)) for column in zip(*clusters[doc], strict=True))
            assert found == (len(hosts), hosts, dumps)
            assert row["minhash_cluster_size"] == len(clusters[doc])


def test_any_bundles_partitions_and_memory_same_bytes(run: tuple[Path, Path], tmp_path: Path, monkeypatch):
    want = columns(run[1])
    assert len(want) == 25
    streamed: list[int] = []
    long = NearDuplicates.gather_long

    def noted(stage: NearDuplicates, rows: Callable[[], Iterator[pl.DataFrame]]) -> Iterator[pl.DataFrame]:
        streamed.append(sum(frame.height for frame in rows()))
        return long(stage, rows)

    monkeypatch.setattr(NearDuplicates, "gather_long", noted)
    for i, (bundles, size, memory) in enumerate([(1, 1 << 28, 1 << 30), (2, 1 << 12, 1 << 30), (512, 1 << 28, LITTLE)]):
        monkeypatch.setattr(passes, "BUNDLES", bundles)
        monkeypatch.setattr(passes, "PARTITION_BYTES", size)
        go(run[0], tmp_path / str(i), memory)
        assert columns(tmp_path / str(i)) == want
        assert streamed == ([GIANT] if memory == LITTLE else [])


STOPS = [
    (name, kind)
    for name in ("dedup.exact", "dedup.components", "dedup.minhash")
    for kind in ("sort", "group", "merge", "return")
    if (name, kind) in {("dedup.components", "merge")} or kind != "merge"
]


def test_stopped_in_every_pass_one_after_another_same_bytes(run: tuple[Path, Path], tmp_path: Path, monkeypatch):
    monkeypatch.setattr(passes, "PARTITION_BYTES", 1 << 12)
    assert len(STOPS) == 10
    for units in (0, 1):
        out = tmp_path / str(units)
        for name, kind in STOPS:
            with pytest.raises(Died):
                go(run[0], out, engine=Stopping(name, kind, units))
        go(run[0], out)
        assert columns(out) == columns(run[1])
        assert not list(out.glob("*.exchange/*.slices"))


def finished(run: tuple[Path, Path]) -> FinishedRun:
    store = Store(run[1])
    plan = load_plan(store.root / "plan.json").until("dedup.minhash")
    return FinishedRun(store, plan)


def shingles(text: str) -> set[tuple[str, ...]]:
    words = text.split()
    return {tuple(words[i : i + 5]) for i in range(len(words) - 4)}


def test_audit_compares_drawn_pairs_by_their_exact_similarity(run: tuple[Path, Path]):
    ended = finished(run)
    pairs = ended.pairs("dedup.minhash", 1000)
    found = list(documents())
    assert pairs.height == len(set(found)) - 41
    exact = Scheme().jaccard(pairs["text"], pairs["stays_text"])
    plain = []
    for a, b in pairs.select("text", "stays_text").iter_rows():
        assert a in found
        assert b in found
        plain.append(len(shingles(a) & shingles(b)) / len(shingles(a) | shingles(b)))
    assert exact.tolist() == pytest.approx(plain)
    assert (exact > 0.6).all()
    audit = NearDuplicates().papers(ended)[AUDIT]
    assert audit["pairs"] == pairs.height  # type: ignore
    assert len(audit["shown"]) == 10  # type: ignore
    assert audit["precision"]["0.6"] == 1.0  # type: ignore
    assert abs(audit["mean_error_of_estimate"]) < 0.05  # type: ignore
    few = ended.pairs("dedup.minhash", 3)
    assert few.equals(pairs.head(3))


def test_audit_is_a_section_of_the_report(run: tuple[Path, Path], tmp_path: Path):
    ended = finished(run)
    assert NearDuplicates().tell(replace(ended, store=Store(tmp_path))).sections == ()
    (tmp_path / "dedup").mkdir()
    (tmp_path / AUDIT).write_text(json.dumps(NearDuplicates().papers(ended)[AUDIT]))
    (section,) = NearDuplicates().tell(replace(ended, store=Store(tmp_path))).sections
    assert "86 drawn pairs of a document that dedup.minhash dropped" in str(section.content)
    assert "10 pairs to read" in str(section.content)


def test_a_source_that_loses_more_than_its_share_is_a_warning(run: tuple[Path, Path]):
    ended, found = finished(run), list(documents())
    assert ended.dropped("dedup.exact") == {"": (len(found), len(found) - len(set(found)))}
    share = 1 - len(set(found)) / len(found)
    assert ExactGate(warn_share=share).tell(ended).warnings == ()
    (said,) = ExactGate(warn_share=share - 0.01).tell(ended).warnings
    assert f"dedup.exact dropped {100 * share:.1f}% of the documents" in str(said)
    assert NearGate(warn_share=0.99).tell(ended).warnings == ()
    assert len(NearGate(warn_share=0.01).tell(ended).warnings) == 1
