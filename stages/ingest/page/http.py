"""An HTTP response out of a record's block: status, headers and the decoded body, however badly it was written."""

import re
import zlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from io import BytesIO

import zstandard
from fastwarc.stream_io import BrotliReader

_STATUS = re.compile(rb"HTTP/\d(?:\.\d)?[ \t]+(\d{3})")
_CHUNK = re.compile(rb"\s*([0-9A-Fa-f]{1,8})[ \t]*(?:;[^\r\n]*)?\r?\n")
_CHARSET = re.compile(r"charset\s*=\s*[\"']?\s*([^\s;\"',]+)", re.I)
HEADER_BYTES = 1 << 16
# Of some twenty headers of a response these say how to read it, under which licence it stands, and what it opts out of.
_READ = {
    name.encode(): name
    for name in (
        "content-type", "transfer-encoding", "content-encoding", "link", "x-robots-tag", "tdm-reservation",
        "tdm-policy", "content-signal", "content-usage",
    )
}  # fmt: skip


@dataclass(slots=True)
class Response:
    """`headers`: those that are read here, lower-case names, repeated values joined by ", ". `status` 0: there is no
    status line."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def mime(self) -> str:
        return mime_of(self.headers.get("content-type", ""))

    @property
    def charset(self) -> str | None:
        return charset_of(self.headers.get("content-type", ""))


class BodyTooLarge(Exception):
    """The decoded body is longer than the cap."""


def mime_of(content_type: str) -> str:
    """`Text/HTML; charset=x` -> `text/html`."""
    return content_type.partition(";")[0].strip().lower()


def charset_of(content_type: str) -> str | None:
    found = _CHARSET.search(content_type) if content_type else None
    return found.group(1) if found else None


def response_of(block: bytes, body_bytes: int) -> Response:
    """Splits and decodes a block. Raises BodyTooLarge beyond `body_bytes` decoded bytes."""
    status = _STATUS.match(block)
    stop = block.find(b"\n\r\n", 0, HEADER_BYTES)
    bare = block.find(b"\n\n", 0, stop if stop >= 0 else HEADER_BYTES)
    if bare >= 0:
        head, body = block[:bare], block[bare + 2 :]
    elif stop >= 0:
        head, body = block[:stop], block[stop + 3 :]
    elif status:  # headers only
        head, body = block, b""
    else:
        head, body = b"", block
    headers: dict[str, str] = {}
    for line in head.split(b"\n")[1:]:
        name, _, value = line.partition(b":")
        if key := _READ.get(name.strip().lower()):
            text = value.strip().decode("latin-1")
            headers[key] = f"{headers[key]}, {text}" if key in headers else text
    if "chunked" in headers.get("transfer-encoding", "").lower():
        body = _unchunked(body)
    if encoding := headers.get("content-encoding", "").lower().strip():
        body = _decoded(body, encoding, body_bytes)
    if len(body) > body_bytes:
        raise BodyTooLarge
    return Response(int(status.group(1)) if status else 0, headers, body)


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


def _decoded(body: bytes, encodings: str, body_bytes: int) -> bytes:
    """Content-Encoding undone, last first; a body that is not what the header says stays as it is."""
    for encoding in reversed([e.strip() for e in encodings.split(",")]):
        decode = _DECODERS.get(encoding)
        if decode is not None:
            body = decode(body, body_bytes + 1)
            if len(body) > body_bytes:
                raise BodyTooLarge
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    for bits in (47, -15) if body[:2] != b"\x1f\x8b" else (31,):
        try:
            return zlib.decompressobj(bits).decompress(body, limit)
        except zlib.error:
            continue
    return _as_far_as_it_goes(body, limit)


def _as_far_as_it_goes(body: bytes, limit: int) -> bytes:
    inflater, out = zlib.decompressobj(31), b""
    try:
        for i in range(0, len(body), 256):
            out += inflater.decompress(body[i : i + 256], limit)
            if len(out) >= limit:
                break
    except zlib.error:
        pass
    return out or body


def _brotli(body: bytes, limit: int) -> bytes:
    reader, out = BrotliReader(BytesIO(body)), []
    held = 0
    try:
        while held < limit and (data := reader.read(1 << 16)):
            out.append(data)
            held += len(data)
    except (OSError, ValueError):
        return b"".join(out) or body
    return b"".join(out)


def _unzstd(body: bytes, limit: int) -> bytes:
    try:
        return zstandard.ZstdDecompressor().stream_reader(body).read(limit)
    except zstandard.ZstdError:
        return body


_DECODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip, "x-gzip": _gunzip, "deflate": _gunzip, "br": _brotli, "zstd": _unzstd,
}  # fmt: skip
