"""Licences that a page's links, microdata, RDFa and JSON-LD name: where each stands, and of what it speaks.

rel=license and its RDFa and microdata forms count, and plain links to addresses of content licences. A licence inside
an item or node that is not the page (an image, a data set, a program) is that item's and left out.
"""

import json
import re
from collections.abc import Iterator, Mapping

import orjson
from resiliparse.parse.html import HTMLTree

JSON_NODES = 20_000
HREF_CHARS, TEXT_CHARS = 2000, 200
_LICENCE_KEYS = ("license", "licence", "usageinfo", "acquirelicensepage", "copyrightnotice")
USAGE_INFO = "usageinfo"  # schema.org: where terms of use can be read
# Types of schema.org (and of LRMI's and AMB's profiles) that are a page or its text; every other is something else.
_TYPES = """creativework webpage webpageelement website article newsarticle techarticle scholarlyarticle blogposting
blog report socialmediaposting liveblogposting discussionforumposting analysisnewsarticle opinionnewsarticle
askpublicnewsarticle backgroundnewsarticle reportagenewsarticle reviewnewsarticle advertisercontentarticle
satiricalarticle apireference medicalscholarlyarticle medicalwebpage aboutpage checkoutpage collectionpage
contactpage faqpage itempage profilepage qapage searchresultspage learningresource course syllabus quiz howto
recipe legislation digitaldocument textdigitaldocument presentationdigitaldocument notedigitaldocument chapter
thesis poem shortstory wikipage text"""
_PAGE_TYPES = frozenset(_TYPES.split())
_SAME = ("@graph", "mainentity", "mainentityofpage")  # what these hold is the page, or says itself what it is
_TYPED = re.compile(r'"@?type"\s*:\s*\[?\s*"([^"]*)"')
_AUTHORS = frozenset(("person", "organization", "newsmediaorganization", "url", "breadcrumblist", "listitem"))
# What XHTML and old habits put around a script's content
_WRAPPERS = tuple(
    (
        re.compile(rf"(?:/\*|//)?\s{{0,9}}{start}\s{{0,9}}(?:\*/)?"),
        re.compile(rf"(?:/\*|//)?\s{{0,9}}{end}\s{{0,9}}(?:\*/)?$"),
    )
    for start, end in ((r"<!--", r"-->"), (r"<!\[CDATA\[", r"\]\]>"))
)
_TRAILING_COMMA = re.compile(r",(?=\s*[}\]])")
_PLAIN = re.compile(r'"license"\s*:\s*"([^"]{1,2000})"')


def is_page_type(name: str) -> bool:
    """Whether a type, given as a name or an address, is a page's or its text's."""
    return re.split(r"[/#:]", name.rstrip("/#"))[-1].lower() in _PAGE_TYPES


def json_licences(script: bytes) -> Iterator[tuple[str, str, str]]:
    """(key, href, text) of the licence fields of the nodes that are the page; keys in lower case."""
    text = _unwrapped(script.decode("utf-8", "replace"))
    try:
        root = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            root = json.loads(_TRAILING_COMMA.sub("", text), strict=False)
        except (ValueError, RecursionError):
            # no JSON: what stands in it is the page's only where nothing else is spoken of
            typed = (re.split(r"[/#:]", name)[-1].lower() for name in _TYPED.findall(text))
            root = {"license": _PLAIN.findall(text)} if _PAGE_TYPES.union(_AUTHORS).issuperset(typed) else {}
    waiting, seen = [root], 0
    while waiting and seen < JSON_NODES:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict) and _is_page(node):
            for key, value in node.items():
                name = re.split(r"[/#:]", key)[-1].lower() if not key.startswith("@") else key
                if name in _LICENCE_KEYS:
                    yield from ((name, href, said) for href, said in _values(value))
                elif name in _SAME and isinstance(value, dict | list):
                    waiting.append(value)


def _unwrapped(script: str) -> str:
    """The content of a script without the comment or CDATA section around it."""
    text = script.strip().rstrip("; ")
    for start, end in _WRAPPERS:
        if (opened := start.match(text)) is not None:
            text = text[opened.end() :].strip()
            text = text[: closed.start()] if (closed := end.search(text, max(0, len(text) - 10))) else text
    return text.strip().rstrip(";")


def _is_page(node: Mapping) -> bool:
    kinds = node.get("@type", node.get("type"))
    names = [k for k in (kinds if isinstance(kinds, list) else [kinds]) if isinstance(k, str)]
    return all(is_page_type(name) for name in names)


def _values(value: object) -> Iterator[tuple[str, str]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            named = (item.get(key) for key in ("url", "@id", "id", "@value", "identifier", "sameAs"))
            href = next((v for v in named if isinstance(v, str) and v.strip()), "").strip()
            name = item.get("name")
            text = name if isinstance(name, str) else ""
            if not re.match(r"https?:|//|/", href):
                href, text = "", text or href
            if href or text:
                yield href[:HREF_CHARS], text[:TEXT_CHARS]
        elif isinstance(item, str) and item.strip():
            item = item.strip()
            yield (item[:HREF_CHARS], "") if re.match(r"https?:|//|/", item) else ("", item[:TEXT_CHARS])


NODES = 20_000  # links of one page that are looked at
LINE_CHARS = 600
MARK_CHARS = 1000  # of an id or class
_SPACE = re.compile(r"\s+")
_ADDRESS = re.compile(r"(?:https?:)?//\S+", re.I)
# Addresses of licences for content; those of programs' licences count only with rel or in words.
CONTENT_HOSTS = {
    "creativecommons": re.compile(r"creativecommons\.(?:org|net)/(?:licen[sc]es|publicdomain|licens)", re.I),
    "licence-ouverte": re.compile(r"(?:etalab\.gouv\.fr|data\.gouv\.fr|github\.com/etalab)/", re.I),
    "govdata.de/dl-de": re.compile(r"govdata\.de/dl-de/", re.I),
    "open-government-licence": re.compile(r"nationalarchives\.gov\.uk/doc/|open\.canada\.ca/", re.I),
    "licence-du-gouvernement-ouvert": re.compile(r"(?:ouvert|open)\.canada\.ca/", re.I),
    "norge.no/nlod": re.compile(r"data\.norge\.no/nlod", re.I),
    "opendatacommons": re.compile(r"opendatacommons\.org/licenses/", re.I),
    "gnu.org/licenses/fdl": re.compile(r"gnu\.org/", re.I),
    "gnu.org/copyleft/fdl": re.compile(r"gnu\.org/", re.I),
}
_QUERY = ", ".join(
    [
        "[rel*=license i]", "[itemprop~=license i]", "[property*=license i]",
        *(f"{tag}[href*='{word}' i]" for word in CONTENT_HOSTS for tag in ("a", "area")),
    ]
)  # fmt: skip
_PLACES = {
    "head": "head", "header": "header", "nav": "nav", "main": "main", "article": "main", "aside": "aside",
    "footer": "footer",
}  # fmt: skip
_FOOTER = re.compile(r"(?:^|[\s_\-])(?:footer|foot|colophon|copyright|site-?info|fuss|pie|bottom)", re.I)
_ASIDE = re.compile(r"(?:^|[\s_\-])(?:sidebar|aside|widget)", re.I)
_MEDIA_FILE = re.compile(
    r"\.(?:jpe?g|png|gif|svg|webp|avif|tiff?|mp3|mp4|ogg|ogv|webm|wav|zip|csv|json|pdf)(?:[?#]|$)", re.I
)


def tree_links(tree: HTMLTree) -> Iterator[tuple[str, str, str, str]]:
    """(href, kind, place, text): kind rel for what is named as the licence, cc for a plain link to one."""
    if tree.document is None:
        return
    # One slice: an iterator over the list makes all nodes anew for each of its steps.
    for node in tree.document.query_selector_all(_QUERY)[:NODES]:
        href = _href(node)
        named = _is_named(node)
        if not named and not any(
            pattern.search(href) for word, pattern in CONTENT_HOSTS.items() if word in href.lower()
        ):
            continue
        if "rsl+xml" in (node.getattr("type") or "").lower():
            continue
        place, of_page = _where(node)
        if of_page:
            yield href, "rel" if named else "cc", place, _text_of(node)


def _href(node) -> str:
    for name in ("href", "resource", "content", "src"):
        if value := (node.getattr(name) or "").strip():
            return value[:HREF_CHARS] if name != "content" or _ADDRESS.match(value) else ""
    if node.getattr("property") or node.getattr("itemprop"):  # the value is the element's text
        text = (node.text or "")[: HREF_CHARS + LINE_CHARS].strip()
        return text if len(text) <= HREF_CHARS and _ADDRESS.fullmatch(text) else ""
    return ""


def _is_named(node) -> bool:
    for name in ("rel", "itemprop", "property"):
        tokens = (node.getattr(name) or "").lower().split()
        if any(re.split(r"[:/#.]", token)[-1] == "license" for token in tokens):
            return True
    return False


def _text_of(node) -> str:
    text = _SPACE.sub(" ", (node.text or "").lstrip()[:LINE_CHARS]).strip() or node.getattr("title") or ""
    if not text and node.tag == "meta":
        text = node.getattr("content") or ""
    if not text:
        image = node.query_selector("img[alt]")
        text = (image.getattr("alt") or "") if image is not None else ""
    return _SPACE.sub(" ", text).strip()[:TEXT_CHARS]


def _where(node) -> tuple[str, bool]:
    """(the nearest landmark around a node: an element, or a footer or sidebar by class or id, else main; whether the
    nearest item or resource around it is the page)."""
    place, of_page = "", True
    scoped = False
    for _ in range(200):
        if not scoped and (about := _subject(node)) is not None:
            scoped, of_page = True, about
        node = node.parent
        if node is None or node.tag is None:
            break
        tag = node.tag
        if tag in ("body", "#document", "html"):
            break
        if not place and tag in _PLACES:
            place = _PLACES[tag]
        if not place and tag in ("div", "section", "td", "p", "ul", "table"):
            mark = f"{(node.getattr('id') or '')[:MARK_CHARS]} {(node.getattr('class') or '')[:MARK_CHARS]}"
            if len(mark) > 1:
                place = "footer" if _FOOTER.search(mark) else "aside" if _ASIDE.search(mark) else ""
    return place or "main", of_page


def _subject(node) -> bool | None:
    """Whether the item (microdata) or resource (RDFa) that an element opens is the page; null where it opens none."""
    if node.getattr("itemscope") is not None:
        kind = node.getattr("itemtype") or ""
        return all(is_page_type(name) for name in kind.split())
    if kind := node.getattr("typeof"):
        return all(is_page_type(name) for name in kind.split())
    if about := node.getattr("about"):
        return _MEDIA_FILE.search(about) is None
    return None
