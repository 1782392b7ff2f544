"""A page's main content without a parser's tree: resiliparse 2.0's text, byte for byte, in a quarter of its time.

`main_text` gives up where a page's tree is not that of its tags read in order (some 10% of pages), and its caller asks
resiliparse then.
"""

import threading
from dataclasses import dataclass, field

import numpy as np

from gristmill.pipeline.kernels.html import class_names
from gristmill.pipeline.kernels.html.body import build
from gristmill.pipeline.kernels.html.main_content import LISTS, STATE_OF_TEXT, write_main
from gristmill.pipeline.kernels.html.raw import FOREIGN_NAMES
from gristmill.pipeline.kernels.html.references import NAMED
from gristmill.pipeline.kernels.html.stack import (
    LANG_AT,
    LANG_STOP,
    NESTED,
    NODE_ROWS,
    ROOM,
    STATE,
    TITLE_AT,
    TITLE_END,
    WHY,
)  # fmt: skip
from gristmill.pipeline.kernels.html.tags import ATTRIBUTES, FOUND
from gristmill.pipeline.kernels.page.needles import LOWER

_MOST_BYTES = 1 << 29  # offsets of 32 bits into three times as much
_FIRST_BYTES = 1 << 18  # room at first; it grows with the pages
_NODES_PER_TAG = 3  # with elements that a parser adds and those that it opens again


@dataclass(frozen=True, slots=True)
class MainText:
    """`title`: of the first title element; `lang`: of the root element; both as they stand in the page."""

    text: str
    title: bytes | None
    lang: bytes | None


@dataclass
class _Room(threading.local):
    """Arrays that pages share, of one thread."""

    data: np.ndarray = field(default_factory=lambda: np.empty(0, dtype=np.uint8))
    nodes: np.ndarray = field(default_factory=lambda: np.empty((NODE_ROWS, 0), dtype=np.int32))

    def __post_init__(self) -> None:
        self.stacks = np.empty((2, NESTED), dtype=np.int32)
        self.state = np.zeros(STATE, dtype=np.int64)
        self.attributes = (np.empty((ATTRIBUTES, 2), np.int64), np.zeros(FOUND, np.int64))
        self.names = np.empty(FOREIGN_NAMES, dtype=np.uint32)
        self.lists = tuple(np.empty(n, dtype=np.int64) for n in (STATE_OF_TEXT, LISTS + 1, LISTS + 1))
        self.sums: tuple[np.ndarray, ...] = ()
        self.out = self.data
        self.most = 0

    def grow(self, size: int, tags: int) -> None:
        """Makes room for a page of `size` bytes with so many <; how much it may take does not hang on earlier ones."""
        if 3 * size + 16 > self.data.size:
            self.data = np.empty(max(4 * size, _FIRST_BYTES), dtype=np.uint8)
        self.state[:] = 0
        self.state[ROOM] = room = _NODES_PER_TAG * tags + 64
        if room > self.nodes.shape[1]:
            room = max(room * 4 // 3, _FIRST_BYTES >> 4)
            self.nodes = np.empty((NODE_ROWS, room), dtype=np.int32)
            self.sums = tuple(np.empty(room + 1, dtype=kind) for kind in (np.int64, np.int64, np.int8, np.int32))
        self.most = 2 * size + (1 << 14)
        if self.most > self.out.size:
            self.out = np.empty(self.most * 4 // 3, dtype=np.uint8)


_ROOM = _Room()


def main_text(page: bytes) -> MainText | None:
    """`page`: UTF-8 without a byte order mark. None: left to a parser."""
    size = len(page)
    if page.startswith(b"\xef\xbb\xbf") or b"\0" in page or size > _MOST_BYTES:
        return None
    room = _ROOM
    room.grow(size, page.count(b"<"))
    room.data[:size] = np.frombuffer(page, dtype=np.uint8)
    s = room.state
    build(
        room.data, size, LOWER, class_names.tables(), *NAMED, room.nodes, room.stacks, s, *room.attributes, room.names
    )
    if s[WHY]:
        return None
    n = write_main(room.data, room.nodes, room.stacks, s, room.out[: room.most], *room.sums, *room.lists)
    if n < 0:
        return None
    title = page[s[TITLE_AT] : s[TITLE_END]] if s[TITLE_AT] >= 0 else None
    lang = page[s[LANG_AT] : s[LANG_STOP]] if s[LANG_AT] >= 0 else None
    return MainText(room.out[:n].tobytes().decode("utf-8", "replace"), title, lang)
