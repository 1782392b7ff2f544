"""What a reducer could not do, in sentences for the user: notes.json beside its artifact, shown when the run ends."""

import json
from pathlib import Path

NOTES = "notes.json"


def write_notes(out: Path, *sentences: str) -> None:
    """Each sentence says what is off, why, and how to have it. Part of the artifact, so it must be deterministic."""
    (out / NOTES).write_text(json.dumps(sentences, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


def read_notes(folder: Path) -> list[str]:
    """The sentences of an artifact's folder; none where it has no notes."""
    path = folder / NOTES
    return json.loads(path.read_text(encoding="utf-8")) if path.is_file() else []
