"""Links to licences in a page's tree: where each stands, and of what it speaks.

rel=license and its RDFa and microdata forms count, and plain links to addresses of content licences. A licence inside
an item or resource that is not the page (an image, a data set) is left out.
"""

import re
from collections.abc import Iterator

from resiliparse.parse.html import HTMLTree

from gristmill.stages.ingest.page.json_ld import HREF_CHARS, TEXT_CHARS, is_page_type

NODES = 20_000  # links of one page that are looked at
LINE_CHARS = 600
MARK_CHARS = 1000  # of an id or class
_SPACE = re.compile(r"\s+")
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
        "a[rel*=license i]", "link[rel*=license i]", "area[rel*=license i]", "[itemprop~=license i]",
        "[property$=license i]",
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
            return value[:HREF_CHARS] if name != "content" or re.match(r"https?:|//", value) else ""
    return ""


def _is_named(node) -> bool:
    for name in ("rel", "itemprop", "property"):
        tokens = (node.getattr(name) or "").lower().split()
        if any(re.split(r"[:/#]", token)[-1] == "license" for token in tokens):
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
