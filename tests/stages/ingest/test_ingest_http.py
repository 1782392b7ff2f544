"""Heads, codings and media types of responses, as RFC 9110, RFC 9112 and the WHATWG's MIME standards have them."""

import gzip
import struct
import zlib

import pytest
import zstandard
from fastwarc.stream_io import BrotliWriter
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.stages.ingest.archive.reader import Record
from gristmill.stages.ingest.documents import Limits, Rejected, document_of
from gristmill.stages.ingest.page.codings import BodyTooLarge, undone, unpacked
from gristmill.stages.ingest.page.http import HEAD_BYTES, HeadTooLarge, response_of
from gristmill.stages.ingest.page.media_type import essence_of, media_type

LIMITS = Limits(1 << 20, ("text/html", "application/xhtml+xml"), "resiliparse", "plain", 30.0)
SENTENCE = "The ferry to the outer island leaves at seven in the morning."
PAGE = f"<!doctype html><title>Ferry</title><main><p>{SENTENCE}</p></main>".encode()


def fate(block: bytes, limits: Limits = LIMITS) -> str:
    """The text of a response's document, or the rule that rejects it."""
    fields = {b"warc-type": b"response", b"warc-target-uri": b"http://a.example/"}
    try:
        return document_of(Record(0, 0, fields, block, len(block)), limits).text.split("\n")[-1]
    except Rejected as rejected:
        return rejected.rule


def response(*headers: str, body: bytes = PAGE, status: str = "HTTP/1.1 200 OK") -> bytes:
    return "\r\n".join([status, *headers, "", ""]).encode("latin-1") + body


# heads

HTML = "Content-Type: text/html"


@pytest.mark.parametrize(
    "block",
    [
        response(HTML, status="http/1.1 200 ok"),
        response(HTML, status="HTTP/2 200"),
        response(HTML, status="\r\nHTTP/1.0 200 OK"),
        response(status="HTTP/1.1 100 Continue", body=response(HTML)),
        response(status="HTTP/1.1 103 Early Hints", body=response(status="HTTP/1.1 100 Continue", body=response(HTML))),
        response("Link: </a.css>; rel=preload", status="HTTP/1.1 103 Early Hints", body=response(HTML)),
        response("Proxy-Agent: x", status="HTTP/1.0 200 Connection established", body=response(HTML)),
        response("X: " + "y" * 70_000, HTML),
        response(*(f"Set-Cookie: c{i}=" + "z" * 90 for i in range(3000)), HTML),
        response("X: y", "content-type  : text/html"),
        response("Content-Type:", "\ttext/html;", " charset=utf-8"),
        response(HTML).replace(b"\r\n", b"\n"),
        *(
            response(HTML, status=status)
            for status in (
                "h2 200",
                "H3 200 OK",
                "HTTP/3 200",
                "ICY 200 OK",
                "HTTPS/1.1 200 OK",
                "SPDY/3 200 OK",
                "HTTP/1,1 200 OK",
                "HTTP/1.1: 200 OK",
                "HTTP /1.1 200 OK",
                "  HTTP/1.1 200 OK",
                ":status: 200",
                ":status:200",
            )
        ),
        response(status="HTTP/2 103", body=response(HTML, status="h2 200")),
        PAGE,  # HTTP/0.9: no head
        b"\n\n<!-- a --><!DOCTYPE html>" + PAGE,
    ],
)
def test_head_is_read_however_it_was_written(block):
    assert fate(block) == SENTENCE


@pytest.mark.parametrize(
    ("block", "rule"),
    [
        (response(HTML, status="HTTP/1.1 404 Not Found"), "bad_status"),
        (response(status="HTTP/1.1 100 Continue", body=response(HTML, status="HTTP/1.1 404 x")), "bad_status"),
        (response(status="HTTP/1.1 100 Continue", body=b""), "bad_status"),
        (response(HTML, status="HTTP/1.1 2000 OK"), "bad_status"),
        (response(HTML, status="h2 404"), "bad_status"),
        (b"Plain words, which begin no page. " + PAGE, "bad_status"),
        (response(HTML, "X: " + "y" * HEAD_BYTES), "head_too_large"),
    ],
)
def test_head_that_is_no_good_is_rejected_by_its_rule(block, rule):
    assert fate(block) == rule


def test_page_that_shows_a_response_stays_whole():
    shown = b"HTTP/1.1 200 OK\r\n\r\n"
    assert response_of(response(HTML, body=shown + PAGE), 1 << 20).body == shown + PAGE


def test_folded_and_repeated_headers_are_joined():
    block = response("X-Robots-Tag: noindex,", "  noai", "TDM-Reservation: 1", "tdm-reservation: 1")
    assert response_of(block, 1 << 20).headers == {"x-robots-tag": "noindex, noai", "tdm-reservation": "1, 1"}


def test_head_whose_lines_end_in_cr_alone_is_read():
    block = b"HTTP/1.1 200 OK\rContent-Type: text/html\rX-Robots-Tag: noai\r\r" + PAGE + b"\n\nend"
    found = response_of(block, 1 << 20)
    assert found.headers == {"content-type": "text/html", "x-robots-tag": "noai"}
    assert found.body == PAGE + b"\n\nend"


@settings(max_examples=200)
@given(
    st.lists(
        st.sampled_from(
            [b"Link", b"LINK ", b"tdm-policy", b":", b":", b" a", b"\xe9", b"\xa0", b"\r", b"\n", b"\x0b", b"x"]
        ),
        max_size=30,
    )
)
def test_headers_are_read_alike_with_and_without_a_folded_line(pieces):
    lines = (b"HTTP/1.1 200 OK\n" + b"".join(pieces)).rstrip(b"\n").split(b"\n")
    head = b"\n".join(line for line in lines if line[:1] not in (b" ", b"\t"))
    plain = response_of(head + b"\n\n", 1 << 20).headers
    assert response_of(head + b"\nx-folded: y\n z\n\n", 1 << 20).headers == plain


def test_endless_head_has_an_error_of_its_own():
    with pytest.raises(HeadTooLarge):
        response_of(b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * HEAD_BYTES, 1 << 20)


# codings


def brotli(body: bytes, folder) -> bytes:
    with BrotliWriter(str(folder / "body.br")) as writer:
        writer.write(body)
    return (folder / "body.br").read_bytes()


def chunked(body: bytes) -> bytes:
    return b"".join(b"%x;a=b\r\n%s\r\n" % (len(c), c) for c in (body[:9], body[9:])) + b"0\r\nTrailer: x\r\n\r\n"


HALF = len(PAGE) // 2
MEMBERS = gzip.compress(PAGE[:HALF]) + gzip.compress(b"") + gzip.compress(PAGE[HALF:])
FRAMES = zstandard.compress(PAGE[:HALF]) + struct.pack("<II", 0x184D2A50, 3) + b"abc" + zstandard.compress(PAGE[HALF:])


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        (["Content-Encoding: gzip"], MEMBERS),
        (["Content-Encoding: gzip"], gzip.compress(b"") + gzip.compress(PAGE) + bytes(5)),
        (["Content-Encoding: x-gzip"], gzip.compress(PAGE) + b"behind the last member"),
        (["Content-Encoding: zstd"], FRAMES),
        (["Content-Encoding: deflate"], zlib.compress(PAGE)),
        (["Content-Encoding: deflate"], zlib.compress(PAGE)[2:-4]),
        (["Content-Encoding: gzip, gzip"], gzip.compress(MEMBERS)),
        (["Content-Encoding: gzip", "Content-Encoding: zstd"], zstandard.compress(gzip.compress(PAGE))),
        (["Transfer-Encoding: gzip, chunked"], chunked(MEMBERS)),
        (["Transfer-Encoding: gzip", "Transfer-Encoding: chunked"], chunked(MEMBERS)),
        (["Transfer-Encoding: gzip"], MEMBERS),
        (["Transfer-Encoding: deflate, chunked", "Content-Encoding: gzip"], chunked(zlib.compress(MEMBERS))),
        (["Transfer-Encoding: chunked", "Content-Encoding: gzip"], chunked(MEMBERS)),
        (["Transfer-Encoding: gzip, chunked"], PAGE),  # the crawler undid them and kept the headers
        (["Content-Encoding: br"], PAGE),
        (["Content-Encoding: zstd"], PAGE),
        (["Content-Encoding: identity"], PAGE),
        ([], MEMBERS),  # the crawler lost the header
        ([], FRAMES),
        (["Content-Encoding: gzip"], gzip.compress(gzip.compress(PAGE))),
    ],
)
def test_codings_are_undone_to_the_last_member(headers, body):
    assert fate(response(HTML, *headers, body=body)) == SENTENCE


def test_broken_codings_give_what_could_be_decoded_or_no_text(tmp_path):
    text = b"".join(b"<p>Sentence %d of the log.</p>" % i for i in range(4000))
    for name, packed in (
        ("gzip", gzip.compress(text)), ("zstd", zstandard.compress(text)), ("br", brotli(text, tmp_path)),
    ):  # fmt: skip
        out = undone(packed[: len(packed) * 2 // 3], name, 1 << 20)
        assert text.startswith(out) or out == packed[: len(packed) * 2 // 3]
        assert fate(response(HTML, f"Content-Encoding: {name}", body=packed[:40])) in ("undecodable", "not_html")


@pytest.mark.parametrize("pack", [gzip.compress, zstandard.compress])
def test_bodies_beyond_the_cap_are_too_large(pack):
    bomb = pack(bytes(300_000)) + pack(bytes(300_000))
    for call in (
        lambda: undone(bomb, "gzip" if pack is gzip.compress else "zstd", 500_000),
        lambda: unpacked(bomb, 500_000),
    ):
        with pytest.raises(BodyTooLarge):
            call()
    assert fate(response(HTML, body=pack(bytes(1 << 21)))) == "too_large"


# media types


@pytest.mark.parametrize(
    ("value", "essence", "charset"),
    [
        ("Text/HTML;Charset=UTF-8", "text/html", "UTF-8"),
        ("text/html ; charset = x", "text/html", "x"),
        ('text/html; charset="utf-8"', "text/html", "utf-8"),
        ("text/html; charset='utf-8'", "text/html", "utf-8"),
        ('text/html; a="x; charset=gbk"; charset=big5', "text/html", "big5"),
        ("text/html;;charset=gbk", "text/html", "gbk"),
        ("text/html; charset=gbk; charset=big5", "text/html", "gbk"),
        ("text/html, text/html", "text/html", None),
        ("text/html; charset=gbk, text/html", "text/html", "gbk"),
        ("text/html;charset=gbk, text/html; a=b", "text/html", "gbk"),
        ("text/plain, text/html; charset=gbk", "text/html", "gbk"),
        ("text/html; charset=gbk, x/x;charset=big5", "x/x", "big5"),
        ("text/html, */*", "text/html", None),
        ("text/html, cannot-parse", "text/html", None),
        ('"text/html; charset=utf-8"', "", "utf-8"),
        ("Content-Type: text/html; charset=gbk", "", "gbk"),
        ("text/html charset=gbk", "", "gbk"),
        ("text/ html", "", None),
        ("text", "", None),
        ("", "", None),
        (";charset=gbk", "", "gbk"),
    ],
)
def test_media_type_is_what_fetch_extracts(value, essence, charset):
    found = media_type(value)
    assert (found.essence, found.charset) == (essence, charset)


TAGS = [
    *("!DOCTYPE HTML", "html", "head", "script", "iframe", "h1", "div", "font", "table"),
    *("a", "style", "title", "b", "body", "br", "p", "meta"),
]


@pytest.mark.parametrize("tag", TAGS)
@pytest.mark.parametrize("before", ["", " \n\t", "\ufeff", "<!-- a > b -->\n", "<?xml version='1.0'?>\r\n"])
def test_body_without_a_type_that_begins_with_a_tag_is_html(tag, before):
    for end in (" x>", ">"):
        body = f"{before}<{tag}{end}<p>{SENTENCE}</p>".encode()
        assert essence_of("", body) == "text/html"
        assert essence_of("image/png", body) == "image/png"


@pytest.mark.parametrize(
    ("said", "body", "essence"),
    [
        ("", b"<!-- only a comment", "text/html"),
        ("", b"<pre>", "text/plain"),
        ("", b"<bold>", "text/plain"),
        ("", b"<?xml version='1.0'?><rss>", ""),
        ("", b"some text", "text/plain"),
        ("", b"some \x01 bytes", ""),
        ("", "<html>".encode("utf-16"), "text/html"),
        ("*/*", b"<p>", "text/html"),
        ("application/octet-stream", b"<p>", "application/octet-stream"),
        ("application/octet-stream", b"<html>", "text/html"),
        ("text/htm", b"<html>", "text/html"),
        ("text/plain", b"<html>", "text/plain"),
    ],
)
def test_sniffing(said, body, essence):
    assert essence_of(said, body) == essence


@pytest.mark.parametrize(
    "header",
    [
        "text/html, text/html", '"text/html; charset=utf-8"', "Content-Type: text/html", "text/html charset=utf-8",
        "text/html;", "TEXT/HTML", "*/*", ",text/html", "'text/html'",
    ],
)  # fmt: skip
def test_page_under_a_malformed_type_is_a_document(header):
    assert fate(response(f"Content-Type: {header}")) == SENTENCE
    assert fate(response("Content-Type: text/html", f"Content-Type: {header}")) == SENTENCE


# bytes that are no text


def noise(n: int) -> bytes:
    """Bytes as even as compressed data's."""
    return zlib.compress(struct.pack(f"<{n}d", *(1 / (i + 3) for i in range(n))), 9)[2:]


@pytest.mark.parametrize(
    "magic",
    [
        b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n<< /Type /Catalog >>\nendobj\n" + b"BT (Some text) Tj ET\n" * 300,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", b"GIF89a", b"\xff\xd8\xff\xe0\0\x10JFIF", b"RIFF\0\0\0\0WEBPVP8 ",
        b"OggS\0\x02",
        b"ID3\x03\0",
        b"\0\0\0\x18ftypmp42", b"\x1a\x45\xdf\xa3", b"PK\x03\x04\x14\0", b"Rar!\x1a\x07\0", b"wOF2\0\x01\0\0",
        b"\0\x01\0\0\0\x11",
        b"\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1", b"{\\rtf1\\ansi Some text that reads well enough.}", b"\x7fELF\x02",
        b"MZ\x90\0\x03\0",
        b"\x1f\x8b\x08broken", b"BZh91AY&SY", b"", b"\xff\xfe", b"\xfe\xff",
        b"<html><p>A page and then none. " * 9, b"abc ",
    ],
)  # fmt: skip
def test_bytes_that_are_no_text_are_no_document_under_text_html(magic):
    body = magic if magic[:5] in (b"%PDF-", b"{\\rtf") else magic + noise(3000)
    assert fate(response(HTML, body=body)) in ("not_html", "undecodable")


def test_stray_control_characters_do_not_cost_a_page():
    for stray in (b"\0", b"\x0b", b"\x1f\x1f", b"\x08"):
        assert (
            fate(response(HTML, body=PAGE.replace(b"leaves", b"leaves" + stray))).replace("\x0b", "") != "undecodable"
        )


def test_pages_in_utf16_are_no_binary():
    for name in ("utf-16", "utf-16le"):
        assert fate(response(f"{HTML}; charset={name}", body=PAGE.decode().encode(name))) == SENTENCE
