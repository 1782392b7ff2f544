"""Engines: who runs the ranks of a phase. Local (ours, survives killed workers), Ray and Slurm (datatrove's).

`LocalExecutor` keeps datatrove's interface and logs but not its pool, which hangs when a worker is killed: here the
parent watches each worker, gives a dead one's rank to a new one, and gives up on a rank after three deaths.
"""

import contextlib
import ctypes
import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from importlib.util import find_spec
from multiprocessing import connection, get_context
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from pathlib import Path
from typing import Protocol

from datatrove.executor.local import LocalPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from gristmill.pipeline.contract import secrets, watch
from gristmill.pipeline.contract.errors import ConfigError, GristmillError

DEATHS = 3  # a rank whose worker is killed this often is given up; a part that is alone in one is quarantined

THREAD_LIMITS = (
    "POLARS_MAX_THREADS",
    "OMP_NUM_THREADS",
    "OPENBLAS_NUM_THREADS",
    "MKL_NUM_THREADS",
    "RAYON_NUM_THREADS",
)


class RankFailed(GristmillError):
    """A rank raised (a full disk, say); the message is the worker's."""


def no_word(pid: int, code: int | None) -> bool:
    """Nothing is known of what a dead worker was at: its death counts against its rank."""
    return False


@dataclass(frozen=True)
class Job:
    """A phase for an engine: its pipeline, ranks to run out of `tasks`, and where datatrove's logs go."""

    pipeline: list[PipelineStep]
    tasks: int
    ranks: Sequence[int]
    logs: Path
    died: Callable[[int, int | None], bool] = no_word  # (pid, exit code) -> whether the rank goes on all the same


class Engine(Protocol):
    queues: bool  # run() returns when the job is queued, not when it is done

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        """Runs the job's ranks; calls `tick` now and then; returns the ranks that were given up."""
        ...

    def close(self) -> None: ...


def limit_threads(threads: int) -> None:
    """For processes started from here on: the pools that would otherwise take every core in every worker."""
    for name in THREAD_LIMITS:
        os.environ[name] = str(threads)
    os.environ["TOKENIZERS_PARALLELISM"] = "false"
    os.environ["LOGURU_DIAGNOSE"] = "NO"  # a traceback with the values of its variables logs texts and credentials


class LocalExecutor(LocalPipelineExecutor):
    """datatrove's local executor with its `run` on a pool of our own."""

    def __init__(self, job: Job, workers: int):
        super().__init__(
            pipeline=job.pipeline, tasks=job.tasks, workers=workers, logging_dir=str(job.logs), skip_completed=False
        )

    def run_rank(self, rank: int) -> None:
        # Local rank 1: datatrove sends only local rank 0's log to the console, which is the progress display's.
        self._run_for_rank(rank, 1)


@dataclass
class Worker:
    """A process that runs one rank at a time."""

    process: BaseProcess
    pipe: Connection
    rank: int | None = None
    started: float = field(default_factory=time.monotonic)


def serve(pipe: Connection, parent: int, real_paths: dict[str, str]) -> None:
    """A worker's life: receive (executor, rank), run it, answer None or the error's text. Ends with its parent."""
    secrets.remember(real_paths)
    watch.allow()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is the parent's to handle
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the parent
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    # datatrove logs a rank's exception to stderr as well: it is in the rank's log, and the parent reports it once.
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
    logger.remove()
    while True:
        try:
            executor, rank = pipe.recv()
        except EOFError:
            return
        try:
            executor.run_rank(rank)
            answer = None
        except Exception as error:  # the rank's boundary: the parent reports it
            notes = "; ".join(getattr(error, "__notes__", ()))
            answer = f"{type(error).__name__}: {error}{f' ({notes})' if notes else ''}"
        pipe.send(answer and secrets.scrubbed(answer))


def _die_with(parent: int) -> None:
    # For platforms without PDEATHSIG, and for the moment between fork and prctl.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class LocalEngine:
    """A pool of `workers` spawned processes that live as long as the run."""

    queues = False

    def __init__(self, workers: int):
        if workers < 1:
            raise ConfigError(f"--workers {workers}: at least 1")
        self.workers = workers
        self.pool: list[Worker] = []

    def _start(self) -> Worker:
        # spawn: a fork after polars or numba has run hangs.
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        process = context.Process(target=serve, args=(theirs, os.getpid(), secrets.known()), daemon=True)
        process.start()
        theirs.close()
        worker = Worker(process, ours)  # pyright: ignore[reportArgumentType] - a Connection on every POSIX system
        self.pool.append(worker)
        return worker

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        executor = LocalExecutor(job, self.workers)
        queue = list(job.ranks)
        deaths: dict[int, int] = {}
        given_up: list[int] = []
        errors: list[str] = []
        while len(self.pool) < min(self.workers, len(queue)):
            self._start()
        while True:
            for worker in self.pool:
                if worker.rank is None and queue and not errors:
                    worker.rank = queue.pop(0)
                    # It may have died while idle: noticed below, and the rank goes to another.
                    with contextlib.suppress(OSError):
                        worker.pipe.send((executor, worker.rank))
            busy = [w for w in self.pool if w.rank is not None]
            if not busy:
                break
            # Either end of a worker's life wakes us: its answer, or its sentinel.
            connection.wait([w.pipe for w in busy] + [w.process.sentinel for w in busy], timeout=0.25)
            for worker in busy:
                dead = False
                try:
                    if worker.pipe.poll():
                        answer = worker.pipe.recv()
                        if answer is not None:
                            errors.append(answer)
                        worker.rank = None
                        continue
                except (EOFError, OSError):
                    dead = True
                if dead or not worker.process.is_alive():
                    self._bury(worker, job, deaths, queue, given_up)
            tick()
        tick()
        if errors:
            raise RankFailed(errors[0])
        return given_up

    def _bury(self, worker: Worker, job: Job, deaths: dict[int, int], queue: list[int], given_up: list[int]) -> None:
        rank = worker.rank
        worker.process.join(5)
        self.pool.remove(worker)
        worker.pipe.close()
        if rank is not None:
            if not job.died(worker.process.pid or 0, worker.process.exitcode):
                deaths[rank] = deaths.get(rank, 0) + 1
            if deaths.get(rank, 0) >= DEATHS:
                given_up.append(rank)
            else:
                queue.insert(0, rank)
        if queue:
            self._start()

    def close(self) -> None:
        for worker in self.pool:
            worker.process.kill()
        for worker in self.pool:
            worker.process.join(5)
            worker.pipe.close()
        self.pool.clear()


class RayEngine:
    """datatrove's Ray executor; the run folder must lie on a file system that all nodes share."""

    queues = False

    def __init__(self, workers: int, options: dict[str, object]):
        self.workers, self.options = workers, options

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        import ray
        from datatrove.executor.ray import RayPipelineExecutor

        if not ray.is_initialized():
            ray.init(address=self.options.get("address"), log_to_driver=False)  # pyright: ignore
        executor = RayPipelineExecutor(
            pipeline=job.pipeline,
            tasks=job.tasks,
            workers=self.workers,
            logging_dir=str(job.logs),
            skip_completed=False,
            **{k: v for k, v in self.options.items() if k != "address"},  # pyright: ignore
        )
        executor.run()
        tick()
        return []

    def close(self) -> None:
        if "ray" in sys.modules:
            sys.modules["ray"].shutdown()


class SlurmEngine:
    """datatrove's Slurm executor: a phase is an array job that waits for the one before; returns when queued."""

    queues = True

    def __init__(self, workers: int, options: dict[str, object]):
        for name in ("time", "partition"):
            if name not in options:
                raise ConfigError(f"engine slurm needs engine.slurm.{name} in the config")
        self.workers, self.options = workers, options
        self.last: object = None
        self.jobs: list[str] = []  # ids of what this engine has queued

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        from datatrove.executor.slurm import SlurmPipelineExecutor

        executor = SlurmPipelineExecutor(
            pipeline=job.pipeline,
            tasks=job.tasks,
            workers=self.workers,
            logging_dir=str(job.logs),
            skip_completed=False,
            job_name=job.logs.name,
            depends=self.last,  # pyright: ignore
            run_on_dependency_fail=False,
            **self.options,  # pyright: ignore
        )
        executor.run()
        # Only its job id is needed of it, and it would be pickled into the next one.
        self.last = executor
        self.jobs.append(str(executor.job_id))
        return []

    def close(self) -> None:
        return


def waiting_jobs(jobs: Sequence[str]) -> list[str]:
    """Those Slurm jobs that are queued or running; all of them where `squeue` cannot be asked."""
    if not jobs:
        return []
    try:
        # One by one would be slow; an id that Slurm has forgotten among others is left out of the answer.
        asked = subprocess.run(
            ["squeue", "-h", "-o", "%A", "-j", ",".join(jobs)], capture_output=True, text=True, timeout=60, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return list(jobs)
    if asked.returncode != 0:
        return [] if "invalid job id" in asked.stderr.lower() else list(jobs)
    known = set(asked.stdout.split())
    return [job for job in jobs if job in known]


def make_engine(name: str, workers: int, options: dict[str, dict[str, object]]) -> Engine:
    """local | ray | slurm. Raises ConfigError for another name."""
    if name == "local":
        return LocalEngine(workers)
    if name in ("ray", "slurm") and secrets.known():
        raise ConfigError(
            f"--engine {name}: the config holds credentials or signed URLs, which would have to be written down for "
            "its jobs; give them in the environment (AWS_PROFILE, netrc, $NAME in a command)"
        )
    if name == "ray":
        if find_spec("ray") is None:
            raise ConfigError("--engine ray needs the extra: pip install 'gristmill[ray]'")
        return RayEngine(workers, options.get("ray", {}))
    if name == "slurm":
        return SlurmEngine(workers, options.get("slurm", {}))
    raise ConfigError(f"--engine {name}: there are local, ray and slurm")


MOST_TASKS = 512


def job_for(
    pipeline: list[PipelineStep],
    n_units: int,
    wanted: Iterable[int],
    logs: Path,
    died: Callable[[int, int | None], bool] = no_word,
) -> Job:
    """Ranks that hold the wanted units; one unit per rank until MOST_TASKS ranks, then several."""
    tasks = max(1, min(n_units, MOST_TASKS))
    return Job(pipeline, tasks, sorted({i % tasks for i in wanted}), logs, died)
