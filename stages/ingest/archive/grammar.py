"""What begins a record of a WARC or an ARC file, and how its header is read into WARC's field names."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

BLANKS = b"\r\n"
MARK_BYTES = 1 << 14  # no mark is longer: an ARC line holds a URL
_WARC_MARK = re.compile(rb"WARC/[01]\.\d+[ \t]*\r?\n")
# Version 1: URL IP date type length; version 2: URL IP date type status checksum location offset file length.
# URLs may hold spaces.
_ARC_MARK = re.compile(
    rb"(?:filedesc|https?|ftp|dns|gopher|whois|warcinfo|metadata):[^\r\n]{1,8192}? [^ \r\n]+ \d{8,17} "
    rb"[^ \r\n]+(?: [^\r\n]{1,4096}?)? \d+[ \t]*\r?\n"
)


_ADDRESS = re.compile(rb"[0-9a-fA-F]*[.:][0-9a-fA-F.:]+|-|0")
# The same line with one of its words damaged.
_ARC_BROKEN = re.compile(
    rb"[^\s]{3,8192}(?: [^\s]+)? [^\s]*\d{6}[^\s]* [^\r\n]{0,300}\d"
    rb"|[^\s]{3,8192} [^\r\n]{1,300} [^\s]+/[^\s]+ [^\s]*\d"
)


@dataclass(frozen=True)
class Grammar:
    """`mark` matches where a record begins (at a line's or a member's beginning); `gap` parts it from the one before.

    `broken` matches a first line that is damaged, for archives whose gap alone says too little.
    """

    name: str
    mark: re.Pattern[bytes]
    gap: bytes
    broken: re.Pattern[bytes] | None = None

    def mark_in(self, buffer: bytes, start: int) -> int:
        """Index of the first mark at a line's beginning at or behind `start`; -1 if none."""
        for found in self.mark.finditer(buffer, start):
            at = found.start()
            if at == start or buffer[at - 1] in BLANKS:
                return at
        return -1


WARC = Grammar("warc", _WARC_MARK, b"\r\n\r\n")
ARC = Grammar("arc", _ARC_MARK, b"\n", _ARC_BROKEN)


def grammar_of(head: bytes) -> Grammar | None:
    """By the first inflated bytes of an archive; None: neither."""
    head = head.lstrip(BLANKS)
    if head.startswith(b"WARC/"):
        return WARC
    return ARC if head.startswith(b"filedesc:") or ARC.mark.match(head) else None


def header_at(grammar: Grammar, buffer: bytes, at: int) -> tuple[dict[bytes, bytes], int] | None:
    """(fields by lower-case name, index behind the header); None where the header does not end in the buffer."""
    if grammar is ARC:
        return _arc_header(buffer, at)
    stop = buffer.find(b"\n\r\n", at)
    bare = buffer.find(b"\n\n", at, stop if stop >= 0 else len(buffer))
    if stop < 0 and bare < 0:
        return None
    end, behind = (bare, bare + 2) if bare >= 0 else (stop, stop + 3)
    fields: dict[bytes, bytes] = {}
    name = b""
    for line in buffer[at:end].split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t"):
            if name in fields:
                fields[name] += b" " + line.strip()
            continue
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        if colon and name not in fields:
            fields[name] = value.strip()
    return fields, behind


def _arc_header(buffer: bytes, at: int) -> tuple[dict[bytes, bytes], int] | None:
    stop = buffer.find(b"\n", at, at + MARK_BYTES)
    if stop < 0:
        return None
    words = buffer[at:stop].strip().split(b" ")
    date = _date_among(words)
    if not date:
        return {}, stop + 1
    # version 2 has status, checksum, location, offset and file between the type and the length
    second = len(words) - date >= 8 and len(words[-6]) == 3 and words[-6].isdigit()
    url = b" ".join(words[: date - 1])
    kind = b"warcinfo" if url.startswith(b"filedesc:") else b"response" if url.startswith(b"http") else b"resource"
    fields = {
        b"warc-type": kind,
        b"warc-target-uri": url,
        b"warc-date": _iso(words[date]),
        b"content-type": b" ".join(words[date + 1 : -6 if second else -1]),
        b"content-length": words[-1],
    }
    return fields, stop + 1


def _date_among(words: list[bytes]) -> int:
    """Index of the archive's date: URLs and types may hold spaces, the date stands behind the address; 0 if none."""
    dates = [i for i in range(2, len(words) - 2) if words[i].isdigit() and 8 <= len(words[i]) <= 17]
    behind_address = (i for i in dates if len(words[i]) == 14 and _ADDRESS.fullmatch(words[i - 1]))
    fixed = (i for i in (len(words) - 3, len(words) - 8) if i in dates)
    return next(behind_address, next(fixed, dates[0] if dates else 0))


def _iso(digits: bytes) -> bytes:
    """20080430204825 -> 2008-04-30T20:48:25Z; anything else as it is."""
    d = digits.decode("ascii")
    return f"{d[:4]}-{d[4:6]}-{d[6:8]}T{d[8:10]}:{d[10:12]}:{d[12:14]}Z".encode() if len(d) == 14 else digits


def declared_length(fields: Mapping[bytes, bytes]) -> int | None:
    """Content-Length; None where it is missing, negative or no number."""
    value = fields.get(b"content-length", b"")
    return int(value) if value.isdigit() and len(value) < 19 else None
