"""Finds personal data and secrets in texts: candidates from one kernel pass, each then checked for what it is."""

import re
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import polars as pl

from gristmill.classifiers.hosts import parts_of
from gristmill.classifiers.pii.ids import is_national_id
from gristmill.classifiers.pii.numbers import iban_at, is_card, is_public_ipv4, is_public_ipv6
from gristmill.classifiers.pii.phones import phone_at, regions_of
from gristmill.classifiers.pii.secrets import NEEDLES, find_secrets
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.personal import CODE, COLONS, MAIL, NUMBER, byte_classes, find_places

KINDS = ("email", "phone", "ip", "iban", "card", "national_id", "secret")
_MAIL = re.compile(r"[\w.!#$%&'*+/=?^`{|}~-]+@(?:[\w](?:[\w-]{0,61}[\w])?\.)+[^\W\d_][\w-]{0,61}[^\W_]")
_AROUND = 60  # bytes before a place that are looked at
# Names that belong to nobody (RFC 2606, RFC 6761) and what stands for one in manuals.
_NOBODY = re.compile(
    r"(?i)@(?:[^@]*\.)?(?:example(?:\.[a-z]{2,3}){0,2}|test|invalid|localhost|local|domain\.com|yourdomain\.\w+|email\.com|"
    r"x+\.x+)$|^[\d.]{16,}@|^(?=[^@]{0,60}\d{9})[\w.$+-]{24,}@"  # or a Message-ID
)
_NEEDLES = "|".join(map(re.escape, NEEDLES))  # as a pattern: faster than contains_any by twenty times
_WORD_BEHIND = re.compile(r"\w")
_ID_FRONT = re.compile(r"(?<!\w)[XYZ]-$")
_ID_CAPITAL = re.compile(r"-[A-Z](?!\w)")
_ID_END = re.compile(r"-?[A-Za-z](?!\w)|[-+A]\d{3}\w(?!\w)")
Span = tuple[int, int, int]  # first byte and byte after the last in the text, number of the kind in KINDS


@dataclass(frozen=True)
class Found:
    """spans (n, 4) int64: text, first byte, byte after the last (in `data`), kind; in order, none overlap."""

    data: np.ndarray
    offsets: np.ndarray
    spans: np.ndarray


def find_personal(texts: pl.Series, languages: pl.Series, urls: pl.Series) -> Found:
    data, offsets = utf8(texts)
    places = find_places(data, offsets, byte_classes())
    regions = [
        regions_of(domain or "", language or "")
        for domain, language in zip(
            urls.str.extract(r"(?i)^[a-z]+://[^/?#]*\.([a-z]{2,})(?::\d+)?(?:[/?#]|$)").str.to_lowercase(),
            languages,
            strict=True,
        )
    ]
    found: list[tuple[int, int, int, int]] = []
    whole = data.tobytes()
    last_text, last_end = -1, -1
    for text, start, end, kind in places.tolist():
        if text != last_text:
            last_text, last_end = text, -1
        if start < last_end:
            if kind != MAIL or end <= last_end:
                continue
            start = last_end  # ?to=one@a.com&cc=other@b.com
        first, stop = int(offsets[text]), int(offsets[text + 1])
        span = _CHECKS[kind](whole, first, stop, start, end, regions[text])
        if span is not None:
            found.append((text, *span))
            last_end = span[1]
    for text in _with_needles(texts):
        content, at = texts[text], int(offsets[text])
        for a, b in find_secrets(content):
            begin = at + len(content[:a].encode())
            found.append((text, begin, begin + len(content[a:b].encode()), KINDS.index("secret")))
    return Found(data, offsets, _apart(found))


def _with_needles(texts: pl.Series) -> list[int]:
    """Texts that may hold a secret: those with a needle, or with a password in an address."""
    needles = texts.str.contains(_NEEDLES)
    return (needles | texts.str.contains(r"://[^\s:/@]{1,64}:[^\s:/@]{3,64}@")).fill_null(False).arg_true().to_list()


def _apart(found: list[tuple[int, int, int, int]]) -> np.ndarray:
    """In order; of two that overlap the longer one."""
    kept: list[tuple[int, int, int, int]] = []
    for span in sorted(found, key=lambda s: (s[0], s[1], -s[2])):
        if kept and kept[-1][0] == span[0] and span[1] < kept[-1][2]:
            if span[2] - span[1] > kept[-1][2] - kept[-1][1]:
                kept[-1] = span
            continue
        kept.append(span)
    return np.array(kept, np.int64).reshape(-1, 4)


def _context(whole: bytes, first: int, stop: int, start: int, end: int) -> tuple[str, str, str]:
    """The place and what stands before and after it."""
    before = whole[max(first, start - _AROUND) : start].decode("utf-8", "ignore")
    return (
        before,
        whole[start:end].decode("utf-8", "ignore"),
        whole[end : min(stop, end + 12)].decode("utf-8", "ignore"),
    )


def _email(whole: bytes, first: int, stop: int, start: int, end: int, regions: tuple[str, ...]) -> Span | None:
    before, text, after = _context(whole, first, stop, start, end)
    cut = text.lstrip("'.=/?&`*|{}!#$%^~+-")
    start += len(text[: len(text) - len(cut)].encode())
    text = cut.rstrip(".-")
    # What stands before the name in an address bar or an assignment: mailto:, ?to=, key=
    name = max(text.rfind(sign, 0, text.rfind("@")) for sign in ("/", "=", "?", "&", "|", "{", "`"))
    start, text = start + len(text[: name + 1].encode()), text[name + 1 :]
    match = _MAIL.match(text)
    if (
        match is None
        or match.end() < len(text) - 40
        or re.match(r"[:/]\w", after)
        or (before.endswith(("://", "@", ":")) and "mailto" not in before and "://" in before)
    ):
        return None
    text = match.group()
    if _NOBODY.search(text) or not _is_domain(text[text.rfind("@") + 1 :].lower()):
        return None
    return start, start + len(text.encode()), KINDS.index("email")


@lru_cache(maxsize=100_000)
def _is_domain(name: str) -> bool:
    found = parts_of(name)
    # Single letters before a long ending are variables: self.W@x.data
    return bool(found.suffix) and len(found.domain) > (len(found.suffix) > 3)


def _number(whole: bytes, first: int, stop: int, start: int, end: int, regions: tuple[str, ...]) -> Span | None:
    if whole[start : start + 1] == b"(" and b")" not in whole[start:end]:
        start += 1
    before, text, after = _context(whole, first, stop, start, end)
    bare = text.lstrip("(+")
    at = start + len(text) - len(bare)
    if bare.count(".") == 3 and is_public_ipv4(bare, before, after):
        return at, end, KINDS.index("ip")
    if bare[:4].isdigit() and not _WORD_BEHIND.match(after):
        if is_card(bare, before):
            return at, end, KINDS.index("card")
        if is_national_id(bare, before[-40:]):
            return at, end, KINDS.index("national_id")
    front, letter = _ID_FRONT.search(before, max(0, len(before) - 3)), _ID_CAPITAL.match(after)
    if front and letter and is_national_id(front.group() + bare + letter.group(), before[-40:]):
        return at - 2, end + 2, KINDS.index("national_id")
    letter = _ID_END.match(after)
    if letter and is_national_id(bare + letter.group(), before[-40:]):
        return at, end + letter.end(), KINDS.index("national_id")
    if is_national_id(bare, before[-40:]) and not _WORD_BEHIND.match(after):
        return at, end, KINDS.index("national_id")
    length = phone_at(text, before, after, regions)
    return (start, start + length, KINDS.index("phone")) if length else None


def _colons(whole: bytes, first: int, stop: int, start: int, end: int, regions: tuple[str, ...]) -> Span | None:
    before, text, after = _context(whole, first, stop, start, end)
    text = text.rstrip(".:") if not text.endswith("::") else text
    if re.search(r"[\w:.]$", before) or re.match(r"[\w:]", after) or not is_public_ipv6(text):
        return None
    return start, start + len(text), KINDS.index("ip")


def _code(whole: bytes, first: int, stop: int, start: int, end: int, regions: tuple[str, ...]) -> Span | None:
    length = iban_at(whole[start : min(stop, start + 48)].decode("utf-8", "ignore"))
    if length:
        return start, start + length, KINDS.index("iban")
    before, text, _ = _context(whole, first, stop, start, end)
    if is_national_id(text, before[-40:]):
        return start, end, KINDS.index("national_id")
    return None


_CHECKS = {MAIL: _email, NUMBER: _number, COLONS: _colons, CODE: _code}
