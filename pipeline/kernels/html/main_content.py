"""The main content of a page's tree as text: resiliparse 2.0's rules and layout, with comments left out.

`tests/kernels/page/test_main_content.py` holds it to resiliparse's own text, byte for byte. Which elements stay is told
by their tags, attributes and share of links; blocks begin lines, paragraphs and headings an empty line, items of lists
have bullets or numbers, cells stand between two tabs.
"""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_kernel, bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.stack import DEPTH, FIRST, KIND, LAST, MARKS_OF, STOP, WIDTH, is_space
from gristmill.pipeline.kernels.html.tags import (
    DROPPED,
    HAS_CHILD,
    IS_ARTICLE,
    IS_BEFORE,
    IS_DEEP,
    IS_FURNITURE,
    IS_SKIP_LINK,
    LEADS,
    MAINS,
    NAMED,
    SIGN,
    TRAILS,
)  # fmt: skip

LISTS = 1 << 10  # lists and rows open at once
# What stands in `o`: of the text so far, of lists, of the stretch at hand
(_OUT, _PENDING, _LISTS, _ROWS, _FRESH, _BULLET, _DEPTH, _IS_LINE, _PRES, _LOST, _BEGUN, _SPACED, _PRE_NOW,
 _FAILED) = range(14)  # fmt: skip
STATE_OF_TEXT = 16


@bare_part
def _sum(nodes, n, total, links, joined, following):
    """(n + 1,) each: bytes of the texts before a node, as one text with its white space collapsed; bytes of its links;
    and 1 for a node whose text begins with white space where the text before ends with some."""
    total[0] = 0
    joined[n] = 0
    trails = False
    for i in range(n):
        total[i + 1] = total[i]
        joined[i] = 0
        if nodes[KIND, i] == el.TEXT:
            joined[i] = trails and (nodes[MARKS_OF, i] & LEADS) > 0
            total[i + 1] += nodes[WIDTH, i] - joined[i]
            trails = (nodes[MARKS_OF, i] & TRAILS) > 0
    # the first text from a node on
    following[n] = n
    for i in range(n - 1, -1, -1):
        following[i] = i if nodes[KIND, i] == el.TEXT else following[i + 1]
    links[0] = 0
    for i in range(n):
        links[i + 1] = links[i] + (_bytes(total, joined, following, i, nodes[STOP, i]) if nodes[KIND, i] == el.A else 0)


@bare_part
def _bytes(total, joined, following, i, end):
    """Bytes of the collapsed text of the nodes i to end."""
    begin = following[i]
    return total[end] - total[i] + (joined[begin] if begin < end else 0)


@bare_part
def _is_cluster(total, links, joined, following, i, end, share, most):
    """Whether more than that share of an element's text is links; texts over `most` bytes are none (0: any may)."""
    whole = _bytes(total, joined, following, i, end)
    if most > 0 and whole > most:
        return False
    linked = links[end] - links[i + 1]
    return linked > 0 and linked / whole > share


@bare_part
def _stays(tag, flags, level, total, links, joined, following, i, end):
    """Whether an element, `level` below the body, may hold main content."""
    if tag == el.BODY or tag == el.MAIN or tag == el.H1:
        return True
    if tag == el.UL:
        if level < 4 or _is_cluster(total, links, joined, following, i, end, 0.2, 0):
            return False
    elif tag == el.ARTICLE:
        if level > 2 and _is_cluster(total, links, joined, following, i, end, 0.2, 500):
            return False
    elif tag == el.TIME:
        return False
    if flags & DROPPED:
        return False
    if not flags & NAMED:
        return tag != el.DIV or level <= 5 or not _is_cluster(total, links, joined, following, i, end, 0.6, 800)
    if flags & IS_SKIP_LINK and (tag == el.A or tag == el.DIV or tag == el.LI):
        return False
    if level > 2 and flags & IS_DEEP:
        return False
    if not (el.TRAITS[tag] & el.IS_BLOCK or tag == el.TD or tag == el.BR):
        return True
    if flags & IS_BEFORE:
        return False
    if tag == el.ARTICLE or flags & IS_ARTICLE:
        return True
    if flags & IS_FURNITURE:
        return False
    return not (level > 2 and tag == el.DIV and _is_cluster(total, links, joined, following, i, end, 0.6, 1500))


@bare_part
def _margin(out, o):
    """The line feeds that are due; outside preformatted text white space before them goes."""
    if o[_PENDING] == 0:
        return
    n = o[_OUT]
    if o[_PRE_NOW] == 0:
        while n > 0 and is_space(out[n - 1]):
            n -= 1
    if n > 0:
        if n + o[_PENDING] >= out.size:
            o[_FAILED] = 1
            return
        for _ in range(o[_PENDING]):
            out[n] = 10
            n += 1
    o[_OUT], o[_PENDING] = n, 0


@bare_part
def _node(out, o, numbers, rows, tag, level, is_end):
    """Begins a stretch of text: at the beginning or end of a block, at a break or cell, or when an element that holds
    the last stretch has ended."""
    traits = el.TRAITS[tag]
    o[_DEPTH], o[_PRE_NOW], o[_BEGUN], o[_LOST], o[_SPACED] = level, o[_PRES], 0, 0, 0
    if tag == el.TR:
        if not is_end:
            if o[_ROWS] >= LISTS:
                o[_FAILED] = 1
                return
            rows[o[_ROWS]] = 0
            o[_ROWS] += 1
        elif o[_ROWS] > 0:
            o[_ROWS] -= 1
    if tag == el.TD or tag == el.TH:
        if is_end:
            o[_LOST], o[_IS_LINE] = 1, 0
            return
        _margin(out, o)
        if o[_ROWS] > 0:
            if rows[o[_ROWS] - 1] > 0:
                if o[_OUT] + 2 >= out.size:
                    o[_FAILED] = 1
                    return
                out[o[_OUT]] = out[o[_OUT] + 1] = 9
                o[_OUT] += 2
            rows[o[_ROWS] - 1] = 1
    if tag == el.UL or tag == el.OL or (tag == el.LI and o[_LISTS] == 0):
        if is_end:
            o[_LISTS] = max(o[_LISTS] - 1, 0)
            o[_FRESH], o[_BULLET] = 0, -1
        else:
            if o[_LISTS] >= LISTS:
                o[_FAILED] = 1
                return
            numbers[o[_LISTS]] = tag == el.OL
            o[_LISTS] += 1
    if tag == el.LI:
        if o[_LISTS] == 0:
            o[_FAILED] = 1
            return
        o[_BULLET] = numbers[o[_LISTS] - 1]
        if numbers[o[_LISTS] - 1] > 0 and not is_end:
            numbers[o[_LISTS] - 1] += 1
        o[_FRESH] = not is_end
    big = (traits & el.BIG) > 0
    o[_IS_LINE] = tag == el.BR or (traits & el.IS_BLOCK) > 0
    if tag == el.BR:
        o[_PENDING] += 1
    elif o[_IS_LINE]:
        o[_PENDING] = max(o[_PENDING], 1 + (big and o[_PRE_NOW] == 0))


@bare_part
def _begin(out, o):
    """What stands before a stretch's first sign: line feeds, the list's indent, the item's bullet or number."""
    o[_BEGUN] = 1
    _margin(out, o)
    n = o[_OUT]
    if n + 2 * LISTS + 40 >= out.size:
        o[_FAILED] = 1
        return
    if o[_LISTS] > 0:
        for _ in range(2 * (o[_LISTS] + 1 - o[_FRESH])):
            out[n] = 32
            n += 1
        o[_FRESH] = 0
    if o[_BULLET] == 0:
        out[n], out[n + 1], out[n + 2], out[n + 3] = 0xE2, 0x80, 0xA2, 32
        n += 4
    elif o[_BULLET] > 0:
        digits, rest = 1, o[_BULLET]
        while rest >= 10:
            rest //= 10
            digits += 1
        rest = o[_BULLET]
        for k in range(digits):
            out[n + digits - 1 - k] = 48 + rest % 10
            rest //= 10
        n += digits
        out[n], out[n + 1] = 46, 32
        n += 2
    o[_BULLET] = -1
    o[_OUT] = n


@bare_part
def _write(out, o, data, start, end):
    """A text of the stretch at hand, its white space collapsed outside preformatted text."""
    if o[_LOST]:
        return
    if o[_OUT] + (end - start) + 2 * LISTS + 64 + o[_PENDING] >= out.size:
        o[_FAILED] = 1
        return
    if o[_PRE_NOW] > 0:
        if not o[_BEGUN] and start < end:
            _begin(out, o)
        n = o[_OUT]
        for i in range(start, end):
            c = data[i]
            if c == 13:  # a line ends once (13.2.3.5)
                if i + 1 < end and data[i + 1] == 10:
                    continue
                c = np.uint8(10)
            out[n] = c
            n += 1
        o[_OUT] = n
        return
    i = start
    if not o[_BEGUN]:
        n = o[_OUT]
        if o[_IS_LINE] or (n > 0 and is_space(out[n - 1])):
            while i < end and is_space(data[i]):
                i += 1
        if i >= end:
            return
        _begin(out, o)
        o[_SPACED] = 0
    n = o[_OUT]
    spaced = o[_SPACED]
    while i < end:
        c = data[i]
        i += 1
        if is_space(c):
            if not spaced:
                out[n] = 32
                n += 1
            spaced = 1
        else:
            out[n] = c
            n += 1
            spaced = 0
    o[_OUT], o[_SPACED] = n, spaced


@bare_kernel
def write_main(data, nodes, stacks, s, out, total, links, joined, following, o, numbers, rows):
    """The number of bytes written to `out`, or -1 where this cannot tell what resiliparse would write."""
    n = s[0]
    root, mains = np.int64(0), 0
    for i in range(1, n):
        if nodes[KIND, i] != el.TEXT and nodes[MARKS_OF, i] >> MAINS:
            mains += nodes[MARKS_OF, i] >> MAINS
            root = np.int64(i)
    if mains != 1:
        root = np.int64(0)
    elif el.TRAITS[nodes[KIND, root]] & el.SKIPPED:
        return np.int64(-1)
    _sum(nodes, n, total, links, joined, following)
    o[:] = 0
    o[_BULLET] = -1
    opened_n = 0
    has_node = False
    i = root
    end = nodes[STOP, root]
    while o[_FAILED] == 0:
        while opened_n > 0 and nodes[STOP, stacks[0, opened_n - 1]] <= i:  # elements that have ended
            opened_n -= 1
            k = stacks[0, opened_n]
            tag = nodes[KIND, k]
            o[_PRES] -= tag == el.PRE
            if el.TRAITS[tag] & el.IS_BLOCK or tag == el.TD or tag == el.TH or nodes[DEPTH, k] < o[_DEPTH]:
                _node(out, o, numbers, rows, tag, nodes[DEPTH, k], True)
        if i >= end:
            break
        tag = nodes[KIND, i]
        if tag == el.TEXT:
            if not nodes[MARKS_OF, i] & SIGN:
                if not has_node or nodes[DEPTH, i] < o[_DEPTH]:
                    _node(out, o, numbers, rows, tag, nodes[DEPTH, i], False)
                    has_node = True
                _write(out, o, data, nodes[FIRST, i], nodes[LAST, i])
            i += 1
            continue
        if (el.TRAITS[tag] & el.SKIPPED and i != root) or not _stays(
            tag, nodes[MARKS_OF, i], nodes[DEPTH, i], total, links, joined, following, i, nodes[STOP, i]
        ):
            i = np.int64(nodes[STOP, i])
            continue
        o[_PRES] += tag == el.PRE
        if (
            not has_node
            or el.TRAITS[tag] & el.IS_BLOCK
            or tag == el.BR
            or tag == el.TD
            or tag == el.TH
            or nodes[DEPTH, i] < o[_DEPTH]
        ):
            _node(out, o, numbers, rows, tag, nodes[DEPTH, i], False)
            has_node = True
        if nodes[MARKS_OF, i] & HAS_CHILD:
            stacks[0, opened_n] = i
            opened_n += 1
        i += 1
    if o[_FAILED]:
        return np.int64(-1)
    n = o[_OUT]
    while n > 0 and is_space(out[n - 1]):
        n -= 1
    return np.int64(n)
