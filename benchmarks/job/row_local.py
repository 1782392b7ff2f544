"""CPU time of the row-local steps (ingest to gates and token counts), beside another checkout's on the same documents.

    PYTHONPATH=.src python benchmarks/job/row_local.py 100000 [--base CHECKOUT] [--folder DIR]

Documents are made of the texts of this Python installation, cut and put together to some 3.3 kB each, as JSON lines.
The steps run with one worker in a process of their own; its CPU time (children too) is printed, and the ratio.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

from gristmill.pipeline.demo.shards import write_sample_data
from gristmill.stages.ingest import Ingest

ROOT = Path(__file__).parents[2]
BYTES = 3300  # of a document: the mean of extracted pages of Common Crawl, about
FILES = 8


def write_documents(folder: Path, documents: int) -> None:
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
                row = {"id": f"d{i}", "text": "\n\n".join(text), "url": f"https://site{i % 5000}.example/{i}"}
                out.write(json.dumps(row, ensure_ascii=False) + "\n")


def measured(checkout: Path, config: Path, out: Path) -> float:
    """CPU seconds of the steps up to the token counts."""
    new = (checkout / ".src").is_dir()
    command = [sys.executable, "-m", "gristmill.pipeline.cli" if new else "pipeline.cli", "run", str(config)]
    environment = {**os.environ, "PYTHONPATH": str(checkout / ".src" if new else checkout)}
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run(
        [*command, "--out", str(out), "--until", "ingest.tokens", "--workers", "1"],
        check=True, env=environment, cwd=checkout, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("documents", type=int)
    parser.add_argument("--base", type=Path)
    parser.add_argument("--folder", type=Path)
    arguments = parser.parse_args()
    with tempfile.TemporaryDirectory(dir=arguments.folder) as name:
        folder = Path(name)
        (folder / "in").mkdir()
        write_documents(folder / "in", arguments.documents)
        config = folder / "config.yaml"
        config.write_text(f"name: row-local\ninput:\n  paths: ['{folder}/in/*.jsonl']\n", encoding="utf-8")
        ours = measured(ROOT, config, folder / "ours")
        print(f"this checkout  {ours:8.1f} CPU-s, {1e6 * ours / arguments.documents:.0f} us per document")
        if arguments.base:
            theirs = measured(arguments.base, config, folder / "base")
            print(f"{arguments.base.name:14} {theirs:8.1f} CPU-s, ratio {ours / theirs:.2f}")


if __name__ == "__main__":
    main()
