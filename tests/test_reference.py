"""The generated pages in docs/ are what the code says."""

import pytest

from pipeline.reference import DOCS, field_notes, pages
from pipeline.recipe import STANDARD


@pytest.mark.parametrize("name", ["config.md", "columns.md", "cli.md"])
def test_docs_are_current(name: str):
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run python -m pipeline.reference"


def test_every_setting_says_what_it_means():
    silent = [f"{path}.{key}" for path, cls in STANDARD for key, note in field_notes(cls).items() if not note and key not in SELF_EVIDENT]
    assert silent == []


SELF_EVIDENT = {"name", "version", "reads", "writes", "needs", "rows", "rules", "files", "columns", "outside_identity"}
