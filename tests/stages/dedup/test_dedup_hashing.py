"""Token hashes, n-gram counts and lines: kernels against their plain-Python twins."""

import unicodedata
from itertools import pairwise

import numpy as np
import polars as pl
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from frames import HOSTILE
from gristmill.pipeline.kernels.text import hashing
from gristmill.pipeline.kernels.text.hashing import code_points, ngram_counts, ngram_means, token_hashes, utf8
from gristmill.pipeline.kernels.text.lines import one_line

M64 = 2**64 - 1
SPACELESS = ("CJK", "HIRAGANA", "KATAKANA", "THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN", "BOPOMOFO")
texts = st.lists(st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE[:17])), max_size=6)


def mix64(h: int) -> int:
    for factor in (0xFF51AFD7ED558CCD, 0xC4CEB9FE1A85EC53):
        h = (h ^ h >> 33) * factor & M64
    return h ^ h >> 33


def spaceless(char: str) -> bool:
    return (
        any(first <= ord(char) <= last for first, last in hashing._SPACELESS_RANGES) or 0x20000 <= ord(char) < 0x40000
    )


def tokens_of(text: str, symbols: bool) -> list[tuple[str, bool]]:
    """(normalised token, spaceless) in order, straight from the definition in the module's docstring."""
    found: list[tuple[str, bool]] = []
    inside = None  # "word", "char", "symbol" or None
    for char in text:
        category = unicodedata.category(char)
        ccc = unicodedata.combining(char)
        ideograph = 0x20000 <= ord(char) < 0x40000  # assigned or not
        if not ideograph and (category == "Cf" or ccc >= 200 or 10 <= ccc <= 35) and ord(char) < 0x20000:
            continue
        if ideograph:
            found.append((char, True))
            inside = "char"
        elif category[0] in "ZC" or ord(char) >= 0x40000:
            inside = None
        elif category[0] == "M":
            if inside is None:
                found.append(("", False))
                inside = "word"
            found[-1] = (found[-1][0] + char, found[-1][1])
        elif category[0] in "LN" or char == "_":
            hangul = 0xAC00 <= ord(char) <= 0xD7A3
            base = char if hangul or 0x3400 <= ord(char) <= 0x9FFF else unicodedata.normalize("NFD", char.lower())[0]
            if spaceless(char):
                found.append((base, True))
                inside = "char"
            elif inside == "word":
                found[-1] = (found[-1][0] + base, False)
            else:
                found.append((base, False))
                inside = "word"
        elif symbols:
            found.append((char, False))
            inside = "symbol"
        else:
            inside = None
    return found


def token_hash(token: str) -> int:
    h = 0x9E3779B97F4A7C15
    for char in token:
        h = (h ^ ord(char)) * 0x100000001B3 & M64
    return mix64(h)


def kernel_tokens(text: str, symbols: bool) -> list[tuple[int, bool]]:
    data, offsets = utf8(pl.Series([text]))
    hashes, flags = np.empty(len(data) + 1, np.uint64), np.empty(len(data) + 1, np.bool_)
    n = token_hashes(data, offsets[0], offsets[1], code_points(), symbols, hashes, flags)
    return list(zip(hashes[:n].tolist(), flags[:n].tolist(), strict=True))


@pytest.mark.parametrize("symbols", [False, True])
@given(text=st.one_of(st.text(max_size=60), st.sampled_from(HOSTILE[:17])))
@example(text="\u4dc0\u4dff")  # hexagrams, between two blocks of ideographs
@settings(max_examples=300, deadline=None)
def test_token_hashes_of_any_text_equal_the_plain_twin(text, symbols):
    assert kernel_tokens(text, symbols) == [(token_hash(t), s) for t, s in tokens_of(text, symbols)]


def test_tokens_ignore_case_accents_points_and_soft_hyphens():
    same = ["Éclair", "e\u0301CLAIR", "éclair", "e\u00adclair"]
    assert len({tuple(kernel_tokens(t, False)) for t in same}) == 1
    assert kernel_tokens("שָׁלוֹם", False) == kernel_tokens("שלום", False)


def test_tokens_keep_indic_vowel_signs_inside_words():
    assert len(kernel_tokens("हिन्दी भाषा", False)) == 2
    assert kernel_tokens("कि", False) != kernel_tokens("की", False)


def test_tokens_of_spaceless_scripts_are_characters():
    assert [s for _, s in kernel_tokens("中文 abc ไทย", False)] == [True, True, False, True, True, True]


@given(batch=texts)
@settings(max_examples=60, deadline=None)
def test_ngram_counts_and_means_equal_the_plain_twin(batch):
    buckets = 97
    expected = np.zeros(buckets, np.int64)
    weights = np.random.default_rng(0).random((2, buckets))
    means = []
    for i, text in enumerate(batch):
        hashes = [token_hash(t) for t, _ in tokens_of(text, symbols=True)]
        pairs = [mix64(a * 0x9E3779B97F4A7C15 + b & M64) for a, b in pairwise(hashes)]
        places = [h % buckets for h in hashes + pairs]
        np.add.at(expected, places, 1)
        means.append(weights[i % 2][places].mean() if places else np.nan)
    data, offsets = utf8(pl.Series(batch, dtype=pl.String))
    assert ngram_counts(data, offsets, code_points(), buckets).tolist() == expected.tolist()
    choice = np.arange(len(batch)) % 2
    np.testing.assert_allclose(ngram_means(data, offsets, code_points(), weights, choice), means, rtol=1e-12)


@given(batch=texts)
@settings(max_examples=100, deadline=None)
def test_one_line_holds_the_tokens_of_the_text_with_single_spaces(batch):
    for text, line in zip(batch, one_line(pl.Series(batch, dtype=pl.String), 1000), strict=True):
        want = [t for t, _ in tokens_of(text.replace("_", " ")[:1000], symbols=True)]
        assert line.replace(" ", "") == "".join(want)
        assert "  " not in line
        assert line == line.strip()
        assert "_" not in line
        assert "\n" not in line


def test_one_line_cuts_at_code_points_and_separates_symbols():
    series = pl.Series(["Héllo,  wörld!\n中文x", None, "ab"])
    assert one_line(series, 100) == ["hello , world ! 中 文 x", "", "ab"]
    assert one_line(series, 1) == ["h", "", "a"]


def test_utf8_of_a_slice_starts_at_the_slice():
    data, offsets = utf8(pl.Series(["aa", "bbb", None, "cc"])[1:])
    assert [bytes(data[offsets[i] : offsets[i + 1]]) for i in range(3)] == [b"bbb", b"", b"cc"]
    assert utf8(pl.Series([], dtype=pl.String))[1].tolist() == [0]
