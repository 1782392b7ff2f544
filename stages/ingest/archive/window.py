"""A window over the inflated bytes of an archive: look ahead, move on, and know where members began and ended.

Positions count inflated bytes from the window's beginning; `buffer[at:]` is what is held and unread.
"""

from bisect import bisect_right
from collections.abc import Iterator

from gristmill.stages.ingest.archive.members import Fault, Piece

GATHER_BYTES = 1 << 21  # from here on pieces are joined once instead of one by one


class _Marks:
    """Growing positions, each with a file offset: sought by bisection, let go of from the front in constant time."""

    def __init__(self) -> None:
        self.positions: list[int] = []
        self.offsets: list[int] = []
        self.first = 0  # those before it are let go of

    def add(self, position: int, offset: int) -> None:
        self.positions.append(position)
        self.offsets.append(offset)

    def forget(self, position: int) -> None:
        """Lets go of all that lie before the last at or before `position`."""
        held, behind = self.positions, self.first + 1
        if behind >= len(held) or held[behind] > position:
            return
        self.first = max(self.first, bisect_right(held, position, self.first) - 1)
        if self.first > len(held) // 2 + 64:
            del held[: self.first], self.offsets[: self.first]
            self.first = 0

    def last(self, position: int) -> tuple[int, int]:
        """The last at or before `position`, which is not before the first that is held."""
        behind = self.first + 1
        if behind >= len(self.positions) or self.positions[behind] > position:
            return self.positions[behind - 1], self.offsets[behind - 1]
        i = max(bisect_right(self.positions, position, self.first) - 1, self.first)
        return self.positions[i], self.offsets[i]


class Window:
    """`fault` is set once the stream cannot go on; what inflated before it stays readable."""

    def __init__(self, stream: Iterator[Piece | Fault], member: int) -> None:
        self._stream = stream
        self._dropped = 0
        self._begun = _Marks()  # members, from the current one on
        self._ended = _Marks()
        self._fed = _Marks()  # pieces, from the current one on
        self._begun.add(0, member)
        self._fed.add(0, member)
        self.buffer, self.at = b"", 0
        self.fault: Fault | None = None
        self.exhausted = False

    @property
    def position(self) -> int:
        return self._dropped + self.at

    @property
    def end(self) -> int:
        """Position behind the last byte held."""
        return self._dropped + len(self.buffer)

    def index(self, position: int) -> int:
        """Where in the buffer a position is."""
        return position - self._dropped

    def fill(self) -> bool:
        """More into the buffer: a piece, or an eighth of what is held, which is copied; False at the end."""
        held = len(self.buffer) - self.at
        parts = self._pull(max(1, held // 8))
        if not parts:
            return False
        if not held and len(parts) == 1:
            self._dropped, self.buffer, self.at = self._dropped + self.at, parts[0], 0
        elif len(parts) > 1 or parts[0]:
            joined = b"".join([self.buffer[self.at :], *parts])
            self._dropped, self.buffer, self.at = self._dropped + self.at, joined, 0
        return True

    def ensure(self, length: int) -> int:
        """Tries to hold `length` unread bytes; how many there are."""
        held = len(self.buffer) - self.at
        if length - held > GATHER_BYTES:
            parts = [self.buffer[self.at :], *self._pull(length - held)]
            self._dropped, self.buffer, self.at = self._dropped + self.at, b"".join(parts), 0
        while len(self.buffer) - self.at < length and self.fill():
            pass
        return len(self.buffer) - self.at

    def _pull(self, length: int) -> list[bytes]:
        """Pieces of together at least `length` bytes (and at least one), booked; fewer at the end."""
        parts: list[bytes] = []
        end = self.end
        while length > 0 and not self.exhausted:
            piece = next(self._stream, None)
            if piece is None or isinstance(piece, Fault):
                self.fault, self.exhausted = piece, True
                break
            if piece.first:
                self._begun.add(end, piece.member)
            self._fed.add(end, piece.fed)
            parts.append(piece.data)
            end += len(piece.data)
            length -= max(len(piece.data), 1)
            if piece.last:
                self._ended.add(end, 0)
        return parts

    def origin(self) -> tuple[int, int]:
        """(file offset of the member in which one stands, place inside the inflated member)."""
        position = self.position
        self._begun.forget(position)
        self._ended.forget(position - 1)
        at, member = self._begun.last(position)
        return member, position - at

    def fed(self) -> int:
        """File offset of the (compressed) bytes that gave the current position."""
        self._fed.forget(self.position)
        return self._fed.last(self.position)[1]

    def place(self, position: int) -> tuple[int, int]:
        """`origin` of another position at or behind the current one."""
        at, member = self._begun.last(position)
        return member, position - at

    def boundaries_in(self, after: int, upto: int) -> Iterator[int]:
        """Positions in (after, upto] at which a member is known to end, one at a time."""
        ended = self._ended.positions
        for i in range(bisect_right(ended, after, self._ended.first), bisect_right(ended, upto)):
            yield ended[i]

    def boundary_in(self, after: int, upto: int) -> bool:
        ended = self._ended
        i = bisect_right(ended.positions, after, ended.first)
        return i < len(ended.positions) and ended.positions[i] <= upto

    def seek(self, position: int) -> None:
        """Forward to a position, letting go of what lies between; stops early at the end."""
        while position > self.end:
            self.at = len(self.buffer)
            if not self.fill():
                return
        self.at = position - self._dropped
