"""Reads robots.txt files: each named by its host, or captured in WARCs, as in Common Crawl's robotstxt subset."""

import os
import re
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from urllib.parse import urljoin, urlsplit

from gristmill.classifiers.license.robots import robots_host
from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.stages.ingest.archive.records import records
from gristmill.stages.ingest.detect import kind_of
from gristmill.stages.ingest.files.inputs import Input, inputs_of
from gristmill.stages.ingest.files.open import open_file
from gristmill.stages.ingest.page.codings import BodyTooLarge
from gristmill.stages.ingest.page.http import HeadTooLarge, response_of

RETRY = Retry(5, 0.5)
BLOCK_BYTES = 8 << 20
PLAIN_BYTES = 64 << 20  # a larger file that is no archive is no robots.txt
_CRAWL = re.compile(r"CC-MAIN-\d{4}-\d{2}(?!\d)")
_HOST = re.compile(r"(?=.{4,253}$)(?:[a-z0-9_](?:[a-z0-9\-_]{0,61}[a-z0-9_])?\.)+[a-z0-9](?:[a-z0-9\-]{0,61}[a-z0-9])?")
_ENDING = re.compile(r"(?:[._\-]robots)?\.txt$")
_ARCHIVE = re.compile(r"\.w?arc(?:\.\w+)?$")
_LOCATION = re.compile(rb"^location[ \t]*:[ \t]*([^\r\n]+)", re.I | re.M)
REDIRECTS = 5  # RFC 9309, 2.3.1.2


@dataclass
class Read:
    """What became of the records: counts by word, and the hosts whose robots.txt is another's, by (crawl, host)."""

    counts: Counter[str] = field(default_factory=Counter)
    elsewhere: dict[tuple[str, str], str] = field(default_factory=dict)


def robots_inputs(paths: Sequence[str], paths_base: str | None) -> list[Input]:
    """All files, a folder's too. Raises InputError for a path that is not there, or a file that says no host."""
    found: list[Input] = []
    for path in paths:
        if "://" not in path and os.path.isdir(path):
            below = [
                os.path.join(place, name)
                for place, _, names in os.walk(path)
                for name in names
                if not name.startswith(".")
            ]
            if not below:
                raise InputError(f"input.robots: the folder {path} is empty")
            found += [Input(file, os.path.relpath(file, path)) for file in below]
        else:
            try:
                found += inputs_of((path,), paths_base, RETRY)
            except InputError as error:
                raise InputError(str(error).replace("input.paths", "input.robots")) from error
    unique = {item.path: item for item in found}
    return [unique[path] for path in sorted(unique)]


def is_archive(item: Input) -> bool:
    """By its name, else by what it holds."""
    if _ARCHIVE.search(item.name):
        return True
    file = open_file(item.path, RETRY)
    try:
        return kind_of(file, item.name, "auto")[2] is not None
    finally:
        file.close()


def host_named(path: str) -> str:
    """The host that a plain file's path names: HOST/robots.txt, HOST.txt. Raises InputError where it names none."""
    parts = PurePosixPath(path.replace(os.sep, "/"))
    name = parts.parent.name if parts.name.lower() == "robots.txt" else _ENDING.sub("", parts.name)
    host = name.lower().rstrip(".")
    if not host.isascii():
        host = robots_host(f"https://{host}/")
    if _HOST.fullmatch(host) is None:
        raise InputError(
            f"input.robots: {path}: whose robots.txt is it? Name it HOST.txt (example.org.txt), lay it as "
            "HOST/robots.txt, or give WARCs as Common Crawl's robotstxt"
        )
    return host


def captures(item: Input, read: Read) -> Iterator[tuple[str, str, bytes]]:
    """(crawl or "", host, content) of each robots.txt that a file holds."""
    file = open_file(item.path, RETRY)
    try:
        kind, codec, grammar = kind_of(file, item.name, "auto")
        crawl = found.group() if (found := _CRAWL.search(item.path)) else ""
        if kind != "warc" or grammar is None:
            read.counts["files"] += 1
            yield crawl, host_named(item.path), file.read_at(0, min(file.size, PLAIN_BYTES))
            return
        for record in records(file, codec, grammar, 0, file.size, BLOCK_BYTES):
            read.counts["records"] += 1
            if record.rule:
                read.counts[record.rule] += 1
                continue
            if record.fields.get(b"warc-type", b"").lower() != b"response":
                continue
            url = record.fields.get(b"warc-target-uri", b"").decode("utf-8", "replace").strip("<> ")
            if (content := _robots_of(url, record.block, crawl, read)) is not None:
                yield crawl, robots_host(url), content
    finally:
        file.close()


def _robots_of(url: str, block: bytes, crawl: str, read: Read) -> bytes | None:
    """The content of a successful response; a redirection to another host's robots.txt is noted."""
    host = robots_host(url)
    if not host or _path(url) != "/robots.txt":
        read.counts["other_url"] += 1
        return None
    try:
        response = response_of(block, BLOCK_BYTES)
    except (BodyTooLarge, HeadTooLarge):
        read.counts["too_large"] += 1
        return None
    read.counts[f"status_{response.status // 100}xx"] += 1
    if 300 <= response.status < 400 and (found := _LOCATION.search(block, 0, 1 << 16)):
        target = _joined(url, found[1].decode("latin-1").strip())
        if _path(target) == "/robots.txt" and (other := robots_host(target)) not in ("", host):
            read.elsewhere[crawl, host] = other
    return response.body if 200 <= response.status < 300 else None


def _path(url: str) -> str:
    try:
        return urlsplit(url).path
    except ValueError:
        return ""


def _joined(url: str, target: str) -> str:
    try:
        return urljoin(url, target)
    except ValueError:
        return ""


def redirected(read: Read, crawl: str, host: str) -> str:
    """The host whose robots.txt holds for a host, at most REDIRECTS hosts away."""
    for _ in range(REDIRECTS):
        host = read.elsewhere.get((crawl, host), host)
    return host
