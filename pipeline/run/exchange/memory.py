"""How much memory a worker may take: `engine.memory`, or half of what the machine (or its control group) has."""

import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path

from gristmill.pipeline.contract.errors import ConfigError

_UNITS = {"": 1, "b": 1, "kb": 10**3, "mb": 10**6, "gb": 10**9, "kib": 1 << 10, "mib": 1 << 20, "gib": 1 << 30}
_FLOOR = 10**6  # no machine has less; a number without its unit, 4 for 4 GB, is below it
_LIMIT = Path("/sys/fs/cgroup/memory.max")


def bytes_of(value: object) -> int:
    """4GB, 500 MB or a number of bytes. Raises ConfigError for anything else."""
    found = re.fullmatch(r"(\d+(?:\.\d+)?) *([a-z]*)", str(value).strip().lower())
    if isinstance(value, bool) or found is None or found[2] not in _UNITS or not float(found[1]):
        raise ConfigError(f"engine.memory: bytes for all workers of a machine, e.g. 4GB; got {value!r}")
    return int(float(found[1]) * _UNITS[found[2]])


def check_memory(value: object) -> None:
    """Raises ConfigError for an `engine.memory` that is none, or too little to be meant."""
    size = bytes_of(value)
    if size < _FLOOR:
        number = str(value).strip()
        hint = f"; did you mean {number}GB?" if number.isdecimal() and int(number) < 1024 else ", e.g. 4GB"
        raise ConfigError(f"engine.memory: {value} is {size:,} bytes; give at least 1MB, with the unit{hint}")


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the control group that this process is in."""
    found = [os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")]
    with suppress(OSError, ValueError):
        found.append(int(_LIMIT.read_text()))
    return min(found)


def worker_memory(engine: Mapping[str, object], workers: int) -> int:
    """Bytes for each of the workers of a machine."""
    given = engine.get("memory")
    return (machine_memory() // 2 if given is None else bytes_of(given)) // max(1, workers)
