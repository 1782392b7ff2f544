"""The generated pages in docs/ are what the code says."""

import pytest

from gristmill.pipeline.docs import DOCS, pages


@pytest.mark.parametrize("name", ["config.md", "columns.md", "cli.md"])
def test_docs_are_current(name: str):
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run python -m gristmill.pipeline.docs"
