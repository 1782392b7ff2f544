"""Named settings for a class of the user's own: a mapping in YAML, held as pairs, for stages must be hashable."""

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator


def _pairs(given: object) -> object:
    """Tuples, as pydantic's strict mode asks of what a validator hands on (plan.json holds lists)."""
    if isinstance(given, dict):
        return tuple(given.items())
    return (
        tuple(tuple(pair) if isinstance(pair, list) else pair for pair in given) if isinstance(given, list) else given
    )


Options: TypeAlias = Annotated[tuple[tuple[str, int | float | str | bool | None], ...], BeforeValidator(_pairs)]
