"""The generated pages in docs/ are what the code says."""

from itertools import pairwise

import pytest

from gristmill.pipeline.docs import DOCS, pages


@pytest.mark.parametrize("name", ["config.md", "columns.md", "cli.md"])
def test_docs_are_current(name: str):
    assert (DOCS / name).read_text(encoding="utf-8") == pages()[name], "run python -m gristmill.pipeline.docs"


@pytest.mark.parametrize("name", ["config.md", "cli.md"])
def test_every_key_and_every_argument_has_its_meaning(name: str):
    assert [line for line in pages()[name].splitlines() if line.endswith("|  |")] == []


def test_a_sentence_stands_once_beside_the_keys_that_share_it():
    rows = [line.split(" | ") for line in pages()["config.md"].splitlines() if line.startswith("| `")]
    before = [row[2] for row in rows]
    assert [a for a, b in pairwise(before) if a == b and not a.startswith("as ")] == []


def test_what_lists_hold_and_what_is_allowed_is_said():
    page = pages()["config.md"]
    for row in (
        "| `models[].name` | `required` | of the criterion: the column is q_<name> |",
        "| `prune[].min` | `required` | least mean over the cluster's documents that keeps it |",
        "| `opt_out` | `drop` | it is reserved from training: opt_out_reasons; one of keep, drop |",
        "| `min_words` | `50` | `too_few_words` drops documents with `words_n` below it. Gopher (arXiv:2112.11446",
    ):
        assert row in page
    assert "`engine.slurm`" in page
