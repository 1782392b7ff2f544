"""Turns a record of an archive into a document, or into the rule for which it is rejected."""

from collections.abc import Mapping
from dataclasses import dataclass

from gristmill.stages.ingest.archive.records import Record
from gristmill.stages.ingest.content.blocks import PLAIN
from gristmill.stages.ingest.content.service import service_of
from gristmill.stages.ingest.page.charset import Decoded, decode
from gristmill.stages.ingest.page.codings import BodyTooLarge, TooManyCodings, unpacked
from gristmill.stages.ingest.page.evidence import Evidence
from gristmill.stages.ingest.page.http import HeadTooLarge, begins_response, response_of
from gristmill.stages.ingest.page.media_type import (
    BINARY_BYTES,
    HTML,
    XHTML,
    MediaType,
    essence_of,
    has_magic,
    is_sniffed,
    media_type,
)
from gristmill.stages.ingest.page.parse import Page
from gristmill.stages.ingest.page.read import TooNested, read_page
from gristmill.stages.ingest.page.sandbox import Crashed, TimedOut
from gristmill.stages.ingest.page.xhtml import as_html
from gristmill.stages.ingest.rows import UNDECODABLE_FRAC, Document, clean

REJECT = "reject"  # as fallback: none
_UNREADABLE: dict[type[Exception], str] = {
    TooNested: "too_nested",
    TimedOut: "timed_out",
    Crashed: "parser_crashed",
}
UTF16_FRAC = 0.01  # as UNDECODABLE_FRAC: of random bytes a thirtieth is no UTF-16, and few of the rest are controls
LOOK_CHARS = 4096  # in which control characters are counted: what is no text has them from its beginning on
BINARY_FRAC = 0.02  # control characters beyond which there is no text; the bytes of compressed data have 0.1
LONE_CONTROLS = 4  # so many stray ones a short text may have


@dataclass(frozen=True)
class Limits:
    body_bytes: int
    mimes: tuple[str, ...]
    extractor: str
    fallback: str
    page_s: float
    blocks: str = PLAIN  # how tables and code stand in the text
    service_pages: bool = False  # whether log-in, cart, not found and the like become documents
    beside: bool = False  # every page is read beside the worker, by the fallback too


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


def may_be_document(record: Record) -> bool:
    """By its type alone."""
    return record.fields.get(b"warc-type", b"").lower() in (b"response", b"resource", b"conversion")


def document_of(record: Record, limits: Limits) -> Document:
    """Raises Rejected. `record` is whole."""
    kind = record.fields.get(b"warc-type", b"").lower()
    if kind == b"conversion":
        return _converted(record, limits)
    if kind == b"revisit":
        raise Rejected("revisit", record.size)
    if kind not in (b"response", b"resource"):
        raise Rejected("not_a_response", record.size)
    if record.fields.get(b"warc-segment-number") or record.fields.get(b"warc-segment-origin-id"):
        raise Rejected("truncated", record.size)  # a segment whose others do not stand behind it (archive/segments.py)
    url = url_of(record) or ""
    if kind == b"resource" or not url.lower().startswith("http"):
        return _resource(record, limits, http=kind == b"response" and begins_response(record.block))
    return _response(record, limits)


def _response(record: Record, limits: Limits) -> Document:
    try:
        response = response_of(record.block, limits.body_bytes)
    except BodyTooLarge as error:
        raise Rejected("too_large", record.size) from error
    except HeadTooLarge as error:
        raise Rejected("head_too_large", record.size) from error
    except TooManyCodings as error:
        raise Rejected("undecodable", record.size) from error
    if response.status == 0 and essence_of("", record.block) in HTML:  # HTTP/0.9: a page without a head
        return _from_body(record, record.block, media_type(""), {}, None, limits)
    if response.status != 200:
        raise Rejected("bad_status", len(response.body))
    said = media_type(response.headers.get("content-type", ""))
    return _from_body(record, response.body, said, response.headers, response.status, limits)


def _resource(record: Record, limits: Limits, http: bool) -> Document:
    if http:
        return _response(record, limits)
    said = media_type(text_of(record.fields.get(b"content-type")) or "")
    if said.essence not in limits.mimes:
        of_web = (url_of(record) or "").lower().startswith("http")
        raise Rejected("not_html" if of_web else "not_a_response", record.size)
    if record.size > limits.body_bytes:
        raise Rejected("too_large", record.size)
    return _from_body(record, record.block, said, {}, None, limits)


def _from_body(
    record: Record,
    body: bytes,
    said: MediaType,
    headers: Mapping[str, str],
    status: int | None,
    limits: Limits,
) -> Document:
    if said.essence not in limits.mimes and not is_sniffed(said.essence):
        raise Rejected("not_html" if body else "empty_body", len(body))
    try:
        body = unpacked(body, limits.body_bytes)
    except BodyTooLarge as error:
        raise Rejected("too_large", record.size) from error
    size = len(body)
    if not size or body.isspace():
        raise Rejected("empty_body", size)
    mime = essence_of(said.essence, body)
    if mime not in limits.mimes or has_magic(body):
        raise Rejected("not_html", size)
    decoded = decode(body, said.charset)
    if not is_text(decoded):
        raise Rejected("undecodable", size)
    if mime not in HTML:
        text, title, author, lang, evidence = decoded.text.strip(), None, None, None, Evidence()
    else:
        if mime == XHTML:
            decoded.text, decoded.utf8 = as_html(decoded.text), None
        page = _page_of(decoded, headers, size, limits)
        text, title, author, lang, evidence = page.text, page.title, page.author, page.lang, page.evidence
        if not limits.service_pages and (rule := service_of(title, text)):
            raise Rejected(rule, size)
    text = clean(text)
    if not text or text.isspace():
        raise Rejected("no_text", size)
    if license_field := text_of(record.fields.get(b"warc-license")):
        evidence.declared = license_field
    return Document(
        text, size, url_of(record), text_of(record.fields.get(b"warc-date")), title, clean(lang), decoded.charset,
        decoded.source, mime, status, evidence, author=author, is_page=mime in HTML,
    )  # fmt: skip


def is_text(decoded: Decoded) -> bool:
    """Whether few characters had to be replaced, and few of the first ones and of those in the middle are controls."""
    if decoded.bad_frac > UNDECODABLE_FRAC:
        return False
    if decoded.charset.startswith("utf-16") and decoded.bad_frac > max(UTF16_FRAC, 3 / len(decoded.text)):
        return False
    whole = decoded.text if decoded.utf8 is None else decoded.utf8
    middle = max(len(whole) // 2, LOOK_CHARS)
    for look in (whole[:LOOK_CHARS], whole[middle : middle + LOOK_CHARS]):
        raw = look.encode("utf-8", "replace") if isinstance(look, str) else look
        if len(raw) - len(raw.translate(None, BINARY_BYTES)) > max(BINARY_FRAC * len(look), LONE_CONTROLS):
            return False
    return True


def _page_of(decoded: Decoded, headers: Mapping[str, str], size: int, limits: Limits) -> Page:
    """What the extractor makes of a page, or else the fallback. Raises Rejected where neither can read it."""
    rule = ""
    for engine in (limits.extractor, limits.fallback):
        if engine == REJECT:
            break
        try:
            return read_page(decoded.text, decoded.utf8, headers, engine, limits.page_s, limits.beside, limits.blocks)
        except tuple(_UNREADABLE) as error:
            rule = rule or _UNREADABLE[type(error)]
    raise Rejected(rule, size)


def _converted(record: Record, limits: Limits) -> Document:
    """WET: text that somebody else extracted."""
    said = media_type(text_of(record.fields.get(b"content-type")) or "text/plain")
    if said.essence != "text/plain":
        raise Rejected("not_html", record.size)
    if record.size > limits.body_bytes:
        raise Rejected("too_large", record.size)
    decoded = decode(record.block, said.charset, "declared", prescan=False)
    text = clean(decoded.text)
    if not is_text(decoded):
        raise Rejected("undecodable", record.size)
    if not text or text.isspace():
        raise Rejected("no_text" if record.size else "empty_body", record.size)
    declared = text_of(record.fields.get(b"warc-license"))
    return Document(
        text.strip(), record.size, url_of(record), text_of(record.fields.get(b"warc-date")), None, None,
        decoded.charset, decoded.source, said.essence, None, Evidence(declared=declared), is_page=True,
    )  # fmt: skip
