"""The nested sections of `mixture` in a config: what each proxy needs, the rules on shares, the confirmation.

A proxy's `share` is the fraction of every bucket that it reads, and of the corpus's budget that it spends: a bucket is
repeated in the proxy as often as it would be in the corpus.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Literal

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Amount, Count, Few, Inner, Range, Share, SomeAmount, Whole
from gristmill.stages.mixture.constraints import Constraints, constraints_from
from gristmill.stages.mixture.proxies.command import CommandSettings
from gristmill.stages.mixture.proxies.gpt_settings import PRESETS, GptSettings

ProxyKind = Literal["ngram", "gpt", "command"]


@dataclass(frozen=True)
class NgramSection:
    """The n-gram proxy: counts, no training (stages/mixture/proxies/ngram.py)."""

    corpus_tokens: Count = 4_000_000  # that it counts
    order: Annotated[int, Range(1, 8)] = (
        3  # 2, 3 and 4 rank mixtures alike; 3 comes closest to a trained model's losses
    )

    def __post_init__(self) -> None:
        if self.corpus_tokens < 1 or self.order < 1:
            raise ConfigError("ngram: corpus_tokens and order must be at least 1")

    def share(self, available: int, budget: int) -> float:
        return min(1.0, self.corpus_tokens / available)


@dataclass(frozen=True)
class GptSection:
    """The gpt proxy: decoders trained from scratch (stages/mixture/proxies/gpt.py)."""

    preset: str = "tiny"  # tiny, mini, small, regmix_1m, regmix_60m: shape and training, stages/mixture/proxies/gpt.py
    tokens: Count = (
        400_000  # that one run trains on, at most the corpus's budget; buckets are cut to repeat as they will
    )
    # auto: the GPU if torch sees one. Losses on a GPU differ from a CPU's by rounding: name one for equal bytes
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] | None = None  # null: the preset's
    together: Few = 4  # models trained at once; what a kill can lose. A GPU is filled by 16 to 64

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"gpt.preset: {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.tokens < 1 or self.together < 1:
            raise ConfigError("gpt: tokens and together must be at least 1")

    def share(self, available: int, budget: int) -> float:
        return min(1.0, self.tokens / budget)

    def settings(self, threads: int) -> GptSettings:
        """Raises ConfigError without torch, or for a GPU that is not there."""
        try:
            import torch
        except ImportError:
            raise ConfigError(
                "the gpt proxy needs torch: pip install 'gristmill[transformers]', or set mixture.proxy: ngram"
            ) from None
        gpu = torch.cuda.is_available()
        if self.device == "cuda" and not gpu:
            raise ConfigError("gpt.device: cuda, but torch sees no GPU; set device: auto or cpu")
        preset = PRESETS[self.preset]
        return replace(
            preset,
            device="cuda" if gpu and self.device != "cpu" else "cpu",
            precision=self.precision or preset.precision,
            together=self.together,
            threads=threads,
        )


@dataclass(frozen=True)
class CommandSection:
    """The command proxy: your own trainer (stages/mixture/proxies/command.py)."""

    # Shell line with {mixture} and {metrics}: it reads the first (JSON: weights, data paths, targets, budget_tokens,
    # seed) and writes the second ({"losses": {target: nats/token}}). Slurm: sbatch --wait train.sh {mixture} {metrics}
    run: str | None = None
    tokens: Count = (
        10_000_000  # that one run shall train on, at most the corpus's budget; data is cut to repeat as it will
    )
    parameters: Amount = 0.0  # of the model that it trains; the ladder weighs costs by it
    timeout_s: SomeAmount | None = None  # per attempt
    retries: Whole = 1  # further attempts after a failed one
    at_once: Few = 1  # attempts side by side

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.at_once < 1 or self.retries < 0:
            raise ConfigError("command: tokens and at_once must be at least 1, retries at least 0")

    def share(self, available: int, budget: int) -> float:
        return min(1.0, self.tokens / budget)

    def settings(self, tokens: int) -> CommandSettings:
        """Raises ConfigError without a command."""
        if self.run is None or not ("{mixture}" in self.run and "{metrics}" in self.run):
            raise ConfigError(
                f"command.run: {self.run!r}; the command proxy needs a shell line with {{mixture}} and {{metrics}}"
            )
        # 6 per weight and token (Kaplan et al. 2020), as the gpt proxy counts.
        cost = 6.0 * self.parameters * tokens or 1.0
        return CommandSettings(self.run, self.parameters, cost, self.timeout_s, self.retries, self.at_once)


ProxySection = NgramSection | GptSection | CommandSection


@dataclass(frozen=True)
class ConfirmSection:
    """The check after the search: fresh seeds, fresh draws of documents, target text that the search never saw."""

    proxy: ProxyKind | None = None  # null: the search's own
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
class Bound:
    """Limits on one bucket's share of the tokens."""

    bucket: str
    minimum: Share | None = None
    maximum: Share | None = None
    fixed: Share | None = None


@dataclass(frozen=True)
class TargetWeight:
    """A target's part in the objective."""

    target: str  # name of the held-back texts' target, or stem of a validation file
    weight: Annotated[float, Range(0, 1e9, above_low=True)] = 1.0  # beside the other targets', in any scale
    guard: bool = False  # it may not get worse than under the natural mixture


@dataclass(frozen=True)
class GroupBound:
    """Limits on the total share of several buckets; equal ones pin it. No bucket may stand in two groups."""

    buckets: tuple[str, ...]
    minimum: Share = 0.0
    maximum: Share = 1.0


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
