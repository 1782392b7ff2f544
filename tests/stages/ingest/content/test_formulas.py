r"""Formulas of pages become $TeX$ in the text, once each, whatever markup holds them."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from resiliparse.parse.html import HTMLTree

import growing
from gristmill.pipeline.kernels.signs import has_formula_sign
from gristmill.stages.ingest.content.formulas import dollars, tex_of, with_formulas
from gristmill.stages.ingest.page.parse import parsed

LINE = "This paragraph of the article is long enough to be taken for the main content of the page, as real ones are."
MATHML = "<math{attributes}><semantics><mrow><mi>x</mi><mo>&lt;</mo><mn>2</mn></mrow>{annotation}</semantics></math>"
TEX = '<annotation encoding="application/x-tex">x &lt; 2</annotation>'
WIKIPEDIA = (
    '<span class="mwe-math-element"><span class="mwe-math-mathml-inline mwe-math-mathml-a11y" style="display: none;">'
    '<math alttext="{\\displaystyle x<2}"><semantics><mi>x</mi>'
    '<annotation encoding="application/x-tex">{\\displaystyle x<2}</annotation></semantics></math></span>'
    '<img src="a.svg" class="mwe-math-fallback-image-inline" alt="{\\displaystyle x<2}"></span>'
)
KATEX = (
    f'<span class="katex"><span class="katex-mathml">{MATHML.format(attributes="", annotation=TEX)}</span>'
    '<span class="katex-html" aria-hidden="true"><span class="base"><span class="mord mathnormal">x</span>'
    '<span class="mrel">&lt;</span><span class="mord">2</span></span></span></span>'
)

MATHJAX_3 = (
    '<mjx-container class="MathJax"><mjx-math>x2</mjx-math><mjx-assistive-mml>'
    f"{MATHML.format(attributes='', annotation=TEX)}</mjx-assistive-mml></mjx-container>"
)


def text(body: str, extractor: str = "resiliparse", head: str = "") -> str:
    body = f"<body><main><p>{LINE}</p>{body}<p>{LINE}</p></main></body>"
    html = f"<html><head><title>On formulas</title>{head}</head>{body}</html>"
    return parsed(html, html.encode(), {}, extractor).text


@pytest.mark.parametrize(
    ("markup", "formula"),
    [
        (MATHML.format(attributes="", annotation=TEX), "$x < 2$"),
        (MATHML.format(attributes=' alttext="x &lt; 2"', annotation=""), "$x < 2$"),
        (MATHML.format(attributes=' alttext="y"', annotation=TEX), "$x < 2$"),
        (WIKIPEDIA, "$x<2$"),
        (KATEX, "$x < 2$"),
        ('<script type="math/tex">x < 2 % a remark\n</script>', "$x < 2$"),
        (
            '<span class="MathJax_Preview">x2</span><span class="MathJax"><nobr>x2</nobr></span>'
            '<script type="math/tex" id="MathJax-Element-1">x < 2</script>',
            "$x < 2$",
        ),
        (MATHJAX_3, "$x < 2$"),
        ('<img src="https://s0.wp.com/latex.php?latex=x+%3C+2&amp;bg=ffffff" alt="x &lt; 2" class="latex">', "$x < 2$"),
        ('<img src="https://s0.wp.com/latex.php?latex=x+%3C+2&amp;bg=ffffff">', "$x < 2$"),
        ('<img class="math" src="_images/math/1.png" alt="x &lt; 2">', "$x < 2$"),
        ('<img class="tex" alt="x &lt; 2" src="math/9.png">', "$x < 2$"),
        ('<img src="https://latex.codecogs.com/gif.latex?x%20%3C%202">', "$x < 2$"),
    ],
)  # fmt: skip
@pytest.mark.parametrize("extractor", ["resiliparse", "trafilatura"])
def test_formula_in_a_sentence_becomes_tex_once(markup, formula, extractor):
    if extractor == "trafilatura":
        pytest.importorskip("trafilatura")
    assert f"Where {formula}, we say so." in text(f"<p>Where {markup}, we say so.</p>", extractor)


@pytest.mark.parametrize(
    "markup",
    [
        MATHML.format(attributes=' display="block"', annotation=TEX),
        f'<span class="katex-display">{KATEX}</span>',
        '<script type="math/tex; mode=display">x < 2</script>',
        '<div class="MathJax_Display"><span class="MathJax">x2</span></div>'
        '<script type="math/tex; mode=display">x < 2</script>',
        '<div class="math"><p><img src="1.png" class="mwe-math-fallback-image-display" alt="x &lt; 2"></p></div>',
    ],
)
def test_display_formula_becomes_a_paragraph(markup):
    assert "First.\n\n$$x < 2$$\n\nThen." in text(f"<p>First.</p>{markup}<p>Then.</p>")


def test_delimiters_of_a_page_with_mathjax_become_dollars_but_not_in_code():
    head = '<script src="https://cdn.jsdelivr.net/npm/mathjax@3/es5/tex-mml-chtml.js"></script>'
    body = r"<p>Where \(x < 2\) and \[y\] hold $z$ and $$w$$, <code>\(a\)</code> is code.</p>"
    assert r"Where $x < 2$ and $$y$$ hold $z$ and $$w$$, \(a\) is code." in text(body, head=head)
    assert r"Where \(x < 2\) and \[y\] hold" in text(body)


def test_display_formula_at_the_end_of_a_page_stays():
    formula = MATHML.format(attributes=" display=block", annotation=TEX)
    html = f"<html><body><main><p>{LINE}</p><p>{LINE}</p>{formula}</main></body></html>"
    assert parsed(html, html.encode(), {}, "resiliparse").text.endswith("$$x < 2$$")


@pytest.mark.parametrize(
    ("source", "tex"),
    [
        ("{\\displaystyle {\\frac {a}{b}}}", "{\\frac {a}{b}}"),
        ("{\\displaystyle a} + {b}", "{\\displaystyle a} + {b}"),
        ("\\(a\n  b\\)", "a b"),
        ("$$a$$", "a"),
        ("50\\% of % all\nx", "50\\% of x"),
        ("", ""),
    ],
)
def test_tex_is_one_line_without_what_stands_around_it(source, tex):
    assert tex_of(source) == tex


def test_delimiters_that_are_not_closed_stay_in_linear_time():
    assert dollars(r"a \( b \[ c") == (r"a \( b \[ c", 0)
    many = r"\(" * 500_000
    assert dollars(many) == (many, 0)
    assert dollars(many + "x" * 5000 + r"\)")[1] == 0


@settings(max_examples=300)
@given(
    st.integers(0, 140),
    st.lists(st.sampled_from([b"m", b"a", b"t", b"h", b"e", b"x", b"T", b"X", b"J", b"math", b"athJa", b" "])),
    st.integers(0, 70),
)
def test_signs_of_formulas_are_found_as_by_searching_for_each(before, pieces, behind):
    page = b"." * before + b"".join(pieces) + b"." * behind
    assert has_formula_sign(page) == any(sign in page for sign in (b"math", b"atex", b"athJax", b"aTeX"))


@pytest.mark.parametrize("shape", ["<math><mi>", "<math></math>", "<img class=tex alt=x>", r"<p>\(x\)</p>"])
def test_many_or_nested_formulas_take_no_square_time(shape):
    def read(times: int) -> None:
        page = f"<head><script src=mathjax.js></script></head><body><p>{LINE}</p>{shape * times}"
        with_formulas(HTMLTree.parse(page), page, page.encode())

    growing.linear(read, 2000)
