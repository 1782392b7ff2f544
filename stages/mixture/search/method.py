"""What a search method is: how proxy runs are spent, and how one mixture is chosen from them."""

from dataclasses import replace
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.mixture.predictors.protocol import Predictor
from gristmill.stages.mixture.proxies.protocol import ProxySection
from gristmill.stages.mixture.search.trials import Trials


class Method:
    """Settings of a search: a frozen dataclass that derives from this."""

    name: str
    predictor: Predictor
    takes_runs: ClassVar[bool] = True  # whether a number of runs can be asked for
    takes_slope: ClassVar[bool] = False  # whether it follows the proxy's gradient
    takes_cheaper: ClassVar[bool] = False  # whether n-gram runs below a dearer proxy tell it which of its runs to make

    def sized(self, runs: int | None, at_once: int) -> "Method":
        """The same search with `runs` proxy runs (None: its own number), `at_once` of which are made side by side."""
        if runs is not None:
            raise ConfigError(f"mixture.runs: {runs}, but {self.name} takes no number of runs; leave it null")
        return self

    def predicting(self, predictor: Predictor) -> "Method":
        """The same search with another predictor."""
        return replace(self, predictor=predictor)  # pyright: ignore[reportArgumentType] - methods are dataclasses

    @property
    def batches(self) -> int:
        """How many times it asks the dearest proxy for runs, at most. Where workers share the runs (`spread`), those of
        further ones are made by one process."""
        return 8

    def judge(self, trials: Trials) -> Predictor:
        """The predictor that the report is about."""
        return self.predictor

    def run(self, trials: Trials, rng: np.random.Generator) -> np.ndarray:
        """Fills the trials and returns the weights (k,) that it would choose."""
        raise NotImplementedError


FEWEST_RUNS = 6  # that a predictor can be cross-validated on


def check_runs(runs: int | None, method: str, takes_runs: bool) -> None:
    """Raises ConfigError for a number of runs that the method does not take, or that nothing can be learnt from."""
    if runs is not None and not takes_runs:
        raise ConfigError(f"mixture.runs: {runs}, but {method} takes no number of runs; leave it null")
    if runs is not None and runs < FEWEST_RUNS:
        raise ConfigError(f"mixture.runs: {runs}; at least {FEWEST_RUNS}, or nothing can be cross-validated")


def check_pair(method: Method, proxy: str, section: ProxySection) -> None:
    """Raises ConfigError for a search that cannot use the proxy of this name and section."""
    if method.takes_slope and not section.exact:
        raise ConfigError(
            f"mixture.method: {method.name} follows a gradient, and the {proxy} proxy has none; take ladder, bayes, "
            "climb or regmix (null chooses), or mixture.proxy: ngram"
        )
    if method.takes_cheaper and section.exact:
        raise ConfigError(
            f"mixture.method: {method.name} has n-gram runs below a dearer proxy; set mixture.proxy: gpt or command, "
            "or take direct, bayes, climb or regmix"
        )
    if method.takes_cheaper and not section.weighable:
        raise ConfigError(
            f"mixture.method: {method.name} weighs what runs cost; set mixture.command.parameters to the size of the "
            "model that the command trains, or take bayes"
        )
