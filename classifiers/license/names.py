"""Normalises licence links, names and SPDX expressions to SPDX ids, and tells the family of a licence.

Ported Creative Commons licences keep their port (CC-BY-SA-2.5-CH) although the SPDX list has only some of them; a
licence whose version is not stated is LicenseRef-CC-BY-SA and the like.
"""

import re
from functools import lru_cache
from urllib.parse import unquote, urlsplit

from packaging.licenses import InvalidLicenseExpression, canonicalize_license_expression

EXPRESSION_CHARS = 1000  # the longest of SPDX's own examples has 60
NESTED = 20  # parentheses in parentheses
HREF_CHARS = 2000  # ingest keeps no longer link
PUBLIC_DOMAIN = "LicenseRef-public-domain"
RESERVED = "LicenseRef-all-rights-reserved"
CC_UNREAD = "LicenseRef-CC"  # a Creative Commons licence of which an element could not be read: of no known family

# Families, from free to not: the order decides AND (the later) and OR (the earlier).
FAMILIES = ("permissive", "copyleft", "restricted", "unknown")

_PERMISSIVE_IDS = """0BSD AFL-3.0 Apache-1.1 Apache-2.0 Artistic-2.0 BlueOak-1.0.0 BSD-1-Clause BSD-2-Clause
BSD-2-Clause-Patent BSD-3-Clause BSD-3-Clause-Clear BSD-4-Clause BSL-1.0 CC-PDDC CC0-1.0 CDLA-Permissive-1.0
CDLA-Permissive-2.0 CNRI-Python curl DL-DE-BY-2.0 DL-DE-ZERO-2.0 EPL-1.0 EPL-2.0 etalab-2.0 FTL HPND ICU ISC JSON
Libpng LPPL-1.3c MIT MIT-0 MPL-1.1 MPL-2.0 MS-PL MulanPSL-2.0 NCSA NLOD-1.0 NLOD-2.0 ODbL-1.0 ODC-By-1.0 OFL-1.1
OGL-UK-1.0 OGL-UK-2.0 OGL-UK-3.0 OGL-Canada-2.0 OpenSSL PDDL-1.0 PHP-3.01 PostgreSQL PSF-2.0 Python-2.0 TCL
Unicode-3.0 Unicode-DFS-2016 Unlicense UPL-1.0 W3C W3C-20150513 WTFPL X11 Zlib ZPL-2.1
LicenseRef-public-domain"""
_PERMISSIVE = tuple(_PERMISSIVE_IDS.split())
_COPYLEFT = re.compile(r"(?:A|L)?GPL-|GFDL-|EUPL-|OSL-|CECILL-|LicenseRef-(?:GPL|LGPL|AGPL|GFDL)$")
_RESTRICTED = re.compile(
    r"BUSL-|SSPL-|Elastic-|PolyForm-|LicenseRef-(?:all-rights-reserved|proprietary)|CC-BY.*-N[CD]\b|LicenseRef-CC-.*N[CD]\b"
)
_CANONICAL = {name.lower(): name for name in _PERMISSIVE}
_ID = re.compile(
    r"(?:CC0-1\.0|CC-PDDC|CC-BY(?:-NC)?(?:-ND|-SA)?-\d\.\d(?:-[A-Z]{2,9})?|LicenseRef-[A-Za-z0-9.\-]+"
    r"|(?:[AL]?GPL|GFDL|EUPL|OSL|CECILL|BUSL|SSPL|Elastic|PolyForm-[A-Za-z\-]+|CDLA-[A-Za-z]+|OGL-[A-Za-z]+|NLOD)-\d(?:\.\d)*"
    r"(?:-only|-or-later|\+)?)$",
    re.I,
)
# Spellings without one meaning per id: free text of package metadata and data cards.
_SPELLINGS = {
    "apache 2": "Apache-2.0", "apache 2.0": "Apache-2.0", "apache-2": "Apache-2.0", "apache2": "Apache-2.0",
    "apache license 2.0": "Apache-2.0", "apache license version 2.0": "Apache-2.0", "apache 2.0 license": "Apache-2.0",
    "apache software license": "Apache-2.0", "apache software license 2.0": "Apache-2.0", "mit license": "MIT",
    "the mit license": "MIT", "expat": "MIT", "new bsd": "BSD-3-Clause", "bsd 3-clause": "BSD-3-Clause",
    "modified bsd": "BSD-3-Clause", "3-clause bsd": "BSD-3-Clause", "bsd-3": "BSD-3-Clause",
    "bsd 2-clause": "BSD-2-Clause", "simplified bsd": "BSD-2-Clause", "2-clause bsd": "BSD-2-Clause",
    "isc license": "ISC", "cc0": "CC0-1.0", "cc-0": "CC0-1.0", "cc zero": "CC0-1.0", "public domain": PUBLIC_DOMAIN,
    "public-domain": PUBLIC_DOMAIN, "publicdomain": PUBLIC_DOMAIN, "the unlicense": "Unlicense",
    "mozilla public license 2.0": "MPL-2.0", "mpl 2.0": "MPL-2.0", "psf": "PSF-2.0", "odc-by": "ODC-By-1.0",
    "odbl": "ODbL-1.0", "gplv2": "GPL-2.0-only", "gplv3": "GPL-3.0-only", "gpl-2.0": "GPL-2.0-only",
    "gpl-3.0": "GPL-3.0-only", "lgpl-2.1": "LGPL-2.1-only", "lgpl-3.0": "LGPL-3.0-only", "agpl-3.0": "AGPL-3.0-only",
    "gpl-2.0+": "GPL-2.0-or-later", "gpl-3.0+": "GPL-3.0-or-later", "gfdl": "LicenseRef-GFDL", "gpl": "LicenseRef-GPL",
    "all rights reserved": RESERVED, "proprietary": "LicenseRef-proprietary",
}  # fmt: skip


def spdx_id(name: str) -> str | None:
    """The SPDX id that `name` spells, or null. Case, spaces for hyphens and common free text are allowed."""
    plain = " ".join(name.strip().strip('."').split())
    lowered = plain.lower()
    if lowered in _CANONICAL:
        return _CANONICAL[lowered]
    if lowered in _SPELLINGS:
        return _SPELLINGS[lowered]
    dashed = lowered.replace(" ", "-").replace(",", "")
    if dashed in _CANONICAL:
        return _CANONICAL[dashed]
    if found := re.fullmatch(
        r"(?:cc|creative-commons)-by((?:-(?:nc|nd|sa))*)(?:-v?(\d\.\d))?(?:-([a-z]{2,3}))?", dashed
    ):
        return cc_id(found[1].split("-")[1:], found[2], found[3])
    if _ID.match(plain):
        return re.sub(r"\b(?:cc|by|nc|nd|sa|gpl|lgpl|agpl|gfdl|eupl)\b", lambda m: m[0].upper(), plain)
    return None


def cc_id(elements: list[str], version: str | None, port: str | None = None) -> str:
    """CC-BY with its elements in the usual order."""
    order = [e for e in ("NC", "ND", "SA") if e.lower() in {x.lower() for x in elements}]
    name = "-".join(["CC-BY", *order])
    if version is None:
        return f"LicenseRef-{name}"
    return f"{name}-{version}" + (f"-{port.upper()}" if port else "")


def expression(text: str) -> str | None:
    """A normalised SPDX expression (AND, OR, WITH, parentheses), or null where a part of it is not known.

    Null as well beyond EXPRESSION_CHARS characters or NESTED parentheses: nobody licenses under that.
    """
    return _expression(text) if len(text) <= EXPRESSION_CHARS else None


@lru_cache(maxsize=4096)
def _expression(text: str) -> str | None:
    if (single := spdx_id(text)) is not None:
        return single
    words = re.findall(r"\(|\)|\b(?:AND|OR|WITH)\b|[^\s()]+(?: (?!AND\b|OR\b|WITH\b)[^\s()]+)*", text.strip())
    out, after_with = [], False
    for word in words:
        if word in ("(", ")", "AND", "OR", "WITH"):
            out.append(word)
        else:
            known = exception_id(word) if after_with else spdx_id(word)
            if known is None:
                return None
            out.append(known)
        after_with = word == "WITH"
    joined = " ".join(out).replace("( ", "(").replace(" )", ")")
    return joined if len(words) > 2 and _family_of(out) is not None else None


def exception_id(name: str) -> str | None:
    """An exception of the SPDX list in its own spelling, or null: anything else behind WITH may take rights away."""
    try:
        return canonicalize_license_expression(f"MIT WITH {name}").removeprefix("MIT WITH ")
    except InvalidLicenseExpression:
        return None


def family(license: str) -> str:
    """One of FAMILIES, for an id or an expression; unknown beyond EXPRESSION_CHARS."""
    return _family(license) if len(license) <= EXPRESSION_CHARS else "unknown"


@lru_cache(maxsize=4096)
def _family(license: str) -> str:
    return _family_of(re.findall(r"\(|\)|[^\s()]+", license)) or "unknown"


def _family_of(words: list[str]) -> str | None:
    """Recursive descent over the words of an expression; null if it is malformed or nested too deep."""
    stack, nested = [*reversed(words)], 0

    def either() -> int:
        value = both()
        while stack and stack[-1] == "OR":
            stack.pop()
            value = min(value, both())
        return value

    def both() -> int:
        value = atom()
        while stack and stack[-1] == "AND":
            stack.pop()
            value = max(value, atom())
        return value

    def atom() -> int:
        nonlocal nested
        word = stack.pop()
        if word == "(":
            nested += 1
            if nested > NESTED:
                raise IndexError
            value = either()
            if stack.pop() != ")":
                raise IndexError
            nested -= 1
            return value
        if word in (")", "AND", "OR", "WITH"):
            raise IndexError
        if stack and stack[-1] == "WITH":
            stack.pop()
            if exception_id(stack.pop()) is None:
                raise IndexError
        return FAMILIES.index(_family_of_id(word))

    try:
        value = either()
    except IndexError:
        return None
    return None if stack else FAMILIES[value]


def _family_of_id(name: str) -> str:
    if _RESTRICTED.match(name):
        return "restricted"
    if name.lower() in _CANONICAL or name.startswith(("CC-BY", "LicenseRef-CC-BY", "CDLA-", "OGL-", "NLOD-")):
        return "permissive"  # share-alike included, as MixtureVitae has it (arXiv:2509.25531)
    return "copyleft" if _COPYLEFT.match(name) else "unknown"


_CC_PATH = re.compile(r"/licen[sc]es/([a-z+\-]+)(?:/(\d\.\d))?(?:/+([a-z]{2,9}))?(?:[/.]|$)", re.I)
_NOT_PORTS = {"deed", "legalcode", "rdf", "index"}
_WIKI_TEXT = r"/wiki/(?:Wikipedia:)?Text_of_(?:the_)?(?:CC|Creative_Commons)[_\-]A\w+[_\-]ShareAlike_"
_HOSTED: tuple[tuple[str, re.Pattern[str], str], ...] = tuple(
    (host, re.compile(pattern, re.I), license)
    for host, pattern, license in (
        ("apache.org", r"/licenses/license-2\.0", "Apache-2.0"),
        ("opensource.org", r"/licenses?/(?:mit|mit-license)\b", "MIT"),
        ("opensource.org", r"/licenses?/apache-?2(?:\.0|-0)?", "Apache-2.0"),
        ("opensource.org", r"/licenses?/bsd-3-clause", "BSD-3-Clause"),
        ("opensource.org", r"/licenses?/bsd-2-clause", "BSD-2-Clause"),
        ("opensource.org", r"/licenses?/isc\b", "ISC"),
        ("opensource.org", r"/licenses?/mpl-?2", "MPL-2.0"),
        ("mozilla.org", r"/(?:[a-z\-]+/)?mpl/2\.0", "MPL-2.0"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?fdl-1\.2", "GFDL-1.2-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?fdl-1\.3", "GFDL-1.3-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/fdl", "LicenseRef-GFDL"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?agpl-3", "AGPL-3.0-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?lgpl-2\.1", "LGPL-2.1-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?lgpl-3", "LGPL-3.0-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?gpl-2", "GPL-2.0-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:old-licenses/)?gpl-3", "GPL-3.0-only"),
        ("gnu.org", r"/(?:licenses|copyleft)/agpl", "LicenseRef-AGPL"),
        ("gnu.org", r"/(?:licenses|copyleft)/(?:lgpl|lesser)", "LicenseRef-LGPL"),
        ("gnu.org", r"/(?:licenses|copyleft)/gpl", "LicenseRef-GPL"),
        ("unlicense.org", r"", "Unlicense"),
        ("wtfpl.net", r"", "WTFPL"),
        ("opendatacommons.org", r"/licenses/odbl", "ODbL-1.0"),
        ("opendatacommons.org", r"/licenses/by", "ODC-By-1.0"),
        ("opendatacommons.org", r"/licenses/pddl", "PDDL-1.0"),
        ("nationalarchives.gov.uk", r"/doc/open-government-licence/version/3", "OGL-UK-3.0"),
        ("nationalarchives.gov.uk", r"/doc/open-government-licence/version/2", "OGL-UK-2.0"),
        ("nationalarchives.gov.uk", r"/doc/open-government-licence", "OGL-UK-3.0"),
        ("govdata.de", r"/dl-de/by-2-0", "DL-DE-BY-2.0"),
        ("govdata.de", r"/dl-de/zero-2-0", "DL-DE-ZERO-2.0"),
        ("etalab.gouv.fr", r"licence-ouverte", "etalab-2.0"),
        ("github.com", r"^/etalab/licence-ouverte", "etalab-2.0"),
        ("data.norge.no", r"^/nlod/(?:[a-z]{2}/)?2\.0", "NLOD-2.0"),
        ("data.norge.no", r"^/nlod/(?:[a-z]{2}/)?1\.0", "NLOD-1.0"),
        (
            "canada.ca",
            r"^/(?:en/open-government-licence-canada|fr/licence-du-gouvernement-ouvert-canada)",
            "OGL-Canada-2.0",
        ),
        (
            "wikipedia.org",
            _WIKI_TEXT + "3",
            "CC-BY-SA-3.0",
        ),
        (
            "wikipedia.org",
            _WIKI_TEXT + "4",
            "CC-BY-SA-4.0",
        ),
    )
)


def license_of_url(href: str) -> str | None:
    """The licence that a link of at most HREF_CHARS points to, or null.

    The host decides: a licence's address in the path or query of another site counts only on web.archive.org.
    """
    return _license_of_url(href.strip()) if len(href) <= HREF_CHARS else None


@lru_cache(maxsize=4096)
def _license_of_url(href: str) -> str | None:
    if archived := re.match(r"(?:https?:)?//web\.archive\.org/web/\w+/(.+)", href) or re.match(
        r"/web/\d{8,14}\w*/(.+)", href
    ):
        href = archived[1]
    if not re.match(r"[a-z]+://|//", href, re.I):
        href = "//" + href if re.match(r"(?:www\.)?(?:creativecommons|spdx|opensource)\.org/", href, re.I) else ""
    if "\\" in href:
        return None
    try:
        parts = urlsplit(href)
        host = (parts.hostname or "").lower().removeprefix("www.")
    except ValueError:
        return None
    path = unquote(parts.path)
    if host in ("creativecommons.org", "creativecommons.net", "i.creativecommons.org"):
        return _cc_path(path)
    if host == "spdx.org" and (found := re.match(r"/licenses/(.+?)(?:\.html|\.json|\.txt)?/?$", path)):
        return spdx_id(found[1])
    if host == "opensource.org" and (license := _osi_id(path)):
        return license
    for domain, pattern, license in _HOSTED:
        if (host == domain or host.endswith("." + domain)) and pattern.search(path):
            return license
    return None


def _osi_id(path: str) -> str | None:
    """The licence of an address at the Open Source Initiative: /licenses/BSD-3-Clause, /license/mpl-2-0."""
    found = re.match(r"/licenses?/([A-Za-z0-9.\-]{2,40})(?:\.php|\.html)?/?$", path)
    return (spdx_id(found[1]) or spdx_id(re.sub(r"-(\d)-(\d)$", r"-\1.\2", found[1]))) if found else None


def _cc_path(path: str) -> str | None:
    lowered = path.lower()
    if "/publicdomain/zero" in lowered:
        return "CC0-1.0"
    if "/publicdomain/mark" in lowered:
        return PUBLIC_DOMAIN
    if re.search(r"/licen[sc]es/publicdomain", lowered):
        return "CC-PDDC"
    found = _CC_PATH.search(path)
    if not found:
        return None
    elements = found[1].lower().replace("+", "-").split("-")
    if not {"by", "nc", "nd", "sa"}.issuperset(elements):
        return None  # sampling, devnations, GPL: retired and none of ours
    port = (found[3] or "").lower()
    if "by" not in elements:  # version 1.0 had licences without attribution
        order = "-".join(e.upper() for e in ("nd", "nc", "sa") if e in elements)
        return f"CC-{order}-{found[2]}" if found[2] else None
    return cc_id(elements, found[2], None if not port or port in _NOT_PORTS else port)
