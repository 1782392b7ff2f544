"""Fates beside rows of the corpus, counted in bounded memory: right runs pass, every kind of fault names a document."""

import os
from collections import Counter
from pathlib import Path

import polars as pl
import pytest

from gristmill.pipeline.books import copies
from gristmill.pipeline.books.copies import Counted, count, doc_id_of

SPLITS = ("warmup", "again", "validation")
FATES = {"a": 2, "b": 1, "c": 0, "d": None, "e": 1}
ROWS = [("warmup", ["a", "b"]), ("again", ["a"]), ("validation", ["e"])]


def counted(folder: Path, fates: dict, rows: list, more: tuple = ()) -> Counted:
    frames = [pl.DataFrame({"doc_id": [i], "copies_n": [n]}, schema={"doc_id": pl.String, "copies_n": pl.Int64})
              for i, n in [*fates.items(), *more]]  # fmt: skip
    return count(frames, ((s, pl.DataFrame({"doc_id": ids})) for s, ids in rows), SPLITS, {"again"}, folder)


def named(key) -> str:
    return doc_id_of(key, [pl.Series([*FATES, "x", None])])


def test_what_holds_is_counted(tmp_path):
    found = counted(tmp_path, FATES, ROWS)
    assert (found.documents, found.written, found.twice) == (5, 3, 0)
    assert found.rows == {"warmup": 2, "again": 1, "validation": 1} == found.docs
    assert (found.of_two_fates, found.of_other_rows, found.of_two_splits) == (None, None, None)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(
    ("fates", "rows", "document", "said"),
    [
        ({}, [("warmup", ["b"])], "b", (2, 1)),  # a row too many
        ({}, [("warmup", ["x"])], "x", (1, 0)),  # of no document of this run
        ({"d": 3}, [], "d", (0, 3)),  # one that is not there
    ],
)
def test_rows_that_are_not_the_copies_name_the_document(tmp_path, fates, rows, document, said):
    found = counted(tmp_path, {**FATES, **fates}, [*ROWS, *rows])
    assert found.of_other_rows
    key, *numbers = found.of_other_rows
    assert (named(key), tuple(numbers)) == (document, said)


def test_two_fates_name_the_document(tmp_path):
    found = counted(tmp_path, FATES, ROWS, more=(("c", 0),))
    assert (found.documents, found.twice) == (5, 1)
    assert found.of_two_fates
    assert named(found.of_two_fates) == "c"


def test_validation_shares_with_no_phase_and_phases_share_where_one_may_reuse(tmp_path):
    both = counted(tmp_path, {**FATES, "b": 2}, [*ROWS, ("validation", ["b"])])
    assert both.of_two_splits
    assert (named(both.of_two_splits[0]), *both.of_two_splits[1:]) == ("b", "warmup", "validation")
    reused = counted(tmp_path, {**FATES, "e": 2}, [*ROWS, ("again", ["e"])])
    assert reused.of_two_splits
    assert named(reused.of_two_splits[0]) == "e"


def test_spilling_changes_nothing(tmp_path, monkeypatch):
    """Against plain dicts, with a fault in the middle."""
    fates = {f"d{i}": i % 3 for i in range(5000)}
    rows = [("warmup", [f"d{i}" for i in range(5000) for _ in range(i % 3) if i != 77])]
    monkeypatch.setattr(copies, "HELD_BYTES", 20_000)
    frame = pl.DataFrame({"doc_id": list(fates), "copies_n": list(fates.values())})
    pieces = [(s, pl.DataFrame({"doc_id": ids[i : i + 700]})) for s, ids in rows for i in range(0, len(ids), 700)]
    found = count(frame.iter_slices(500), pieces, SPLITS, (), tmp_path)
    plain = Counter(i for _, ids in rows for i in ids)
    assert found.documents == len(fates)
    assert found.written == len(plain)
    assert found.rows["warmup"] == plain.total()
    assert found.docs["warmup"] == len(plain)
    assert found.of_other_rows
    key, written, wanted = found.of_other_rows
    assert (doc_id_of(key, [frame["doc_id"]]), written, wanted) == ("d77", 0, 77 % 3)


def test_a_folder_that_may_only_be_read_is_counted_elsewhere(tmp_path, monkeypatch):
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    assert counted(tmp_path / "absent", FATES, ROWS).documents == 5
