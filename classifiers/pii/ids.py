"""National ids by form, check digits and, where the form alone is common, a word for it before."""

import re
from collections.abc import Callable

from gristmill.classifiers.pii import numbers

# (form of the number as written, check of it without separators, word that must stand within 40 characters before).
# Without a word only forms whose check digits and dates leave less than one number in a hundred.
Rule = tuple[re.Pattern[str], Callable[[str], bool], re.Pattern[str] | None]


def _rule(form: str, check: Callable[[str], bool], word: str | None = None) -> Rule:
    return re.compile(form), check, re.compile(word, re.I) if word else None


IDS: tuple[Rule, ...] = (
    _rule(r"\d{3}\.\d{3}\.\d{3}-\d{2}", numbers.cpf),
    _rule(r"\d{11}", numbers.cpf, r"\bcpf\b"),
    _rule(r"[1-9]\d{16}[\dXx]", numbers.resident_id),
    _rule(r"[A-Z]{6}\d{2}[A-EHLMPR-T]\d{2}[A-Z]\d{3}[A-Z]", numbers.codice_fiscale),
    _rule(r"[12] ?\d{2} ?(?:0[1-9]|1[0-2]) ?\d{2} ?\d{3} ?\d{3} ?\d{2}", numbers.nir),
    _rule(r"\d{6}[-+A]\d{3}[0-9A-FHJ-NPR-Y]", numbers.hetu, r"hetu|henkil[öo]tunnus|personbeteckning|finnish"),
    _rule(
        r"(?:19|20)?\d{6}[-+]\d{4}",
        lambda d: numbers.personnummer(d[-10:]),
        r"personnummer|pnr|person(?:al)? (?:id|number)",
    ),
    _rule(r"\d{6}-[1-4]\d{6}", numbers.rrn),
    _rule(r"(?:[XYZ]-?\d{7}|\d{8})-?[A-Z]", numbers.dni, r"\b(?:dni|nie|nif)\b|identidad"),
    _rule(r"\d{1,2}\.\d{3}\.\d{3}-[\dkK]", numbers.rut),
    _rule(r"\d{11}", numbers.pesel, r"pesel"),
    _rule(r"\d{9}", numbers.bsn, r"\bbsn\b|burgerservicenummer|sofinummer"),
    _rule(r"\d{2} ?\d{3} ?\d{3} ?\d{3}", numbers.steuer_id, r"steuer-?id|identifikationsnummer|idnr|\btin\b"),
    _rule(r"\d{2}\.\d{2}\.\d{2}-\d{3}\.\d{2}", numbers.rijksregister),
    _rule(r"\d{11}", numbers.tckn, r"\btc\b|t\.c\.|kimlik"),
    _rule(r"\d{3} ?\d{3} ?\d{3}", numbers.tfn, r"\btfn\b|tax file"),
    _rule(r"\d{3}[ -]?\d{3}[ -]?\d{3}", numbers.luhn, r"\bsin\b|social insurance|assurance sociale"),
    _rule(r"\d{3} ?\d{3} ?\d{3}", numbers.nif, r"\bnif\b|contribuinte"),
    _rule(r"\d{4}[ -]?\d{4}[ -]?\d{4}", numbers.aadhaar, r"aadha?ar|\buid(?:ai)?\b"),
    _rule(r"\d{3}[- ]\d{2}[- ]\d{4}|\d{9}", numbers.ssn, r"\bssn\b|social security"),
)
_ANY = re.compile("|".join(form.pattern for form, _, _ in IDS))


def is_national_id(text: str, before: str) -> bool:
    """text: the whole number as it stands in the document; before: the 40 characters in front of it."""
    if not _ANY.fullmatch(text):
        return False
    for form, check, word in IDS:
        if (
            form.fullmatch(text)
            and (word is None or word.search(before))
            and check(re.sub(r"[ .+-]", "", text) if check is not numbers.hetu else text)
        ):
            return True
    return False
