"""Reads a page into the tree of its body: the loop over its tags (WHATWG HTML, 13.2.5 and 13.2.6).

The tree is built in document order, as a browser's parser would build it; where a parser would move or copy nodes
across the page, reading is given up.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_kernel, bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.end_tags import end_tag
from gristmill.pipeline.kernels.html.raw import (
    add_raw,
    behind_raw,
    comment_end,
    element_of,
    is_doctype,
    quirks_of,
    read_svg,
    tag_name,
)  # fmt: skip
from gristmill.pipeline.kernels.html.stack import (
    BEFORE_HTML,
    BEHIND_BODY,
    BEHIND_HEAD,
    FORM_AT,
    FOSTERED,
    IN_BODY,
    IN_HEAD,
    IN_NOSCRIPT,
    LANG_AT,
    LANG_STOP,
    LAST_TEXT,
    MARKS_OF,
    OPEN,
    PLACE,
    QUIRKS,
    SELECTED,
    SELECTS,
    TEMPLATED,
    TITLE_AT,
    TITLE_END,
    TOO_MUCH,
    UNSURE_TAG,
    USED,
    WHY,
    N,
    add_resolved,
    close_p,
    open_element,
    pop,
    reopen,
)  # fmt: skip
from gristmill.pipeline.kernels.html.start_tags import start_tag
from gristmill.pipeline.kernels.html.table_parts import table_place
from gristmill.pipeline.kernels.html.tags import (
    AFTER,
    BYTES,
    CLOSED_ITSELF,
    FLAGS,
    HAS_CHILD,
    IS_HIDDEN_INPUT,
    LANG,
    LANG_END,
    SPACE,
    UNSURE,
    raw_end,
    read_tag,
    script_end,
    skip_tag,
)  # fmt: skip
from gristmill.pipeline.kernels.signs import next_byte


@bare_part
def _begin_body(nodes, stacks, s):
    s[PLACE] = IN_BODY
    open_element(nodes, stacks, s, el.BODY, 0, 0, 0)


@bare_part
def _text_end(page, lower, i):
    """Where the text that begins at i ends: before what begins a tag, comment or declaration."""
    size = page.size
    end = next_byte(page, i + 1, 60)
    while end + 1 < size:
        c = lower[page[end + 1]]
        if 97 <= c <= 122 or c == 33 or c == 63 or (c == 47 and end + 2 < size):
            return end
        end = next_byte(page, end + 1, 60)
    return np.int64(size)


@bare_part
def _read_text(nodes, stacks, s, data, page, start, end, slots, entries):
    """A text of a body, or one that begins it; white space before a body is none of its."""
    begin = start
    while begin < end and BYTES[page[begin]] & SPACE:
        begin += 1
    if s[PLACE] < IN_BODY:
        if begin == end:
            return
        if page[begin] == 38:  # a reference may be white space
            s[WHY] = UNSURE_TAG
            return
        start = begin
        _begin_body(nodes, stacks, s)
    if table_place(nodes, stacks, s) > 0:
        if begin < end:
            s[WHY] = FOSTERED
            return
    else:
        reopen(nodes, stacks, s)
    if s[WHY] == 0:
        add_resolved(nodes, stacks, s, data, start, end, slots, entries)


@bare_part
def _is_for_head(s, tag):
    """Whether a start tag before the body belongs to the head (13.2.6.4.2 to 13.2.6.4.6)."""
    start = el.START_OF[tag]
    if s[PLACE] == IN_NOSCRIPT and (tag == el.BASE or tag == el.SCRIPT or start == el.START_TITLE):
        s[PLACE] = IN_HEAD
    if tag == el.NOSCRIPT and s[PLACE] < BEHIND_HEAD:
        s[PLACE] = IN_NOSCRIPT
        return True
    if start == el.START_LINKS or start == el.START_TITLE or start == el.START_SCRIPT or tag == el.HEAD:
        s[PLACE] = max(s[PLACE], IN_HEAD)
        return True
    return False


@bare_part
def _end_before_body(nodes, stacks, s, tag):
    """An end tag before the body: whether it is done with."""
    if s[PLACE] == IN_NOSCRIPT and tag != el.BR:
        if tag == el.NOSCRIPT:
            s[PLACE] = IN_HEAD
        return True
    if tag == el.HEAD:
        s[PLACE] = BEHIND_HEAD
        return True
    if tag != el.BODY and tag != el.HTML and tag != el.BR:
        return True
    _begin_body(nodes, stacks, s)
    return False


@bare_part
def _may_hold(nodes, stacks, s, is_script):
    """Whether the current element may hold raw text or SVG; of tables and selects only scripts."""
    place = table_place(nodes, stacks, s)
    if place == 4 and is_script:
        pop(nodes, stacks, s)
    if place > 0 and not is_script:
        s[WHY] = FOSTERED
    elif s[SELECTS] > 0 and not is_script:
        s[WHY] = SELECTED
    return s[WHY] == 0


@bare_part
def _is_raw(start):
    return (
        start == el.START_SCRIPT
        or start == el.START_TITLE
        or start == el.START_TEXTAREA
        or start == el.START_XMP
        or start == el.START_RAW
    )


@bare_kernel
def build(data, size, lower, tables, slots, entries, nodes, stacks, s, spans, found, names):
    """Fills `nodes`; s[WHY] is 0 where it could, s[N] the number of nodes, of which the first is the body.

    data (3 * size + 16,): the page, and room for texts with their references resolved.
    """
    page = data[:size]
    s[USED] = size
    s[LAST_TEXT] = s[FORM_AT] = s[TITLE_AT] = s[LANG_AT] = -1
    s[QUIRKS], s[PLACE] = 1, BEFORE_HTML
    skips_feed = False
    i = np.int64(0)
    while i < size and s[WHY] == 0:
        c = lower[page[i + 1]] if page[i] == 60 and i + 1 < size else np.uint8(0)
        behind = lower[page[i + 2]] if i + 2 < size else np.uint8(0)
        if c == 47 and behind == 62:  # </> is nothing
            i += 3
            continue
        if c == 33 or c == 63 or (c == 47 and i + 2 < size and not 97 <= behind <= 122):
            skips_feed = False
            if c == 33 and is_doctype(page, lower, i):
                if s[PLACE] == BEFORE_HTML:
                    s[QUIRKS] = quirks_of(page, lower, i)
            elif s[PLACE] == IN_BODY:
                nodes[MARKS_OF, stacks[0, s[OPEN] - 1]] |= HAS_CHILD
                s[LAST_TEXT] = -1
            i = comment_end(page, i) if c == 33 else min(next_byte(page, i + 2, 62) + 1, size)
        elif not 97 <= c <= 122 and (c != 47 or i + 2 >= size):
            end = _text_end(page, lower, i)
            if skips_feed and page[i] == 13 and i + 1 < end and page[i + 1] == 10:
                i += 1
            if skips_feed and (page[i] == 10 or page[i] == 13):
                i += 1
            skips_feed = False
            _read_text(nodes, stacks, s, data, page, i, end, slots, entries)
            i = end
        elif c == 47:
            skips_feed = False
            i, key = tag_name(page, lower, i + 2)
            tag = element_of(key)
            i = skip_tag(page, i, found)
            if found[AFTER] < 0 or (s[PLACE] < IN_BODY and _end_before_body(nodes, stacks, s, tag)):
                continue
            if tag == el.BODY or tag == el.HTML:
                s[PLACE] = BEHIND_BODY
            end_tag(nodes, stacks, s, tag, np.int64(key & np.uint32(0x7FFFFFFF)))
            if s[OPEN] == 0:
                s[WHY] = TOO_MUCH
        else:
            name = i + 1
            i, key = tag_name(page, lower, name)
            begin = i
            tag = element_of(key)
            start = el.START_OF[tag]
            i = read_tag(page, data, lower, i, tables, s[QUIRKS], spans, found, s[USED], slots, entries)
            if found[AFTER] < 0:
                continue
            if tag == el.HTML:
                s[PLACE] = max(s[PLACE], IN_HEAD)
                if s[LANG_AT] < 0:
                    s[LANG_AT], s[LANG_STOP] = found[LANG], found[LANG_END]
                continue
            if start == el.START_TITLE and s[TITLE_AT] < 0:
                s[TITLE_AT], s[TITLE_END] = i, raw_end(page, lower, i, name, begin - name)
            if s[PLACE] < IN_BODY:
                if _is_for_head(s, tag):
                    if _is_raw(start):
                        end = (
                            script_end(page, lower, i)
                            if tag == el.SCRIPT
                            else raw_end(page, lower, i, name, begin - name)
                        )
                        i = behind_raw(page, end, begin - name, found)
                    continue
                if start == el.START_REFUSED:
                    s[WHY] = TEMPLATED
                    continue
                _begin_body(nodes, stacks, s)
            s[PLACE] = IN_BODY
            if found[UNSURE]:
                s[WHY] = UNSURE_TAG
                continue
            flags = found[FLAGS]
            short = np.int64(key & np.uint32(0x7FFFFFFF))
            if _is_raw(start):
                skips_feed = False
                if _may_hold(nodes, stacks, s, start == el.START_SCRIPT):
                    if start == el.START_XMP:
                        close_p(nodes, stacks, s)
                        reopen(nodes, stacks, s)
                    end = add_raw(
                        nodes, stacks, s, page, lower, tag, short, begin, flags, i, name, data, slots, entries
                    )  # fmt: skip
                    i = behind_raw(page, end, begin - name, found)
            elif start == el.START_SVG:
                skips_feed = False
                if _may_hold(nodes, stacks, s, False):
                    reopen(nodes, stacks, s)
                    open_element(nodes, stacks, s, tag, short, begin, flags)
                    if s[WHY] == 0 and not found[CLOSED_ITSELF]:
                        i = read_svg(nodes, stacks, s, page, lower, i, found, names, data, slots, entries)
                    if s[WHY] == 0:
                        pop(nodes, stacks, s)
            else:
                skips_feed = start_tag(nodes, stacks, s, page, tag, short, begin, flags, found[IS_HIDDEN_INPUT] == 1)
    if s[WHY] == 0 and s[N] == 0:
        s[WHY] = TOO_MUCH
    while s[WHY] == 0 and s[OPEN] > 0:
        pop(nodes, stacks, s)
