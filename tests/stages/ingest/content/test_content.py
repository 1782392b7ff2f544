"""Texts as ingest writes them: characters normalised by the table, page furniture cut, both counted and optional."""

import json
import unicodedata
from pathlib import Path

import numpy as np
import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.pipeline.kernels.page.normal import may_change
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.content.characters import normalised
from gristmill.stages.ingest.content.furniture import rules_of_lines, without_furniture
from gristmill.stages.ingest.content.phrases import RULES
from gristmill.stages.ingest.content.service import SHORT_CHARS, service_of
from gristmill.stages.ingest.page.parse import parsed

PROSE = "The harbour was closed for two days, and the boats that lay outside had to wait for the storm to pass."
PAGE = (
    f"<html><body><main><p>Skip to content</p><h2>History<span>[edit]</span></h2><p>{PROSE}</p><p>Advertisement</p>"
    f"<p>Share on Facebook Twitter</p><p>Prices\u00a0rise\u200b in cafe\u0301s. {PROSE}</p><p>{PROSE}</p></main>"
    "</body></html>"
)


def documents(folder: Path, body: str, **fields: object) -> pl.DataFrame:
    head = "HTTP/1.1 200 OK\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    block = (head + body).encode()
    record = (
        "WARC/1.0\r\nWARC-Type: response\r\nWARC-Record-ID: <urn:uuid:1>\r\nWARC-Target-URI: http://a.example/\r\n"
        f"Content-Type: application/http;msgtype=response\r\nContent-Length: {len(block)}\r\n\r\n"
    )
    (folder / "a.warc").write_bytes(record.encode() + block + b"\r\n\r\n")
    return _run(Ingest(paths=(str(folder / "a.warc"),), **fields))  # pyright: ignore


def _run(stage: Ingest) -> pl.DataFrame:
    return pl.concat([stage.run(part)[0] for part in stage.parts()])


def test_page_is_written_without_furniture_and_with_plain_characters(tmp_path):
    made = documents(tmp_path, PAGE).row(0, named=True)
    assert made["text"] == f"History\n\n{PROSE}\n\nPrices rise in cafés. {PROSE}\n\n{PROSE}"
    assert (made["normalized_chars_n"], made["cut_furniture_lines_n"]) == (3, 3)
    assert made["text_bytes"] == len(made["text"].encode())


def test_page_stays_as_extracted_where_both_are_off(tmp_path):
    made = documents(tmp_path, PAGE, normalize=False, cut_furniture=False).row(0, named=True)
    assert all(kept in made["text"] for kept in ("Skip to content", "\u00a0", "[edit]"))
    on = documents(tmp_path, PAGE, normalize=False).row(0, named=True)
    assert on["cut_furniture_bytes"] == made["text_bytes"] - on["text_bytes"]
    assert (made["normalized_chars_n"], made["cut_furniture_lines_n"], made["cut_furniture_bytes"]) == (0, 0, 0)


def test_json_lines_keep_lines_that_would_be_furniture_of_a_page(tmp_path):
    text = "Skip to content\nHome\nA\u00a0text."
    (tmp_path / "a.jsonl").write_text(json.dumps({"text": text}) + "\n")
    made = _run(Ingest(paths=(str(tmp_path / "a.jsonl"),)))
    assert made["text"].to_list() == ["Skip to content\nHome\nA text."]


def test_text_of_invisible_characters_alone_is_no_text(tmp_path):
    (tmp_path / "a.jsonl").write_text('{"text": "\\u200b\\ufeff"}\n{"text": "b"}\n')
    stage = Ingest(paths=(str(tmp_path / "a.jsonl"),))
    kept, rejected = stage.run(stage.parts()[0])
    assert (kept["text"].to_list(), rejected["rule"].to_list()) == (["b"], ["no_text"])


@pytest.mark.parametrize(
    ("before", "after", "n"),
    [
        ("plain", "plain", 0),
        ("a\u00a0b\u2009c\u202fd\u3000e", "a b c d e", 4),
        ("a\u2028b\u0085c\u2029d", "a\nb\nc\nd", 3),
        ("\ufeffso\u00adft\u2060", "soft", 3),
        ("e\u0301", "é", 1),
        ("\u212b", "Å", 1),
        ("ze\u200bro wi\u200ddth\u200c", "zero width", 3),
        ("می\u200cخواهم", "می\u200cخواهم", 0),  # Persian
        ("क्\u200dष", "क्\u200dष", 0),  # Hindi
        ("👩\u200d💻 ❤\ufe0f\u200d🔥", "👩\u200d💻 ❤\ufe0f\u200d🔥", 0),
        ("ไทย\u200bภาษา", "ไทย\u200bภาษา", 0),
        ("ﬁ ² ①", "ﬁ ² ①", 0),  # NFC, not NFKC
    ],
)
def test_characters_follow_the_table(before, after, n):
    assert normalised(before) == (after, n)


def test_every_code_point_is_normalised_to_nfc_and_stays_so():
    """Python's unicodedata is the library; its tables are Unicode's, so NFC of any form is NFC of the code point."""
    points = [chr(c) for c in range(0xA0, 0x110000) if not 0xD800 <= c < 0xE000]
    for at in range(0, len(points), 4096):
        text = " ".join(points[at : at + 4096])
        once = normalised(text)[0]
        assert unicodedata.is_normalized("NFC", once)
        assert normalised(once) == (once, 0)
        assert normalised(unicodedata.normalize("NFD", text))[0] == once


def test_code_points_that_are_said_to_stay_are_their_own_nfc_wherever_they_stand():
    """UAX #15: such a code point is its own NFC, has no combining class, and is the second of no composite."""
    changed = "\u0085\u00a0\u1680\u202f\u205f\u3000\u2028\u2029\ufeff\u2060\u00ad\u180e\u034f\u200b\u200c\u200d"
    assert all(may_change(c.encode()) for c in changed)
    points = [chr(c) for c in range(0x110000) if not 0xD800 <= c < 0xE000]
    canonical = [d.split() for c in points if (d := unicodedata.decomposition(c)) and not d.startswith("<")]
    seconds = {chr(int(parts[1], 16)) for parts in canonical if len(parts) == 2}
    stays = [c for c in points if not may_change(c.encode())]
    assert len(stays) > 15_000
    for c in stays:
        assert (unicodedata.normalize("NFC", c), unicodedata.combining(c), c in seconds) == (c, 0, False)


@given(st.text())
def test_normalised_text_does_not_change_again(text):
    once, _ = normalised(text)
    assert normalised(once) == (once, 0)


@pytest.mark.parametrize(
    ("line", "rule"),
    [
        ("Skip to main content", "skip_link"),
        ("» Zum Inhalt springen", "skip_link"),
        ("We use cookies. More.", "cookie"),
        ("This website uses cookies to improve your experience. Accept", "cookie"),
        ("Share on Facebook | Twitter | E-mail", "share"),
        ("READ NEXT", "related"),
        ("Related: Ten ways to cook an egg", "related"),
        ("Läs mer »", "related"),
        ("- Advertisement -", "advert"),
        ("Advertisement - story continues below", "advert"),
        ("(Image credit: Submitted by Ashley)", "credit"),
        ("Photo: Seth Wenig, AP", "credit"),
        ("Chuck Burton/AP", "credit"),
        ("Mostafa Alkharouf/Anadolu via Getty Images", "credit"),
        ("Photo: " + "The ships that lay in the harbour and could not leave it before the storm was over", None),
        ("The report was first published by the AP", None),
        ("The report was written by and/or for the AP, which has not answered any of our many letters", None),
        ("==========", None),  # below a heading
        ("---", None),
        ("toggle caption", "control"),
        ("Back to top ↑", "control"),
        ("Leave a Reply", "comment"),
        ("He had to read more.", None),
        ("Bake the cookies for ten minutes.", None),
        ("home.", None),
        ("Facebook", None),
        ("___", None),
        ("", None),
    ],
)
def test_line_breaks_the_rule_of_its_kind(line, rule):
    assert rules_of_lines(f"{PROSE}\n{line}\n")[1] == rule


def test_line_that_repeats_the_one_before_goes_unless_it_is_a_sentence_or_indented():
    text = "A photo of the harbour\n\nA photo of the harbour\nSo it is.\nSo it is.\nx = 1\n  x = 1"
    assert rules_of_lines(text) == [None, None, "repeated", None, None, None, None]


def test_line_below_a_heading_is_no_separator():
    assert rules_of_lines(f"Heading\n=======\n{PROSE}\n\n=======\n\n  =======") == [
        *[None] * 4,
        "separator",
        None,
        None,
    ]


def test_title_that_stands_again_is_written_once():
    heading = "The harbour is closed"
    body = f"<h1>{heading}</h1><p>{PROSE}</p><h2>{heading}</h2><p>{PROSE} {heading}</p>"
    page = f"<title>{heading} | Paper</title><article>{body}</article>"
    assert parsed(page, page.encode(), {}, "resiliparse").text == f"{heading}\n\n{PROSE}\n\n{PROSE} {heading}"


def test_text_of_furniture_alone_stays_and_blank_lines_are_closed_up():
    texts = pl.Series("text", ["Menu\nHome\n", f"{PROSE}\n\nMenu\n\n{PROSE}\n\nHome", ""])
    made, cut = without_furniture(texts, np.array([True, True, True]))
    assert made.to_list() == ["Menu\nHome\n", f"{PROSE}\n\n{PROSE}", ""]
    assert cut.sum(axis=1).tolist() == [0, 2, 0]
    assert cut.shape == (3, len(RULES))
    untouched, cut = without_furniture(texts, np.zeros(3, bool))
    assert untouched.to_list() == texts.to_list()
    assert not cut.any()


@settings(deadline=None)  # the first call compiles
@given(st.lists(st.lists(st.sampled_from(["Menu", PROSE, "", "  Home", "é", "Read next"]), max_size=8).map("\n".join)))
def test_furniture_is_cut_by_row_alone(texts):
    together, _ = without_furniture(pl.Series("text", texts, dtype=pl.String), np.ones(len(texts), bool))
    alone = [without_furniture(pl.Series("text", [text]), np.ones(1, bool))[0].item() for text in texts]
    assert together.to_list() == alone


@pytest.mark.parametrize(
    ("title", "rule"),
    [
        ("Log in | A shop", "login_page"),
        ("Konto - Passwort vergessen?", "account_page"),
        ("Shop: Warenkorb", "cart_page"),
        ("404 - Page Not Found", "not_found_page"),
        ("Before you continue to YouTube", "consent_page"),
        ("How to log in to a router", None),
        ("Login-Probleme im Herbst", None),
        ("", None),
        (None, None),
    ],
)
def test_short_page_with_the_title_of_a_service_is_one(title, rule):
    assert service_of(title, "E-mail Password") == rule
    assert service_of(title, "x" * (SHORT_CHARS + 1)) is None


def test_service_page_is_rejected_by_name_unless_it_is_wanted(tmp_path):
    page = f"<html><head><title>Sign in - A shop</title></head><body><main><p>{PROSE}</p></main></body></html>"
    assert documents(tmp_path, page, service_pages=True).height == 1
    stage = Ingest(paths=(str(tmp_path / "a.warc"),))
    kept, rejected = stage.run(stage.parts()[0])
    assert (kept.height, rejected["rule"].to_list()) == (0, ["login_page"])
