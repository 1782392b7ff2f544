"""What n-gram runs below gpt runs save: gpt runs needed for the same ranking and the same choice, with and without.

    python benchmarks/mixture/saves.py [--data FOLDER] --folder DIR  # 96 small gpt runs (kept in DIR), then two tables

Ten domains of real text, targets held back from each. Prediction: Spearman on the gpt runs that were not fitted.
Search: regret of the best evaluated gpt run when choosing among the 96, for the mean of all ten targets and for the
means of 20 random pairs of targets. With n-grams, both go through the search's own ladder
(stages/mixture/search/ladder.py).
"""

import argparse
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

import numpy as np
from domains import END, domains_and_targets
from fidelities import scaled
from proxies import TEN
from tables import mean_interval, per_target
from threadpoolctl import threadpool_limits

from gristmill.stages.mixture.constraints import unconstrained
from gristmill.stages.mixture.objective import mean_of
from gristmill.stages.mixture.predictors.cross_validation import spearman
from gristmill.stages.mixture.predictors.fidelities import STEP
from gristmill.stages.mixture.predictors.gaussian_process import GaussianProcess
from gristmill.stages.mixture.predictors.protocol import fit_runs
from gristmill.stages.mixture.proxies.gpt import GptProxy
from gristmill.stages.mixture.proxies.gpt_settings import PRESETS
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.runs.import_tables import TableProxy, table_runs
from gristmill.stages.mixture.runs.runs import Proxy, Runs
from gristmill.stages.mixture.search.bayes import Bayes
from gristmill.stages.mixture.search.candidates import RegMixSampler, cover
from gristmill.stages.mixture.search.ladder import RUNG_GP, Ladder
from gristmill.stages.mixture.search.trials import Trials

AT = (1, 2, 4, 8, 12, 16, 24, 32)
FITTED = (8, 12, 16, 24, 32, 48)


@dataclass(frozen=True, eq=False)
class Priced(TableProxy):
    """A table whose runs cost what they cost to train."""

    price: float = 1.0

    @property
    def cost(self) -> float:
        return self.price


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folder", type=Path, required=True, help="where gpt runs are kept")
    parser.add_argument("--mixtures", type=int, default=96)
    parser.add_argument("--tokens", type=int, default=200_000)
    parser.add_argument("--vocab", type=int, default=2048)
    parser.add_argument("--preset", choices=sorted(PRESETS), default="tiny")
    parser.add_argument("--device", default="cpu")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--splits", type=int, default=20)
    args = parser.parse_args()
    buckets, targets = map(dict, domains_and_targets(TEN, args.vocab, 300_000, 4_000))
    weights = RegMixSampler().draw(np.ones(len(TEN)), args.mixtures, np.random.default_rng(1))
    weights /= weights.sum(axis=1, keepdims=True)
    settings = replace(PRESETS[args.preset], device=args.device, threads=args.threads)
    gpt = GptProxy(
        tuple(buckets.values()), tuple(targets.values()), TEN, TEN,
        args.tokens, args.vocab, END, settings, 0, args.folder,
    )  # fmt: skip
    trained = table_runs(
        gpt.realised(weights), gpt.losses(weights), TEN, TEN, tuple(map(str, range(len(weights)))), gpt.fidelity
    )
    ngram = NgramProxy.fit(
        list(buckets.values()), list(targets.values()), TEN, TEN,
        budget_tokens=args.tokens, vocab=args.vocab, end_id=END, threads=args.threads,
    )  # fmt: skip
    print(f"{len(trained)} gpt runs of {gpt.parameters:,} weights on {args.tokens:,} tokens; an n-gram run costs "
          f"{ngram.cost / gpt.cost:.0e} of one")  # fmt: skip
    prediction(trained, ngram, args.splits)
    search(trained, ngram, gpt.cost)


def prediction(trained: Runs, ngram: NgramProxy, splits: int) -> None:
    # The design that the ladder begins with.
    asked = cover(np.full(len(TEN), 1 / len(TEN)), Ladder().first_free, unconstrained(TEN), np.random.default_rng(0))
    cheap = table_runs(asked, ngram.losses(asked), TEN, TEN, tuple(map(str, range(len(asked)))), ngram.fidelity)
    below = fit_runs(RUNG_GP, cheap, cheap.losses, 0)
    print(f"\n## Spearman on unseen gpt runs, {splits} splits (per target, mean loss)")
    print(
        "gpt runs | gpt alone, per target | n-grams below | scaled only | gpt alone, mean loss | n-grams below | scaled"
    )
    for name, known in (("counted", ngram.losses), (f"by {len(asked)} n-gram runs", below.mean)):
        p = known(trained.weights)
        ranks = per_target(p, trained.losses), spearman(p.mean(axis=1), trained.losses.mean(axis=1))
        print(f"0, {name} | | {ranks[0]:.4f} | | | {ranks[1]:.4f} | ")
    for n in FITTED:
        rows = []
        for s in range(splits):
            order = np.random.default_rng(s).permutation(len(trained))
            some, rest = trained.take(order[:n]), trained.take(order[n:])
            alone = fit_runs(GaussianProcess(), some, some.losses, s)
            with threadpool_limits(1):
                both = STEP.fit(below, some.weights, some.losses, some.groups(), s)
            predicted = alone.mean(rest.weights), both.mean(rest.weights), scaled(below, some, rest.weights)
            truth = rest.losses.mean(axis=1)
            rows.append(
                [per_target(p, rest.losses) for p in predicted] + [spearman(p.mean(axis=1), truth) for p in predicted]
            )
        print(f"{n} | " + " | ".join(mean_interval(c) for c in zip(*rows, strict=True)), flush=True)


def search(trained: Runs, ngram: NgramProxy, price: float) -> None:
    rng = np.random.default_rng(0)
    goals = [("mean of ten", TEN)] + [("pairs", tuple(rng.choice(TEN, 2, replace=False))) for _ in range(20)]
    methods = {
        "random": None,
        "bayes on gpt runs": Bayes(first=4, evaluations=max(AT)),
        "ladder: n-grams below": Ladder(budget=max(AT)),
        "ladder by 8: n-grams below": Ladder(budget=max(AT), batch=8),
    }
    print("\n## Regret of the best gpt run evaluated, nats (median [mean]); n-gram runs are not counted")
    print("objective | method | " + " | ".join(f"{n} runs" for n in AT) + " | gpt runs until the best is found")
    for label in ("mean of ten", "pairs"):
        chosen = [g for name, g in goals if name == label]
        for name, method in methods.items():
            regrets, found = [], []
            for i, goal in enumerate(chosen * (10 if len(chosen) == 1 else 1)):
                objective = mean_of(goal, "losses")
                scores = objective.score(trained.losses, trained.targets)
                rng = np.random.default_rng(i)
                if method is None:
                    seen = scores[rng.permutation(len(scores))]
                else:
                    natural, c = np.full(len(TEN), 1 / len(TEN)), unconstrained(TEN)
                    below = (cast(Proxy, ngram),) if isinstance(method, Ladder) else ()
                    trials = Trials(Priced(trained, price=price), c, objective, natural, "", below)
                    with threadpool_limits(1):
                        method.run(trials, rng)
                    runs = trials.runs()
                    seen = objective.score(runs.losses, runs.targets)
                best = np.minimum.accumulate(seen) - scores.min()
                regrets.append([best[min(n, len(best)) - 1] for n in AT])
                found.append(float(np.argmax(best <= 1e-9) + 1) if best.min() <= 1e-9 else np.inf)
            r = np.array(regrets)
            cells = [f"{np.median(c):.3f} [{c.mean():.3f}]" for c in r.T]
            print(f"{label} | {name} | " + " | ".join(cells) + f" | {np.median(found):g} (median)", flush=True)


if __name__ == "__main__":
    main()
