"""What a page says about its licence and about mining it: links, metadata, rights lines, reservations.

The markup kernel has found where words of interest stand; only there is anything parsed, only then is the tree asked.
"""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import orjson
from resiliparse.parse.html import HTMLTree

from gristmill.pipeline.kernels.text.markup import COMMENT, META, SCRIPT, TAG, TEXT, Scan, needles_of
from gristmill.stages.ingest.page.plain import unescaped

LINKS = 50
RIGHTS_CHARS = 1000
TEXT_CHARS = 200
LINE_BYTES = 600  # how far around a hit its line may reach
TAG_BYTES = 4096  # of a tag that are looked at around a hit
MARK_CHARS = 1000  # of an id or class

_MARKUP = ["ld+json", "creativecommons", "noai", "noimageai", "tdm-reservation", "tdm-policy", "rdf:", "spdx"]
# lines that claim or grant rights outright; the others are taken as long as there is room
_STRONG = [
    "&copy", "&#169", "&#xa9", "(c) 1", "(c) 2", "(c)1", "(c)2", "copyright", "copyleft", "rights reserved",
    "creative commons", "public domain", "cc by", "cc-by", "cc0", "rechte vorbehalten", "urheberrecht", "gemeinfrei",
    "droits réservés", "droits reserves", "droit d'auteur", "droits d'auteur", "domaine public", "derechos reservados",
    "derechos de autor", "dominio público", "direitos reservados", "direitos autorais", "domínio público",
    "diritti riservati", "diritto d'autore", "pubblico dominio", "auteursrecht", "rechten voorbehouden", "ophavsret",
    "rettigheder forbeholdt", "upphovsrätt", "opphavsrett", "tekijänoike", "oikeudet pidätetään", "prawa zastrze",
    "prawa autorskie", "práva vyhrazena", "autorská práva", "minden jog", "szerzői jog", "telif hak", "hakları sakl",
    "drepturile rezervate", "drepturi de autor", "авторск", "Авторск", "права защищены", "права захищ", "авторское",
    "всички права", "πνευματικ", "Πνευματικ", "版权", "版權", "著作权", "著作權", "無断転載", "無斷轉載", "저작권",
    "무단전재", "무단 전재", "حقوق", "זכויות", "ลิขสิทธิ์", "सर्वाधिकार", "कॉपीराइट", "bản quyền", "hak cipta",
]  # fmt: skip
_WEAK = [
    "licen", "lizen", "licenz", "лиценз", "Лиценз", "ліценз", "Ліценз", "gnu free", "gfdl", "all rights", "许可协议",
    "許可證", "ライセンス", "라이선스", "转载", "轉載", "転載",
]  # fmt: skip
_META_ONLY = ["rights"]  # behind the others, of which one has the same beginning
_WORDS = [w.encode() for w in (*_MARKUP, *_STRONG, *_WEAK, *_META_ONLY)]
NEEDLES = needles_of([w if len(w) >= 4 else w + b" " for w in _WORDS])
_MARKUP_N, _STRONG_N = len(_MARKUP), len(_MARKUP) + len(_STRONG)
_WEAK_N = _STRONG_N + len(_WEAK)
_CC = _MARKUP.index("creativecommons")
_LICENCE = frozenset(_STRONG_N + _WEAK.index(w) for w in ("licen", "lizen"))

_BLOCK = re.compile(
    rb"</?(?:address|article|aside|blockquote|body|br|caption|center|dd|div|dl|dt|fieldset|figcaption|figure|footer|form|h[1-6]"
    rb"|head|header|hr|html|iframe|li|main|nav|ol|option|p|pre|script|section|select|style|table|tbody|td|textarea|tfoot|th|thead"
    rb"|title|tr|ul|button)\b[^>]*>?",
    re.I,
)
_ANY_TAG = re.compile(rb"<!--.*?(?:-->|$)|<[^>]*>?|^[^<>]{0,300}?>", re.S)
_SPACE = re.compile(r"\s+")
# A name begins where none goes on: from inside one, each of its characters would be tried again.
_ATTRIBUTE = re.compile(r"(?<![\w:.\-])([\w:.\-]+)\s*=\s*(?:\"([^\"]*)\"|'([^']*)'|([^\s\"'>]+))")
_CC_URL = re.compile(r"creativecommons\.org/(?:licen[sc]es|publicdomain|licens)", re.I)
_RDF = re.compile(
    r"<(?:cc:)?license\s+rdf:resource\s*=\s*[\"']([^\"']+)|<(?:cc:)?License\s+rdf:about\s*=\s*[\"']([^\"']+)"
)
_RIGHTS_META = re.compile(
    r"(?:^|[:._\-])(?:rights(?:holder|standard)?|licen[sc]e|copyright|accessrights)$|rights|licen[sc]e|copyright"
)
_REL = re.compile(rb"\brel\s*=", re.I)
_REL_QUOTED = re.compile(rb"\brel\s*=\s*[\"']\Z", re.I)
_CC_ADDRESS = re.compile(rb"creativecommons\.org/(?:licen|publicdomain)", re.I)
_LINK_HEADER = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*!]+\s*=\s*(?:\"[^\"]*\"|[^,;\"]+))*)")
_PARAMETER = re.compile(r";\s*([\w*!]+)\s*=\s*(?:\"([^\"]*)\"|([^,;\"]+))")
_SPDX = re.compile(
    r"(?:CC0-|CC-(?:BY|PDDC)|MIT|Apache-|BSD-|[AL]?GPL-|GFDL-|MPL-|EPL-|ISC$|Unlicense$|ODbL-|ODC-|PDDL-|OGL-|EUPL-|Zlib$|BSL-|0BSD$|Artistic-|WTFPL$"
    r"|CDLA-|etalab-|NLOD-|DL-DE-)[A-Za-z0-9.+\-]*$"
)
_TREE_QUERY = (
    "a[rel~=license i], link[rel~=license i], area[rel~=license i], "
    "a[href*=creativecommons i], area[href*=creativecommons i]"
)
_PLACES = {
    "head": "head",
    "header": "header",
    "nav": "nav",
    "main": "main",
    "article": "main",
    "aside": "aside",
    "footer": "footer",
}
_FOOTER = re.compile(r"(?:^|[\s_\-])(?:footer|foot|colophon|copyright|site-?info|fuss|pie|bottom)", re.I)
_ASIDE = re.compile(r"(?:^|[\s_\-])(?:sidebar|aside|widget)", re.I)


@dataclass(slots=True)
class Evidence:
    """The evidence columns of one page; `links` as (href, kind, place, text)."""

    links: list[tuple[str, str, str, str]] = field(default_factory=list)
    rights_text: str | None = None
    opt_outs: list[str] = field(default_factory=list)
    declared: str | None = None


def harvest(page: bytes, scan: Scan, tree: HTMLTree | None, headers: Mapping[str, str]) -> Evidence:
    """`page`: UTF-8; `scan`: of the page with NEEDLES; `tree`: None where the page was too risky to parse."""
    found = Evidence()
    if headers:
        _from_headers(headers, found)
    if not len(scan.hits):
        return found
    hits = scan.hits.tolist()
    ask_tree, rights, tags = False, [], set()
    for at, word, region in hits:
        if region == TEXT:
            if _MARKUP_N <= word < _WEAK_N or word == NEEDLES.sign:
                rights.append((at, word < _STRONG_N or word == NEEDLES.sign))
        elif region == TAG:
            if not ask_tree and (word == _CC or word in _LICENCE):
                ask_tree = _is_licence_tag(page, at, word == _CC)
        else:
            tags.add((page.rfind(b"<meta" if region == META else b"<", 0, at + 5), at, region))
    _from_metadata(page, sorted(tags), found)
    if ask_tree and tree is not None:
        found.links.extend(_from_tree(tree))
    found.links = list(dict.fromkeys(found.links))[:LINKS]
    if rights:
        found.rights_text = _rights_lines(page, rights)
    found.opt_outs = sorted(set(found.opt_outs))
    return found


def _is_licence_tag(page: bytes, at: int, commons: bool) -> bool:
    """Whether the tag around `at`, where a word of licences stands, is a link to one by its rel or its address."""
    start, stop = max(at - TAG_BYTES, 0), at + TAG_BYTES
    start = max(page.rfind(b"<", start, at), start)
    if commons:
        return _CC_ADDRESS.match(page, at, stop) is not None
    if page[at : at + 7].lower() not in (b"license", b"licence"):
        return False
    before = page[start:at]
    quote = max(before.rfind(b'"'), before.rfind(b"'"))
    if quote >= 0 and _REL_QUOTED.search(before[max(quote - 64, 0) : quote + 1]):
        return True
    return _REL.search(before, quote + 1) is not None


def is_spdx_id(value: str) -> bool:
    """A licence id of the families that pages and data sets use."""
    return _SPDX.match(value) is not None


def _from_headers(headers: Mapping[str, str], found: Evidence) -> None:
    if link := headers.get("link"):
        for href, params in _LINK_HEADER.findall(link):
            names = [quoted or bare for name, quoted, bare in _PARAMETER.findall(params) if name.lower() == "rel"]
            if any(re.search(r"\blicense\b", value, re.I) for value in names):
                found.links.append((href.strip()[:2000], "header", "http", ""))
    robots = headers.get("x-robots-tag", "")
    found.opt_outs += [f"x-robots-tag:{word}" for word in _no_words(robots)]
    if headers.get("tdm-reservation", "").strip() == "1":
        found.opt_outs.append("tdm-reservation:header=1")
    if policy := headers.get("tdm-policy", "").strip():
        found.opt_outs.append(f"tdm-policy:{policy[:500]}")
    for name in ("content-signal", "content-usage"):  # IETF AIPREF and its precursor
        if value := headers.get(name):
            found.opt_outs += [
                f"{name}:{m}" for m in re.findall(r"(?:ai-train|train-ai|ai-input)=(?:no?)\b", value.lower())
            ]


def _no_words(content: str) -> list[str]:
    return [w for w in re.split(r"[\s,;:]+", content.lower()) if w in ("noai", "noimageai", "noml")] if content else []


def _from_metadata(page: bytes, tags: list[tuple[int, int, int]], found: Evidence) -> None:
    """Meta tags, ld+json scripts and RDF comments, each once."""
    done = -1
    body: int | None = None
    for start, at, region in tags:
        if region == META:
            if start >= 0 and start != done:
                done = start
                _from_meta(page[start : page.find(b">", at) + 1][:4000].decode("utf-8", "replace"), found)
        elif region == SCRIPT:
            start = page.rfind(b">", 0, page.rfind(b"{", 0, at) + 1)
            if start < done or start < 0:
                continue
            stop = page.find(b"</", at)
            done = stop if stop >= 0 else len(page)
            if body is None:
                body = max(page.find(b"<body"), 0)
            place = "head" if start < body else "main"
            found.links += [(href, "jsonld", place, text) for href, text in _json_licences(page[start + 1 : done])]
        elif region == COMMENT:
            start = page.rfind(b"<!--", 0, at)
            if start < 0 or start < done:
                continue
            stop = page.find(b"-->", at)
            done = stop if stop >= 0 else len(page)
            comment = page[start : min(done, start + 20000)].decode("utf-8", "replace")
            pairs = _RDF.findall(comment)
            hrefs = [r for r, _ in pairs if r] or [a for _, a in pairs if a]
            found.links += [(href[:2000], "rdf", "comment", "") for href in hrefs]


def _from_meta(tag: str, found: Evidence) -> None:
    attributes = {k.lower(): unescaped(a or b or c).strip() for k, a, b, c in _ATTRIBUTE.findall(tag)}
    name = (
        attributes.get("name")
        or attributes.get("property")
        or attributes.get("itemprop")
        or attributes.get("http-equiv", "")
    ).lower()
    content = _SPACE.sub(" ", attributes.get("content", ""))
    if not name or not content:
        return
    if name == "tdm-reservation":
        if content == "1":
            found.opt_outs.append("tdm-reservation:meta=1")
    elif name == "tdm-policy":
        found.opt_outs.append(f"tdm-policy:{content[:500]}")
    elif words := _no_words(content):
        found.opt_outs += [f"meta-robots:{word}" for word in words]
    elif _RIGHTS_META.search(name) or "spdx" in name:
        href = content[:2000] if re.match(r"https?://|//", content) else ""
        found.links.append((href, "meta", "head", content[:TEXT_CHARS]))
        if found.declared is None and is_spdx_id(content):
            found.declared = content


def _json_licences(script: bytes) -> Iterator[tuple[str, str]]:
    """(href, text) of schema.org's licence fields."""
    text = script.decode("utf-8", "replace").strip()
    text = text.removeprefix("<!--").removesuffix("-->").replace("/*<![CDATA[*/", "").replace("/*]]>*/", "")
    try:
        root = orjson.loads(text)
    except orjson.JSONDecodeError:
        try:
            root = json.loads(text, strict=False)
        except (ValueError, RecursionError):
            root = {"license": re.findall(r'"license"\s*:\s*"([^"]{1,2000})"', text)}
    waiting, seen = [root], 0
    while waiting and seen < 20000:
        node, seen = waiting.pop(), seen + 1
        if isinstance(node, list):
            waiting.extend(reversed(node))
        elif isinstance(node, dict):
            for key, value in node.items():
                if key in ("license", "usageInfo", "acquireLicensePage", "copyrightNotice"):
                    yield from _json_values(value)
                elif isinstance(value, dict | list):
                    waiting.append(value)


def _json_values(value: object) -> Iterator[tuple[str, str]]:
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, dict):
            href, text = item.get("url") or item.get("@id") or "", item.get("name") or ""
            item = href if isinstance(href, str) and href else text
            if isinstance(text, str) and isinstance(item, str) and item:
                yield (item[:2000] if item is href else "", text[:TEXT_CHARS])
        elif isinstance(item, str) and item.strip():
            item = item.strip()
            yield (item[:2000], "") if re.match(r"https?:|//|/", item) else ("", item[:TEXT_CHARS])


def _from_tree(tree: HTMLTree) -> Iterator[tuple[str, str, str, str]]:
    if tree.document is None:
        return
    # One slice: an iterator over the list makes all nodes anew for each of its steps.
    for node in tree.document.query_selector_all(_TREE_QUERY)[: 4 * LINKS]:
        href = (node.getattr("href") or "").strip()[:2000]
        rel = "license" in (node.getattr("rel") or "").lower().split()
        if not rel and not _CC_URL.search(href):
            continue
        text = _SPACE.sub(" ", (node.text or "").lstrip()[:LINE_BYTES]).strip() or node.getattr("title") or ""
        if not text:
            image = node.query_selector("img[alt]")
            text = (image.getattr("alt") or "") if image is not None else ""
        yield href, "rel" if rel else "cc", _place_of(node), _SPACE.sub(" ", text).strip()[:TEXT_CHARS]


def _place_of(node) -> str:
    """The nearest landmark around a node: a landmark element, or a footer or sidebar by class or id; else main."""
    for _ in range(200):
        node = node.parent
        if node is None or node.tag is None:
            break
        tag = node.tag
        if tag in ("body", "#document"):
            break
        if tag in _PLACES:
            return _PLACES[tag]
        if tag in ("div", "section", "td", "p", "ul", "table"):
            mark = f"{(node.getattr('id') or '')[:MARK_CHARS]} {(node.getattr('class') or '')[:MARK_CHARS]}"
            if len(mark) > 1:
                if _FOOTER.search(mark):
                    return "footer"
                if _ASIDE.search(mark):
                    return "aside"
    return "main"


def _rights_lines(page: bytes, hits: list[tuple[int, bool]]) -> str | None:
    """The lines around the hits, outright claims before mere mentions, then in page order."""
    lines: dict[str, tuple[int, bool]] = {}
    behind, room = -1, {True: RIGHTS_CHARS, False: RIGHTS_CHARS}
    for at, strong in hits:
        if at < behind or room[strong] <= 0:
            continue
        line, behind = _line_around(page, at)
        if line and line not in lines:
            lines[line] = (at, strong)
            room[strong] -= len(line) + 1
    kept, length = [], 0
    for line, (at, _) in sorted(lines.items(), key=lambda item: (not item[1][1], item[1][0])):
        line = line[: RIGHTS_CHARS - length]
        if not line:
            break
        kept.append((at, line))
        length += len(line) + 1
    return "\n".join(line for _, line in sorted(kept)) or None


def _line_around(page: bytes, at: int) -> tuple[str, int]:
    """(text between the block tags around `at`, where it ends)."""
    start, stop = max(at - LINE_BYTES, 0), min(at + LINE_BYTES, len(page))
    tag = at
    while (tag := page.rfind(b"<", start, tag)) >= 0:
        if (found := _BLOCK.match(page, tag, stop)) and found.end() <= at:
            start = found.end()
            break
    tag = at
    while (tag := page.find(b"<", tag, stop)) >= 0:
        if _BLOCK.match(page, tag, stop):
            stop = tag
            break
        tag += 1
    text = _ANY_TAG.sub(b"", page[start:stop]).decode("utf-8", "ignore")
    return _SPACE.sub(" ", unescaped(text)).replace("\0", "").strip(), stop
