"""Bytes to text in the order of the WHATWG: byte order mark, HTTP header, meta, then a detector; who won is recorded.

A declaration that cannot decode the bytes loses to valid UTF-8 or the detector, and the record says so. Bytes that are
UTF-8 are UTF-8 whatever single-byte encoding or UTF-16 a label names: those decode anything, so that they do proves
nothing (docs/decisions/charset.md).
"""

import codecs
import re
from dataclasses import dataclass
from functools import lru_cache

from resiliparse.parse.encoding import detect_encoding, map_encoding_to_html5

from gristmill.stages.ingest.page.encodings import decoded_as
from gristmill.stages.ingest.page.prescan import meta_label

DETECT_BYTES = 1 << 17
BAD_FRAC = 0.01  # replaced characters beyond which a declaration is taken for false
# A text in an East Asian encoding may be valid UTF-8 by chance while it is short: 8 characters of 2 bytes, less than
# one in 10^5 (a fifth of GBK's are pairs of UTF-8); this many bytes beyond the characters are no chance.
SURE_BYTES = 16
_BOMS = ((codecs.BOM_UTF8, "utf-8"), (codecs.BOM_UTF16_BE, "utf-16be"), (codecs.BOM_UTF16_LE, "utf-16le"))
_ESCAPE = re.compile(rb"\x1b\$[@B]")
_NOT_ASCII = re.compile(r"[^\x00-\x7f]+")
_IN_A_WORD = re.compile(
    r"(?<=[A-Za-z])[\u00c0-\u024f]{1,2}(?![^\x00-\x7f])|(?<![^\x00-\x7f])[\u00c0-\u024f]{1,2}(?=[a-z])"
)
_HANGUL = re.compile(rb"[\xb0-\xc8][\xa1-\xfe]")  # KS X 1001: its syllables
_HIGH = bytes(range(0x80, 0x100))
_C1 = re.compile(rb"[\x80-\x9f]")
_LATIN2_LETTERS = re.compile(rb"[\xa6\xa9\xab\xae\xb1\xb6\xb9\xbb\xbe]")  # S s T t Z z with marks, a with ogonek
# Detected far more often than the web uses them (each under 0.01% of sites); Western text looks the same.
_RARE = frozenset(f"iso-8859-{n}" for n in (3, 4, 10, 13, 14, 15))
_EAST_ASIAN = frozenset(
    ("gbk", "gb18030", "big5", "euc-jp", "iso-2022-jp", "shift_jis", "euc-kr", "hz-gb-2312", "iso-2022-kr")
)
# Labels that resiliparse does not know, or gives to another encoding than the WHATWG
_LABELS = {
    "x-mac-cyrillic": "x-mac-cyrillic", "x-mac-ukrainian": "x-mac-cyrillic",
    "csiso88598i": "iso-8859-8-i", "iso-8859-8-i": "iso-8859-8-i", "logical": "iso-8859-8-i",
    # private use characters by the WHATWG, meant for scripts that read bytes; no text
    "x-user-defined": "windows-1252",
    # the WHATWG refuses these for what scripts could be smuggled in; they are text, and Python reads them
    "hz-gb-2312": "hz-gb-2312", "csiso2022kr": "iso-2022-kr", "iso-2022-kr": "iso-2022-kr",
    "unicode": "utf-16le", "csunicode": "utf-16le", "ucs-2": "utf-16le", "iso-10646-ucs-2": "utf-16le",
    "unicodefeff": "utf-16le", "unicodefffe": "utf-16be",
    "unicode11utf8": "utf-8", "unicode20utf8": "utf-8", "x-unicode20utf8": "utf-8",
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
    utf8: Decoded | None = None
    labels = ((source, lambda: declared), ("meta", lambda: meta_label(body, _is_known) if prescan else None))
    for who, find in labels:
        label = find()
        name = whatwg_name(label) if label else None
        if name is None:
            continue
        if who == "meta" and name in ("utf-16le", "utf-16be"):  # the meta was read as ASCII
            name = "utf-8"
        if name != "utf-8":
            utf8 = utf8 or _decoded(body, "utf-8", "detector")
            if _is_utf8(utf8, body, name):
                return utf8
        decoded = _decoded(body, name, who)
        if decoded.bad_frac <= BAD_FRAC:
            return decoded
        best = best if best is not None and best.bad_frac <= decoded.bad_frac else decoded
    detected = _detected(body)
    return best if best is not None and best.bad_frac <= detected.bad_frac else detected


def _is_utf8(utf8: Decoded, body: bytes, name: str) -> bool:
    """Whether `body` is UTF-8, though a label says `name`."""
    if utf8.bad_frac or (name in ("utf-16le", "utf-16be") and b"\0" in body[:1024]):
        return False
    beyond = len(body) - len(utf8.text)
    if name not in _EAST_ASIAN:
        return beyond >= (0 if name.startswith("utf-16") else 1)
    return beyond >= SURE_BYTES or (beyond >= 2 and _is_latin(utf8.text))


def _is_latin(text: str) -> bool:
    """Whether most characters beyond ASCII are Latin letters beside ASCII ones; East Asian ones stand together."""
    outside = sum(map(len, _NOT_ASCII.findall(text)))
    return 2 * sum(map(len, _IN_A_WORD.findall(text))) > outside


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
        name = "utf-8" if whole > 10 * wrong else "euc-kr" if _is_korean(body) else "windows-1252"
    elif name in _RARE:
        name = "windows-1252"
    elif name == "iso-8859-16":
        name = "iso-8859-2"  # Romanian with cedillas: the same letters in the same places
    elif name == "windows-1250" and not _C1.search(body) and _LATIN2_LETTERS.search(body):
        name = "iso-8859-2"  # 1250 has its s, t and z with carons and acutes among the C1 bytes
    return utf8 if name == "utf-8" else _decoded(body, name, "detector")


def _is_korean(body: bytes) -> bool:
    """Whether nearly all bytes beyond ASCII are syllables of EUC-KR, of which the detector knows nothing."""
    head = body[:DETECT_BYTES]
    high = len(head) - len(head.translate(None, _HIGH))
    return high >= 2 * SURE_BYTES and 2 * len(_HANGUL.findall(head)) >= 0.9 * high


@lru_cache(maxsize=4096)
def whatwg_name(label: str) -> str | None:
    """The WHATWG's name of an encoding label; None where it knows none (EBCDIC, UTF-7, typing errors)."""
    label = label.strip().lower()
    if label in _LABELS:
        return _LABELS[label]
    python = map_encoding_to_html5(label, fallback_utf8=False) if label.isascii() else None
    return _named(python) if python else None


def _is_known(label: str) -> bool:
    return whatwg_name(label) is not None


def _named(python: str) -> str:
    python = python.lower()
    if python in _WHATWG:
        return _WHATWG[python]
    if python.startswith("cp125"):
        return f"windows-{python[2:]}"
    return python.replace("iso8859-", "iso-8859-").replace("_", "-") if python != "shift_jis" else python


def _decoded(body: bytes, name: str, source: str) -> Decoded:
    if name != "utf-8":
        text = decoded_as(body, name)
        return Decoded(text, name, source, text.count("\ufffd") / max(len(text), 1))
    try:
        return Decoded(body.decode("utf-8"), name, source, 0.0, body)
    except UnicodeDecodeError:
        text = body.decode("utf-8", "replace")
        return Decoded(text, name, source, text.count("\ufffd") / len(text))
