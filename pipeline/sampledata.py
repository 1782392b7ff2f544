"""An embedded input: what this Python installation says about itself, as pages of a small web in WARC shards.

READMEs, API docstrings, licence files, changelogs and source code of the installed distributions and of the standard
library are real text that is already on the machine, with licence metadata. A share of deliberately bad pages, made
of the same text, gives every rule something to drop. Hosts end in .example (RFC 2606).
"""

import ast
import gzip
import json
import re
import sysconfig
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b, sha1
from importlib import metadata
from inspect import cleandoc
from pathlib import Path
from urllib.parse import quote
from uuid import UUID

from pipeline.samplepages import Page, chapters, headings, prose, render

_DATE = "2026-01-01T00:00:00Z"  # fixed: the shards of one installation are always the same bytes

# Share of each kind in max_docs; what a kind cannot fill goes to the API pages. The rest are the bad pages.
_SHARES = {"readme": 0.10, "license": 0.05, "changes": 0.08, "reference": 0.20, "source": 0.15}
_BAD_SHARE = 0.10

# Trove classifiers and common free-text values that name one licence; "BSD License" alone names none.
_SPDX = {
    "MIT License": "MIT",
    "MIT": "MIT",
    "Apache Software License": "Apache-2.0",
    "Apache 2.0": "Apache-2.0",
    "Apache-2.0": "Apache-2.0",
    "Apache 2.0 License": "Apache-2.0",
    "BSD-3-Clause": "BSD-3-Clause",
    "BSD-2-Clause": "BSD-2-Clause",
    "BSD 2-Clause License": "BSD-2-Clause",
    "PSF-2.0": "PSF-2.0",
    "Python Software Foundation License": "PSF-2.0",
    "Mozilla Public License 2.0 (MPL 2.0)": "MPL-2.0",
    "MPL-2.0": "MPL-2.0",
    "MPL-2.0 AND MIT": "MPL-2.0 AND MIT",
    "ISC License (ISCL)": "ISC",
    "ISC License": "ISC",
    "The Unlicense (Unlicense)": "Unlicense",
    "GNU General Public License v3 (GPLv3)": "GPL-3.0-only",
}
_NOT_OURS = re.compile(
    r"(?:^|/)(?:\.\.|_?vendor(?:ed)?|externals?|extern|third_party|tests?|testing|_tests|site-packages|__pycache__|"
    r"idlelib|lib2to3|ensurepip|turtledemo|[^/]*\.dist-info)(?:/|$)|(?:^|/)test_[^/]*$"
)
_LICENSE_FILE = re.compile(r"(?:^|/)(?:LICEN[CS]E|COPYING|NOTICE|AUTHORS)[^/]*$", re.I)
_CHANGES = re.compile(r"\b(?:change ?log|changes|release (?:notes|history)|history|what'?s new)\b", re.I)
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
class _Project:
    """One distribution, or the standard library: its files by relative name, lazily read."""

    name: str
    slug: str
    license: str
    readme: str
    summary: str
    files: tuple[str, ...]
    locate: Callable[[str], Path]

    @property
    def pick(self) -> int:
        return _hash(self.slug)

    def text(self, name: str) -> str:
        """The file's text, or "" if it is not UTF-8 or not there (a RECORD may list what was removed)."""
        try:
            return self.locate(name).read_text("utf-8").replace("\0", "")
        except (OSError, UnicodeDecodeError):
            return ""

    def page(self, kind: str, host: str, path: str, title: str, article: str) -> Page:
        links = ("/", "/api/", "/changes/", "/source/", "/license/", "/contributing/", "/download/", "/community/")
        known = "" if kind == "license" else self.license
        return Page(
            kind, f"{host}{self.slug}.example", quote(path), title, article, self.name, known, self.pick, "", links
        )


def _hash(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _shuffled(names: Iterable[str]) -> list[str]:
    return sorted(names, key=_hash)


def _spdx(meta: metadata.PackageMetadata) -> str:
    """License-Expression, else the one licence that classifiers or the License field name, else ""."""
    fields = meta.json
    if expression := fields.get("license_expression"):
        return str(expression)
    classifiers = [c.split(" :: ")[-1] for c in fields.get("classifier", []) if c.startswith("License ::")]
    found = {_SPDX[c] for c in [*classifiers, str(fields.get("license", "")).strip()] if c in _SPDX}
    return found.pop() if len(found) == 1 else ""


def _locate(dist: metadata.Distribution, name: str) -> Path:
    return Path(str(dist.locate_file(name)))


def _projects() -> list[_Project]:
    """Installed distributions by name (the first on the path wins), without this one: its code changes as it runs."""
    found: dict[str, _Project] = {}
    for dist in metadata.distributions():
        fields = dist.metadata.json
        slug = re.sub(r"[-_.]+", "-", str(fields.get("name", ""))).lower()
        if not slug or slug == "gristmill" or slug in found:
            continue
        files = tuple(_shuffled(str(f) for f in dist.files or ()))
        readme, summary = str(fields.get("description", "")), str(fields.get("summary", ""))
        found[slug] = _Project(
            str(fields["name"]), slug, _spdx(dist.metadata), readme, summary, files, partial(_locate, dist)
        )
    return [found[slug] for slug in sorted(found)]


def _standard_library() -> _Project:
    root = Path(sysconfig.get_path("stdlib"))
    files = (p.relative_to(root).as_posix() for p in root.rglob("*.py"))
    return _Project("Python", "python", "PSF-2.0", "", "", tuple(_shuffled(files)), root.joinpath)


def _readme_pages(project: _Project) -> Iterator[Page]:
    if len(project.readme) >= 300:
        first = chapters(project.readme, 6000)[0]
        yield project.page("readme", "", "/", f"{project.name}: {project.summary}"[:150], prose(first))


def _changes_pages(project: _Project) -> Iterator[Page]:
    """The long tail of a README, which is a changelog more often than not, and changelog files, cut at headings."""
    tail = chapters(project.readme, 6000)[1:]
    pieces = [c for part in tail for c in chapters(part, 2500)]
    for name in project.files:
        if re.search(r"(?:^|/)(?:CHANGE|HISTORY|NEWS|RELEASE)[^/]*\.(?:md|rst|txt)$", name, re.I):
            pieces += chapters(project.text(name), 2500)
    for i, piece in enumerate(p for p in pieces if len(p) > 300):
        title = next((h for _, h in headings(piece)), "Changes")
        host = "blog." if _CHANGES.search(title) or re.search(r"\d+\.\d+", title) else ""
        yield project.page("changes", host, f"/changes/{i}/", f"{project.name} {title}"[:150], prose(piece))


def _license_pages(project: _Project) -> Iterator[Page]:
    for name in project.files:
        if _LICENSE_FILE.search(name) and not name.endswith((".py", ".pyc")):
            text = project.text(name)
            if len(text) >= 200:
                title = f"{name.rsplit('/', 1)[-1]} of {project.name}"
                yield project.page("license", "", f"/license/{name}.html", title, prose(text[:30_000]))


def _modules(project: _Project) -> Iterator[tuple[str, str]]:
    for name in project.files:
        if name.endswith(".py") and not _NOT_OURS.search(name):
            text = project.text(name)
            if 1500 <= len(text) <= 150_000:  # parsing more than 150 kB for one page is not worth the time
                yield name, text


def _api_pages(project: _Project, kind: str, host: str) -> Iterator[Page]:
    """A page per module, and one for each member of a module that has much to say."""
    for name, text in _modules(project):
        if text.count('"""') < 4:
            continue
        try:
            tree = ast.parse(text)
        except (SyntaxError, ValueError):
            continue
        module = name.removesuffix(".py").removesuffix("/__init__").replace("/", ".")
        parts, own = [prose(ast.get_docstring(tree) or "")], 0
        for node in tree.body:
            if not isinstance(node, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) or node.name[0] == "_":
                continue
            described = _describe(node)
            if len(described) > 2500 and own < 6:
                own += 1
                yield project.page(kind, host, f"/api/{module}.{node.name}.html", f"{module}.{node.name}", described)
            else:
                parts.append(described)
        article = "\n".join(filter(None, parts))
        if len(article) > 700:
            yield project.page(kind, host, f"/api/{module}.html", f"{module} module", article[:60_000])


def _describe(node: ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef) -> str:
    """Signature and docstring, then those of the public methods; "" where nothing is said."""
    doc = ast.get_docstring(node, clean=False) or ""
    if isinstance(node, ast.ClassDef):
        inner = [n for n in node.body if isinstance(n, ast.FunctionDef | ast.AsyncFunctionDef) and n.name[0] != "_"]
        methods = "\n".join(filter(None, map(_describe, inner)))
        signature = f"class {node.name}"
    else:
        methods, signature = "", f"{node.name}({ast.unparse(node.args)})"
    if not doc and not methods:
        return ""
    return f"<h2><code>{signature[:300].replace('<', '&lt;')}</code></h2>\n{prose(cleandoc(doc), 3)}\n{methods}"


def _source_pages(project: _Project) -> Iterator[Page]:
    for name, text in _modules(project):
        escaped = text[:25_000].replace("&", "&amp;").replace("<", "&lt;")
        body = f"<p>File {name} of {project.name}.</p>\n<pre><code>{escaped}</code></pre>"
        yield project.page("source", "code.", f"/source/{name}.html", name, body)


def _reference_pages(stdlib: _Project) -> Iterator[Page]:
    """The language reference that pydoc carries, and the library's docstrings."""
    for node in ast.walk(ast.parse(stdlib.text("pydoc_data/topics.py") or "{}")):
        if isinstance(node, ast.Dict):
            for key, value in zip(node.keys, node.values, strict=True):
                topic, text = ast.literal_eval(key or value), ast.literal_eval(value)
                if len(text) > 600:
                    title = next((h for _, h in headings(text)), topic)
                    yield stdlib.page("reference", "docs.", f"/3/reference/{topic}.html", title, prose(text[:40_000]))
    yield from _api_pages(stdlib, "reference", "docs.")


def _in_turns(pages: Iterable[Iterator[Page]], limit: int) -> list[Page]:
    """One page of each iterator in turn until `limit`, so that no large distribution crowds out the others."""
    out: list[Page] = []
    turn = list(pages)
    while turn and len(out) < limit:
        still = []
        for it in turn:
            if len(out) == limit:
                break
            if (page := next(it, None)) is not None:
                out.append(page)
                still.append(it)
        turn = still
    return out


def _good_pages(projects: list[_Project], limit: int) -> list[Page]:
    quota = {kind: round(limit * share) for kind, share in _SHARES.items()}
    stdlib = _standard_library()
    pages = _in_turns(map(_readme_pages, projects), quota["readme"])
    pages += _in_turns(map(_license_pages, projects), quota["license"])
    pages += _in_turns(map(_changes_pages, projects), quota["changes"])
    pages += _in_turns([_reference_pages(stdlib)], quota["reference"])
    pages += _in_turns(map(_source_pages, [stdlib, *projects]), quota["source"])
    # Two fifths of the projects keep a documentation site; the others' API pages are ordinary crawl.
    api = (_api_pages(p, "docs", "docs." if p.pick % 5 < 2 else "www.") for p in projects)
    pages += _in_turns(api, limit - len(pages))
    return list({page.url: page for page in pages}.values())


def _paragraphs(article: str) -> list[str]:
    return [p for p in article.split("\n") if p.startswith("<p>")]


def _bad_pages(good: list[Page], limit: int) -> list[tuple[Page, "_Http"]]:
    """Deliberately bad pages, an eighth of `limit` of each sort, made of the text of good ones."""
    picked = iter(sorted((p for p in good if len(_paragraphs(p.article)) > 3), key=lambda p: _hash("bad" + p.url)))
    n = max(1, limit // 8)
    out: list[tuple[Page, _Http]] = []
    take: Callable[[str], list[Page]] = lambda kind: [replace(p, kind=f"bad:{kind}") for p, _ in zip(picked, range(n))]  # noqa: B905, E731
    for p in take("index"):
        names = sorted({q.path for q in good if q.site == p.site})[:150]
        links = "".join(f'<li><a href="{name}">{name.rsplit("/", 1)[-1]}</a></li>' for name in names)
        out.append(
            (replace(p, path=f"/index/{_hash(p.path):x}.html", title="Index", article=f"<ul>{links}</ul>"), _Http())
        )
    for p in take("repeated"):
        lines = _paragraphs(p.article)[:2] * 40
        out.append((p.moved(f"status.{p.host}", article="\n".join(lines)), _Http()))
    for p in take("exact"):
        out.append((p.moved(f"mirror.{p.host}"), _Http()))
    for p in take("near"):
        lines = p.article.split("\n")
        cut = [line for i, line in enumerate(lines) if i % 30 != 29]
        note = f"<p>Copied from {p.site} on the first of January.</p>"
        out.append((p.moved(f"copy.{p.host}", article="\n".join([*cut, note])), _Http()))
    for i, p in enumerate(take("opt_out")):
        meta = ('<meta name="robots" content="noai, noimageai">', '<meta name="tdm-reservation" content="1">', "", "")[
            i % 4
        ]
        headers = ((), (), ("X-Robots-Tag: noai",), ("TDM-Reservation: 1",))[i % 4]
        page = p.moved(f"reserved.{p.host}", head=meta, title=f"{p.title} (reserved)", article=_reworked(p.article))
        out.append((page, _Http(headers=headers)))
    for p in take("thin"):
        out.append((p.moved(f"old.{p.host}", article="<p>This page has moved. Please enable JavaScript.</p>"), _Http()))
    for i, p in enumerate(take("status")):
        status = ("404 Not Found", "301 Moved Permanently", "503 Service Unavailable")[i % 3]
        article = f"<p>{status}: {p.path} is not here.</p>"
        out.append((p.moved(f"gone.{p.host}", title=status, article=article), _Http(status=status)))
    for i, p in enumerate(take("not_html")):
        data = json.dumps({"title": p.title, "site": p.site, "license": p.license, "body": p.article}).encode()
        kind, body = (("application/json", data), ("text/css", b"main { margin: 0 }\n"), ("image/gif", _GIF))[i % 3]
        out.append((p.moved(f"api.{p.host}"), _Http(content_type=kind, body=body)))
    return out


_GIF = bytes.fromhex("47494638396101000100800000000000ffffff21f90401000000002c00000000010001000002024401003b")


def _reworked(article: str) -> str:
    """Every other block: the page keeps its subject and is no near-duplicate of its model."""
    return "\n".join(article.split("\n")[::2])


def _cjk_pages(stdlib: _Project) -> list[tuple[Page, "_Http"]]:
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
            out.append((page, _Http(content_type=header, body=body.encode(charset, "xmlcharrefreplace"))))
    return out


@dataclass(frozen=True)
class _Http:
    """How a page is served; `body` None is the rendered page."""

    status: str = "200 OK"
    content_type: str = "text/html; charset=utf-8"
    headers: tuple[str, ...] = ()
    body: bytes | None = None


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
    from base64 import b32encode

    return b32encode(sha1(data).digest()).decode()


def _response(page: Page, http: _Http) -> tuple[bytes, int]:
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
    projects = _projects()
    bad = round(max_docs * _BAD_SHARE)
    good = _good_pages(projects, max_docs - bad)
    served = [(page, _Http()) for page in good] + _bad_pages(good, bad) + _cjk_pages(_standard_library())
    served.sort(key=lambda item: _hash(item[0].url))
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
                data, size = _response(page, http)
                f.write(data)
                html_bytes += size
        paths.append(path)
    by_kind = tuple(sorted(Counter(page.kind for page, _ in served).items()))
    return SampleSummary(tuple(paths), len(projects), len(served) + shards, len(served), html_bytes, by_kind)
