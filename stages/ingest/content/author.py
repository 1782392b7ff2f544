"""Who wrote a page, by its metadata: meta tags, JSON-LD, elements marked as author; for attribution, so pages with a
licence alone are asked.
"""

import re
from collections.abc import Iterator

import orjson
from resiliparse.parse.html import HTMLTree

from gristmill.stages.ingest.content.elements import found
from gristmill.stages.ingest.page.licence_links import is_page_type

NAME_CHARS, NAMES = 200, 20
# Dublin Core, Highwire Press, Open Graph, Parse.ly, Sailthru
_METAS = frozenset(
    (
        "author",
        "article:author",
        "dc.creator",
        "dcterms.creator",
        "citation_author",
        "parsely-author",
        "sailthru.author",
    )
)
_MARKED = "[itemprop=author], a[rel~=author], address[rel~=author], .byline [rel=author]"
_BY = re.compile(
    r"(?:by|von|par|por|di|av)\s+(?=\w)|(?:author|autor|auteur)\s*:\s*"
    r"|(?:show|view|see|zeige|ver|voir|more|mehr|all|alle)\s[^.]{0,40}?\b(?:by|of|von|par|por|from)\s*(?=\w)",
    re.I,
)
_NOBODY = frozenset(("admin", "administrator", "unknown", "anonymous", "webmaster", "editor", "staff", "user", "guest"))
JSON_NODES = 2000


def author_of(tree: HTMLTree) -> str | None:
    """Names joined by "; ", from the first place that has any; None: the page names none."""
    for place in (_from_metas, _from_json, _from_marked):
        names = list(dict.fromkeys(name for value in place(tree) if (name := _name(value))))
        if names:
            return "; ".join(names[:NAMES])[:NAME_CHARS]
    return None


def _name(value: str | None) -> str:
    """A person's or body's name; nothing for an address or an account that is nobody's."""
    name = " ".join((value or "").replace("\0", "").split())
    name = name[opening.end() :] if (opening := _BY.match(name)) else name
    name = name.strip(" ,;:|→»›")
    bad = not name or len(name) > NAME_CHARS or "://" in name or name.lower() in _NOBODY
    return "" if bad else name


def _from_metas(tree: HTMLTree) -> Iterator[str | None]:
    for meta in found(tree, "meta[name][content], meta[property][content]"):
        if (meta.getattr("name") or meta.getattr("property") or "").strip().lower() in _METAS:
            yield meta.getattr("content")


def _from_json(tree: HTMLTree) -> Iterator[str | None]:
    for script in found(tree, "script[type='application/ld+json']"):
        try:
            waiting = [orjson.loads(script.text_content or "")]
        except orjson.JSONDecodeError:
            continue
        for _ in range(JSON_NODES):
            if not waiting:
                break
            node = waiting.pop()
            if isinstance(node, list):
                waiting.extend(reversed(node))
            elif isinstance(node, dict) and _is_page(node):
                yield from _names(node.get("author") or node.get("creator"))
                waiting.extend(value for key in ("mainEntity", "@graph") if (value := node.get(key)))


def _is_page(node: dict) -> bool:
    kinds = node.get("@type")
    return all(is_page_type(kind) for kind in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(kind, str))


def _names(value: object) -> Iterator[str | None]:
    for item in value if isinstance(value, list) else [value]:
        name = item.get("name") if isinstance(item, dict) else item
        yield from (one for one in (name if isinstance(name, list) else [name]) if isinstance(one, str))


def _from_marked(tree: HTMLTree) -> Iterator[str | None]:
    for element in found(tree, _MARKED):
        named = element.query_selector("[itemprop=name]")
        yield element.getattr("content") or (named or element).text_content
