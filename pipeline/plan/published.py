"""Columns of the corpus beside the standard ones: those that the run's stages publish."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import replace

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Sink, Stage


def publish(sink: Sink, stages: Sequence[Stage]) -> Sink:
    """The sink with the columns that the stages publish. Raises ConfigError where two publish one name."""
    columns = [(dataset, name) for stage in stages for dataset, names in stage.publish.items() for name in names]
    twice = [name for name, n in Counter(name for _, name in columns).items() if n > 1]
    if twice:
        raise ConfigError(f"two stages publish a column {twice[0]!r} in the corpus; give one another name")
    if not columns:
        return sink
    by_dataset = {d: tuple(name for dataset, name in columns if dataset == d) for d, _ in columns}
    return replace(sink, published=tuple(by_dataset.items()))  # pyright: ignore[reportArgumentType]
