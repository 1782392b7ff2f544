"""From the config's paths to parts: globs, lists and archives expanded, names and keys given, big files cut."""

import gzip
import os
import re
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from glob import escape, glob
from hashlib import blake2b
from io import BytesIO
from itertools import pairwise
from pathlib import PurePosixPath
from urllib.parse import urlsplit

from gristmill.pipeline.contract.errors import InputError
from gristmill.pipeline.contract.remote.retry import Retry, patiently
from gristmill.pipeline.contract.secrets import public
from gristmill.pipeline.contract.shapes import Part
from gristmill.stages.ingest.files.open import (
    INSIDE,
    SPOOLED_BYTES,
    archives_inside,
    digest_of,
    outer_and_inner,
    read_whole,
)
from gristmill.stages.ingest.files.remote import filesystem_of, is_url, sends_ranges

_MAGIC = re.compile(r"[*?\[]")
_LIST = re.compile(r"\.paths(?:\.gz)?$")
_SPLIT = re.compile(
    r"\.(?:warc|wet|wat|arc|warcs)(?:\.gz|\.zst|\.lz4|\.xz|\.bz2)?$|\.parquet$|\.(?:jsonl|ndjson|json)(?:\.gz|\.zst|\.lz4|\.xz|\.bz2)?$|\.zst[dr]?$"
)
_PLAIN = re.compile(r"\.(?:warc|wet|wat|arc)$")
_UNSAFE = re.compile(r"[^A-Za-z0-9._-]+")
REMOTE_THREADS = 16
LIST_BYTES = 1 << 30  # a dump of Common Crawl has 90,000 paths, 12 MB
LISTED_SCHEMES = ("http", "https", "s3")
RUN_MARKS = (
    (".workers.lock",),
    ("plan.json", "config.yaml"),
)  # any of these sets of files: pipeline/run/store.py, launch.py


@dataclass(frozen=True)
class Input:
    """A file to read; `name` stands for it in doc_id, wherever it lies."""

    path: str
    name: str


def inputs_of(paths: tuple[str, ...], paths_base: str | None, retry: Retry) -> list[Input]:
    """All files, sorted by name. Raises InputError for a missing path, an empty glob or list, a name given twice."""
    if not paths:
        raise InputError("input.paths is empty; give at least one file, glob, URL or list of paths")
    found: dict[str, Input] = {}
    names: dict[str, str] = {}
    for pattern in paths:
        for item in _expanded(pattern, paths_base, retry):
            place = item.path if is_url(item.path) else os.path.abspath(item.path)
            if item.name in found and names.get(place) != item.name:
                raise InputError(
                    f"two inputs are named {item.name}: {found[item.name].path} and {item.path}; "
                    "widen the glob so that its folders become part of the names, or rename one"
                )
            if names.get(place, item.name) != item.name:
                raise InputError(
                    f"{item.path} is given twice, as {names[place]} and as {item.name}; remove one of the patterns"
                )
            found[item.name], names[place] = item, item.name
    return [found[name] for name in sorted(found)]


def _expanded(pattern: str, paths_base: str | None, retry: Retry) -> Iterator[Input]:
    is_glob = _MAGIC.search(pattern) is not None and not _is_one_file(pattern, retry)
    if _LIST.search(pattern) and not is_glob:
        yield from _listed(pattern, paths_base, retry)
    elif is_glob:
        yield from _globbed(pattern, retry)
    elif is_url(pattern):
        yield from _opened(Input(pattern, PurePosixPath(pattern.partition("?")[0]).name), retry)
    elif os.path.isdir(pattern):
        raise InputError(
            f"input {pattern} is a folder; name its files, for example {escape(pattern.rstrip('/'))}/*.warc.gz"
        )
    elif not os.path.exists(pattern):
        raise InputError(f"input {pattern} {_what_is_wrong(pattern)}; check input.paths")
    else:
        yield from _opened(Input(pattern, os.path.basename(pattern)), retry)


def _is_one_file(pattern: str, retry: Retry) -> bool:
    """A path with brackets, or a URL with a query, that names one thing: what exists is no pattern."""
    if not is_url(pattern):
        return os.path.lexists(pattern)
    if "*" in pattern:
        return False
    if "[" not in pattern:
        return True
    fs, inner = filesystem_of(pattern)
    return patiently(lambda: bool(fs.exists(inner)), f"input {pattern}", retry)


def _folder_before_wildcards(pattern: str) -> str:
    """The longest beginning of whole folders without a wildcard; what exists is no pattern."""
    folder, rest = "", pattern
    while "/" in rest:
        name, _, behind = rest.partition("/")
        longer = f"{folder}{name}/"
        if _MAGIC.search(name) and (is_url(pattern) or not os.path.isdir(longer)):
            break
        folder, rest = longer, behind
    return folder.removesuffix("/")


def _globbed(pattern: str, retry: Retry) -> Iterator[Input]:
    """Names are relative to the folder before the first wildcard. Files inside a run folder are left out."""
    prefix = _folder_before_wildcards(pattern)
    if is_url(pattern):
        fs, inner = filesystem_of(pattern)
        matches = [fs.unstrip_protocol(str(p)) for p in patiently(lambda: fs.glob(inner), f"input {pattern}", retry)]
        root = fs.unstrip_protocol(filesystem_of(prefix)[1])
    else:
        matches, runs = local_matches(pattern)
        root = prefix
        if not matches and runs:
            raise InputError(f"{pattern} matches only files of the run folder {runs[0]}, which are never input")
    if not matches:
        raise InputError(f"no file matches {pattern}; check input.paths")
    for path in sorted(matches):
        name = path[len(root) :].lstrip("/") if root and path.startswith(root) else path.lstrip("/")
        yield from _opened(Input(path, name), retry)


def run_folders_among(paths: tuple[str, ...]) -> list[str]:
    """Run folders whose files local globs match, and which `inputs_of` leaves out."""
    globs = [p for p in paths if _MAGIC.search(p) and not is_url(p) and not os.path.lexists(p)]
    return sorted({run for pattern in globs for run in local_matches(pattern)[1]})


def local_matches(pattern: str) -> tuple[list[str], list[str]]:
    """Files that a glob matches, and the run folders whose files it matches too: those are left out.

    Raises InputError for a match that is no file (a link to nothing, a folder whose files the glob does not match, a
    socket): passed over, its documents would be missing without a word.
    """
    prefix = _folder_before_wildcards(pattern)
    meant = run_folder_of(os.path.realpath(prefix or "."))  # a glob that begins inside a run folder means its files
    files, folders, runs = [], [], set()
    known: dict[str, str | None] = {}
    for path in glob(escape(prefix) + pattern[len(prefix) :], recursive=True, include_hidden=False):
        place = os.path.realpath(path) if os.path.isdir(path) else os.path.dirname(os.path.realpath(path))
        run = known[place] = known[place] if place in known else run_folder_of(place)
        if run is not None and run != meant:
            runs.add(run)
        elif os.path.isfile(path):
            files.append(path)
        elif os.path.isdir(path):
            folders.append(path)
        else:
            raise InputError(f"input {path}, matched by {pattern}, {_what_is_wrong(path)}; fetch or remove it")
    named = pattern.rpartition("/")[2].strip("*")  # a pattern that says how names look means files
    for folder in folders:
        below = folder.rstrip("/") + "/"
        if not any(f.startswith(below) for f in files) and (named or _holds_files(folder)):
            raise InputError(
                f"input {folder}, matched by {pattern}, is a folder, and its files are not matched; write "
                f"{prefix + '/' if prefix else ''}**/* for all below, or a pattern that leaves it out, as *.jsonl"
            )
    return files, sorted(runs)


def run_folder_of(path: str) -> str | None:
    """The nearest folder at or above a real path that is a run's."""
    while True:
        if is_run_folder(path):
            return path
        above = os.path.dirname(path)
        if above == path:
            return None
        path = above


def is_run_folder(path: str) -> bool:
    """It has the lock that a run makes first of all, or (copied without hidden files) a plan beside a config."""
    return any(all(os.path.exists(os.path.join(path, name)) for name in names) for names in RUN_MARKS)


def _holds_files(folder: str) -> bool:
    """Whether any file that is not hidden and not a run's lies at or below it."""
    for place, folders, names in os.walk(folder):
        if is_run_folder(place):
            folders.clear()
        elif any(not name.startswith(".") for name in names):
            return True
        folders[:] = [name for name in folders if not name.startswith(".")]
    return False


def _what_is_wrong(path: str) -> str:
    if os.path.islink(path) and not os.path.exists(path):
        return f"is a link to {os.readlink(path)}, which does not exist"
    return "is no regular file" if os.path.lexists(path) else "does not exist"


def _listed(pattern: str, paths_base: str | None, retry: Retry) -> Iterator[Input]:
    """A file of paths, one a line; relative ones continue `paths_base`, or the list's own folder."""
    if not is_url(pattern) and not os.path.isfile(pattern):
        raise InputError(f"list of paths {pattern} does not exist; check input.paths")
    data = read_whole(pattern, retry)
    try:
        text = (_inflated(data) if data[:2] == b"\x1f\x8b" else data).decode("utf-8-sig")
    except (OSError, EOFError, zlib.error, UnicodeDecodeError) as error:
        raise InputError(f"list of paths {pattern} cannot be read: {error}") from error
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    if not lines:
        raise InputError(f"list of paths {pattern} is empty")
    base = paths_base if paths_base is not None else pattern.rpartition("/")[0]
    for line in lines:
        path = line if line.startswith("/") or not base else f"{base.rstrip('/')}/{line}"
        if not (os.path.isfile(path) and not is_url(pattern)):  # a path that exists is that path
            _check_line(line, pattern, paths_base)
        if is_url(line):
            yield from _opened(Input(line, public(line).partition("://")[2].partition("/")[2]), retry)
            continue
        if not is_url(path) and not os.path.isfile(path):
            raise InputError(f"{path}, named in {pattern}, does not exist; check the list or input.paths_base")
        yield from _opened(Input(path, line.lstrip("/")), retry)


def _check_line(line: str, pattern: str, paths_base: str | None) -> None:
    """Raises InputError for a line that leads elsewhere than a list of that origin may: a list is somebody's data.

    A list on a server names files of that server and of `paths_base`; a list on disk names files on disk and, by
    http(s) or s3, on servers. Neither names other protocols of fsspec, nor chains of them.
    """
    if "::" in line or INSIDE in line:
        raise InputError(f"{line!r}, named in {public(pattern)}, is a chain of protocols; a list names plain files")
    if not is_url(pattern):
        if is_url(line) and line.partition("://")[0].lower() not in LISTED_SCHEMES:
            raise InputError(
                f"{line!r}, named in {public(pattern)}: a list names files and {', '.join(LISTED_SCHEMES)} URLs; "
                "give others in input.paths itself"
            )
        return
    own = [_origin(place) for place in (pattern, paths_base) if place and is_url(place)]
    if is_url(line):
        fine = _origin(line) in own
    elif line.startswith("/") or ".." in line.split("/") or "\\" in line:
        fine = False
    else:
        fine = True
    if not fine:
        raise InputError(
            f"{line!r}, named in the list {public(pattern)}, is no file of its server; a list on a server names files "
            "there or below input.paths_base; give others in input.paths itself"
        )


def _origin(url: str) -> tuple[str, str]:
    """Scheme and host with port, lower case, without user info."""
    parts = urlsplit(url)
    return parts.scheme.lower(), parts.netloc.rpartition("@")[2].lower()


def _inflated(data: bytes) -> bytes:
    """The gzip file inflated. Raises OSError beyond LIST_BYTES."""
    with gzip.GzipFile(fileobj=BytesIO(data)) as file:
        text = file.read(LIST_BYTES + 1)
    if len(text) > LIST_BYTES:
        raise OSError(f"it inflates to more than {LIST_BYTES >> 20} MB")
    return text


def _opened(item: Input, retry: Retry) -> Iterator[Input]:
    """A WACZ stands for the archives inside it; one that cannot be opened stays, to be rejected when it is read."""
    inside = archives_inside(item.path, retry) if item.path.endswith(".wacz") else []
    for name in inside:
        yield Input(f"{item.path}{INSIDE}{name}", f"{item.name}{INSIDE}{name}")
    if not inside:
        yield item


def parts_of(inputs: list[Input], part_bytes: int, retry: Retry, source: str = "") -> list[Part]:
    """Each file whole, or cut every `part_bytes`; the reader aligns the cuts to records. Sorted by key."""

    def cut(item: Input) -> list[Part]:
        path, inner = outer_and_inner(item.path)
        size, digest = digest_of(path, retry)
        if inner:  # as large as what is inside may be, not as the archive around it
            size = max(size, SPOOLED_BYTES)
        count = max(1, round(size / part_bytes)) if not inner and _SPLIT.search(path) else 1
        if count > 1 and is_url(path) and (_PLAIN.search(path) or not sends_ranges(path, size, retry)):
            count = 1  # plain: to find a record one goes from header to header, too many requests where it is far
        key = key_of(item.name)
        edges = [size * i // count for i in range(count)] + [size]
        shown = public(item.path)
        return [
            Part(f"{key}-{start:013d}", shown, item.name, start, end, digest, source) for start, end in pairwise(edges)
        ]

    if any(is_url(item.path) for item in inputs):
        with ThreadPoolExecutor(REMOTE_THREADS) as pool:
            cuts = list(pool.map(cut, inputs))
    else:
        cuts = [cut(item) for item in inputs]
    return sorted((part for parts in cuts for part in parts), key=lambda part: part.key)


def key_of(name: str) -> str:
    """Safe as a file name, and another one for every name."""
    return f"{_UNSAFE.sub('_', name)[-80:].lstrip('.')}-{blake2b(name.encode(), digest_size=6).hexdigest()}"
