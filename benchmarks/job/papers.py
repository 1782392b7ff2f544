"""Books, card, report, seal and `verify` of a finished run: memory per document and time, each in a process of its own.

    PYTHONPATH=.src python benchmarks/job/papers.py 100000 1000000 [--run RUN] [--only verify] [--keep DIR]

A run of 4,000 made documents (`row_local.py`) is copied as often as asked, each copy as a part with ids of its own and
texts cut to 200 characters, so that what the parent process does with a whole run is measured without the run. `held`
is the peak over what the process holds after the same call on the run itself, divided by the documents.
"""

import argparse
import gc
import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import polars as pl

from gristmill.pipeline.books.ledger import books
from gristmill.pipeline.books.seal import write_seal
from gristmill.pipeline.books.summary import write_papers
from gristmill.pipeline.books.sums import added, read_sums, sums_of, with_sums
from gristmill.pipeline.books.verify import verify
from gristmill.pipeline.contract.state import write_json, write_parquet
from gristmill.pipeline.plan.plan import Plan, load_plan
from gristmill.pipeline.run.receipts.receipt import Receipt, finish
from gristmill.pipeline.run.shards import RECEIPTS, gather_receipt_path, records, shard_path
from gristmill.pipeline.run.store import REJECTED_DATASET, Store, digest_file, read_parquet
from gristmill.pipeline.run.view import RunView

DOCUMENTS = 4000  # of the run that is copied
CHARS = 200  # of a text
SHARD_COPIES = 50  # that one output shard holds
IDS = ("doc_id", "stays_doc_id", "exact_duplicate_of", "near_duplicate_of")
CALLS: dict[str, Callable[[Store, Plan], object]] = {
    "books": lambda store, plan: books(view := RunView(store, plan), plan, sums_of(view, plan)),
    "papers": lambda store, plan: write_papers(RunView(store, plan), plan),
    "seal": lambda store, plan: write_seal(RunView(store, plan)),
    "verify": verify,
}


def make_run(folder: Path) -> Path:
    from row_local import write_documents

    (folder / "in").mkdir(parents=True)
    write_documents(folder / "in", DOCUMENTS, shuffled=True)
    config = folder / "config.yaml"
    config.write_text(f"name: papers\ninput:\n  paths: ['{folder}/in/*.jsonl']\n", encoding="utf-8")
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(config), "--out", str(folder / "run")]
    subprocess.run([*command, "--workers", "2"], check=True, stdout=subprocess.DEVNULL)
    return folder / "run"


def renamed(frame: pl.DataFrame, copy: int) -> pl.DataFrame:
    ids = [(pl.lit(f"{copy:06x}") + pl.col(c).str.slice(6)).alias(c) for c in IDS if c in frame.columns]
    texts = [pl.col("text").str.slice(0, CHARS)] if "text" in frame.columns else []
    return frame.with_columns(*ids, *texts)


def multiply(source: Path, out: Path, copies: int) -> None:
    """All parts of the run become one, which is written `copies` times."""
    plan, store, old = load_plan(source / "plan.json"), Store(out), Store(source)
    keys = [f"copy-{i:06d}" for i in range(copies)]
    out.mkdir(parents=True)
    for name in ("artifacts", "config.yaml", "mixture"):
        subprocess.run(["cp", "-r", str(source / name), str(out / name)], check=True)
    parts = [replace(plan.parts[0], name=key, key=key) for key in keys]
    write_json(out / "plan.json", Plan(plan.name, plan.config_digest, plan.steps, tuple(parts)).as_json())
    datasets = [s.name for s in plan.steps if s.kind not in ("reducer", "sink")]
    for dataset in [*datasets, REJECTED_DATASET, "ledger"]:
        whole = pl.concat(read_parquet(old.data(dataset, p.key)) for p in plan.parts)
        schema = read_schema(old.data(dataset, plan.parts[0].key))
        if dataset == REJECTED_DATASET:
            (out / dataset).mkdir()
            for key in keys:
                write_parquet(store.data(dataset, key), whole.to_arrow().cast(schema))
            continue
        receipts = [r for p in plan.parts if (r := old.receipt(dataset, p.key)) is not None]
        docs_in, docs_out = sum(r.docs_in for r in receipts), sum(r.docs_out for r in receipts)
        sums = added(read_sums(old, p.key) for p in plan.parts)
        for i, key in enumerate(keys):
            table = renamed(whole, i).to_arrow().cast(schema)
            table = with_sums(table, sums) if dataset == "ledger" else table
            store.write_table(dataset, key, table, replace(receipts[0], docs_in=docs_in, docs_out=docs_out))
    rows = pl.concat(read_parquet(path) for path in records(old))
    schema = read_schema(next(iter(records(old))))
    count = -(-copies // SHARD_COPIES)
    (out / RECEIPTS).mkdir()
    for number in range(count):
        unit = f"{number:05d}-of-{count:05d}"
        path = shard_path(store, unit)
        path.parent.mkdir(parents=True, exist_ok=True)
        mine = range(number * SHARD_COPIES, min(copies, (number + 1) * SHARD_COPIES))
        write_parquet(path, (renamed(rows, i).to_arrow().cast(schema) for i in mine))
        receipt = Receipt("", "", "", rows.height * len(mine), rows.height * len(mine))
        done = finish(receipt, digest_file(path), path.stat().st_size)
        write_json(gather_receipt_path(store, unit), vars(done))
    made = load_plan(out / "plan.json")
    write_json(out / "ledger.json", books(RunView(store, made), made, sums_of(RunView(store, made), made)))
    write_papers(RunView(store, made), made)
    write_seal(RunView(store, made))


def read_schema(path: Path):
    import pyarrow.parquet as pq

    return pq.read_schema(path)


def measure(first: Path, run: Path, name: str) -> None:
    """In a process of its own: prints peak, growth and CPU seconds."""
    from reducers import resident

    CALLS[name](Store(first), load_plan(first / "plan.json"))
    gc.collect()
    Path("/proc/self/clear_refs").write_text("5")  # the peak begins anew (Linux)
    before, began = resident("VmRSS"), time.process_time()
    CALLS[name](Store(run), load_plan(run / "plan.json"))
    seconds, peak = time.process_time() - began, resident("VmHWM")
    print(json.dumps({"peak": peak, "growth": peak - before, "seconds": seconds}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int, nargs="+")
    parser.add_argument("--run", type=Path, help="a finished run of about 4,000 documents to copy")
    parser.add_argument("--only", default=",".join(CALLS))
    parser.add_argument("--keep", type=Path, help="where the copies are made, or lie from a call before")
    parser.add_argument("--measure", nargs=2, type=Path, help=argparse.SUPPRESS)
    a = parser.parse_args()
    if a.measure:
        measure(*a.measure, a.only)
        return
    with tempfile.TemporaryDirectory() as name:
        folder = a.keep or Path(name)
        runs = {n: folder / str(n) for n in (DOCUMENTS, *a.documents)}
        missing = [n for n, run in runs.items() if not (run / "seal.json").is_file()]
        source = (a.run or make_run(folder / "source")) if missing else folder
        for n in missing:
            multiply(source, runs[n], max(1, round(n / DOCUMENTS)))
        print(f"{'call':8} {'documents':>10} {'held, B/doc':>12} {'peak, MB':>9} {'CPU us per document':>20}")
        for call in a.only.split(","):
            for n in a.documents:
                command = [sys.executable, __file__, str(n), "--only", call, "--measure", str(runs[DOCUMENTS])]
                done = subprocess.run([*command, str(runs[n])], capture_output=True, text=True, check=False)
                if done.returncode:
                    print(f"{call:8} {n:10,} {done.stderr.strip().splitlines()[-1]}")
                    continue
                found = json.loads(done.stdout.splitlines()[-1])
                held, per = found["growth"] / n, 1e6 * found["seconds"] / n
                print(f"{call:8} {n:10,} {held:12,.0f} {found['peak'] / 1e6:9,.0f} {per:20.1f}", flush=True)


if __name__ == "__main__":
    main()
