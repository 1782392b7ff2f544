"""The texts of this Python installation as pages: what its distributions and the standard library say of themselves."""

import ast
import re
import sysconfig
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from hashlib import blake2b
from importlib import metadata
from inspect import cleandoc
from pathlib import Path
from urllib.parse import quote

from gristmill.pipeline.demo.pages import Page, chapters, headings, prose

# Share of each kind in max_docs; what a kind cannot fill goes to the API pages. The rest are the bad pages.
_SHARES = {"readme": 0.10, "license": 0.05, "changes": 0.08, "reference": 0.20, "source": 0.15}
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


@dataclass(frozen=True)
class Project:
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
        return hash64(self.slug)

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


def hash64(text: str) -> int:
    return int.from_bytes(blake2b(text.encode(), digest_size=8).digest(), "little")


def _shuffled(names: Iterable[str]) -> list[str]:
    return sorted(names, key=hash64)


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


def installed_projects() -> list[Project]:
    """Installed distributions by name (the first on the path wins), without this one: its code changes as it runs."""
    found: dict[str, Project] = {}
    for dist in metadata.distributions():
        fields = dist.metadata.json
        slug = re.sub(r"[-_.]+", "-", str(fields.get("name", ""))).lower()
        if not slug or slug == "gristmill" or slug in found:
            continue
        files = tuple(_shuffled(str(f) for f in dist.files or ()))
        readme, summary = str(fields.get("description", "")), str(fields.get("summary", ""))
        found[slug] = Project(
            str(fields["name"]), slug, _spdx(dist.metadata), readme, summary, files, partial(_locate, dist)
        )
    return [found[slug] for slug in sorted(found)]


def standard_library() -> Project:
    root = Path(sysconfig.get_path("stdlib"))
    files = [p.name for p in root.glob("*.py")] + [
        p.relative_to(root).as_posix() for d in root.iterdir() if not _NOT_OURS.search(d.name) for p in d.rglob("*.py")
    ]
    return Project("Python", "python", "PSF-2.0", "", "", tuple(_shuffled(files)), root.joinpath)


def _readme_pages(project: Project) -> Iterator[Page]:
    if len(project.readme) >= 300:
        first = chapters(project.readme, 6000)[0]
        yield project.page("readme", "", "/", f"{project.name}: {project.summary}"[:150], prose(first))


def _changes_pages(project: Project) -> Iterator[Page]:
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


def _license_pages(project: Project) -> Iterator[Page]:
    for name in project.files:
        if _LICENSE_FILE.search(name) and not name.endswith((".py", ".pyc")):
            text = project.text(name)
            if len(text) >= 200:
                title = f"{name.rsplit('/', 1)[-1]} of {project.name}"
                yield project.page("license", "", f"/license/{name}.html", title, prose(text[:30_000]))


def _modules(project: Project) -> Iterator[tuple[str, str]]:
    for name in project.files:
        if name.endswith(".py") and not _NOT_OURS.search(name):
            text = project.text(name)
            if 1500 <= len(text) <= 150_000:
                yield name, text


def _api_pages(project: Project, kind: str, host: str) -> Iterator[Page]:
    """A page per module, and one for each member of a module that has much to say."""
    for name, text in _modules(project):
        # Parsing is most of the time: only where docstrings are dense, at least one in 2 kB.
        if text.count('"""') < max(4, len(text) / 1000):
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
            if len(described) > 1200 and own < 20:
                own += 1
                yield project.page(kind, host, f"/api/{module}.{node.name}.html", f"{module}.{node.name}", described)
            else:
                parts.append(described)
        article = "\n".join(filter(None, parts))
        if len(article) > 600:
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


def _source_pages(project: Project) -> Iterator[Page]:
    for name, text in _modules(project):
        escaped = text[:25_000].replace("&", "&amp;").replace("<", "&lt;")
        body = f"<p>File {name} of {project.name}.</p>\n<pre><code>{escaped}</code></pre>"
        yield project.page("source", "code.", f"/source/{name}.html", name, body)


def _reference_pages(stdlib: Project) -> Iterator[Page]:
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


def good_pages(projects: list[Project], limit: int) -> list[Page]:
    quota = {kind: round(limit * share) for kind, share in _SHARES.items()}
    stdlib = standard_library()
    pages = _in_turns(map(_readme_pages, projects), quota["readme"])
    pages += _in_turns(map(_license_pages, projects), quota["license"])
    pages += _in_turns(map(_changes_pages, projects), quota["changes"])
    pages += _in_turns([_reference_pages(stdlib)], quota["reference"])
    pages += _in_turns(map(_source_pages, [stdlib, *projects]), quota["source"])
    # Two fifths of the projects keep a documentation site; the others' API pages are ordinary crawl.
    api = (_api_pages(p, "docs", "docs." if p.pick % 5 < 2 else "www.") for p in projects)
    pages += _in_turns(api, limit - len(pages))
    return list({page.url: page for page in pages}.values())
