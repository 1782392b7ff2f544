"""Pages: charset, text, evidence about licence and opt-out, and markup made to break a parser."""

import os
import signal
import zipfile

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

from gristmill.pipeline.kernels.page.needles import needles_of
from gristmill.pipeline.kernels.text.markup import COMMENT, META, SCRIPT, TAG, scan_markup
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.page.charset import decode
from gristmill.stages.ingest.page.evidence import NEEDLES, Evidence, harvest
from gristmill.stages.ingest.page.http import response_of
from gristmill.stages.ingest.page.parse import EXTRACTORS, parsed, titled, without_tail
from gristmill.stages.ingest.page.plain import plain_text
from gristmill.stages.ingest.page.read import TooNested, is_wild, read_page
from gristmill.stages.ingest.page.sandbox import Crashed, Guard, TimedOut
from places import SHARED, needs_shared

CC = "https://creativecommons.org/licenses/by/4.0/"
BODY = "<p>A long enough paragraph of the page, which ends like a sentence does.</p>"


def evidence(page: str, **headers: str) -> Evidence:
    raw = page.encode()
    names = {name.replace("_", "-"): value for name, value in headers.items()}
    return parsed(page, raw, names, "resiliparse").evidence


# charset


@pytest.mark.parametrize(
    ("body", "header", "expected"),
    [
        (b"\xef\xbb\xbf<p>\xc3\xa9", "windows-1251", ("<p>é", "utf-8", "bom")),
        ("<p>Привет, мир".encode("cp1251"), "windows-1251", ("<p>Привет, мир", "windows-1251", "http")),
        ("<p>é".encode("latin-1"), "ISO-8859-1", ("<p>é", "windows-1252", "http")),
        ("<meta charset=gb2312><p>你好".encode("gbk"), None, ("<meta charset=gb2312><p>你好", "gbk", "meta")),
        ("<p>plain and é".encode(), None, ("<p>plain and é", "utf-8", "detector")),
        ("<p>plain and é".encode(), "cp037", ("<p>plain and é", "utf-8", "detector")),
        ("<p>naïve café".encode("cp1252"), None, ("<p>naïve café", "windows-1252", "detector")),
        ("<p>日本語の文章です".encode("iso2022_jp"), None, ("<p>日本語の文章です", "iso-2022-jp", "detector")),
        ("\ufeffé".encode("utf-16-le"), "utf-8", ("é", "utf-16le", "bom")),
        (b"", None, ("", "utf-8", "detector")),
    ],
)
def test_charset_is_decided_in_the_whatwg_order(body, header, expected):
    decoded = decode(body, header)
    assert (decoded.text, decoded.charset, decoded.source) == expected


def test_charset_header_that_cannot_decode_loses():
    body = ("<p>" + "многая лета " * 20).encode()
    assert decode(body, "shift_jis").charset == "utf-8"


def test_charset_meta_inside_a_comment_does_not_count():
    assert decode(b"<!-- <meta charset=koi8-r> --><p>x", None).source == "detector"


@given(st.binary(max_size=300), st.sampled_from([None, "utf-8", "big5", "iso-2022-jp", "nonsense", "utf-7", "ü"]))
def test_charset_of_any_bytes_gives_text(body, header):
    decoded = decode(body, header)
    decoded.text.encode("utf-8")
    assert decoded.source in {"http", "bom", "meta", "detector"}


# text


def test_text_has_the_title_once():
    page = f"<title>About cats - Site</title><main><h1>About cats</h1>{BODY}</main>"
    assert EXTRACTORS["resiliparse"](_tree(page), page).count("About cats") == 1
    assert titled("Body.", "About cats | Site") == "About cats\n\nBody."


def test_text_has_paragraphs_and_no_navigation():
    page = f"<title>Cats at home</title><nav><a href=/>Home</a></nav><main>{BODY}{BODY}</main><footer>© 2020</footer>"
    text = EXTRACTORS["resiliparse"](_tree(page), page)
    assert text.split("\n\n")[1:] == [BODY[3:-4], BODY[3:-4]]


@pytest.mark.parametrize("opened", ["<nav>", "<header><nav><ul><li>", '<div class="menu"><nav>', "<aside><form>"])
def test_article_inside_an_element_that_is_never_closed_is_read(opened):
    page = f"<title>Cats</title><body>{opened}<a href=/>Home</a>{BODY * 4}</body>"
    assert BODY[3:-4] in EXTRACTORS["resiliparse"](_tree(page), page)


def test_short_lines_behind_the_last_sentence_are_dropped():
    assert without_tail("A sentence.\n\nShare this\n\nTags\n") == "A sentence."
    assert without_tail("short\nlines\nonly") == "short\nlines\nonly"
    assert without_tail("一句话。\n\n分享") == "一句话。"
    assert without_tail("") == ""


def _tree(page: str) -> HTMLTree:
    return HTMLTree.parse(page)


# evidence


def test_licence_links_have_kind_place_and_text():
    page = f"""<html><head><link rel=license href="{CC}"></head><body><header><a rel="License" href="/l">L</a></header>
    <main>{BODY}<a href="{CC}">CC BY</a></main><div class="site-footer"><a href="{CC}"><img alt="badge"></a></div>"""
    assert evidence(page).links == [
        (CC, "rel", "head", ""), ("/l", "rel", "header", "L"), (CC, "cc", "main", "CC BY"),
        (CC, "cc", "footer", "badge"),
    ]  # fmt: skip


def test_licence_metadata_is_found_in_meta_jsonld_rdf_and_header():
    page = f"""<html><head><meta name="DC.Rights" content="All rights reserved"><meta content="{CC}" name=license>
    <script type="application/ld+json">{{"@graph":[{{"license":"{CC}"}},{{"license":{{"@id":"/x","name":"X"}}}}]}}
    </script>
    </head><body>{BODY}<!-- <rdf:RDF><license rdf:resource="{CC}" /></rdf:RDF> --></body>"""
    found = evidence(page, link=f'<{CC}>; rel="license"; type="text/html", </a.css>; rel=preload')
    assert found.links == [
        (CC, "header", "http", ""), ("", "meta", "head", "All rights reserved"), (CC, "meta", "head", CC),
        (CC, "jsonld", "head", ""), ("/x", "jsonld", "head", "X"), (CC, "rdf", "comment", ""),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("script", "links"),
    [
        ("<![CDATA[%s]]>", 1),
        ("/*<![CDATA[*/ %s /*]]>*/", 1),
        ("//<![CDATA[\n%s\n//]]>", 1),
        ("<!--\n%s\n-->;", 1),
        ('[%s, {"@type": "Person", "name": "N",},]', 1),  # commas too many
        ('<![CDATA[{"@type": "Article", "isBasedOn": {"@type": "CreativeWork", "license": "CC"}}]]>', 0),
        ('{"@type": "Photograph", "license": "CC", "name": "x" "y"}', 0),  # no JSON
        ('{"@type": "Article", "license": "CC", "name": "x" "y"}', 1),
    ],
)
def test_jsonld_is_read_as_it_is_written_on_pages(script, links):
    script = script.replace("%s", '{"@type": "Article", "license": {"@id": "CC"}}').replace('"CC"', f'"{CC}"')
    found = evidence(f'<head><script type="application/ld+json">{script}</script></head><body>{BODY}').links
    assert found == [(CC, "jsonld", "head", "")] * links


def test_link_header_with_an_anchor_speaks_of_another_resource():
    assert evidence(BODY, link=f'<{CC}>; rel=license; anchor="/a.jpg"').links == []
    assert evidence(BODY, link=f'<{CC}>; rel=license; anchor="/a.jpg", <{CC}>; rel=license').links != []


@pytest.mark.parametrize(
    "line",
    [
        "本著作係採用創用 CC 姓名標示-非商業性 4.0 國際",
        "المشاع الإبداعي نَسب المُصنَّف - منع الاشتقاق 4.0 دولي",
        "知识共享 署名-禁止演绎 4.0",
    ],
)
def test_name_of_creative_commons_in_another_script_is_a_claim(line):
    assert evidence(f"<body>{BODY}<p>{line}</p></body>").rights_text == line


def test_spdx_id_in_meta_is_declared():
    assert evidence(f'<head><meta name="spdx-license" content="CC-BY-4.0"></head>{BODY}').declared == "CC-BY-4.0"
    assert evidence(f'<head><meta name="license" content="our terms"></head>{BODY}').declared is None


def test_page_without_licence_words_has_no_evidence():
    assert evidence(f"<html><head><title>x</title></head><body>{BODY}</body></html>") == Evidence()


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("<p>&copy; 2020 <b>Someone</b> &amp; Co.", "© 2020 Someone & Co."),
        ("<div>© 2020 Jemand. Alle Rechte vorbehalten.</div>", "© 2020 Jemand. Alle Rechte vorbehalten."),
        ("<div>Все материалы защищены авторским правом</div>", "Все материалы защищены авторским правом"),
        ("<li>版权所有 2020</li>", "版权所有 2020"),
        ("<span>Text under the Creative Commons licence</span>", "Text under the Creative Commons licence"),
    ],
)
def test_rights_lines_are_cut_at_block_tags(line, expected):
    assert evidence(f"<html><body>{BODY}{line}<p>Other text here</body></html>").rights_text == expected


def test_rights_lines_in_scripts_and_attributes_do_not_count():
    page = f"<script>/* copyright x */</script><style>/* copyright */</style><p class=copyright>{BODY}"
    assert evidence(page).rights_text is None


def test_rights_text_keeps_claims_before_mentions():
    lines = "".join(f"<p>Paragraph {i} mentions some licensed thing at great length {'x' * 80}" for i in range(30))
    text = evidence(f"<html><body>{lines}<footer>© 2020 A</footer></body></html>").rights_text
    assert text is not None
    assert text.endswith("© 2020 A")
    assert len(text) <= 1000


def test_opt_outs_are_read_from_headers_and_meta():
    page = f"""<head><meta name=robots content="noindex, noai"><meta name="tdm-reservation" content="1">
    <meta name="tdm-policy" content="https://a/p.json"></head>{BODY}"""
    found = evidence(page, x_robots_tag="noimageai", tdm_reservation="1")
    assert found.opt_outs == [
        "meta-robots:noai", "tdm-policy:https://a/p.json", "tdm-reservation:header=1", "tdm-reservation:meta=1",
        "x-robots-tag:noimageai",
    ]  # fmt: skip
    assert evidence(f"<head><meta name=robots content='noindex,noarchive'></head>{BODY}").opt_outs == []


@pytest.mark.parametrize(
    "meta",
    [
        'name="robots" content="no&#97;i"', 'content="no&#x61;i, nofollow" name=robots',
        'name="rob&#111;ts" content=noai',
        'name="ROBOTS" content="&#110;&#111;&#97;&#105;"', 'name="robots" content="index&#44;noai"',
    ],
)  # fmt: skip
def test_opt_out_in_character_references_is_one(meta):
    assert evidence(f"<head><meta {meta}></head>{BODY}").opt_outs == ["meta-robots:noai"]


@pytest.mark.parametrize("name", ["tdm&#45;reservation", "&#x74;dm-reservation"])
def test_name_of_a_meta_in_character_references_is_read(name):
    assert evidence(f'<head><meta name="{name}" content="1"></head>{BODY}').opt_outs == ["tdm-reservation:meta=1"]


RSL = '<rsl xmlns="https://rslstandard.org/rsl"><content url="/"><license>{}</license></content></rsl>'


@pytest.mark.parametrize(
    ("terms", "signal"),
    [
        ('<prohibits type="usage">ai-train</prohibits>', "rsl:embedded"),
        ("<prohibits type='usage'>search ai-all</prohibits>", "rsl:embedded"),
        ('<permits type="usage">search</permits>', "rsl:embedded"),
        ('<permits type="usage">ai-train</permits><payment type="purchase"/>', "rsl:embedded"),
        ('<permits type="usage">all</permits><permits type="user">education</permits>', "rsl:embedded"),
        ('<permits type="usage">all</permits><prohibits type="usage">ai-train</prohibits>', "rsl:embedded"),
        ('<permits type="usage">ai-train</permits><payment type="free"/>', "rsl-permits:embedded"),
        ('<permits type="usage">search, ai-all</permits>', "rsl-permits:embedded"),
        ('<prohibits type="usage">ai-input</prohibits>', "rsl-permits:embedded"),
        ('<permits type="usage">search</permits></license><license><permits type="usage">all</permits>',
         "rsl-permits:embedded"),
    ],
)  # fmt: skip
def test_rsl_terms_in_the_page_reserve_what_they_do_not_give(terms, signal):
    for tag in ('<script type="application/rsl+xml">', "<SCRIPT id=a TYPE=application/rsl+xml>"):
        assert evidence(f"<head>{tag}{RSL.format(terms)}</script></head>{BODY}").opt_outs == [signal]
    assert evidence(f"<head><script type='application/rsl+xml'></script></head>{BODY}").opt_outs == ["rsl:embedded"]
    assert evidence(f"<head><!--<script type='application/rsl+xml'></script>--></head>{BODY}").opt_outs == []


@pytest.mark.parametrize(
    "element",
    [
        f'<span rel="license" href="{CC}">terms</span>', f"<div rel=dcterms:license resource='{CC}'>terms</div>",
        f'<span property="dct:license" content="{CC}">terms</span>', f'<span property="dc:license">{CC}</span>',
        f'<p rel="http://creativecommons.org/ns#license" resource="{CC}">terms</p>', f'<b itemprop="license">{CC}</b>',
        f'<span class="x" PROPERTY = "schema:license" resource="{CC}">terms</span>',
        f'<section property="license" resource="{CC}"><h2>terms</h2></section>',
    ],
)  # fmt: skip
def test_licence_in_rdfa_on_any_element_is_a_link(element):
    links = evidence(f"<html><body>{BODY}<footer>{element}</footer></body></html>").links
    assert [(href, kind, place) for href, kind, place, _ in links] == [(CC, "rel", "footer")]


def test_licence_in_rdfa_may_be_words():
    links = evidence(f"<html><body>{BODY}<footer><p property=license>CC BY-NC 4.0</p></footer></body></html>").links
    assert links == [("", "rel", "footer", "CC BY-NC 4.0")]


def test_licence_in_rdfa_of_another_resource_is_none():
    figure = f'<figure about="a.png"><span rel="license" resource="{CC}">x</span></figure>'
    assert evidence(f"<html><body>{BODY}{figure}</body></html>").links == []


# the scanner, against a plain twin


def twin(page: bytes, words: list[bytes]) -> set[tuple[int, int]]:
    lower = page.lower()
    return {(at, i) for i, word in enumerate(words) for at in range(len(page)) if lower.startswith(word, at)}


@settings(max_examples=300)
@given(
    st.lists(st.sampled_from([b"copyright", b"COPYright", b"licen", b"lice", b" ", b"x", b"\xc2\xa9", b"cop", b"\xff"]))
)
def test_scanner_finds_words_in_text_as_its_twin_does(pieces):
    words = [b"ld+json", b"copyright", b"licen"]
    page = b"".join(pieces)
    needles = needles_of(words)
    hits = scan_markup(page, needles).words.tolist()
    assert {(at, word) for at, word in hits if word != needles.sign} == twin(page, words)
    assert [at for at, word in hits if word == needles.sign] == [
        i for i in range(len(page)) if page[i : i + 2] == b"\xc2\xa9"
    ]


def test_scanner_names_the_region_of_a_hit():
    page = b"""copyright<a title="copyright">x</a><meta name=copyright><!-- copyright --><script>copyright</script>
    <script type=application/ld+json>copyright</script><style>copyright</style><p class=copyright>"""
    scan = scan_markup(page, needles_of([b"ld+json", b"copyright"]))
    assert scan.words.tolist() == [[0, 1]]
    spans = [(page[start:stop], region) for start, stop, region, word in scan.spans if word == 1]
    assert spans == [
        (b'a title="copyright"', TAG), (b"meta name=copyright", META), (b"<!-- copyright --", COMMENT),
        (b"copyright", SCRIPT),
    ]  # fmt: skip


@pytest.mark.parametrize("n", [0, 1, 511, 512, 513, 1023, 1024, 1025, 1500, 5000])
def test_scanner_keeps_words_of_both_ends_and_every_tag(n):
    page = b"copyright<a title=copyright>" * n
    scan = scan_markup(page, needles_of([b"ld+json", b"copyright"]))
    places = [28 * i for i in range(n)]
    assert [at for at, _ in scan.words] == (places if n <= 1024 else places[:512] + places[-512:])
    assert [start for start, *_ in scan.spans] == [at + 10 for at in places]


@pytest.mark.parametrize("end", [b"-->", b"--!>"])
def test_scanner_ends_comments_as_the_whatwg_does(end):
    page = b"<!-- copyright " + end + b"copyright"
    assert scan_markup(page, needles_of([b"ld+json", b"copyright"])).words.tolist() == [[len(page) - 9, 1]]


@pytest.mark.parametrize(
    ("page", "field", "value"),
    [
        (b"<div>" * 500, "depth", 500),
        (b"<div></div>" * 500, "depth", 1),
        (b"<div></x>" * 500, "depth", 500),
        (b"<p>a<br><li>" * 500, "depth", 0),
        (b"<p a=1 b='2 > 3' c>", "attributes", 3),
        (b"<p " + b"a " * 500, "attributes", 500),
        (b"</p " + b"a " * 500, "attributes", 500),
        (b"<b>x<p>" * 100, "formatting", 100 * 100),
        (b"<b>x</b><p>" * 100, "formatting", 0),
        (b"<!-- " + b"<div>" * 50 + b" -->", "depth", 0),
        (b"<script>" + b"<div>" * 50 + b"</script>", "depth", 0),
    ],
)
def test_scanner_measures_what_parsers_suffer_from(page, field, value):
    assert getattr(scan_markup(page, NEEDLES), field) == value


@given(st.binary(max_size=400) | st.text("<>/!-=\"' abpdivscript", max_size=400).map(str.encode))
def test_scanner_reads_any_bytes(page):
    scan = scan_markup(page, NEEDLES)
    assert np.all((scan.words[:, 0] >= 0) & (scan.words[:, 0] < max(len(page), 1)))
    assert np.all((scan.spans[:, 0] >= 0) & (scan.spans[:, 0] <= scan.spans[:, 1]) & (scan.spans[:, 1] <= len(page)))
    harvest(page, scan, None, {})


# hostile markup


@pytest.mark.parametrize(
    "page",
    [
        "<div>" * 100_000 + "the text",
        "<p " + " ".join(f"a{i}=1" for i in range(100_000)) + ">the text",
        "".join(f"<p><font a={i}>" for i in range(3000)) + "the text",
        "<article><p>" * 100_000 + "the text",
        "".join(f"<body a{i}=1>" for i in range(100_000)) + "the text",
        "<a><b><i><u>" * 20_000 + "</a></b></i></u>" * 20_000 + "the text",
    ],
)
def test_page_nested_too_deep_is_not_parsed_and_has_text_between_its_tags(page):
    with pytest.raises(TooNested):
        read_page(page, None, {}, "resiliparse", 10.0)
    assert read_page(page, None, {}, "plain", 10.0).text == "the text"


DEEP = "<title>Deep</title>" + "<div>" * 2000 + "<p>The text of the page.</p>"
WILD = "<title>Wild</title>" + "<div>" * 20_000 + "<p>The text of the page.</p>"


@pytest.mark.parametrize(
    ("page", "fields", "fate"),
    [
        (WILD, {}, "The text of the page."),
        (WILD, {"fallback": "reject"}, "too_nested"),
        (WILD, {"fallback": "trafilatura"}, "too_nested"),
        (DEEP, {}, "The text of the page."),
        (DEEP, {"page_s": 1e-9}, "The text of the page."),
        (DEEP, {"page_s": 1e-9, "fallback": "reject"}, "timed_out"),
        (BODY, {"page_s": 1e-9, "extractor": "trafilatura", "fallback": "resiliparse"}, BODY[3:-4]),
        (BODY, {"page_s": 1e-9, "extractor": "trafilatura", "fallback": "reject"}, "timed_out"),
    ],
    ids=lambda value: str(value)[:30],
)
def test_page_that_cannot_be_read_goes_to_the_fallback_the_next_is_read_as_ever(tmp_path, page, fields, fate):
    if "trafilatura" in fields.values():
        pytest.importorskip("trafilatura")
    head = "WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a/\r\nContent-Length: {}\r\n\r\n{}\r\n\r\n"
    http = "HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n"
    path = tmp_path / "a.warc"
    path.write_text("".join(head.format(len(http + p), http + p) for p in (page, "<p>Last page.")), newline="")
    stage = Ingest(paths=(str(path),), **fields)
    documents, rejected = stage.run(stage.parts()[0])
    fates = [*rejected["rule"], *(text.split("\n")[-1] for text in documents["text"])]
    assert fates[0] == fate
    if fields.get("extractor") != "trafilatura":
        assert fates[-1] == "Last page."


def test_deep_but_tame_page_is_parsed_beside_the_worker():
    page = "<div>" * 2000 + "<p>The text of the page.</p>" + "</div>" * 2000
    assert not is_wild(scan_markup(page.encode(), NEEDLES))
    assert read_page(page, None, {}, "resiliparse", 60.0).text == "The text of the page."


def test_page_over_its_time_is_rejected_and_the_next_one_read():
    guard = Guard()
    page = ("<div>" * 2900 + "<p>x</p>").encode()
    guard.read((BODY.encode(), {}, "resiliparse", "plain"), 60.0)
    with pytest.raises(TimedOut):
        guard.read((page, {}, "resiliparse", "plain"), 0.0)
    assert guard.read((BODY.encode(), {}, "resiliparse", "plain"), 60.0).text == BODY[3:-4]
    guard.stop()


def test_page_that_kills_the_parser_is_rejected_and_the_next_one_read():
    guard = Guard()
    guard.read((BODY.encode(), {}, "resiliparse", "plain"), 60.0)
    os.kill(guard.process.pid, signal.SIGKILL)
    guard.process.wait()
    guard.process.poll = lambda: None  # it dies while it is at work
    with pytest.raises(Crashed):
        guard.read((BODY.encode(), {}, "resiliparse", "plain"), 60.0)
    assert guard.read((BODY.encode(), {}, "resiliparse", "plain"), 60.0).text == BODY[3:-4]
    guard.stop()


def test_plain_text_of_any_markup_is_linear():
    assert plain_text("<p>a<script>b</script><!-- c --><br>d &amp; e") == "a\nd & e"
    for page in ("<script>" * 100_000, "<!--" * 100_000, "<" * 1_000_000, "&" * 1_000_000, "<p " * 300_000):
        plain_text(page)


@given(st.binary(max_size=300))
def test_response_of_any_bytes_is_read(block):
    for head in (b"", b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nContent-Encoding: gzip, br, zstd\r\n\r\n"):
        assert response_of(head + block, 1 << 20).body is not None


# The first sentences of the Universal Declaration of Human Rights, in scripts with a legacy charset of their own.
DECLARED = {
    "cp1252": "Tous les êtres humains naissent libres et égaux en dignité et en droits. Ils sont doués de raison et de "
    "conscience et doivent agir les uns envers les autres dans un esprit de fraternité.",
    "cp1253": "Όλοι οι άνθρωποι γεννιούνται ελεύθεροι και ίσοι στην αξιοπρέπεια και τα δικαιώματα. Είναι προικισμένοι "
    "με λογική και συνείδηση, και οφείλουν να συμπεριφέρονται μεταξύ τους με πνεύμα αδελφοσύνης.",
    "cp1255": "כל בני האדם נולדו בני חורין ושווים בערכם ובזכויותיהם. כולם חוננו בתבונה ובמצפון, לפיכך חובה עליהם "
    "לנהוג איש ברעהו ברוח של אחווה.",
    "cp1256": "يولد جميع الناس أحرارا متساوين في الكرامة والحقوق، وقد وهبوا عقلا وضميرا وعليهم أن يعامل بعضهم بعضا "
    "بروح الإخاء.",
    "cp1251": "Все люди рождаются свободными и равными в своем достоинстве и правах. Они наделены разумом и совестью и "
    "должны поступать в отношении друг друга в духе братства.",
    "euc_jp": "すべての人間は、生まれながらにして自由であり、かつ、尊厳と権利とについて平等である。",
    "euc_kr": "모든 인간은 태어날 때부터 자유로우며 그 존엄과 권리에 있어 동등하다.",
    "iso2022_jp": "人間は、理性と良心とを授けられており、互いに同胞の精神をもって行動しなければならない。",
}


@pytest.mark.parametrize("charset", DECLARED)
def test_charset_without_a_label_is_detected(charset):
    text = DECLARED[charset]
    assert decode(text.encode(charset), None).text == text


@needs_shared
def test_charset_of_the_declaration_of_human_rights_is_detected():
    labels = {
        "Latin1": "cp1252",
        "Arabic": "cp1256",
        "Hebrew": "cp1255",
        "Greek": "cp1253",
        "EUC": "euc_jp",
        "JIS": "iso2022_jp",
    }
    archive = zipfile.ZipFile(SHARED / "domains/multilingual/udhr_legacy_charsets.zip")
    files = [(n, labels[n.rsplit("-", 1)[-1]]) for n in archive.namelist() if n.rsplit("-", 1)[-1] in labels]
    right = [decode(archive.read(n), None).text == archive.read(n).decode(label, "replace") for n, label in files]
    assert sum(right) / len(right) > 0.96
