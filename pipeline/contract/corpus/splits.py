"""Splits of the corpus (training, its phases, validation): which shards each has, and where their files lie.

A shard's unit is its number, "00002-of-00042"; the split's name and a point stand before it, except in
the split `train`.
"""

import re
from collections.abc import Sequence

TRAIN = "train"
VALIDATION = "validation"
_FILE = re.compile(r"(train|validation)-([0-9]{5,}-of-[0-9]{5,})(?=[.]|\Z)")
PHASE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,39}")


def split_names(phases: Sequence[str], validation: float | None) -> tuple[str, ...]:
    """All splits in order, training first; the corpus of most runs has the one called train."""
    return (*(phases or (TRAIN,)), *((VALIDATION,) if validation else ()))


def numbered(count: int, split: str = TRAIN) -> list[str]:
    """The units of a split of `count` shards."""
    before = "" if split == TRAIN else f"{split}."
    return [f"{before}{i:05d}-of-{count:05d}" for i in range(count)]


def split_of(unit: str) -> str:
    return unit.rpartition(".")[0] or TRAIN


def place(unit: str, folder: str, suffix: str) -> str:
    """Path below corpus/ of the file of a shard in the folder of a format."""
    return pattern(split_of(unit), folder, f"{unit.rpartition('.')[2]}{suffix}")


def pattern(split: str, folder: str, rest: str) -> str:
    """Path below corpus/ of a split's files: of its shard, or for all of them where `rest` begins with a star."""
    if split == TRAIN:
        return f"{folder}/{TRAIN}-{rest}"
    return f"{split}/{folder}/{VALIDATION if split == VALIDATION else TRAIN}-{rest}"


def mark(unit: str) -> str:
    """The name of the shard's receipt and index."""
    return f"{TRAIN}-{unit}" if split_of(unit) == TRAIN else unit


def unit_of(path: Sequence[str]) -> str | None:
    """The unit of a file by the parts of its path below corpus/; None for what is no shard's file."""
    found = _FILE.match(path[-1])
    if found is None or len(path) not in (2, 3):
        return None
    return found[2] if len(path) == 2 else f"{path[0]}.{found[2]}"


def unit_of_mark(name: str) -> str:
    return name.removeprefix(f"{TRAIN}-")


def in_order(units: Sequence[str]) -> list[str]:
    """Training first, validation last."""
    return sorted(units, key=lambda u: (split_of(u) == VALIDATION, split_of(u) != TRAIN, u))
