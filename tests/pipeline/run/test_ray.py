"""A run on a real Ray of two nodes on this machine, one of which dies: the same bytes. What a worker may lack."""

import multiprocessing
import os
import signal
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from test_machine import Quiet, corpus_digest, go

import toy
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.run.engines.job import Job, Resources
from gristmill.pipeline.run.engines.on_ray import RayEngine
from gristmill.pipeline.run.store import Store
from gristmill.pipeline.run.units import RunStep
from places import SOURCE

SMALL = {"mem_per_cpu_gb": 0.1}
STORE_BYTES = 80 << 20  # about the least that Ray takes


@pytest.fixture(scope="module")
def cluster() -> Iterator[object]:
    """Two nodes of one processor each, to which this process is connected."""
    ray = pytest.importorskip("ray", reason="the extra `ray` is not installed")
    from ray.cluster_utils import Cluster

    node = {"num_cpus": 1, "object_store_memory": STORE_BYTES, "include_dashboard": False}
    with pytest.MonkeyPatch.context() as patch:
        made = Cluster(initialize_head=True, head_node_args=node)
        # Set for this process alone: what it can import travels with its workers.
        patch.setenv("PYTHONPATH", f"{Path(toy.__file__).parent}:{SOURCE}")
        ray.init(address=made.address, log_to_driver=False, logging_level="error")
        try:
            yield made
        finally:
            ray.shutdown()
            made.shutdown()


class Killing(Quiet):
    """Calls `kill` once, when the third phase is under way."""

    def __init__(self, kill: Callable[[], None]) -> None:
        super().__init__()
        self.kill, self.phases = kill, 0

    def opened(self) -> None:
        self.phases += 1
        if self.phases == 3:
            self.kill()


def run(folder: Path, out: Path, engine: RayEngine, progress: Quiet, **options: object) -> None:
    made, store = toy.recipe(folder, **options), Store(out)
    try:
        launch(made, survey(made, store, None), store, engine, None, progress, lambda store, plan: None)
    finally:
        engine.dismiss()


@pytest.mark.slow
def test_a_killed_worker_and_a_killed_node_change_nothing(cluster: object, tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=3)
    (folder / "shard1.txt").write_text("fine\nkill\n")
    other = cluster.add_node(num_cpus=1, object_store_memory=STORE_BYTES)  # pyright: ignore[reportAttributeAccessIssue]
    engine = RayEngine(None, SMALL)
    dying = Killing(lambda: cluster.remove_node(other, allow_graceful=False))  # pyright: ignore[reportAttributeAccessIssue]
    words = {"trouble": "kill once", "marker": str(tmp_path / "killed")}
    run(folder, tmp_path / "ray", engine, dying, words=words, ranking={"asks": 3, "bound": 5})
    assert (tmp_path / "killed").exists()
    assert dying.phases > 3
    go(folder, tmp_path / "local", ranking={"asks": 3})
    answers = [tmp_path / name / "artifacts" / "ranking" / "answers.json" for name in ("ray", "local")]
    assert answers[0].read_bytes() == answers[1].read_bytes()
    assert corpus_digest(tmp_path / "ray") == corpus_digest(tmp_path / "local")


def _drive(folder: Path, out: Path, address: str) -> None:
    run(folder, out, RayEngine(None, {**SMALL, "address": address}), Quiet(), slow=0.2)


@pytest.mark.slow
def test_a_killed_driver_s_workers_end_and_the_same_command_goes_on(cluster: object, tmp_path: Path):
    folder = toy.write_lines(tmp_path / "in", shards=3)
    address = cluster.address  # pyright: ignore[reportAttributeAccessIssue]
    driver = multiprocessing.get_context("spawn").Process(target=_drive, args=(folder, tmp_path / "ray", address))
    driver.start()
    while driver.is_alive() and not (tmp_path / "ray" / "slow").exists():  # a state, not a time
        time.sleep(0.005)
    os.kill(driver.pid or 0, signal.SIGKILL)
    driver.join()
    assert not (tmp_path / "ray" / "ledger.json").exists()
    run(folder, tmp_path / "ray", RayEngine(None, SMALL), Quiet(), slow=0.2)
    go(folder, tmp_path / "local", slow=0.2)
    assert corpus_digest(tmp_path / "ray") == corpus_digest(tmp_path / "local")


@pytest.mark.slow
def test_what_no_node_has_and_what_no_worker_can_import_is_one_error(cluster: object, tmp_path: Path):
    step = RunStep(str(tmp_path), 0, 1, code=("nowhere:Stage",))
    job = Job([step], 1, [0], tmp_path / "logs")
    engine = RayEngine(1, SMALL)
    with pytest.raises(ConfigError, match=r"node .*cannot load 'nowhere:Stage' .*engine\.ray\.runtime_env"):
        engine.run(job, lambda: None)
    engine.dismiss()
    with pytest.raises(ConfigError, match=r"no node of the Ray cluster has 1 cpus, 2 gpus and 0\.1 GB"):
        engine.run(Job([step], 1, [0], tmp_path / "logs", needs=Resources(gpus=2)), lambda: None)


def test_unknown_options_and_a_step_s_session_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    with pytest.raises(ConfigError, match=r"engine\.ray: unknown adress; there are address"):
        RayEngine(1, {"adress": "10.0.0.1:6379"})
    monkeypatch.setattr("gristmill.pipeline.run.units.SEEN_S", 0.0)
    assert "does not see the run folder" in str(RunStep(str(tmp_path), 0, 1, session="here").lacks())
    step = RunStep(str(tmp_path), 0, 1)
    step.version = "0.0.9"
    assert "it has Gristmill" in str(step.lacks())
