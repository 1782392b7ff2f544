"""Extracts hosts from URLs and splits them by the public suffix list that tldextract carries; no network is used."""

from functools import lru_cache

import polars as pl
from tldextract import TLDExtract
from tldextract.tldextract import ExtractResult

# Scheme, user info (which may look like a host), host; a backslash ends the host as it does in browsers.
_HOST = r"(?i)^[a-z][a-z0-9+.-]*://(?:[^/?#\\@]*@)*([^/?#\\@:]+)"


def hosts_of(urls: pl.Series) -> pl.Series:
    """Lowercase host of each URL, without user info, port and trailing dot; null where there is none."""
    return urls.str.extract(_HOST).str.to_lowercase().str.strip_chars_end(".")


@lru_cache(maxsize=1)
def _extract() -> TLDExtract:
    return TLDExtract(suffix_list_urls=(), cache_dir=None)


def parts_of(host: str) -> ExtractResult:
    """Subdomain, domain and public suffix of a host name, "" where it has none."""
    return _extract()(host)
