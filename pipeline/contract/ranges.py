"""The range of a setting, declared in its type: `folds: Annotated[int, Range(2, 100)] = 3`, or by a name from below.

`build` (pipeline/plan/config.py) refuses what lies outside, with the key. Every number in a section has a range (a test
walks all sections), so that a new setting cannot forget its own. NaN and infinity lie in no range.
"""

from dataclasses import dataclass
from typing import Annotated


@dataclass(frozen=True)
class Range:
    """Numbers from `low` to `high`, both included unless said otherwise."""

    low: float = -1e308  # any finite number
    high: float = 1e308
    above_low: bool = False  # `low` itself lies outside
    below_high: bool = False  # `high` itself lies outside

    def holds(self, value: float) -> bool:
        over = value > self.low if self.above_low else value >= self.low
        return over and (value < self.high if self.below_high else value <= self.high)

    def __str__(self) -> str:
        words = []
        if self.low > -1e308:
            words.append(f"{'more than' if self.above_low else 'at least'} {self.low:,.12g}")
        if self.high < 1e15:
            words.append(f"{'less than' if self.below_high else 'at most'} {self.high:,.12g}")
        return " and ".join(words) or "a finite number"


@dataclass(frozen=True)
class NamesFile:
    """Marks a setting that names a file (or, with `folder`, a folder) which must be there before anything runs."""

    folder: bool = False


MOST = 1e15  # counts beyond it are slips: all text ever crawled has fewer tokens

Count = Annotated[int, Range(1, MOST)]
Whole = Annotated[int, Range(0, MOST)]
Size = Annotated[int, Range(1, 1e7)]  # of something that is held in memory per document, cluster or process
Hundreds = Annotated[int, Range(1, 1000)]
Dimensions = Annotated[int, Range(1, 10_000)]
Few = Annotated[int, Range(1, 100_000)]
Threads = Annotated[int, Range(1, 1024)]
Seed = Annotated[int, Range(0, 2**31 - 1)]  # the libraries' seeds are 32-bit numbers
Share = Annotated[float, Range(0, 1)]
SomeShare = Annotated[float, Range(0, 1, above_low=True)]
Inner = Annotated[float, Range(0, 1, above_low=True, below_high=True)]
Amount = Annotated[float, Range(0, MOST)]
SomeAmount = Annotated[float, Range(0, MOST, above_low=True)]
Number = Annotated[float, Range()]
FilePath = Annotated[str, NamesFile()]
FolderPath = Annotated[str, NamesFile(folder=True)]
