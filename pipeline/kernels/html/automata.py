"""Sets of words with boundaries, prefixes and endings as one deterministic automaton over bytes, a step a byte.

A pattern is made of `word`, `any_of`, `then`, `maybe`, `many`, `sign`, `BEGIN` and `END`. `automaton` takes several,
each with the bits that it sets where it stands anywhere in a text.
"""

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

SPACES = b"\t\n\v\f\r "


@dataclass
class Graph:
    """States with free steps, steps at the beginning, at the end, and by a set of bytes."""

    free: list[list[int]] = field(default_factory=list)
    at_begin: list[list[int]] = field(default_factory=list)
    at_end: list[list[int]] = field(default_factory=list)
    step: list[tuple[frozenset[int], int] | None] = field(default_factory=list)
    bits: list[int] = field(default_factory=list)

    def new(self) -> int:
        self.free.append([])
        self.at_begin.append([])
        self.at_end.append([])
        self.step.append(None)
        self.bits.append(0)
        return len(self.free) - 1

    def reached(self, states: list[int], begin: bool = False, end: bool = False) -> frozenset[int]:
        seen, waiting = set(states), list(states)
        while waiting:
            state = waiting.pop()
            ways = self.free[state] + begin * self.at_begin[state] + end * self.at_end[state]
            waiting.extend(way for way in ways if way not in seen)
            seen.update(ways)
        return frozenset(seen)


# Adds itself behind a state, and gives the state behind it.
Pattern = Callable[[Graph, int], int]


def sign(signs: bytes) -> Pattern:
    """One of these bytes."""

    def add(graph: Graph, state: int) -> int:
        here, behind = graph.new(), graph.new()
        graph.free[state].append(here)
        graph.step[here] = frozenset(signs), behind
        return behind

    return add


def then(*patterns: Pattern) -> Pattern:
    def add(graph: Graph, state: int) -> int:
        for pattern in patterns:
            state = pattern(graph, state)
        return state

    return add


def word(text: str, cased: bool = False) -> Pattern:
    """These letters, in any case unless `cased`; a space stands for an underscore, a hyphen or nothing."""

    def letter(c: str) -> Pattern:
        if c == " ":
            return maybe(JOINT)
        return sign(c.encode() if cased else bytes({ord(c.lower()), ord(c.upper())}))

    return then(*map(letter, text))


def either(*patterns: Pattern) -> Pattern:
    def add(graph: Graph, state: int) -> int:
        behind = graph.new()
        for pattern in patterns:
            graph.free[pattern(graph, state)].append(behind)
        return behind

    return add


def any_of(words: str, cased: bool = False) -> Pattern:
    """One of the words, which a comma parts."""
    return either(*(word(text.strip(), cased) for text in words.split(",")))


def maybe(pattern: Pattern) -> Pattern:
    def add(graph: Graph, state: int) -> int:
        behind = graph.new()
        graph.free[pattern(graph, state)].append(behind)
        graph.free[state].append(behind)
        return behind

    return add


def many(pattern: Pattern) -> Pattern:
    """None, one or more."""

    def add(graph: Graph, state: int) -> int:
        loop = graph.new()
        graph.free[state].append(loop)
        graph.free[pattern(graph, loop)].append(loop)
        return loop

    return add


def BEGIN(graph: Graph, state: int) -> int:
    behind = graph.new()
    graph.at_begin[state].append(behind)
    return behind


def END(graph: Graph, state: int) -> int:
    behind = graph.new()
    graph.at_end[state].append(behind)
    return behind


JOINT = sign(b"_-")
SPACE = sign(SPACES)


@dataclass(frozen=True)
class Automaton:
    """`classes` (256,) uint8: a byte's class; `steps` (states, classes) int16; `bits`, `final` (states,) uint16: what
    stands at a state, and what stands where the text ends in it. State 0 is the beginning."""

    classes: np.ndarray
    steps: np.ndarray
    bits: np.ndarray
    final: np.ndarray

    @property
    def tables(self) -> tuple[np.ndarray, np.ndarray, np.ndarray, np.ndarray]:
        return self.classes, self.steps, self.bits, self.final


def automaton(*patterns: tuple[Pattern, int]) -> Automaton:
    """Each pattern with the bits, of 16, that it sets."""
    graph = Graph()
    start = graph.new()
    for pattern, bits in patterns:
        head = graph.new()
        graph.free[start].append(head)
        graph.bits[pattern(graph, head)] |= bits
    sets = list(dict.fromkeys(step[0] for step in graph.step if step))
    numbers: dict[tuple[bool, ...], int] = {}
    classes = [numbers.setdefault(tuple(byte in one for one in sets), len(numbers)) for byte in range(256)]
    members = [classes.index(k) for k in range(len(numbers))]  # a byte of each class

    states_n = range(len(graph.free))
    of_use = frozenset(s for s in states_n if graph.step[s] or graph.at_end[s] or graph.bits[s])
    closed = [graph.reached([state]) & of_use for state in states_n]
    anywhere = graph.reached([start]) & of_use
    found = {graph.reached([start], begin=True) & of_use: 0}
    order = list(found)
    steps: list[list[int]] = []
    for states in order:  # grows as it goes
        moves: dict[frozenset[int], set[int]] = {}
        for state in states:
            if step := graph.step[state]:
                moves.setdefault(step[0], set()).update(closed[step[1]])
        row = []
        for member in members:
            after = anywhere.union(*[to for signs, to in moves.items() if member in signs])
            if after not in found:
                found[after] = len(order)
                order.append(after)
            row.append(found[after])
        steps.append(row)

    def all_bits(states: frozenset[int]) -> int:
        bits = 0
        for state in states:
            bits |= graph.bits[state]
        return bits

    return Automaton(
        np.array(classes, dtype=np.uint8),
        np.array(steps, dtype=np.int16),
        np.array([all_bits(states) for states in order], dtype=np.uint16),
        np.array([all_bits(graph.reached(list(states), end=True)) for states in order], dtype=np.uint16),
    )
