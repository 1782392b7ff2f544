"""Records of an archive, each exactly once: where a stretch of the file begins, and on again behind every fault."""

from collections.abc import Iterator
from itertools import islice
from math import inf

from gristmill.stages.ingest.archive.grammar import BLANKS, Grammar, declared_length, header_at
from gristmill.stages.ingest.archive.members import ERRORS, Codec, RandomAccess, pieces
from gristmill.stages.ingest.archive.reader import HEAD_BYTES, Reader, Record, rule_of
from gristmill.stages.ingest.archive.segments import joined
from gristmill.stages.ingest.archive.window import Window

SEARCH_BYTES = 1 << 18


def head_of(file: RandomAccess, codec: Codec | None, offset: int) -> bytes:
    """First inflated bytes of the member at `offset`, as far as they inflate."""
    data = file.read_at(offset, HEAD_BYTES)
    if codec is None:
        return data
    inflater, out = codec.inflater(), []
    try:
        for i in range(0, len(data), 256):
            if inflater.eof or sum(map(len, out)) >= HEAD_BYTES:
                break
            out.append(inflater.take(data[i : i + 256]))
    except ERRORS:
        pass
    return b"".join(out)


def _next_start(file: RandomAccess, codec: Codec | None, grammar: Grammar, offset: int, block_bytes: int) -> int:
    """The first offset >= `offset` at which a member (uncompressed: a record) starts; the file's size if none.

    A function of the file alone: two parts that meet at a cut agree on it, so that no record is read twice or never.
    """
    if offset <= 0:
        return 0
    if offset >= file.size:
        return file.size
    if codec is None:
        return _next_record(file, grammar, offset, block_bytes)
    return _next_member(file, codec, grammar, offset)


def _next_member(file: RandomAccess, codec: Codec, grammar: Grammar, offset: int) -> int:
    """The first member at or behind `offset` that starts a record."""
    while offset < file.size:
        data = file.read_at(offset, SEARCH_BYTES + len(codec.magic) - 1)
        at = data.find(codec.magic)
        while 0 <= at < SEARCH_BYTES:
            if grammar.mark_at(head_of(file, codec, offset + at).lstrip(BLANKS), 0):
                return offset + at
            at = data.find(codec.magic, at + 1)
        offset += SEARCH_BYTES
    return file.size


def _next_record(file: RandomAccess, grammar: Grammar, offset: int, block_bytes: int) -> int:
    """The first record at or behind `offset` in an uncompressed file, from header to header (20 us each).

    Only from the beginning is it sure what is a record: a block may hold a WARC. A search for marks would not know.
    """
    at = 0
    while at < offset:
        head = file.read_at(at, HEAD_BYTES)
        if not head:
            return file.size
        start = at + len(head) - len(head.lstrip(BLANKS))
        if start >= offset or start == at + len(head):
            at = start
            continue
        at = _behind_record(file, grammar, start, head[start - at :], block_bytes)
    while head := file.read_at(at, HEAD_BYTES):  # over the blank lines, to the record itself
        blank = len(head) - len(head.lstrip(BLANKS))
        at += blank
        if blank < len(head):
            break
    return at


def _behind_record(file: RandomAccess, grammar: Grammar, start: int, head: bytes, block_bytes: int) -> int:
    """Where `Reader` stands after the record at `start`: known from the header where it is right, else by reading."""
    if grammar.mark_at(head, 0) and (found := header_at(grammar, head, 0)):
        declared = declared_length(found[0])
        stop = start + found[1] + (declared or 0)
        if (
            declared is not None
            and stop <= file.size
            and (declared > block_bytes or file.read_at(stop, 4) == b"\r\n\r\n")
        ):
            return stop
    window = Window(pieces(file, None, start), start)
    next(Reader(window, grammar, block_bytes, True, file.size - start).read(), None)
    return start + max(window.position, 1)


def _is_solid(file: RandomAccess, codec: Codec | None, grammar: Grammar, block_bytes: int) -> bool:
    """One member holds the first two records: then members are no places to cut at."""
    if codec is None:
        return False
    first = list(islice(_records_from(file, codec, grammar, 0, block_bytes), 2))
    return len(first) == 2 and first[1].inner > 0 and first[0].offset == first[1].offset


def records(
    file: RandomAccess, codec: Codec | None, grammar: Grammar, start: int, end: int, block_bytes: int
) -> Iterator[Record]:
    """Records that begin in the part [start, end) of the file. A block is held up to `block_bytes`.

    A solid archive is read from its beginning, whatever the part: a record belongs to the part that holds the
    compressed bytes in which it begins. Passing over a record costs 6% of what a page costs.
    """
    if (start > 0 or end < file.size) and _is_solid(file, codec, grammar, block_bytes):
        place = 0
        for record in joined(_records_from(file, codec, grammar, 0, block_bytes), inf, block_bytes):
            place = max(place, record.fed)
            if place >= end:
                return
            if place >= start:
                yield record
        return
    end = _next_start(file, codec, grammar, end, block_bytes)
    start = _next_start(file, codec, grammar, start, block_bytes)
    if start < end:
        yield from joined(_records_from(file, codec, grammar, start, block_bytes), end, block_bytes)


def _records_from(
    file: RandomAccess, codec: Codec | None, grammar: Grammar, start: int, block_bytes: int
) -> Iterator[Record]:
    """All records behind the one that begins at `start`, and on behind every fault where a member starts a record."""
    inner, trusting = 0, True
    while start < file.size:
        window = Window(pieces(file, codec, start), start)
        window.seek(inner)
        reader = Reader(window, grammar, block_bytes, codec is None, file.size - start if codec is None else None)
        reader.trusting = trusting
        for record in reader.read():
            if codec is None:
                record.offset, record.inner = record.offset + record.inner, 0
            yield record
        if reader.resume is not None:
            (start, inner), trusting = reader.resume, False
            continue
        if window.fault is None or codec is None:
            return
        fault, inner = window.fault, 0
        start = _next_member(file, codec, grammar, fault.member + 1)
        if not reader.lost:  # what cannot be inflated, up to the next member
            lost = max(start - fault.fed, 0)
            yield Record(fault.member, 0, {}, b"", lost, rule_of(fault.truncated), fault.fed)
