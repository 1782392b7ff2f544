"""What the README shows works: its example stage in a real run, its links, its commands."""

import os
import re
import subprocess
import sys
from pathlib import Path

import polars as pl

from gristmill.pipeline.demo.shards import write_sample_data
from places import ROOT, SOURCE

README = (ROOT / "README.md").read_text(encoding="utf-8")


def test_the_example_stage_drops_by_its_rule(tmp_path: Path):
    code = re.search(r"```python\n# shouting\.py.*?\n(.*?)```", README, re.DOTALL)
    extra = re.search(r"```yaml\n(extra:.*?)```", README, re.DOTALL)
    assert code
    assert extra
    (tmp_path / "shouting.py").write_text(code[1])
    (tmp_path / "config.yaml").write_text("name: example\n" + extra[1])
    write_sample_data(tmp_path / "in", shards=1, max_docs=150)
    command = [sys.executable, "-m", "gristmill.pipeline.cli", "run", str(tmp_path / "config.yaml")]
    command += [f"input.paths={tmp_path}/in/*.warc.gz", "--until", "shouting", "--out", str(tmp_path / "run")]
    environment = {**os.environ, "PYTHONPATH": f"{SOURCE}:{tmp_path}"}
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    assert done.returncode == 0, done.stderr
    decided = pl.read_parquet(tmp_path / "run" / "shouting.gate" / "*.parquet")
    shares = pl.read_parquet(tmp_path / "run" / "signals" / "*.parquet").select("doc_id", "upper_chars_frac")
    joined = decided.join(shares, on="doc_id")
    assert joined.height > 0
    assert (joined["rule"].is_not_null() == (joined["upper_chars_frac"] > 0.2)).all()


def test_links_in_the_readme_lead_somewhere():
    links = re.findall(r"\]\(([^)#]+)\)", README)
    assert links
    assert [link for link in links if not link.startswith("http") and not (ROOT / link).exists()] == []


def test_commands_in_the_readme_exist():
    from gristmill.pipeline.cli import COMMANDS

    named = set(re.findall(r"^    gristmill ([a-z-]+)", README, re.MULTILINE))
    assert named
    assert named <= set(COMMANDS)
    targets = set(re.findall(r"^    make ([a-z]+)", README, re.MULTILINE))
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    assert all(f"\n{target}:" in makefile for target in targets)
