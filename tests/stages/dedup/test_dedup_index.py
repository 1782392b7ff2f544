"""An index across runs: what older runs kept leaves, what a run keeps is added once, in any order of runs."""

import json
from dataclasses import replace
from itertools import permutations
from pathlib import Path
from shutil import copytree

import numpy as np
import polars as pl
import pytest

from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import ConfigError, PlanError
from gristmill.pipeline.contract.shapes import NOWHERE
from gristmill.pipeline.launch import describe, launch, survey
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.exchange import passes
from gristmill.pipeline.run.store import Store
from gristmill.stages.dedup.components import Components
from gristmill.stages.dedup.index import manifest as adding
from lawrun import InProcess, Silent

OFF = {name: {"enabled": False} for name in ("language", "license", "signals", "gates")}


def recipe(texts: Path, index: Path | None, **dedup: object):
    tree = {"input": {"paths": f"{texts}/*.jsonl"}, **OFF, "dedup": {"index": index and str(index), **dedup}}
    return make_recipe(tree, "crawl")


def go(texts: Path, index: Path | None, out: Path, add: bool = True, **dedup: object) -> dict[str, dict]:
    """A run up to deduplication, and what it adds; the ledger by URL."""
    made, store = recipe(texts, index, **dedup), Store(out)
    situation = survey(made, store, "dedup.minhash")
    launch(made, situation, store, InProcess(), "dedup.minhash", Silent(), lambda store, plan: None)
    plan = load_plan(out / "plan.json").until("dedup.minhash")
    for step in plan.steps if add else ():
        step.stage.deliver(FinishedRun(store, plan))
    rows = pl.concat([pl.read_parquet(p) for p in sorted((out / "ledger").glob("*.parquet"))])
    return {r["url"]: r for r in rows.iter_rows(named=True)}


def crawl(folder: Path, name: str, texts: dict[str, str], date: str = "2024") -> Path:
    """Texts by URL."""
    (folder / name).mkdir(parents=True)
    rows = [json.dumps({"text": t, "url": u, "date": date}) for u, t in texts.items()]
    for i in range(2):
        (folder / name / f"{name}-{i}.jsonl").write_text("\n".join(rows[i::2]))
    return folder / name


def words(seed: int, n: int = 150) -> list[str]:
    return [f"w{i}" for i in np.random.default_rng(seed).integers(0, 9000, n)]


def edited(text: list[str], share: float, seed: int) -> str:
    """A stretch of the text replaced, of `share` of its length."""
    rng = np.random.default_rng(seed)
    n, at = round(len(text) * share), int(rng.integers(0, round(len(text) * (1 - share))))
    return " ".join([*text[:at], *(f"e{seed}x{i}" for i in range(n)), *text[at + n :]])


def crawls(folder: Path, n: int, clear: bool = False) -> dict[str, Path]:
    """Crawls that share texts and edited texts with each other: a group's members stand in several of them. clear:
    edited so little that all of a group are alike."""
    rng, found = np.random.default_rng(1), {chr(97 + c): {} for c in range(n)}
    for g in range(12):
        text = words(g)
        for i, c in enumerate(rng.integers(0, n, 5)):
            url = f"http://{chr(97 + c)}/{g}/{i}"
            found[chr(97 + c)][url] = (
                " ".join(text) if i % 2 else " ".join([*text, f"end{i}"]) if clear else edited(text, 0.05, 100 * g + i)
            )
    return {name: crawl(folder, name, texts, f"20{10 + i}") for i, (name, texts) in enumerate(found.items())}


def test_the_first_command_drops_what_the_older_crawl_kept(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    """Two whole runs as a user gives them, and the second once more."""
    text = words(0)
    crawl(tmp_path, "a", {"http://a/1": " ".join(text), "http://a/2": " ".join(words(1))})
    other = {
        "http://b/same": " ".join(text),
        "http://b/near": edited(text, 0.03, 5),
        "http://b/new": " ".join(words(2)),
    }
    crawl(tmp_path, "b", other)
    off = [f"{name}.enabled=false" for name in (*OFF, "embed", "cluster", "domain", "quality", "dedup.references")]
    (tmp_path / "crawl.yaml").write_text("name: crawl\ntokenizer: {vocab_size: 300}\ndomain: {bucket: {by: source}}\n")

    def run(name: str, command: str = "run") -> str:
        given = [command, str(tmp_path / "crawl.yaml"), f"input.paths={tmp_path}/{name}/*.jsonl", *off,
                 f"dedup.index={tmp_path}/idx", "mixture.budget_tokens=600"]  # fmt: skip
        given += ["--out", str(tmp_path / "runs" / name)]
        status = main([*given, "--workers", "1"] if command == "run" else given)
        said = capsys.readouterr()
        assert status == 0, said.err
        return said.out + said.err

    assert "is empty: nothing is known from older runs" in run("a", command="plan")
    assert "2 documents added; it holds 1 run" in run("a")
    assert "holds 2 documents of 1 run (a 2); this run is compared with 1 of them" in run("b", command="plan")
    assert "compared with 1 older run, 1 document added; it holds 2 runs" in run("b")
    fates = pl.concat([pl.read_parquet(p) for p in (tmp_path / "runs/b/ledger").glob("*.parquet")])
    ended = {u: (r, s) for u, r, s in fates.select("url", "rule", "stays_doc_id").iter_rows()}
    kept = pl.concat([pl.read_parquet(p) for p in (tmp_path / "runs/a/ledger").glob("*.parquet")])
    (winner,) = kept.filter(pl.col("url") == "http://a/1")["doc_id"]
    assert ended["http://b/same"] == ("exact_duplicate_of_older", winner)
    assert ended["http://b/near"] == ("near_duplicate_of_older", winner)
    assert ended["http://b/new"] == (None, None)


@pytest.mark.parametrize("shared", [("exact", "near"), ("exact",)])
def test_a_source_of_which_deduplication_leaves_nothing_is_a_warning_while_others_keep_some(
    shared: tuple[str, ...], tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    """Its documents leave for those of another source, and in a later run for those of an older one; no document left
    at all ends a run."""
    texts = [words(i) for i in range(9)]
    copy = {"exact": " ".join, "near": lambda text: edited(text, 0.03, 5)}
    web = crawl(tmp_path, "web", {f"http://a/{i}": " ".join(text) for i, text in enumerate(texts)}, "2020")
    copies = crawl(tmp_path, "copies", {f"http://b/{kind}{i}": copy[kind](text) for kind in shared
                                        for i, text in enumerate(texts[:4])})  # fmt: skip
    new = crawl(tmp_path, "new", {f"http://c/{i}": " ".join(words(50 + i)) for i in range(5)})
    off = [f"{name}.enabled=false" for name in (*OFF, "embed", "cluster", "domain", "quality", "dedup.references")]
    off += [
        "tokenizer.vocab_size=300",
        "domain.bucket.by=source",
        "mixture.budget_tokens=600",
        f"dedup.index={tmp_path}/idx",
    ]
    off += ["dedup.exact.keep=[{column: ingest.date}]", "dedup.minhash.keep=[{column: ingest.date}]"]

    def run(out: str, **sources: Path) -> tuple[int, str]:
        given = [{"name": name, "paths": f"{path}/*.jsonl"} for name, path in sources.items()]
        (tmp_path / "crawl.yaml").write_text(json.dumps({"name": "crawl", "sources": given}))
        status = main(["run", str(tmp_path / "crawl.yaml"), *off, "--out", str(tmp_path / out), "--workers", "1"])
        said = capsys.readouterr()
        return status, said.out + said.err

    for out, sources in {"one": {"web": web, "copies": copies}, "two": {"new": new, "copies": copies}}.items():
        status, said = run(out, **sources)
        assert status == 0, said
        of_one = out == "one" and "near" in shared  # texts that left in an older run are known, too
        left, n = ("dedup.minhash", 4) if of_one else ("dedup.exact", 4 * len(shared))
        assert f"{left} left no document of source copies: {n} documents in" in said
        assert f"{left} dropped 100.0% of source copies" in (tmp_path / out / "report.html").read_text()
        assert main(["verify", str(tmp_path / out)]) == 0
        corpus = pl.concat([pl.read_parquet(p) for p in (tmp_path / out / "corpus/data").glob("*.parquet")])
        assert set(corpus["source"]) == {*sources} - {"copies"}
    status, said = run("three", copies=copies)
    assert status == 1
    assert f"dedup.exact left no document: {4 * len(shared)} documents in, dropped by exact_duplicate_of_older" in said


def test_one_after_another_loses_what_both_together_lose(tmp_path: Path):
    """The documents of the later crawl that lose against the earlier one, and what they lose to: with the earlier
    crawl's preferred, the same as in one run of both."""
    made = crawls(tmp_path / "texts", 2)
    keep = [{"column": "ingest.date"}]
    dedup = {"exact": {"keep": keep}, "minhash": {"keep": keep}}
    first = go(made["a"], tmp_path / "idx", tmp_path / "a", **dedup)
    then = go(made["b"], tmp_path / "idx", tmp_path / "b", **dedup)
    (tmp_path / "texts" / "both").mkdir()
    for path in (*made["a"].iterdir(), *made["b"].iterdir()):
        (tmp_path / "texts" / "both" / path.name).write_bytes(path.read_bytes())
    both = go(tmp_path / "texts" / "both", None, tmp_path / "both", **dedup)
    url_of = {r["doc_id"]: u for fates in (first, then, both) for u, r in fates.items()}
    lost = {u: (r["stage"], url_of[r["stays_doc_id"]], r["similarity"]) for u, r in both.items() if r["rule"]}
    against_a = {u: way for u, way in lost.items() if u.startswith("http://b") and way[1].startswith("http://a")}
    met = {u: r for u, r in then.items() if str(r["rule"]).endswith("_of_older")}
    older = {u: (r["stage"], url_of[r["stays_doc_id"]], r["similarity"]) for u, r in met.items()}
    assert len(against_a) > 10
    assert older == against_a
    assert {u for u, r in both.items() if not r["rule"] and u in then} == {u for u, r in then.items() if not r["rule"]}


def test_five_runs_in_any_order_keep_every_text_once(tmp_path: Path):
    made = crawls(tmp_path / "texts", 5, clear=True)
    groups = {u.split("/")[3] for path in made.values() for f in path.iterdir() for u in map(_url, f.open())}
    for i, order in enumerate(list(permutations("abcde"))[7::60]):
        kept: list[str] = []
        ids: set[str] = set()
        for name in order:
            fates = go(made[name], tmp_path / f"idx{i}", tmp_path / f"{i}{name}")
            ids |= {r["doc_id"] for r in fates.values() if not r["rule"]}
            assert {r["stays_doc_id"] for r in fates.values() if str(r["rule"]).startswith("near")} <= ids
            kept += [u.split("/")[3] for u, r in fates.items() if not r["rule"]]
        assert sorted(kept) == sorted(groups)
        assert len(json.loads((tmp_path / f"idx{i}/index.json").read_text())["runs"]) == 5


def _url(line: str) -> str:
    return json.loads(line)["url"]


def files(folder: Path) -> dict[str, bytes]:
    found = [p for p in folder.rglob("*.*") if p.is_file() and p.name != ".lock"]
    return {p.relative_to(folder).as_posix(): p.read_bytes() for p in found}


def test_a_run_is_no_duplicate_of_itself_killed_moved_or_made_again(tmp_path: Path):
    made = crawls(tmp_path / "texts", 2)
    first = go(made["a"], tmp_path / "idx", tmp_path / "a")
    go(made["b"], tmp_path / "idx", tmp_path / "b")
    index = files(tmp_path / "idx")
    assert go(made["a"], tmp_path / "idx", tmp_path / "a") == first  # b came after it
    (tmp_path / "a").rename(tmp_path / "moved")
    assert go(made["a"], tmp_path / "idx", tmp_path / "moved") == first
    assert go(made["a"], tmp_path / "idx", tmp_path / "again") == first  # the same files into a new folder
    runs = json.loads((tmp_path / "idx/index.json").read_text())["runs"]
    assert [r["name"] for r in runs] == ["again", "b"]
    after = files(tmp_path / "idx")
    assert after.pop("index.json") != index.pop("index.json")  # the name of a's folder
    assert after == index


def test_killed_while_adding_the_index_has_the_run_or_has_it_not(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = crawls(tmp_path / "texts", 2)
    go(made["a"], tmp_path / "idx", tmp_path / "a")
    want = go(made["b"], tmp_path / "idx", tmp_path / "b", add=False)
    old = (tmp_path / "idx/index.json").read_bytes()

    class Killed(BaseException):
        pass

    def kill(*_: object) -> None:
        raise Killed

    for name in ("synced", "write_json"):
        with monkeypatch.context() as patched:
            patched.setattr(adding, name, kill)
            with pytest.raises(Killed):
                go(made["b"], tmp_path / "idx", tmp_path / "b")
        assert (tmp_path / "idx/index.json").read_bytes() == old
    assert go(made["b"], tmp_path / "idx", tmp_path / "b") == want
    manifest = json.loads((tmp_path / "idx/index.json").read_text())
    assert sorted(p.name for p in (tmp_path / "idx/segments").iterdir()) == sorted(
        r["segment"] for r in manifest["runs"]
    )
    assert [r["name"] for r in manifest["runs"]] == ["a", "b"]


def test_an_older_run_made_anew_is_told_and_the_later_one_follows(tmp_path: Path):
    made = crawls(tmp_path / "texts", 3)
    for name in "abc":
        go(made[name], tmp_path / "idx", tmp_path / name)
    situation = survey(recipe(made["a"], tmp_path / "idx"), Store(tmp_path / "a"), "dedup.minhash")
    assert any("b, c came after this run and were compared with it" in note for note in situation.notes)
    more = crawl(tmp_path / "texts", "d", {"http://d/1": " ".join(words(500))})
    for path in more.iterdir():
        path.rename(made["a"] / path.name)  # a shard more: the same run
    go(made["a"], tmp_path / "idx", tmp_path / "a")
    plan = load_plan(tmp_path / "c" / "plan.json").until("dedup.minhash")
    told = [w for s in plan.steps for w in s.stage.tell(FinishedRun(Store(tmp_path / "c"), plan)).warnings]
    assert any("b, c compared with a run that was made anew since" in str(w) for w in told)
    store = Store(tmp_path / "b")
    lines = describe(survey(recipe(made["b"], tmp_path / "idx"), store, "dedup.minhash"), "dedup.minhash")
    assert any(line.startswith("run   dedup.exact ") for line in lines)
    for name in "bc":
        go(made[name], tmp_path / "idx", tmp_path / name)
    assert [s.stage.tell(FinishedRun(store, plan)).warnings for s in plan.steps if s.name == "dedup.index"] == [()]


def test_a_folder_with_a_run_s_first_input_never_takes_the_place_of_what_the_run_became(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    made, index = crawls(tmp_path / "texts", 2), tmp_path / "idx"
    first = tmp_path / "first"
    copytree(made["a"], first)
    go(made["a"], index, tmp_path / "big")
    (note,) = survey(recipe(first, index), Store(tmp_path / "trial"), "dedup.minhash").notes
    assert note.endswith("it takes the place of big")
    go(first, index, tmp_path / "trial", add=False)  # at work while the other one grows
    for path in made["b"].iterdir():
        path.rename(made["a"] / path.name)
    grown = go(made["a"], index, tmp_path / "big")
    held = files(index)
    (run,) = json.loads((index / "index.json").read_text())["runs"]
    ways_out = rf"idx holds big \({run['run']}, \d+ documents\), .*--out.*another index.*--remove {run['run']}$"
    plan = load_plan(tmp_path / "trial" / "plan.json").until("dedup.minhash")
    (stage,) = [s.stage for s in plan.steps if s.name == "dedup.index"]
    with pytest.raises(PlanError, match=ways_out):
        stage.deliver(FinishedRun(Store(tmp_path / "trial"), plan))
    for out in ("trial", "new"):
        with pytest.raises(PlanError, match=ways_out):
            survey(recipe(first, index), Store(tmp_path / out), "dedup.minhash")
    assert go(made["a"], index, tmp_path / "big") == grown  # a rerun of its own folder changes nothing
    assert files(index) == held
    go(first, tmp_path / "other", tmp_path / "trial")
    assert files(index) == held
    assert main(["index", str(index), "--remove", run["run"]]) == 0
    go(first, index, tmp_path / "trial")
    assert [r["name"] for r in json.loads((index / "index.json").read_text())["runs"]] == ["trial"]


def test_a_run_killed_after_its_input_grew_keeps_its_place_moved_and_grown_again(tmp_path: Path):
    made, index = crawls(tmp_path / "texts", 3), tmp_path / "idx"
    go(made["a"], index, tmp_path / "a")
    for name, add in (("b", False), ("c", True)):
        for path in made[name].iterdir():
            path.rename(made["a"] / path.name)
        fates = go(made["a"], index, tmp_path / f"a{'' if name == 'b' else '-moved'}", add=add)
        (tmp_path / "a").rename(tmp_path / "a-moved") if name == "b" else None
    (run,) = json.loads((index / "index.json").read_text())["runs"]
    assert (run["name"], run["documents"]) == ("a-moved", sum(not r["rule"] for r in fates.values()))


@pytest.mark.parametrize("address", ["s3://user:hidden@bucket/kept", "http://host/kept", "file:///kept"])
def test_an_address_is_no_index_and_nothing_is_written(
    address: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
):
    made = crawl(tmp_path / "texts", "a", {"http://a/1": " ".join(words(1))})
    monkeypatch.chdir(tmp_path)
    (tmp_path / "crawl.yaml").write_text("name: crawl\n")
    given = ["crawl.yaml", f"input.paths={made}/*.jsonl", f"dedup.index={address}", "--out", "run"]
    run, index = ["run", *given, "--workers", "1"], ["index", address]
    for command in (["plan", *given], run, index, [*index, "--remove", "a"]):
        assert main(command) == 2
        said = capsys.readouterr()
        assert f"dedup.index: {address.replace('user:hidden@', '')} is an address" in said.err
        assert "a folder that all nodes of a run share" in said.err
        assert "hidden" not in said.out + said.err
    assert sorted(p.name for p in tmp_path.iterdir()) == ["crawl.yaml", "texts"]


def test_the_index_is_listed_and_a_run_taken_out_leaves_what_the_others_added(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
):
    index = tmp_path / "index"
    for name, seed in (("a", 1), ("b", 2)):
        texts = crawl(
            tmp_path,
            name,
            {f"http://{name}.org/0": " ".join(words(1)), f"http://{name}.org/1": " ".join(words(seed + 9))},
        )
        go(texts, index, tmp_path / f"run-{name}")
    assert main(["index", str(index)]) == 0
    said = capsys.readouterr().out
    assert f"{index}: 2 runs, 3 documents that stay" in said
    assert '"word_ngram": 5' in next(line for line in said.splitlines() if "dedup.minhash.scheme: " in line)
    assert [line.split(" (")[0].strip() for line in said.splitlines() if "compared with" in line] == ["run-a", "run-b"]
    segments = {p.name for p in (index / "segments").iterdir()}
    assert main(["index", str(index), "--remove", "run-c"]) == 2
    assert "--remove run-c" in (error := capsys.readouterr().err)
    assert "run-a (" in error
    assert main(["index", str(index), "--remove", "run-a"]) == 0
    said = capsys.readouterr().out
    assert "run-a (" in said
    assert "2 documents are taken out" in said
    assert "run-b compared with runs that are no longer there; run their commands again" in said
    assert len({p.name for p in (index / "segments").iterdir()} & segments) == 1
    found = go(tmp_path / "b", index, tmp_path / "run-b")  # now nothing older has its first text
    assert {r["rule"] for r in found.values()} == {None}
    capsys.readouterr()
    assert main(["index", str(index), "--remove", "run-b"]) == 0
    assert "0 runs, 0 documents" in capsys.readouterr().out
    assert go(tmp_path / "b", index, tmp_path / "run-d", verify=True)  # an index without runs takes any parameters
    assert main(["index", str(tmp_path / "b")]) == 2
    assert main(["index", str(tmp_path / "none")]) == 2
    assert "there is no index of kept documents" in capsys.readouterr().err


def test_a_run_that_another_overtook_is_told_and_mended_by_the_same_command(tmp_path: Path):
    made = crawls(tmp_path / "texts", 2)
    go(made["a"], tmp_path / "idx", tmp_path / "a", add=False)
    go(made["b"], tmp_path / "idx", tmp_path / "b")
    plan = load_plan(tmp_path / "a" / "plan.json").until("dedup.minhash")
    (stage,) = [s.stage for s in plan.steps if s.name == "dedup.index"]
    with pytest.raises(PlanError, match=r"b was added to .* while this run was at work.*run the same command again"):
        stage.deliver(FinishedRun(Store(tmp_path / "a"), plan))
    fates = go(made["a"], tmp_path / "idx", tmp_path / "a")
    assert sum(str(r["rule"]).endswith("_of_older") for r in fates.values()) > 5


def test_other_parameters_are_refused_and_both_are_named(tmp_path: Path):
    made = crawl(tmp_path / "texts", "a", {"http://a/1": " ".join(words(1))})
    go(made, tmp_path / "idx", tmp_path / "a")
    for key, value in {"bands": 20, "rows": 4, "word_ngram": 4, "seed": 2}.items():
        said = rf"idx was made with .*\"{key}\": \d+.* this run has .*\"{key}\": {value}"
        with pytest.raises(ConfigError, match=said):
            survey(recipe(made, tmp_path / "idx", minhash={"scheme": {key: value}}), Store(tmp_path / "b"), None)
    off = recipe(made, tmp_path / "idx", minhash={"enabled": False})
    with pytest.raises(ConfigError, match=r"this run has dedup.minhash.scheme = null"):
        survey(off, Store(tmp_path / "b"), None)


def test_another_format_a_foreign_folder_and_a_damaged_manifest_are_refused(tmp_path: Path):
    made = crawl(tmp_path / "texts", "a", {"http://a/1": " ".join(words(1))})
    go(made, tmp_path / "idx", tmp_path / "a")
    path = tmp_path / "idx/index.json"
    path.write_text(path.read_text().replace('"format": 2', '"format": 7'))
    with pytest.raises(ConfigError, match=r"is of format 7, .* reads and writes format 2"):
        survey(recipe(made, tmp_path / "idx"), Store(tmp_path / "b"), None)
    with pytest.raises(ConfigError, match="is not an index of kept documents"):
        survey(recipe(made, made), Store(tmp_path / "b"), None)
    path.write_text("{")
    with pytest.raises(PlanError, match=r"index.json is damaged"):
        survey(recipe(made, tmp_path / "idx"), Store(tmp_path / "b"), None)


def test_any_bundles_partitions_and_memory_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    made = crawls(tmp_path / "texts", 2)

    def run(name: str, memory: int) -> dict[str, bytes]:
        for c in "ab":
            store, given = Store(tmp_path / name / c), recipe(made[c], tmp_path / name / "idx")
            given = replace(given, engine={"memory": memory})
            situation = survey(given, store, "dedup.minhash")
            launch(given, situation, store, InProcess(), "dedup.minhash", Silent(), lambda store, plan: None)
            plan = load_plan(store.root / "plan.json").until("dedup.minhash")
            for step in plan.steps:
                step.stage.deliver(FinishedRun(store, plan))
        found = files(tmp_path / name / "idx")
        datasets = ("dedup.exact", "dedup.components", "dedup.minhash", "ledger")
        return found | {f"{c}{d}{p.name}": p.read_bytes() for c in "ab" for d in datasets
                        for p in (tmp_path / name / c / d).glob("*.parquet")}  # fmt: skip

    want = run("plain", 1 << 30)
    monkeypatch.setattr(passes, "BUNDLES", 2)
    monkeypatch.setattr(passes, "PARTITION_BYTES", 1 << 12)
    assert run("small", 1 << 16) == want


def test_components_of_older_runs_that_a_key_brings_together_are_both_met():
    """Key 1 has two components and two documents, key 2 one of each, key 3 two documents, key 4 one alone."""
    rows = [(1, 0, NOWHERE, 30), (1, 0, NOWHERE, 40), (1, 5, 100, 0), (1, 6, 101, 0), (2, 0, NOWHERE, 40),
            (2, 7, 102, 0), (3, 8, 103, 0), (3, 9, 104, 0), (4, 9, 105, 0)]  # fmt: skip
    names = ("key", "rank", "node", "component")
    frame = pl.DataFrame(rows, schema=dict.fromkeys(names, pl.UInt64), orient="row")
    stage = Components(older=("a", "b"))
    assert frame.equals(frame.sort("key", *stage.order, "node"))
    found = set(stage.gather(frame).select("node", "to", "component").iter_rows())
    assert found == {(100, 100, 30), (101, 101, 30), (100, 100, 40), (102, 102, 40), (103, 103, 0), (104, 103, 0)}
