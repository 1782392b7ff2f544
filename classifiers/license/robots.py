"""robots.txt (RFC 9309): which paths it keeps a robot from, which uses of a path it refuses, which licences it names.

Groups of one robot are one; the longest matching pattern decides, of equals the one that allows; * and a final $ are
wildcards. As in Google's parser, misspelt keys and a blank in place of the colon are understood. Preferences are the
lines Content-Usage (draft-ietf-aipref-attach) and Content-Signal (contentsignals.org), with or without a path; licences
the lines License (RSL 1.0, for the whole host wherever they stand).
"""

import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from functools import cached_property
from urllib.parse import urlsplit

from gristmill.classifiers.license.sites import host_of

MOST_BYTES = 500 * 1024  # RFC 9309, 2.5: at least so much is read; Google reads no more
LINE_BYTES = 8 * 2083  # Google's parser reads no more of a line
EVERY = "*"
_KEYS = {
    "user-agent": "user-agent", "useragent": "user-agent", "user agent": "user-agent",
    "allow": "allow",
    "disallow": "disallow", "dissallow": "disallow", "dissalow": "disallow", "disalow": "disallow",
    "diasllow": "disallow", "disallaw": "disallow",
    "content-usage": "content-usage", "content-signal": "content-signal", "license": "license",
}  # fmt: skip
_LINE_END = re.compile(rb"\r\n|\r|\n")
_TWO_WORDS = re.compile(r"([^\s:]+)[ \t]+(\S+)")
_TOKEN = re.compile(r"[a-z_\-]+")  # RFC 9309, 2.2.1
_ESCAPE = re.compile(r"%([0-9a-fA-F]{2})")
_UNRESERVED = re.compile(r"[A-Za-z0-9\-._~]")  # RFC 3986, 2.3


@dataclass(frozen=True, slots=True)
class Pattern:
    """A path with wildcards, escaped one way. `size`: octets, by which patterns are compared."""

    pieces: tuple[str, ...]  # between the asterisks
    whole: bool  # ends in $: the path ends there
    size: int

    def matches(self, path: str) -> bool:
        first, *rest = self.pieces
        if not path.startswith(first):
            return False
        at = len(first)
        if not rest:
            return not self.whole or at == len(path)
        last = rest.pop() if self.whole else ""
        for piece in rest:
            found = path.find(piece, at)
            if found < 0:
                return False
            at = found + len(piece)
        return not self.whole or (path.endswith(last) and len(path) - len(last) >= at)


@dataclass(slots=True)
class Rules:
    """What one robot's groups say: (pattern, whether it allows), and (key, pattern, preferences)."""

    paths: list[tuple[Pattern, bool]] = field(default_factory=list)
    preferences: list[tuple[str, Pattern, str]] = field(default_factory=list)

    def allows(self, path: str) -> bool:
        """`path`: as `path_of` gives it."""
        if path == "/robots.txt":
            return True
        longest, allowed = 0, True
        for pattern, allow in self.paths:
            if (pattern.size > longest or (pattern.size == longest and allow)) and pattern.matches(path):
                longest, allowed = pattern.size, allow
        return allowed

    def preferred(self, path: str) -> list[tuple[str, str]]:
        """(key, preferences) of the longest patterns that match."""
        found: list[tuple[int, str, str]] = [
            (pattern.size, key, said) for key, pattern, said in self.preferences if pattern.matches(path)
        ]
        longest = max((size for size, _, _ in found), default=0)
        return [(key, said) for size, key, said in found if size == longest]


@dataclass(frozen=True, eq=False)
class Robots:
    """A robots.txt: rules by the names of its user-agent lines in lower case, and the licences."""

    groups: Mapping[str, Rules]
    licences: tuple[str, ...]
    lines: tuple[tuple[str, str], ...]  # (key, value) of all that is read, in order

    @cached_property
    def names(self) -> dict[str, list[str]]:
        """Names by which a robot may be meant -> the user-agent values that mean it."""
        found: dict[str, list[str]] = {}
        for value in self.groups:
            for name in _names_in(value):
                found.setdefault(name, []).append(value)
        return found

    def of(self, agent: str) -> Rules | None:
        """The rules of a robot's own groups; null where it has none, so that those of * hold. `agent`: lower case."""
        values = self.names.get(agent)
        return None if values is None else _merged([self.groups[v] for v in values])

    def allows(self, agent: str, url: str) -> bool:
        """Whether a robot may fetch a URL."""
        rules = self.of(agent.lower()) or self.groups.get(EVERY)
        return rules is None or rules.allows(path_of(url))

    @property
    def says_nothing(self) -> bool:
        return not self.licences and not any(
            rules.preferences or any(not allow for _, allow in rules.paths) for rules in self.groups.values()
        )

    def short(self) -> bytes:
        """The same without what nobody reads here: comments, sitemaps, delays."""
        return "\n".join(f"{key}:{value}" for key, value in self.lines).encode("utf-8", "replace")


def _names_in(value: str) -> set[str]:
    """GPTBot/1.0 (+https://...) means gptbot; names of today's robots also hold digits and blanks."""
    if value == EVERY or value.startswith(("* ", "*\t")):
        return {EVERY}
    found = {value, value.partition("/")[0].strip(), value.split()[0] if value.split() else ""}
    if token := _TOKEN.match(value):
        found.add(token[0])
    return found - {"", EVERY}


def _merged(several: list[Rules]) -> Rules:
    if len(several) == 1:
        return several[0]
    return Rules([p for r in several for p in r.paths], [p for r in several for p in r.preferences])


def parse_robots(content: bytes) -> Robots:
    """Reads what is a directive and passes over the rest; never raises."""
    if len(content) > MOST_BYTES:
        content = content[:MOST_BYTES]
        end = max(content.rfind(b"\n"), content.rfind(b"\r"))
        content = content[:end] if end >= 0 else b""  # half a pattern would match more than it says
    for length in (3, 2, 1):  # of a BOM, or what an editor has left of it
        if content.startswith(b"\xef\xbb\xbf"[:length]):
            content = content[length:]
            break
    groups: dict[str, Rules] = {}
    licences: list[str] = []
    lines: list[tuple[str, str]] = []
    current: list[Rules] = []
    open_head = False  # user-agent lines that follow each other name one group
    for raw in _LINE_END.split(content):
        key, value = _directive(raw[:LINE_BYTES].decode("utf-8", "replace"))
        if not key:
            continue
        if key == "user-agent":
            name = value.lower()
            name = EVERY if name.startswith(("* ", "*\t")) else name
            if not open_head:
                current = []
            open_head = True
            current.append(groups.setdefault(name, Rules()))
        elif key == "license":
            if value:
                licences.append(value)
        elif key in ("allow", "disallow"):
            open_head = False
            if value and current:
                pattern = pattern_of(value)
                for rules in current:
                    rules.paths.append((pattern, key == "allow"))
        else:
            open_head = False
            path, said = _preference(value)
            for rules in current or [groups.setdefault(EVERY, Rules())]:
                rules.preferences.append((key, pattern_of(path), said))
        lines.append((key, value))
    return Robots(groups, tuple(dict.fromkeys(licences)), tuple(lines))


def _directive(line: str) -> tuple[str, str]:
    """(key, value) of a line; ("", "") for a line that is none."""
    line = line.partition("#")[0].strip()
    key, colon, value = line.partition(":")
    if not colon:
        if (found := _TWO_WORDS.fullmatch(line)) is None:
            return "", ""
        key, value = found[1], found[2]
    return _KEYS.get(key.strip().lower(), ""), value.strip()


def _preference(value: str) -> tuple[str, str]:
    """(path, preferences): the path is the whole site where none is given."""
    path, _, said = value.partition(" ")
    return (path, said.strip()) if path.startswith("/") else ("/", value)


def pattern_of(value: str) -> Pattern:
    whole = value.endswith("$")
    inner = value.removesuffix("$").replace("$", "%24")
    pieces = [_escaped(piece) for piece in inner.split("*")]
    middle = [piece for piece in pieces[1:-1] if piece]
    joined = (pieces[0], *middle, pieces[-1]) if len(pieces) > 1 else (pieces[0],)
    size = sum(map(len, pieces)) + len(pieces) - 1 + whole
    return Pattern(joined, whole, size)


def path_of(url: str) -> str:
    """Path and query of a URL as patterns are compared with: unreserved characters as they are, others escaped."""
    try:
        parts = urlsplit(url)
    except ValueError:
        return "/"
    path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
    return _escaped(path.replace("*", "%2A").replace("$", "%24"))


def _escaped(path: str) -> str:
    """RFC 9309, 2.2.2: octets outside ASCII are escaped, unreserved ones are not, escapes have capital letters."""
    if "%" in path:
        path = _ESCAPE.sub(_one_way, path)
    if path.isascii():
        return path
    return "".join(c if c.isascii() else "".join(f"%{b:02X}" for b in c.encode("utf-8", "replace")) for c in path)


def _one_way(found: re.Match[str]) -> str:
    character = chr(int(found[1], 16))
    return character if _UNRESERVED.fullmatch(character) else f"%{found[1].upper()}"


def robots_host(url: str) -> str:
    """The host whose robots.txt speaks of a URL, in ASCII; "" where there is none."""
    host = host_of(url)
    if host.isascii():
        return host
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        return ""


def kept_out(robots: Robots, agents: Collection[str], path: str) -> list[str]:
    """Of these agents (lower case) those whose own groups keep them from a path; * where all others are kept out."""
    own = [name for name in robots.names if name in agents]
    found = sorted(name for name in own if (rules := robots.of(name)) is not None and not rules.allows(path))
    every = robots.groups.get(EVERY)
    if every is not None and len(own) < len(agents) and not every.allows(path):
        found.append(EVERY)
    return found


def preferences(robots: Robots, agents: Collection[str], path: str) -> list[tuple[str, str]]:
    """(key, preferences) that the groups of these agents, or that of all robots, state for a path."""
    found: list[tuple[str, str]] = []
    for name in (EVERY, *(name for name in robots.names if name in agents)):
        rules = robots.groups.get(EVERY) if name == EVERY else robots.of(name)
        found += rules.preferred(path) if rules is not None else []
    return list(dict.fromkeys(found))
