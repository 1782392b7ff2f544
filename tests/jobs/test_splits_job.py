"""Validation and phases of the corpus: disjoint, at their shares, loaded by `datasets`, the same after a kill."""

import json
import shutil
from pathlib import Path

import numpy as np
import polars as pl
import pyarrow.parquet as pq
import pytest
from test_first_job import prose

from faults import Faults, Killed, stopped_by
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.books.summary import write_papers
from gristmill.pipeline.books.verify import verify
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import ConfigError, DataError, GristmillError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.exchange.slices import Pieces, write_slices
from gristmill.pipeline.run.phases import sinking
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent

CONFIG = """
name: splits
sources:
  - {{name: web, paths: {folder}/web.jsonl, trusted: true, language: en, dedup: off}}
  - {{name: math, paths: {folder}/math.jsonl, trusted: true, language: en, dedup: off}}
quality: {{enabled: false}}
embed: {{enabled: false}}
cluster: {{enabled: false}}
domain: {{enabled: false, bucket: {{by: source}}}}
tokenizer: {{vocab_size: 300}}
"""
VALIDATED = "mixture: {{budget_tokens: 40000, weights: {{web: 0.7, math: 0.3}}}}\ncorpus: {{validation: 0.1, {more}}}\n"
PHASED = """
phases:
  - {{name: warmup, budget_tokens: 12000, weights: {{web: 0.9, math: 0.1}}}}
  - {{name: anneal, budget_tokens: 6000, weights: {{web: 0.25, math: 0.75}}}}
  - {{name: again, budget_tokens: 4000, weights: {{math: 1}}, sources: [math], reuse: true}}
corpus: {{validation: 0.05, shard_bytes: 10000, format: [parquet, mds, ds]}}
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("splits")
    rng = np.random.default_rng(4)
    for name, topic in (("web", 0), ("math", 3)):
        rows = [{"text": prose(rng, topic, 4 + i % 5), "id": f"{name}{i}"} for i in range(200)]
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return folder


def recipe(folder: Path, more: str):
    return make_recipe(parse_yaml((CONFIG + more).format(folder=folder)), "splits")


def run(folder: Path, out: Path, more: str) -> Store:
    made, store = recipe(folder, more), Store(out)
    launch(made, survey(made, store, None), store, InProcess(), None, Silent(), write_papers)
    return store


@pytest.fixture(scope="module")
def validated(folder: Path) -> Store:
    formats = "format: [parquet, jsonl.zst, megatron, mds, ds, npy, packed, webdataset]"
    more = f"columns: [tier, title, '*_words_n', language_score], {formats}"
    return run(folder, folder / "validated", VALIDATED.replace("{more}", more))


@pytest.fixture(scope="module")
def phased(folder: Path) -> Store:
    return run(folder, folder / "phased", PHASED)


def rows_of(store: Store, pattern: str) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(p) for p in sorted((store.root / "corpus").glob(pattern))])


def test_validation_is_apart_counted_and_in_every_format(validated: Store):
    train, held = rows_of(validated, "data/train-*"), rows_of(validated, "validation/data/validation-*")
    assert not set(train["doc_id"]) & set(held["doc_id"])
    assert held["doc_id"].is_unique().all()
    assert (held["copies_n"] == 1).all()
    assert 0.05 < held.height / (held.height + train["doc_id"].n_unique()) < 0.17
    assert train["token_count"].sum() == pytest.approx(40_000, rel=0.001)
    shares = dict(train.group_by("bucket").agg(pl.col("token_count").sum()).iter_rows())
    assert shares["web"] / 40_000 == pytest.approx(0.7, abs=0.001)
    splits = read_books(validated)[-1]["splits"]
    assert splits["validation"] == {
        "docs": held.height, "rows": held.height, "tokens": held["token_count"].sum(),
        "bytes": held["text"].str.len_bytes().sum(),
    }  # fmt: skip
    assert splits["train"]["rows"] == train.height
    for name in ("jsonl", "megatron", "mds", "ds", "npy", "packed", "webdataset"):
        assert any((validated.root / "corpus" / "validation" / name).glob("validation-00000-of-00001.*")), name
    assert (validated.root / "corpus" / "validation" / "mds" / "index.json").is_file()
    said = verify(validated, load_plan(validated.root / "plan.json"))
    assert any(line.startswith(f"validation: {held.height} rows") for line in said)
    assert f"| validation | {held.height} |" in (validated.root / "corpus" / "README.md").read_text()


def test_named_columns_are_in_the_corpus_beside_the_standard_ones(validated: Store, folder: Path):
    names = rows_of(validated, "data/train-*").columns
    there = {"title", "stop_words_n", "bad_words_n"}
    assert there <= set(names)
    assert names.count("language_score") == names.count("license_tier") == 1
    for wrong, said in (("q_mine", "no stage of this run writes 'q_mine'"), ("titel", "did you mean title")):
        with pytest.raises(ConfigError, match=said):
            recipe(folder, VALIDATED.replace("{more}", f"columns: [{wrong}]"))


def test_datasets_loads_both_splits_of_the_folder(validated: Store, tmp_path):
    datasets = pytest.importorskip("datasets")
    found = datasets.load_dataset(str(validated.root / "corpus"), cache_dir=str(tmp_path))
    assert {name: len(split) for name, split in found.items()} == {
        "train": rows_of(validated, "data/train-*").height,
        "validation": rows_of(validated, "validation/data/validation-*").height,
    }


def test_a_document_of_validation_in_training_is_found(validated: Store, tmp_path, capsys):
    out = Path(shutil.copytree(validated.root, tmp_path / "run"))
    books = json.loads((out / "ledger.json").read_text())
    books[-1]["splits"]["validation"]["docs"] += 1
    (out / "ledger.json").write_text(json.dumps(books))
    assert main(["verify", str(out)]) != 0
    assert "ledger.json" in capsys.readouterr().err


def test_phases_meet_their_shares_and_share_no_document_but_where_said(phased: Store):
    parts = {name: rows_of(phased, f"{name}/data/*.parquet") for name in ("warmup", "anneal", "again", "validation")}
    wanted = {"warmup": (12_000, 0.1), "anneal": (6_000, 0.75), "again": (4_000, 1.0)}
    for name, (budget, math) in wanted.items():
        rows = parts[name]
        assert rows["token_count"].sum() == pytest.approx(budget, rel=0.003), name
        share = rows.filter(pl.col("bucket") == "math")["token_count"].sum() / budget
        assert share == pytest.approx(math, abs=0.003), name
    ids = {name: set(rows["doc_id"]) for name, rows in parts.items()}
    assert not ids["warmup"] & ids["anneal"]
    assert ids["again"] & (ids["warmup"] | ids["anneal"])
    for name in wanted:
        assert ids[name]
        assert not ids[name] & ids["validation"]
    assert len(list((phased.root / "corpus" / "warmup" / "data").iterdir())) > 1
    paper = json.loads((phased.root / "mixture" / "phases.json").read_text())["phases"]
    assert [p["name"] for p in paper] == ["warmup", "anneal", "again"]
    verify(phased, load_plan(phased.root / "plan.json"))
    card = (phased.root / "corpus" / "README.md").read_text()
    assert "| anneal |" in card
    assert "No document is in two phases, except in again" in card


def test_datasets_loads_a_phase_by_its_name(phased: Store, tmp_path):
    datasets = pytest.importorskip("datasets")
    corpus = str(phased.root / "corpus")
    (name,) = [n for n in datasets.get_dataset_config_names(corpus) if n.startswith("anneal-")]
    found = datasets.load_dataset(corpus, name, cache_dir=str(tmp_path))
    assert len(found["train"]) == rows_of(phased, "anneal/data/*.parquet").height
    assert len(found["validation"]) == rows_of(phased, "validation/data/*.parquet").height


def digests(store: Store) -> dict[str, bytes]:
    corpus = store.root / "corpus"
    return {p.relative_to(corpus).as_posix(): p.read_bytes() for p in corpus.rglob("*") if p.is_file()}


def test_shards_lost_and_made_again_are_the_same_bytes(phased: Store, folder: Path, tmp_path):
    before = digests(phased)
    again = Store(Path(shutil.copytree(phased.root, tmp_path / "run")))
    shutil.rmtree(again.root / "corpus" / "warmup")
    for path in list((again.root / "corpus.receipts").glob("validation.*")):
        path.unlink()
    (again.root / "seal.json").unlink()
    assert digests(run(folder, again.root, PHASED)) == before


def test_killed_in_the_middle_of_the_sink_the_same_command_gives_the_same_bytes(
    phased: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    def unsunk(name: str) -> Path:
        out = Path(shutil.copytree(phased.root, tmp_path / name))
        for path in (out / "corpus", out / "corpus.receipts"):
            shutil.rmtree(path)
        (out / "seal.json").unlink()
        return out

    before, faults = digests(phased), Faults(monkeypatch)
    run(folder, unsunk("count"), PHASED)
    total = faults.n
    assert total > 40
    for n in (total // 10, total * 3 // 4):  # among the slices of the parts, among the shards
        out = unsunk(str(n))
        faults.n, faults.strike = 0, n
        assert stopped_by(lambda out=out: run(folder, out, PHASED)) is Killed
        faults.strike = -1
        assert digests(run(folder, out, PHASED)) == before, f"write {n} of {total}"


def test_a_changed_byte_between_scatter_and_gather_is_an_error_that_names_the_file(tmp_path: Path):
    rows = pl.DataFrame({"doc_id": ["a", "b"], "text": ["one text", "two texts"], "shard": [1, 0]})
    path = tmp_path / "part.slices"
    write_slices(path, sinking.stretches(rows))
    (found,) = sinking.pieces([Pieces(path)], 1)
    assert pl.concat(found).rows() == [("a", "one text")]
    (found,) = sinking.pieces([Pieces(path)], 2)
    assert pl.concat(found).equals(rows.drop("shard").clear())
    path.write_bytes(path.read_bytes().replace(b"one text", b"One text"))
    with pytest.raises(DataError, match=r"part\.slices is damaged"):
        list(sinking.pieces([Pieces(path)], 1))


def test_a_part_of_which_no_document_was_chosen_has_an_empty_slice_file(tmp_path: Path):
    rows = pl.DataFrame({"doc_id": ["a"], "text": ["one text"], "shard": [0]}).clear()
    path = tmp_path / "part.slices"
    write_slices(path, sinking.stretches(rows))
    (found,) = sinking.pieces([Pieces(path)], 0)
    assert pl.concat(found).equals(rows.drop("shard"))


def test_shards_gathered_in_small_pieces_hold_the_same_rows_in_the_same_order(
    phased: Store, folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setattr(sinking, "PIECE_BYTES", 1)
    again = Store(Path(shutil.copytree(phased.root, tmp_path / "run")))
    shutil.rmtree(again.root / "corpus")
    more = PHASED.replace("shard_bytes: 10000", "shard_bytes: 400000000")
    whole = run(folder, tmp_path / "whole", more)
    (path,) = (whole.root / "corpus" / "warmup" / "data").iterdir()
    assert pq.read_metadata(path).num_row_groups > 3
    one = pl.read_parquet(path)
    cut = rows_of(run(folder, again.root, PHASED), "warmup/data/*.parquet")
    assert one.equals(cut)  # the shards cut one permutation, and so do their pieces
    documents = np.fromfile(whole.root / "corpus/warmup/ds/train-00000-of-00001.ds.index", "<u8")
    assert len(documents) == one.height
    assert (np.diff(documents.astype(np.int64)) - 1).tolist() == one["token_count"].to_list()[1:]
    index = json.loads((whole.root / "corpus/warmup/mds/index.json").read_text())
    assert [shard["samples"] for shard in index["shards"]] == [one.height]


def test_a_corpus_without_the_splits_of_before_keeps_none_of_their_files(validated: Store, folder: Path, tmp_path):
    again = Path(shutil.copytree(validated.root, tmp_path / "run"))
    run(folder, again, VALIDATED.replace("validation: 0.1, {more}", ""))
    assert sorted(p.name for p in (again / "corpus").iterdir()) == [
        "ATTRIBUTION.parquet", "LICENSES.md", "README.md", "config.yaml", "data", "tokenizer.json",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("phases", "said"),
    [
        ("[{name: a, budget: 5}]", "phase a: unknown key 'budget'; did you mean budget_tokens"),
        ("[{name: a}]", "phase a: no budget_tokens"),
        ("[{name: data, budget_tokens: 5}]", "a phase cannot be called 'data'"),
        ("[{name: a, budget_tokens: 5}, {name: a, budget_tokens: 5}]", "two are called a"),
        ("[{name: a, budget_tokens: 5, weights: {web: 0.5}}]", "phase a: weights: the shares sum to 0.5"),
        ("[{name: a, budget_tokens: 5, weights: none.json}]", "phase a: weights: no file none.json"),
        ("[{name: a, budget_tokens: 5}]\nmixture: {budget_tokens: 7}", "phases ask for 5 tokens"),
    ],
)
def test_phases_that_cannot_be_are_refused(folder: Path, phases: str, said: str):
    with pytest.raises(ConfigError, match=said):
        make_recipe(parse_yaml(CONFIG.format(folder=folder) + f"phases: {phases}\n"), "x")


def test_a_bucket_or_source_that_is_not_there_is_named(folder: Path, tmp_path):
    wrong = {
        "weights: {web: 0.5, code: 0.5}": "phase a: weights: no bucket can be 'code'; there are web, math",
        "sources: [code]": "phase a: sources: no source can be 'code'",
    }
    for i, (more, said) in enumerate(wrong.items()):
        tree = parse_yaml(CONFIG.format(folder=folder) + f"phases: [{{name: a, budget_tokens: 500, {more}}}]\n")
        store = Store(tmp_path / str(i))
        made = make_recipe(tree, "splits")
        with pytest.raises(GristmillError, match=said):
            launch(made, survey(made, store, None), store, InProcess(), None, Silent(), write_papers)
