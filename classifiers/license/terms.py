"""Licences that running text names, and the words that forbid or reserve, in some thirty languages."""

import re
from dataclasses import dataclass

from gristmill.classifiers.license.commons import COMMONS_WORDS, commons_license
from gristmill.classifiers.license.names import expression


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


@dataclass(frozen=True, slots=True)
class Either:
    """Two patterns of one alternation: what stands first counts, of two at one place the first pattern's."""

    first: Guarded
    second: Guarded

    def search(self, text: str) -> re.Match[str] | None:
        folded = fold(text)
        one, other = self.first.search(text, folded), self.second.search(text, folded)
        return one if other is None or (one is not None and one.start() <= other.start()) else other


def fold(text: str) -> str:
    """As patterns that ignore case see it: case, and the dotless i."""
    return text.lower() if text.isascii() else text.casefold().replace("ı", "i")


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

_NAMED_WORDS = sorted({word for guarded, _ in _NAMED for word in guarded.words})


# "under the BSD-3-Clause AND MIT license", "License: Apache-2.0 OR MIT": an SPDX expression in words.
_STATED = Guarded(
    ("licen", "under "),
    re.compile(
        r"(?i:\bunder (?:the )?(?:terms of (?:the )?)?|\blicen[sc]e ?[:=] ?)"
        r"([A-Za-z0-9.\-+]{2,40}(?: ?(?:AND|OR|WITH|and|or) ?[()A-Za-z0-9.\-+]{2,40}){0,12}\)?)"
        r"(?: licen[sc]es?\b|[.;,]? *$)"
    ),
)


_CC_GUARD = ("cc", "ｃｃ", *COMMONS_WORDS)  # one of them stands wherever a Creative Commons licence is named

# Of these words (folded) one stands in every text in which `license_of_text` finds something.
NAMING_WORDS = tuple(sorted({*_STATED.words, *_CC_GUARD, *(word for guarded, _ in _NAMED for word in guarded.words)}))


def license_of_text(text: str) -> tuple[str, str] | None:
    """(licence, the words that name it) for the first licence that a line of text names, or null."""
    folded = fold(text)
    if (found := _STATED.search(text, folded)) and (
        stated := expression(found[1].replace(" and ", " AND ").replace(" or ", " OR "))
    ):
        return stated, found[1]
    if any(map(folded.__contains__, _CC_GUARD)) and (found := commons_license(text)):
        return found
    if not any(map(folded.__contains__, _NAMED_WORDS)):
        return None
    for guarded, license in _NAMED:
        if found := guarded.search(text, folded):
            return license, found[0]
    return None


# All rights, in so many words: what contradicts an open licence. "Some rights reserved" does not.
_RESERVED_WORDS = (
    "rättigheter", "rettigheter",
    "behalt", "voorbehouden", "tous ", "reservados", "riservati", "reservats", "rezervate", "förbehål",
    "forbehold", "oikeudet", "prawa", "vyhrazen", "vyhraden", "fenntartva", "pridržan", "saklidir", "επιφύλαξη",
    "права", "無断転載", "版权所有", "版權所有", "著作權所有", "不許複製", "無斷轉載", "무단", "모든 권리", "הזכויות",
    "حقوق", "quyền", "สงวนลิขสิทธิ์", "dilindungi", "सर्वाधिकार", "prohibit", "must be authori", "forbidden",
)  # fmt: skip
_IN_ENGLISH = Guarded(("reserve",), re.compile(r"(?<!not )\ball rights?[\s\-]+(?:are )?reserved", re.I))
_IN_OTHER_WORDS = Guarded(
    _RESERVED_WORDS,
    re.compile(
        r"alle[n]? rechte?[\w\s]{0,12} vorbehalten"
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
ALL_RESERVED = Either(_IN_ENGLISH, _IN_OTHER_WORDS)  # most pages say it in English: the long pattern is seldom tried
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
    r"|\b(?:dette (?:værk|verk(?:et)?|arbeid)|detta (?:verk|arbete)|denn[ea] (?:tekst|text|side|sida|artikk?el)\w{0,2}"
    r"|tämä (?:teos|teksti|sivu|artikkeli)|aceast[ăa] (?:oper[ăa]|lucrare|pagin[ăa])|acest (?:text|articol|site)"
    r"|aquest(?:a obra|a pàgina| text| article| treball)|(?:lan|testu|artikulu|orri) hau"
    r"|ez (?:a mű|az oldal|a szöveg|a cikk)|αυτό το (?:έργο|κείμενο|άρθρο)|το παρόν (?:έργο|κείμενο)"
    r"|bu (?:eser|metin|sayfa|yazı|makale|çalışma)|ovo djelo|ovaj (?:tekst|članak)|ово дело|ovo delo|to delo"
    r"|to besedilo|(?:цей|даний) (?:твір|текст|матеріал)|ця (?:робота|стаття|сторінка)|това произведение|този текст"
    r"|(?:ciptaan|karya|artikel|tulisan) ini|(?:tác phẩm|bài viết|trang) này|šis (?:kūrinys|tekstas|darbs|teksts)"
    r"|see (?:teos|tekst)|toto dielo|tento (?:text|článek|článok)|ten (?:tekst|artykuł)|dit document|deze tekst)\b"
    r"|هذا (?:المُ?صنَّ?ف|العمل|النص|المقال)|هذه الصفحة|יצירה זו|این اثر"
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
    r"|изображени\w*|billed\w*|kuva[nt]?|valokuva\w*|kép(?:ek)?|fénykép\w*|imagini(?:le)?|imatges?|görsel\w*"
    r"|fotoğraf\w*"
    r"|εικόν\w*|φωτογραφί\w*|світлин\w*|зображення|slik[ae]|gambar|credit)\b"
    r"|hình ảnh|写真|画像|图片|圖片|사진",
    re.I,
)
# Lines about something that is neither the page nor a picture: a theme, a script, other people's posts.
OTHER_WORDS = re.compile(
    r"\b(?:themes?|templates?|design(?:ed)? by|plugins?|scripts?|fonts?|typefaces?|software|source code|icon set"
    r"|user contributions|third[\s\-]party|librar(?:y|ies)|frameworks?|programs?|programmes?|applications?|toolkit"
    r"|packages?|modules?|extensions?|engine|widgets?|components?|drivers?|kernel|compiler|data ?base"
    r"|data ?sets?|emojis?"
    r"|quotations?|quoted|excerpts?|snippets?|code samples?"
    r"|vorlage|schriftart|programm|bibliothek|zitate?|datensatz|datenbank|logiciel|bibliothèque"
    r"|citation|programa|biblioteca"
    r"|powered by)\b",
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
# The same in the other languages of CC's titles. Some of these words only name a licence, so that they count where a
# use is forbidden, and give nothing.
RESTRICTS = re.compile(
    r"\b(?:ge)?li[cs]en[cst]\w{0,2}(?:er|ier)\w{1,4}\b|\bl?licenciad\w{1,2}\b|\blicenc(?:ir|ov|jon|ij)\w+|lisensoi|lisanslan"
    r"|\b(?:sub|sota|sob|pod|под|po|pagal|saskaņā ar|under|onder|baixo) (?:[\w\-]+ ){0,3}"
    r"(?:l?lic[ei]n\w+|lisen\w+|litsents\w*|лиценц\w*|лиценз\w*|ліценз\w*)"
    r"|\b(?:licen[cs]\w{0,4}|lizenz|licenz[ae]|licença) (?:de )?creative commons"
    r"|\b(?:under|unter|sous|bajo|sob|sotto|con|onder|med|pod|sub|na) (?:an?|the|einer|une|una|uma|een|licenc\w+)? ?"
    r"creative commons"
    r"|\bpodléhá licenc|\bsubjec?t\w* a (?:una )?l?lic|\bl?licència\b|lizentzia|lisenssi|licenc\b|lisans[ıi]|άδεια"
    r"|αδειοδοτ|лиценз|ліценз|лиценц"
    r"|رخصة|مرخص|ترخيص|רישיון|giấy phép|cấp phép|\blisensi\b|授权|授權|許可|许可|라이선스|이용허락|ライセンス",
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
