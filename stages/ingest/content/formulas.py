r"""Puts the TeX of a page's formulas into its tree as text: $...$ inside a line, $$...$$ as a paragraph of its own.

TeX is taken from MathML's annotation or alttext (Wikipedia, KaTeX, LaTeXML), from MathJax's scripts and its \(..\) and
\[..\], and from the alt text or address of an image (MediaWiki, WordPress, Sphinx, Moodle, CodeCogs). What a script has
drawn beside its source goes. MathML without TeX stays as it is.
"""

import re
from urllib.parse import unquote, unquote_plus

from resiliparse.parse.html import ElementNode, HTMLTree, Node, TextNode

from gristmill.pipeline.kernels.page.needles import has_word, needles_of
from gristmill.pipeline.kernels.signs import has_formula_sign
from gristmill.stages.ingest.content.elements import found

# Each formula needs one of these, in any case; then the tree is asked.
_SIGNS = needles_of([
    b"<math", b"math/tex", b"mathjax", b"katex", b"latex", b"mwe-math", b"texrender", b"mathtex", b"\"math", b"'math",
    b"=math", b"math\"", b"math'", b"\"tex ", b"'tex ", b"=tex ", b"=tex>", b"tex\"", b"tex'",
])  # fmt: skip
_TEX_ENCODINGS = frozenset(("application/x-tex", "application/x-latex", "text/x-tex", "tex", "latex"))
_MATHJAX = (
    ".MathJax, .MathJax_Preview, .MathJax_Display, .MathJax_SVG, .MathJax_SVG_Display, .MathJax_CHTML, "
    ".MJXc-display, .mjx-chtml"
)
_IMAGES = (
    "img.mwe-math-fallback-image-inline, img.mwe-math-fallback-image-display, img.tex, img.latex, img.math, "
    "img.texrender, img[src*='latex.php'], img[src*='codecogs.com'], img[src*='mathtex.cgi'], img[src*='mimetex']"
)
# What holds a formula and its renderings: MediaWiki, KaTeX, MathJax 3
_WRAPPERS = frozenset(
    ("mwe-math-element", "katex", "katex-display", "mwe-math-element-inline", "mwe-math-element-block")
)
_WRAPPER_DEPTH = 4
_DISPLAY = frozenset(
    ("katex-display", "mwe-math-element-block", "mwe-math-mathml-display", "mwe-math-fallback-image-display",
     "MathJax_Display", "displaymath")
)  # fmt: skip
_NO_MATH = frozenset(("pre", "code", "script", "style", "textarea", "noscript"))
_SCRIPT = re.compile(r"<script\b[^<]*(?:<(?!/script)[^<]*)*", re.I)
_OPENING = re.compile(r"\\[(\[]")
_CLOSING = {"(": r"\)", "[": r"\]"}
_LONGEST = 4000  # characters between delimiters: beyond, one of them is no delimiter
_DELIMITERS = {r"\(": r"\)", r"\[": r"\]", "$$": "$$", "$": "$"}
_REMARK = re.compile(r"(?<!\\)%[^\n]*")  # of TeX: up to the end of its line
_STYLE = re.compile(r"\{\\(?:display|text)style(?![A-Za-z])(.*)\}", re.S)
_LETTERS = re.compile(r"[A-Za-z0-9]")


def may_have_formulas(raw: bytes) -> bool:
    """Whether a page in UTF-8 has a sign of formulas; one in twenty has a word such as aftermath without one."""
    return has_formula_sign(raw) and has_word(raw, _SIGNS)


def with_formulas(tree: HTMLTree, html: str, raw: bytes) -> str:
    """Changes `tree` where the page has formulas, and returns its markup then; else `html`. raw: the page in UTF-8."""
    if tree.document is None or not may_have_formulas(raw):
        return html
    n = _scripts(tree) + _mathml(tree) + _images(tree) + _delimited(tree, html)
    return tree.document.html if n else html


def tex_of(source: str) -> str:
    """TeX on one line, without remarks, the delimiters around it and the style that MediaWiki wraps it in."""
    lines, _, last = source.rpartition("\n")  # what no line end follows may be a per cent sign that was meant
    tex = " ".join(f"{_REMARK.sub(' ', lines)} {last}".split())
    for opening, closing in _DELIMITERS.items():
        if len(tex) > len(opening) + len(closing) and tex.startswith(opening) and tex.endswith(closing):
            tex = tex[len(opening) : -len(closing)].strip()
            break
    styled = _STYLE.fullmatch(tex)
    return styled.group(1).strip() if styled and _is_balanced(styled.group(1)) else tex


def _is_balanced(tex: str) -> bool:
    """Whether no brace closes what opened outside."""
    depth = 0
    for mark in re.findall(r"\\.|[{}]", tex, re.S):
        depth += (mark == "{") - (mark == "}")
        if depth < 0:
            return False
    return depth == 0


def _classes(node: Node | None) -> set[str]:
    return set((node.getattr("class") or "").split()) if isinstance(node, ElementNode) else set()


def _put(tree: HTMLTree, node: ElementNode, tex: str | None, display: bool) -> int:
    """The formula in the place of `node`; 1, or 0 where there is none."""
    tex = tex_of(tex or "")
    parent = node.parent
    new: Node | None = tree.create_text_node(f"$${tex}$$" if display else f"${tex}$")
    if not tex or parent is None or new is None:
        return 0
    if display and (block := tree.create_element("p")) is not None:
        block.append_child(new)
        new = block
    parent.replace_child(new, node)
    return 1


def _scripts(tree: HTMLTree) -> int:
    """MathJax 2 keeps the source in a script behind what it has drawn."""
    scripts = found(tree, "script[type^='math/tex']")
    if scripts:
        for drawn in found(tree, _MATHJAX):
            if drawn.parent is not None:
                drawn.decompose()
    return sum(_put(tree, s, s.text_content, "display" in (s.getattr("type") or "")) for s in scripts)


def _mathml(tree: HTMLTree) -> int:
    n = 0
    for math in found(tree, "math"):
        if math.query_selector("math") is not None:  # no formula; each would be searched for all that it holds
            continue
        display = math.getattr("display") == "block" or math.getattr("mode") == "display"
        tex = None
        for annotation in found(math, "annotation"):
            if (annotation.getattr("encoding") or "").strip().lower() in _TEX_ENCODINGS:
                tex = annotation.text_content
        tex = tex or math.getattr("alttext")
        if not tex:
            continue
        outer, above = math, math.parent
        for _ in range(_WRAPPER_DEPTH):
            if not isinstance(above, ElementNode):
                break
            names = _classes(above)
            display = display or bool(names & _DISPLAY) or above.getattr("display") == "true"
            if names & _WRAPPERS or above.tag == "mjx-container":
                outer = above
            above = above.parent
        n += _put(tree, outer, tex, display)
    return n


def _images(tree: HTMLTree) -> int:
    n = 0
    for image in found(tree, _IMAGES):
        tex = image.getattr("alt") or _tex_in(image.getattr("src") or "")
        names = _classes(image) | _classes(image.parent)
        if _LETTERS.search(tex):
            n += _put(tree, image, tex, bool(names & _DISPLAY) or names >= {"math", "display"})
    return n


def _tex_in(address: str) -> str:
    """The TeX in the address of an image that a server draws: behind latex= (WordPress), or the whole query."""
    _, _, query = address.partition("?")
    for field in query.split("&"):
        if field.startswith("latex="):
            return unquote_plus(field[6:])
    return unquote(query)


def _delimited(tree: HTMLTree, html: str) -> int:
    r"""\(..\) and \[..\] of pages that load MathJax or KaTeX, which leave code alone."""
    if r"\(" not in html and r"\[" not in html:
        return 0
    lower = html.lower()
    if "mathjax" not in lower and "katex" not in lower:
        return 0
    outside = _SCRIPT.sub("", html)  # MathJax's own settings name the delimiters
    if r"\(" not in outside and r"\[" not in outside:
        return 0
    n = 0
    # Slices, as in `_found`.
    stack: list[Node] = list(tree.body.child_nodes[:]) if tree.body is not None else []
    while stack:
        node = stack.pop()
        if node.tag in _NO_MATH:
            continue
        if isinstance(node, TextNode):
            value = node.value or ""
            new, here = dollars(value) if "\\" in value else (value, 0)
            if here:
                node.value = new
                n += here
        else:
            stack.extend(node.child_nodes[:])
    return n


def dollars(text: str) -> tuple[str, int]:
    r"""The text with \(..\) as $..$ and \[..\] as $$..$$, and how many there were; what is not closed stays."""
    parts: list[str] = []
    at = n = 0
    ends = {"(": -1, "[": -1}  # where the next end is, as far as it was looked for
    for opening in _OPENING.finditer(text):
        start, kind = opening.start(), opening.group()[1]
        if start < at:
            continue
        if ends[kind] < start + 2:
            found = text.find(_CLOSING[kind], start + 2)
            ends[kind] = found if found >= 0 else len(text)
        end = ends[kind]
        if end == len(text) or end - start > _LONGEST:
            continue
        tex, mark = tex_of(text[start + 2 : end]), "$" if kind == "(" else "$$"
        parts += [text[at:start], mark, tex, mark]
        at = end + 2
        n += 1
    return "".join([*parts, text[at:]]), n
