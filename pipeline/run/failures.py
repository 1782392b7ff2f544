"""failures/: the units of a run that failed, each with its error, so that the rest goes on without them."""

import tempfile
import traceback
from pathlib import Path

from gristmill.pipeline.contract.secrets import scrubbed
from gristmill.pipeline.contract.state import DamagedFile, read_state, write_json
from gristmill.pipeline.plan.identity import digest
from gristmill.pipeline.plan.plan import Phase
from gristmill.pipeline.run.store import Store


def record_failure(store: Store, phase: Phase, unit: str, error: BaseException) -> None:
    notes = "; ".join(getattr(error, "__notes__", ()))
    record = {
        "phase": phase.name,
        "unit": unit,
        "error": type(error).__name__,
        "message": scrubbed(f"{error}{f' ({notes})' if notes else ''}"),
        "traceback": scrubbed("".join(traceback.format_exception(error))),
        "exit_status": getattr(error, "exit_status", 1),
    }
    write_json(failure_path(store, phase, unit), record)


def failure_path(store: Store, phase: Phase, unit: str) -> Path:
    return store.root / "failures" / f"{digest([phase.name, unit])[:16]}.json"


def failures(store: Store) -> list[dict[str, object]]:
    """What failed in this run so far, in a fixed order."""
    return [_failure(path) for path in sorted((store.root / "failures").glob("*.json"))]


def _failure(path: Path) -> dict[str, object]:
    try:
        return read_state(path, "phase", "unit", "error", "message", "exit_status")
    except DamagedFile as error:
        return {"phase": "", "unit": path.stem, "error": "DamagedFile", "message": str(error), "exit_status": 1}


def quarantined(store: Store) -> set[str]:
    """Units that failed in an earlier phase of this run: the rest goes on without them."""
    return {str(f["unit"]) for f in failures(store)}


def write_trace(folder: object) -> Path:
    """The traceback of the exception in hand: RUN/logs/fault.txt, or a temporary file where there is no run folder."""
    run = folder if isinstance(folder, Path) and folder.is_dir() else None
    try:
        place = (run / "logs" if run else Path(tempfile.mkdtemp(prefix="gristmill-"))) / "fault.txt"
        place.parent.mkdir(exist_ok=True)
        place.write_text(scrubbed(traceback.format_exc()), encoding="utf-8", errors="backslashreplace")
    except OSError as error:  # a full disk
        return Path(f"(no file: {error})")
    return place
