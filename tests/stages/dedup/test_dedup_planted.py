"""`gristmill dedup CONFIG`: planted pairs through the configured parameters follow 1 - (1 - J^r)^b."""

import re
from pathlib import Path

import numpy as np
import pytest

from gristmill.pipeline.cli import main
from gristmill.stages.dedup.minhash import Scheme
from gristmill.stages.dedup.near import NearDuplicates, Verified
from gristmill.stages.dedup.planted import curve, measured


def test_the_command_prints_what_planted_pairs_find_and_the_theory(tmp_path: Path, capsys: pytest.CaptureFixture[str]):
    (tmp_path / "c.yaml").write_text("dedup: {minhash: {scheme: {bands: 20, rows: 5}}}\n")
    assert main(["dedup", str(tmp_path / "c.yaml"), "dedup.minhash.min_similarity=0.5", "--pairs", "200"]) == 0
    said = capsys.readouterr().out
    assert "20 bands of 5 values, shingles of 5 words, min_similarity 0.5 estimated" in said
    rows = re.findall(r"^ +(\d\.\d\d) +([\d.]+)% +([\d.]+)% +([\d.]+)%$", said, re.MULTILINE)
    assert len(rows) == 11
    for jaccard, meet, theory, leave in np.array(rows, float):
        share = 1 - (1 - jaccard**5) ** 20
        assert abs(theory / 100 - share) < 0.03  # J is printed with two digits
        assert abs(meet - theory) / 100 <= 4 * np.sqrt(share * (1 - share) / 200) + 0.01
        assert leave <= meet
    assert main(["dedup", str(tmp_path / "c.yaml"), "dedup.minhash.enabled=false"]) == 2
    assert "dedup.minhash is off" in capsys.readouterr().err


@pytest.mark.parametrize("level", [0.6, 0.8])
def test_verified_pairs_leave_at_the_similarity_that_was_asked(level: float):
    near = NearDuplicates(Scheme(), min_similarity=0.7, verified=Verified(verify=True))
    jaccard, meet, theory, leave = measured(near, level, 100)
    assert jaccard == pytest.approx(level, abs=0.01)
    assert leave == (meet if level > 0.7 else 0)
    assert theory == pytest.approx(float(curve(Scheme(), np.array([jaccard]))[0]), abs=0.03)
