"""The report's table of QuaDMix's parameters that a run searched: weights of the criteria and shape of S per bucket."""

from collections.abc import Mapping

from gristmill.pipeline.contract.drawing.html import Html, tag
from gristmill.pipeline.contract.drawing.tables import decimal, head, number, plain, plural, row, table

_SHAPE = (("slope", "lambda"), ("cut", "omega"), ("gain", "eta"), ("floor", "epsilon"))


def parameters(search: Mapping[str, object]) -> Html | None:
    """From the `search` of weights.json; None where the run searched none (mode climb)."""
    found = search.get("parameters")
    if not isinstance(found, dict):
        return None
    measured = [
        f"{name} {decimal(found[key], 4)}"
        for name, key in (
            ("searched", "measured_objective"),
            ("climb's", "climb_measured"),
            ("natural", "natural_measured"),
        )
    ]
    caption = (
        tag("b", f"Parameters of the sampling value, mode {search.get('mode')}. "),
        f"{plural(found['runs'], 'proxy run')} ({found['method']}) over {plural(found['parameters'], 'parameter')}: "
        f"{found['verdict']}. Loss on the text of the search: {', '.join(measured)}. Weights of the criteria; omega: "
        "the share of the bucket's tokens that counts as good, epsilon: the rate of the others; lambda and eta: how "
        "much more often the best is taken than the last of the good.",
    )
    heads = head("bucket", *(f"{c}:n" for c in found["criteria"]), *(f"{name}:n" for _, name in _SHAPE))
    rows = [
        row(
            bucket,
            *(number(decimal(w, 3)) for w in own["weights"]),
            *(number(plain(own["shape"][key])) for key, _ in _SHAPE),
        )
        for bucket, own in sorted(found["buckets"].items())
    ]
    return tag("div.fits", table(caption, heads, rows))
