"""The built-in proxies' sections in a config, and how each makes its proxy: n-gram counts, decoders, your command."""

from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Annotated, ClassVar, Literal, cast

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import Options, is_imported, load_kind
from gristmill.pipeline.contract.ranges import Amount, Count, Few, Range, SomeAmount, Whole
from gristmill.stages.mixture.material.readings import Material
from gristmill.stages.mixture.proxies.command import CommandSettings
from gristmill.stages.mixture.proxies.command_data import command_proxy
from gristmill.stages.mixture.proxies.gpt import GptProxy
from gristmill.stages.mixture.proxies.gpt_settings import PRESETS, GptSettings
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.proxies.protocol import Chance, ProxySection
from gristmill.stages.mixture.runs.runs import Proxy


@dataclass(frozen=True)
class NgramSection(ProxySection):
    """The n-gram proxy: counts, no training (stages/mixture/proxies/ngram.py)."""

    corpus_tokens: Count = 4_000_000  # that it counts
    order: Annotated[int, Range(1, 8)] = (
        3  # 2, 3 and 4 rank mixtures alike; 3 comes closest to a trained model's losses
    )
    default_method: ClassVar = "direct"
    exact: ClassVar = True

    def __post_init__(self) -> None:
        if self.corpus_tokens < 1 or self.order < 1:
            raise ConfigError("ngram: corpus_tokens and order must be at least 1")

    def share(self, available: int, budget: int) -> float:
        return min(1.0, self.corpus_tokens / available)

    def make(self, m: Material, chance: Chance) -> Proxy:
        like = chance.like if chance.like is not None and len(chance.like.discounts) == self.order else None
        made = NgramProxy.fit(
            m.streams, m.target_tokens, m.buckets, m.targets, budget_tokens=m.budget_tokens, vocab=m.tokens.vocab,
            end_id=m.tokens.end, max_order=self.order, discounts=like and like.discounts,
            strengths=like and like.strengths, exact=chance.exact, threads=chance.threads,
        )  # fmt: skip
        return cast(Proxy, made)  # `kind` is a class variable of it, which the protocol cannot say


@dataclass(frozen=True)
class GptSection(ProxySection):
    """The gpt proxy: decoders trained from scratch (stages/mixture/proxies/gpt.py)."""

    preset: str = "tiny"  # tiny, mini, small, regmix_1m, regmix_60m: shape and training, stages/mixture/proxies/gpt.py
    tokens: Count = (
        400_000  # that one run trains on, at most the corpus's budget; buckets are cut to repeat as they will
    )
    # auto: the GPU if torch sees one. Losses on a GPU differ from a CPU's by rounding: name one for equal bytes
    device: Literal["auto", "cpu", "cuda"] = "auto"
    precision: Literal["fp32", "bf16"] | None = None  # null: the preset's
    # models trained at once by one worker; what a kill can lose. A GPU is filled by 16 to 64
    together: Few = 4
    # workers, of any node, that share the runs of a round, `together` each; 1: one process makes all
    spread: Few = 1
    default_method: ClassVar = "ladder"

    def __post_init__(self) -> None:
        if self.preset not in PRESETS:
            raise ConfigError(f"gpt.preset: {self.preset!r}; there are {', '.join(PRESETS)}")
        if self.tokens < 1 or self.together < 1:
            raise ConfigError("gpt: tokens and together must be at least 1")

    def share(self, available: int, budget: int) -> float:
        return min(1.0, self.tokens / budget)

    @property
    def each(self) -> int:
        return self.together

    def preflight(self) -> None:
        if self.device == "cuda" or find_spec("torch") is None:  # torch takes seconds to import
            self.settings(1)

    def make(self, m: Material, chance: Chance) -> Proxy:
        made = GptProxy(
            m.streams, m.target_tokens, m.buckets, m.targets, m.budget_tokens, m.tokens.vocab, m.tokens.end,
            self.settings(chance.threads), chance.seed, chance.scratch / "gpt",
        )  # fmt: skip
        return cast(Proxy, made)

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
class CommandSection(ProxySection):
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
    at_once: Few = 1  # attempts side by side, by one worker
    # workers, of any node, that share the runs of a round, `at_once` each; 1: one process makes all
    spread: Few = 1
    default_method: ClassVar = "bayes"

    def __post_init__(self) -> None:
        if self.tokens < 1 or self.at_once < 1 or self.retries < 0:
            raise ConfigError("command: tokens and at_once must be at least 1, retries at least 0")

    def share(self, available: int, budget: int) -> float:
        return min(1.0, self.tokens / budget)

    @property
    def each(self) -> int:
        return self.at_once

    @property
    def weighable(self) -> bool:
        return self.parameters > 0

    def check(self) -> None:
        self.settings(1)

    def make(self, m: Material, chance: Chance) -> Proxy:
        made = command_proxy(m, self.settings(m.budget_tokens), chance.seed, chance.scratch)
        return cast(Proxy, made)

    def settings(self, tokens: int) -> CommandSettings:
        """Raises ConfigError without a command."""
        if self.run is None or not ("{mixture}" in self.run and "{metrics}" in self.run):
            raise ConfigError(
                f"command.run: {self.run!r}; the command proxy needs a shell line with {{mixture}} and {{metrics}}"
            )
        # 6 per weight and token (Kaplan et al. 2020), as the gpt proxy counts.
        cost = 6.0 * self.parameters * tokens or 1.0
        return CommandSettings(self.run, self.parameters, cost, self.timeout_s, self.retries, self.at_once)


PROXIES: dict[str, type[ProxySection]] = {"ngram": NgramSection, "gpt": GptSection, "command": CommandSection}


def own_section(kind: str, settings: Options) -> ProxySection:
    """A section of the user's own, by module:Class; one that says nothing of itself where its code is not imported.

    Raises ConfigError where it or its settings are not."""
    if ":" not in kind:
        raise ConfigError(f"mixture.proxy: {kind!r}; there are {', '.join(PROXIES)}, or module:Class of your own")
    if not is_imported(kind):
        return ProxySection()
    try:
        return load_kind(kind, ProxySection)(**dict(settings))
    except TypeError as error:
        raise ConfigError(f"mixture.proxy_settings do not fit {kind}: {error}") from None
