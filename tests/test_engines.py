"""The same plan on datatrove's Ray executor, on a real Ray in this machine: the same bytes."""

from pathlib import Path

import pytest
import toy
from test_machine import Quiet, corpus_digest, go

from pipeline.errors import ConfigError
from pipeline.executors import RayEngine, SlurmEngine, make_engine
from pipeline.launch import launch, survey
from pipeline.store import Store


@pytest.mark.slow
def test_ray_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    pytest.importorskip("ray", reason="the extra `ray` is not installed")
    # Ray's workers are fresh processes: they find the toy recipe as an installed package would be found.
    monkeypatch.setenv("PYTHONPATH", f"{Path(toy.__file__).parent}:{Path(toy.__file__).parents[1]}")
    folder = toy.write_lines(tmp_path / "in", shards=3)
    go(folder, tmp_path / "local", gate={"min_words": 3})
    made, store = toy.recipe(folder, gate={"min_words": 3}), Store(tmp_path / "ray")
    engine = RayEngine(2, {"mem_per_cpu_gb": 0.5})
    try:
        launch(made, survey(made, store, None), store, engine, None, Quiet(), lambda store, plan: None)
    finally:
        engine.close()
    assert corpus_digest(tmp_path / "ray") == corpus_digest(tmp_path / "local")


def test_unknown_engine_and_missing_slurm_options_are_named():
    with pytest.raises(ConfigError, match="there are local, ray and slurm"):
        make_engine("spark", 1, {})
    with pytest.raises(ConfigError, match=r"engine\.slurm\.time"):
        SlurmEngine(1, {})
