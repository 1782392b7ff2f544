# ruff: noqa: E501 - a truth table reads by rows
"""robots.txt: RFC 9309's and Google's published cases as a truth table, preferences and licences beside the rules."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.classifiers.license.agents import AGENTS
from gristmill.classifiers.license.reservations import COUNTED, KINDS, kind_of, reasons
from gristmill.classifiers.license.robots import (
    MOST_BYTES,
    kept_out,
    parse_robots,
    path_of,
    pattern_of,
    preferences,
    robots_host,
)
from gristmill.stages.ingest.page.opt_outs import header_signals, meta_signals

SITE = "https://foo.bar"
# RFC 9309, 5.1 and 5.2
SIMPLE = b"""User-Agent: *
Disallow: *.gif$
Disallow: /example/
Allow: /publications/

User-Agent: foobot
Disallow:/
Allow:/example/page.html
Allow:/example/allowed.gif

User-Agent: barbot
User-Agent: bazbot
Disallow: /example/page.html

User-Agent: quxbot

EOF
"""
LONGEST = b"User-Agent: foobot\nAllow: /example/page/\nDisallow: /example/page/disallowed.gif\n"
GROUPS = b"""allow: /foo/bar/
user-agent: FooBot
disallow: /
allow: /x/
user-agent: BarBot
disallow: /
allow: /y/

allow: /w/
user-agent: BazBot

user-agent: FooBot
allow: /z/
disallow: /
"""
RULES = b"user-agent: FooBot\nallow: %s\ndisallow: %s\n"
FOO = b"user-agent: foobot\n"

# robots.txt, robot, URL path, allowed
CASES = [
    # RFC 9309, 5.1: groups, comments, no rules at all
    (SIMPLE, "foobot", "/", False), (SIMPLE, "foobot", "/example/page.html", True),
    (SIMPLE, "foobot", "/example/allowed.gif", True), (SIMPLE, "foobot", "/example/other.gif", False),
    (SIMPLE, "barbot", "/example/page.html", False), (SIMPLE, "bazbot", "/example/page.html", False),
    (SIMPLE, "barbot", "/example/x.gif", True), (SIMPLE, "quxbot", "/example/x.gif", True),
    (SIMPLE, "otherbot", "/example/x", False), (SIMPLE, "otherbot", "/a/b.gif", False),
    (SIMPLE, "otherbot", "/a/b.gif?c", True), (SIMPLE, "otherbot", "/publications/", True),
    # RFC 9309, 5.2: the most octets decide
    (LONGEST, "foobot", "/example/page/disallowed.gif", False), (LONGEST, "foobot", "/example/page/a.gif", True),
    # 2.2.1: groups of one robot are one; rules before any robot are nobody's; consecutive names share
    (GROUPS, "FooBot", "/x/b", True), (GROUPS, "FooBot", "/z/d", True), (GROUPS, "FooBot", "/y/c", False),
    (GROUPS, "BarBot", "/y/c", True), (GROUPS, "BarBot", "/w/a", True), (GROUPS, "BarBot", "/z/d", False),
    (GROUPS, "BazBot", "/z/d", True), (GROUPS, "FooBot", "/foo/bar/", False), (GROUPS, "BazBot", "/foo/bar/", False),
    # 2.2.1: other lines do not end a list of robots
    (b"User-agent: foobot\nSitemap: /s.xml\nUser-agent: barbot\nDisallow: /", "foobot", "/", False),
    (b"User-agent: foobot\nCrawl-delay: 9\nUser-agent: barbot\nDisallow: /", "foobot", "/", False),
    # 2.2.2: an empty rule is a rule, behind which another group begins
    (b"User-agent: foobot\nDisallow:\nUser-agent: barbot\nDisallow: /", "foobot", "/", True),
    # names: without case, up to a version; a name is not the beginning of another
    (b"USER-AGENT: FOOBOT\nDISALLOW: /", "FooBot", "/", False), (b"user-agent: FooBot/1.2\ndisallow: /", "foobot", "/", False),
    (b"user-agent: FooBot Bar\ndisallow: /", "foobot", "/", False), (b"user-agent: Foo\ndisallow: /", "foobot", "/", True),
    (b"user-agent: foobot-news\ndisallow: /", "foobot", "/", True), (b"user-agent: foobot\ndisallow: /", "foobot-news", "/", True),
    # the group of * holds for those without one of their own; * and words behind it is *
    (b"user-agent: *\ndisallow: /\nuser-agent: foobot\nallow: /", "foobot", "/", True),
    (b"user-agent: *\ndisallow: /\nuser-agent: foobot\nallow: /", "barbot", "/", False),
    (b"user-agent: * baz\ndisallow: /", "foobot", "/", False), (b"user-agent: *baz\ndisallow: /", "foobot", "/", True),
    (b"", "foobot", "/", True), (b"disallow: /", "foobot", "/", True), (FOO, "foobot", "/", True),
    (FOO + b"disallow:\n", "foobot", "/", True), (FOO + b"allow:\ndisallow:\n", "foobot", "/", True),
    # longest match; of equals, allow
    (RULES % (b"/x/page.html", b"/x/"), "FooBot", "/x/page.html", True), (RULES % (b"/x/page.html", b"/x/"), "FooBot", "/x/", False),
    (RULES % (b"", b""), "FooBot", "/x", True), (RULES % (b"/", b"/"), "FooBot", "/x", True),
    (RULES % (b"/x", b"/x/"), "FooBot", "/x", True), (RULES % (b"/x", b"/x/"), "FooBot", "/x/", False),
    (RULES % (b"/page", b"/*.html"), "FooBot", "/page.html", False), (RULES % (b"/page", b"/*.html"), "FooBot", "/page", True),
    (RULES % (b"/x/page.", b"/*.html"), "FooBot", "/x/page.html", True), (RULES % (b"/x/page.", b"/*.html"), "FooBot", "/x/y.html", False),
    (b"user-agent: *\nallow: /x/page.html\ndisallow: /x/\nuser-agent: FooBot\ndisallow: /x/page.html", "FooBot", "/x/page.html", False),
    # 2.2.3: wildcards
    (FOO + b"disallow: /foo/bar/quz\nallow: /foo/*/qux", "foobot", "/foo/bar/quz", False),
    (FOO + b"disallow: /foo/bar/quz\nallow: /foo/*/qux", "foobot", "/foo//quz", True),
    (FOO + b"disallow: /foo/bar$\nallow: /foo/bar/qux", "foobot", "/foo/bar", False),
    (FOO + b"disallow: /foo/bar$\nallow: /foo/bar/qux", "foobot", "/foo/bar/", True),
    (FOO + b"disallow: /foo/bar$\nallow: /foo/bar/qux", "foobot", "/foo/bar/baz", True),
    (FOO + b"disallow: /*.php$", "foobot", "/a.php", False), (FOO + b"disallow: /*.php$", "foobot", "/a.php?b", True),
    (FOO + b"disallow: /*.php$", "foobot", "/a.php5", True), (FOO + b"disallow: /*.php$", "foobot", "/a.php.php", False),
    (FOO + b"disallow: /fish*", "foobot", "/fishheads", False), (FOO + b"disallow: /fish*", "foobot", "/Fish.asp", True),
    (FOO + b"disallow: /fish/", "foobot", "/fish", True), (FOO + b"disallow: /fish*.php", "foobot", "/fishheads/catfish.php?p=1", False),
    (FOO + b"disallow: *", "foobot", "/a", False), (FOO + b"disallow: /$", "foobot", "/", False), (FOO + b"disallow: /$", "foobot", "/a", True),
    (FOO + b"disallow: /a*b*a$", "foobot", "/aba", False), (FOO + b"disallow: /a*a$", "foobot", "/a", True),
    (FOO + b"disallow: /a$b", "foobot", "/a$b", False), (FOO + b"disallow: x", "foobot", "/x", True),
    # 2.2.2: escapes
    (FOO + b"disallow: /\nallow: /foo/bar?qux=taz&baz=http://foo.bar?tar&par", "foobot", "/foo/bar?qux=taz&baz=http://foo.bar?tar&par", True),
    (FOO + "disallow: /\nallow: /foo/bar/ツ".encode(), "foobot", "/foo/bar/%E3%83%84", True),
    (FOO + "disallow: /\nallow: /foo/bar/ツ".encode(), "foobot", "/foo/bar/ツ", True),
    (FOO + b"disallow: /\nallow: /foo/bar/%E3%83%84", "foobot", "/foo/bar/%e3%83%84", True),
    (FOO + b"disallow: /\nallow: /foo/bar/%62%61%7A", "foobot", "/foo/bar/baz", True),
    (FOO + b"disallow: /\nallow: /foo/bar/%62%61%7A", "foobot", "/foo/bar/%62%61%7A", True),
    (FOO + b"disallow: /a%2fb", "foobot", "/a/b", True), (FOO + b"disallow: /a%2Fb", "foobot", "/a%2fb", False),
    (FOO + b"disallow: /file-with-a-%2A.html", "foobot", "/file-with-a-*.html", False),
    (FOO + b"disallow: /foo-%24$", "foobot", "/foo-$", False),
    # lines: any end, blanks, comments, no colon, misspelt keys, a BOM and what is left of one
    (b"User-Agent: foobot\rDisallow: /x", "foobot", "/x", False), (b"User-Agent: foobot\r\nDisallow: /x\r\n", "foobot", "/x", False),
    (b" \t user-agent :\tfoobot \n  disallow : /x # not this\n", "foobot", "/x", False), (b"user-agent foobot\ndisallow /\n", "foobot", "/", False),
    (FOO + b"disalow: /a\ndissallow: /b\ndissalow: /c\ndiasllow: /d\ndisallaw: /e", "foobot", "/e", False),
    (b"useragent: foobot\ndisallow: /", "foobot", "/", False), (b"user agent: foobot\ndisallow: /", "foobot", "/", False),
    (b"foo: foobot\nbar: /", "foobot", "/", True), (FOO + b"<html>\ndisallow: /", "foobot", "/", False),
    (b"\xef\xbb\xbfUser-Agent: foobot\nDisallow: /", "foobot", "/", False), (b"\xef\xbbUser-Agent: foobot\nDisallow: /", "foobot", "/", False),
    (b"\xefUser-Agent: foobot\nDisallow: /", "foobot", "/", False), (b"User-Agent: foobot\n\xef\xbb\xbfDisallow: /", "foobot", "/", True),
    # the file itself may always be read
    (b"user-agent: *\ndisallow: /", "foobot", "/robots.txt", True),
]  # fmt: skip


@pytest.mark.parametrize(("robots", "agent", "path", "allowed"), CASES)
def test_robots_txt_allows_as_rfc_9309_says(robots, agent, path, allowed):
    parsed = parse_robots(robots)
    assert parsed.allows(agent, SITE + path) is allowed
    assert parse_robots(parsed.short()).allows(agent, SITE + path) is allowed  # what the index holds says the same


def test_500_kib_are_read_and_no_half_line():
    head = FOO + b"Disallow: /a\n"
    filler = b"# comment\n" * ((MOST_BYTES - len(head) - 12) // 10)
    whole = head + filler + b"Allow: /a\n"
    assert len(whole) <= MOST_BYTES
    assert parse_robots(whole).allows("foobot", SITE + "/a")
    cut = head + filler + b"# comment\n" * 9 + b"Allow: /a\n"
    assert len(cut) > MOST_BYTES
    assert not parse_robots(cut).allows("foobot", SITE + "/a")
    half = head + b"#" * (MOST_BYTES - len(head) - len(b"\nDisallow: /")) + b"\nDisallow: /b/secret"
    assert parse_robots(half).allows("foobot", SITE + "/c")


def test_many_asterisks_take_linear_time():
    robots = parse_robots(FOO + b"disallow: /" + b"a*" * 8000 + b"b$\ndisallow: /" + b"*" * 16000 + b"x\n")
    assert robots.allows("foobot", SITE + "/" + "a" * 100_000)
    assert len(pattern_of("/" + "*" * 1000 + "x").pieces) == 2


AI = frozenset(("gptbot", "ccbot", "ai2bot", "kangaroo bot"))


def out(text: str, path="/a", agents=AI) -> list[str]:
    return kept_out(parse_robots(text.encode()), agents, path_of(SITE + path))


def test_agents_are_kept_out_by_their_own_groups_or_by_that_of_all():
    assert out("User-agent: GPTBot\nDisallow: /") == ["gptbot"]
    assert out("User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /a/") == []
    assert out("User-agent: GPTBot\nUser-agent: CCBot\nDisallow: /a/", "/a/b") == ["ccbot", "gptbot"]
    assert out("User-agent: Googlebot\nDisallow: /") == []
    assert out("User-agent: *\nDisallow: /") == ["*"]
    assert out("User-agent: *\nDisallow: /\n" + "".join(f"User-agent: {name}\n" for name in AI) + "Allow: /") == []
    assert out("User-agent: AI2Bot\nDisallow: /\nUser-agent: AI\nDisallow: /") == ["ai2bot"]
    assert out("User-agent: Kangaroo Bot\nDisallow: /") == ["kangaroo bot"]
    assert out("User-agent: GPTBot/1.0 (+https://openai.com/gptbot)\nDisallow: /") == ["gptbot"]


# robots.txt, path, preferences (draft-ietf-aipref-attach, 4; contentsignals.org)
ATTACHED = "User-Agent: *\nAllow: /\nDisallow: /never/\nContent-Usage: train-ai=n\nContent-Usage: /ai-ok/ train-ai=y\n"
SIGNALS = [
    ("User-agent: *\nContent-Signal: search=yes, ai-train=no\nAllow: /", "/a", [("content-signal", "search=yes, ai-train=no")]),
    (ATTACHED, "/b", [("content-usage", "train-ai=n")]),
    (ATTACHED, "/ai-ok/b", [("content-usage", "train-ai=y")]),
    ("User-agent: GPTBot\nContent-Usage: train-ai=n", "/a", [("content-usage", "train-ai=n")]),
    ("User-agent: Googlebot\nContent-Usage: train-ai=n", "/a", []),
    ("Content-Signal: ai-train=no\nUser-agent: *\nAllow: /", "/a", [("content-signal", "ai-train=no")]),
    ("CONTENT-SIGNAL : ai-train=no", "/a", [("content-signal", "ai-train=no")]),
    ("# Content-Signal: ai-train=no", "/a", []),
]  # fmt: skip


@pytest.mark.parametrize(("text", "path", "found"), SIGNALS)
def test_preferences_of_the_longest_path(text, path, found):
    assert preferences(parse_robots(text.encode()), AI, path_of(SITE + path)) == found


def test_rsl_licences_hold_for_the_host_wherever_they_stand():
    text = b"License: https://a.example/1.xml\nUser-agent: GPTBot\nDisallow: /\nLICENSE: https://a.example/2.xml # x\n"
    assert parse_robots(text + b"License:\n").licences == ("https://a.example/1.xml", "https://a.example/2.xml")
    assert parse_robots(b"Sitemap: https://a.example/s.xml\nUser-agent: *\nAllow: /\n").says_nothing


def test_hosts_are_written_one_way():
    assert robots_host("https://User@WWW.Example.ORG.:8080/a") == "www.example.org"
    assert robots_host("https://bücher.example/") == robots_host("https://xn--bcher-kva.example/")
    assert robots_host("https://bücher.example/") == "xn--bcher-kva.example"
    assert robots_host("not a url") == robots_host("http://[::1/") == ""


KINDS_OF = [
    ("meta-robots:noai", "noai"), ("x-robots-tag:noml", "noml"), ("x-robots-tag:noimageai", "noimageai"),
    ("meta-robots:disallowaitraining", "disallow_ai_training"), ("tdm-reservation:header=1", "tdm_reservation"),
    ("tdm-policy:https://a.example/p.json", "tdm_policy"), ("content-usage:train-ai=n", "train_ai"),
    ("content-signal:ai-train=no", "train_ai"), ("content-usage:tdm=n", "tdm"), ("content-usage:genai=n", "ai"),
    ("content-usage:train-genai=n", "ai"), ("content-usage:bots=n", "bots"), ("content-signal:ai-input=no", "ai_input"),
    ("robots.txt-content-signal:ai-train=no", "train_ai"), ("robots.txt-content-usage:tdm=n", "tdm"),
    ("content-usage:ai-index=n", "ai_index"), ("robots.txt:gptbot", "robots"), ("robots.txt:*", "robots_any"),
    ("rsl:header=https://a.example/l.xml", "rsl"), ("rsl:robots.txt=https://a.example/l.xml", "rsl"), ("rsl:embedded", "rsl"),
    ("meta-agent:gptbot=none", "agent_none"), ("x-robots-tag-agent:gptbot=noindex", "agent_none"),
    ("meta-robots-agent:ccbot=none", "agent_none"), ("usage-info:https://a.example/terms", "usage_info"),
]  # fmt: skip


@pytest.mark.parametrize(("signal", "kind"), KINDS_OF)
def test_every_signal_has_its_kind(signal, kind):
    assert kind_of(signal) == kind
    assert reasons([signal]) == ([kind] if kind in COUNTED else [])
    assert reasons([signal], [kind]) == [kind]


def test_what_the_page_says_has_a_kind_each():
    assert {kind for _, kind in KINDS_OF} == set(KINDS)
    said = header_signals({
        "x-robots-tag": "noai, noimageai, noml, DisallowAITraining, gptbot: none", "tdm-reservation": "1",
        "tdm-policy": "/p.json", "content-signal": "search=yes,ai-train=no,ai-input=no",
        "content-usage": "train-ai=n, tdm=n, ai=n, genai=n, train-genai=n, bots=n, ai-index=n",
    })  # fmt: skip
    said += meta_signals("gptbot", "none") + meta_signals("robots", "noai") + meta_signals("tdm-reservation", "1")
    assert [signal for signal in said if kind_of(signal) is None] == []
    assert len(said) == 19


def test_the_list_of_agents_holds_the_crawlers_that_gather_text():
    gather = {"gptbot", "ccbot", "google-extended", "claudebot", "applebot-extended", "bytespider"}
    assert gather <= AGENTS
    assert not AGENTS & {"googlebot", "bingbot", "*", "chatgpt-user", "oai-searchbot", "perplexity-user", "claude-user"}


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=300), st.text(max_size=40))
def test_any_bytes_are_read(content, path):
    robots = parse_robots(content)
    url = SITE + "/" + path
    assert robots.allows("gptbot", url) in (True, False)
    assert parse_robots(robots.short()).short() == robots.short()
    assert kept_out(robots, AI, path_of(url)) == kept_out(parse_robots(robots.short()), AI, path_of(url))
