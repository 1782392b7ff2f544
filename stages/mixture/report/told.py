"""What the mixture tells in the report: shares, search, warnings, the sentences and figures at the top."""

from collections.abc import Iterator

from gristmill.pipeline.contract.drawing.tables import count, nothing, percent, short
from gristmill.pipeline.contract.drawing.told import Finished, Section, Told
from gristmill.stages.mixture.report.card import card, lines
from gristmill.stages.mixture.report.mixture import mixture
from gristmill.stages.mixture.report.search import search
from gristmill.stages.mixture.report.seen import Seen, read
from gristmill.stages.mixture.report.warnings import warnings


def told(run: Finished) -> Told:
    seen = read(run)
    if seen is None:
        return Told(sections=(Section("mixture", "Mixture", nothing("This run has no mixture.")),))
    return Told(
        sections=(Section("mixture", "Mixture", mixture(seen)), Section("search", "Search", search(seen))),
        warnings=tuple(warnings(seen)),
        sentences=tuple(sentences(seen)),
        card=tuple(card(seen)),
        summary=tuple(lines(seen)),
        figures=(("budget", short(seen.weights["budget_tokens"]), "tokens were asked for"),),
    )


def sentences(seen: Seen) -> Iterator[str]:
    buckets, how = seen.weights["buckets"], seen.weights.get("search") or {}
    runs = how.get("runs") or 0
    way = f"searched with {count(runs)} proxy runs ({how.get('method')})" if runs else "taken as they came"
    yield f"The shares of {len(buckets)} bucket{'s' * (len(buckets) != 1)} were {way}."
    moved = max(buckets, key=lambda b: abs(b["weight"] - b["natural_share"]), default=None)
    if runs and moved and abs(moved["weight"] - moved["natural_share"]) < 0.0005:
        yield "The shares as they came are kept."
    elif runs and moved:
        yield (
            f"The largest move is {moved['bucket']}, from {percent(moved['natural_share'])} to "
            f"{percent(moved['weight'])}."
        )
