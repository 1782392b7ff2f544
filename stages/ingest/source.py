"""Reads WARC, ARC, WET, Parquet and JSONL shards into documents; each record has exactly one fate.

Text, title, charset and the evidence about licence and opt-out are harvested here, while the HTML tree is at hand.
"""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import ClassVar, Literal

import polars as pl

from gristmill.pipeline.contract import watch
from gristmill.pipeline.contract.errors import ConfigError, DataError, GristmillError
from gristmill.pipeline.contract.ranges import Amount, Count, Share, SomeAmount
from gristmill.pipeline.contract.remote.retry import Retry
from gristmill.pipeline.contract.secrets import public, real
from gristmill.pipeline.contract.shapes import Counted, Part, Reads, Source
from gristmill.stages.ingest.archive.grammar import Grammar
from gristmill.stages.ingest.archive.members import Codec
from gristmill.stages.ingest.archive.reader import Record
from gristmill.stages.ingest.archive.records import records
from gristmill.stages.ingest.captures import MARK, captures_of, parts_of_index, read_captures
from gristmill.stages.ingest.content.blocks import STYLES
from gristmill.stages.ingest.content.service import RULES as SERVICE_RULES
from gristmill.stages.ingest.detect import kind_of
from gristmill.stages.ingest.documents import REJECT, Limits, Rejected, document_of, may_be_document, text_of, url_of
from gristmill.stages.ingest.files.inputs import inputs_of, parts_of, run_folders_among
from gristmill.stages.ingest.files.open import File, open_file
from gristmill.stages.ingest.page.http import HEAD_BYTES
from gristmill.stages.ingest.page.parse import EXTRACTORS
from gristmill.stages.ingest.page.read import PLAIN
from gristmill.stages.ingest.review import check_kept, preview, remarks, review
from gristmill.stages.ingest.rows import FULL, WRITES, Common, PartFull, Rows
from gristmill.stages.ingest.sources import SourceInput, check_names, inputs_by_source
from gristmill.stages.ingest.tables import ALL, Fields, read_jsonl, read_parquet

FORMATS = ("auto", "warc", "parquet", "jsonl")
RECORD_DEATHS = 2  # of workers at one record: in the worker itself, and with its page read beside it
UNREADABLE_N, UNREADABLE_FRAC = 100, 0.5  # so many unreadable records of a part are no chance and no attack
_DUMP = re.compile(r"CC-MAIN-\d{4}-\d{2}(?!\d)")


@dataclass(frozen=True)
class Ingest(Source):
    """Reads what `paths` name. Raises InputError for what is missing, ConfigError for what cannot be meant."""

    # Files, globs, fsspec URLs (http, s3, hf), lists of paths (*.paths, *.paths.gz), rows of Common Crawl's columnar
    # index as Parquet (warc_filename, warc_record_offset, warc_record_length: only these records are read). Credentials
    # and endpoint of s3 as for the AWS tools: AWS_PROFILE or AWS_ACCESS_KEY_ID, AWS_ENDPOINT_URL;
    # FSSPEC_S3_ANON=true reads public buckets.
    paths: tuple[str, ...] = ()
    # Goes before relative paths in a list or an index (https://data.commoncrawl.org/ for Common Crawl); null: its own
    # folder.
    paths_base: str | None = None
    # auto (by content), warc (also ARC and WET), parquet or jsonl.
    format: str = "auto"
    # Name of the crawl; null: CC-MAIN-YYYY-WW where the path has one.
    dump: str | None = None
    # resiliparse, or trafilatura (an extra; about ten times slower).
    extractor: str = "resiliparse"
    # Media types that become documents; text/plain can be added.
    mimes: tuple[str, ...] = ("text/html", "application/xhtml+xml")
    # Spaces of every kind become the space, line separators \n, invisible characters go, NFC (the table stands in
    # stages/ingest/content/characters.py). For source code whose string literals must stay: false, in `sources`.
    normalize: bool = True
    # How tables of data and preformatted code of HTML pages stand in the text. plain: a line a row with tabs between
    # cells, code with its indentation; markdown: pipe tables, and code between fences with its language.
    blocks: Literal["plain", "markdown"] = "plain"
    # Skip links, cookie notices, share bars, teasers, adverts, buttons and repeated lines are cut out of the texts of
    # HTML pages and WET records (stages/ingest/content/phrases.py); other inputs stay as they are.
    cut_furniture: bool = True
    # Whether short pages whose title says log-in, account, cart, not found or consent become documents; else they are
    # rejected as login_page, account_page, cart_page, not_found_page, consent_page.
    service_pages: bool = False
    # Larger bodies, lines and texts are rejected as too_large (Common Crawl itself cuts at 1 MiB, since 2025 at 5 MiB).
    body_bytes: Count = 8 << 20
    # What reads a page that the extractor cannot (nested too deep, over page_s, crashed): plain (the text between the
    # tags), the other extractor, or reject (too_nested, timed_out, parser_crashed).
    fallback: str = "plain"
    # Seconds a heavy page (every page with trafilatura) may take before the fallback reads it. The structure of a page
    # bounds its cost far below (stages/ingest/page/read.py); a run in which this fires may differ from the next one.
    page_s: SomeAmount = 30.0
    # Seconds of CPU a record may take in a worker, which is then ended: the next one reads the record's page beside
    # itself, and if that ends it too the record is rejected as worker_killed.
    record_s: SomeAmount = 60.0
    # Larger files are cut into parts of about this size.
    part_bytes: Count = 64 << 20
    # Text and other strings of one part's documents, in bytes; its further documents are rejected as part_full. A
    # worker takes about 0.5 GB and twice this. Smaller part_bytes cut files into more parts, each of which holds less.
    part_text_bytes: Count = 384 << 20
    # Records of one part, documents and rejected ones; all that is left of it is then one record, part_full.
    part_records: Count = 4_000_000
    # Attempts for a remote read.
    retries: Count = 5
    # Wait before the second attempt; doubles each time.
    retry_s: Amount = 0.5
    # Share of the records that may be rejected. Records that are no pages (requests, revisits, other media types, bad
    # status) and part_full ones do not count.
    max_rejected: Share = 0.5
    # Columns of Parquet files, keys of JSON lines; only the text must exist.
    text_column: str = "text"
    id_column: str = "id"
    url_column: str = "url"
    date_column: str = "date"
    license_column: str = "license"
    title_column: str = "title"
    language_column: str = "language"
    dump_column: str = "dump"
    # Further columns that the documents carry into the corpus, with their types (structs, lists, times, decimals), or
    # all. One that is named like a column of the corpus is there as input_NAME.
    keep_columns: tuple[str, ...] = ()
    sources: tuple[SourceInput, ...] = ()  # of the list `sources`, in place of `paths`

    name: ClassVar[str] = "ingest"
    version: ClassVar[int] = 14
    borrowed: ClassVar = {"sources": ("sources",)}
    writes: ClassVar[tuple[str, ...]] = WRITES
    # Where the input lies and how it is fetched and cut; what matters of them is in each part's own identity.
    outside_identity: ClassVar[tuple[str, ...]] = (
        "paths", "paths_base", "part_bytes", "retries", "retry_s", "max_rejected",
    )  # fmt: skip
    rules: ClassVar[tuple[str, ...]] = (
        "not_a_response", "revisit", "bad_status", "not_html", "head_too_large", "empty_body", "undecodable", "no_text",
        "too_large", "too_nested", "timed_out", "parser_crashed", "broken_record", "truncated", "broken_line",
        "empty_file", "not_an_archive", "unknown_compression", "not_a_parquet_file", "no_text_column",
        "part_full", "unreadable", "worker_killed", *SERVICE_RULES,
    )  # fmt: skip

    def __post_init__(self) -> None:
        check_names(self.sources)
        if self.sources and self.paths:
            raise ConfigError("input.paths and sources are both given; write those paths as one more source")
        for source in self.sources:
            try:
                self.of(source.name)
            except ConfigError as error:
                raise ConfigError(f"source {source.name}: {error}") from error
        fallbacks = (PLAIN, *(name for name in EXTRACTORS if name != self.extractor), REJECT)
        for field, value, known in (
            ("format", self.format, FORMATS),
            ("extractor", self.extractor, tuple(EXTRACTORS)),
            ("fallback", self.fallback, fallbacks),
            ("blocks", self.blocks, STYLES),
        ):
            if value not in known:
                raise ConfigError(f"input.{field} is {value!r}; it can be {', '.join(known)}")
        for field in ("body_bytes", "part_bytes", "part_text_bytes", "part_records", "retries", "page_s"):
            if getattr(self, field) <= 0:
                raise ConfigError(f"input.{field} is {getattr(self, field)}; it must be more than 0")

    def preflight(self) -> None:
        if "trafilatura" in (self.extractor, self.fallback) and find_spec("trafilatura") is None:
            raise ConfigError("input.extractor: trafilatura needs the extra: pip install 'gristmill[trafilatura]'")

    def values(self, known: Mapping[str, Sequence[str]]) -> Mapping[str, Sequence[str]]:
        kept = {} if self.keep_columns == ALL else {"column of input.keep_columns": self.keep_columns}
        return kept | ({"source": tuple(source.name for source in self.sources)} if self.sources else {})

    @property
    def publish(self) -> Reads:  # pyright: ignore[reportIncompatibleVariableOverride]
        return {"ingest": ("carried", "carried_types")} if self.keep_columns else {}

    def parts(self) -> list[Part]:
        retry = Retry(self.retries, self.retry_s)
        if not self.sources:
            return self._cut(parts_of(inputs_of(self.paths, self.paths_base, retry), self.part_bytes, retry), retry)
        found = inputs_by_source(self.sources, self.paths_base, retry)
        parts = (
            part
            for name, items in found.items()
            for part in self.of(name)._cut(parts_of(items, self.part_bytes, retry, name), retry)
        )
        return sorted(parts, key=lambda part: part.key)

    def _cut(self, parts: list[Part], retry: Retry) -> list[Part]:
        """Files that are an index of records cut by their records, where the first Parquet file is one."""
        tables = [part for part in parts if part.name.endswith(".parquet") and part.start == 0]
        if self.format not in ("auto", "warc") or not tables:
            return parts
        cut = {tables[0].name: parts_of_index(tables[0], self.text_column, self.part_bytes, retry)}
        if not cut[tables[0].name]:
            return parts
        cut |= {part.name: parts_of_index(part, self.text_column, self.part_bytes, retry) for part in tables[1:]}
        whole = [part for part in parts if not cut.get(part.name)]
        return sorted([*whole, *(part for found in cut.values() for part in found)], key=lambda part: part.key)

    def notes(self) -> list[str]:
        """What a person should know of what `parts` leaves out."""
        return [f"input.paths: files of the run folder {run} are left out" for run in run_folders_among(self.paths)]

    def preview(self, parts: Sequence[Part]) -> None:
        for source in self.sources:
            preview(self.of(source.name), [p for p in parts if p.source == source.name], f"source {source.name}")
        if not self.sources:
            preview(self, parts)
        if self.keep_columns and self.keep_columns != ALL:
            check_kept(self.keep_columns, self.format, parts)

    def review(self, counted: Sequence[Counted]) -> None:
        for source in self.sources:
            mine = [c for c in counted if c.part.source == source.name]
            key = f"max_rejected of source {source.name}"
            review(mine, self.of(source.name).max_rejected, f"source {source.name}", key)
        if not self.sources:
            review(counted, self.max_rejected)

    def remarks(self, counted: Sequence[Counted]) -> list[str]:
        return remarks(counted, self.part_text_bytes, self.part_records)

    def of(self, source: str) -> "Ingest":
        """The settings by which a source's files are read; "" where sources are not named."""
        own = next((s for s in self.sources if s.name == source), None)
        return self if own is None else replace(self, sources=(), **own.overrides)  # pyright: ignore

    def run(self, part: Part) -> tuple[pl.DataFrame, pl.DataFrame]:
        if part.source and self.sources:
            return self.of(part.source)._run(part, next(s.license for s in self.sources if s.name == part.source))
        return self._run(part, None)

    def _run(self, part: Part, license: str | None) -> tuple[pl.DataFrame, pl.DataFrame]:
        common = Common(self._dump_of(part.path), part.source or None, license, self.normalize, self.cut_furniture)
        rows = Rows(part.name, part.path, common, self.part_text_bytes, self.part_records)
        file = open_file(real(part.path), Retry(self.retries, self.retry_s))
        try:
            self._read(file, part, rows)
        except PartFull:
            rows.reject_rest(rows.last, max(part.end - rows.last, 0))
        finally:
            file.close()
        if rows.unreadable > UNREADABLE_N and rows.unreadable > UNREADABLE_FRAC * rows.records:
            raise DataError(
                f"{rows.unreadable:,} of {rows.records:,} records of {part.path} cannot be read, the first for "
                f"{rows.why}; that is a fault of the reader or of an extractor, not of the records: please report it"
            )
        return rows.frames()

    def _dump_of(self, path: str) -> str | None:
        return self.dump or (found.group() if (found := _DUMP.search(path)) else None)

    def _read(self, file: File, part: Part, rows: Rows) -> None:
        if file.size == 0:
            rows.reject("empty_file", 0, None, None, 0)
            return
        if MARK in part.key:
            self._read_captures(file, part, rows)
            return
        kind, codec, grammar = kind_of(file, part.name, self.format)
        if kind == "unknown_compression":
            if part.start == 0 < part.end:
                rows.reject("unknown_compression", 0, None, None, file.size)
        elif kind == "parquet":
            read_parquet(file, part.start, part.end, self._fields(), self.body_bytes, rows)
        elif kind == "jsonl":
            read_jsonl(file, codec, part.start, part.end, self._fields(), self.body_bytes, rows)
        elif grammar is None:
            if part.start == 0:
                rows.reject("not_an_archive", 0, None, None, file.size)
        else:
            self._read_archive(file, codec, grammar, part, rows)

    def _read_captures(self, file: File, part: Part, rows: Rows) -> None:
        """Records that an index names, each under the name and path of its archive, by their place in the index."""
        captures = captures_of(file, part.path)[part.start : part.end]
        base = self.paths_base if self.paths_base is not None else part.path.rpartition("/")[0]
        limits, retry = self._limits, Retry(self.retries, self.retry_s)
        for capture, path, found in read_captures(captures, base, self.body_bytes + HEAD_BYTES, retry):
            rows.read_from(capture.file, public(path), self._dump_of(capture.file))
            for record in found:
                self._book(record, limits, rows, capture.row)
            if not found:
                rows.reject("broken_record", capture.row, None, None, capture.length)

    @property
    def _limits(self) -> Limits:
        return Limits(
            self.body_bytes, self.mimes, self.extractor, self.fallback, self.page_s, self.blocks, self.service_pages
        )

    def _fields(self) -> Fields:
        return Fields(
            self.text_column, self.id_column, self.url_column, self.date_column, self.license_column, self.title_column,
            self.language_column, self.dump_column, self.keep_columns,
        )  # fmt: skip

    def _read_archive(self, file: File, codec: Codec | None, grammar: Grammar, part: Part, rows: Rows) -> None:
        limits = self._limits
        block_bytes = self.body_bytes + HEAD_BYTES  # the HTTP head comes before the body
        for record in records(file, codec, grammar, part.start, part.end, block_bytes):
            self._book(record, limits, rows)

    def _book(self, record: Record, limits: Limits, rows: Rows, row: int | None = None) -> None:
        """`row`: the record's place among those of an index, of which several may have one offset."""
        record_id = text_of(record.fields.get(b"warc-record-id"))
        place = record.offset + record.inner if row is None else row
        if record.rule:
            rows.reject(record.rule, place, record_id, url_of(record), record.size)
            return
        key = f"{record.offset}+{record.inner}" if row is None else f"row {row}"
        died = watch.deaths(key)
        watch.begin_record(key, self.record_s)
        try:
            if died >= RECORD_DEATHS:
                raise Rejected("worker_killed", record.size)
            if rows.full and may_be_document(record):
                raise Rejected(FULL, record.size)
            careful = replace(limits, beside=True) if died else limits
            rows.add(document_of(record, careful), record.offset, record.inner, record_id)
        except Rejected as rejected:
            rows.reject(rejected.rule, place, record_id, url_of(record), rejected.size)
        except (PartFull, GristmillError):
            raise
        except Exception as error:  # the record's boundary: no record costs its neighbours
            rows.reject_unreadable(error, place, record_id, url_of(record), record.size)
        finally:
            watch.end_record()


__all__ = ["Ingest"]
