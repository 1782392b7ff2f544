"""Tables of data and code of pages in the text: rows and cells, indentation, fences, icons; layout stays."""

import json

import pytest
import zstandard
from tests.places import SHARED, needs_shared

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.ingest import Ingest
from gristmill.stages.ingest.content.furniture import rules_of_lines
from gristmill.stages.ingest.page.parse import parsed

PROSE = "The harbour was closed for two days, and the boats that lay outside had to wait for the storm to pass."


def text_of(body: str, blocks: str = "plain", extractor: str = "resiliparse") -> str:
    page = f"<title>Harbour</title><article><p>{PROSE}</p>{body}<p>{PROSE}</p></article>"
    text = parsed(page, page.encode(), {}, extractor, None, blocks).text
    before, _, rest = text.partition(PROSE)
    assert before.strip() in ("", "Harbour")
    return rest[: rest.rindex(PROSE)].strip("\n")


TABLE = """<table><caption>Support<br>by system</caption><tr><th>System</th><th>Linux</th><th>Mac</th></tr>
<tr><td>CentOS<br>7 | 8</td><td><img src="green.svg" alt="yes"></td><td>&#10003;</td></tr>
<tr><td><p>Debian</p><p>stable</p></td><td><i class="fa fa-check"></i></td><td><span aria-label="No"></span></td></tr>
<tr><td>Alpine</td><td></td><td>a &amp; <b>b</b></td></tr></table>"""


@pytest.mark.parametrize("code", ["", "<pre>x</pre>"])  # beside code, tables are written anew
def test_table_is_a_line_a_row_with_tabs_between_cells(code):
    rows = ["System\tLinux\tMac", "CentOS 7 | 8\tyes\t✓", "Debian stable\t✓\tNo", "Alpine\t\ta & b"]
    assert text_of(TABLE + code).removesuffix("x").rstrip().split("\n")[-4:] == rows


def test_markdown_table_escapes_pipes_and_line_breaks():
    assert text_of(TABLE, "markdown").split("\n") == [
        "Support by system",
        "",
        "| System | Linux | Mac |",
        "| --- | --- | --- |",
        r"| CentOS<br>7 \| 8 | yes | ✓ |",
        "| Debian<br>stable | ✓ | No |",
        "| Alpine |  | a & b |",
    ]


@pytest.mark.parametrize(
    ("cell", "text"),
    [
        ("&check;", "✓"),
        ("&#x2714;", "✔"),
        ('<img alt="Yes" src="a.png">', "Yes"),
        ('<img src="/img/green-check.svg">', "✓"),
        ('<img alt="A ship in the harbour" src="ship.jpg">', ""),
        ('<img alt="yes" src="a.png"> since 2019', "since 2019"),  # the words say it
        ('<span class="icon-remove"></span>', "✗"),
        ('<svg aria-label="not supported"><path d="M0 0"/></svg>', ""),
        ('<svg aria-label="supported"><path d="M0 0"/></svg>', "supported"),
        ('<svg><use href="#icon-check"/></svg>', "✓"),
        ('<input type="checkbox" checked disabled>', "✓"),
        ('<span style="display: none">0042</span>42', "42"),
        ("<style>.a{}</style>42<script>f()</script>", "42"),
    ],
)
def test_icon_is_text_where_a_cell_has_no_other(cell, text):
    table = f"<table><tr><th>Name</th><th>Value</th></tr><tr><td>First</td><td>{cell}</td></tr></table>"
    assert text_of(table).split("\n")[-1] == f"First\t{text}".rstrip("\t")
    assert text_of(table, "markdown").endswith(f"| First | {text} |" if text else "| First |  |")


def test_spanned_cells_keep_the_columns():
    table = """<table><tr><th rowspan="2">Port</th><th colspan="2">Ships</th></tr><tr><th>in</th><th>out</th></tr>
    <tr><td>Bergen</td><td>3</td><td>4</td></tr><tr><td colspan="99999999">Closed in winter</td></tr></table>"""
    assert text_of(table, "markdown").split("\n") == [
        "| Port | Ships |  |",
        "| --- | --- | --- |",
        "|  | in | out |",
        "| Bergen | 3 | 4 |",
        "| Closed in winter |  |  |",
    ]


LAYOUT = f"<table><tr><td><p>{PROSE}</p><p>{PROSE}</p></td><td><ul><li>Home</li></ul></td></tr>" * 2 + "</table>"
NESTED = f"<table><tr><td>{LAYOUT}</td><td>a</td></tr><tr><td>b</td><td>c</td></tr></table>"
LONG = f"<table><tr><th>A</th><th>B</th></tr><tr><td>{'<br>'.join([PROSE] * 5)}</td><td>x</td></tr></table>"
FORM = "<table><tr><th>Name</th><td><select><option>a</select></td></tr><tr><th>Age</th><td><br>b</td></tr></table>"


@pytest.mark.parametrize("page", [LAYOUT, NESTED, LONG, FORM, FORM.replace("<table", "<table role='presentation'")])
def test_layout_table_gets_no_pipes(page):
    assert "|" not in text_of(page, "markdown")


CODE = 'def f(x):\n    if x:\n\n        return {"a": 1}\n\ttab'


@pytest.mark.parametrize(
    ("markup", "language"),
    [
        ('<pre><code class="language-python">{}</code></pre>', "python"),
        ('<pre class="brush: py; title: x">{}</pre>', "py"),
        ('<div class="highlight-python3 notranslate"><div class="highlight"><pre>{}</pre></div></div>', "python3"),
        ('<div class="highlight highlight-source-js"><pre>{}</pre></div>', "js"),
        ('<pre class="sourceCode haskell"><code class="sourceCode haskell">{}</code></pre>', "haskell"),
        ('<figure data-lang="c++"><pre>{}</pre></figure>', "c++"),
        ('<div class="mw-highlight mw-highlight-lang-lua"><pre>{}</pre></div>', "lua"),
        ('<pre class="prettyprint lang-js">{}</pre>', "js"),
        ('<div class="highlight-default"><pre>{}</pre></div>', ""),
        ("<pre>{}</pre>", ""),
    ],
)
def test_code_keeps_its_indentation_and_is_fenced_in_markdown(markup, language):
    page = markup.format(CODE.replace('"', "&quot;"))
    assert text_of(page) == CODE
    assert text_of(page, "markdown") == f"```{language}\n{CODE}\n```"


@pytest.mark.parametrize("blocks", ["plain", "markdown"])
def test_figure_keeps_its_table_and_code(blocks):
    table = TABLE.replace("<caption>Support<br>by system</caption>", "")
    assert text_of(f"<figure class='wp-block-table'>{table}</figure>", blocks) == text_of(table, blocks)
    assert text_of(f"<figure>{NUMBERED}</figure>", blocks) == text_of(NUMBERED, blocks)


def test_fence_is_longer_than_the_ticks_in_it_and_ends_the_page():
    page = f"<html><body><article><p>{PROSE}</p><pre><code>```\na\n```</code></pre></article></body></html>"
    assert parsed(page, page.encode(), {}, "resiliparse", None, "markdown").text.endswith("\n````\n```\na\n```\n````")


def test_preformatted_prose_is_not_fenced():
    assert text_of(f"<pre>{PROSE}\n{PROSE}</pre>", "markdown") == f"{PROSE}\n{PROSE}"


NUMBERED = """<table class="highlighttable"><tr><td class="linenos"><div><pre>1
2</pre></div></td><td class="code"><div class="highlight"><pre><span class="k">a</span> = 1
  <span class="n">b</span></pre></div></td></tr></table>"""
LINED = '<pre class="code"><code><span class="lineno">1 </span>a = 1\n<span class="lineno">2 </span>  b</code></pre>'
BROKEN = '<pre class="code"><ol><li>a = 1</li><li>  b</li></ol></pre>'


@pytest.mark.parametrize("page", [NUMBERED, LINED])
def test_line_numbers_beside_code_are_left_out(page):
    assert text_of(page).strip() == "a = 1\n  b"
    assert text_of(page, "markdown").strip() == "```\na = 1\n  b\n```"


def test_lines_of_code_in_elements_are_lines():
    assert text_of(BROKEN, "markdown").strip() == "```\na = 1\n  b\n```"


def test_trafilatura_gets_the_same_tree():
    pytest.importorskip("trafilatura")
    code = CODE.replace("\n\n", "\n")  # it leaves out empty lines
    assert f"```\n{code}\n```" in text_of(f"<pre><code>{CODE}</code></pre>", "markdown", "trafilatura")


@pytest.mark.parametrize(
    "lines", [["Home\t3", "Home\t3"], ["| Share | 1 |", "| Share | 1 |"], ["```", "end", "end", "```"]]
)
def test_rows_and_code_are_no_furniture(lines):
    assert rules_of_lines("\n".join([PROSE, *lines, PROSE])) == [None] * (len(lines) + 2)


def test_style_that_there_is_not_is_an_error():
    with pytest.raises(ConfigError, match=r"input\.blocks is 'html'; it can be plain, markdown"):
        Ingest(paths=("a",), blocks="html")  # pyright: ignore


@needs_shared
def test_code_of_real_pages_is_kept_by_both_styles():
    """Pages of license/ with code that a class names: every line stands in the text, fenced with Markdown."""
    pages = blocks = 0
    for path in sorted((SHARED / "license").glob("web_cc_pages*.jsonl.zst")):
        for line in zstandard.ZstdDecompressor().stream_reader(path.read_bytes()).read().decode().split("\n"):
            page = json.loads(line)["html"] if line else ""
            if "<pre><code" not in page and '<div class="highlight"><pre' not in page:
                continue
            plain = parsed(page, page.encode(), {}, "resiliparse").text
            marked = parsed(page, page.encode(), {}, "resiliparse", None, "markdown").text
            pages, blocks = pages + 1, blocks + marked.count("\n```") // 2
            assert marked.count("```") % 2 == 0
            lines = [line for line in marked.split("\n") if not line.startswith(("```", "|"))]
            assert "\n".join(lines).split() == "\n".join(line for line in plain.split("\n") if "\t" not in line).split()
    assert pages
