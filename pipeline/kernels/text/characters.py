"""Classifies characters by table lookup: class bits and a case-folded code point for each code point.

The bits come from the running Python's Unicode tables, so a kernel agrees with `str.isspace`, `str.isalpha`, ...
"""

import unicodedata
from functools import cache

import numpy as np

SPACE = 1  # str.isspace
ALPHA = 2  # str.isalpha
UPPER = 4  # str.isupper
LOWER = 8  # str.islower
NUMERIC = 16  # str.isnumeric
SYMBOL = 32  # general category P, S or C, not a space: a word of these alone is not a word
AFFIX = 64  # split off at the ends of a whitespace run, as a piece of its own
ICON = 128  # pictographs and the ellipsis: split off wherever they stand
TERMINAL = 256  # Unicode Sentence_Terminal
MARK = 512  # combining, or a Thai or Lao vowel that follows its consonant: never starts a word
HAN = 1024  # scripts written without spaces between words
HIRAGANA = 2048
KATAKANA = 4096
BRAHMIC = 8192  # Thai, Lao, Burmese, Khmer, and their neighbours
SYLLABIC = 16384  # Tibetan: a mark (tsheg) ends each syllable
ALONE = 32768  # Chinese function words and Japanese particles of one character: words by themselves
DECIMAL = 65536  # str.isdecimal
BREAK = 131072  # str.splitlines ends a line here
# Set in a text whose words a segmenter has found: a word begins here, or does not.
BEGINS = 262144
INSIDE = 524288
DENSE = HAN | HIRAGANA | KATAKANA | BRAHMIC | SYLLABIC

TABLE_SIZE = 0x20000  # planes 0 and 1; above them stand only Han and unassigned, tag or private characters
HAN_END = 0x323B0  # end of CJK extension H

# Unicode 15 PropList.txt, Sentence_Terminal; FineWeb's stop characters.
_TERMINAL = """21 2E 3F 589 61D-61F 6D4 700-702 7F9 837 839 83D-83E 964-965 104A-104B 1362 1367-1368 166E 1735-1736
    17D4-17D6 17D9-17DA 1803 1809 1944-1945 1AA8-1AAB 1B5A-1B5B 1B5E-1B5F 1B7D-1B7E 1C3B-1C3C 1C7E-1C7F 203C-203D
    2047-2049 2E2E 2E3C 2E53-2E54 3002 A4FF A60E-A60F A6F3 A6F7 A876-A877 A8CE-A8CF A92F A9C8-A9C9 AA5D-AA5F AAF0-AAF1
    ABEB FE52 FE56-FE57 FF01 FF0E FF1F FF61 10A56-10A57 10F55-10F59 10F86-10F89 11047-11048 110BE-110C1 11141-11143
    111C5-111C6 111CD 111DE-111DF 11238-11239 1123B-1123C 112A9 1144B-1144C 115C2-115C3 115C9-115D7 11641-11642
    1173C-1173E 11944 11946 11A42-11A43 11A9B-11A9C 11C41-11C42 11EF7-11EF8 11F43-11F44 16A6E-16A6F 16AF5 16B37-16B38
    16B44 16E98 1BC9F 1DA88"""

# Marks that stand against a word without a space in running text.
_AFFIX = ",:;!?¿؟¡()[]{}<>_#*&。？！，、；：～·।،۔؛٪…'\"”“`‘´’‚„»«「」『』（）〔〕【】《》〈〉⟦⟧%=—–§+."

_BREAKS = "\n\v\f\r\x1c\x1d\x1e\x85\u2028\u2029"

_SCRIPTS = (
    (HAN, "3005 3007 3400-4DBF 4E00-9FFF F900-FAFF"),
    (HIRAGANA, "3041-309F"),
    (KATAKANA, "30A1-30FA 30FC-30FF 31F0-31FF FF66-FF9D"),
    (BRAHMIC, "E01-E3A E40-E4E E81-EDF 1000-109F 1780-17D3 17D7 17DC-17DD 1950-19DF 1A20-1A9F A9E0-A9FE AA60-AADF"),
    (SYLLABIC, "F40-FBC"),
)

# Vowels (and the repetition mark) that are letters in Unicode, yet belong to the consonant before them.
_FOLLOWING = "ะาำๅๆະາຳຽໆ"
_ALONE = (
    "的是在了和不有這这我他也就與与為为以對对而或及等個个你她它們们於于其中上下到從从把被讓让のにをはがでともへやか"
)


def _code_points(ranges: str) -> list[int]:
    points: list[int] = []
    for piece in ranges.split():
        first, _, last = piece.partition("-")
        points.extend(range(int(first, 16), int(last or first, 16) + 1))
    return points


@cache
def class_table() -> np.ndarray:
    """(TABLE_SIZE,) uint32 of class bits."""
    table = np.zeros(TABLE_SIZE, np.uint32)
    category = unicodedata.category
    for code in range(TABLE_SIZE):
        c = chr(code)
        kind = category(c)
        bits = 0
        if c.isspace():
            bits = SPACE
        elif kind[0] == "L":
            bits = ALPHA
            if kind == "Lu":
                bits = ALPHA | UPPER
            elif c.islower():
                bits = ALPHA | LOWER
        elif kind[0] in "PSC":
            bits = SYMBOL
            if kind == "Sc":
                bits |= AFFIX
            elif kind == "So":
                if c.isupper():
                    bits |= UPPER
                elif c.islower():
                    bits |= LOWER
                if c != "°":
                    bits |= AFFIX | ICON
        elif kind[0] == "M":
            bits = MARK | (LOWER if c.islower() else 0)
        elif kind == "Nl":
            bits = UPPER if c.isupper() else LOWER if c.islower() else 0
        if kind != "Cn" and c.isnumeric():
            bits |= NUMERIC
        if kind == "Nd":
            bits |= DECIMAL
        table[code] = bits
    table[[ord(c) for c in _AFFIX]] |= AFFIX
    table[ord("…")] |= ICON
    table[[ord(c) for c in _BREAKS]] |= BREAK
    table[_code_points(_TERMINAL)] |= TERMINAL
    table[[ord(c) for c in _FOLLOWING]] |= MARK
    table[[ord(c) for c in _ALONE]] |= ALONE
    for script, ranges in _SCRIPTS:
        table[_code_points(ranges)] |= script
    table.setflags(write=False)
    return table


@cache
def fold_table() -> np.ndarray:
    """(TABLE_SIZE,) uint32: lower case where that is one code point, else the code point itself."""
    table = np.arange(TABLE_SIZE, dtype=np.uint32)
    for code in range(TABLE_SIZE):
        lower = chr(code).lower()
        if len(lower) == 1:
            table[code] = ord(lower)
    table.setflags(write=False)
    return table


def sentence_ends() -> str:
    """The characters that end a sentence: Unicode's Sentence_Terminal."""
    return "".join(map(chr, _code_points(_TERMINAL)))


def class_of(character: str) -> int:
    """Class bits of one character; what the kernels see."""
    code = ord(character)
    if code < TABLE_SIZE:
        return int(class_table()[code])
    return ALPHA | HAN if code < HAN_END else SYMBOL
