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
    "given",
    [
        ["run", "c.yaml", "--out", "s3://bucket/run"],
        ["plan", "c.yaml", "--out", "gs://b/run"],
        ["status", "s3://b/run"],
    ],
)
def test_a_run_folder_in_an_object_store_is_one_line_with_the_way_out(given, capsys, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert main(given) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gristmill: {given[-1]}: a run folder is a local one")
    assert said.count("\n") == 1
    assert not list(tmp_path.iterdir())
    with pytest.raises(ConfigError, match=r"^s3://b/run: a run folder is"):
        load("s3://b/run")
