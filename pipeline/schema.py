"""The column dictionary: every column that a stage may write, with its Arrow type, unit, meaning and source.

FineWeb's names first, then ours. A column that is not here cannot be stored.
"""

from dataclasses import dataclass

import pyarrow as pa


@dataclass(frozen=True)
class Column:
    """One column. `unit` is "" where there is none; `source` is where the definition comes from."""

    name: str
    type: pa.DataType
    unit: str
    meaning: str
    source: str = "gristmill"


_DOCUMENT = [
    Column("doc_id", pa.string(), "", "blake2b-128 (hex) of where the record stands: file, offset, record id"),
    Column("text", pa.string(), "", "extracted text", "FineWeb"),
    Column("url", pa.string(), "", "target URI of the record", "FineWeb"),
    Column("date", pa.string(), "ISO 8601", "capture date", "FineWeb"),
    Column("dump", pa.string(), "", "crawl the record belongs to, from the config or the file name", "FineWeb"),
    Column("file_path", pa.string(), "", "input file, as the config names it", "FineWeb"),
    Column("record_bytes", pa.int64(), "bytes", "size of the record's body before extraction (at least the text's)"),
    Column("text_bytes", pa.int64(), "bytes", "size of text in UTF-8"),
    Column("text_hash", pa.string(), "", "blake2b-128 (hex) of the text"),
    Column("token_count", pa.int64(), "tokens", "length under the run's tokenizer", "FineWeb"),
]

# Evidence and provenance that ingest harvests while the HTML tree is at hand.
_INGEST: list[Column] = []

_LANGUAGE: list[Column] = []

_LICENSE: list[Column] = []

_SIGNALS: list[Column] = []

_DEDUP: list[Column] = []

_QUALITY: list[Column] = []

_MIXTURE: list[Column] = []

COLUMNS: dict[str, Column] = {
    c.name: c for c in _DOCUMENT + _INGEST + _LANGUAGE + _LICENSE + _SIGNALS + _DEDUP + _QUALITY + _MIXTURE
}

# A rejected record: what the ledger knows of an input that never became a document.
REJECTED = pa.schema(
    [
        ("record", pa.int64()),  # ordinal or byte offset in the file
        ("record_id", pa.string()),
        ("url", pa.string()),
        ("rule", pa.string()),
        ("record_bytes", pa.int64()),
    ]
)
