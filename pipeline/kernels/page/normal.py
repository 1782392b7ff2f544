"""Whether a text may change when it is normalised: one pass over its UTF-8 bytes, by blocks of code points."""

import numpy as np

from gristmill.pipeline.kernels.compiled import kernel


def may_change(text: bytes) -> bool:
    """Whether UTF-8 `text` may hold a character of the table of stages/ingest/content/characters.py, or one that is not
    its own NFC or joins what stands before it (Unicode UAX #15: NFC_QC is not Yes, or a combining class).

    False is sure. Known to stay: U+0000-02FF but U+0085, 00A0 and 00AD, Cyrillic letters, U+2010-2027, U+2030-205E,
    kana but the voicing marks, CJK punctuation, unified ideographs, Hangul syllables and fullwidth forms.
    """
    return _may_change(np.frombuffer(text, np.uint8))


@kernel
def _may_change(data):
    i, size = 0, data.size
    while i < size:
        c = data[i]
        if c < 0x80:
            i += 1
        elif c < 0xCC:  # to U+02FF
            if c == 0xC2 and (data[i + 1] == 0x85 or data[i + 1] == 0xA0 or data[i + 1] == 0xAD):
                return True
            i += 2
        elif 0xD0 <= c <= 0xD3:  # U+0400-04FF; U+0483-0487 combine
            if c == 0xD2 and 0x83 <= data[i + 1] <= 0x87:
                return True
            i += 2
        elif c == 0xE2:
            k = (data[i + 1] & 0x3F) << 6 | (data[i + 2] & 0x3F)  # beyond U+2000
            if not (0x10 <= k <= 0x27 or 0x30 <= k <= 0x5E or k == 0xAC):  # the euro sign
                return True
            i += 3
        elif c == 0xE3:
            k = (data[i + 1] & 0x3F) << 6 | (data[i + 2] & 0x3F)  # beyond U+3000
            if not (0x01 <= k <= 0x29 or 0x41 <= k <= 0x96 or 0x9B <= k <= 0xFF):
                return True
            i += 3
        elif 0xE4 <= c <= 0xE9 or c == 0xEB or c == 0xEC or (c == 0xEA and data[i + 1] >= 0xB0):
            i += 3  # U+4000-9FFF, U+AC00-CFFF
        elif (c == 0xED and data[i + 1] < 0x9E) or (c == 0xEF and (data[i + 1] == 0xBC or data[i + 1] == 0xBD)):
            i += 3  # U+D000-D77F, U+FF00-FF7F
        else:
            return True
    return False
