"""A window over the inflated bytes of an archive: look ahead, move on, and know where members began and ended.

Positions count inflated bytes from the window's beginning; `buffer[at:]` is what is held and unread.
"""

from collections.abc import Iterator

from gristmill.stages.ingest.archive.members import Fault, Piece

GATHER_BYTES = 1 << 21  # from here on pieces are joined once instead of one by one


class Window:
    """`fault` is set once the stream cannot go on; what inflated before it stays readable."""

    def __init__(self, stream: Iterator[Piece | Fault], member: int) -> None:
        self._stream = stream
        self._dropped = 0
        self._begun: list[tuple[int, int]] = [
            (0, member)
        ]  # (position, file offset) of members, from the current one on
        self._ended: list[int] = []
        self._fed: list[tuple[int, int]] = [(0, member)]  # (position, file offset) of pieces, from the current one on
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
        """One more piece into the buffer; False at the end."""
        parts = self._pull(1)
        if not parts:
            return False
        if self.at == len(self.buffer):
            self._dropped, self.buffer, self.at = self._dropped + self.at, parts[0], 0
        elif parts[0]:
            self._dropped, self.buffer, self.at = self._dropped + self.at, self.buffer[self.at :] + parts[0], 0
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
                self._begun.append((end, piece.member))
            self._fed.append((end, piece.fed))
            parts.append(piece.data)
            end += len(piece.data)
            length -= max(len(piece.data), 1)
            if piece.last:
                self._ended.append(end)
        return parts

    def origin(self) -> tuple[int, int]:
        """(file offset of the member in which one stands, place inside the inflated member)."""
        begun = self._begun
        while len(begun) > 1 and begun[1][0] <= self.position:
            del begun[0]
        while len(self._ended) > 1 and self._ended[0] < self.position:
            del self._ended[0]
        return begun[0][1], self.position - begun[0][0]

    def fed(self) -> int:
        """File offset of the (compressed) bytes that gave the current position."""
        fed = self._fed
        while len(fed) > 1 and fed[1][0] <= self.position:
            del fed[0]
        return fed[0][1]

    def place(self, position: int) -> tuple[int, int]:
        """`origin` of another position at or behind the current one."""
        at, member = [b for b in self._begun if b[0] <= position][-1]
        return member, position - at

    def boundaries_in(self, after: int, upto: int) -> list[int]:
        """Positions in (after, upto] at which a member is known to end."""
        return [end for end in self._ended if after < end <= upto]

    def boundary_in(self, after: int, upto: int) -> bool:
        return any(after < end <= upto for end in self._ended)

    def seek(self, position: int) -> None:
        """Forward to a position, letting go of what lies between; stops early at the end."""
        while position > self.end:
            self.at = len(self.buffer)
            if not self.fill():
                return
        self.at = position - self._dropped
