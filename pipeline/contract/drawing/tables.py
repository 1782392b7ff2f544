"""Numbers as the report prints them, and tables with bars in their cells."""

from collections.abc import Iterable, Sequence

from gristmill.pipeline.contract.drawing.html import Content, Html, breakable, tag, tag_with

_SHOWN = 8  # names in one sentence
_LONG_NAME = 32  # characters; longer names of rows may wrap


def count(n: int) -> str:
    return f"{n:,}"


def short(n: float) -> str:
    """Three digits: 812, 9.63 K, 51.0 M."""
    return _three_digits(n, ("", " K", " M", " B", " T"))


def _three_digits(n: float, units: Sequence[str]) -> str:
    power = 0
    while abs(n) >= 999.5 and power < len(units) - 1:
        n, power = n / 1000, power + 1
    digits = 0 if power == 0 or abs(n) >= 99.95 else 1 if abs(n) >= 9.995 else 2
    return f"{n:.{digits}f}{units[power]}"


def size(n: float) -> str:
    """Bytes, powers of 1000."""
    return _three_digits(n, (" B", " KB", " MB", " GB", " TB", " PB"))


def duration(seconds: float) -> str:
    """0.3 s, 42 s, 3 min 20 s, 2 h 05 min."""
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    minutes = round(seconds / 60)
    return f"{minutes // 60:,} h {minutes % 60:02} min"


def percent(share: float | None) -> str:
    if share is None:
        return "–"
    if 0 < share < 0.001:
        return "<0.1%"
    return f"{100 * share:.1f}%"


def ratio(part: float, whole: float) -> float:
    return part / whole if whole else 0.0


def decimal(value: float | None, digits: int = 3) -> str:
    return "–" if value is None else f"{value:.{digits}f}".replace("-", "−")


def plain(value: float) -> str:
    """A limit: 0.3, 50, 100,000."""
    return f"{value:,.6g}" if abs(value) >= 1 or value == 0 else f"{value:.3g}"


def table(caption: Content, heads: Sequence[Html], rows: Iterable[Html]) -> Html:
    """The caption stands outside of what scrolls sideways on a narrow screen."""
    body = tag("div.scroll", tag("table", tag("thead", tag("tr", heads)), tag("tbody", list(rows))))
    return tag("figure", tag("figcaption", caption) if caption else None, body)


def head(*names: str) -> list[Html]:
    """Column heads from "name", "name:n" (numbers) or "name:wide"."""
    split = [n.partition(":") for n in names]
    return [tag_with("th" + (f".{kind}" if kind else ""), {"scope": "col"}, breakable(name)) for name, _, kind in split]


def row(first: Content, *cells: Html) -> Html:
    look = ".long" if isinstance(first, str) and len(first) > _LONG_NAME else ""
    named = breakable(first) if isinstance(first, str) and not isinstance(first, Html) else first
    return tag("tr", tag_with("th" + look, {"scope": "row"}, named), cells)


def code(name: str) -> Html:
    """A rule, column or file by its name."""
    return tag("code", breakable(name))


def cell(content: Content) -> Html:
    return tag("td", content)


def number(content: Content) -> Html:
    return tag("td.n", content)


def segment(kind: str, share: float, label: str | None = None) -> Html:
    return tag_with(f"i.{kind}", {"style": f"--w:{100 * min(max(share, 0.0), 1.0):.2f}%", "title": label})


def bar(*segments: Html, look: str = "") -> Html:
    """Drawn for the eye: the same numbers stand in the row."""
    return tag_with("div.bar" + look, {"aria-hidden": "true"}, segments)


def dot(kind: str, share: float) -> Html:
    return tag_with(f"i.{kind}", {"style": f"--at:{100 * min(max(share, 0.0), 1.0):.2f}%"})


def key(kind: str, label: str, look: str = "") -> Html:
    return tag("span.key", tag(f"i.{kind}{look}"), label)


def plural(n: int, noun: str) -> str:
    """1 shard, 12 shards."""
    return f"{count(n)} {noun}{'' if n == 1 else 's'}"


def folded(summary: str, *content: Content) -> Html:
    return tag("details", tag("summary", summary), content)


def nothing(sentence: str) -> Html:
    return tag("p.none", sentence)


def written(value: object) -> str:
    """A value of any kind as a table shows it."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, float):
        return f"{value:.5g}".replace("-", "−")
    if isinstance(value, int):
        return count(value)
    if isinstance(value, list):
        span = len(value) == 2 and all(isinstance(v, float) for v in value)
        return (" to " if span else ", ").join(written(v) for v in value)
    return "–" if value is None else str(value)


def terms_cell(terms: list[str]) -> Html:
    """Each term in its own direction, so that commas stay between terms of any script."""
    return tag("td.terms", [(", " if i else "", tag("bdi", term)) for i, term in enumerate(terms)] or "–")


def signed(value: float) -> str:
    return f"{value:+.4f}".replace("-", "−")


def names(values: list[str]) -> str:
    rest = len(values) - _SHOWN
    return ", ".join(values[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")
