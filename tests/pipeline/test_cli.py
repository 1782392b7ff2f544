"""The command line: settings stand before, between and behind the options."""

import pytest

from gristmill.pipeline.cli import parsed

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
