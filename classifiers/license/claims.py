# ruff: noqa: E501 - word lists read by language
"""Whether a line grants the licence that it names, denies it, and of what: the page, a picture, a program, a quotation.

Regular expressions over one line of text; each looks at a bounded number of characters around the licence's name.
"""

import re
from collections.abc import Iterator

from gristmill.classifiers.license.commons import elements_of, plain, title_license
from gristmill.classifiers.license.names import PUBLIC_DOMAIN, expression, family
from gristmill.classifiers.license.terms import (
    COPYRIGHT,
    GRANTS,
    MEDIA_WORDS,
    NAMING_WORDS,
    OTHER_WORDS,
    PAGE_WORDS,
    PUBLIC_DOMAIN_GRANT,
    RESTRICTS,
    fold,
    license_of_text,
)

_CLAUSE = 120  # characters before a licence in which its clause begins
_BEHIND = 60  # and behind it, in which the clause may still deny
_PUBLIC_DOMAIN = re.compile(r"public domain|gemeinfrei|domaine public", re.I)
_NAMED = 4  # licences of a line that are looked at until one is not denied

_BOUNDARY = re.compile(
    r"[.;!?。；！？|•·](?=\s|$)|[。，；！？]|\n"
    r"|\b(?:but|however|except|unless|other than|instead|and (?:is|are|was|has|can|may)"
    r"|sondern|aber|jedoch|außer|sofern|soweit|falls|(?<!é )(?<!está )(?<!são )(?<!não )mais|sauf|sino|pero|salvo|mas|exceto|ma|bensì|maar|tenzij|men|utan|vaan"
    r"|lecz|ale|nýbrž|hanem|kivéve|а|но|однако|кроме|але)\b",
    re.I,
)
# Words that look like a denial and are none.
_HARMLESS = re.compile(
    r"\bnot[\s\-](?:only|just|for[\s\-]profit|otherwise|noted|to be confused)|\bnicht (?:nur|anders\w*|anderweitig|gesondert|eigens"
    r"|abweichend|ausdrücklich)|\bnon[\s\-]profit|\bno (?:sólo|solo)|\bno (?:se )?(?:indi|especifi|expres|haya|diga)\w+|\bne (?:sont|est|coûte\w*) pas (?:payant|vendu|gratuit)\w*|\bnão só|\bnon solo|\bniet alleen|\binte bara|\bikke bare"
    r"|\bne .{0,20}seulement|\bnot (?:\w+ ){0,2}(?:stated|indicated|specified|marked) otherwise|\bnie tylko|\bне только|\bnot all rights",
    re.I,
)
_NEGATION = re.compile(
    r"\bnot\b|n['’]t\b|\bnever\b|\bhardly\b|\bscarcely\b|\bno longer\b|\bnothing\b|\bneither\b|\bnor\b|\bcannot\b|\bnone of\b|\bno part\b|\bformerly\b|\bpreviously\b"
    r"|\b(?:excluded|exempt(?:ed)?|excepted|ausgenommen|exclue?s?|excluid[oa]s?|esclus[oaie]) (?:from|von|du|de|del|della|das?|dos?)\b"
    r"|\b(?:may|might|could|will|would|should|shall) (?:later |soon |eventually |one day )?be (?:released|relicensed|published)\b"
    r"|\b(?:until|till|bis|jusqu['’](?:à|en)|hasta|fino al?|até|tot|до) (?:\w+ ){0,2}(?:19|20)\d\d\b"
    r"|\b(?:before|vor|avant|antes de|prima del) (?:19|20)\d\d\b.{0,60}\b(?:was|were|war|waren|était|étaient|era|estaba|estava)\b"
    r"|\bused to be\b|\b(?:removed|revoked|dropped|abandoned) (?:the|our|its|this)\b|\bno\s+$|\bwithout (?:an? |any )?$|\bceased\b|\bwithdrawn\b"
    r"|\bnicht\b|\bkein(?:e[nmrs]?)?\b|\bniemals\b|\bweder\b|\bnie\b"
    r"|\bn['’](?:est|a|ont|était|étaient)\b|\bne (?:sont|peut|peuvent|fait|font|se|relève\w*|sera|seront)\b|\baucune?\b|\bjamais\b"
    r"|\bno (?:está|està|estan|están|estàn|es|és|son|són|se|tiene|queda|ha|han|fue|bajo|sota|licenciad\w+|publicad\w+|disponible)\b|\bya no\b"
    r"|\bnunca\b|\btampoco\b|\bning[uú]n\w*|\bn[ãa]o\b|\bnenhum\w*|\bnon (?:è|é|e['’]|sono|si|sotto|più|está|rilasciat\w+|licenziat\w+)"
    r"|\bnessun\w*|\bniet\b|\bgeen\b|\bnooit\b|\binte\b|\bej\b|\baldrig\b|\bikk[ej]\w?\b|\bingen\b|\baldri\b|\bei(?:vät)?\b|\bnie\b"
    r"|\bnení\b|\bnejsou\b|\bnebyl\w*|\bnem\b|\bnincs\w*|\bsoha\b|\bnu (?:este|e|sunt|se|mai|a fost)\b|\bnije\b|\bnisu\b|\bniso\b"
    r"|\bni (?:pod|na voljo|licenc\w+|objavljen\w*)|\bnav\b|\bnėra\b|\bekki\b|\bez (?:da|dago|dira|daude)\b|\bδεν\b|\bόχι\b"
    r"|\bне\b|\bнет\b|\bніколи\b|\bникогда\b|\bнема\b|\bније\b|\bнису\b|\bнямa?\b"
    r"|不是|不在|不受|不属|不屬|不适用|不適用|不采用|不採用|不以|不按|不得|未以|未按|未采用|未採用|未获|未獲|没有|沒有|并非|並非|并未|並未|不再"
    r"|\bلیس\b|ليس|\bلا\b|غير مرخ|\bאינ[והםן]\b|\bאיננ\w+|\bלא\b|\bkhông\b|ไม่|\btidak\b|\bbukan\b|\bneniam\b|\bne estas\b",
    re.I,
)
_NEGATION_BEHIND = re.compile(
    r"^[\s,(]{0,3}until (?:\w+ ){0,2}\d{4}|\b(?:does|do|did|shall|will) not apply|\b(?:does|do|did)n['’]t apply|\bno longer appl\w+"
    r"|\b(?:is|was|are|has|have|been) (?:not|never|no longer) (?:\w+ )?(?:in force|granted|given|valid|applicable|used|apply|available)"
    r"|\b(?:has|have) been (?:withdrawn|revoked)|\bw(?:as|ere) (?:withdrawn|revoked)|\b(?:has )?expired"
    r"|^\W*(?:Lizenz )?(?:\w+ )?(?:stünden?|wären?)\b"
    r"|\bg(?:ilt|elten) (?:hier |für \w+ \w+ )?nicht|\bne s['’]applique(?:nt)? pas|\bno (?:se )?(?:aplica|rige|vale)|\bnon si applica"
    r"|\bnão se aplica|\bgeldt niet|\bgäller inte|\bg(?:ælder|jelder) ikke|\bnie (?:obowiązuje|dotyczy)|\bне (?:действует|распространяется|применяется)"
    r"|\bdeğil|\blisanslanma|lisansı altında değil|ではありません|ではない|ません|いない|않|아닙니다|아니|नहीं|نیست|نمی|不适用|不適用",
    re.I,
)
_NOT_OF_THE_PAGE = re.compile(r"^\W*(?:to|für|aux?|a la[s]?|voor|for|på|do)\b[^.]{0,80}", re.I)
# With the exception of this page, ...: a clause of its own, which the next one does not undo.
_BUT_THIS = re.compile(
    r"\b(?:except(?:ing|ion of)?(?: for)?|apart from|other than|excluding|not including|ausnahme|außer|ausgenommen"
    r"|exception de|sauf|hormis|excep(?:to|ción de)|salvo|eccezione di|tranne|eccetto|exceto|exceção d|behalve|uitzondering van)"
    r" ?(?:this|the present|dies\w{1,2}|cette|cet|ce|esta|este|questa|questo|est[ae]|deze|dit)\s"
    r"(?:page|article|text|post|work|document|seite|artikel|beitrags?|text\w{0,2}|texte|página|artículo|texto|pagina|articolo|testo|artigo|tekst)\b",
    re.I,
)
# If this page were under ..., it would be under ...
_UNREAL = re.compile(
    r"\b(?:if|wenn|falls|si|se|indien|als|hvis|om|jeśli|gdyby|если)\b[^.;]{0,80}"
    r"\b(?:were|had been|wären?|stünden?|était|étaient|fueran?|estuvieran?|fosse|fossero|estivesse|vore|był[aoy]?by)\b"
    r"|\bwould (?:be|have been) (?:licen|releas|publish|availab|distribut)",
    re.I,
)
_ASKED = re.compile(r"\W{0,3}(?:licen[cs]e|lizenz|licencia|licenza|licença|licentie)?\W{0,3}[?？]", re.I)
# A page that takes something over is not the subject of what is said of that.
_USES = re.compile(
    r"\b(?:uses|using|utili[sz]es|includes?|contains|incorporates|quotes|embeds|built (?:with|on|using)|powered by|runs on|made with"
    r"|created with|generated (?:with|by)|(?:material|text|content|data|words|code) (?:taken )?from|excerpt\w*|adapted from|borrow\w*"
    r"|reprinted from|reproduced from|copied from|nutzt|verwendet|benutzt|enthält|utilise|contient|utiliza|contiene|usa|gebruikt|używa"
    r"|использует|läuft mit|basiert auf|bruker|bruger|använder|käyttää|kullanır|kullanmaktadır|folosește|використовує|používá|koristi|uporablja|naudoja|menggunakan|sử dụng)\b",
    re.I,
)
# The quotation above is from this wiki: what is named first is meant.
_OF_OTHER = re.compile(
    rf"{OTHER_WORDS.pattern}[\w\s]{{0,40}}\b(?:is|are|was|were|from|ist|sind|stammt|est|sont)\b", re.I
)
# The tide tables were published under ...: a thing, and neither the page nor a work with a title.
_SOME_THING = re.compile(
    r"\W{0,3}(?:[Tt]he|[Tt]hese|[Tt]hose|[Tt]heir|[Ii]ts|[Aa]n?) [a-z][\w\-]*(?: [a-z][\w\-]*){0,6} (?:is|are|was|were|has been|have been)\b"
)
# Wikipedia's text, weather data: named, and not the page.
_OF_SOMEBODY = re.compile(
    r"\b(?!(?:Site|Website|Web|Page|Blog|Author|Wiki|Today|Here|It|That|What)['’])[A-Z][\w\-]+['’]s? (?:text|articles?|content|contents|data|code)\b"
    r"|\b(?:Wikipedia|Wikimedia|Wiktionary|Wikivoyage|Stack ?Overflow|Stack ?Exchange) (?:articles?|texts?|content|entries|answers|pages)\b"
    r"|\b[Cc]omments are\b"
)
_SOME_DATA = re.compile(
    r"\b(?:weather|map|geo\w*|location|traffic|market|price|stock|census|statistical|climate|election|sports?|bibliographic"
    r"|open|raw|source|underlying|wetter|karten) ?data\b|\b(?:Wetter|Karten|Geo)daten\b",
    re.I,
)
_BEGINS = re.compile(r"[.;!?。；！？|•·](?=\s)|\n")  # where a sentence begins
_COPULA = re.compile(
    r"\b(?:is|are|was|were|be|been|has|have|which|that|ist|sind|est|sont|es|está|è|sono|wird|werden)\b|[\s,:–—\-]+",
    re.I,
)
_CODE_ALONE = re.compile(
    r"\W{0,3}(?:(?:the|all|our|any|my|sample|example|source)\s){0,3}(?:source code|code|scripts?|software|programs?)\b"
    r"(?!.{0,60}\b(?:text|content|contents|articles?|documentation)\b)",
    re.I,
)
_PAGE_ALONE = re.compile(
    r"\b(?:work|page|site|website|blog|contents?|articles?|texts?|materials?|documents?|posts?|book|wiki|publication|documentation|docs"
    r"|preprint|werk|text|seite|website|artikel|beitr[aä]ge?|inhalte?|wiki|dokument\w*|œuvre|oeuvre|texte|contenus?|obra|página|sitio"
    r"|artículo|texto|contenido|conteúdo|trabalho|opera|pagina|sito|articolo|testo|contenuti|inhoud|innhold|innehåll|indhold|treść"
    r"|материалы|содержание|произведение|本站|本文|本作品|この作品)\b|本站|本文|本作品|この作品|이 저작물",
    re.I,
)


def denies(line: str, start: int, end: int) -> bool:
    """Whether the clause in which line[start:end] names a licence says that it does not hold."""
    line = plain(line)
    begin = max(0, start - _CLAUSE)
    for boundary in _BOUNDARY.finditer(line, begin, start):
        begin = boundary.end()
    before = line[begin:start]
    for element in elements_of(before):  # No Comercial is no denial
        if element.name in ("NC", "ND"):
            before = before[: element.start] + "_" * (element.end - element.start) + before[element.end :]
    if _NEGATION.search(_HARMLESS.sub(" ", before)):
        return True
    if _UNREAL.search(before) or _BUT_THIS.search(line, max(0, start - _CLAUSE), start) or _ASKED.match(line, end):
        return True
    stop = _BOUNDARY.search(line, end, end + _BEHIND)
    behind = line[end : stop.start() if stop else end + _BEHIND]
    if (hit := _NEGATION_BEHIND.search(behind)) is None:
        return False
    to = _NOT_OF_THE_PAGE.match(line[end + hit.end() : end + hit.end() + 100])
    return not (to and (MEDIA_WORDS.search(to[0]) or OTHER_WORDS.search(to[0])))


# Of these (folded) one stands in every text with a line of which `granted_license` or `public_domain_grant` says anything.
_GRANTING = (*NAMING_WORDS, "publ", "geme")


def may_grant(text: str) -> bool:
    folded = fold(text)
    return any(map(folded.__contains__, _GRANTING))


def granted_license(line: str) -> tuple[str, str] | None:
    """(licence, the words that name it) for the first licence that a line names and does not deny, or null."""
    return next(granted_licenses(line), None)


def granted_licenses(line: str) -> Iterator[tuple[str, str]]:
    """As `granted_license`, for each of the first licences of a line."""
    at = 0
    for _ in range(_NAMED):
        found = license_of_text(line[at:])
        if found is None:
            return
        start = max(line.find(found[1], at), at)
        at = start + len(found[1])
        if not denies(line, start, at):
            yield found


def public_domain_grant(line: str) -> str | None:
    """The words that give a line's text to the public domain, or null."""
    if hit := PUBLIC_DOMAIN_GRANT.search(line):
        words = hit[0]
        named = [(m.start(), m.end()) for m in _PUBLIC_DOMAIN.finditer(line)][:_NAMED]
        if denies(words, len(words), len(words)) or any(denies(line, start, end) for start, end in named):
            return None
        return words
    return None


def is_software(license: str) -> bool:
    """Whether a licence is made for programs: to be the page's, a line must say so of the page."""
    if license.startswith(
        ("CC", "LicenseRef-CC", "OGL", "NLOD", "ODC", "ODbL", "PDDL", "DL-DE", "etalab", "CDLA", PUBLIC_DOMAIN)
    ):
        return False
    return "GFDL" not in license and family(license) != "unknown"


def subject_of(line: str, words: str, license: str) -> str | None:
    """What a line grants rights in: page, media or other, the one named first; null where it names nothing."""
    at = line.find(words)
    place = len(line) if at < 0 else at
    found = [
        (hit.start(), name)
        for name, pattern in (("page", PAGE_WORDS), ("media", MEDIA_WORDS), ("other", OTHER_WORDS))
        if (hit := pattern.search(line)) and (name != "other" or at < 0 or hit.start() <= at)
    ]
    first = min(found)[1] if found else None
    if (other := _OF_SOMEBODY.search(line, 0, place) or _SOME_DATA.search(line, 0, place)) and (
        first is None or other.start() <= min(found)[0] or other.end() > min(found)[0]
    ):
        return "other"
    if first == "page" and (_USES.search(line, min(found)[0], place) or _OF_OTHER.search(line, min(found)[0], place)):
        return "other"
    if first is None and _SOME_THING.match(line, _sentence(line, place)):
        return "other"
    if first is None and _USES.search(line, _sentence(line, place), place):
        return "other"
    if is_software(license) and first != "media":
        return _program_or_page(line, place)
    return first


def _sentence(line: str, place: int) -> int:
    """Where the sentence begins in which `place` stands."""
    return max((m.end() for m in _BEGINS.finditer(line, 0, place)), default=0)


def _program_or_page(line: str, place: int) -> str | None:
    """Of a program's licence: page where the sentence is about the page, null where it has no subject, else other."""
    begin = _sentence(line, place)
    grant = GRANTS.search(line, begin)
    subject = line[begin : grant.start() if grant and grant.start() <= place else place]
    if not _COPULA.sub("", subject):
        return None
    if _USES.search(subject) or OTHER_WORDS.search(subject):
        return "other"
    if _CODE_ALONE.match(subject):
        return "other"
    if COPYRIGHT.search(subject) or subject.lstrip().startswith("©"):
        return None
    return "page" if _PAGE_ALONE.search(subject) else "other"


def grants(line: str, license: str) -> bool:
    """Whether a line gives rights at all, rather than mentions a licence.

    One that forbids a use is believed for less: in more languages, and where the line is nothing but its name.
    """
    if GRANTS.search(line) is not None:
        return True
    if family(license) != "restricted":
        return False
    name = line.strip().rstrip(".")
    return RESTRICTS.search(line) is not None or expression(name) == license or title_license(name) == license
