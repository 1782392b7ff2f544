"""What a page says about its licence and about mining it: links, metadata, rights lines, reservations.

The markup kernel has found where words of interest stand; only there is anything parsed, only then is the tree asked.
"""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

from resiliparse.parse.html import HTMLTree

from gristmill.classifiers.license.agents import AGENTS
from gristmill.pipeline.kernels.page.needles import needles_of
from gristmill.pipeline.kernels.text.markup import COMMENT, META, SCRIPT, TAG, TEXT_HITS, Scan
from gristmill.stages.ingest.page.licence_links import (
    CONTENT_HOSTS,
    HREF_CHARS,
    TEXT_CHARS,
    USAGE_INFO,
    json_licences,
    tree_links,
)
from gristmill.stages.ingest.page.opt_outs import (
    DIRECTIVES,
    SIGNAL_CHARS,
    distinct,
    embedded_rsl,
    header_signals,
    meta_signals,
)
from gristmill.stages.ingest.page.plain import unescaped

LINKS = 50
RIGHTS_CHARS = 1000
LINE_BYTES = 600  # how far around a hit its line may reach
TAG_BYTES = 4096  # of a tag that are looked at
COMMENT_BYTES = RSL_BYTES = 20_000

# ld+json first: it marks the scripts whose content is searched
_MARKUP = [
    "ld+json", "creativecommons", *DIRECTIVES, "tdm-reservation", "tdm-policy", "content-signal", "content-usage",
    "rsl+xml", "rdf:", "spdx", "usageinfo",
]  # fmt: skip
_AGENTS = sorted(name for name in AGENTS if 4 <= len(name) <= 32)
_HOSTS = sorted(CONTENT_HOSTS.keys() - {"creativecommons"})
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
    "創用", "知识共享", "知識共享", "クリエイティブ・", "크리에이티브 커", "المشاع الإبداعي", "креатив ", "Креатив ",
    "무단전재", "무단 전재", "حقوق", "זכויות", "ลิขสิทธิ์", "सर्वाधिकार", "कॉपीराइट", "bản quyền", "hak cipta",
]  # fmt: skip
_WEAK = [
    "licen", "lizen", "licenz", "лиценз", "Лиценз", "ліценз", "Ліценз", "gnu free", "gfdl", "all rights", "许可协议",
    "許可證", "ライセンス", "라이선스", "转载", "轉載", "転載",
]  # fmt: skip
_META_ONLY = ["rights", "robots", *_HOSTS, *_AGENTS]  # behind the others, of which some have the same beginning
_WORDS = [w.encode() for w in (*_MARKUP, *_STRONG, *_WEAK, *_META_ONLY)]
_ROBOTS = _WORDS.index(b"robots")
NEEDLES = needles_of([w if len(w) >= 4 else w + b" " for w in _WORDS])
_MARKUP_N, _STRONG_N = len(_MARKUP), len(_MARKUP) + len(_STRONG)
_WEAK_N = _STRONG_N + len(_WEAK)
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
_RDF = re.compile(
    r"<(?:cc:)?license\s+rdf:resource\s*=\s*[\"']([^\"']+)|<(?:cc:)?License\s+rdf:about\s*=\s*[\"']([^\"']+)"
)
_RIGHTS_META = re.compile(
    r"(?:^|[:._\-])(?:rights(?:holder|standard)?|licen[sc]e|copyright|accessrights)$|rights|licen[sc]e|copyright"
)
_NAMES_LICENCE = re.compile(
    rb"\b(?:rel|itemprop|property)\s{0,9}=\s{0,9}(?:\"[^\"]{0,200}|'[^']{0,200}|[^\s\"'>]{0,200})licen[sc]e", re.I
)
_IS_CONTENT_LICENCE = re.compile(b"|".join(re.escape(word.encode()) for word in CONTENT_HOSTS), re.I)
_BODY, _SCRIPT_END = re.compile(rb"<body", re.I), re.compile(rb"</script", re.I)
# What a robots meta may say of AI, plainly or in character references; most say neither.
_SAYS_MORE = re.compile(b"|".join([b"[&:]", *(word.encode() for word in DIRECTIVES)]), re.I)
_LINK_HEADER = re.compile(r"<([^<>]*)>((?:\s*;\s*[\w*!]+\s*=\s*(?:\"[^\"]*\"|[^,;\"]+))*)")
_PARAMETER = re.compile(r";\s*([\w*!]+)\s*=\s*(?:\"([^\"]*)\"|([^,;\"]+))")
_SPDX = re.compile(
    r"(?:CC0-|CC-(?:BY|PDDC)|MIT|Apache-|BSD-|[AL]?GPL-|GFDL-|MPL-|EPL-|ISC$|Unlicense$|ODbL-|ODC-|PDDL-|OGL-|EUPL-|Zlib$|BSL-|0BSD$|Artistic-|WTFPL$"
    r"|CDLA-|etalab-|NLOD-|DL-DE-)[A-Za-z0-9.+\-]*$"
)


@dataclass(slots=True)
class Evidence:
    """The evidence columns of one page; `links` as (href, kind, place, text)."""

    links: list[tuple[str, str, str, str]] = field(default_factory=list)
    rights_text: str | None = None
    opt_outs: list[str] = field(default_factory=list)
    declared: str | None = None


def harvest(page: bytes, scan: Scan, tree: Callable[[], HTMLTree] | None, headers: Mapping[str, str]) -> Evidence:
    """`page`: UTF-8; `scan`: of the page with NEEDLES; `tree`: gives its tree, None where it was too risky to parse."""
    found = Evidence()
    if headers:
        found.opt_outs += header_signals(headers)
        _from_link_header(headers.get("link", ""), found)
    if _from_spans(page, scan.spans.tolist(), found) and tree is not None:
        found.links += tree_links(tree())
    found.links = _chosen(list(dict.fromkeys(found.links)))
    claims = [(at, word < _STRONG_N or word == NEEDLES.sign) for at, word in scan.words.tolist() if _claims(word)]
    if claims:
        found.rights_text = _rights_lines(page, claims)
    found.opt_outs = distinct(found.opt_outs)
    return found


def _claims(word: int) -> bool:
    return _MARKUP_N <= word < _WEAK_N or word == NEEDLES.sign


def _chosen(links: list[tuple[str, str, str, str]]) -> list[tuple[str, str, str, str]]:
    """At most LINKS of them, in their order: those that name the page's licence before plain ones, and of these the
    ones outside the text's own column and the last before the rest, as a page's own stands at its end."""
    if len(links) <= LINKS:
        return links
    ranked = sorted(
        range(len(links)), key=lambda i: (links[i][1] == "cc", links[i][2] == "main", -i if links[i][1] == "cc" else i)
    )
    return [links[i] for i in sorted(ranked[:LINKS])]


def is_spdx_id(value: str) -> bool:
    """A licence id of the families that pages and data sets use."""
    return _SPDX.match(value) is not None


def declared_of(value: object) -> str | None:
    """The licences that a column or key of metadata holds: text, an address, an object, or a list; one a line."""
    if isinstance(value, bytes):
        return value.decode("utf-8", "replace").strip() or None
    if isinstance(value, str):
        return value.strip() or None
    if isinstance(value, Mapping):
        keys = ("url", "@id", "id", "spdx", "spdx_id", "license", "name", "title", "text")
        return next((said for key in keys if (said := declared_of(value.get(key)))), None)
    if isinstance(value, list) and value and all(isinstance(item, tuple) and len(item) == 2 for item in value):
        return declared_of(dict(value))  # a map, as Arrow gives it
    if isinstance(value, list | tuple):
        return "\n".join(said for item in value if (said := declared_of(item))) or None
    return None if value is None else str(value)


def _from_link_header(link: str, found: Evidence) -> None:
    for href, params in _LINK_HEADER.findall(link):
        values = {name.lower(): quoted or bare for name, quoted, bare in _PARAMETER.findall(params)}
        # with an anchor it is said of another resource, or of a part of this one (RFC 8288, 3.2)
        if re.search(r"\blicense\b", values.get("rel", ""), re.I) and "anchor" not in values:
            if "rsl+xml" in values.get("type", "").lower():
                found.opt_outs.append(f"rsl:header={href.strip()[:500]}")
            else:
                found.links.append((href.strip()[:HREF_CHARS], "header", "http", ""))


def _from_spans(page: bytes, spans: list[list[int]], found: Evidence) -> bool:
    """Meta tags, ld+json scripts and RDF comments; whether the tree must be asked for links."""
    ask_tree, body, seen = False, -1, set()
    for start, stop, region, word in spans:
        if region in (META, TAG):
            tag = page[start : min(stop, start + TAG_BYTES)]
            if tag in seen or (word == _ROBOTS and not _SAYS_MORE.search(tag)):
                continue
            seen.add(tag)
            if region == META:
                ask_tree = _from_meta(tag.decode("utf-8", "replace"), found) or ask_tree
            elif b"rsl+xml" in tag.lower():
                _from_rsl_tag(tag.decode("utf-8", "replace"), page[stop + 1 : stop + RSL_BYTES], found)
            elif not ask_tree:
                ask_tree = bool(_NAMES_LICENCE.search(tag) or _IS_CONTENT_LICENCE.search(tag))
        elif region == SCRIPT:
            if body < 0:
                body = at.start() if (at := _BODY.search(page)) else 0
            place = "head" if start < body else "main"
            for key, href, text in json_licences(page[start:stop]):
                found.links.append((href, "jsonld", place, text))
                if key == USAGE_INFO:
                    found.opt_outs.append(f"usage-info:{(href or text)[:SIGNAL_CHARS]}")
        elif region == COMMENT:
            comment = page[start : min(stop, start + COMMENT_BYTES)].decode("utf-8", "replace")
            pairs = _RDF.findall(comment)
            hrefs = [r for r, _ in pairs if r] or [a for _, a in pairs if a]
            found.links += [(href[:HREF_CHARS], "rdf", "comment", "") for href in hrefs]
    return ask_tree


def _attributes(tag: str) -> dict[str, str]:
    pairs = _ATTRIBUTE.findall(tag)
    return {k.lower(): unescaped(a or b or c).strip() for k, a, b, c in reversed(pairs)}  # the first of a name counts


def _from_rsl_tag(tag: str, behind: bytes, found: Evidence) -> None:
    """<link rel=license type=application/rsl+xml href=...>, or a script of that type with the terms (RSL 1.0)."""
    attributes = _attributes(tag)
    if tag[:6].lower().startswith("script"):
        found.opt_outs.append(embedded_rsl(_SCRIPT_END.split(behind, 1)[0].decode("utf-8", "replace")))
    elif "license" in attributes.get("rel", "").lower().split():
        found.opt_outs.append(f"rsl:link={attributes.get('href', '')[:500]}")


def _from_meta(tag: str, found: Evidence) -> bool:
    """Reads a meta tag; whether it is microdata or RDFa, of which the tree knows the subject."""
    attributes = _attributes(tag)
    name = (attributes.get("name") or attributes.get("property") or attributes.get("http-equiv") or "").lower()
    if attributes.get("itemprop"):
        return True
    content = _SPACE.sub(" ", attributes.get("content", ""))
    if not name or not content:
        return False
    if signals := meta_signals(name, content):
        found.opt_outs += signals
    elif _RIGHTS_META.search(name) or "spdx" in name:
        href = content[:HREF_CHARS] if re.match(r"https?://|//", content) else ""
        found.links.append((href, "meta", "head", content[:TEXT_CHARS]))
        if found.declared is None and is_spdx_id(content):
            found.declared = content
    return False


def _rights_lines(page: bytes, hits: list[tuple[int, bool]]) -> str | None:
    """The lines around the hits, outright claims before mere mentions, then in page order.

    With more than TEXT_HITS hits, half of the room is for the last lines: a footer is seen behind any number.
    With fewer, room for the last ones did not make the licences of web_cc_pages righter (docs/decisions/license.md).
    """
    lines: dict[str, tuple[int, bool]] = {}
    used = {True: 0, False: 0}
    both_ends = ((RIGHTS_CHARS // 2, reversed(hits)), (RIGHTS_CHARS, iter(hits)))
    for room, order in both_ends if len(hits) > TEXT_HITS else both_ends[1:]:
        for line, at, strong in _lines_at(page, order, used, room):
            if line not in lines:
                lines[line] = (at, strong)
                used[strong] += len(line) + 1
    kept, length = [], 0
    for line, (at, _) in sorted(lines.items(), key=lambda item: not item[1][1]):  # else as found
        line = line[: RIGHTS_CHARS - length]
        if not line:
            break
        kept.append((at, line))
        length += len(line) + 1
    return "\n".join(line for _, line in sorted(kept)) or None


def _lines_at(
    page: bytes, hits: Iterator[tuple[int, bool]], used: Mapping[bool, int], room: int
) -> Iterator[tuple[str, int, bool]]:
    """The lines around hits that no line before holds, as long as there is room for their kind."""
    start = stop = -1
    for at, strong in hits:
        if start <= at < stop or used[strong] >= room:
            continue
        line, start, stop = _line_around(page, at)
        if line:
            yield line, at, strong


def _line_around(page: bytes, at: int) -> tuple[str, int, int]:
    """(text between the block tags around `at`, where it begins, where it ends)."""
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
    return _SPACE.sub(" ", unescaped(text)).replace("\0", "").strip(), start, stop
