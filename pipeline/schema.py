"""The column dictionary: every column that a stage may write, with its Arrow type, unit, meaning and source.

FineWeb's names first, then ours. A column that is not here cannot be stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from pipeline.errors import DataError


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
    Column("rule", pa.string(), "", "the first rule that a gate found broken; null keeps"),
    Column("copies_n", pa.int64(), "copies", "how often the corpus holds the document"),
]

# Evidence and provenance that ingest harvests while the HTML tree is at hand.
_LINK = pa.struct([("href", pa.string()), ("kind", pa.string()), ("place", pa.string()), ("text", pa.string())])

_INGEST: list[Column] = [
    Column("title", pa.string(), "", "page title; null where there is none"),
    Column("html_lang", pa.string(), "", "lang attribute of the html element, as written"),
    Column("charset", pa.string(), "", "WHATWG name of the encoding that decoded the record"),
    Column(
        "charset_source", pa.string(), "", "what named the charset: http, bom, meta, detector, declared", "WHATWG HTML"
    ),
    Column("mime", pa.string(), "", "media type of the body; null for tabular input", "HTTP Content-Type"),
    Column("http_status", pa.int64(), "", "status code of the response; null where there is none", "HTTP"),
    Column(
        "license_declared", pa.string(), "", "licence that the input's own metadata names (column, WARC header, meta)"
    ),
    Column(
        "license_links",
        pa.list_(_LINK),
        "",
        "statements and links about the licence: kind rel, cc, meta, jsonld, rdf, header; place head, header, nav, "
        "main, aside, footer, comment, http; text of the anchor or content of the meta; at most 50",
    ),
    Column("rights_text", pa.string(), "", "lines of the whole page that speak of copyright or licence, <= 1000 chars"),
    Column(
        "opt_out_signals", pa.list_(pa.string()), "", "machine-readable reservations, e.g. meta-robots:noai", "TDMRep"
    ),
]

_LANGUAGE: list[Column] = []

_LICENSE: list[Column] = []

_SIGNALS: list[Column] = []

_DEDUP: list[Column] = [
    Column("is_reference", pa.bool_(), "", "a document of the kind we want, by dedup.references' rule"),
    Column("is_held_out", pa.bool_(), "", "a reference that is kept for the objective and never trained on"),
    Column("exact_duplicate_of", pa.string(), "", "doc_id of the document that stays for this text; null: this one"),
    Column("exact_copies_n", pa.int64(), "documents", "documents with this text, this one included"),
    Column(
        "minhash", pa.binary(), "", "MinHash: a 64-bit key per band, a byte per value; null without words", "FineWeb"
    ),
    Column("near_duplicate_of", pa.string(), "", "doc_id of the document that stays for this cluster; null: this one"),
    Column(
        "minhash_cluster_size",
        pa.int64(),
        "documents",
        "documents in this near-duplicate cluster, exact copies too",
        "FineWeb2",
    ),
]

# Larger is better in every q_ column (QuaDMix counts the other way). Models given by path add q_<name>.
_QUALITY: list[Column] = [
    Column(
        "q_reference",
        pa.float32(),
        "",
        "calibrated P(reference | reference or crawl, 1:1), cross-fitted",
        "DCLM arXiv:2406.11794 4.4",
    ),
    Column(
        "q_importance",
        pa.float32(),
        "nat",
        "mean log ratio of hashed n-grams, references to crawl",
        "DSIR arXiv:2302.03169",
    ),
]

_MIXTURE: list[Column] = [
    Column(
        "embedding", pa.list_(pa.float32()), "", "unit vector of the text (zeros: no known term), float16 precision"
    ),
    Column("cluster_fine_id", pa.int64(), "", "nearest k-means centroid", "CLIMB arXiv:2504.13161 3.1"),
    Column("cluster_id", pa.int64(), "", "merged cluster, 0 the largest; null: pruned", "CLIMB arXiv:2504.13161 3.1"),
    Column("domain", pa.string(), "", "one of 26 topic labels; null below the threshold", "nvidia/domain-classifier"),
    Column("domain_prob", pa.float32(), "", "probability of the likeliest domain"),
    Column("bucket", pa.string(), "", "unit of the mixture the document belongs to"),
    Column("quality", pa.float32(), "", "merged quality, larger is better", "QuaDMix arXiv:2504.16511 eq. 1"),
    Column(
        "quality_rank",
        pa.float64(),
        "",
        "share of the bucket's tokens at least as good; 0.05: 95% are worse",
        "QuaDMix arXiv:2504.16511 eq. 2",
    ),
    Column(
        "sampling_value",
        pa.float64(),
        "copies",
        "relative sampling rate inside the bucket, > 0",
        "QuaDMix arXiv:2504.16511 eq. 3",
    ),
]

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


def column(name: str) -> Column:
    """Raises DataError for a column that the dictionary does not know."""
    if name in COLUMNS:
        return COLUMNS[name]
    raise DataError(f"column {name!r} is not in the column dictionary (pipeline/schema.py); declare it there")


def register(columns: Iterable[Column]) -> None:
    """Adds a stage's own columns (its `columns`). Raises DataError when a name is taken by another definition."""
    for new in columns:
        if COLUMNS.setdefault(new.name, new) != new:
            raise DataError(f"column {new.name!r} is already declared as {COLUMNS[new.name]}; choose another name")


def arrow_schema(names: Iterable[str]) -> pa.Schema:
    return pa.schema([(name, column(name).type) for name in names])
