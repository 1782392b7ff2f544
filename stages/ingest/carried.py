"""Finds one type for each column of the input that the corpus carries, over all documents that it holds."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

from gristmill.pipeline.contract.carried.types import common_types
from gristmill.pipeline.contract.shapes import Corpus, Reads, Reducer

TYPES = "types.json"


@dataclass(frozen=True)
class CarriedColumns(Reducer):
    """Unites the types that the sources' columns have: types.json, by column."""

    keep_columns: tuple[str, ...] = ()  # as in the source
    name: ClassVar = "ingest.carried"
    version: ClassVar = 1
    reads: ClassVar[Reads] = {"ingest": ("carried_types",)}

    @property
    def enabled(self) -> bool:  # pyright: ignore[reportIncompatibleVariableOverride]
        return bool(self.keep_columns)

    def run(self, corpus: Corpus, out: Path) -> None:
        types: set[str] = set()
        for batch in corpus.batches():
            types.update(batch["carried_types"].drop_nulls().unique())
        (out / TYPES).write_text(json.dumps(common_types(types), indent=1, ensure_ascii=False), encoding="utf-8")
