"""Gristmill from Python: run a config, look at its plan, load a run as frames, apply stages to a frame.

The names are those of the command line; errors are GristmillError with the same messages.
"""

import json
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import polars as pl
import pyarrow as pa

from gristmill.pipeline.books.document.explain import explain as way_of
from gristmill.pipeline.books.ledger import read_books, read_fates
from gristmill.pipeline.books.stopped import headline, settled
from gristmill.pipeline.books.summary import summary, write_papers
from gristmill.pipeline.books.verify import verify as recount
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import make_importable
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Stage
from gristmill.pipeline.contract.state import read_state
from gristmill.pipeline.launch import Situation, describe, launch, refuse, survey
from gristmill.pipeline.plan.config import Recipe, Tree, override, read_config
from gristmill.pipeline.plan.plan import Plan, load_plan
from gristmill.pipeline.plan.steps import MEASURING
from gristmill.pipeline.recipe import ENABLED, known_keys, make_recipe
from gristmill.pipeline.run.engines.named import make_engine
from gristmill.pipeline.run.objects.reached import run_folder
from gristmill.pipeline.run.progress import Progress, make_progress
from gristmill.pipeline.run.shards import records, training_records
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.view import view_of

Config = str | Path | Mapping[str, object]


def run(
    config: Config, out: str | Path, *, workers: int = 1, until: str | None = None, quiet: bool = False,
    **settings: object,
) -> "Run":  # fmt: skip
    """Runs a config (a YAML file, or a mapping of its sections) into the folder `out`, and goes on where one stopped.

    settings: `section__key=value`, as `section.key=value` on the command line. Without `quiet` the progress and the
    summary are printed. Raises GristmillError for what the command line refuses, RunFailed where parts failed.
    """
    recipe, store = _recipe(config, settings), Store(run_folder(out))
    situation = survey(recipe, store, until)
    refuse(situation, store, False)
    engine = make_engine("local", workers, recipe.engine)
    try:
        entries = launch(recipe, situation, store, engine, until, _Silent() if quiet else make_progress(), write_papers)
    finally:
        engine.close()
    if not quiet:
        print("\n".join(summary(store, situation.plan, entries, until)))
    return load(out)


def plan(config: Config, out: str | Path, *, until: str | None = None, **settings: object) -> list[str]:
    """What `run` would do, redo and skip, and why; nothing is computed, no file is written, and no
    code that the config names is imported."""
    situation: Situation = survey(_recipe(config, settings, code=False), Store(run_folder(out)), until)
    return [*situation.notes, *describe(situation, until)]


def load(run: str | Path) -> "Run":
    """A run folder. Raises PlanError where it is none."""
    return Run(run_folder(run).absolute())


@dataclass(frozen=True)
class Run:
    """A finished, failed or stopped run; frames are read when they are asked for."""

    root: Path

    def __post_init__(self) -> None:
        load_plan(self.root / "plan.json", past=True)

    @cached_property
    def _store(self) -> Store:
        return Store(self.root)

    @cached_property
    def _plan(self) -> Plan:
        return settled(self._store, load_plan(self.root / "plan.json"))

    @property
    def stopped(self) -> list[str]:
        """Where a run that did not come to its end stopped, and why; empty for a finished one."""
        return list(headline(self._store))

    @property
    def books(self) -> pl.DataFrame:
        """A row per stage and rule: documents in, out and dropped by the rule (null: the stage's totals)."""
        rows: list[dict[str, object]] = []
        for entry in read_books(self._store):
            totals = {k: entry[k] for k in ("docs_in", "docs_out", "bytes_out", "tokens_out")}
            rows.append({"stage": entry["stage"], "rule": None, **totals, "dropped": None})
            dropped: Mapping[str, Mapping[str, int]] = entry["dropped"]  # pyright: ignore[reportAssignmentType]
            rows += [
                {"stage": entry["stage"], "rule": rule, **dict.fromkeys(totals), "dropped": total["docs"]}
                for rule, total in dropped.items()
            ]
        return pl.DataFrame(rows, infer_schema_length=None)

    @property
    def ledger(self) -> pl.DataFrame:
        """Every record of the input: doc_id (null for rejected records), url, and the stage and rule that ended it."""
        return pl.concat([fates for _, fates in read_fates(self._store, self._plan)])

    @property
    def corpus(self) -> pl.LazyFrame:
        """The rows that are trained on, of all phases; without the texts where the run wrote no Parquet."""
        return self._rows(training_records(self._store))

    def split(self, name: str) -> pl.LazyFrame:
        """The rows of a split of the corpus: a phase, or validation."""
        return self._rows(records(self._store, name))

    def _rows(self, shards: Iterable[Path]) -> pl.LazyFrame:
        paths = [str(p) for p in shards]
        if not paths:
            raise ConfigError(
                f"{self.root} holds no such rows: its run has not come so far, or its corpus no such split"
            )
        return pl.scan_parquet(paths, glob=False)

    def documents(self, *columns: str) -> pl.DataFrame:
        """doc_id and columns of any stage, of all documents that each of them has measured."""
        datasets: dict[str, list[str]] = {}
        for column in columns:
            dataset = self._plan.writer(column)
            if dataset is None:
                known = sorted({c for s in self._plan.steps if s.kind in MEASURING for c in s.writes})
                raise ConfigError(f"no stage of this run writes a column {column!r}; there are {', '.join(known)}")
            datasets.setdefault(dataset, []).append(column)
        frames = []
        store = view_of(self._store, self._plan)
        for part in self._plan.parts:
            if any(store.receipt(dataset, part.key) is None for dataset in datasets):
                continue
            found: pl.DataFrame | None = None
            for dataset, wanted in datasets.items():
                read = store.read(dataset, part.key, wanted)
                found = read if found is None else found.join(read, on="doc_id", maintain_order="left")
            if found is not None:
                frames.append(found.select("doc_id", *columns))
        return pl.concat(frames) if frames else pl.DataFrame({"doc_id": []}, schema={"doc_id": pl.String})

    @property
    def weights(self) -> pl.DataFrame:
        """A row per bucket of the mixture: natural share, weight, achieved share, epochs."""
        buckets = read_state(self.root / "mixture" / "weights.json", "buckets")["buckets"]
        return pl.DataFrame(buckets, infer_schema_length=None)

    @property
    def mixture(self) -> dict:
        """weights.json: how the mixture was found, and the verdict on it."""
        return read_state(self.root / "mixture" / "weights.json", "buckets")

    def explain(self, document: str) -> list[str]:
        """The whole way of a document, by doc_id or URL."""
        return way_of(self._store, self._plan, document)

    def verify(self) -> list[str]:
        """Recounts everything from the files. Raises BooksError at the first thing that does not hold."""
        return recount(self._store, self._plan)


def annotate(
    frame: pl.DataFrame | pa.Table, stages: Sequence[str], *, run: str | Path | None = None, **settings: object
) -> pl.DataFrame:
    """The frame with the columns of the named stages; a gate adds `<stage>_rule`, the rule that a row breaks.

    stages: "language", "signals", "gates", "license", "pii", ...: sections of a config, in any order. frame: `text` and
    whatever else they read; doc_id is made of the row's number where there is none. run: the folder of a run whose
    fitted models (embedding, clusters, quality) are used. settings: `section__key=value`.

    Raises ConfigError for a stage that there is not, a column that the frame lacks, a model that only a run has.
    """
    rows = pl.DataFrame(pl.from_arrow(frame)) if isinstance(frame, pa.Table) else frame
    if "doc_id" not in rows.columns:
        rows = rows.with_columns(doc_id=pl.format("row-{}", pl.int_range(pl.len())))
    if "text" in rows.columns:  # what the source makes of a text
        made = {"text_bytes": pl.col("text").str.len_bytes().cast(pl.Int64), "text_hash": pl.lit(None, pl.String)}
        rows = rows.with_columns(**{name: value for name, value in made.items() if name not in rows.columns})
    switched = {f"{name}__{ENABLED}": True for name in stages if ENABLED in known_keys().get(name, ())}
    recipe = _recipe({"input": {"paths": ["a frame"]}}, {**switched, **settings})
    sections = dict(zip(recipe.stages, recipe.sections, strict=True))
    known = list(dict.fromkeys(s for stage, s in sections.items() if isinstance(stage, Annotator | Gate)))
    for name in stages:
        if name not in known:
            raise ConfigError(f"no stage {name!r}; there are {', '.join(known)}")
    folder = None if run is None else Store(Path(run))
    for stage, section in sections.items():
        if section not in stages or not isinstance(stage, Annotator | Gate):
            continue
        rows = _applied(stage, section, rows, folder)
    return rows


def _applied(stage: Stage, section: str, rows: pl.DataFrame, folder: Store | None) -> pl.DataFrame:
    wanted = list(dict.fromkeys(c for columns in stage.reads.values() for c in columns))
    if missing := [c for c in wanted if c not in rows.columns]:
        raise ConfigError(
            f"{section} reads {', '.join(missing)}, which the frame has not; it has {', '.join(rows.columns)}. Apply "
            "the stage that makes it first, or add the column (null where nothing is known)"
        )
    batch = rows.select("doc_id", *wanted)
    if isinstance(stage, Gate):
        return rows.with_columns(stage.decide(batch).alias(f"{section}_rule"))
    assert isinstance(stage, Annotator)
    artifacts: Artifacts = {}
    if stage.needs:
        if folder is None or not all(folder.artifact(name).is_dir() for name in stage.needs):
            raise ConfigError(f"{section} needs {', '.join(stage.needs)} of a finished run; say run=FOLDER")
        artifacts = {name: folder.artifact(name) for name in stage.needs}
    made = stage.open(artifacts)(batch)
    return rows.with_columns(made.drop("doc_id").get_columns())


def _recipe(config: Config, settings: Mapping[str, object], code: bool = True) -> Recipe:
    if isinstance(config, Mapping):
        tree: Tree = json.loads(json.dumps(config, default=str))
        name = str(tree.get("name", "python"))
    else:
        path = Path(config)
        tree, name = read_config(path), path.stem
        make_importable(path.parent)
    given = [f"{key.replace('__', '.')}={json.dumps(value, default=str)}" for key, value in settings.items()]
    return make_recipe(override(tree, given), name, code)


class _Silent(Progress):
    """Shows nothing."""

    def say(self, line: str) -> None:
        return
