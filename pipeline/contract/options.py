"""Named settings for a class of the user's own: a mapping in YAML, held as pairs, for stages must be hashable."""

from typing import Annotated, TypeAlias

from pydantic import BeforeValidator


def _pairs(given: object) -> object:
    return [[name, value] for name, value in given.items()] if isinstance(given, dict) else given


Options: TypeAlias = Annotated[tuple[tuple[str, int | float | str | bool | None], ...], BeforeValidator(_pairs)]
