"""Drawings as SVG: no script, colours by class, the numbers also in a table beside or below each."""

import math
from collections.abc import Sequence

from gristmill.pipeline.contract.drawing.html import Content, Html, tag_with
from gristmill.pipeline.contract.drawing.tables import plain, short

# Hues of categories (oklch, degrees), told apart by hue and lightness; the style sheet names them --k0, --k1, ... A
# thirteenth category starts again, its number tells which.
HUES = (250, 30, 145, 310, 75, 200, 0, 110, 275, 55, 175, 335)


def colour_of(category: int) -> str:
    return f"var(--k{category % len(HUES)})"


def drawing(width: float, height: float, title: str, *content: Content, look: str = "") -> Html:
    attributes = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": title}
    return tag_with(f"svg{look}", attributes, content)


def label(x: float, y: float, words: Content, anchor: str = "start", look: str = "") -> Html:
    return tag_with(f"text{look}", {"x": x, "y": y, "text-anchor": anchor}, words)


def line(x1: float, y1: float, x2: float, y2: float, look: str) -> Html:
    return tag_with(f"path.{look}", {"d": f"M{x1:.2f} {y1:.2f}L{x2:.2f} {y2:.2f}"})


def ticks(low: float, high: float, n: int) -> list[float]:
    """About n round numbers inside [low, high]."""
    if not high > low:
        return [low]
    raw = (high - low) / n
    power = 10.0 ** math.floor(math.log10(raw))
    step = next(power * m for m in (1, 2, 2.5, 5, 10) if power * m >= raw * 0.999)
    first = math.ceil(low / step - 1e-9)
    return [round(i * step, 12) for i in range(first, math.floor(high / step + 1e-9) + 1)]


def powers(low: float, high: float) -> list[float]:
    """Powers of ten inside [low, high]."""
    first, last = math.ceil(math.log10(max(low, 1))), math.floor(math.log10(max(high, 1)))
    return [10.0**i for i in range(first, last + 1)]


def rounded(tick: float) -> str:
    """A tick is a round number: 250, 10 K, 2.5 M."""
    if abs(tick) < 1000:
        return plain(tick)
    digits, _, unit = short(tick).partition(" ")
    return f"{float(digits):g} {unit}"


def apart(places: Sequence[tuple[float, float]], across: float, down: float) -> list[tuple[float, float]]:
    """The places, moved as little as it takes that no two labels of this size cover each other."""
    moved = [list(p) for p in places]
    for _ in range(60):
        still = True
        for i, a in enumerate(moved):
            for b in moved[i + 1 :]:
                dx, dy = b[0] - a[0], b[1] - a[1]
                if abs(dx) >= across or abs(dy) >= down:
                    continue
                still = False
                axis, gap, size = (0, dx, across) if across - abs(dx) < down - abs(dy) else (1, dy, down)
                push = (size - abs(gap)) / 2 * (1 if gap >= 0 else -1)
                a[axis] -= push
                b[axis] += push
        if still:
            break
    return [(x, y) for x, y in moved]


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]
