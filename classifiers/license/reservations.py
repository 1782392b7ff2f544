"""What each signal of a reservation means: the kinds that a policy names, and which of them count where it names none.

Signals are `where:what` strings, made by ingest (page and response) and from robots.txt.
"""

import re
from collections.abc import Collection, Iterable
from typing import Literal, get_args

Reservation = Literal[
    "noai",  # robots words noai (DeviantArt, 2022), of the page or its response
    "noml",  # robots word noml (noml.info)
    "disallow_ai_training",  # robots word DisallowAITraining (draft-canel-robots-ai-control)
    "tdm_reservation",  # TDMRep: tdm-reservation 1
    "train_ai",  # AIPREF train-ai=n, content signal ai-train=no
    "tdm",  # AIPREF's earlier drafts: tdm=n, of which training was a part
    "ai",  # the same: ai=n, genai=n, train-genai=n
    "bots",  # AIPREF's first draft: bots=n, all automated processing
    "robots",  # robots.txt keeps an AI agent out by its name
    "robots_any",  # robots.txt keeps all robots out
    "agent_none",  # none or noindex said to an AI agent by its name
    "rsl",  # a licence in RSL 1.0 stands beside the page
    "noimageai",  # images only
    "ai_input",  # AIPREF ai-input=n: answers of a search, not training
    "ai_index",  # an index for such answers
    "tdm_policy",  # TDMRep: a policy without a reservation
    "usage_info",  # schema.org usageInfo: terms that a person can read
]
KINDS: tuple[Reservation, ...] = get_args(Reservation)
# Those that speak of training on text: the others are about images, answers or search, or say nothing by themselves.
COUNTED: tuple[Reservation, ...] = KINDS[: KINDS.index("noimageai")]
_PREFERENCES: dict[str, Reservation] = {
    "train-ai": "train_ai", "ai-train": "train_ai", "tdm": "tdm", "ai": "ai", "genai": "ai", "train-genai": "ai",
    "bots": "bots", "ai-input": "ai_input", "ai-index": "ai_index",
}  # fmt: skip
_WORDS: dict[str, Reservation] = {
    "noai": "noai", "noml": "noml", "noimageai": "noimageai", "disallowaitraining": "disallow_ai_training",
}  # fmt: skip
_BEGINNINGS: dict[str, Reservation] = {
    "tdm-reservation": "tdm_reservation", "tdm-policy": "tdm_policy", "rsl": "rsl", "usage-info": "usage_info",
    "meta-agent": "agent_none", "meta-robots-agent": "agent_none", "x-robots-tag-agent": "agent_none",
}  # fmt: skip
_PREFERENCE = re.compile(r"(?:robots\.txt-)?content-(?:signal|usage):([a-z\-]+)=")


def kind_of(signal: str) -> Reservation | None:
    """The kind of a signal; null for one of no known form."""
    where, _, what = signal.partition(":")
    if found := _PREFERENCE.match(signal):
        return _PREFERENCES.get(found[1])
    if where == "robots.txt":
        return "robots_any" if what == "*" else "robots"
    return _BEGINNINGS.get(where) or _WORDS.get(what)


def reasons(signals: Iterable[str] | None, counted: Collection[str] = COUNTED) -> list[Reservation]:
    """The kinds among signals that count, in the order of `KINDS`."""
    found = {kind_of(signal) for signal in signals or ()}
    return [kind for kind in KINDS if kind in found and kind in counted]
