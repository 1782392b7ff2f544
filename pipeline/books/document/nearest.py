"""Finds the URLs of a run that are nearest to one that it does not have: by normal form, then by edit similarity."""

import heapq
import re
from collections.abc import Iterable
from difflib import SequenceMatcher
from urllib.parse import unquote, urlsplit

OFFERED = 5
ALIKE = 0.75  # least similarity of two paths on one host (difflib's ratio)


def normal_form(url: str) -> str:
    """A URL without what rarely makes another page: scheme, case, www, port, fragment, trailing slash, escapes."""
    text = url.strip()
    text = text if re.match(r"[a-zA-Z][a-zA-Z0-9+.-]*://", text) else f"http://{text.lstrip('/')}"
    try:
        parts = urlsplit(text)
        host = parts.hostname or ""
    except ValueError:  # a bracket in the host
        return text.casefold()
    path = re.sub("/(index|default)\\.(html?|php|aspx?)$", "/", unquote(parts.path))
    query = f"?{unquote(parts.query)}" if parts.query else ""
    return f"{host.removeprefix('www.')}{re.sub('/+', '/', path).rstrip('/')}{query}".casefold()


def nearest(wanted: str, urls: Iterable[str]) -> list[str]:
    """At most OFFERED URLs, nearest first: of the same normal form; if there are none, alike ones of the same host."""
    form = normal_form(wanted)
    host = form.partition("/")[0].partition("?")[0]
    same: dict[str, None] = {}
    alike: list[tuple[float, str]] = []
    compare = SequenceMatcher(autojunk=False)
    compare.set_seq2(form)
    for url in urls:
        other = normal_form(url)
        if other == form:
            same[url] = None
        elif not same and (other == host or other.startswith((f"{host}/", f"{host}?"))):
            compare.set_seq1(other)
            if compare.quick_ratio() >= ALIKE and (ratio := compare.ratio()) >= ALIKE:
                alike = heapq.nlargest(OFFERED, {*alike, (ratio, url)})
    return list(same)[:OFFERED] or [url for _, url in alike]
