"""The search's three pictures, as SVG written by hand: weights, predictions against measurements, progress."""

from collections.abc import Sequence
from xml.sax.saxutils import escape

import numpy as np

WIDTH, HEIGHT, MARGIN = 640, 400, 56
CHOSEN, PLAIN, INK = "#1b6ca8", "#c9a227", "#333333"


def svg(body: Sequence[str], title: str, height: int = HEIGHT) -> str:
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" width="{WIDTH}" height="{height}" '
            f'viewBox="0 0 {WIDTH} {height}" font-family="sans-serif" font-size="12" fill="{INK}">',
            f'<rect width="{WIDTH}" height="{height}" fill="#ffffff"/>',
            f'<text x="{WIDTH / 2:.0f}" y="20" text-anchor="middle" font-size="14">{escape(title)}</text>',
            *body,
            "</svg>",
            "",
        ]
    )


def scale(values: np.ndarray, low: float, high: float) -> np.ndarray:
    """Maps the values' own range, widened by 4%, to [low, high] pixels."""
    a, b = float(values.min()), float(values.max())
    pad = 0.04 * (b - a) or 0.5
    return low + (values - a + pad) / (b - a + 2 * pad) * (high - low)


def weights_plot(
    names: Sequence[str], chosen: np.ndarray, natural: np.ndarray, low: np.ndarray, high: np.ndarray
) -> str:
    """A pair of bars per bucket, chosen over natural; the line is the range among near-equal mixtures."""
    row, left = 26, 180
    height = 70 + row * len(names)
    top = max(float(chosen.max()), float(natural.max()), float(high.max()), 1e-9)
    across = (WIDTH - left - MARGIN) / top
    body = [
        f'<rect x="{left}" y="32" width="10" height="10" fill="{CHOSEN}"/><text x="{left + 14}" y="41">chosen</text>',
        f'<rect x="{left + 80}" y="32" width="10" height="10" fill="{PLAIN}"/>'
        f'<text x="{left + 94}" y="41">natural</text>',
    ]
    for i, name in enumerate(names):
        y = 52 + row * i
        label = name if len(name) <= 26 else name[:25] + "…"
        x1, x2 = left + low[i] * across, left + high[i] * across
        body += [
            f'<text x="{left - 6}" y="{y + 14}" text-anchor="end">{escape(label)}</text>',
            f'<rect x="{left}" y="{y}" width="{chosen[i] * across:.1f}" height="10" fill="{CHOSEN}"/>',
            f'<rect x="{left}" y="{y + 11}" width="{natural[i] * across:.1f}" height="8" fill="{PLAIN}"/>',
            f'<line x1="{x1:.1f}" y1="{y + 5}" x2="{x2:.1f}" y2="{y + 5}" stroke="{INK}" stroke-width="1.5"/>',
            f'<text x="{max(x2, left + chosen[i] * across) + 4:.1f}" y="{y + 9}" font-size="10">{chosen[i]:.3f}</text>',
        ]
    return svg(body, "Weights (line: range among mixtures that the predictor cannot tell apart)", height)


def fit_plot(points: Sequence[tuple[float, float]], spearman: float, of: str = "") -> str:
    """Cross-validated predictions over measurements, each run once, on one scale. `of`: the fidelity, where there are
    several."""
    xy = np.array(points)
    both = scale(np.concatenate([xy[:, 0], xy[:, 1]]), 0.0, 1.0)
    n = len(xy)
    x = MARGIN + both[:n] * (WIDTH - 2 * MARGIN)
    y = HEIGHT - MARGIN - both[n:] * (HEIGHT - 2 * MARGIN)
    low, high = float(xy.min()), float(xy.max())
    body = axes("measured objective", "predicted without that run", low, high, low, high)
    body.append(f'<line x1="{MARGIN}" y1="{HEIGHT - MARGIN}" x2="{WIDTH - MARGIN}" y2="{MARGIN}" stroke="{PLAIN}"/>')
    body += [
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{CHOSEN}" fill-opacity="0.6"/>'
        for a, b in zip(x, y, strict=True)
    ]
    return svg(body, f"Predictor on {n} unseen runs{of and f' ({of})'}, Spearman {spearman:.3f}")


def trace_plot(scores: np.ndarray, natural: float | None, of: str = "") -> str:
    """Measured objective of each run in order, and the best so far. `of`: the fidelity, where there are several."""
    n = len(scores)
    every = np.append(scores, natural) if natural is not None else scores
    y = HEIGHT - MARGIN - scale(every, 0.0, 1.0) * (HEIGHT - 2 * MARGIN)
    best = (
        HEIGHT - MARGIN - scale(np.append(np.minimum.accumulate(scores), every), 0.0, 1.0)[:n] * (HEIGHT - 2 * MARGIN)
    )
    x = MARGIN + (np.arange(n) + 0.5) / n * (WIDTH - 2 * MARGIN)
    body = axes("runs", "objective (lower is better)", 1, n, float(every.min()), float(every.max()))
    if natural is not None:
        body.append(
            f'<line x1="{MARGIN}" y1="{y[-1]:.1f}" x2="{WIDTH - MARGIN}" y2="{y[-1]:.1f}" stroke="{PLAIN}"/>'
            f'<text x="{WIDTH - MARGIN}" y="{y[-1] - 4:.1f}" text-anchor="end" font-size="10">natural</text>'
        )
    body += [
        f'<circle cx="{a:.1f}" cy="{b:.1f}" r="2.5" fill="{CHOSEN}" fill-opacity="0.5"/>'
        for a, b in zip(x, y[:n], strict=True)
    ]
    line = " ".join(f"{a:.1f},{b:.1f}" for a, b in zip(x, best, strict=True))
    body.append(f'<polyline points="{line}" fill="none" stroke="{INK}" stroke-width="1.5"/>')
    return svg(body, f"Runs{of and f' ({of})'} and the best so far")


def axes(x_label: str, y_label: str, x_low: float, x_high: float, y_low: float, y_high: float) -> list[str]:
    left, right, top, bottom = MARGIN, WIDTH - MARGIN, MARGIN, HEIGHT - MARGIN
    return [
        f'<path d="M{left} {top} V{bottom} H{right}" fill="none" stroke="{INK}"/>',
        f'<text x="{(left + right) / 2:.0f}" y="{HEIGHT - 14}" text-anchor="middle">{escape(x_label)}</text>',
        f'<text x="16" y="{HEIGHT / 2:.0f}" text-anchor="middle" transform="rotate(-90 16 {HEIGHT / 2:.0f})">'
        f"{escape(y_label)}</text>",
        f'<text x="{left}" y="{bottom + 16}">{x_low:.4g}</text>',
        f'<text x="{right}" y="{bottom + 16}" text-anchor="end">{x_high:.4g}</text>',
        f'<text x="{left - 4}" y="{bottom}" text-anchor="end" font-size="10">{y_low:.4g}</text>',
        f'<text x="{left - 4}" y="{top + 4}" text-anchor="end" font-size="10">{y_high:.4g}</text>',
    ]
