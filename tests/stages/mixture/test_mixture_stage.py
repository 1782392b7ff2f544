"""The mixture in a run: a choice of proxies, weights confirmed on what the search never saw, kills survived."""

import json
import multiprocessing
import os
import signal
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import zstandard

from frames import FakeCorpus
from gristmill.pipeline.contract.errors import ConfigError, DataError, GristmillError, InfeasibleError, InputError
from gristmill.pipeline.plan.config import build
from gristmill.stages.mixture.config import (
    Bound,
    CommandSection,
    ConfirmSection,
    GptSection,
    GroupBound,
    NgramSection,
    TargetWeight,
)
from gristmill.stages.mixture.material.readings import (
    Piece,
    divide,
    pieces,
    reading,
    tokens_of,
    validation_texts,
    whole_texts,
)
from gristmill.stages.mixture.runs.runs import read_runs
from gristmill.stages.mixture.stage import Mixture

WORDS = {
    "prose": "the old man walked slowly down to the river and looked at the boats in the evening light again",
    "code": "def return self import for in range ( ) : = + [ ] None True if else class x y i",
    "law": "section shall pursuant thereof the provisions of this act subsection paragraph authority may not",
}


def text(kind: str, seed: int, words: int = 120) -> str:
    """Pairs of neighbours of the kind's word list, so that orders above 1 have something to learn."""
    rng = np.random.default_rng((seed, len(kind)))
    known = WORDS[kind].split()
    return " ".join(" ".join(known[i : i + 3]) for i in rng.integers(len(known) - 3, size=words // 3))


def corpus(folder: Path, target: str = "code", docs: int = 24, held: int = 30, parts: int = 1) -> FakeCorpus:
    """Three buckets of documents, held-out texts of kind `target`, and a small tokenizer."""
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

    rows = [(f"{kind}-{i:03d}", kind, text(kind, i)) for kind in WORDS for i in range(docs)]
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=340, initial_alphabet=pre_tokenizers.ByteLevel.alphabet(), special_tokens=["<|endoftext|>"],
        show_progress=False,
    )  # fmt: skip
    tokenizer.train_from_iterator([t for _, _, t in rows], trainer)
    artifacts = {name: folder / name for name in ("ingest.tokenizer", "dedup.held_out")}
    for path in artifacts.values():
        path.mkdir(parents=True, exist_ok=True)
    tokenizer.save(str(artifacts["ingest.tokenizer"] / "tokenizer.json"))
    kinds = list(WORDS) if target == "all" else [target]
    pl.DataFrame(
        {
            "doc_id": [f"h{i:03d}" for i in range(held)],
            "text": [text(kinds[i % len(kinds)], 1000 + i) for i in range(held)],
            "target": "references",
        }
    ).write_parquet(artifacts["dedup.held_out"] / "texts.parquet")
    frame = pl.DataFrame(rows, schema=["doc_id", "bucket", "text"], orient="row").with_columns(
        pl.Series("token_count", [len(tokenizer.encode(t).ids) for _, _, t in rows]), language=pl.lit("en")
    )
    return FakeCorpus([frame[i::parts] for i in range(parts)], artifacts, folder / "scratch")


QUICK = Mixture(confirm=ConfirmSection(seeds=3), threads=1)
GPT = replace(
    QUICK, proxy="gpt", runs=6, gpt=GptSection(tokens=3000, together=2, device="cpu"), confirm=ConfirmSection(seeds=2)
)


def run(stage: Mixture, given: FakeCorpus, out: Path) -> dict:
    out.mkdir(parents=True)
    stage.run(given, out)
    return json.loads((out / "weights.json").read_text())


def files(folder: Path) -> dict[str, bytes]:
    return {p.name: p.read_bytes() for p in sorted(folder.iterdir())}


def weights(found: dict) -> dict[str, float]:
    return {b["bucket"]: b["weight"] for b in found["buckets"]}


# --- the n-gram proxy, confirmed -------------------------------------------------------------------------------------


def test_the_target_s_bucket_gains_and_fresh_draws_on_unseen_text_confirm_it(tmp_path):
    found = run(replace(QUICK, confirm=ConfirmSection(seeds=5)), corpus(tmp_path), tmp_path / "out")
    assert max(weights(found), key=weights(found).get) == "code"
    assert found["search"]["method"] == "direct"
    assert found["search"]["found"] is True
    assert found["search"]["measured_objective"] < found["search"]["natural_measured"]
    check = found["confirm"]
    assert check["better_than_natural"] is True
    assert [c["baseline"] for c in check["comparisons"]] == ["natural", "uniform", "unimax"]
    for row in check["comparisons"]:
        assert row["low"] < row["difference"] < row["high"] < 0
        assert row["seeds"] == row["better_in"] == 5
        assert row["targets"] == {"references": row["difference"]}
    assert found["verdict"].startswith("better than natural: loss -")
    assert "never saw" in found["verdict"]
    code = next(b for b in found["buckets"] if b["bucket"] == "code")
    assert code["halved_or_doubled"] == max(b["halved_or_doubled"] for b in found["buckets"])
    assert code["near_equal"][0] <= code["weight"] <= code["near_equal"][1]


def test_where_buckets_do_not_differ_the_confirmation_says_no(tmp_path):
    """What is lowest on the searched text is chance here; text that the search never saw says so."""
    given = corpus(tmp_path, target="all")
    mixed = given.frames[0].with_columns(bucket=pl.Series("bucket", ["abc"[i % 3] for i in range(72)]))
    given = FakeCorpus([mixed], given.artifacts, given.scratch)
    found = run(QUICK, given, tmp_path / "out")
    assert found["verdict"].startswith(("the natural shares are kept", "no measurable gain over natural"))
    assert found["confirm"] is None or found["confirm"]["better_than_natural"] is False


def test_without_confirmation_the_verdict_says_so(tmp_path):
    found = run(replace(QUICK, confirm=None), corpus(tmp_path), tmp_path / "out")
    assert found["confirm"] is None
    assert found["verdict"].endswith("better on left-out target text; not confirmed")
    plain = run(replace(QUICK, confirm=None, pull=0.0), corpus(tmp_path), tmp_path / "unpulled")
    assert plain["verdict"].endswith("better than natural; not confirmed")


def test_natural_and_a_single_bucket_need_no_search(tmp_path):
    given = corpus(tmp_path)
    found = run(replace(QUICK, method="natural"), given, tmp_path / "natural")
    assert weights(found) == {b["bucket"]: pytest.approx(b["natural_share"], abs=2e-6) for b in found["buckets"]}
    assert found["verdict"] == "no search: the config asks for the natural mixture"
    one = FakeCorpus([given.frames[0].with_columns(bucket=pl.lit("all"))], given.artifacts)
    assert "one bucket" in run(QUICK, one, tmp_path / "one")["verdict"]


def test_batches_in_any_order_and_any_number_of_threads_give_the_same_bytes(tmp_path):
    a = corpus(tmp_path, parts=4)
    b = FakeCorpus([f.sample(fraction=1, shuffle=True, seed=1) for f in a.frames[::-1]], a.artifacts)
    run(QUICK, a, tmp_path / "a")
    run(replace(QUICK, threads=3), b, tmp_path / "b")
    assert files(tmp_path / "a") == files(tmp_path / "b")


def test_a_text_has_the_same_ids_alone_and_among_others(tmp_path):
    tokens = tokens_of(corpus(tmp_path).artifacts["ingest.tokenizer"] / "tokenizer.json")
    texts = ["", "a word", text("code", 1) * 400]
    assert [i.tolist() for i in tokens.encode_all(texts)] == [tokens.encode(t).tolist() for t in texts]
    assert [i[-1] for i in tokens.encode_all(texts)] == [tokens.end] * 3


def test_bounds_and_groups_hold(tmp_path):
    stage = replace(
        QUICK,
        bounds=(Bound("code", maximum=0.4), Bound("law", minimum=0.2)),
        groups=(GroupBound(("prose", "law"), minimum=0.65, maximum=0.65),),
    )
    found = weights(run(stage, corpus(tmp_path), tmp_path / "out"))
    assert found["code"] == pytest.approx(0.35, abs=2e-6)
    assert found["law"] >= 0.2
    hash(stage)  # plain data all the way down


def two_targets(folder: Path) -> tuple[str, ...]:
    paths = []
    for kind in ("code", "law"):
        paths.append(folder / f"{kind}.jsonl")
        lines = [json.dumps({"text": text(kind, 1000 + i)}) for i in range(30)]
        paths[-1].write_text("\n".join(lines), encoding="utf-8")
    return tuple(map(str, paths))


def test_the_objective_weighs_targets_and_a_guarded_one_is_no_worse_than_under_natural(tmp_path):
    given = corpus(tmp_path)
    both = (TargetWeight("code", 0.95), TargetWeight("law", 0.05))
    stage = replace(QUICK, validation=two_targets(tmp_path), objective=both, pull=0.0)
    free = run(stage, given, tmp_path / "free")
    assert free["search"]["objective"] == {"code": 0.95, "law": 0.05}
    assert weights(free)["code"] > 0.7 > weights(free)["law"]
    kept = run(replace(stage, objective=(both[0], replace(both[1], guard=True))), given, tmp_path / "kept")
    assert kept["search"]["guarded"] == ["law"]
    law = next(b for b in kept["buckets"] if b["bucket"] == "law")
    assert law["weight"] > weights(free)["law"]
    runs = read_runs(tmp_path / "kept" / "runs.parquet")
    chosen = np.abs(runs.weights - [weights(kept)[b] for b in runs.buckets]).max(axis=1).argmin()
    natural = np.abs(runs.weights - [b["natural_share"] for b in kept["buckets"]]).max(axis=1).argmin()
    at = runs.targets.index("law")
    assert runs.losses[chosen, at] <= runs.losses[natural, at] + 1e-9
    assert kept["search"]["measured_objective"] < kept["search"]["natural_measured"]
    alone = run(replace(stage, objective=(TargetWeight("law"),)), given, tmp_path / "alone")
    assert max(weights(alone), key=weights(alone).get) == "law"


@pytest.mark.parametrize(
    ("changes", "error", "says"),
    [
        ({"objective": (TargetWeight("nope"),)}, ConfigError, "no run measures nope; there are references"),
        ({"bounds": (Bound("nope", maximum=0.1),)}, ConfigError, "no bucket nope; there are"),
        ({"bounds": (Bound("law"), Bound("law"))}, ConfigError, "names law twice"),
        ({"bounds": (Bound("law", minimum=0.6), Bound("code", minimum=0.6))}, InfeasibleError, "sum to 1.2"),
        ({"validation": ("nowhere.txt",)}, InputError, "mixture.validation: cannot read nowhere.txt"),
    ],
)
def test_what_the_corpus_cannot_hold_is_named(tmp_path, changes, error, says):
    with pytest.raises(error, match=says):
        run(replace(QUICK, **changes), corpus(tmp_path), tmp_path / "out")


@pytest.mark.parametrize(
    ("section", "says"),
    [
        ({"proxy": "gpt", "method": "direct"}, "the gpt proxy has none; take ladder"),
        ({"method": "ladder"}, "set mixture.proxy: gpt or command"),
        ({"proxy": "command"}, "needs a shell line with {mixture} and {metrics}"),
        ({"proxy": "command", "command": {"run": "train"}}, "needs a shell line with {mixture} and {metrics}"),
        ({"confirm": {"proxy": "command"}}, "needs a shell line with {mixture} and {metrics}"),
        (
            {"proxy": "command", "method": "ladder", "command": {"run": "t {mixture} {metrics}"}},
            "set mixture.command.parameters",
        ),
        ({"runs": 40}, "direct takes no number of runs"),
        ({"proxy": "gpt", "runs": 3}, "mixture.runs: 3; at least 6"),
        ({"gpt": {"preset": "huge"}}, "gpt.preset: 'huge'; there are tiny, mini"),
        ({"confirm": {"seeds": 1}}, "mixture.confirm.seeds: 1 is out of range; it must be at least 2"),
        ({"confirm": {"target_share": 1.0}}, "mixture.confirm.target_share: 1.0 is out of range"),
        ({"method": "magic"}, "magic"),
        ({"gpt": {"presett": "tiny"}}, r"unknown key 'mixture.gpt.presett'; did you mean mixture.gpt.preset\?"),
        ({"confirm": {"gpt": {"token": 1}}}, r"unknown key 'mixture.confirm.gpt.token'; did you mean .*tokens\?"),
        (
            {"objective": [{"target": "a", "weight": 0}]},
            "mixture.objective.0.weight: 0 is out of range; it must be more than 0",
        ),
        ({"objective": [{"target": "a"}, {"target": "a"}]}, "each once"),
        ({"bounds": [{"bucket": "a", "max": 1}]}, "unknown key 'mixture.bounds.0.max'"),
    ],
)
def test_settings_that_cannot_be_meant_are_refused_before_anything_runs(section, says):
    with pytest.raises(ConfigError, match=says):
        build(Mixture, section, "mixture")


def test_methods_follow_the_proxy_and_take_the_number_of_runs():
    assert [Mixture(proxy=p, command=RUNS).chosen_method for p in ("ngram", "gpt", "command")] == [
        "direct",
        "ladder",
        "bayes",
    ]
    assert Mixture(method="climb", runs=112).searcher.rounds == (64, 32, 16)
    assert sum(Mixture(method="climb", runs=50).searcher.rounds) == 50
    assert Mixture(method="bayes", runs=10).searcher.evaluations == 10
    assert Mixture(proxy="gpt", runs=9).searcher.budget == 9.0


RUNS = CommandSection(run="t {mixture} {metrics}")


# --- the gpt proxy and what a kill leaves ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    pytest.importorskip("torch")
    folder = tmp_path_factory.mktemp("gpt")
    return folder, run(GPT, corpus(folder), folder / "out")


def test_gpt_runs_are_searched_by_a_ladder_above_ngram_runs(trained):
    folder, found = trained
    runs = read_runs(folder / "out" / "runs.parquet")
    kinds = [f.kind for f in runs.fidelity]
    assert set(kinds) == {"ngram", "gpt"}
    assert 4 <= kinds.count("gpt") <= 6
    assert {f.tokens for f in runs.fidelity if f.kind == "gpt"} == {3072.0}  # whole batches of 256
    assert found["search"]["method"] == "ladder"
    assert found["search"]["proxy"] == "gpt"
    if found["search"]["found"]:
        assert found["confirm"]["proxy"] == "gpt"


def test_gpt_again_in_the_same_folder_trains_nothing_and_gives_the_same_bytes(trained, tmp_path, monkeypatch):
    from gristmill.stages.mixture.proxies.gpt import GptProxy

    folder, _ = trained
    monkeypatch.setattr(GptProxy, "_train", None)
    run(GPT, corpus(folder), tmp_path / "again")
    assert files(tmp_path / "again") == files(folder / "out")


def _train_in(folder: Path) -> None:
    run(GPT, corpus(folder), folder / "killed")


def test_killed_half_way_the_finished_runs_are_kept_and_the_bytes_are_the_same(trained, tmp_path):
    calm, _ = trained
    child = multiprocessing.get_context("spawn").Process(target=_train_in, args=(tmp_path,))
    child.start()
    kept = tmp_path / "scratch" / "gpt"
    while len(list(kept.glob("*.json"))) < 2 and child.is_alive():
        child.join(0.02)
    os.kill(child.pid, signal.SIGKILL)
    child.join()
    before = {p.name: p.stat().st_mtime_ns for p in kept.glob("*.json")}
    assert len(before) >= 2
    run(GPT, corpus(tmp_path), tmp_path / "resumed")
    assert files(tmp_path / "resumed") == files(calm / "out")
    assert {n: (kept / n).stat().st_mtime_ns for n in before} == before


def test_ngram_search_confirmed_by_a_gpt(tmp_path):
    pytest.importorskip("torch")
    judge = ConfirmSection(proxy="gpt", seeds=2, gpt=GptSection(tokens=3000, device="cpu"))
    found = run(replace(QUICK, confirm=judge), corpus(tmp_path), tmp_path / "out")
    assert found["search"]["proxy"] == "ngram"
    assert found["confirm"]["proxy"] == "gpt"
    assert found["confirm"]["size"] > 100_000


# --- the command proxy -----------------------------------------------------------------------------------------------

TRAINER = """
import json, sys
from collections import Counter
asked = json.load(open(sys.argv[1]))
read = lambda paths: " ".join(json.loads(l)["text"] for p in paths for l in open(p, encoding="utf-8")).split()
counts = Counter()
for bucket, weight in asked["weights"].items():
    words = read(asked["data"][bucket])
    for word in words:
        counts[word] += weight / len(words)
from math import log
loss = lambda words: -sum(log(0.99 * counts[w] + 1e-4) for w in words) / len(words)
losses = {t: loss(read(paths)) for t, paths in asked["target_data"].items()}
json.dump({"losses": losses}, open(sys.argv[2], "w"))
open(sys.argv[3], "a").write(f"{asked['seed']} {asked['budget_tokens']}\\n")
"""


def trainer(folder: Path, *, tokens: int = 2000) -> Mixture:
    (folder / "train.py").write_text(TRAINER)
    line = f"{sys.executable} {folder}/train.py {{mixture}} {{metrics}} {folder}/log"
    return replace(
        QUICK, proxy="command", runs=10, command=CommandSection(run=line, tokens=tokens, at_once=2, retries=0),
        confirm=ConfirmSection(seeds=2),
    )  # fmt: skip


def test_command_trains_on_texts_of_the_buckets_and_is_not_asked_twice(tmp_path):
    stage = trainer(tmp_path)
    found = run(stage, corpus(tmp_path), tmp_path / "out")
    assert max(weights(found), key=weights(found).get) == "code"
    assert found["search"]["method"] == "bayes"
    assert found["confirm"]["proxy"] == "command"
    log = (tmp_path / "log").read_text().splitlines()
    assert {line.split()[1] for line in log} == {"2000"}
    assert sorted({line.split()[0] for line in log}) == ["0", "1", "2"]  # the search's seed, and two fresh ones
    run(stage, corpus(tmp_path), tmp_path / "again")
    assert (tmp_path / "log").read_text().splitlines() == log
    assert files(tmp_path / "again") == files(tmp_path / "out")


def test_command_that_fails_is_named_with_its_output(tmp_path):
    stage = trainer(tmp_path)
    (tmp_path / "train.py").write_text("raise SystemExit('no GPU left')")
    with pytest.raises(GristmillError, match=r"(?s)proxy runs failed.*no GPU left"):
        run(stage, corpus(tmp_path), tmp_path / "out")


def test_a_search_goes_on_without_the_trainings_that_end_in_nan_and_says_so(tmp_path):
    stage = replace(trainer(tmp_path), confirm=None)
    source = (tmp_path / "train.py").read_text()
    bad = "\nimport json, sys\nw = json.load(open(sys.argv[1]))['weights']\nif max(w, key=w.get) == 'law':\n"
    bad += "    json.dump({'losses': {'references': float('nan')}}, open(sys.argv[2], 'w'))\n"
    (tmp_path / "train.py").write_text(source + bad)
    found = run(stage, corpus(tmp_path), tmp_path / "out")
    failed = found["search"]["failed_runs"]
    assert 0 < failed <= 5
    assert found["search"]["runs"] == 10 - failed
    assert f"{failed} of 10 proxy runs failed and are left out" in found["verdict"]
    assert max(weights(found), key=weights(found).get) == "code"


def test_ladder_has_ngram_runs_below_a_command(tmp_path):
    stage = trainer(tmp_path)
    stage = replace(stage, method="ladder", runs=6, command=replace(stage.command, parameters=1e9), confirm=None)
    run(stage, corpus(tmp_path), tmp_path / "out")
    kinds = [f.kind for f in read_runs(tmp_path / "out" / "runs.parquet").fidelity]
    assert 4 <= kinds.count("command") <= 6
    assert kinds.count("ngram") >= 16


# --- what proxies are made of ----------------------------------------------------------------------------------------


def documents(n: int = 40) -> pl.DataFrame:
    return pl.DataFrame(
        {
            "doc_id": [f"d{i:02d}" for i in range(n)],
            "bucket": ["a" if i < n // 4 else "b" for i in range(n)],
            "token_count": [50] * n,
        }
    )


def test_a_reading_takes_the_same_fraction_of_every_bucket_and_a_smaller_one_is_its_beginning():
    half, tenth = (reading(documents(), f, "s") for f in (0.5, 0.1))
    assert half.lengths == {"a": 255, "b": 765}  # 51 tokens with the end
    assert {b: len(d) for b, d in half.documents.items()} == {"a": 5, "b": 15}
    assert tenth.documents == {b: d[: len(tenth.documents[b])] for b, d in half.documents.items()}
    assert reading(documents(), 1e-9, "s").lengths == {"a": 1, "b": 1}


def test_a_fresh_reading_leaves_out_what_was_read_as_long_as_there_is_other_text():
    first = reading(documents(), 0.4, "s")
    second = reading(documents(), 0.4, "t", known=first.ids)
    assert not first.ids & second.ids
    third = reading(documents(), 1.0, "t", known=first.ids)
    assert third.ids == frozenset(documents()["doc_id"])
    for bucket, ids in third.documents.items():
        assert set(ids[-len(first.documents[bucket]) :]) == set(first.documents[bucket])


def count(words: str) -> np.ndarray:
    return np.arange(len(words.split()) + 1, dtype=np.int32)


def test_a_target_s_text_is_divided_without_overlap_and_without_loss():
    texts = [f"text {i} of many words here" for i in range(20)]
    parts = pieces("t", texts, count, 10_000, 4)
    assert [p.text for p in parts] == texts
    groups = divide(parts, [0.6, 0.2, 0.1, 0.1])
    assert [len(g) for g in groups] == [12, 4, 2, 2]
    assert [p.text for g in groups for p in g] == texts


def test_one_long_text_is_cut_so_that_every_seed_has_some():
    parts = pieces("t", ["word " * 1000], count, 10_000, 6)
    groups = divide(parts, [0.6, *[0.08] * 5])
    assert len(groups) == 6
    assert min(len(g) for g in groups) >= 1
    assert "".join(p.text for g in groups for p in g) == "word " * 1000


def test_a_target_with_too_little_text_to_confirm_on_is_named():
    with pytest.raises(
        DataError, match="target 't' holds 4 characters, too few to search on one part and confirm on 5"
    ):
        pieces("t", ["word"], count, 100, 6)


def test_pieces_stop_at_the_limit_of_tokens():
    parts = pieces("t", ["a b c d"] * 10, count, 12, 1)
    assert sum(len(p.tokens) for p in parts) == 12


def test_validation_files_are_targets_in_the_order_of_a_draw(tmp_path):
    lines = [json.dumps({"text": f"line {i}"}) for i in range(30)]
    (tmp_path / "mine.jsonl").write_text("\n".join(lines), encoding="utf-8")
    (tmp_path / "other.txt").write_text("plain", encoding="utf-8")
    texts = validation_texts([str(tmp_path / "other.txt"), str(tmp_path / "mine.jsonl")], ())
    assert list(texts) == ["mine", "other"]
    assert sorted(texts["mine"]) == sorted(f"line {i}" for i in range(30))
    assert texts["mine"] != [f"line {i}" for i in range(30)]
    (tmp_path / "empty.txt").write_text("")
    with pytest.raises(ConfigError, match="holds no text"):
        validation_texts([str(tmp_path / "empty.txt")], ())
    with pytest.raises(ConfigError, match="two files are called other"):
        validation_texts([str(tmp_path / "other.txt")] * 2, ())
    (tmp_path / "bad.jsonl").write_text('{"no": 1}')
    with pytest.raises(ConfigError, match=r"mixture\.validation: .*bad.jsonl, line 1: no field 'text'; it has no"):
        validation_texts([str(tmp_path / "bad.jsonl")], ())


# As the publishers of the benchmarks have them (records of their first rows, shortened).
BENCHMARKS = {
    "gsm8k": ({"question": "2 eggs and 3 eggs?", "answer": "#### 5"}, "2 eggs and 3 eggs?\n#### 5"),
    "mmlu": ({"question": "Largest?", "choices": ["a cat", "a whale"], "answer": 1}, "Largest?\na whale"),
    "arc": (
        {"question": "Why?", "choices": {"text": ["heat", "cold"], "label": ["A", "B"]}, "answerKey": "B"},
        "Why?\ncold",
    ),
    "openbookqa": (
        {"question": "Why?", "choices": [{"text": "x", "label": "A"}, {"text": "y", "label": "B"}], "answerKey": "B"},
        "Why?\ny",
    ),
    "hellaswag": ({"ctx": "He runs", "endings": ["away", "home", "up"], "label": "2"}, "He runs\nup"),
    "piqa": ({"goal": "Open a jar", "sol1": "twist", "sol2": "shout", "label": 0}, "Open a jar\ntwist"),
    "winogrande": (
        {"sentence": "It fell on _.", "option1": "Ann", "option2": "Bob", "answer": "2"},
        "It fell on _.\nBob",
    ),
    "boolq": ({"question": "is it", "passage": "It is.", "answer": True}, "It is.\nis it"),
    "squad": (
        {"context": "In 1066.", "question": "When?", "answers": {"text": ["1066"], "answer_start": [3]}},
        "In 1066.\nWhen?\n1066",
    ),
    "humaneval": ({"prompt": "def f():", "canonical_solution": "    return 1"}, "def f():\n    return 1"),
}


@pytest.mark.parametrize("name", BENCHMARKS)
def test_benchmarks_are_read_as_their_publishers_have_them(name, tmp_path):
    record, text = BENCHMARKS[name]
    path = tmp_path / f"{name}.jsonl.zst"
    path.write_bytes(zstandard.compress(json.dumps(record).encode()))
    assert validation_texts([str(path)], ()) == {name: [text]}
    pl.DataFrame([record]).write_parquet(tmp_path / f"{name}.parquet")
    assert validation_texts([str(tmp_path / f"{name}.parquet")], ()) == {name: [text]}


def test_fields_of_ones_own_are_named(tmp_path):
    path = tmp_path / "own.jsonl"
    path.write_text(json.dumps({"body": {"q": "one"}, "reply": "two", "text": "no"}))
    assert validation_texts([str(path)], ("body.q", "reply")) == {"own": ["one\ntwo"]}
    with pytest.raises(ConfigError, match=r"no field 'replay'; it has body, reply, text: .*validation_fields"):
        validation_texts([str(path)], ("body.q", "replay"))


def test_a_proxy_that_reads_part_of_the_corpus_spends_that_part_of_the_budget(tmp_path):
    stage = replace(QUICK, ngram=NgramSection(corpus_tokens=4000), confirm=None)
    run(stage, corpus(tmp_path), tmp_path / "out")
    found = json.loads((tmp_path / "out" / "weights.json").read_text())
    tokens = read_runs(tmp_path / "out" / "runs.parquet").tokens
    assert set(tokens.tolist()) == {round(found["budget_tokens"] * 4000 / found["available_tokens"])}


# --- the pull to the prior -------------------------------------------------------------------------------------------


def test_where_nothing_can_be_found_natural_is_written_and_one_line_says_so(tmp_path):
    """Buckets that say nothing about their documents, and few texts: what measures best is luck."""
    given = corpus(tmp_path, target="all", docs=60)
    mixed = given.frames[0].with_columns(bucket=pl.Series("bucket", ["abc"[i % 3] for i in range(180)]))
    found = run(QUICK, FakeCorpus([mixed], given.artifacts, given.scratch), tmp_path / "out")
    assert weights(found) == {b["bucket"]: pytest.approx(b["natural_share"], abs=2e-6) for b in found["buckets"]}
    assert found["search"]["found"] is False
    assert found["search"]["pull"]["kept"] == 0
    assert found["confirm"] is None
    assert found["verdict"].startswith("the natural shares are kept: on target text left out of the search no others")
    assert "\n" not in found["verdict"]


def test_a_gain_that_left_out_text_shows_is_kept_but_for_what_unseen_texts_may_need(tmp_path):
    found = run(QUICK, corpus(tmp_path), tmp_path / "out")
    pull = found["search"]["pull"]
    assert 0.8 < pull["kept"] < 1
    assert 0 < pull["least_gain"] < pull["gain"]
    assert pull["folds"] == 8
    assert all(b["weight"] > 0 for b in found["buckets"])
    assert "% of the way from natural to the mixture that measures best" in found["verdict"]


def test_two_texts_are_too_few_to_show_anything_unless_they_are_long(tmp_path):
    """Parts of one text stand for texts where there are hardly any; parts of 18 texts never do."""
    whole = [p for i in range(18) for p in [Piece(f"{i}a", count("x"), i), Piece(f"{i}b", count("x"), i)]]
    assert [p.text for p in whole_texts(whole, 3)] == [f"{i}a{i}b" for i in range(18)]
    assert whole_texts(whole[:4], 3) == whole[:4]


def test_a_prior_of_the_user_s_own_stands_where_nothing_is_better(tmp_path):
    now = {"a": 0.5, "b": 0.3, "c": 0.2}
    given = corpus(tmp_path, target="all", docs=60)
    mixed = given.frames[0].with_columns(bucket=pl.Series("bucket", ["abc"[i % 3] for i in range(180)]))
    found = run(replace(QUICK, present=now), FakeCorpus([mixed], given.artifacts, given.scratch), tmp_path / "out")
    if not found["search"]["found"]:
        assert weights(found) == pytest.approx(now, abs=2e-6)
        assert found["verdict"].startswith("the present shares are kept")
    else:
        assert found["search"]["pull"]["towards"] == "present"


def test_a_pull_of_the_user_s_own_is_a_price_of_distance(tmp_path):
    given = corpus(tmp_path)
    natural = np.array([b["natural_share"] for b in run(QUICK, given, tmp_path / "default")["buckets"]])
    far = []
    for price in (0.0, 0.05, 0.2, 100.0):
        found = run(replace(QUICK, pull=price, confirm=None), given, tmp_path / str(price))
        far.append(0.5 * np.abs(np.array(list(weights(found).values())) - natural).sum())
    assert far == sorted(far, reverse=True)
    assert far[0] > far[2] > far[3] == pytest.approx(0, abs=1e-5)


def test_a_floor_keeps_part_of_every_bucket(tmp_path):
    found = run(replace(QUICK, floor=0.25, pull=0.0, confirm=None), corpus(tmp_path), tmp_path / "out")
    assert max(weights(found), key=weights(found).get) == "code"
    for b in found["buckets"]:
        assert b["weight"] >= 0.25 * b["natural_share"] - 2e-6
