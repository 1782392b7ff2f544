"""The nested sections of `mixture` in a config: the rules on shares and the confirmation (a proxy's lies with it)."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

from gristmill.pipeline.contract.corpus.shares import Shares, read_shares
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Inner, Range, Share
from gristmill.stages.mixture.constraints import Constraints, constraints_from
from gristmill.stages.mixture.proxies.sections import CommandSection, GptSection, NgramSection


@dataclass(frozen=True)
class ConfirmSection:
    """The check after the search: fresh seeds, fresh draws of documents, target text that the search never saw."""

    proxy: str | None = None  # null: the search's own
    seeds: Annotated[int, Range(2, 1000)] = (
        5  # each with its own draw of documents and its own piece of the held-back target text
    )
    target_share: Inner = 0.4  # of every target's text; the search sees the rest only
    ngram: NgramSection | None = None  # null: mixture.ngram
    gpt: GptSection | None = None  # null: mixture.gpt
    command: CommandSection | None = None  # null: mixture.command

    def __post_init__(self) -> None:
        if self.seeds < 2:
            raise ConfigError("confirm.seeds: at least 2, or there is no interval; mixture.confirm: null turns it off")
        if not 0 < self.target_share < 1:
            raise ConfigError("confirm.target_share must lie between 0 and 1")


NGRAM, GPT, COMMAND, CONFIRM = NgramSection(), GptSection(), CommandSection(), ConfirmSection()


@dataclass(frozen=True)
class Bucketing:
    """What domain.bucket says."""

    by: str = "cluster"


BUCKETING = Bucketing()


@dataclass(frozen=True)
class Bound:
    """Limits on one bucket's share of the tokens."""

    bucket: str  # by its name: c03, Science, de, a source
    minimum: Share | None = None  # least share of the tokens
    maximum: Share | None = None  # greatest
    fixed: Share | None = None  # exactly this share


@dataclass(frozen=True)
class TargetWeight:
    """A target's part in the objective."""

    target: str  # name of the held-back texts' target, or stem of a validation file
    weight: Annotated[float, Range(0, 1e9, above_low=True)] = 1.0  # beside the other targets', in any scale
    guard: bool = False  # it may not get worse than under the natural mixture


@dataclass(frozen=True)
class GroupBound:
    """Limits on the total share of several buckets; equal ones pin it. No bucket may stand in two groups."""

    buckets: tuple[str, ...]  # by their names
    minimum: Share = 0.0  # least share of the tokens of all of them together
    maximum: Share = 1.0  # greatest


def check_targets(objective: Sequence[TargetWeight], targets: Sequence[str]) -> None:
    """Raises ConfigError for a goal that names none of the targets that the validation files make."""
    for i, goal in enumerate(objective):
        if goal.target not in targets:
            raise ConfigError(
                f"mixture.objective.{i}.target: {goal.target!r} is none of the targets that mixture.validation "
                f"makes: {', '.join(targets)}"
            )


def named_buckets(
    bounds: Sequence[Bound], groups: Sequence[GroupBound], shares: Mapping[str, Shares | None]
) -> dict[str, tuple[str, Sequence[str]]]:
    """Setting -> ("bucket", the buckets that it names); of given shares those that are more than 0."""
    found: dict[str, tuple[str, Sequence[str]]] = {}
    found |= {f"mixture.bounds.{i}.bucket": ("bucket", (b.bucket,)) for i, b in enumerate(bounds)}
    found |= {f"mixture.groups.{i}.buckets": ("bucket", g.buckets) for i, g in enumerate(groups)}
    for name, given in shares.items():
        if given is not None:
            key = f"mixture.{name}"
            found[key] = ("bucket", tuple(b for b, share in read_shares(given, key).items() if share > 0))
    return found


def rules(
    buckets: Sequence[str],
    tokens: dict[str, float],
    budget: int,
    max_epochs: float,
    bounds: Sequence[Bound],
    groups: Sequence[GroupBound],
    guard: Sequence[str] = (),
) -> Constraints:
    """Raises ConfigError for unknown or repeated buckets, InfeasibleError naming the bounds that cannot hold."""
    named = [b.bucket for b in bounds]
    if len(set(named)) < len(named):
        raise ConfigError(
            f"mixture.bounds names {next(b for b in named if named.count(b) > 1)} twice; give it one line"
        )
    return constraints_from(
        buckets,
        tokens=tokens,
        budget=budget,
        max_epochs=max_epochs,
        minimum={b.bucket: b.minimum for b in bounds if b.minimum is not None},
        maximum={b.bucket: b.maximum for b in bounds if b.maximum is not None},
        fixed={b.bucket: b.fixed for b in bounds if b.fixed is not None},
        groups=[("+".join(g.buckets), g.buckets, g.minimum, g.maximum) for g in groups],
        guard=guard,
    )
