"""Decontamination and objective texts: what is found, what is not, and that a run leaves none of it."""

import json
from itertools import product
from pathlib import Path

import numpy as np
import polars as pl
import pytest

from frames import FakeCorpus, doc_id
from gristmill.pipeline.contract.errors import ConfigError, DataError, InputError
from gristmill.pipeline.kernels.numbers.overlap import find_hits, lookup_tables, text_ngrams
from gristmill.pipeline.kernels.text.hashing import code_points, utf8
from gristmill.pipeline.recipe import make_recipe
from gristmill.stages.contamination.benchmarks import BenchmarkSet, items_of
from gristmill.stages.contamination.index import Item, build_index
from gristmill.stages.contamination.stage import Contamination, ContaminationGate, ContaminationIndex

WORDS = [a + b for a, b in product("bdfgklmnprst", ("ala", "eno", "iru", "oka", "umi", "asto", "ilen"))]


def prose(seed: int, words: int) -> str:
    """Random words: two texts share no 13 of them in a row."""
    return " ".join(np.random.default_rng(seed).choice(WORDS, words))


def frame(*texts: str | None) -> pl.DataFrame:
    return pl.DataFrame(
        {"doc_id": [doc_id(str(i)) for i in range(len(texts))], "text": texts},
        schema={"doc_id": pl.String, "text": pl.String},
    )


def decided(folder: Path, records: list[dict], *texts: str, **settings: object) -> pl.DataFrame:
    """The annotator's columns and `rule`, for a benchmark of these records over a corpus of these texts."""
    folder.mkdir(exist_ok=True)
    path = folder / "bench.jsonl"
    path.write_text("".join(json.dumps(r) + "\n" for r in records))
    mine = {k: settings.pop(k) for k in ("question", "answer", "passage", "train") if k in settings}
    sets = (BenchmarkSet("bench", (str(path),), **mine),)  # pyright: ignore[reportArgumentType]
    batch = frame(*texts)
    out = folder / "contamination"
    out.mkdir(exist_ok=True)
    ContaminationIndex(sets, **settings).run(FakeCorpus([batch]), out)  # pyright: ignore[reportArgumentType]
    found = Contamination(sets).open({"contamination": out})(batch)
    return found.with_columns(ContaminationGate(sets).decide(found))


def rules(*arguments, **settings) -> list[str | None]:
    return decided(*arguments, **settings)["rule"].to_list()


QUESTION = (
    "A train leaves the old station at nine and travels east at forty miles an hour while a second train follows "
    "two hours later on the same track; at what time does the second train pass the first one?"
)


def test_question_planted_in_a_page_is_found_with_its_name_and_words(tmp_path: Path):
    page = f"{prose(1, 200)}\n{QUESTION.upper()}\n{prose(2, 200)}"
    records = [{"id": "q7", "question": QUESTION, "answer": "1 pm"}, {"question": prose(9, 40), "answer": "x"}]
    row = decided(tmp_path, records, page, prose(3, 400)).row(0, named=True)
    assert (row["benchmark"], row["benchmark_item"], row["benchmark_field"]) == ("bench", "q7", "question")
    assert row["benchmark_text"] == QUESTION.upper().rstrip("?")
    assert row["benchmark_item_frac"] == 1.0
    assert row["benchmark_items"] == ["bench/q7"]
    assert rules(tmp_path, records, page, prose(3, 400)) == ["benchmark_text", None]


@pytest.mark.parametrize(
    ("words", "length", "rule"),
    [
        (15, 500, "benchmark_text"),  # three 13-grams
        (14, 500, None),  # two
        (15, 50_000, None),  # three, but fewer than 0.1% of the document
        (20, 50_000, "benchmark_text"),  # the whole question, eight of them: no length makes that a chance
    ],
)
def test_mixturevitaes_limits(tmp_path: Path, words: int, length: int, rule: str | None):
    question = prose(5, words)
    page = f"{prose(6, length // 2)} {question} {prose(7, length // 2)}"
    assert rules(tmp_path, [{"question": question}, {"question": prose(8, 30)}], page) == [rule]


def test_formatting_does_not_hide_a_question(tmp_path: Path):
    changed = QUESTION.replace(" ", "  ").replace(";", " --").replace("miles", "**miles**").replace("old", "ÓLD")
    assert rules(tmp_path, [{"question": QUESTION}], f"{prose(1, 80)} {changed}") == ["benchmark_text"]


def test_near_misses_and_paraphrases_are_kept(tmp_path: Path):
    words = QUESTION.split()
    other_numbers = " ".join("seven" if i % 7 == 3 else w for i, w in enumerate(words))
    paraphrase = "At nine a train goes east at forty mph; another leaves two hours on. When do they meet?"
    shuffled = " ".join(np.random.default_rng(0).permutation(words))
    pages = [f"{prose(i, 60)} {t} {prose(i + 9, 60)}" for i, t in enumerate((other_numbers, paraphrase, shuffled))]
    assert rules(tmp_path, [{"question": QUESTION}], *pages) == [None] * 3


def test_template_of_the_questions_alone_never_flags(tmp_path: Path):
    template = "The following are multiple choice questions (with answers) about the subject named below. Answer with"
    records = [{"question": f"{template} {prose(i, 30)}"} for i in range(30)]
    pages = [f"{template} {prose(100, 100)}", f"{prose(101, 50)} {records[4]['question']}"]
    assert rules(tmp_path, records, *pages) == [None, "benchmark_text"]
    few = records[:5]
    assert rules(tmp_path, few, *pages) == [None, "benchmark_text"]


def test_words_that_many_pages_share_never_flag_but_a_popular_question_does(tmp_path: Path):
    notice = "permission is hereby granted free of charge to any person obtaining a copy of this software to use it"
    quoting = {"question": f"{prose(1, 30)} {notice} {prose(2, 30)}"}
    popular = {"question": prose(3, 25)}
    pages = [f"{prose(10 + i, 60)} {notice}" for i in range(12)]
    pages += [f"{prose(30 + i, 60)} {popular['question']}" for i in range(12)]
    assert rules(tmp_path, [quoting, popular], *pages) == [None] * 12 + ["benchmark_text"] * 12


def test_short_questions_go_with_their_answers_and_never_flag_by_themselves(tmp_path: Path):
    record = {"question": "What is the capital of France?", "answer": prose(4, 20)}
    alone = f"{prose(1, 50)} What is the capital of France? {prose(2, 50)}"
    both = f"{prose(1, 50)} What is the capital of France? Answer: {record['answer']} {prose(2, 50)}"
    assert rules(tmp_path, [record], alone, both) == [None, "benchmark_text"]


def test_short_and_empty_documents(tmp_path: Path):
    inside = " ".join(QUESTION.split()[5:18])  # 13 words of the question are the whole document
    assert rules(tmp_path, [{"question": QUESTION}], inside, "", "What?", inside + " " + prose(1, 30)) == [
        "benchmark_text", None, None, None,
    ]  # fmt: skip


def test_passage_is_marked_but_only_questions_and_answers_count(tmp_path: Path):
    record = {"context": prose(1, 80), "question": prose(2, 20), "answers": {"text": [prose(3, 30)], "start": [0]}}
    pages = [f"{prose(9, 30)} {t}" for t in (record["context"], record["question"], record["answers"]["text"][0])]
    found = decided(tmp_path, [record], *pages)
    assert found["benchmark_field"].to_list() == ["passage", "question", "answer"]
    assert found["rule"].to_list() == [None, "benchmark_text", "benchmark_text"]


def test_words_of_the_training_split_are_not_looked_for(tmp_path: Path):
    shared, own = prose(1, 40), prose(2, 40)
    (tmp_path / "train.jsonl").write_text(json.dumps({"question": shared}) + "\n")
    records, pages = [{"question": shared}, {"question": own}], [f"{t} {prose(5, 50)}" for t in (shared, own)]
    train = (str(tmp_path / "train.jsonl"),)
    assert rules(tmp_path / "a", records, *pages) == ["benchmark_text"] * 2
    assert rules(tmp_path / "b", records, *pages, train=train) == [None, "benchmark_text"]


def test_all_formats_and_named_fields_give_the_same_items(tmp_path: Path):
    import gzip

    import zstandard

    records = [{"id": f"i{i}", "q": {"stem": prose(i, 20)}, "choices": ["yes", "no"]} for i in range(4)]
    lines = "".join(json.dumps(r) + "\n" for r in records)
    (tmp_path / "a.jsonl").write_text(lines)
    (tmp_path / "a.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "a.jsonl.zst").write_bytes(zstandard.compress(lines.encode()))
    (tmp_path / "a.json").write_text(json.dumps({"version": 1, "data": records}))
    pl.DataFrame(records).write_parquet(tmp_path / "a.parquet")
    items = {
        kind: list(items_of(BenchmarkSet("b", (f"{tmp_path}/a.{kind}",), question=("q.stem", "choices")), 13))
        for kind in ("jsonl", "jsonl.gz", "jsonl.zst", "json", "parquet")
    }
    assert len({tuple(found) for found in items.values()}) == 1
    assert items["json"][0] == Item("b", "i0", "question", f"{prose(0, 20)}\nyes\nno")


def test_unknown_fields_missing_files_and_large_sets_are_named(tmp_path: Path):
    path = tmp_path / "b.jsonl"
    path.write_text(json.dumps({"frage": "x", "antwort": "y"}) + "\n")
    with pytest.raises(ConfigError, match=r"which field of .* is the question\? It has frage, antwort"):
        list(items_of(BenchmarkSet("b", (str(path),)), 13))
    with pytest.raises(ConfigError, match=r"no field 'fragen'; they have frage, antwort"):
        list(items_of(BenchmarkSet("b", (str(path),), question=("fragen",)), 13))
    with pytest.raises(InputError, match=r"no benchmark file .*nothing"):
        list(items_of(BenchmarkSet("b", ("nothing*.jsonl",)), 13))
    path.write_text("".join(json.dumps({"question": prose(i, 50)}) + "\n" for i in range(20)))
    with pytest.raises(DataError, match=r"760 n-grams, 0.0 GB in each worker; contamination.max_ngrams is 700"):
        ContaminationIndex((BenchmarkSet("b", (str(path),)),), max_ngrams=700).index()


def test_index_and_lookup_against_plain_python():
    """The kernel's hits are those of a set of word tuples; words by a plain split of lower-case ASCII."""
    rng = np.random.default_rng(1)
    few = WORDS[:6]  # so that n-grams repeat, in and across texts
    known, unseen = ([" ".join(rng.choice(few, int(rng.integers(0, 60)))) for _ in range(50)] for _ in range(2))
    for n in (2, 5):

        def grams(text: str, n: int = n) -> list[tuple[str, ...]]:
            words = text.split()
            size = min(n, len(words))
            return [tuple(words[i : i + size]) for i in range(len(words) - size + 1)] if words else []

        index = build_index([Item("s", str(i), "text", t) for i, t in enumerate(known)], n, 0.0, 10)
        truth = {g for t in known for g in grams(t)}
        assert index.hashes.size == len(truth)
        starts, entries, _, _, total = index.hits(pl.Series(unseen))
        for d, text in enumerate(unseen):
            assert total[d] == len(grams(text))
            assert starts[d + 1] - starts[d] == sum(g in truth for g in grams(text))
            for e in set(entries[starts[d] : starts[d + 1]].tolist()):
                holders = set(index.items_of(e).tolist())
                same = [
                    {i for i, t in enumerate(index.items["preview"]) if g in grams(known[int(index.items["name"][i])])}
                    for g in set(grams(text))
                ]
                assert holders in same


def test_one_hash_among_millions_is_found_and_no_other():
    hashes = np.unique(np.random.default_rng(0).integers(0, 2**64, 200_000, np.uint64))
    data, offsets = utf8(pl.Series([prose(1, 500), prose(2, 500)]))
    mine, starts = text_ngrams(data, offsets, code_points(), 13)
    hashes = np.unique(np.concatenate([hashes, mine[:1], mine[starts[1] : starts[1] + 7]]))
    seen, first, k = lookup_tables(hashes)
    found = find_hits(data, offsets, code_points(), 13, hashes, seen, first, k)
    assert np.diff(found[0]).tolist() == [1, 7]
    assert set(hashes[found[1]].tolist()) == {mine[0], *mine[starts[1] : starts[1] + 7]}


def test_config_takes_one_name_where_a_list_is_meant(tmp_path: Path):
    (tmp_path / "b.jsonl").write_text("{}")
    section = {"benchmarks": [{"name": "b", "paths": f"{tmp_path}/b.jsonl", "question": "stem"}], "drop": False}
    recipe = make_recipe({"input": {"paths": "x"}, "contamination": section}, "t")
    sets = [s.benchmarks for s in recipe.stages if s.name.startswith("contamination")]  # pyright: ignore
    assert sets == [(BenchmarkSet("b", (f"{tmp_path}/b.jsonl",), ("stem",)),)] * 3
    assert not any(s.name.startswith("contamination") for s in make_recipe({"input": {"paths": "x"}}, "t").stages)
    with pytest.raises(ConfigError, match=r"benchmarks\.0|questions"):
        make_recipe({"input": {"paths": "x"}, "contamination": {"benchmarks": [{"name": "b", "questions": "x"}]}}, "t")
