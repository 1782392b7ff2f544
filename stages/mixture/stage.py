"""The mixture as a step of the run: buckets and held-back texts in, searched and confirmed weights out."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import ClassVar

import numpy as np
import polars as pl

from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import Options, all_imported, named
from gristmill.pipeline.contract.ranges import Amount, Count, FilePath, Seed, Share, SomeAmount, Threads
from gristmill.pipeline.contract.shapes import Corpus, Reads, Reducer, Tables
from gristmill.stages.mixture.config import (
    BUCKETING,
    COMMAND,
    CONFIRM,
    GPT,
    NGRAM,
    Bound,
    Bucketing,
    ConfirmSection,
    GroupBound,
    TargetWeight,
    check_targets,
    named_buckets,
    rules,
)
from gristmill.stages.mixture.constraints import floored, only_mixture, rounded
from gristmill.stages.mixture.languages import FREE, UNKNOWN, check_rule, languages_of
from gristmill.stages.mixture.material.drawn import (
    Drawing,
    Readings,
    Shares,
    by_bucket,
    identity_of,
    read_of,
    texts_of,
    totals_of,
)
from gristmill.stages.mixture.material.readings import divided, target_texts, tokens_of, validation_texts
from gristmill.stages.mixture.objective import Objective, objective_of
from gristmill.stages.mixture.predictors.named import PREDICTORS
from gristmill.stages.mixture.predictors.protocol import Predictor
from gristmill.stages.mixture.proxies.protocol import ProxySection
from gristmill.stages.mixture.proxies.sections import CommandSection, GptSection, NgramSection, own_section
from gristmill.stages.mixture.rates.rule import COPYING, PARAMETERS, Copying, ParameterSection
from gristmill.stages.mixture.rates.search import Mode, search_copies
from gristmill.stages.mixture.rates.views import Targets, Task
from gristmill.stages.mixture.report.choice import choice
from gristmill.stages.mixture.report.told import told
from gristmill.stages.mixture.result import Found, unsearched
from gristmill.stages.mixture.search.method import Method, check_pair, check_runs
from gristmill.stages.mixture.search.search import method_of
from gristmill.stages.mixture.searched import InRun
from gristmill.stages.mixture.shares import budget_of, check_given, given_present, given_weights, most_of
from gristmill.stages.mixture.sharing import Opened

NATURAL = "natural"  # the method that searches nothing


@dataclass(frozen=True)
class Mixture(Reducer):
    """Searches the bucket weights that give the held-back texts the lowest loss, and confirms them on fresh ones."""

    # climb: weights of the buckets are searched, and S has quadmix.shape inside them; both: then QuaDMix's parameters
    # of S are searched inside those weights; quadmix: its parameters, and the shares are what they make of them
    mode: Mode = "climb"
    # ngram: counts, no training (minutes on a laptop); gpt: decoders trained from scratch; command: your own trainer
    # module:Class: a proxy of your own, with its settings in proxy_settings (CONTRIBUTING.md)
    proxy: str = "ngram"
    proxy_settings: Options = ()
    # direct (follows the gradient; ngram), ladder (n-gram runs tell which of the dear ones are worth it; gpt, command),
    # bayes, climb, regmix, or natural: no search. null: direct for ngram, ladder for gpt, bayes for command
    # module:Class: a search of your own
    method: str | None = None
    predictor: str | None = None  # of losses from weights, for the search; null: the method's own. Or module:Class
    runs: Count | None = None  # proxy runs (ladder: of the dear one); null: ladder 24, bayes 48, climb 112, regmix 512
    budget_tokens: Count | None = None  # size of the corpus; null: budget_share of what is available
    budget_share: SomeAmount = 0.5  # of the tokens that reached the mixture
    max_epochs: SomeAmount = 4.0  # per bucket at the budget ("To Repeat or Not To Repeat": up to 4 costs nothing)
    # {bucket: share}, or a file that holds it (also weights.json of a run or of gristmill search): the corpus has these
    # shares, and nothing is searched. They sum to 1 within 0.1%; a bucket that is not named gets nothing
    weights: dict[str, Amount] | FilePath | None = None
    # the mixture that you have now, in the same form: the verdict compares the searched one with it
    present: dict[str, Amount] | FilePath | None = None
    # how hard the weights are pulled towards the natural mixture (or `present`): nats per token that a nat of KL
    # divergence must gain; 0: not at all. null: as hard as left-out pieces of the targets ask (ngram proxy), else 0
    pull: Amount | None = None
    # the languages' shares of the tokens, where buckets are of one language each (domain.bucket.by: cluster): natural,
    # unimax (as even as max_epochs allows), {temperature: 3} (natural to the power of 1/3), {en: 0.5, ...} (the others
    # share the rest), or free: the search decides. The mixture is searched inside languages that targets are written in
    languages: dict[str, Amount] | str = "natural"
    floor: Share = 0.0  # least part of its natural share that every bucket keeps
    bounds: tuple[Bound, ...] = ()  # {bucket, minimum, maximum, fixed}: limits on a bucket's share
    groups: tuple[GroupBound, ...] = ()  # {buckets, minimum, maximum}: limits on the total of several
    # {target, weight, guard}: what is minimised is their weighted mean loss, and a guarded one may not get worse than
    # under the natural mixture; empty: every target counts the same
    objective: tuple[TargetWeight, ...] = ()
    target_tokens: Count = 100_000  # per target; more sharpen the loss, not the ranking
    # Your own validation texts (.txt, .jsonl, .json, .parquet, also .gz and .zst): a target per file, named after it
    validation: tuple[FilePath, ...] = ()
    # Fields that are a record's text, in this order; none: `text`, or passage, question and right answer of a benchmark
    validation_fields: tuple[str, ...] = ()
    ngram: NgramSection = NGRAM
    gpt: GptSection = GPT
    command: CommandSection = COMMAND
    confirm: ConfirmSection | None = CONFIRM  # the check after the search; null: none
    parameters: ParameterSection = PARAMETERS
    bucketing: Bucketing = BUCKETING  # not a key of this section: what domain.bucket says
    copying: Copying = COPYING  # not a key of this section: what quadmix and sample say (modes quadmix and both)
    seed: Seed = 0  # of the search
    threads: Threads = 2  # fixed, so that results do not depend on the machine's size
    name: ClassVar = "mixture"
    version: ClassVar = 13
    borrowed: ClassVar = {"bucketing": ("domain.bucket",), "copying": ("quadmix", "sample")}
    files: ClassVar = ("validation", "weights", "present")
    own_names: ClassVar = ("proxy", "method", "predictor", "confirm.proxy")

    def __post_init__(self) -> None:
        method = self.chosen_method
        check_rule(self.languages)
        beside = {
            "method": self.method not in (None, NATURAL), "runs": self.runs is not None, "bounds": bool(self.bounds),
            "groups": bool(self.groups), "present": self.present is not None, "mode": self.mode == "quadmix",
        }  # fmt: skip
        check_given(self.weights, self.present, beside, self.searches and self.confirm is not None)
        if self.mode == "climb":  # uses the greatest number of copies only, so another change there redoes nothing here
            object.__setattr__(self, "copying", replace(COPYING, max_copies=self.copying.max_copies))
        elif self.copying.buckets:
            raise ConfigError(
                f"mixture.mode: {self.mode} searches what quadmix.buckets sets; leave that out, or take mode climb"
            )
        if self.objective:
            Objective(tuple((t.target, t.weight) for t in self.objective), "losses")
        section = self.section(self.proxy)
        if not all_imported(self.own_code):
            return
        if method != NATURAL:
            check_pair(method_of(method), self.proxy, section)
        check_runs(self.runs, method, method != NATURAL and method_of(method).takes_runs)
        if self.predictor is not None:
            named("mixture.predictor", self.predictor, PREDICTORS, Predictor)
        for used in (section, self.judge or section) if self.searches else ():
            used.check()
        if self.mode != "climb" and self.spread > 1:
            raise ConfigError(f"mixture: one process makes the runs of mode {self.mode}; leave out spread")

    @property
    def searches(self) -> bool:
        """Whether anything is measured on targets: weights, or the parameters of QuaDMix."""
        return self.mode != "climb" or self.searches_weights

    @property
    def searches_weights(self) -> bool:
        return self.chosen_method != NATURAL and self.weights is None

    @property
    def needs(self) -> tuple[str, ...]:
        return ("ingest.tokenizer", "dedup.held_out") if self.searches else ()

    @property
    def epochs(self) -> float:
        """The cap per bucket that the corpus can keep: no document is written more often than sample.max_copies."""
        return min(self.max_epochs, float(self.copying.max_copies))

    @property
    def reads(self) -> Reads:
        criteria = {} if self.mode == "climb" else {"quality": tuple(c.column for c in self.copying.criteria)}
        text: Reads = {"ingest": ("text",)} if self.searches else {}
        return {
            **text,
            "ingest.tokens": ("token_count",),
            "domain.bucket": ("bucket",),
            **({"language": ("language",)} if self.keeps_languages else {}),
            **criteria,
        }

    @property
    def keeps_languages(self) -> bool:
        """Whether languages' totals are set by a rule. Buckets that are no clusters may hold several languages, or are
        of one by chance (sources): there the rule must be asked for."""
        return self.languages != FREE and (self.bucketing.by in ("cluster", "language") or self.languages != "natural")

    @property
    def chosen_method(self) -> str:
        return self.method or self.section(self.proxy).default_method

    def section(self, kind: str) -> ProxySection:
        """Settings of a proxy. Raises ConfigError for one that is neither built in nor a class of the user's own."""
        own: dict[str, ProxySection] = {"ngram": self.ngram, "gpt": self.gpt, "command": self.command}
        return own.get(kind) or own_section(kind, self.proxy_settings)

    @property
    def judge(self) -> ProxySection | None:
        """Settings of the confirming proxy."""
        if self.confirm is None:
            return None
        kind = self.confirm.proxy or self.proxy
        own = {"ngram": self.confirm.ngram, "gpt": self.confirm.gpt, "command": self.confirm.command}
        return own.get(kind) or self.section(kind)

    @property
    def searcher(self) -> Method:
        """The method with as many runs as asked, and as many at once as the proxy makes."""
        method = method_of(self.chosen_method).sized(self.runs, self.section(self.proxy).side_by_side)
        if self.predictor is None:
            return method
        return method.predicting(named("mixture.predictor", self.predictor, PREDICTORS, Predictor))

    def preflight(self) -> None:
        if self.validation:
            check_targets(self.objective, tuple(validation_texts(self.validation, self.validation_fields)))
        section = self.section(self.proxy)
        for used in (section, self.judge or section) if self.searches else ():
            used.preflight()

    def mentions(self) -> Mapping[str, tuple[str, Sequence[str]]]:
        return named_buckets(self.bounds, self.groups, {"weights": self.weights, "present": self.present})

    def tell(self, run: Finished) -> Told:
        return told(run)

    def choice(self, document: Mapping[str, object], run: Finished) -> str | None:
        return choice(document, run)

    @property
    def passes(self) -> tuple[str, ...]:  # pyright: ignore[reportIncompatibleVariableOverride]
        scores = () if self.mode == "climb" else ("scores",)
        return ("sizes", *scores, "candidates", "texts") if self.searches else ("sizes",)

    @property
    def spread(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        return max(s.spread for s in (self.section(self.proxy), self.judge or self.section(self.proxy)))

    @property
    def rounds(self) -> int:  # pyright: ignore[reportIncompatibleVariableOverride]
        """Those of the search, and one of the confirmation, as far as workers share their runs."""
        if not self.searches or self.spread == 1 or not all_imported(self.own_code):
            return 0
        searching = self.searcher.batches if self.section(self.proxy).spread > 1 else 0
        return searching + (self.judge is not None and self.judge.spread > 1)

    @property
    def _drawing(self) -> Drawing:
        language = pl.col("language").fill_null(UNKNOWN) if self.keeps_languages else pl.lit("").alias("language")
        columns, scores = self.reads.get("language", ()), self.reads.get("quality", ())
        return Drawing(columns, language, self._shares, bool(self.validation), scores, self.copying.sample_docs)

    def take(self, name: str, corpus: Corpus, known: Tables) -> Tables:
        return self._drawing.take(name, corpus, known)

    def join(self, name: str, taken: Iterator[Tables], corpus: Corpus, known: Tables) -> Tables:
        return self._drawing.join(name, taken, known)

    def finish(self, known: Tables, corpus: Corpus, out: Path) -> None:
        self.sharing(known, corpus).finish(pl.DataFrame(), out)

    def sharing(self, known: Tables, corpus: Corpus) -> Opened:
        return self._opened(corpus, known, partial(texts_of, known.get("texts", pl.DataFrame())))

    def _budget(self, available: int) -> int:
        return self.budget_tokens or budget_of(self.budget_share, self.epochs, available)

    def _sections(self) -> tuple[ProxySection, ...]:
        """Of the proxies that are asked, the cheapest first."""
        cheaper = self.searches_weights and method_of(self.chosen_method).takes_cheaper
        return (*([self.ngram] if cheaper else []), self.section(self.proxy))

    def _shares(self, sizes: pl.DataFrame) -> Shares:
        """What the search, the choice of its pull and the confirmation read."""
        available = int(by_bucket(sizes)["token_count"].sum())
        budget = most_of(self._budget(available), available, self.epochs)
        proxies = tuple(s.share(available, budget) for s in self._sections())
        return Shares(
            proxies,
            proxies[-1] if self.searches_weights and self.section(self.proxy).exact and self.pull is None else None,
            self.judge.share(available, budget) if self.judge else proxies[-1],
            0 if self.confirm is None else self.confirm.seeds,
        )

    def _opened(self, corpus: Corpus, known: Tables, texts: Callable[[frozenset[str]], Mapping[str, str]]) -> Opened:
        table = by_bucket(all_sizes := known["sizes"])
        buckets, sizes = table["bucket"].to_list(), table["token_count"].to_numpy().astype(np.float64)
        asked = self._budget(available := int(sizes.sum()))
        budget = asked if self.weights is not None else most_of(asked, available, self.epochs)
        has = dict(zip(buckets, sizes.tolist(), strict=True))
        guard = tuple(t.target for t in self.objective if t.guard)
        limits = rules(buckets, has, budget, self.epochs, self.bounds, self.groups, guard)
        limits = floored(limits, sizes / available, self.floor)
        rule = self.languages if self.keeps_languages and self.weights is None else FREE
        languages = languages_of(all_sizes, buckets, rule, budget, self.epochs)
        if languages is not None and self.groups:
            raise ConfigError("mixture.groups and mixture.languages both set totals; set mixture.languages: free")
        limits = limits if languages is None else languages.pinned(limits)
        only, tokens, parts = only_mixture(limits), None, []

        def read() -> Readings:
            return read_of(known["read"], self._shares(all_sizes), totals_of(all_sizes))

        if (self.searches_weights and only is None) or self.mode != "climb":
            tokens = tokens_of(corpus.artifacts["ingest.tokenizer"] / "tokenizer.json")
            texts_on = target_texts(self.validation, self.validation_fields, corpus.artifacts["dedup.held_out"])
            seeds, back = (0, 0.0) if self.confirm is None else (self.confirm.seeds, self.confirm.target_share)
            parts = divided(texts_on, tokens.encode, self.target_tokens, seeds, back)
        if self.weights is not None:
            weights, why = given_weights(self.weights, buckets, sizes, budget, self.epochs)
            found = unsearched(rounded(weights, limits), why, method="given")
        elif self.chosen_method == NATURAL:
            bound = ", as mixture.bounds and mixture.groups leave it" if self.bounds or self.groups else ""
            found = unsearched(rounded(sizes / available, limits), f"the config asks for the natural mixture{bound}")
        elif only is not None:
            why = "one bucket" if len(buckets) == 1 else "the caps and bounds leave one mixture"
            found = unsearched(rounded(only, limits), f"there is nothing to choose between: {why}")
        elif not parts[0]:
            found = unsearched(rounded(sizes / available, limits), "there are no texts to search a mixture for")
        else:
            assert tokens is not None
            targets, *held_back = parts
            found = InRun(
                corpus.scratch, texts, read() if self.mode == "climb" else replace(read(), unread=()),
                identity_of(all_sizes), sizes, sizes / available, limits, budget, self.epochs, tokens, targets,
                held_back if self.mode == "climb" else [],  # the other modes confirm what they make of it
                self._objective(targets), self.proxy, self._sections(), self.judge or self.section(self.proxy),
                self.searcher, self.pull, given_present(self.present, buckets), languages, self.seed, self.threads,
            )  # fmt: skip
        copies = None
        if self.mode != "climb" and parts[0]:
            assert tokens is not None
            (targets, *held_back), section = parts, self.section(self.proxy)
            task = partial(
                Task, mode=self.mode, settings=self.parameters, copying=self.copying, scratch=corpus.scratch,
                texts=texts, docs=known["documents"], sample=known["sample"].filter(pl.col("bucket").is_in(buckets)),
                readings=read(), sizes=sizes, limits=limits, budget=budget, targets=targets, held_back=held_back,
                tokens=tokens, objective=self._objective(targets), section=section, judge=self.judge or section,
                seed=self.seed, threads=self.threads,
            )  # fmt: skip
            copies = partial(_copies, task)
        return Opened(found, table, limits, budget if self.weights is not None else asked, budget, self.epochs, copies)

    def _objective(self, targets: Targets) -> Objective:
        return objective_of([(t.target, t.weight) for t in self.objective], tuple(targets))


def _copies(task: Callable[..., Task], found: Found, out: Path) -> Found:
    """The other modes: QuaDMix's parameters, searched over what is read and a sample of the scores."""
    return search_copies(task(climb=found), out)
