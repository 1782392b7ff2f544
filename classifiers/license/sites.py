"""Rules over hosts: sites of governments, sites known to publish openly, sites that are never taken.

MixtureVitae (arXiv:2509.25531, appendix data_filtering) lists them as substrings of the URL; here a rule names a
public suffix or a registered domain, so that evil.com/?x=.gov/ and wikipedia.org.evil.com are neither.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache, lru_cache
from pathlib import Path
from urllib.parse import urlsplit

from gristmill.pipeline.contract.errors import ConfigError

HOST_CHARS = 253  # RFC 1035, 2.3.4: no longer name has an address
URL_CHARS = 8192  # common servers take no longer request line; the cache below keeps 65,536 of them
TIERS = ("government", "site", "blocked")

# One rule a line: host, path prefix, tier, licence (- where the site does not name one), evidence.
# A host is a domain and all below it; "suffix:" names a public suffix, which nobody can register; "gov.*" is gov.<cc>.
# The sites are MixtureVitae's; licences and addresses of terms are what the sites are known for, written down in
# 2026-11 and not read again: replace the table (license.site_rules) where it matters.
BUILT_IN = """
suffix:gov - government - arXiv:2509.25531
suffix:mil - government LicenseRef-public-domain arXiv:2509.25531
suffix:int - government - arXiv:2509.25531
suffix:gov.* - government - arXiv:2509.25531
suffix:govt.* - government - arXiv:2509.25531
suffix:gouv.* - government - arXiv:2509.25531
suffix:gob.* - government - arXiv:2509.25531
suffix:gub.uy - government - arXiv:2509.25531
suffix:gc.ca - government - arXiv:2509.25531
suffix:go.jp - government - arXiv:2509.25531
suffix:go.kr - government - arXiv:2509.25531
thailand.go.th - government - arXiv:2509.25531
tanzania.go.tz - government - arXiv:2509.25531
indonesia.go.id - government - arXiv:2509.25531
vlada.mk - government - arXiv:2509.25531
vlada.cz - government - arXiv:2509.25531
kormany.hu - government - arXiv:2509.25531
regeringen.se - government - arXiv:2509.25531
regeringen.dk - government - arXiv:2509.25531
rijksoverheid.nl - government - arXiv:2509.25531
government.nl - government - arXiv:2509.25531
bund.de - government - arXiv:2509.25531
bundesregierung.de - government - arXiv:2509.25531
government.ru - government - arXiv:2509.25531
admin.ch - government - arXiv:2509.25531
europa.eu - government - arXiv:2509.25531
un.org - government - arXiv:2509.25531
free.law - site LicenseRef-public-domain https://free.law/
courtlistener.com - site LicenseRef-public-domain https://www.courtlistener.com/terms/
case.law - site CC0-1.0 https://case.law/terms/
europeana.eu - site - https://www.europeana.eu/rights
publicdomainreview.org - site CC-BY-SA-4.0 https://publicdomainreview.org/legal/
wisdomcommons.org - site - http://www.wisdomcommons.org/
intratext.com - site - http://www.intratext.com/
mediawiki.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikimedia.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikidata.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikipedia.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikisource.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikifunctions.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikiquote.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikinews.org - site CC-BY-2.5 https://en.wikinews.org/wiki/Wikinews:Copyright
wikivoyage.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wiktionary.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
wikibooks.org - site CC-BY-SA-4.0 https://foundation.wikimedia.org/wiki/Policy:Terms_of_Use
elifesciences.org - site CC-BY-4.0 https://elifesciences.org/terms
biodiversitylibrary.org - site - https://about.biodiversitylibrary.org/help/copyright-and-reuse/
stackexchange.com - site CC-BY-SA-4.0 https://stackoverflow.com/help/licensing
stackoverflow.com /questions site CC-BY-SA-4.0 https://stackoverflow.com/help/licensing
serverfault.com /questions site CC-BY-SA-4.0 https://stackoverflow.com/help/licensing
superuser.com /questions site CC-BY-SA-4.0 https://stackoverflow.com/help/licensing
askubuntu.com /questions site CC-BY-SA-4.0 https://stackoverflow.com/help/licensing
mathoverflow.net /questions site CC-BY-SA-4.0 https://stackoverflow.com/help/licensing
pressbooks.oer.hawaii.edu - site - arXiv:2509.25531
huggingface.co /docs site Apache-2.0 https://github.com/huggingface/transformers/blob/main/LICENSE
opencourselibrary.org - site CC-BY-3.0 http://opencourselibrary.org/
medbiq.org - site - arXiv:2509.25531
doabooks.org - site - https://www.doabooks.org/
bccampus.ca - site CC-BY-4.0 https://bccampus.ca/
open.umn.edu /opentextbooks site CC-BY-4.0 https://open.umn.edu/opentextbooks
gutenberg.org - site LicenseRef-public-domain https://www.gutenberg.org/policy/license.html
mozilla.org - site CC-BY-SA-3.0 https://www.mozilla.org/en-US/foundation/licensing/website-content/
eclipse.org - site EPL-2.0 https://www.eclipse.org/legal/
apache.org - site Apache-2.0 https://www.apache.org/licenses/
python.org - site PSF-2.0 https://docs.python.org/3/license.html
pytorch.org - site BSD-3-Clause https://github.com/pytorch/pytorch/blob/main/LICENSE
numpy.org - site BSD-3-Clause https://numpy.org/doc/stable/license.html
scipy.org - site BSD-3-Clause https://github.com/scipy/scipy/blob/main/LICENSE.txt
opencv.org - site Apache-2.0 https://opencv.org/license/
scikit-learn.org - site BSD-3-Clause https://github.com/scikit-learn/scikit-learn/blob/main/COPYING
pydata.org - site BSD-3-Clause https://pandas.pydata.org/docs/getting_started/overview.html
matplotlib.org - site PSF-2.0 https://matplotlib.org/stable/project/license.html
palletsprojects.com - site BSD-3-Clause https://flask.palletsprojects.com/en/stable/license/
sqlalchemy.org - site MIT https://www.sqlalchemy.org/
sympy.org - site BSD-3-Clause https://github.com/sympy/sympy/blob/master/LICENSE
nltk.org - site Apache-2.0 https://www.nltk.org/
scrapy.org - site BSD-3-Clause https://github.com/scrapy/scrapy/blob/master/LICENSE
owasp.org - site CC-BY-SA-4.0 https://owasp.org/
creativecommons.org - site CC-BY-4.0 https://creativecommons.org/policies/
fandom.com - site CC-BY-SA-3.0 https://www.fandom.com/licensing
wikia.com - site CC-BY-SA-3.0 https://www.fandom.com/licensing
wikia.org - site CC-BY-SA-3.0 https://www.fandom.com/licensing
foodista.com - site CC-BY-3.0 http://www.foodista.com/static/terms
attack.mitre.org - site - https://attack.mitre.org/resources/legal-and-branding/terms-of-use/
loc.gov - blocked - arXiv:2509.25531:often-garbled
reddit.com - blocked - arXiv:2509.25531
youtube.com - blocked - arXiv:2509.25531
facebook.com - blocked - arXiv:2509.25531
linkedin.com - blocked - arXiv:2509.25531
nytimes.com - blocked - arXiv:2509.25531
quora.com - blocked - arXiv:2509.25531
ymca.int - blocked - arXiv:2509.25531
"""

# Works of the US federal government are in the public domain (17 USC 105), those of states and cities are not.
US_FEDERAL = frozenset(
    name
    for line in (Path(__file__).parent / "us_federal.txt").read_text("utf-8").split("\n")
    for name in line.partition("#")[0].split()
)


@dataclass(frozen=True)
class SiteRule:
    """`host` is a registered domain or below it, or suffix:<public suffix>; the longest match wins."""

    host: str
    path: str
    tier: str
    license: str | None
    evidence: str


def parse_rules(text: str, source: str) -> tuple[SiteRule, ...]:
    """Rules from lines of five fields. Raises ConfigError naming `source` and the line."""
    rules = []
    for number, line in enumerate(text.split("\n"), 1):
        fields = line.split()
        if not fields or line.startswith("#"):
            continue
        if len(fields) != 5 or fields[2] not in TIERS:
            raise ConfigError(
                f"{source}, line {number}: expected host, path or -, {'|'.join(TIERS)}, licence or -, "
                f"evidence; got {line!r}"
            )
        host, path, tier, license, evidence = fields
        rules.append(SiteRule(host, "" if path == "-" else path, tier, None if license == "-" else license, evidence))
    return tuple(rules)


@cache
def _extractor():
    from tldextract import TLDExtract

    return TLDExtract(suffix_list_urls=(), cache_dir=None)  # the snapshot in the package: no network, no cache file


def host_of(url: str) -> str:
    """Lower-case host name, or "" where the URL has none, too long a one, or is made to look as if it had another."""
    return _host_of(url) if len(url) <= URL_CHARS else ""


@lru_cache(maxsize=65536)
def _host_of(url: str) -> str:
    try:
        host = (urlsplit(url).hostname or "").rstrip(".")
    except ValueError:
        return ""
    if len(host) > HOST_CHARS:
        return ""
    # A backslash ends the host in browsers, but not for urlsplit.
    return "" if "\\" in url.split("?")[0] or not all(c.isalnum() or c in ".-_" for c in host) else host


@lru_cache(maxsize=65536)
def suffix_of(host: str) -> tuple[str, str]:
    """(registered domain or "", public suffix), by the snapshot of the Public Suffix List that tldextract carries."""
    found = _extractor()(host)
    return (f"{found.domain}.{found.suffix}" if found.domain and found.suffix else ""), found.suffix


class SiteTable:
    """Rules by host, for lookups in constant time."""

    def __init__(self, rules: Iterable[SiteRule]) -> None:
        self._by_host: dict[str, list[SiteRule]] = {}
        for rule in rules:
            self._by_host.setdefault(rule.host, []).append(rule)
        for same in self._by_host.values():
            same.sort(key=lambda rule: -len(rule.path))

    def match(self, url: str) -> SiteRule | None:
        """The rule for the longest host, then the longest path prefix; blocked sites win over their suffix."""
        host = host_of(url)
        domain, suffix = suffix_of(host) if host else ("", "")
        if not domain:
            return None
        path = urlsplit(url).path or "/"
        labels = host.split(".")
        names = [".".join(labels[i:]) for i in range(len(labels) - domain.count("."))]
        first, _, country = suffix.partition(".")
        for name in (*names, f"suffix:{suffix}", f"suffix:{first}.*" if len(country) == 2 else ""):
            for rule in self._by_host.get(name, ()):
                if not rule.path or path == rule.path or path.startswith(rule.path.rstrip("/") + "/"):
                    return rule
        return None


def is_us_federal(url: str) -> bool:
    """A host of the federal government of the US: under .mil, or below a name of US_FEDERAL in .gov."""
    domain, suffix = suffix_of(host_of(url))
    name = domain.removesuffix(f".{suffix}")
    return bool(name) and (suffix == "mil" or (suffix == "gov" and name in US_FEDERAL))
