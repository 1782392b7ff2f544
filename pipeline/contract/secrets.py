"""URLs and commands with credentials: a public form that may be written, and the real one, which stays in memory.

A public form has neither user info nor query, nor the values of names like API_KEY. A process that was given the real
ones (`remember`) finds them again; what is written or shown goes through `public` or `scrubbed`.
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
_NAME = r"(?:[\w-]{0,60}[_-])?(?:key|token|secret|password|passwd|credentials?|auth|bearer)"
# A value given to a name like those in a command: NAME=value, --name value, a "Bearer value". A variable of the
# environment is none, nor an empty value.
_ASSIGNED = re.compile(
    rf"(?<![\w-])(?P<name>(?:{_NAME})=|--?(?:{_NAME})[ =]+|bearer +)(?P<value>'[^']+'|\"[^\"$]+\"|[^\s'\"$;&|<>]+)",
    re.I,
)
# Keys by the forms that their issuers gave them: Hugging Face, OpenAI and Anthropic, AWS, GitHub, Slack, W&B.
_ISSUED = re.compile(
    r"(?<![A-Za-z0-9])(?:hf_[A-Za-z0-9]{20,}|sk-[A-Za-z0-9_-]{20,}|AKIA[0-9A-Z]{16}|gh[pousr]_[A-Za-z0-9]{30,}"
    r"|xox[abp]-[A-Za-z0-9-]{10,}|wandb_v1_[A-Za-z0-9_]{20,})"
)
_SPACE = re.compile(r"\s")
LEAST_CHARS = 4  # shorter values would be struck out of half of what is said
HIDDEN = "***"

_real: dict[str, str] = {}  # by public form
_secrets: set[str] = set()


def public(text: str) -> str:
    """A path, URL or command as it may be written: without credentials, and remembered if it had any.

    Of a URL's query that does more than sign, a digest stays, for two files may differ in nothing else.
    """
    if _SPACE.search(text) or "://" not in text:
        return _public_command(text)
    return _public_url(text)


def _public_command(text: str) -> str:
    hidden: list[str] = []

    def without(found: re.Match[str]) -> str:
        hidden.append(found["value"].strip("'\""))
        return f"{found['name']}{HIDDEN}"

    def url(found: re.Match[str]) -> str:
        return _public_url(found[0])

    def issued(found: re.Match[str]) -> str:
        hidden.append(found[0])
        return HIDDEN

    shown = _ISSUED.sub(issued, _ASSIGNED.sub(without, _URL.sub(url, text)))
    if shown != text:
        _real[shown] = text
        _secrets.update(value for value in hidden if len(value) >= LEAST_CHARS and value != HIDDEN)
    return shown


def _public_url(path: str) -> str:
    try:
        parts = urlsplit(path)
    except ValueError:
        return path
    _, at, host = parts.netloc.rpartition("@")
    if "*" in path:  # a pattern: its question marks ask for a character
        if not at:
            return path
        shown = f"{parts.scheme}://{host}{path.partition('://')[2][len(parts.netloc) :]}"
        _remember(shown, path)
        return shown
    if not at and not parts.query:
        return path
    told = [(name, value) for name, value in parse_qsl(parts.query, True) if not _SIGNING.match(name)]
    mark = blake2b(repr(told).encode("utf-8", "replace"), digest_size=4).hexdigest() if told else ""
    shown = f"{parts.scheme}://{host}{parts.path}{f'?query-{mark}' if mark else ''}"
    _remember(shown, path)
    return shown


def real(path: str) -> str:
    """The path or command whose public form this is, where this process was given it; else the text itself."""
    return _real.get(path, path)


def known() -> dict[str, str]:
    """What to hand to a process that is to open the real paths."""
    return dict(_real)


def remember(given: Mapping[str, str]) -> None:
    for text in given.values():
        public(text)


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
    text = _URL.sub(lambda found: _plain(found[0]), text)
    return _ISSUED.sub(HIDDEN, _ASSIGNED.sub(lambda found: f"{found['name']}{HIDDEN}", text))


def _plain(url: str) -> str:
    shown, _, query = url.partition("?")
    head, sep, rest = shown.partition("://")
    host, slash, path = rest.partition("/")
    signed = any(_SIGNING.match(name) for name, _ in parse_qsl(query, True))
    return f"{head}{sep}{host.rpartition('@')[2]}{slash}{path}{f'?{query}' if query and not signed else ''}"


def without_secrets(value: object) -> object:
    """A config value with every URL and command in its public form."""
    if isinstance(value, str):
        return public(value)
    if isinstance(value, Mapping):
        return {key: without_secrets(inner) for key, inner in value.items()}
    if isinstance(value, list | tuple):
        return [without_secrets(inner) for inner in value]
    return value
