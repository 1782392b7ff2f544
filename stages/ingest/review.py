"""Refuses inputs that give no documents: by a look at their beginnings, and by the records that were rejected."""

from collections import Counter
from collections.abc import Callable, Sequence
from typing import Protocol, TypeVar

from gristmill.pipeline.contract.errors import DataError, InputError
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.contract.secrets import real
from gristmill.pipeline.contract.shapes import Counted, Part
from gristmill.stages.ingest.files.open import File, open_file
from gristmill.stages.ingest.files.remote import is_url
from gristmill.stages.ingest.preview import columns_of, fault_of
from gristmill.stages.ingest.rows import FULL

T = TypeVar("T")
LOCAL_FILES, REMOTE_FILES = 500, 8  # looked at, evenly spread; a local file costs 1 ms, a remote one requests
# What an archive holds beside pages; a crawl may hold any share of them.
NO_PAGES = ("not_a_response", "revisit", "bad_status", "not_html")
BOUNDED = (FULL,)  # what a bound on memory leaves out says nothing of the records: a remark, no refusal
HINTS = {
    "no_text": "is the text in another column? set text_column",
    "no_text_column": "set text_column",
    "not_html": "input.mimes says which media types are read",
    "too_large": "raise input.body_bytes",
}


class Settings(Protocol):
    """What is needed to open a file as a table."""

    @property
    def format(self) -> str: ...
    @property
    def text_column(self) -> str: ...
    @property
    def body_bytes(self) -> int: ...


def preview(settings: Settings, parts: Sequence[Part], label: str = "input") -> None:
    """Raises InputError for a file without the text column, and where none of the files can give a document."""
    chosen = _some(parts)
    looks = (
        _looked(
            path,
            lambda file, name=name: fault_of(file, name, settings.format, settings.text_column, settings.body_bytes),
        )
        for path, name in chosen
    )
    found = [fault for fault in looks if fault is not None]
    first = next((fault for fault in found if fault.schema), found[0] if len(found) == len(chosen) else None)
    if first is not None:
        others = len(found) - 1
        rest = f" ({others:,} more of {len(chosen):,} files are like that)" if others else ""
        raise InputError(f"{label}: {first.text}{rest}")


def check_kept(keep: Sequence[str], format: str, parts: Sequence[Part]) -> None:
    """Raises InputError for a column to keep that no file has; where rows are JSON any of them may still have it."""
    found = [_looked(path, lambda file, name=name: columns_of(file, name, format)) for path, name in _some(parts)]
    there = sorted({name for names in found for name in names or ()})
    missing = [name for name in keep if name not in there]
    if missing and found and None not in found:
        raise InputError(f"input.keep_columns: no file has a column {missing[0]!r}; there are {', '.join(there)}")


def _some(parts: Sequence[Part]) -> list[tuple[str, str]]:
    """(path, name) of the files that are looked at."""
    files = list(dict.fromkeys((part.path, part.name) for part in parts))
    most = REMOTE_FILES if any(is_url(path) for path, _ in files) else LOCAL_FILES
    return files if len(files) <= most else [files[i * (len(files) - 1) // (most - 1)] for i in range(most)]


def _looked(path: str, look: Callable[[File], T]) -> T | None:
    """None also for a file that cannot be opened or read now: the run tries again, and sets aside what stays so."""
    try:
        file = open_file(real(path), Retry(1, 0.0))
        try:
            return look(file)
        finally:
            file.close()
    except (InputError, OSError):
        return None


def review(counted: Sequence[Counted], most: float, label: str = "input", key: str = "input.max_rejected") -> None:
    """Raises DataError where more than `most` of the records were rejected, but not all; `NO_PAGES` and `BOUNDED`
    count neither way."""
    documents = sum(c.documents for c in counted)
    rejected = sum((Counter(dict(c.rejected)) for c in counted), Counter[str]())
    lost = Counter({rule: n for rule, n in rejected.items() if rule not in (*NO_PAGES, *BOUNDED)})
    judged = documents + lost.total()
    if documents and lost.total() > most * judged:
        raise DataError(
            f"{label}: {lost.total():,} of {judged:,} records were rejected ({_rules(lost)}), more than {key} = "
            f"{most:g}; raise it if that is as it should be{_hint(lost)}"
        )


def remarks(counted: Sequence[Counted], part_text_bytes: int, part_records: int) -> list[str]:
    """What a bound on a part's memory left out, and how to have it."""
    full = [n for c in counted if (n := c.rejected.get(FULL, 0))]
    if not full:
        return []
    return [
        f"ingest: {sum(full):,} records of {len(full):,} of {len(counted):,} parts were left out (part_full), "
        f"for a part holds at most input.part_text_bytes = {part_text_bytes:,} of text and input.part_records = "
        f"{part_records:,} records; with a smaller input.part_bytes a file is cut into more parts"
    ]


def _rules(rules: Counter[str]) -> str:
    return ", ".join(f"{n:,} by {rule}" for rule, n in rules.most_common(3))


def _hint(rules: Counter[str]) -> str:
    hint = HINTS.get(rules.most_common(1)[0][0]) if rules else None
    return f" ({hint})" if hint else ""
