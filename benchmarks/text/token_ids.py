"""Token ids per second on one core: fastokens and gigatoken beside tokenizers, on the same texts and file.

    PYTHONPATH=.src RAYON_NUM_THREADS=1 python benchmarks/text/token_ids.py TOKENIZER.json FILE...

TOKENIZER.json is a `tokenizers` file (a run's: RUN/artifacts/ingest.tokenizer/tokenizer.json); FILEs are texts that
ingest reads (WARC, Parquet, JSONL). gigatoken is measured where it is installed.
"""

import os
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

os.environ.setdefault("RAYON_NUM_THREADS", "1")
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

import numpy as np

from gristmill.classifiers.tokenizer import open_encoder
from gristmill.stages.ingest import Ingest

LIMIT_BYTES = 40_000_000  # of text; the slowest takes 20 s for so much


def texts_of(paths: list[str]) -> list[str]:
    stage = Ingest(paths=tuple(paths))
    found: list[str] = []
    for part in stage.parts():
        found += stage.run(part)[0]["text"].to_list()
        if sum(len(t) for t in found) > LIMIT_BYTES:
            break
    return found


def gigatoken_counts(path: Path) -> Callable[[list[str]], np.ndarray] | None:
    try:
        import gigatoken
    except ImportError:
        return None
    from tokenizers import Tokenizer

    tokenizer = gigatoken.Tokenizer(Tokenizer.from_file(str(path)))
    return lambda texts: np.array([len(ids) for ids in tokenizer.encode_batch(texts)])


def main() -> None:
    path, texts = Path(sys.argv[1]), texts_of(sys.argv[2:])
    size = sum(len(t.encode()) for t in texts)
    print(f"{len(texts)} texts, {size / 1e6:.1f} MB")
    candidates: dict[str, Callable[[list[str]], np.ndarray]] = {
        library: open_encoder(path, library).counts for library in ("tokenizers", "fastokens")
    }
    other = gigatoken_counts(path)
    if other is not None:
        candidates["gigatoken"] = other
    reference = None
    for name, counts in candidates.items():
        for round_number in ("first", "second"):
            start = time.process_time()
            found = counts(texts)
            seconds = time.process_time() - start
            reference = found if reference is None else reference
            peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
            same = int((found == reference).sum())
            print(
                f"{name:10} {round_number:6} {size / 1e6 / seconds:8.1f} MB/s, {same} of {len(texts)} counts equal, "
                f"peak so far {peak:.0f} MB"
            )


if __name__ == "__main__":
    main()
