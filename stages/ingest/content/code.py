"""Preformatted code of a page: line numbers go, and Markdown fences it, with the language that a class names."""

import re
from collections.abc import Iterator

from resiliparse.parse.html import ElementNode, Node, TextNode

from gristmill.stages.ingest.content.elements import found

_GUTTERS = (
    "td.linenos, td.gutter, td.rouge-gutter, td.hljs-ln-numbers, td.blob-num, td.lineno, span.linenos, span.lineno, "
    "span.line-number, span.line-numbers-rows, span.ln, a.linenos, a.lineno, div.linenos, div.gutter, pre.lineno"
)
_LANGUAGE = re.compile(
    r"(?:^|[ ])(?:lang(?:uage)?-|brush: ?|highlight-source-|mw-highlight-lang-|highlight-|sourceCode (?!numberSource))"
    r"([A-Za-z][A-Za-z0-9+#_.-]{0,19})(?=$|[ ;])"
)
# What follows `highlight-` or stands for no language at all
_NO_LANGUAGE = frozenset(
    ("default", "none", "text", "plain", "plaintext", "notranslate", "source", "highlighter", "nohighlight", "rouge",
     "wrapper", "container", "block", "code")
)  # fmt: skip
# What highlight.js 11 and Pygments 2 call languages, as far as it is no common name of a class
_NAMES = frozenset(
    ("bash", "c", "cpp", "csharp", "css", "dart", "diff", "dockerfile", "elixir", "erlang", "fortran", "fsharp", "go",
     "golang", "groovy", "haskell", "hs", "html", "ini", "java", "javascript", "js", "json", "julia", "kotlin", "latex",
     "less", "lisp", "lua", "makefile", "matlab", "objectivec", "ocaml", "perl", "php", "powershell", "py", "python",
     "python3", "r", "rb", "ruby", "rust", "scala", "scheme", "scss", "sh", "shell", "sql", "swift", "tex", "toml",
     "ts", "tsx", "typescript", "vb", "xml", "yaml", "yml", "zsh")
)  # fmt: skip
_CODE_CLASS = re.compile(r"(?:^|[-_ ])(?:code|source(?:code)?|highlight|prettyprint|hljs|syntax|brush|programlisting)")
_CODE_LINE = re.compile(r"^(?:\t|  +)\S|[{};]\s*$|^\s*(?:#include|def |import |from \S+ import |>>> |\$ )", re.M)
CODE_FRAC = 0.3  # of the lines that look like code: from here on a `pre` without any class is code
_TICKS = re.compile(r"(?:`{3,})")


def fence(pre: ElementNode, markdown: bool) -> bool:
    """Changes a `pre`: line numbers out, also those in a table beside it; with Markdown, code between fences.

    Whether anything was changed."""
    gutters = found(pre, _GUTTERS)
    cell = pre.parent
    while isinstance(cell, ElementNode) and cell.tag in ("div", "td", "figure", "code"):
        if cell.tag == "td" and isinstance(cell.parent, ElementNode):
            gutters += [other for other in found(cell.parent, _GUTTERS) if other.tag == "td"]
            break
        cell = cell.parent
    for gutter in gutters:
        gutter.decompose()
    if not markdown or _is_table(pre):
        return bool(gutters)
    text = _lines_of(pre).strip("\n")
    if not text or text.isspace() or not is_code(pre, text):
        return bool(gutters)
    longest = max(map(len, _TICKS.findall(text)), default=2)
    mark = "`" * max(longest + 1, 3)
    pre.text_content = f"\n{mark}{language_of(pre)}\n{text}\n{mark}\n"
    return True


def _is_table(pre: ElementNode) -> bool:
    return isinstance(pre.parent, ElementNode) and pre.parent.tag == "table"


def _lines_of(pre: ElementNode) -> str:
    """The text as it is laid out: breaks, and list items and blocks as lines of their own."""
    if pre.query_selector("br, div, li, p") is None:
        return pre.text_content or ""
    parts: list[str] = []
    stack: list[Node | None] = [pre]
    while stack:
        node = stack.pop()
        if node is None:
            if parts and not parts[-1].endswith("\n"):
                parts.append("\n")
        elif isinstance(node, TextNode):
            parts.append(node.value or "")
        elif isinstance(node, ElementNode) and node.tag not in ("button", "script", "style"):
            if node.tag == "br":
                parts.append("\n")
            elif node.tag in ("div", "li", "p"):
                stack.append(None)
            stack.extend(reversed(node.child_nodes[:]))
    return "".join(parts)


def is_code(pre: ElementNode, text: str) -> bool:
    """Whether a `pre` holds code: an element or a class says it, or its lines look like it. Mail and verse do not."""
    if pre.query_selector("code, samp, kbd, span[class]") is not None or language_of(pre):
        return True
    if any(_CODE_CLASS.search(node.getattr("class") or "") for node in _around(pre)):
        return True
    lines = [line for line in text.split("\n") if line.strip()]
    return len(_CODE_LINE.findall(text)) >= CODE_FRAC * len(lines)


def language_of(pre: ElementNode) -> str:
    """The language that a class or data-lang names, on the `pre`, its code or the two elements around; or nothing."""
    for node in _around(pre):
        said = node.getattr("data-lang") or node.getattr("data-language")
        names = node.getattr("class") or ""
        for name in (said, *_LANGUAGE.findall(names)):
            name = (name or "").strip().lower()
            if name and name not in _NO_LANGUAGE and re.fullmatch(r"[a-z][a-z0-9+#_.-]{0,19}", name):
                return name
        if node.tag in ("pre", "code") and (named := [n for n in names.lower().split() if n in _NAMES]):
            return named[0]
    return ""


def _around(pre: ElementNode) -> Iterator[ElementNode]:
    if (code := pre.query_selector("code")) is not None:
        yield code
    node: Node | None = pre
    for _ in range(3):
        if isinstance(node, ElementNode):
            yield node
            node = node.parent
