"""What every loaded text classifier is: texts in, a number per label out; no files and no dropping behind it."""

from collections.abc import Sequence
from typing import Protocol

import numpy as np


class Scorer(Protocol):
    """A loaded classifier of texts. Stages decide what its scores mean."""

    @property
    def labels(self) -> tuple[str, ...]: ...

    @property
    def digest(self) -> str:
        """Hexadecimal blake2b of the model's file: another model is another digest."""
        ...

    def score(self, texts: Sequence[str]) -> np.ndarray:
        """(n, labels) float64 in [0, 1], a row per text; a row depends on its text alone."""
        ...
