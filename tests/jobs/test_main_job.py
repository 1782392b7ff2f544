"""The main job through the command line, on a small embedded input: what a user sees, and what must not go wrong."""

import gzip
import hashlib
import json
import os
import re
import signal
import subprocess
import sys
from itertools import pairwise
from pathlib import Path

import polars as pl
import pyarrow.parquet as pq
import pytest

from gristmill.pipeline.demo.shards import write_sample_data
from places import ROOT, SOURCE, receipts_below

SETTINGS = ["tokenizer.vocab_size=4096", "mixture.method=regmix", "mixture.runs=128"]


def gristmill(*arguments: object, cwd: Path = ROOT) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, "-m", "gristmill.pipeline.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    return subprocess.run(command, capture_output=True, text=True, cwd=cwd, env=environment, check=False)


def run(data: Path, out: Path, *more: object) -> subprocess.CompletedProcess[str]:
    config = ROOT / "configs" / "quickstart.yaml"
    return gristmill("run", config, f"input.paths={data}/*.warc.gz", *SETTINGS, *more, "--out", out)


def outputs(out: Path) -> dict[str, str]:
    files = [*(out / "corpus").rglob("*"), out / "mixture" / "weights.json", out / "ledger.json", out / "report.html"]
    return {str(f.relative_to(out)): hashlib.sha256(f.read_bytes()).hexdigest() for f in files if f.is_file()}


def times(out: Path, dataset: str) -> list[int]:
    return [p.stat().st_mtime_ns for p in sorted((out / dataset).glob("*.parquet"))]


@pytest.fixture(scope="session")
def data(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("sample-data")
    write_sample_data(folder, shards=3, max_docs=900)
    return folder


@pytest.fixture(scope="session")
def finished(data: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    out = tmp_path_factory.mktemp("main-job") / "run"
    done = run(data, out, "--workers", 2)
    assert done.returncode == 0, done.stdout + done.stderr
    return out


def test_run_leaves_what_it_promises(finished: Path):
    for path in (
        "plan.json",
        "config.yaml",
        "artifacts",
        "mixture/weights.json",
        "corpus/README.md",
        "report.html",
        "logs",
    ):
        assert (finished / path).exists(), path
    assert list((finished / "corpus" / "data").glob("train-00000-of-*.parquet"))


def test_ledger_balances_from_records_to_corpus(finished: Path):
    entries = json.loads(gristmill("ledger", finished, "--json").stdout)
    for entry in entries:
        for unit in ("docs", "bytes", "tokens"):
            dropped = sum(rule[unit] for rule in entry["dropped"].values())
            assert entry[f"{unit}_in"] == entry[f"{unit}_out"] + dropped, (entry["stage"], unit)
    for before, after in pairwise(entries):
        assert before["docs_out"] == after["docs_in"]
        assert before["tokens_out"] == after["tokens_in"]
        assert before["bytes_out"] == after["bytes_in"]
    stages = [e["stage"].split(".")[0] for e in entries]
    order = "ingest language license signals gates dedup quality embed cluster domain mixture quadmix sample corpus"
    assert list(dict.fromkeys(stages)) == order.split()
    rules = {(e["stage"], rule) for e in entries for rule in e["dropped"]}
    assert {("license", "opted_out"), ("dedup.exact", "exact_duplicate"), ("dedup.minhash", "near_duplicate")} <= rules
    assert {("dedup.held_out", "held_out"), ("sample", "not_sampled"), ("ingest", "bad_status")} <= rules


def test_corpus_holds_the_budget_in_the_searched_shares(finished: Path):
    weights = json.loads((finished / "mixture" / "weights.json").read_text())
    corpus = pl.read_parquet(finished / "corpus" / "data" / "*.parquet")
    total = corpus["token_count"].sum()
    assert abs(total / weights["budget_tokens"] - 1) <= 0.005
    shares = dict(corpus.group_by("bucket").agg(pl.col("token_count").sum() / total).iter_rows())
    for row in weights["buckets"]:
        assert abs(shares.get(row["bucket"], 0.0) - row["weight"]) <= 0.005 or row["capped"]
        assert row["epochs"] <= weights["max_epochs"] + 1e-9
    assert corpus["copies_n"].max() <= 4
    entry = json.loads((finished / "ledger.json").read_text())[-1]
    assert (entry["rows"], entry["tokens"], entry["docs_out"]) == (corpus.height, total, corpus["doc_id"].n_unique())


def test_corpus_is_read_by_its_readers_and_the_card_parses(finished: Path):
    from datasets import load_dataset
    from huggingface_hub import DatasetCard

    corpus = finished / "corpus"
    rows = sum(pq.read_table(f).num_rows for f in sorted((corpus / "data").glob("*.parquet")))
    assert pl.read_parquet(corpus / "data" / "*.parquet").height == rows
    loaded = load_dataset(str(corpus), split="train", cache_dir=str(finished / ".cache"))
    assert loaded.num_rows == rows
    card = DatasetCard.load(corpus / "README.md")
    assert card.data.license == "other"
    card.data.to_dict()
    metadata = pq.ParquetFile(next((corpus / "data").glob("*.parquet"))).metadata
    assert metadata.row_group(0).num_rows <= 50_000
    assert metadata.row_group(0).column(1).compression == "ZSTD"


def test_held_out_texts_are_not_in_the_corpus(finished: Path):
    held = pl.read_parquet(finished / "artifacts" / "dedup.held_out" / "texts.parquet")
    corpus = pl.read_parquet(finished / "corpus" / "data" / "*.parquet")
    assert held.height > 0
    assert not set(held["text"]) & set(corpus["text"])


def test_any_workers_same_bytes(data: Path, finished: Path, tmp_path: Path):
    assert run(data, tmp_path / "one", "--workers", 1).returncode == 0
    assert outputs(tmp_path / "one") == outputs(finished)


def test_killed_and_rerun_same_bytes(data: Path, finished: Path, tmp_path: Path):
    """SIGKILL of the parent after a given number of receipts; no workers are left behind, nothing differs."""
    out = tmp_path / "run"
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(ROOT / "configs" / "quickstart.yaml")]
    command += [f"input.paths={data}/*.warc.gz", *SETTINGS, "--out", str(out), "--workers", "2"]
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    for wanted in (3, 30, 62):
        process = subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        while process.poll() is None and receipts_below(out) < wanted:
            try:
                process.wait(0.01)
            except subprocess.TimeoutExpired:
                continue
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert run(data, out, "--workers", 2).returncode == 0
    assert outputs(out) == outputs(finished)


def test_rerun_does_nothing_and_a_changed_threshold_only_what_follows(data: Path, finished: Path, tmp_path: Path):
    import shutil

    out = tmp_path / "run"
    shutil.copytree(finished, out)
    again = run(data, out)
    assert again.returncode == 0
    assert outputs(out) == outputs(finished)
    before = {d: times(out, d) for d in ("ingest", "language", "license", "signals", "gates", "ingest.tokens")}
    assert times(out, "quality")
    dry = run(data, out, "gates.min_words=70", "--dry-run")
    assert dry.returncode == 0
    said = {line.split()[1]: line for line in dry.stdout.split("\n")[1:] if line}
    assert said["signals"].startswith("skip")
    assert said["gates"].startswith("run")
    assert "min_words: 50 -> 70" in said["gates"]
    assert {d: times(out, d) for d in before} == before
    assert run(data, out, "gates.min_words=70").returncode == 0
    after = {d: times(out, d) for d in before}
    assert {d for d in before if before[d] != after[d]} == {"gates"}
    fresh = tmp_path / "fresh"
    assert run(data, fresh, "gates.min_words=70").returncode == 0
    assert outputs(out) == outputs(fresh)


def test_added_input_computes_only_its_own_part_before_the_first_reducer(data: Path, tmp_path: Path):
    shards = sorted(map(str, data.glob("*.warc.gz")))
    out, config = tmp_path / "run", ROOT / "configs" / "quickstart.yaml"
    more = ["--until", "gates", "--out", out, "--workers", "2"]
    assert gristmill("run", config, f"input.paths={json.dumps(shards[:2])}", *more).returncode == 0
    before = {d: times(out, d) for d in ("ingest", "signals", "gates")}
    dry = gristmill("run", config, f"input.paths={json.dumps(shards)}", *more, "--dry-run").stdout
    assert re.search(r"run +signals +annotator 2 parts done, 1 new", dry), dry
    assert gristmill("run", config, f"input.paths={json.dumps(shards)}", *more).returncode == 0
    assert all(set(before[d]) < set(times(out, d)) for d in before)
    done = gristmill("run", config, f"input.paths={json.dumps(shards[1:])}", *more)
    assert done.returncode == 2
    assert "gone from the config" in done.stderr
    assert gristmill("run", config, f"input.paths={json.dumps(shards[1:])}", *more, "--yes").returncode == 0
    assert len(times(out, "ingest")) == 2


def test_verify_explain_inspect_status(finished: Path):
    assert "each has one fate" in gristmill("verify", finished).stdout
    assert gristmill("status", finished).returncode == 0
    shown = gristmill("inspect", finished, "gates", "--rule", "too_few_words", "-n", 2)
    assert shown.returncode == 0
    found = re.search(r"^  (\w{32})  .*\n    (words_n = \d+ < 50.* \(gates.min_words\))$", shown.stdout, re.M)
    assert found, shown.stdout
    way = gristmill("explain", finished, found[1]).stdout
    assert way.startswith(f"Dropped at gates: too_few_words; {found[2]}.\n")
    assert "\n  gates: dropped, too_few_words" in way
    chosen = pl.read_parquet(finished / "corpus" / "data" / "*.parquet").row(0, named=True)
    said = gristmill("explain", finished, chosen["url"]).stdout
    assert re.match(r"Kept: written (once|\d times), in corpus/data/train-0.*; bucket ", said), said
    left = pl.read_parquet(finished / "ledger" / "*.parquet").filter(pl.col("rule") == "not_sampled").row(0, named=True)
    said = gristmill("explain", finished, left["url"]).stdout
    assert re.match(r"Left out by sample: not_sampled; bucket \w+ is to give [\d,]+ tokens and has [\d,]+; ", said), (
        said
    )
    rejected = gristmill("inspect", finished, "ingest", "--rule", "bad_status", "-n", 1).stdout
    assert "bad_status" in rejected


def test_what_if_predicts_what_a_changed_limit_does(finished: Path):
    said = gristmill("inspect", finished, "gates", "--what-if", "min_words=70").stdout
    before = json.loads((finished / "ledger.json").read_text())
    kept = next(e["docs_out"] for e in before if e["stage"] == "gates")
    assert said.startswith(f"gates: {kept:,} of ")
    words = pl.read_parquet(finished / "signals" / "*.parquet").join(
        pl.read_parquet(finished / "gates" / "*.parquet").filter(pl.col("rule").is_null()), on="doc_id"
    )
    languages = pl.read_parquet(finished / "language" / "*.parquet")
    english = words.join(languages.filter(pl.col("language") == "en"), on="doc_id")
    few = english.filter(pl.col("words_n") < 70).height
    assert few > 0
    assert f"{few:,}  kept -> too_few_words" in said
    assert gristmill("inspect", finished, "gates", "--what-if", "min_wordz=70").returncode == 2


@pytest.mark.skipif(os.geteuid() != 0, reason="mounting a small file system takes root")
@pytest.mark.slow
def test_full_disk_is_a_clear_error_and_the_run_resumes(data: Path, finished: Path, tmp_path: Path):
    disk = tmp_path / "disk"
    disk.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1500k", "tmpfs", str(disk)], check=False)
    if mounted.returncode:
        pytest.skip("no permission to mount a tmpfs")
    try:
        done = run(data, disk / "run", "--workers", 2)
        assert done.returncode == 1
        assert "No space left" in done.stderr
        assert "Traceback" not in done.stderr
        subprocess.run(["mount", "-o", "remount,size=400m", str(disk)], check=True)
        assert run(data, disk / "run", "--workers", 2).returncode == 0
        assert outputs(disk / "run") == outputs(finished)
    finally:
        subprocess.run(["umount", "-l", str(disk)], check=False)


def test_verify_notices_a_changed_file(finished: Path, tmp_path: Path):
    import shutil

    out = tmp_path / "run"
    shutil.copytree(finished, out)
    path = next((out / "signals").glob("*.parquet"))
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(bytes(content))
    done = gristmill("verify", out)
    assert done.returncode == 1
    assert str(path.relative_to(out)) in done.stderr


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["run", "none.yaml", "--out", "{tmp}/run"], "no config none.yaml"),
        (
            ["run", "configs/quickstart.yaml", "input.paths=/nowhere/x.warc.gz", "--out", "{tmp}/run"],
            "/nowhere/x.warc.gz",
        ),
        (["run", "configs/quickstart.yaml", "input.paths={tmp}/*.warc.gz", "--out", "{tmp}/run"], "*.warc.gz"),
        (
            ["run", "configs/quickstart.yaml", "gates.min_wordz=3", "--out", "{tmp}/run"],
            "did you mean gates.min_words?",
        ),
        (["run", "configs/quickstart.yaml", "gates.min_words=many", "--out", "{tmp}/run"], "gates.min_words"),
        (["run", "configs/quickstart.yaml", "mixture.method=magic", "--out", "{tmp}/run"], "magic"),
        (["status", "{tmp}/nothing"], "no run folder"),
        (["ledger", "{tmp}"], "not a run folder"),
        (["run", "configs/quickstart.yaml", "--workers", "0", "--out", "{tmp}/run"], "workers"),
    ],
)
def test_usage_and_config_errors_are_status_2_and_name_the_thing(
    data: Path, tmp_path: Path, arguments: list[str], message: str
):
    done = gristmill(*(a.format(tmp=tmp_path) for a in arguments))
    assert done.returncode == 2, done.stderr
    assert message in done.stderr
    assert "Traceback" not in done.stderr


def test_explain_of_an_unknown_document_says_so(finished: Path):
    done = gristmill("explain", finished, "http://no.such/page")
    assert done.returncode == 2
    assert "No record has the URL http://no.such/page" in done.stderr


def test_another_config_in_the_same_folder_is_refused(data: Path, finished: Path):
    config = ROOT / "configs" / "permissive.yaml"
    done = gristmill("run", config, f"input.paths={data}/*.warc.gz", "--out", finished)
    assert done.returncode == 2
    assert "holds a run of config 'quickstart'" in done.stderr


def test_bad_files_among_good_ones_are_counted_and_nothing_else_is_lost(data: Path, tmp_path: Path):
    folder = tmp_path / "in"
    folder.mkdir()
    whole = sorted(data.glob("*.warc.gz"))
    (folder / "a.warc.gz").write_bytes(whole[0].read_bytes())
    (folder / "b.warc.gz").write_bytes(whole[1].read_bytes()[: whole[1].stat().st_size // 2])
    (folder / "c.warc.gz").write_bytes(b"")
    (folder / "d.parquet").write_bytes(b"PAR1 this is no Parquet file")
    lines = [json.dumps({"text": f"a line of text, number {i}", "url": f"http://x/{i}"}) for i in range(9)]
    (folder / "e.jsonl.gz").write_bytes(gzip.compress("\n".join([*lines[:4], '{"text": "broken', *lines[4:]]).encode()))
    config = ROOT / "configs" / "quickstart.yaml"
    out = tmp_path / "run"
    done = gristmill("run", config, f"input.paths=[{folder}/*]", "--until", "ingest", "--out", out)
    assert done.returncode == 0, done.stderr
    ingest = json.loads((out / "ledger.json").read_text())[0]
    assert ingest["docs_in"] == ingest["docs_out"] + sum(r["docs"] for r in ingest["dropped"].values())
    reasons = set(ingest["dropped"])
    assert len(reasons & {"truncated", "empty_file", "broken_line", "broken_file"}) >= 3, reasons
    jsonl = pl.concat([pl.read_parquet(f) for f in (out / "ingest").glob("*.parquet")])
    assert jsonl.filter(pl.col("url").str.starts_with("http://x/")).height == 9


def test_a_mixture_that_cannot_be_met_names_the_bounds(data: Path, finished: Path, tmp_path: Path):
    import shutil

    out = tmp_path / "run"
    shutil.copytree(finished, out)
    done = run(data, out, "mixture.budget_share=9.0", "mixture.bounds=[{bucket: c00, maximum: 0.01}]")
    assert done.returncode == 1
    assert "the caps sum to" in done.stderr
    assert "Traceback" not in done.stderr


def test_a_budget_beyond_what_there_is_gives_what_there_is_and_says_so(data: Path, finished: Path, tmp_path: Path):
    import shutil

    out = tmp_path / "run"
    shutil.copytree(finished, out)
    done = run(data, out, "mixture.budget_tokens=900M")
    assert done.returncode == 0, done.stderr
    assert "900,000,000 tokens cannot be had: " in done.stdout
    weights = json.loads((out / "mixture" / "weights.json").read_text())
    available = sum(b["available_tokens"] for b in weights["buckets"])
    assert weights["budget_tokens"] == 4 * available
    assert weights["achieved_tokens"] == pytest.approx(4 * available, rel=0.001)


def test_interrupted_run_says_how_to_go_on(data: Path, tmp_path: Path):
    out = tmp_path / "run"
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(ROOT / "configs" / "quickstart.yaml")]
    command += [f"input.paths={data}/*.warc.gz", *SETTINGS, "--until", "gates", "--out", str(out), "--workers", "2"]
    process = subprocess.Popen(
        command, env={**os.environ, "PYTHONPATH": str(SOURCE)}, stderr=subprocess.PIPE, text=True
    )
    while process.poll() is None and not receipts_below(out):
        try:
            process.wait(0.01)
        except subprocess.TimeoutExpired:
            continue
    process.send_signal(signal.SIGINT)
    _, error = process.communicate()
    assert process.returncode == 130
    assert "goes on from here" in error
    assert run(data, out, "--until", "gates").returncode == 0


def test_help_is_quick_and_imports_no_torch():
    environment = {**os.environ, "PYTHONPATH": str(SOURCE)}
    code = "import sys, gristmill.pipeline.cli; print('torch' in sys.modules, 'polars' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["False", "False"]
    code = "import sys, gristmill.pipeline.recipe; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment, check=True)
    assert done.stdout.split() == ["False"]
