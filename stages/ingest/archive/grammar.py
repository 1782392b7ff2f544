"""What begins a record of a WARC or an ARC file, and how its header is read into WARC's field names."""

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass

BLANKS = b"\r\n"
MARK_BYTES = 1 << 14  # no mark is longer: an ARC line holds a URL
_WARC_MARK = re.compile(rb"WARC/[01]\.\d+[ \t]*\r?\n", re.I)
_FIELD = re.compile(rb"\n([^\s:]+):([^\n]*)")
# Version 1: URL IP date type length; version 2: URL IP date type status checksum location offset file length.
# URLs may hold spaces.
_ADDRESS = re.compile(rb"[0-9a-fA-F]*[.:][0-9a-fA-F.:]+|-|0")
_ARC_SCHEME = re.compile(rb"(?:filedesc|https?|ftp|dns|gopher|whois|warcinfo|metadata):")
_SIX_DIGITS, _DIGIT, _SPACE = re.compile(rb"\d{6}"), re.compile(rb"\d"), re.compile(rb"\s")


@dataclass(frozen=True)
class Grammar:
    """`begins` matches the first bytes of a mark, `is_mark` judges the line there; `gap` parts two records.

    `is_broken` says whether a first line is a damaged mark, for archives whose gap alone says too little.
    """

    name: str
    begins: re.Pattern[bytes]
    gap: bytes
    is_mark: Callable[[bytes], bool] | None = None
    is_broken: Callable[[bytes], bool] | None = None

    def mark_at(self, buffer: bytes, at: int) -> bool:
        """Whether a record begins at `at`, which is a line's or a member's beginning."""
        if not self.begins.match(buffer, at):
            return False
        return self.is_mark is None or ((stop := _line_end(buffer, at)) >= 0 and self.is_mark(buffer[at:stop]))

    def broken_at(self, buffer: bytes, at: int) -> bool:
        """Whether a damaged mark stands at `at`."""
        if self.is_broken is None:
            return False
        stop = _line_end(buffer, at)
        return self.is_broken(buffer[at : stop if stop >= 0 else at + MARK_BYTES])

    def mark_in(self, buffer: bytes, start: int, stop: int | None = None) -> int:
        """Index of the first mark at a line's beginning at or behind `start` and within `stop`; -1 if none."""
        for found in self.begins.finditer(buffer, start, len(buffer) if stop is None else stop):
            at = found.start()
            if (at == start or buffer[at - 1] in BLANKS) and self.mark_at(buffer, at):
                return at
        return -1


def _line_end(buffer: bytes, at: int) -> int:
    return buffer.find(b"\n", at, at + MARK_BYTES)


def _is_arc_mark(line: bytes) -> bool:
    """URL (which may hold spaces), IP, a date of 8 to 17 digits, type, up to five more words, length."""
    words = line.removesuffix(b"\r").rstrip(b" \t").split(b" ")
    if len(words) < 5 or b"\r" in line[:-1] or not words[-1].isdigit():
        return False
    return any(
        words[i].isdigit() and 8 <= len(words[i]) <= 17 and bool(words[i - 1]) and bool(words[i + 1])
        for i in range(2, len(words) - 2)
    )


def _is_broken_arc_mark(line: bytes) -> bool:
    """A mark of which one word is damaged: there are a date and a length still, or a media type and a length."""
    words = line.split(b" ", 4096)
    if len(words) < 3 or not 3 <= len(words[0]) <= 8192 or _SPACE.search(words[0]):
        return False
    for i in (1, 2):
        plain = i == 1 or (words[1] and not _SPACE.search(words[1]))
        if plain and i + 1 < len(words) and _SIX_DIGITS.search(words[i]) and not _SPACE.search(words[i]):
            rest = len(words[0]) + 1 + sum(len(w) + 1 for w in words[1 : i + 1])
            if _DIGIT.search(line, rest, rest + 301):
                return True
    between = len(words[1]) if len(words) > 1 else 0
    for i in range(2, len(words) - 1):
        if between > 300:
            return False
        word = words[i].strip(b"/")
        if between and b"/" in word and not _SPACE.search(words[i]) and _DIGIT.search(words[i + 1]):
            return True
        between += 1 + len(words[i])
    return False


WARC = Grammar("warc", _WARC_MARK, b"\r\n\r\n")
ARC = Grammar("arc", _ARC_SCHEME, b"\n", _is_arc_mark, _is_broken_arc_mark)


def grammar_of(head: bytes) -> Grammar | None:
    """By the first inflated bytes of an archive; None: neither."""
    head = head.lstrip(BLANKS)
    if head[:5].upper() == b"WARC/":
        return WARC
    return ARC if head.startswith(b"filedesc:") or ARC.mark_at(head, 0) else None


def header_at(
    grammar: Grammar, buffer: bytes, at: int, begun: int | None = None
) -> tuple[dict[bytes, bytes], int] | None:
    """(fields by lower-case name, index behind the header); None where the header does not end in the buffer.

    `begun`: where to look for its end, if it is known not to end before.
    """
    if grammar is ARC:
        return _arc_header(buffer, at)
    begun = at if begun is None else max(begun, at)
    stop = buffer.find(b"\n\r\n", begun)
    bare = buffer.find(b"\n\n", begun, stop if stop >= 0 else len(buffer))
    if stop < 0 and bare < 0:
        return None
    end, behind = (bare, bare + 2) if bare >= 0 else (stop, stop + 3)
    head = buffer[at:end]
    plain = _FIELD.findall(head)
    if len(plain) == head.count(b"\n"):  # as nearly all: no folded lines, nothing without a name
        return {name.lower(): value.strip() for name, value in reversed(plain)}, behind
    fields: dict[bytes, bytes] = {}
    name, folded = b"", False
    parts: list[bytes] = []  # of the value that goes on over several lines
    for line in head.split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t"):
            if name in fields:
                parts.append(line.strip())
                folded = True
            continue
        if folded:
            fields[name], folded = b" ".join(parts), False
        name, colon, value = line.partition(b":")
        name = name.strip().lower()
        if colon and name not in fields:
            fields[name] = value.strip()
            parts = [fields[name]]
        elif name in fields:
            parts = [fields[name]]
    if folded:
        fields[name] = b" ".join(parts)
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
