"""Mutated archives and mutated pages through the whole ingest: no crash, no hang, the books balanced each time.

    gristmill sample-data demo && python benchmarks/ingest/fuzz_ingest.py demo [archives=20000] [pages=20000] [seed=1]

The argument is any folder of archives; ours were measured on ../shared/data/web.

Each case is checked: it ends within CASE_S, its two halves at a random cut hold the same records as the whole, every
rule is declared, ids are unique, texts are clean UTF-8. A crash or a hang of a worker process names the case's seed.
"""

import concurrent.futures as futures
import multiprocessing
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import polars as pl

sys.path.insert(0, str(Path(__file__).parents[2] / ".src"))
from gristmill.pipeline.contract.shapes import Part
from gristmill.stages.ingest import Ingest

CASE_S = 20.0
SMALL_BYTES = 120_000
SHAPES = (
    "<div>", "<b>", "<p><font a={i}>x", "<table><tr><td>", "<ul><li>", "<a><b><i><u>", "<svg>", "<blockquote>", "<!--",
    "<select><option>", "<template>", "<math><mi>", "<p a{i}=1 ", " b{i}=2", "</p>", "</b>", "<button>", "&#x",
    "<![CDATA[", "<script>", "<frameset>", "<form><input>", "<span class=comment>", "\x00", "<object>",
    "<nobr>", "<h1><h2>", "<body a{i}=1>",
)  # fmt: skip


def mutated(data: bytes, rng: np.random.Generator) -> bytes:
    """Bytes flipped, cut, repeated, swapped, inserted; one to eight times."""
    out = bytearray(data)
    for _ in range(int(rng.integers(1, 9))):
        if not out:
            return b""
        at, length = int(rng.integers(len(out))), int(rng.integers(1, 1 + min(len(out), 4000)))
        kind = int(rng.integers(7))
        if kind == 0:
            out[at] ^= 1 << int(rng.integers(8))
        elif kind == 1:
            del out[at : at + length]
        elif kind == 2:
            out[at:at] = out[at : at + length] * int(rng.integers(1, 4))
        elif kind == 3:
            other = int(rng.integers(len(out)))
            out[at : at + length] = out[other : other + length]
        elif kind == 4:
            out[at:at] = rng.bytes(min(length, 200))
        elif kind == 5:
            del out[at:]
        else:
            token = (
                b"\r\n\r\n",
                b"WARC/1.0\r\n",
                b"Content-Length: 99999999999\r\n",
                b"\x1f\x8b\x08",
                b"\n\n",
                b"\0" * 50,
            )
            out[at:at] = token[int(rng.integers(len(token)))]
    return bytes(out)


def mutated_page(data: bytes, rng: np.random.Generator) -> bytes:
    """A mutated page into which a tag may have been spliced up to 100,000 times."""
    if rng.random() < 0.5:
        shape, count = SHAPES[int(rng.integers(len(SHAPES)))], int(10 ** rng.uniform(0, 5))
        nest = "".join(shape.format(i=i) for i in range(count)) if "{" in shape else shape * count
        at = int(rng.integers(len(data) + 1))
        data = data[:at] + nest.encode() + data[at:]
    return mutated(data, rng) if rng.random() < 0.7 else data


def wrapped(page: bytes) -> bytes:
    block = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n" + page
    head = b"WARC/1.0\r\nWARC-Type: response\r\nWARC-Target-URI: http://a.example/\r\nContent-Length: %d\r\n\r\n"
    return head % len(block) + block + b"\r\n\r\n"


def check(name: str, data: bytes, rng: np.random.Generator) -> int:
    """Raises AssertionError; returns how many records the file holds."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / name
        path.write_bytes(data)
        stage = Ingest(paths=(str(path),), body_bytes=4 << 20)

        def read(start: int, end: int) -> tuple[pl.DataFrame, pl.DataFrame]:
            return stage.run(Part("k", str(path), name, start, end, ""))

        documents, rejected = read(0, len(data))
        assert documents.height + rejected.height > 0 or not data.strip(b"\r\n"), "no record, no rejection"
        assert documents["doc_id"].n_unique() == documents.height, "an id twice"
        assert set(rejected["rule"]) <= set(stage.rules), "an undeclared rule"
        assert not documents["text"].str.contains("\0", literal=True).any(), "NUL in a text"
        assert (documents["record_bytes"] >= documents["text_bytes"]).all(), "more text than record"
        cut = int(rng.integers(len(data) + 1))
        left, right = read(0, cut), read(cut, len(data))
        assert pl.concat([left[0], right[0]]).equals(documents), f"other documents when cut at {cut}"
        return documents.height + rejected.height


def case(kind: str, seed: int, sources: tuple[str, ...]) -> tuple[int, float]:
    """(records, seconds) of the case that `seed` names."""
    rng = np.random.default_rng([seed, kind == "page"])
    path = Path(sources[int(rng.integers(len(sources)))])
    start = time.perf_counter()
    data = path.read_bytes()
    if kind == "page":
        records = check("a.warc", wrapped(mutated_page(data, rng)), rng)
    else:
        records = check(path.name, mutated(data, rng), rng)
    seconds = time.perf_counter() - start
    assert seconds < CASE_S, f"{seconds:.1f} s"
    return records, seconds


def warm_up() -> None:
    """Compiles the kernels, which is no part of the first case."""
    check("a.warc", wrapped(b"<p>A page."), np.random.default_rng(0))


def sources_of(web: Path, folder: Path) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """(small archives below `web`, and beginnings of its shards; pages of its first shard), written to `folder`."""
    from fastwarc.warc import ArchiveIterator, WarcRecordType

    ends = (".gz", ".warc", ".arc", ".lz4", ".wet", ".wat")
    found = sorted(p for p in web.rglob("*") if p.name.endswith(ends) and p.is_file() and p.stat().st_size)
    small = [str(path) for path in found if path.stat().st_size < SMALL_BYTES]
    shards = [path for path in found if path.name.endswith(".warc.gz") and path.stat().st_size >= SMALL_BYTES]
    for shard in shards[:2]:
        starts = [record.stream_pos for record in ArchiveIterator(str(shard))]
        data = shard.read_bytes()
        for i in range(0, min(40, len(starts) - 5), 5):
            path = folder / f"{shard.stem}-{i}.warc.gz"
            path.write_bytes(data[starts[i] : starts[i + 5]][:SMALL_BYTES])
            small.append(str(path))
    pages = []
    for i, record in enumerate(ArchiveIterator(str(shards[0]), record_types=WarcRecordType.response)):
        path = folder / f"{i}.html"
        path.write_bytes(record.reader.read()[:SMALL_BYTES])
        pages.append(str(path))
    return tuple(small), tuple(pages)


def main() -> int:
    web = Path(sys.argv[1])
    counts = {"archive": int(sys.argv[2]) if len(sys.argv) > 2 else 20_000, "page": 20_000}
    counts["page"] = int(sys.argv[3]) if len(sys.argv) > 3 else 20_000
    first = int(sys.argv[4]) if len(sys.argv) > 4 else 1
    failures = 0
    with tempfile.TemporaryDirectory() as folder:
        archives, pages = sources_of(web, Path(folder))
        for kind, sources in (("archive", archives), ("page", pages)):
            begin, slowest, records = time.perf_counter(), (0.0, 0), 0
            context = multiprocessing.get_context("spawn")
            with futures.ProcessPoolExecutor(2, mp_context=context, initializer=warm_up) as pool:
                running = {pool.submit(case, kind, first + i, sources): first + i for i in range(counts[kind])}
                for done in futures.as_completed(running):
                    seed = running[done]
                    try:
                        found, seconds = done.result()
                        records, slowest = records + found, max(slowest, (seconds, seed))
                    except Exception as error:
                        failures += 1
                        print(f"{kind} seed {seed}: {type(error).__name__}: {error}", flush=True)
            print(
                f"{counts[kind]} {kind}s, {records} records, {time.perf_counter() - begin:.0f} s, "
                f"slowest {slowest[0]:.2f} s (seed {slowest[1]}), {failures} failures so far"
            )
    return 1 if failures else 0


if __name__ == "__main__":
    raise SystemExit(main())
