"""Strict config: one YAML, `key=value` overrides, sections that are the fields of stage dataclasses.

Unknown keys and wrong types are errors that name the key, the nearest known one, and the file.
"""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, fields, is_dataclass
from difflib import get_close_matches
from pathlib import Path
from types import UnionType
from typing import Union, get_args, get_origin, get_type_hints

import yaml
from pydantic import TypeAdapter, ValidationError

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Stage
from gristmill.pipeline.plan.identity import digest

Tree = dict[str, object]


@dataclass(frozen=True)
class Recipe:
    """A config made into stages. `resolved`: every setting, defaults included."""

    name: str
    stages: tuple[Stage, ...]
    resolved: Tree
    engine: dict[str, dict[str, object]]

    @property
    def digest(self) -> str:
        return digest({k: v for k, v in self.resolved.items() if k != "engine"})


def read_config(path: Path) -> Tree:
    """The YAML as a mapping. Raises ConfigError for a missing file, bad YAML or something that is no mapping."""
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise ConfigError(f"no config {path}; the ones that come with Gristmill are in configs/") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"cannot read config {path}: {error}") from None
    try:
        tree = yaml.safe_load(text)
    except yaml.YAMLError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    if tree is None:
        return {}
    if not isinstance(tree, dict):
        raise ConfigError(f"{path} must be a mapping of sections, not {type(tree).__name__}")
    return tree


def override(tree: Tree, assignments: Sequence[str]) -> Tree:
    """A copy with `section.key=value` applied; values are YAML (`null` turns a rule off)."""
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
        try:
            node[last] = yaml.safe_load(value)
        except yaml.YAMLError as error:
            raise ConfigError(f"{text!r}: {value!r} is not a YAML value ({error})") from None
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


def _nearest(key: str, allowed: set[str], path: str, known: Mapping[str, Sequence[str]]) -> str:
    near = get_close_matches(key, sorted(allowed), n=1, cutoff=0.5)
    if near:
        return f"; did you mean {f'{path}.' if path else ''}{near[0]}?"
    elsewhere = [f"{s}.{key}" for s, keys in known.items() if key in keys and s]
    if elsewhere:
        return f"; there is {elsewhere[0]}"
    return f"; {path or 'the config'} has {', '.join(sorted(allowed)) or 'no keys'}"


def build(cls: type, values: Mapping[str, object], where: str) -> object:
    """The dataclass from a section's values (those that are its fields). Raises ConfigError naming key and value."""
    names = {f.name for f in fields(cls)}
    hints = get_type_hints(cls)
    mine = {}
    for key, value in values.items():
        if key in names:
            mine[key] = (value,) if isinstance(value, str) and _is_tuple(hints[key]) else value
    for key, value in mine.items():
        _check_nested(hints[key], value, f"{where}.{key}" if where else key)
    try:
        text = json.dumps(mine)
    except TypeError:
        raise ConfigError(f"{where}: a value is neither number, text, list nor mapping (quote dates): {mine}") from None
    try:
        return TypeAdapter(cls).validate_json(text, strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic names the branch of a union in the path; the user knows only keys and positions.
        spot = [str(p) for p in first["loc"] if isinstance(p, int) or str(p).isidentifier()]
        key = ".".join([where, *spot[:2]]) if where else ".".join(spot)
        raise ConfigError(f"{key}: {first['msg'].lower()}; got {first.get('input')!r}") from None
    except (ValueError, TypeError) as error:
        raise ConfigError(f"{where}: {error}") from None


def _check_nested(hint: object, value: object, where: str) -> None:
    """Raises ConfigError for an unknown key inside a nested section or a list of them (pydantic would ignore it)."""
    if isinstance(hint, type) and is_dataclass(hint):
        if isinstance(value, dict):
            hints = get_type_hints(hint)
            known = [f.name for f in fields(hint)]
            for key, inner in value.items():
                if key not in known:
                    raise ConfigError(f"unknown key '{where}.{key}'{_nearest(str(key), set(known), where, {})}")
                _check_nested(hints[key], inner, f"{where}.{key}")
        return
    items = value if isinstance(value, list) else [value]
    for inner in get_args(hint):
        for item in items:
            _check_nested(inner, item, where)


def _is_tuple(hint: object) -> bool:
    if get_origin(hint) in (Union, UnionType):
        return any(_is_tuple(h) for h in get_args(hint)) and str not in get_args(hint)
    return get_origin(hint) is tuple


def plain(instance: object) -> Tree:
    """A dataclass as YAML-able values."""
    return json.loads(json.dumps(asdict(instance)))  # pyright: ignore[reportArgumentType]


def to_yaml(tree: Tree) -> str:
    return yaml.safe_dump(tree, sort_keys=False, allow_unicode=True, width=110)
