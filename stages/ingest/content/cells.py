"""The text of a cell of a table; of an icon that is all it holds, the alternative text, or ✓ and ✗ by its name."""

import re

from resiliparse.parse.html import ElementNode

SPACE = re.compile(r"[ \t\n\r\f]+")
_NO_DISPLAY = re.compile(r"display\s*:\s*none", re.I)
_YES = re.compile(r"(?:^|[-_ ])(?:check(?:mark|ed)?|tick|ok|yes)(?:$|[-_ ])", re.I)
_NO = re.compile(r"(?:^|[-_ ])(?:times|cross|remove|close|no|x)(?:$|[-_ ])", re.I)
_PICTURES = frozenset(("svg", "png", "gif", "jpg", "jpeg", "webp"))
_SAID = re.compile(
    r"(?:check|tick|yes|no|true|false|cross|on|off|full|partial|none|(?:un)?(?:supported|available)|(?:not )?included"
    r"|ja|nein|nee|oui|non|s[ií]|sim|não|tak|nie|да|нет|evet)(?:[ _-]?(?:mark|box|icon|sign))?[.!]?|[✓✔☑✅✗✘✕✖❌×]",
    re.I,
)  # of an alternative text or a label: other ones describe a picture
_HIDDEN = frozenset(
    ("script", "style", "noscript", "template", "button", "nav", "footer", "aside", "select", "textarea", "iframe")
)
_BLOCKS = frozenset(
    ("address", "article", "blockquote", "br", "dd", "div", "dl", "dt", "figure", "figcaption", "h1", "h2", "h3", "h4",
     "h5", "h6", "hr", "li", "ol", "p", "section", "ul")
)  # fmt: skip
_VOID = frozenset(
    ("area", "base", "basefont", "bgsound", "br", "col", "embed", "frame", "hr", "img", "input", "keygen", "link",
     "meta", "param", "source", "track", "wbr")
)  # fmt: skip
_RAW = frozenset(("script", "style", "iframe", "xmp", "noembed", "noframes"))
# The serialisation of HTML (WHATWG HTML, 13.3) quotes every value, and writes < in a text as a reference.
_VALUES = r"((?:[^\">]|\"[^\"]*+(?:\"|$))*+)(?:>|$)"
_TOKEN = re.compile(rf"<!--.*?(?:-->|$)|<(/?)([a-z][^\s/>]*+){_VALUES}|[^<]+|<", re.S | re.I)
_USE = re.compile(rf"<use{_VALUES}")
_ATTRIBUTE = re.compile(r"\s([^\s=]+)=\"([^\"]*)\"")


def cell_text(cell: ElementNode) -> str:
    """Its lines, spaces collapsed; its icons' meaning where it has no text.

    Read from the cell's markup: an object for each node of the tree would cost five times as much.
    """
    html = cell.html or ""
    parts: list[str] = []
    icons: list[tuple[str, str, str]] = []  # tag, attributes, content of an svg
    at = 0
    while at < len(html) and (token := _TOKEN.match(html, at)):
        at = token.end()
        closing, tag, attributes = token.groups()
        if tag is None:
            if not token[0].startswith("<!--"):
                parts.append(SPACE.sub(" ", token[0]))
        elif tag in _RAW and tag not in _HIDDEN and not closing:
            end = _end_of(html, tag, at)
            parts.append(SPACE.sub(" ", html[at:end].removesuffix(f"</{tag}>")).replace("&", "&amp;"))
            at = end
        elif closing:
            parts.append("\n" if tag in _BLOCKS else "")
        elif tag in _HIDDEN or _is_hidden(attributes):
            at = _end_of(html, tag, at)
        else:
            end = _end_of(html, tag, at) if tag == "svg" else at
            icons.append((tag, attributes, html[at:end]))
            parts.append("\n" if tag in _BLOCKS else "")
            at = end
    lines = (SPACE.sub(" ", line).strip() for line in _plain("".join(parts)).split("\n"))
    if text := "\n".join(line for line in lines if line):
        return text
    return " ".join(sign for icon in icons if (sign := sign_of(*icon)))


def _is_hidden(attributes: str) -> bool:
    if "hidden" not in attributes and "none" not in attributes.lower():
        return False
    values = _values(attributes)
    return "hidden" in values or _NO_DISPLAY.search(values.get("style", "")) is not None


def _values(attributes: str) -> dict[str, str]:
    return {name.lower(): _plain(value).replace("&quot;", '"') for name, value in _ATTRIBUTE.findall(attributes)}


def _plain(text: str) -> str:
    """The references that a serialisation writes in a text, as characters."""
    if "&" not in text:
        return text
    return text.replace("&nbsp;", "\xa0").replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def _end_of(html: str, tag: str, at: int) -> int:
    """Where the element ends whose start tag ends at `at`."""
    if tag in _VOID:
        return at
    open_n = 1
    while open_n and at < len(html):
        if tag in _RAW:
            at = end + len(tag) + 3 if (end := html.find(f"</{tag}>", at)) >= 0 else len(html)
            break
        token = _TOKEN.match(html, at)
        assert token is not None  # any character is a token
        at = token.end()
        if token[2] == tag:
            open_n += -1 if token[1] else 1
        elif token[2] in _RAW and not token[1]:
            at = _end_of(html, token[2], at)
    return at


def sign_of(tag: str, attributes: str, content: str) -> str:
    """What an icon says: alternative text, label or title, or ✓ and ✗ by its class or its file's name."""
    values = _values(attributes)
    if tag == "input":
        return "✓" if "checked" in values else ""
    for name in ("alt", "aria-label", "title"):
        said = SPACE.sub(" ", values.get(name, "")).strip()
        if _SAID.fullmatch(said):
            return said
    names = f"{values.get('class', '')} {_file_name(values.get('src', '')) if tag == 'img' else ''}".strip()
    if tag == "svg" and (use := _USE.search(content)):
        drawn = _values(use[1])
        names += f" {(drawn.get('href') or drawn.get('xlink:href') or '').lstrip('#')}"
    if tag not in ("img", "i", "span", "svg", "em", "b") or not names:
        return ""
    return "✓" if _YES.search(names) else "✗" if _NO.search(names) else ""


def _file_name(address: str) -> str:
    """A picture's file without its ending; nothing for another address."""
    stem, _, ending = re.split("[?#]", address, maxsplit=1)[0].rpartition("/")[2].rpartition(".")
    return stem if ending.lower() in _PICTURES else ""
