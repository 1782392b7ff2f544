"""Token streams of buckets: documents in the order of their draw, cut so that a small proxy repeats what the run will.

A mixture reads the beginning of each stream, so a stream's order is the sampling; it depends on doc_id alone.
"""

from collections.abc import Sequence

import numpy as np

from gristmill.pipeline.contract.draws import uniform
from gristmill.pipeline.contract.errors import DataError


def stream(doc_ids: Sequence[str], documents: Sequence[np.ndarray], end_id: int, salt: str) -> np.ndarray:
    """(n,) int32: the documents' tokens, ordered by uniform(doc_id, salt), each closed by end_id."""
    draws = uniform(doc_ids, salt)
    order = sorted(range(len(documents)), key=lambda i: (draws[i], doc_ids[i]))
    end = np.array([end_id], np.int32)
    return np.concatenate([a for i in order for a in (np.asarray(documents[i], np.int32), end)] or [end[:0]])


def at_rate(
    streams: Sequence[np.ndarray],
    available_tokens: Sequence[int],
    buckets: Sequence[str],
    *,
    target_tokens: int,
    proxy_tokens: int,
) -> list[np.ndarray]:
    """Beginnings of the streams, short enough that a weight means as many epochs in the proxy as in the target run.

    available_tokens: what each bucket holds for the target run (a stream may be a sample of it). Bucket b keeps
    available_b * proxy_tokens / target_tokens tokens, but no more than a proxy can read once. Raises DataError if a
    stream is shorter than that: the proxy would repeat what the target run reads fresh.
    """
    scale = proxy_tokens / target_tokens
    result = []
    for bucket, tokens, available in zip(buckets, streams, available_tokens, strict=True):
        length = max(1, min(round(available * scale), proxy_tokens))
        if length > len(tokens):
            raise DataError(
                f"bucket {bucket!r}: the proxy may read {length} tokens before it repeats any, the sample has "
                f"{len(tokens)}; sample more of it or lower the proxy's budget"
            )
        result.append(np.asarray(tokens[:length]))
    return result
