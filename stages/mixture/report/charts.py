"""Drawings of a search: every run's score in order, and predicted against measured scores."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from gristmill.pipeline.contract.drawing.charts import drawing, label, line, ticks
from gristmill.pipeline.contract.drawing.html import Html, tag_with


@dataclass(frozen=True)
class Mark:
    """A score that was predicted, not run: the natural mixture's, the chosen one's with its standard deviation."""

    score: float
    words: str
    sd: float = 0.0


@dataclass(frozen=True)
class Frame:
    """The plot of scores: y grows upwards between `low` and `high`, room for labels on the left and below."""

    width: float
    low: float
    high: float
    left: float = 54.0
    floor: float = 262.0
    top: float = 16.0
    height: float = 300.0

    def y(self, score: float) -> float:
        return self.floor - (self.floor - self.top) * (score - self.low) / (self.high - self.low)

    def x(self, share: float) -> float:
        return self.left + (self.width - self.left - 8) * share

    def write(self, score: float) -> str:
        """With the decimals that tell neighbouring ticks apart."""
        return f"{score:.{max(0, min(5, 1 - math.floor(math.log10((self.high - self.low) / 4))))}f}"

    def rungs(self) -> list[Html]:
        marks = [(self.y(t), self.write(t)) for t in ticks(self.low, self.high, 4)]
        lines = [line(self.left, y, self.width, y, "grid") for y, _ in marks]
        return [*lines, *(label(self.left - 8, y + 4, words, "end") for y, words in marks)]


def framed(width: float, scores: Sequence[float]) -> Frame:
    low, high = min(scores), max(scores)
    room = (high - low or abs(high) or 1.0) * 0.07
    return Frame(width, low - room, high + room)


def progress(
    scores: Sequence[float], rounds: Sequence[int], proxies: Sequence[str], marks: Sequence[Mark], title: str
) -> Html:
    """Each run's score in the order of the runs, the best so far of each proxy as a stair; lower is better."""
    n = len(scores)
    f = framed(560.0, [*scores, *(m.score + side * m.sd for m in marks for side in (-1, 1))])

    def at(i: float) -> float:
        return f.x((i + 0.5) / n)

    starts = [0, *(i for i in range(1, n) if (rounds[i], proxies[i]) != (rounds[i - 1], proxies[i - 1])), n]
    scale = f.rungs()
    if n / max(1, len(starts) - 2) >= 5:  # fewer runs per round: lines would be all that is seen
        scale += [line(at(i - 0.5), f.top, at(i - 0.5), f.floor, "axis") for i in starts[1:-1]]
    if len(starts) > 2:
        for a, b in pairwise(starts):
            if at(b) - at(a) > 56:
                scale.append(label((at(a - 0.5) + at(b - 0.5)) / 2, f.top - 5, f"round {rounds[a]}", "middle"))
    for i in dict.fromkeys([0, *(int(t) - 1 for t in ticks(1, n, 5) if t >= 1), n - 1]):
        if i in (0, n - 1) or at(n - 1) - at(i) > 34:
            scale.append(label(at(i), f.floor + 17, str(i + 1), "middle"))
    scale += [line(f.left, f.floor, f.width, f.floor, "axis"), label(f.x(0.5), f.height - 3, "proxy run", "middle")]
    dots = [tag_with("circle.run", {"cx": at(i), "cy": f.y(s), "r": 2.6}) for i, s in enumerate(scores)]
    stairs = []
    for proxy in dict.fromkeys(proxies):
        mine = [i for i in range(n) if proxies[i] == proxy]
        best = list(accumulate((scores[i] for i in mine), min))
        steps = "".join(f"H{at(i):.1f}V{f.y(b):.1f}" for i, b in zip(mine[1:], best[1:], strict=True))
        stairs.append(tag_with("path.line", {"d": f"M{at(mine[0]):.1f} {f.y(best[0]):.1f}{steps}"}))
    said: list[Html] = []
    top = max((m.score for m in marks), default=0.0)
    for mark in marks:
        y = f.y(mark.score)
        beside = -5 if mark.score == top else 13  # of two, the upper's name above its line, the lower's below
        if mark.sd:
            said.append(
                tag_with(
                    "rect.band",
                    {
                        "x": f.left,
                        "y": f.y(mark.score + mark.sd),
                        "width": f.width - 8 - f.left,
                        "height": f.y(mark.score - mark.sd) - f.y(mark.score + mark.sd),
                    },
                )
            )
        said += [line(f.left, y, f.width - 8, y, "ref"), label(f.width - 10, y + beside, mark.words, "end", ".halo")]
    return drawing(f.width, f.height, title, scale, dots, stairs, said, look=".large")


def against(predicted: Sequence[float], measured: Sequence[float], title: str) -> Html:
    """Predicted over measured scores, with the diagonal on which they are equal."""
    f = framed(560.0, [*predicted, *measured])

    def at(score: float) -> float:
        return f.x((score - f.low) / (f.high - f.low))

    scale = f.rungs()
    for tick in ticks(f.low, f.high, 5):
        scale += [
            line(at(tick), f.top, at(tick), f.floor, "grid"),
            label(at(tick), f.floor + 17, f.write(tick), "middle"),
        ]
    scale.append(line(at(f.low), f.y(f.low), at(f.high), f.y(f.high), "ref"))
    scale += [
        label(f.x(0.5), f.height - 3, "measured", "middle"),
        label(f.left + 6, f.top + 10, "predicted", "start", ".halo"),
    ]
    dots = [
        tag_with("circle.run", {"cx": at(m), "cy": f.y(p), "r": 2.8}) for p, m in zip(predicted, measured, strict=True)
    ]
    return drawing(f.width, f.height, title, scale, dots, look=".large")
