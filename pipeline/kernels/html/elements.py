"""HTML's elements as tables by a number of their own: how a parser treats their tags (WHATWG HTML, 13.2.6.4), and their
part in an extracted text. 0 is text, 1 an element that the standard does not name."""

import numpy as np

from gristmill.pipeline.kernels.page.needles import perfect_factor

TEXT, OTHER = 0, 1

# What a start tag does in a body: kinds of elements, and what they have in common
(
    START_ORDINARY, START_BLOCK, START_HEADING, START_PRE, START_FORM, START_LI, START_DD, START_BUTTON, START_ANCHOR,
    START_FORMAT, START_OBJECT, START_TABLE, START_VOID, START_HR, START_PARAM, START_TEXTAREA, START_XMP, START_RAW,
    START_LINKS, START_TITLE, START_SCRIPT, START_SELECT, START_OPTION, START_RUBY, START_SVG, START_PART,
    START_REFUSED, START_HTML, START_BODY, START_HEAD,
) = range(30)  # fmt: skip
CLOSES_P, REOPENS, IS_VOID = 1, 2, 4
DOES = np.zeros(30, dtype=np.uint8)
for _does, _starts in (
    (CLOSES_P, (START_BLOCK, START_HEADING, START_PRE, START_FORM, START_LI, START_DD, START_TABLE, START_HR)),
    (REOPENS, (START_ORDINARY, START_ANCHOR, START_FORMAT, START_BUTTON, START_OBJECT, START_VOID, START_SELECT,
               START_OPTION)),
    (IS_VOID, (START_VOID, START_HR, START_PARAM, START_LINKS)),
):  # fmt: skip
    DOES[list(_starts)] |= _does

_STARTS = {
    START_BLOCK: """address article aside blockquote center details dialog dir div dl fieldset figcaption figure footer
        header hgroup main menu nav ol p search section summary ul""",
    START_HEADING: "h1 h2 h3 h4 h5 h6",
    START_PRE: "pre listing",
    START_FORM: "form",
    START_LI: "li",
    START_DD: "dd dt",
    START_BUTTON: "button",
    START_ANCHOR: "a",
    START_FORMAT: "b big code em font i s small strike strong tt u",
    START_OBJECT: "applet marquee object",
    START_TABLE: "table",
    START_VOID: "area br embed img image keygen wbr input",
    START_HR: "hr",
    START_PARAM: "param source track",
    START_TEXTAREA: "textarea",
    START_XMP: "xmp",
    START_RAW: "iframe noembed",
    START_LINKS: "base basefont bgsound link meta",
    START_TITLE: "title",
    START_SCRIPT: "script style noframes",
    START_SELECT: "select",
    START_OPTION: "option optgroup",
    START_RUBY: "rb rtc rp rt",
    START_SVG: "svg",
    START_PART: "caption col colgroup tbody td tfoot th thead tr",
    # Their trees are not those of a body read in order.
    START_REFUSED: "template plaintext frameset frame math nobr",
    START_HTML: "html",
    START_BODY: "body",
    START_HEAD: "head",
    START_ORDINARY: "noscript ruby audio video time label",
}
_SPECIAL = """
address applet area article aside base basefont bgsound blockquote body br button caption center col colgroup dd details
dir div dl dt embed fieldset figcaption figure footer form frame frameset h1 h2 h3 h4 h5 h6 head header hgroup hr html
iframe img input keygen li link listing main marquee menu meta nav noembed noframes noscript object ol p param plaintext
pre script search section select source style summary table tbody td template textarea tfoot th thead title tr track ul
wbr xmp
"""
_SCOPE = "applet caption html table td th marquee object template"
SPECIAL, IMPLIED, SCOPE, LIST_SCOPE, BUTTON_SCOPE, CLOSED, SKIPPED, IS_BLOCK, BIG, SECTION = (1 << i for i in range(10))
_TRAITS = {
    SPECIAL: _SPECIAL,
    IMPLIED: "dd dt li optgroup option p rb rp rt rtc",
    SCOPE: _SCOPE,
    LIST_SCOPE: _SCOPE + " ol ul",
    BUTTON_SCOPE: _SCOPE + " button",
    # An end tag closes what is open in them.
    CLOSED: """address article aside blockquote button center details dialog dir div dl fieldset figcaption figure
        footer header hgroup listing main menu nav ol pre search section select summary ul""",
    # As resiliparse 2.0 shows a text: without these (and what ingest leaves out), blocks on lines of their own, some of
    # them between empty lines.
    SKIPPED: """script style iframe frame template object video audio embed img area svg figcaption figure noscript
        textarea input button select option label nav footer aside""",
    IS_BLOCK: """address article aside blockquote center dd details div dl dt fieldset figcaption figure footer form h1
        h2 h3 h4 h5 h6 header hgroup hr li main nav ol p pre section table tr ul tfoot""",
    BIG: "p h1 h2 h3 h4",
    SECTION: "tbody thead tfoot",
}
NAMES = ["", "*", *dict.fromkeys(name for names in _STARTS.values() for name in names.split())]
_NUMBERS = {name: i for i, name in enumerate(NAMES)}

START_OF = np.zeros(len(NAMES), dtype=np.uint8)
for _start, _names in _STARTS.items():
    for _name in _names.split():
        START_OF[_NUMBERS[_name]] = _start
TRAITS = np.zeros(len(NAMES), dtype=np.uint32)
for _trait, _names in _TRAITS.items():
    for _name in _names.split():
        TRAITS[_NUMBERS[_name]] |= _trait


def name_key(name: bytes) -> int:
    """A hash of 32 bits of a name in lower case."""
    key = 0
    for byte in name:
        key = (key * 31 + byte) & 0xFFFFFFFF
    return key


_KEYS = [name_key(name.encode()) for name in NAMES[2:]]
FACTOR = np.uint32(perfect_factor(_KEYS))
KEYS, BY_KEY = np.zeros(4096, dtype=np.uint32), np.full(4096, OTHER, dtype=np.uint8)
for _i, _key in enumerate(_KEYS, start=2):
    _slot = (_key * int(FACTOR) & 0xFFFFFFFF) >> 20
    KEYS[_slot], BY_KEY[_slot] = _key, _i

# Numbers of elements that kernels name
_NAMED = """
a address article base body br button caption col colgroup div form h1 head html image img li
main noscript ol optgroup option p pre rp rt rtc ruby script select svg table tbody td textarea
th time title tr ul
"""
(
    A, ADDRESS, ARTICLE, BASE, BODY, BR, BUTTON, CAPTION, COL, COLGROUP, DIV, FORM, H1, HEAD, HTML, IMAGE, IMG, LI,
    MAIN, NOSCRIPT, OL, OPTGROUP, OPTION, P, PRE, RP, RT, RTC, RUBY, SCRIPT, SELECT, SVG, TABLE, TBODY, TD, TEXTAREA,
    TH, TIME, TITLE, TR, UL,
) = (_NUMBERS[name] for name in _NAMED.split())  # fmt: skip
