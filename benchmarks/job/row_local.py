"""CPU time of the row-local steps (ingest to gates and token counts), beside another checkout's on the same documents.

    PYTHONPATH=.src python benchmarks/job/row_local.py 100000 [--whole] [--base CHECKOUT] [--folder DIR]

Documents are made of the texts of this Python installation, cut and put together to some 3.3 kB each, as JSON lines.
The steps run with one worker in a process of their own; its CPU time (children too) is printed, and the ratio. With
`--whole` the whole run is measured, on two workers: wall time, CPU time, and the largest process. There the words of a
document are shuffled, so that no two share a sentence, and one host in twenty is a reference's. Each checkout runs WARM
documents first, so that its kernels are compiled as they are for every run but the first.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psutil

from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.stages.ingest import Ingest

ROOT = Path(__file__).parents[2]
BYTES = 3300  # of a document: the mean of extracted pages of Common Crawl, about
FILES = 8
WARM = 2000  # enough for a search and every kernel


def write_documents(folder: Path, documents: int, shuffled: bool = False) -> None:
    shards = write_sample_data(folder.parent / "demo", shards=1, max_docs=1500).shards
    stage = Ingest(paths=tuple(map(str, shards)))
    texts = [text for part in stage.parts() for text in stage.run(part)[0]["text"]]
    paragraphs = [p for text in texts for p in text.split("\n\n") if len(p) > 80]
    rng = np.random.default_rng(0)
    for number in range(FILES):
        with (folder / f"part-{number}.jsonl").open("w", encoding="utf-8") as out:
            for i in range(number, documents, FILES):
                text, size = [], 0
                while size < BYTES:
                    text.append(paragraphs[int(rng.integers(len(paragraphs)))][:1200])
                    size += len(text[-1])
                if shuffled:
                    text = [sentences(rng.permutation(paragraph.split()).tolist()) for paragraph in text]
                host = f"{'docs' if shuffled and i % 20 == 0 else 'www'}.site{i % 5000}.example"
                row = {"id": f"d{i}", "text": "\n\n".join(text), "url": f"https://{host}/{i}"}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def sentences(words: Sequence[str]) -> str:
    """The words of letters alone, in sentences of twelve."""
    kept = [word for word in words if word.isalpha()]
    return " ".join(f"{' '.join(kept[i : i + 12]).capitalize()}." for i in range(0, len(kept), 12))


@dataclass(frozen=True)
class Cost:
    cpu_s: float
    wall_s: float
    peak: int  # bytes of the largest process
    during: str  # what the run had said last when it was largest


def measured(checkout: Path, config: Path, out: Path, whole: bool) -> Cost:
    """Of the steps up to the token counts on one worker, or of the whole run on two."""
    new = (checkout / ".src").is_dir()
    command = [sys.executable, "-m", "gristmill.pipeline.cli" if new else "pipeline.cli", "run", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".src" if new else checkout)}
    command += ["--out", str(out), *(["--workers", "2"] if whole else ["--until", "ingest.tokens", "--workers", "1"])]
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    with out.with_suffix(".log").open("wb") as log:
        run = subprocess.Popen(command, env=environment, cwd=checkout, stdout=log, stderr=log)
        peak, during = 0, ""
        while run.poll() is None:
            if (size := largest(run.pid)) > peak:
                peak, during = size, " ".join(out.with_suffix(".log").read_text().split("\n")[-2:]).strip()[:60]
            time.sleep(0.2)
    if run.returncode:
        sys.exit(out.with_suffix(".log").read_text())
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Cost(cpu, time.monotonic() - began, peak, during)


def largest(pid: int) -> int:
    """Resident bytes of the largest of a process and its children."""
    peak = 0
    with suppress(psutil.Error):
        run = psutil.Process(pid)
        for process in (run, *run.children(recursive=True)):
            with suppress(psutil.Error):
                peak = max(peak, process.memory_info().rss)
    return peak


def said(cost: Cost) -> str:
    return f"{cost.wall_s:.1f} s, largest process {cost.peak / 1e6:,.0f} MB (after: {cost.during})"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int)
    parser.add_argument("--whole", action="store_true")
    parser.add_argument("--base", type=Path)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "in").mkdir()
        (folder / "few").mkdir()
        write_documents(folder / "in", arguments.documents, arguments.whole)
        write_documents(folder / "few", WARM, arguments.whole)
        config, warm = folder / "config.yaml", folder / "warm.yaml"
        for path, inputs in ((config, "in"), (warm, "few")):
            path.write_text(f"name: row-local\ninput:\n  paths: ['{folder}/{inputs}/*.jsonl']\n", encoding="utf-8")
        for checkout in (ROOT, arguments.base):
            if checkout:
                measured(checkout, warm, folder / f"warm-{checkout.name}", arguments.whole)
        ours = measured(ROOT, config, folder / "ours", arguments.whole)
        per = 1e6 * ours.cpu_s / arguments.documents
        print(f"this checkout  {ours.cpu_s:8.1f} CPU-s, {per:.0f} us per document; {said(ours)}", flush=True)
        if arguments.base:
            theirs = measured(arguments.base, config, folder / "base", arguments.whole)
            ratios = (
                f"{ours.cpu_s / theirs.cpu_s:.2f} of its CPU time, {ours.wall_s / theirs.wall_s:.2f} of its wall time"
            )
            print(f"{arguments.base.name:14} {theirs.cpu_s:8.1f} CPU-s; {said(theirs)}: {ratios}")


if __name__ == "__main__":
    main()
