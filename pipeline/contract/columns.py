"""The column dictionary: every column that a stage may write, with its Arrow type, unit, meaning and source.

FineWeb's names first, then ours. A column that is not here cannot be stored.
"""

from collections.abc import Iterable
from dataclasses import dataclass

import pyarrow as pa

from gristmill.pipeline.contract.errors import DataError


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
    Column("id", pa.string(), "", "the input's own id: WARC-Record-ID, or what input.id_column names", "FineWeb"),
    Column("source", pa.string(), "", "name of the source; null where the config does not name sources"),
    Column("carried", pa.string(), "JSON", "the input's columns that input.keep_columns names; null: none are kept"),
    Column("carried_types", pa.string(), "JSON", "the types that they had there (pipeline/contract/carried/)"),
    Column("file_path", pa.string(), "", "input file, as the config names it", "FineWeb"),
    Column("record_bytes", pa.int64(), "bytes", "size of the record's body before extraction (at least the text's)"),
    Column("text_bytes", pa.int64(), "bytes", "size of text in UTF-8"),
    Column("text_hash", pa.string(), "", "blake2b-128 (hex) of the text"),
    Column("token_count", pa.int64(), "tokens", "length under the run's tokenizer", "FineWeb"),
    Column("rule", pa.string(), "", "the first rule that a gate found broken; null keeps"),
    Column("copies_n", pa.int64(), "copies", "how often the corpus holds the document"),
    Column("splits_n", pa.list_(pa.int64()), "copies", "copies_n by split: training or its phases, then validation"),
    Column("epoch", pa.int64(), "", "which copy of the document a row of the corpus is, from 0"),
]

# Evidence and provenance that ingest harvests while the HTML tree is at hand.
_LINK = pa.struct([("href", pa.string()), ("kind", pa.string()), ("place", pa.string()), ("text", pa.string())])

_INGEST: list[Column] = [
    Column("title", pa.string(), "", "page title; null where there is none"),
    Column("author", pa.string(), "", "who wrote the page, by its metadata; asked of pages that name a licence"),
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
    Column(
        "normalized_chars_n", pa.int64(), "characters", "characters that input.normalize changed or took out", "NFC"
    ),
    Column("cut_furniture_lines_n", pa.int64(), "lines", "lines that input.cut_furniture cut out of the page's text"),
    Column("cut_furniture_bytes", pa.int64(), "bytes", "what the text lost with them, line ends and [edit] too"),
    Column("rights_text", pa.string(), "", "lines of the whole page that speak of copyright or licence, <= 1000 chars"),
    Column(
        "opt_out_signals", pa.list_(pa.string()), "", "machine-readable reservations, e.g. meta-robots:noai", "TDMRep"
    ),
]

_LANGUAGE: list[Column] = [
    Column(
        "language", pa.string(), "", "ISO 639-1 code where there is one, else 639-3; null where undetermined", "FineWeb"
    ),
    Column("language_score", pa.float32(), "probability", "of language, as the model gives it", "FineWeb"),
    Column("language_script", pa.string(), "", "script of most letters; null where there are none", "ISO 15924"),
    Column("language_top", pa.list_(pa.string()), "", "up to three likeliest codes, best first; zxx: no language"),
]

_LICENSE: list[Column] = [
    Column("license", pa.string(), "", "SPDX id or expression the text is under; null where nothing says", "SPDX"),
    Column(
        "license_tier",
        pa.string(),
        "",
        "permissive (MixtureVitae 1), site (2a), government (3), copyleft, restricted, contested, reserved, unknown",
        "MixtureVitae (arXiv:2509.25531)",
    ),
    Column("license_evidence", pa.string(), "", "rule that decided and the words it matched, <= 200 chars"),
    Column("license_confidence", pa.float32(), "[0, 1]", "how sure that the statement is about the text; 0 if unknown"),
    Column("opt_out", pa.bool_(), "", "the page or its site reserves the text from training", "TDMRep, noai"),
    Column("opt_out_reasons", pa.list_(pa.string()), "", "the kinds of reservation that count by license.reservations"),
    Column(
        "reservation_signals",
        pa.list_(pa.string()),
        "",
        "opt_out_signals, and those of the site's robots.txt, as robots.txt:gptbot",
        "RFC 9309, AIPREF, RSL 1.0",
    ),
    Column("blocked_by", pa.string(), "", "the list of license.block_lists that names the URL; null: none"),
]

_CLEAN: list[Column] = [
    Column("lines_judged_n", pa.int64(), "lines", "lines (or sentences) that cleaning looked at; 0: not cleaned"),
    Column("cut_long_word_lines_n", pa.int64(), "lines", "cut for a word that is too long", "C4's code"),
    Column("cut_unended_lines_n", pa.int64(), "lines", "then cut for no end mark", "C4"),
    Column("cut_short_lines_n", pa.int64(), "lines", "then cut for too few words", "C4"),
    Column("cut_javascript_lines_n", pa.int64(), "lines", "then cut for 'javascript'", "C4"),
    Column(
        "cut_policy_lines_n", pa.int64(), "lines", "then cut for cookies, privacy policy, terms of use", "C4's code"
    ),
    Column("cut_citation_lines_n", pa.int64(), "lines", "lines that stay, without their citation marks", "C4's code"),
    Column("cut_long_word_bytes", pa.int64(), "bytes", "of the lines cut for a long word", "C4's code"),
    Column("cut_unended_bytes", pa.int64(), "bytes", "of the lines cut for no end mark", "C4"),
    Column("cut_short_bytes", pa.int64(), "bytes", "of the lines cut for too few words", "C4"),
    Column("cut_javascript_bytes", pa.int64(), "bytes", "of the lines cut for 'javascript'", "C4"),
    Column("cut_policy_bytes", pa.int64(), "bytes", "of the lines cut for cookies, privacy policy, terms", "C4's code"),
    Column("cut_citation_bytes", pa.int64(), "bytes", "of citation marks taken off lines that stay", "C4's code"),
    Column("cut_space_bytes", pa.int64(), "bytes", "of spaces, blank lines and line ends that went with the rest"),
    Column("repeated_lines", pa.list_(pa.uint64()), "", "keys of its lines that stand in too many documents"),
    Column("cut_repeated_lines_n", pa.int64(), "lines", "such lines, cut by clean.repeated_lines"),
    Column("cut_repeated_bytes", pa.int64(), "bytes", "bytes of text that went with them"),
]

_SAFETY: list[Column] = [
    Column(
        "unsafe_words_n", pa.int64(), "phrases", "of safety.words' list for the language; null: it has none", "LDNOOBW"
    ),
    Column(
        "unsafe_words_frac",
        pa.float32(),
        "",
        "those in the first safety.window_chars / words of four letters and more there",
        "MixtureVitae",
    ),
    Column("url_list", pa.string(), "", "the list of safety.url_lists that names the page's URL; null: none"),
    Column("toxicity_prob", pa.float32(), "probability", "of safety.toxicity's label; null: no such model"),
    Column("adult_prob", pa.float32(), "probability", "of safety.adult's label; null: no such model"),
]

_SPAN = pa.struct([("kind", pa.string()), ("start", pa.int64()), ("end", pa.int64())])

_PII: list[Column] = [
    Column("pii_email_n", pa.int64(), "addresses", "e-mail addresses, replaced or kept as pii.email says"),
    Column("pii_phone_n", pa.int64(), "numbers", "telephone numbers", "libphonenumber"),
    Column("pii_ip_n", pa.int64(), "addresses", "public IPv4 and IPv6 addresses", "IANA"),
    Column("pii_iban_n", pa.int64(), "numbers", "bank accounts with right check digits", "ISO 13616"),
    Column("pii_card_n", pa.int64(), "numbers", "payment cards with right check digits", "ISO/IEC 7812"),
    Column("pii_national_id_n", pa.int64(), "numbers", "national ids, by check digits and words before them"),
    Column("pii_secret_n", pa.int64(), "secrets", "keys, tokens and passwords by the forms that issuers gave them"),
    Column("unsafe_chars_n", pa.int64(), "characters", "controls, bidi overrides and noncharacters taken out"),
    Column(
        "pii_spans", pa.list_(_SPAN), "bytes", "where each stood, in the text before replacing; null: pii.spans is off"
    ),
]

# Gopher: arXiv:2112.11446, A1.1. C4: arXiv:1910.10683, 2.2. FineWeb: arXiv:2406.17557, 3.6. RedPajama-V2: 2411.12372.
_SIGNALS: list[Column] = [
    Column("chars_n", pa.int64(), "code points", "length of text", "Gopher"),
    Column("words_n", pa.int64(), "words", "words that are not symbols alone; what a word is: signals.words", "Gopher"),
    Column("segments_n", pa.int64(), "words", "words and marks: all that signals.words takes for a word", "Gopher"),
    Column(
        "sentences_n",
        pa.int64(),
        "sentences",
        "at least one per line, one more after each lone full stop or the like",
        "RedPajama-V2",
    ),
    Column("lines_n", pa.int64(), "lines", "lines that are not blank", "Gopher"),
    Column("paragraphs_n", pa.int64(), "paragraphs", "parts between runs of two or more newlines", "Gopher"),
    Column("curly_braces_n", pa.int64(), "characters", "opening curly braces", "C4"),
    Column("lorem_ipsums_n", pa.int64(), "phrases", "'lorem ipsum', in any case", "C4"),
    Column("c4_lines_n", pa.int64(), "lines", "lines that C4's line rules keep", "C4"),
    Column("c4_sentences_n", pa.int64(), "sentences", "sentences in the lines that C4 keeps", "C4"),
    Column(
        "c4_long_word_lines_n",
        pa.int64(),
        "lines",
        "lines with a word over 1000 characters: dropped first",
        "C4's code",
    ),
    Column(
        "c4_unended_lines_n",
        pa.int64(),
        "lines",
        "then lines that do not end in . ! ? or a quotation mark, or end in ...",
        "C4",
    ),
    Column("c4_short_lines_n", pa.int64(), "lines", "then lines of fewer than 3 words", "C4"),
    Column("c4_lorem_lines_n", pa.int64(), "lines", "then lines with 'lorem ipsum' (the page goes)", "C4"),
    Column("c4_javascript_lines_n", pa.int64(), "lines", "then lines with 'javascript'", "C4"),
    Column("c4_curly_lines_n", pa.int64(), "lines", "then lines with a curly brace (the page goes)", "C4"),
    Column(
        "c4_policy_lines_n", pa.int64(), "lines", "then lines on cookies, privacy policy or terms of use", "C4's code"
    ),
    Column("mean_word_len", pa.float32(), "code points", "mean length of the words", "Gopher"),
    Column("unique_words_frac", pa.float32(), "", "different words (without case and symbols) / words", "RedPajama-V2"),
    Column(
        "alpha_words_frac",
        pa.float32(),
        "",
        "words with an alphabetic character / words, marks too; what a word is: signals.words",
        "Gopher",
    ),
    Column("caps_words_frac", pa.float32(), "", "segments in capitals / segments", "RedPajama-V2"),
    Column("hash_ratio", pa.float32(), "per word", "hash signs / segments", "Gopher"),
    Column("ellipsis_ratio", pa.float32(), "per word", "ellipses (... or one character) / segments", "Gopher"),
    Column("newline_ratio", pa.float32(), "per word", "newlines / segments", "FineWeb"),
    Column("alpha_chars_frac", pa.float32(), "", "alphabetic characters / characters", "RedPajama-V2"),
    Column("upper_chars_frac", pa.float32(), "", "upper-case characters / characters", "RedPajama-V2"),
    Column("numeric_chars_frac", pa.float32(), "", "numeric characters / characters", "RedPajama-V2"),
    Column(
        "bullet_lines_frac", pa.float32(), "", "lines that start with • or a hyphen / lines, blank ones too", "Gopher"
    ),
    Column(
        "bullet_point_lines_frac",
        pa.float32(),
        "",
        "lines that start with one of ten bullet points / lines that are not blank",
        "RedPajama-V2",
    ),
    Column("ellipsis_lines_frac", pa.float32(), "", "lines that end in an ellipsis / lines, blank ones too", "Gopher"),
    Column(
        "ended_lines_frac",
        pa.float32(),
        "",
        "lines whose last character is sentence-final punctuation of any script / lines that are not blank",
        "FineWeb",
    ),
    Column("short_lines_frac", pa.float32(), "", "lines of at most 30 characters", "FineWeb"),
    Column("dup_lines_frac", pa.float32(), "", "lines seen before / lines that are not empty", "Gopher"),
    Column("dup_line_chars_frac", pa.float32(), "", "characters of lines seen before / characters", "Gopher"),
    Column("dup_paragraphs_frac", pa.float32(), "", "paragraphs seen before / paragraphs", "Gopher"),
    Column("dup_paragraph_chars_frac", pa.float32(), "", "characters of paragraphs seen before / characters", "Gopher"),
    Column(
        "top_2gram_chars_frac", pa.float32(), "", "characters in the commonest 2-gram, all times / characters", "Gopher"
    ),
    Column(
        "top_3gram_chars_frac", pa.float32(), "", "characters in the commonest 3-gram, all times / characters", "Gopher"
    ),
    Column(
        "top_4gram_chars_frac", pa.float32(), "", "characters in the commonest 4-gram, all times / characters", "Gopher"
    ),
    Column(
        "dup_5gram_chars_frac",
        pa.float32(),
        "",
        "characters of 5-grams seen before, not overlapping / characters",
        "Gopher",
    ),
    Column(
        "dup_6gram_chars_frac",
        pa.float32(),
        "",
        "characters of 6-grams seen before, not overlapping / characters",
        "Gopher",
    ),
    Column(
        "dup_7gram_chars_frac",
        pa.float32(),
        "",
        "characters of 7-grams seen before, not overlapping / characters",
        "Gopher",
    ),
    Column(
        "dup_8gram_chars_frac",
        pa.float32(),
        "",
        "characters of 8-grams seen before, not overlapping / characters",
        "Gopher",
    ),
    Column(
        "dup_9gram_chars_frac",
        pa.float32(),
        "",
        "characters of 9-grams seen before, not overlapping / characters",
        "Gopher",
    ),
    Column(
        "dup_10gram_chars_frac",
        pa.float32(),
        "",
        "characters of 10-grams seen before, not overlapping / characters",
        "Gopher",
    ),
    Column("c4_kept_chars_frac", pa.float32(), "", "characters in the lines that C4 keeps / characters", "C4"),
    Column("symbol_ratio", pa.float32(), "per word", "hash signs and ellipses / segments", "RedPajama-V2"),
    Column(
        "dup_line_body_frac",
        pa.float32(),
        "",
        "characters of lines seen before, but for blank ones / characters that are not newlines",
        "FineWeb",
    ),
    Column(
        "word_entropy",
        pa.float32(),
        "nats",
        "entropy of the distribution of words (without case and symbols)",
        "RedPajama-V2",
    ),
    Column(
        "stop_words_n",
        pa.int64(),
        "words",
        "different stop words of the document's language, in lower case; null where it has no list",
        "Gopher",
    ),
    Column(
        "stop_words_frac",
        pa.float32(),
        "",
        "occurrences of stop words, in any case / words; null where the language has no list",
        "RedPajama-V2",
    ),
    Column("javascripts_n", pa.int64(), "phrases", "'javascript' in any case, in any line", "RedPajama-V2"),
    Column(
        "math_n",
        pa.int64(),
        "formulas",
        "formulas in TeX: between $, $$, \\( \\), \\[ \\] or in an environment for display",
    ),
    Column(
        "code_lines_n", pa.int64(), "lines", "lines that end or begin as only code does: braces, semicolons, keywords"
    ),
    Column("table_rows_n", pa.int64(), "lines", "lines with cells: parted by tabs, or between pipes"),
    Column(
        "bad_words_n",
        pa.int64(),
        "phrases",
        "words of signals.bad_words' list for the language, overlapping ones once; null where there is none",
        "C4, RedPajama-V2",
    ),
]

_DEDUP: list[Column] = [
    Column("is_reference", pa.bool_(), "", "a document of the kind we want, by dedup.references' rule"),
    Column("is_held_out", pa.bool_(), "", "a reference that is kept for the objective and never trained on"),
    Column("url_duplicate_of", pa.string(), "", "doc_id of the document that stays for this address; null: this one"),
    Column("url_similarity", pa.float64(), "[0, 1]", "1: it has the same text as url_duplicate_of; null: another one"),
    Column("url_copies_n", pa.int64(), "documents", "captures of this address, this one included"),
    Column("url_dumps", pa.string(), "", "dumps of all captures, a line each, at the one that stays; null: no other"),
    Column("exact_duplicate_of", pa.string(), "", "doc_id of the document that stays for this text; null: this one"),
    Column("exact_hosts", pa.string(), "", "hosts of all documents with this text, a line each; null: no other has it"),
    Column("exact_dumps", pa.string(), "", "dumps of all documents with this text, a line each; null: no other has it"),
    Column("exact_duplicate_older", pa.bool_(), "", "exact_duplicate_of is of an older run of dedup.index"),
    Column("exact_copies_n", pa.int64(), "documents", "documents with this text, this one included"),
    Column(
        "minhash", pa.binary(), "", "MinHash: a 64-bit key per band, a byte per value; null without words", "FineWeb"
    ),
    Column(
        "minhash_component", pa.uint64(), "", "equal for documents that chains of shared bands join; null: no chain"
    ),
    Column(
        "minhash_known",
        pa.string(),
        "",
        "what stayed of the component in older runs of dedup.index, at its first document; null: at none, or nothing",
    ),
    Column("near_duplicate_of", pa.string(), "", "doc_id of the document that stays for this cluster; null: this one"),
    Column(
        "near_similarity", pa.float64(), "[0, 1]", "estimated Jaccard similarity to near_duplicate_of; null: this one"
    ),
    Column(
        "dup_hosts_n",
        pa.int64(),
        "hosts",
        "hosts of its near-duplicate cluster, exact copies too; null: it is alone, or no survivor",
    ),
    Column("dup_hosts", pa.list_(pa.string()), "", "those hosts, at most 100, by name"),
    Column("dup_dumps", pa.list_(pa.string()), "", "dumps of its cluster, exact copies too, by name"),
    Column("near_duplicate_older", pa.bool_(), "", "near_duplicate_of is of an older run of dedup.index"),
    Column(
        "minhash_cluster_size",
        pa.int64(),
        "documents",
        "documents in this near-duplicate cluster, exact copies too",
        "FineWeb2",
    ),
]

# MixtureVitae: arXiv:2509.25531, appendix on contamination.
_CONTAMINATION: list[Column] = [
    Column("objective_target", pa.string(), "", "the objective text's target that the document shares most with"),
    Column("objective_hits_n", pa.int64(), "n-grams", "different rare n-grams of one objective text in the document"),
    Column("objective_item_frac", pa.float32(), "", "n-grams of that objective text that are in the document / all"),
    Column("objective_doc_frac", pa.float32(), "", "those hits / n-grams of the document"),
    Column("objective_text", pa.string(), "", "longest stretch that both share, <= 300 chars"),
    Column("benchmark", pa.string(), "", "benchmark of the item that the document holds most of; null: none"),
    Column("benchmark_item", pa.string(), "", "that item: its id, or its file and line"),
    Column("benchmark_field", pa.string(), "", "what of the item: question, answer or passage"),
    Column("benchmark_hits_n", pa.int64(), "n-grams", "different rare n-grams of it in the document", "MixtureVitae"),
    Column("benchmark_item_frac", pa.float32(), "", "n-grams of the item that are in the document / all"),
    Column("benchmark_doc_frac", pa.float32(), "", "those hits / n-grams of the document", "MixtureVitae"),
    Column("benchmark_text", pa.string(), "", "longest stretch that both share, <= 300 chars"),
    Column("benchmark_items", pa.list_(pa.string()), "", "every item that the document holds enough of, at most 100"),
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
    Column("limit_broken", pa.string(), "", "the first of gates.limits that the document breaks; null: none"),
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
        "place by merged quality: 0 is the best document of the bucket, 1 the worst (by tokens)",
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

DICTIONARY: tuple[Column, ...] = tuple(
    _DOCUMENT
    + _INGEST
    + _LANGUAGE
    + _LICENSE
    + _CLEAN
    + _SAFETY
    + _PII
    + _SIGNALS
    + _DEDUP
    + _CONTAMINATION
    + _QUALITY
    + _MIXTURE
)

COLUMNS: dict[str, Column] = {c.name: c for c in DICTIONARY}  # and what stages of a user's own register

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
    raise DataError(f"column {name!r} is not in the column dictionary (pipeline/contract/columns.py); declare it there")


def register(columns: Iterable[Column]) -> None:
    """Adds a stage's own columns (its `columns`). Raises DataError when a name is taken by another definition."""
    for new in columns:
        if COLUMNS.setdefault(new.name, new) != new:
            raise DataError(f"column {new.name!r} is already declared as {COLUMNS[new.name]}; choose another name")


def arrow_schema(names: Iterable[str]) -> pa.Schema:
    return pa.schema([(name, column(name).type) for name in names])
