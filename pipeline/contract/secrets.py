"""URLs with credentials: a public form that may be written, and the real one, which stays in memory.

A public form has neither user info nor query. A process that was given the real ones (`remember`) finds them again;
what is written or shown goes through `public` or `scrubbed`.
"""

import re
from collections.abc import Mapping
from hashlib import blake2b
from urllib.parse import parse_qsl, urlsplit

# Parameters that sign a request or say for how long: S3, Google Cloud, Azure, CloudFront and bearer tokens.
_SIGNING = re.compile(
    r"^(?:x-(?:amz|goog|oss|cos)-.*|.*(?:sig|signature|token|secret|passw|credential|auth|key).*|expires|policy"
    r"|s[a-z]|spr|srt|skoid|sktid|ske|sks|skv|skt)$",
    re.I,
)
_URL = re.compile(r"[a-z][a-z0-9+.\-]{0,30}://[^\s'\"<>]+", re.I)
LEAST_CHARS = 4  # shorter values would be struck out of half of what is said
HIDDEN = "***"

_real: dict[str, str] = {}  # by public form
_secrets: set[str] = set()


def public(path: str) -> str:
    """A path or URL as it may be written: without user info and query, and remembered if it had any.

    Of a query that does more than sign, a digest stays, for two files may differ in nothing else.
    """
    if "://" not in path:
        return path
    try:
        parts = urlsplit(path)
    except ValueError:
        return path
    _, at, host = parts.netloc.rpartition("@")
    if "*" in path:  # a pattern: its question marks ask for a character
        return f"{parts.scheme}://{host}{path.partition('://')[2][len(parts.netloc) :]}" if at else path
    if not at and not parts.query:
        return path
    told = [(name, value) for name, value in parse_qsl(parts.query, True) if not _SIGNING.match(name)]
    mark = blake2b(repr(told).encode("utf-8", "replace"), digest_size=4).hexdigest() if told else ""
    shown = f"{parts.scheme}://{host}{parts.path}{f'?query-{mark}' if mark else ''}"
    _remember(shown, path)
    return shown


def real(path: str) -> str:
    """The path whose public form this is, where this process was given it; else the path itself."""
    return _real.get(path, path)


def known() -> dict[str, str]:
    """What to hand to a process that is to open the real paths."""
    return dict(_real)


def remember(paths: Mapping[str, str]) -> None:
    for shown, path in paths.items():
        _remember(shown, path)


def _remember(shown: str, path: str) -> None:
    if _real.get(shown) == path:
        return
    _real[shown] = path
    parts = urlsplit(path)
    userinfo = parts.netloc.rpartition("@")[0]
    values = [value for name, value in parse_qsl(parts.query, True) if _SIGNING.match(name)]
    _secrets.update(s for s in (userinfo, userinfo.partition(":")[2], parts.query, *values) if len(s) >= LEAST_CHARS)


def scrubbed(text: str) -> str:
    """The text without what this process knows to be secret, and without user info and query of any URL in it."""
    for secret in sorted(_secrets, key=len, reverse=True):
        text = text.replace(secret, HIDDEN)
    return _URL.sub(lambda found: _plain(found[0]), text)


def _plain(url: str) -> str:
    shown, _, query = url.partition("?")
    head, sep, rest = shown.partition("://")
    host, slash, path = rest.partition("/")
    signed = any(_SIGNING.match(name) for name, _ in parse_qsl(query, True))
    return f"{head}{sep}{host.rpartition('@')[2]}{slash}{path}{f'?{query}' if query and not signed else ''}"


def without_secrets(value: object) -> object:
    """A config value with every URL in its public form."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value
