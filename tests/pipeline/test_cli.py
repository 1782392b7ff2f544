"""The command line: settings stand before, between and behind the options; what a run folder cannot be."""

import pytest

from gristmill.pipeline.api.python import load
from gristmill.pipeline.cli import main, parsed
from gristmill.pipeline.contract.errors import ConfigError

SETTINGS = ["gates.min_words=60", "input.paths=[a b, c]"]


@pytest.mark.parametrize(
    "given",
    [
        ["run", "c.yaml", *SETTINGS, "--out", "RUN", "--dry-run"],
        ["run", "c.yaml", "--out", "RUN", *SETTINGS, "--dry-run"],
        ["run", "--out", "RUN", "c.yaml", SETTINGS[0], "--dry-run", SETTINGS[1]],
        ["run", "c.yaml", SETTINGS[0], "--out=RUN", "--dry-run", SETTINGS[1]],
    ],
)
def test_settings_stand_anywhere(given):
    arguments = parsed(given)
    assert (arguments.config.name, arguments.out.name, arguments.dry_run) == ("c.yaml", "RUN", True)
    assert arguments.overrides == SETTINGS


@pytest.mark.parametrize(
    "given",
    [
        ["run", "c.yaml", "--out", "RUN", "--dryrun"],
        ["run", "c.yaml", "--out", "RUN", "other.yaml"],
        ["run", "c.yaml", "--out", "RUN", "--wrkers=3"],
        ["ledger", "RUN", "gates.min_words=60"],
    ],
)
def test_what_is_no_setting_is_refused(given, capsys):
    with pytest.raises(SystemExit) as ended:
        parsed(given)
    assert ended.value.code == 2
    assert "unrecognized arguments" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("given", "why"),
    [
        (["plan", "c.yaml", "--out", "gs://b/run"], "gs://b/run: a run folder is a local one"),
        (["status", "memory://run"], "memory://run: a run folder is a local one"),
        (["run", "c.yaml", "--out", "s3://bucket"], "s3://bucket: a run needs a folder of its own"),
        (["verify", "s3://user:secret@bucket/run"], "s3://bucket/run: credentials go into the environment"),
    ],
)
def test_an_address_where_no_run_can_lie_is_one_line_with_the_way_out(given, why, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gristmill: {why}")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"^hf://b/run: a run folder is"):
        load("hf://b/run")
