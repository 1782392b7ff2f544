"""Reads the records of a byte range and resynchronises after a damaged one at the next header or member boundary.

A block's end is believed only where a record, a member or the file ends too. Where Content-Length disagrees, an intact
member that holds one record says how long its block is; anywhere else that record is lost and the next mark is sought.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from gristmill.stages.ingest.archive.grammar import BLANKS, MARK_BYTES, Grammar, declared_length, header_at
from gristmill.stages.ingest.archive.window import Window

HEADER_BYTES = 1 << 20  # a longer header belongs to no record that one could use
HEAD_BYTES = 1 << 12


@dataclass(slots=True)
class Record:
    """One record. `rule` says why its block is not here (broken_record, truncated, too_large), or is empty.

    `offset` is the file offset of its member (of itself in an uncompressed file), `inner` its place in the inflated
    member, `fed` the file offset of the compressed bytes in which it begins, `size` the block's length in bytes as far
    as it is known.
    """

    offset: int
    inner: int
    fields: Mapping[bytes, bytes] = field(default_factory=dict)
    block: bytes = b""
    size: int = 0
    rule: str = ""
    fed: int = 0


def rule_of(truncated: bool) -> str:
    return "truncated" if truncated else "broken_record"


class Reader:
    """The records of one window, until it ends or faults."""

    def __init__(self, window: Window, grammar: Grammar, block_bytes: int, plain: bool, file_bytes: int | None) -> None:
        self.window, self.grammar, self.block_bytes, self.plain = window, grammar, block_bytes, plain
        self.file_bytes = file_bytes
        self.lost = False  # a record that the fault broke has been booked
        self._endless = 0  # no header that begins before this position ends before it
        self.trusting = True  # lengths beyond block_bytes are believed until one proves false
        self.resume: tuple[int, int] | None = None  # (member, place) to begin again from

    def read(self) -> Iterator[Record]:
        while self.resume is None and self._to_next_record():
            fed = self.window.fed()
            record = self._next()
            record.fed = fed
            yield record

    def _to_next_record(self) -> bool:
        """Over blank lines; False at the end."""
        window = self.window
        while True:
            at, buffer = window.at, window.buffer
            while at < len(buffer) and buffer[at] in BLANKS:
                at += 1
            window.at = at
            if at < len(buffer):
                return True
            if not window.fill():
                return False

    def _next(self) -> Record:
        window = self.window
        start, (offset, inner) = window.position, window.origin()
        found = self._header()
        if found is None:  # garbage: up to the next mark or member it is one broken record
            return self._until_stop(Record(offset, inner), start, start + 1)
        fields, length = found
        body, declared = start + length, declared_length(fields)
        record = Record(offset, inner, fields)
        if declared is None:
            return self._until_stop(record, start, body)
        stop = body + declared
        if declared > self.block_bytes:
            beyond = self.file_bytes is not None and stop > self.file_bytes
            return (
                self._oversized(record, start, body, stop)
                if self.trusting and not beyond
                else self._until_stop(record, start, body)
            )
        window.ensure(stop - start)
        if window.end < stop or not self._ends_at(body, stop):
            return self._until_stop(record, start, body)
        if window.fault is not None and not window.fault.truncated and (offset, inner) == (window.fault.member, 0):
            return self._lost(record, start)  # all that its member holds, and the checksum is wrong
        i = window.index(body)
        record.block, record.size = window.buffer[i : i + declared], declared
        window.seek(stop)
        return record

    def _header(self) -> tuple[Mapping[bytes, bytes], int] | None:
        """(fields, the header's length in bytes); None where no header begins or it does not end."""
        window, want = self.window, 1  # a small record is one member: no need for the next one
        if not self.grammar.mark_at(window.buffer, window.at):
            window.ensure(MARK_BYTES)
            if not self.grammar.mark_at(window.buffer, window.at):
                return None
        while True:
            have = window.ensure(want)
            found = header_at(self.grammar, window.buffer, window.at, window.index(self._endless))
            if found is not None:
                length = found[1] - window.at
                inside = window.boundaries_in(window.position, window.position + length - 1)
                return None if any(map(self._mark_at, inside)) else (found[0], length)
            self._endless = max(window.end - 2, window.position)
            if have < want or have >= HEADER_BYTES:
                return None
            want = have + max(HEAD_BYTES, have // 8)

    def _mark_at(self, position: int) -> bool:
        """A record begins at `position`, blank lines aside."""
        window = self.window
        while window.end - position < MARK_BYTES and not window.boundary_in(position, window.end) and window.fill():
            pass
        at = window.index(position)
        while at < len(window.buffer) and window.buffer[at] in BLANKS:
            at += 1
        return self.grammar.mark_at(window.buffer, at)

    def _ends_at(self, body: int, stop: int) -> bool:
        """A mark, a member's end, the end of all or two empty lines confirm that the block [body, stop) ends there."""
        window = self.window
        for boundary in window.boundaries_in(body - 1, stop - 1):
            if self._mark_at(boundary):
                return False
        window.ensure(stop + 4 - window.position)
        i = window.index(stop)
        if window.buffer[i : i + 4] == b"\r\n\r\n":
            return True
        at = stop
        while True:
            if window.boundary_in(at - 1, at):
                return True
            if at == window.end:
                if not window.fill():
                    return True
            elif window.buffer[window.index(at)] in BLANKS:
                at += 1
            else:
                return self._mark_at(at) or self._is_damaged(stop, at)

    def _is_damaged(self, stop: int, at: int) -> bool:
        """A byte of the empty lines between two records is wrong; or the first line of an ARC record is."""
        window, gap = self.window, self.grammar.gap
        i = window.index(stop)
        wrong = sum(a != b for a, b in zip(window.buffer[i : i + len(gap)], gap, strict=False))
        if wrong == 1 and self.grammar.mark_at(window.buffer, i + len(gap)):
            return True
        return at > stop and self.grammar.broken_at(window.buffer, window.index(at))

    def _scan(self, behind: int) -> int | None:
        """Position of the first mark or member end behind `behind`, in bounded memory; None if all ends before."""
        window, seen = self.window, behind
        while True:
            boundary = next(window.boundaries_in(behind, window.end), None)
            # Only up to the member's end: over many short members the whole buffer would be searched for each.
            stop = None if boundary is None else window.index(boundary) + MARK_BYTES
            found = self.grammar.mark_in(window.buffer, max(window.index(seen), 0), stop)
            mark = None if found < 0 else found - window.index(0)
            stops = [p for p in (mark, boundary) if p is not None]
            if stops:
                return min(stops)
            seen = max(seen, window.end - MARK_BYTES)
            if window.end - window.position > self.block_bytes + HEADER_BYTES:
                window.at = window.index(seen)
            if not window.fill():
                return None

    def _until_stop(self, record: Record, start: int, body: int) -> Record:
        """The length is missing or false, or there is no header: the next mark or member's end is where it stops."""
        window = self.window
        stop = self._scan(body)
        if stop is None:
            return self._lost(record, start)
        record.size = stop - body
        at_boundary = window.boundary_in(stop - 1, stop)
        if record.fields and at_boundary and record.inner == 0 and not self.plain:
            if window.position == start and record.size <= self.block_bytes:
                i = window.index(body)
                record.block = window.buffer[i : i + record.size].removesuffix(b"\r\n\r\n")
                record.size = len(record.block)
            else:
                record.rule = "too_large"
        elif record.fields and self.plain and at_boundary:
            record.rule = "truncated"
        else:
            record.rule = "broken_record"
        window.seek(stop)
        return record

    def _oversized(self, record: Record, start: int, body: int, stop: int) -> Record:
        """Passes over a block too large to hold; members that end or marks that follow show whether the length lies."""
        window, seen, first_mark, behind = self.window, body, None, body
        while window.end < stop:
            for boundary in window.boundaries_in(behind, min(window.end, stop - 1)):
                behind = boundary  # each is judged once
                if self._mark_at(boundary) or (boundary == window.end and not window.fill() and window.fault is None):
                    return (
                        self._until_stop(record, start, body)
                        if window.position == start
                        else self._passed(record, body, boundary)
                    )
            if first_mark is None:
                found = self.grammar.mark_in(window.buffer, max(window.index(seen), 0))
                first_mark = None if found < 0 else window.place(found - window.index(0))
                seen = max(seen, window.end - MARK_BYTES)
            if window.end - start > self.block_bytes + HEADER_BYTES:
                window.at = max(len(window.buffer) - MARK_BYTES, window.at)
            if not window.fill():
                self.resume = first_mark
                return self._lost(record, start)
        return self._passed(record, body, stop)

    def _passed(self, record: Record, body: int, stop: int) -> Record:
        record.size, record.rule = stop - body, "too_large"
        self.window.seek(stop)
        return record

    def _lost(self, record: Record, start: int) -> Record:
        """Everything to the fault or the end belongs to this record, which is not whole."""
        window = self.window
        while not window.exhausted:
            window.at = len(window.buffer)
            window.fill()
        window.at = len(window.buffer)
        self.lost = True
        record.size = window.end - start
        record.rule = rule_of(window.fault.truncated) if window.fault is not None else "truncated"
        return record
