"""A page's main content read without a parser: resiliparse's text, byte for byte, or none."""

import random
from html import unescape
from html.entities import html5
from pathlib import Path

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType
from resiliparse.parse.html import HTMLTree

from gristmill.pipeline.kernels.html.class_names import MAIN_NAMES
from gristmill.pipeline.kernels.html.main_text import main_text
from gristmill.pipeline.kernels.text.markup import scan_markup
from gristmill.stages.ingest.content.blocks import PLAIN
from gristmill.stages.ingest.page.charset import decode
from gristmill.stages.ingest.page.evidence import NEEDLES, harvest
from gristmill.stages.ingest.page.parse import from_tree, main_of, parsed


def words(text: str) -> list[str]:
    return text.split()


DEEP = "<!doctype html><body>" + 6 * "<div>"
TAGS = words("""
p /p div /div b /b a /a i /i li /li ul /ul ol /ol table /table tr /tr td /td th tbody /tbody caption /caption col
colgroup h1 /h1 h2 /h2 pre /pre br /br hr form /form select /select option optgroup textarea /textarea button /button
svg /svg noscript /noscript script /script style /style !--_-- !-- !doctype body /body html /html head /head title
/title object /object font /font nobr dd dt dl /dl section /section span /span x-y /x-y img input marquee /marquee
iframe /iframe xmp /xmp center /center ruby rt rp /ruby ?x / /1 article /article footer /footer label /label blockquote
main template
""")
TEXTS = ["a", "b c", " ", "\n", "dd ", "é", " x y ", "words of a text ", "&", "&amp;", "&lt", "&nbsp;", "&#65;", "<",
         "<>", "\r\n", "日", "\ue001", "¶", "x\xa0"]  # fmt: skip
ATTRIBUTES = [
    "class=x", "id=footer", 'class="a b"', 'style="display:none"', "hidden", "class=post-content", "role=main", "/",
    'class="x&amp;y"', 'title="a>b"', "title='<p>'", "x=1 class=nav", "class=logo id=z", "aria-hidden=true", "rel=next",
    "data-ad class=x", 'style="a:b;DISPLAY : NONE"', "a/", "class=MENU", "class='a menu'",
]  # fmt: skip
NAMES = words(f"""
advert ad ad_1f ads google-ad sponsored paid banner donate nav navbar main-nav site_navigation menu menu-item dropdown
drop-down breadcrumb links-box logo brand-logo xlogo modal wp-modal popup_window print-x footer site-footer
copyright-notice cookie header l-header global_header wrap search search-box log-in signup account user_info social
share-buttons m-newsletter email likes article entry story body text page post main_content hidden is-hidden
visually-hidden h-0 collapsed-xs gallery carousel right head foot sidebar side-bar one-third comments no-comments
user_comment reply byline date meta skip skip-link skip-to-content next prev pagination short-view-count spinner Spinner
trending recommended related-posts editors_picks x foo {MAIN_NAMES.replace(",", " ")}
""")


def soup(r: random.Random) -> str:
    """Tags, texts and attributes in any order."""
    pool = r.sample(TAGS, r.choice([4, 8, 16, 40]))
    out = [r.choice(["", "<!doctype html>", "<head>", DEEP, "<!DOCTYPE html><html lang=de><head></head><body>"])]
    for _ in range(r.choice([3, 6, 12, 25, 60])):
        tag = r.choice(pool)
        if r.random() < 0.3:
            out.append(r.choice(TEXTS))
        elif tag[0].isalpha() and r.random() < 0.6:
            out.append(f"<{tag} {r.choice(ATTRIBUTES)}>")
        else:
            out.append(f"<{tag.replace('_', ' ')}>")
    return "".join(out)


def page_of_blocks(r: random.Random, level: int = 0) -> str:
    """Nested elements with class names and ids that mean something, in any case, and names that only look like them."""

    def name() -> str:
        parts = [r.choice(NAMES) + r.choice(["", " ", "-", "_", "\t"]) for _ in range(r.choice([1, 1, 2, 3]))]
        name = "".join(parts)
        return name if r.random() < 0.8 else r.choice([name.upper(), name.title()])

    out = []
    for _ in range(r.choice([1, 2, 3]) if level else 6):
        tag = r.choice(words("div div p span ul ol li section article header main h1 h5 td form b pre dl time"))
        said = f' class="{name()}"' * (r.random() < 0.5) + f' id="{name()}"' * (r.random() < 0.2)
        link = f"<a href=x>{r.choice(TEXTS)}</a>" if r.random() < 0.3 else ""
        inner = (
            page_of_blocks(r, level + 1)
            if level < 8 and r.random() < 0.6
            else r.choice(TEXTS) + r.choice([" ", "long " * 60])
        )
        cells = f"<table><tr><td{said}>{inner}</td> <td>{link}</td></tr></table>"
        out.append(cells if tag == "td" else f"<{tag}{said}>{inner}{link}</{tag}>")
    return "".join(out)


def same(page: str) -> bool:
    """Whether the page was read; then its text is resiliparse's."""
    found = main_text(page.encode())
    if found is None:
        return False
    assert found.text == main_of(HTMLTree.parse(page)), page
    return True


@pytest.mark.parametrize("seed", range(8))
def test_tags_in_any_order_give_the_text_of_a_parsers_tree(seed):
    r = random.Random(seed)
    assert sum(same(soup(r)) for _ in range(1000)) > 400


@pytest.mark.parametrize("seed", range(4))
def test_elements_are_judged_by_their_names_as_resiliparse_judges_them(seed):
    r = random.Random(seed)
    assert sum(same(r.choice(["<body>", DEEP]) + page_of_blocks(r)) for _ in range(200)) > 100


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("tag", ["div", "span", "article"])
def test_each_name_alone(tag, name):
    for given in (name, name.upper(), f"x {name}", f"{name}-x", f"x_{name}", f"{name}x"):
        for attribute in ("class", "id"):
            assert same(f'{DEEP}a<{tag} {attribute}="{given}">b</{tag}>c')


def test_every_character_reference():
    for name in html5:
        for text in (f"x&{name} y", f"&{name}z", f"&{name}=", f"&{name[:-1]}"):
            found = main_text(f"<!doctype html><b>_{text}_".encode())
            assert found is not None
            assert found.text.split() == unescape(f"_{text}_").split()


@pytest.mark.parametrize(
    "page",
    ["<template>a</template>b", "<table>a</table>", "<b><p>a</b>b", "<a><p>a<a>b", "<math><mi>x</mi></math>", "\ufeffa",
     "a\0b", "<plaintext>a", "<frameset>", "<svg><p>a</svg>", "<form><div></form>a</div>", "", "<nobr>a", "<body"],
)  # fmt: skip
def test_what_a_parser_would_move_is_left_to_it(page):
    assert main_text(page.encode()) is None


def test_title_and_language_as_they_stand_in_the_page():
    found = main_text(b"<html xml:lang=en><title>a &amp; b</title><svg><title>c</title></svg><p>text")
    assert found is not None
    assert (found.title, found.lang, found.text) == (b"a &amp; b", b"en", "text")


def test_pages_one_after_the_other_do_not_see_each_other():
    first, second = DEEP + "<p>one " * 300, "<ul><li>two"
    alone = main_text(second.encode())
    main_text(first.encode())
    assert main_text(second.encode()) == alone


@pytest.mark.parametrize("part", ["00000", "00002", "00003", "00004", "00005"])
def test_real_pages_have_the_text_title_and_language_of_resiliparse(shared: Path, part):
    read = n = 0
    with open(shared / f"web/CC-MAIN-shard-{part}.warc.gz", "rb") as file:
        for record in ArchiveIterator(file, record_types=WarcRecordType.response):
            html = decode(record.reader.read(), record.http_charset).text
            raw = html.encode("utf-8", "replace")
            scan = scan_markup(raw, NEEDLES)
            tree = HTMLTree.parse(html)
            found = harvest(raw, scan, lambda tree=tree: tree, {})
            page = parsed(html, raw, {}, "resiliparse", scan)
            slow = from_tree(tree, html, raw, "resiliparse", scan, PLAIN, found, page.author)
            assert page == slow
            read += same(html)
            n += 1
    assert read > 0.85 * n
