"""Personal data: speed per core, recall on planted ones, and what is found in texts with little of it, to be read.

    python benchmarks/text/pii.py --texts domains/en [--documents 2000] [--show 40]

Texts: *.jsonl.zst with `text` (and `url`, `lang`), and 600 files of this Python's standard library as code. What is
planted is made by the test of the stage (tests/stages/pii/planted.py), here 2,000 of each kind with another seed.
"""

import argparse
import random
import sys
import sysconfig
import time
from collections import defaultdict
from pathlib import Path

import polars as pl

from gristmill.classifiers.pii.find import KINDS, find_personal
from gristmill.pipeline.contract.texts import read_records
from gristmill.stages.pii import Pii

PLANTED = 2000
FRONTS = ("Contact: ", "It is ", "(", "Please note ", "mine: ")


def recall() -> None:
    sys.path.insert(0, str(Path(__file__).parents[2] / "tests" / "stages" / "pii"))
    from planted import planted

    rng = random.Random(7)
    for kind in ("email", "phone", "ip", "iban", "card", "secret"):
        things = [planted(rng, kind, i) for i in range(PLANTED)]
        texts = pl.Series([f"The mill stands by the river.\n{rng.choice(FRONTS)}{t}, as agreed.\n" for t in things])
        found = find_personal(texts, pl.Series(["en"] * PLANTED), pl.Series(["http://a.com/"] * PLANTED))
        whole = found.data.tobytes()
        right = {(t, whole[a:b].decode()) for t, a, b, k in found.spans.tolist() if KINDS[k] == kind}
        print(f"planted {kind}: {sum((i, t) in right for i, t in enumerate(things))} of {PLANTED} found whole")


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("--texts", type=Path, required=True)
    arguments.add_argument("--documents", type=int, default=2000)
    arguments.add_argument("--show", type=int, default=40, help="findings of each kind to print")
    a = arguments.parse_args()
    rng = random.Random(0)
    rows: list[tuple[str, str, str, str]] = []
    for path in sorted(a.texts.rglob("*.jsonl.zst")):
        mine = [
            (path.name, str(r["text"]), str(r.get("url") or ""), "en") for _, r in read_records(str(path), "--texts")
        ]
        rows += rng.sample(mine, min(len(mine), max(1, a.documents // len(list(a.texts.rglob("*.jsonl.zst"))))))
    code = sorted(Path(sysconfig.get_paths()["stdlib"]).rglob("*.py"))
    code = [p for p in code if "site-packages" not in p.parts and "test" not in p.parts]
    rows += [(p.name, p.read_text("utf-8", "ignore"), "", "en") for p in rng.sample(code, min(len(code), 600))]
    frame = pl.DataFrame(rows, schema=["name", "text", "url", "language"], orient="row")
    frame = frame.with_row_index("n").with_columns(
        doc_id=pl.col("n").cast(pl.String), text_hash=pl.lit(None, pl.String)
    )
    annotate = Pii(enabled=True).open({})
    annotate(frame[:20])
    size = frame["text"].str.len_bytes().sum() / 1e6
    for name, act in (("found", lambda: find_personal(frame["text"], frame["language"], frame["url"])),
                      ("replaced", lambda: annotate(frame))):  # fmt: skip
        started = time.process_time()
        act()
        print(
            f"{name}: {frame.height:,} texts, {size:.1f} MB, {size / (time.process_time() - started):.0f} MB/s per core"
        )
    recall()
    found = find_personal(frame["text"], frame["language"], frame["url"])
    whole = found.data.tobytes()
    by_kind = defaultdict(list)
    for text, start, end, kind in found.spans.tolist():
        around = (whole[max(0, start - 50) : start], whole[start:end], whole[end : end + 30])
        by_kind[KINDS[kind]].append((frame["name"][text], *(part.decode("utf-8", "replace") for part in around)))
    for kind in KINDS:
        mine = by_kind[kind]
        print(f"\n{kind}: {len(mine)}")
        shown = [m for m in mine if not (m[0].startswith("chat_irc") and kind == "email")]
        for name, before, what, after in rng.sample(shown, min(len(shown), a.show)):
            print(f"  {name[:24]:24} {before!r} [[ {what!r} ]] {after!r}")


if __name__ == "__main__":
    main()
