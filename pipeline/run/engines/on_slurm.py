"""The Slurm engine: phases as array jobs of datatrove's Slurm executor, queued as one chain; what the queue says of it.

All jobs are queued by the command itself, from where the user stands; none queues another. The first is held until the
last is queued, so a chain is there as a whole or not at all.
"""

import inspect
import json
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import dill
from datatrove.executor.slurm import SlurmPipelineExecutor

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.run.engines.job import MOST_TASKS, Job, Resources, refuse_unknown
from gristmill.pipeline.run.objects.address import is_address

GIVEN = ("pipeline", "tasks", "logging_dir", "skip_completed", "job_name", "depends", "depends_job_id", "tasks_per_job")
OPTIONS = sorted(set(inspect.signature(SlurmPipelineExecutor).parameters) - {*GIVEN, "run_on_dependency_fail"})
NEEDED = ("time", "partition")
FILES = ("executor.pik", "ranks_to_run.json")  # as datatrove reads them
ASK_S = 60  # for an answer of Slurm's
NODE_LOGS = "/tmp"  # what a task says, where no folder is shared: Slurm writes on any node only into what is there
# Slurm's job states after which nothing more comes (squeue, JOB STATE CODES)
ENDED = {
    "BOOT_FAIL",
    "CANCELLED",
    "COMPLETED",
    "DEADLINE",
    "FAILED",
    "NODE_FAIL",
    "OUT_OF_MEMORY",
    "PREEMPTED",
    "TIMEOUT",
}
_HELD = "JobHeldUser"


class SlurmSays(ConfigError):
    """Slurm refused something; the message is Slurm's."""


class SlurmExecutor(SlurmPipelineExecutor):
    """datatrove's Slurm executor with its files and ranks; queued by `queue`, without a job that merges statistics.

    Of a run in an object store, tasks fetch these files by address (task.py).
    """

    def queue(self, ranks: Sequence[int], arguments: Sequence[str], here: Path) -> str:
        """Queues an array of these ranks; its job id. `here`: where its FILES are written, which tasks read, and the
        script, which sbatch copies. Raises SlurmSays."""
        here.mkdir(parents=True, exist_ok=True)
        (here / FILES[0]).write_bytes(dill.dumps(self, fmode=dill.CONTENTS_FMODE))
        (here / FILES[1]).write_text(json.dumps([*ranks]))
        script = here / "launch_script.slurm"
        script.write_text(self.get_launch_file_contents(self.get_sbatch_args(len(ranks)), self.command()))
        return asked("sbatch", "--parsable", "--export=ALL", *arguments, str(script)).strip().split(";")[0]

    def command(self) -> str:
        """What a task runs: with this Python, or with that of the environment which the config names."""
        elsewhere = self.env_command or self.condaenv or self.venv_path
        python = "python" if elsewhere else shlex.quote(sys.executable)
        if self.logging_dir.is_local():
            path = shlex.quote(str(self.logging_dir.resolve_paths(FILES[0])))
            called = f"{python} -m datatrove.tools.launch_pickled_pipeline {path}"
        else:
            path = shlex.quote(str(self.logging_dir.resolve_paths("")).rstrip("/"))
            called = f"{python} -m gristmill.pipeline.run.engines.task {path}"
        if not self.with_srun:
            return called
        more = " ".join(f"--{key}={value}" for key, value in (self.srun_args or {}).items())
        return f"srun {more} -l -n {self.nodes_per_task} {called}"


def asked(*command: str) -> str:
    """What a command of Slurm's prints. Raises SlurmSays with its error."""
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=ASK_S, check=False)
    except FileNotFoundError:
        raise SlurmSays(
            f"there is no {command[0]} on this machine; --engine slurm is for a node that has Slurm"
        ) from None
    except subprocess.TimeoutExpired:
        raise SlurmSays(f"{command[0]} gave no answer for {ASK_S} s") from None
    if answer.returncode != 0:
        said = [line.strip() for line in answer.stderr.splitlines() if line.strip()]
        raise SlurmSays(f"{command[0]}: {'; '.join(said[-3:]) or f'exit status {answer.returncode}'}")
    return answer.stdout


class SlurmEngine:
    """Queues jobs, each behind the one before."""

    queues = True
    remote = True

    def __init__(self, workers: int | None, options: Mapping[str, object]):
        """`workers`: tasks of an array that run at a time; None: as many as Slurm gives. Raises ConfigError."""
        for name in NEEDED:
            if name not in options:
                raise ConfigError(f"engine slurm needs engine.slurm.{name} in the config")
        refuse_unknown("slurm", options, OPTIONS)
        self.workers, self.options = workers, dict(options)
        self.most = min(MOST_TASKS, self._array_limit())
        self.queued: list[str] = []

    def _array_limit(self) -> int:
        given = self.options.pop("max_array_size", None)
        if isinstance(given, int) and given > 0:
            return given
        found = re.search(r"^MaxArraySize\s*=\s*(\d+)", asked("scontrol", "show", "config"), re.MULTILINE)
        return max(1, int(found[1]) - 1) if found else MOST_TASKS

    @property
    def memory(self) -> int:
        """Bytes that Slurm reserves for a task."""
        each, cpus = self.options.get("mem_per_cpu_gb", 2), self.options.get("cpus_per_task", 1)
        return int(float(str(each)) * int(str(cpus)) * (1 << 30))

    def run(self, job: Job, tick: Callable[[], None]) -> list[int]:
        raise NotImplementedError("a queue is given jobs by `add`")

    def add(self, job: Job, name: str, after: str, run: str) -> str:
        """Queues a job, to run when `after` (afterany:ID,afterok:ID) is so; its id. The first is held.

        `run`: the run folder, or its address. Raises ConfigError with what Slurm says.
        """
        arguments = [f"--dependency={after}", "--kill-on-invalid-dep=yes"] if after else ["--hold"]
        try:
            self.queued.append(self._executor(job, name, run).queue(job.ranks, arguments, job.logs))
        except SlurmSays as error:
            raise ConfigError(f"{error}; nothing is queued (engine.slurm holds what it is asked for)") from None
        return self.queued[-1]

    def _executor(self, job: Job, name: str, run: str) -> SlurmExecutor:
        options: dict[str, object] = {"qos": None, "workers": self.workers or -1, **self.options}
        if is_address(run):
            options.setdefault("slurm_logs_folder", NODE_LOGS)
        options |= reserved(job.needs, int(str(options.get("cpus_per_task", 1))))
        return SlurmExecutor(
            pipeline=job.pipeline, tasks=job.tasks, logging_dir=f"{run}/logs/{job.logs.name}", skip_completed=False,
            job_name=name, **options,  # pyright: ignore[reportArgumentType]
        )  # fmt: skip

    def release(self) -> None:
        """Lets the chain begin."""
        asked("scontrol", "release", self.queued[0])

    def take_back(self) -> None:
        if self.queued:
            asked("scancel", *self.queued)
        self.queued.clear()

    def close(self) -> None:
        return


def reserved(needs: Resources, cpus: int) -> dict[str, object]:
    """A phase's resources as options of datatrove's executor; `cpus`: of a task, where the phase asks for none."""
    options: dict[str, object] = {}
    if needs.cpus:
        options["cpus_per_task"] = cpus = needs.cpus
    if needs.gpus:
        options["gpus_per_task"] = needs.gpus
    if needs.memory_gb is not None:
        options["mem_per_cpu_gb"] = max(1, -(-int(needs.memory_gb) // cpus))
    if needs.time is not None:
        options["time"] = needs.time
    return options


@dataclass(frozen=True)
class QueuedJob:
    """A job as Slurm knows it: how many of its tasks are in each state, and why it waits."""

    id: str
    name: str
    states: Mapping[str, int]
    why: str = ""

    @property
    def waits(self) -> bool:
        """Whether it is queued or running."""
        return bool(self.states.keys() - ENDED)

    @property
    def said(self) -> str:
        words = ", ".join(f"{n:,} {state.lower().replace('_', ' ')}" for state, n in sorted(self.states.items()))
        held = "; held: scontrol release it, or scancel it" if self.why == _HELD else ""
        return f"job {self.id:8} {self.name:24} {words or 'ended'}{held}"


def look(jobs: Sequence[Mapping[str, object]]) -> list[QueuedJob] | None:
    """What Slurm knows of the jobs that a command queued, in their order; None where it cannot be asked."""
    ids = [str(job["id"]) for job in jobs]
    if not ids:
        return []
    try:
        # One task a line; an id that Slurm has forgotten among others is left out of the answer.
        answer = asked(
            "squeue", "--noheader", "--array", "--states=all", "--format=%F|%T|%r", f"--jobs={','.join(ids)}"
        )
    except SlurmSays as error:
        if "invalid job id" not in str(error).lower():
            return None
        answer = ""
    states: dict[str, Counter[str]] = {id: Counter() for id in ids}
    why: dict[str, str] = {}
    for line in answer.splitlines():
        id, state, reason = [*line.split("|"), "", ""][:3]
        if id in states:
            states[id][state] += 1
            why[id] = reason
    return [QueuedJob(i, str(job.get("name", "")), states[i], why.get(i, "")) for i, job in zip(ids, jobs, strict=True)]
