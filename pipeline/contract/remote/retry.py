"""Remote calls that may fail for a while: which failures pass, how long to wait, and what to say in the end."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TypeVar

from gristmill.pipeline.contract.errors import InputError

LONGEST_S = 60.0  # a wait, whatever Retry-After asks for
_PASSING = frozenset({408, 425, 429})  # client errors that a later attempt may not meet
_PASSING_CODES = ("RequestTimeout", "Throttl", "SlowDown", "TooManyRequests")  # S3 sends some of them as 400
_RIGHTS = "Credential", "Profile", "SSOToken", "TokenRetrieval"  # botocore's errors that hold no status
T = TypeVar("T")


@dataclass(frozen=True)
class Retry:
    """`attempts` tries, waiting `seconds`, then twice as long each time; longer where the server says so."""

    attempts: int
    seconds: float


def patiently(call: Callable[[], T], what: str, retry: Retry) -> T:
    """Repeats a remote call that failed for a reason that may pass; raises InputError when it does not.

    `what`: of what the call is, as errors begin with it: input s3://bucket/file.
    """
    for attempt in range(1, retry.attempts + 1):
        try:
            return call()
        except (InputError, TypeError):
            raise
        except (ImportError, ValueError) as error:
            raise InputError(f"{what}: {error}; check the address") from error
        except Exception as error:  # each filesystem has errors of its own (aiohttp, botocore, requests)
            if final := _final(error):
                raise InputError(f"{what}: {final}") from error
            if attempt == retry.attempts:
                text = f"{what}: {type(error).__name__}: {error} after {attempt} attempts; try again later"
                raise InputError(text) from error
            time.sleep(min(max(retry.seconds * 2 ** (attempt - 1), _asked_wait(error)), LONGEST_S))
    raise AssertionError("unreachable")


def _final(error: Exception) -> str | None:
    """What to say where no other attempt helps; None for a failure that may pass.

    fsspec's HTTP says "not found" to any failure, whose status is then in the cause; s3fs translates likewise.
    """
    status = status_of(error)
    denied = status in (401, 403) or (status is None and isinstance(error, PermissionError))
    if denied or type(error).__name__.startswith(_RIGHTS) or "Credentials" in type(error).__name__:
        return (
            f"no access ({_said(error)}); check the address and the credentials "
            "(s3: AWS_PROFILE or AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL; FSSPEC_S3_ANON=true for a public bucket)"
        )
    if status is None:
        missing = isinstance(error, FileNotFoundError) and error.__cause__ is None
        return "not found; check the address" if missing else None
    passes = not 400 <= status < 500 or status in _PASSING or any(c in str(_root(error)) for c in _PASSING_CODES)
    if passes:
        return None
    return f"{'not found' if status in (404, 410) else 'refused'} ({_said(error)}); check the address"


def _said(error: Exception) -> str:
    status, text = status_of(error), str(error)
    return f"{type(error).__name__ if status is None else status}: {text}".removesuffix(": ")


def _root(error: BaseException) -> BaseException:
    return error if error.__cause__ is None else _root(error.__cause__)


def status_of(error: BaseException | None) -> int | None:
    """HTTP status of the error or of what caused it: aiohttp's `status`, botocore's `response`."""
    while error is not None:
        response = getattr(error, "response", None)
        if isinstance(response, dict):
            return response.get("ResponseMetadata", {}).get("HTTPStatusCode")
        if isinstance(status := getattr(error, "status", None), int) and status:
            return status
        error = error.__cause__
    return None


def _asked_wait(error: BaseException) -> float:
    """Seconds that the answer's Retry-After names (RFC 9110, 10.2.3); 0 where there is none."""
    response = getattr(_root(error), "response", None)
    if isinstance(response, dict):
        headers = response.get("ResponseMetadata", {}).get("HTTPHeaders", {})
    else:
        headers = getattr(_root(error), "headers", None) or {}
    value = str(headers.get("Retry-After") or headers.get("retry-after") or "").strip()
    if value.isdigit():
        return float(value)
    try:
        return max((parsedate_to_datetime(value) - datetime.now(UTC)).total_seconds(), 0.0)
    except (TypeError, ValueError):  # no date, or one without a zone
        return 0.0
