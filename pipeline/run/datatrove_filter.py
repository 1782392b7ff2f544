"""datatrove's documents and our batches, both ways, so that a recipe can use any datatrove filter."""

import inspect
import json
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from typing import Annotated, ClassVar

import orjson
import polars as pl
from datatrove.data import Document
from datatrove.pipeline.filters.base_filter import BaseFilter
from pydantic import BeforeValidator

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.shapes import Gate

SAMPLE = "The mill stands by the river. It grinds the grain of the whole valley.\n"
FILTERED = "filtered"


def _as_json(given: object) -> object:
    """A mapping, or [[name, value], ...], as JSON text: stages must be hashable."""
    if isinstance(given, list | tuple):
        given = dict(given)  # pyright: ignore[reportCallIssue, reportArgumentType]
    return json.dumps(given, sort_keys=True) if isinstance(given, dict) else given


def documents_of(batch: pl.DataFrame) -> Iterator[Document]:
    """One datatrove Document per row: id = doc_id, text; as metadata all else, with the input's kept columns."""
    for row in batch.iter_rows(named=True):
        own = row.pop("carried", None)
        metadata = {k: v for k, v in row.items() if k not in ("doc_id", "text")}
        yield Document(row.get("text") or "", row["doc_id"], metadata=metadata | (orjson.loads(own) if own else {}))


def filter_class(reference: str) -> type[BaseFilter]:
    """The filter class behind "module:Class". Raises ConfigError for anything else, which is never called."""
    found = load_object(reference)
    if not (isinstance(found, type) and issubclass(found, BaseFilter)):
        raise ConfigError(f"filter {reference!r} is no datatrove filter (a subclass of its BaseFilter)")
    return found


@cache
def made_filter(reference: str, arguments: str) -> BaseFilter:
    """The filter with its arguments; "module:function" becomes the function where the parameter is a callable.

    Raises ConfigError for arguments that it has not or does not take, and for a package that it needs.
    """
    found, given = filter_class(reference), json.loads(arguments)
    parameters = _parameters(found)
    names = [name for name in parameters if name not in ("self", "exclusion_writer")]
    for name, value in given.items():
        if name not in names and not any(p.kind is p.VAR_KEYWORD for p in parameters.values()):
            raise ConfigError(f"{reference} has no argument {name!r}; it has {', '.join(names) or 'none'}")
        if isinstance(value, str) and _is_callable(parameters.get(name)):
            given[name] = load_object(value)
    try:
        return found(**given)
    except (ImportError, TypeError, ValueError) as error:
        raise ConfigError(f"{reference} cannot be made: {_cause(error)}") from error


def _parameters(found: type[BaseFilter]) -> Mapping[str, inspect.Parameter]:
    return inspect.signature(found.__init__).parameters


def _is_callable(parameter: inspect.Parameter | None) -> bool:
    return parameter is not None and "Callable" in str(parameter.annotation)


def _cause(error: Exception) -> str:
    return " ".join(str(error).split()) or type(error).__name__


@dataclass(frozen=True)
class DatatroveFilter(Gate):
    """A datatrove filter as a gate. It reads text, which our own gates never do: prefer a signal and a limit.

    The filter sees `text`, and as metadata `url`, `date`, `dump`, `id`, `language` and what input.keep_columns names.
    """

    filter: str  # module:Class, e.g. datatrove.pipeline.filters:GopherQualityFilter
    # {name: value} of its constructor; where it takes a callable (LambdaFilter's filter_function), module:function
    arguments: Annotated[str, BeforeValidator(_as_json)] = "{}"
    reasons: tuple[str, ...] = ()  # of its answers, those that are rules of their own; all others are "filtered"
    step: str = "datatrove.gate"  # name of the step: the ledger books drops under it

    version: ClassVar[int] = 2
    reads: ClassVar = {"ingest": ("text", "url", "date", "dump", "id", "carried"), "language": ("language",)}

    def __post_init__(self) -> None:
        if self.filter.startswith("datatrove."):  # to look at a config imports nothing else
            filter_class(self.filter)
        elif self.filter.partition(":")[0].partition(".")[0] in sys.stdlib_module_names:
            raise ConfigError(f"filter {self.filter!r} is no datatrove filter: Python's own modules have none")

    @property
    def name(self) -> str:
        return self.step

    @property
    def own_code(self) -> tuple[str, ...]:
        """The filter where it is not datatrove's, and the functions among its arguments as far as they can be told."""
        if not self.filter.startswith("datatrove."):
            return (self.filter,)
        given, parameters = json.loads(self.arguments), _parameters(filter_class(self.filter))
        return tuple(v for k, v in given.items() if isinstance(v, str) and _is_callable(parameters.get(k)))

    @property
    def rules(self) -> tuple[str, ...]:
        return (*(reason for reason in self.reasons if reason != FILTERED), FILTERED)

    def check_code(self) -> None:
        """Makes the filter and gives it one text: packages that it needs are often imported only then.

        Raises ConfigError.
        """
        made = made_filter(self.filter, self.arguments)
        try:
            made.filter(Document(SAMPLE, "sample", metadata={"url": "https://example.org/", "language": "en"}))
        except ImportError as error:
            raise ConfigError(f"{self.filter}: {_cause(error)}") from error
        except Exception:  # a filter of the user's may want other text or metadata than the sample's
            return

    def preflight(self) -> None:
        if self.filter.startswith("datatrove.") and "Callable" not in str(inspect.signature(filter_class(self.filter))):
            self.check_code()

    def decide(self, batch: pl.DataFrame) -> pl.Series:
        made = made_filter(self.filter, self.arguments)
        rules: list[str | None] = []
        for document in documents_of(batch):
            answer = made.filter(document)
            kept, reason = answer if isinstance(answer, tuple) else (answer, None)
            rules.append(None if kept else (reason if reason in self.reasons else FILTERED))
        return pl.Series("rule", rules, dtype=pl.String)
