"""Wall time of a search whose proxy runs workers share, beside one process that makes them as many at once.

A trainer of SECONDS that takes no processor (as `sbatch --wait`, whose work is elsewhere), the texts of this Python
installation in their clusters, a run as far as these once and a copy of it for each search. Every search gives the same
bytes. Printed: seconds of the command from the first ask to the artifact, of which asks; runs.

    python benchmarks/mixture/shared_runs.py [--runs 24] [--seconds 1] [--method bayes] [--spread 2]
"""

import argparse
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time
from hashlib import blake2b
from pathlib import Path

ROOT = Path(__file__).parents[2]
TRAINER = """
import json, math, os, sys, time
from collections import Counter
asked = json.load(open(sys.argv[1]))
read = lambda paths: " ".join(json.loads(line)["text"] for path in paths for line in open(path))[:20000].split()
counts = Counter()
for bucket, weight in asked["weights"].items():
    words = read(asked["data"][bucket])
    for word in words:
        counts[word] += weight / len(words)
loss = lambda words: -sum(math.log(0.99 * counts[word] + 1e-4) for word in words) / len(words)
losses = {t: loss(read(paths)) for t, paths in asked["target_data"].items()}
time.sleep(float(sys.argv[3]))
json.dump({"losses": losses}, open(sys.argv[2], "w"))
open(os.path.join(os.path.dirname(__file__), "log"), "a").write("run\\n")
"""


def gristmill(*arguments: object) -> str:
    command = [sys.executable, "-m", "gristmill.pipeline.cli", *map(str, arguments)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT / ".src")}
    return subprocess.run(command, capture_output=True, text=True, env=environment, check=True).stderr


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--runs", type=int, default=24)
    parser.add_argument("--seconds", type=float, default=1.0)
    parser.add_argument("--method", default="bayes")
    parser.add_argument("--spread", type=int, default=2)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "train.py").write_text(TRAINER)
        line = f"{sys.executable} {folder}/train.py {{mixture}} {{metrics}} {options.seconds}"
        gristmill("sample-data", folder / "input")
        given = [ROOT / "configs" / "quickstart.yaml", f"input.paths={folder}/input/*.warc.gz"]

        def search(spread: int, workers: int) -> None:
            command = {"run": line, "tokens": 200000, "spread": spread, "at_once": options.spread // spread}
            mixture = [
                "mixture.proxy=command", f"mixture.method={options.method}", f"mixture.runs={options.runs}",
                f"mixture.command={json.dumps(command)}", "mixture.confirm.seeds=2",
            ]  # fmt: skip
            if not (folder / "base").exists():
                gristmill("run", *given, *mixture, "--out", folder / "base", "--until", "domain", "--workers", 2)
            out = folder / f"{spread}-{workers}"
            shutil.copytree(folder / "base", out)
            (folder / "log").write_text("")
            started = time.perf_counter()
            said = gristmill("run", *given, *mixture, "--out", out, "--until", "mixture", "--workers", workers)
            wall = time.perf_counter() - started
            found = re.findall(r"mixture(?: \((ask|round).*?\))? +([\d.]+) s", said)
            asks = sum(float(seconds) for kind, seconds in found if kind == "ask")
            phases = sum(float(seconds) for _, seconds in found)
            weights = out / "artifacts" / "mixture" / "weights.json"
            told = blake2b(weights.read_bytes() + weights.with_name("runs.parquet").read_bytes(), digest_size=4)
            print(
                f"spread {spread}, {workers} workers: {wall:.1f} s, of which search {phases:.1f}, asks {asks:.1f}; "
                f"{(folder / 'log').read_text().count('run')} runs; bytes {told.hexdigest()}",
                flush=True,
            )  # fmt: skip

        search(1, 1)
        search(options.spread, 1)
        search(options.spread, 2)


if __name__ == "__main__":
    main()
