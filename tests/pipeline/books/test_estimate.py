"""`plan` estimates what is left by the rates of the parts that are done."""

import json
import re
from pathlib import Path

import numpy as np
import pytest

from gristmill.pipeline.cli import main
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import override, read_config
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from lawrun import InProcess, Silent

OFF = [f"{name}.enabled=false" for name in ("language", "license", "signals", "gates")]


def test_plan_says_what_is_left_once_some_parts_are_done(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    rng = np.random.default_rng(0)
    for i in range(6):
        texts = [" ".join(f"w{v}" for v in rng.integers(0, 10_000, 200)) for _ in range(60)]
        (tmp_path / f"{i}.jsonl").write_text("\n".join(json.dumps({"text": t}) for t in texts))
    (tmp_path / "c.yaml").write_text("name: c\n")

    def given(files: str) -> list[str]:
        return [str(tmp_path / "c.yaml"), f"input.paths={tmp_path}/{files}.jsonl", *OFF]

    def planned() -> str:
        assert main(["plan", *given("*"), "--out", str(tmp_path / "run"), "--until", "dedup.minhash"]) == 0
        return capsys.readouterr().out

    assert "estimate: none yet; run some of these files" in planned()
    store = Store(tmp_path / "run")

    def run(files: str) -> None:
        recipe = make_recipe(override(read_config(tmp_path / "c.yaml"), given(files)[1:]), "c")
        situation = survey(recipe, store, "dedup.minhash")
        launch(recipe, situation, store, InProcess(), "dedup.minhash", Silent(), lambda store, plan: None)

    run("[0-2]")
    said = planned()
    about, read = re.search(r"estimate: about (\d+) documents, (\d+) of them read \(3 parts of 6\)", said).groups()  # type: ignore
    assert int(read) == 180
    assert abs(int(about) - 360) <= 4
    assert re.search(r"^  dedup.minhash +[\d.]+ s$", said, re.MULTILINE)
    assert re.search(r"^  together +[\d.]+ s$", said, re.MULTILINE)
    stay = re.search(r"disk: ([\d.]+) KB more that stay, ([\d.]+) KB of slices", said)
    aside = ("ledger", "ingest.rejected")
    files = [p for p in (tmp_path / "run").glob("*/*.parquet") if p.parent.name not in aside]
    held = sum(p.stat().st_size for p in files)
    assert float(stay[1]) == pytest.approx(held / 1000, rel=0.05)  # type: ignore
    assert float(stay[2]) == pytest.approx(0.202 * int(about), rel=0.01)  # type: ignore
    run("*")
    assert "estimate" not in planned()
