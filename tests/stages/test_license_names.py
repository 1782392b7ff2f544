# ruff: noqa: E501 - truth tables read by rows
"""Licences that text names: CC's own titles in every language, short spellings, denials, credits, declared metadata."""

import re
from pathlib import Path

import pytest

import growing
from gristmill.classifiers.license import claims, commons, terms
from gristmill.classifiers.license.claims import granted_license, public_domain_grant
from gristmill.classifiers.license.commons import plain, squeeze, title_license
from gristmill.classifiers.license.judge import Link, Page, declared_license, judge
from gristmill.classifiers.license.names import CC_UNREAD, family, license_of_url
from gristmill.classifiers.license.sites import BUILT_IN, SiteTable, parse_rules
from gristmill.classifiers.license.terms import license_of_text

TITLES = [
    tuple(line.split("\t"))
    for line in (Path(__file__).parent / "cc_titles.tsv").read_text("utf-8").split("\n")
    if line and not line.startswith("#")
]
SITES = SiteTable(parse_rules(BUILT_IN, "built-in"))


def verdict(rights="", links=(), declared=None):
    return judge(Page("https://ferry.example/", "", "", [Link(*link) for link in links], rights, declared), SITES)


def elements(license: str | None) -> set[str]:
    return set(re.findall(r"\b(NC|ND|SA)\b", license or ""))


# CC's own RDF calls BY-NC-SA in Romanian by the name of BY-NC-ND: read as it stands, which is less free
ODD = {("by-nc-sa", "Atribuire-Necomercial-FărăModificări"): {"NC", "ND"}}


@pytest.mark.parametrize(
    "form", ["This work is licensed under a Creative Commons {} 3.0 License.", "Creative Commons {} 4.0", "{} 3.0"]
)
def test_every_title_of_creative_commons_gives_its_licence_or_a_less_free_one(form):
    wrong, unread = [], 0
    for code, title in TITLES:
        text = form.format(title)
        got = title_license(text) if form.startswith("{}") else (license_of_text(text) or (None,))[0]
        wanted = ODD.get((code, title)) or {e.upper() for e in code.split("-")} & {"NC", "ND", "SA"}
        if got in (None, CC_UNREAD):
            unread += 1
        elif "sampling" in code:
            wrong += [(code, title, got)] if family(got) == "permissive" else []
        elif elements(got) != wanted:
            wrong.append((code, title, got))
    assert wrong == []
    # the retired sampling licences and, as bare titles, those of version 1.0 without BY have no name of ours
    named = len(
        [code for code, _ in TITLES if "sampling" not in code and (code.startswith("by") or not form.startswith("{}"))]
    )
    assert unread <= len(TITLES) - named + 4


@pytest.mark.parametrize("dash", "-\u00ad\u2010\u2011\u2012\u2013\u2014\u2212\u2060\u2500 _./,+|")
@pytest.mark.parametrize("code", ["BY-NC", "BY-ND", "BY-NC-ND", "BY-NC-SA"])
def test_short_names_are_read_with_any_dash(code, dash):
    text = f"Licensed under CC {code.replace('-', dash)} 4.0"
    assert elements((license_of_text(text) or ("",))[0]) == elements(code)


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("CC BY-NonCommercial 4.0", "CC-BY-NC-4.0"), ("CC-BY.NC", "LicenseRef-CC-BY-NC"), ("CC BY, NC", "LicenseRef-CC-BY-NC"),
        ("CC BY (NC)", "LicenseRef-CC-BY-NC"), ("CC BYNC 4.0", "CC-BY-NC-4.0"), ("CC BY/NC", "LicenseRef-CC-BY-NC"),
        ("CC BY 4.0, non-commercial use only", "CC-BY-NC-4.0"), ("CC BY 4.0 \u2013 no derivatives", "CC-BY-ND-4.0"),
        ("CC BY 4.0, nur für nicht kommerzielle Zwecke", "CC-BY-NC-4.0"), ("CC BY 4.0 仅限非商业用途", "CC-BY-NC-4.0"),
        ("CC BY 4.0; not for commercial use", "CC-BY-NC-4.0"), ("CC-NC-ND 2.0", "CC-BY-NC-ND-2.0"),
        ("CC BY 4.0, for commercial and non-commercial use", "CC-BY-4.0"),
        ("Creative Commons Attribution 4.0 License, which permits commercial and non-commercial re-use", "CC-BY-4.0"),
        ("Creative Commons Attribution-NonCommercial 4.0 International (CC BY 4.0)", "CC-BY-NC-4.0"),
        ("CC BY: Attribution, ShareAlike 4.0", "CC-BY-SA-4.0"), ("Creative Commons BY-NC-SA 4.0", "CC-BY-NC-SA-4.0"),
        ("ＣＣ ＢＹ－ＮＣ 4.0", "CC-BY-NC-4.0"), ("CC-BY-Lizenz", "LicenseRef-CC-BY"), ("CC BY-SA 3.0 DE", "CC-BY-SA-3.0-DE"),
        ("CC BY-NC 4.0; text CC BY 4.0", "CC-BY-NC-4.0"), ("CC BY 4.0. Next sentence.", "CC-BY-4.0"),
        ("CC BY-XX 4.0", CC_UNREAD), ("CC BYOB party", CC_UNREAD), ("photo CC by John", CC_UNREAD),
        ("Creative Commons Attribution-Frobnicate 4.0", CC_UNREAD), ("Creative Commons Attribution Frobnicate 4.0", CC_UNREAD),
        ("Creative Commons Atribución\u2011SinDerivadas 4.0", "CC-BY-ND-4.0"),
        ("Atribución-SinDerivadas 4.0 de Creative Commons", "CC-BY-ND-4.0"),
        ("Creative Commons Attribution license 4.0", "CC-BY-4.0"), ("ACC BY-NC", None),
        ("CC BY 4.0 NC", "CC-BY-NC-4.0"), ("CC BY 4.0-NC-ND", "CC-BY-NC-ND-4.0"), ("CC BY 4.0 for educational use only", "CC-BY-NC-4.0"),
        ("CC BY 4.0 without modifications", "CC-BY-ND-4.0"), ("CC BY 4.0. You may not modify this text.", "CC-BY-ND-4.0"),
        ("CC BY 4.0. For personal stories see below", "CC-BY-4.0"),
        ("CC BY [NC]", "LicenseRef-CC-BY-NC"), ("CC BY and NC", "LicenseRef-CC-BY-NC"), ("CC BY • NC • ND", "LicenseRef-CC-BY-NC-ND"),
        ("CC BY 4.0 [NC]", "CC-BY-NC-4.0"), ("CC BY 4.0 {ND}", "CC-BY-ND-4.0"), ("CC BY 4.0 for non-profit use", "CC-BY-NC-4.0"),
        ("CC BY 4.0, not-for-profit use only", "CC-BY-NC-4.0"), ("CC BY 4.0, sauf usage commercial", "CC-BY-NC-4.0"),
        ("CC BY 4.0, apenas para fins não comerciais", "CC-BY-NC-4.0"), ("CC BY 4.0 with the exception of commercial use", "CC-BY-NC-4.0"),
        ("CC BY 4.0, à des fins non commerciaux", "CC-BY-NC-4.0"), ("CC BY 4.0, außer für kommerzielle Nutzung", "CC-BY-NC-4.0"),
        ("CC BY 4.0, sin ánimo de lucro", "CC-BY-NC-4.0"), ("CC BY 4.0, кроме коммерческого использования", "CC-BY-NC-4.0"),
        ("CC BY und ND 4.0", "CC-BY-ND-4.0"), ("CC BY and others", "LicenseRef-CC-BY"),
    ],
)  # fmt: skip
def test_spellings(text, license):
    assert (license_of_text(text) or (None,))[0] == license


def test_a_licence_that_cannot_be_read_is_of_no_known_family():
    assert family(CC_UNREAD) == "unknown"
    assert verdict("This page is licensed under Creative Commons Attribution-Frobnicate 4.0").tier == "unknown"


DENIALS = """This page is not licensed under CC BY 4.0.|If this page were licensed under CC BY 4.0, you could copy it.
Wenn dieser Text unter CC BY 4.0 stünde, ginge das.|Then it would be released under CC BY 4.0.
This page is no longer licensed under CC BY 4.0.
This work isn't released under CC BY.|This work isn’t under the MIT License|None of this text is under CC BY 4.0
Never released under CC BY 4.0|Our pages were formerly licensed under CC BY 4.0.|Neither text nor images are under CC BY 4.0
The CC BY 4.0 licence does not apply to this page.|This is not a CC BY 4.0 licensed text|This text cannot be used under CC BY 4.0
Dieser Text steht nicht unter einer CC BY 4.0 Lizenz.|Dieser Text steht nicht mehr unter CC BY 4.0.
Für diese Seite gibt es keine CC BY 4.0 Lizenz|Die CC BY 4.0 Lizenz gilt nicht für diesen Text
Ce texte n'est pas sous licence CC BY 4.0.|Ce texte n’est plus sous licence Creative Commons Attribution 4.0.
Esta obra no está bajo una licencia CC BY 4.0.|Esta obra ya no se publica con licencia CC BY 4.0
Este texto já não está sob CC BY 4.0|Quest'opera non è distribuita con licenza CC BY 4.0|Aquesta obra no està sota CC BY 4.0
Deze tekst valt niet onder CC BY 4.0.|Texten är inte licensierad under CC BY 4.0|Teksten er ikke lisensiert under CC BY 4.0
Ten tekst nie jest dostępny na licencji CC BY 4.0|Toto dílo není licencováno pod CC BY 4.0|A mű nem CC BY 4.0 licenc alatt áll
Acest text nu este sub CC BY 4.0|Teos ei ole lisensoitu CC BY 4.0|Ovo djelo nije pod licencom CC BY 4.0
Этот текст не распространяется по лицензии CC BY 4.0|Цей текст не поширюється за CC BY 4.0|Αυτό το έργο δεν διατίθεται με CC BY 4.0
この作品は CC BY 4.0 ライセンスの下にありません。|本文不采用CC BY 4.0协议|本網站並非以 CC BY 4.0 授權
본 저작물은 CC BY 4.0 라이선스가 아닙니다|Bu eser CC BY 4.0 ile lisanslanmamıştır.|العمل ليس مرخصا برخصة CC BY 4.0
This work was licensed under CC BY 4.0 until 2019, but no more.|Esta página não é mais licenciada sob CC BY 4.0
We removed the CC BY 4.0 licence from this site.|This text has no CC BY 4.0 licence.
Tác phẩm này không theo giấy phép CC BY 4.0|Karya ini tidak dilisensikan di bawah CC BY 4.0
La licence CC BY 4.0 ne s'applique pas à ce texte.|This page is excluded from the CC BY 4.0 licence.|Should this page be CC BY 4.0?
With the exception of this page, the site is licensed under CC BY 4.0.|Mit Ausnahme dieser Seite steht alles unter CC BY 4.0.
Sauf cette page, tout le site est sous licence CC BY 4.0|Diese Seite ist ausgenommen von der Lizenz CC BY 4.0
This page may be released under CC BY 4.0 in the future.|Until 2019 this page was licensed under CC BY 4.0.
Bis 2019 stand diese Seite unter CC BY 4.0.|Jusqu'en 2019 cette page était sous licence CC BY 4.0.|Ist das hier CC BY 4.0 Lizenz?"""  # fmt: skip


@pytest.mark.parametrize("line", re.split(r"[|\n]", DENIALS))
def test_a_denial_is_no_grant(line):
    assert verdict(line).tier == "unknown"


GRANTS = """This page is licensed under CC BY 4.0. It is not for sale.|Unless otherwise noted, content on this site is licensed under CC BY 4.0.
Soweit nicht anders angegeben, stehen die Inhalte dieser Seite unter CC BY 4.0.|Wenn nicht anders angegeben, steht dieses Werk unter CC BY 4.0.
Except where not otherwise stated this work is licensed under CC BY 4.0|You may not use this work except under the CC BY 4.0 license.
This site is not only free but licensed under CC BY 4.0.|The CC BY 4.0 licence of this site does not apply to images.
This work is not licensed under CC BY-NC 3.0 but under CC BY 4.0.|All text on this site is licensed under CC BY 4.0 (not the photos).
This site's text is licensed under CC BY 4.0.|Our blog's content is licensed under CC BY 4.0
Si no se indica lo contrario, el contenido de este sitio está bajo una licencia CC BY 4.0
Until further notice this text is licensed under CC BY 4.0.|May I use it? Yes: this page is licensed under CC BY 4.0.
You may copy, change and publish this text under CC BY 4.0.|Except for the photos, this page is licensed under CC BY 4.0.
Sauf mention contraire, les contenus de ce site sont sous licence CC BY 4.0.|除另有声明外，本站内容采用 CC BY 4.0 许可协议"""


@pytest.mark.parametrize("line", re.split(r"[|\n]", GRANTS))
def test_words_that_only_look_like_a_denial_deny_nothing(line):
    assert (verdict(line).license, verdict(line).tier) == ("CC-BY-4.0", "permissive")


def test_a_denied_link_is_no_statement():
    link = ("https://creativecommons.org/licenses/by/4.0/", "rel", "footer", "CC BY 4.0")
    assert verdict("This page is not licensed under CC BY 4.0.", [link]).tier == "unknown"
    assert verdict("This page is licensed under CC BY 4.0.", [link]).tier == "permissive"


@pytest.mark.parametrize(
    ("line", "given"),
    [
        ("This work is in the public domain.", True), ("This work is not in the public domain.", False),
        ("This book is no longer in the public domain", False), ("This text isn't in the public domain", False),
        ("The author dedicated this text to the public domain", True),
        ("This work is hardly in the public domain", False),
        ("This document is in the public domain in Spain; it is not in the public domain here.", False), ("Dieser Text ist gemeinfrei", True),
    ],
)  # fmt: skip
def test_public_domain_is_granted_or_denied(line, given):
    assert (public_domain_grant(line) is not None) == given


CREDITS = """jQuery is licensed under the MIT License.|This site uses Foo, released under the MIT License.
The tide program that we describe here is distributed under the MIT License and can be read.|Bootstrap is released under the MIT license.
Built with Hugo, released under the Apache 2.0 License.|Powered by Jekyll & Minimal Mistakes, licensed under the MIT license
Code licensed under the MIT License|Theme: Foo, MIT License|jQuery steht unter der MIT-Lizenz.|jQuery: MIT License
Das Programm ist unter der MIT-Lizenz lizenziert|jQuery est distribué sous la licence MIT|Icons: MIT License
The map library Leaflet is available under the BSD-2-Clause license|Photos are licensed under CC BY 4.0
The quotation above is from the city wiki, licensed under CC BY-SA 4.0.|The dataset is licensed under CC BY 4.0
This article uses material from the Wikipedia article Ferry, which is released under CC BY-SA 3.0.
The tide tables were published under CC0.|Wikipedia's text is available under the CC BY-SA 4.0 license
Images on this page are in the public domain.|This game uses assets licensed under CC0.|Comments are licensed under CC BY 4.0.
Wikipedia articles are licensed under CC BY-SA 4.0.|The code on this page is licensed under the MIT License.
Weather data licensed under CC BY 4.0 by the Norwegian Meteorological Institute.|Wetterdaten: lizenziert unter CC BY 4.0"""


@pytest.mark.parametrize("line", re.split(r"[|\n]", CREDITS))
def test_the_licence_of_a_library_or_a_quotation_is_not_the_pages(line):
    assert verdict(line).tier == "unknown"


@pytest.mark.parametrize(
    "line",
    ["Released under the MIT License.", "This documentation is released under the MIT License.", "License: MIT",
     "The content of this site is available under the Apache License, Version 2.0",
     "© 2020 Foo, released under the MIT license", "The text of this page is licensed under the MIT License."],
)  # fmt: skip
def test_a_programs_licence_counts_where_it_is_said_of_the_page(line):
    assert verdict(line).tier == "permissive"


@pytest.mark.parametrize(
    ("declared", "license"),
    [
        ("https://creativecommons.org/licenses/by-nc/4.0/", "CC-BY-NC-4.0"), ("CC BY-NC 4.0 International", "CC-BY-NC-4.0"),
        ("Creative Commons Attribution-NonCommercial 4.0", "CC-BY-NC-4.0"), ("cc-by-4.0\nmit", "CC-BY-4.0 AND MIT"),
        ("Attribution-NonCommercial 4.0 International", "CC-BY-NC-4.0"), ("https://www.gnu.org/licenses/gpl-3.0.html", "GPL-3.0-only"),
        ("https://opensource.org/licenses/BSD-3-Clause", "BSD-3-Clause"), ("https://opensource.org/license/mpl-2-0", "MPL-2.0"),
        ("cc-by-4.0\nsome terms of ours", None), ("CC-BY-4.0, CC-BY-NC-4.0", "CC-BY-4.0 AND CC-BY-NC-4.0"), ("not CC BY", None),
        ("GNU General Public License v3", "GPL-3.0-only"), ("MIT License", "MIT"), ("cc0-1.0", "CC0-1.0"), ("", None), ("\n", None),
        ("<a href='https://creativecommons.org/licenses/by-nc/4.0/'>CC BY-NC</a>", "CC-BY-NC-4.0"), ("by-nc 4.0", "CC-BY-NC-4.0"),
        ("[CC BY](https://creativecommons.org/licenses/by-nc/4.0/)", "CC-BY-NC-4.0"), ("BY-ND", "LicenseRef-CC-BY-ND"), ("by me", None),
    ],
)  # fmt: skip
def test_declared_licences_are_read_as_id_address_name_or_list(declared, license):
    assert declared_license(declared) == license


@pytest.mark.parametrize(
    ("href", "license"),
    [
        ("https://www.etalab.gouv.fr/licence-ouverte-open-licence", "etalab-2.0"),
        ("https://github.com/etalab/licence-ouverte/blob/master/LO.md", "etalab-2.0"),
        ("https://data.norge.no/nlod/no/2.0", "NLOD-2.0"), ("https://www.govdata.de/dl-de/by-2-0", "DL-DE-BY-2.0"),
        ("https://open.canada.ca/en/open-government-licence-canada", "OGL-Canada-2.0"),
        ("https://www.govdata.de/dl-de/by-nc-1-0", None), ("https://opensource.org/licenses/", None),
    ],
)  # fmt: skip
def test_licences_at_their_hosts(href, license):
    assert license_of_url(href) == license


@pytest.mark.parametrize(
    "char", [" ", "a", "\u00ad", "-", "CC BY ", "not ", "Creative Commons ", "表示", "é", "public domain ", "under "]
)
def test_reading_is_linear_in_hostile_lines(char):
    def read(size: int) -> None:
        line = char * (size // len(char))
        granted_license(line)
        public_domain_grant(line)
        declared_license(line)
        commons.forbidden_use(line)
        title_license(line)
        claims.denies(line, len(line) // 2, len(line) // 2 + 5)
        claims.subject_of(line, "CC BY", "CC-BY-4.0")

    growing.linear(read, 100_000)


def test_folding_keeps_places():
    text = "CC\u00a0BY\u2011NC Ｎichtｋ\u00adommerziell"
    assert len(plain(text)) == len(text)
    letters, places = squeeze("Nicht-kommerzi\u00e9ll")
    assert letters == "nichtkommerziell"
    assert len(places) == len(letters)
    assert terms.fold("ıİ") == "ii̇"
