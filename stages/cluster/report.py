"""The report's section on clusters: sizes, terms, mean quality, a map of the documents, what was pruned."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from gristmill.pipeline.contract.drawing.charts import apart, colour_of, drawing, label, median
from gristmill.pipeline.contract.drawing.html import Html, tag, tag_with, together
from gristmill.pipeline.contract.drawing.tables import (
    bar,
    cell,
    count,
    decimal,
    head,
    key,
    nothing,
    number,
    percent,
    plural,
    ratio,
    row,
    segment,
    table,
    terms_cell,
)
from gristmill.pipeline.contract.drawing.told import Finished, Means, Section, Told

_TERMS_SHOWN = 8


@dataclass(frozen=True)
class Seen:
    """What the section shows. tables: clusters.json; plane: map.json; quality: mean scores by cluster_id."""

    tables: dict
    plane: dict | None
    scores: tuple[str, ...]
    quality: Mapping[object, Means]


def told(run: Finished) -> Told:
    folder = run.artifact("cluster")
    if not (folder / "clusters.json").is_file():
        return Told(sections=(Section("clusters", "Clusters", nothing("This run made no clusters.")),))
    scores = run.columns("q_")
    plane = _read(folder / "map.json") if (folder / "map.json").is_file() else None
    seen = Seen(_read(folder / "clusters.json"), plane, scores, run.means("cluster_id", "q_"))
    words = {c["id"]: c["terms"] for c in seen.tables["clusters"]}
    return Told(sections=(Section("clusters", "Clusters", clusters(seen)),), words={"cluster_id": words})


def _read(path: Path) -> dict:
    return json.loads(path.read_text(encoding="utf-8"))


def clusters(seen: Seen) -> Html:
    merged, fine = seen.tables["clusters"], seen.tables["fine"]
    if not merged:
        return nothing("This run made no clusters.")
    total = sum(c["tokens"] for c in fine)
    scores = [c for c in seen.scores if any(m.sums.get(c, (0, 0))[1] for m in seen.quality.values())]
    ends = {c: extent(seen.quality, c) for c in scores}
    rows = []
    for c in merged:
        means = seen.quality.get(c["id"], Means())
        rows.append(
            row(
                (swatch(c["id"]), f" {c['id']}"),
                terms_cell(c["terms"][:_TERMS_SHOWN]),
                number(count(c["docs"])),
                number(percent(ratio(c["tokens"], total))),
                tag("td.n.minor", count(len(c["fine"]))),
                *(score_cell(means.mean(s), ends[s]) for s in scores),
            )
        )
    caption = (
        tag("b", f"{plural(len(merged), 'cluster')} "),
        f"merged from {sum(len(c['fine']) for c in merged)} fine ones, named by the terms that set them apart. "
        "Share is of the tokens before sampling; quality is the mean over documents, larger is "
        "better, its bar from the worst cluster to the best.",
    )
    heads = head("cluster", "terms", "docs:n", "share:n", "fine:n.minor", *(f"{s}:n" for s in scores))
    listed = table(caption, heads, rows)
    body = [tag("figure.stay", figure_map(seen)), listed] if seen.plane and seen.plane["x"] else [listed]
    return together(tag("div.two" if len(body) > 1 else "div.fits", body), pruned(fine, total))


def extent(quality: Mapping[object, Means], column: str) -> tuple[float, float]:
    means = [m for q in quality.values() if (m := q.mean(column)) is not None]
    return (min(means), max(means)) if means else (0.0, 0.0)


def score_cell(mean: float | None, ends: tuple[float, float]) -> Html:
    if mean is None:
        return number("–")
    return number((decimal(mean), bar(segment("second", ratio(mean - ends[0], ends[1] - ends[0])), look=".thin")))


def figure_map(seen: Seen) -> Html:
    assert seen.plane is not None
    n = len(seen.plane["x"])
    title = f"Map of {n} documents in the plane of the embedding's first two directions, coloured by cluster"
    caption = (
        tag("b", "A map of the documents. "),
        f"{count(n)} of them, drawn, in the plane in which their embeddings spread most; numbers are clusters. ",
        key("f-other", "pruned", ".round") if None in seen.plane["cluster_id"] else None,
    )
    return together(
        tag("figcaption", caption),
        plane(seen.plane["x"], seen.plane["y"], seen.plane["cluster_id"], title),
    )


def pruned(fine: list[dict], total: int) -> Html:
    gone = [c for c in fine if c.get("pruned")]
    if not gone:
        return tag("p.calm", "No cluster was pruned.")
    rows = [
        row(
            str(c["id"]),
            number(count(c["docs"])),
            number(percent(ratio(c["tokens"], total))),
            cell("; ".join(f"mean {r['column']} {decimal(r['mean'])} is below {r['min']:g}" for r in c["pruned"])),
        )
        for c in gone
    ]
    caption = (tag("b", f"{plural(len(gone), 'fine cluster')} pruned, "), "with all their documents.")
    return tag("div.fits.snug", table(caption, head("fine cluster", "docs:n", "share:n", "reason"), rows))


def swatch(cluster: int) -> Html:
    return tag_with("i.swatch", {"style": f"--k:{colour_of(cluster)}"})


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
        colour = "var(--other)" if c is None else colour_of(c)
        style = f"stroke:{colour};stroke-width:{2 * radius};stroke-linecap:round;stroke-opacity:.6;fill:none"
        groups.append(tag_with("path", {"d": dots, "style": style}))
    named = [c for c in order if c is not None]
    middles = [(median([x for x, _ in places[c]]), median([y for _, y in places[c]])) for c in named]
    spread = apart(middles, 17.0, 13.0)
    names = [label(x, y + 4, str(c), "middle", ".strong.halo") for c, (x, y) in zip(named, spread, strict=True)]
    frame = tag_with("rect.axis", {"x": 0.5, "y": 0.5, "width": width - 1, "height": height - 1})
    return drawing(width, height, title, frame, groups, names, look=".large")
