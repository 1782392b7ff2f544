"""Identifies the script of a text by counting its code points (ISO 15924 names)."""

from collections.abc import Sequence
from functools import cache

import numpy as np

from gristmill.pipeline.kernels.text.language import script_counts

# Unicode 17 Scripts.txt, scripts that living languages or common quotations use; unassigned code points between two
# ranges of a script are counted in.
_RANGES = """
    Latn 41-5A 61-7A AA BA C0-D6 D8-F6 F8-2B8 2E0-2E4 1D00-1D25 1D2C-1D5C 1D62-1D65 1D6B-1D77 1D79-1DBE 1E00-1EFF
        2071 207F 2090-209F 212A-212B 2132 214E 2160-2188 2C60-2C7F A722-A787 A78B-A7FF AB30-AB5A AB5C-AB64 AB66-AB69
        AB6C-AB6D FB00-FB06 FF21-FF3A FF41-FF5A 10780-107BF 1DF00-1DFF2 1DFF5-1DFFF
    Bopo 2EA-2EB 3105-312F 31A0-31BF
    Grek 370-373 375-37D 37F-384 386 388-3E1 3F0-3FF 1D26-1D2A 1D5D-1D61 1D66-1D6A 1DBF 1F00-1FFE 2126 AB65
        10140-1018E 101A0 1D200-1D245 1DFF3-1DFF4
    Copt 3E2-3EF 2C80-2CFF
    Cyrl 400-484 487-52F 1C80-1C8A 1D2B 1D78 2DE0-2DFF A640-A69F FE2E-FE2F 1E030-1E08F
    Armn 531-58F FB13-FB17
    Hebr 591-5F4 FB1D-FB4F
    Arab 600-604 606-60B 60D-61A 61C-61E 620-63F 641-64A 656-66F 671-6DC 6DE-6FF 750-77F 870-8E1 8E3-8FF FB50-FD3D
        FD40-FDFF FE70-FEFC 10E60-10E7E 10EC2-10EFF 1EE00-1EEF1
    Syrc 700-74F 860-86A
    Thaa 780-7B1
    Nkoo 7C0-7FF
    Deva 900-950 955-963 966-97F A8E0-A8FF 11B00-11B0A
    Beng 980-9FE 11DF0-11DF1
    Guru A01-A76
    Gujr A81-AFF
    Orya B01-B77
    Taml B82-BFA 11FC0-11FFF
    Telu C00-C7F
    Knda C80-CF3
    Mlym D00-D7F
    Sinh D81-DF4 111E1-111F4
    Thai E01-E3A E40-E5B
    Laoo E81-EDF
    Tibt F00-FD4 FD9-FDA
    Mymr 1000-109F A9E0-A9FE AA60-AA7F 116D0-116E3
    Geor 10A0-10FA 10FC-10FF 1C90-1CBF 2D00-2D2D
    Hang 1100-11FF 302E-302F 3131-318E 3200-321E 3260-327E A960-A97C AC00-D7FB FFA0-FFDC
    Ethi 1200-1399 2D80-2DDE AB01-AB2E 1E7E0-1E7FE
    Cher 13A0-13FD AB70-ABBF
    Cans 1400-167F 18B0-18F5 11AB0-11ABF
    Ogam 1680-169C
    Runr 16A0-16EA 16EE-16F8
    Khmr 1780-17F9 19E0-19FF
    Mong 1800-1801 1804 1806-18AA 11660-1166C
    Limb 1900-194F
    Tale 1950-1974
    Talu 1980-19DF
    Bugi 1A00-1A1F
    Lana 1A20-1AAD
    Bali 1B00-1B7F
    Sund 1B80-1BBF 1CC0-1CC7
    Batk 1BC0-1BFF
    Lepc 1C00-1C4F
    Olck 1C50-1C7F
    Tfng 2D30-2D7F
    Hani 2E80-2FD5 3005 3007 3021-3029 3038-303B 3400-4DBF 4E00-9FFF F900-FAD9 16FE2-16FE3 16FF0-16FF6 20000-2EE5D
        2F800-2FA1D 30000-33479
    Hira 3041-3096 309D-309F 1B001-1B11F 1B123 1B132-1B152 1F200
    Kana 30A1-30FA 30FD-30FF 31F0-31FF 32D0-32FE 3300-3357 FF66-FF6F FF71-FF9D 1AFF0-1B000 1B120-1B122 1B124-1B128
        1B155-1B168
    Yiii A000-A4C6
    Lisu A4D0-A4FF 11FB0
    Vaii A500-A62B
    Bamu A6A0-A6F7 16800-16A38
    Sylo A800-A82C
    Kali A900-A92D A92F
    Java A980-A9CD A9D0-A9DF
    Cham AA00-AA5F
    Mtei AAE0-AAF6 ABC0-ABF9
    Goth 10330-1034A
    Rohg 10D00-10D39
    Cakm 11100-11147
    Newa 11400-11461
    Xsux 12000-12686
    Egyp 13000-143FA
    Adlm 1E900-1E95F
"""
_BLOCKS = [line.split() for line in _RANGES.replace("\n        ", " ").strip().split("\n")]
NAMES = ("Zyyy", *(name for name, *_ in _BLOCKS))
_KANA = [NAMES.index("Hira"), NAMES.index("Kana")]
_HAN, _JAPANESE = NAMES.index("Hani"), "Jpan"


@cache
def _script_table() -> np.ndarray:
    """(0x110000,) uint8: index into NAMES."""
    table = np.zeros(0x110000, dtype=np.uint8)
    for i, (_, *ranges) in enumerate(_BLOCKS, 1):
        for span in ranges:
            first, _, last = span.partition("-")
            table[int(first, 16) : int(last or first, 16) + 1] = i
    return table


def scripts(texts: Sequence[str]) -> list[str | None]:
    """The script of most letters; null where there are none.

    Han and kana together are Jpan if at least a tenth of them are kana (FineWeb2 writes jpn_Jpan, cmn_Hani, kor_Hang).
    """
    encoded = [text.encode("utf-32-le", "surrogatepass") for text in texts]
    offsets = np.zeros(len(texts) + 1, dtype=np.int64)
    np.cumsum([len(data) // 4 for data in encoded], out=offsets[1:])
    points = np.frombuffer(b"".join(encoded), dtype="<u4")
    counts = script_counts(points, offsets, _script_table(), len(NAMES))
    counts[:, 0] = 0
    kana = counts[:, _KANA].sum(axis=1)
    japanese = (kana > 0) & (10 * kana >= kana + counts[:, _HAN])
    counts[:, _KANA[0]] = np.where(japanese, kana + counts[:, _HAN], kana)
    counts[:, _KANA[1]] = 0
    counts[japanese, _HAN] = 0
    best = counts.argmax(axis=1)
    return [
        None if not row[i] else _JAPANESE if ja and i == _KANA[0] else NAMES[i]
        for row, i, ja in zip(counts, best, japanese, strict=True)
    ]
