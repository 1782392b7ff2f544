"""The elements that are open while a page's body is read, those to open again, and the nodes so far (WHATWG HTML,
13.2.4.2 and 13.2.4.3).

`nodes` (NODE_ROWS, room) int32: elements and texts in document order. `stacks` (2, NESTED) int32: the open elements,
and formatting elements with marks of -1. `s` (STATE,) int64: counters, and why reading was given up.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.references import resolve
from gristmill.pipeline.kernels.html.tags import HAS_CHILD, LEADS, SIGN, TRAILS

# Rows of `nodes`: what it is, its level below the body, the node behind its last descendant; of an element its name's
# key and where its attributes begin, of a text where it begins and ends; flags; a text's bytes, its spaces collapsed
KIND, DEPTH, STOP, FIRST, LAST, MARKS_OF, WIDTH = range(7)
NODE_ROWS = 7
(N, OPEN, MARKS, LAST_TEXT, FORM_AT, PARAGRAPHS, ROOM, SELECTS, QUIRKS, TITLE_AT, TITLE_END, LANG_AT, LANG_STOP, WHY,
 USED, PLACE) = range(16)  # fmt: skip
STATE = 16
# s[PLACE]: how far the page is read
BEFORE_HTML, IN_HEAD, IN_NOSCRIPT, BEHIND_HEAD, IN_BODY, BEHIND_BODY = range(6)
# Why it was given up: content moved before a table, the adoption agency, content with a tree of its own, an attribute
# or text that may mean something else, a form or select closed out of order, SVG or MathML, no room, an old doctype
FOSTERED, ADOPTED, TEMPLATED, UNSURE_TAG, FORM_ORDER, SELECTED, FOREIGN, TOO_MUCH, DOCTYPE = range(1, 10)
NESTED = 1 << 12  # elements open at once; ingest asks a parser for pages that nest that much


@bare_part
def is_space(c):
    """White space as resiliparse collapses it."""
    return c == 32 or 9 <= c <= 13


@bare_part
def open_element(nodes, stacks, s, tag, key, begin, flags):
    """Adds an element as child of the current one and makes it current."""
    n = s[N]
    if n + 2 >= s[ROOM] or s[OPEN] + 2 >= NESTED:
        s[WHY] = TOO_MUCH
        return n
    nodes[KIND, n], nodes[DEPTH, n], nodes[STOP, n] = tag, s[OPEN], -1
    nodes[FIRST, n], nodes[LAST, n], nodes[MARKS_OF, n], nodes[WIDTH, n] = key, begin, flags, 0
    if s[OPEN] > 0:
        nodes[MARKS_OF, stacks[0, s[OPEN] - 1]] |= HAS_CHILD
    stacks[0, s[OPEN]] = n
    s[OPEN] += 1
    s[N] += 1
    s[LAST_TEXT] = -1
    s[PARAGRAPHS] += tag == el.P
    s[SELECTS] += tag == el.SELECT
    return n


@bare_part
def pop(nodes, stacks, s):
    s[OPEN] -= 1
    n = stacks[0, s[OPEN]]
    nodes[STOP, n] = s[N]
    s[LAST_TEXT] = -1
    s[PARAGRAPHS] -= nodes[KIND, n] == el.P
    s[SELECTS] -= nodes[KIND, n] == el.SELECT


@bare_part
def pop_to(nodes, stacks, s, at):
    """Until as many elements as `at` are open."""
    while s[OPEN] > at:
        pop(nodes, stacks, s)


@bare_part
def add_void(nodes, stacks, s, tag, key, begin, flags):
    open_element(nodes, stacks, s, tag, key, begin, flags)
    if s[WHY] == 0:
        pop(nodes, stacks, s)


@bare_part
def in_scope(nodes, stacks, s, tag, bounds):
    """Where the innermost open element of that kind is in the stack, or -1 where a bound stands before it."""
    for i in range(s[OPEN] - 1, -1, -1):
        k = nodes[KIND, stacks[0, i]]
        if k == tag:
            return i
        if el.TRAITS[k] & bounds:
            break
    return np.int64(-1)


@bare_part
def close_implied(nodes, stacks, s, but):
    """Closes what needs no end tag, except elements of one kind."""
    while s[OPEN] > 1:
        k = nodes[KIND, stacks[0, s[OPEN] - 1]]
        if k == but or not el.TRAITS[k] & el.IMPLIED:
            break
        pop(nodes, stacks, s)


@bare_part
def close_p(nodes, stacks, s):
    if s[PARAGRAPHS] > 0:
        at = in_scope(nodes, stacks, s, el.P, el.BUTTON_SCOPE)
        if at >= 0:
            pop_to(nodes, stacks, s, at)


@bare_part
def reopen(nodes, stacks, s):
    """Opens again the formatting elements that were left open (13.2.4.3)."""
    n = s[MARKS]
    if n == 0 or stacks[1, n - 1] < 0 or nodes[STOP, stacks[1, n - 1]] < 0:
        return
    i = n - 1
    while i > 0 and stacks[1, i - 1] >= 0 and nodes[STOP, stacks[1, i - 1]] >= 0:
        i -= 1
    for j in range(i, n):
        old = stacks[1, j]
        stacks[1, j] = open_element(
            nodes, stacks, s, nodes[KIND, old], nodes[FIRST, old], nodes[LAST, old], nodes[MARKS_OF, old] & ~HAS_CHILD
        )
        if s[WHY]:
            return


@bare_part
def _same_tag(page, a, b):
    """Whether the rest of two tags is the same, byte for byte."""
    while a < page.size and b < page.size:
        if page[a] != page[b]:
            return False
        if page[a] == 62:
            return True
        a += 1
        b += 1
    return False


@bare_part
def remember(nodes, stacks, s, page, n):
    """Adds a formatting element to the list of those to open again; of four alike the first goes."""
    alike = 0
    earliest = np.int64(-1)
    i = s[MARKS] - 1
    while i >= 0 and stacks[1, i] >= 0:
        if nodes[KIND, stacks[1, i]] == nodes[KIND, n] and _same_tag(page, nodes[LAST, stacks[1, i]], nodes[LAST, n]):
            alike += 1
            earliest = i
        i -= 1
    if alike >= 3:
        forget(nodes, stacks, s, earliest)
    if s[MARKS] + 1 >= NESTED:
        s[WHY] = TOO_MUCH
        return
    stacks[1, s[MARKS]] = n
    s[MARKS] += 1


@bare_part
def forget(nodes, stacks, s, at):
    for i in range(at, s[MARKS] - 1):
        stacks[1, i] = stacks[1, i + 1]
    s[MARKS] -= 1


@bare_part
def mark(nodes, stacks, s):
    if s[MARKS] + 1 >= NESTED:
        s[WHY] = TOO_MUCH
        return
    stacks[1, s[MARKS]] = -1
    s[MARKS] += 1


@bare_part
def clear_marks(nodes, stacks, s):
    while s[MARKS] > 0:
        s[MARKS] -= 1
        if stacks[1, s[MARKS]] < 0:
            break


@bare_part
def add_text(nodes, stacks, s, data, start, end):
    """A text of data[start:end], with how many bytes it has once its white space is collapsed."""
    if end <= start:
        return
    n = s[N]
    if n + 2 >= s[ROOM]:
        s[WHY] = TOO_MUCH
        return
    bytes_n, was_space = 0, False
    for i in range(start, end):
        space = is_space(data[i])
        bytes_n += not (space and was_space)
        was_space = space
    leads = is_space(data[start])
    flags = (LEADS if leads else 0) | (TRAILS if was_space else 0)
    ink = bytes_n - leads - (was_space and bytes_n > 1)
    if bytes_n == 1 and leads:
        ink = 0
    if s[LAST_TEXT] >= 0:  # one text with the one before it
        if ink > 0 and (nodes[MARKS_OF, s[LAST_TEXT]] & SIGN or ink + nodes[WIDTH, s[LAST_TEXT]] <= 8):
            s[WHY] = TOO_MUCH
            return
        flags |= nodes[MARKS_OF, s[LAST_TEXT]] & SIGN
    elif 2 <= ink <= 3:
        a = start
        while is_space(data[a]):
            a += 1
        flags |= SIGN if _is_sign(data, a, ink) else 0
    nodes[KIND, n], nodes[DEPTH, n], nodes[STOP, n] = el.TEXT, s[OPEN], n + 1
    nodes[FIRST, n], nodes[LAST, n], nodes[MARKS_OF, n], nodes[WIDTH, n] = start, end, flags, bytes_n
    nodes[MARKS_OF, stacks[0, s[OPEN] - 1]] |= HAS_CHILD
    s[LAST_TEXT] = n
    s[N] += 1


@bare_part
def _is_sign(data, i, length):
    """A pilcrow, or what resiliparse takes for a sign of a private font: three bytes, compared as a number."""
    if length == 2:
        return data[i] == 0xC2 and data[i + 1] == 0xB6
    code = np.int64(data[i]) | np.int64(data[i + 1]) << 8 | np.int64(data[i + 2]) << 16
    return 0x8080EE <= code <= 0xBFA3EF


@bare_part
def add_resolved(nodes, stacks, s, data, start, end, slots, entries):
    """A text, its references resolved behind what is used of `data`."""
    for i in range(start, end):
        if data[i] == 38:
            start, end = s[USED], resolve(data, start, end, data, s[USED], slots, entries, False)
            s[USED] = end
            break
    add_text(nodes, stacks, s, data, start, end)
