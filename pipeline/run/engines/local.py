"""The local engine: worker processes of this machine that live as long as the run and survive being killed.

`LocalExecutor` keeps datatrove's interface and logs but not its pool, which hangs when a worker is killed: here the
parent watches each worker, gives a dead one's rank to a new one, and gives up on a rank after three deaths.
"""

import contextlib
import ctypes
import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing import connection, get_context, resource_tracker
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess

from datatrove.executor.local import LocalPipelineExecutor
from loguru import logger

from gristmill.pipeline.contract import secrets, watch
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.loading import load_object
from gristmill.pipeline.contract.state import unique
from gristmill.pipeline.kernels.threads import environment
from gristmill.pipeline.run.engines.job import Job, Ranks, answer_of, thread_limits

STARTED_AHEAD = 4  # workers, and one processor less than there are: a small input has no work for more


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


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

    name: str
    process: BaseProcess
    pipe: Connection
    rank: int | None = None


def serve(pipe: Connection, parent: int, name: str, ahead: str | None) -> None:
    """A worker's life: receive (executor, rank, URLs with credentials), run the rank, answer None or the error's text.
    Ends with its parent. ahead: a function that is called before anything is received."""
    watch.allow(name)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGKILL)  # PR_SET_PDEATHSIG: die with the parent
    threading.Thread(target=_die_with, args=(parent,), daemon=True).start()
    # datatrove logs a rank's exception to stderr as well: it is in the rank's log, and the parent reports it once.
    sys.stderr = open(os.devnull, "w")  # noqa: SIM115 - for the life of the process
    logger.remove()
    if ahead is not None:
        load_object(ahead)()
    while True:
        try:
            executor, rank, real_paths = pipe.recv()
        except EOFError:
            return
        secrets.remember(real_paths)
        pipe.send(answer_of(lambda executor=executor, rank=rank: executor.run_rank(rank)))


def _die_with(parent: int) -> None:
    # For platforms without PDEATHSIG, and for the moment between fork and prctl.
    while os.getppid() == parent:
        time.sleep(0.5)
    os._exit(1)


class LocalEngine:
    """A pool of `workers` spawned processes that live as long as the run."""

    queues = False
    remote = False
    memory: int | None = None

    def __init__(self, workers: int):
        if workers < 1:
            raise ConfigError(f"--workers {workers}: at least 1")
        self.workers = workers
        self.pool: list[Worker] = []

    def start_ahead(self, function: str) -> None:
        """Starts the first workers, each of which calls `function` ("module:name") at once: its imports take as long as
        the command's own, and go on beside them."""
        for _ in range(min(self.workers, STARTED_AHEAD, max(1, cores() - 1))):
            self._start(function)

    def _start(self, ahead: str | None = None) -> Worker:
        # spawn: a fork after polars or numba has run hangs.
        context = get_context("spawn")
        ours, theirs = context.Pipe()
        name = unique()
        process = context.Process(target=serve, args=(theirs, os.getpid(), name, ahead), daemon=True)
        # Ctrl-C is the parent's to handle, also while a worker imports; a tracker that starts would unblock it.
        resource_tracker.ensure_running()
        before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
        try:
            with environment(thread_limits(1)):
                process.start()
        finally:
            signal.pthread_sigmask(signal.SIG_SETMASK, before)
        theirs.close()
        worker = Worker(name, process, ours)  # pyright: ignore[reportArgumentType] - a Connection on every POSIX system
        self.pool.append(worker)
        return worker

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        executor, ranks = LocalExecutor(job, self.workers), Ranks(job)
        while len(self.pool) < min(self.workers, len(ranks.waiting)):
            self._start()
        while True:
            for worker in self.pool:
                if worker.rank is None and (rank := ranks.next()) is not None:
                    worker.rank = rank
                    # It may have died while idle: noticed below, and the rank goes to another.
                    with contextlib.suppress(OSError):
                        worker.pipe.send((executor, worker.rank, secrets.known()))
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
                            ranks.errors.append(answer)
                        worker.rank = None
                        continue
                except (EOFError, OSError):
                    dead = True
                if dead or not worker.process.is_alive():
                    self._bury(worker, ranks)
            tick()
        tick()
        return ranks.outcome()

    def _bury(self, worker: Worker, ranks: Ranks) -> None:
        worker.process.join(5)
        self.pool.remove(worker)
        worker.pipe.close()
        if worker.rank is not None:
            ranks.died(worker.rank, worker.name, worker.process.exitcode)
        if ranks.waiting:
            self._start()

    def close(self) -> None:
        for worker in self.pool:
            worker.process.kill()
        for worker in self.pool:
            worker.process.join(5)
            worker.pipe.close()
        self.pool.clear()
