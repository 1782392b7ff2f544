"""The Ray engine: one session per run, and a few workers (actors) that live as long as the run and take its ranks.

The run folder lies where all nodes see it. A worker or a node that dies costs its rank a try; what lives on takes it. A
worker checks once, before its first rank, that it has what the driver has: the package, the user's code, the folder.
"""

import os
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

from datatrove.executor.base import PipelineExecutor
from datatrove.executor.ray import RayPipelineExecutor
from datatrove.pipeline.base import PipelineStep
from loguru import logger

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.state import unique
from gristmill.pipeline.run.engines.job import (
    DEATHS,
    Job,
    Ranks,
    Resources,
    answer_of,
    as_section,
    refuse_unknown,
    thread_limits,
)

OPTIONS = ("address", "cpus_per_task", "gpus_per_task", "mem_per_cpu_gb", "ray_remote_kwargs", "runtime_env")
GB = 1 << 30
NO_WORKER_S = 120.0  # without a single worker that is ready, while a cluster that could give one is asked for it
# Variables of the driver that a worker needs as well: object stores, hubs, proxies, Python's path
CARRIED = (
    "AWS_",
    "HF_",
    "HUGGING",
    "FSSPEC_",
    "GOOGLE_",
    "AZURE_",
    "GRISTMILL_",
    "HTTP_PROXY",
    "HTTPS_PROXY",
    "NO_PROXY",
)


class RayExecutor(RayPipelineExecutor):
    """datatrove's Ray executor: its environment and logs of a rank, with its `run` on a pool of our own."""

    def run_rank(self, rank: int) -> None:
        # Not the Ray executor's own: it copies logs by way of names in /tmp that runs on one host share. Local rank 1:
        # only local rank 0's log goes to the console.
        PipelineExecutor._run_for_rank(self, rank, 1)


class RayWorker:
    """A worker's process on some node."""

    def __init__(self, name: str, environment: Mapping[str, str]):
        """`environment`: handed over here and not with the job's description, which a dashboard shows."""
        os.environ.update(environment)
        logger.remove()
        watch.allow(name)

    def lacks(self, step: PipelineStep) -> str | None:
        """What this process lacks to run a step, with the node's name; None where it has all."""
        import socket

        said = step.lacks()  # pyright: ignore[reportAttributeAccessIssue] - of RunStep
        return said and f"node {socket.gethostname()}: {said}"

    def run_rank(self, executor: RayExecutor, rank: int) -> str | None:
        return answer_of(lambda: executor.run_rank(rank))


@dataclass
class Handle:
    name: str
    actor: Any  # ray's, of a RayWorker
    future: Any  # of what it is at; None: it waits
    rank: int | None = None  # None with a future: it is starting


class RayEngine:
    queues = False
    remote = True

    def __init__(self, workers: int | None, options: Mapping[str, object]):
        """`workers`: None: as many as the cluster's processors allow. Raises ConfigError."""
        refuse_unknown("ray", options, OPTIONS)
        self.workers, self.options = workers, options
        for name in ("runtime_env", "ray_remote_kwargs"):
            self._section(name)
        self.pool: list[Handle] = []
        self.needs: Resources | None = None
        self.refused: list[str] = []  # starts of workers that came to nothing, one after another
        self.ours = False  # the connection to Ray was made here

    def _number(self, name: str, default: float) -> float:
        return float(str(self.options.get(name, default)))

    def _section(self, name: str) -> Mapping[str, object]:
        return as_section(f"ray.{name}", self.options.get(name) or {})

    @property
    def memory(self) -> int:
        """Bytes that Ray reserves for a worker."""
        return int(self._number("mem_per_cpu_gb", 2) * self._number("cpus_per_task", 1) * GB)

    def connect(self) -> None:
        import ray

        logger.disable("datatrove.executor.ray")  # its warning of a local folder, at every phase: workers look for it
        if ray.is_initialized():
            return
        address = self.options.get("address")
        try:
            ray.init(address=address, log_to_driver=False, logging_level="error")  # pyright: ignore
        except (ConnectionError, ValueError, RuntimeError) as error:
            raise ConfigError(f"engine.ray.address {address}: {' '.join(str(error).split())[:300]}") from None
        self.ours = True

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        import ray

        self.connect()
        needs = self.asked(job.needs)
        if needs != self.needs:
            self.dismiss()
            self.needs = needs
            self.possible(needs)
        executor = ray.put(
            RayExecutor(pipeline=job.pipeline, tasks=job.tasks, logging_dir=str(job.logs), skip_completed=False)
        )
        ranks = Ranks(job)
        most = self.workers or max(1, int(ray.cluster_resources().get("CPU", 1) // max(1, needs.cpus)))
        heard = time.monotonic()
        while True:
            at_work = sum(w.rank is not None for w in self.pool)
            while len(self.pool) < min(most, at_work + len(ranks.waiting)):
                self.pool.append(self._start(job.pipeline[0]))
            for worker in self.pool:
                if worker.future is None and (rank := ranks.next()) is not None:
                    worker.rank, worker.future = rank, worker.actor.run_rank.remote(executor, rank)
            if all(w.rank is None for w in self.pool) and (ranks.errors or not ranks.waiting):
                break
            done, _ = ray.wait([w.future for w in self.pool if w.future is not None], timeout=0.25)
            for worker in [w for w in self.pool if w.future in done]:
                self._hear(worker, ranks)
            if done or any(w.rank is not None for w in self.pool):
                heard = time.monotonic()
            elif time.monotonic() - heard > NO_WORKER_S:
                raise ConfigError(
                    f"Ray gives no worker with {said(needs)}: the cluster is full; try again or ask for less"
                )
            tick()
        tick()
        return ranks.outcome()

    def asked(self, needs: Resources) -> Resources:
        """With what `engine.ray` reserves for every worker."""
        cpus = needs.cpus or int(self._number("cpus_per_task", 1))
        memory = needs.memory_gb if needs.memory_gb is not None else self._number("mem_per_cpu_gb", 2) * cpus
        return Resources(cpus, needs.gpus or int(self._number("gpus_per_task", 0)), memory)

    def possible(self, needs: Resources) -> None:
        """Raises ConfigError where no node has so much, even when it is idle."""
        import ray

        nodes = [n["Resources"] for n in ray.nodes() if n["Alive"]]
        for has in nodes:
            enough = needs.cpus <= has.get("CPU", 0) and needs.gpus <= has.get("GPU", 0)
            if enough and (needs.memory_gb or 0) * GB <= has.get("memory", 0):
                return
        most = ", ".join(
            f"{has.get('CPU', 0):g} cpus, {has.get('GPU', 0):g} gpus, {has.get('memory', 0) / GB:.1f} GB"
            for has in nodes
        )
        raise ConfigError(f"no node of the Ray cluster has {said(needs)} for a worker; its nodes have {most}")

    def _start(self, step: PipelineStep) -> Handle:
        import ray

        assert self.needs is not None
        given = self._section("runtime_env")
        path = {"PYTHONPATH": os.environ["PYTHONPATH"]} if "PYTHONPATH" in os.environ else {}
        env_vars = as_section("ray.runtime_env.env_vars", given.get("env_vars") or {})
        given = {**given, "env_vars": {**thread_limits(1), **path, **env_vars}}
        options = {
            "num_cpus": self.needs.cpus, "num_gpus": self.needs.gpus, "memory": int((self.needs.memory_gb or 0) * GB),
            "scheduling_strategy": "SPREAD", "max_restarts": 0, "runtime_env": given,
            **self._section("ray_remote_kwargs"),
        }  # fmt: skip
        name = unique()
        carried = {k: v for k, v in os.environ.items() if k.upper().startswith(CARRIED)}
        actor = ray.remote(RayWorker).options(**options).remote(name, carried)  # pyright: ignore
        return Handle(name, actor, actor.lacks.remote(step))

    def _hear(self, worker: Handle, ranks: Ranks) -> None:
        """Takes a worker's answer, or its death. Raises ConfigError for one that cannot do the work."""
        import ray
        from ray.exceptions import RayError

        try:
            answer: str | None = ray.get(worker.future)
        except RayError as error:
            self.pool.remove(worker)
            with suppress(Exception):  # it may be alive behind a broken line
                ray.kill(worker.actor)
            if worker.rank is not None:
                ranks.died(worker.rank, worker.name, None)
                return
            self.refused.append(last_line(error))
            if len(self.refused) >= DEATHS:
                raise ConfigError(f"workers do not start on the Ray cluster: {self.refused[-1]}") from None
            return
        starting, worker.future = worker.rank is None, None
        self.refused.clear()
        if starting and answer is not None:
            raise ConfigError(answer)
        if answer is not None:
            ranks.errors.append(answer)
        worker.rank = None

    def dismiss(self) -> None:
        import ray

        for worker in self.pool:
            with suppress(Exception):  # a node that is gone
                ray.kill(worker.actor)
        self.pool.clear()

    def close(self) -> None:
        if self.ours and "ray" in sys.modules:
            self.dismiss()
            sys.modules["ray"].shutdown()


def said(needs: Resources) -> str:
    return f"{needs.cpus} cpus, {needs.gpus} gpus and {needs.memory_gb:g} GB"


def last_line(error: Exception) -> str:
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    errors = [line for line in lines if "Error" in line]
    return (errors or lines or [type(error).__name__])[-1][:300]
