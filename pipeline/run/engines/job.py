"""What an engine is given and what it must do: a phase as a job of ranks, with the resources that a worker asks for."""

import os
from collections import deque
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Protocol

from datatrove.pipeline.base import PipelineStep

from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.contract.secrets import scrubbed

DEATHS = 3  # a rank whose worker is killed this often is given up; a part that is alone in one is quarantined
MOST_TASKS = 512
THREAD_LIMITS = (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
)
QUIET = {
    "TOKENIZERS_PARALLELISM": "false",
    "LOGURU_DIAGNOSE": "NO",  # a traceback with the values of its variables logs texts and credentials
}


class RankFailed(GristmillError):
    """A rank raised (a full disk, say); the message is the worker's."""


def no_word(worker: str, code: int | None) -> bool:
    """Nothing is known of what a dead worker was at: its death counts against its rank."""
    return False


@dataclass(frozen=True)
class Resources:
    """What a cluster reserves for a worker. Of memory and time, None: what the engine's own section says.

    More processors are for what a stage starts itself: a worker computes with one thread on any engine.
    """

    cpus: int = 0
    gpus: int = 0
    memory_gb: float | None = None
    time: str | None = None  # Slurm's, of one task: 08:00:00

    def beside(self, other: "Resources") -> "Resources":
        """Enough for both."""
        memory = [m for m in (self.memory_gb, other.memory_gb) if m is not None]
        return Resources(
            max(self.cpus, other.cpus),
            max(self.gpus, other.gpus),
            max(memory, default=None),
            max((t for t in (self.time, other.time) if t), key=_seconds, default=None),
        )


def _seconds(time: str) -> int:
    """Of Slurm's forms: minutes, minutes:seconds, hours:minutes:seconds, days-hours[:minutes[:seconds]]."""
    days, dash, rest = time.rpartition("-")
    numbers = [int(n) for n in rest.split(":")]
    if dash:
        hours, minutes, seconds = (*numbers, 0, 0)[:3]
        return ((int(days) * 24 + hours) * 60 + minutes) * 60 + seconds
    hours, minutes, seconds = {1: (0, *numbers, 0), 2: (0, *numbers), 3: tuple(numbers)}[len(numbers)]
    return (hours * 60 + minutes) * 60 + seconds


def resources_of(engine: Mapping[str, object], stages: Iterable[str]) -> Resources:
    """What `engine.resources` asks for a phase of these stages: of each kind the most. A name stands for its parts, too
    (mixture: mixture.search). Raises ConfigError for what is no mapping of stage to resources."""
    names = set(stages)
    together = Resources()
    for stage, asked in as_section("resources", engine.get("resources") or {}).items():
        needs = _resources(stage, as_section(f"resources.{stage}", asked))
        if _stands_for(stage, names):
            together = together.beside(needs)
    return together


def _stands_for(stage: str, names: Iterable[str]) -> bool:
    return any(name == stage or name.startswith(f"{stage}.") for name in names)


def check_resources(engine: Mapping[str, object], stages: Iterable[str]) -> None:
    """Raises ConfigError for resources that cannot be, or of a stage that the recipe does not have."""
    known = [*stages]
    resources_of(engine, ())
    for stage in as_section("resources", engine.get("resources") or {}):
        if not _stands_for(stage, known):
            raise ConfigError(f"engine.resources.{stage}: no such stage; there are {', '.join(dict.fromkeys(known))}")


def as_section(key: str, value: object) -> Mapping[str, object]:
    if not isinstance(value, Mapping):
        raise ConfigError(f"engine.{key}: a mapping of names to values; got {value!r}")
    return value


def refuse_unknown(key: str, options: Iterable[str], known: Sequence[str]) -> None:
    """Raises ConfigError for an option that there is not."""
    for name in options:
        if name not in known:
            raise ConfigError(f"engine.{key}: unknown {name}; there are {', '.join(known)}")


def _resources(stage: str, asked: Mapping[str, object]) -> Resources:
    known = sorted(f.name for f in fields(Resources))
    for key, value in asked.items():
        whole = isinstance(value, int) and not isinstance(value, bool) and value >= 0
        refuse_unknown(f"resources.{stage}", [key], known)
        if not (whole if key in ("cpus", "gpus") else isinstance(value, str) if key == "time" else _is_size(value)):
            raise ConfigError(
                f"engine.resources.{stage}.{key}: {value!r} is no {'time' if key == 'time' else 'number'}"
            )
        if key == "time":
            try:
                _seconds(str(value))
            except (ValueError, KeyError):
                raise ConfigError(f"engine.resources.{stage}.time: {value!r}; write 08:00:00") from None
    return Resources(**asked)  # pyright: ignore[reportArgumentType]


def _is_size(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and value > 0


@dataclass(frozen=True)
class Job:
    """A phase for an engine: its pipeline, ranks to run out of `tasks`, and where datatrove's logs go."""

    pipeline: list[PipelineStep]
    tasks: int
    ranks: Sequence[int]
    logs: Path
    died: Callable[[str, int | None], bool] = no_word  # (worker, exit code) -> whether the rank goes on all the same
    needs: Resources = Resources()


class Engine(Protocol):
    queues: bool  # it is given jobs to queue, and run() is not called
    remote: bool  # its workers are not children of this process

    @property
    def memory(self) -> int | None:
        """Bytes that a cluster reserves for a worker."""
        ...

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        """Runs the job's ranks; calls `tick` now and then; returns the ranks that were given up."""
        ...

    def close(self) -> None: ...


@dataclass
class Ranks:
    """The ranks of a job while workers come and go: which wait, how often a rank's workers died, what was given up."""

    job: Job
    waiting: deque[int] = field(default_factory=deque)
    deaths: dict[int, int] = field(default_factory=dict)
    given_up: list[int] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.waiting.extend(self.job.ranks)

    def next(self) -> int | None:
        """None where none waits, or one has failed."""
        return self.waiting.popleft() if self.waiting and not self.errors else None

    def died(self, rank: int, worker: str, code: int | None) -> None:
        if not self.job.died(worker, code):
            self.deaths[rank] = self.deaths.get(rank, 0) + 1
        if self.deaths.get(rank, 0) >= DEATHS:
            self.given_up.append(rank)
        else:
            self.waiting.appendleft(rank)

    def outcome(self) -> list[int]:
        """The ranks that were given up. Raises RankFailed."""
        if self.errors:
            raise RankFailed(self.errors[0])
        return self.given_up


def answer_of(work: Callable[[], None]) -> str | None:
    """Runs a rank in its worker: None, or its error as the parent reports it."""
    try:
        work()
    except Exception as error:  # the rank's boundary
        notes = "; ".join(getattr(error, "__notes__", ()))
        return scrubbed(f"{type(error).__name__}: {error}{f' ({notes})' if notes else ''}")
    return None


def thread_limits(threads: int) -> dict[str, str]:
    """Environment of a worker: the pools that would otherwise take every core in every worker."""
    return {**dict.fromkeys(THREAD_LIMITS, str(threads)), **QUIET}


def limit_threads(threads: int) -> None:
    """For processes started from here on."""
    os.environ.update(thread_limits(threads))
