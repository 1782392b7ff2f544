"""Named sources in one run: FineWeb-like Parquet, math as packed JSON lines, code under another column, 60/30/10."""

import json
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard
from test_first_job import prose

from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.books.sources import funnels
from gristmill.pipeline.books.summary import write_papers
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import ConfigError, GristmillError, InputError
from gristmill.pipeline.plan.config import parse_yaml
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from lawrun import execute


def three(folder: Path) -> dict[str, str]:
    """Paths of the three sources; of math every other record stands twice."""
    rng = np.random.default_rng(5)
    web = [
        {"text": prose(rng, i), "id": f"<urn:{i}>", "url": f"https://site{i % 40}.com/{i}", "dump": "CC-MAIN-2024-10"}
        for i in range(150)
    ]
    pl.DataFrame(web).write_parquet(folder / "web.parquet")
    math = [{"problem": f"{i} + {i} = {2 * i}\n" * 20, "uuid": str(i)} for i in range(100) for _ in range(1 + i % 2)]
    lines = "".join(json.dumps(row) + "\n" for row in math).encode()
    (folder / "math.jsonl.zst").write_bytes(zstandard.compress(lines))
    code = [{"content": f"def f{i}(x):\n    return {{x: {i}}}\n" * 12, "hexsha": f"{i:04x}"} for i in range(120)]
    (folder / "code.jsonl").write_text("".join(json.dumps(row) + "\n" for row in code))
    return {name: str(folder / file) for name, file in
            (("web", "web.parquet"), ("math", "math.jsonl.zst"), ("code", "code.jsonl"))}  # fmt: skip


CONFIG = """
name: three
sources:
  - {{name: web, paths: {web}, share: 0.6}}
  - {{name: math, paths: {math}, text_column: problem, id_column: uuid, share: 0.3, gates: off, language: en,
      license: CC-BY-4.0, quality: exempt, dedup: off}}
  - {{name: code, paths: {code}, text_column: content, id_column: hexsha, share: 0.1, trusted: true}}
gates: {{presets: [gopher]}}
signals: {{words: whitespace}}
tokenizer: {{vocab_size: 300}}
mixture: {{budget_tokens: 40_000}}
"""


def recipe(folder: Path, config: str = CONFIG):
    return make_recipe(parse_yaml(config.format(**three(folder))), "x")


@pytest.fixture(scope="module")
def made(tmp_path_factory) -> Store:
    folder = tmp_path_factory.mktemp("three")
    return execute(recipe(folder), folder / "run")


def corpus_of(store: Store) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(p) for p in sorted((store.root / "corpus" / "data").glob("*.parquet"))])


def test_three_sources_meet_their_shares_at_the_first_try(made):
    corpus = corpus_of(made)
    tokens = dict(corpus.group_by("bucket").agg(pl.col("token_count").sum()).iter_rows())
    assert sum(tokens.values()) == pytest.approx(40_000, rel=0.005)
    assert {name: n / sum(tokens.values()) for name, n in tokens.items()} == {
        "web": pytest.approx(0.6, abs=0.005),
        "math": pytest.approx(0.3, abs=0.005),
        "code": pytest.approx(0.1, abs=0.005),
    }


def test_every_source_has_the_settings_that_it_names(made):
    rows = ingested(made)
    by = {name: frame for (name,), frame in rows.group_by("source")}
    assert {name: frame.height for name, frame in by.items()} == {"web": 150, "math": 150, "code": 120}
    assert set(by["math"]["license_declared"]) == {"CC-BY-4.0"}
    assert by["code"]["id"].is_in([f"{i:04x}" for i in range(120)]).all()
    assert set(by["web"]["dump"]) == {"CC-MAIN-2024-10"}
    assert set(by["math"]["language"]) == {"en"}
    gone = rows.filter(pl.col("exact_duplicate_of").is_not_null())
    assert set(gone["source"]) == {"math"}  # whose duplicates are marked and stay
    assert rows.filter(source="math")["rule"].null_count() == 150


def ingested(store: Store) -> pl.DataFrame:
    plan = load_plan(store.root / "plan.json")
    frames = []
    for part in plan.parts:
        frame = store.read("ingest", part.key, ("source", "id", "license_declared", "dump"))
        for dataset, column in (("language", "language"), ("dedup.exact", "exact_duplicate_of"), ("gates", "rule")):
            frame = frame.join(store.read(dataset, part.key, (column,)), on="doc_id", how="left")
        frames.append(frame)
    return pl.concat(frames)


def test_the_ledger_by_source_adds_up_and_stands_in_ledger_card_and_report(made, capsys):
    plan = load_plan(made.root / "plan.json")
    found = {f.source: f for f in funnels(made, plan)}
    entries = read_books(made)
    assert sum(f.records for f in found.values()) == entries[0]["docs_in"]
    for entry in entries:
        assert sum(f.after[entry["stage"]] for f in found.values()) == entry["docs_out"]
    assert sum(f.tokens for f in found.values()) == corpus_of(made)["token_count"].sum()
    assert found["math"].after["gates"] == 150
    write_papers(made, plan)
    assert main(["ledger", str(made.root)]) == 0
    assert "source              records  documents" in capsys.readouterr().out
    assert "| math | 150 | 150 |" in (made.root / "corpus" / "README.md").read_text()
    assert 'id="sources"' in (made.root / "report.html").read_text()


def test_the_saved_config_makes_the_same_stages(tmp_path):
    first = recipe(tmp_path)
    assert make_recipe(first.resolved, "x").stages == first.stages


def test_one_source_s_gates_redo_no_other_step(tmp_path):
    first, second = recipe(tmp_path), recipe(tmp_path, CONFIG.replace("gates: off", "gates: [gopher]"))
    changed = {a.name for a, b in zip(first.stages, second.stages, strict=True) if a != b}
    assert changed == {"gates"}


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("share: 0.6", "share: 0.9", "the shares sum to 1.3"),
        (", share: 0.6", "", "web has no share; give every source one, or none"),
        (
            "text_column: problem",
            "text_colum: problem",
            "source math: unknown key 'text_colum'; did you mean text_column",
        ),
        ("name: math", "name: web", "two are named 'web'"),
        ("gates: off", "gates: {{min_wrds: 3}}", "source math: gates has no limit 'min_wrds'; did you mean min_words"),
        ("gates: off", "gates: gofer", "source math: gates.presets holds 'gofer'"),
        ("language: en", "language: english", "language of source math.*english"),
        ("trusted: true", "trusted: 1", "source code: trusted is true or false"),
        ("dedup: off", "dedup: never", "dedup"),
        ("mixture: {{", "mixture: {{method: natural, ", "sources give shares, and so does mixture.method"),
        ("name: three", "name: three\ninput: {{paths: a.jsonl}}", "input.paths and sources are both given"),
        ("name: three", "name: three\ndomain: {{bucket: {{by: language}}}}", "domain.bucket.by is language"),
    ],
)
def test_what_cannot_be_meant_of_a_source_is_refused(old, new, said, tmp_path):
    with pytest.raises(ConfigError, match=said):
        recipe(tmp_path, CONFIG.replace(old, new))


def test_a_source_without_its_text_column_is_named_before_the_run(tmp_path):
    config = CONFIG.replace("text_column: content, ", "")
    with pytest.raises(InputError, match=r"source code: code/code\.jsonl has no column 'text'; it has content, hexsha"):
        execute(recipe(tmp_path, config), tmp_path / "run")


def test_a_source_of_which_the_gates_leave_nothing_is_named(tmp_path):
    config = CONFIG.replace("gates: off", "gates: [gopher]")
    with pytest.raises(GristmillError, match="gates left no document of source math: 150 documents in, dropped by"):
        execute(recipe(tmp_path, config), tmp_path / "run")


def test_weights_are_shares_in_any_scale(tmp_path):
    config = (
        CONFIG.replace("share: 0.6", "weight: 6").replace("share: 0.3", "weight: 3").replace("share: 0.1", "weight: 1")
    )
    assert recipe(tmp_path, config).resolved["mixture"]["weights"] == {"web": 0.6, "math": 0.3, "code": 0.1}


def test_a_source_of_which_the_mixture_wants_nothing_is_no_error(tmp_path, capsys):
    (tmp_path / "in").mkdir()
    config = (
        CONFIG.replace("share: 0.6", "share: 0.999")
        .replace("share: 0.3", "share: 0.001")
        .replace("share: 0.1", "share: 0")
    )
    (tmp_path / "job.yaml").write_text(config.format(**three(tmp_path / "in")).replace("40_000", "9_000"))
    assert main(["run", str(tmp_path / "job.yaml"), "--out", str(tmp_path / "run")]) == 0
    rows = pl.concat([pl.read_parquet(p) for p in (tmp_path / "run/corpus/data").glob("*.parquet")])
    assert set(rows["source"]) == {"web"}
