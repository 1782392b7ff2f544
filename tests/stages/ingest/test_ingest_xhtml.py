"""XHTML served as XML and as HTML, and articles that a parser loses behind what was never closed."""

import pytest
from test_ingest_http import HTML, SENTENCE, fate, response

from gristmill.stages.ingest.page.parse import without_tail
from gristmill.stages.ingest.page.xhtml import as_html

XML = "Content-Type: application/xhtml+xml"
NAMESPACE = 'xmlns:h="http://www.w3.org/1999/xhtml"'
PAGE = f'<html xmlns="http://www.w3.org/1999/xhtml"><head>{{}}</head><body><p>{SENTENCE}</p></body></html>'


@pytest.mark.parametrize("name", ["script", "title", "style", "iframe", "textarea", "noscript", "a", "div", "xmp"])
def test_xhtml_element_that_closes_itself_swallows_nothing(name):
    for tag in (f"<{name}/>", f"<{name} class='a>b' />", f'<{name}\n id="/"\n/>'):
        assert fate(response(XML, body=PAGE.format(tag).encode())) == SENTENCE
        assert fate(response(XML, body=f"<?xml version='1.0'?>{PAGE}".format(tag).encode())) == SENTENCE


def test_html_under_an_xhtml_doctype_is_read_as_html():
    doctype = '<!DOCTYPE html PUBLIC "-//W3C//DTD XHTML 1.0 Strict//EN" "http://a.example/xhtml1-strict.dtd">'
    assert fate(response(HTML, body=(doctype + PAGE.format("<link/><meta/>")).encode())) == SENTENCE
    assert fate(response(HTML, body=(doctype + PAGE.format("<script/>")).encode())) == "no_text"  # as browsers have it


@pytest.mark.parametrize(
    ("xml", "html"),
    [
        ("<p><![CDATA[a < b & c]]></p>", "<p>a &lt; b &amp; c</p>"),
        ("<p><![CDATA[a]]><![CDATA[b]]></p>", "<p>ab</p>"),
        ("<br/><img src='a'/><p/>", "<br/><img src='a'/><p></p>"),
        ("<script>//<![CDATA[\nx = '<p/>';\n//]]></script>", "<script>//<![CDATA[\nx = '<p/>';\n//]]></script>"),
        ("<!-- <p/> <![CDATA[ --><p/>", "<!-- <p/> <![CDATA[ --><p></p>"),
        ('<!DOCTYPE html [ <!ENTITY a "<p/>"> ]><p/>', "<!DOCTYPE html><p></p>"),
        ("<?xml version='1.0'?><?php echo '>' ?><p/>", "<p></p>"),
        (f"<h:p {NAMESPACE}><h:a/><m:x/></h:p>", f"<p {NAMESPACE}><a></a><m:x></m:x></p>"),
        ("<p>1 < 2 <![CDATA[ open", "<p>1 < 2 <![CDATA[ open"),
        ("", ""),
    ],
)
def test_xhtml_becomes_what_an_xml_parser_would_have_read(xml, html):
    assert as_html(xml) == html


def test_hostile_xhtml_takes_linear_time():
    for unit in ("<![CDATA[", "<!--", "<?", "<a b='", "<script>", "<!DOCTYPE [", "<p/>", "<a " + "b='' " * 9, "</"):
        assert len(as_html(unit * (1_000_000 // len(unit)))) > 0


ARTICLE = f"<article><h1>Ferry</h1><p>{SENTENCE}</p>" + "<p>It is a long way and the sea is rough at times.</p>" * 9


@pytest.mark.parametrize("name", ["nav", "aside", "footer", "button", "NAV"])
def test_article_behind_an_element_that_was_never_closed_is_there(name):
    assert SENTENCE in response_text(f"<body><{name} class=x><a href=/>Home</a>{ARTICLE}")


def test_article_in_a_shadow_root_is_there():
    assert SENTENCE in response_text(f"<body><x-a><template shadowrootmode=open>{ARTICLE}</template></x-a>")


def test_menu_alone_is_no_article():
    assert fate(response(HTML, body=b"<body><nav><a href=/>Home</a><a href=/b>About</a></nav>")) == "no_text"


def response_text(page: str) -> str:
    from gristmill.stages.ingest.page.read import read_page

    return read_page(page, None, {}, "resiliparse", 10.0).text


@pytest.mark.parametrize(
    "end",
    [
        "Մուտքն ազատ է։", "入場は無料です．", "無料です｡", "प्रवेश निःशुल्क है॥", "ይህ ነው።", "यह है।", "„Ja, gut.“", "‚Nein.‘",
        "《书》", "ཡིན།", "Oui !»",
    ],
)  # fmt: skip
def test_short_last_sentence_stays_in_every_script(end):
    assert without_tail(f"A sentence that is long enough to stay by itself.\n{end}").endswith(end)
