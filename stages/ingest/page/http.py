"""Parses an HTTP response out of a record's block: status, headers and decoded body, also of malformed ones."""

import re
from collections.abc import Mapping
from dataclasses import dataclass

from gristmill.stages.ingest.page.codings import BodyTooLarge, undone

# HTTP/1.1, HTTP/2 and h2 as crawlers that speak HTTP/2 write it, its pseudo-header, SHOUTcast's ICY, and misspellings.
_STATUS = re.compile(
    rb"\s{0,64}(?:(?:(?:HTTPS?|SPDY)[ ]?/?\d?(?:[.,]\d)?:?|h[23]|ICY)[ \t]+|:status:[ \t]*)(\d{3})(?!\d)", re.I
)
_CHUNK = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
HEAD_BYTES = 1 << 20  # browsers end at 256 KiB (Chromium, net/http: kMaxHeaderBufSize); a larger head is none
LINE_BYTES = 1 << 13  # in which a head whose lines end in CR alone has to end
VALUE_CHARS = 1 << 16  # of a header's values together that are read
_INTERIM_HEADS = 16  # heads before the response's own
# Of some twenty headers of a response these say how to read it, under which licence it stands, and what it opts out of.
_READ = {
    name.encode(): name
    for name in (
        "content-type", "transfer-encoding", "content-encoding", "link", "x-robots-tag", "tdm-reservation",
        "tdm-policy", "content-signal", "content-usage",
    )
}  # fmt: skip

_HEADER = re.compile(rb"(?i)\n[\r\f\v]*(" + b"|".join(map(re.escape, _READ)) + rb")[ \t\r\f\v]*:([^\n]*)")


@dataclass(slots=True)
class Response:
    """`headers`: those that are read here, lower-case names, repeated values joined by ", ". `status` 0: there is no
    status line."""

    status: int
    headers: Mapping[str, str]
    body: bytes


class HeadTooLarge(Exception):
    """The head does not end within HEAD_BYTES."""


def begins_response(block: bytes) -> bool:
    return _STATUS.match(block) is not None


def response_of(block: bytes, body_bytes: int) -> Response:
    """Splits and decodes a block, behind interim heads. Raises BodyTooLarge beyond `body_bytes` decoded bytes, and
    HeadTooLarge."""
    status, headers, body = _split(block)
    for _ in range(_INTERIM_HEADS):
        # 1xx precede the response (RFC 9110, 15.2); so does a proxy's answer to CONNECT, which has no content
        interim = 100 <= status < 200 or (200 <= status < 300 and not headers.keys() & _OF_CONTENT)
        if not interim or not begins_response(body):
            break
        status, headers, body = _split(body)
    transfer = headers.get("transfer-encoding", "").lower()
    if "chunked" in transfer:
        body = _unchunked(body)
    if transfer and transfer != "chunked":
        body = undone(body, transfer, body_bytes)
    if encoding := headers.get("content-encoding"):
        body = undone(body, encoding, body_bytes)
    if len(body) > body_bytes:
        raise BodyTooLarge
    return Response(status, headers, body)


_OF_CONTENT = frozenset(("content-type", "transfer-encoding", "content-encoding"))


def _split(block: bytes) -> tuple[int, dict[str, str], bytes]:
    """(status, headers, body) of the head with which the block begins."""
    status = _STATUS.match(block)
    start = len(block) - len(block.lstrip()) if status else 0
    stop = block.find(b"\n\r\n", start, HEAD_BYTES)
    bare = block.find(b"\n\n", start, stop if stop >= 0 else HEAD_BYTES)
    line_end = block.find(b"\n", start, start + LINE_BYTES)
    alone = block.find(b"\r\r", start, start + LINE_BYTES if line_end < 0 else line_end) if status else -1
    if alone >= 0 and alone + 2 != line_end:  # lines end in CR alone
        head, body = block[start:alone].replace(b"\r", b"\n"), block[alone + 2 :]
    elif bare >= 0:
        head, body = block[start:bare], block[bare + 2 :]
    elif stop >= 0:
        head, body = block[start:stop], block[stop + 3 :]
    elif status and len(block) > HEAD_BYTES:
        raise HeadTooLarge
    elif status:  # headers only
        head, body = block, b""
    else:
        head, body = b"", block
    return int(status.group(1)) if status else 0, _headers(head), body


def _headers(head: bytes) -> dict[str, str]:
    values: dict[str, list[str]] = {}
    if b"\n " not in head and b"\n\t" not in head:
        for name, value in _HEADER.findall(head):
            values.setdefault(_READ[name.lower()], []).append(value.strip().decode("latin-1"))
        return {key: ", ".join(found)[:VALUE_CHARS].strip() for key, found in values.items()}
    key: str | None = None
    for line in head.split(b"\n")[1:]:
        if line[:1] in (b" ", b"\t"):  # a folded line (RFC 9112, 5.2)
            if key and (more := line.strip()):
                values[key] += [" ", more.decode("latin-1")]
            continue
        name, colon, value = line.partition(b":")
        if key := _READ.get(name.strip().lower()) if colon else None:
            found = values.setdefault(key, [])
            found += [", ", value.strip().decode("latin-1")] if found else [value.strip().decode("latin-1")]
    return {key: "".join(found)[:VALUE_CHARS].strip() for key, found in values.items()}


def _unchunked(body: bytes) -> bytes:
    """The chunks joined; as it is where the first chunk is none (crawlers decode and keep the header)."""
    parts, at = [], 0
    while found := _CHUNK.match(body, at):
        size = int(found.group(1), 16)
        if size == 0:
            return b"".join(parts)
        at = found.end() + size
        parts.append(body[found.end() : at])
        if at >= len(body):
            return b"".join(parts)
        if body[at : at + 1] not in (b"\r", b"\n") and len(parts) == 1:
            return body
    return b"".join([*parts, body[at:]]) if parts else body
