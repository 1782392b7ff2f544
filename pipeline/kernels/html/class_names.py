"""Which class names and ids say that an element is no main content: resiliparse 2.0's judgement, as automata.

Names stand between the bounds of a pattern: the whole name (between spaces) or a part of it (between spaces, hyphens
and underscores). `tests/pipeline/kernels/html/test_main_text.py` asks resiliparse for each of them and for random ones.
"""

from functools import cache

import numpy as np

from gristmill.pipeline.kernels.html.automata import (
    BEGIN,
    END,
    JOINT,
    SPACE,
    Automaton,
    Pattern,
    any_of,
    automaton,
    either,
    many,
    maybe,
    sign,
    then,
    word,
)  # fmt: skip

# Bits of an element's class, and of class and id together
HIDDEN, DEEP, SPINNER, MAIN = 1, 2, 4, 8
SKIP_LINK, LOGO, COMMENTS, ARTICLE, FURNITURE = 1, 2, 4, 8, 16
MAIN_SHIFT = 4  # of the class: a bit for each name of an article's body
MAIN_NAMES = (
    "article-body, articleBody, contentBody, article-text, main-content, postcontent, post-content, single-post"
)

_WHOLE, _PART = either(BEGIN, SPACE), either(BEGIN, SPACE, JOINT)
_WHOLE_END, _PART_END = either(END, SPACE), either(END, SPACE, JOINT)
_JOINTS = many(JOINT)


def _prefixed(prefixes: str, joint: Pattern = _JOINTS) -> Pattern:
    return then(any_of(prefixes), joint)


@cache
def of_class() -> Automaton:
    hidden = then(
        _WHOLE, maybe(then(any_of("is, visually"), JOINT)),
        any_of("display-none, hidden, invisible, collapsed, h-0, nocontent, expandable"),
        maybe(any_of("-xs, -sm, -lg, -xl, -2xl")), _WHOLE_END,
    )  # fmt: skip
    account = then(_PART, any_of("log in, sign in, sign up, account, user_info, user-info, user_profile, user-profile, "
                                 "user_settings, user-settings, user_actions, user-actions"), _PART_END)  # fmt: skip
    social = then(
        either(BEGIN, SPACE, any_of("__, --, mobile-, desktop-, l-, m-, c-")),
        either(
            any_of("social, socialmedia, socialsearch, share, sharedaddy, syndication, newsletter, sharing, follow"),
            any_of("email, like, likes, feedback, give feedback, engagement, facebook, twitter, subscribe"),
            any_of("wa, jp, aptf-follow"),
            any_of("brand_engagement, brand-engagement"),
        ),
        maybe(then(maybe(JOINT), any_of("post, link, links, section, icon, icons, btn, button, buttons, target"))),
        _PART_END,
    )  # fmt: skip
    spinner = either(then(_WHOLE, word("short-view-count", cased=True)), then(word("spinner", cased=True), _PART_END))
    return automaton(
        (hidden, HIDDEN), (either(account, social), DEEP), (spinner, SPINNER),
        (then(_WHOLE, any_of(MAIN_NAMES), _WHOLE_END), MAIN), *_mains(cased=True),
    )  # fmt: skip


def _mains(cased: bool) -> list[tuple[Pattern, int]]:
    names = [word(name.strip(), cased) for name in MAIN_NAMES.split(",")]
    return [(then(_WHOLE, name, _WHOLE_END), 1 << (MAIN_SHIFT + i)) for i, name in enumerate(names)]


@cache
def of_class_in_any_case() -> Automaton:
    """Pages of old doctypes compare the names of an article's body in any case."""
    return automaton(*_mains(cased=False))


@cache
def of_class_and_id() -> Automaton:
    skip_link = then(
        _WHOLE, maybe(word("link ")),
        any_of("skip, skip to, skip link, scroll up, scroll down, next, prev, previous, permalink, pagination, "
               "skip-to-content, skip-to-main-content"),
        either(END, SPACE, then(maybe(JOINT), any_of("post, article"))),
    )  # fmt: skip
    logo = then(word("logo"), _WHOLE_END)
    advert = then(
        _WHOLE,
        either(
            then(any_of("google, wide"), maybe(JOINT), any_of("ad, ads")),
            any_of("advert, advertise, advertisement, advertiselink"), then(word("ad"), END),
            then(word("ad_"), sign(b"abcdefABCDEF0123456789"), many(sign(b"abcdefABCDEF0123456789"))),
            any_of("sponsor, sponsored, promoted, paid, banner, widebanner, donate"),
        ),
        _PART_END,
    )  # fmt: skip
    comments = then(_PART, maybe(_prefixed("article, user, post")),
                    any_of("comment, comments, no comment, no comments, comment list, reply"), _PART_END)  # fmt: skip
    article = then(_PART, any_of("article, entry, post, story, single post, content, main_content, main-content, body, "
                                 "text, page"), _PART_END)  # fmt: skip
    header = then(_WHOLE, _prefixed("l, m, wp, global, page, site, full, sticky"), word("header"),
                  maybe(either(then(maybe(JOINT), any_of("wrap, wrapper")), word("bar"))), _WHOLE_END)  # fmt: skip
    footer = then(
        _WHOLE, maybe(_prefixed("global, page, site", maybe(JOINT))),
        any_of("footer, copyright, cookie, consent, legal, fcontainer"),
        maybe(then(JOINT, any_of("wrap, wrapper, container, banner, notice, bar, consent"))), _WHOLE_END,
    )  # fmt: skip
    navigation = then(
        _WHOLE, maybe(_prefixed("l, m, wp, main, site, page, sub, article, global, sticky")),
        either(
            then(any_of("nav, navigation, navbar"), maybe(then(JOINT, any_of("bar, menu, container, wrapper")))),
            any_of("menu, menu_item, menu-item, drop down, bread crumb, bread crumbs"),
            then(any_of("link, links"), maybe(JOINT), any_of("bar, box, list, container, section, wrapper")),
        ),
        _WHOLE_END,
    )  # fmt: skip
    recommended = then(
        _PART,
        either(
            any_of("trends, trending, recommended, featured, popular, related, read-next"),
            any_of("editor_picks, editor-picks, editors_picks, editors-picks"),
            then(word("related "), any_of("links, articles, posts, guides, stories")),
        ),
        _PART_END,
    )  # fmt: skip
    search = then(_WHOLE, word("search"), maybe(then(maybe(JOINT), any_of("bar, facility, box"))), _WHOLE_END)
    sidebar = then(_WHOLE, maybe(_prefixed("l, wp, global, sticky")),
                   either(then(any_of("side, sticky"), maybe(JOINT), any_of("bar, bars, box")), word("one-third")),
                   _WHOLE_END)  # fmt: skip
    modal = then(_WHOLE, maybe(any_of("wp-, p-, -l")), any_of("modal, popup, lightbox"),
                 maybe(then(_JOINTS, any_of("window, pane, box"))), _WHOLE_END)  # fmt: skip
    gallery = then(_WHOLE, any_of("gallery, carousel"), _WHOLE_END)
    printed = then(_WHOLE, word("print"), JOINT)
    furniture = either(header, footer, navigation, recommended, search, sidebar, modal, gallery, printed)
    return automaton(
        (skip_link, SKIP_LINK), (either(logo, advert), LOGO), (comments, COMMENTS), (article, ARTICLE),
        (furniture, FURNITURE),
    )  # fmt: skip


@cache
def of_id() -> Automaton:
    landmark = then(BEGIN, maybe(_prefixed("l, wp, global, page, site, full, sticky")),
                    any_of("head, header, foot, footer, right"), END)  # fmt: skip
    return automaton((landmark, FURNITURE))


@cache
def of_style() -> Automaton:
    colon = then(maybe(SPACE), sign(b":"), maybe(SPACE))
    hidden = then(
        either(BEGIN, then(sign(b";"), many(SPACE))),
        either(then(word("display"), colon, word("none")), then(word("visibility"), colon, word("hidden"))),
        either(END, then(maybe(SPACE), sign(b";"))),
    )
    return automaton((hidden, HIDDEN))


# How many states and classes of bytes each automaton has at most; their rows lie one behind the other in one array.
STATES, CLASSES = 1024, 64
OF_CLASS, OF_BOTH, OF_ID, OF_STYLE, OF_ANY_CASE = range(5)


@cache
def tables() -> np.ndarray:
    """(5, STATES + 1, CLASSES + 256) uint16: of class, class and id, id, style, and class in any case: a state's next
    states by class of byte, then what stands at it and what stands where the text ends in it; in the last row the
    classes of bytes."""
    automata = (of_class(), of_class_and_id(), of_id(), of_style(), of_class_in_any_case())
    out = np.zeros((len(automata), STATES + 1, CLASSES + 256), dtype=np.uint16)
    for i, one in enumerate(automata):
        states, classes = one.steps.shape
        if states > STATES or classes > CLASSES - 2:
            raise ValueError(f"an automaton of {states} states and {classes} classes is too large")
        out[i, :states, :classes] = one.steps
        out[i, :states, CLASSES - 2] = one.bits
        out[i, :states, CLASSES - 1] = one.final
        out[i, STATES, CLASSES:] = one.classes
    return out
