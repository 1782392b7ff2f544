"""Segments words in scripts without spaces by ICU's dictionaries (the package icu4py)."""

from importlib.util import find_spec

import numpy as np
import polars as pl

from gristmill.pipeline.contract.errors import ConfigError

# ICU has dictionaries for these; Tibetan's syllable marks need none.
DICTIONARY_SCRIPTS = r"[\p{Han}\p{Hiragana}\p{Katakana}\p{Thai}\p{Lao}\p{Khmer}\p{Myanmar}]"


def check_icu(major: int) -> None:
    """Raises ConfigError unless ICU of this major version is installed: another one may cut words elsewhere."""
    if find_spec("icu4py") is None:
        raise ConfigError(f"signals.icu: {major} needs the package icu4py (pip install gristmill[icu])")
    from icu4py import icu_version

    if int(icu_version.split(".")[0]) != major:
        raise ConfigError(
            f"signals.icu says {major}, but icu4py holds ICU {icu_version}; say signals.icu: that version"
        )


def word_places(texts: pl.Series) -> tuple[np.ndarray, np.ndarray]:
    """Code points (int32) at which ICU's words begin, and row offsets (n + 1,) int64; texts without nulls.

    A text in none of the scripts has no places, any other at least the 0.
    """
    from icu4py.breakers import WordBreaker

    wanted = texts.str.contains(DICTIONARY_SCRIPTS)
    found: list[np.ndarray] = []
    bounds = np.zeros(len(texts) + 1, np.int64)
    for row, (text, dense) in enumerate(zip(texts, wanted, strict=True)):
        if dense:
            # The rules are the same in every locale; ICU counts in UTF-16.
            units = np.fromiter((a for a, _ in WordBreaker(text, "root").segments()), np.int64)
            points = np.frombuffer(text.encode("utf-32-le"), np.uint32)
            starts = np.cumsum(1 + (points > 0xFFFF)) - 1 - (points > 0xFFFF)
            found.append(np.searchsorted(starts, units).astype(np.int32))
        bounds[row + 1] = bounds[row] + (len(found[-1]) if dense else 0)
    return (np.concatenate(found) if found else np.zeros(0, np.int32)), bounds
