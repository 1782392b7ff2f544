"""Every regular expression of stages/ and classifiers/ is linear on strings that are made against it.

The strings repeat pieces of the pattern itself: its literals, one character of each class, and pairs of them. Growth is
seen on short strings, and the slowest kind is then run at 256 KB.
"""

import importlib
import itertools
import pkgutil
import re
from functools import partial
from pathlib import Path
from re import _parser  # type: ignore[attr-defined] # the one way to a pattern's own pieces

import gristmill.classifiers
import gristmill.stages
import growing

SMALL, WHOLE = 1500, 1 << 18
PER_CHAR_S = 4e-6  # of a linear search, on a crowded machine; a quadratic one takes 0.03 s per character at 256 KB
_ATOMS = {"CATEGORY_SPACE": " ", "CATEGORY_DIGIT": "1", "CATEGORY_WORD": "a"}


def collected() -> dict[tuple[str | bytes, int], tuple[str, str]]:
    """(pattern, flags) -> (name, source) of the module that holds it; containers and dataclasses are looked through."""
    found: dict[tuple[str | bytes, int], tuple[str, str]] = {}
    source = ""

    def look(value: object, name: str, depth: int = 0) -> None:
        if isinstance(value, re.Pattern):
            found.setdefault((value.pattern, value.flags), (name, source))
        elif depth < 3:
            inner = (
                value.values() if isinstance(value, dict) else value if isinstance(value, list | tuple | set) else ()
            )
            if type(value).__module__.startswith("gristmill.") and hasattr(value, "__dict__"):
                inner = vars(value).values()
            for item in inner:
                look(item, name, depth + 1)

    for package in (gristmill.stages, gristmill.classifiers):
        for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
            try:
                imported = importlib.import_module(module.name)
            except ImportError:  # of an extra that is not installed
                continue
            held, source = vars(imported), Path(str(imported.__file__)).read_text(encoding="utf-8")
            for name, value in held.items():
                if not isinstance(value, type):
                    look(value, name)
    return found


def only_matched(name: str, source: str) -> bool:
    """Whether a pattern is never sought, only tried where something begins."""
    if not re.search(
        rf"^{re.escape(name)}\b[^=\n]*= re\.compile", source, re.M
    ):  # another module's, or one of many in a table
        return False
    used = re.findall(rf"\b{re.escape(name)}\.(\w+)\(", source)
    return bool(used) and set(used) <= {"match", "fullmatch"}


def pieces(parsed: object) -> list[str]:
    out: list[str] = []

    def walk(tree) -> None:
        run = ""
        for op, arg in tree:
            op = str(op)
            if op == "LITERAL":
                run += chr(arg)
                continue
            if run:
                out.append(run)
                run = ""
            if op == "IN":
                for kind, value in arg:
                    kind = str(kind)
                    out.append(
                        chr(value)
                        if kind == "LITERAL"
                        else chr(value[0])
                        if kind == "RANGE"
                        else _ATOMS.get(str(value), "~")
                    )
            elif op in ("MAX_REPEAT", "MIN_REPEAT", "POSSESSIVE_REPEAT"):
                walk(arg[2])
            elif op == "SUBPATTERN":
                walk(arg[3])
            elif op == "BRANCH":
                for branch in arg[1]:
                    walk(branch)
            elif op in ("ASSERT", "ASSERT_NOT"):
                walk(arg[1])
            elif op == "ATOMIC_GROUP":
                walk(arg)
            elif op in ("ANY", "NOT_LITERAL"):
                out.append("~")
        if run:
            out.append(run)

    walk(parsed)
    return list(dict.fromkeys(out))


def units(pattern: re.Pattern) -> list[str]:
    flags = pattern.flags & ~re.UNICODE if isinstance(pattern.pattern, bytes) else pattern.flags
    own = pieces(_parser.parse(pattern.pattern, flags))[:14]
    base = list(dict.fromkeys([*own, " ", "a", "1", "<", '"']))
    return [*base, *(a + b for a, b in itertools.permutations(base[:7], 2)), "".join(own) or "a"]


def read(pattern: re.Pattern, unit: str, matched: bool, size: int) -> None:
    text = (unit * (size // len(unit) + 1))[:size]
    subject = text.encode("utf-8", "replace") if isinstance(pattern.pattern, bytes) else text
    if matched:
        pattern.match(subject)
    else:
        for _ in pattern.finditer(subject):
            pass


def test_every_regex_is_linear_on_strings_made_of_its_own_pieces():
    wrong = []
    for (text, flags), (name, source) in collected().items():
        pattern = re.compile(text, flags)
        matched = only_matched(name, source)
        calls = {unit: partial(read, pattern, unit, matched) for unit in units(pattern)}
        unit = max(calls, key=lambda u: growing.cpu_seconds(calls[u], SMALL))
        try:
            growing.linear(calls[unit], SMALL)
        except AssertionError as error:
            wrong.append(f"{name} on {unit!r}: {error}")
            continue
        if (whole := growing.cpu_seconds(calls[unit], WHOLE)) > PER_CHAR_S * WHOLE:
            wrong.append(f"{name} on 256 KB of {unit!r} takes {whole:.1f} s")
    assert not wrong, "\n".join(wrong)
