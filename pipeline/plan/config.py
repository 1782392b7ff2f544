"""Strict config: one YAML, `key=value` overrides, sections that are the fields of stage dataclasses.

Unknown keys and wrong types are errors that name the key, the nearest known one, and the file.
"""

import json
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from difflib import get_close_matches
from fractions import Fraction
from functools import cache
from pathlib import Path
from types import UnionType
from typing import Annotated, Union, cast, get_args, get_origin, get_type_hints

from pydantic import TypeAdapter, ValidationError

from gristmill.pipeline.contract.columns import register
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import import_code, is_imported
from gristmill.pipeline.contract.ranges import NamesFile, Range
from gristmill.pipeline.contract.secrets import without_secrets
from gristmill.pipeline.contract.shapes import Sink, Stage
from gristmill.pipeline.contract.yaml12 import YamlError, dump_yaml, parse_yaml
from gristmill.pipeline.plan.identity import digest
from gristmill.pipeline.plan.written import value_of

Tree = dict[str, object]


@dataclass(frozen=True)
class Recipe:
    """A config made into stages. `resolved`: every setting, defaults included."""

    name: str
    stages: tuple[Stage, ...]
    resolved: Tree
    engine: dict[str, dict[str, object]]
    sections: tuple[str, ...]  # of each stage, for errors
    unseen: tuple[str, ...] = ()  # classes of the config's that were not imported (make_recipe, `code`)

    @property
    def digest(self) -> str:
        return digest({k: v for k, v in self.resolved.items() if k != "engine"})


def preflight(recipe: Recipe) -> None:
    """Looks at everything that the config names, before anything runs.

    Raises ConfigError with the key for a file that is not there, for a value that its column cannot have, and what
    each stage's own `preflight` raises.
    """
    for stage in recipe.stages:  # what the stages of a config's own write is known by its type, too
        register(() if isinstance(stage, Sink) else stage.columns)
    known: dict[str, Sequence[str]] = {}
    for stage, where in zip(recipe.stages, recipe.sections, strict=True):
        for key, path, mark in named_files(stage, where):
            if mark.folder and not Path(path).is_dir():
                raise ConfigError(f"{key}: there is no folder {path}")
            if not mark.folder and not Path(path).is_file():
                raise ConfigError(
                    f"{key}: there is no file {path}"
                    if not Path(path).is_dir()
                    else f"{key}: {path} is a folder; name a file"
                )
        stage.preflight()
        for key, (column, values) in stage.mentions().items():
            check_values(key, column, values, known)
        known |= stage.values(known)


def check_values(key: str, column: str, values: Sequence[str], known: Mapping[str, Sequence[str]]) -> None:
    """Raises ConfigError for a value that a column, whose values are known, does not have."""
    if column not in known:
        return
    for value in values:
        if value not in known[column]:
            near = get_close_matches(value, known[column], 1)
            hint = f"did you mean {near[0]!r}?" if near else f"there are {', '.join(known[column][:30])}"
            raise ConfigError(f"{key}: no {column} can be {value!r}; {hint}")


def read_config(path: Path) -> Tree:
    """The YAML as a mapping. Raises ConfigError for a missing file, bad YAML or something that is no mapping."""
    try:
        text = path.read_text(encoding="utf-8-sig")
    except FileNotFoundError:
        raise ConfigError(f"no config {path}; the ones that come with Gristmill are in configs/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config {path}: {error}") from None
    try:
        tree = parse_yaml(text)
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must be a mapping of sections, not {type(tree).__name__}")
    return tree


def override(tree: Tree, assignments: Sequence[str]) -> Tree:
    """A copy with `section.key=value` applied; values are YAML (`null` turns a rule off) or text (`value_of`)."""
    result = json.loads(json.dumps(tree, default=str))
    for text in assignments:
        key, sign, value = text.partition("=")
        if not sign or not key:
            raise ConfigError(f"{text!r}: write overrides as section.key=value")
        node = result
        *path, last = key.split(".")
        for name in path:
            child = node.setdefault(name, {})
            if child is None:
                child = node[name] = {}
            if not isinstance(child, dict):
                raise ConfigError(f"{text!r}: {name} is a value, not a section")
            node = child
        node[last] = value_of(key, value)
    return result


def section(tree: Tree, path: str) -> Tree:
    """The mapping at a dotted path; {} where it is absent."""
    node: object = tree
    for name in path.split("."):
        node = node.get(name) if isinstance(node, dict) else None
        if node is None:
            return {}
    if not isinstance(node, dict):
        raise ConfigError(f"{path} must be a section with keys, not {node!r}")
    return node


def check_keys(tree: Tree, known: Mapping[str, Sequence[str]]) -> None:
    """Raises ConfigError for a key under no known section. `known`: dotted section -> its keys."""
    inner = {".".join(s.split(".")[: i + 1]) for s in known for i in range(s.count("."))}

    def walk(node: Tree, path: str) -> None:
        below = {
            s.split(".")[path.count(".") + (1 if path else 0)]
            for s in {*known, *inner}
            if s.startswith(f"{path}." if path else "") and s != path
        }
        allowed = {*known.get(path, ()), *below}
        for key, value in node.items():
            if key not in allowed:
                here = f"{path}.{key}" if path else str(key)
                raise ConfigError(f"unknown key {here!r}{_nearest(str(key), allowed, path, known)}")
            child = f"{path}.{key}" if path else str(key)
            if child in known or child in inner:
                if value is None:
                    continue
                if not isinstance(value, dict):
                    raise ConfigError(f"{child} must be a section with keys, not {value!r}")
                if key in below:
                    walk(value, child)

    walk(tree, "")


# Words for what the list `sources` says of one source: section -> the key there
_SPARING = ("exempt", "except", "exclude", "ignore", "skip", "spare")
_SPARED = {"dedup": "dedup: off", "gates": "gates: off", "quality": "quality: exempt", "clean": "clean: false"}


def _nearest(key: str, allowed: set[str], path: str, known: Mapping[str, Sequence[str]]) -> str:
    if key in _SPARING and path.split(".")[0] in _SPARED:
        return f"; a source is left out by its own key, sources: [{{name: ..., {_SPARED[path.split('.')[0]]}}}]"
    limit = key.startswith(("min_", "max_")) and "limits" in known.get("gates", ())
    near = get_close_matches(key, sorted(allowed), n=1, cutoff=0.75 if limit else 0.5)
    if near:
        return f"; did you mean {f'{path}.' if path else ''}{near[0]}?"
    elsewhere = [f"{s}.{key}" for s, keys in known.items() if key in keys and s]
    if elsewhere:
        return f"; there {'is' if len(elsewhere) == 1 else 'are'} {' and '.join(elsewhere)}"
    if limit:
        column = f"{'q_' if path == 'quality' else ''}{key[4:]}"
        return f"; a limit on a column stands in gates.limits: [{{column: {column}, {key[:3]}: 0.5}}]"
    return f"; {path or 'the config'} has {', '.join(sorted(allowed)) or 'no keys'}"


def build(cls: type, values: Mapping[str, object], where: str) -> object:
    """The dataclass from a section's values (those that are its fields). Raises ConfigError naming key and value."""
    hints = get_type_hints(cls, include_extras=True)
    mine: Tree = {}
    for f in fields(cls):
        if f.name in values:
            value = values[f.name]
            mine[f.name] = _checked(hints[f.name], value, f"{where}.{f.name}" if where else f.name)
    try:
        text = json.dumps(mine)
    except TypeError:
        raise ConfigError(f"{where}: a value is neither number, text, list nor mapping (quote dates): {mine}") from None
    try:
        return _adapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        spot = _spot(first, mine)
        if first["type"] == "missing":
            raise ConfigError(_missing(cls, spot, where)) from None
        key = ".".join([*([where] if where else []), *spot])
        said = first.get("input")
        short = first["type"] == "int_type" and isinstance(said, str) and said[:1].isdecimal() and not said.isdecimal()
        hint = "; a number is written 5000000, 5e6, 5M or 1.5B" if short else ""
        raise ConfigError(f"{key}: {first['msg'].lower()}; got {said!r}{hint}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from None


def built(cls: type, values: Mapping[str, object], where: str, code: bool) -> object:
    """What `build` makes. With `code` the modules that its settings name are imported, and it is checked with them."""
    made = build(cls, values, where)
    missing = [name for name in getattr(made, "own_code", ()) if not is_imported(name)]
    if not (code and missing):
        return made
    import_code(missing)
    return build(cls, values, where)


def _spot(error: Mapping[str, object], values: object) -> list[str]:
    """Keys and positions down to an error: pydantic's path, without the branches of unions that it names in between."""
    keys: list[str] = []
    for step in error["loc"]:  # pyright: ignore[reportGeneralTypeIssues]
        inside = (
            step in values if isinstance(values, dict) else isinstance(values, list | tuple) and isinstance(step, int)
        )
        if inside:
            values = values[step]  # pyright: ignore[reportIndexIssue]
        elif error["type"] != "missing" or step is not error["loc"][-1]:  # pyright: ignore[reportIndexIssue]
            continue
        keys.append(str(step))
    return keys


def _missing(cls: type, spot: Sequence[str], where: str) -> str:
    """Says which key is missing in which entry, and the keys that there are."""
    kind: type | None = cls
    for step in spot[:-1]:
        if kind is not None and not step.isdecimal():
            kind = _section_in(get_type_hints(kind)[step])
    at = "".join(f", entry {int(s) + 1}" if s.isdecimal() else f".{s}" for s in (where, *spot[:-1])).lstrip(".")
    keys = f"; its keys are {', '.join(f.name for f in fields(kind))}" if kind is not None else ""  # pyright: ignore
    return f"{at}: `{spot[-1]}` is missing{keys}"


def _section_in(hint: object) -> type | None:
    """The dataclass in a type, inside lists and alternatives too."""
    if isinstance(hint, type) and is_dataclass(hint):
        return hint
    return next((found for part in get_args(hint) if (found := _section_in(part)) is not None), None)


@cache  # making one takes milliseconds, and a recipe builds forty classes
def _adapter(cls: type) -> TypeAdapter[object]:
    return TypeAdapter(cls)


def _checked(hint: object, value: object, where: str) -> object:
    """The value, numbers written as text or as 1e9 made whole where the setting is a whole number, a lone text a list
    where a list of texts is meant.

    Raises ConfigError for a number outside the setting's range and for an unknown key inside a nested section or a list
    of them (pydantic would ignore it). Wrong types are left to pydantic.
    """
    if isinstance(value, str) and _is_tuple(hint):
        return (value,)
    if isinstance(hint, type) and is_dataclass(hint):
        if not isinstance(value, dict):
            return value
        hints = get_type_hints(hint, include_extras=True)
        for key in value:
            if key not in hints or key not in {f.name for f in fields(hint)}:
                known = {f.name for f in fields(hint)}
                raise ConfigError(f"unknown key '{where}.{key}'{_nearest(str(key), known, where, {})}")
        return {key: _checked(hints[key], inner, f"{where}.{key}") for key, inner in value.items()}
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        value = whole(value) if kind is int else value
        for mark in marks:
            if not isinstance(value, int | float) or isinstance(value, bool) or not isinstance(mark, Range):
                continue
            if not mark.holds(value):
                raise ConfigError(f"{where}: {value!r} is out of range; it must be {mark}")
        return value
    if get_origin(hint) in (Union, UnionType):
        for inner in get_args(hint):
            value = _checked(inner, value, where) if value is not None else None
        return value
    if get_origin(hint) is tuple and isinstance(value, list | tuple):
        inner = get_args(hint)[0]
        return [_checked(inner, item, f"{where}.{i}") for i, item in enumerate(value)]
    return value


_SUFFIXED = re.compile(r"([0-9]+(?:\.[0-9]+)?) ?([kKMGBT])\Z")
_SUFFIX = {"k": 10**3, "K": 10**3, "M": 10**6, "G": 10**9, "B": 10**9, "T": 10**12}


def whole(value: object) -> object:
    """1e9, 1000000000.0, "10B", "500M" and "1.5k" as whole numbers; anything else as it is."""
    if isinstance(value, str) and (match := _SUFFIXED.match(value)):
        value = float(Fraction(match[1]) * _SUFFIX[match[2]])
    return int(value) if isinstance(value, float) and value.is_integer() else value


def named_files(instance: object, where: str) -> Iterator[tuple[str, str, NamesFile]]:
    """(key, path, mark) of every file and folder that a section names, nested ones included."""
    hints = get_type_hints(type(instance), include_extras=True)
    for f in fields(instance):  # pyright: ignore[reportArgumentType] - sections are dataclasses
        yield from _named(hints[f.name], getattr(instance, f.name), f"{where}.{f.name}")


def _named(hint: object, value: object, where: str) -> Iterator[tuple[str, str, NamesFile]]:
    if get_origin(hint) is Annotated:
        yield from (
            (where, value, m) for m in get_args(hint)[1:] if isinstance(m, NamesFile) and isinstance(value, str)
        )
    elif is_dataclass(value):
        yield from named_files(value, where)
    elif isinstance(value, tuple):
        for inner in get_args(hint):
            for item in value:
                yield from _named(inner, item, where)
    elif get_origin(hint) in (Union, UnionType):
        for inner in get_args(hint):
            yield from _named(inner, value, where)


def _is_tuple(hint: object) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_is_tuple(h) for h in get_args(hint)) and str not in get_args(hint)
    return get_origin(hint) is tuple


def plain(instance: object) -> Tree:
    """A dataclass as YAML-able values; URLs without their credentials, for this is written into the run folder."""
    return cast(Tree, without_secrets(json.loads(json.dumps(asdict(instance)))))  # pyright: ignore[reportArgumentType]


def to_yaml(tree: Tree) -> str:
    return dump_yaml(tree)
