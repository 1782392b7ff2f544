"""An index across runs: what this run kept, as a segment that later runs are deduplicated against."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.shapes import Corpus, Part, Reads, Reducer
from gristmill.pipeline.contract.state import read_state
from gristmill.stages.dedup.components import SPREAD, band_keys, known_documents
from gristmill.stages.dedup.exact import halves_of
from gristmill.stages.dedup.index.manifest import Entry, add, check_parameters, read_manifest
from gristmill.stages.dedup.index.segments import FILES, known_inputs, known_run, older_segments, write_rows
from gristmill.stages.dedup.minhash import SCHEME, Scheme, Signatures
from gristmill.stages.dedup.near import Verified, fingerprints
from gristmill.stages.dedup.survival import KEEP, Preference, asked, bytes_of, ranks, read_for

COUNTS = "counts.json"


@dataclass(frozen=True)
class Near:
    """What the index takes from dedup.minhash."""

    enabled: bool = True
    scheme: Scheme = SCHEME
    keep: tuple[Preference, ...] = KEEP


NEAR = Near()


@dataclass(frozen=True)
class KeptIndex(Reducer):
    """The documents that deduplication looked at, and those that stay, for later runs; added when the run is finished.

    Beside the documents that stay it holds the texts and bands of those that left for them, so that a later run finds
    what it would have found in one run with this one. 40 bytes per text and 16 per band, sorted beyond memory.
    """

    # An index across runs, a folder: documents that an older run kept leave, exact and near-duplicates of them too, and
    # what this run keeps is added when it is finished. Runs take their places in the order in which they were added.
    index: str | None = None
    # Every near-duplicate is compared with the document that stays by the words of both texts, and leaves only where
    # their exact Jaccard similarity reaches dedup.minhash.min_similarity; 8 bytes per word of such documents travel.
    verify: bool = False
    near: Near = NEAR  # how near-duplicates are found
    run_id: str = ""  # of the run in the index
    inputs: tuple[str, ...] = ()  # digests of the input files that the run has had, of those of this plan last
    older: tuple[str, ...] = ()  # segments of the index that the documents are compared with
    name: ClassVar = "dedup.index"
    version: ClassVar = 2
    borrowed: ClassVar = {"near": ("dedup.minhash",), "run_id": (), "inputs": (), "older": ()}
    outside_identity: ClassVar = ("index", "run_id", "inputs")

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return self.index is not None

    @property
    def reads(self) -> Reads:
        own = {
            "ingest": ("text_hash",),
            "dedup.exact": ("exact_duplicate_of",),
            "dedup.signatures": ("minhash",),
            "dedup.components": (
                "minhash_component",
                *(("minhash_known",) if self.older and self.near.enabled else ()),
            ),
            "dedup.minhash": ("near_duplicate_of",),
            "dedup.references": ("is_held_out",),
        }
        if self.verify and self.near.enabled:
            own["ingest"] = ("text_hash", "text")
        return read_for(self.near.keep, own)

    def placed(self, parts: Sequence[Part], before: Sequence[object], earlier: Sequence[object]) -> "KeptIndex":
        older = older_segments(self.index, parts, before, earlier)
        run, inputs = known_run(parts, before), known_inputs(parts, before)
        if self.index is not None and (manifest := read_manifest(self.index)):
            manifest.place(self.index, run, inputs)
        return replace(self, older=older, run_id=run, inputs=inputs)

    def parameters(self) -> dict[str, object]:
        """What must be the same for the keys of two runs to compare."""
        near = {**asdict(self.near.scheme), "signatures": Signatures.version} if self.near.enabled else None
        return {"dedup.minhash.scheme": near, "dedup.verify": self.verify, "text_hash": "blake2b-128"}

    def preflight(self) -> None:
        if self.index is not None:
            check_parameters(self.index, self.parameters())

    def notes(self) -> list[str]:
        manifest = read_manifest(self.index) if self.index is not None else None
        if manifest is None:
            return [f"dedup.index {self.index} is empty: nothing is known from older runs"] if self.index else []
        before, there = manifest.before(self.run_id), manifest.place(str(self.index), self.run_id, self.inputs)
        held = ", ".join(f"{e.name} {e.documents:,}" for e in manifest.runs[-10:])
        more = f"{len(manifest.runs) - 10} more, " if len(manifest.runs) > 10 else ""
        said = [
            f"dedup.index {self.index} holds {plural(sum(e.documents for e in manifest.runs), 'document')} of "
            f"{plural(len(manifest.runs), 'run')} ({more}{held}); this run is compared with {len(before)} of them"
            + (f", which were added before it; it takes the place of {there.name}" if there else "")
        ]
        later = [e.name for e in manifest.runs[len(before) + 1 :]] if there else []
        if later:
            said.append(
                f"{', '.join(later)} came after this run and were compared with it: if it now keeps other documents, "
                "run them again, in this order"
            )
        return said

    def run(self, corpus: Corpus, out: Path) -> None:
        def written(file: str, frames: Iterator[pl.DataFrame]) -> int:
            return write_rows(out, file, corpus.ordered(frames, tuple(FILES[file])))

        near = ("minhash", "minhash_component", "is_held_out")
        texts = written("texts", map(texts_of, corpus.batches(("text_hash", "exact_duplicate_of"))))
        written("bands", (self.bands(batch) for batch in corpus.batches(near)))
        preferred = tuple(p.column.rpartition(".")[2] for p in self.near.keep)
        columns = dict.fromkeys((*near, "near_duplicate_of", *self.reads["ingest"][1:], *preferred))
        stays = 0

        def staying() -> Iterator[pl.DataFrame]:
            nonlocal stays
            for batch in corpus.batches(tuple(columns)):
                stays += batch["near_duplicate_of"].null_count()
                yield self.stays(batch)

        written("stays", staying())
        known = ("minhash_component", "minhash_known")
        at = "minhash_known" in self.reads["dedup.components"]
        written("joined", map(joined_of, corpus.batches(known)) if at else iter(()))
        (out / COUNTS).write_text(json.dumps({"texts": texts, "stays": stays}))

    def bands(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.drop_nulls("minhash")
        keys = band_keys(self.near.scheme, batch["minhash"])
        return pl.DataFrame({"key": keys, "component": np.repeat(components_of(batch), self.near.scheme.bands)})

    def stays(self, batch: pl.DataFrame) -> pl.DataFrame:
        batch = batch.filter(pl.col("minhash").is_not_null() & pl.col("near_duplicate_of").is_null())
        prints = fingerprints(self.near.scheme, Verified(self.verify), batch)
        order = bytes_of(asked(batch, self.near.keep))
        columns = {"key": pl.Series(components_of(batch)), "order": order, "print": prints}
        return batch.select("doc_id").with_columns(**columns).select(*FILES["stays"])

    def deliver(self, run: Finished) -> None:
        made = run.artifact(self.name)
        documents = int(read_state(made / COUNTS, "stays")["stays"])
        entry = Entry(self.run_id, run.root.resolve().name, "", documents, self.older, self.inputs[-1])
        add(str(self.index), made, entry, self.parameters(), self.inputs)

    def tell(self, run: Finished) -> Told:
        manifest = read_manifest(str(self.index))
        if manifest is None or all(e.run != self.run_id for e in manifest.runs):
            return Told()
        mine = next(e for e in manifest.runs if e.run == self.run_id)
        said = (
            f"{self.index}: compared with {plural(len(self.older), 'older run')}, "
            f"{plural(mine.documents, 'document')} added; it holds {plural(len(manifest.runs), 'run')}"
        )
        stale = [e.name for e in manifest.stale()]
        warnings = (
            f"dedup.index: {', '.join(stale)} compared with a run that was made anew since; the same commands once "
            "more, in this order, mend it",
        )
        return Told(summary=(("index", said),), warnings=warnings if stale else ())


def texts_of(batch: pl.DataFrame) -> pl.DataFrame:
    batch = batch.filter(pl.col("exact_duplicate_of").is_null())
    halves = halves_of(batch["text_hash"])
    return batch.select("doc_id").with_columns(key=pl.Series(halves[:, 0]), rest=pl.Series(halves[:, 1]))


def components_of(batch: pl.DataFrame) -> np.ndarray:
    """(n,) uint64: each document's component, or a number of its own."""
    alone = pl.Series(ranks(batch).to_numpy() * SPREAD)
    return batch["minhash_component"].fill_null(alone).to_numpy()


def joined_of(batch: pl.DataFrame) -> pl.DataFrame:
    known = known_documents(batch).select(key="older", component="minhash_component")
    return known.filter(pl.col("key") != pl.col("component"))
