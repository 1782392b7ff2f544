"""The exchange: slice files, sorting beyond memory, whole keys, rows in = rows out, and what comes back to a part."""

from collections import Counter
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl
import pytest

import toy
from frames import exchanged, splits
from gristmill.pipeline.contract.errors import ConfigError, DataError
from gristmill.pipeline.contract.shapes import Grouping
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.run.exchange import passes, slices
from gristmill.pipeline.run.exchange.memory import bytes_of, worker_memory
from gristmill.pipeline.run.exchange.slices import KEYS, Slices, ranges
from gristmill.pipeline.run.exchange.sorter import Sorter
from gristmill.pipeline.run.receipts.logs import Receipts
from gristmill.pipeline.run.receipts.receipt import Receipt
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent


@dataclass(frozen=True)
class Sums(Grouping):
    """The sum of `n` over the documents of a word, and the first of them."""

    name: ClassVar = "sums"
    version: ClassVar = 1
    scatters: ClassVar = {"doc_id": pl.String, "n": pl.Int64}
    order: ClassVar = ("doc_id",)
    returns: ClassVar = {"first": pl.String, "sum": pl.Int64}
    settles: ClassVar = ("n",)

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.filter(pl.col("n") > 0).select(pl.col("word").hash(7).alias("key"), "node", "doc_id", "n")

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        assert rows["doc_id"].is_sorted() or rows["key"].n_unique() > 1
        return rows.select(
            "node", first=pl.col("doc_id").first().over("key"), sum=pl.col("n").sum().over("key")
        ).filter(pl.col("first").is_not_null())

    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return batch.select("doc_id", "first", pl.col("sum").fill_null(pl.col("n")))


def words(n: int, different: int = 40) -> pl.DataFrame:
    rng = np.random.default_rng(n)
    return pl.DataFrame(
        {
            "doc_id": [f"{i:05d}" for i in rng.permutation(n)],
            "word": pl.Series([f"w{i}" for i in rng.integers(0, different, n)], dtype=pl.String),
            "n": pl.Series(rng.integers(0, 5, n), dtype=pl.Int64),
        }
    )


def plain(batch: pl.DataFrame) -> pl.DataFrame:
    sums: dict[str, int] = {}
    first: dict[str, str] = {}
    for doc, word, n in batch.iter_rows():
        if n:
            sums[word], first[word] = sums.get(word, 0) + n, min(first.get(word, doc), doc)
    rows = [(d, first[w], sums[w]) if n else (d, None, 0) for d, w, n in batch.iter_rows()]
    return pl.DataFrame(rows, schema={"doc_id": pl.String, "first": pl.String, "sum": pl.Int64}, orient="row")


def test_any_bundles_order_partitions_and_memory_give_what_a_plain_loop_gives(tmp_path: Path):
    batch = words(120)
    want = plain(batch).sort("doc_id")
    ways = [([[f] for f in frames], 1, 1 << 30) for frames in splits(batch)]
    ways += [([splits(batch)[2][::-1]], q, memory) for q in (1, 8, 64) for memory in (1 << 30, 1 << 12)]
    ways += [([[batch.reverse()[:50]], [batch[:0]], [], [batch.reverse()[50:]]], 2, 1 << 13)]
    for i, (bundles, q, memory) in enumerate(ways):
        (tmp_path / str(i)).mkdir()
        found = exchanged(Sums(), bundles, tmp_path / str(i), partitions=q, memory=memory)[0]
        assert [f["doc_id"].to_list() for f in found] == [b["doc_id"].to_list() for bundle in bundles for b in bundle]
        assert pl.concat(found).sort("doc_id").equals(want)


def test_no_documents_and_one_document(tmp_path: Path):
    for n in (0, 1):
        (tmp_path / str(n)).mkdir()
        batch = words(1)[:n].with_columns(n=pl.lit(3, pl.Int64))
        (found,) = exchanged(Sums(), [[batch]], tmp_path / str(n))[0]
        assert found["sum"].to_list() == [3] * n
    assert exchanged(Sums(), [], tmp_path)[0] == []


def test_a_key_that_does_not_fit_is_named(tmp_path: Path):
    batch = words(2000, different=1).with_columns(n=pl.lit(1, pl.Int64))
    key = batch["word"].hash(7)[0]
    with pytest.raises(DataError, match=f"2,000 rows .* have the key {key:016x}.*engine.memory"):
        exchanged(Sums(), [[batch]], tmp_path, memory=1 << 12)


@dataclass(frozen=True)
class Met(Sums):
    """Sums of words that several documents have."""

    meets: ClassVar = True

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        assert rows["key"].is_duplicated().all()
        return super().gather(rows)


def test_rows_that_meet_no_other_are_counted_and_nothing_comes_back_to_them(tmp_path: Path):
    batch = words(60)
    alone = batch.filter(pl.col("n") > 0)["word"].value_counts().filter(pl.col("count") == 1)["word"]
    assert 3 < len(alone) < 40
    want = plain(batch).join(batch.select("doc_id", "word", "n"), on="doc_id", maintain_order="left")
    lone = pl.col("word").is_in(alone.implode()) & (pl.col("n") > 0)
    want = want.with_columns(first=pl.when(~lone).then("first"), sum=pl.when(lone).then("n").otherwise("sum"))
    for q, memory in ((1, 1 << 30), (8, 1 << 12)):
        (tmp_path / str(q)).mkdir()
        found = exchanged(Met(), [[batch[:20], batch[20:]]], tmp_path / str(q), partitions=q, memory=memory)[0]
        assert pl.concat(found).equals(want.select("doc_id", "first", "sum"))


@dataclass(frozen=True)
class Whole(Sums):
    """The sum over all words of a document's own `n`, by `merge`; a document has a row per letter of its word."""

    gathers: ClassVar = {"n": pl.Int64}
    merges: ClassVar = True
    returns: ClassVar = {"first": pl.String, "sum": pl.Int64}

    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        letters = batch.with_columns(letter=pl.col("word").str.split("")).explode("letter")
        return letters.select(pl.col("letter").hash(7).alias("key"), "node", "doc_id", "n")

    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        return rows.select("node", "n")

    def merge(self, gathered):
        last, frames = -1, 0
        for frame in gathered():
            assert frame["node"].is_sorted()
            assert frame["node"][0] > last  # all rows of a node are in one frame
            last, frames = frame["node"][-1], frames + 1
            sums = frame.group_by("node", maintain_order=True).agg(sum=pl.col("n").sum())
            yield sums.select("node", pl.lit("x").alias("first"), "sum")
        assert frames > 1


def test_what_is_merged_comes_by_whole_nodes_in_their_order(tmp_path: Path, monkeypatch):
    monkeypatch.setattr(slices, "PIECE_BYTES", 64)
    batch = words(400)
    bundles = [[batch[i : i + 10]] for i in range(0, 400, 10)]
    found = exchanged(Whole(), bundles, tmp_path, partitions=8, memory=1 << 15)[0]
    want = batch.select("doc_id", first=pl.lit("x"), sum=pl.col("n") * pl.col("word").str.len_chars())
    assert pl.concat(found).equals(want)


@dataclass(frozen=True)
class Foreign(Sums):
    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        return super().gather(rows).with_columns(pl.col("node") + 1)


@dataclass(frozen=True)
class Twice(Sums):
    def gather(self, rows: pl.DataFrame) -> pl.DataFrame:
        return pl.concat([super().gather(rows)] * 2)


@dataclass(frozen=True)
class Untyped(Sums):
    def scatter(self, batch: pl.DataFrame) -> pl.DataFrame:
        return super().scatter(batch).with_columns(pl.col("n").cast(pl.Float64))


@dataclass(frozen=True)
class Dropping(Sums):
    def settle(self, batch: pl.DataFrame) -> pl.DataFrame:
        return super().settle(batch)[1:]


@pytest.mark.parametrize(
    ("stage", "said"),
    [
        (Foreign(), "documents that it was not given"),
        (Twice(), "came back twice"),
        (Untyped(), r"sums.scatter gave .*Float64.* declares"),
        (Dropping(), "changed the rows"),
    ],
)
def test_a_grouping_that_breaks_its_contract_is_named(tmp_path: Path, stage: Grouping, said: str):
    with pytest.raises(DataError, match=said):
        exchanged(stage, [[words(20)]], tmp_path)


def numbered(n: int) -> pl.DataFrame:
    rng = np.random.default_rng(0)
    keys = rng.integers(0, 2**64, n, np.uint64)
    return pl.DataFrame({"key": keys, "node": np.arange(n, dtype=np.uint64), "name": [f"é{i}" for i in range(n)]})


def test_slices_of_any_range_hold_its_rows_whatever_was_spilled(tmp_path: Path):
    frame = numbered(40_000)
    want = frame.sort("key")
    for memory in (1 << 30, 1 << 18):
        sorter = Sorter(tmp_path / "spill", ("key", "node"), memory)
        for i in range(0, 40_000, 3000):
            sorter.add(frame[i : i + 3000])
        assert len(sorter.spilled) == (0 if memory > 1 << 20 else 13)
        path = tmp_path / f"{memory}.slices"
        assert sorter.write(path) == sorter.rows == 40_000
        file = Slices(path, "key")
        assert file.rows == 40_000
        assert pl.concat(list(file.walk(1 << 18))).equals(want)
        for q in (1, 2, 32):
            found = [file.read(low, high) for low, high in ranges(q)]
            assert pl.concat([f for f in found if f is not None]).equals(want)
        assert file.read(5, 5) is None
    assert (tmp_path / f"{1 << 30}.slices").read_bytes() == (tmp_path / f"{1 << 18}.slices").read_bytes()


def test_a_flipped_byte_or_a_cut_end_of_a_slice_file_is_noticed(tmp_path: Path):
    path = tmp_path / "a.slices"
    sorter = Sorter(tmp_path / "spill", ("key",), 1 << 30)
    sorter.add(numbered(300))
    sorter.write(path)
    whole = path.read_bytes()
    for at in range(0, len(whole), 97):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 64]) + whole[at + 1 :])
        with pytest.raises(DataError, match="is damaged; delete it"):
            Slices(path, "key").read()
    path.write_bytes(whole[:-5])
    with pytest.raises(DataError, match="is damaged"):
        Slices(path, "key").read()


def test_partitions_are_a_function_of_the_rows():
    assert [passes.partitions(n) for n in (0, 1, passes.PARTITION_BYTES, passes.PARTITION_BYTES + 1)] == [1, 1, 1, 2]
    assert slices.pieces_for(10**12) == slices.MOST_PIECES
    assert list(ranges(2)) == [(0, KEYS // 2), (KEYS // 2, KEYS)]


def test_engine_memory_takes_bytes_with_a_unit_and_is_shared_by_the_workers():
    assert [bytes_of(v) for v in ("4GB", "1.5 GiB", 12_345, "500 mb")] == [4 * 10**9, 3 << 29, 12_345, 5 * 10**8]
    assert worker_memory({"memory": "4GB"}, 2) == 2 * 10**9
    assert worker_memory({}, 1) > 1 << 28
    for wrong in ("much", "4 parsecs", True, "", "-1", 0, None):
        with pytest.raises(ConfigError, match=r"engine\.memory: bytes"):
            bytes_of(wrong)


# --- in a run ------------------------------------------------------------------------------------------------------


def go(lines: Path, out: Path, memory: int = 1 << 30, **options: dict) -> None:
    made, store = replace(toy.recipe(lines, **options), engine={"memory": memory}), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), lambda store, plan: None)


def written(out: Path) -> dict[str, bytes]:
    return {
        p.relative_to(out).as_posix(): p.read_bytes()
        for f in ("twins", "corpus")
        for p in out.rglob(f"{f}/**/*.parquet")
    }


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    folder = tmp_path_factory.mktemp("exchange")
    lines = toy.write_lines(folder / "lines", shards=6, lines=8)
    go(lines, folder / "run")
    return lines, folder / "run"


def test_twins_are_counted_over_all_parts_and_the_texts_that_none_holds(run: tuple[Path, Path]):
    frames = [
        pl.read_parquet(run[1] / "words" / p.name).join(pl.read_parquet(p), on="doc_id")
        for p in (run[1] / "twins").glob("*.parquet")
    ]
    found = pl.concat(frames)
    assert len(frames) == 6
    of = dict(found["words_toy_n"].value_counts().iter_rows())
    assert (found["twins_toy_n"] == found["words_toy_n"].replace_strict(of) + (found["words_toy_n"] == 2)).all()
    extra = pl.read_parquet(run[1] / "twins.exchange" / "extra.parquet")
    assert extra.rows() == [("given-1", of[2] + 1), ("given-2", 1)]


def test_slices_go_when_all_has_come_back(run: tuple[Path, Path]):
    names = {p.name for p in (run[1] / "twins.exchange").iterdir()}
    assert {n.split(".", 1)[1] for n in names} == {"returned.json", "parquet", "receipt.json"}
    assert not list(run[1].glob(".*tmp*"))


def test_bundles_and_partitions_and_memory_change_no_byte(run: tuple[Path, Path], tmp_path: Path, monkeypatch):
    want = written(run[1])
    assert len(want) == 8
    for i, (bundles, size, memory) in enumerate([(1, 1 << 28, 1 << 30), (3, 64, 1 << 30), (512, 256, 1 << 13)]):
        monkeypatch.setattr(passes, "BUNDLES", bundles)
        monkeypatch.setattr(passes, "PARTITION_BYTES", size)
        go(run[0], tmp_path / str(i), memory)
        assert written(tmp_path / str(i)) == want


class Died(BaseException):
    """What no code of ours may catch."""


@pytest.mark.parametrize("kind", ["sort", "group", "merge", "return"])
def test_stopped_before_and_inside_every_pass_a_rerun_gives_the_same_bytes(
    run: tuple[Path, Path], tmp_path: Path, monkeypatch, kind: str
):
    monkeypatch.setattr(passes, "PARTITION_BYTES", 128)  # several partitions
    for after in (0, 1, 3):
        made, store = toy.recipe(run[0]), Store(tmp_path / str(after))

        class Stopping(InProcess):
            def run(self, job, tick, after=after):
                step = job.pipeline[0]
                phase = load_plan(Path(step.root) / "plan.json").phases[step.phase]
                for n, rank in enumerate(job.ranks):
                    if phase.kind == kind and n == after:
                        raise Died
                    list(step.run(None, rank, job.tasks))
                if phase.kind == kind:
                    raise Died
                return []

        with pytest.raises(Died):
            launch(made, survey(made, store, None), store, Stopping(), None, Silent(), lambda store, plan: None)
        go(run[0], store.root)
        assert written(store.root) == written(run[1])


def test_rows_that_are_sorted_and_not_gathered_fail_the_run(run: tuple[Path, Path], tmp_path: Path, monkeypatch):
    def lossy(stage, files, low, high, budget, out):
        return passes_gathered(stage, files[:-2], low, high, budget, out)

    passes_gathered = passes.gathered
    monkeypatch.setattr(passes, "gathered", lossy)
    with pytest.raises(Exception, match=r"twins: \d+ rows were sorted and \d+ gathered"):
        go(run[0], tmp_path / "run")


def test_a_grouping_that_fails_stops_the_run_with_its_message(run: tuple[Path, Path], tmp_path: Path):
    with pytest.raises(Exception, match="twins: no twins today"):
        go(run[0], tmp_path / "run", twins={"fail": "no twins today"})
    go(run[0], tmp_path / "run")
    assert written(tmp_path / "run") == written(run[1])


def test_a_part_that_nothing_new_came_back_to_is_not_written_again(run: tuple[Path, Path], tmp_path: Path):
    lines = toy.write_lines(tmp_path / "lines", shards=4, lines=8)
    go(lines, tmp_path / "run")
    before = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run" / "twins").glob("*.parquet")}
    (lines / "new.txt").write_text(" ".join(["many"] * 50))
    go(lines, tmp_path / "run")
    after = {p.name: p.stat().st_mtime_ns for p in (tmp_path / "run" / "twins").glob("*.parquet")}
    assert {name for name, at in after.items() if before.get(name) != at} == {"new.parquet"}


def test_a_damaged_column_file_of_a_grouping_is_made_again(run: tuple[Path, Path], tmp_path: Path):
    go(run[0], tmp_path / "run")
    path = next((tmp_path / "run" / "twins").glob("*.parquet"))
    path.write_bytes(path.read_bytes()[:-9])
    go(run[0], tmp_path / "run")
    assert written(tmp_path / "run") == written(run[1])


def test_a_survey_of_parts_that_are_not_done_asks_for_each_once(run: tuple[Path, Path], tmp_path: Path, monkeypatch):
    asked: Counter[str] = Counter()
    read = Receipts.read

    def noted(receipts: Receipts, dataset: str, key: str) -> Receipt | None:
        asked[f"{dataset}/{key}"] += 1
        return read(receipts, dataset, key)

    monkeypatch.setattr(Receipts, "read", noted)
    made = toy.recipe(run[0])
    survey(made, Store(tmp_path / "new"), None)
    words = [n for name, n in asked.items() if name.startswith("words/")]
    assert len(words) == 6
    assert max(words) <= 3
