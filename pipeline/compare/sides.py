"""One of two runs that are compared: its config, books and, file by file, the fate of every document."""

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl

from gristmill.pipeline.books.ledger import LEDGER, finished_parts, read_books
from gristmill.pipeline.books.stopped import headline, settled
from gristmill.pipeline.books.sums import with_columns
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.state import DamagedFile
from gristmill.pipeline.contract.yaml12 import YamlError, parse_yaml
from gristmill.pipeline.plan.plan import Plan, load_plan
from gristmill.pipeline.run.store import Store, read_parquet
from gristmill.pipeline.run.view import RunView

GROUPS = ("bucket", "language", "source")  # columns by which shares are compared, where a run has them
NAMED = {"sources": "name", "extra": "after"}  # lists of the config whose items have names


@dataclass(frozen=True)
class Side:
    """A run, cut to what it has done."""

    store: Store
    plan: Plan

    @cached_property
    def stopped(self) -> str:
        """Where the run stopped and why; "" for a run that came to its end."""
        return " ".join(headline(self.store))

    @cached_property
    def settings(self) -> dict[str, object]:
        """Dotted key -> value of the resolved config, without the engine's options, which change no result."""
        path = self.store.root / "config.yaml"
        try:
            tree = parse_yaml(path.read_text(encoding="utf-8"))
        except (OSError, YamlError) as error:
            raise DamagedFile(f"{path} cannot be read ({error}); the same gristmill run command writes it") from None
        flat = dict(_flat(tree, ""))
        return {key: value for key, value in flat.items() if not key.startswith("engine.")}

    @cached_property
    def versions(self) -> dict[str, int]:
        """Step -> version of its stage."""
        return {f"{step.name} ({step.kind})": step.stage.version for step in self.plan.steps}

    @cached_property
    def books(self) -> list[dict]:
        return read_books(self.store)  # pyright: ignore[reportReturnType]

    def inputs(self) -> dict[str, set[str]]:
        """Input file -> digests of its parts."""
        found: dict[str, set[str]] = {}
        for part in self.plan.parts:
            found.setdefault(part.name, set()).add(part.digest)
        return found

    def artifact(self, name: str) -> str:
        """Digest of an artifact's content; "" where the run has none."""
        receipt = self.store.artifact_receipt(name)
        return receipt.content if receipt else ""

    @cached_property
    def keys(self) -> dict[str, list[str]]:
        """Input file -> keys of its parts whose records have fates."""
        found: dict[str, list[str]] = {}
        for part in finished_parts(self.store, self.plan):
            found.setdefault(part.name, []).append(part.key)
        return found

    def documents(self, name: str) -> pl.DataFrame:
        """The documents of one input file: LEDGER columns, GROUPS (null where the run has none), `copies`.

        `copies`: 0 for a dropped document; of a run that did not come to sampling 1 for one that is still kept.
        """
        frames = [self._part(key) for key in self.keys.get(name, ())]
        empty = pl.DataFrame(LEDGER.empty_table()).with_columns(
            copies=pl.lit(0, pl.Int64), **{group: pl.lit(None, pl.String) for group in GROUPS}
        )
        return pl.concat([empty, *frames])

    def _part(self, key: str) -> pl.DataFrame:
        fates = read_parquet(self.store.data("ledger", key)).drop_nulls("doc_id")
        kept = pl.col("stage").is_null()
        fates = fates.with_columns(copies=pl.when(kept).then(pl.col("copies_n").fill_null(1)).otherwise(0))
        for group in GROUPS:
            values = with_columns(self.store, self.plan, key, fates.select("doc_id"), (group,))
            if values is None:
                fates = fates.with_columns(pl.lit(None, pl.String).alias(group))
            else:
                fates = fates.join(values.cast({group: pl.String}), on="doc_id", how="left", maintain_order="left")
        return fates


def open_side(folder: Path) -> Side:
    """Raises ConfigError for what is no run folder, DataError for a run that has not finished one part."""
    if not folder.is_dir():
        raise ConfigError(f"no run folder {folder}")
    plan = load_plan(folder / "plan.json")
    store = RunView(Store(folder), plan)
    return Side(store, settled(store, plan))


def _flat(value: object, key: str) -> Iterator[tuple[str, object]]:
    named = NAMED.get(key)
    if isinstance(value, dict):
        for name, inner in value.items():
            yield from _flat(inner, f"{key}.{name}" if key else str(name))
    elif named is not None and isinstance(value, list) and all(isinstance(v, dict) and named in v for v in value):
        for item in value:
            yield from _flat(item, f"{key}.{item[named]}")
    else:
        yield key, value
