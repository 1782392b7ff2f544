"""Limits and stop words per language from the documents that a run has measured (the `thresholds` command)."""

from collections.abc import Callable, Iterable, Iterator

import polars as pl

from gristmill.stages.gates import Gates
from gristmill.stages.language.estimate import LIMITS, estimate_limits, estimate_stop_words, to_yaml


def statistics(
    measured: Callable[[tuple[str, ...]], Iterable[pl.DataFrame]],
    texts: Iterable[pl.DataFrame],
    gates: Gates,
    run: str,
    min_docs: int,
    tail: float | None,
) -> tuple[str, list[str]]:
    """A data file (YAML) for `gates.languages_file` and `signals.languages_file`, and lines about what is in it.

    measured: signal columns -> frames of doc_id, those columns and language; texts: frames of doc_id, text, language.
    """
    documents = pl.concat(measured(tuple(dict.fromkeys(LIMITS.values()))))
    limits = estimate_limits(documents, gates, min_docs, tail)
    ids = documents.select("doc_id")
    found = [entry.language for entry in limits]
    batches: Iterator[pl.DataFrame] = (b.join(ids, on="doc_id", how="semi") for b in texts)
    docs = dict(documents.drop_nulls("language").group_by("language").len().iter_rows())
    how = "as English's limits take of its English ones" if tail is None else f"{tail:g}"
    about = (
        f"Limits per language from {documents.height:,} documents of {run}: each takes a share of the\n"
        f"language's documents {how}. Languages with at least {min_docs} documents.\n"
        "Use: gates.languages_file, signals.languages_file."
    )
    few = sorted(code for code, n in docs.items() if n < min_docs)
    said = [f"{code}: {docs[code]:,} documents" for code in found]
    said += [f"too few documents ({min_docs}): {', '.join(few)}"] if few else []
    return to_yaml(limits, estimate_stop_words(batches, found), docs, about), said
