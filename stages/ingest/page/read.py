"""Reads a page: parses it here if tame, in a child process if heavy, and refuses what would hang a parser."""

import re
from collections.abc import Mapping
from html import unescape

from gristmill.pipeline.kernels.text.markup import Scan, scan_markup
from gristmill.stages.ingest.page.evidence import NEEDLES, harvest
from gristmill.stages.ingest.page.parse import Page, clean_title, parsed
from gristmill.stages.ingest.page.sandbox import GUARD

PLAIN = "plain"
# What resiliparse 2.0 (lexbor) takes long for is quadratic; at these limits a page takes about 0.2 s.
DEPTH = 3000  # <div> x 3000: 0.15 s, x 10000: 1.1 s, x 100000: minutes
ATTRIBUTES = 10_000  # in one tag: 0.2 s; x 100000: 15 s
FORMATTING = 300_000  # elements reopened by <p><font a=1><p><font a=2>...: 1M take 0.6 s and 200 MB
HEAVY_BYTES = 3 << 20
_BREAK = re.compile(r"</?(?:p|div|br|li|ul|ol|tr|table|h[1-6]|section|article|blockquote|pre|dd|dt|hr)\b[^<>]*>?", re.I)
_TAG = re.compile(r"</?[a-zA-Z!?][^<>]*>?")
_TITLE = re.compile(r"<title[^>]*>([^<]*)", re.I)


class TooNested(Exception):
    """The page would hang a parser, or exhaust it."""


def is_wild(scan: Scan) -> bool:
    return scan.depth > DEPTH or scan.attributes > ATTRIBUTES or scan.formatting > FORMATTING


def is_heavy(scan: Scan, size: int) -> bool:
    """Costs a multiple of an ordinary page, but a bounded one; the largest pages of web/ are far below."""
    return (
        scan.depth > DEPTH // 4
        or scan.attributes > ATTRIBUTES // 4
        or scan.formatting > FORMATTING // 4
        or size > HEAVY_BYTES
    )


def read_page(html: str, utf8: bytes | None, headers: Mapping[str, str], extractor: str, page_s: float) -> Page:
    """`utf8`: the page's bytes where they are UTF-8 already; `headers`: of the HTTP response, lower-case names.

    Raises TooNested, and TimedOut or Crashed for a page that had to be read beside the worker. The extractor `plain`
    does not parse: any page has some text between its tags.
    """
    raw = html.encode("utf-8", "replace") if utf8 is None else utf8
    scan = scan_markup(raw, NEEDLES)
    if extractor == PLAIN:
        found = _TITLE.search(html, 0, 1 << 16)
        title = clean_title(unescape(found.group(1))) if found else None
        return Page(plain_text(html), title, None, harvest(raw, scan, None, headers))
    if is_wild(scan):
        raise TooNested
    if extractor != "resiliparse" or is_heavy(scan, len(raw)):
        page = GUARD.read((raw, dict(headers), extractor), page_s)
        assert isinstance(page, Page)
        return page
    return parsed(html, raw, headers, extractor, scan)


def plain_text(html: str) -> str:
    """The lines between the tags, in linear time."""
    text = _TAG.sub(" ", _BREAK.sub("\n", _without_raw(html)))
    lines = (" ".join(line.split()) for line in unescape(text).split("\n"))
    return "\n".join(line for line in lines if line)


def _without_raw(html: str) -> str:
    """Without scripts, styles and comments; an unclosed one swallows nothing."""
    parts, at = [], 0
    for opening, closing in _raw_spans(html):
        parts.append(html[at:opening])
        at = closing
    parts.append(html[at:])
    return " ".join(parts)


def _raw_spans(html: str) -> list[tuple[int, int]]:
    spans, at, missing = [], 0, set()
    start = re.compile(r"<!--|<(script|style|noscript|template|iframe|textarea)\b", re.I)
    lower = html.lower() if len(html.lower()) == len(html) else html
    while found := start.search(html, at):
        closing = f"</{found.group(1).lower()}" if found.group(1) else "-->"
        stop = -1 if closing in missing else lower.find(closing, found.end())
        if stop < 0:
            missing.add(closing)
            at = found.end()
            continue
        stop = lower.find(">", stop) + 1 or len(html)
        spans.append((found.start(), stop))
        at = stop
    return spans
