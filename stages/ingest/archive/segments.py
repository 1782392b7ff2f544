"""Joins the segments of a record (WARC 1.1, 7) where they follow each other in a file; any others stay as they are.

The joined record stands where its first segment stands, also where a part ends between two; the others are records
of their own beside it, of type continuation, so that each still has one fate.
"""

from collections.abc import Iterator
from dataclasses import replace

from gristmill.stages.ingest.archive.reader import Record

NUMBER, ORIGIN, TOTAL = b"warc-segment-number", b"warc-segment-origin-id", b"warc-segment-total-length"


def joined(records: Iterator[Record], end: float, most: int) -> Iterator[Record]:
    """The records that begin before `end`. A joined block of more than `most` bytes is too large."""
    held: list[Record] = []
    for record in records:
        if held and _follows(held, record):
            held.append(record)
            continue
        yield from _whole(held, end, most)
        held = []
        if record.offset >= end:
            return
        if record.fields.get(NUMBER) == b"1" and not record.rule:
            held = [record]
        else:
            yield record
    yield from _whole(held, end, most)


def _follows(held: list[Record], record: Record) -> bool:
    """Whether it is the next segment of the record of which the first ones are held, and none of them is the last."""
    return (
        not record.rule
        and TOTAL not in held[-1].fields
        and record.fields.get(b"warc-type", b"").lower() == b"continuation"
        and record.fields.get(ORIGIN) == held[0].fields.get(b"warc-record-id")
        and record.fields.get(NUMBER) == str(len(held) + 1).encode()
    )


def _whole(held: list[Record], end: float, most: int) -> Iterator[Record]:
    """The first of the held segments, with all blocks if they are all there, and the others that begin before `end`."""
    if not held:
        return
    size = sum(segment.size for segment in held)
    if held[-1].fields.get(TOTAL) == str(size).encode():
        fields = {name: value for name, value in held[0].fields.items() if name not in (NUMBER, TOTAL)}
        if size > most:
            yield replace(held[0], fields=fields, block=b"", size=size, rule="too_large")
        else:
            yield replace(held[0], fields=fields, block=b"".join(s.block for s in held), size=size)
    else:
        yield held[0]
    yield from (segment for segment in held[1:] if segment.offset < end)
