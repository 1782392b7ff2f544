"""What the composition modes gain: climb, both and quadmix on English texts of twenty kinds, through the whole recipe.

    python benchmarks/mixture/modes.py [--data FOLDER] DIR                 # n-gram judge, 10 seeds
    python benchmarks/mixture/modes.py DIR --judge gpt     # fresh decoders judge (an hour on 2 cores)

Documents of all kinds go in as JSONL, labels hidden; text held back from two kinds is the objective, other text of the
two the references of the quality model. The confirmation of each mode compares its corpus with that of the natural
mixture and with climb's, on draws of the documents and pieces of target text that no search saw.
"""

import argparse
import json
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from domains import Document, read, split
from proxies import TWENTY

ROOT = Path(__file__).parents[2]


def write(path: Path, documents: list[Document]) -> None:
    lines = [json.dumps({"text": d.text, "url": f"http://pages.test/{d.doc_id}"}) for d in documents]
    path.write_text("".join(line + "\n" for line in lines), encoding="utf-8")


def prepare(folder: Path, targets: list[str], chars: int, held: int) -> None:
    pool: list[Document] = []
    references: list[Document] = []
    for name in TWENTY:
        documents = read(name, chars + (2 * held if name in targets else 0))
        if name in targets:
            documents, back = split(documents, 2 * held / (chars + 2 * held))
            aims, good = split(back, held / (chars + 2 * held))
            references += good
            write(folder / f"{name}.jsonl", aims)
        pool += documents
    for i in range(4):
        (folder / "input").mkdir(exist_ok=True)
        write(folder / "input" / f"{i}.jsonl", pool[i::4])
    write(folder / "references.jsonl", references)


def run(folder: Path, out: str, settings: list[str]) -> float:
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(ROOT / "configs" / "commoncrawl.yaml")]
    began = time.monotonic()
    done = subprocess.run(
        [*command, *settings, "--out", str(folder / out), "--workers", "1"],
        env={**os.environ, "PYTHONPATH": str(ROOT / ".src")}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    if done.returncode:
        sys.exit(done.stdout + done.stderr)
    return time.monotonic() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", type=Path)
    parser.add_argument("--targets", nargs=2, default=["brown_genres", "wikipedia"], metavar="KIND")
    parser.add_argument("--chars", type=int, default=300_000, help="of each kind, about")
    parser.add_argument("--held-chars", type=int, default=150_000, help="of each target; as many are references")
    parser.add_argument("--share", type=float, default=0.25, help="of the tokens that the corpus holds")
    parser.add_argument("--judge", choices=["ngram", "gpt"], default="ngram")
    parser.add_argument("--judge-tokens", type=int, default=300_000, help="that a decoder trains on")
    parser.add_argument("--seeds", type=int, default=10)
    parser.add_argument("--settings", nargs="*", default=[], help="further section.key=value")
    parser.add_argument("--modes", nargs="*", default=["climb", "both", "quadmix"])
    args = parser.parse_args()
    folder: Path = args.folder.resolve()
    folder.mkdir(parents=True, exist_ok=True)
    prepare(folder, args.targets, args.chars, args.held_chars)
    validation = json.dumps([str(folder / f"{t}.jsonl") for t in args.targets])
    confirm = json.dumps(
        {"proxy": args.judge, "seeds": args.seeds, "gpt": {"tokens": args.judge_tokens, "together": 3}}
    )
    settings = [
        f"input.paths={folder}/input/*.jsonl", f'dedup.references.paths=["{folder}/references.jsonl"]',
        "gates.presets=[]", "tokenizer.vocab_size=4096", f"mixture.validation={validation}",
        "dedup.references.held_out_frac=0.1", f"mixture.budget_share={args.share}", f"mixture.confirm={confirm}",
        *args.settings,
    ]  # fmt: skip
    seconds = run(folder, "base", [*settings, "--until", "domain.bucket"])
    print(f"until the buckets {seconds:.0f} s", flush=True)
    print("| mode | minus | difference | 95% interval | better in |\n|---|---|--:|--:|--:|")
    for mode in args.modes:
        shutil.rmtree(folder / mode, ignore_errors=True)
        shutil.copytree(folder / "base", folder / mode)
        seconds = run(folder, mode, [*settings, f"mixture.mode={mode}"])
        found = json.loads((folder / mode / "mixture" / "weights.json").read_text(encoding="utf-8"))
        for c in (found["confirm"] or {"comparisons": []})["comparisons"]:
            interval = f"{c['low']:+.4f} to {c['high']:+.4f}"
            print(
                f"| {mode} | {c['baseline']} | {c['difference']:+.4f} | {interval} | {c['better_in']} of {c['seeds']} |"
            )
        said = found["search"].get("parameters", {})
        facts = {k: v for k, v in said.items() if k not in ("buckets", "criteria")}
        off = max(abs(b["achieved_share"] - b["weight"]) for b in found["buckets"])
        print(
            f"  {mode}: {seconds:.0f} s, {len(found['buckets'])} buckets, shares missed by {off:.4f} at most; {facts}"
        )
        print(f"  {found['verdict']}", flush=True)


if __name__ == "__main__":
    main()
