"""The list `phases` of a config: checks it, and gives the mixture what follows from it.

A stage takes part of the list by a field that is `borrowed` from "phases": a tuple of a dataclass with the keys that it
reads.
"""

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import fields
from difflib import get_close_matches
from typing import get_args

from gristmill.pipeline.contract.corpus.shares import read_shares
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.plan.config import Tree, section, whole

PHASES = "phases"


def phases_of(tree: Tree) -> list[Tree]:
    """The items of the list. Raises ConfigError for anything that is no list of named mappings."""
    given = tree.get(PHASES)
    if given is None:
        return []
    if not isinstance(given, list) or not given or not all(isinstance(i, dict) and "name" in i for i in given):
        raise ConfigError("phases: a list of {name: warmup, budget_tokens: 1B, weights: {bucket: share}}")
    return given


def check_phases(phases: Sequence[Tree], known: Collection[str]) -> None:
    """Raises ConfigError for an unknown key, or a phase without a budget."""
    for item in phases:
        for key in item:
            if key not in known:
                near = get_close_matches(str(key), sorted(known), n=1, cutoff=0.4)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(sorted(known))}"
                raise ConfigError(f"phase {item['name']}: unknown key {key!r}; {hint}")
        if item.get("budget_tokens") is None:
            raise ConfigError(f"phase {item['name']}: no budget_tokens; give every phase its own")


def with_phases(tree: Tree, hints: Sequence[object]) -> Tree:
    """The config whose mixture has the budget of all phases together and, where every phase gives its weights, searches
    none; weights that a file holds are read. `hints`: the types of the fields that the list fills.

    Raises ConfigError for phases that cannot be, and where the mixture has another budget.
    """
    phases = phases_of(tree)
    if not phases:
        return tree
    check_phases(phases, {key for hint in hints for key in phase_keys(hint)})
    tree = deepcopy(tree)
    mixture = tree["mixture"] = dict(section(tree, "mixture"))
    phases = tree[PHASES] = [_in_full(item) for item in phases]
    budgets = [_budget(item) for item in phases]
    given = whole(mixture.get("budget_tokens"))
    if given not in (None, sum(budgets)):
        raise ConfigError(f"phases ask for {sum(budgets):,} tokens, mixture.budget_tokens for {given:,}; leave it out")
    mixture["budget_tokens"] = sum(budgets)
    free = not any(mixture.get(key) for key in ("weights", "method", "bounds", "groups", "present"))
    if free and all(item.get("weights") is not None for item in phases):
        mixture["method"] = "natural"
    return tree


def _in_full(item: Tree) -> Tree:
    """The phase with its weights, where it names a file, as they stand there."""
    weights = item.get("weights")
    return (
        {**item, "weights": read_shares(weights, f"phase {item['name']}: weights")}
        if isinstance(weights, str)
        else item
    )


def _budget(item: Tree) -> int:
    budget = whole(item["budget_tokens"])
    if isinstance(budget, bool) or not isinstance(budget, int) or budget < 1:
        raise ConfigError(f"phase {item['name']}: budget_tokens is a number of tokens; got {item['budget_tokens']!r}")
    return budget


def taken_phases(hint: object, tree: Tree) -> list[Tree]:
    """What such a field is built from."""
    keys = phase_keys(hint)
    return [{key: item[key] for key in keys if key in item} for item in phases_of(tree)]


def phase_keys(hint: object) -> Sequence[str]:
    return [f.name for f in fields(get_args(hint)[0])]
