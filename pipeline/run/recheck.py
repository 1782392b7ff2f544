"""Digests every file of a run folder that a receipt speaks for, and takes away the receipts that no longer hold."""

from pathlib import Path

from gristmill.pipeline.contract.corpus.splits import unit_of_mark
from gristmill.pipeline.plan.identity import digest_file, digest_folder
from gristmill.pipeline.run.session import locked
from gristmill.pipeline.run.shards import record_path, size_of
from gristmill.pipeline.run.store import REJECTED_DATASET, Store, read_receipt


def forget_changed(store: Store) -> list[str]:
    """Removes the receipt of every file or artifact that is gone or holds something else, so that the run makes it
    again; returns their paths below the folder. A resume itself looks at sizes and times only."""
    if not store.root.is_dir():
        return []
    with locked(store.root):
        wrong = [p for p in sorted(store.root.rglob("*.receipt.json")) if not holds(store, p)]
        for path in wrong:
            path.unlink()
    return [proved_by(store, path).relative_to(store.root).as_posix() for path in wrong]


def proved_by(store: Store, receipt_path: Path) -> Path:
    name = receipt_path.name.removesuffix(".receipt.json")
    if receipt_path.parent == store.root / "artifacts":
        return store.artifact(name)
    if receipt_path.parent == store.root / "corpus.receipts":
        return record_path(store, unit_of_mark(name))
    return receipt_path.with_name(name if name.endswith(".slices") else f"{name}.parquet")


def holds(store: Store, receipt_path: Path) -> bool:
    receipt, path = read_receipt(receipt_path), proved_by(store, receipt_path)
    if receipt is None or not path.exists():
        return False
    if path.is_dir():
        return digest_folder(path) == receipt.content
    if any(size_of(p := store.root / n) != size or digest_file(p) != d for n, (d, size) in receipt.files.items()):
        return False
    rejected = store.data(REJECTED_DATASET, path.stem)
    if receipt.rejected and not (rejected.is_file() and digest_file(rejected) == receipt.rejected):
        return False
    return receipt.content in ("", digest_file(path))
