"""The text of a cell of a table; of an icon that is all it holds, the alternative text, or ✓ and ✗ by its name."""

import re

from resiliparse.parse.html import ElementNode, Node, TextNode

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


def cell_text(cell: ElementNode) -> str:
    """Its lines, spaces collapsed; its icons' meaning where it has no text."""
    parts: list[str] = []
    elements: list[tuple[ElementNode, str]] = []
    stack: list[Node | None] = [cell]  # None: the end of a block
    while stack:
        node = stack.pop()
        if node is None:
            parts.append("\n")
        elif isinstance(node, TextNode):
            parts.append(SPACE.sub(" ", node.value or ""))
        elif isinstance(node, ElementNode):
            tag = node.tag or ""
            if tag in _HIDDEN or node.hasattr("hidden") or ((style := node.getattr("style")) and _hides(style)):
                continue
            if tag in _BLOCKS:
                parts.append("\n")
                stack.append(None)
            elements.append((node, tag))
            if tag != "svg":
                stack.extend(reversed(node.child_nodes[:]))
    lines = (SPACE.sub(" ", line).strip() for line in "".join(parts).split("\n"))
    if text := "\n".join(line for line in lines if line):
        return text
    return " ".join(sign for node, tag in elements if (sign := sign_of(node, tag)))


def _hides(style: str) -> bool:
    return "none" in style.lower() and _NO_DISPLAY.search(style) is not None


def sign_of(node: ElementNode, tag: str) -> str:
    """What an icon says: alternative text, label or title, or ✓ and ✗ by its class or its file's name."""
    if tag == "input":
        return "✓" if node.hasattr("checked") else ""
    for name in ("alt", "aria-label", "title"):
        said = SPACE.sub(" ", node.getattr(name) or "").strip()
        if _SAID.fullmatch(said):
            return said
    names = f"{node.getattr('class') or ''} {_file_name(node.getattr('src') or '') if tag == 'img' else ''}".strip()
    if tag == "svg" and (use := node.query_selector("use")) is not None:
        names += f" {(use.getattr('href') or use.getattr('xlink:href') or '').lstrip('#')}"
    if tag not in ("img", "i", "span", "svg", "em", "b") or not names:
        return ""
    return "✓" if _YES.search(names) else "✗" if _NO.search(names) else ""


def _file_name(address: str) -> str:
    """A picture's file without its ending; nothing for another address."""
    stem, _, ending = re.split("[?#]", address, maxsplit=1)[0].rpartition("/")[2].rpartition(".")
    return stem if ending.lower() in _PICTURES else ""
