"""The standard recipe: builds the stages, in order, from a config's sections. The only module that knows the stages."""

from argparse import ArgumentParser, Namespace
from collections.abc import Callable, Iterator, Sequence
from copy import deepcopy
from dataclasses import Field, fields
from functools import cache
from typing import get_type_hints

import polars as pl

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.secrets import without_secrets
from gristmill.pipeline.contract.shapes import Gate, Shape, Sink, Stage
from gristmill.pipeline.off import Off
from gristmill.pipeline.plan.config import Recipe, Tree, build, built, check_keys, plain, section
from gristmill.pipeline.plan.identity import is_ours, load_class
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.plan.published import publish
from gristmill.pipeline.plan.schedule import PHASES, taken_phases, with_phases
from gristmill.pipeline.plan.sources import SOURCES, check_sources, expanded, keys_of, taken
from gristmill.pipeline.run.engines.job import check_resources
from gristmill.pipeline.run.exchange.memory import check_memory
from gristmill.pipeline.run.shards import records
from gristmill.pipeline.run.store import Store, read_parquet

STAGES = "gristmill.stages"

# (config section, "module:Class" in STAGES) in the order in which a document meets them; one that is not `enabled` is
# left out.
STANDARD: tuple[tuple[str, str], ...] = (
    ("input", "ingest:Ingest"),
    ("input", "reservations:RobotsIndex"),
    ("language", "language:Language"),
    ("language", "language:LanguageGate"),
    ("license", "license:License"),
    ("license", "license:LicenseGate"),
    ("safety", "safety:Safety"),
    ("safety", "safety:SafetyGate"),
    ("clean", "clean:Clean"),
    ("clean", "clean:CleanGate"),
    ("clean.repeated_lines", "repeated_lines:RepeatedLines"),
    ("clean.repeated_lines", "repeated_lines:CutLines"),
    ("clean.repeated_lines", "repeated_lines:CutLinesGate"),
    ("pii", "pii:Pii"),
    ("pii", "pii:PiiGate"),
    ("signals", "signals:Signals"),
    ("gates", "gates:Gates"),
    ("tokenizer", "tokens:TokenizerModel"),
    ("tokenizer", "tokens:Tokens"),
    ("dedup.references", "dedup:References"),
    ("dedup.references", "dedup:ReferenceFlags"),
    ("dedup.url", "dedup:UrlDuplicates"),
    ("dedup.url", "dedup:UrlGate"),
    ("dedup.exact", "dedup:ExactDuplicates"),
    ("dedup.exact", "dedup:ExactGate"),
    ("dedup.minhash", "dedup:Signatures"),
    ("dedup.minhash", "dedup:Components"),
    ("dedup.minhash", "dedup:NearDuplicates"),
    ("dedup", "dedup:KeptIndex"),
    ("dedup.minhash", "dedup:NearGate"),
    ("dedup.held_out", "dedup:HeldOutTexts"),
    ("dedup.held_out", "dedup:HeldOutGate"),
    ("dedup.objective", "contamination:ObjectiveIndex"),
    ("dedup.objective", "contamination:ObjectiveOverlap"),
    ("dedup.objective", "contamination:ObjectiveGate"),
    ("contamination", "contamination:ContaminationIndex"),
    ("contamination", "contamination:Contamination"),
    ("contamination", "contamination:ContaminationGate"),
    ("quality", "quality:QualityModel"),
    ("quality", "quality:Quality"),
    ("quality", "quality:QualityGate"),
    ("gates", "limits:LimitTables"),
    ("gates", "limits:LimitBroken"),
    ("gates", "limits:LimitGate"),
    ("embed", "embed:EmbedModel"),
    ("embed", "embed:Embed"),
    ("cluster", "cluster:Cluster"),
    ("cluster", "cluster:AssignCluster"),
    ("cluster", "cluster:ClusterGate"),
    ("domain", "domain:Domain"),
    ("domain.bucket", "domain:Bucket"),
    ("mixture", "mixture:Mixture"),
    ("quadmix", "quadmix:QuadmixTables"),
    ("quadmix", "quadmix:Quadmix"),
    ("sample", "sample:SamplePlan"),
    ("sample", "sample:Sample"),
    ("sample", "sample:SampleGate"),
    ("input", "ingest:CarriedColumns"),
    ("corpus", "export:CorpusShards"),
)


# Sections whose steps a config may leave out with `enabled: false` or null: section -> the sections that cannot do
# without it. Sections with a field `enabled` of their own are off in their own way.
OPTIONAL: dict[str, tuple[str, ...]] = {
    "language": (),
    "license": (),
    "signals": ("gates",),
    "gates": (),
    "dedup.exact": (),
    "dedup.minhash": (),
    "embed": ("cluster", "domain"),
    "cluster": (),
    "domain": (),
}
ENABLED = "enabled"


@cache
def standard() -> tuple[tuple[str, type[Shape]], ...]:
    """STANDARD with its classes, which are imported here."""
    return tuple((section, load_class(f"{STAGES}.{name}")) for section, name in STANDARD)


ENGINE_KEYS = ("slurm", "ray", "memory", "resources")


def settings_of(cls: type[Shape]) -> list[Field]:
    """The fields of a stage that are keys of its own section."""
    return [f for f in fields(cls) if f.name not in cls.borrowed]  # pyright: ignore[reportArgumentType]


def known_keys() -> dict[str, list[str]]:
    """Dotted section -> its keys, in the order of the dataclasses."""
    known: dict[str, list[str]] = {"": ["name", "extra", "engine", SOURCES, PHASES], "engine": list(ENGINE_KEYS)}
    for path, cls in standard():
        keys = known.setdefault(path, [])
        keys += [ENABLED] if path in OPTIONAL and not keys else []
        keys += [f.name for f in settings_of(cls) if f.name not in keys]
    return known


def can_be_off(path: str) -> bool:
    """Whether a section has the key `enabled`."""
    return ENABLED in known_keys()[path]


def with_nulls_off(tree: Tree) -> Tree:
    """The config with `section: null` written as `section: {enabled: false}`. Raises ConfigError where it cannot be."""
    result = deepcopy(tree)
    for path in known_keys():
        if not path:
            continue
        *above, last = path.split(".")
        node = section(result, ".".join(above)) if above else result
        if last in node and node[last] is None:
            if path not in OPTIONAL and not can_be_off(path):
                raise ConfigError(f"{path}: null; it cannot be off: leave the section out, or give it keys")
            node[last] = {ENABLED: False}
    return result


def switched_off(tree: Tree) -> set[str]:
    """Sections of `OPTIONAL` that are off. Raises ConfigError where another section cannot do without one of them."""
    off = set()
    for path in OPTIONAL:
        value = section(tree, path).get(ENABLED, True)
        if not isinstance(value, bool):
            raise ConfigError(f"{path}.enabled: true or false; got {value!r}")
        if not value:
            off.add(path)
    for path in off:
        for reader in OPTIONAL[path]:
            if reader not in off:
                raise ConfigError(f"{path} is off, but {reader} reads it; add {reader}: {{enabled: false}}")
    gates = section(tree, "gates")
    if "language" in off and "gates" not in off and gates.get("min_languages", 1) is not None:
        raise ConfigError(
            "language is off, but gates drop documents without a language; add gates.min_languages: null, or "
            "gates: {enabled: false}"
        )
    if "cluster" in off and section(tree, "domain.bucket").get("by", "cluster") == "cluster":
        raise ConfigError("cluster is off, but the mixture's buckets are clusters; set domain.bucket.by, e.g. language")
    if "domain" in off and section(tree, "domain.bucket").get("by") == "domain":
        raise ConfigError("domain is off, but the mixture's buckets are domains; set domain.bucket.by, e.g. language")
    return off


def make_recipe(tree: Tree, default_name: str, code: bool = True) -> Recipe:
    """Raises ConfigError for anything in the config that cannot be meant.

    Without `code` no module that the config names is imported (`Shape.own_code`), and the recipe is without stages of
    `extra` that are not ours: what only looks at a config runs nothing of it.
    """
    check_sources(tree, {key for hint in borrowing(SOURCES) for key in keys_of(hint)})
    tree = with_phases(expanded(with_nulls_off(tree)), borrowing(PHASES))
    known = {s: k for s, k in known_keys().items() if s != "engine"}
    check_keys({k: v for k, v in tree.items() if k != "engine"}, known)
    name = tree.get("name", default_name)
    if not isinstance(name, str) or not name:
        raise ConfigError(f"name: a string; got {name!r}")
    stages: list[Stage] = []
    idle: dict[str, str] = {}  # gates that are left out -> the step before
    sections: dict[type, str] = {cls: path for path, cls in standard()}
    resolved: Tree = {"name": name, **{key: tree[key] for key in (SOURCES, PHASES) if key in tree}}
    off = switched_off(tree)
    for path, cls in standard():
        stage = built(cls, {**section(tree, path), **borrowed(cls, tree)}, path, code)
        if path in off:
            if cls.kind in ("annotator", "grouping") and stage.enabled:  # pyright: ignore[reportAttributeAccessIssue]
                stages.append(Off(stage.name, tuple(stage.writes)))  # pyright: ignore
        elif isinstance(stage, Gate) and stage.is_idle():
            idle[stage.name] = stages[-1].name
        elif stage.enabled or cls.off_is_empty:  # pyright: ignore[reportAttributeAccessIssue]
            stages.append(stage)  # pyright: ignore[reportArgumentType]
        node = resolved
        for part in path.split("."):
            node = node.setdefault(part, {})  # pyright: ignore
        if path in OPTIONAL:
            node[ENABLED] = path not in off  # pyright: ignore
        node.update({k: v for k, v in plain(stage).items() if k not in cls.borrowed})  # pyright: ignore
    extra = tree.get("extra") or []
    if not isinstance(extra, list):
        raise ConfigError("extra: a list of {stage: module:Class, after: step, with: {fields}}")
    unseen = [str(item["stage"]) for item in extra if is_item(item) and not (code or is_ours(str(item["stage"])))]
    for item in extra:
        if str(item["stage"]) not in unseen:
            insert(stages, {**item, "after": idle.get(str(item["after"]), item["after"])}, code)
    resolved |= {"extra": without_secrets(extra)} if extra else {}
    stages = [publish(stage, stages) if isinstance(stage, Sink) else stage for stage in stages]
    engine = section(tree, "engine")
    for key, value in engine.items():
        if key == "memory":
            check_memory(value)
        elif key == "resources":
            check_resources(engine, [stage.name for stage in stages])
        elif key not in ENGINE_KEYS or not isinstance(value, dict):
            raise ConfigError(f"engine.{key}: sections slurm, ray and resources, or memory")
    resolved |= {"engine": without_secrets(engine)} if engine else {}
    where = tuple(sections.get(type(stage), f"extra.{stage.name}") for stage in stages)
    return Recipe(name, tuple(stages), resolved, engine, where, tuple(unseen))  # pyright: ignore[reportArgumentType]


def borrowing(key: str) -> list[object]:
    """The types of all stages' fields that a list at the top of the config fills."""
    return [get_type_hints(cls)[f] for _, cls in standard() for f, paths in cls.borrowed.items() if paths == (key,)]


def borrowed(cls: type[Shape], tree: Tree) -> Tree:
    """The values of `cls.borrowed`, which other sections hold: those of their keys that the field's class has."""
    values: Tree = {}
    for name, paths in cls.borrowed.items():
        if not paths:  # the recipe fills it
            continue
        inner = get_type_hints(cls)[name]
        if paths in ((SOURCES,), (PHASES,)):
            values[name] = (taken if paths == (SOURCES,) else taken_phases)(inner, tree)
            continue
        given: Tree = {}
        for path in paths:
            mine = section(tree, path)
            made = plain(build(inner, mine, path))  # for errors that name that section
            given |= {key: made[key] for key in made if key in mine}
        values[name] = given
    return values


def search_arguments() -> Callable[[ArgumentParser], None]:
    """What adds the arguments of the `search` command to a parser."""
    return load_object(f"{STAGES}.mixture.standalone.command:add_arguments")  # pyright: ignore[reportReturnType]


def search_command() -> Callable[[Namespace], int]:
    """What runs the `search` command on its parsed arguments."""
    return load_object(f"{STAGES}.mixture.standalone.command:search_command")  # pyright: ignore[reportReturnType]


def train_command(part: str) -> Callable:
    """`add_arguments` or `train_command` of the `train` command."""
    return load_object(f"{STAGES}.quality.train_command:{part}")  # pyright: ignore[reportReturnType]


def contamination(store: Store, plan: Plan, benchmarks: Sequence[str], shown: int) -> list[str]:
    """What of the benchmarks stands in the corpus, or in the documents kept so far. Lines to print."""
    from gristmill.stages.contamination.command import search_documents

    texts = [plan.source, *plan.replacers][-1]
    gates = [s for s in plan.steps if s.kind == "gate"]

    def corpus() -> Iterator[pl.DataFrame]:
        seen: set[str] = set()
        for path in records(store):
            batch = read_parquet(path, ["doc_id", "text"]).unique("doc_id", maintain_order=True)
            yield batch.filter(~pl.col("doc_id").is_in(list(seen)))
            seen.update(batch["doc_id"])

    def kept() -> Iterator[pl.DataFrame]:
        for key in (p.key for p in plan.parts):
            if store.receipt(texts.name, key) is None:
                continue
            batch = store.read(texts.name, key, ("text",))
            for gate in gates:
                if store.receipt(gate.name, key) is not None:
                    decided = store.read(gate.name, key, ("rule",)).filter(pl.col("rule").is_null())
                    batch = batch.join(decided.select("doc_id"), on="doc_id", how="semi", maintain_order="left")
            yield batch

    return search_documents(benchmarks, corpus if any(records(store)) else kept, shown)


def language_statistics(store: Store, plan: Plan, min_docs: int, tail: float | None) -> tuple[str, list[str]]:
    """A data file of limits and stop words per language from a run's documents, and what to say about it.

    All documents that were measured count, also those that the gates then dropped. Raises ConfigError without signals.
    """
    from gristmill.stages.gates import Gates
    from gristmill.stages.language.from_run import statistics

    steps = {(s.name, s.kind): s for s in plan.steps}
    signals, gates = steps.get(("signals", "annotator")), steps.get(("gates", "gate"))
    if signals is None or gates is None or not isinstance(gates.stage, Gates):
        raise ConfigError(f"{store.root} has no step signals or no step gates")
    texts = next(dataset for dataset, columns in signals.reads.items() if "text" in columns)
    keys = [p.key for p in plan.parts if store.receipt("signals", p.key) is not None]
    if not keys:
        raise ConfigError(f"{store.root} has measured no documents yet; run it, at least --until gates")

    def joined(dataset: str, columns: tuple[str, ...]) -> Iterator[pl.DataFrame]:
        for key in keys:
            rows = store.read(dataset, key, columns)
            yield rows.join(store.read("language", key, ("language",)), on="doc_id", how="inner", maintain_order="left")

    texts_read = joined(texts, ("text",))
    return statistics(lambda c: joined("signals", c), texts_read, gates.stage, store.root.name, min_docs, tail)


def is_item(item: object) -> bool:
    """Raises ConfigError for an item of `extra` that has not the keys of one."""
    if not isinstance(item, dict) or not {"stage", "after"} <= set(item) <= {"stage", "after", "with"}:
        raise ConfigError(f"extra: each item is {{stage: module:Class, after: step, with: {{fields}}}}; got {item!r}")
    return True


def insert(stages: list[Stage], item: object, code: bool) -> None:
    """Puts a stage of the user's after the last step named `after`."""
    assert isinstance(item, dict)
    cls = load_class(str(item["stage"]))
    values = item.get("with") or {}
    unknown = set(values) - {f.name for f in fields(cls)}  # pyright: ignore[reportArgumentType] - load_class takes dataclasses only
    if unknown:
        known = ", ".join(f.name for f in fields(cls))  # pyright: ignore[reportArgumentType]
        raise ConfigError(f"extra: {item['stage']} has no {', '.join(sorted(unknown))}; it has {known}")
    places = [i for i, s in enumerate(stages) if s.name == item["after"]]
    if not places:
        raise ConfigError(
            f"extra: no step {item['after']!r}; there are {', '.join(dict.fromkeys(s.name for s in stages))}"
        )
    stages.insert(places[-1] + 1, built(cls, values, str(item["stage"]), code))  # pyright: ignore[reportArgumentType]
