"""Personal data: what is planted is found, what only looks like it is not touched, and texts are put together right."""

import json
import random
import re
from hashlib import blake2b
from pathlib import Path

import polars as pl
import pytest
from planted import planted

import growing
from frames import HOSTILE
from gristmill.classifiers.pii.find import KINDS, find_personal
from gristmill.classifiers.pii.phones import _MAYBE, _WORD
from gristmill.classifiers.pii.secrets import SECRETS
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.kernels.text.hashing import utf8
from gristmill.pipeline.kernels.text.personal import byte_classes, find_places, unsafe_or_line_ends
from gristmill.pipeline.launch import launch, survey
from gristmill.pipeline.recipe import make_recipe
from gristmill.pipeline.run.store import Store
from gristmill.stages.pii import LINE_ENDS, UNSAFE, Pii, PiiGate
from lawrun import InProcess, Silent

ON = Pii(enabled=True)


def frame(*texts: str, language: str | None = "en", url: str | None = "http://a.com/") -> pl.DataFrame:
    n = len(texts)
    columns = {
        "doc_id": [str(i) for i in range(n)], "text": texts, "text_hash": [hash_of(t) for t in texts],
        "url": [url] * n, "language": [language] * n,
    }  # fmt: skip
    return pl.DataFrame(columns, schema=dict.fromkeys(columns, pl.String))


def hash_of(text: str) -> str:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=16).hexdigest()


def replaced(text: str, stage: Pii = ON, **where: str | None) -> str:
    return stage.open({})(frame(text, **where))["text"][0]


@pytest.mark.parametrize(
    ("text", "right"),
    [
        ("Write to Jane.Doe+news@mail.uni-bonn.de.", "Write to <EMAIL>."),
        ("[mail](mailto:info@gsa.gov?subject=x) <info@gsa.gov>", "[mail](mailto:<EMAIL>?subject=x) <<EMAIL>>"),
        ("?to=me@web.de&cc=you@gmx.net", "?to=<EMAIL>&cc=<EMAIL>"),
        ("müller@bücher.de, 用户@例子.中国", "<EMAIL>, <EMAIL>"),
        ("call (212) 555-0187 or +1 212 555 0187!", "call <PHONE> or <PHONE>!"),
        ("Tel.: 030/1234567, Fax 030 1234568", "Tel.: <PHONE>, Fax <PHONE>"),
        ("Server 93.184.216.34:8080 and [2606:2800:220:1:248:1893:25c8:1946]", "Server <IP>:8080 and [<IP>]"),
        ("IBAN: DE89 3704 0044 0532 0130 00.", "IBAN: <IBAN>."),
        ("pay to GB82WEST12345698765432 now", "pay to <IBAN> now"),
        ("card 4111 1111 1111 1111 exp 01/30", "card <CARD> exp 01/30"),
        ("Visa 4111111111111111", "Visa <CARD>"),
        ("CPF 529.982.247-25; SSN: 078-05-1120", "CPF <NATIONAL_ID>; SSN: <NATIONAL_ID>"),
        ("postgres://app:h7Kq2wZp@db.internal/x", "postgres://app:<SECRET>@db.internal/x"),
    ],
)
def test_each_kind_becomes_its_placeholder(text: str, right: str):
    assert replaced(text) == right


@pytest.mark.parametrize("kind", ["email", "phone", "ip", "iban", "card", "secret"])
def test_planted_ones_are_found_at_least_99_of_100(kind: str):
    rng = random.Random(kind)
    things = [planted(rng, kind, i) for i in range(500)]
    fronts = ("Contact: ", "It is ", "(", "Please note ", "mine: ")
    texts = [f"The mill stands by the river.\n{rng.choice(fronts)}{t}, as agreed. See you.\n" for t in things]
    found = find_personal(pl.Series(texts), pl.Series(["en"] * 500), pl.Series(["http://a.com/"] * 500))
    whole = found.data.tobytes()
    right = {(t, whole[a:b].decode()) for t, a, b, k in found.spans.tolist() if k == KINDS.index(kind)}
    missed = [thing for i, thing in enumerate(things) if (i, thing) not in right]
    assert len(missed) <= 5, missed[:20]


@pytest.mark.parametrize(
    ("text", "language"),
    [
        ("卡号 11010519491231002X。", "zh"), ("codice fiscale RSSMRA85T10A562S", "it"),
        ("NIR 1 85 05 78 006 084 91", "fr"),
        ("henkilötunnus 131052-308T", "fi"), ("personnummer 811218-9876", "sv"), ("DNI 12345678Z", "es"),
        ("NIE X-1234567-L", "es"), ("RUT 12.345.678-5", "es"), ("PESEL 44051401359", "pl"), ("BSN: 111222333", "nl"),
        ("Steuer-ID 86 095 742 719", "de"), ("85.07.30-033.28", "nl"), ("TC Kimlik No: 10000000146", "tr"),
        ("SIN 046 454 286", "en"), ("Aadhaar 2341 2341 2346", "en"), ("NIF 123456789", "pt"), ("TFN 123 456 782", "en"),
    ],
)  # fmt: skip
def test_national_ids_with_right_check_digits_and_none_with_wrong_ones(text: str, language: str):
    assert "<NATIONAL_ID>" in replaced(text, language=language)
    at = max(i for i, c in enumerate(text) if c.isdigit())
    wrong = text[:at] + str((int(text[at]) + 1) % 10) + text[at + 1 :]
    assert "<NATIONAL_ID>" not in replaced(wrong, language=language)


UNTOUCHED = {
    "versions": (
        "v1.2.3.4 version 10.0.19041.1 Release 8.1.2.55, python-3.11.4.12, \"section "
        "8.2.4.44\", 1.3.6.1.4.1.311"
    ),
    "private": "192.168.0.1 10.1.2.3 127.0.0.1 172.16.5.4 169.254.1.1 203.0.113.7 fe80::1 2001:db8::1 ::1",
    "hashes": (
        "d41d8cd98f00b204e9800998ecf8427e 6a3e8a3f1b2c4d5e6f708192a3b4c5d6e7f80910 "
        "sha256:9f86d081884c7d659a2feaa0c55ad015"
    ),
    "uuids": "550e8400-e29b-41d4-a716-446655440000 {12345678-1234-5678-1234-567812345678}",
    "isbns": (
        "ISBN 978-3-16-148410-0, ISBN-10 0-306-40615-2, ISSN 2049-3630, "
        "doi:10.1038/s41586-020-2649-2, EAN 4006381333931"
    ),
    "dates": "2024-01-05 10:22:33, 05.01.2024, 1999/12/31, 20240105T102233Z, 12:30:45.123, 1914-1918, 31-12-1999 23:59",
    "numbers": (
        "1 234 567 890, 3.14159265358979, 1,234,567.89, 0.5772156649, 6.022e23, 299 792 "
        "458 m/s, $1,000,000, 100000000"
    ),
    "tables": "2019\t1203\t4587\t99812\n2020  0312  4456  77812\n0 12 0345 067 891\n| 012 3456 | 078 9012 | 045 6789 |",
    "code": (
        "self.W@x.data + a@b.T; @decorator.name; np.einsum('ij'); "
        "std::vector<int>::size; x = 0x1234567890; git@github.com:a/b.git"
    ),
    "matrix": "012 345 678\n901 234 567\n0 0 1 0 1 1 0 1 0 0 1 0 1\n020 0304 0506",
    "names": "foo@2x.png user@example.com root@localhost me@test a@b.c xxx@xxx.xxx @twitter_name name@ domain.com "
    "Pine.3.07.9305180944.C193-a100000@norman.nwnet.net",
    "examples": (
        "AKIAIOSFODNN7EXAMPLE ghp_xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx "
        "https://user:password@host/ sk_live_ key-value"
    ),
    "laws": (
        "DFAR 252.227-7013, 48 CFR 52.227-14, § 823 BGB, Art. 6(1), 15 U.S.C. 1051-1127, "
        "PEP 3156, RFC 2822, No. 2000-1234567"
    ),
    "coordinates": "52.520008, 13.404954; 40°26′46″N 79°58′56″W; lat=48.8566 lon=2.3522; 4326:3857",
    "ids": (
        "order 4006381333931, ticket 1234567890, item 0049123, part no. 030-1234, "
        "chapter 10.20.30.40, invoice 20230001234"
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", UNTOUCHED)
@pytest.mark.parametrize("language", ["en", "de", "fr"])
def test_what_only_looks_like_it_is_not_touched(name: str, language: str):
    assert replaced(UNTOUCHED[name], language=language) == UNTOUCHED[name]


def test_private_keys_and_web_tokens_go_whole():
    body = "\n".join("MIIEpAIBAAKCAQEA7bq5" + "abcdEFGH1234+/xy" * 2 for _ in range(12))
    key = f"-----BEGIN RSA PRIVATE KEY-----\n{body}\n-----END RSA PRIVATE KEY-----"
    public = key.replace("RSA PRIVATE", "PUBLIC")
    token = (
        "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9.eyJzdWIiOiIxMjM0NTY3ODkwIn0.dozjgNryP4J3jVmNHl0w5N_XgL0n3I9PlFUP0THsR8U"
    )
    assert replaced(f"a\n{key}\nb {token} c\n{public}") == f"a\n<SECRET>\nb <SECRET> c\n{public}"


def test_kinds_are_kept_dropped_counted_and_placed_as_the_config_says():
    stage = Pii(enabled=True, email="keep", phone="drop", placeholder="[{kind}]", spans=True)
    text = "ß me@web.de, IP 93.184.216.34, +49 30 901820"
    row = stage.open({})(frame(text, "nothing")).row(0, named=True)
    assert row["text"] == "ß me@web.de, IP [ip], +49 30 901820"
    assert row["text_bytes"] == len(row["text"].encode())
    assert [row[f"pii_{kind}_n"] for kind in KINDS] == [1, 1, 1, 0, 0, 0, 0]
    cut = {s["kind"]: text.encode()[s["start"] : s["end"]].decode() for s in row["pii_spans"]}
    assert cut == {"email": "me@web.de", "ip": "93.184.216.34", "phone": "+49 30 901820"}
    gate = PiiGate(enabled=True, email="keep", phone="drop")
    assert gate.decide(stage.open({})(frame(text, "nothing"))).to_list() == ["has_phone", None]
    with pytest.raises(ConfigError, match=r"pii\.placeholder"):
        Pii(enabled=True, placeholder="<{name}>")


def test_unsafe_characters_go_and_are_counted_and_spelling_stays():
    text = "a\x00b\x07c\u202ed\u2066e\x9ff\ufffeg\r\nh\rij\x0ck\tl"
    kept = "می\u200cخواهم क\u094d\u200dष 👩\u200d🚀 \u200f\u200e ❤\ufe0f \u00a0"
    row = ON.open({})(frame(text + kept)).row(0, named=True)
    assert row["text"] == "abcdefg\nh\nij\nk\tl" + kept
    assert row["unsafe_chars_n"] == 7
    off = Pii(enabled=True, unsafe_characters="keep").open({})(frame(text)).row(0, named=True)
    assert (off["text"], off["unsafe_chars_n"]) == (text, 0)


def test_hostile_texts_come_back_whole():
    clean = [re.sub(r"[\x00\x85\x0c\U000e0001]", lambda m: "\n" if m.group() in "\x85\x0c" else "", t) for t in HOSTILE]
    assert ON.open({})(frame(*HOSTILE))["text"].to_list() == clean


@pytest.mark.parametrize(
    "piece",
    ["a@", "@a.", "1 ", "1.", "12 34-", "+49 ", "((", "::", "a:", "A1", "DE89 ", "eyJ", "-----BEGIN PRIVATE KEY-----", "://a:b",
     "tel ", "AKIA", "0)", "x@x.x-", "SK0", "4111 "],
)  # fmt: skip
def test_needles_alone_take_linear_time(piece: str):
    growing.linear(lambda size: ON.open({})(frame(piece * (size // len(piece)))), 75_000)


def test_every_secret_has_a_needle_that_its_form_holds():
    for needle, form in SECRETS:
        assert needle.lower().strip("- ") in re.sub(r"\\b|\\", "", form.pattern).lower() or needle in (
            "xox",
            "SK",
            "T3BlbkFJ",
            ":AA",
        )


def test_cleaning_and_personal_data_form_a_chain_and_the_books_balance(tmp_path: Path):
    prose = "The mill stands by the river, and it has ground the wheat of the valley for many years."
    texts = [f"Home\n{prose} Write to miller.{i}@muehle.de soon.\n{prose}" for i in range(6)] + ["me@muehle.de\x00"]
    (tmp_path / "in.jsonl").write_text("".join(json.dumps({"text": t}) + "\n" for t in texts))
    sections = {"clean": {"enabled": True, "languages": None}, "pii": {"enabled": True}}
    recipe = make_recipe({"input": {"paths": f"{tmp_path}/in.jsonl"}, **sections}, "t")
    store = Store(tmp_path / "run")
    situation = survey(recipe, store, "signals")
    entries = launch(recipe, situation, store, InProcess(), "signals", Silent(), lambda store, plan: None)
    books = {str(e["stage"]): e for e in entries}
    plan = situation.plan
    assert [s.name for s in plan.replacers] == ["clean", "pii"]
    assert plan.step("pii", "annotator").reads["clean"] == ("text", "text_hash")
    assert plan.step("signals").reads["pii"] == ("text",)
    (part,) = plan.parts
    final = store.read("pii", part.key, ("text", "text_bytes"))
    assert final["text"][0] == f"{prose} Write to <EMAIL> soon.\n{prose}"
    assert books["pii"]["dropped"]["cut_text"]["bytes"] == 6 * (len("miller.0@muehle.de") - len("<EMAIL>"))  # pyright: ignore
    assert books["clean"]["dropped"]["cut_text"]["bytes"] == 6 * len("Home\n")  # pyright: ignore
    assert books["pii"]["bytes_out"] == final["text_bytes"].sum() == books["signals"]["bytes_in"]


def test_hash_of_a_text_is_that_of_the_new_text():
    batch = frame("nothing here", "Write to jane.doe@uni-bonn.de", "bell \x07", "")
    made = ON.open({})(batch)
    assert made["text"].to_list() == ["nothing here", "Write to <EMAIL>", "bell ", ""]
    assert made["text_hash"].to_list() == [hash_of(t) for t in made["text"]]


# Each alternative of the expressions for words that announce a telephone number, written out.
PHONE_WORDS = (
    "tel", "tél", "ph", "phone", "phones", "fone", "telefónica", "Telefono", "telephone", "téléphone",
    "Faxrufnummer", "Mobiltelefonnummer", "fax", "faks", "mob", "mobil", "mobile", "cell", "cellphone",
    "Handy", "tlf", "hotline", "WhatsApp", "SMS", "gsm", "тел", "телефон", "моб", "факс", "τηλ", "電話", "电话",
    "手机", "전화", "โทร", "טל", "هاتف", "☎", "📞", "✆", "call", "contact", "kontakt", "dial", "ring", "text",
    "at", "numero", "number", "nummer", "reach", "appelez", "llame",
)  # fmt: skip


@pytest.mark.parametrize("between", [": ", " us on ", "\n"])
def test_short_numbers_behind_each_word_for_telephones_are_looked_at(between: str):
    texts = pl.Series([f"{word}{between}696 29-01." for word in PHONE_WORDS])
    assert all(_WORD.search(t[: t.index("696")]) or _MAYBE.search(t[: t.index("696")]) for t in texts)
    places = find_places(*utf8(texts), byte_classes())
    assert places[:, 0].tolist() == list(range(len(PHONE_WORDS)))


def test_short_numbers_that_nothing_announces_cost_no_check():
    texts = pl.Series(["2016/17, 191360-U\n12.05.2019\tDocket 20240243 of 17-0313", "sold 1316548 and v5.00.3300"])
    assert find_places(*utf8(texts), byte_classes()).size == 0


def test_more_places_than_fit_at_first_are_all_found():
    assert find_places(*utf8(pl.Series(["a@b.com " * 9000, "c@d.org"])), byte_classes())[:, 0].tolist() == [
        0
    ] * 9000 + [1]


@pytest.mark.parametrize("point", [*range(32), 0x7F, *range(0x80, 0xA0), 0x202A, 0x202E, 0x2066, 0x2069, 0xFFF9, 0xFFFB,
                                   0xFFFE, 0xFFFF, 0xFDD0, 0xFDEF, 0xE0000, 0xE0001])  # fmt: skip
def test_each_unsafe_character_is_seen_by_the_kernel(point: str):
    text = f"\u00e9 a{chr(point)}b"
    asked = re.search(f"{UNSAFE}|{LINE_ENDS}", text) is not None
    assert unsafe_or_line_ends(*utf8(pl.Series(["clean \u4e2d\U0001f4de", text]))).tolist() == [False, asked]
