"""Ten jobs of people who build corpora, on real pages and texts: the command that they type first, and what comes out.

Each job has siblings on made input beside this file (test_first_job, test_sources_job, test_carried_job, test_python,
test_main_job) and under tests/stages (export, contamination, mixture/standalone).
"""

import json
import os
import shutil
import signal
import subprocess
import sys
import sysconfig
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import fasttext
import numpy as np
import polars as pl
import pytest
import zstandard
from test_main_job import gristmill, outputs

from places import ROOT, SHARED, SOURCE, needs_shared, receipts_below

pytestmark = needs_shared
WEB = SHARED / "web" / "CC-MAIN-shard-*.warc.gz"
TEXTS = SHARED / "domains" / "en"
REGMIX, CLIMB = SHARED / "runs" / "regmix", SHARED / "runs" / "climb" / "climb_350m.csv"


def texts(name: str, n: int | None = None) -> list[str]:
    data = zstandard.ZstdDecompressor().stream_reader((TEXTS / f"{name}.jsonl.zst").open("rb")).read()
    return [json.loads(line)["text"] for line in data.decode().split("\n")[:n] if line]


def write_lines(path: Path, rows: Sequence[dict]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return path


def run(*arguments: object, cwd: Path = ROOT) -> str:
    done = gristmill("run", *arguments, cwd=cwd)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def corpus(out: Path) -> pl.DataFrame:
    return pl.concat([pl.read_parquet(p) for p in sorted((out / "corpus" / "data").glob("train-*.parquet"))])


def balanced(out: Path) -> None:
    done = gristmill("verify", out)
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def code(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Source code under The Stack's names of columns."""
    root = Path(sysconfig.get_path("stdlib"))
    files = sorted(root.glob("*.py"))[:200]
    rows = [
        {"content": f.read_text("utf-8", "replace"), "hexsha": f"{i:040x}", "repo": "python/cpython", "stars": i}
        for i, f in enumerate(files)
    ]
    return write_lines(tmp_path_factory.mktemp("stack") / "stack.jsonl", rows)


@pytest.fixture(scope="module")
def fineweb(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Documents as FineWeb and FineWeb-Edu have them, with columns of the user's own."""
    found = [text for name in ("news", "tech_docs", "textbook_psychology", "reviews") for text in texts(name, 150)]
    rows = {
        "text": found,
        "id": [f"<urn:uuid:{i:08x}>" for i in range(len(found))],
        "dump": ["CC-MAIN-2024-10"] * len(found),
        "url": [f"https://site{i % 97}.com/{i}" for i in range(len(found))],
        "language": ["en"] * len(found),
        "language_score": [0.9] * len(found),
        "token_count": [len(text) // 4 for text in found],
        "edu_score": [i % 50 / 10 for i in range(len(found))],
        "tags": [["a", f"t{i % 5}"] for i in range(len(found))],
        "meta": [{"depth": i, "crawler": "x"} for i in range(len(found))],
        "fetched": [datetime(2024, 3, 1 + i % 28, tzinfo=UTC) for i in range(len(found))],
    }
    path = tmp_path_factory.mktemp("fineweb") / "000_00000.parquet"
    pl.DataFrame(rows).write_parquet(path)
    return path


@pytest.mark.parametrize("config", ["permissive", "commoncrawl"])
def test_1_web_shards_to_an_english_corpus(config: str, tmp_path: Path):
    out = tmp_path / "run"
    said = run(
        f"configs/{config}.yaml",
        f"input.paths={WEB}",
        "language.keep=en",
        "mixture.budget_tokens=200_000",
        "--out",
        out,
    )
    rows = corpus(out)
    assert set(rows["language"]) == {"en"}
    weights = json.loads((out / "mixture" / "weights.json").read_text())
    assert rows["token_count"].sum() == weights["achieved_tokens"]
    if weights["budget_tokens"] < 200_000:  # few pages of five shards have an open licence
        assert "200,000 tokens cannot be had" in said
    assert weights["achieved_tokens"] == pytest.approx(weights["budget_tokens"], rel=0.001)
    if config == "permissive":
        assert set(rows["license_tier"]) <= {"permissive", "site", "government"}
    first = said.split("dropped")[1].split("\n")[0]
    assert "not_a_response" not in first
    balanced(out)


def test_1_a_threshold_is_tried_and_a_missing_page_explained(tmp_path: Path):
    out = tmp_path / "run"
    run(
        "configs/commoncrawl.yaml",
        f"input.paths={SHARED}/web/CC-MAIN-shard-00000.warc.gz",
        "--out",
        out,
        "--until",
        "gates",
    )
    tried = gristmill("inspect", out, "gates", "--what-if", "min_alpha_words_frac=0.65")
    assert tried.returncode == 0, tried.stderr
    assert " kept" in tried.stdout
    ledger = pl.concat([pl.read_parquet(p) for p in (out / "ledger").rglob("*.parquet")])
    lost = ledger.filter(pl.col("stage") == "gates", pl.col("rule").is_not_null(), pl.col("url").is_not_null())
    url, rule = lost.select("url", "rule").row(0)
    answer = gristmill("explain", out, url)
    assert answer.returncode == 0, answer.stderr
    assert rule in answer.stdout.split("\n")[0] + answer.stdout.split("\n")[1]
    other = gristmill("explain", out, url.replace("https://", "http://").rstrip("/") + "/")
    assert url in other.stdout + other.stderr


def test_2_three_sources_at_given_shares_with_their_columns(fineweb: Path, code: Path, tmp_path: Path):
    math = TEXTS / "math_word_problems.jsonl.zst"
    (tmp_path / "job.yaml").write_text(
        f"input: {{keep_columns: [edu_score, tags, meta, fetched, stars]}}\n"
        f"sources:\n  - {{name: fw, paths: {fineweb}, share: 0.6}}\n"
        f"  - {{name: math, paths: {math}, share: 0.3, gates: off}}\n"
        f"  - {{name: code, paths: {code}, text_column: content, id_column: hexsha, share: 0.1, trusted: true}}\n"
        "license: {enabled: false}\nmixture: {budget_tokens: 300_000}\n"
    )
    run(tmp_path / "job.yaml", "--out", tmp_path / "run")
    rows = corpus(tmp_path / "run")
    total = rows["token_count"].sum()
    assert total == pytest.approx(300_000, rel=0.001)
    for name, share in (("fw", 0.6), ("math", 0.3), ("code", 0.1)):
        own = rows.filter(source=name)
        assert own["token_count"].sum() / total == pytest.approx(share, abs=0.001)
    web = rows.filter(source="fw")
    assert web.schema["meta"] == pl.Struct({"depth": pl.Int64, "crawler": pl.String})
    assert web.schema["fetched"] == pl.Datetime("us", "UTC")
    assert set(web["dump"]) == {"CC-MAIN-2024-10"}
    given = pl.read_parquet(fineweb).select("id", "edu_score", "tags", "meta", "fetched")
    joined = web.join(given, on="id", how="left", suffix="_given")
    for name in ("edu_score", "tags", "meta", "fetched"):
        assert joined[name].to_list() == joined[f"{name}_given"].to_list()
    assert rows.filter(source="code")["stars"].null_count() == 0
    balanced(tmp_path / "run")


def test_2_a_source_with_another_text_column_is_refused_with_the_columns_that_it_has(code: Path, tmp_path: Path):
    done = gristmill("run", "configs/commoncrawl.yaml", f"input.paths={code}", "--out", tmp_path / "run")
    assert done.returncode != 0
    assert "content" in done.stderr


def test_2_by_language_at_natural_shares(tmp_path: Path):
    out = tmp_path / "run"
    budget = 1_000_000
    run(
        "configs/commoncrawl.yaml", f"input.paths={WEB}", "domain.bucket.by=language", "mixture.method=natural",
        f"mixture.budget_tokens={budget}", "--out", out,
    )  # fmt: skip
    weights = json.loads((out / "mixture" / "weights.json").read_text())
    assert corpus(out)["token_count"].sum() == pytest.approx(weights["budget_tokens"], rel=0.02)
    total = sum(b["available_tokens"] for b in weights["buckets"])
    for bucket in weights["buckets"]:
        assert bucket["weight"] == pytest.approx(bucket["available_tokens"] / total, abs=0.005)


def test_3_own_validation_texts_and_tokenizer_leave_no_trace_in_the_corpus(fineweb: Path, tmp_path: Path):
    from tokenizers import Tokenizer, models, pre_tokenizers, trainers

    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel()  # pyright: ignore
    tokenizer.train_from_iterator(texts("news", 50), trainers.BpeTrainer(vocab_size=2000, show_progress=False))
    (tmp_path / "tok").mkdir()
    tokenizer.save(str(tmp_path / "tok" / "tokenizer.json"))
    problems = [
        dict(zip(("question", "answer"), t.split("\n\nAnswer:", 1), strict=True))
        for t in texts("math_word_problems", 100)
    ]
    gsm = write_lines(tmp_path / "gsm.jsonl", problems)
    out = tmp_path / "run"
    (tmp_path / "job.yaml").write_text(
        "license: {enabled: false}\ngates: {presets: []}\ndomain: {bucket: {by: source}}\n"
    )
    sources = f"[{{name: fw, paths: {fineweb}}}, {{name: math, paths: {TEXTS}/math_word_problems.jsonl.zst}}]"
    run(
        tmp_path / "job.yaml", f"sources={sources}",
        f"mixture.validation=[{gsm}]", f"tokenizer.path={tmp_path}/tok", "mixture.budget_tokens=150k", "--out", out,
    )  # fmt: skip
    rows = corpus(out)
    held = set(texts("math_word_problems", 100))
    assert not held & set(rows["text"])
    thirteen = {tuple(w[i : i + 13]) for t in held for w in [t.split()] for i in range(len(w) - 12)}
    leaked = [
        t
        for t in rows["text"]
        for w in [t.split()]
        if sum(tuple(w[i : i + 13]) in thirteen for i in range(len(w) - 12)) > 3
    ]
    assert not leaked
    shown = rows.head(100)
    assert [len(tokenizer.encode(t).ids) for t in shown["text"]] == shown["token_count"].to_list()


def test_4_own_models_a_limit_on_them_and_a_datatrove_filter(fineweb: Path, tmp_path: Path):
    lines = [f"__label__hq {' '.join(t.split()[:200])}" for t in texts("textbook_psychology", 100)]
    lines += [f"__label__lq {' '.join(t.split()[:200])}" for t in texts("reviews", 100)]
    (tmp_path / "train.txt").write_text("\n".join(lines))
    model = fasttext.train_supervised(str(tmp_path / "train.txt"), thread=1, seed=1, epoch=20, verbose=0)
    model.save_model(str(tmp_path / "mine.bin"))
    (tmp_path / "rules.py").write_text("def is_long(document):\n    return len(document.text) > 500\n")
    (tmp_path / "job.yaml").write_text(
        f"input: {{paths: {fineweb}}}\nlicense: {{enabled: false}}\nmixture: {{budget_tokens: 30k}}\n"
        f"quality: {{models: [{{name: mine, path: {tmp_path}/mine.bin, label: __label__hq}}]}}\n"
        "gates: {presets: [], limits: [{column: q_mine, top_share: 0.2}]}\ncorpus: {columns: [q_mine]}\n"
        "extra:\n  - stage: gristmill.pipeline.run.datatrove_filter:DatatroveFilter\n    after: gates\n"
        "    with: {filter: 'datatrove.pipeline.filters:LambdaFilter', arguments: {filter_function: 'rules:is_long'}}\n"
    )
    run("job.yaml", "--out", "run", cwd=tmp_path)
    rows = corpus(tmp_path / "run")
    assert rows["text"].str.len_chars().min() > 500
    assert rows["q_mine"].null_count() == 0
    scored = pl.concat([pl.read_parquet(p) for p in (tmp_path / "run" / "quality").glob("*.parquet")])
    assert rows["q_mine"].min() >= scored["q_mine"].quantile(0.7)


def test_5_published_runs_to_weights_to_a_corpus(tmp_path: Path):
    found = gristmill(
        "search", "--ratios", REGMIX / "train_mixture_1m.csv", "--metrics", REGMIX / "train_pile_loss_1m.csv",
        "--out", tmp_path / "found", "--predictor", "lightgbm_regmix",
    )  # fmt: skip
    assert found.returncode == 0, found.stderr
    assert "lower is better" in found.stdout + found.stderr
    accuracies = gristmill("search", "--ratios", CLIMB, "--metrics", CLIMB, "--out", tmp_path / "climb")
    if accuracies.returncode == 0:
        assert "higher is better" in accuracies.stdout + accuracies.stderr
    else:
        assert "--direction" in accuracies.stderr
    weights = json.loads((tmp_path / "found" / "weights.json").read_text())["weights"]
    files = sorted(TEXTS.glob("*.jsonl.zst"))
    sources = ", ".join(f"{{name: {name}, paths: {file}}}" for name, file in zip(weights, files, strict=False))
    (tmp_path / "job.yaml").write_text("license: {enabled: false}\ngates: {presets: []}\n")
    run(
        tmp_path / "job.yaml", f"sources=[{sources}]", f"mixture.weights={tmp_path}/found/weights.json",
        "mixture.budget_tokens=100k", "dedup.minhash.enabled=false", "embed.enabled=false", "cluster.enabled=false",
        "domain.enabled=false", "domain.bucket.by=source", "quality.enabled=false", "--out", tmp_path / "run",
    )  # fmt: skip
    rows = corpus(tmp_path / "run")
    total = rows["token_count"].sum()
    for name, share in weights.items():  # whole novels are longer than some of the quotas
        assert rows.filter(source=name)["token_count"].sum() / total == pytest.approx(share, abs=0.02), name


def test_6_every_format_at_once(fineweb: Path, tmp_path: Path):
    every = "[parquet, jsonl.zst, webdataset, megatron, mds, ds, npy, packed]"
    (tmp_path / "job.yaml").write_text(
        f"input: {{paths: {fineweb}}}\nlicense: {{enabled: false}}\nmixture: {{budget_tokens: 60k}}\n"
    )
    out = tmp_path / "run"
    run(tmp_path / "job.yaml", f"corpus.format={every}", "corpus.sequence_length=512", "--out", out)
    rows = corpus(out)
    folders = {p.name for p in (out / "corpus").iterdir() if p.is_dir()}
    assert {"data", "jsonl", "webdataset", "megatron", "mds", "ds", "npy", "packed"} <= folders
    ids = np.concatenate([np.load(p) for p in sorted((out / "corpus" / "npy").glob("train-*-of-00001.npy"))])
    assert len(ids) == rows["token_count"].sum() + rows.height  # one end token each
    balanced(out)


def test_7_from_python(fineweb: Path, tmp_path: Path):
    program = (
        "import gristmill, polars as pl\n"
        f"config = {{'input': {{'paths': '{fineweb}'}}, 'license': {{'enabled': False}}}}\n"
        f"run = gristmill.run(config, '{tmp_path}/run', mixture__budget_tokens=50_000, quiet=True)\n"
        "print(run.corpus.collect().height, run.ledger.height)\n"
        "frame = pl.DataFrame({'text': ['The mill stands by the river.']})\n"
        "print(gristmill.annotate(frame, ['language'])['language'].to_list())\n"
    )
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    assert done.stdout.split("\n")[1] == "['en']"


def test_8_interrupted_resumed_and_a_shard_more(tmp_path: Path):
    shards = sorted(Path(SHARED / "web").glob("CC-MAIN-shard-*.warc.gz"))
    (tmp_path / "in").mkdir()
    for shard in shards[:2]:
        shutil.copy(shard, tmp_path / "in")
    given = ["configs/commoncrawl.yaml", f"input.paths={tmp_path}/in/*.warc.gz", "mixture.budget_tokens=100k"]
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", *given, "--out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    process = subprocess.Popen(
        command, cwd=ROOT, env=environment, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and receipts_below(tmp_path / "run") < 5:
        pass
    process.send_signal(signal.SIGINT)
    _, said = process.communicate()
    assert process.returncode == 130
    assert "the same command goes on from here" in said
    status = gristmill("status", tmp_path / "run")
    assert "stopped" in status.stdout.split("\n")[0]
    run(*given, "--out", tmp_path / "run")
    run(*given, "--out", tmp_path / "fresh", "--workers", 1)
    names = [name for name in outputs(tmp_path / "fresh") if name.startswith("corpus/data")]
    assert names
    assert {n: outputs(tmp_path / "run")[n] for n in names} == {n: outputs(tmp_path / "fresh")[n] for n in names}
    times = {p: p.stat().st_mtime_ns for p in (tmp_path / "run" / "ingest").glob("*.parquet")}
    shutil.copy(shards[2], tmp_path / "in")
    run(*given, "--out", tmp_path / "run")
    assert {p: p.stat().st_mtime_ns for p in times} == times
    (tmp_path / "in" / shards[2].name).unlink()
    refused = gristmill("run", *given, "--out", tmp_path / "run")
    assert refused.returncode == 2
    assert "--yes" in refused.stderr


WRONG = {
    "a wrong key": (["gates.min_wrods=5"], "did you mean"),
    "a language by its name": (["language.keep=english"], "en"),
    "a budget that is no number": (["mixture.budget_tokens=lots"], "mixture.budget_tokens"),
    "a file that is not there": (["input.paths=nowhere/*.warc.gz"], "nowhere"),
    "a tokenizer that is not there": (["tokenizer.path=none.json"], "tokenizer.path"),
    "a model that is not there": (["quality.models=[{name: m, path: none.bin, label: x}]"], "none.bin"),
    "a validation file that is not there": (["mixture.validation=[none.jsonl]"], "none.jsonl"),
    "an unknown bucket": (["domain.bucket.by=domain", "mixture.bounds=[{bucket: Scienze, maximum: 0.5}]"], "Science"),
}


@pytest.mark.parametrize("what", WRONG)
def test_9_wrong_things_end_at_once_with_the_way_out(what: str, tmp_path: Path):
    given, said = WRONG[what]
    web = [] if any(g.startswith("input.paths") for g in given) else [f"input.paths={WEB}"]
    done = gristmill("run", "configs/commoncrawl.yaml", *web, *given, "--out", tmp_path / "run")
    assert done.returncode == 2, done.stdout + done.stderr
    assert said in done.stderr
    assert len(done.stderr.strip().split("\n")) <= 2
    assert not (tmp_path / "run" / "ingest").exists()


@pytest.mark.parametrize("name", ["rows.csv", "page.txt", "array.json", "cut.parquet", "numbers.parquet"])
def test_9_files_that_give_no_document_are_refused(name: str, tmp_path: Path):
    pl.DataFrame({"text": ["a b c"] * 50}).write_csv(tmp_path / "rows.csv")
    (tmp_path / "page.txt").write_text("Only a text.\n" * 20)
    (tmp_path / "array.json").write_text(json.dumps([{"text": "a"}] * 5))
    pl.DataFrame({"text": ["a b c"] * 50}).write_parquet(tmp_path / "whole.parquet")
    (tmp_path / "cut.parquet").write_bytes((tmp_path / "whole.parquet").read_bytes()[:-40])
    pl.DataFrame({"text": [1, 2, 3]}).write_parquet(tmp_path / "numbers.parquet")
    done = gristmill("run", "configs/commoncrawl.yaml", f"input.paths={tmp_path / name}", "--out", tmp_path / "run")
    assert done.returncode != 0
    assert name in done.stderr


def test_10_filter_dedup_and_sample_without_references_quality_or_mixture(tmp_path: Path):
    (tmp_path / "job.yaml").write_text("gates: {presets: [gopher]}\nsignals: {words: whitespace}\n")
    out = tmp_path / "run"
    run(
        tmp_path / "job.yaml", f"input.paths={WEB}", "quality.enabled=false", "mixture.budget_tokens=300k", "--out", out
    )
    # 40 languages, some of whose quotas are smaller than their shortest document
    assert corpus(out)["token_count"].sum() == pytest.approx(300_000, rel=0.005)
    balanced(out)
