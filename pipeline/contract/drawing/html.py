"""HTML and SVG that are escaped by construction: text is escaped unless it was made here."""

import re
from collections.abc import Iterable, Mapping
from html import escape
from typing import TypeAlias

# Of HTML's elements, those that are written without an end tag.
_VOID = frozenset({"meta", "link", "br", "hr", "img", "wbr", "col"})

# C0 and C1 controls but tab and newline, and noncharacters: HTML allows none of them. Embeddings, overrides and
# isolates of the bidirectional algorithm: one in a name would turn the numbers after it around.
_CONTROLS = {
    **dict.fromkeys((*range(9), *range(11, 32), *range(127, 160), *range(0xD800, 0xE000), *range(0xFDD0, 0xFDF0)), "�"),
    **dict.fromkeys((*range(0x202A, 0x202F), *range(0x2066, 0x206A)), "�"),
    **dict.fromkeys((plane << 16 | end for plane in range(17) for end in (0xFFFE, 0xFFFF)), "�"),
}


class Html(str):
    """Markup that needs no escaping."""

    __slots__ = ()


Content: TypeAlias = "str | int | Iterable[Content] | None"
Attributes: TypeAlias = Mapping[str, str | int | float | None]


def text(value: str) -> Html:
    """The characters as they are, for an element or a quoted attribute; controls become U+FFFD."""
    return Html(escape(value.replace("\r\n", "\n").translate(_CONTROLS), quote=True))


def inner(content: Content) -> str:
    if content is None:
        return ""
    if isinstance(content, Html):
        return content
    if isinstance(content, (str, int)):
        return text(str(content))
    return "".join(inner(c) for c in content)


def tag(name: str, *content: Content) -> Html:
    """An element; "td.n.wide" is a td of the classes n and wide."""
    return tag_with(name, {}, *content)


def tag_with(name: str, attributes: Attributes, *content: Content) -> Html:
    """An element with attributes; those that are None are left out, floats are written with two decimals at most."""
    element, *classes = name.split(".")
    given = {"class": " ".join(classes) or None, **attributes}
    written = "".join(f' {k}="{text(_plain(v))}"' for k, v in given.items() if v is not None)
    if element in _VOID:
        return Html(f"<{element}{written}>")
    return Html(f"<{element}{written}>{inner(content)}</{element}>")


def breakable(name: str) -> Html:
    """A name of several words that may be broken behind _ . / - and other marks, and not inside a word."""
    return Html(re.sub(r"(?<=\w)([_./?&=-]+)(?=\w)", r"\1<wbr>", text(name)).replace("&<wbr>", "&"))


def together(*content: Content) -> Html:
    return Html(inner(content))


def _plain(value: str | int | float | None) -> str:
    return f"{value:.2f}".rstrip("0").rstrip(".") if isinstance(value, float) else str(value)
