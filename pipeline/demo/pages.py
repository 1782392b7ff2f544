"""Turns READMEs, docstrings and source into the kind of HTML page that documentation sites serve.

One light converter reads Markdown and reStructuredText alike (headings, lists, literal blocks, links); a real parser
for each would be a dependency for the sake of an example.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from html import escape

_UNDERLINE = re.compile(r"^([=\-~^\"'*+#.`_])\1{2,}\s*$")
_MARKDOWN_HEADING = re.compile(r"^(#{1,6})\s+(.*?)\s*#*$")
_BULLET = re.compile(r"^\s*(?:[-*+•]|\d{1,3}[.)])\s+")
_COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
_NOISE = re.compile(  # badges, tags, and directives that name images and link targets; code is matched first, and stays
    r"(?P<code>``.+?``|`[^`\n]+`)"
    r"|\[?!\[[^\]]*\]\([^)]*\)(?:\]\([^)]*\))?|<(?!https?:)[a-zA-Z/][^>]{0,400}>"
    r"|^\.\.(?: (?:[|_\[]|image|:)[^\n]*| *)(?:\n +:[a-z]+:[^\n]*)*$",
    re.M,
)
_CODE = re.compile(r"``(.+?)``|`([^`<\n]+)`(?!_)")
_LINK = re.compile(r"\[([^\]\n]+)\]\((https?://[^)\s]+)\)|`([^`<]+?)\s*&lt;(https?://[^&\s]+)&gt;`__?")
_STRONG = re.compile(r"\*\*([^*\n]+)\*\*")


@dataclass(frozen=True)
class Page:
    """A page before it is written: `article` is HTML, `license` an SPDX expression or "" (no notice)."""

    kind: str
    host: str
    path: str
    title: str
    article: str
    site: str
    license: str = ""
    notice: int = 0  # which of NOTICES states the licence
    head: str = ""  # more <head> lines
    links: tuple[str, ...] = ()  # the site's navigation

    @property
    def url(self) -> str:
        return f"https://{self.host}{self.path}"

    def moved(self, host: str, **changes: str) -> "Page":
        return replace(self, host=host, **changes)


def _inline(text: str) -> str:
    text = escape(text, quote=False)
    text = _LINK.sub(lambda m: f'<a href="{escape(m[2] or m[4])}">{m[1] or m[3]}</a>', text)
    text = _CODE.sub(lambda m: f"<code>{m[1] or m[2]}</code>", text)
    return _STRONG.sub(r"<strong>\1</strong>", text)


def headings(text: str) -> Iterator[tuple[int, str]]:
    """(line number, heading) of every Markdown or underlined heading."""
    lines = text.split("\n")
    fenced = False
    for i, line in enumerate(lines):
        fenced ^= line.lstrip().startswith("```")
        if fenced:  # a "# comment" in code
            continue
        if m := _MARKDOWN_HEADING.match(line):
            yield i, m[2]
        elif i and _UNDERLINE.match(line) and lines[i - 1].strip() and not _UNDERLINE.match(lines[i - 1]):
            yield i - 1, lines[i - 1].strip()


def chapters(text: str, size: int) -> list[str]:
    """Cuts at headings into pieces of at least `size` characters (the last may be shorter)."""
    lines = text.split("\n")
    out, start, chars = [], 0, 0
    cuts = {i for i, _ in headings(text)}
    for i, line in enumerate(lines):
        if i in cuts and chars >= size:
            out.append("\n".join(lines[start:i]))
            start, chars = i, 0
        chars += len(line) + 1
    return [*out, "\n".join(lines[start:])]


def _blocks(text: str) -> Iterator[list[str]]:
    """Runs of non-blank lines; a fenced block is one run, fences included."""
    run: list[str] = []
    fenced = False
    for line in text.split("\n"):
        fence = line.lstrip().startswith("```")
        if fence and not fenced and run:
            yield run
            run = []
        if line.strip() or fenced:
            run.append(line.rstrip())
        elif run:
            yield run
            run = []
        if fence:
            fenced = not fenced
            if not fenced:
                yield run
                run = []
    if run:
        yield run


def prose(text: str, level: int = 2) -> str:
    """Markdown, reStructuredText or a docstring to HTML; headings start at <h`level`>."""
    out: list[str] = []
    literal = False
    for block in _blocks(_COMMENT.sub("", text.expandtabs(4))):
        first, indent = block[0], len(block[0]) - len(block[0].lstrip())
        if first.lstrip().startswith("```"):
            out.append(f"<pre><code>{escape(chr(10).join(block[1:-1]), quote=False)}</code></pre>")
        elif first.lstrip().startswith(">>> ") or (literal and indent) or first.startswith("    "):
            out.append(f"<pre>{escape(chr(10).join(block), quote=False)}</pre>")
        else:
            plain = _NOISE.sub(lambda m: m["code"] or "", "\n".join(block))
            out.extend(_paragraphs([line.rstrip() for line in plain.split("\n") if line.strip()], level))
        literal = block[-1].endswith("::") or (literal and bool(indent))
    return "\n".join(out)


def _paragraphs(block: list[str], level: int) -> Iterator[str]:
    lines = [line for line in block if not line.startswith(".. ") or line.endswith("::")]
    if len(lines) > 1 and _UNDERLINE.match(lines[0]):  # overlined title
        lines = lines[1:]
    while lines:
        line = lines[0]
        if m := _MARKDOWN_HEADING.match(line):
            depth, title, lines = level + min(len(m[1]), 4) - 1, m[2], lines[1:]
            yield f"<h{min(depth, 6)}>{_inline(title)}</h{min(depth, 6)}>"
        elif len(lines) > 1 and _UNDERLINE.match(lines[1]):
            depth = min(level + ("=-~^".find(lines[1][0]) % 4), 6)
            yield f"<h{depth}>{_inline(line.strip())}</h{depth}>"
            lines = lines[2:]
        elif _BULLET.match(line):
            items: list[str] = []
            while lines and (_BULLET.match(lines[0]) or lines[0].startswith(" ")):
                if m := _BULLET.match(lines[0]):
                    items.append(lines[0][m.end() :])
                else:
                    items[-1] += " " + lines[0].strip()
                lines = lines[1:]
            yield "<ul>" + "".join(f"<li>{_inline(i)}</li>" for i in items) + "</ul>"
        elif len(lines) > 1 and not line.startswith(" ") and lines[1].startswith("  "):  # a term and its definition
            body, lines = [], lines[1:]
            while lines and lines[0].startswith(" "):
                body.append(lines[0].strip())
                lines = lines[1:]
            yield f"<dl><dt>{_inline(line)}</dt><dd>{_inline(' '.join(body))}</dd></dl>"
        else:
            run: list[str] = []
            while lines and not (run and (_BULLET.match(lines[0]) or _MARKDOWN_HEADING.match(lines[0]))):
                if len(lines) > 2 and run and _UNDERLINE.match(lines[1]):
                    break
                run.append(lines[0].strip())
                lines = lines[1:]
            yield f"<p>{_inline(' '.join(run))}</p>"


def _rel_footer(spdx: str) -> tuple[str, str]:
    link = f'<a rel="license" href="https://spdx.org/licenses/{spdx}.html">{spdx}</a>'
    return "", f"<p>This page is distributed under the terms of {link}.</p>"


def _link_head(spdx: str) -> tuple[str, str]:
    site = {"Apache-2.0": "https://www.apache.org/licenses/LICENSE-2.0"}.get(
        spdx, f"https://opensource.org/licenses/{spdx}"
    )
    return f'<link rel="license" href="{site}">', ""


def _meta(spdx: str) -> tuple[str, str]:
    return f'<meta name="license" content="{spdx}">', ""


def _json_ld(spdx: str) -> tuple[str, str]:
    article = (
        f'{{"@context": "https://schema.org", "@type": "TechArticle", "license": "https://spdx.org/licenses/{spdx}"}}'
    )
    return f'<script type="application/ld+json">{article}</script>', ""


def _words(spdx: str) -> tuple[str, str]:
    return "", f"<p>Released under the {escape(spdx)} license.</p>"


def _dublin_core(spdx: str) -> tuple[str, str]:
    return f'<meta name="dcterms.license" content="https://spdx.org/licenses/{spdx}.html">', f"<p>License: {spdx}</p>"


# The ways in which sites state a licence: (head lines, footer lines) for an SPDX id.
NOTICES = (_rel_footer, _link_head, _meta, _json_ld, _words, _dublin_core)


def render(page: Page) -> str:
    """The whole page: head, navigation, main article, footer with the licence notice."""
    head, footer = "", ""
    if page.license:  # an expression such as "MIT OR Apache-2.0" has no page of its own to link to
        notice = NOTICES[page.notice % len(NOTICES)] if " " not in page.license else _words
        head, footer = notice(page.license)
    menu = "".join(
        f'<li><a href="{escape(link)}">{escape(link.strip("/").split("/")[-1] or "Home")}</a></li>'
        for link in page.links
    )
    return f"""<!DOCTYPE html>
<html lang="en">
<head>
<meta charset="utf-8">
<title>{escape(page.title)} - {escape(page.site)}</title>
<meta name="viewport" content="width=device-width, initial-scale=1">
{head}{page.head}
<link rel="stylesheet" href="/static/site.css">
</head>
<body>
<header><a href="/">{escape(page.site)}</a></header>
<nav aria-label="site"><ul><li><a href="/">Home</a></li>{menu}<li><a href="/search">Search</a></li></ul></nav>
<main>
<article>
<h1>{escape(page.title)}</h1>
{page.article}
</article>
</main>
<footer><p>{escape(page.site)} | <a href="/about">About</a> | <a href="/privacy">Privacy</a></p>{footer}</footer>
</body>
</html>
"""
