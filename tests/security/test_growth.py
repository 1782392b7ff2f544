"""Whatever takes bytes from outside does it in linear time: each hostile shape is made four times as large."""

import gzip
import json
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

import pytest

import growing
from gristmill.classifiers.license.names import expression, family, license_of_url
from gristmill.classifiers.license.sites import BUILT_IN, SiteTable, host_of, parse_rules
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.archive.grammar import ARC, WARC, grammar_of, header_at
from gristmill.stages.ingest.page.charset import decode
from gristmill.stages.ingest.page.codings import TooManyCodings, undone
from gristmill.stages.ingest.page.http import HeadTooLarge, response_of
from gristmill.stages.ingest.page.media_type import essence_of, media_type
from gristmill.stages.ingest.page.parse import PLAIN
from gristmill.stages.ingest.page.read import TooNested, read_page
from gristmill.stages.ingest.page.xhtml import as_html


def page(html: str, extractor: str = "resiliparse") -> None:
    with suppress(TooNested):
        read_page(html, html.encode(), {"link": ""}, extractor, 30.0)


def head(*lines: str) -> None:
    with suppress(HeadTooLarge, TooManyCodings):
        response_of(("HTTP/1.1 200 OK\r\n" + "\r\n".join(lines) + "\r\n\r\nbody").encode("latin-1"), 1 << 20)


def linked(value: str) -> None:
    read_page("<p>copyright", None, {"link": value}, "resiliparse", 30.0)


CHUNKED = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
SITES = SiteTable(parse_rules(BUILT_IN, "built in"))

SHAPES: dict[str, tuple[Callable[[int], object], int]] = {
    "sniffed comments": (lambda n: essence_of("application/octet-stream", b"<!---->" * n), 100),
    "sniffed XML declarations": (lambda n: essence_of("", b"<?xml>" * n + b"x"), 100),
    "spaces behind charset": (lambda n: media_type("charset=" + " " * n + ";"), 4000),
    "quotes of a media type": (lambda n: media_type('text/html;a="' * n), 4000),
    "options": (lambda n: page("<select>" + "<option>a" * n), 4000),
    "option groups": (lambda n: page("<select>" + "<optgroup>a" * n), 4000),
    "rel of one tag": (lambda n: page("<a licen " + "rel=" * n + ">x</a>"), 10_000),
    "attributes of metas": (lambda n: page("<meta rights " + "a" * n + ">" + "<meta rights aaaa>" * 50), 1000),
    "licence links": (lambda n: page("<p><a rel=license href=//x>y</a>" * n), 1000),
    "licence links in each other": (lambda n: page("<div><a rel=license href=x><object>" * 100 + "z" * n), 100_000),
    "shadow roots": (lambda n: page("<template" * n), 4000),
    "titles": (lambda n: page("<title" * n, PLAIN), 4000),
    "open comments": (lambda n: page("<!-" * n + "<!--" * n, PLAIN), 4000),
    "open scripts": (lambda n: page("<script " * n + "<style>" * n, PLAIN), 4000),
    "long character references": (lambda n: page("<p>&#" + "9" * n + ";", PLAIN), 4000),
    "open brackets": (lambda n: page("<" * n, PLAIN), 20_000),
    "XML names": (lambda n: as_html("<" + "a" * n + "<"), 4000),
    "XML doctypes": (lambda n: as_html("<!DOCTYPE[>" * n), 4000),
    "XML scripts of many prefixes": (lambda n: as_html("".join(f"<p{i}:script>" for i in range(n))), 2000),
    "XML attributes": (lambda n: as_html("<a " + 'b="c"' * n), 4000),
    "metas of a charset": (lambda n: decode(b"<meta " * n, None), 4000),
    "escapes of ISO-2022-JP": (lambda n: decode(b"\x1b$B" * n + b"\xff", "iso-2022-jp"), 4000),
    "Link header": (lambda n: linked("<" * n), 10_000),
    "parameters of a Link header": (lambda n: linked("<a>" + ";rel=" * n), 10_000),
    "header lines": (lambda n: head(*["link: a"] * n), 10_000),
    "folded header lines": (lambda n: head("link: a", *[" b"] * n), 10_000),
    "content codings": (lambda n: head("content-encoding: " + "gzip," * n), 4000),
    "chunks": (lambda n: response_of(CHUNKED + b"1\r\na\r\n" * n, 1 << 24), 10_000),
    "gzip members of a body": (lambda n: undone(gzip.compress(b"a") * n, "gzip", 1 << 24), 2000),
    "a broken gzip body": (lambda n: undone(gzip.compress(b"a" * 100 * n, 0)[:-8] + b"0" * 8, "gzip", 1 << 28), 2000),
    "WARC header lines": (lambda n: header_at(WARC, b"WARC/1.0\r\na: b\r\n" + b" c\r\n" * n + b"\r\n", 0), 20_000),
    "words of an ARC line": (lambda n: ARC.mark_at(b"http:" + b" 1 12345678" * n + b"\n", 0), 400),
    "digits of a broken ARC line": (lambda n: ARC.broken_at(b"aaa " + b"1" * n, 0), 4000),
    "schemes of ARC": (lambda n: ARC.mark_in(b"http:" * n, 0), 20_000),
    "head of an archive": (lambda n: grammar_of(b"http: 1 12345678 1 " * n), 400),
    "licence in parentheses": (lambda n: (expression("(" * n + "MIT" + ")" * n), family("(" * n)), 4000),
    "licences joined": (lambda n: (expression("MIT OR " * n + "MIT"), family("MIT OR " * n + "MIT")), 4000),
    "labels of a host": (lambda n: SITES.match("http://" + "a." * n + "gov/"), 4000),
    "characters of a URL": (lambda n: (host_of("http://" + "a" * n), license_of_url("http://" + "a/" * n)), 20_000),
}  # fmt: skip


def test_a_call_that_takes_the_square_of_its_input_is_no_linear_one():
    growing.linear(lambda n: sum(range(1000 * n)), 400)
    with pytest.raises(AssertionError):
        growing.linear(lambda n: sum(range(n * n)), 800)


@pytest.mark.parametrize("name", SHAPES)
def test_hostile_shape_four_times_as_large_takes_about_four_times_as_long(name: str):
    make, n = SHAPES[name]
    growing.linear(make, n)


def member(block: bytes, length: int | None = None) -> bytes:
    fields = f"WARC-Type: response\r\nWARC-Target-URI: http://a/\r\nContent-Length: {length or len(block)}\r\n"
    return gzip.compress(b"WARC/1.0\r\n" + fields.encode() + b"\r\n" + block + b"\r\n\r\n")


FILES: dict[str, tuple[Callable[[int], bytes], str, int]] = {
    "a length over members of one byte": (lambda n: member(b"a", 10**12) + gzip.compress(b"b") * n, "a.warc.gz", 1000),
    "a block over members of one byte": (lambda n: member(b"", 7_000_000) + gzip.compress(b"b") * n, "a.warc.gz", 1000),
    "marks without a header's end": (lambda n: b"WARC/1.0\r\n" * n, "a.warc", 4000),
    "broken members behind a long block": (
        lambda n: member(b"", 10**9) + gzip.compress(b"x" * 100_000) + gzip.compress(b"x") * n,
        "a.warc.gz",
        2000,
    ),
    "broken members": (lambda n: (gzip.compress(b"WARC/1.0\r\n")[:-4] + b"xxxx") * n, "a.warc.gz", 250),
    "broken lines": (lambda n: b"{\n" * n, "a.jsonl", 10_000),
    "a line of open lists": (lambda n: b'{"text": ' + b"[" * n, "a.jsonl", 100_000),
}


@pytest.mark.parametrize("name", FILES)
def test_hostile_file_four_times_as_large_takes_about_four_times_as_long(name: str, tmp_path: Path):
    make, file, n = FILES[name]

    def read(size: int) -> None:
        path = tmp_path / f"{size}-{file}"
        path.write_bytes(make(size))
        source = Ingest(paths=(str(path),))
        for part in source.parts():
            source.run(part)

    growing.linear(read, n)


def test_one_record_that_nobody_thought_of_costs_itself(tmp_path: Path):
    deep = "[" * 900 + "]" * 900
    lines = [json.dumps({"text": f"Text {i}."}) for i in range(3)]
    lines.insert(1, '{"text": "Deep.", "id": ' + deep + ', "license": "' + "(" * 400 + "MIT" + ")" * 400 + '"}')
    path = tmp_path / "a.jsonl"
    path.write_text("\n".join(lines), encoding="utf-8")
    source = Ingest(paths=(str(path),))
    (part,) = source.parts()
    documents, rejected = source.run(part)
    assert documents.height + rejected.height == 4
    assert {"Text 0.", "Text 1.", "Text 2."} <= set(documents["text"])
