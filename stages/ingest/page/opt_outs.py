"""Reservations that a page or its server states: robots directives, TDM, AIPREF, RSL, each as one signal string.

A signal is `where:what`; what it means for training, and whether it counts, is the licence stage's to say.
"""

import re
from collections.abc import Iterable, Mapping

from gristmill.classifiers.license.agents import AGENTS

SIGNAL_CHARS = 500
# Directives against training or AI: DeviantArt's noai and noimageai (2022), noml (noml.info), Microsoft's
# DisallowAITraining (draft-canel-robots-ai-control).
DIRECTIVES = ("noai", "noimageai", "noml", "disallowaitraining")
# What keeps a robot out altogether, where it is said to an AI agent by name.
_EXCLUDING = ("none", "noindex")
_ROBOTS = ("robots", "x-robots-tag", "googlebot", "bingbot", "slurp", "yandex", "baiduspider", "duckduckbot")
_BETWEEN = re.compile(r"[\s,;]+")
# AIPREF's vocabulary (draft-ietf-aipref-vocab; earlier drafts had tdm, ai and genai) and Cloudflare's content signals.
_PREFERENCES = ("ai-train", "train-ai", "ai-input", "tdm", "ai", "genai", "train-genai", "bots", "ai-index")
_PREFERENCE = re.compile(r"([a-z][a-z\-]{0,30})\s{0,9}=\s{0,9}\"?([a-z]+|\?[01])")
# RSL 1.0, 3.5: a licence's uses, users and payment; these uses hold training.
_RSL_LICENCE = re.compile(r"<(?:\w{1,20}:)?license\b", re.I)
_RSL_USE = re.compile(r"<(?:\w{1,20}:)?(permits|prohibits)\b([^<>]{0,200})>([^<>]{0,500})<", re.I)
_RSL_USAGE = re.compile(r"type\s{0,9}=\s{0,9}[\"']usage", re.I)
_RSL_PAYMENT = re.compile(r"<(?:\w{1,20}:)?payment\b[^<>]{0,200}?\btype\s{0,9}=\s{0,9}[\"'](\w{1,20})", re.I)
_RSL_TRAINING = frozenset(("all", "ai-all", "ai-train", "train-ai", "ai"))
_NO = ("no", "n", "?0", "disallow", "false")


def header_signals(headers: Mapping[str, str]) -> list[str]:
    """Of a response's headers (lower-case names, repeated values joined by commas)."""
    found: list[str] = []
    if robots := headers.get("x-robots-tag"):
        found += _robots("x-robots-tag", robots)
    if "1" in _BETWEEN.split(headers.get("tdm-reservation", "").strip().strip('"')):
        found.append("tdm-reservation:header=1")
    if policy := headers.get("tdm-policy", "").strip():
        found.append(f"tdm-policy:{policy[:SIGNAL_CHARS]}")
    for name in ("content-signal", "content-usage"):
        if said := headers.get(name):
            found += [f"{name}:{what}" for what in refused(said)]
    return found


def meta_signals(name: str, content: str) -> list[str]:
    """Of a meta element; `name` in lower case."""
    if name == "tdm-reservation":
        return ["tdm-reservation:meta=1"] if "1" in _BETWEEN.split(content.strip()) else []
    if name == "tdm-policy":
        return [f"tdm-policy:{content[:SIGNAL_CHARS]}"]
    if name in ("content-signal", "content-usage"):
        return [f"{name}:{said}" for said in refused(content)]
    if name in _ROBOTS:
        return _robots("meta-robots", content)
    if name in AGENTS:
        words = _BETWEEN.split(content.lower())
        said = [word for word in words if word in DIRECTIVES]
        return [f"meta-robots:{w}" for w in said] + [f"meta-agent:{name}={w}" for w in words if w in _EXCLUDING]
    return []


def embedded_rsl(terms: str) -> str:
    """The signal of RSL 1.0 terms in a page: a reservation but where a licence lets anybody train, and for nothing."""
    for licence in _RSL_LICENCE.split(terms)[1:]:
        said = {True: set[str](), False: set[str]()}
        limited = False
        for verb, attributes, words in _RSL_USE.findall(licence):
            if _RSL_USAGE.search(attributes):
                said[verb.lower() == "permits"] |= set(_BETWEEN.split(words.lower().strip()))
            else:  # some users or places only
                limited = True
        paid = any(kind.lower() != "free" for kind in _RSL_PAYMENT.findall(licence))
        permitted = not said[True] or bool(said[True] & _RSL_TRAINING)
        if permitted and not said[False] & _RSL_TRAINING and not limited and not paid:
            return "rsl-permits:embedded"
    return "rsl:embedded"


def refused(preferences: str) -> list[str]:
    """What a list of AIPREF preferences or content signals refuses: ai-train=no, train-ai=n."""
    pairs = _PREFERENCE.findall(preferences.lower())
    return [f"{key}={value}" for key, value in pairs if key in _PREFERENCES and value in _NO]


def _robots(where: str, content: str) -> list[str]:
    """Directives, each for all robots or, behind `agent:`, for one."""
    found, agent = [], ""
    for word in _BETWEEN.split(content.lower().replace(":", ": ")):
        if word.endswith(":"):
            agent = word[:-1]
        elif word in DIRECTIVES:
            found.append(f"{where}:{word}")
        elif word in _EXCLUDING and agent in AGENTS:
            found.append(f"{where}-agent:{agent}={word}")
    return found


def distinct(signals: Iterable[str]) -> list[str]:
    return sorted(set(signals))
