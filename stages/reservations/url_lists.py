"""Lists of domains and beginnings of URLs, and which list names a URL."""

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

import polars as pl

from gristmill.classifiers.hosts import hosts_of
from gristmill.pipeline.contract.texts import read_text


def read_url_lists(paths: Sequence[str]) -> Mapping[str, str]:
    """Domain or URL beginning (without scheme and www.) -> the list that names it; the first list of each wins."""
    found: dict[str, str] = {}
    for path in map(Path, paths):
        stem = path.name.split(".")[0]
        name = path.parent.name if stem in ("domains", "urls") and path.parent.name else stem
        for line in read_text(str(path), "block list").split("\n"):
            entry = line.partition("#")[0].strip().lower()
            entry = entry.partition("://")[2] or entry
            if entry := entry.removeprefix("www.").rstrip("/"):
                found.setdefault(entry, name)
    return found


def listed_by(urls: pl.Series, lists: Mapping[str, str]) -> Iterator[str | None]:
    """The list that names each URL: its host, a domain above it, or its host and path up to a slash."""
    if not lists:
        yield from [None] * urls.len()
        return
    for host, path in zip(hosts_of(urls), urls.str.extract(r"(?i)^[a-z][a-z0-9+.-]*://[^/?#]*([^?#]*)"), strict=True):
        yield None if host is None else _list_of(host.removeprefix("www."), (path or "").lower(), lists)


def _list_of(host: str, path: str, lists: Mapping[str, str]) -> str | None:
    labels = host.split(".")
    for i in range(len(labels)):
        if (name := lists.get(".".join(labels[i:]))) is not None:
            return name
    parts = path.rstrip("/").split("/")
    return next((n for i in range(len(parts), 1, -1) if (n := lists.get(host + "/".join(parts[:i])))), None)
