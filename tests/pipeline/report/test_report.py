"""The report as a reader meets it: in a real browser, from made run folders, with texts that want to break out."""

import json
import re
import shutil
import subprocess
from dataclasses import replace
from functools import partial
from html.parser import HTMLParser
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
from maderun import HOSTILE, Look, make_run

from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.contract.drawing import charts
from gristmill.pipeline.contract.drawing.html import tag, tag_with, text, together
from gristmill.pipeline.contract.drawing.tables import percent, short, size
from gristmill.pipeline.contract.state import write_json
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.report.facts import read_facts
from gristmill.pipeline.report.limits import BINS, axis, bounded, histograms, limits
from gristmill.pipeline.report.page import sentences, write_report
from gristmill.pipeline.report.warnings import warnings
from gristmill.pipeline.run.store import Store
from gristmill.stages.cluster.report import plane
from gristmill.stages.mixture.report.card import confirmed
from gristmill.stages.mixture.report.charts import Mark, against, progress

BROWSERS = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
SECTIONS = (
    "flow",
    "rules",
    "dropped",
    "held-out",
    "kinds",
    "signals",
    "clusters",
    "mixture",
    "search",
    "corpus",
    "recipe",
)


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Plan]:
    store, plan = make_run(tmp_path_factory.mktemp("made") / "run")
    write_report(store, plan)
    return store, plan


@pytest.fixture(scope="module")
def hostile(tmp_path_factory: pytest.TempPathFactory) -> tuple[Store, Plan]:
    store, plan = make_run(tmp_path_factory.mktemp("hostile") / "run", Look(hostile=True))
    write_report(store, plan)
    return store, plan


def page_of(store: Store) -> str:
    return (store.root / "report.html").read_text(encoding="utf-8")


class Elements(HTMLParser):
    """Tags, attributes and text of a page; fails on an end tag that closes another element than the open one."""

    def __init__(self, page: str):
        super().__init__(convert_charrefs=True)
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text: list[str] = []
        self.open: list[str] = []
        self.feed(page)
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in ("meta", "link", "br", "wbr"):
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def words(self) -> str:
        return " ".join("".join(self.text).split())


class Quiet(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: object) -> None:
        return


def browse(page: Path, profile: Path, *more: str) -> tuple[str, list[str]]:
    """The DOM after loading `page` from a server on this machine, and the URLs that were requested on its behalf.

    Skips where there is no Chromium.
    """
    browser = next((found for name in BROWSERS if (found := shutil.which(name))), None)
    if browser is None:
        pytest.skip(f"no browser: none of {', '.join(BROWSERS)} is installed")
    handler = partial(Quiet, directory=str(page.parent))
    log = profile / "net.json"
    flags = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-sync"]
    flags += ["--disable-background-networking", "--disable-component-update", "--no-proxy-server"]
    flags += ["--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1"]  # nothing outside, the browser's own included
    flags += [f"--user-data-dir={profile / 'profile'}", f"--log-net-log={log}", "--dump-dom", *more]
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        home = f"http://127.0.0.1:{server.server_port}/"
        command = [browser, *flags, home + page.name]
        done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
        server.shutdown()
    assert done.returncode == 0, done.stderr[-2000:]
    # One event per line; what the browser asks for itself has another network isolation key.
    mine = [e for e in log.read_text(encoding="utf-8").splitlines() if '"network_isolation_key":"http://127.0.0.1' in e]
    urls = [found[1] for e in mine if (found := re.search(r'"url":"([^"]*)"', e))]
    return done.stdout, [u.removeprefix(home) for u in urls]


def test_report_in_chromium_shows_every_section_with_the_run_s_numbers(made: tuple[Store, Plan], tmp_path: Path):
    store, _ = made
    dom, _ = browse(store.root / "report.html", tmp_path)
    page = Elements(dom)
    ids = {value for _, name, value in page.attributes if name == "id"}
    assert set(SECTIONS) <= ids
    words = page.words()
    ingest, *_, corpus = read_books(store)
    for n in (ingest["docs_in"], ingest["docs_out"], corpus["docs_out"], corpus["rows"], corpus["tokens"]):
        assert f"{n:,}" in words
    gates = next(e for e in read_books(store) if e["stage"] == "gates")
    for rule, total in gates["dropped"].items():  # pyright: ignore
        assert f"{rule} {total['docs']:,}" in words
    weights = json.loads((store.root / "mixture" / "weights.json").read_text())
    for row in weights["buckets"]:
        for share in (row["natural_share"], row["weight"], row["achieved_share"]):
            assert f"{100 * share:.1f}%" in words
    for wanted in ("CC0-1.0", "no licence found", "sw", "ngram", "train-00001-of-00002.parquet", "predictor spearman"):
        assert wanted in words


def test_report_in_chromium_requests_nothing_but_itself(hostile: tuple[Store, Plan], tmp_path: Path):
    _, urls = browse(hostile[0].root / "report.html", tmp_path)
    assert urls == ["report.html"]


LAID_OUT = """<script>addEventListener("load", () => {
  document.querySelectorAll("details").forEach(d => d.open = true);
  const wide = document.documentElement.clientWidth + 1, cut = [], broken = [];
  document.querySelectorAll("main table").forEach(t => {
    if (t.getBoundingClientRect().right > wide || t.parentElement.scrollWidth > t.parentElement.clientWidth + 1)
      cut.push(t.closest("section").id); });
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  for (let n; n = walk.nextNode();) {
    if (!n.parentElement.closest("table")) continue;
    for (const m of n.data.matchAll(/[^\\s.\\-\\/_,]+/g)) {
      const r = document.createRange(); r.setStart(n, m.index); r.setEnd(n, m.index + m[0].length);
      if (new Set([...r.getClientRects()].filter(q => q.width > 0).map(q => Math.round(q.top))).size > 1)
        broken.push(m[0]); } }
  document.body.dataset.cut = cut.join(); document.body.dataset.broken = broken.join(); });</script>"""


@pytest.mark.parametrize("width", [500, 1200])
def test_no_column_is_cut_and_no_word_of_a_table_is_broken(made: tuple[Store, Plan], tmp_path: Path, width: int):
    policy = re.compile(r'<meta http-equiv="Content-Security-Policy"[^>]*>')  # for this script alone
    (tmp_path / "page").mkdir()
    page = tmp_path / "page" / "report.html"
    page.write_text(policy.sub("", page_of(made[0])).replace("</body>", LAID_OUT + "</body>"))
    dom, _ = browse(page, tmp_path, f"--window-size={width},900")
    found = re.search(r'<body data-cut="([^"]*)" data-broken="([^"]*)"', dom)
    assert found
    assert found.groups() == ("", "")


def test_browse_sees_the_requests_of_a_page_that_makes_some(tmp_path: Path):
    page = tmp_path / "page.html"
    page.write_text('<link rel="icon" href="data:,"><img src="/a.png"><img src="http://evil.test/b.png">')
    _, urls = browse(page, tmp_path)
    assert sorted(urls) == ["a.png", "http://evil.test/b.png", "page.html"]


def test_report_in_chromium_hostile_texts_stay_texts(hostile: tuple[Store, Plan], tmp_path: Path):
    dom, _ = browse(hostile[0].root / "report.html", tmp_path)
    assert "<title>made&lt;/script&gt;" in dom  # the title was not set by a script
    page = Elements(dom)
    assert {"script", "img", "iframe", "object", "embed", "form"}.isdisjoint(page.tags)
    assert page.tags.count("style") == 1
    assert [a for a in page.attributes if a[1].startswith("on")] == []
    shown = re.sub("[\x00\x1b\u202e]", "�", HOSTILE)
    for word in ("made", "too_few_words", "en", "CC-BY-4.0", "b0", "grain", "q_reference", "held"):
        assert " ".join((word + shown).split()) in page.words(), word


def test_report_page_is_well_formed_and_points_nowhere(hostile: tuple[Store, Plan]):
    source = page_of(hostile[0])
    page = Elements(source)
    links = [value for _, name, value in page.attributes if name in ("href", "src", "srcset", "action", "xlink:href")]
    assert links
    assert all(link.startswith("#") or link == "data:," for link in links)
    style = source[source.index("<style>") : source.index("</style>")]
    assert "url(" not in style
    assert "@import" not in style
    assert not any("url(" in value for _, name, value in page.attributes if name == "style")
    anchors = {value for _, name, value in page.attributes if name == "id"}
    assert {link[1:] for link in links if link.startswith("#")} <= anchors


def test_report_every_drawing_and_table_has_a_name(made: tuple[Store, Plan]):
    source = page_of(made[0])
    drawings = re.findall(r"<svg[^>]*>", source)
    assert drawings
    assert all(re.search(r'role="img" aria-label="[^"]+"', s) for s in drawings)
    assert all('scope="' in th for th in re.findall(r"<th[^>]*>", source) if not th.startswith("<thead"))


def test_report_same_run_same_bytes(made: tuple[Store, Plan], tmp_path: Path):
    again, plan = make_run(tmp_path / "elsewhere" / "run")
    write_report(again, plan)
    assert page_of(again) == page_of(made[0])
    write_report(again, plan)
    assert page_of(again) == page_of(made[0])


def test_report_without_search_clusters_and_licences_says_so(tmp_path: Path):
    store, plan = make_run(tmp_path / "run", Look(clusters=1, searched=False))
    shutil.rmtree(store.artifact("cluster"))
    shutil.rmtree(store.root / "corpus")
    steps = tuple(s for s in plan.steps if s.name not in ("license", "language", "quality", "gates"))
    bare = replace(plan, steps=steps)
    write_report(store, bare)
    words = Elements(page_of(store)).words()
    for said in (
        "No mixture was searched: the config takes shares as they came",
        "This run made no clusters.",
        "This run has no column for it: no licence is known.",
        "No gate of this run bounds a numeric column.",
        "No shard was written.",
    ):
        assert said in words, said


def test_report_of_a_run_that_kept_nothing_still_opens(tmp_path: Path):
    store, plan = make_run(tmp_path / "run", Look(docs=6, clusters=1))
    (store.root / "mixture" / "weights.json").unlink()
    entries = read_books(store)
    for entry in entries[1:]:
        entry |= {"docs_in": 0, "docs_out": 0, "bytes_out": 0, "tokens_out": 0, "dropped": {}}
    write_json(store.root / "ledger.json", entries)
    write_report(store, plan)
    assert "This run has no mixture." in Elements(page_of(store)).words()


def test_report_of_a_stopped_run_counts_what_its_last_gate_left(tmp_path: Path):
    store, plan = make_run(tmp_path / "run", Look(docs=60))
    facts = read_facts(store, plan)
    last = next(i for i, e in enumerate(facts.entries) if e["dropped"] and e["stage"] == "gates")
    stopped = replace(facts, entries=facts.entries[: last + 1])
    left = stopped.entries[-1]["docs_out"]
    assert left < stopped.entries[-1]["docs_in"]
    first = next(sentences(stopped, plan))
    assert f"{left} of these (" in first
    assert first.endswith("passed every gate up to gates.")
    assert next(sentences(facts, plan)).endswith("passed every gate.")


def said(store: Store, plan: Plan) -> str:
    return Elements(str(together(tag("p", [[w, " "] for w in warnings(read_facts(store, plan), plan)])))).words()


def test_warnings_name_caps_missed_weights_budget_and_unknown_licences(made: tuple[Store, Plan]):
    words = said(*made)
    for wanted in ("1 of 5 buckets held by a cap", "Not as weighted: 1 bucket", "misses its budget", "Licence unknown"):
        assert wanted in words


def test_warnings_name_quarantined_parts_greedy_rules_and_a_search_that_found_nothing(tmp_path: Path):
    store, plan = make_run(tmp_path / "run")
    write_json(store.root / "failures" / "x.json", {"unit": "part-1", "message": "disk <gone>"})
    weights = json.loads((store.root / "mixture" / "weights.json").read_text())
    weights["search"] |= {"found": False}
    weights["verdict"] = "nothing found"
    write_json(store.root / "mixture" / "weights.json", weights)
    entries = read_books(store)
    gates = next(e for e in entries if e["stage"] == "gates")
    gates["dropped"]["too_few_words"]["docs"] = 400  # pyright: ignore
    write_json(store.root / "ledger.json", entries)
    words = said(store, plan)
    assert "1 of 3 parts failed" in words
    assert "part-1: disk <gone>" in words
    assert "too_few_words drops 66.7% of what reaches the stage (400 documents)" in words
    assert "The search changed nothing: nothing found" in words


def test_report_and_card_tell_whether_the_mixture_was_confirmed_and_what_matters(tmp_path: Path):
    store, plan = make_run(tmp_path / "run")
    write_report(store, plan)
    words = Elements(page_of(store)).words()
    for wanted in (
        "Better than natural: difference -0.0300.",
        "Confirmed with fresh chance.",
        "the gpt proxy of 1,310,720 parameters",
        "unimax−0.0300−0.0500 to −0.01004 of 5+0.0100−0.0700",
        "0.0% to 25.0%+0.0125",
    ):
        assert wanted in words, wanted
    weights = json.loads((store.root / "mixture" / "weights.json").read_text())
    card = "\n".join(confirmed(weights))
    assert card.startswith("Better than natural: difference -0.0300.")
    assert "| uniform | all | -0.0300 | -0.0500 to -0.0100 | 4 of 5 |\n| uniform | b | +0.0100 |  |  |" in card


def test_warnings_name_a_mixture_that_was_not_confirmed(tmp_path: Path):
    store, plan = make_run(tmp_path / "run")
    weights = json.loads((store.root / "mixture" / "weights.json").read_text())
    weights["confirm"]["better_than_natural"] = False
    weights["verdict"] = "not better than natural: difference +0.0100"
    write_json(store.root / "mixture" / "weights.json", weights)
    assert "The chosen mixture is not confirmed: not better than natural: difference +0.0100" in said(store, plan)


@pytest.mark.parametrize("look", [Look(), Look(searched=False), Look(hostile=True)])
def test_report_shows_searched_parameters_and_whether_they_are_better_than_climb_s(tmp_path: Path, look: Look):
    store, plan = make_run(tmp_path / "run", look)
    weights = json.loads((store.root / "mixture" / "weights.json").read_text())
    own = {"weights": [0.25, 0.75], "shape": {"slope": 31.6, "cut": 0.4, "gain": 1.0, "floor": 0.001}}
    weights["search"] |= {
        "mode": "both",
        "parameters": {
            "method": "trust_region", "runs": 400, "parameters": 12, "found": True,
            "verdict": look.name("the searched parameters measure 0.0300 better than climb's"),
            "measured_objective": 4.97, "climb_measured": 5.0, "natural_measured": 5.2, "cells": 90, "misplaced": 0.0,
            "criteria": ["q_reference", "q_importance"], "buckets": {look.name("c00"): own},
        },
    }  # fmt: skip
    climb = {"baseline": "climb", "difference": -0.01, "low": -0.03, "high": 0.01, "better_in": 3, "seeds": 5}
    if weights["confirm"]:
        targets = weights["confirm"]["comparisons"][0]["targets"]
        weights["confirm"]["comparisons"].append({**climb, "targets": dict.fromkeys(targets, -0.01)})
    write_json(store.root / "mixture" / "weights.json", weights)
    write_report(store, plan)
    words = Elements(page_of(store)).words()
    assert look.name("the searched parameters measure 0.0300 better than climb's").split("<")[0] in words
    assert "searched 4.9700, climb's 5.0000, natural 5.2000" in words
    assert "0.2500.75031.60.410.001" in words
    if weights["confirm"]:
        assert "The searched parameters are not confirmed to be better than mode climb" in said(store, plan)
        assert "| climb | all | -0.0100 | -0.0300 to +0.0100 | 3 of 5 |" in "\n".join(confirmed(weights))


def test_limits_follow_the_names_of_fields_and_columns():
    columns = ("words_n", "mean_word_len", "dup_lines_frac", "q_reference", "top_lines_n", "end_lines_n")
    names = ("words", "mean_word_len", "dup_lines_frac", "reference", "lines", "words_redpajama")
    found = [bounded(name, columns) for name in names]
    assert found == ["words_n", "mean_word_len", "dup_lines_frac", "q_reference", None, None]


def test_limits_of_rules_that_are_off_are_not_drawn(made: tuple[Store, Plan]):
    plan = made[1]
    assert {(x.column, x.low, x.high) for x in limits(plan)} == {
        ("words_n", 50.0, None),
        ("dup_lines_frac", None, 0.3),
    }
    gate = plan.step("gates")
    without = replace(gate, stage=replace(gate.stage, max_dup_lines_frac=None))  # pyright: ignore
    steps = tuple(without if s is gate else s for s in plan.steps)
    assert [x.column for x in limits(replace(plan, steps=steps))] == ["words_n"]


def test_limits_of_the_real_gates_are_those_of_the_rules_in_force():
    gates = pytest.importorskip("gristmill.stages.gates")
    stage = gates.Gates(presets=("fineweb",), max_newline_ratio=None)
    plan = Plan("x", "", (gate_step(stage),), ())
    found = {x.column: (x.low, x.high, x.rules) for x in limits(plan)}
    assert found["short_lines_frac"] == (None, 0.67, ("too_many_short_lines",))
    assert found["ended_lines_frac"] == (0.12, None, ("too_few_ended_lines",))
    assert "newline_ratio" not in found
    assert "mean_word_len" not in found


def gate_step(stage: object):
    from gristmill.pipeline.plan.steps import Step

    return Step(stage, "gate", "")  # pyright: ignore


def test_histograms_count_every_document_once(made: tuple[Store, Plan]):
    store, plan = made
    found, drawn = histograms(store, plan)
    gates = next(e for e in read_books(store) if e["stage"] == "gates")
    dropped = gates["dropped"]
    assert drawn == gates["docs_in"] == 600
    for h in found:
        assert sum(h.kept) == gates["docs_out"]
        assert sum(h.kept) + sum(h.dropped) + sum(h.other) == 600
    by_column = {h.limited.column: h.dropped_n for h in found}
    assert by_column["words_n"] == dropped["too_few_words"]["docs"]  # pyright: ignore
    assert by_column["dup_lines_frac"] == dropped["too_many_dup_lines"]["docs"]  # pyright: ignore


@pytest.mark.parametrize("values", [[0.0], [5.0, 5.0], [0.0, 1e9], [-3.0, 2.0], [0.1, 0.2, 0.9]])
def test_axis_frames_any_values_with_rising_edges(values: list[float]):
    edges, _ = axis(np.array(values), [0.5])
    assert len(edges) == BINS + 1
    assert (np.diff(edges) > 0).all()


def test_charts_draw_runs_without_spread():
    for scores in ([2.0], [2.0, 2.0, 2.0], [-1e-9, 1e-9]):
        n = len(scores)
        drawn = progress(scores, [0] * n, ["ngram"] * n, [Mark(2.0, "natural")], "t")
        assert "nan" not in drawn
        Elements(drawn)
        Elements(against(scores, scores, "t"))
    Elements(plane([1.0, 1.0], [0.0, 0.0], [None, 3], "t"))


def test_ticks_are_round_and_inside():
    assert charts.ticks(0.0, 1.0, 4) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert charts.ticks(5.93, 6.41, 4) == [6.0, 6.2, 6.4]
    assert charts.ticks(3.0, 3.0, 4) == [3.0]
    assert charts.powers(0.0, 5000.0) == [1.0, 10.0, 100.0, 1000.0]


def test_hypertext_escapes_what_was_not_made_here():
    assert tag("b", "<i>", tag("u", '&"')) == "<b>&lt;i&gt;<u>&amp;&quot;</u></b>"
    assert tag_with("a.x.y", {"title": '"><script>', "id": None, "x": 1.5}) == (
        '<a class="x y" title="&quot;&gt;&lt;script&gt;" x="1.5"></a>'
    )
    assert tag("p", ["a", ["b", 3], None]) == "<p>ab3</p>"
    assert text("a\x00b\x85c\td\r\ne￾") == "a�b�c\td\ne�"


@pytest.mark.parametrize(
    ("n", "shown"),
    [
        (0, "0"),
        (999, "999"),
        (999.6, "1.00 K"),
        (9634, "9.63 K"),
        (123456, "123 K"),
        (51e6, "51.0 M"),
        (7e12, "7.00 T"),
    ],
)
def test_short_keeps_three_digits(n: float, shown: str):
    assert short(n) == shown


def test_sizes_and_shares():
    assert [size(n) for n in (0, 12, 999, 1000, 3.16e6, 1.2e9, 5e12, 7e15)] == [
        "0 B", "12 B", "999 B", "1.00 KB", "3.16 MB", "1.20 GB", "5.00 TB", "7.00 PB",
    ]  # fmt: skip
    assert (percent(None), percent(0), percent(0.0004), percent(0.12345)) == ("–", "0.0%", "<0.1%", "12.3%")


def test_labels_on_one_spot_are_moved_apart():
    moved = charts.apart([(5.0, 5.0), (5.0, 5.0), (6.0, 5.0), (90.0, 90.0)], 10.0, 8.0)
    assert moved[3] == (90.0, 90.0)
    for i, (x, y) in enumerate(moved):
        assert all(abs(x - u) >= 9.9 or abs(y - v) >= 7.9 for u, v in moved[i + 1 :])


def test_ticks_are_written_short():
    assert [charts.rounded(t) for t in (0.25, 0.0, 250.0, 1000.0, 2.5e6, 1e11)] == [
        "0.25",
        "0",
        "250",
        "1 K",
        "2.5 M",
        "100 B",
    ]


def test_names_cannot_turn_numbers_around():
    assert text("rule\u202e 75 \u2067x\u2069") == "rule� 75 �x�"
    assert text("שלום") == "שלום"
