"""Says of one document what its bucket was to give and where the document stands in it: why it was taken or not."""

from collections.abc import Mapping

from gristmill.pipeline.contract.drawing.tables import count
from gristmill.pipeline.contract.drawing.told import Finished
from gristmill.pipeline.contract.state import DamagedFile, read_state

WEIGHTS = "weights.json"


def choice(document: Mapping[str, object], run: Finished) -> str | None:
    """A clause; None for a document that has not come as far as the sample."""
    bucket = document.get("bucket")
    if bucket is None or document.get("copies_n") is None:
        return None
    try:
        rows = read_state(run.artifact("mixture") / WEIGHTS, "buckets")["buckets"]
    except DamagedFile:
        return None
    found = next((row for row in rows if row["bucket"] == bucket), None)
    if found is None:
        return None
    if not found["quota"]:
        return f"bucket {bucket} is to give none of its {count(found['available_tokens'])} tokens (its weight is 0)"
    said = f"bucket {bucket} is to give {count(found['quota'])} tokens and has {count(found['available_tokens'])}"
    rank = document.get("quality_rank")
    if not isinstance(rank, float):
        return f"{said}; no quality is known, so the draw alone decides"
    return f"{said}; this document's quality ranks at {rank:.2f} there (0: the best, 1: the worst)"
