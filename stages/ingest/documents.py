"""The fate of an archive's record: a document, or the rule for which it is rejected."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gristmill.stages.ingest.archive.records import Record
from gristmill.stages.ingest.page.charset import Decoded, decode
from gristmill.stages.ingest.page.evidence import Evidence
from gristmill.stages.ingest.page.http import BodyTooLarge, charset_of, mime_of, response_of
from gristmill.stages.ingest.page.parse import Page
from gristmill.stages.ingest.page.read import TooNested, read_page
from gristmill.stages.ingest.page.sandbox import Crashed, TimedOut
from gristmill.stages.ingest.rows import UNDECODABLE_FRAC, Document, clean

HTML = ("text/html", "application/xhtml+xml")
_SNIFFED = (
    "",
    "application/octet-stream",
    "unknown/unknown",
    "application/unknown",
    "*/*",
)  # WHATWG MIME Sniffing, 5.1
_LOOKS_LIKE_HTML = re.compile(
    rb"\s*(?:<!--.*?-->\s*|<\?xml[^>]*>\s*)*<(?:!doctype\s+html|html|head|body|title|h1|div|table)\b", re.I | re.S
)
REJECT = "reject"  # as fallback: none
_UNREADABLE: dict[type[Exception], str] = {
    TooNested: "too_nested",
    TimedOut: "timed_out",
    Crashed: "parser_crashed",
}
NUL_CHARS = 4096  # in which NULs are counted: what is no text has them from its beginning on


@dataclass(frozen=True)
class Limits:
    body_bytes: int
    mimes: tuple[str, ...]
    extractor: str
    fallback: str
    page_s: float


class Rejected(Exception):
    """The rule, and the bytes of the body as far as they are known."""

    def __init__(self, rule: str, size: int) -> None:
        super().__init__(rule)
        self.rule, self.size = rule, size


def text_of(value: bytes | None) -> str | None:
    return clean(value.decode("utf-8", "replace").strip()) or None if value else None


def url_of(record: Record) -> str | None:
    url = text_of(record.fields.get(b"warc-target-uri"))
    return url.strip("<>") if url else None  # wget writes <...>


def document_of(record: Record, limits: Limits) -> Document:
    """Raises Rejected. `record` is whole."""
    kind = record.fields.get(b"warc-type", b"").lower()
    if kind == b"conversion":
        return _converted(record, limits)
    if kind == b"revisit":
        raise Rejected("revisit", record.size)
    if kind not in (b"response", b"resource"):
        raise Rejected("not_a_response", record.size)
    url = url_of(record) or ""
    if kind == b"resource" or not url.startswith("http"):
        return _resource(record, limits, http=kind == b"response" and record.block.startswith(b"HTTP/"))
    return _response(record, limits)


def _response(record: Record, limits: Limits) -> Document:
    try:
        response = response_of(record.block, limits.body_bytes)
    except BodyTooLarge as error:
        raise Rejected("too_large", record.size) from error
    if response.status != 200:
        raise Rejected("bad_status", len(response.body))
    return _from_body(record, response.body, response.mime, response.charset, response.headers, response.status, limits)


def _resource(record: Record, limits: Limits, http: bool) -> Document:
    if http:
        return _response(record, limits)
    kind = text_of(record.fields.get(b"content-type")) or ""
    if mime_of(kind) not in limits.mimes:
        raise Rejected("not_a_response" if not (url_of(record) or "").startswith("http") else "not_html", record.size)
    if record.size > limits.body_bytes:
        raise Rejected("too_large", record.size)
    return _from_body(record, record.block, mime_of(kind), charset_of(kind), {}, None, limits)


def _from_body(
    record: Record,
    body: bytes,
    mime: str,
    charset: str | None,
    headers: Mapping[str, str],
    status: int | None,
    limits: Limits,
) -> Document:
    size = len(body)
    if not size or body.isspace():
        raise Rejected("empty_body", size)
    if mime in _SNIFFED and _LOOKS_LIKE_HTML.match(body, 0, 4096):
        mime = "text/html"
    if mime not in limits.mimes:
        raise Rejected("not_html", size)
    decoded = decode(body, charset)
    head = decoded.text[:NUL_CHARS]
    if decoded.bad_frac > UNDECODABLE_FRAC or head.count("\0") > UNDECODABLE_FRAC * len(head):
        raise Rejected("undecodable", size)
    if mime not in HTML:
        text, title, lang, evidence = decoded.text.strip(), None, None, Evidence()
    else:
        page = _page_of(decoded, headers, size, limits)
        text, title, lang, evidence = page.text, page.title, page.lang, page.evidence
    text = clean(text)
    if not text or text.isspace():
        raise Rejected("no_text", size)
    if license_field := text_of(record.fields.get(b"warc-license")):
        evidence.declared = license_field
    return Document(
        text, size, url_of(record), text_of(record.fields.get(b"warc-date")), title, clean(lang), decoded.charset,
        decoded.source, mime, status, evidence,
    )  # fmt: skip


def _page_of(decoded: Decoded, headers: Mapping[str, str], size: int, limits: Limits) -> Page:
    """What the extractor makes of a page, or else the fallback. Raises Rejected where neither can read it."""
    rule = ""
    for engine in (limits.extractor, limits.fallback):
        if engine == REJECT:
            break
        try:
            return read_page(decoded.text, decoded.utf8, headers, engine, limits.page_s)
        except tuple(_UNREADABLE) as error:
            rule = rule or _UNREADABLE[type(error)]
    raise Rejected(rule, size)


def _converted(record: Record, limits: Limits) -> Document:
    """WET: text that somebody else extracted."""
    mime = mime_of(text_of(record.fields.get(b"content-type")) or "text/plain")
    if mime != "text/plain":
        raise Rejected("not_html", record.size)
    if record.size > limits.body_bytes:
        raise Rejected("too_large", record.size)
    decoded = decode(
        record.block, charset_of(text_of(record.fields.get(b"content-type")) or ""), "declared", prescan=False
    )
    text = clean(decoded.text)
    if decoded.bad_frac > UNDECODABLE_FRAC:
        raise Rejected("undecodable", record.size)
    if not text or text.isspace():
        raise Rejected("no_text" if record.size else "empty_body", record.size)
    declared = text_of(record.fields.get(b"warc-license"))
    return Document(
        text.strip(), record.size, url_of(record), text_of(record.fields.get(b"warc-date")), None, None,
        decoded.charset, decoded.source, mime, None, Evidence(declared=declared),
    )  # fmt: skip
