"""Digests stages, rows, files and folders: the identity of a computation.

A stage's fingerprint covers its class, version and fields (and the contents of files that its fields name, `files`);
fields that say only *where* input lies (`outside_identity`) are left out, or an added shard would redo every other.
"""

import hashlib
import json
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field, is_dataclass
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, cast, get_args

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import PACKAGE, load_object
from gristmill.pipeline.contract.secrets import without_secrets
from gristmill.pipeline.contract.shapes import Gate, Kind, Reads, Shape, Stage

if TYPE_CHECKING:
    from pydantic import TypeAdapter

CODE_VERSION = "0.1.0"


def digest(value: object) -> str:
    """blake2b-128 (hex) of a JSON value, independent of key order; 3 and 3.0 are one number."""
    return hashlib.blake2b(_written(value), digest_size=16).hexdigest()


def digest_from(head: Sequence[object]) -> Callable[[object], str]:
    """last -> digest([*head, last]); the head (not empty) is written and hashed once."""
    begun = hashlib.blake2b(_written(head)[:-1] + b",", digest_size=16)

    def digest_with(last: object) -> str:
        whole = begun.copy()
        whole.update(_written(last) + b"]")
        return whole.hexdigest()

    return digest_with


def _written(value: object) -> bytes:
    text = json.dumps(_one_way_to_write(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return text.encode()


def _one_way_to_write(value: object) -> object:
    """A config says 3 where a float field's default is 3.0, or the other way round: equal stages, so equal digests."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, Mapping):
        return {key: _one_way_to_write(v) for key, v in value.items()}
    if isinstance(value, list | tuple):
        return [_one_way_to_write(v) for v in value]
    return value


def digest_rows(doc_ids: Iterable[str]) -> str:
    """Digest of a sequence of ids; order matters."""
    return hashlib.blake2b("\n".join(doc_ids).encode(), digest_size=16).hexdigest()


def digest_file(path: Path) -> str:
    h = hashlib.blake2b(digest_size=16)
    with path.open("rb") as f:
        while block := f.read(1 << 20):
            h.update(block)
    return h.hexdigest()


def digest_folder(folder: Path) -> str:
    """Names and contents of all files below `folder`."""
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return digest([[p.relative_to(folder).as_posix(), digest_file(p)] for p in files])


def stage_fields(stage: Stage) -> dict[str, object]:
    """A stage's fields as JSON values; URLs without their credentials."""
    plain = json.loads(json.dumps(asdict(stage)))  # pyright: ignore[reportArgumentType] - stages are dataclasses
    fields = cast(dict[str, object], without_secrets(plain))
    return cast(dict[str, object], fields["fields"]) if isinstance(stage, Recorded) else fields


def freeze(stage: Stage) -> dict[str, object]:
    """A stage as plain data: {"class": "module:Class", "fields": {...}}; `thaw` makes it again."""
    reference = reference_of(type(stage))
    frozen = {"class": reference, "fields": stage_fields(stage)}
    return frozen if is_ours(reference) else {**frozen, "declared": record(stage)}


def load_class(reference: str) -> type[Stage]:
    """The stage class behind "module:Class"; its module is imported. Raises ConfigError when there is none."""
    if reference.partition(".")[0].partition(":")[0] in sys.stdlib_module_names:
        raise ConfigError(f"stage {reference!r} is no stage: Python's own modules have none")
    return _stage_class(load_object(reference), reference)


def _stage_class(cls: object, reference: str) -> type[Stage]:
    if not (isinstance(cls, type) and is_dataclass(cls) and issubclass(cls, Shape)):
        raise ConfigError(
            f"stage {reference!r} is not a dataclass that derives from one of the six shapes; "
            "see pipeline/contract/shapes.py"
        )
    return cls  # pyright: ignore[reportReturnType]


def is_ours(reference: str) -> bool:
    """Whether a class is of this package: its module may be imported whoever names it."""
    return reference.startswith(PACKAGE + ".")


def known_class(reference: str) -> type[Stage] | None:
    """The stage class that a saved plan names: ours, or of a module that this process has imported already.

    None for any other: a plan is data and imports nothing. Raises ConfigError where the module has no such stage.
    """
    module = reference.partition(":")[0]
    if is_ours(reference):
        return load_class(reference)
    if module not in sys.modules or module.partition(".")[0] in sys.stdlib_module_names:
        return None
    return _stage_class(load_object(reference), reference)


def reference_of(cls: type) -> str:
    return f"{cls.__module__}:{cls.__qualname__}"


@dataclass(frozen=True, kw_only=True)
class Recorded(Gate):
    """A stage whose code is not imported: what plan.json says of it, enough to read its run and not to compute."""

    reference: str
    name: str  # pyright: ignore[reportIncompatibleVariableOverride]
    kind: Kind  # pyright: ignore[reportIncompatibleVariableOverride]
    version: int  # pyright: ignore[reportIncompatibleVariableOverride]
    rules: tuple[str, ...]  # pyright: ignore[reportIncompatibleVariableOverride]
    reads: Reads = field(default_factory=dict)  # pyright: ignore[reportIncompatibleVariableOverride]
    writes: tuple[str, ...]  # pyright: ignore[reportIncompatibleVariableOverride]
    needs: tuple[str, ...]  # pyright: ignore[reportIncompatibleVariableOverride]
    replaces: Reads
    rows: str
    fields: Mapping[str, object]


def record(stage: Stage) -> dict[str, object]:
    """What `Recorded` is made from again."""
    return {
        "version": stage.version,
        "rules": list(stage.rules),
        "reads": {d: list(columns) for d, columns in stage.reads.items()},
        "writes": list(stage.writes),
        "needs": list(stage.needs),
        "replaces": {d: list(columns) for d, columns in getattr(stage, "replaces", {}).items()},
        "rows": getattr(stage, "rows", "kept"),
    }


def recorded(frozen: Mapping[str, object]) -> Recorded:
    """Raises ConfigError where the plan says too little of a stage."""
    try:
        said = cast(dict, frozen["declared"])
        rules, writes, needs = (tuple(map(str, said[key])) for key in ("rules", "writes", "needs"))
        reads, replaces = ({d: tuple(map(str, c)) for d, c in said[key].items()} for key in ("reads", "replaces"))
        reference, name, kind = (str(frozen[key]) for key in ("class", "name", "kind"))
        if kind not in get_args(Kind):
            raise ValueError(kind)
        return Recorded(
            reference=reference, name=name, kind=cast(Kind, kind), version=int(said["version"]), rules=rules,
            reads=reads, writes=writes, needs=needs, replaces=replaces, rows=str(said["rows"]),
            fields=cast(dict, frozen["fields"]),
        )  # fmt: skip
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise ConfigError(f"{frozen.get('class')} is not imported here, and plan.json says too little of it") from error


@cache  # making one takes 2 ms, and a plan has 40 stages
def _adapter(cls: type[Stage]) -> "TypeAdapter[Stage]":
    from pydantic import TypeAdapter

    return TypeAdapter(cls)


def thaw(frozen: Mapping[str, object]) -> Stage:
    """The stage, or what is recorded of it. Raises ConfigError where the class is gone or has other fields."""
    from pydantic import ValidationError

    cls = known_class(str(frozen["class"]))
    if cls is None:
        return cast(Stage, recorded(frozen))
    try:
        return _adapter(cls).validate_json(json.dumps(frozen["fields"]), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{frozen['class']}, {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None


def fingerprint(stage: Stage) -> str:
    """Identity of what a stage computes: class name, version, fields, contents of the files it names."""
    fields = stage_fields(stage)
    for name in stage.outside_identity:
        fields.pop(name, None)
    files = {}
    for name in stage.files:
        value = getattr(stage, name)
        for path in [value] if isinstance(value, str) else (value or ()):
            if Path(path).is_file():
                files[path] = digest_file(Path(path))
            elif Path(path).is_dir():
                files[path] = digest_folder(Path(path))
    return digest({"class": type(stage).__qualname__, "version": stage.version, "fields": fields, "files": files})
