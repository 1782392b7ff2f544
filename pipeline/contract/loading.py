"""Imports a class that a config names as "module:Class" and checks its kind; starts Python in a child process."""

import importlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Annotated, TypeAlias, TypeVar

from pydantic import BeforeValidator

from gristmill.pipeline.contract.errors import ConfigError

T = TypeVar("T")
PACKAGE = __name__.partition(".")[0]


def load_object(reference: str) -> Callable[..., object]:
    """What "module:name" names. Raises ConfigError when there is nothing."""
    module, _, name = reference.partition(":")
    try:
        return getattr(importlib.import_module(module), name)
    except (ImportError, AttributeError, ValueError) as error:
        raise ConfigError(
            f"cannot load {reference!r} ({error}); write module:Class, beside the config or on the Python path"
        ) from error


def is_imported(reference: str) -> bool:
    """Whether what "module:name" names can be had without running anything: its module is ours, or in this process."""
    module = reference.partition(":")[0]
    return module in sys.modules or module.partition(".")[0] == PACKAGE


def all_imported(references: Iterable[str]) -> bool:
    return all(map(is_imported, references))


def import_code(references: Iterable[str]) -> None:
    """Imports what a config names, for a run only. Raises ConfigError for what is not there, and for Python's own."""
    for reference in references:
        if reference.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
            raise ConfigError(f"{reference!r}: Python's own modules have nothing that a config could name")
        load_object(reference)


def named_code(settings: object, keys: Iterable[str]) -> tuple[str, ...]:
    """The "module:Class" names in these fields; a dotted key is a field of a section inside, which may be None."""
    found: list[str] = []
    for key in keys:
        value = settings
        for name in key.split("."):
            value = getattr(value, name, None)
        found += [str(name) for name in (value if isinstance(value, tuple) else (value,)) if ":" in str(name)]
    return tuple(dict.fromkeys(found))


def make_importable(folder: Path) -> None:
    """Lets this process and those that it starts import modules of the folder, behind all others of their names."""
    path = str(folder.resolve())
    if path not in sys.path:
        sys.path.append(path)
        os.environ["PYTHONPATH"] = os.pathsep.join(p for p in (os.environ.get("PYTHONPATH"), path) if p)


def load_kind(reference: str, base: type[T]) -> type[T]:
    """The subclass of `base` that "module:Class" names; nothing is called. Raises ConfigError for anything else."""
    found = load_object(reference)
    if not (isinstance(found, type) and issubclass(found, base)):
        raise ConfigError(f"{reference!r} does not derive from {base.__module__}.{base.__qualname__}")
    return found


def named(key: str, name: str, known: Mapping[str, T], base: type[T]) -> T:
    """The instance that `known` has under `name`, or one of a class of the user's: "module:Class", made without
    arguments. `key`: the setting that holds the name, for the error. Raises ConfigError."""
    if name in known:
        return known[name]
    if ":" not in name:
        raise ConfigError(f"{key}: {name!r}; there are {', '.join(sorted(known))}, or module:Class of your own")
    return load_kind(name, base)()


def python_child(call: str, *arguments: str) -> tuple[list[str], dict[str, str]]:
    """(command, environment) of a child process that imports what this one can and calls "module:function"."""
    module, _, function = call.partition(":")
    command = [sys.executable, "-c", f"from {module} import {function}; {function}()", *arguments]
    return command, {**os.environ, "PYTHONPATH": os.pathsep.join(p for p in sys.path if p)}


def _pairs(given: object) -> object:
    """Tuples, as pydantic's strict mode asks of what a validator hands on (plan.json holds lists)."""
    if isinstance(given, dict):
        return tuple(given.items())
    return (
        tuple(tuple(pair) if isinstance(pair, list) else pair for pair in given) if isinstance(given, list) else given
    )


# Settings of a class of the user's own: a mapping in YAML, held as pairs, for stages must be hashable.
Options: TypeAlias = Annotated[tuple[tuple[str, int | float | str | bool | None], ...], BeforeValidator(_pairs)]
