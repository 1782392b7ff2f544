"""The author of a page that names a licence: meta tags, then JSON-LD, then marked elements; for ATTRIBUTION.parquet."""

import json

import pytest

from gristmill.stages.ingest.page.parse import parsed

LICENCE = '<a rel="license" href="https://creativecommons.org/licenses/by/4.0/">CC BY 4.0</a>'
PERSON = {"@type": "Person", "name": "Ada Lovelace"}


def linked(node: dict) -> str:
    return f'<script type="application/ld+json">{json.dumps(node)}</script>'


def author_of(head: str, body: str = "", licence: str = LICENCE) -> str | None:
    page = f"<html><head>{head}</head><body><p>A text of the page.</p>{body}{licence}</body></html>"
    return parsed(page, page.encode(), {}, "resiliparse").author


@pytest.mark.parametrize(
    ("head", "author"),
    [
        ('<meta name="author" content=" Ada  Lovelace ">', "Ada Lovelace"),
        ('<META NAME="Author" CONTENT="by Ada Lovelace">', "Ada Lovelace"),
        ('<meta name="citation_author" content="A. B."><meta name="citation_author" content="C. D.">', "A. B.; C. D."),
        ('<meta property="article:author" content="https://www.example.org/ada">', None),
        ('<meta name="author" content="admin">', None),
        (linked({"@type": "Article", "author": PERSON}), "Ada Lovelace"),
        (linked({"@graph": [{"@type": "BlogPosting", "author": [PERSON, "C. D."]}]}), "Ada Lovelace; C. D."),
        (linked({"@type": "ImageObject", "author": PERSON}), None),
        ('<script type="application/ld+json">{"author": </script>', None),
        ('<meta name="author" content="Ada">' + linked({"@type": "Article", "author": "Other"}), "Ada"),
        ("", None),
    ],
)  # fmt: skip
def test_author_is_the_one_that_the_head_names(head, author):
    assert author_of(head) == author


@pytest.mark.parametrize(
    ("body", "author"),
    [
        ('<a rel="author" href="/ada">Ada Lovelace</a>', "Ada Lovelace"),
        ('<a rel="author" href="/ada">Show all posts by Ada Lovelace →</a>', "Ada Lovelace"),
        ('<span itemprop="author"><b>By</b> <i itemprop="name">Ada Lovelace</i></span>', "Ada Lovelace"),
        ('<a href="/author">Ada Lovelace</a>', None),
    ],
)
def test_author_is_the_marked_element_where_the_head_names_none(body, author):
    assert author_of("", body) == author


def test_page_without_a_licence_is_not_asked():
    assert author_of('<meta name="author" content="Ada">', licence="") is None
