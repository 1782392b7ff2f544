"""Reads Creative Commons licences out of text, short (CC BY-NC 4.0) or by name in any language of CC's own titles.

Names are compared letter by letter without case, accents, spaces and dashes, so that NichtKommerziell and
nicht-kommerziell are one. What stands in the name and is no known element makes the licence UNREAD: it could be the
element that forbids, so the freer licence is never assumed.
"""

import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from unicodedata import category, normalize

from gristmill.classifiers.license.names import CC_UNREAD, cc_id

BEFORE, AFTER = 100, 160  # characters around "Creative Commons" in which its licence's elements stand
NEAR = 100  # characters behind CC BY in which words may still forbid a use
_APPOSED = 4  # characters between a code and its name: CC BY (Creative Commons ...)
_SHORT_NAME = 6  # letters: a shorter element name counts only where a word begins
_UNSPACED = 0x0E00  # from Thai on, scripts put no spaces between words

# One character for one, so that places in the folded text are places in the text: dashes (also the soft hyphen, the
# word joiner and box drawing), no-break and other spaces, full-width ASCII.
_FOLDED = {
    ord(c): "-" for c in "\u00ad\u2010\u2011\u2012\u2013\u2014\u2015\u2043\u2060\u2212\u2500\u2501\u30fb\ufe58\ufe63"
}
_FOLDED |= {ord(c): " " for c in "\u00a0\u2002\u2003\u2007\u2009\u200a\u200b\u202f\u205f\u3000\ufeff\t\n\r"}
_FOLDED |= {0xFF01 + i: chr(0x21 + i) for i in range(94)}


def plain(text: str) -> str:
    """The text with one kind of dash and space; as long as before."""
    return text if text.isascii() else text.translate(_FOLDED)


@lru_cache(maxsize=4096)
def _letters(char: str) -> str:
    """What is left of a character without case and accents: letters and digits, or nothing."""
    return "".join(
        c for c in normalize("NFKD", char.replace("ı", "i")).casefold() if category(c)[0] in "LN" and c != "ـ"
    )


def squeeze(text: str) -> tuple[str, list[int]]:
    """(letters and digits of `text`, the place in `text` of each)."""
    if text.isascii():
        places = [i for i, char in enumerate(text) if char.isalnum()]
        return "".join([text[i] for i in places]).lower(), places
    letters, places = [], []
    for i, char in enumerate(text):
        if found := _letters(char):
            letters.append(found)
            places += [i] * len(found)
    return "".join(letters), places


def _elements() -> dict[str, str]:
    """Squeezed name -> BY, NC, ND or SA."""
    table = {}
    for line in (Path(__file__).parent / "cc_elements.tsv").read_text("utf-8").split("\n"):
        if line and not line.startswith("#"):
            element, _, name = line.partition("\t")
            table[squeeze(name)[0]] = element
    return table


def _longest(words: Collection[str]) -> str:
    """A pattern that finds the longest of the words, letter by letter: a list of them is tried word by word."""
    rest: dict[str, list[str]] = {}
    for word in words:
        if word:
            rest.setdefault(word[0], []).append(word[1:])
    ends = [re.escape(first) + _longest(tails) for first, tails in sorted(rest.items())]
    if not ends:
        return ""
    return f"(?:{'|'.join(ends)})" + "?" * ("" in words)


_NAMES = _elements()
_NAME = re.compile(_longest(list(_NAMES)))


@dataclass(frozen=True, slots=True)
class Element:
    """An element's name in a text: [start, end) of it."""

    name: str
    start: int
    end: int


def elements_of(text: str) -> list[Element]:
    """The elements that `text` (a few hundred characters, `plain`) names, in order."""
    letters, places = squeeze(text)
    found = []
    for hit in _NAME.finditer(letters):
        start, end = places[hit.start()], places[hit.end() - 1] + 1
        inside = start > 0 and text[start - 1].isalpha() and ord(text[start]) < _UNSPACED
        if inside and len(hit[0]) <= _SHORT_NAME:
            continue
        element = _NAMES[hit[0]]
        if element == "NC" and _both_uses(text, start, end):
            continue
        found.append(Element(element, start, end))
    return found


_COMMERCE = r"[ck]om+er[czs]\w{0,12}"
_JOINT = r"(?:and|or|und|oder|wie auch|et|ou|y|o|e|en|of|as well as|&|/|,)"
_BEFORE = re.compile(rf"(?<!\w){_COMMERCE}\W{{1,3}}{_JOINT}\W{{0,3}}(?:(?:for|in|also|zu|für)\W)?$", re.I)
_AFTER = re.compile(rf"^\w{{0,12}}\W{{1,3}}{_JOINT}\W{{1,3}}(?:(?:for|in|also|zu|für)\W)?{_COMMERCE}", re.I)


def _both_uses(text: str, start: int, end: int) -> bool:
    """Whether "non-commercial" stands beside "commercial": both uses are allowed, then."""
    return bool(_BEFORE.search(text[max(0, start - 40) : start]) or _AFTER.match(text[end : end + 60]))


_COMMONS = re.compile(
    r"creative[\s\-]?commons?|クリエイティブ[・\-]?コモンズ|知识共享|知識共享|創用\s?CC|크리에이티브 ?커먼즈"
    r"|ক্রিয়েটিভ কমন্স|креати[вф]ні? ?комм?онс|креатив ?комм?онс|კრეატივ ქომონს"
    r"|קריאייטיב קומונס|المشاع الإبداعي|المشاع الابداعي",
    re.I,
)
COMMONS_WORDS = (
    "creative", "クリエイティブ", "知识共享", "知識共享", "創用", "커먼즈", "কমন্স", "креати", "კრეატივ",
    "קומונס", "المشاع",
)  # fmt: skip
_CODE = re.compile(
    r"(?<![^\W_])(?:CC|creative commons)(?:[\s\-]{1,3}(?:licen[cs]e|lizenz))?[\s\-:/_]{0,3}\(?"
    r"(?:(BY)|(0|ZERO)(?![^\W_])|(?<=-)(?=(?:NC|ND|SA)(?![^\W_])))",
    re.I,
)
_BETWEEN = r"(?:\s(?:and|plus|und|et|y|e|og|och|en)\s|[\s\-_/,.&+()\[\]{}*|·•:~]{0,4})"
_SHORT = re.compile(rf"{_BETWEEN}(NC|ND|SA)(?=NC|ND|SA|[\W_\d]|$)", re.I)
_GAP = re.compile(_BETWEEN, re.I)
_ELEMENTS = re.compile(r"(by(?:[\- ](?:nc|nd|sa)){0,2})(?:[\- ]v?([1-4]\.[05]))?", re.I)
_LATE = re.compile(r"(?:[\s\-,;(\[{/]{1,3}(?:NC|ND|SA)(?![^\W_])){1,3}")
# What stands behind a licence and takes a use away again, in other words than the elements'.
_ONLY_FOR = r"personal|private|educational|academic|research|classroom|home"
_FORBIDDING = (
    ("NC", re.compile(rf"^[^.;]{{0,20}}\b(?:{_ONLY_FOR})\b[\w\s,]{{0,30}}\bonly\b", re.I)),
    (
        "NC",
        re.compile(
            r"\b(?:non|not)[\s\-]?(?:for[\s\-])?profit|\bn[ãa]o[\s\-]?comerciais|\bnon[\s\-]?commerciaux"
            r"|\bsans (?:but lucratif|usage commercial)|\bsin (?:ánimo|fines?) de lucro|\bsem fins lucrativos"
            r"|\bsenza (?:scopo|fini) di lucro|\bohne (?:gewinn|kommerzielle)"
            r"|\b(?:exception of|except(?: for)?|excluding|sauf|hors|excepté|excepto|salvo|exceto|tranne|eccetto|außer"
            r"|ausgenommen|behalve|kromě|oprócz|кроме)"
            rf"\W{{1,3}}(?:\w{{1,12}}\W){{0,3}}(?:{_COMMERCE}|коммерч\w{{1,9}})"
            rf"|\b(?:without|no|never for|ohne|sans|sin|senza|sem|zonder|uten|utan|uden|bez|без) (?:any |the )?"
            rf"{_COMMERCE} (?:use|usage|exploitation|nutzung|gebruik|us[oa]\w*|purpose\w*|bruk|brug)",
            re.I,
        ),
    ),
    (
        "ND",
        re.compile(
            r"\bwithout (?:any )?(?:modification|alteration)s?\b|\b(?:may|must|do) not (?:be )?(?:modif|alter|adapt)",
            re.I,
        ),
    ),
)
_VERSION = re.compile(r"(?<![\d.])([1-4]\.[05])(?!\.?\d)")
_CODE_VERSION = re.compile(
    r"\)?[\s\-_,(]{0,3}(?:(?:licen[cs]e|lizenz)[\s\-,(]{1,3})?(?:version|v|ver)?\.?\s?([1-4]\.[05])(?!\.?\d)", re.I
)
_CODE_PORT = re.compile(r"[\s\-]{1,3}([A-Z]{2})(?![^\W_])")
_ATTACHED = re.compile(r"[\-_+&.]([^\W\d_]+)")
_WORD = re.compile(r"\s(?!licen|lizen|v?\d)[^\W\d_]", re.I)
# Words that may follow an element in a licence's name and are none themselves: by their beginnings, squeezed.
_FILLERS = re.compile(
    r"(?:licen|lizen|lisen|lisan|llicen|licc|leyfi|lupa|adei|лиценз|ліценз|ліцэнз|ライセンス|许可|許可|授权|授權|協議|协议|라이선스|이용허락)\w{0,8}$"
    r"|v$|ver|wersj|βερ|верс|版|intern|yntern|nazioart|kansainv|rahvusv|medzin|mezin|međun|medun|miedzyn|mednar|uluslar"
    r"|starpt|tarpta|междун|міжнар|меѓун|國際|国际|国際|국제|دولي|aao|unport|gener|igo$|oig$|universal|public|pubblic|by$|cc$"
    r"|creative|commons|deed|type|styl|the$|and$|de$|du$|of$|dari$|di$"
)
_TITLE_END = re.compile(r"[.;。](?:\s|$)")
_PORT_CODES = """AR AT AU AZ BE BG BR CA CH CL CN CO CR CZ DE DK EC EE EG ES FI FR GE GR GT HK HR HU IE IL IN IT JO JP
KR LU MK MT MX MY NL NO NZ PE PH PL PR PT RO RS SE SG SI TH TW UG UK US VE VN ZA"""
PORTS = frozenset(_PORT_CODES.split())
COUNTRIES = tuple(
    (re.compile(pattern, re.I), port)
    for pattern, port in (
        ("deutschland|germany", "DE"), ("österreich|austria", "AT"), ("schweiz|switzerland|suisse", "CH"),
        (r"united states|estados unidos|US\b", "US"), ("france", "FR"), ("españa|spain", "ES"), ("italia|italy", "IT"),
        ("nederland|netherlands", "NL"), ("polska|poland", "PL"), ("australia", "AU"), ("new zealand", "NZ"),
        ("canada", "CA"), ("brasil|brazil", "BR"), ("united kingdom|england", "UK"), ("日本|japan", "JP"),
    )
)  # fmt: skip


def commons_license(text: str) -> tuple[str, str] | None:
    """(licence, the words that name it) for the first Creative Commons licence that a line names, or null."""
    folded = plain(text)
    if code := _CODE.search(folded):
        return _by_code(text, folded, code)
    if hit := _COMMONS.search(folded):
        start = max(0, hit.start() - BEFORE)
        if ends := [m.end() for m in _TITLE_END.finditer(folded, start, hit.start())]:
            start = ends[-1]
        near = folded[start : hit.end() + AFTER]
        if license := _by_name(near, hit.end() - start):
            return license, text[hit.start() :][:120]
    return None


def title_license(text: str) -> str | None:
    """The licence that a title of CC's is of (Attribution-ShareAlike 4.0 International), if all of `text` is one."""
    folded = _COMMONS.sub("", plain(text.strip()), count=1).strip()
    if len(folded) > BEFORE + AFTER:
        return None
    found = elements_of(folded)
    if not found or found[0].name != "BY" or found[0].start > 0:
        return None
    version = _VERSION.search(folded)
    license = _by_name(folded, 0)
    return license if version or len(found) > 1 else None


def elements_license(text: str) -> str | None:
    """The licence of a metadata value that is nothing but its elements: by-nc-sa 4.0, BY-ND."""
    found = _ELEMENTS.fullmatch(plain(text.strip()))
    return cc_id(found[1].upper().replace(" ", "-").split("-")[1:], found[2], None) if found else None


def _by_code(text: str, folded: str, code: re.Match[str]) -> tuple[str, str]:
    if code[2]:
        return "CC0-1.0", text[code.start() : code.end()]
    elements, at = [], code.end()
    ahead = folded[at : at + NEAR]
    named = {e.start: e for e in elements_of(ahead)}
    while True:
        if short := _SHORT.match(folded, at):
            elements.append(short[1])
            at = short.end()
        elif (long := named.get(_GAP.match(folded, at).end() - code.end())) is not None:  # type: ignore[union-attr]
            elements.append(long.name)
            at = code.end() + long.end
            while at < len(folded) and folded[at].isalpha():
                at += 1
        else:
            break
    if code[1] == "by" and at == code.end() and folded[code.end() - 3] in " :" and _WORD.match(folded, at):
        return CC_UNREAD, text[code.start() : at]  # CC by its author
    if (next_letter := folded[at : at + 1]).isalpha() and not code[0].endswith(" ") and at == code.end():
        return CC_UNREAD, text[code.start() : at + len(next_letter)]  # CC BYOB
    version = _CODE_VERSION.match(folded, at)
    port = _CODE_PORT.match(folded, version.end()) if version else None
    end = port.end() if port else version.end() if version else at
    words = text[code.start() : end].strip()
    attached = _ATTACHED.match(folded, at)
    if attached and not _is_filler(attached[1]) and folded[at : at + 1] in "-_+&":
        return CC_UNREAD, words + attached[0]
    elements += [e.name for e in elements_of(_said_of_it(folded, code.start(), end)) if e.name in ("NC", "ND")]
    if late := _LATE.match(folded, version.end() if version else at):  # CC BY 4.0 NC
        elements += re.findall("NC|ND|SA", late[0])
    behind = folded[end : end + NEAR]
    elements += [name for name, pattern in _FORBIDDING if pattern.search(behind)]
    name = port[1] if port and port[1] in PORTS else None
    return cc_id([e for e in elements if e != "BY"], version[1] if version else None, name), words


def _said_of_it(folded: str, start: int, end: int) -> str:
    """What stands behind a code, up to the next licence, and before it the name that it is short for."""
    behind = folded[end : end + NEAR]
    for other in re.finditer(f"{_COMMONS.pattern}|{_CODE.pattern}", behind, re.I):
        if other.start() > _APPOSED:  # said of another licence
            behind = behind[: other.start()]
            break
    before = folded[max(0, start - NEAR) : start]
    names = list(_COMMONS.finditer(before))
    name = names[-1] if names else None
    own = before[name.end() :] if name and not _TITLE_END.search(before, name.end()) else ""
    return f"{own} | {behind}"


def _by_name(near: str, behind: int) -> str | None:
    """The licence whose elements stand in `near`; `behind`: where "Creative Commons" ends in it."""
    found = elements_of(near)
    named = {e.name for e in found} | {m[0] for m in re.finditer(r"\b(?:BY|NC|ND|SA)\b", near)}
    if not named:
        return None
    version = _VERSION.search(near, behind) or _VERSION.search(near)
    if _unread(near, found, version):
        return CC_UNREAD
    after = near[version.end() : version.end() + 20] if version else ""
    port = next((port for country, port in COUNTRIES if country.match(after.lstrip())), None)
    return cc_id(sorted(named - {"BY"}), version[1] if version else None, port)


_INTRODUCED = re.compile(r"\w{0,12}+['’]?!?\s{0,2}(?:(-)|[\-/+,、،&|;:])\s{0,2}([^\W\d_]+)")
_BEFORE_DASH = re.compile(r"(?<!\w)([^\W\d_]+)-$")
_RUN_ON = re.compile(r"\w{0,12}+!?[\s(]{0,3}((?:[^\W\d_]+[\s\-,.:]{1,3}){1,5})[1-4]\.[05]")


def _unread(near: str, found: list[Element], version: re.Match[str] | None) -> bool:
    """Whether a word of the licence's name is neither an element nor one that says nothing."""
    starts = [e.start for e in found]
    if (
        found
        and (word := _BEFORE_DASH.search(near, max(0, found[0].start - 40), found[0].start))
        and not _is_filler(word[1])
    ):
        return True
    for element in found:
        tail = near[element.end : element.end + 80]
        if any(0 <= start - element.end <= 6 for start in starts):
            continue  # the next element follows
        if version and element.start < version.start() and (run := _RUN_ON.match(tail)):
            words = re.findall(r"[^\W\d_]+", run[1])
            if not all(_is_filler(w) for w in words):
                return True
        if (word := _INTRODUCED.match(tail)) and not _is_filler(word[2]):
            titled = version is not None and element.end < version.start() <= element.end + 60
            tight = tail[word.start(1) : word.end(1) + 1] == f"-{word[2][0]}" if word[1] else False
            if titled or tight:
                return True
    return False


def _is_filler(word: str) -> bool:
    return word.upper() in PORTS or _FILLERS.match(squeeze(word)[0]) is not None


def forbidden_use(text: str) -> str | None:
    """The words that forbid commercial use or derivatives, or null."""
    folded = plain(text)
    return next((text[e.start : e.end] for e in _restrictions(folded)), None)


def _restrictions(folded: str) -> Iterator[Element]:
    yield from (e for e in elements_of(folded) if e.name in ("NC", "ND"))
    for hit in re.finditer(r"\b(?:NC|ND)\b", folded):
        yield Element(hit[0], hit.start(), hit.end())
