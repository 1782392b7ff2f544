"""The embedded input: real text of this installation, served as a small web with something for every rule to drop."""

import ast
from collections import Counter
from html.parser import HTMLParser

import pytest
from fastwarc.warc import ArchiveIterator, WarcRecordType

from gristmill.pipeline.demo.pages import NOTICES, Page, chapters, prose, render
from gristmill.pipeline.demo.shards import SampleSummary, write_sample_data
from places import ROOT

N = 400


@pytest.fixture(scope="module")
def sample(tmp_path_factory) -> SampleSummary:
    return write_sample_data(tmp_path_factory.mktemp("sample"), shards=3, max_docs=N)


@pytest.fixture(scope="module")
def responses(sample) -> list[tuple[str, int, str, dict[str, str], bytes]]:
    """(url, status, content type, headers, body) of every response, digests verified."""
    out = []
    for path in sample.shards:
        with path.open("rb") as f:
            for record in ArchiveIterator(f, verify_digests=True):
                if record.record_type == WarcRecordType.response:
                    http = record.http_headers
                    headers = {k.lower(): v for k, v in http.items()}
                    url = str(record.headers["WARC-Target-URI"])
                    out.append((url, http.status_code, headers["content-type"], headers, record.reader.read()))
    return out


def test_shards_hold_the_pages_that_the_summary_counts(sample, responses):
    assert [p.name for p in sample.shards] == [f"sample-{i:05d}.warc.gz" for i in range(3)]
    assert len(responses) == sample.pages == sum(n for _, n in sample.by_kind)
    assert sample.records == sample.pages + 3  # a warcinfo each
    assert sample.html_bytes == sum(len(body) for *_, body in responses)
    assert abs(sample.pages - N) <= 0.05 * N


def test_each_record_is_a_gzip_member_of_its_own(sample):
    for path in sample.shards:
        data = path.read_bytes()
        with path.open("rb") as f:
            starts = [record.stream_pos for record in ArchiveIterator(f)]
        assert all(data[s : s + 2] == b"\x1f\x8b" for s in starts)
        assert len(set(starts)) == len(starts)


def test_same_installation_gives_the_same_bytes(sample, tmp_path):
    again = write_sample_data(tmp_path, shards=3, max_docs=N)
    assert [p.read_bytes() for p in again.shards] == [p.read_bytes() for p in sample.shards]


def test_fewer_shards_leave_no_old_shard_behind(tmp_path):
    write_sample_data(tmp_path, shards=3, max_docs=20)
    write_sample_data(tmp_path, shards=1, max_docs=20)
    assert [p.name for p in tmp_path.iterdir()] == ["sample-00000.warc.gz"]


def test_number_of_shards_does_not_change_the_pages(responses, tmp_path):
    one = write_sample_data(tmp_path, shards=1, max_docs=N)
    with one.shards[0].open("rb") as f:
        urls = [str(r.headers["WARC-Target-URI"]) for r in ArchiveIterator(f, record_types=WarcRecordType.response)]
    assert sorted(urls) == sorted(url for url, *_ in responses)


def test_no_shards_or_no_documents_is_refused(tmp_path):
    with pytest.raises(ValueError, match="at least 1"):
        write_sample_data(tmp_path, shards=0)


def test_urls_are_distinct_and_lead_nowhere(responses):
    urls = [url for url, *_ in responses]
    assert len(set(urls)) == len(urls)
    assert all(url.split("/")[2].endswith(".example") for url in urls)  # RFC 2606


def test_there_are_references_and_ordinary_pages_on_distinct_hosts(responses):
    first = Counter(url.split("/")[2].split(".")[0] for url, status, *_ in responses if status == 200)
    assert first["docs"] >= 0.15 * N
    assert first["www"] >= 0.05 * N
    assert first["code"] >= 0.05 * N


def test_every_sort_of_bad_page_is_there(sample, responses):
    kinds = dict(sample.by_kind)
    sorts = ("index", "repeated", "exact", "near", "opt_out", "thin", "failed", "not_html")
    assert all(kinds[f"bad:{s}"] == 5 for s in sorts)
    assert sum(status != 200 for _, status, *_ in responses) == 5
    assert sum("html" not in kind for _, _, kind, *_ in responses) == 5
    opted_out = [
        b'content="noai' in body or b"tdm-reservation" in body or headers.keys() & {"x-robots-tag", "tdm-reservation"}
        for *_, headers, body in responses
    ]
    assert sum(map(bool, opted_out)) == 5


def test_copies_have_their_originals_in_the_sample(responses):
    body_of = {url: body for url, *_, body in responses}
    mirrors = [url for url in body_of if url.startswith("https://mirror.")]
    assert len(mirrors) == 5
    assert all(body_of[url] == body_of[url.replace("://mirror.", "://")] for url in mirrors)


def test_licences_are_stated_in_every_way(responses):
    text = b"".join(body for *_, body in responses).decode("utf-8", "ignore")
    for way in ('<a rel="license"', '<link rel="license"', '<meta name="license"', '"license": "https://spdx.org'):
        assert way in text


class _Outline(HTMLParser):
    """Counts start and end tags that should balance."""

    def __init__(self) -> None:
        super().__init__()
        self.depth: Counter[str] = Counter()
        self.seen: Counter[str] = Counter()

    def handle_starttag(self, tag, attrs):
        self.depth[tag] += 1
        self.seen[tag] += 1

    def handle_endtag(self, tag):
        self.depth[tag] -= 1


def test_pages_are_whole_documents(responses):
    for url, _, kind, _, body in responses[:100]:
        if "html" not in kind:
            continue
        outline = _Outline()
        outline.feed(body.decode("utf-8", "replace"))
        balanced = ("html", "body", "main", "article", "nav", "footer", "pre", "ul", "p", "title")
        assert all(outline.depth[tag] == 0 for tag in balanced), url
        assert all(outline.seen[tag] >= 1 for tag in ("title", "nav", "main", "article", "footer", "h1")), url


def test_writing_imports_no_stage():
    for name in ("shards", "pages", "texts"):
        tree = ast.parse((ROOT / "pipeline" / "demo" / f"{name}.py").read_text())
        modules = [n.module or "" for n in ast.walk(tree) if isinstance(n, ast.ImportFrom)]
        assert not [m for m in modules if m.startswith(("gristmill.stages", "gristmill.classifiers"))]


def test_prose_reads_markdown_and_restructured_text():
    assert prose("# Title\n\nOne `two` **three** [four](https://x.org/a).") == (
        '<h2>Title</h2>\n<p>One <code>two</code> <strong>three</strong> <a href="https://x.org/a">four</a>.</p>'
    )
    assert prose("Title\n=====\n\nSee `here <https://x.org>`_::\n\n    a < b\n\n- one\n  more\n- two") == (
        '<h2>Title</h2>\n<p>See <a href="https://x.org">here</a>::</p>\n<pre>    a &lt; b</pre>\n'
        "<ul><li>one more</li><li>two</li></ul>"
    )


def test_prose_reads_numpy_docstrings():
    assert prose("Parameters\n----------\nx : int\n    How many.\n") == (
        "<h3>Parameters</h3>\n<dl><dt>x : int</dt><dd>How many.</dd></dl>"
    )


def test_prose_drops_badges_and_escapes():
    assert prose("[![CI](https://a/b.svg)](https://a)\n\nx < y & z") == "<p>x &lt; y &amp; z</p>"
    assert prose(".. image:: https://a/b.svg\n   :alt: CI\n\nText") == "<p>Text</p>"
    assert prose("```\n# not a heading\n```") == "<pre><code># not a heading</code></pre>"


def test_prose_takes_markup_out_of_text_and_none_out_of_code():
    assert prose('<a id="top"></a>Text <b>here</b>.\n\n<!-- a\n\nb -->\n\nMore') == "<p>Text here.</p>\n<p>More</p>"
    assert prose("Call `search('(?P<num>x)')` or ``<cache_dir>/blobs``.") == (
        "<p>Call <code>search('(?P&lt;num&gt;x)')</code> or <code>&lt;cache_dir&gt;/blobs</code>.</p>"
    )
    assert prose("```\nescape('<User 1>')\n```") == "<pre><code>escape('&lt;User 1&gt;')</code></pre>"
    assert prose("So::\n\n    <cache_dir>/blobs") == "<p>So::</p>\n<pre>    &lt;cache_dir&gt;/blobs</pre>"


@pytest.mark.parametrize("text", ["", "\n\n", "=====", "* ", "```", "#", "-\n-\n-", "\u202eabc", "a" * 1_000_000])
def test_prose_survives_odd_text(text):
    assert isinstance(prose(text), str)


def test_chapters_cut_at_headings_and_lose_nothing():
    text = "\n".join(f"# {i}\n\n" + "word " * 50 for i in range(10))
    pieces = chapters(text, 400)
    assert "\n".join(pieces) == text
    assert all(p.startswith("# ") for p in pieces)
    assert len(pieces) == 5


@pytest.mark.parametrize("notice", range(len(NOTICES)))
def test_every_notice_names_its_licence(notice):
    page = Page("docs", "docs.x.example", "/a", "A & B", "<p>text</p>", "X", "MIT", notice)
    html = render(page)
    assert "MIT" in html
    assert "<title>A &amp; B - X</title>" in html
    assert "MIT" not in render(Page("docs", "docs.x.example", "/a", "A", "<p>text</p>", "X"))
