"""benchmarks/dedup/grouping.py, small: planted groups, a chain and a giant band key come out as planted."""

from pathlib import Path

import pytest

from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.plan.config import Recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.dedup import ExactDuplicates, ExactGate, NearGate
from lawrun import InProcess, Silent

FOLDER = Path(__file__).parents[3] / "benchmarks" / "dedup"


@pytest.mark.parametrize("memory", [1 << 30, 1 << 20])
def test_planted_groups_come_out_as_planted(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, memory: int):
    monkeypatch.syspath_prepend(str(FOLDER))
    import grouping
    from made_documents import Made, MadeComponents, MadeNear, NoFlags, NoReferences

    made = Made(20_000, 5_000)
    near = (MadeComponents(documents=20_000), MadeNear(keep=(), documents=20_000), NearGate())
    stages = (made, NoReferences(), NoFlags(), ExactDuplicates(keep=()), ExactGate(), *near)
    recipe = Recipe("grouping", stages, {"name": "grouping"}, {"memory": memory}, tuple("x" * len(stages)))
    store = Store(tmp_path)
    situation = survey(recipe, store, "dedup.minhash")
    launch(recipe, situation, store, InProcess(), "dedup.minhash", Silent(), lambda store, plan: None)
    assert grouping.check(store, made).startswith("as planted")
