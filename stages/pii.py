"""Replaces personal data and secrets in the text by typed placeholders, and takes out characters that break tools.

What is found: e-mail addresses, telephone numbers, public IP addresses, IBANs, payment cards, national ids, keys and
tokens (`classifiers.pii`). Each kind is replaced, kept (and counted), or drops the document. Ingest's text stays on
disk; every later step reads this one (`replaces`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from hashlib import blake2b
from typing import ClassVar, Literal

import numpy as np
import polars as pl
import pyarrow as pa

from gristmill.classifiers.pii.find import KINDS, find_personal
from gristmill.pipeline.contract.drawing.told import Finished, Told
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.shapes import Annotator, Artifacts, Gate, Reads
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.personal import put_together, unsafe_or_line_ends

Action = Literal["replace", "keep", "drop"]
# Taken out: C0 and C1 controls but tab and line ends, NUL among them, DEL, the embeddings, overrides and isolates of
# the bidirectional algorithm (Trojan Source, CVE-2021-42574), interlinear annotation marks, noncharacters, and tags
# outside of flags. Marks that spelling needs (joiners, LRM, RLM, ALM, variation selectors) stay.
UNSAFE = (
    r"[\x00-\x08\x0E-\x1F\x7F-\x84\x86-\x9F\u202A-\u202E\u2066-\u2069\uFFF9-\uFFFB\uFFFE\uFFFF\uFDD0-\uFDEF"
    r"\U000E0000\U000E0001]"
)
LINE_ENDS = r"\r\n|[\r\x0B\x0C\x85]"  # each becomes one line feed


@dataclass(frozen=True)
class Pii(Annotator):
    """Finds personal data, secrets and unsafe characters, and replaces what is to be replaced."""

    enabled: bool = False  # whether the run has this step at all
    # replace, keep (counted all the same) or drop (the document)
    email: Action = "replace"
    phone: Action = "replace"
    ip: Action = "replace"  # public addresses only
    iban: Action = "replace"
    card: Action = "replace"
    national_id: Action = "replace"
    secret: Action = "replace"  # keys, tokens, passwords in addresses
    placeholder: str = "<{KIND}>"  # {KIND}: EMAIL, PHONE, IP, IBAN, CARD, NATIONAL_ID, SECRET; {kind}: in small letters
    unsafe_characters: Literal["remove", "keep"] = "remove"  # controls, bidi overrides, NUL; line ends become \n
    spans: bool = False  # whether pii_spans says where each was found

    name: ClassVar[str] = "pii"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"ingest": ("text", "text_hash", "url"), "language": ("language",)}
    replaces: ClassVar[Reads] = {"ingest": ("text", "text_bytes", "text_hash")}
    writes: ClassVar[tuple[str, ...]] = (
        "text", "text_bytes", "text_hash", *(f"pii_{kind}_n" for kind in KINDS), "unsafe_chars_n", "pii_spans",
    )  # fmt: skip
    needs: ClassVar[tuple[str, ...]] = ()
    rows: ClassVar[Literal["all"]] = "all"  # the ledger counts tokens of this text, of dropped documents too

    def __post_init__(self) -> None:
        try:
            self.placeholder.format(KIND="", kind="")
        except (KeyError, IndexError, ValueError) as error:
            raise ConfigError(f"pii.placeholder: {self.placeholder!r} may hold {{KIND}} or {{kind}} only") from error

    def tell(self, run: Finished) -> Told:
        done = {
            action: [kind for kind in KINDS if getattr(self, kind) == action] for action in ("replace", "drop", "keep")
        }
        words = {
            "replace": f"replaced by a mark such as {self.placeholder}",
            "drop": "the document is dropped",
            "keep": "kept",
        }
        said = "; ".join(f"{', '.join(kinds)}: {words[action]}" for action, kinds in done.items() if kinds)
        text = f"Looked for by patterns and check digits, so not all of it is found. {said}. Names are left."
        return Told(card=("## Personal data", "", text.replace("<", "\\<"), ""))

    def open(self, artifacts: Artifacts) -> Callable[[pl.DataFrame], pl.DataFrame]:
        replaced = np.array([getattr(self, kind) == "replace" for kind in KINDS])
        marks = [self.placeholder.format(KIND=kind.upper(), kind=kind).encode() for kind in KINDS]
        mark_bytes = np.frombuffer(b"".join(marks) or b"\0", np.uint8)
        mark_offsets = np.concatenate([[0], np.cumsum([len(m) for m in marks])]).astype(np.int64)

        def annotate(batch: pl.DataFrame) -> pl.DataFrame:
            texts, unsafe = batch["text"].fill_null(""), pl.Series("unsafe_chars_n", np.zeros(batch.height, np.int64))
            if self.unsafe_characters == "remove":
                texts, unsafe = without_unsafe(texts)
            found = find_personal(texts, batch["language"], batch["url"])
            spans = found.spans[replaced[found.spans[:, 3]]]
            text = texts
            if spans.size:
                out, bounds = put_together(found.data, found.offsets, spans, mark_bytes, mark_offsets)
                made = pa.LargeStringArray.from_buffers(batch.height, pa.py_buffer(bounds), pa.py_buffer(out))
                text = pl.Series("text", made, dtype=pl.String)
            counts = np.zeros((batch.height, len(KINDS)), np.int64)
            np.add.at(counts, (found.spans[:, 0], found.spans[:, 3]), 1)
            return batch.select("doc_id").with_columns(
                text.alias("text"),
                text.str.len_bytes().cast(pl.Int64).alias("text_bytes"),
                _hashes(batch, text),
                *(pl.Series(f"pii_{kind}_n", counts[:, i]) for i, kind in enumerate(KINDS)),
                unsafe.alias("unsafe_chars_n"),
                self._spans(found.spans, found.offsets, batch.height),
            )

        return annotate

    def _spans(self, spans: np.ndarray, offsets: np.ndarray, rows: int) -> pl.Series:
        places: list[list[dict] | None] = [[] if self.spans else None for _ in range(rows)]
        for text, start, end, kind in spans.tolist() if self.spans else ():
            first = int(offsets[text])
            row = places[text]
            assert row is not None
            row.append({"kind": KINDS[kind], "start": start - first, "end": end - first})
        return pl.Series("pii_spans", places, dtype=SPANS)


def _hashes(batch: pl.DataFrame, text: pl.Series) -> pl.Series:
    """text_hash of the new texts; where a text is as it was, so is its hash."""
    rows = ((text != batch["text"]).fill_null(True) | batch["text_hash"].is_null()).arg_true()
    if not rows.len():
        return batch["text_hash"]
    made = [blake2b(t.encode(), digest_size=16).hexdigest() for t in text.gather(rows)]
    return batch["text_hash"].clone().scatter(rows, made)


SPANS = pl.List(pl.Struct({"kind": pl.String, "start": pl.Int64, "end": pl.Int64}))


def without_unsafe(texts: pl.Series) -> tuple[pl.Series, pl.Series]:
    """The texts without UNSAFE and with one kind of line end, and how many characters that took or changed."""
    rows = np.flatnonzero(unsafe_or_line_ends(*utf8(texts)))
    counts = np.zeros(texts.len(), np.int64)
    if not rows.size:
        return texts, pl.Series("unsafe_chars_n", counts)
    some = texts.gather(rows)
    counts[rows] = some.str.count_matches(UNSAFE).to_numpy() + some.str.count_matches(r"[\x0B\x0C\x85]").to_numpy()
    safe = some.str.replace_all(UNSAFE, "").str.replace_all(LINE_ENDS, "\n")
    return texts.clone().scatter(rows, safe), pl.Series("unsafe_chars_n", counts)


@dataclass(frozen=True)
class PiiGate(Gate):
    """Drops documents that hold a kind of personal data whose action is `drop`."""

    # As in the annotator.
    enabled: bool = False
    email: Action = "replace"
    phone: Action = "replace"
    ip: Action = "replace"
    iban: Action = "replace"
    card: Action = "replace"
    national_id: Action = "replace"
    secret: Action = "replace"

    name: ClassVar[str] = "pii.gate"
    version: ClassVar[int] = 1
    reads: ClassVar[Reads] = {"pii": tuple(f"pii_{kind}_n" for kind in KINDS)}
    rules: ClassVar[tuple[str, ...]] = tuple(f"has_{kind}" for kind in KINDS)

    def table(self) -> dict[str, pl.Expr]:
        dropping = [kind for kind in KINDS if getattr(self, kind) == "drop"]
        return {f"has_{kind}": pl.col(f"pii_{kind}_n") > 0 for kind in dropping}

    def is_idle(self) -> bool:
        return not self.table()
