"""Whether the targets are losses or accuracies: read off their names and ranges where both leave no doubt, else asked.

A search in the wrong direction returns the worst mixture, so doubt is an error that names --direction.
"""

import re
from collections.abc import Sequence
from itertools import pairwise
from typing import Literal

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError

Direction = Literal["losses", "accuracies"]

# Words of a target's name (split at anything but letters, digits and @), as evaluation harnesses and trackers write it.
LOWER = frozenset(
    [
        "loss", "losses", "nll", "ppl", "perplexity", "bpb", "bpc", "bpt", "bits", "nats", "ce", "xent",
        "cent", "entropy", "err", "error", "errors", "wer", "cer", "ter", "mse", "rmse", "mae", "mape",
        "brier", "ece", "kl", "fid",
    ]
)  # fmt: skip
HIGHER = frozenset(
    [
        "acc", "accs", "accuracy", "accuracies", "f1", "em", "bleu", "sacrebleu", "rouge", "rouge1", "rouge2",
        "rougel", "chrf", "meteor", "comet", "bertscore", "auc", "auroc", "roc", "mcc", "precision", "recall",
        "map", "ndcg", "mrr", "hit", "hits", "correct", "solved", "win", "wins", "winrate", "elo", "reward",
        "r2", "spearman", "pearson", "mc1", "mc2", "passrate", "logprob", "logprobs", "loglikelihood",
    ]
)  # fmt: skip
HIGHER_PAIRS = frozenset(
    [("exact", "match"), ("win", "rate"), ("pass", "at"), ("pass", "rate"), ("log", "prob"), ("log", "likelihood")]
)
PASS_AT = re.compile(r"(pass|maj|hit|hits|p|recall|acc)@\d+")
# Nats per token of a model that knows nothing: ln of a vocabulary of 256,000, the largest in use. Fractions end at 1.
LOWEST_LOSS, GREATEST_LOSS = 1.0, 12.5
DIRECTIONS: dict[str, Direction] = {"losses": "losses", "accuracies": "accuracies"}


def direction_of(targets: Sequence[str], values: np.ndarray) -> tuple[Direction, str]:
    """(direction, why) of targets whose measurements are values (n, t), finite.

    Raises ConfigError where names and ranges do not settle it, or the targets are of both kinds.
    """
    said = {name: kind_of_name(name) for name in targets}
    higher = [n for n in targets if said[n] == "accuracies"]
    lower = [n for n in targets if said[n] == "losses"]
    other = [n for n in targets if said[n] is None]
    if higher and lower:
        raise ConfigError(
            f"{shown(higher)} look like accuracies and {shown(lower)} like losses: one search goes one way; choose "
            "targets of one kind with --objective, or say --direction losses or --direction accuracies"
        )
    odd = [n for n in other if not in_range(values[:, list(targets).index(n)], LOWEST_LOSS, GREATEST_LOSS)]
    if higher and not other:
        wild = [n for n in higher if not accuracy_like(n, values[:, list(targets).index(n)])]
        if not wild:
            return "accuracies", "from their names"
        raise ConfigError(
            f"{shown(wild)} look like accuracies by name, yet {spans(wild, targets, values)}; say --direction losses "
            "(lower is better) or --direction accuracies (higher is better)"
        )
    if not higher and not odd:
        negative = [n for n in lower if (values[:, list(targets).index(n)] < 0).any()]
        if not negative:
            return "losses", "from their names" if not other else "from their range, that of nats per token"
        odd = negative
    raise ConfigError(
        f"is lower better or higher? Neither names nor values of {shown(odd or other)} tell "
        f"({spans(odd or other, targets, values)}); say --direction losses (lower is better) or --direction accuracies "
        "(higher is better)"
    )


def kind_of_name(name: str) -> Direction | None:
    """None where the name holds no telling word, or words of both kinds."""
    spaced = re.sub(r"(?<=[a-z])(?=[A-Z])", " ", name)
    words = re.findall(r"[a-z0-9@]+", spaced.casefold())
    high = (
        any(w in HIGHER or PASS_AT.fullmatch(w) for w in words)
        or any(p in HIGHER_PAIRS for p in pairwise(words))
    )  # fmt: skip
    low = any(w in LOWER for w in words)
    if high == low:
        return None
    return "accuracies" if high else "losses"


def contradicts(direction: Direction, targets: Sequence[str]) -> list[str]:
    """Targets whose names say the opposite of the direction that was given."""
    return [n for n in targets if kind_of_name(n) not in (None, direction)]


def accuracy_like(name: str, values: np.ndarray) -> bool:
    """Fractions or percentages; log-likelihoods lie below 0, ratings and rewards anywhere."""
    words = set(re.findall(r"[a-z0-9@]+", name.casefold()))
    if words & {"logprob", "logprobs", "loglikelihood", "log", "elo", "reward"}:
        return True
    return in_range(values, -1.0, 100.0)  # a correlation may lie below 0


def in_range(values: np.ndarray, low: float, high: float) -> bool:
    return bool((values >= low).all() and (values <= high).all())


def spans(names: Sequence[str], targets: Sequence[str], values: np.ndarray) -> str:
    column = values[:, list(targets).index(names[0])]
    return f"{names[0]} runs from {column.min():.4g} to {column.max():.4g}"


def shown(names: Sequence[str]) -> str:
    return ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
