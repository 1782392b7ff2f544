"""The list `sources` of a config: checks it, and hands every stage what it takes from each source.

A stage takes part of the list by a field of `borrowed` "sources": a tuple of a dataclass with `name` and the keys it
reads. So what one stage reads of a source is no part of another's identity.
"""

from collections.abc import Collection, Sequence
from copy import deepcopy
from dataclasses import fields
from difflib import get_close_matches
from typing import get_args

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.plan.config import Tree, section

SOURCES = "sources"
TRUSTED = {"gates": "off", "clean": False, "quality": "exempt"}  # what `trusted: true` stands for
OWN = ("share", "weight", "trusted")  # keys that no stage reads: `expanded` writes them in others' words


def sources_of(tree: Tree) -> list[Tree]:
    """The items of the list. Raises ConfigError for anything that is no list of mappings."""
    given = tree.get(SOURCES)
    if given is None:
        return []
    if not isinstance(given, list) or not all(isinstance(item, dict) and "name" in item for item in given) or not given:
        raise ConfigError("sources: a list of {name: web, paths: crawl/*.parquet, ...}")
    return given


def check_sources(tree: Tree, known: Collection[str]) -> None:
    """Raises ConfigError for a key that no stage reads."""
    allowed = sorted({*known, *OWN})
    for item in sources_of(tree):
        for key in item:
            if key not in allowed:
                near = get_close_matches(str(key), allowed, n=1, cutoff=0.5)
                hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(allowed)}"
                raise ConfigError(f"source {item['name']}: unknown key {key!r}; {hint}")


def expanded(tree: Tree) -> Tree:
    """The config with `trusted` in full, shares as mixture.weights, buckets by source, cleaning for those that ask."""
    sources = sources_of(tree)
    if not sources:
        return tree
    tree = deepcopy(tree)
    sources = [_in_full(item) for item in sources_of(tree)]
    shares = _shares(sources)
    if shares is not None:
        mixture = _section(tree, "mixture")
        given = [key for key in ("weights", "bounds", "groups", "method") if mixture.get(key)]
        if given:
            raise ConfigError(f"sources give shares, and so does mixture.{given[0]}; leave one of them out")
        mixture["weights"] = shares
        bucket = _section(_section(tree, "domain"), "bucket")
        if bucket.setdefault("by", "source") != "source":
            raise ConfigError(f"sources give shares, but domain.bucket.by is {bucket['by']}; set it to source")
    if any(item.get("clean") is True for item in sources) and not section(tree, "clean").get("enabled", False):
        _section(tree, "clean")["enabled"] = True
        for item in sources:
            item.setdefault("clean", False)
    tree[SOURCES] = sources
    return tree


def _section(tree: Tree, key: str) -> Tree:
    node = tree.get(key)
    if not isinstance(node, dict):
        node = tree[key] = {}
    return node


def _in_full(item: Tree) -> Tree:
    trusted = item.get("trusted", False)
    if not isinstance(trusted, bool):
        raise ConfigError(f"source {item['name']}: trusted is true or false; got {trusted!r}")
    return {**(TRUSTED if trusted else {}), **{k: v for k, v in item.items() if k != "trusted"}}


def _shares(sources: Sequence[Tree]) -> dict[str, float] | None:
    """Source -> share of the tokens, popped from the items (weights: in any scale); None where none has one."""
    for key in ("share", "weight"):
        having = [item for item in sources if item.get(key) is not None]
        if not having:
            continue
        if len(having) < len(sources):
            missing = next(item for item in sources if item.get(key) is None)
            raise ConfigError(f"sources: {missing['name']} has no {key}; give every source one, or none")
        values = {str(item["name"]): _number(item.pop(key), f"source {item['name']}: {key}") for item in sources}
        if key == "share":
            return values  # mixture.weights wants a sum of 1
        total = sum(values.values())
        if not total > 0:
            raise ConfigError("sources: at least one weight is above 0")
        return {name: value / total for name, value in values.items()}
    return None


def _number(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not value >= 0:
        raise ConfigError(f"{where} is a number of at least 0; got {value!r}")
    return float(value)


def keys_of(hint: object) -> list[str]:
    """The keys that a stage's field tuple[Item, ...] takes from each source."""
    return [f.name for f in fields(get_args(hint)[0])]


def taken(hint: object, tree: Tree) -> list[Tree]:
    """What such a field is built from: the sources that say anything about it."""
    keys = keys_of(hint)
    mine = [{key: item[key] for key in keys if key in item} for item in sources_of(tree)]
    return [item for item in mine if len(item) > 1]
