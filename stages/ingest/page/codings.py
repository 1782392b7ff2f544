"""Content and transfer codings undone (gzip, deflate, brotli, zstd), each to the end of its last member or frame.

A body that is not what its header says stays as it is, because crawlers decode and keep the header; a broken one gives
what could be decoded.
"""

import zlib
from collections.abc import Callable, Mapping
from io import BytesIO

import zstandard
from fastwarc.stream_io import BrotliReader

GZIP_MAGIC, ZSTD_MAGIC = b"\x1f\x8b\x08", b"\x28\xb5\x2f\xfd"
CODINGS = 5  # servers apply one or two; more are made to cost time
_STEP = 256
_MOST_STEP = 1 << 20


class BodyTooLarge(Exception):
    """The decoded body is longer than the cap."""


class TooManyCodings(Exception):
    """A header names more codings than are undone."""


def undone(body: bytes, codings: str, body_bytes: int) -> bytes:
    """`codings` as in Content-Encoding: undone last first. Raises BodyTooLarge beyond `body_bytes`, TooManyCodings."""
    names = codings.split(",", CODINGS)
    if len(names) > CODINGS:
        raise TooManyCodings
    for coding in reversed([c.strip().lower() for c in names]):
        if decode := _DECODERS.get(coding):
            body = _bounded(decode(body, body_bytes + 1), body_bytes)
    return body


def unpacked(body: bytes, body_bytes: int) -> bytes:
    """A gzip or zstd body of which no header told. Raises BodyTooLarge beyond `body_bytes`."""
    if body.startswith(GZIP_MAGIC):
        return _bounded(_gunzip(body, body_bytes + 1), body_bytes)
    if body.startswith(ZSTD_MAGIC):
        return _bounded(_unzstd(body, body_bytes + 1), body_bytes)
    return body


def _bounded(body: bytes, body_bytes: int) -> bytes:
    if len(body) > body_bytes:
        raise BodyTooLarge
    return body


def _gunzip(body: bytes, limit: int) -> bytes:
    """All members (RFC 1952, 2.2); for deflate also zlib's format, and the bare stream that some servers send."""
    if body[:2] == b"\x1f\x8b":
        return _members(body, limit)
    for bits in (zlib.MAX_WBITS, -zlib.MAX_WBITS):
        try:
            return zlib.decompressobj(bits).decompress(body, limit)
        except zlib.error:
            continue
    return body


def _members(body: bytes, limit: int) -> bytes:
    out: list[bytes] = []
    left, at = limit, 0
    while left > 0 and body[at : at + 2] == b"\x1f\x8b":
        data, behind = _member(body, at, left)
        out.append(data)
        left -= len(data)
        if behind is None:
            break
        at = behind
        while body[at : at + 1] == b"\0":
            at += 1
    return b"".join(out) or body


def _member(body: bytes, at: int, limit: int) -> tuple[bytes, int | None]:
    """What the member at `at` gives, up to `limit` bytes, and where it ends; None where it is broken or goes on.

    Steps grow from _STEP: what is behind a member's end is copied by zlib, and so is never more than the member itself;
    a broken one is done again in small steps, up to the last before the fault.
    """
    for growth in (2, 1):
        inflater, out, left, place, step = zlib.decompressobj(16 + zlib.MAX_WBITS), [], limit, at, _STEP
        try:
            while left > 0 and not inflater.eof and place < len(body):
                out.append(inflater.decompress(body[place : place + step], left))
                left -= len(out[-1])
                place, step = min(place + step, len(body)), min(growth * step, _MOST_STEP)
        except zlib.error:
            if growth > 1:
                continue
            return b"".join(out), None
        return b"".join(out), place - len(inflater.unused_data) if inflater.eof else None
    raise AssertionError("unreachable")


def _brotli(body: bytes, limit: int) -> bytes:
    reader, out = BrotliReader(BytesIO(body)), []
    held = 0
    try:
        while held < limit and (data := reader.read(1 << 16)):
            out.append(data)
            held += len(data)
    except (OSError, ValueError):
        pass
    return b"".join(out) or body


def _unzstd(body: bytes, limit: int) -> bytes:
    """All frames (RFC 8878, 3); a window of more than 2^27 bytes stays: RFC 9659 allows 2^23 on the web."""
    reader, out = zstandard.ZstdDecompressor().stream_reader(body, read_across_frames=True), []
    held = 0
    try:
        while held < limit and (data := reader.read(min(1 << 18, limit - held))):
            out.append(data)
            held += len(data)
    except zstandard.ZstdError:
        pass
    return b"".join(out) or body


_DECODERS: Mapping[str, Callable[[bytes, int], bytes]] = {
    "gzip": _gunzip, "x-gzip": _gunzip, "deflate": _gunzip, "br": _brotli, "zstd": _unzstd,
}  # fmt: skip
