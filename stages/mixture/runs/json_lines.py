"""Runs as JSON lines, as a trainer writes them by hand: one record per checkpoint, checked field by field."""

import math
import re
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.pipeline.contract.state import parse_json
from gristmill.stages.mixture.runs.csv_sheet import SIZE, SIZES
from gristmill.stages.mixture.runs.runs import Fidelity, Run, Runs, runs_of

FIELDS = tuple(f for f in Run.__dataclass_fields__)
LARGEST = 2**63 - 1  # stored as int64


def read_jsonl(path: Path) -> Runs:
    """Only run_id, weights and losses are required. Runs with a loss that is no finite number are left out and told in
    `notes`, as in a table. Raises InputError naming the file and the line that is not a run."""
    if not path.is_file():
        raise InputError(f"{path}: no such runs file")
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is no UTF-8 text (byte {error.start})") from error
    rows, gone = [], []
    for number, line in enumerate(text.split("\n"), 1):
        if not line.strip():
            continue
        try:
            run = run_of(parse_json(line))
            if any(not math.isfinite(v) for v in run.losses.values()):
                gone.append(number)
                continue
            runs_of([run])
        except (ValueError, RecursionError) as error:
            raise InputError(f"{path}, line {number}: not a run ({error})") from error
        except DataError as error:
            raise DataError(f"{path}, line {number}: {error}") from error
        rows.append(run)
    if gone and not rows:
        raise DataError(f"{path}: no run has a finite loss for every target (line {gone[0]} first)")
    runs = runs_of(rows)
    if not gone:
        return runs
    lost = f"{len(gone)} of {len(gone) + len(rows)} runs of {path} have a loss that is not finite and are left out"
    return replace(runs, notes=(*runs.notes, f"{lost}, first line {gone[0]}"))


def run_of(record: object) -> Run:
    """Raises ValueError naming the field and what it holds. A null loss counts as NaN."""
    if not isinstance(record, Mapping):
        raise ValueError(f"a mapping is needed, not {type(record).__name__}")
    unknown = sorted(set(record) - set(FIELDS))
    missing = [f for f in ("run_id", "weights", "losses") if f not in record]
    if unknown or missing:
        what = [f"no field {', '.join(missing)}"] if missing else []
        what += [f"unknown field {', '.join(unknown)}"] if unknown else []
        raise ValueError(f"{' and '.join(what)}; a run has {', '.join(FIELDS)}")
    run_id = record["run_id"]
    if isinstance(run_id, bool) or not isinstance(run_id, str | int | float):
        raise ValueError(f"run_id is {run_id!r}, a name is needed")
    realised = record.get("realised")
    return Run(
        run_id=str(run_id),
        weights=shares_of(record["weights"], "weights"),
        losses=losses_of(record["losses"]),
        fidelity=fidelity_of(record.get("fidelity") or {}),
        realised=None if realised is None else shares_of(realised, "realised"),
        tokens=whole(record.get("tokens", 0), "tokens"),
        seed=whole(record.get("seed", 0), "seed"),
        step=whole(record.get("step", -1), "step"),
        cost=number_of(record.get("cost", 1.0), "cost"),
        buckets_digest=str(record.get("buckets_digest") or ""),
    )


def shares_of(value: object, field: str) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"{field} is {value!r:.60}, {{bucket: share}} is needed")
    return {str(b): number_of(v, f"{field} of {b}") for b, v in value.items()}


def losses_of(value: object) -> dict[str, float]:
    if not isinstance(value, Mapping) or not value:
        raise ValueError(f"losses is {value!r:.60}, {{target: number}} is needed")
    return {str(t): math.nan if v is None else number_of(v, f"loss of {t}") for t, v in value.items()}


def fidelity_of(value: object) -> Fidelity:
    if not isinstance(value, Mapping) or set(value) - {"kind", "size", "tokens"}:
        raise ValueError(f"fidelity is {value!r:.60}, {{kind, size, tokens}} is needed")
    size, tokens = (size_of(value.get(k, 0.0), f"fidelity.{k}") for k in ("size", "tokens"))
    return Fidelity(str(value.get("kind", "table")), size, tokens)


def size_of(value: object, field: str) -> float:
    """A number, or one written as 70M or 1.4B."""
    found = SIZE.fullmatch(value.strip()) if isinstance(value, str) else None
    return float(found[1]) * SIZES[found[2].casefold()] if found else number_of(value, field)


def number_of(value: object, field: str) -> float:
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d+(\.\d+)?([eE][+-]?\d+)?", value.strip()):
        value = float(value)
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise ValueError(f"{field} is {value!r:.60}, a number is needed")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(f"{field} is beyond what a number can hold") from error


def whole(value: object, field: str) -> int:
    found = size_of(value, field)
    if not math.isfinite(found) or found != int(found) or abs(found) > LARGEST:
        raise ValueError(f"{field} is {value!r:.60}, a whole number below 2^63 is needed")
    return value if isinstance(value, int) else int(found)
