"""Bytes to text in the order of the WHATWG: byte order mark, HTTP header, meta, then a detector; who won is recorded.

A declaration that cannot decode the bytes loses to valid UTF-8 or the detector, and the record says so.
"""

import codecs
import re
from dataclasses import dataclass

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

PRESCAN_BYTES = 1024  # WHATWG HTML, 13.2.3.2
DETECT_BYTES = 1 << 17
BAD_FRAC = 0.01  # replaced characters beyond which a declaration is taken for false
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))
_META = re.compile(rb"<meta[^>]{0,400}?charset\s*=\s*[\"']?\s*([A-Za-z0-9_:.\-]+)", re.I)
_XML = re.compile(rb"^\s*<\?xml[^>]{0,200}?encoding\s*=\s*[\"']([A-Za-z0-9_:.\-]+)", re.I)
_COMMENT = re.compile(rb"<!--.*?(?:-->|$)", re.S)
_ESCAPE = re.compile(rb"\x1b\$[@B]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_C1 = re.compile(rb"[\x80-\x9f]")
_LATIN2_LETTERS = re.compile(rb"[\xa6\xa9\xab\xae\xb1\xb6\xb9\xbb\xbe]")  # S s T t Z z with marks, a with ogonek
# Detected far more often than the web uses them (each under 0.01% of sites); Western text looks the same.
_RARE = frozenset(f"iso-8859-{n}" for n in (3, 4, 10, 13, 14, 15))
# WHATWG's name -> Python's decoder, where Python knows it by another name or the WHATWG decodes a superset
_PYTHON = {
    "windows-874": "cp874", "gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs",
    "x-mac-cyrillic": "mac_cyrillic", "macintosh": "mac_roman", "ibm866": "cp866", "iso-2022-jp": "iso2022_jp",
}  # fmt: skip
# resiliparse answers with Python's names
_WHATWG = {
    "cp866": "ibm866", "euc_kr": "euc-kr", "euc_jp": "euc-jp", "iso2022_jp": "iso-2022-jp", "iso8859-11": "windows-874",
    "mac-roman": "macintosh", "utf-16-le": "utf-16le", "utf-16-be": "utf-16be", "cp949": "euc-kr",
    "mac_roman": "macintosh", "mac-cyrillic": "x-mac-cyrillic", "big5hkscs": "big5", "ascii": "windows-1252",
    "iso8859-1": "windows-1252",
    "iso8859-9": "windows-1254", "utf_8": "utf-8", "cp932": "shift_jis", "iso2022-jp": "iso-2022-jp",
}  # fmt: skip


@dataclass(slots=True)
class Decoded:
    """`source`: bom, http, meta or detector (plain text formats: declared). `bad_frac`: replaced characters.

    `utf8`: the text in UTF-8 where the bytes were just that.
    """

    text: str
    charset: str
    source: str
    bad_frac: float
    utf8: bytes | None = None


def decode(body: bytes, declared: str | None, source: str = "http", prescan: bool = True) -> Decoded:
    """`declared`: the label of the HTTP header, or None."""
    for bom, name in _BOMS:
        if body.startswith(bom):
            return _decoded(body[len(bom) :], name, "bom")
    best: Decoded | None = None
    for label, who in ((declared, source), (_meta_label(body) if prescan else None, "meta")):
        name = whatwg_name(label) if label else None
        if name is None:
            continue
        if who == "meta":  # the meta was read as ASCII
            name = {"utf-16le": "utf-8", "utf-16be": "utf-8", "x-user-defined": "windows-1252"}.get(name, name)
        decoded = _decoded(body, name, who)
        if decoded.bad_frac <= BAD_FRAC:
            return decoded
        best = best if best is not None and best.bad_frac <= decoded.bad_frac else decoded
    detected = _detected(body)
    return best if best is not None and best.bad_frac <= detected.bad_frac else detected


def _detected(body: bytes) -> Decoded:
    """Valid UTF-8, or ISO-2022-JP by its escapes, or what the detector says, corrected for what the web holds."""
    if _ESCAPE.search(body, 0, DETECT_BYTES):
        japanese = _decoded(body, "iso-2022-jp", "detector")
        if japanese.bad_frac <= BAD_FRAC:
            return japanese
    utf8 = _decoded(body, "utf-8", "detector")
    if not utf8.bad_frac:
        return utf8
    name = _named(detect_encoding(body[:DETECT_BYTES], DETECT_BYTES) or "utf-8")
    if name == "utf-8":
        # a few broken characters among many whole ones; else it was never UTF-8, and the WHATWG falls back to 1252
        wrong = utf8.text.count("\ufffd")
        whole = sum(map(len, _NOT_ASCII.findall(utf8.text))) - wrong
        name = "utf-8" if whole > 10 * wrong else "windows-1252"
    elif name in _RARE:
        name = "windows-1252"
    elif name == "iso-8859-16":
        name = "iso-8859-2"  # Romanian with cedillas: the same letters in the same places
    elif name == "windows-1250" and not _C1.search(body) and _LATIN2_LETTERS.search(body):
        name = "iso-8859-2"  # 1250 has its s, t and z with carons and acutes among the C1 bytes
    return utf8 if name == "utf-8" else _decoded(body, name, "detector")


def whatwg_name(label: str) -> str | None:
    """The WHATWG's name of an encoding label; None where it knows none (EBCDIC, UTF-7, typing errors)."""
    label = label.strip().lower()
    if label in ("x-mac-cyrillic", "x-user-defined"):
        return label
    python = map_encoding_to_html5(label, fallback_utf8=False) if label.isascii() else None
    return _named(python) if python else None


def _named(python: str) -> str:
    python = python.lower()
    if python in _WHATWG:
        return _WHATWG[python]
    if python.startswith("cp125"):
        return f"windows-{python[2:]}"
    return python.replace("iso8859-", "iso-8859-").replace("_", "-") if python != "shift_jis" else python


def _meta_label(body: bytes) -> str | None:
    head = body[:PRESCAN_BYTES]
    if b"<!--" in head:
        head = _COMMENT.sub(b"", head)
    found = _META.search(head) or _XML.match(head)
    return found.group(1).decode("ascii") if found else None


def _decoded(body: bytes, name: str, source: str) -> Decoded:
    python = _PYTHON.get(name, name)
    try:
        return Decoded(body.decode(python), name, source, 0.0, body if name == "utf-8" else None)
    except UnicodeDecodeError:
        text = body.decode(python, "replace")
    except LookupError:
        name, text = "utf-8", body.decode("utf-8", "replace")
    return Decoded(text, name, source, text.count("�") / len(text))
