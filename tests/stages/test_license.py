# ruff: noqa: E501 - a truth table reads by rows
"""The licence stage: MixtureVitae's positive inclusion as a truth table, licence names and links, the gate."""

import polars as pl
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gristmill.classifiers.license import terms as license_terms
from gristmill.classifiers.license.commons import forbidden_use
from gristmill.classifiers.license.judge import TIERS, Link, Page, judge
from gristmill.classifiers.license.names import expression, family, license_of_url, spdx_id
from gristmill.classifiers.license.reservations import reasons
from gristmill.classifiers.license.sites import BUILT_IN, US_FEDERAL, SiteTable, host_of, is_us_federal, parse_rules
from gristmill.classifiers.license.terms import ALL_RESERVED, fold, license_of_text
from gristmill.pipeline.contract.columns import COLUMNS
from gristmill.pipeline.contract.errors import ConfigError, InputError
from gristmill.stages.license import License, LicenseGate

SITES = SiteTable(parse_rules(BUILT_IN, "built-in"))
MIXTURE_VITAE = LicenseGate(
    unknown="drop", noncommercial="drop", no_derivatives="drop", reserved="drop", contested="drop", copyleft="drop"
)
CC = "https://creativecommons.org/licenses/"
BY = ("", "rel", "footer", "")


def verdict(url="https://blog.example/a", links=(), rights="", text="", declared=None):
    page = Page(url, text[:100], text[-100:], [Link(*link) for link in links], rights, declared)
    return judge(page, SITES)


def rel(code: str, place="footer", text="", kind="rel") -> tuple[str, str, str, str]:
    return (CC + code, kind, place, text)


# url, links, rights, text, declared -> tier, licence
TRUTH = [
    # sites: by registered domain, never by substring
    ({"url": "https://www.whitehouse.gov/briefing"}, "government", "LicenseRef-public-domain"),
    ({"url": "https://www.army.mil/x"}, "government", "LicenseRef-public-domain"),
    ({"url": "https://www.ca.gov/x"}, "government", None),
    ({"url": "https://nycourts.gov/x"}, "government", None),
    ({"url": "https://www.texasattorneygeneral.gov/x"}, "government", None),
    ({"url": "https://www.fs.usda.gov/x"}, "government", "LicenseRef-public-domain"),
    ({"url": "https://cherokee.gov/x"}, "government", None),
    ({"url": "https://www.gov.uk/x"}, "government", None),
    ({"url": "https://service.gouv.fr/x"}, "government", None),
    ({"url": "https://www.mofa.go.jp/x"}, "government", None),
    ({"url": "https://www.who.int/x"}, "government", None),
    ({"url": "https://ec.europa.eu/x"}, "government", None),
    ({"url": "https://evil.com/?x=.gov/"}, "unknown", None),
    ({"url": "https://evil.com/a.gov/"}, "unknown", None),
    ({"url": "https://whitehouse.gov.evil.com/"}, "unknown", None),
    ({"url": "https://notgov.com/"}, "unknown", None),
    ({"url": "https://gov/"}, "unknown", None),
    ({"url": "https://en.wikipedia.org/wiki/A"}, "site", "CC-BY-SA-4.0"),
    ({"url": "http://wikipedia.org"}, "site", "CC-BY-SA-4.0"),
    ({"url": "https://EN.WIKIPEDIA.ORG./wiki/A"}, "site", "CC-BY-SA-4.0"),
    ({"url": "https://wikipedia.org.evil.com/"}, "unknown", None),
    ({"url": "https://fakewikipedia.org/"}, "unknown", None),
    ({"url": "https://xn--wikipdia-f1a.org/"}, "unknown", None),
    ({"url": "https://wikipediа.org/"}, "unknown", None),  # a Cyrillic a
    ({"url": "https://wikipedia.org@evil.com/"}, "unknown", None),
    ({"url": "https://evil.com\\@wikipedia.org/"}, "unknown", None),
    ({"url": "https://evil.com/wikipedia.org/"}, "unknown", None),
    ({"url": "https://free.law/x"}, "site", "LicenseRef-public-domain"),
    ({"url": "https://huggingface.co/docs/x"}, "site", "Apache-2.0"),
    ({"url": "https://huggingface.co/docsearch"}, "unknown", None),
    ({"url": "https://huggingface.co/someone/model"}, "unknown", None),
    ({"url": "https://www.loc.gov/item/1"}, "unknown", None),
    ({"url": "https://www.reddit.com/r/x", "links": [rel("by/4.0/")]}, "unknown", None),
    ({"url": "https://reddit.com.example/r/x", "links": [rel("by/4.0/")]}, "permissive", "CC-BY-4.0"),
    ({"url": "https://192.168.0.1/"}, "unknown", None),
    ({"url": None}, "unknown", None),
    ({"url": "not a url"}, "unknown", None),
    ({"url": "http://[::1/"}, "unknown", None),
    # government pages are filtered for copyright lines (paper; its script does not)
    ({"url": "https://www.nasa.gov/x", "rights": "Copyright (c) 2020 Contractor Inc."}, "contested", "LicenseRef-public-domain"),
    ({"url": "https://www.gov.uk/x", "rights": "© Crown copyright"}, "contested", None),
    ({"url": "https://en.wikipedia.org/wiki/A", "rights": "© 2020 the authors"}, "site", "CC-BY-SA-4.0"),
    # statements on the page
    ({"links": [rel("by/4.0/")]}, "permissive", "CC-BY-4.0"),
    ({"links": [rel("by-sa/3.0/de/")]}, "permissive", "CC-BY-SA-3.0-DE"),
    ({"links": [("https://spdx.org/licenses/MIT.html", "rel", "footer", "MIT")]}, "permissive", "MIT"),
    ({"links": [("/LICENSE", "rel", "footer", "MIT License")]}, "permissive", "MIT"),
    ({"links": [("", "meta", "head", "Apache-2.0")]}, "permissive", "Apache-2.0"),
    ({"links": [("https://www.apache.org/licenses/LICENSE-2.0", "jsonld", "head", "")]}, "permissive", "Apache-2.0"),
    ({"links": [("https://www.gnu.org/licenses/gpl-3.0.html", "rel", "footer", "GPL")]}, "copyleft", "GPL-3.0-only"),
    ({"declared": "MIT OR GPL-2.0-only"}, "permissive", "MIT OR GPL-2.0-only"),
    ({"declared": "cc-by-nc-4.0"}, "restricted", "CC-BY-NC-4.0"),
    ({"declared": "see the terms"}, "unknown", None),
    ({"rights": "This work is licensed under a Creative Commons Attribution 4.0 International License."}, "permissive", "CC-BY-4.0"),
    ({"rights": "Released under the MIT license."}, "permissive", "MIT"),
    ({"rights": "This book is in the public domain."}, "permissive", "LicenseRef-public-domain"),
    ({"rights": "How to use Creative Commons"}, "unknown", None),
    ({"rights": "© 2020 Somebody"}, "unknown", None),
    ({}, "unknown", None),
    ({"rights": "© 2020 Somebody. All rights reserved."}, "reserved", "LicenseRef-all-rights-reserved"),
    ({"rights": "Einige Rechte vorbehalten"}, "unknown", None),
    ({"rights": "Alle Rechte vorbehalten"}, "reserved", "LicenseRef-all-rights-reserved"),
    ({"links": [("", "meta", "head", "All rights reserved")]}, "reserved", "LicenseRef-all-rights-reserved"),
    # contradiction
    ({"links": [rel("by/4.0/")], "rights": "© A. All rights reserved."}, "contested", "CC-BY-4.0"),
    ({"links": [rel("by/4.0/")], "rights": "© A. Some rights reserved."}, "permissive", "CC-BY-4.0"),
    ({"links": [rel("by-nc/4.0/")], "rights": "All rights reserved."}, "restricted", "CC-BY-NC-4.0"),
    # no commercial use, no derivatives: by link and in words
    ({"links": [rel("by-nc-sa/3.0/")]}, "restricted", "CC-BY-NC-SA-3.0"),
    ({"links": [rel("by-nd/4.0/deed.fr")]}, "restricted", "CC-BY-ND-4.0"),
    ({"rights": "Dieses Werk steht unter einer Creative Commons Namensnennung - Nicht kommerziell 4.0 International Lizenz."}, "restricted", "CC-BY-NC-4.0"),
    ({"rights": "Cette œuvre est mise à disposition sous licence Creative Commons Attribution - Pas de Modification 4.0"}, "restricted", "CC-BY-ND-4.0"),
    ({"rights": "Esta obra está bajo una licencia Creative Commons Reconocimiento-NoComercial-SinObraDerivada 4.0"}, "restricted", "CC-BY-NC-ND-4.0"),
    ({"rights": "この作品は クリエイティブ・コモンズ 表示 - 非営利 4.0 国際 ライセンス の下に"}, "restricted", "CC-BY-NC-4.0"),
    ({"rights": "Это произведение доступно по лицензии Creative Commons С указанием авторства-Некоммерческая 4.0"}, "restricted", "CC-BY-NC-4.0"),
    # a licence for something else on the page
    ({"links": [rel("by/2.0/", "main", "CC BY 2.0", "cc")], "rights": "Photo: Jane Doe, CC BY 2.0, via Flickr"}, "unknown", None),
    ({"rights": "photo: CC-BY"}, "unknown", None),
    ({"links": [rel("by-nc-nd/3.0/", "aside", "Creative Commons License")], "rights": "Die Bilder in diesem Blog stehen unter Creative Commons License"}, "unknown", None),
    ({"links": [rel("by-sa/2.0/", "main", "CC BY-SA 2.0", "cc")]}, "unknown", None),
    ({"rights": "Theme by Someone, licensed under CC BY-SA 4.0"}, "unknown", None),
    ({"links": [rel(f"{code}/4.0/", "main", code, "cc") for code in ("by", "by-sa", "by-nc", "by-nd")]}, "unknown", None),
    # the page's own statement beside those of its pictures
    (
        {
            "links": [rel("by-sa/2.0/", "main", "CC BY-SA 2.0", "cc"), rel("by/4.0/", "footer", "Creative Commons Attribution 4.0 License", "cc")],
            "rights": "Image: A, CC BY-SA 2.0\nExcept where otherwise noted, content is under a Creative Commons Attribution 4.0 License",
        },
        "permissive",
        "CC-BY-4.0",
    ),
    # the third route: a keyword at either end of the text
    ({"text": "An article. " * 50 + "Licensed CC BY-SA 4.0"}, "permissive", "CC-BY-SA-4.0"),
    ({"text": "An article. " * 50 + "Licensed CC BY-NC 4.0"}, "restricted", "CC-BY-NC-4.0"),
    ({"text": "An article. " * 50 + "© A, CC BY 4.0"}, "unknown", None),
    ({"text": "An article. " * 50 + "image CC BY 4.0"}, "unknown", None),
    ({"text": "An article. " * 50 + "CC BY 4.0 " + "and more. " * 50}, "unknown", None),
    ({"text": "An article. " * 50 + "This text is licensed under CC BY-NC 4.0."}, "restricted", "CC-BY-NC-4.0"),
    ({"text": "An article. " * 50 + "Photo: A, licensed under CC BY-NC 4.0."}, "unknown", None),
    ({"text": "An article. " * 50 + "Weather data from the institute, licensed under CC BY 4.0."}, "unknown", None),
    ({"text": "An article. " * 50 + "\nWikipedia's text is licensed under CC BY-SA 4.0."}, "unknown", None),
    ({"rights": "The accompanying dataset is available under CC0 1.0.", "text": "The accompanying dataset is available under CC0 1.0."}, "unknown", None),
    # what forbids a use is believed in every language of CC's titles, and where its name is the whole line
    *(
        ({"rights": rights}, "restricted", license)
        for rights, license in (
            ("Detta verk är licensierat under en Creative Commons Erkännande-IngaBearbetningar 4.0 Internationell Licens.", "CC-BY-ND-4.0"),
            ("Dette værk er licenseret under en Creative Commons Navngivelse-IngenBearbejdelse 4.0 International Licens.", "CC-BY-ND-4.0"),
            ("Dette verket er lisensiert under en Creative Commons Navngivelse-IngenBearbeidelse 4.0 Internasjonal lisens.", "CC-BY-ND-4.0"),
            ("Tämä teos on lisensoitu Creative Commons Nimeä-EiMuutoksia 4.0 Kansainvälinen -lisenssillä.", "CC-BY-ND-4.0"),
            ("Această operă este pusă la dispoziție sub Licența Creative Commons Atribuire-FărăDerivate 4.0 Internațional.", "CC-BY-ND-4.0"),
            ("Aquesta obra està subjecta a una llicència de Creative Commons Reconeixement-SenseObraDerivada 4.0 Internacional", "CC-BY-ND-4.0"),
            ("Lan hau Creative Commons Aitortu-LanEratorririkGabe 4.0 Nazioartekoa lizentziapean dago.", "CC-BY-ND-4.0"),
            ("Ez a Mű a Creative Commons Nevezd meg! - Ne változtasd! 4.0 Nemzetközi Licenc szerint használható.", "CC-BY-ND-4.0"),
            ("Bu eser Creative Commons Atıf-Türetilemez 4.0 Uluslararası Lisansı ile lisanslanmıştır.", "CC-BY-ND-4.0"),
            ("Το έργο διατίθεται με άδεια Creative Commons Αναφορά Δημιουργού - Όχι Παράγωγα Έργα 4.0 Διεθνές.", "CC-BY-ND-4.0"),
            ("Ліцензія Creative Commons Із Зазначенням Авторства - Без Похідних 4.0 Міжнародна.", "CC-BY-ND-4.0"),
            ("Ovo djelo je dano na korištenje pod licencom Creative Commons Imenovanje-Bez prerada 4.0 međunarodna.", "CC-BY-ND-4.0"),
            ("Ciptaan disebarluaskan di bawah Lisensi Creative Commons Atribusi-TanpaTurunan 4.0 Internasional.", "CC-BY-ND-4.0"),
            ("Giấy phép Creative Commons Ghi công-Không phái sinh 4.0 Quốc tế.", "CC-BY-ND-4.0"),
            ("رخصة المشاع الإبداعي نَسب المُصنَّف - منع الاشتقاق 4.0 دولي.", "CC-BY-ND-4.0"),
            ("Licencia Creative Commons Atribución-NoComercial-SinDerivados 2.5 Argentina", "CC-BY-NC-ND-2.5"),
            ("CREATIVE COMMONS ATTRIBUTION-NONCOMMERCIAL-NODERIVS 3.0 UNPORTED", "CC-BY-NC-ND-3.0"),
            ("CC BY-NC 4.0", "CC-BY-NC-4.0"),
            ("This page is licensed under CC BY without commercial use.", "LicenseRef-CC-BY-NC"),
            ("This page: licensed under CC_BY_NC_4.0", "CC-BY-NC-4.0"),
        )
    ),
    ({"rights": "Detta verk är licensierat under Creative Commons Erkännande-DelaLika 4.0 Internationell."}, "permissive", "CC-BY-SA-4.0"),
    ({"rights": "The CC BY-NC 4.0 forbids sale."}, "unknown", None),
    ({"rights": "Nothing on this page is licensed under CC BY 4.0."}, "unknown", None),
    ({"rights": "Aquest text no està sota llicència CC BY 4.0."}, "unknown", None),
    # links that only look like licences
    ({"links": [("https://creativecommons.org.evil.com/licenses/by/4.0/", "rel", "footer", "")]}, "unknown", None),
    ({"links": [("https://evil.com/?u=https://creativecommons.org/licenses/by/4.0/", "rel", "footer", "")]}, "unknown", None),
    ({"links": [("https://creativecommons.org/licenses/", "rel", "footer", "")]}, "unknown", None),
    ({"links": [("javascript:void(0)", "rel", "footer", "")]}, "unknown", None),
]  # fmt: skip


@pytest.mark.parametrize(("page", "tier", "license"), TRUTH)
def test_truth_table(page, tier, license):
    got = verdict(**page)
    assert (got.tier, got.license) == (tier, license), got.evidence
    assert 0 <= got.confidence < 1
    assert got.evidence is None or len(got.evidence) <= 200
    kept = tier in ("permissive", "site", "government")
    frame = pl.DataFrame(
        [{"license": license, "license_tier": tier, "license_confidence": 0.9, "opt_out": False}], SCHEMA
    )
    assert (MIXTURE_VITAE.decide(frame).to_list() == [None]) == kept


SCHEMA = {
    "license": pl.String, "license_tier": pl.String, "license_confidence": pl.Float32, "opt_out": pl.Boolean,
    "opt_out_reasons": pl.List(pl.String), "blocked_by": pl.String,
}  # fmt: skip


@pytest.mark.parametrize(
    ("href", "license"),
    [
        ("http://creativecommons.org/licenses/by-sa/3.0/de/deed.de", "CC-BY-SA-3.0-DE"),
        ("//creativecommons.org/licenses/by/4.0", "CC-BY-4.0"),
        ("creativecommons.org/licenses/by/4.0/", "CC-BY-4.0"),
        ("https://creativecommons.org/licenses/by-nc-nd/4.0/legalcode.de", "CC-BY-NC-ND-4.0"),
        ("http://creativecommons.org/licenses/by/3.0//", "CC-BY-3.0"),
        ("http://creativecommons.org/licenses/by-nd-nc/1.0/", "CC-BY-NC-ND-1.0"),
        ("https://creativecommons.org/licences/by/3.0/igo/", "CC-BY-3.0-IGO"),
        ("https://creativecommons.org/licenses/by/", "LicenseRef-CC-BY"),
        ("https://creativecommons.org/publicdomain/zero/1.0/deed.en", "CC0-1.0"),
        ("https://creativecommons.org/publicdomain/mark/1.0/", "LicenseRef-public-domain"),
        ("https://web.archive.org/web/20140226/http://creativecommons.org/licenses/by-sa/2.5/ch/", "CC-BY-SA-2.5-CH"),
        ("https://spdx.org/licenses/BSD-3-Clause", "BSD-3-Clause"),
        ("https://opensource.org/license/mit", "MIT"),
        ("https://www.nationalarchives.gov.uk/doc/open-government-licence/version/3/", "OGL-UK-3.0"),
        ("https://creativecommons.org/licenses/sampling/1.0/", None),
        ("http://creativecommons.org@evil.com/licenses/by/4.0/", None),
        ("https://evil.com/web.archive.org/web/2014/http://creativecommons.org/licenses/by/4.0/", None),
        ("http://[bad", None),
        ("", None),
    ],
)
def test_license_links(href, license):
    assert license_of_url(href) == license


@pytest.mark.parametrize(
    ("text", "license"),
    [
        ("licensed under CC BY-SA 4.0", "CC-BY-SA-4.0"),
        ("LICENSED UNDER CC BY NC ND", "LicenseRef-CC-BY-NC-ND"),
        ("CC BY-SA 3.0 DE", "CC-BY-SA-3.0-DE"),
        (
            "Creative Commons Namensnennung-NichtKommerziell-KeineBearbeitung 3.0 Deutschland Lizenz",
            "CC-BY-NC-ND-3.0-DE",
        ),
        ("Creative Commons Attribution-ShareAlike License; additional terms may apply", "LicenseRef-CC-BY-SA"),
        ("CC0", "CC0-1.0"),
        ("under the Apache License, Version 2.0", "Apache-2.0"),
        ("GNU Free Documentation License", "LicenseRef-GFDL"),
        ("Released under the PSF-2.0 license.", "PSF-2.0"),
        ("Released under the BSD-3-Clause AND MIT AND CC0-1.0 license.", "BSD-3-Clause AND MIT AND CC0-1.0"),
        ("License: MPL-2.0 AND (Apache-2.0 OR MIT)", "MPL-2.0 AND (Apache-2.0 OR MIT)"),
        ("written by individual contributors under a Creative Commons license", None),
        ("the MIT campus", None),
        ("", None),
    ],
)
def test_licenses_named_in_text(text, license):
    assert (license_of_text(text) or (None,))[0] == license


GUARDED = [license_terms._STATED, ALL_RESERVED.first, ALL_RESERVED.second]
GUARDED += [guarded for guarded, _ in license_terms._NAMED]


@pytest.mark.parametrize("guarded", GUARDED, ids=lambda guarded: guarded.words[0])
@given(data=st.data())
@settings(max_examples=300, deadline=None)
def test_whatever_a_guarded_pattern_finds_it_is_tried_on(guarded, data):
    text = data.draw(st.from_regex(guarded.pattern))
    assert guarded.search(text, fold(text))


@pytest.mark.parametrize(
    ("text", "normal", "kind"),
    [
        ("mit", "MIT", "permissive"),
        ("Apache 2.0", "Apache-2.0", "permissive"),
        ("CC BY 4.0", "CC-BY-4.0", "permissive"),
        ("cc-by-sa-3.0-de", "CC-BY-SA-3.0-DE", "permissive"),
        ("MIT OR GPL-3.0-only", "MIT OR GPL-3.0-only", "permissive"),
        ("MIT AND GPL-3.0-only", "MIT AND GPL-3.0-only", "copyleft"),
        ("MPL-2.0 AND (Apache-2.0 OR CC-BY-NC-4.0)", "MPL-2.0 AND (Apache-2.0 OR CC-BY-NC-4.0)", "permissive"),
        ("GPL-2.0-only WITH Classpath-exception-2.0", "GPL-2.0-only WITH Classpath-exception-2.0", "copyleft"),
        ("CC-BY-NC-4.0 OR MIT", "CC-BY-NC-4.0 OR MIT", "permissive"),
        ("SSPL-1.0", "SSPL-1.0", "restricted"),
    ],
)
def test_spdx_expressions(text, normal, kind):
    assert expression(text) == normal
    assert family(normal) == kind
    assert expression(normal) == normal


@pytest.mark.parametrize("text", ["", "foo", "MIT AND", "(MIT", "MIT OR foo", "AND", "()", "OR OR OR", "MIT MIT"])
def test_what_is_no_expression_is_null(text):
    assert expression(text) is None


@pytest.mark.parametrize(
    "text",
    ["© 2020. All rights reserved", "ALL RIGHTS RESERVED", "Alle Rechte vorbehalten", "Tous droits réservés",
     "Todos los derechos reservados", "Todos os direitos reservados", "Tutti i diritti riservati",
     "Alle rechten voorbehouden", "Wszelkie prawa zastrzeżone", "Все права защищены", "版权所有", "無断転載を禁じます",
     "무단전재 및 재배포 금지", "כל הזכויות שמורות", "جميع الحقوق محفوظة", "Tüm hakları saklıdır"],
)  # fmt: skip
def test_reservation_is_seen_in_many_languages(text):
    assert ALL_RESERVED.search(text)


@pytest.mark.parametrize(
    "text", ["Some rights reserved", "Einige Rechte vorbehalten", "not all rights reserved", "rights"]
)
def test_other_reservations_are_not_all(text):
    assert not ALL_RESERVED.search(text)


def test_words_that_forbid_are_not_found_in_plain_text():
    assert forbidden_use("nicht-kommerzielle Nutzung") == "nicht-kommerziell"
    assert forbidden_use("the commercial use of standing derivatives") is None
    assert forbidden_use("and by sand") is None


@pytest.mark.parametrize(
    ("signals", "out"),
    [
        (None, False),
        ([], False),
        (["meta-robots:noai"], True),
        (["x-robots-tag:noml"], True),
        (["tdm-reservation:header=1"], True),
        (["content-usage:train-ai=n"], True),
        (["meta-robots:noimageai"], False),
        (["content-signal:ai-input=no"], False),
        (["tdm-policy:https://a.example/policy.json"], False),
        (["meta-robots:noimageai", "meta-robots:noai"], True),
    ],
)
def test_opt_out_is_about_training_on_text(signals, out):
    assert bool(reasons(signals)) is out


def test_blocked_and_longest_rules_win():
    table = SiteTable(
        parse_rules(
            "suffix:gov - government - a\na.org - site MIT b\nx.a.org - site CC0-1.0 c\na.org /no blocked - d", "t"
        )
    )
    urls = ["https://a.org/", "https://y.a.org/no/1", "https://a.org/nope", "https://x.a.org/no", "https://b.gov/"]
    got = [rule.evidence for url in urls if (rule := table.match(url))]
    assert got == ["b", "d", "b", "c", "a"]


def test_bad_site_rules_are_named(tmp_path):
    (tmp_path / "sites.txt").write_text("# comment\n\na.org - open MIT evidence\n")
    with pytest.raises(ConfigError, match=r"sites\.txt, line 3"):
        License(site_rules=str(tmp_path / "sites.txt")).open({})
    with pytest.raises(InputError, match="no file"):
        License(site_rules=str(tmp_path / "none.txt")).open({})


def test_hosts_are_parsed_not_searched():
    assert host_of("https://User@WWW.Example.org:8080/a?b=c") == "www.example.org"
    assert host_of("https://evil.com\\@wikipedia.org/") == ""
    assert is_us_federal("https://www.uscourts.gov/")
    assert not is_us_federal("https://www.ohio.gov/")
    assert not is_us_federal("https://uscourts.gov.example.com/")


def test_only_names_of_the_federal_registry_are_federal():
    federal = (
        "nasa",
        "nih",
        "supremecourt",
        "ca9.uscourts",
        "house",
        "loc",
        "goes-r",
        "911",
        "whitehouse",
        "va",
        "irs",
        "www.noaa",
    )
    local = (
        "texasattorneygeneral", "mass", "nyc", "ca", "bart", "mta", "sfmta", "portofsandiego", "mybenefits", "oaklandca", "navajo-nsn", "ncdhhs",
        "azag", "delawareworks", "flhealth", "usa.ca", "irs.texas", "nasax", "gov", "csu", "dc", "pr", "guam", "choosechicago", "coloradosos",
    )  # fmt: skip
    assert [name for name in federal if not is_us_federal(f"https://{name}.gov/a")] == []
    assert [name for name in local if is_us_federal(f"https://{name}.gov/a")] == []
    assert len(US_FEDERAL) == 1335


STRUCT = pl.Struct(dict.fromkeys(("href", "kind", "place", "text"), pl.String))
INGEST = {
    "doc_id": pl.String, "text": pl.String, "url": pl.String, "license_links": pl.List(STRUCT),
    "rights_text": pl.String, "license_declared": pl.String, "opt_out_signals": pl.List(pl.String), "dump": pl.String,
}  # fmt: skip


def docs(*rows: dict) -> pl.DataFrame:
    columns = {name: [row.get(name) for row in rows] for name in INGEST}
    columns["doc_id"] = [f"{i:032x}" for i in range(len(rows))]
    return pl.DataFrame(columns, INGEST)


LINK = dict(zip(("href", "kind", "place", "text"), rel("by/4.0/"), strict=True))
BATCH = docs(
    {"text": "a", "url": "https://a.example/", "license_links": [LINK], "opt_out_signals": ["meta-robots:noai"]},
    {"text": "", "url": None},
    {"text": None, "rights_text": "All rights reserved", "license_links": [], "opt_out_signals": []},
    {"text": "\0" * 200 + "x" * 1_000_000, "url": "https://www.nasa.gov/\u202e", "license_declared": ""},
    {"text": "t", "url": "https://a.example/" + "x" * 100_000, "rights_text": "CC BY 4.0 " * 100},
    {"text": "t", "license_links": [dict.fromkeys(("href", "kind", "place", "text"))]},
)


def test_columns_are_the_declared_ones():
    annotate = License().open({})
    large = {pa.string(): pa.large_string(), pa.list_(pa.string()): pa.large_list(pa.large_string())}
    for batch in (BATCH, BATCH[:0]):
        got = annotate(batch)
        assert got.columns == ["doc_id", *License.writes]
        assert got["doc_id"].to_list() == batch["doc_id"].to_list()
        for name in License.writes:
            kind = COLUMNS[name].type
            assert got[name].to_arrow().type == large.get(kind, kind)
        assert got["license_tier"].null_count() == got["opt_out"].null_count() == 0
    whole = annotate(BATCH)
    assert whole["license"].to_list()[:4] == [
        "CC-BY-4.0", None, "LicenseRef-all-rights-reserved", "LicenseRef-public-domain",
    ]  # fmt: skip
    assert whole["opt_out"].to_list() == [True, False, False, False, False, False]


def test_splitting_a_batch_changes_nothing():
    annotate = License().open({})
    assert pl.concat([annotate(BATCH[i : i + 1]) for i in range(len(BATCH))]).equals(annotate(BATCH))


@settings(max_examples=150, deadline=None)
@given(st.text(max_size=200), st.text(max_size=200), st.text(max_size=80), st.sampled_from(["rel", "cc", "meta", "?"]))
def test_any_page_gets_a_verdict(url, rights, href, kind):
    got = verdict(url, [(href, kind, "main", rights[:40])], rights, rights, href)
    assert got.tier in TIERS
    assert got.license is not None or got.tier in ("unknown", "government", "site", "contested")
    assert spdx_id(rights) is None or isinstance(spdx_id(rights), str)


def gate(**policy) -> list[str | None]:
    rows = [
        ("MIT", "permissive", 0.9, False), ("MIT", "permissive", 0.9, True), (None, "unknown", 0.0, False),
        ("CC-BY-NC-SA-3.0-DE", "restricted", 0.9, False), ("LicenseRef-CC-BY-ND", "restricted", 0.9, False),
        ("SSPL-1.0", "restricted", 0.9, False), ("LicenseRef-all-rights-reserved", "reserved", 0.8, False),
        ("CC-BY-4.0", "contested", 0.4, False), ("GPL-3.0-only", "copyleft", 0.9, False),
        (None, "government", 0.6, False), ("CC-BY-SA-4.0", "site", 0.8, False),
    ]  # fmt: skip
    frame = pl.DataFrame([(*row, ["noai"] if row[-1] else [], None) for row in rows], SCHEMA, orient="row")
    return LicenseGate(**policy).decide(frame).to_list()


def test_gate_drops_opt_outs_by_default_and_nothing_else():
    assert gate() == [None, "opted_out", *[None] * 9]
    assert gate(opt_out="keep") == [None] * 11


def test_gate_applies_each_policy():
    every = dict.fromkeys(
        ("unknown", "noncommercial", "no_derivatives", "reserved", "contested", "copyleft", "government", "site"),
        "drop",
    )
    others = [rule for rule in LicenseGate.rules if rule != "blocked_url" and not rule.startswith("opted_out_")]
    assert gate(**every) == [None, *others[:-1]]
    for name in every:
        assert set(gate(opt_out="keep", **{name: "drop"})) - {None} <= set(LicenseGate.rules)


def test_gate_exactly_at_the_confidence_keeps():
    got = gate(opt_out="keep", min_confidence=0.8)
    assert [i for i, rule in enumerate(got) if rule == "license_unsure"] == [7, 9]
    with pytest.raises(ConfigError, match="between 0 and 1"):
        LicenseGate(min_confidence=1.5)
