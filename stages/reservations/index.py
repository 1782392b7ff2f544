"""The index of robots.txt files by host and crawl, made once for all documents.

Files: `hosts.npy` (n,) uint64, sorted hashes of host names; `crawls.npy` (n,) int32, index into `crawls` of
report.json, -1 for a file of no crawl; `texts.npy` (n,) int64, which text; `starts.npy` (m + 1,) int64, where each text
begins in `texts.bin`. Equal texts are held once. A process maps the files, so that all workers share them.
"""

import json
from collections import Counter
from dataclasses import dataclass
from hashlib import blake2b
from itertools import chain
from pathlib import Path
from typing import ClassVar

import numpy as np

from gristmill.classifiers.license.robots import parse_robots
from gristmill.pipeline.contract.shapes import Corpus, Reads, Reducer
from gristmill.stages.reservations.robots_files import (
    Read,
    captures,
    host_named,
    is_archive,
    redirected,
    robots_inputs,
)


@dataclass(frozen=True)
class RobotsIndex(Reducer):
    """Indexes the robots.txt files that `robots` names, by host and crawl."""

    # robots.txt of the sites: files HOST.txt or HOST/robots.txt, folders and globs of them, or WARCs that captured them
    # (Common Crawl's robotstxt.paths.gz). A crawl in the path (CC-MAIN-YYYY-WW) joins them to that crawl's documents;
    # others hold for all. What they reserve is in opt_out_reasons; none: only pages and responses are asked.
    robots: tuple[str, ...] = ()
    paths_base: str | None = None  # as of the input

    name: ClassVar[str] = "ingest.robots"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"ingest": ("url",)}
    files: ClassVar[tuple[str, ...]] = ("paths",)
    outside_identity: ClassVar[tuple[str, ...]] = ("paths_base",)

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.robots)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(item.path for item in robots_inputs(self.robots, self.paths_base))

    def preflight(self) -> None:
        for item in robots_inputs(self.robots, self.paths_base):
            if not is_archive(item):
                host_named(item.path)

    def run(self, corpus: Corpus, out: Path) -> None:
        read = Read()
        texts: dict[bytes, bytes] = {}  # digest -> text
        found: set[tuple[str, str, bytes]] = set()  # (crawl, host, digest)
        said: Counter[str] = Counter()
        for item in robots_inputs(self.robots, self.paths_base):
            for crawl, host, content in captures(item, read):
                robots = parse_robots(content)
                if robots.says_nothing:
                    said["nothing"] += 1
                    continue
                said["reserving"] += 1
                text = robots.short()
                digest = blake2b(text, digest_size=16).digest()
                texts.setdefault(digest, text)
                found.add((crawl, host, digest))
        found |= _of_redirected(read, found)
        _write(out, texts, found, {"read": dict(sorted(read.counts.items())), "said": dict(sorted(said.items()))})


def _of_redirected(read: Read, found: set[tuple[str, str, bytes]]) -> set[tuple[str, str, bytes]]:
    by_host: dict[tuple[str, str], list[bytes]] = {}
    for crawl, host, digest in found:
        by_host.setdefault((crawl, host), []).append(digest)
    return {
        (crawl, host, digest)
        for crawl, host in read.elsewhere
        for digest in by_host.get((crawl, redirected(read, crawl, host)), ())
    }


def host_hash(host: str) -> int:
    return int.from_bytes(blake2b(host.encode(), digest_size=8).digest(), "little")


def _write(out: Path, texts: dict[bytes, bytes], found: set[tuple[str, str, bytes]], counts: dict) -> None:
    used = sorted({digest for _, _, digest in found})
    number = {digest: i for i, digest in enumerate(used)}
    crawls = sorted({crawl for crawl, _, _ in found if crawl})
    rows = sorted(
        (host_hash(host), crawls.index(crawl) if crawl else -1, number[digest]) for crawl, host, digest in found
    )
    np.save(out / "hosts.npy", np.array([row[0] for row in rows], np.uint64))
    np.save(out / "crawls.npy", np.array([row[1] for row in rows], np.int32))
    np.save(out / "texts.npy", np.array([row[2] for row in rows], np.int64))
    sizes = [len(texts[digest]) for digest in used]
    np.save(out / "starts.npy", np.array(list(chain([0], np.cumsum(sizes).tolist())), np.int64))
    with (out / "texts.bin").open("wb") as file:
        for digest in used:
            file.write(texts[digest])
    report = {"crawls": crawls, "hosts": len({host for _, host, _ in found}), "texts": len(used), **counts}
    (out / "report.json").write_text(json.dumps(report, indent=1))
