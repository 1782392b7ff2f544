"""Reservations beside the page: robots.txt from files and from WARCs, by host and crawl, and the user's block lists."""

import gzip
import json
from pathlib import Path

import polars as pl
import pytest

from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.license import License, LicenseGate, RobotsFiles
from gristmill.stages.reservations.index import RobotsIndex
from lawrun import InProcess, Silent
from places import ROOT

GPTBOT = "User-agent: GPTBot\nDisallow: /private/\n"
SIGNAL = "User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /\n"
DOCUMENT = ("doc_id", "text", "url", "dump", "license_links", "rights_text", "license_declared", "opt_out_signals")


def put(folder: Path, files: dict[str, str]) -> str:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return str(folder)


def captured(url: str, body: str, status: str = "200 OK", head: str = "") -> bytes:
    block = f"HTTP/1.1 {status}\r\nContent-Type: text/plain\r\n{head}\r\n{body}".encode()
    fields = f"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: {url}\r\nContent-Length: {len(block)}\r\n\r\n"
    return gzip.compress(fields.encode() + block + b"\r\n\r\n", mtime=0)


def documents(*pages: tuple[str, str | None], signals: list[str] | None = None) -> pl.DataFrame:
    rows = [{"doc_id": f"{i:032x}", "text": "x", "url": url, "dump": dump} for i, (url, dump) in enumerate(pages)]
    links = pl.List(pl.Struct(dict.fromkeys(("href", "kind", "place", "text"), pl.String)))
    return pl.DataFrame(
        [{**row, "opt_out_signals": signals} for row in rows],
        {name: links if name == "license_links" else pl.String for name in DOCUMENT[:-1]}
        | {"opt_out_signals": pl.List(pl.String)},
    )


def found(out: Path, robots: str, *pages: tuple[str, str | None], **settings) -> pl.DataFrame:
    """What the licence stage says of pages beside these robots.txt files."""
    out.mkdir(exist_ok=True)
    RobotsIndex(robots=(robots,)).run(None, out)  # pyright: ignore[reportArgumentType] - it asks the corpus nothing
    stage = License(beside=RobotsFiles((robots,)), **settings)
    return stage.open({"ingest.robots": out})(documents(*pages))


def test_folder_of_robots_txt_files_reserves_by_host(tmp_path):
    files = {
        "a.example/robots.txt": GPTBOT,
        "b.example.txt": SIGNAL,
        "deep/c.example.robots.txt": "License: /rsl.xml\n",
    }
    robots = put(tmp_path / "robots", files)
    urls = ("https://a.example/private/1", "https://a.example/1", "http://B.example:8080/1", "https://c.example/")
    got = found(tmp_path / "out", robots, *((url, None) for url in (*urls, "https://sub.a.example/private/", "x")))
    assert got["opt_out_reasons"].to_list() == [["robots"], [], ["train_ai"], ["rsl"], [], []]
    assert got["reservation_signals"].to_list() == [
        ["robots.txt:gptbot"], [], ["robots.txt-content-signal:ai-train=no"], ["rsl:robots.txt=/rsl.xml"], [], [],
    ]  # fmt: skip
    assert got["opt_out"].to_list() == [True, False, True, True, False, False]
    rules = ["opted_out_robots", None, "opted_out_train_ai", "opted_out_rsl", None, None]
    assert LicenseGate().decide(got).to_list() == rules
    assert LicenseGate(opt_out="keep").decide(got).to_list() == [None] * 6


def test_warcs_of_a_crawl_are_joined_to_that_crawl(tmp_path):
    folder = tmp_path / "crawl-data" / "CC-MAIN-2024-10" / "robotstxt"
    folder.mkdir(parents=True)
    (folder / "CC-MAIN-20240220-00000.warc.gz").write_bytes(
        captured("https://a.example/robots.txt", GPTBOT)
        + captured("http://b.example/robots.txt", "", "301 Moved", "Location: https://www.b.example/robots.txt\r\n")
        + captured("https://www.b.example/robots.txt", SIGNAL)
        + captured("https://c.example/robots.txt", "User-agent: *\nDisallow: /", "404 Not Found")
        + captured("https://d.example/page", "User-agent: *\nDisallow: /")
        + captured("https://e.example/robots.txt", "User-agent: *\nDisallow: /\n")
        + captured("https://e.example/robots.txt", "User-agent: *\nAllow: /\n")
    )
    pages = [(f"https://{host}.example/private/", "CC-MAIN-2024-10") for host in "abcde"]
    got = found(
        tmp_path / "out", str(folder / "*.warc.gz"), *pages, (pages[0][0], "CC-MAIN-2023-50"), (pages[0][0], None)
    )
    assert got["opt_out_reasons"].to_list() == [["robots"], ["train_ai"], [], [], ["robots_any"], [], ["robots"]]
    report = json.loads((tmp_path / "out" / "report.json").read_text())
    assert report["crawls"] == ["CC-MAIN-2024-10"]
    assert report["read"] == {"other_url": 1, "records": 7, "status_2xx": 4, "status_3xx": 1, "status_4xx": 1}


def test_index_has_the_same_bytes_in_any_order_of_files(tmp_path):
    files = {"a.example.txt": GPTBOT, "b.example.txt": SIGNAL, "c.example.txt": GPTBOT + "# the same\n"}
    robots = put(tmp_path / "robots", files)
    outs = [tmp_path / "one", tmp_path / "two"]
    paths = tuple(f"{robots}/{name}" for name in files)
    for out, given in zip(outs, ((robots,), paths[::-1]), strict=True):
        out.mkdir()
        RobotsIndex(robots=given).run(None, out)  # pyright: ignore[reportArgumentType]
    for file in outs[0].iterdir():
        assert file.read_bytes() == (outs[1] / file.name).read_bytes()
    assert json.loads((outs[0] / "report.json").read_text())["texts"] == 2


def test_policy_says_which_reservations_count():
    page = documents(
        ("https://a.example/", None), signals=["meta-robots:noimageai", "meta-robots:noml", "tdm-policy:/p"]
    )
    assert License().open({})(page)["opt_out_reasons"].to_list() == [["noml"]]
    assert License(reservations=()).open({})(page)["opt_out"].to_list() == [False]
    some = License(reservations=("tdm_policy", "noimageai")).open({})(page)
    assert some["opt_out_reasons"].to_list() == [["noimageai", "tdm_policy"]]
    assert some["reservation_signals"].to_list() == page["opt_out_signals"].to_list()
    assert LicenseGate().decide(some).to_list() == ["opted_out_noimageai"]


def test_agents_file_takes_the_place_of_the_list(tmp_path):
    robots = put(tmp_path / "robots", {"a.example.txt": "User-agent: MyBot\nDisallow: /\n"})
    page = ("https://a.example/", None)
    (tmp_path / "agents.txt").write_text("\ufeffMyBot # ours\n", encoding="utf-8")
    assert found(tmp_path / "out", robots, page)["opt_out_reasons"].to_list() == [[]]
    named = found(tmp_path / "out", robots, page, agents_file=str(tmp_path / "agents.txt"))
    assert named["reservation_signals"].to_list() == [["robots.txt:mybot"]]
    (tmp_path / "none.txt").write_text("# nobody\n")
    with pytest.raises(ConfigError, match=r"agents_file: .*none.txt names no robot"):
        License(agents_file=str(tmp_path / "none.txt")).preflight()


def test_block_lists_drop_domains_and_urls_whatever_their_licence(tmp_path):
    (tmp_path / "mine.txt").write_text("# no\nblocked.example\nhttps://www.c.example/no/\n")
    pages = [
        f"https://{rest}" for rest in ("blocked.example/", "a.blocked.example/x", "c.example/no/1", "c.example/nope")
    ]
    stage = License(block_lists=(str(tmp_path / "mine.txt"),))
    got = stage.open({})(documents(*((url, None) for url in pages)))
    assert got["blocked_by"].to_list() == ["mine", "mine", "mine", None]
    assert LicenseGate().decide(got).to_list() == ["blocked_url"] * 3 + [None]
    assert LicenseGate(blocked="keep").decide(got).to_list() == [None] * 4


def test_what_names_no_host_or_is_not_there_is_an_error_before_the_run(tmp_path):
    with pytest.raises(InputError, match=r"whose robots.txt is it\? Name it HOST.txt"):
        RobotsIndex(robots=(put(tmp_path / "a", {"robots.txt": GPTBOT}),)).preflight()
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match=r"the folder .*empty is empty"):
        RobotsIndex(robots=(str(tmp_path / "empty"),)).preflight()
    with pytest.raises(InputError, match=r"nothing.* check input.robots"):
        RobotsIndex(robots=(str(tmp_path / "nothing*"),)).preflight()
    with pytest.raises(ConfigError, match="reservations"):
        make_recipe({"license": {"reservations": ["noia"]}}, "x")


def test_first_try_robots_and_block_list_in_one_command(tmp_path):
    """`gristmill run configs/commoncrawl.yaml input.robots=[robots] license.block_lists=[mine.txt] --until license`."""
    robots = put(tmp_path / "robots", {"a.example/robots.txt": GPTBOT, "b.example.txt": SIGNAL})
    (tmp_path / "mine.txt").write_text("c.example\n")
    text = "The ferry to the outer island leaves at seven and comes back at noon, so bring what you need. " * 9
    urls = ("https://a.example/private/1", "https://a.example/2", "https://b.example/", "https://c.example/")
    (tmp_path / "docs.jsonl").write_text("".join(json.dumps({"text": f"{text}{u}", "url": u}) + "\n" for u in urls))
    given = [
        f"input.paths={tmp_path}/docs.jsonl", f"input.robots=[{robots}]", f"license.block_lists=[{tmp_path}/mine.txt]",
    ]  # fmt: skip
    recipe = make_recipe(override(read_config(ROOT / "configs" / "commoncrawl.yaml"), given), "job")
    store = Store(tmp_path / "run")
    launch(recipe, survey(recipe, store, "license"), store, InProcess(), "license", Silent(), lambda store, plan: None)
    (entry,) = [e for e in json.loads((store.root / "ledger.json").read_text()) if e["stage"] == "license"]
    dropped = {rule: n["docs"] for rule, n in entry["dropped"].items()}
    assert dropped == {"opted_out_robots": 1, "opted_out_train_ai": 1, "blocked_url": 1}
    assert (entry["docs_in"], entry["docs_out"]) == (4, 1)
