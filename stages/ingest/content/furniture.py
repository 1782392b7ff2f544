"""Cuts skip links, share bars, notices, teasers, adverts, buttons, credits and repeated lines out of pages' texts."""

import re
from functools import cache

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.kernels.page.furniture import (
    AGENCY,
    COLON,
    CONSENT,
    COOKIE,
    IMAGES,
    NETWORK,
    SHARE,
    WHOLE,
    cut_lines,
    judge_lines,
    letters_hash,
)
from gristmill.pipeline.kernels.text.hashing import code_points, utf8
from gristmill.stages.ingest.content.phrases import (
    AGENCIES,
    BEFORE_COLON,
    COOKIES,
    LINES,
    NETWORKS,
    RULES,
    SHARE_WORDS,
)
from gristmill.stages.ingest.content.phrases import (
    CONSENT as CONSENT_WORDS,
)
from gristmill.stages.ingest.content.phrases import (
    IMAGES as IMAGE_WORDS,
)

_EDIT = re.compile(
    r" ?\[(?:edit|edit source|redigera|redigera wikitext|bearbeiten|quelltext bearbeiten|modifier|modifier le code"
    r"|editar|editar c[oó]digo|modifica|modifica wikitesto|bewerken|brontekst bewerken|muokkaa|muokkaa wikitekstiä"
    r"|edytuj|edytuj kod|править|править код|編集|ソースを編集|编辑)(?: ?\| ?[^\]\n]{1,40})?\]"
)
_EDITS = [
    "[edit",
    "[redigera",
    "[bearbeiten",
    "[modif",
    "[bewerken",
    "[muokkaa",
    "[edytuj",
    "[править",
    "[編集",
    "[编辑",
]
_NUMBERS = np.array([RULES.index(rule) for rule in ("share", "cookie", "repeated", "separator", "credit")])


@cache
def _table() -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
    """Open-addressed: keys (uint64), kinds, rules of whole lines, rules of what stands before a colon (uint8 each)."""
    held: dict[int, list[int]] = {}

    def add(phrase: str, kind: int, rule: int) -> None:
        raw = np.frombuffer(phrase.encode() or b" ", np.uint8)
        entry = held.setdefault(int(letters_hash(raw, 0, raw.size, code_points())), [0, 0, 0])
        entry[0] |= kind
        if kind in (WHOLE, COLON):
            entry[1 if kind == WHOLE else 2] = rule

    for lists, kind in ((LINES, WHOLE), (BEFORE_COLON, COLON)):
        for rule, phrases in lists.items():
            for line in phrases.split("\n"):
                for phrase in line.split("|"):
                    if phrase.strip():
                        add(phrase, kind, RULES.index(rule))
    for words, kind in (
        (NETWORKS, NETWORK),
        (SHARE_WORDS, SHARE),
        (COOKIES, COOKIE),
        (CONSENT_WORDS, CONSENT),
        (AGENCIES, AGENCY),
        (IMAGE_WORDS, IMAGES),
    ):
        for word in words.split():
            add(word, kind, 0)
    held.pop(0, None)
    size = 1 << (4 * len(held)).bit_length()
    keys = np.zeros(size, np.uint64)
    others = np.zeros((3, size), np.uint8)
    for key, values in held.items():
        i = key & (size - 1)
        while keys[i]:
            i = (i + 1) & (size - 1)
        keys[i] = key
        others[:, i] = values
    return keys, others[0], others[1], others[2]


def without_furniture(
    texts: pl.Series, chosen: np.ndarray, rules: tuple[str, ...] = RULES
) -> tuple[pl.Series, np.ndarray]:
    """The texts that are left, and (rows, len(RULES)) int64: lines cut by rule.

    texts without nulls; chosen (rows,) bool: the texts of pages. A text that is furniture alone stays whole.
    """
    marked = texts.str.contains_any(_EDITS) & pl.Series(chosen, dtype=pl.Boolean)
    if marked.any():
        texts = pl.Series(texts.name, [_EDIT.sub("", t) if m else t for t, m in zip(texts, marked, strict=True)])
    octets, bounds = utf8(texts)
    on = np.array([rule in rules for rule in RULES])
    out, ends, counts = cut_lines(octets, bounds, chosen, code_points(), *_table(), _NUMBERS, on)
    made = pa.LargeStringArray.from_buffers(len(texts), pa.py_buffer(ends), pa.py_buffer(out))
    return pl.Series(texts.name, made, dtype=pl.String), counts


def rules_of_lines(text: str) -> list[str | None]:
    """The rule that each line of a text breaks; None: it stays."""
    octets, bounds = utf8(pl.Series([text]))
    rules, worded = np.empty(len(octets) + 1, np.int8), np.empty(len(octets) + 1, bool)
    n = judge_lines(octets, bounds[0], bounds[1], code_points(), *_table(), _NUMBERS, rules, worded)
    return [RULES[rule] if rule >= 0 else None for rule in rules[:n]]
