"""Columns of the corpus beside the standard ones: those that stages publish, and those that the sink names."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import replace
from difflib import get_close_matches
from fnmatch import fnmatchcase

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Sink, Stage
from gristmill.pipeline.plan.steps import MEASURING

SHORT = {"cluster": "cluster_id", "tier": "license_tier"}


def publish(sink: Sink, stages: Sequence[Stage]) -> Sink:
    """The sink with the columns that the stages publish or that its `columns` name. Raises ConfigError where two stages
    publish one name, and for a column that no stage writes."""
    columns = [(dataset, name) for stage in stages for dataset, names in stage.publish.items() for name in names]
    twice = [name for name, n in Counter(name for _, name in columns).items() if n > 1]
    if twice:
        raise ConfigError(f"two stages publish a column {twice[0]!r} in the corpus; give one another name")
    there = {name for _, name in columns} | {name for names in sink.reads.values() for name in names}
    columns += [(dataset, name) for dataset, name in asked(sink.columns, stages) if name not in there]
    if not columns:
        return sink
    by_dataset = {d: tuple(name for dataset, name in columns if dataset == d) for d, _ in columns}
    return replace(sink, published=tuple(by_dataset.items()))  # pyright: ignore[reportArgumentType]


def asked(names: Sequence[str], stages: Sequence[Stage]) -> Iterator[tuple[str, str]]:
    """(dataset, column) for each name, or for each column that a pattern like q_* means; none twice."""
    writers = {c: stage.name for stage in reversed(stages) if stage.kind in MEASURING for c in stage.writes}
    kept = {f"input.{name}" for stage in stages for name in getattr(stage, "keep_columns", ())}
    seen: set[str] = set()
    for name in names:
        if name in kept or (name.startswith("input.") and "input.all" in kept):
            continue  # a column of the input that is carried along anyway
        found = [c for c in sorted(writers) if fnmatchcase(c, SHORT.get(name, name))]
        if not found:
            near = get_close_matches(name, writers, 1)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(writers))}"
            raise ConfigError(f"corpus.columns: no stage of this run writes {name!r}; {hint}")
        yield from ((writers[c], c) for c in found if c not in seen)
        seen.update(found)
