"""Histograms of limited columns as SVG, with the gate's limits drawn in."""

import math

from gristmill.pipeline.contract.drawing.charts import drawing, label, line, powers, rounded, ticks
from gristmill.pipeline.contract.drawing.html import Html, tag_with
from gristmill.pipeline.report.limits import BINS, Histogram


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
