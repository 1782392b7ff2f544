"""Thresholds of the word-level rules for languages other than English, as FineWeb2 published them.

Source: huggingface/fineweb-2, configs/*.yml (Apache-2.0; arXiv:2506.20920): per language the tails of statistics over
its Wikipedia and web text, with words as its word tokenizers cut them. 0 and -1 there mean no rule: None here.
More languages, or other limits, come from a data file (`gates.languages_file`, `signals.languages_file`).
"""

from collections import Counter
from dataclasses import dataclass, fields
from functools import cache
from pathlib import Path
from typing import cast

from gristmill.classifiers.language import check_code
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.ranges import Amount, Share
from gristmill.pipeline.contract.yaml12 import YamlError, parse_yaml

MAX_STOP_WORDS = 64  # per language: a bit each in the kernel


@dataclass(frozen=True)
class LanguageThresholds:
    """Limits for one language; None: the rule is off for it. English has its own fields in `gates`."""

    language: str  # as the language stage writes it
    # As the limits of the same names in `gates`, for this language; null: the rule does not judge it.
    min_mean_word_len: Amount | None = None
    max_mean_word_len: Amount | None = None
    min_alpha_words_frac: Share | None = None
    min_ended_lines_frac: Share | None = None
    max_newline_ratio: Amount | None = None


LANGUAGES = tuple(
    LanguageThresholds(*row)
    for row in (
        ("ar", 2, 9, 0.787, 0.143, 0.189),
        ("bo", 1, 23, 0.824, None, 0.417),
        ("cs", 3, 11, 0.781, 0.060, 0.182),
        ("da", 3, 11, 0.798, 0.100, 0.182),
        ("de", None, 15, 0.774, None, 0.152),
        ("el", 3, 11, 0.809, 0.167, 0.116),
        ("es", 3, 14, 0.825, 0.182, 0.138),
        ("fa", 2, 9, 0.812, 0.200, 0.150),
        ("fi", 3, 14, 0.755, 0.114, 0.161),
        ("fr", 2, 11, 0.812, 0.100, 0.185),
        ("hi", 2, 21, 0.837, 0.091, 0.316),
        ("hu", 3, 15, 0.766, 0.067, 0.231),
        ("id", 3, 12, 0.805, 0.111, 0.157),
        ("it", 3, 21, 0.807, 0.025, 0.200),
        ("ja", 1, 6, 0.759, 0.096, 0.130),
        ("km", 2, 13, 0.905, None, 0.361),
        ("ko", 1, 6, 0.791, 0.062, 0.196),
        ("lo", 2, 9, 0.850, None, 0.200),
        ("my", 2, 21, 0.750, None, 0.070),
        ("nl", 3, 17, 0.828, 0.102, 0.154),
        ("no", 3, 12, 0.783, 0.107, 0.167),
        ("pl", 3, 12, 0.726, 0.087, 0.158),
        ("pt", 3, 13, 0.814, 0.077, 0.186),
        ("ro", 1, 14, 0.779, 0.081, 0.207),
        ("ru", 3, 11, 0.713, 0.231, 0.139),
        ("sv", 3, 12, 0.841, 0.200, 0.135),
        ("th", 2, 10, 0.900, None, 0.153),
        ("tr", 3, 21, 0.773, 0.091, 0.222),
        ("uk", 3, 11, 0.694, 0.167, 0.175),
        ("vi", 3, 11, 0.803, 0.333, 0.103),
        ("zh", 1, 5, 0.735, 0.106, 0.178),
    )
)


@dataclass(frozen=True)
class LanguageEntry:
    """One language of a data file: its limits, and its stop words if it has any."""

    limits: LanguageThresholds
    stop_words: tuple[str, ...] = ()


def read_languages(path: str) -> dict[str, LanguageEntry]:
    """Language -> entry of a data file (as `gristmill thresholds` writes it). Raises ConfigError for anything else."""
    try:
        return _parse(path, Path(path).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ConfigError(f"no file {path}; gristmill thresholds writes one from a run") from None
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} cannot be read: {error}") from None


@cache
def _parse(path: str, text: str) -> dict[str, LanguageEntry]:
    try:
        tree = cast(dict, parse_yaml(text))
        entries = [_entry(row) for row in tree["languages"]]
        if twice := sorted(k for k, n in Counter(e.limits.language for e in entries).items() if n > 1):
            raise ValueError(f"{twice[0]} stands twice")
        return {entry.limits.language: entry for entry in entries}
    except YamlError as error:
        raise ConfigError(f"{path} is not valid YAML: {error}") from None
    except ConfigError:
        raise
    except (KeyError, TypeError, ValueError) as error:
        raise ConfigError(f"{path} must hold languages: [{{language, limits, stop_words}}, ...]; {error}") from None


def _entry(row: dict[str, object]) -> LanguageEntry:
    names = {f.name for f in fields(LanguageThresholds)}
    unknown = set(row) - names - {"docs", "stop_words"}
    if unknown:
        raise ValueError(
            f"{row['language']} has {', '.join(sorted(unknown))}, which is none of {', '.join(sorted(names))}"
        )
    values = {name: row[name] for name in names if name in row}
    wrong = [n for n, v in values.items() if n != "language" and not (v is None or type(v) in (int, float))]
    if wrong or not isinstance(row["language"], str):
        raise ValueError(f"{row['language']}: {', '.join(wrong) or 'language'} is no number")
    check_code(str(row["language"]), "language")
    words = row.get("stop_words") or []
    if not isinstance(words, list) or not all(isinstance(w, str) and w == w.lower() and w for w in words):
        raise ValueError(f"{row['language']}: stop_words is no list of lower-case words")
    if len(words) > MAX_STOP_WORDS:
        raise ValueError(f"{row['language']}: {len(words)} stop words; at most {MAX_STOP_WORDS}")
    return LanguageEntry(LanguageThresholds(**values), tuple(words))  # pyright: ignore[reportArgumentType]
