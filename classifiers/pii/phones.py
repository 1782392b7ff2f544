"""Decides whether a chain of digits is a telephone number, by the phonenumbers library (Google's libphonenumber).

An international number ("+") must be valid. One without needs a country, from the page's top-level domain or language,
and a word such as "tel" before it or the country's usual grouping; plain digits, dates and rows of tables are none.
"""

import re
from functools import lru_cache

# Region that a language without a national domain is taken for; where several are as likely, each is tried.
REGIONS = {
    "en": ("US", "GB", "IN", "AU", "CA"),
    "de": ("DE", "AT", "CH"), "fr": ("FR", "BE", "CH", "CA"), "es": ("ES", "MX", "AR"),
    "it": ("IT",), "pt": ("BR", "PT"), "nl": ("NL", "BE"), "pl": ("PL",), "ru": ("RU",), "uk": ("UA",),
    "cs": ("CZ",),
    "sk": ("SK",), "sv": ("SE",), "da": ("DK",), "no": ("NO",), "nb": ("NO",), "nn": ("NO",), "fi": ("FI",),
    "hu": ("HU",),
    "ro": ("RO",), "bg": ("BG",), "el": ("GR",), "tr": ("TR",), "ja": ("JP",), "ko": ("KR",), "zh": ("CN", "TW", "HK"),
    "ar": ("EG", "SA", "AE"), "he": ("IL",), "hi": ("IN",), "id": ("ID",), "ms": ("MY",), "th": ("TH",), "vi": ("VN",),
    "fa": ("IR",), "hr": ("HR",), "sr": ("RS",), "sl": ("SI",), "lt": ("LT",), "lv": ("LV",), "et": ("EE",),
    "ca": ("ES",),
}  # fmt: skip
# Words that say "telephone", and words that may: after these a number needs groups, too.
_WORD = re.compile(
    r"(?:(?<![^\W_])(?:tel|t[ée]l|ph|phones?|fone|telef\w{0,20}|telephones?|t[ée]l[ée]phone|\w{0,20}rufnummer|\w{0,20}telefon\w{0,20}|fax|faks|mob|"
    r"mobile?|cell(?:phone)?|handy|tlf|hotline|whatsapp|sms|gsm|тел|телефон\w{0,20}|моб|факс|τηλ\w{0,20})(?![^\W_])|電話|电话|手机|"
    r"전화|โทร|טל|هاتف|☎|📞|✆)[^\w\n]*(?:\w{1,12}[^\w\n]{1,3}){0,3}$",
    re.I,
)
_MAYBE = re.compile(
    r"(?<![^\W_])(?:call|contact|kontakt|dial|ring|text|at|num[ée]ro|number(?: is| at)?|nummer|reach|appel\w*|llam\w*)"
    r"(?![^\W_])[^\w\n]*(?:\w{1,12}[^\w\n]{1,3}){0,2}$",
    re.I,
)
# The first letters of the words of each that are ASCII: nothing else is worth the search.
_WORD_BEGINS = ("tel", "ruf", "ph", "fon", "fax", "fak", "mob", "cel", "han", "tlf", "hot", "wha", "sms", "gsm")
_MAYBE_BEGINS = ("cal", "con", "kon", "dia", "rin", "tex", "at", "num", "rea", "app", "lla")
_NANP = re.compile(r"(?:1[ .-])?(?:\([2-9]\d{2}\) ?[2-9]\d{2}[ .-]\d{4}|[2-9]\d{2}([ .-])[2-9]\d{2}\1\d{4})")
_TABLE = re.compile(r"\d[\t |;,]+$")  # another number in front, as in a row of a table or a list
_ROW = re.compile(r"^[\t |;,]+\d")
_DATE = re.compile(
    r"(?:19|20)\d\d[-./ ](?:0?\d|1[0-2])[-./ ]|(?:0?[1-9]|[12]\d|3[01])[-./](?:0?[1-9]|1[0-2])[-./](?:19|20)?\d\d\b"
)
_GROUP = re.compile(r"\d+")
_TOUCHING = re.compile(r"[\w#$€£¥/=&%.]$")
_TOUCHED = re.compile(r"[\w@]")
MIN_DIGITS, MAX_DIGITS = 7, 15  # E.164 has at most 15
MIN_BARE = 9  # without a word for it: 030-1234 is a part number as often
Region = str


@lru_cache(maxsize=4096)
def regions_of(domain: str, language: str) -> tuple[Region, ...]:
    """Likely regions, best first. domain: the top-level domain, "" for none; language: "" for unknown."""
    import phonenumbers

    nation = {"uk": "GB"}.get(domain, domain.upper())
    own = (nation,) if nation in phonenumbers.SUPPORTED_REGIONS else ()
    if domain in ("gov", "edu", "mil", "us"):
        own = ("US",)
    return own or REGIONS.get(language, ())


def phone_at(text: str, before: str, after: str, regions: tuple[Region, ...]) -> int:
    """Length of the number at the beginning of `text`, a chain of digits and separators; 0 where there is none.

    before, after: what stands around the chain in the document, 40 characters and 10.
    """
    digits = sum(map(str.isdigit, text))
    last = max(0, len(before) - 2)  # a line end may stand behind the sign
    if digits < MIN_DIGITS or _TOUCHED.match(after) or _TOUCHING.search(before, last):
        return 0
    if text.startswith(("+", "(+")):
        return _longest(text, ("ZZ",), valid=True)
    groups = len(_GROUP.findall(text))
    said = _stands(_WORD, _WORD_BEGINS, before) or (groups > 1 and _stands(_MAYBE, _MAYBE_BEGINS, before))
    if said and text.startswith("00"):
        return _longest(f"+{text[2:]}", ("ZZ",), valid=True, extra=1)
    if _DATE.match(text) and not said:
        return 0
    if digits > MAX_DIGITS and not said:
        return 0
    american = ("US" in regions or "CA" in regions) and _NANP.fullmatch(text)
    if american and not _TABLE.search(before) and not _ROW.search(after):
        return len(text)
    if said:
        return _longest(text, regions, valid=True)
    if digits < MIN_BARE or not text.startswith(("0", "(0")) or _TABLE.search(before) or _ROW.search(after):
        return 0
    return len(text) if any(_usual(text, region) for region in regions[:1]) else 0


def _stands(pattern: re.Pattern[str], begins: tuple[str, ...], before: str) -> bool:
    """Whether one of the pattern's words stands in the line before a number, or ends the line above."""
    line = before[before.rfind("\n", 0, max(0, len(before) - 1)) + 1 :]
    if line.isascii() and not any(map(line.lower().__contains__, begins)):
        return False
    return pattern.search(line) is not None


def _longest(text: str, regions: tuple[Region, ...], valid: bool, extra: int = 0) -> int:
    """Length of the longest beginning of whole groups that is a valid number in one of the regions."""
    ends = [m.end() for m in _GROUP.finditer(text)]
    for end in reversed(ends):
        piece = text[:end]
        count = sum(map(str.isdigit, piece))
        if count > MAX_DIGITS + 2:
            continue
        if count < MIN_DIGITS:
            break
        if piece.count("(") != piece.count(")"):
            continue
        if any(_valid(piece, region) for region in regions):
            return end + extra
    return 0


@lru_cache(maxsize=100_000)
def _valid(text: str, region: Region) -> bool:
    import phonenumbers

    try:
        number = phonenumbers.parse(text, None if region == "ZZ" else region)
    except phonenumbers.NumberParseException:
        return False
    return phonenumbers.is_valid_number(number)


@lru_cache(maxsize=100_000)
def _usual(text: str, region: Region) -> bool:
    """Valid, and in the groups in which the region writes it; "030 1234567" and "030/1234567" are alike."""
    import phonenumbers

    try:
        number = phonenumbers.parse(text, region)
    except phonenumbers.NumberParseException:
        return False
    if not phonenumbers.is_valid_number(number):
        return False
    written = phonenumbers.format_number(number, phonenumbers.PhoneNumberFormat.NATIONAL)
    mine, usual = re.findall(r"\d+", text), re.findall(r"\d+", written)
    return len(mine) > 1 and (
        mine == usual or (mine[0] == usual[0] and "/" in text) or (region == "DE" and mine[0] == usual[0])
    )
