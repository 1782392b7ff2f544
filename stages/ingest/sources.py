"""Named sources: where each lies and how its files are read; what a source leaves out, the section `input` says."""

import os
from collections.abc import Sequence
from dataclasses import dataclass, fields

from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.pipeline.contract.ranges import Share
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.stages.ingest.files.inputs import Input, inputs_of
from gristmill.stages.ingest.files.remote import is_url


@dataclass(frozen=True)
class SourceInput:
    """What `sources` says of reading one source; null: as the section `input` says."""

    name: str
    paths: tuple[str, ...]
    paths_base: str | None = None
    format: str | None = None
    dump: str | None = None
    extractor: str | None = None
    mimes: tuple[str, ...] | None = None
    fallback: str | None = None
    blocks: str | None = None
    normalize: bool | None = None
    cut_furniture: bool | None = None
    service_pages: bool | None = None
    text_column: str | None = None
    id_column: str | None = None
    url_column: str | None = None
    date_column: str | None = None
    dump_column: str | None = None
    license_column: str | None = None
    title_column: str | None = None
    language_column: str | None = None
    max_rejected: Share | None = None
    license: str | None = None  # SPDX id of records that name none themselves

    def __post_init__(self) -> None:
        if not self.name or self.name != self.name.strip() or "/" in self.name:
            raise ConfigError(f"sources: {self.name!r} is no name; use letters, digits, - and _")
        if not self.paths:
            raise ConfigError(f"sources: {self.name} has no paths")

    @property
    def overrides(self) -> dict[str, object]:
        """Fields of `Ingest` -> what this source has in their place."""
        own = ("name", "license")
        return {f.name: v for f in fields(self) if f.name not in own and (v := getattr(self, f.name)) is not None}


def check_names(sources: Sequence[SourceInput]) -> None:
    """Raises ConfigError for a name that stands twice."""
    names = [source.name for source in sources]
    for name in names:
        if names.count(name) > 1:
            raise ConfigError(f"sources: two are named {name!r}; give each a name of its own")


def inputs_by_source(sources: Sequence[SourceInput], paths_base: str | None, retry: Retry) -> dict[str, list[Input]]:
    """Source -> its files; their names begin with the source's. Raises InputError for a file of two sources."""
    found: dict[str, list[Input]] = {}
    owner: dict[str, str] = {}
    for source in sources:
        try:
            items = inputs_of(source.paths, source.paths_base or paths_base, retry)
        except InputError as error:
            raise InputError(f"source {source.name}: {error}") from error
        for item in items:
            place = item.path if is_url(item.path) else os.path.abspath(item.path)
            if place in owner:
                raise InputError(f"{item.path} is in two sources, {owner[place]} and {source.name}; leave one out")
            owner[place] = source.name
        found[source.name] = [Input(item.path, f"{source.name}/{item.name}") for item in items]
    return found
