"""One file adds one thing: the listings of CONTRIBUTING.md, cut out of it and used by the config that stands below."""

import json
import re
from pathlib import Path

import polars as pl
import pytest

from frames import FakeCorpus
from gristmill.pipeline.books.verify import recounted
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Reducer
from gristmill.pipeline.contract.yaml12 import parse_yaml
from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.pipeline.plan.config import build, built, override, read_config
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.mixture.stage import Mixture
from lawrun import CONFIG, SETTINGS, execute
from places import ROOT

TEXT = (ROOT / "CONTRIBUTING.md").read_text(encoding="utf-8")
KINDS = {
    "law": "the court held that this claim was barred by statute and the appeal must fail on every ground",
    "food": "stir flour into melted butter then add warm milk and bake our bread until its crust is golden",
    "sea": "a storm drove our ship past grey cliffs while sailors reefed each sail and sang under heavy rain",
}


def used(name: str, folder: Path, monkeypatch: pytest.MonkeyPatch) -> dict:
    """Writes the listing whose first line names the file, and returns the YAML that follows it."""
    monkeypatch.syspath_prepend(str(folder))
    (code,) = re.findall(rf"```python\n(# {re.escape(name)}\n.*?)```", TEXT, flags=re.S)
    (folder / name).write_text(code, encoding="utf-8")
    after = TEXT[TEXT.index(code) :]
    found = re.search(r"```yaml\n(.*?)```", after, flags=re.S)
    assert found
    config = parse_yaml(found[1])
    assert isinstance(config, dict)
    return config


def test_a_stage_with_a_column_of_its_own_and_an_export_format_reach_the_corpus(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = {**used("vowels.py", tmp_path, monkeypatch), **used("plain.py", tmp_path, monkeypatch)}
    write_sample_data(tmp_path / "in", shards=1, max_docs=400)
    settings = [f"input.paths={tmp_path}/in/*.warc.gz", *(x for x in SETTINGS if not x.startswith(("clean.", "pii.")))]
    tree = override(read_config(CONFIG), settings)
    recipe = make_recipe({**tree, **config}, "one-file")
    execute(recipe, tmp_path / "run")
    rows = pl.read_parquet(tmp_path / "run" / "corpus" / "data" / "*.parquet")
    counted = rows["text"].str.count_matches("[aeiouy]").cast(pl.Int64)
    assert rows.height > 0
    assert rows["vowels_n"].to_list() == counted.to_list()
    (plain,) = (tmp_path / "run" / "corpus" / "plain").iterdir()
    assert plain.read_text(encoding="utf-8").split("\f")[:-1] == [t.replace("\f", " ") for t in rows["text"]]
    store = Store(tmp_path / "run")
    plan, tokens = load_plan(store.root / "plan.json", past=True), int(rows["token_count"].sum())
    assert f"plain:PlainText: {rows.height:,} documents" in recounted(store, plan, rows.height, tokens)


def test_a_reducer_of_ones_own_gives_the_same_of_one_bundle_and_of_several(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    config = used("means.py", tmp_path, monkeypatch)
    recipe = make_recipe({"input": {"paths": "unused"}, **config}, "one-file")
    (stage,) = [s for s in recipe.stages if s.name == "means"]
    assert isinstance(stage, Reducer)
    rows = [("a", "en", 10), ("b", "de", 4), ("c", None, 99), ("d", "en", 31), ("e", "de", 5)]
    docs = pl.DataFrame(rows, schema=["doc_id", "language", "text_bytes"], orient="row")
    said = []
    for bundles in ([docs], [docs[3:], docs[:0], docs[:3].reverse()]):
        out = tmp_path / str(len(bundles))
        out.mkdir()
        tables = (stage.take("sums", FakeCorpus([bundle]), {}) for bundle in bundles)
        stage.finish(stage.join("sums", tables, FakeCorpus([]), {}), FakeCorpus([]), out)
        said.append(json.loads((out / "means.json").read_text()))
    assert said == [{"de": 4.5, "en": 20.5}] * 2


def given(folder: Path) -> FakeCorpus:
    """Documents of three kinds as buckets, and held-out texts of the kind `law`."""
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    def text(kind: str, seed: int) -> str:
        known = KINDS[kind].split()
        return " ".join(known[(seed * 7 + j * (1 + seed % 5)) % len(known)] for j in range(60))

    rows = [(f"{kind}-{i:03d}", kind, text(kind, i)) for kind in KINDS for i in range(24)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    trainer = trainers.BpeTrainer(
        vocab_size=320, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"],
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([t for _, _, t in rows], trainer)
    artifacts = {name: folder / name for name in ("ingest.tokenizer", "dedup.held_out")}
    for path in artifacts.values():
        path.mkdir(parents=True)
    tokenizer.save(str(artifacts["ingest.tokenizer"] / "tokenizer.json"))
    held = {"doc_id": [f"h{i}" for i in range(20)], "text": [text("law", 100 + i) for i in range(20)]}
    pl.DataFrame({**held, "target": "references"}).write_parquet(artifacts["dedup.held_out"] / "texts.parquet")
    frame = pl.DataFrame(rows, schema=["doc_id", "bucket", "text"], orient="row")
    counts = pl.Series("token_count", [len(tokenizer.encode(t).ids) for _, _, t in rows])
    frame = frame.with_columns(counts, language=pl.lit("en"))
    return FakeCorpus([frame], artifacts, folder / "scratch")


@pytest.mark.parametrize(
    ("name", "kind", "method"),
    [("overlap.py", "unigrams", "bayes"), ("nearest.py", "ngram", "bayes"), ("corners.py", "ngram", "corners")],
)
def test_a_proxy_a_predictor_and_a_method_are_a_file_and_a_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str, kind: str, method: str
):
    config = used(name, tmp_path, monkeypatch)
    stage = built(Mixture, {"confirm": None, "threads": 1, **config["mixture"]}, "mixture", code=True)
    assert isinstance(stage, Mixture)
    (tmp_path / "out").mkdir()
    stage.run(given(tmp_path), tmp_path / "out")
    found = json.loads((tmp_path / "out" / "weights.json").read_text(encoding="utf-8"))
    runs = pl.read_parquet(tmp_path / "out" / "runs.parquet")
    assert found["search"]["method"] == method
    assert set(runs["kind"].to_list() if "kind" in runs.columns else [r["kind"] for r in runs["fidelity"]]) == {kind}
    assert found["search"]["predictor"] == ("nearest" if name == "nearest.py" else found["search"]["predictor"])
    shares = {b["bucket"]: b["weight"] for b in found["buckets"]}
    assert max(shares, key=lambda b: shares[b]) == "law"


@pytest.mark.parametrize("key", ["proxy", "predictor", "method"])
def test_a_name_of_nothing_is_refused_with_what_there_is(key: str):
    with pytest.raises(ConfigError, match=f"mixture.{key}: 'magic'; there are"):
        build(Mixture, {key: "magic"}, "mixture")
    with pytest.raises(ConfigError, match="does not derive from"):
        build(Mixture, {key: "os.path:join"}, "mixture")
