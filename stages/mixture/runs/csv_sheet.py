"""A table as other people's tools write it: CSV or TSV with marks, gaps and labels, into columns of numbers and of
labels. What cannot be meant is named by file, line and column."""

import csv
import io
import re
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from gristmill.pipeline.contract.errors import InputError

MISSING = frozenset(("", "na", "n/a", "#n/a", "nan", "null", "none", "-", "."))
SIZE, SIZES = re.compile(r"(\d+(?:\.\d+)?)\s*([kmbKMB])"), {"k": 1e3, "m": 1e6, "b": 1e9}
COMMA_DECIMAL = re.compile(r"[+-]?\d+,\d+")


@dataclass(frozen=True, eq=False)
class Sheet:
    """`labels` has the text of every cell of every column, `numbers` those columns whose cells are numbers or empty
    (NaN). `lines` are the rows' line numbers in the file, for messages."""

    path: Path
    columns: tuple[str, ...]
    labels: dict[str, list[str]]
    numbers: dict[str, np.ndarray]
    lines: tuple[int, ...]

    def __len__(self) -> int:
        return len(self.lines)

    def place(self, row: int) -> str:
        return f"{self.path}, line {self.lines[row]}"

    def sizes(self, column: str) -> np.ndarray:
        """(n,) numbers that may be written as 70M or 1.4B; 0 where neither."""
        if column in self.numbers:
            return self.numbers[column]
        found = [SIZE.fullmatch(c) for c in self.labels[column]]
        return np.array([float(m[1]) * SIZES[m[2].casefold()] if m else 0.0 for m in found])

    def named(self, *names: str) -> str | None:
        """The first of these columns that is here, in any case of letters."""
        folded = {c.casefold(): c for c in self.columns}
        return next((folded[n] for n in names if n in folded), None)


def read_sheet(path: Path) -> Sheet:
    """Raises InputError for a file that is missing, is no text, or whose rows do not fit its header."""
    if not path.is_file():
        raise InputError(f"{path}: no such file")
    text = decoded(path)
    head = text.lstrip("\r\n").split("\n", 1)[0]
    separator = max(",\t;", key=lambda s: (re.sub(r'"[^"]*"', "", head).count(s), s == ","))
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True, skipinitialspace=True)
    rows: list[tuple[int, list[str]]] = []
    try:
        rows = [(reader.line_num, [c.strip() for c in row]) for row in reader if any(c.strip() for c in row)]
    except csv.Error as error:
        raise InputError(f"{path}, line {reader.line_num}: no table ({error})") from error
    if len(rows) < 2:
        raise InputError(f"{path} holds no rows under a header")
    header, body = rows[0][1], rows[1:]
    if all(number(c, separator) is not None for c in header):
        raise InputError(f"{path}: the first line holds numbers, no names; give the columns a header")
    twice = sorted({c for c in header if header.count(c) > 1})
    if twice:
        raise InputError(f"{path}: the header names column {twice[0]!r} more than once")
    for line, row in body:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: {len(row)} cells under a header of {len(header)} columns")
    lines = tuple(line for line, _ in body)
    labels = {c: [row[i] for _, row in body] for i, c in enumerate(header)}
    return Sheet(path, tuple(header), labels, numbers_of(path, labels, lines, separator), lines)


def decoded(path: Path) -> str:
    """UTF-8, with or without a mark, or UTF-16 with one (Excel's "Unicode text")."""
    content = path.read_bytes()
    encoding = "utf-16" if content[:2] in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"
    try:
        return content.decode(encoding).replace("\r\n", "\n").replace("\r", "\n")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no CSV table: byte {error.start} is no {encoding} text") from error


def number(cell: str, separator: str) -> float | None:
    """NaN where nothing stands, None where no number does. 25% is 25; 0,25 is a number where ; parts the columns."""
    if cell.casefold() in MISSING:
        return float("nan")
    cell = cell.removesuffix("%").rstrip()
    if separator != "," and COMMA_DECIMAL.fullmatch(cell):
        cell = cell.replace(",", ".")
    try:
        return None if "_" in cell else float(cell)
    except ValueError:
        return None


def numbers_of(path: Path, labels: dict[str, list[str]], lines: tuple[int, ...], separator: str) -> dict:
    """Columns of numbers. One in which most cells are numbers and some are words is refused, not passed over."""
    found = {}
    for name, cells in labels.items():
        parsed = [number(c, separator) for c in cells]
        words = [i for i, v in enumerate(parsed) if v is None]
        filled = sum(v is None or v == v for v in parsed)
        if not filled or len(words) > filled / 2:
            continue
        if words:
            raise InputError(
                f"{path}, line {lines[words[0]]}, column {name!r}: {cells[words[0]]!r} is no number, as "
                f"{filled - len(words)} other cells of the column are; mend it, or leave the cell empty"
            )
        found[name] = np.array(parsed, dtype=float)
    return found
