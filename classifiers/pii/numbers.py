"""Decides whether a string is a public IP address, an IBAN, a payment card or a national id, by its check digits."""

import re
from datetime import date
from ipaddress import AddressValueError, IPv4Address, IPv6Address, IPv6Network

# Before an address-like number these say that it is none: versions, sections, laws, builds, object identifiers.
_NO_ADDRESS = re.compile(
    r"(?:\bv|\bver\.?|version|versions|release|build|firmware|driver|section|sections|sec\.|chapter|clause|article|"
    r"figure|table|oid|paragraph|part|kernel|§|[=<>~^]=?|\w[-_@/])[\s\"'(\[]*$",
    re.I,
)
_SMALL = 32  # a dotted quad of three smaller numbers is a section or version; one address in 150 is such a one
GLOBAL_UNICAST = IPv6Network("2000::/3")  # all that is routed today (IANA)


def is_public_ipv4(text: str, before: str, after: str) -> bool:
    """Not private, reserved or for documentation (RFC 5735, 5737), and not a version or section number."""
    if after[:1] in ("-", "_", "+") or re.match(r"\.\w", after) or _NO_ADDRESS.search(before):
        return False
    try:
        address = IPv4Address(text)
    except AddressValueError:
        return False
    said = re.search(r"(?:\b(?:ip|ips|ipv4|address|host|server|dns|ping|from)\W*(?:\w+\W+)?|://)$", before, re.I)
    return address.is_global and (said is not None or sum(octet >= _SMALL for octet in address.packed) > 1)


def is_public_ipv6(text: str) -> bool:
    if text.count(":") < 2 or ("::" not in text and text.count(":") != 7):
        return False
    try:
        address = IPv6Address(text)
    except AddressValueError:
        return False
    # "2001::" is a prefix, and a word of few digits between colons is more often code than an address.
    return address in GLOBAL_UNICAST and address.is_global and len(text.replace(":", "")) >= 8


# Lengths of IBANs by country (SWIFT IBAN Registry, release 99).
IBAN_LENGTHS = {
    "AD": 24, "AE": 23, "AL": 28, "AT": 20, "AZ": 28, "BA": 20, "BE": 16, "BG": 22, "BH": 22, "BI": 27, "BR": 29,
    "BY": 28, "CH": 21, "CR": 22, "CY": 28, "CZ": 24, "DE": 22, "DJ": 27, "DK": 18, "DO": 28, "EE": 20, "EG": 29,
    "ES": 24, "FI": 18, "FK": 18, "FO": 18, "FR": 27, "GB": 22, "GE": 22, "GI": 23, "GL": 18, "GR": 27, "GT": 28,
    "HN": 28, "HR": 21, "HU": 28, "IE": 22, "IL": 23, "IQ": 23, "IS": 26, "IT": 27, "JO": 30, "KW": 30, "KZ": 20,
    "LB": 28, "LC": 32, "LI": 21, "LT": 20, "LU": 20, "LV": 21, "LY": 25, "MC": 27, "MD": 24, "ME": 22, "MK": 19,
    "MN": 20, "MR": 27, "MT": 31, "MU": 30, "NI": 28, "NL": 18, "NO": 15, "OM": 23, "PK": 24, "PL": 28, "PS": 29,
    "PT": 25, "QA": 29, "RO": 24, "RS": 22, "RU": 33, "SA": 24, "SC": 31, "SD": 18, "SE": 24, "SI": 19, "SK": 24,
    "SM": 27, "SO": 23, "ST": 25, "SV": 28, "TL": 23, "TN": 24, "TR": 26, "UA": 29, "VA": 22, "VG": 24, "XK": 20,
    "YE": 30,
}  # fmt: skip


def iban_at(text: str) -> int:
    """Length of the IBAN at the beginning of `text` (groups of four may be apart), 0 where there is none (ISO 7064)."""
    size = IBAN_LENGTHS.get(text[:2], 0)
    if not size or not text[2:4].isdigit():
        return 0
    signs, length = "", 0
    for char in text[:48]:
        if len(signs) == size:
            break
        if char in " \u00a0-" and len(signs) % 4 == 0:
            length += 1
            continue
        if not (char.isascii() and char.isalnum()):
            return 0
        signs += char.upper()
        length += 1
    if len(signs) < size or re.match(r"[A-Za-z0-9]", text[length : length + 1]):
        return 0
    return length if int("".join(str(int(c, 36)) for c in signs[4:] + signs[:4])) % 97 == 1 else 0


_CARD_WORDS = re.compile(
    r"card|visa|amex|master|credit|debit|\bcc\b|\bpan\b|karte|carte|tarjeta|cart[ãa]o|kredit", re.I
)
# Beginnings and lengths of payment cards (ISO/IEC 7812; ranges as the networks publish them).
_CARDS = re.compile(
    r"4\d{12}(?:\d{3}){0,2}|5[1-5]\d{14}|2(?:22[1-9]|2[3-9]\d|[3-6]\d\d|7[01]\d|720)\d{12}|3[47]\d{13}|"
    r"6(?:011|5\d\d|4[4-9]\d)\d{12}|35(?:2[89]|[3-8]\d)\d{12}|3(?:0[0-5]|[689]\d)\d{11}|62\d{14,17}"
)
_GROUPED = re.compile(r"\d{4}([ -])\d{4}\1\d{4}\1\d{4}|\d{4}([ -])\d{6}\2\d{5}")


def is_card(text: str, before: str) -> bool:
    """In a card's groups, or with a word for cards before it; bare digits pass the check digit one time in ten."""
    digits = re.sub(r"[ -]", "", text)
    if not _CARDS.fullmatch(digits) or not luhn(digits) or len(set(digits)) < 2:
        return False
    return _GROUPED.fullmatch(text) is not None or _CARD_WORDS.search(before[-40:]) is not None


def luhn(digits: str) -> bool:
    """ISO/IEC 7812-1, annex B."""
    doubled = [int(d) if i % 2 == 0 else sum(divmod(2 * int(d), 10)) for i, d in enumerate(reversed(digits))]
    return sum(doubled) % 10 == 0


def weighted(digits: str, weights: tuple[int, ...]) -> int:
    return sum(int(d) * w for d, w in zip(digits, weights, strict=False))


def is_date(year: int, month: int, day: int) -> bool:
    try:
        date(year, month, day)
    except ValueError:
        return False
    return True


def _short_date(text: str) -> bool:
    """yymmdd of this century or the last."""
    return any(is_date(century + int(text[:2]), int(text[2:4]), int(text[4:6])) for century in (1900, 2000))


def cpf(d: str) -> bool:
    """Brazil, Cadastro de Pessoas Físicas: two check digits modulo 11."""
    first = weighted(d, tuple(range(10, 1, -1))) * 10 % 11 % 10
    second = weighted(d, tuple(range(11, 1, -1))) * 10 % 11 % 10
    return len(set(d)) > 1 and d[9:] == f"{first}{second}"


def resident_id(text: str) -> bool:
    """China, GB 11643-1999: date of birth and ISO 7064 MOD 11-2."""
    total = weighted(text[:17], (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2))
    born = is_date(int(text[6:10]), int(text[10:12]), int(text[12:14])) and 1900 <= int(text[6:10]) <= 2035
    return born and "10X98765432"[total % 11] == text[17].upper()


_ODD = dict(zip("0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ", (
    1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 1, 0, 5, 7, 9, 13, 15, 17, 19, 21, 2, 4, 18, 20, 11, 3, 6, 8, 12, 14, 16, 10,
    22, 25, 24, 23,
), strict=True))  # fmt: skip


def codice_fiscale(text: str) -> bool:
    """Italy, D.M. 23/12/1976: the last letter checks the fifteen before it."""
    even = sum(int(c) if c.isdigit() else ord(c) - 65 for c in text[1:15:2])
    return chr(65 + (even + sum(_ODD[c] for c in text[0:15:2])) % 26) == text[15]


def nir(d: str) -> bool:
    """France, numéro d'inscription au répertoire: 13 digits and their complement modulo 97."""
    return 1 <= int(d[3:5]) <= 12 and 97 - int(d[:13]) % 97 == int(d[13:])


def hetu(text: str) -> bool:
    """Finland: date, separator, number, check sign modulo 31."""
    right = "0123456789ABCDEFHJKLMNPRSTUVWXY"[int(text[:6] + text[7:10]) % 31]
    return is_date(2000 + int(text[4:6]) % 100, int(text[2:4]), min(int(text[:2]), 28)) and right == text[10].upper()


def personnummer(d: str) -> bool:
    """Sweden: yymmddnnnc, Luhn."""
    return _short_date(d) and luhn(d)


def rrn(d: str) -> bool:
    """South Korea: yymmdd, seven digits, check digit modulo 11."""
    total = weighted(d, (2, 3, 4, 5, 6, 7, 8, 9, 2, 3, 4, 5))
    return _short_date(d) and (11 - total % 11) % 10 == int(d[12])


def dni(text: str) -> bool:
    """Spain, DNI and NIE: a letter modulo 23."""
    number = text[:-1].translate(str.maketrans("XYZ", "012"))
    return number.isdigit() and "TRWAGMYFPDXBNJZSQVHLCKE"[int(number) % 23] == text[-1]


def rut(text: str) -> bool:
    """Chile: modulo 11 with factors 2 to 7."""
    body, check = text[:-1], text[-1].upper()
    total = sum(int(c) * (2 + i % 6) for i, c in enumerate(reversed(body)))
    return "0123456789K0"[11 - total % 11] == check if total % 11 else check == "0"


def pesel(d: str) -> bool:
    """Poland."""
    return int(d[2:4]) % 20 in range(1, 13) and (10 - weighted(d, (1, 3, 7, 9, 1, 3, 7, 9, 1, 3)) % 10) % 10 == int(
        d[10]
    )


def bsn(d: str) -> bool:
    """Netherlands: the eleven test."""
    return (weighted(d, (9, 8, 7, 6, 5, 4, 3, 2)) - int(d[8])) % 11 == 0 and len(set(d)) > 1


def steuer_id(d: str) -> bool:
    """Germany: ISO 7064 MOD 11,10; one of the first ten digits stands twice or three times."""
    product = 10
    for c in d[:10]:
        total = (int(c) + product) % 10 or 10
        product = total * 2 % 11
    return d[0] != "0" and len(set(d[:10])) in (8, 9) and (11 - product) % 10 == int(d[10])


def rijksregister(d: str) -> bool:
    """Belgium: 97 less the first nine digits modulo 97, with 2 before them from 2000 on."""
    return any(97 - int(front + d[:9]) % 97 == int(d[9:]) for front in ("", "2"))


def tckn(d: str) -> bool:
    """Turkey."""
    odd, even = sum(map(int, d[0:9:2])), sum(map(int, d[1:8:2]))
    return d[0] != "0" and (7 * odd - even) % 10 == int(d[9]) and sum(map(int, d[:10])) % 10 == int(d[10])


def tfn(d: str) -> bool:
    """Australia, nine digits modulo 11."""
    return weighted(d, (1, 4, 3, 7, 5, 8, 6, 9, 10)) % 11 == 0


def nif(d: str) -> bool:
    """Portugal."""
    return (11 - weighted(d, (9, 8, 7, 6, 5, 4, 3, 2)) % 11) % 11 % 10 == int(d[8])


_D = ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 2, 3, 4, 0, 6, 7, 8, 9, 5), (2, 3, 4, 0, 1, 7, 8, 9, 5, 6),
      (3, 4, 0, 1, 2, 8, 9, 5, 6, 7), (4, 0, 1, 2, 3, 9, 5, 6, 7, 8), (5, 9, 8, 7, 6, 0, 4, 3, 2, 1),
      (6, 5, 9, 8, 7, 1, 0, 4, 3, 2), (7, 6, 5, 9, 8, 2, 1, 0, 4, 3), (8, 7, 6, 5, 9, 3, 2, 1, 0, 4),
      (9, 8, 7, 6, 5, 4, 3, 2, 1, 0))  # fmt: skip
_P = ((0, 1, 2, 3, 4, 5, 6, 7, 8, 9), (1, 5, 7, 6, 2, 8, 3, 0, 9, 4), (5, 8, 0, 3, 7, 9, 6, 1, 4, 2),
      (8, 9, 1, 6, 0, 4, 3, 5, 2, 7), (9, 4, 5, 3, 1, 2, 6, 8, 7, 0), (4, 2, 8, 6, 5, 7, 3, 9, 0, 1),
      (2, 7, 9, 3, 8, 0, 6, 4, 1, 5), (7, 0, 4, 6, 9, 1, 3, 2, 5, 8))  # fmt: skip


def aadhaar(d: str) -> bool:
    """India: Verhoeff's check digit."""
    c = 0
    for i, digit in enumerate(reversed(d)):
        c = _D[c][_P[i % 8][int(digit)]]
    return c == 0 and d[0] not in "01"


def ssn(d: str) -> bool:
    """United States: no check digit; areas, groups and serials that were never given out are none (SSA, 2011)."""
    return d[:3] not in ("000", "666") and d[0] != "9" and d[3:5] != "00" and d[5:] != "0000"
