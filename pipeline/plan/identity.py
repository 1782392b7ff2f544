"""What a computation is: digests of stages, rows, files and folders.

A stage's fingerprint covers its class, version and fields (and the contents of files that its fields name, `files`);
fields that say only *where* input lies (`outside_identity`) are left out, or an added shard would redo every other.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import asdict, is_dataclass
from pathlib import Path

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.shapes import Stage

CODE_VERSION = "0.1.0"


def digest(value: object) -> str:
    """blake2b-128 (hex) of a JSON value, independent of key order; 3 and 3.0 are one number."""
    text = json.dumps(_one_way_to_write(value), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return hashlib.blake2b(text.encode(), digest_size=16).hexdigest()


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
    """A stage's fields as JSON values."""
    return json.loads(json.dumps(asdict(stage)))  # pyright: ignore[reportArgumentType] - stages are dataclasses


def freeze(stage: Stage) -> dict[str, object]:
    """A stage as plain data: {"class": "module:Class", "fields": {...}}; `thaw` makes it again."""
    cls = type(stage)
    return {"class": f"{cls.__module__}:{cls.__qualname__}", "fields": stage_fields(stage)}


def load_class(reference: str) -> type[Stage]:
    """The stage class behind "module:Class". Raises ConfigError when there is none."""
    cls = load_object(reference)
    if not (isinstance(cls, type) and is_dataclass(cls)):
        raise ConfigError(
            f"stage {reference!r} is not a dataclass; see pipeline/contract/shapes.py for the five shapes"
        )
    return cls  # pyright: ignore[reportReturnType]


def thaw(frozen: Mapping[str, object]) -> Stage:
    """Raises ConfigError where the class is gone or has other fields."""
    from pydantic import TypeAdapter, ValidationError

    cls = load_class(str(frozen["class"]))
    adapter: TypeAdapter[Stage] = TypeAdapter(cls)
    try:
        return adapter.validate_json(json.dumps(frozen["fields"]), strict=True)
    except ValidationError as error:
        first = error.errors()[0]
        raise ConfigError(f"{frozen['class']}, {'.'.join(map(str, first['loc']))}: {first['msg'].lower()}") from None


def fingerprint(stage: Stage) -> str:
    """Identity of what a stage computes: class name, version, fields, contents of the files it names."""
    fields = stage_fields(stage)
    for field in stage.outside_identity:
        fields.pop(field, None)
    files = {}
    for field in stage.files:
        value = getattr(stage, field)
        for path in [value] if isinstance(value, str) else (value or ()):
            if Path(path).is_file():
                files[path] = digest_file(Path(path))
            elif Path(path).is_dir():
                files[path] = digest_folder(Path(path))
    return digest({"class": type(stage).__qualname__, "version": stage.version, "fields": fields, "files": files})
