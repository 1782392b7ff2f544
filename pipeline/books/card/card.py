"""Writes the dataset card of a finished run's corpus, and the files that it points at: licences, config, tokenizer."""

import json
import shutil
from collections.abc import Iterator, Sequence

import polars as pl

from gristmill.pipeline.books.card.attribution import ATTRIBUTION
from gristmill.pipeline.books.card.tables import counted, licence_table, shares, source_table, way_table
from gristmill.pipeline.books.held_out import card_lines, read_sought
from gristmill.pipeline.books.ledger import read_books
from gristmill.pipeline.books.notes import notes
from gristmill.pipeline.books.sources import funnels
from gristmill.pipeline.contract.corpus.splits import TRAIN, VALIDATION, pattern
from gristmill.pipeline.contract.drawing.told import Told
from gristmill.pipeline.contract.shapes import Sink
from gristmill.pipeline.contract.shown import markdown
from gristmill.pipeline.contract.state import write_text
from gristmill.pipeline.plan.identity import CODE_VERSION, digest
from gristmill.pipeline.plan.plan import Plan
from gristmill.pipeline.run.store import Store

LICENCES = "LICENSES.md"
CONFIG = "config.yaml"
PERSONAL = "pii_email_n"  # a column of the step that looks for personal data


def write_card(store: Store, plan: Plan, told: Sequence[Told]) -> None:
    """corpus/README.md: a dataset card that the hub's tools parse; and the files that it names."""
    from huggingface_hub import DatasetCardData

    corpus = store.root / "corpus"
    for path in (store.root / CONFIG, *(path for one in told for path in one.files)):
        shutil.copyfile(path, corpus / path.name)
    tiers = licence_table(counted(store, ("license_tier", "license")))
    spoken = counted(store, ("language",))
    write_text(corpus / LICENCES, "\n".join(licences(tiers)))
    entries: list[dict] = read_books(store)  # pyright: ignore[reportAssignmentType]
    last = entries[-1]
    languages = {str(name): n for name, _, _, n in spoken.iter_rows() if name is not None}
    sink = next(s for s in plan.steps if s.kind == "sink").sink
    total = max(1, last["tokens"])
    data = DatasetCardData(
        language=sorted(c for c, n in languages.items() if len(c) in (2, 3) and n * 100 >= total) or None,
        license="other",
        license_name="per-document",
        license_link=LICENCES,
        task_categories=["text-generation"],
        size_categories=[size_category(last["rows"])],
        pretty_name=f"Gristmill corpus ({plan.name})",
        # A config called "default" over relative paths makes datasets (3.6, 5.2) cache by the folder's name alone, and
        # every run's is "corpus": another run's rows come back. The digest of what lies here keeps runs apart.
        configs=card_configs(config_name(store), sink) or None,
        tags=["gristmill", "pretraining"],
    )
    text = ["---", data.to_yaml(), "---", "", *body(store, plan, told, entries, tiers, spoken)]
    write_text(corpus / "README.md", "\n".join(text))


def body(
    store: Store, plan: Plan, told: Sequence[Told], entries: Sequence[dict], tiers: Sequence[str], spoken: pl.DataFrame
) -> Iterator[str]:
    """tiers: the table of licences; spoken: what `counted` says of languages."""
    last = entries[-1]
    yield from (f"# Gristmill corpus ({markdown(plan.name)})", "")
    yield f"{last['rows']:,} rows, {last['docs_out']:,} distinct documents, {last['tokens']:,} tokens."
    yield ""
    yield (
        "Each row carries its own `license` (SPDX id, or null where none was found); the collection has no single one: "
        f"see `{LICENCES}`. `{ATTRIBUTION}` names the URL, title, author where known and licence of every document "
        "that has a licence, as CC-BY asks."
    )
    yield ""
    yield from (line for note in notes(store, plan) for line in (f"**Note.** {note}.", ""))
    yield from ("## Licences", "", *tiers)
    yield from (line for one in told for line in one.card)
    if plan.writer(PERSONAL) is None:
        yield from ("## Personal data", "", "It was not looked for (`pii.enabled: true` replaces or drops it).", "")
    yield from card_lines(read_sought(store, plan))
    yield from source_table(funnels(store, plan))
    yield from shares("Languages", spoken, "language", "undetermined")
    yield from way_table(entries)
    yield from ("## Make it again", "")
    yield f"`config.yaml` holds every setting, under the digest `{plan.config_digest}`. With the input that it names:"
    yield ""
    yield f'    pip install "gristmill=={CODE_VERSION}"'
    yield "    gristmill run config.yaml --out RUN"
    yield "    gristmill verify RUN"
    yield ""
    yield "The same input, config and version give the same bytes; `gristmill explain RUN DOC_ID` tells of a document."
    yield ""


def licences(tiers: Sequence[str]) -> Iterator[str]:
    """LICENSES.md: what the texts are under, for those who use the corpus."""
    yield from ("# Licences of the texts", "")
    yield (
        "The texts belong to their authors. Every row names the licence that was found for its text (`license`, an "
        "SPDX id, `license_tier`, `license_confidence`); where none was found, none is claimed."
    )
    yield ""
    yield from tiers
    yield f"Licences that ask for attribution (CC-BY and others): `{ATTRIBUTION}` has a row per document to name."
    yield ""


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
