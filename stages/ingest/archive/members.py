"""Compressed members (gzip, zstd, lz4, xz, bzip2) as bounded pieces of inflated bytes that know their member.

A bomb costs no memory, because output comes in pieces; a fault keeps what inflated before it.
"""

import bz2
import lzma
import re
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from typing import Protocol

import lz4.frame
import zstandard

try:  # igzip: the same bytes in half the time
    from isal import isal_zlib as gzlib
except ImportError:
    gzlib = zlib

READ_BYTES = 1 << 20
FIRST_BYTES = 1 << 16  # often the first records are all that is asked for
STEP_BYTES = 1 << 14  # compressed bytes per call: about one record of Common Crawl
PIECE_BYTES = 1 << 20  # upper bound of one inflated piece
SALVAGE_BYTES = 32
WINDOW_BYTES = 1 << 31  # zstd's ZSTD_WINDOWLOG_MAX; as much may an xz dictionary take (xz -9: 64 MiB)
DICTIONARY_BYTES = 1 << 25  # IIPC's format names no bound; dictionaries of crawls take some 100 KB
SKIPPABLE = tuple(bytes((0x50 + i, 0x2A, 0x4D, 0x18)) for i in range(16))  # frames without content (zstd, lz4)


class RandomAccess(Protocol):
    """Bytes of one input that can be read anywhere."""

    size: int

    def read_at(self, offset: int, length: int) -> bytes:
        """Up to `length` bytes; fewer only at the end."""
        ...


@dataclass(slots=True)
class Piece:
    """Inflated bytes of the member that begins at `member`; `first` and `last`: they begin or end it.

    `fed`: file offset of the compressed bytes that gave them, the same however the file is cut into parts.
    """

    data: bytes
    member: int
    first: bool
    last: bool
    fed: int


@dataclass(slots=True)
class Fault:
    """The stream cannot go on: the member at `member` is broken, or the file ends in it. `fed` as in Piece."""

    member: int
    truncated: bool
    fed: int


class Inflater(Protocol):
    """One member. `unused`: bytes of the last input that lie behind the member's end."""

    eof: bool
    pending: bool
    unused: int

    def take(self, data: memoryview | bytes) -> bytes: ...


class BoundedDecompressor(Protocol):
    """The interface of Python's bz2 and lzma, and of lz4."""

    @property
    def eof(self) -> bool: ...
    @property
    def needs_input(self) -> bool: ...
    @property
    def unused_data(self) -> bytes | None: ...
    def decompress(self, data: bytes, max_length: int = -1, /) -> bytes: ...


class _Gzip:
    def __init__(self) -> None:
        self._inner = gzlib.decompressobj(31)
        self.eof, self.pending, self.unused = False, False, 0

    def take(self, data: memoryview | bytes) -> bytes:
        out = self._inner.decompress(self._inner.unconsumed_tail if self.pending else data, PIECE_BYTES)
        self.eof, self.pending = self._inner.eof, bool(self._inner.unconsumed_tail)
        self.unused = len(self._inner.unused_data)
        return out


class _Bounded:
    def __init__(self, fresh: Callable[[], BoundedDecompressor]) -> None:
        self._inner = fresh()
        self.eof: bool = False
        self.pending, self.unused = False, 0

    def take(self, data: memoryview | bytes) -> bytes:
        out = self._inner.decompress(b"" if self.pending else bytes(data), PIECE_BYTES)
        self.eof = bool(self._inner.eof)
        self.pending = not self.eof and not self._inner.needs_input
        self.unused = len(self._inner.unused_data or b"")
        return out


class _Zstd:
    """Windows as large as the format knows (2^31, what --long=31 writes); their memory is touched as far as they fill.

    zstandard bounds no output, but 1 KB of input gives at most 32 MB (blocks of 128 KB in 4 bytes)."""

    def __init__(self, dictionary: bytes | None = None) -> None:
        loaded = zstandard.ZstdCompressionDict(dictionary) if dictionary else None
        self._inner = zstandard.ZstdDecompressor(dict_data=loaded, max_window_size=WINDOW_BYTES).decompressobj()
        self.eof, self.pending, self.unused = False, False, 0

    def take(self, data: memoryview | bytes) -> bytes:
        out = self._inner.decompress(data)
        self.eof, self.unused = self._inner.eof, len(self._inner.unused_data)
        return out


@dataclass(frozen=True)
class Codec:
    """How a member begins, how much input one call may get, and a fresh inflater."""

    magic: bytes
    step: int
    inflater: Callable[[], Inflater]


GZIP = Codec(b"\x1f\x8b\x08", STEP_BYTES, _Gzip)
ZSTD = Codec(b"\x28\xb5\x2f\xfd", 1 << 10, _Zstd)
LZ4 = Codec(b"\x04\x22\x4d\x18", STEP_BYTES, partial(_Bounded, lz4.frame.LZ4FrameDecompressor))  # type: ignore
XZ = Codec(
    b"\xfd7zXZ\0", STEP_BYTES, partial(_Bounded, partial(lzma.LZMADecompressor, lzma.FORMAT_XZ, memlimit=WINDOW_BYTES))
)
BZIP2 = Codec(b"BZh", STEP_BYTES, partial(_Bounded, bz2.BZ2Decompressor))
CODECS = (GZIP, ZSTD, LZ4, XZ)
CODEC_NAMES = {"gz": GZIP, "zst": ZSTD, "zstd": ZSTD, "lz4": LZ4, "xz": XZ, "bz2": BZIP2}
_BZIP2_HEAD = re.compile(rb"BZh[1-9](?:1AY&SY|\x17\x72\x45\x38\x50\x90)")  # a block, or the end of an empty stream
# lz4.frame raises RuntimeError, bz2 OSError; igzip's error is its own
_OF_GZIP: tuple[type[Exception], ...] = (zlib.error, gzlib.error)  # type: ignore
ERRORS = (*_OF_GZIP, zstandard.ZstdError, lzma.LZMAError, RuntimeError, EOFError, OSError)


def codec_of(file: RandomAccess) -> Codec | None:
    """By the first bytes; None: not compressed. A leading skippable frame may hold a zstd WARC's dictionary."""
    head = file.read_at(0, 10)
    for codec in CODECS:
        if head.startswith(codec.magic):
            return codec
    if _BZIP2_HEAD.match(head):
        return BZIP2
    if head[:4] not in SKIPPABLE:
        return None
    size = int.from_bytes(head[4:8], "little")
    follows = file.read_at(8 + size, 4)
    if follows == LZ4.magic:
        return LZ4
    if follows != ZSTD.magic:
        return None
    # IIPC's zstd WARC: frame 0x184D2A5D holds the dictionary, which may be compressed itself
    held = file.read_at(8, size) if head[:4] == SKIPPABLE[13] and size < DICTIONARY_BYTES else b""
    dictionary = _dictionary(held)
    return Codec(ZSTD.magic, ZSTD.step, partial(_Zstd, dictionary)) if dictionary else ZSTD


def _dictionary(held: bytes) -> bytes:
    """The dictionary that a frame holds; empty where it is broken or too large: its records are then broken."""
    try:
        if held.startswith(ZSTD.magic):
            with zstandard.ZstdDecompressor(max_window_size=DICTIONARY_BYTES).stream_reader(held) as inflated:
                held = inflated.read(DICTIONARY_BYTES + 1)
        if len(held) > DICTIONARY_BYTES:
            return b""
        _Zstd(held)
    except (zstandard.ZstdError, MemoryError):
        return b""
    return held


def pieces(file: RandomAccess, codec: Codec | None, start: int) -> Iterator[Piece | Fault]:
    """The inflated file from the member at `start` to its end, or to a Fault."""
    return _plain_pieces(file, start) if codec is None else _inflated_pieces(file, codec, start)


def _plain_pieces(file: RandomAccess, start: int) -> Iterator[Piece | Fault]:
    offset, first = start, True
    while data := file.read_at(offset, PIECE_BYTES):
        offset += len(data)
        yield Piece(data, start, first, offset >= file.size, offset - len(data))
        first = False


def _inflated_pieces(file: RandomAccess, codec: Codec, start: int) -> Iterator[Piece | Fault]:
    base, held, at = start, memoryview(b""), 0  # held[at:] are the bytes from file offset base + at on
    want = FIRST_BYTES
    while True:
        if len(held) - at < 8:
            base, held, at, want = base + at, memoryview(file.read_at(base + at, want)), 0, READ_BYTES
        if not held:
            return
        if codec is not GZIP and bytes(held[at : at + 4]) in SKIPPABLE:
            begun = base + at
            base = begun + 8 + int.from_bytes(held[at + 4 : at + 8], "little")
            held, at = memoryview(b""), 0
            if base > file.size:  # it says that it is longer than the file
                yield Piece(b"", begun, True, False, begun)
                yield Fault(begun, truncated=True, fed=begun)
                return
            continue
        if codec is XZ and bytes(held[at : at + 4]) == b"\0\0\0\0":  # stream padding: .xz format, 2.2
            at += 4
            continue
        member, first, inflater, given = base + at, True, codec.inflater(), 0
        fed = member
        while not inflater.eof:
            if not inflater.pending and at == len(held):
                base, held, at = base + at, memoryview(file.read_at(base + at, READ_BYTES)), 0
                if not held:
                    yield Fault(member, truncated=True, fed=fed)
                    return
            step = held[at:at] if inflater.pending else held[at : at + codec.step]
            fed = fed if inflater.pending else base + at
            try:
                data = inflater.take(step)
            except ERRORS:
                for data in _salvaged(file, codec, member, fed, given):
                    yield Piece(data, member, first, False, fed)
                    first = False
                yield Fault(member, truncated=False, fed=fed)
                return
            at += len(step)
            given += len(data)
            if inflater.eof:
                at -= inflater.unused
            if data or inflater.eof:
                yield Piece(data, member, first, inflater.eof, fed)
                first = False


def _salvaged(file: RandomAccess, codec: Codec, member: int, fault: int, given: int) -> Iterator[bytes]:
    """What the broken member at `member` still gives behind its first `given` bytes, up to 32 bytes before the fault.

    The fault shows in the step that begins at `fault`; the member is inflated once more, in small steps there.
    """
    inflater, at = codec.inflater(), member
    while at < fault + codec.step and not inflater.eof:
        length = min(codec.step, fault - at) if at < fault else SALVAGE_BYTES
        step = b"" if inflater.pending else file.read_at(at, length)
        if not step and not inflater.pending:
            return
        try:
            data = inflater.take(step)
        except ERRORS:
            return
        at += len(step)
        if len(data) > given:
            yield data[given:]
        given = max(given - len(data), 0)
