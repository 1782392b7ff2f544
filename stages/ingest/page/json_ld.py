"""Licences in JSON-LD and microdata, of the page itself: those of an image, data set or program in it are theirs."""

import json
import re
from collections.abc import Iterator, Mapping

import orjson

NODES = 20_000
HREF_CHARS, TEXT_CHARS = 2000, 200
_LICENCE_KEYS = ("license", "licence", "usageinfo", "acquirelicensepage", "copyrightnotice")
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
_OTHER_WORDS = re.compile(r'"(?:@?type)"\s*:\s*"[^"]*(?:Image|Video|Audio|Media|Dataset|Software|Application)', re.I)
_PLAIN = re.compile(r'"license"\s*:\s*"([^"]{1,2000})"')


def is_page_type(name: str) -> bool:
    """Whether a type, given as a name or an address, is a page's or its text's."""
    return re.split(r"[/#:]", name.rstrip("/#"))[-1].lower() in _PAGE_TYPES


def json_licences(script: bytes) -> Iterator[tuple[str, str]]:
    """(href, text) of the licence fields of the nodes that are the page."""
    text = script.decode("utf-8", "replace").strip()
    text = text.removeprefix("<!--").removesuffix("-->").replace("/*<![CDATA[*/", "").replace("/*]]>*/", "")
    text = text.strip().removeprefix("//<![CDATA[").removesuffix("//]]>").strip().rstrip(";")
    try:
        root = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            root = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            # no JSON: what stands in it is the page's only where nothing else is spoken of
            root = {} if _OTHER_WORDS.search(text) else {"license": _PLAIN.findall(text)}
    waiting, seen = [root], 0
    while waiting and seen < NODES:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict) and _is_page(node):
            for key, value in node.items():
                name = re.split(r"[/#:]", key)[-1].lower() if not key.startswith("@") else key
                if name in _LICENCE_KEYS:
                    yield from _values(value)
                elif name in _SAME and isinstance(value, dict | list):
                    waiting.append(value)


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
