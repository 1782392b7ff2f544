"""The command proxy: any program that reads a mixture file and writes a metrics file is a trainer.

The command is a shell line with `{mixture}` and `{metrics}`, paths of JSON files: it reads the first and writes the
second, then exits 0. A Slurm job is the command `sbatch --wait train.sh {mixture} {metrics}`: it returns when the job
ends, with the job's exit status. The mixture file holds run_id, weights, data (paths per bucket), targets, target_data
(paths per target, where the caller has the texts), budget_tokens and seed; the metrics file holds
{"losses": {target: number}} and, if the trainer knows them, "realised" ({bucket: share of tokens}) and "tokens".
"""

import json
import math
import re
import shlex
import subprocess
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from hashlib import blake2b
from pathlib import Path
from typing import ClassVar

import numpy as np

from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.contract.secrets import real
from gristmill.pipeline.contract.state import parse_json
from gristmill.stages.mixture.proxies.supervised_process import start
from gristmill.stages.mixture.runs.runs import ROUNDING, SUM_TOLERANCE, Fidelity
from gristmill.stages.mixture.simplex import keep, mixtures

LOG_LINES = 15  # of a failed attempt's output, quoted in the error


@dataclass(frozen=True)
class CommandSettings:
    """How the trainer is called."""

    command: str  # shell line with {mixture} and {metrics}
    size: float = 0.0  # parameters of the model that it trains, for the fidelity
    cost: float = 1.0  # of one run, in any unit that the search's proxies share
    timeout_s: float | None = None  # per attempt; None: the command ends by itself
    retries: int = 1  # further attempts after a failed one
    at_once: int = 1  # attempts running side by side


@dataclass(frozen=True, eq=False)
class CommandProxy:
    """One call of the command per mixture. `folder` keeps a folder per run: mixture, metrics, logs, result."""

    buckets: tuple[str, ...]
    targets: tuple[str, ...]
    data: Mapping[str, tuple[str, ...]]  # paths of each bucket's files; empty: the trainer knows its data
    buckets_digest: str  # content of the buckets: a changed bucket is a new run
    budget_tokens: int
    settings: CommandSettings
    seed: int
    folder: Path
    target_data: Mapping[str, tuple[str, ...]] = field(default_factory=dict)  # paths of each target's files
    failures: list[str] = field(default_factory=list)  # what went wrong with each failed run
    kind: ClassVar[str] = "command"

    def __post_init__(self) -> None:
        for place in ("{mixture}", "{metrics}"):
            if place not in self.settings.command:
                raise ConfigError(f"the proxy's command needs {place}: {self.settings.command!r}")
        missing = [b for b in self.buckets if self.data and not self.data.get(b)]
        if missing:
            raise ConfigError(f"the command proxy has no data paths for bucket {missing[0]!r}")

    @property
    def fidelity(self) -> Fidelity:
        return Fidelity("command", self.settings.size, float(self.budget_tokens))

    @property
    def cost(self) -> float:
        return self.settings.cost

    def reseeded(self, seed: int) -> "CommandProxy":
        return replace(self, seed=seed)

    def losses(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) rows on the simplex -> (n, t), NaN where a run failed (`failures` says how). Runs that `folder`
        holds are read, not made again; a failed one is made again by the next call."""
        specs = self._specs(weights)
        with ThreadPoolExecutor(self.settings.at_once) as pool:
            once = {str(spec["run_id"]): spec for spec in specs}
            outcomes = dict(zip(once, pool.map(_caught(self._run), once.values()), strict=True))
        failed = {name: str(o) for name, o in outcomes.items() if o is not None}
        self.failures.extend(failed.values())
        rows = [None if str(s["run_id"]) in failed else self._result(str(s["run_id"])) for s in specs]
        nothing = [math.nan] * len(self.targets)
        losses = [nothing if r is None else [r["losses"][t] for t in self.targets] for r in rows]
        return np.array(losses, dtype=np.float64).reshape(-1, len(self.targets))

    def realised(self, weights: np.ndarray) -> np.ndarray:
        """(n, k) asked -> (n, k) as the finished runs report it, as asked where they do not."""
        result = np.array(weights, dtype=np.float64)
        for i, spec in enumerate(self._specs(weights)):
            if self._kept(str(spec["run_id"])):
                reported = self._result(str(spec["run_id"])).get("realised") or {}
                result[i] = [reported.get(b, result[i, j]) for j, b in enumerate(self.buckets)]
        return result

    def _specs(self, weights: np.ndarray) -> list[dict[str, object]]:
        rows = mixtures(weights, len(self.buckets))
        common = {
            "data": {b: list(paths) for b, paths in self.data.items()},
            "target_data": {t: list(paths) for t, paths in self.target_data.items()},
            "buckets_digest": self.buckets_digest,
            "targets": list(self.targets),
            "budget_tokens": self.budget_tokens,
            "seed": self.seed,
        }
        specs = []
        for row in rows:
            spec = common | {"weights": dict(zip(self.buckets, np.round(row, 9).tolist(), strict=True))}
            identity = json.dumps([spec, self.settings.command], sort_keys=True).encode()
            specs.append({"run_id": blake2b(identity, digest_size=16).hexdigest(), **spec})
        return specs

    def _folder(self, run_id: str) -> Path:
        return self.folder / run_id

    def _result(self, run_id: str) -> dict[str, dict[str, float]]:
        return json.loads((self._folder(run_id) / "result.json").read_text(encoding="utf-8"))

    def _kept(self, run_id: str) -> bool:
        """Whether the run's result is there and good; another (of an older version, cut short) is made again."""
        path = self._folder(run_id) / "result.json"
        if not path.exists():
            return False
        try:
            self._sound(json.loads(path.read_text(encoding="utf-8")), path)
        except (GristmillError, ValueError):
            return False
        return True

    def _run(self, spec: dict[str, object]) -> None:
        """Raises GristmillError when the last attempt fails."""
        folder = self._folder(str(spec["run_id"]))
        result = folder / "result.json"
        if self._kept(folder.name):
            return
        keep(folder / "mixture.json", spec)
        for attempt in range(self.settings.retries + 1):
            try:
                metrics = self._attempt(folder, folder / f"attempt-{attempt}.log")
            except GristmillError:
                if attempt == self.settings.retries:
                    raise
            else:
                keep(result, metrics)
                return

    def _attempt(self, folder: Path, log: Path) -> dict[str, object]:
        mixture, metrics = folder / "mixture.json", folder / "metrics.json"
        metrics.unlink(missing_ok=True)
        paths = {"{mixture}": shlex.quote(str(mixture.resolve())), "{metrics}": shlex.quote(str(metrics.resolve()))}

        def filled(command: str) -> str:  # in one pass: a folder may be called {metrics}
            return re.sub(r"\{mixture\}|\{metrics\}", lambda found: paths[found[0]], command)

        line = filled(self.settings.command)
        with log.open("wb") as output, start(filled(real(self.settings.command)), output.fileno()) as process:
            try:
                status = process.wait(self.settings.timeout_s)
            except subprocess.TimeoutExpired:
                status = None
        if status is None:
            raise GristmillError(
                f"run {folder.name} was stopped after {self.settings.timeout_s} s (timeout_s): {line}{_tail(log)}"
            )
        if status:
            how = f"was killed by signal {-status}" if status < 0 else f"exited with status {status}"
            raise GristmillError(f"run {folder.name} {how}: {line}{_tail(log)}")
        return self._checked(metrics, line, log)

    def _checked(self, metrics: Path, line: str, log: Path) -> dict[str, object]:
        if not metrics.is_file():
            raise GristmillError(f"{metrics} was not written although the command exited with 0: {line}{_tail(log)}")
        try:
            content = parse_json(metrics.read_text(encoding="utf-8"))
        except ValueError as error:
            raise GristmillError(f"{metrics} is not JSON ({error})") from error
        return self._sound(content, metrics)

    def _sound(self, content: object, metrics: Path) -> dict[str, object]:
        """Raises GristmillError for metrics that no search can use, so that they are never kept as finished."""
        losses = content.get("losses") if isinstance(content, dict) else None
        if not isinstance(content, dict) or not isinstance(losses, dict):
            raise GristmillError(f'{metrics} needs {{"losses": {{target: number}}}}, it holds {str(content)[:200]}')
        for target in self.targets:
            if target not in losses:
                raise GristmillError(f"{metrics} has no loss for target {target!r}; it has {sorted(losses)}")
            if not _finite(losses[target]):
                raise GristmillError(
                    f"{metrics}: the loss of target {target!r} is {losses[target]!r}, not a finite number"
                )
        realised = content.get("realised")
        if realised is None:
            return content
        if not isinstance(realised, dict) or set(realised) - set(self.buckets):
            raise GristmillError(
                f"{metrics}: realised is {str(realised)[:200]}, {{bucket: share of the tokens}} is needed"
            )
        wrong = [b for b, v in realised.items() if not _finite(v) or v < -ROUNDING]
        total = 0.0 if wrong else math.fsum(realised.values())
        if wrong or abs(total - 1) > SUM_TOLERANCE or len(realised) < len(self.buckets):
            what = (
                f"{wrong[0]} is {realised[wrong[0]]!r}" if wrong else f"its {len(realised)} shares sum to {total:.6g}"
            )
            raise GristmillError(f"{metrics}: realised must hold a share >= 0 of every bucket and sum to 1, {what}")
        return content


def _finite(value: object) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _caught(work: Callable[[dict[str, object]], None]) -> Callable[[dict[str, object]], GristmillError | None]:
    def call(spec: dict[str, object]) -> GristmillError | None:
        try:
            work(spec)
        except GristmillError as error:
            return error
        return None

    return call


def _tail(log: Path) -> str:
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()[-LOG_LINES:]
    return f"\n  its output ends ({log}):\n" + "\n".join(f"  | {line}" for line in lines) if lines else ""
