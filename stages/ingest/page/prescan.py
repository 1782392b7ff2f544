"""The encoding that a page names in its own first bytes: WHATWG HTML, 13.2.3.2 (prescan) and its XML declaration.

Beyond the algorithm, as Chromium does: what stands in scripts, styles and titles is no tag, and a meta counts up to the
end of the head (the tree builder would change the encoding there, 13.2.3.4).
"""

import re
from collections.abc import Callable

PRESCAN_BYTES = 1024
HEAD_BYTES = 1 << 16
_TAG = re.compile(
    rb"<!--|<meta(?=[\t\n\f\r /])|<(script|style|title|textarea|noscript|iframe|xmp)(?=[\t\n\f\r />])"
    rb"|<(/head|body)(?=[\t\n\f\r />])|</?[A-Za-z][^\t\n\f\r >]*|<[!/?]",
    re.I,
)
_COMMENT_END = re.compile(rb"--!?>")
_ATTRIBUTE = re.compile(
    rb"[\t\n\f\r /]*(=?[^\t\n\f\r /=>]+|=)"
    rb"(?:[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\t\n\f\r >\"'][^\t\n\f\r >]*|(?=>))))?"
)
_TAG_END = re.compile(rb"[\t\n\f\r /]*>")
_XML = re.compile(rb"<\?xml[^>]{0,400}?encoding[\x00-\x20]*=[\x00-\x20]*([\"'])([\x21-\x7e]*?)\1")
_CONTENT = re.compile(
    rb"charset[\t\n\f\r ]*=[\t\n\f\r ]*(?:\"([^\"]*)\"|'([^']*)'|([^\"'\t\n\f\r ;][^\t\n\f\r ;]*))", re.I
)


def meta_label(body: bytes, is_known: Callable[[str], bool]) -> str | None:
    """The label of the first meta, else of the XML declaration, that names an encoding which is known."""
    if body.startswith((b"<\0?\0x\0", b"\0<\0?\0x")):
        return "utf-16le" if body[0] else "utf-16be"
    head = body[:HEAD_BYTES]
    lower = head.lower()
    if b"charset" not in lower and b"encoding" not in lower:
        return None
    if label := _prescan(head, lower, is_known):
        return label
    found = _XML.match(head.lstrip())
    return _known(found.group(2), is_known) if found else None


def _known(label: bytes | None, is_known: Callable[[str], bool]) -> str | None:
    text = label.strip().decode("latin-1") if label else ""
    return text if text and is_known(text) else None


def _prescan(head: bytes, lower: bytes, is_known: Callable[[str], bool]) -> str | None:
    at, following = 0, lower.find(b"charset")
    while following >= 0 and (found := _TAG.search(head, at)):
        start, at = found.start(), found.end()
        token = found.group().lower()
        if token == b"<!--":
            end = _COMMENT_END.search(head, start + 2)  # <!--> is whole
            if end is None:
                return None
            at = end.end()
        elif token == b"<meta":
            attributes, at = _attributes(head, at)
            if label := _known(_label_of(attributes), is_known):
                return label
        elif token in (b"<!", b"</", b"<?"):
            at = head.find(b">", at) + 1
            if not at:
                return None
        else:
            if found.group(2) and start >= PRESCAN_BYTES:
                return None
            at = _behind_tag(head, at)
            if found.group(1):
                at = max(lower.find(b"</" + found.group(1).lower(), at), at)
        if following < at:
            following = lower.find(b"charset", at)
    return None


def _behind_tag(head: bytes, at: int) -> int:
    end = head.find(b">", at) + 1
    quoted = end == 0 or head.find(b'"', at, end) >= 0 or head.find(b"'", at, end) >= 0  # quotes may hold a >
    return _attributes(head, at)[1] if quoted else end


def _attributes(head: bytes, at: int) -> tuple[dict[bytes, bytes], int]:
    """(the first value by lower-case name, index behind the tag). A tag that does not end has none."""
    attributes: dict[bytes, bytes] = {}
    while (end := _TAG_END.match(head, at)) is None:
        found = _ATTRIBUTE.match(head, at)
        if found is None or found.end() == at:
            return {}, len(head)
        name, double, single, bare = found.groups()
        value = next((v for v in (double, single, bare) if v is not None), b"")
        attributes.setdefault(name.lower(), value)
        at = found.end()
        if at >= len(head):
            return {}, at
    return attributes, end.end()


def _label_of(attributes: dict[bytes, bytes]) -> bytes | None:
    """`charset`, or that of a content whose http-equiv is content-type; 13.2.3.2 takes the last word of either."""
    label = attributes.get(b"charset")
    if label is None and attributes.get(b"http-equiv", b"").strip().lower() == b"content-type":
        found = _CONTENT.search(attributes.get(b"content", b""))
        label = next((v for v in found.groups() if v is not None), None) if found else None
    return label
