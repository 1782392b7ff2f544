"""Compares two runs: settings, funnel, token shares, and each document's fate in one beside its fate in the other.

Documents are joined by doc_id, input file by input file, so memory is that of one file's ledger.
"""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

import polars as pl

from gristmill.pipeline.compare.sides import GROUPS, Side

ABSENT = "absent"
UNREAD = "not among the other run's documents"


@dataclass(frozen=True)
class Setting:
    """A key of the resolved config; None where a run has no such key, or null."""

    key: str
    a: object
    b: object


@dataclass(frozen=True)
class Flow:
    """Documents that leave a stage (rule "") or that a rule drops."""

    stage: str
    rule: str
    a: int
    b: int


@dataclass(frozen=True)
class Share:
    """Tokens written of one bucket, language or source."""

    name: str
    tokens_a: int
    tokens_b: int
    share_a: float
    share_b: float


@dataclass
class Moved:
    """Documents of one corpus that the other has not, by what ended them there (`rule` UNREAD: not read there)."""

    stage: str
    rule: str
    documents: int = 0
    tokens: int = 0
    example: str = ""  # URL, else doc_id, of the first


@dataclass(frozen=True)
class Difference:
    """What changed from run `a` to run `b`."""

    a: str
    b: str
    stopped: dict[str, str]  # "a", "b" -> where and why, of runs that did not come to their end
    config: list[Setting]
    code: list[Setting]  # steps that only one run has, or whose version is another one's
    inputs: list[Setting]  # files that only one run has, or whose content is another one's
    remade: list[str]  # artifacts that both have with other content, of those that name groups
    funnel: list[Flow]
    documents: dict[str, int]  # in a, in b, in both; changed: of those, with another text length or number of copies
    rows: dict[str, int]  # documents times copies
    tokens: dict[str, int]
    shares: dict[str, list[Share]]
    left: list[Moved] = field(default_factory=list)  # in a and not in b, by what ended them in b
    came: list[Moved] = field(default_factory=list)  # in b and not in a, by what ended them in a

    @property
    def any(self) -> bool:
        tokens = any(s.tokens_a != s.tokens_b for shares in self.shares.values() for s in shares)
        counts = self.documents["changed"] or tokens
        return bool(self.config or self.code or self.inputs or self.funnel or self.left or self.came or counts)


def difference(a: Side, b: Side) -> Difference:
    """Everything that differs, counted."""
    count = Counts()
    for name in sorted({*a.keys, *b.keys}):
        count.add(a.documents(name), b.documents(name))
    return Difference(
        a=a.store.name,
        b=b.store.name,
        stopped={name: side.stopped for name, side in (("a", a), ("b", b)) if side.stopped},
        config=unequal(a.settings, b.settings),
        code=unequal(a.versions, b.versions),
        inputs=unequal(dict.fromkeys(a.inputs(), "read"), dict.fromkeys(b.inputs(), "read")) + altered(a, b),
        remade=remade(a, b),
        funnel=list(flows(a.books, b.books)),
        documents=count.documents,
        rows=count.rows,
        tokens=count.tokens,
        shares={group: count.shares(group) for group in GROUPS if count.by[group]},
        left=ranked_moves(count.left),
        came=ranked_moves(count.came),
    )


def remade(a: Side, b: Side) -> list[str]:
    """Artifacts that name groups, which both runs have and whose content differs."""
    found = {name: (a.artifact(name), b.artifact(name)) for name in ("cluster", "ingest.tokenizer")}
    return [name for name, (mine, yours) in found.items() if mine and yours and mine != yours]


def unequal(a: dict, b: dict) -> list[Setting]:
    return [Setting(key, a.get(key), b.get(key)) for key in sorted({*a, *b}) if a.get(key) != b.get(key)]


def altered(a: Side, b: Side) -> list[Setting]:
    """Files of both runs that do not hold the same. How a file is cut into parts does not count."""
    mine, yours = a.inputs(), b.inputs()
    return [Setting(n, "read", "changed") for n in sorted(mine.keys() & yours.keys()) if not mine[n] & yours[n]]


def flows(a: list[dict], b: list[dict]) -> Iterator[Flow]:
    """Stages and rules whose documents differ, in the order of b's stages; -1: the run did not come to this stage."""
    books_a, books_b = ({entry["stage"]: entry for entry in books} for books in (a, b))
    for stage in [*books_b, *(s for s in books_a if s not in books_b)]:
        sides = [books.get(stage) for books in (books_a, books_b)]
        out = [side["docs_out"] if side else -1 for side in sides]
        if out[0] != out[1]:
            yield Flow(stage, "", *out)
        rules = [{rule: t["docs"] for rule, t in side["dropped"].items()} if side else {} for side in sides]
        for rule in sorted({*rules[0], *rules[1]}):
            dropped = [r.get(rule, 0) for r in rules]
            if dropped[0] != dropped[1]:
                yield Flow(stage, rule, *dropped)


class Counts:
    """Sums over the input files."""

    def __init__(self) -> None:
        self.documents: dict[str, int] = {"a": 0, "b": 0, "both": 0, "changed": 0}
        self.rows = {"a": 0, "b": 0}
        self.tokens = {"a": 0, "b": 0}
        self.by: dict[str, dict[str, Counter[str]]] = {group: {} for group in GROUPS}
        self.left: dict[tuple[str, str], Moved] = {}
        self.came: dict[tuple[str, str], Moved] = {}

    def add(self, a: pl.DataFrame, b: pl.DataFrame) -> None:
        for name, frame in (("a", a), ("b", b)):
            written = frame.filter(pl.col("copies") > 0)
            tokens = written["copies"] * written["token_count"].fill_null(0)
            self.documents[name] += written.height
            self.rows[name] += int(written["copies"].sum())
            self.tokens[name] += int(tokens.sum())
            for group in GROUPS:
                sums = written.select(group, tokens.alias("tokens")).drop_nulls(group).group_by(group).sum()
                for value, n in sums.iter_rows():
                    self.by[group].setdefault(value, Counter())[name] += n
        joined = a.join(b, on="doc_id", how="full", suffix="_b", coalesce=True, maintain_order="left_right")
        mine, yours = (pl.col(c).fill_null(0) > 0 for c in ("copies", "copies_b"))
        both = joined.filter(mine & yours)
        self.documents["both"] += both.height
        other = (pl.col("text_bytes") != pl.col("text_bytes_b")) | (pl.col("copies") != pl.col("copies_b"))
        self.documents["changed"] += both.filter(other).height
        self._moves(self.left, joined.filter(mine & ~yours), "", "_b")
        self._moves(self.came, joined.filter(yours & ~mine), "_b", "")

    def _moves(self, moves: dict[tuple[str, str], Moved], rows: pl.DataFrame, here: str, there: str) -> None:
        """`here`, `there`: suffixes of the columns of the run that has the documents, and of the one that has not."""
        what = rows.select(
            pl.col(f"stage{there}").fill_null("").alias("stage"),
            pl.col(f"rule{there}").fill_null(UNREAD).alias("rule"),
            (pl.col(f"copies{here}") * pl.col(f"token_count{here}").fill_null(0)).alias("tokens"),
            pl.coalesce(f"url{here}", "doc_id").alias("example"),
        )
        grouped = what.group_by("stage", "rule", maintain_order=True).agg(
            pl.len(), pl.col("tokens").sum(), pl.col("example").first()
        )
        for stage, rule, documents, tokens, example in grouped.iter_rows():
            moved = moves.setdefault((stage, rule), Moved(stage, rule, example=example))
            moved.documents += documents
            moved.tokens += tokens

    def shares(self, group: str) -> list[Share]:
        """Largest change first."""
        found = []
        for name, tokens in self.by[group].items():
            n = (tokens["a"], tokens["b"])
            part = [round(t / total, 6) if total else 0.0 for t, total in zip(n, self.tokens.values(), strict=True)]
            found.append(Share(name, *n, *part))
        return sorted(found, key=lambda s: (-abs(s.share_b - s.share_a), s.name))


def ranked_moves(moves: dict[tuple[str, str], Moved]) -> list[Moved]:
    return sorted(moves.values(), key=lambda m: (-m.documents, m.stage, m.rule))
