"""The report's drawings as SVG: no script, colours by class, the numbers also in a table beside or below each."""

import math
from collections.abc import Sequence

from pipeline.hypertext import Content, Html, tag, tag_with
from pipeline.report_style import CLUSTER_COLOURS
from pipeline.report_tables import plain, short
from pipeline.report_signals import BINS, Histogram


def drawing(width: float, height: float, title: str, *content: Content) -> Html:
    attributes = {"viewBox": f"0 0 {width:g} {height:g}", "role": "img", "aria-label": title}
    return tag_with("svg", attributes, content)


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


def histogram(h: Histogram, title: str) -> Html:
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
            tag_with("rect.outside", {"x": 0.0 if side == "min" else x, "y": 0, "width": x if side == "min" else width - x, "height": floor})
        )  # fmt: skip
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
        scale.append(label(x, height - 4, short(tick) if abs(tick) >= 1000 else plain(tick), anchor))
    return drawing(width, height, title, marks, bars, scale)


def plane(xs: Sequence[float], ys: Sequence[float], clusters: Sequence[int | None], title: str) -> Html:
    """Points coloured by cluster, each cluster's number at its median."""
    width, height, margin = 560.0, 430.0, 16.0
    low_x, high_x, low_y, high_y = min(xs), max(xs), min(ys), max(ys)
    across, down = (high_x - low_x) or 1.0, (high_y - low_y) or 1.0
    places: dict[int | None, list[tuple[float, float]]] = {}
    for x, y, c in zip(xs, ys, clusters, strict=True):
        at = (margin + (width - 2 * margin) * (x - low_x) / across, height - margin - (height - 2 * margin) * (y - low_y) / down)  # fmt: skip
        places.setdefault(c, []).append(at)
    order = sorted(places, key=lambda c: (c is not None, c or 0))
    radius = 2.6 if len(xs) <= 800 else 2.0
    groups, names = [], []
    for c in order:
        dots = "".join(f"M{x:.1f} {y:.1f}h0" for x, y in places[c])
        colour = "var(--other)" if c is None else f"var(--k{c % CLUSTER_COLOURS})"
        style = f"stroke:{colour};stroke-width:{2 * radius};stroke-linecap:round;stroke-opacity:.72;fill:none"
        groups.append(tag_with("path", {"d": dots, "style": style}))
        if c is not None:
            x, y = median([p[0] for p in places[c]]), median([p[1] for p in places[c]])
            names.append(label(x, y + 4, str(c), "middle", ".strong.halo"))
    frame = tag_with("rect.axis", {"x": 0.5, "y": 0.5, "width": width - 1, "height": height - 1})
    return drawing(width, height, title, frame, groups, names)


def median(values: Sequence[float]) -> float:
    return sorted(values)[len(values) // 2]


def progress(scores: Sequence[float], rounds: Sequence[int], reference: float | None, title: str) -> Html:
    """Each run's score, the best so far as a stair, boundaries of rounds; lower is better."""
    width, height, left, floor, top = 560.0, 300.0, 52.0, 262.0, 14.0
    best = [min(scores[: i + 1]) for i in range(len(scores))]
    shown = [*scores, *([] if reference is None else [reference])]
    low, high = min(shown), max(shown)
    room = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - room, high + room

    def x_of(i: float) -> float:
        return left + (width - left - 8) * (i + 0.5) / len(scores)

    def y_of(score: float) -> float:
        return floor - (floor - top) * (score - low) / (high - low)

    scale: list[Html] = []
    digits = max(0, min(4, 1 - math.floor(math.log10((high - low) / 5))))
    for tick in ticks(low, high, 5):
        y = y_of(tick)
        scale += [line(left, y, width, y, "grid"), label(left - 8, y + 4, f"{tick:.{digits}f}", "end")]
    for i in range(1, len(scores)):
        if rounds[i] != rounds[i - 1]:
            x = x_of(i - 0.5)
            scale += [line(x, top, x, floor, "axis")]
    starts = [0, *(i for i in range(1, len(scores)) if rounds[i] != rounds[i - 1]), len(scores)]
    if len(starts) > 2:
        for a, b in zip(starts, starts[1:], strict=False):
            if x_of(b) - x_of(a) > 48:
                scale.append(label((x_of(a - 0.5) + x_of(b - 0.5)) / 2, top - 4, f"round {rounds[a]}", "middle"))
    for i in dict.fromkeys([0, *(int(t) - 1 for t in ticks(1, len(scores), 6) if t >= 1), len(scores) - 1]):
        if i == len(scores) - 1 or x_of(len(scores) - 1) - x_of(i) > 26:
            scale.append(label(x_of(i), floor + 16, str(i + 1), "middle"))
    scale += [line(left, floor, width, floor, "axis"), label((left + width) / 2, height - 4, "proxy run", "middle")]
    dots = [tag_with("circle.run", {"cx": x_of(i), "cy": y_of(s), "r": 2.6}) for i, s in enumerate(scores)]
    stair = f"M{x_of(0):.1f} {y_of(best[0]):.1f}" + "".join(
        f"H{x_of(i):.1f}V{y_of(b):.1f}" for i, b in enumerate(best) if i
    )
    marks: list[Html] = [tag_with("path.line", {"d": stair})]
    if reference is not None:
        y = y_of(reference)
        marks += [line(left, y, width, y, "ref"), label(width - 2, y - 5, "natural shares", "end", ".halo")]
    return drawing(width, height, title, scale, dots, marks)


def against(predicted: Sequence[float], measured: Sequence[float], title: str) -> Html:
    """Predicted over measured scores, with the diagonal on which they are equal."""
    width, height, left, floor, top = 360.0, 300.0, 52.0, 262.0, 14.0
    low, high = min(*predicted, *measured), max(*predicted, *measured)
    room = (high - low or abs(high) or 1.0) * 0.06
    low, high = low - room, high + room

    def x_of(v: float) -> float:
        return left + (width - left - 8) * (v - low) / (high - low)

    def y_of(v: float) -> float:
        return floor - (floor - top) * (v - low) / (high - low)

    digits = max(0, min(4, 1 - math.floor(math.log10((high - low) / 4))))
    scale: list[Html] = []
    for tick in ticks(low, high, 4):
        scale += [line(left, y_of(tick), x_of(high), y_of(tick), "grid"), line(x_of(tick), top, x_of(tick), floor, "grid")]  # fmt: skip
        scale += [label(left - 8, y_of(tick) + 4, f"{tick:.{digits}f}", "end"), label(x_of(tick), floor + 16, f"{tick:.{digits}f}", "middle")]  # fmt: skip
    scale += [line(x_of(low), y_of(low), x_of(high), y_of(high), "ref")]
    scale += [label((left + width) / 2, height - 4, "measured", "middle"), label(left + 6, top + 8, "predicted", "start", ".halo")]  # fmt: skip
    dots = [tag_with("circle.best", {"cx": x_of(m), "cy": y_of(p), "r": 2.6}) for p, m in zip(predicted, measured, strict=True)]  # fmt: skip
    return drawing(width, height, title, scale, dots)
