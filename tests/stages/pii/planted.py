"""Made-up personal data of each kind, right by its own rules."""

import random
import re

import phonenumbers

from gristmill.classifiers.pii import numbers
from gristmill.classifiers.pii.numbers import IBAN_LENGTHS

PHONES = [c for c in sorted(phonenumbers.SUPPORTED_REGIONS) if phonenumbers.example_number(c)]


def iban(rng: random.Random, country: str) -> str:
    body = "".join(rng.choice("0123456789") for _ in range(IBAN_LENGTHS[country] - 4))
    digits = "".join(str(int(c, 36)) for c in body + country + "00")
    return f"{country}{98 - int(digits) % 97:02d}{body}"


def card(rng: random.Random) -> str:
    head = rng.choice(["4", "51", "55", "2221", "6011"])
    body = head + "".join(rng.choice("0123456789") for _ in range(15 - len(head)))
    return next(body + d for d in "0123456789" if numbers.luhn(body + d))


def in_fours(text: str, sign: str) -> str:
    return sign.join(text[i : i + 4] for i in range(0, len(text), 4))


def public_ip(rng: random.Random) -> str:
    while True:
        address = ".".join(str(rng.randint(1, 254)) for _ in range(4))
        if numbers.IPv4Address(address).is_global:
            return address


def planted(rng: random.Random, kind: str, i: int) -> str:
    word = "".join(rng.choice("abcdefghijklmnopqrstuvwxyz") for _ in range(7))
    region = PHONES[i % len(PHONES)]
    number = phonenumbers.example_number_for_type(region, phonenumbers.PhoneNumberType.MOBILE)
    form = phonenumbers.PhoneNumberFormat.INTERNATIONAL
    signs = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"

    def key(n: int) -> str:
        return "".join(rng.choice(signs) for _ in range(n))

    return {
        "email": f"{word}.{i}@{word[::-1]}.{rng.choice(['com', 'de', 'co.uk', 'org', 'io', 'ac.jp'])}",
        "phone": phonenumbers.format_number(number or phonenumbers.example_number(region), form),
        "ip": public_ip(rng),
        "iban": in_fours(iban(rng, sorted(IBAN_LENGTHS)[i % len(IBAN_LENGTHS)]), rng.choice(["", " "])),
        "card": in_fours(card(rng), rng.choice([" ", "-"])),
        "secret": rng.choice([f"ghp_{key(36)}", f"xoxb-{key(40)}", f"AIza{key(35)}", f"glpat-{key(20)}",
                              f"hf_{'abcdEFGHij' * 3}klmn", f"AKIA{re.sub('[0189]', 'Q', key(16).upper())}"]),
    }[kind]  # fmt: skip
