"""Decides the licence of a page's text from the statements that ingest found: which are about it, which contradict it.

Positive inclusion after MixtureVitae (arXiv:2509.25531): a licence is only known where the page, its metadata or a rule
over its site says so. We keep what is restricted or reserved as such, so that a gate can choose; the paper drops it.
"""

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from gristmill.classifiers.license.claims import (
    denies,
    granted_license,
    granted_licenses,
    grants,
    may_grant,
    public_domain_grant,
    subject_of,
)
from gristmill.classifiers.license.commons import elements_license, forbidden_use, title_license
from gristmill.classifiers.license.names import PUBLIC_DOMAIN, RESERVED, expression, family, license_of_url, spdx_id
from gristmill.classifiers.license.sites import SiteTable, is_us_federal
from gristmill.classifiers.license.terms import (
    ALL_RESERVED,
    COPYRIGHT,
    MEDIA_WORDS,
)

TIERS = (
    "permissive",  # MixtureVitae 1: an open licence or the public domain, stated for the page; share-alike included
    "site",  # 2a: known from the site alone, provenance of the page not verified
    "government",  # 3: works of governments and international bodies
    "copyleft",  # GPL, GFDL and the like
    "restricted",  # non-commercial, no derivatives, source-available
    "contested",  # an open licence, and all rights reserved on the same page
    "reserved",  # all rights reserved, and nothing else
    "unknown",
)
EVIDENCE_CHARS = 200
TEXT_CHARS = 1000  # of a declared licence that are read
DECLARED = 20  # licences of a list
WINDOW = 100  # characters at either end of the text in which a licence keyword counts (paper: 100)

# Points for where a link stands and what it is; 1 is enough. Set on web_cc_pages (docs/decisions/license.md).
_KINDS = {"header": 3.0, "rdf": 2.0, "rel": 1.5, "meta": 1.5, "jsonld": 1.0, "cc": 0.0}
_PLACES = {
    "head": 1.5,
    "footer": 1.5,
    "aside": 1.0,
    "header": 0.5,
    "nav": 0.5,
    "main": 0.0,
    "comment": 0.0,
    "http": 0.0,
}
_ENOUGH = 1.0
_ADDRESS = re.compile(r"(?:https?:)?//[^\s\"'<>()\[\]]+", re.I)
_ABOUT = {"page": 2.0, "media": -4.0, "other": -4.0, None: 0.0}
_MANY = 4  # licences on one page: it explains them, or credits many pictures
_BADGE = re.compile(r"creative[\s\-]commons[\w\s\-]*(?:li[czs]en|lizenz)|^CC[ \-]BY[\w \-.]*$|ライセンス", re.I)


@dataclass(frozen=True)
class Link:
    """A row of ingest's license_links."""

    href: str
    kind: str
    place: str
    text: str


@dataclass(frozen=True)
class Page:
    """What is known of a page: its text's two ends and ingest's evidence."""

    url: str | None
    head: str  # the first WINDOW characters of the text
    tail: str  # and the last
    links: Sequence[Link]
    rights: str
    declared: str | None


@dataclass(frozen=True)
class Verdict:
    """`evidence` is the rule that decided and the words it matched; `confidence` in [0, 1]."""

    license: str | None
    tier: str
    evidence: str | None
    confidence: float


@dataclass(frozen=True)
class _Statement:
    license: str
    score: float
    rule: str
    words: str


UNKNOWN = Verdict(None, "unknown", None, 0.0)


def judge(page: Page, sites: SiteTable) -> Verdict:
    """The verdict on a page. Statements on the page go before what is known of its site."""
    site = sites.match(page.url) if page.url else None
    if site is not None and site.tier == "blocked":
        return Verdict(None, "unknown", _evidence("blocked-site", site.host), 0.0)
    reserved = ALL_RESERVED.search(page.rights) or _in_metadata(page.links)
    best = _strongest(list(_statements(page)))
    if best is not None:
        tier = "reserved" if best.license == RESERVED else family(best.license)
        confidence = min(0.99, 0.5 + 0.1 * best.score)
        if reserved and best.rule != "declared" and tier not in ("restricted", "reserved"):
            words = f"{best.rule}: {best.words} | {reserved[0]}"
            return Verdict(best.license, "contested", _evidence("contested", words), confidence / 2)
        return Verdict(best.license, tier, _evidence(best.rule, best.words), confidence)
    if site is not None:
        # The paper filters government pages for copyright lines as well; its published script does not.
        against = reserved or (COPYRIGHT.search(page.rights) if site.tier == "government" else None)
        license = site.license
        if site.tier == "government" and page.url and is_us_federal(page.url):
            license = PUBLIC_DOMAIN
        if against:
            return Verdict(license, "contested", _evidence("contested", f"{site.host} | {against[0]}"), 0.3)
        return Verdict(license, site.tier, _evidence(f"{site.tier}-site", site.host), 0.8 if license else 0.6)
    if (keyword := _keyword(page)) is not None:
        return keyword
    if reserved:
        return Verdict(RESERVED, "reserved", _evidence("reserved", reserved[0]), 0.8)
    return UNKNOWN


def _evidence(rule: str, words: str) -> str:
    return f"{rule}: {' '.join(words.split())}"[:EVIDENCE_CHARS]


def _in_metadata(links: Sequence[Link]) -> re.Match[str] | None:
    for link in links:
        if link.kind in ("meta", "jsonld") and (found := ALL_RESERVED.search(link.text)):
            return found
    return None


def _statements(page: Page) -> Iterator[_Statement]:
    """Everything that names a licence, with points for how surely it is meant for the page's text."""
    if page.declared and (license := declared_license(page.declared)):
        yield _Statement(license, 4.5, "declared", page.declared)
    lines = [line for line in page.rights.split("\n") if line]
    named = [
        (link, license)
        for link in page.links
        if (license := _license_of_link(link)) not in (None, RESERVED) and not _is_denied(link, lines)
    ]
    linked = {license for _, license in named}
    crowd = -2.0 if len(linked) >= _MANY else 0.0
    subjects = [subject_of(*_line_of(link, license, lines), license) for link, license in named]
    for (link, license), about in zip(named, subjects, strict=True):
        if about is None:  # a badge alone: about what the same licence is said of elsewhere on the page
            same = [other for (_, name), other in zip(named, subjects, strict=True) if name == license and other]
            about = "page" if "page" in same else next(iter(same), None)
            badge = 1.0 if link.kind in ("cc", "rel") and link.place != "main" and _BADGE.search(link.text) else 0.0
        else:
            badge = 0.0
        score = _KINDS.get(link.kind, 0.0) + _PLACES.get(link.place, 0.0) + _ABOUT[about] + badge
        if about != "page":
            score += crowd
        yield _Statement(license, score, f"{link.kind}-{link.place}", link.href or link.text)
    for line in lines if may_grant(page.rights) else ():
        if (found := granted_license(line)) is None:
            if words := public_domain_grant(line):
                about = min(0.0, _ABOUT[subject_of(line, words, PUBLIC_DOMAIN)])
                yield _Statement(PUBLIC_DOMAIN, 1.5 + about, "text", words)
            continue
        license, words = found
        name = license.removeprefix("LicenseRef-")
        if any(other.startswith(name) or name.startswith(other) for other in linked):
            continue  # the link beside the words has the version and the port
        yield _Statement(license, _points(line, words, license), "text", words)


def _points(line: str, words: str, license: str) -> float:
    """Of a line of text that names a licence by these words."""
    return 1.5 * grants(line, license) + _ABOUT[subject_of(line, words, license)]


def declared_license(text: str) -> str | None:
    """The licence that metadata declares: an SPDX expression, an address, a name, or several of them, one a line.

    Several are all to be kept to (AND); one that cannot be read makes the whole unknown.
    """
    found = [_declared(item.strip()) for item in text.split("\n")[:DECLARED] if item.strip()]
    return _all_of([name for name in found if name is not None]) if found and None not in found else None


def _declared(text: str) -> str | None:
    if license := expression(text) or license_of_url(text) or title_license(text) or elements_license(text):
        return license
    addresses = [license_of_url(address) for address in _ADDRESS.findall(text[:TEXT_CHARS])[:DECLARED]]
    if linked := [license for license in addresses if license]:
        return _all_of(linked)
    return _all_of([license for license, _ in granted_licenses(text[:TEXT_CHARS])])


def _all_of(licenses: list[str]) -> str | None:
    names = list(dict.fromkeys(licenses))
    if len(names) < 2:
        return next(iter(names), None)
    return expression(" AND ".join(f"({name})" if " " in name else name for name in names))


def _license_of_link(link: Link) -> str | None:
    if license := license_of_url(link.href):
        return license
    if link.kind == "meta":
        return _declared(link.text)
    if link.kind in ("rel", "jsonld") and link.text:
        return spdx_id(link.text) or next(iter(granted_license(link.text) or ()), None)
    return None


def _is_denied(link: Link, lines: list[str]) -> bool:
    """Whether every line in which the link's text stands says that the licence does not hold."""
    text = " ".join(link.text.split())
    holding = [line for line in lines if text in line] if len(text) >= 2 else []
    return bool(holding) and all(denies(line, line.find(text), line.find(text) + len(text)) for line in holding)


def _line_of(link: Link, license: str, lines: list[str]) -> tuple[str, str]:
    """The line of the page in which the link stands, as far as its text tells, else its text alone; and its text."""
    text = " ".join(link.text.split())
    holding = [line for line in lines if text in line] if len(text) >= 4 else []
    best = max(holding, key=lambda line: (_ABOUT[subject_of(line, text, license)], -len(line)), default=text)
    return best, text


def _strongest(statements: list[_Statement]) -> _Statement | None:
    """The statement with most points; of equals, the least free, then by name."""
    enough = [s for s in statements if s.score >= _ENOUGH]
    order = ("permissive", "copyleft", "unknown", "restricted")
    return max(enough, key=lambda s: (s.score, order.index(family(s.license)), s.license), default=None)


def _keyword(page: Page) -> Verdict | None:
    """The paper's third route: a keyword at either end of the text, and none of its restrictive terms there.

    The paper takes the keyword alone ("creative common", "cc-by", "cc-0"); here it must name a licence.
    """
    for end in (page.head, page.tail):
        if not end or (found := granted_license(end)) is None:
            continue
        license, words = found
        if family(license) == "restricted":
            said = next((line for line in end.split("\n") if words in line), end)
            if _points(said, words, license) >= _ENOUGH:
                return Verdict(license, "restricted", _evidence("keyword", words), 0.5)
        against = forbidden_use(end) or next(
            (hit[0] for p in (ALL_RESERVED, COPYRIGHT, MEDIA_WORDS) if (hit := p.search(end) or p.search(page.rights))),
            None,
        )
        if against is None and not _is_said_of_page(license, words, end, page.rights):
            continue
        if family(license) == "permissive" and license.startswith(("CC", "LicenseRef-CC")) and against is None:
            return Verdict(license, "permissive", _evidence("keyword", words), 0.5)
    return None


def _is_said_of_page(license: str, words: str, end: str, rights: str) -> bool:
    """Whether a line that names the licence is about the page or about nothing, rather than about another work."""
    lines = [line for line in rights.split("\n") if words in line] or [x for x in end.split("\n") if words in x]
    return not lines or any(subject_of(line, words, license) in ("page", None) for line in lines)
