"""Labels, prescan and decoders against the WHATWG's tables, and UTF-8 under a label that says otherwise."""

from hashlib import blake2b

import pytest
from webencodings.labels import LABELS

from gristmill.stages.ingest.page.charset import decode, whatwg_name
from gristmill.stages.ingest.page.encodings import decoded_as
from gristmill.stages.ingest.page.prescan import meta_label

REFUSED = {
    "csiso2022kr": "iso-2022-kr",
    "hz-gb-2312": "hz-gb-2312",
    "iso-2022-cn": None,
    "iso-2022-cn-ext": None,
    "iso-2022-kr": "iso-2022-kr",
    "replacement": None,
    "x-user-defined": "windows-1252",
}


def test_every_label_of_the_whatwg_names_its_encoding():
    names = {label: whatwg_name(label) for label in LABELS}
    assert names == {**LABELS, **REFUSED, "x-user-defined": "windows-1252"}
    assert [whatwg_name(label) for label in (" UTF8\n", "utf-7", "cp037", "utf-32", "", "ü")] == ["utf-8"] + [None] * 5


def spans() -> dict[str, list[bytes]]:
    """Every sequence of bytes that could be a character of a multi-byte encoding."""

    def pairs(leads: list[int], trails: list[int]) -> list[bytes]:
        return [bytes((lead, trail)) for lead in leads for trail in trails]

    def span(*edges: int) -> list[int]:
        return [b for first, last in zip(edges[::2], edges[1::2], strict=True) for b in range(first, last + 1)]

    rows = pairs(span(0xA1, 0xFE), span(0xA1, 0xFE))
    return {
        "big5": pairs(span(0x81, 0xFE), span(0x40, 0x7E, 0xA1, 0xFE)),
        "euc-jp": [*rows, *(b"\x8f" + pair for pair in rows), *pairs([0x8E], span(0xA1, 0xDF))],
        "gbk": [*pairs(span(0x81, 0xFE), span(0x40, 0x7E, 0x80, 0xFE)), b"\x80"],
        "shift_jis": [
            *pairs(span(0x81, 0x9F, 0xE0, 0xFC), span(0x40, 0x7E, 0x80, 0xFC)),
            *(bytes([b]) for b in span(0x80, 0xFF)),
        ],
        "euc-kr": pairs(span(0x81, 0xFE), span(0x41, 0xFE)),
        "iso-2022-jp": [
            *(b"\x1b$B" + pair for pair in pairs(span(0x21, 0x7E), span(0x21, 0x7E))),
            *(b"\x1b(I" + bytes([b]) for b in span(0x21, 0x5F)),
        ],
    }


# Digests of what npm's text-encoding 0.7.0, the standard's reference code and tables, decodes the same sequences to;
# with the eighteen code points that GB18030-2022 moved out of the private use area since then.
DIGESTS = {
    "big5": "b17d594aecb2d4cc",
    "euc-jp": "23e0a44dd80e7f7e",
    "gbk": "f64ce3e1f3c237bd",
    "shift_jis": "5fa44caeb880c1d4",
    "euc-kr": "0a966d1e3d2a6d66",
    "iso-2022-jp": "196230c83b9ae92c",
}


@pytest.mark.parametrize("name", DIGESTS)
def test_every_character_of_a_multi_byte_encoding_is_the_whatwgs(name):
    texts = [decoded_as(data, name) for data in spans()[name]]
    texts = ["\ufffd" if "\ufffd" in text else text for text in texts]
    assert blake2b("\n".join(texts).encode(), digest_size=8).hexdigest() == DIGESTS[name]


@pytest.mark.parametrize(
    ("name", "data", "expected"),
    [
        ("euc-jp", "地図".encode("euc_jp") + b"\xad\xa1\xad\xea\x8e\xb1", "地図①㈱ｱ"),
        ("iso-2022-jp", b"a\x1b$B-!-j\x1b(B b\n\x1b(I1\x1b(J\\~\x1b(B\\", "a①㈱ b\nｱ¥‾\\"),
        ("gbk", b"\x80 5, \xc4\xe3", "€ 5, 你"),
        ("big5", b"\xa3\xe1 \xa2A \xa1\xfe \xa4\xa2A", "€ ∕ ／ 丐A"),
        # a broken sequence costs itself: the ASCII behind its first byte stays
        ("euc-jp", b"\xa4<p>", "\ufffd<p>"),
        ("shift_jis", b"\x81<p>\xfd\x82\xa0", "\ufffd<p>\ufffdあ"),
        ("gbk", b"\x81\x301<p>", "\ufffd01<p>"),
        ("euc-kr", b"\xb0\xa1\xc9\xa1<p>\xb0", "가\ufffd<p>\ufffd"),
        ("koi8-u", b"\xae\xbe", "ўЎ"),
        ("windows-1255", b"\xca", "\u05ba"),
    ],
)
def test_rows_that_python_lacks_and_broken_sequences(name, data, expected):
    assert decoded_as(data, name) == expected


# prescan: WHATWG HTML 13.2.3.2


@pytest.mark.parametrize(
    ("head", "label"),
    [
        ("<meta charset=utf-8>", "utf-8"),
        ("<META CHARSET = 'UTF-8' >", "UTF-8"),
        ("<meta/charset=koi8-r/>", None),  # an unquoted value runs up to a space or >
        ("<meta/charset='koi8-r'/>", "koi8-r"),
        ("<meta content='text/html; charset=big5' http-equiv=Content-Type>", "big5"),
        ('<meta http-equiv="content-type" content=\'text/html; charset="big5"\'>', "big5"),
        ("<meta http-equiv=content-type content='charset charset=big5;x'>", "big5"),
        ("<meta content='text/html; charset=big5'>", None),
        ("<meta name=description content='we say charset=big5'><meta charset=gbk>", "gbk"),
        ("<meta http-equiv=refresh content='0; url=/?charset=big5'><meta charset=gbk>", "gbk"),
        ("<meta data-charset=big5><meta charset=gbk>", "gbk"),
        ("<meta name='x>' content='<meta charset=big5>'><meta charset=gbk>", "gbk"),
        ("<meta charset=big5 charset=gbk>", "big5"),
        ("<meta charset=nonsense><meta charset=gbk>", "gbk"),
        ("<!-- <meta charset=big5> --><meta charset=gbk>", "gbk"),
        ("<!--><meta charset=gbk>-->", "gbk"),
        ("<!-- --!><meta charset=gbk>", "gbk"),
        ("<!-- <meta charset=big5>", None),
        ("<a title='<meta charset=big5>'></a><meta charset=gbk>", "gbk"),
        ("</a x='<meta charset=big5>'><meta charset=gbk>", "gbk"),
        ("<?php echo '<meta charset=big5' ?><meta charset=gbk>", "gbk"),
        ("<script>w('<meta charset=big5>')</script><meta charset=gbk>", "gbk"),
        ("<style>/*<meta charset=big5>*/</style><meta charset=gbk>", "gbk"),
        ("<title><meta charset=big5></title><meta charset=gbk>", "gbk"),
        ("<metadata charset=big5><meta charset=gbk>", "gbk"),
        ("<meta charset=gbk", None),
        ("<meta charset='gbk>", None),
        ("<title>x</title>" + " " * 3000 + "<meta charset=gbk>", "gbk"),
        ("<p>x</p>" + " " * 3000 + "</head><meta charset=gbk>", None),
        ("<?xml version='1.0' encoding='gbk'?><html>", "gbk"),
        ("<?xml version='1.0' encoding='big5'?><meta charset=gbk>", "gbk"),
        ("x = encoding; y = charset", None),
    ],
)
def test_prescan_takes_what_the_standard_takes(head, label):
    assert meta_label(head.encode(), lambda name: whatwg_name(name) is not None) == label


def test_prescan_of_a_xml_declaration_in_utf16_tells_the_byte_order():
    for name in ("utf-16le", "utf-16be"):
        assert meta_label("<?xml version".encode(name), lambda _: True) == name


def test_prescan_of_hostile_heads_is_linear():
    for head in (b"<meta " + b"a=" * 30_000, b"<meta charset" + b" " * 60_000, b"<a b='" * 10_000, b"<meta =" * 9_000):
        meta_label(head, lambda _: True)


# UTF-8 under another label

FRENCH = "<meta charset={}><p>Un café naïf, déjà vu."


@pytest.mark.parametrize("label", ["iso-8859-1", "windows-1251", "koi8-r", "macintosh", "utf-16", "utf-16be", "ibm866"])
def test_utf8_under_a_label_that_decodes_anything_is_utf8(label):
    for body, header in (
        (FRENCH.format("utf-8"), label), (FRENCH.format(label), None), (FRENCH.format(label), label), ("<p>é", label),
    ):  # fmt: skip
        decoded = decode(body.encode(), header)
        assert (decoded.charset, decoded.text) == ("utf-8", body)


@pytest.mark.parametrize("label", ["gbk", "big5", "shift_jis", "euc-kr", "euc-jp"])
def test_long_utf8_under_an_east_asian_label_is_utf8(label):
    text = "<p>中文网页的内容，日本語の文章です。" * 20
    assert decode(text.encode(), label).text == text
    short = "<p>Die Fähre fährt früh zurück."
    assert decode(short.encode(), label).text == short


def test_short_gbk_that_could_be_utf8_is_what_the_label_says():
    assert decode("联通".encode("gbk"), "gbk").text == "联通"


def test_text_in_the_encoding_that_the_label_names_stays_with_it():
    for text, label in (("Привет, «мир»", "windows-1251"), ("Grüße, Señor", "iso-8859-1"), ("Zażółć", "iso-8859-2")):
        assert decode(text.encode(label), label).text == text
    assert decode("<p>plain".encode("utf-16le"), "utf-16").text == "<p>plain"
    assert decode("<p>中文".encode("utf-16be"), "utf-16be").text == "<p>中文"
