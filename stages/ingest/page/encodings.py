"""The WHATWG's decoders of the encodings beyond UTF-8, made from Python's: characters swapped where the tables differ,
and an error handler that has the rows which Python lacks and goes on behind a broken sequence where the standard does.

Source: WHATWG Encoding, its indexes big5, gb18030, jis0208, jis0212 and koi8-u; compared at every pointer
(docs/decisions/charset.md). The C1 controls of windows-125x and windows-874 stay replaced: no text has them.
"""

import codecs
import re
from collections.abc import Callable, Iterator, Mapping

Found = tuple[str, int] | None  # what stands where Python's codec failed, and how many bytes it takes
# WHATWG's name -> Python's codec, where Python knows it by another name or the WHATWG decodes a superset
_PYTHON = {
    "windows-874": "cp874", "gbk": "gb18030", "shift_jis": "cp932", "euc-kr": "cp949", "big5": "big5hkscs",
    "x-mac-cyrillic": "mac_cyrillic", "macintosh": "mac_roman", "ibm866": "cp866", "iso-8859-8-i": "iso-8859-8",
    "hz-gb-2312": "hz", "iso-2022-kr": "iso2022_kr",
}  # fmt: skip
_GB18030 = {
    "\ue5e5": "\u3000", "\ue7c7": "\u1e3f",
    # GB18030-2022 has code points for what stood in the private use area
    **dict(zip(map(chr, range(0xE78D, 0xE797)), "︐︒︑︓︔︕︖︗︘︙", strict=True)),
    **dict(zip("\ue81e\ue826\ue82b\ue82c\ue832\ue843\ue854\ue864", map(chr, range(0x9FB4, 0x9FBC)), strict=True)),
}  # fmt: skip
_SWAPS: Mapping[str, Mapping[str, str]] = {
    "big5": dict(zip("•､‾∼♁☉¥¢£", "‧﹑¯～⊕⊙￥￠￡", strict=True)),
    "euc-jp": dict(zip("〜‖−¢£¬", "～∥－￠￡￢", strict=True)),
    "shift_jis": dict.fromkeys("\uf8f0\uf8f1\uf8f2\uf8f3", "\ufffd"),  # the bytes 0xA0 and 0xFD to 0xFF
    "gbk": _GB18030,
    "gb18030": _GB18030,
    "koi8-u": {"╝": "ў", "╬": "Ў"},
}
_BIG5_SLASHES = re.compile(rb"\xa2[AB]|[\x81-\xfe][\x40-\x7e\xa1-\xfe]|[^\x81-\xfe]+|.", re.S)
# Runs of neighbours in index big5 that big5hkscs (HKSCS-2004) lacks, by the two bytes of the first
_BIG5_ROWS = {
    0xA3C0: "".join(map(chr, (*range(0x2400, 0x2420), 0x2421))),
    0x877A: "㡵𡵓𣚞𦀡㻬𥣞㫵竼龗𤅡𨤍𣇪𠪊𣉞䌊蒄龖鐯䤰蘓墖靊鈘秐稲晠権袝瑌篅枂稬剏遆㓦珄𥶹瓆"
    "鿇垳䤯呌䄱𣚎堘穲𧭥讏䚮𦺈䆁𥶙箮𢒼鿈𢓁𢓉𢓌鿉蔄𣖻䂴鿊䓡𪷿拁灮鿋",
    0x8E69: "箸",
    0x8E6F: "簆", 0x8E7E: "糎", 0x8EAB: "緒", 0x8EB4: "縝", 0x8ECD: "者", 0x8ED0: "耨", 0x8F57: "菁",
    0x8F69: "蒨", 0x8F6E: "萏", 0x8FCB: "覦覩", 0x8FFE: "起", 0x906D: "都", 0x907A: "銹", 0x90DC: "靜",
    0x90F1: "響", 0x91BF: "鼖", 0x9244: "蔃", 0x92AF: "兙兛兝兞", 0x92C8: "鍮", 0x92D1: "瑹", 0x9447: "浧",
    0x94CA: "禛", 0x95D9: "邗", 0x9644: "靝", 0x96ED: "瀞", 0x96FC: "嬨", 0x9B76: "爁", 0x9B78: "矗",
    0x9B7B: "纇", 0x9BC6: "駖", 0x9BDE: "釔", 0x9BEC: "惞", 0x9BF6: "澶", 0x9C42: "輶", 0x9C53: "侻",
    0x9C62: "營", 0x9C68: "鄄", 0x9C6B: "鷰", 0x9C77: "菏", 0x9CBC: "尐秣", 0x9CD0: "婧", 0x9D57: "輋",
    0x9D5A: "筑", 0x9DC4: "拐", 0x9EA9: "恢", 0x9EEF: "痹", 0x9EFD: "汊", 0x9F60: "鬮", 0x9F66: "鼗",
    0x9FCB: "僭", 0x9FD8: "弌", 0xA063: "蠏", 0xA077: "拎", 0xA0D5: "瑨", 0xA0DF: "煢", 0xA0E4: "牐",
    0xA3E1: "€", 0xC6CF: "廴", 0xC6D3: "无", 0xC6D5: "癶", 0xC6D7: "隶", 0xC6DE: "〃仝", 0xFA5F: "倩",
    0xFA66: "偽", 0xFABD: "包", 0xFAC5: "卄", 0xFAD5: "卿", 0xFB48: "嘅", 0xFBB8: "婷", 0xFBF3: "幵",
    0xFBF9: "廐", 0xFC4F: "彘", 0xFC6C: "悤", 0xFCB9: "撐", 0xFCE2: "晴", 0xFCF1: "杞", 0xFDB7: "沜渝",
    0xFDBB: "港", 0xFDF1: "煮", 0xFE52: "猪", 0xFE6F: "瑜", 0xFEAA: "瓩", 0xFEDD: "砉",
}  # fmt: skip


def _pairs(rows: Mapping[int, str]) -> Iterator[tuple[bytes, str]]:
    for first, run in rows.items():
        lead, trail = first >> 8, first & 0xFF
        pointer = 157 * lead + trail - (0x40 if trail < 0x7F else 0x62)
        for i, char in enumerate(run, pointer):
            yield bytes((i // 157, i % 157 + (0x40 if i % 157 < 0x3F else 0x62))), char


_BIG5 = dict(_pairs(_BIG5_ROWS))


def _big5(data: bytes, at: int) -> Found:
    char = _BIG5.get(data[at : at + 2])
    return (char, 2) if char else None


def _euc_jp(data: bytes, at: int) -> Found:
    """Row 13 and rows 89 to 92 of index jis0208 (NEC's and IBM's), which Python has in its Shift_JIS only."""
    lead, trail = data[at], data[at + 1] if at + 1 < len(data) else 0
    if lead == 0x8F and 0xA1 <= trail <= 0xFE:
        third = data[at + 2 : at + 3]
        return "\ufffd", 2 if third < b"\x80" else 3
    if not (0xA1 <= lead <= 0xFE and 0xA1 <= trail <= 0xFE):
        return None
    row, pointer = divmod(94 * (lead - 0xA1) + trail - 0xA1, 188)
    shifted = bytes((row + (0x81 if row < 0x1F else 0xC1), pointer + (0x40 if pointer < 0x3F else 0x41)))
    try:
        return shifted.decode("cp932"), 2
    except UnicodeDecodeError:
        return None


def _gb18030(data: bytes, at: int) -> Found:
    if data[at] == 0x80:
        return "€", 1
    second, third, fourth = (*data[at + 1 : at + 4], 0, 0, 0)[:3]
    if 0x81 <= data[at] <= 0xFE and 0x30 <= second <= 0x39:
        left = len(data) - at
        whole = 0x81 <= third <= 0xFE and 0x30 <= fourth <= 0x39
        cut = left < 4 and (left == 2 or 0x81 <= third <= 0xFE)
        return "\ufffd", 4 if whole else left if cut else 1
    return None


def _handler(leads: range, known: Callable[[bytes, int], Found]) -> Callable[[UnicodeError], tuple[str, int]]:
    def go_on(error: UnicodeError) -> tuple[str, int]:
        assert isinstance(error, UnicodeDecodeError)
        data, at = error.object, error.start
        if found := known(data, at):
            return found[0], at + found[1]
        broken_pair = data[at] in leads and data[at + 1 : at + 2] >= b"\x80"
        return "\ufffd", at + (2 if broken_pair else 1)

    return go_on


def _none(data: bytes, at: int) -> Found:
    return None


def _windows_1255(data: bytes, at: int) -> Found:
    return ("\u05ba", 1) if data[at] == 0xCA else None


_HANDLERS = {
    "big5": _handler(range(0x81, 0xFF), _big5),
    "euc-jp": _handler(range(0x8E, 0xFF), _euc_jp),
    "gbk": _handler(range(0x81, 0xFF), _gb18030),
    "gb18030": _handler(range(0x81, 0xFF), _gb18030),
    "shift_jis": _handler(range(0x81, 0xFD), _none),
    "euc-kr": _handler(range(0x81, 0xFF), _none),
    "windows-1255": _handler(range(0), _windows_1255),
}
for _name, _go_on in _HANDLERS.items():
    codecs.register_error(f"whatwg-{_name}", _go_on)


def decoded_as(body: bytes, name: str) -> str:
    """`name`: the WHATWG's, or hz-gb-2312 or iso-2022-kr, which it refuses. What cannot be decoded is U+FFFD."""
    if name == "iso-2022-jp":
        return _iso_2022_jp(body)
    if name == "big5" and (b"\xa2A" in body or b"\xa2B" in body):
        return _big5_with_slashes(body)
    if name == "euc-jp":
        body = body.replace(b"\x8f\xa2\xb7", b"\xa1\xc1")  # the tilde of JIS X 0212, full width here
    python = _PYTHON.get(name, name)
    try:
        text = body.decode(python)
    except UnicodeDecodeError:
        text = body.decode(python, f"whatwg-{name}" if name in _HANDLERS else "replace")
    return _swapped(text, name)


def _swapped(text: str, name: str) -> str:
    for theirs, ours in _SWAPS.get(name, {}).items():
        if theirs in text:
            text = text.replace(theirs, ours)
    return text


def _big5_with_slashes(body: bytes) -> str:
    """A241 and A242 apart: Python reads the same characters from other bytes, which keep them."""
    parts, start = [], 0
    for found in _BIG5_SLASHES.finditer(body):
        if found.group() in (b"\xa2A", b"\xa2B"):
            before = body[start : found.start()].decode("big5hkscs", "whatwg-big5")
            parts += [_swapped(before, "big5"), "∕" if found.group() == b"\xa2A" else "﹨"]
            start = found.end()
    return "".join([*parts, _swapped(body[start:].decode("big5hkscs", "whatwg-big5"), "big5")])


_ESCAPES = re.compile(rb"\x1b(\$[@B]|\([BJI])")


def _iso_2022_jp(body: bytes) -> str:
    """A line begins in ASCII (RFC 1468), though the WHATWG would not end a row of pairs at a line's end."""
    parts = []
    for line in body.split(b"\n"):
        texts, state = [], b"(B"
        for i, piece in enumerate(_ESCAPES.split(line)):
            if i % 2:
                state = piece
            else:
                texts.append(_JIS_STATES[state](piece))
        parts.append("".join(texts))
    return "\n".join(parts)


def _ascii(piece: bytes) -> str:
    return piece.decode("ascii", "replace").translate({0x0E: 0xFFFD, 0x0F: 0xFFFD, 0x1B: 0xFFFD})


def _roman(piece: bytes) -> str:
    return _ascii(piece).translate({0x5C: "¥", 0x7E: "‾"})


def _katakana(piece: bytes) -> str:
    return "".join(chr(0xFF61 - 0x21 + b) if 0x21 <= b <= 0x5F else "\ufffd" if b > 0x20 else chr(b) for b in piece)


def _jis_pairs(piece: bytes) -> str:
    texts = []
    for i, run in enumerate(re.split(rb"([^\x21-\x7e]+)", piece)):
        if i % 2:
            texts.append(_ascii(run))
        else:
            texts.append(decoded_as(bytes(b + 0x80 for b in run), "euc-jp"))
    return "".join(texts)


_JIS_STATES: Mapping[bytes, Callable[[bytes], str]] = {
    b"(B": _ascii,
    b"(J": _roman,
    b"(I": _katakana,
    b"$@": _jis_pairs,
    b"$B": _jis_pairs,
}
