"""The standard recipe: config sections to stages in order. The only module that knows the stages."""

from collections.abc import Iterator, Mapping
from dataclasses import fields
from typing import get_type_hints

import polars as pl

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Stage
from gristmill.pipeline.plan.config import Recipe, Tree, build, check_keys, plain, section
from gristmill.pipeline.plan.identity import load_class
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store
from gristmill.stages.clean import Clean, CleanGate
from gristmill.stages.cluster import AssignCluster, Cluster, ClusterGate
from gristmill.stages.dedup.exact import ExactDuplicates, ExactGate, ExactGroups
from gristmill.stages.dedup.held_out import HeldOutGate, HeldOutTexts
from gristmill.stages.dedup.minhash import MinhashGroups, NearDuplicates, NearGate, Signatures
from gristmill.stages.dedup.references import ReferenceFlags, References
from gristmill.stages.domain import Bucket, Domain
from gristmill.stages.embed import Embed, EmbedModel
from gristmill.stages.export.parquet import ParquetCorpus
from gristmill.stages.gates import Gates
from gristmill.stages.ingest import Ingest
from gristmill.stages.language.estimate import LIMITS, estimate_limits, estimate_stop_words, to_yaml
from gristmill.stages.language.identify import Language, LanguageGate
from gristmill.stages.license import License, LicenseGate
from gristmill.stages.mixture.stage import Mixture
from gristmill.stages.mixture.standalone.command import add_arguments as add_search_arguments
from gristmill.stages.mixture.standalone.command import search_command
from gristmill.stages.quadmix import Quadmix, QuadmixTables
from gristmill.stages.quality.model import QualityModel
from gristmill.stages.quality.score import Quality, QualityGate
from gristmill.stages.sample import Sample, SampleGate, SamplePlan
from gristmill.stages.signals import Signals
from gristmill.stages.tokens import TokenizerModel, Tokens

__all__ = [
    "STANDARD",
    "add_search_arguments",
    "borrowed_fields",
    "known_keys",
    "language_statistics",
    "make_recipe",
    "search_command",
]

# (config section, stage) in the order in which a document meets them. One whose `enabled` is false is left out.
STANDARD: tuple[tuple[str, type], ...] = (
    ("input", Ingest),
    ("language", Language),
    ("language", LanguageGate),
    ("license", License),
    ("license", LicenseGate),
    ("clean", Clean),
    ("clean", CleanGate),
    ("signals", Signals),
    ("gates", Gates),
    ("tokenizer", TokenizerModel),
    ("tokenizer", Tokens),
    ("dedup.references", References),
    ("dedup.references", ReferenceFlags),
    ("dedup.exact", ExactGroups),
    ("dedup.exact", ExactDuplicates),
    ("dedup.exact", ExactGate),
    ("dedup.minhash", Signatures),
    ("dedup.minhash", MinhashGroups),
    ("dedup.minhash", NearDuplicates),
    ("dedup.minhash", NearGate),
    ("dedup.held_out", HeldOutTexts),
    ("dedup.held_out", HeldOutGate),
    ("quality", QualityModel),
    ("quality", Quality),
    ("quality", QualityGate),
    ("embed", EmbedModel),
    ("embed", Embed),
    ("cluster", Cluster),
    ("cluster", AssignCluster),
    ("cluster", ClusterGate),
    ("domain", Domain),
    ("domain.bucket", Bucket),
    ("mixture", Mixture),
    ("quadmix", QuadmixTables),
    ("quadmix", Quadmix),
    ("sample", SamplePlan),
    ("sample", Sample),
    ("sample", SampleGate),
    ("corpus", ParquetCorpus),
)

ENGINE_KEYS = ("slurm", "ray")


def known_keys() -> dict[str, list[str]]:
    """Dotted section -> its keys, in the order of the dataclasses."""
    known: dict[str, list[str]] = {"": ["name", "extra", "engine"], "engine": list(ENGINE_KEYS)}
    for path, cls in STANDARD:
        keys = known.setdefault(path, [])
        keys += [f.name for f in fields(cls) if f.name not in keys and f.name not in borrowed_fields(cls)]
    return known


def make_recipe(tree: Tree, default_name: str) -> Recipe:
    """Raises ConfigError for anything in the config that cannot be meant."""
    known = known_keys()
    shallow = {s: k for s, k in known.items() if s not in ("engine",)}
    check_keys({k: v for k, v in tree.items() if k != "engine"}, shallow)
    name = tree.get("name", default_name)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"name: a string; got {name!r}")
    stages: list[Stage] = []
    resolved: Tree = {"name": name}
    for path, cls in STANDARD:
        stage = build(cls, {**section(tree, path), **borrowed(cls, tree)}, path)
        if getattr(stage, "enabled", True):
            stages.append(stage)  # pyright: ignore[reportArgumentType]
        node = resolved
        for part in path.split("."):
            node = node.setdefault(part, {})  # pyright: ignore
        node.update({k: v for k, v in plain(stage).items() if k not in borrowed_fields(cls)})  # pyright: ignore
    extra = tree.get("extra") or []
    if not isinstance(extra, list):
        raise ConfigError("extra: a list of {stage: module:Class, after: step, with: {fields}}")
    for item in extra:
        insert(stages, item)
    if extra:
        resolved["extra"] = extra
    engine = section(tree, "engine")
    for key, value in engine.items():
        if key not in ENGINE_KEYS or not isinstance(value, dict):
            raise ConfigError(f"engine.{key}: sections {', '.join(ENGINE_KEYS)} with that executor's options")
    if engine:
        resolved["engine"] = engine
    return Recipe(name, tuple(stages), resolved, engine)  # pyright: ignore[reportArgumentType]


def borrowed_fields(cls: type) -> Mapping[str, tuple[str, ...]]:
    """Fields of a stage that hold what other sections say, and those sections: stages do not see each other."""
    return getattr(cls, "borrowed", {})


def borrowed(cls: type, tree: Tree) -> Tree:
    """The values of `borrowed_fields`: the keys of the other sections that the field's class has."""
    values: Tree = {}
    for name, paths in borrowed_fields(cls).items():
        inner = get_type_hints(cls)[name]
        given: Tree = {}
        for path in paths:
            mine = section(tree, path)
            made = plain(build(inner, mine, path))  # for errors that name that section
            given |= {key: made[key] for key in made if key in mine}
        values[name] = given
    return values


def language_statistics(store: Store, plan: Plan, min_docs: int, tail: float | None) -> tuple[str, list[str]]:
    """A data file of limits and stop words per language from a run's documents, and what to say about it.

    All documents that were measured count, also those that the gates then dropped. Raises ConfigError without signals.
    """
    steps = {(s.name, s.kind): s for s in plan.steps}
    signals, gates = steps.get(("signals", "annotator")), steps.get(("gates", "gate"))
    if signals is None or gates is None or not isinstance(gates.stage, Gates):
        raise ConfigError(f"{store.root} has no step signals or no step gates")
    texts = next(dataset for dataset, columns in signals.reads.items() if "text" in columns)
    keys = [p.key for p in plan.parts if store.receipt("signals", p.key) is not None]

    def joined(dataset: str, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        for key in keys:
            rows = store.read(dataset, key, columns)
            yield rows.join(store.read("language", key, ("language",)), on="doc_id", how="inner", maintain_order="left")

    columns = tuple(dict.fromkeys(LIMITS.values()))
    if not keys:
        raise ConfigError(f"{store.root} has measured no documents yet; run it, at least --until gates")
    documents = pl.concat(joined("signals", columns))
    limits = estimate_limits(documents, gates.stage, min_docs, tail)
    measured = documents.select("doc_id")
    found = [entry.language for entry in limits]
    batches = (b.join(measured, on="doc_id", how="semi") for b in joined(texts, ("text",)))
    docs = dict(documents.drop_nulls("language").group_by("language").len().iter_rows())
    how = "as English's limits take of its English ones" if tail is None else f"{tail:g}"
    about = (
        f"Limits per language from {documents.height:,} documents of {store.root.name}: each takes a share of the\n"
        f"language's documents {how}. Languages with at least {min_docs} documents.\n"
        "Use: gates.languages_file, signals.languages_file."
    )
    few = sorted(code for code, n in docs.items() if n < min_docs)
    said = [f"{code}: {docs[code]:,} documents" for code in found]
    said += [f"too few documents ({min_docs}): {', '.join(few)}"] if few else []
    return to_yaml(limits, estimate_stop_words(batches, found), docs, about), said


def insert(stages: list[Stage], item: object) -> None:
    """Puts a stage of the user's after the last step named `after`."""
    if not isinstance(item, dict) or not {"stage", "after"} <= set(item) <= {"stage", "after", "with"}:
        raise ConfigError(f"extra: each item is {{stage: module:Class, after: step, with: {{fields}}}}; got {item!r}")
    cls = load_class(str(item["stage"]))
    values = item.get("with") or {}
    unknown = set(values) - {f.name for f in fields(cls)}  # pyright: ignore[reportArgumentType] - load_class takes dataclasses only
    if unknown:
        raise ConfigError(f"extra: {item['stage']} has no {', '.join(sorted(unknown))}")
    places = [i for i, s in enumerate(stages) if s.name == item["after"]]
    if not places:
        raise ConfigError(
            f"extra: no step {item['after']!r}; there are {', '.join(dict.fromkeys(s.name for s in stages))}"
        )
    stages.insert(places[-1] + 1, build(cls, values, str(item["stage"])))  # pyright: ignore[reportArgumentType]
