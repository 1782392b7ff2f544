"""No text that the mixture is measured on reaches the corpus: whole, changed a little, in part, or inside a page."""

import json
from dataclasses import replace
from pathlib import Path

import polars as pl
from test_contamination import prose

from gristmill.pipeline.books.held_out import card_lines, read_sought
from gristmill.pipeline.books.ledger import read_fates
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import override
from gristmill.pipeline.plan.plan import load_plan
from gristmill.pipeline.recipe import contamination, make_recipe
from gristmill.pipeline.report.page import report_path, write_report
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent

SETTINGS = ("gates.presets=[]", "language.keep=null", "license.unknown=keep", "tokenizer.vocab_size=400")


def run_until_objective(folder: Path, documents: dict[str, str], **files: list[str]) -> Store:
    """A run over these documents (by URL) with a validation file per keyword argument."""
    (folder / "in.jsonl").write_text("".join(json.dumps({"url": u, "text": t}) + "\n" for u, t in documents.items()))
    references = [prose(1000 + i, 60) for i in range(40)]
    (folder / "references.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in references))
    for name, texts in files.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    given = [
        f"input.paths={folder}/in.jsonl",
        f"dedup.references.paths={folder}/references.jsonl",
        f"mixture.validation=[{', '.join(f'{folder}/{name}.jsonl' for name in files)}]",
    ]
    recipe = make_recipe(override({}, [*given, *SETTINGS]), "t")
    store = Store(folder / "run")
    until = "dedup.objective"
    launch(recipe, survey(recipe, store, until), store, InProcess(), until, Silent(), lambda store, plan: None)
    return store


def test_validation_texts_leave_the_corpus_in_every_form_and_nothing_else_does(tmp_path: Path):
    target, long, short = prose(1, 60), prose(2, 400), "the quick brown fox jumps"
    words, near, formatted = target.split(), prose(7, 60).split(), prose(8, 60)
    leaks = {
        "http://a.example/exact": target,
        "http://a.example/near": " ".join([*near[:20], "changed", *near[21:45], "twice", *near[46:]]),
        "http://a.example/around": f"{prose(3, 300)} {target} {prose(4, 300)}",
        "http://a.example/part-in-a-book": f"{prose(5, 20_000)} {' '.join(words[10:26])} {prose(6, 20_000)}",
        "http://a.example/part-of-a-long-one": " ".join(long.split()[100:150]),
        "http://a.example/formatted": "\n\n".join(w.upper() for w in formatted.split()),
        "http://a.example/short": short,
    }
    others = {f"http://b.example/{i}": prose(50 + i, 200) for i in range(30)}
    others["http://b.example/shares-two"] = f"{prose(90, 100)} {' '.join(words[:14])} {prose(91, 100)}"
    store = run_until_objective(tmp_path, leaks | others, mine=[target, short], yours=[long, " ".join(near), formatted])
    plan = load_plan(store.root / "plan.json").until("dedup.objective")
    fates = pl.concat([frame for _, frame in read_fates(store, plan)])
    dropped = fates.drop_nulls("rule")
    assert dict(dropped.select("url", "rule").iter_rows()) == dict.fromkeys(leaks, "objective_text")
    assert fates.height == len(leaks) + len(others)
    sought = {s.name: (s.items, s.dropped) for s in read_sought(store, plan)}
    assert sought == {"mine": (2, 4), "yours": (3, 3)}
    marked = read_sought(store, replace(plan, steps=tuple(s for s in plan.steps if s.name != "dedup.objective.gate")))
    assert [(s.name, s.dropped, len(s.samples)) for s in marked] == [("mine", 0, 3), ("yours", 0, 3)]
    assert "| yours | objective | 3 | 3 |" in card_lines(read_sought(store, plan))
    write_report(store, plan)
    page = report_path(store).read_text().replace("<wbr>", "")
    assert "http://a.example/part-in-a-book" in page
    assert " ".join(words[10:26]) in page
    bench = tmp_path / "bench.jsonl"
    bench.write_text(json.dumps({"id": 7, "question": others["http://b.example/3"]}) + "\n")
    said = "\n".join(contamination(store, plan, [str(bench), f"{tmp_path}/mine.jsonl:question=text"], 10))
    assert "holds bench/7 (question): 188 n-grams, 100% of the item, 100.0% of the document" in said
    assert [line.split() for line in said.split("\n")[1:3]] == [
        ["bench", "1", "1", "100.0000%", "1"],
        ["mine", "2", "0", "0.0000%", "0"],
    ]
