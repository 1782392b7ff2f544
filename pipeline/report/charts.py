"""The report's drawings as SVG: no script, colours by class, the numbers also in a table beside or below each."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise

from gristmill.pipeline.report.html import Content, Html, tag_with
from gristmill.pipeline.report.limits import BINS, Histogram
from gristmill.pipeline.report.style import CLUSTER_COLOURS
from gristmill.pipeline.report.tables import plain, short


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


def histogram_chart(h: Histogram, title: str) -> Html:
    """Stacked bars with the gate's limits; outside of them the ground is tinted."""
    width, height, floor = 260.0, 104.0, 86.0
    left, right = h.edges[0], h.edges[-1]
    tallest = max(k + d + o for k, d, o in zip(h.kept, h.dropped, h.other, strict=True)) or 1

    def at(x: float) -> float:
        if h.logarithmic:
            x, low, high = math.log1p(max(x, 0)), math.log1p(left), math.log1p(right)
        else:
            low, high = left, right
        return width * min(max((x - low) / (high - low), 0.0), 1.0)

    marks: list[Html] = []
    for limit, side in ((h.limited.low, "min"), (h.limited.high, "max")):
        if limit is None or not left <= limit <= right:
            continue
        x = at(limit)
        marks.append(
            tag_with(
                "rect.outside",
                {"x": 0.0 if side == "min" else x, "y": 0, "width": x if side == "min" else width - x, "height": floor},
            )
        )
        marks.append(line(x, 0, x, floor, "limit"))
    bars = []
    step = width / BINS
    for i, parts in enumerate(zip(h.kept, h.other, h.dropped, strict=True)):
        # Square root: a bin of a hundredth of the documents must still be seen beside the tallest.
        total, y = sum(parts), floor
        tall = (floor - 4) * math.sqrt(total / tallest)
        for part, look in zip(parts, ("kept", "other", "gone"), strict=True):
            if part:
                high = tall * part / total
                y -= high
                bars.append(tag_with(f"rect.{look}", {"x": i * step, "y": y, "width": step - 0.8, "height": high}))
    scale = [line(0, floor, width, floor, "axis")]
    chosen = powers(left, right) if h.logarithmic and right >= 10 else ticks(left, right, 4)
    for tick in chosen:
        x = at(tick)
        anchor = "start" if x < 12 else "end" if x > width - 12 else "middle"
        scale.append(label(x, height - 4, rounded(tick), anchor))
    return drawing(width, height, title, marks, bars, scale)


def plane(xs: Sequence[float], ys: Sequence[float], clusters: Sequence[int | None], title: str) -> Html:
    """Points coloured by cluster, each cluster's number at its median."""
    width, height, margin = 560.0, 430.0, 16.0
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    across, down = (high_x - low_x) or 1.0, (high_y - low_y) or 1.0
    places: dict[int | None, list[tuple[float, float]]] = {}
    for x, y, c in zip(xs, ys, clusters, strict=True):
        at = (
            margin + (width - 2 * margin) * (x - low_x) / across,
            height - margin - (height - 2 * margin) * (y - low_y) / down,
        )
        places.setdefault(c, []).append(at)
    order = sorted(places, key=lambda c: (c is not None, c or 0))
    radius = 2.6 if len(xs) <= 800 else 2.0
    groups = []
    for c in order:
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places[c])
        colour = "var(--other)" if c is None else f"var(--k{c % CLUSTER_COLOURS})"
        style = f"stroke:{colour};stroke-width:{2 * radius};stroke-linecap:round;stroke-opacity:.6;fill:none"
        groups.append(tag_with("path", {"d": dots, "style": style}))
    named = [c for c in order if c is not None]
    middles = [(median([x for x, _ in places[c]]), median([y for _, y in places[c]])) for c in named]
    spread = apart(middles, 17.0, 13.0)
    names = [label(x, y + 4, str(c), "middle", ".strong.halo") for c, (x, y) in zip(named, spread, strict=True)]
    frame = tag_with("rect.axis", {"x": 0.5, "y": 0.5, "width": width - 1, "height": height - 1})
    return drawing(width, height, title, frame, groups, names, look=".large")


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
