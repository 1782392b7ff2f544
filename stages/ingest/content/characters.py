r"""Normalises the characters of a text by a table: spaces to the space, line separators to \n, invisible ones out, NFC.

| code points | become |
|---|---|
| U+00A0, U+1680, U+2000-200A, U+202F, U+205F, U+3000 | U+0020 |
| U+0085, U+2028, U+2029 | U+000A |
| U+FEFF, U+2060, U+00AD, U+180E, U+2061-2064, U+034F | nothing |
| U+200B | nothing, but it stays beside Thai, Lao, Burmese, Khmer, where it parts words |
| U+200C, U+200D (ZWNJ, ZWJ) | nothing, but they stay behind the scripts that shape by them, and in emoji |
| all | NFC by Python's unicodedata (Unicode UAX #15) |
"""

import re
import unicodedata

from gristmill.pipeline.kernels.page.normal import may_change

_SPACES = "\u00a0\u1680\u2000-\u200a\u202f\u205f\u3000"
_LINES = "\u0085\u2028\u2029"
_NOTHING = "\ufeff\u2060\u00ad\u180e\u2061-\u2064\u034f"
_ANY = re.compile(f"[{_SPACES}{_LINES}{_NOTHING}\u200b-\u200d]")
_INVISIBLE = re.compile(f"[{_NOTHING}\u200b-\u200d]")
_SPACE = re.compile(f"[{_SPACES}]")
_LINE = re.compile(f"[{_LINES}]")
# Thai and Lao, Burmese, Khmer (UAX #14, class SA, and their extensions)
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u19e0-\u19ff\ua9e0-\ua9ff\uaa60-\uaa7f"
# Scripts whose letters join or stack: Arabic to Mandaic, the Indic blocks to Tibetan, Burmese, Khmer, Mongolian, and
# those of South East Asia and Africa further up (Unicode, chapter 23.2)
_JOINING = (
    "\u0600-\u08ff\u0900-\u0fff\u1000-\u109f\u1700-\u18af\u1900-\u1c7f\ua800-\uabff\ufb50-\ufdff\ufe70-\ufefc"
    "\U00010a00-\U00010fff\U00011000-\U000114ff\U00011580-\U00011fff\U0001e900-\U0001e95f"
)
# Emoji, their modifiers and the variation selector; what stands in the Basic Multilingual Plane is symbols
_EMOJI = "\u00a9\u00ae\u203c\u2049\u2122\u2139\u2190-\u2bff\u3030\u303d\u3297\u3299\ufe0f\u20e3\U0001f000-\U0001faff"
_OUT = re.compile(
    f"[{_NOTHING}]|(?<![{_JOINING}{_EMOJI}\u200c\u200d])[\u200c\u200d]+|(?<![{_UNSPACED}])\u200b(?![{_UNSPACED}])"
)


def normalised(text: str) -> tuple[str, int]:
    """The text and how many of its characters the table or NFC changed; the number is 0 where nothing changed."""
    if text.isascii() or not may_change(text.encode("utf-8", "replace")):
        return text, 0
    n = text.count("\u00a0") + text.count("\u00ad")  # by far the commonest: most texts need no more
    if n:
        text = text.replace("\u00a0", " ").replace("\u00ad", "")
    if not may_change(text.encode("utf-8", "replace")):
        return text, n
    if _ANY.search(text):
        text, spaces = _SPACE.subn(" ", text)
        text, lines = _LINE.subn("\n", text)
        n += spaces + lines
        if _INVISIBLE.search(text):
            before = len(text)
            text = _OUT.sub("", text)
            n += before - len(text)
    if not unicodedata.is_normalized("NFC", text):
        composed = unicodedata.normalize("NFC", text)
        n += max(abs(len(text) - len(composed)), 1)
        text = composed
    return text, n
