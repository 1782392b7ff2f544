"""Finds the texts under named fields of a record, nested ones by dotted names."""

from collections.abc import Iterator, Sequence

from gristmill.pipeline.contract.texts import Record


def field_text(record: Record, names: Sequence[str]) -> str:
    """The texts under these (dotted) names, a line each; of lists and mappings all texts in them. "" for none."""
    return "\n".join(text for name in names for text in _texts(_at(record, name)))


def has_field(record: Record, name: str) -> bool:
    return _at(record, name) is not None


def _at(record: Record, name: str) -> object:
    if name in record:
        return record[name]
    value: object = record
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _texts(value: object) -> Iterator[str]:
    if isinstance(value, str):
        if value.strip():
            yield value
    elif isinstance(value, int | float) and not isinstance(value, bool):
        yield str(value)
    elif isinstance(value, dict):
        for inner in value.values():
            yield from _texts(inner)
    elif isinstance(value, list | tuple):
        for inner in value:
            yield from _texts(inner)
