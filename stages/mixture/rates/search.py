"""Modes quadmix and both: QuaDMix's parameters searched in a run, and compared with mode climb on unseen text.

climb: weights are searched, S has the default shape. both: the parameters of S are searched inside climb's weights.
quadmix: the parameters are searched, and the buckets' shares are what they make of them (arXiv:2504.16511).
"""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from gristmill.pipeline.contract.errors import GristmillError
from gristmill.pipeline.kernels.numbers.sampling_curve import SEARCHED
from gristmill.stages.mixture.constraints import project, rounded
from gristmill.stages.mixture.material.drawn import PROXY
from gristmill.stages.mixture.proxies.ngram import NgramProxy
from gristmill.stages.mixture.rates.rule import (
    Rule,
    default_rule,
    groups_of,
    leaning,
    relative,
    rule_of,
    start_of,
)
from gristmill.stages.mixture.rates.searchers import QuadmixSpace
from gristmill.stages.mixture.rates.views import Corpora, Task, View, given, proxy_of, shelf_of_views, tuned, view
from gristmill.stages.mixture.result import Found
from gristmill.stages.mixture.runs.runs import Differentiable, Failing, Proxy
from gristmill.stages.mixture.search.confirm import Confirmation, checked_on, confirm, judged
from gristmill.stages.mixture.search.trials import best_rows

Mode = Literal["climb", "quadmix", "both"]

LEVEL = 0.95


@dataclass(frozen=True, eq=False)
class Choice:
    """The rule that measures lowest, and the losses (3, targets) of natural, climb's and its own corpus."""

    rule: Rule
    found: bool  # False: it is climb's own
    losses: np.ndarray
    runs: int
    parameters: int


def search_copies(task: Task, out: Path) -> Found:
    """Climb's result with better copies, or climb's result where no parameters measure better. Writes SEARCHED."""
    sizes = task.sizes
    natural = project((sizes / sizes.sum())[None], task.limits)[0]
    default = default_rule(task.copying, len(sizes))
    seen = view(task, task.readings.proxies[-1], task.section, PROXY)
    m = given(task, seen, task.section, task.targets, shelf_of_views(task, [seen]))
    proxy = proxy_of(task, seen, task.section, m, task.seed, tuned(task, seen, task.section, m))
    chosen = choose(task, seen, proxy, default, natural, groups_of(sizes, task.settings.shared_below))
    rule, weights = chosen.rule, task.climb.weights
    if chosen.found:
        weights = rounded(task.weights(task.drawn, relative(task.drawn, rule, task.copying.eta_mode)), task.limits)
    said, summary = account(task, chosen, proxy.targets)
    summary |= {
        "cells": len(seen.names),
        "misplaced": round(seen.misplaced(task.copies(seen.docs, rule, weights)), 4),
        "criteria": [c.column for c in task.copying.criteria],
        "buckets": rule.by_bucket(task.limits.buckets),
    }
    search = {**task.climb.search, "mode": task.mode, "parameters": summary}
    if chosen.found:
        stored = {k: summary[k] for k in ("criteria", "buckets")}
        text = json.dumps(stored, indent=1, ensure_ascii=False, sort_keys=True)
        (out / SEARCHED).write_text(text + "\n", encoding="utf-8")
        search["found"] = True
    checked = confirmed(task, chosen, weights, default, natural)
    near = task.climb.near_equal if task.mode == "both" or not chosen.found else None
    return Found(weights, verdict_of(said, checked), search, near, checked)


def choose(task: Task, seen: View, proxy: Proxy, default: Rule, natural: np.ndarray, group: np.ndarray) -> Choice:
    """group (k,): which set of parameters each bucket has."""
    space = QuadmixSpace(
        len(task.copying.criteria), int(group.max()) + 1, task.settings.lambda_scale, task.settings.omega_max,
        task.settings.epsilon_max,
    )  # fmt: skip

    def of(rule: Rule) -> np.ndarray:
        return seen.shares(task.copies(seen.docs, rule))

    def evaluate(thetas: np.ndarray) -> np.ndarray:
        losses = np.asarray(proxy.losses(np.stack([of(rule_of(space, t, group)) for t in thetas])))
        if not np.isfinite(losses).all():
            how = proxy.failures[-1] if isinstance(proxy, Failing) and proxy.failures else "a loss is not finite"
            raise GristmillError(f"a proxy run failed; the others are kept and are not made again. {how}")
        return losses

    climb = seen.shares(task.copies(seen.docs, default, task.climb.weights))
    plain = np.asarray(proxy.losses(np.stack([seen.shares(task.even(seen.docs, natural)), climb])))
    guarded = [proxy.targets.index(t) for t in task.limits.guard]

    def score(losses: np.ndarray) -> np.ndarray:
        worse = (losses - plain[0])[:, guarded] > task.limits.guard_tolerance + 1e-9
        return np.where(worse.any(axis=1), np.inf, task.objective.score(losses, proxy.targets))

    searcher, start = task.settings.searcher(task.section.exact), start_of(space, task.copying)
    if task.mode == "quadmix":
        cuts = leaning(task.climb.weights, natural, group, task.copying)
        start = np.concatenate([start, start_of(space, task.copying, cuts)])
    result = searcher.run(space, evaluate, task.objective, proxy.targets, task.seed, start)
    # A proxy without noise knows its best run; for any other the best of many is partly luck.
    thetas = [result.theta]
    if isinstance(proxy, Differentiable):
        thetas.append(np.round(result.thetas[best_rows(score(result.losses), 1)[0]], 6))
    losses = evaluate(np.stack(thetas))
    scores = np.round(score(losses), 9)
    winner = int(np.argmin(scores))
    # Climb's own search has seen to the guards.
    found = bool(scores[winner] < round(float(task.objective.score(plain, proxy.targets)[1]), 9))
    rule = rule_of(space, thetas[winner], group) if found else default
    own = losses[winner] if found else plain[1]
    return Choice(rule, found, np.stack([*plain, own]), len(result.losses), len(result.theta))


def account(task: Task, chosen: Choice, targets: tuple[str, ...]) -> tuple[str, dict[str, object]]:
    """(what the search says of itself, its summary)."""
    natural, climb, own = (float(s) for s in np.round(task.objective.score(chosen.losses, targets), 6))
    said = (
        f"the searched parameters measure {climb - own:.4f} better than climb's"
        if chosen.found
        else "no parameters measure better than climb's, which stand"
    )
    worse = {t: chosen.losses[2, targets.index(t)] - chosen.losses[0, targets.index(t)] for t in task.limits.guard}
    return said, {
        "method": task.settings.method,
        "runs": chosen.runs,
        "parameters": chosen.parameters,
        "found": chosen.found,
        "verdict": said,
        "measured_objective": own,
        "climb_measured": climb,
        "natural_measured": natural,
        "worse_than_natural": {t: round(float(d), 6) for t, d in worse.items()},  # guarded targets
    }


def confirmed(
    task: Task, chosen: Choice, weights: np.ndarray, default: Rule, natural: np.ndarray
) -> Confirmation | None:  # fmt: skip
    """The corpus against natural and, where it is another, climb's, on draws and text that no search saw."""
    if not task.held_back:
        return None
    views = [view(task, r, task.judge, f"confirm/{s}") for s, r in enumerate(task.readings.unread)]
    shelf = shelf_of_views(task, views)
    like: NgramProxy | None = None
    fresh: list[Proxy] = []
    names = ("searched", "natural", "climb") if chosen.found else ("searched", "natural")
    for s, (seen, on) in enumerate(zip(views, task.held_back, strict=True)):
        m = given(task, seen, task.judge, on, shelf)
        like = like or tuned(task, seen, task.judge, m)
        made = proxy_of(task, seen, task.judge, m, task.seed + 1 + s, like)
        corpora = [
            task.copies(seen.docs, chosen.rule, weights), task.even(seen.docs, natural),
            task.copies(seen.docs, default, task.climb.weights),
        ]  # fmt: skip
        fresh.append(Corpora(made, names, np.stack([seen.shares(v) for v in corpora[: len(names)]])))
    mine, *plain = np.eye(len(names))
    return confirm(fresh, mine, dict(zip(names[1:], plain, strict=True)), task.objective, task.limits.guard, LEVEL)


def verdict_of(said: str, checked: Confirmation | None) -> str:
    """First how the corpus compares with natural, then with climb's."""
    if checked is None:
        return f"{said}; not confirmed"
    against = [judged(c, LEVEL)[1] for c in checked.comparisons if c.baseline == "climb"] or [said]
    return f"{checked.verdict}; {against[0]}; {checked_on(checked.proxy)}"
