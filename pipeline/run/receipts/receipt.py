"""A receipt: the proof that a part of a dataset, an artifact or an output shard was computed, and what it proves.

Receipts of artifacts, shards and slices are JSON files of their own; those of parts are lines of logs (logs.py).
"""

import json
import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path

from gristmill.pipeline.plan.identity import CODE_VERSION, digest, digest_file, digest_folder


@dataclass(frozen=True)
class Receipt:
    """The proof that a part of a dataset (or an artifact) was computed.

    `identity`: of the values (stage, artifacts and inputs). `rows`: digest of the ids it covers; `kept`: of those that
    go on (differs from `rows` for gates). Counts are documents and bytes of text; tokens are the ledger's.
    """

    identity: str
    rows: str
    kept: str
    docs_in: int
    docs_out: int
    bytes_in: int = 0
    bytes_out: int = 0
    dropped: dict[str, dict[str, int]] = field(default_factory=dict)
    content: str = ""
    file_bytes: int = 0
    seconds: float = 0.0
    rejected: str = ""  # digest of a source's second file, its rejected records
    files: dict[str, tuple[str, int]] = field(default_factory=dict)  # a shard's other files -> (digest, bytes)
    code: str = CODE_VERSION
    check: str = ""  # of a receipt in a file of its own: digest of the other fields; one that was changed is none
    modified: int = 0  # of a part's receipt: when its file was last written to, in nanoseconds, as the file says


def read_receipt(path: Path) -> Receipt | None:
    try:
        receipt = receipt_of(json.loads(path.read_text(encoding="utf-8")))
        return receipt if receipt.check in ("", check_of(receipt)) else None
    except (FileNotFoundError, ValueError, TypeError, RecursionError):
        return None  # absent, cut short or changed: not done


def receipt_of(fields: dict) -> Receipt:
    # A part's receipts hold the same digests of rows over and over: one text of each is kept.
    fields |= {name: sys.intern(fields[name]) for name in ("rows", "kept", "code") if name in fields}
    return Receipt(**fields)


def check_of(receipt: Receipt) -> str:
    return digest({**vars(receipt), "check": ""})


def finish(receipt: Receipt, content: str, size: int) -> Receipt:
    done = replace(receipt, content=content, file_bytes=size)
    return replace(done, check=check_of(done))


def proven(receipt_path: Path, path: Path) -> Receipt | None:
    """The receipt of a file, if it proves the file: the file has its size and, where it was written to after the
    receipt was, its digest."""
    receipt = read_receipt(receipt_path)
    if receipt is None:
        return None
    try:
        if path.stat().st_size != receipt.file_bytes:
            return None
        if not written_since([path], receipt_path):
            return receipt
        same = receipt.content in ("", digest_file(path)) and trusted_again([path], receipt_path)
    except FileNotFoundError:
        return None
    return receipt if same else None


def proves(receipt: Receipt, path: Path) -> bool:
    """Whether a part's file is the one its receipt was written for: it has its size and, unless it was last written to
    when the receipt says, its digest. A file with that digest (of a copied run) gets that time back, so that it is not
    digested each time."""
    try:
        file = path.stat()
        if file.st_size != receipt.file_bytes:
            return False
        if file.st_mtime_ns == receipt.modified:
            return True
        return receipt.content in ("", digest_file(path)) and dated([path], receipt.modified)
    except FileNotFoundError:
        return False


def unchanged(folder: Path, receipt_path: Path, receipt: Receipt) -> bool:
    """Whether an artifact's folder holds what it held when its receipt was written; digested if one of its files was
    written to since."""
    files = [p for p in folder.rglob("*") if p.is_file()]
    if sum(p.stat().st_size for p in files) != receipt.file_bytes:
        return False
    if not written_since([folder, *files], receipt_path):
        return True
    return digest_folder(folder) == receipt.content and trusted_again([folder, *files], receipt_path)


def written_since(paths: Sequence[Path], receipt_path: Path) -> bool:
    written = receipt_path.stat().st_mtime_ns
    return any(path.stat().st_mtime_ns >= written for path in paths)


def trusted_again(paths: Sequence[Path], receipt_path: Path) -> bool:
    """Dates files whose digests were right (a copied run folder) before their receipt, so that they are not digested
    each time; True."""
    return dated(paths, receipt_path.stat().st_mtime_ns - 1)


def dated(paths: Sequence[Path], nanoseconds: int) -> bool:
    for path in paths:
        with suppress(OSError):  # a folder that may only be read
            os.utime(path, ns=(nanoseconds, nanoseconds))
    return True
