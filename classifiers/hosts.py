"""Splits host names by the public suffix list that comes with tldextract: no network, no cache folder."""

from functools import lru_cache

from tldextract import TLDExtract
from tldextract.tldextract import ExtractResult


@lru_cache(maxsize=1)
def _extract() -> TLDExtract:
    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def parts_of(host: str) -> ExtractResult:
    """Subdomain, domain and public suffix of a host name, "" where it has none."""
    return _extract()(host)
