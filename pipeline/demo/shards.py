"""Writes WARC shards whose pages are the texts of this Python installation: the input of the quickstart.

READMEs, API docstrings, licence files, changelogs and source code of the installed distributions and of the standard
library are real text that is already on the machine, with licence metadata. A share of deliberately bad pages, made
of the same text, gives every rule something to drop. Hosts end in .example (RFC 2606).
"""

import gzip
import json
import re
from base64 import b32encode
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, replace
from hashlib import blake2b, sha1
from itertools import islice
from pathlib import Path
from uuid import UUID

from gristmill.pipeline.demo.pages import Page, render
from gristmill.pipeline.demo.texts import Project, good_pages, hash64, installed_projects, standard_library

_DATE = "2026-01-01T00:00:00Z"  # fixed: the shards of one installation are always the same bytes
_BAD_SHARE = 0.10  # of max_docs
# Alternative encodings of the standard library's CJK test texts: (file, charset label).
_CJK = (
    ("euc_jp", "euc-jp"),
    ("shift_jis", "shift_jis"),
    ("gb18030", "gb18030"),
    ("euc_kr", "euc-kr"),
    ("big5", "big5"),
)


@dataclass(frozen=True)
class SampleSummary:
    """What was written: shards, pages by kind (bad ones are "bad:..."), size of the bodies before compression."""

    shards: tuple[Path, ...]
    distributions: int
    records: int
    pages: int
    html_bytes: int
    by_kind: tuple[tuple[str, int], ...]


@dataclass(frozen=True)
class Http:
    """How a page is served; `body` None is the rendered page."""

    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[str, ...] = ()
    body: bytes | None = None


def _paragraphs(article: str) -> list[str]:
    return [p for p in article.split("\n") if p.startswith("<p>")]


_GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")
_OPT_OUTS = (
    ('<meta name="robots" content="noai, noimageai">', ()),
    ('<meta name="tdm-reservation" content="1">', ()),
    ("", ("X-Robots-Tag: noai",)),
    ("", ("TDM-Reservation: 1",)),
)


def _index(i: int, page: Page) -> tuple[Page, Http]:
    """Navigation and nothing else: a link for every word that the page has in <code>."""
    names = sorted(set(re.findall(r"<code>([\w.]{4,40})</code>", page.article)) | set(page.links))
    links = "".join(f'<li><a href="/index/{name.strip("/")}.html">{name}</a></li>' for name in names)
    return page.moved(f"index.{page.host}", title="Index", article=f"<ul>{links}</ul>"), Http()


def _repeated(i: int, page: Page) -> tuple[Page, Http]:
    return page.moved(f"status.{page.host}", article="\n".join(_paragraphs(page.article)[:2] * 40)), Http()


def _exact(i: int, page: Page) -> tuple[Page, Http]:
    return page.moved(f"mirror.{page.host}"), Http()


def _near(i: int, page: Page) -> tuple[Page, Http]:
    """One block in thirty is lost, and a line added."""
    kept = [block for n, block in enumerate(page.article.split("\n")) if n % 30 != 29]
    note = f"<p>Copied from {page.site} on the first of January.</p>"
    return page.moved(f"copy.{page.host}", article="\n".join([*kept, note])), Http()


def _opted_out(i: int, page: Page) -> tuple[Page, Http]:
    """Every other block: the page keeps its subject and is no near-duplicate of its model."""
    meta, headers = _OPT_OUTS[i % len(_OPT_OUTS)]
    article = "\n".join(page.article.split("\n")[::2])
    return page.moved(f"reserved.{page.host}", head=meta, article=article), Http(headers=headers)


def _thin(i: int, page: Page) -> tuple[Page, Http]:
    return page.moved(f"old.{page.host}", article="<p>This page has moved. Please enable JavaScript.</p>"), Http()


def _failed(i: int, page: Page) -> tuple[Page, Http]:
    status = ("404 Not Found", "301 Moved Permanently", "503 Service Unavailable")[i % 3]
    article = f"<p>{status}: {page.path} is not here.</p>"
    return page.moved(f"gone.{page.host}", title=status, article=article), Http(status=status)


def _not_html(i: int, page: Page) -> tuple[Page, Http]:
    data = json.dumps({"title": page.title, "license": page.license, "body": page.article}).encode()
    kind, body = (("application/json", data), ("text/css", b"main { margin: 0 }\n"), ("image/gif", _GIF))[i % 3]
    return page.moved(f"api.{page.host}"), Http(content_type=kind, body=body)


_BAD: dict[str, Callable[[int, Page], tuple[Page, Http]]] = {
    "index": _index,
    "repeated": _repeated,
    "exact": _exact,
    "near": _near,
    "opt_out": _opted_out,
    "thin": _thin,
    "failed": _failed,
    "not_html": _not_html,
}


def _bad_pages(good: list[Page], limit: int) -> list[tuple[Page, Http]]:
    """As many of each sort, each made of another good page."""
    models = iter(sorted((p for p in good if len(_paragraphs(p.article)) > 3), key=lambda p: hash64("bad" + p.url)))
    return [
        make(i, replace(page, kind=f"bad:{sort}"))
        for sort, make in _BAD.items()
        for i, page in enumerate(islice(models, max(1, limit // len(_BAD))))
    ]


def _cjk_pages(stdlib: Project) -> list[tuple[Page, Http]]:
    """The standard library's Chinese, Japanese and Korean test texts in legacy charsets, where they are installed.

    Every other one names its charset in <meta> alone, not in the header.
    """
    out = []
    for i, (name, charset) in enumerate(_CJK):
        text = stdlib.text(f"test/cjkencodings/{name}-utf8.txt")
        if text:
            paragraphs = "\n".join(f"<p>{line}</p>" for line in text.split("\n") if line.strip())
            page = stdlib.page("legacy", "cjk.", f"/{name}.html", name, paragraphs)
            body = render(page).replace('charset="utf-8"', f'charset="{charset}"').replace('lang="en"', "")
            header = f"text/html; charset={charset}" if i % 2 else "text/html"
            out.append((page, Http(content_type=header, body=body.encode(charset, "xmlcharrefreplace"))))
    return out


def _record(kind: str, headers: list[tuple[str, str]], block: bytes) -> bytes:
    """One WARC/1.1 record (ISO 28500), gzipped by itself; its id is a UUID made of its content."""
    seed = "\n".join(f"{k}: {v}" for k, v in headers).encode() + block
    fields = [
        ("WARC-Type", kind),
        ("WARC-Record-ID", f"<urn:uuid:{UUID(bytes=blake2b(seed, digest_size=16).digest(), version=4)}>"),
        ("WARC-Date", _DATE),
        *headers,
        ("WARC-Block-Digest", f"sha1:{_base32(block)}"),
        ("Content-Length", str(len(block))),
    ]
    text = "WARC/1.1\r\n" + "".join(f"{k}: {v}\r\n" for k, v in fields) + "\r\n"
    return gzip.compress(text.encode() + block + b"\r\n\r\n", 6, mtime=0)


def _base32(data: bytes) -> str:
    return b32encode(sha1(data).digest()).decode()


def response_of(page: Page, http: Http) -> tuple[bytes, int]:
    """The page as a gzipped record, and the bytes of its body."""
    body = render(page).encode() if http.body is None else http.body
    head = [
        f"HTTP/1.1 {http.status}",
        f"Content-Type: {http.content_type}",
        f"Content-Length: {len(body)}",
        *http.headers,
    ]
    block = ("\r\n".join(head) + "\r\n\r\n").encode() + body
    fields = [("WARC-Target-URI", page.url), ("Content-Type", "application/http; msgtype=response")]
    return _record("response", fields, block), len(body)


def write_sample_data(out: Path, *, shards: int = 4, max_docs: int = 4000) -> SampleSummary:
    """Writes `shards` files sample-NNNNN.warc.gz with about `max_docs` pages into `out`, replacing such files.

    The same installation gives the same bytes. Fewer pages come out where the installation has fewer.
    """
    if shards < 1 or max_docs < 1:
        raise ValueError(f"shards and max_docs must be at least 1, not {shards} and {max_docs}")
    projects = installed_projects()
    bad = round(max_docs * _BAD_SHARE)
    good = good_pages(projects, max_docs - bad)
    served = [(page, Http()) for page in good] + _bad_pages(good, bad) + _cjk_pages(standard_library())
    served.sort(key=lambda item: hash64(item[0].url))
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob("sample-*.warc.gz"):
        old.unlink()
    paths, html_bytes = [], 0
    for i in range(shards):
        path = out / f"sample-{i:05d}.warc.gz"
        info = b"software: gristmill sample-data\r\nformat: WARC File Format 1.1\r\n"
        with path.open("wb") as f:
            f.write(
                _record("warcinfo", [("WARC-Filename", path.name), ("Content-Type", "application/warc-fields")], info)
            )
            for page, http in served[i::shards]:
                data, size = response_of(page, http)
                f.write(data)
                html_bytes += size
        paths.append(path)
    by_kind = tuple(sorted(Counter(page.kind for page, _ in served).items()))
    return SampleSummary(tuple(paths), len(projects), len(served) + shards, len(served), html_bytes, by_kind)
