"""Escapes text of unknown origin: what a terminal, Markdown or a table would obey is written visibly.

Escape sequences set titles and clear screens, carriage returns overwrite lines, bidirectional overrides turn numbers
around (Unicode Technical Report 36, 3.3).
"""

import re
import sys
from collections.abc import Iterable
from typing import TextIO

# C0, DEL and C1 controls; marks, embeddings, overrides and isolates of the bidirectional algorithm; line and paragraph
# separators; lone surrogates; invisible tag characters.
_OBEYED = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufff9-\ufffb\U000e0000-\U000e007f]"
)
_MARKUP = re.compile(r"[|<>&\[\]`\\]")  # CommonMark, 2.4: a backslash before any of them makes it a character
_SHORT = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}


def shown(text: str) -> str:
    """One line in which every such character is an escape like \\x1b or \\u202e."""
    return _OBEYED.sub(_escape, text)


def _escape(found: re.Match[str]) -> str:
    char = found[0]
    code = ord(char)
    wide = f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}"
    return _SHORT.get(char) or (f"\\x{code:02x}" if code < 0x100 else wide)


def shown_lines(text: str) -> str:
    """The same for text of several lines of our own: their ends stay."""
    return "\n".join(map(shown, text.split("\n")))


def markdown(text: str) -> str:
    """A name from the data as one line of text in Markdown, in which it makes no markup, table cell or HTML."""
    return _MARKUP.sub(r"\\\g<0>", shown(text))


def say(lines: str | Iterable[str], file: TextIO | None = None) -> None:
    """Prints lines, as the only way to the terminal. A string may hold several, an item of a list is one."""
    text = shown_lines(lines) if isinstance(lines, str) else "\n".join(map(shown, lines))
    print(text, file=file or sys.stdout, flush=True)
