"""Licences that running text names, and the words that forbid or reserve, in some thirty languages."""

import re
from dataclasses import dataclass

from gristmill.classifiers.license.names import cc_id, expression

# The four elements as Creative Commons' own translations call them (creativecommons.org/licenses/*/deed.<language>):
# attribution, non-commercial, no derivatives, share alike.
_ELEMENT_WORDS = {
    "en": ("attribution", r"non[\s\-]?commercial", r"no[\s\-]?deriv", r"share[\s\-]?alike"),
    "de": ("namensnennung", r"nicht[\s\-]?kommerziell|keine[\s\-]*kommerzielle",
           r"keine[\s\-]*bearbeitung", r"gleichen bedingungen"),
    "fr": ("attribution|paternit[ée]", r"pas d.utilisation commerciale",
           "pas de modification", r"partage (?:à l|des cond|dans les)"),
    "es": ("atribución|reconocimiento", r"no[\s\-]?comercial",
           r"sin ?obras? ?derivadas?|sinderivar", r"compartir ?igual"),
    "ca": ("reconeixement", "no comercial", "sense obra derivada", r"compartir ?igual"),
    "pt": ("atribuição", r"n[ãa]o[\s\-]?comercial",
           r"sem ?deriva|proibição de realização", r"compartilha ?igual|partilha"),
    "it": ("attribuzione", "non commerciale", "non opere derivate", "condividi allo stesso"),
    "ro": ("atribuire", "necomercial", "fără (?:opere derivate|modificări)", "distribuire în condiții"),
    "nl": ("naamsvermelding", r"niet[\s\-]?commercieel", "geen ?afgeleide", "gelijk ?delen"),
    "sv": ("erkännande", r"icke[\s\-]?kommersiell", r"inga[\s\-]?bearbetning", r"dela[\s\-]?lika"),
    "da": ("navngivelse|kreditering", r"ikke[\s\-]?kommerciel", r"ingen[\s\-]?bearbejdelse", "del på samme"),
    "no": ("navngivelse", r"ikke[\s\-]?kommersiell", r"ingen[\s\-]?bearbeidelse", "del på samme"),
    "fi": ("nimeä", r"ei[\s\-]?kaupallinen", r"ei[\s\-]?muutoksia", r"jaa[\s\-]?samoin"),
    "et": ("autorile viitamine", "mitteäriline eesmärk", "tuletatud teoste keeld", "jagamine samadel"),
    "pl": ("uznanie autorstwa", "użycie niekomercyjne", "bez utworów zależnych", "na tych samych"),
    "cs": ("uveďte", "neužívejte (?:dílo )?komerčně", "nezasahujte do díla|nezpracovávejte", "zachovejte licenci"),
    "sk": ("uveďte autora", "nepoužívajte komerčne|nekomerčné", "nespracúvajte|bez odvodenín", "rovnaké šírenie"),
    "hu": ("nevezd meg", "ne add el", "ne változtasd", "így add tovább"),
    "hr": ("imenovanje", "nekomercijalno", "bez prerada", "dijeli pod istim"),
    "sl": ("priznanje avtorstva", "nekomercialno", "brez predelav", "deljenje pod enakimi"),
    "tr": ("alıntı|atıf", "gayri ?ticari|ticari olmayan", "türetilemez", "aynı lisansla|lisans devam"),
    "el": ("αναφορά", "μη εμπορική", "όχι παράγωγα", "παρόμοια διανομή"),
    "ru": ("атрибуция|указанием авторства", "некоммерческ", "без производных", "сохранением условий|тех же условиях"),
    "uk": ("зазначення авторства", "некомерційн", "без похідних", "на тих самих"),
    "bg": ("признание", "некомерсиално|некомерсиална", "без производни", "споделяне на споделеното"),
    "ja": ("表示", "非営利", "改変禁止", "継承"),
    "zh": ("署名|姓名標示|姓名标示", "非商业|非商業", "禁止演绎|禁止改作", "相同方式"),
    "ko": (r"저작자\s?표시", "비영리", r"변경\s?금지", r"동일\s?조건"),
    "he": ("ייחוס", "שימוש לא מסחרי", "איסור יצירות נגזרות|ללא יצירות", "שיתוף זהה"),
    "ar": ("النسبة|نسب المصنف", "غير تجاري|غير التجاري", "منع الاشتقاق", "المشاركة بالمثل|الترخيص بالمثل"),
    "fa": ("انتساب", "غیرتجاری", "غیراشتقاقی", "همانند"),
    "vi": ("ghi công", "phi thương mại", "không phái sinh", "chia sẻ tương tự"),
    "th": ("แสดงที่มา", "ไม่ใช้เพื่อการค้า", "ไม่ดัดแปลง", "อนุญาตแบบเดียวกัน"),
    "id": ("atribusi", r"non[\s\-]?komersial", "tanpa ?turunan", "berbagi ?serupa"),
    "bn": ("অ্যাট্রিবিউশন", "অ-?বাণিজ্যিক", "অ-?মৌলিক", "শেয়ার-?আলাইক"),
    "eu": ("aitortu", r"ez[\s\-]?komertziala", "lan eratorririk gabe", "partekatu"),
}  # fmt: skip
_ELEMENTS = tuple(
    (code, re.compile("|".join([words[i] for words in _ELEMENT_WORDS.values()] + [rf"(?-i:\b{code}\b)"]), re.I))
    for i, code in enumerate(("BY", "NC", "ND", "SA"))
)


@dataclass(frozen=True, slots=True)
class Guarded:
    """A pattern, and words (folded) of which one stands in every text where it finds something: `in` is much faster."""

    words: tuple[str, ...]
    pattern: re.Pattern[str]

    def search(self, text: str, folded: str) -> re.Match[str] | None:
        for word in self.words:
            if word in folded:
                return self.pattern.search(text)
        return None


def fold(text: str) -> str:
    """As patterns that ignore case see it: case, and the dotless i."""
    return text.lower() if text.isascii() else text.casefold().replace("ı", "i")


_CC_WORDS = Guarded(
    ("creative", "クリエイティブ", "知识共享", "知識共享", "創用", "커먼즈", "কমন্স", "креатив"),
    re.compile(
        r"creative[\s\-]?commons?|クリエイティブ・?コモンズ|知识共享|知識共享|創用\s?CC|크리에이티브 커먼즈"
        r"|ক্রিয়েটিভ কমন্স|креатив коммонс",
        re.I,
    ),
)
_CC_SHORT = Guarded(
    ("cc", "creative commons"),
    re.compile(
        r"\b(?:CC|creative commons)[\s\-–:/]*\(?(BY(?:[\s\-–_/]+(?:NC|SA|ND)){0,3}|0|ZERO)\b\)?"
        r"(?:[\s\-–,]*(?:version|v)?\.?\s*(\d\.\d))?(?:[\s\-–]+([A-Z]{2})\b)?",
        re.I,
    ),
)
_PORT_NAMES = """AR AT AU BE BG BR CA CH CL CN CO CR CZ DE DK EC EE ES FI FR GR GT HK HR HU IE IL IN IT JP KR LU MK MT
MX MY NL NO NZ PE PH PL PT RO RS SE SG SI TH TW UG UK US VE VN ZA"""
_PORTS = frozenset(_PORT_NAMES.split())
_COUNTRIES = tuple(
    (re.compile(pattern, re.I), port)
    for pattern, port in (
        ("deutschland|germany", "DE"), ("österreich|austria", "AT"), ("schweiz|switzerland|suisse", "CH"),
        (r"united states|estados unidos|US\b", "US"), ("france", "FR"), ("españa|spain", "ES"), ("italia|italy", "IT"),
        ("nederland|netherlands", "NL"), ("polska|poland", "PL"), ("australia", "AU"), ("new zealand", "NZ"),
        ("canada", "CA"), ("brasil|brazil", "BR"), ("united kingdom|england", "UK"), ("日本|japan", "JP"),
    )
)  # fmt: skip
_VERSION = re.compile(r"(?<![\d.])([1-4]\.[05])(?![\d.])")
_NAMED = tuple(
    (Guarded(words, re.compile(pattern, re.I)), license)
    for words, pattern, license in (
        (("apache",), r"\bapache(?:[\s\-]+(?:software )?licen[sc]e)?,?[\s\-]+(?:version |v)?2(?:\.0)?\b", "Apache-2.0"),
        (("mit",), r"\bMIT(?: \(expat\))?[\s\-]+(?:licen[sc]e|lizenz)|\b(?:licen[sc]e|lizenz):? MIT\b", "MIT"),
        (("bsd",), r"\b(?:BSD[\s\-]3[\s\-]clause|3[\s\-]clause BSD|new BSD|modified BSD)\b", "BSD-3-Clause"),
        (("bsd",), r"\b(?:BSD[\s\-]2[\s\-]clause|2[\s\-]clause BSD|simplified BSD)\b", "BSD-2-Clause"),
        (("2.0",), r"\b(?:MPL[\s\-]|mozilla public licen[sc]e,?[\s\-]+(?:version |v\.?)?)2\.0", "MPL-2.0"),
        (("isc",), r"\bISC[\s\-]+licen[sc]e", "ISC"),
        (("affero", "agpl"), r"\b(?:GNU )?affero\b|\bAGPL\b", "LicenseRef-AGPL"),
        (("gnu", "gfdl"), r"\bGNU free documentation licen[sc]e|\bGFDL\b", "LicenseRef-GFDL"),
        (("gnu", "lgpl"), r"\bGNU lesser\b|\bLGPL\b", "LicenseRef-LGPL"),
        (("gnu", "gpl"), r"\bGPL[\s\-]?v?3(?:\.0)?\b|GNU general public licen[sc]e,? (?:version |v)?3", "GPL-3.0-only"),
        (("gnu", "gpl"), r"\bGPL[\s\-]?v?2(?:\.0)?\b|GNU general public licen[sc]e,? (?:version |v)?2", "GPL-2.0-only"),
        (("gnu",), r"\bGNU general public licen[sc]e|\bGNU GPL\b", "LicenseRef-GPL"),
        (("government",), r"\bopen government licen[sc]e(?:,? (?:version |v))? ?3", "OGL-UK-3.0"),
        (("psf", "python"), r"\b(?:PSF|python software foundation) licen[sc]e", "PSF-2.0"),
    )
)


# "under the BSD-3-Clause AND MIT license", "License: Apache-2.0 OR MIT": an SPDX expression in words.
_STATED = Guarded(
    ("licen", "under "),
    re.compile(
        r"(?i:\bunder (?:the )?(?:terms of (?:the )?)?|\blicen[sc]e ?[:=] ?)"
        r"([A-Za-z0-9.\-+]{2,40}(?: ?(?:AND|OR|WITH|and|or) ?[()A-Za-z0-9.\-+]{2,40}){0,12}\)?)"
        r"(?: licen[sc]es?\b|[.;,]? *$)"
    ),
)


def license_of_text(text: str) -> tuple[str, str] | None:
    """(licence, the words that name it) for the first licence that a line of text names, or null."""
    folded = fold(text)
    if (found := _STATED.search(text, folded)) and (
        stated := expression(found[1].replace(" and ", " AND ").replace(" or ", " OR "))
    ):
        return stated, found[1]
    if found := _CC_SHORT.search(text, folded):
        if found[1].upper() in ("0", "ZERO"):
            return "CC0-1.0", found[0]
        port = found[3] if found[3] and found[2] and found[3] in _PORTS else None
        return cc_id(re.split(r"[\s\-–_/]+", found[1])[1:], found[2], port), found[0].strip()
    if found := _CC_WORDS.search(text, folded):
        near = text[max(0, found.start() - 60) : found.end() + 160]
        elements = [name for name, pattern in _ELEMENTS if pattern.search(near)]
        if elements:
            version = _VERSION.search(near)
            after = near[version.end() : version.end() + 20] if version else ""
            port = next((port for country, port in _COUNTRIES if country.match(after.lstrip())), None)
            return cc_id(elements, version[1] if version else None, port), text[found.start() :][:120]
    for guarded, license in _NAMED:
        if found := guarded.search(text, folded):
            return license, found[0]
    return None


def forbidden_use(text: str) -> str | None:
    """The words that forbid commercial use or derivatives, or null."""
    for name, pattern in _ELEMENTS:
        if name in ("NC", "ND") and (found := pattern.search(text)):
            return found[0]
    return None


# All rights, in so many words: what contradicts an open licence. "Some rights reserved" does not.
_RESERVED_WORDS = (
    "reserve", "behalt", "voorbehouden", "tous ", "reservados", "riservati", "reservats", "rezervate", "förbehål",
    "forbehold", "oikeudet", "prawa", "vyhrazen", "vyhraden", "fenntartva", "pridržan", "saklidir", "επιφύλαξη",
    "права", "無断転載", "版权所有", "版權所有", "著作權所有", "不許複製", "無斷轉載", "무단", "모든 권리", "הזכויות",
    "حقوق", "quyền", "สงวนลิขสิทธิ์", "dilindungi", "सर्वाधिकार", "prohibit", "must be authori", "forbidden",
)  # fmt: skip
ALL_RESERVED = Guarded(
    _RESERVED_WORDS,
    re.compile(
        r"(?<!not )\ball rights?[\s\-]+(?:are )?reserved|alle[n]? rechte?[\w\s]{0,12} vorbehalten"
        r"|alle rechten voorbehouden"
        r"|tous (?:les )?droits (?:sont )?r[ée]serv[ée]s|todos (?:los|os) (?:derechos|direitos) reservados"
        r"|tutti i diritti (?:sono )?riservati|tots els drets reservats|toate drepturile (?:sunt )?rezervate"
        r"|alla rättigheter (?:förbehål|reserve)|alle rettigheder forbehold|alle rettigheter (?:forbehold|reserver)"
        r"|kaikki oikeudet pidät|wszelkie prawa zastrzeżone|wszystkie prawa zastrzeżone|všechna práva vyhrazena"
        r"|všetky práva vyhradené|minden jog fenntartva|sva prava pridržana|vse pravice pridržane|tüm hakları saklıdır"
        r"|με την επιφύλαξη (?:παντός|κάθε) (?:νόμιμου )?δικαιώματος|все права (?:защищены|сохранены|принадлежат)"
        r"|(?:всі|усі) права захищен|всички права запазени|無断転載(?:を)?禁|版权所有|版權所有|著作權所有|不許複製"
        r"|無斷轉載"
        r"|무단\s?전재|모든 권리 보유|כל הזכויות שמורות|(?:جميع|كافة|كل) الحقوق محفوظة|تمامی? حقوق"
        r"|mọi quyền được bảo lưu|สงวนลิขสิทธิ์"
        r"|(?:segala )?hak cipta dilindungi|सर्वाधिकार सुरक्षित"
        r"|contained herein is strictly prohibited|commercial use must be authori[sz]ed"
        r"|(?:reproduction|copying|redistribution)[\w\s,]{0,60}(?:strictly )?(?:prohibited|forbidden)|copying prohibit",
        re.I,
    ),
)
# A copyright line: says who, not what is allowed. MixtureVitae refuses keyword and government pages for it.
COPYRIGHT = re.compile(r"©|\(c\) ?(?:19|20)\d\d|copyright (?:©|\(c\)|19|20|by\b)|protected by copyright", re.I)
# What a licence line may be about. The first of these that comes in a line is its subject.
PAGE_WORDS = re.compile(
    r"\b(?:this|the|all|our|except where|unless|otherwise)\b[\w\s,'’\-]{0,40}\b(?:work|page|site|website|blog"
    r"|content|contents|article|articles"
    r"|text|texts|material|materials|document|post|posts|book|wiki|publication|documentation|preprint)\b"
    r"|\b(?:text|content|contents|articles?|posts?|documentation|materials?) (?:is|are|on|of|in|posted|here"
    r"|published)\b"
    r"|\bthis (?:work|page|site|blog|article|post)|except where otherwise|unless (?:otherwise|stated)"
    r"|\bis published under"
    r"|\bdies\w* (?:werk|text|seite|website|artikel|beitrag|blog|inhalt|wiki|dokument)|\b(?:alle|die"
    r"|der) (?:\w+ )?(?:inhalte?|texte|beiträge|artikel)\b"
    r"|eigenbeiträge|produzierter content|soweit nicht anders|sofern nicht anders|falls nicht anders|steh(?:t"
    r"|en) (?:\w+ ){0,4}unter"
    r"|\b(?:ce|cette|cet) (?:œuvre|oeuvre|page|site|texte|article|blog|contenu)|\best mise? à disposition"
    r"|sauf mention contraire"
    r"|\best[ae] (?:obra|página|sitio|artículo|texto|trabalho|site|blog|contenido)|salvo (?:indicación|disposição)"
    r"|\bquest[oa']? ?(?:opera|pagina|sito|articolo|testo|blog)|\bdit (?:werk|artikel)|\bdeze (?:pagina|website|site)"
    r"|ten utwór|treść (?:strony|jest)|toto dílo|это произведение|материалы сайта|содержание доступно|この作品"
    r"|本作品|本文|本站|이 저작물|Лицензия",
    re.I,
)
MEDIA_WORDS = re.compile(
    r"\b(?:photos?|photograph\w*|pictures?|images?|header ?image|illustrations?|logos?|icons?|music|videos?"
    r"|audio|song|maps?|map data|tiles?"
    r"|flickr|wikimedia commons|unsplash|pixabay|podcasts?|screenshots?|thumbnail|artwork|cover"
    r"|fotos?|fotograf\w*|bild(?:er|quelle|nachweis)?|abbildung\w*|grafik(?:en)?|titelbild|urheber|musik"
    r"|karten?(?:daten)?|folge"
    r"|imágen(?:es)?|imagen|fotografía|imagem|imagens|immagin[ei]|afbeelding\w*|zdjęci\w*|obrázk\w*|фото\w*"
    r"|изображени\w*|credit)\b"
    r"|写真|画像|图片|圖片|사진",
    re.I,
)
# Lines about something that is neither the page nor a picture: a theme, a script, other people's posts.
OTHER_WORDS = re.compile(
    r"\b(?:theme|template|design(?:ed)? by|plugin|script|font|software|source code|icon set|user contributions"
    r"|third[\s\-]party"
    r"|vorlage|schriftart|powered by)\b",
    re.I,
)
GRANTS = re.compile(
    r"\b(?:licen[sc]ed|released|distributed|published|available|made available|covered) (?:\w+ ){0,3}(?:under"
    r"|by|as)\b|under the terms"
    r"|\blicen[sc]e ?[:=]|\blizenz ?[:=]|lizenziert|lizensiert|steh(?:t|en) (?:\w+ ){0,6}unter|unter der lizenz"
    r"|\bsous (?:la |une )?licence|bajo (?:la |una )?licencia"
    r"|sob (?:a )?licença|(?:con|sotto) licenza|na licencji|лицензи[ие]|ライセンス|许可协议|授權條款",
    re.I,
)
PUBLIC_DOMAIN_GRANT = re.compile(
    r"\b(?:this|the) (?:work|text|page|site|website|content|book|document|article)[\w\s,'’\-]{0,40}(?:is|are"
    r"|has been|have been)"
    r"[\w\s]{0,30}(?:public domain)|\bdedicated? (?:\w+ ){0,4}to the public domain"
    r"|placed (?:\w+ ){0,3}in(?:to)? the public domain"
    r"|(?:dieser text|dieses werk) ist gemeinfrei|est dans le domaine public",
    re.I,
)
