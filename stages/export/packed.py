"""Sequences of one length, packed from documents: best-fit, or one after another across sequences.

best_fit places whole documents where they fit tightest, and cuts only those that are longer than a sequence ("Fewer
truncations improve language modeling", arXiv:2404.10830); concatenate cuts wherever a sequence is full.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar, Literal

import numpy as np

from gristmill.pipeline.contract.state import replaced
from gristmill.stages.export.format import Format, Shard, TokenSpans, Writing, joined

Piece = tuple[int, int, int]  # row, first token in it, tokens


@dataclass(frozen=True)
class Packed(Format):
    """<shard>.npy (sequences, length) and <shard>.pieces.npy (pieces, 5) int64.

    A piece is (sequence, place in it, row, first token in the row, tokens): where attention masks begin and positions
    start again at 0; a row without tokens is a piece of 0 of sequence 0. What a sequence has left is filled with the
    last token of its last document.
    """

    length: int = 4096
    packing: Literal["best_fit", "concatenate"] = "best_fit"

    folder: ClassVar = "packed"
    suffix: ClassVar = ".npy"
    tokens: ClassVar = True

    def writing(self, path: Path) -> Writing:
        pieces: list[Shard] = []  # without their texts: best-fit asks for the lengths of all documents
        while (piece := (yield)) is not None:
            pieces.append(Shard(piece.rows.select("doc_id"), piece.tokens))
        return self.write(joined(pieces), path)

    def write(self, shard: Shard, path: Path) -> list[Path]:
        spans = shard.spans
        packed = (best_fit if self.packing == "best_fit" else concatenated)(np.diff(spans.ends), self.length)
        sequences = np.zeros((len(packed), self.length), spans.ids.dtype)
        table: list[tuple[int, int, int, int, int]] = []
        for number, pieces in enumerate(packed):
            place = 0
            for row, first, tokens in pieces:
                begin = spans.ends[row] + first
                sequences[number, place : place + tokens] = spans.ids[begin : begin + tokens]
                table.append((number, place, row, first, tokens))
                place += tokens
            sequences[number, place:] = fill_of(spans, pieces[-1][0])
        table += [(0, 0, row, 0, 0) for row in np.flatnonzero(np.diff(spans.ends) == 0).tolist()]
        beside = path.with_suffix(".pieces.npy")
        for where, array in ((path, sequences), (beside, np.array(table, np.int64).reshape(-1, 5))):
            with replaced(where) as file:
                np.save(file, array)
        return [path, beside]

    def recount(self, path: Path) -> tuple[int, int | None]:
        pieces = np.load(path.with_suffix(".pieces.npy"), mmap_mode="r")
        return len(np.unique(pieces[:, 2])), int(pieces[:, 4].sum())


def fill_of(spans: TokenSpans, row: int) -> int:
    own = spans.of(row)
    return int(own[-1]) if len(own) else 0


def cut(lengths: np.ndarray, length: int) -> Iterator[Piece]:
    """Pieces of at most `length` tokens, a document's in their order."""
    for row, n in enumerate(lengths.tolist()):
        for first in range(0, n, length):
            yield row, first, min(length, n - first)


def best_fit(lengths: np.ndarray, length: int) -> list[list[Piece]]:
    """Best-fit decreasing: each piece, the longest first, into the fullest sequence that has room; O(n log length)."""
    pieces = sorted(cut(lengths, length), key=lambda p: (-p[2], p[0], p[1]))
    packed: list[list[Piece]] = []
    by_room: list[list[int]] = [[] for _ in range(length + 1)]  # sequences by the tokens that they have left
    rooms = _Rooms(length)
    for piece in pieces:
        room = rooms.least_from(piece[2])
        if room is None:
            packed.append([piece])
            number, room = len(packed) - 1, length
        else:
            number = by_room[room].pop()
            if not by_room[room]:
                rooms.clear(room)
            packed[number].append(piece)
        left = room - piece[2]
        if left:
            by_room[left].append(number)
            rooms.set(left)
    return packed


class _Rooms:
    """Amounts of room that some sequence has, in a binary tree of marks: the least one from n is found in log n."""

    def __init__(self, largest: int) -> None:
        self.size = 1 << (largest + 1).bit_length()
        self.marks = np.zeros(2 * self.size, bool)

    def set(self, room: int) -> None:
        at = room + self.size
        while at and not self.marks[at]:
            self.marks[at] = True
            at //= 2

    def clear(self, room: int) -> None:
        at = room + self.size
        self.marks[at] = False
        while at > 1 and not (self.marks[at] or self.marks[at ^ 1]):
            at //= 2
            self.marks[at] = False

    def least_from(self, room: int) -> int | None:
        at = room + self.size
        if self.marks[at]:
            return room
        while at > 1:
            if at % 2 == 0 and self.marks[at + 1]:
                at += 1
                while at < self.size:
                    at = 2 * at if self.marks[2 * at] else 2 * at + 1
                return at - self.size
            at //= 2
        return None


def concatenated(lengths: np.ndarray, length: int) -> list[list[Piece]]:
    """Documents one after another; a sequence that is full cuts the document, whose rest begins the next."""
    packed: list[list[Piece]] = []
    room = 0
    for row, n in enumerate(lengths.tolist()):
        first = 0
        while first < n:
            if room == 0:
                packed.append([])
                room = length
            taken = min(room, n - first)
            packed[-1].append((row, first, taken))
            first, room = first + taken, room - taken
    return packed
