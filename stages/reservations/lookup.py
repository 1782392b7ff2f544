"""What the indexed robots.txt files say of a URL, as signals of reservation."""

import json
from collections.abc import Collection, Iterator
from functools import lru_cache
from pathlib import Path

import numpy as np

from gristmill.classifiers.license.robots import Robots, kept_out, parse_robots, path_of, preferences, robots_host
from gristmill.stages.ingest.page.opt_outs import SIGNAL_CHARS, refused
from gristmill.stages.reservations.index import host_hash

HELD_TEXTS = 4096  # parsed ones that a process keeps


class RobotsTable:
    """The index of one run. `agents`: names in lower case whose groups reserve."""

    def __init__(self, folder: Path, agents: Collection[str]) -> None:
        self.agents = frozenset(agents)
        report = json.loads((folder / "report.json").read_text())
        self._crawls = {name: i for i, name in enumerate(report["crawls"])}
        self._hosts, self._crawl, self._texts, self._starts = (
            np.load(folder / f"{name}.npy", mmap_mode="r") for name in ("hosts", "crawls", "texts", "starts")
        )
        path = folder / "texts.bin"
        self._bytes = np.memmap(path, np.uint8, "r") if path.stat().st_size else np.zeros(0, np.uint8)
        self._parsed = lru_cache(HELD_TEXTS)(self._parse)

    def _parse(self, number: int) -> Robots:
        return parse_robots(self._bytes[self._starts[number] : self._starts[number + 1]].tobytes())

    def signals(self, url: str | None, crawl: str | None) -> list[str]:
        """Reservations of a document by its URL and the crawl it belongs to; files of no crawl hold for all."""
        return sorted(set(self._signals(url, crawl))) if url else []

    def _signals(self, url: str, crawl: str | None) -> Iterator[str]:
        host = robots_host(url)
        if not host:
            return
        key = np.uint64(host_hash(host))
        start, stop = np.searchsorted(self._hosts, key, "left"), np.searchsorted(self._hosts, key, "right")
        if start == stop:
            return
        mine = self._crawls.get(crawl, -2) if crawl else None  # -2: a crawl without robots.txt files
        path = path_of(url)
        for i in range(start, stop):
            if self._crawl[i] >= 0 and mine is not None and self._crawl[i] != mine:
                continue
            robots = self._parsed(int(self._texts[i]))
            for name in kept_out(robots, self.agents, path):
                yield f"robots.txt:{name}"
            for where, said in preferences(robots, self.agents, path):
                for refusal in refused(said):
                    yield f"robots.txt-{where}:{refusal}"
            for licence in robots.licences:
                yield f"rsl:robots.txt={licence[:SIGNAL_CHARS]}"
