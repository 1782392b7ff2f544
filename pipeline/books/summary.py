"""What a run writes for people: the dataset card, the summary, status and ledger tables."""

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from gristmill.pipeline.books.attribution import ATTRIBUTION, write_attribution
from gristmill.pipeline.books.finished import FinishedRun
from gristmill.pipeline.books.held_out import card_lines, read_sought
from gristmill.pipeline.books.ledger import NO_DOCUMENT, read_books
from gristmill.pipeline.books.notes import notes
from gristmill.pipeline.books.sources import Funnel, funnels
from gristmill.pipeline.contract.corpus.splits import TRAIN, VALIDATION, pattern
from gristmill.pipeline.contract.drawing.tables import plural
from gristmill.pipeline.contract.drawing.told import Told
from gristmill.pipeline.contract.errors import PlanError
from gristmill.pipeline.contract.shapes import Sink
from gristmill.pipeline.contract.shown import markdown
from gristmill.pipeline.contract.state import write_json, write_text
from gristmill.pipeline.plan.identity import digest
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.shards import records
from gristmill.pipeline.run.store import Store


def write_papers(store: Store, plan: Plan) -> None:
    from gristmill.pipeline.report.page import write_report

    run = FinishedRun(store, plan)
    for step in plan.steps:
        for name, value in step.stage.papers(run).items():
            write_json(inside(store.root, name), value)
    told = [step.stage.tell(run) for step in plan.steps]
    write_attribution(store, plan)
    write_card(store, plan, told)
    write_report(store, plan)


def inside(root: Path, name: str) -> Path:
    """Raises PlanError for a path that would leave the run folder."""
    path = root / name
    if not path.resolve().is_relative_to(root.resolve()):
        raise PlanError(f"a stage would write {name!r}, which lies outside of the run folder")
    return path


def write_card(store: Store, plan: Plan, told: Sequence[Told]) -> None:
    """corpus/README.md: a dataset card that the hub's tools parse."""
    from huggingface_hub import DatasetCardData

    entries: list[dict] = read_books(store)  # pyright: ignore[reportAssignmentType]
    run = FinishedRun(store, plan)
    licenses = run.written("license")
    languages = {str(name): n for name, n in run.written("language").items() if name is not None}
    corpus = entries[-1]
    sink = next(s for s in plan.steps if s.kind == "sink").sink
    total = max(1, corpus["tokens"])
    data = DatasetCardData(
        language=sorted(c for c, n in languages.items() if len(c) in (2, 3) and n * 100 >= total) or None,
        license="other",
        license_name="per-document",
        license_link=ATTRIBUTION,
        task_categories=["text-generation"],
        size_categories=[size_category(corpus["rows"])],
        pretty_name=f"Gristmill corpus ({plan.name})",
        # A config called "default" over relative paths makes datasets (3.6, 5.2) cache by the folder's name alone, and
        # every run's is "corpus": another run's rows come back. The digest of what lies here keeps runs apart.
        configs=card_configs(config_name(store), sink) or None,
        tags=["gristmill", "pretraining"],
    )
    text = [
        "---",
        data.to_yaml(),
        "---",
        "",
        f"# Gristmill corpus ({markdown(plan.name)})",
        "",
        f"{corpus['rows']:,} rows, {corpus['docs_out']:,} distinct documents, {corpus['tokens']:,} tokens. "
        f"Config digest `{plan.config_digest}`.",
        "",
        "Each row carries its own `license` (SPDX id, or null where none was found); the collection has no single one. "
        f"`{ATTRIBUTION}` names the URL, title and licence of every document that has one, as CC-BY asks.",
        "",
        *(line for note in notes(store, plan) for line in (f"**Note.** {note}.", "")),
        *(line for one in told for line in one.card),
        *card_lines(read_sought(store, plan)),
        "## Where documents went",
        "",
        "| stage | in | out | dropped by rule |",
        "|---|--:|--:|---|",
        *(f"| {e['stage']} | {e['docs_in']:,} | {e['docs_out']:,} | {dropped(e)} |" for e in entries),
        "",
        *source_table(funnels(store, plan)),
        "## Licences (share of tokens)",
        "",
        *(f"- {markdown(name or 'unknown')}: {n / total:.3f}" for name, n in ranked(licenses)),
        "",
        "## Languages (share of tokens)",
        "",
        *(f"- {markdown(str(name))}: {n / total:.3f}" for name, n in ranked(languages)),
        "",
        "## Make it again",
        "",
        "The same input, `config.yaml` of the run and version of Gristmill give the same bytes:",
        "",
        "    gristmill run config.yaml --out RUN",
        "",
    ]
    write_text(store.root / "corpus" / "README.md", "\n".join(text))


def card_configs(name: str, sink: Sink) -> list[dict[str, object]]:
    """What `datasets` loads: the first format that it reads, a configuration per phase, each with validation."""
    configs: list[dict[str, object]] = []
    for loaded in sink.loads[:1]:
        folder, rest = loaded.split("/train-")
        held = [{"split": VALIDATION, "path": pattern(s, folder, rest)} for s in sink.splits if s == VALIDATION]
        for split in (s for s in sink.splits if s != VALIDATION):
            files = [{"split": TRAIN, "path": pattern(split, folder, rest)}, *held]
            configs.append({"config_name": name if split == TRAIN else f"{split}-{name}", "data_files": files})
    return configs


def ranked(tokens: Mapping) -> list[tuple[str | None, int]]:
    """Most first; equal ones by name, for polars groups in any order."""
    return sorted(tokens.items(), key=lambda item: (-item[1], item[0] or ""))


def config_name(store: Store) -> str:
    """The name of this corpus among those that `datasets` has cached: "corpus-" and a digest of its shards."""
    receipts = sorted((store.root / "corpus.receipts").glob("*.json"))
    return f"corpus-{digest([[p.name, json.loads(p.read_text(encoding='utf-8'))['content']] for p in receipts])[:12]}"


def size_category(n: int) -> str:
    """The hub's size categories."""
    for limit, name in ((1e3, "n<1K"), (1e4, "1K<n<10K"), (1e5, "10K<n<100K"), (1e6, "100K<n<1M"), (1e7, "1M<n<10M"),
                        (1e8, "10M<n<100M"), (1e9, "100M<n<1B"), (1e10, "1B<n<10B"), (1e11, "10B<n<100B"),
                        (1e12, "100B<n<1T")):  # fmt: skip
        if n < limit:
            return name
    return "n>1T"


def dropped(entry: dict) -> str:
    rules = sorted(entry["dropped"].items(), key=lambda item: -item[1]["docs"])
    return ", ".join(f"{rule} {t['docs']:,}" for rule, t in rules if t["docs"])


def source_table(found: list[Funnel]) -> list[str]:
    """The card's section on sources; none where they are not named."""
    if not found:
        return []
    total = max(1, sum(f.tokens for f in found))
    head = ["## Sources", "", "| source | records | documents | kept | tokens | share |", "|---|--:|--:|--:|--:|--:|"]
    rows = [
        f"| {markdown(f.source)} | {f.records:,} | {f.documents:,} | {[*f.after.values()][-1]:,} | {f.tokens:,} "
        f"| {f.tokens / total:.4f} |"
        for f in found
    ]
    return [*head, *rows, ""]


def ledger_lines(entries: list[dict]) -> list[str]:
    lines = [f"{'stage':16} {'docs in':>10} {'docs out':>10} {'bytes out':>14} {'tokens out':>13}  dropped"]
    for e in entries:
        sizes = f"{e['docs_in']:10,} {e['docs_out']:10,} {e['bytes_out']:14,} {e['tokens_out']:13,}"
        lines.append(f"{e['stage']:16} {sizes}  {dropped(e)}")
    last = entries[-1]
    if "rows" in last:
        lines.append(f"corpus: {last['docs_out']:,} documents in {last['rows']:,} rows, {last['tokens']:,} tokens")
    return lines


def summary(store: Store, plan: Plan, entries: list[dict], until: str | None) -> list[str]:
    """A dozen lines at the end of a run."""
    if not entries:
        return [
            f"queued; gristmill status {store.root} tells how far it is; when the jobs are done, run the same command",
            "again: it checks the books and writes the card and the report",
        ]
    first, last = entries[0], entries[-1]
    if until is not None or last["stage"] != "corpus":
        return [f"{first['docs_in']:,} records in, {last['docs_out']:,} documents kept after {last['stage']}"]
    choosing = {s.label for s in plan.steps if s.kind == "gate" and s.gate.chooses}
    passed = next((e["docs_in"] for e in entries if e["stage"] in choosing), last["docs_in"])
    times = f", each written {last['rows'] / last['docs_out']:.1f} times on average" if last["docs_out"] else ""
    worst = sorted(
        (
            (t["docs"], e["stage"], rule)
            for e in entries[:-1]
            for rule, t in e["dropped"].items()
            if t["docs"] and rule not in NO_DOCUMENT and e["stage"] not in choosing
        ),
        reverse=True,
    )
    run = FinishedRun(store, plan)
    told = [line for step in plan.steps for line in step.stage.tell(run).summary]
    return [
        f"records    {first['docs_in']:,} read, {first['docs_out']:,} of them documents",
        f"documents  {passed:,} passed every rule, {last['docs_out']:,} of them chosen{times}: "
        f"{plural(last['rows'], 'row')} in {plural(len(list(records(store))), 'shard')}",
        f"tokens     {last['tokens']:,}",
        f"dropped    {'; '.join(f'{stage} {rule} {n:,}' for n, stage, rule in worst[:3]) or 'none'}",
        *(f"{word:10} {text}" for word, text in told),
        f"books      balanced over {len(entries)} stages",
        f"ledger     gristmill ledger {store.root}",
        f"report     {store.root / 'report.html'}",
        f"corpus     {store.root / 'corpus'}",
    ]
