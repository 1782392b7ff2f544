"""What a body is: the media type that its header says (WHATWG MIME Sniffing, 4.4, and Fetch, "extract a MIME type"), or
what its first bytes look like (MIME Sniffing, 7.1)."""

import re
from dataclasses import dataclass
from functools import lru_cache

XHTML = "application/xhtml+xml"
HTML = ("text/html", XHTML)
SNIFF_BYTES = 1445  # MIME Sniffing, 5.2: the resource header
LOOK_BYTES = 4096
# 7.1 with meta besides; a comment or an XML declaration before a tag proves nothing of itself
_HTML_TAG = re.compile(
    rb"(<(?:!doctype[\t\n\f\r ]+html|html|head|body|title|h1|div|table)(?=[\t\n\f\r />]))"
    rb"|<(?:script|iframe|font|a|style|b|br|p|meta)(?=[\t\n\f\r />])",
    re.I,
)
_BLANKS = re.compile(rb"[\t\n\f\r ]*")
_COMMENT_END = re.compile(rb"--!?>")
_XML_START = re.compile(rb"<\?xml\b", re.I)
_COMMENT_START = re.compile(rb"(?:\xef\xbb\xbf)?[\t\n\f\r ]*<!--")
_UNKNOWN = frozenset(("", "unknown/unknown", "application/unknown", "*/*"))
# Written by servers that mean HTML; or by those that do not know: there only the plainest signs count.
_DOUBTFUL = frozenset(
    (
        "application/octet-stream", "text/htm", "text/xhtml", "text/xhtml+xml", "text/html5", "application/html",
        "application/xhtml", "html/text", "text/x-html",
    )
)  # fmt: skip
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_TYPE = re.compile(rf"[\t\n\r ]*({_TOKEN}/{_TOKEN})[\t\n\r ]*(?:;|$)")
_PARAMETER = re.compile(rf";[\t\n\r ]*({_TOKEN})=(?:\"((?:[^\"\\]|\\.)*)\"?[^;]*|([^;]*))")
_VALUES = re.compile(r"(?:[^\",]|\"(?:[^\"\\]|\\.)*\"?)+")
_CHARSET = re.compile(r"charset\s*=\s*(?:[\"']\s*)?([^\s;\"',]+)", re.I)
# MIME Sniffing, 6 and 7, and other formats that servers call HTML; where three or four letters could begin a text,
# another field of the format must agree
_MAGIC = re.compile(
    rb"\s*%PDF-|%!PS-Adobe-|\x89PNG\r\n\x1a\n|GIF8[79]a|\xff\xd8\xff|II\*\0|MM\0\*|\0\0[\x01\x02]\0|\x8aMNG"
    rb"|RIFF....(?:WEBPVP|WAVE|AVI )|FORM....AIF[FC]|OggS\0|MThd\0\0\0\x06|ID3[\x02-\x04][\0-\x0a]|fLaC\0|\x1aE\xdf\xa3"
    rb"|\0\0..ftyp|FLV\x01|[FC]WS[\x01-\x30]..[\0-\x10]"
    rb"|\x1f\x8b\x08|PK\x03\x04|Rar!\x1a\x07|7z\xbc\xaf\x27\x1c|BZh[1-9]1AY&SY|\xfd7zXZ\0|\x28\xb5\x2f\xfd|\x1f\x9d"
    rb"|wOF[F2](?:\0\x01|OTTO|true)|OTTO\0|\0\x01\0\0|ttcf\0|\xd0\xcf\x11\xe0\xa1\xb1\x1a\xe1|\{\\rtf"
    rb"|\x7fELF|\xca\xfe\xba\xbe|\0asm|MZ[\0-\xff]\0[\0-\xff]\0|SQLite format 3\0",
    re.S,
)
# MIME Sniffing, 5 ("binary data byte"): what no text holds
BINARY_BYTES = bytes((*range(0x09), 0x0B, *range(0x0E, 0x1B), *range(0x1C, 0x20)))


@dataclass(frozen=True, slots=True)
class MediaType:
    """`essence`: type/subtype in lower case, "" where the header says none; `charset`: its label, or None."""

    essence: str
    charset: str | None


@lru_cache(maxsize=4096)  # servers say few different ones
def media_type(value: str) -> MediaType:
    """Of a Content-Type; of several, joined by commas, the last that is valid (Fetch, 3.2).

    A value that is no media type may still say a charset: the standard would not look for it.
    """
    essence, charset = "", None
    for part in _VALUES.findall(value) if value else ():
        found = _TYPE.match(part)
        if found is None or found.group(1) == "*/*":
            continue
        parameters: dict[str, str] = {}
        for name, quoted, plain in _PARAMETER.findall(part):
            text = re.sub(r"\\(.)", r"\1", quoted) if quoted else plain.strip(" \t\r\n")
            if text:
                parameters.setdefault(name.lower(), text)
        before, essence = essence, found.group(1).lower().strip("'")
        charset = parameters.get("charset", charset if essence == before else None)
    if charset is None and (loose := _CHARSET.search(value)):
        charset = loose.group(1)
    return MediaType(essence, charset.strip("'\"") if charset else None)


def is_sniffed(said: str) -> bool:
    """Whether the body may be another thing than the media type `said`."""
    return said in _UNKNOWN or said in _DOUBTFUL


def essence_of(said: str, body: bytes) -> str:
    """The media type that counts: `said`, or text/html where that is unknown or doubtful and the body looks like it."""
    if not is_sniffed(said):
        return said
    head = body[:LOOK_BYTES]
    if head.startswith((b"\xff\xfe", b"\xfe\xff")):  # UTF-16, by its byte order mark
        head = head[2:].replace(b"\0", b"")
    found = _html_tag(head)
    if found is not None and (said in _UNKNOWN or found.group(1)):
        return "text/html"
    if said not in _UNKNOWN:
        return said
    if _COMMENT_START.match(head):
        return "text/html"
    return "" if is_binary(body[:SNIFF_BYTES]) or b"<?xml" in head[:64] else "text/plain"


def _html_tag(head: bytes) -> re.Match[bytes] | None:
    """The tag behind the blanks, comments and XML declarations at the beginning, in one pass over them."""
    at = 3 if head.startswith(b"\xef\xbb\xbf") else 0
    while True:
        at = _BLANKS.match(head, at).end()  # type: ignore[union-attr]
        if head.startswith(b"<!--", at):
            closing = _COMMENT_END.search(head, at + 4)
            if closing is None:
                return None
            at = closing.end()
        elif _XML_START.match(head, at):
            at = head.find(b">", at) + 1
            if not at:
                return None
        else:
            return _HTML_TAG.match(head, at)


def is_binary(head: bytes) -> bool:
    """Whether a body without a type begins with a byte that no text holds."""
    return len(head.translate(None, BINARY_BYTES)) < len(head)


def has_magic(body: bytes) -> bool:
    """Whether a body begins as an image, a sound, a font, an archive, a PDF or a program does."""
    return _MAGIC.match(body) is not None
