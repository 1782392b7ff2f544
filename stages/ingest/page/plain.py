"""Strips tags in linear time, without building a tree: for pages that would hang a parser."""

import re
from html import unescape

TITLE_SEARCH_CHARS = 1 << 16
_BREAK = re.compile(r"</?(?:p|div|br|li|ul|ol|tr|table|h[1-6]|section|article|blockquote|pre|dd|dt|hr)\b[^<>]*>?", re.I)
_TAG = re.compile(r"</?[a-zA-Z!?][^<>]*>?")
_ZEROS = re.compile(r"&#0+(?=[0-9])")
_NO_CHARACTER = re.compile(r"&#[0-9]{8,};?")
_TITLE = re.compile(r"<title[^<>]*>([^<]*)", re.I)


def plain_title(html: str) -> str | None:
    """What the first title element holds."""
    found = _TITLE.search(html, 0, TITLE_SEARCH_CHARS)
    return unescaped(found.group(1)) if found else None


def unescaped(text: str) -> str:
    """Character references resolved; a number that is no character's becomes U+FFFD, however many digits it has."""
    if "&#" in text:  # Python refuses to read numbers of more than 4300 digits
        text = _NO_CHARACTER.sub("\ufffd", _ZEROS.sub("&#", text))
    return unescape(text)


def plain_text(html: str) -> str:
    """The lines between the tags, in linear time."""
    text = _TAG.sub(" ", _BREAK.sub("\n", _without_raw(html)))
    lines = (" ".join(line.split()) for line in unescaped(text).split("\n"))
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
