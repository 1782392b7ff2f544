"""datatrove's documents and filters in a recipe."""

import polars as pl
import pytest

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.plan.identity import freeze, thaw
from gristmill.pipeline.run.datatrove_filter import DatatroveFilter, documents_of

BATCH = pl.DataFrame(
    {
        "doc_id": ["a", "b", "c"],
        "text": ["keep me", "call 555-0100", ""],
        "language": ["en", None, "de"],
        "words_n": [2, 2, 0],
    }
)


def test_a_row_is_a_document_with_its_columns_as_metadata():
    documents = list(documents_of(BATCH))
    assert [d.id for d in documents] == ["a", "b", "c"]
    assert documents[0].metadata == {"language": "en", "words_n": 2}


def test_a_datatrove_filter_decides_as_a_gate():
    gate = DatatroveFilter("datatrove.pipeline.filters:RegexFilter", (("regex_exp", r"\d{3}-\d{4}"),))
    assert gate.decide(BATCH.select("doc_id", "text", "language")).to_list() == [None, "filtered", None]
    assert thaw(freeze(gate)) == gate


def test_what_is_no_filter_is_named():
    with pytest.raises(ConfigError, match="no datatrove filter"):
        DatatroveFilter("datatrove.pipeline.readers:JsonlReader", (("data_folder", "x"),)).decide(BATCH)
    with pytest.raises(ConfigError, match="cannot load"):
        DatatroveFilter("datatrove.pipeline.filters:NoSuchFilter").decide(BATCH)
