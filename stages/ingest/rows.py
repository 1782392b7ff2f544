"""Documents and rejected records of one part, gathered row by row into frames of the declared types, within bounds.

A part is bounded by what it makes, not by what it reads: some hundred bytes can hold 10^9 rows, or the same text 10^5
times.
"""

from dataclasses import dataclass, field, replace
from hashlib import blake2b

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.pipeline.contract.columns import COLUMNS
from gristmill.stages.ingest.content.characters import normalised
from gristmill.stages.ingest.content.furniture import without_furniture
from gristmill.stages.ingest.page.evidence import Evidence

_LINKS = pl.List(pl.Struct({"href": pl.String, "kind": pl.String, "place": pl.String, "text": pl.String}))
DOCUMENT: dict[str, pl.DataType | type[pl.DataType]] = {
    "doc_id": pl.String, "text": pl.String, "url": pl.String, "date": pl.String, "dump": pl.String,
    "file_path": pl.String, "record_bytes": pl.Int64, "text_bytes": pl.Int64, "text_hash": pl.String,
    "title": pl.String, "html_lang": pl.String, "charset": pl.String, "charset_source": pl.String, "mime": pl.String,
    "http_status": pl.Int64, "license_declared": pl.String, "license_links": _LINKS, "rights_text": pl.String,
    "opt_out_signals": pl.List(pl.String), "source": pl.String, "id": pl.String, "carried": pl.String,
    "carried_types": pl.String, "normalized_chars_n": pl.Int64, "cut_furniture_lines_n": pl.Int64,
    "cut_furniture_bytes": pl.Int64, "author": pl.String,
}  # fmt: skip
UNDECODABLE_FRAC = 0.1  # replaced characters and NULs beyond which there is no text
FULL = "part_full"
FLUSH_BYTES = 32 << 20  # of strings that become a frame: as Python strings they take up to four times their bytes
WHOLE_BYTES = 128 << 20  # up to here the frames of a part are joined into one piece
FLUSH_ROWS = 100_000
SHOWN_CHARS = 2000  # of the id and URL of a rejected record
_MEASURED = ("text_bytes", "text_hash", "cut_furniture_lines_n", "cut_furniture_bytes")  # on the text that stays
_HELD = tuple(name for name in DOCUMENT if name not in _MEASURED)
WRITES = tuple(name for name in DOCUMENT if name != "doc_id")
_REJECTED = {"record": pl.Int64, "record_id": pl.String, "url": pl.String, "rule": pl.String, "record_bytes": pl.Int64}


@dataclass(slots=True)
class Document:
    """What a record became. `size`: bytes of its body."""

    text: str
    size: int
    url: str | None = None
    date: str | None = None
    title: str | None = None
    lang: str | None = None
    charset: str | None = None
    charset_source: str | None = None
    mime: str | None = None
    status: int | None = None
    evidence: Evidence = field(default_factory=Evidence)
    dump: str | None = None
    carried: str | None = None
    carried_types: str | None = None
    author: str | None = None
    is_page: bool = False  # extracted from HTML, here or by the writer of a WET: its text may hold page furniture


@dataclass(frozen=True)
class Common:
    """What holds for all records of a part: the dump (unless a record names its own), the source, the licence of
    records that name none, whether characters are normalised and page furniture is cut."""

    dump: str | None = None
    source: str | None = None
    license: str | None = None
    normalize: bool = True
    cut_furniture: bool = True


class PartFull(Exception):
    """The part holds as many records as it may."""


class Rows:
    """Collects one part's rows; `name` and `path` are the file's.

    Once its documents hold `most_bytes` bytes of strings it is `full`: what would be a further document is rejected as
    part_full. `reject` and `add` raise PartFull beyond `most_records` records.
    """

    def __init__(
        self, name: str, path: str, common: Common, most_bytes: int = 1 << 40, most_records: int = 1 << 40
    ) -> None:
        self._name, self._path, self._common = name, path, common
        self._most_bytes, self._most_records = most_bytes, most_records
        self._documents: list[tuple] = []
        self._rejected: list[tuple] = []
        self._frames: list[pl.DataFrame] = []
        self._rejected_frames: list[pl.DataFrame] = []
        self._bytes = self._held_bytes = self.records = self.unreadable = 0
        self.last = 0  # offset of the record that came last
        self.why = ""  # the first error for which a record was unreadable

    def read_from(self, name: str, path: str, dump: str | None) -> None:
        """The file that the next records stand in, where it is not the part's own, and its crawl."""
        self._name, self._path = name, path
        self._common = replace(self._common, dump=dump)

    @property
    def full(self) -> bool:
        return self._bytes >= self._most_bytes

    def fits(self, size: int) -> bool:
        """Whether a document with `size` bytes of strings still has room."""
        return self._bytes + size <= self._most_bytes

    def add(self, document: Document, offset: int, inner: int, record_id: str | None) -> None:
        kept, normalized = normalised(document.text) if self._common.normalize else (document.text, 0)
        if normalized and (not kept or kept.isspace()):
            self.reject("no_text", offset + inner, record_id, document.url, document.size)
            return
        text = kept.encode("utf-8")
        if not self.fits(len(text)):
            self._bytes = self._most_bytes
            self.reject(FULL, offset + inner, record_id, document.url, document.size)
            return
        self._count(offset + inner)
        place = f"{self._name}\0{offset}\0{inner}\0{record_id or ''}".encode("utf-8", "replace")
        evidence = document.evidence
        links = [dict(zip(("href", "kind", "place", "text"), map(clean, link), strict=True)) for link in evidence.links]
        license = clean(evidence.declared) or self._common.license
        row = (
            document.is_page and self._common.cut_furniture,
            blake2b(place, digest_size=16).hexdigest(), kept, document.url, document.date,
            clean(document.dump) or self._common.dump, self._path, max(document.size, len(text)),
            clean(document.title), clean(document.lang), document.charset, document.charset_source,
            clean(document.mime), document.status, license, links,
            clean(evidence.rights_text), [clean(signal) for signal in evidence.opt_outs],
            self._common.source, clean(record_id), document.carried, document.carried_types, normalized,
            clean(document.author),
        )  # fmt: skip
        self._documents.append(row)
        size = sum(len(value) for value in row if type(value) is str)
        self._bytes += size
        self._held_bytes += size
        if self._held_bytes >= FLUSH_BYTES:
            self._frames.append(_documents_frame(self._documents))
            self._documents, self._held_bytes = [], 0

    def reject(self, rule: str, offset: int, record_id: str | None, url: str | None, size: int) -> None:
        self._count(offset)
        shown = [value if value is None else value[:SHOWN_CHARS] for value in (record_id, url)]
        self._rejected.append((offset, *shown, rule, size))
        if len(self._rejected) >= FLUSH_ROWS:
            self._rejected_frames.append(_rejected_frame(self._rejected))
            self._rejected = []

    def reject_unreadable(
        self, error: Exception, offset: int, record_id: str | None, url: str | None, size: int
    ) -> None:
        """A record whose reading raised what no rule expects."""
        self.unreadable += 1
        self.why = self.why or f"{type(error).__name__}: {error}"[:200]
        self.reject("unreadable", offset, record_id, url, size)

    def reject_rest(self, offset: int, size: int) -> None:
        """One record for all that is left of a part which holds as many records as it may."""
        self._most_records += 1
        self.reject(FULL, offset, None, None, size)

    def _count(self, offset: int) -> None:
        self.last = offset
        if self.records >= self._most_records:
            raise PartFull
        self.records += 1

    def frames(self) -> tuple[pl.DataFrame, pl.DataFrame]:
        documents = pl.concat([*self._frames, _documents_frame(self._documents)], rechunk=False)
        rejected = pl.concat([*self._rejected_frames, _rejected_frame(self._rejected)])
        return (documents.rechunk() if self._bytes <= WHOLE_BYTES else documents), rejected


def _documents_frame(rows: list[tuple]) -> pl.DataFrame:
    """Rows of `Rows.add`: whether furniture is cut, then the columns that are not measured on the text that stays."""
    chosen, *columns = list(zip(*rows, strict=True)) or [()] * (len(_HELD) + 1)
    held = {name: _series(name, DOCUMENT[name], values) for name, values in zip(_HELD, columns, strict=True)}
    text, cut_lines = without_furniture(held["text"], np.array(chosen, dtype=bool))
    size = text.str.len_bytes().cast(pl.Int64)
    made = {
        "text": text,
        "text_bytes": size,
        "text_hash": pl.Series([blake2b(t.encode(), digest_size=16).hexdigest() for t in text], dtype=pl.String),
        "cut_furniture_lines_n": pl.Series(cut_lines.sum(axis=1), dtype=pl.Int64),
        "cut_furniture_bytes": held["text"].str.len_bytes().cast(pl.Int64) - size,
    }
    return pl.DataFrame({**held, **made}).select(list(DOCUMENT))


def _rejected_frame(rows: list[tuple]) -> pl.DataFrame:
    return pl.DataFrame(rows, schema=_REJECTED, orient="row")


def _series(name: str, kind: pl.DataType | type[pl.DataType], values: tuple) -> pl.Series:
    """Nested values go through Arrow: polars builds a Series for every inner list (0.1 s for 500 rows)."""
    if isinstance(kind, pl.List):
        arrow = COLUMNS[name].type
        return pl.Series(name, pl.from_arrow(pa.chunked_array([pa.array(values, type=arrow)], type=arrow)), dtype=kind)
    return pl.Series(name, values, dtype=kind)


def clean(text: str | None) -> str | None:
    """Lines end in LF alone; without NUL and lone surrogates, which no UTF-8 column holds."""
    if text is None:
        return text
    if "\r" in text:
        text = text.replace("\r\n", "\n").replace("\r", "\n")
    if text.isascii() and "\0" not in text:
        return text
    text = text.replace("\0", "")
    try:
        text.encode("utf-8")
    except UnicodeEncodeError:
        text = text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    return text
