"""Tags of tables and of their parts (WHATWG HTML, 13.2.6.4.9 to 13.2.6.4.15)."""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.stack import (
    KIND,
    OPEN,
    WHY,
    add_void,
    clear_marks,
    close_implied,
    mark,
    open_element,
    pop,
    pop_to,
)


@bare_part
def table_place(nodes, stacks, s):
    """1 to 4: the current element is a table, a section of one, a row, a group of columns; else 0."""
    k = nodes[KIND, stacks[0, s[OPEN] - 1]]
    if k == el.TABLE:
        return 1
    if el.TRAITS[k] & el.SECTION:
        return 2
    if k == el.TR:
        return 3
    return 4 if k == el.COLGROUP else 0


@bare_part
def cell_at(nodes, stacks, s):
    """Where the innermost cell or caption is in the stack, up to its table; -1 if none."""
    for i in range(s[OPEN] - 1, -1, -1):
        k = nodes[KIND, stacks[0, i]]
        if k == el.TD or k == el.TH or k == el.CAPTION:
            return i
        if k == el.TABLE:
            break
    return np.int64(-1)


@bare_part
def _close_cell(nodes, stacks, s, at):
    close_implied(nodes, stacks, s, 0)
    pop_to(nodes, stacks, s, at)
    clear_marks(nodes, stacks, s)


@bare_part
def start_part(nodes, stacks, s, tag, key, begin, flags):
    """A start tag of a table's parts (13.2.6.4.9 to 15)."""
    if table_place(nodes, stacks, s) == 0:
        at = cell_at(nodes, stacks, s)
        if at < 0:
            return
        _close_cell(nodes, stacks, s, at)
    is_cell, is_section = tag == el.TD or tag == el.TH, (el.TRAITS[tag] & el.SECTION) > 0
    while s[WHY] == 0:
        place = table_place(nodes, stacks, s)
        if place == 4:
            if tag == el.COL:
                add_void(nodes, stacks, s, tag, key, begin, flags)
                return
            pop(nodes, stacks, s)
        elif place == 1:
            if tag == el.CAPTION:
                mark(nodes, stacks, s)
            if tag == el.CAPTION or tag == el.COLGROUP or is_section:
                open_element(nodes, stacks, s, tag, key, begin, flags)
                return
            open_element(nodes, stacks, s, el.COLGROUP if tag == el.COL else el.TBODY, 0, begin, 0)
        elif place == 2:
            if tag == el.TR:
                open_element(nodes, stacks, s, tag, key, begin, flags)
                return
            if is_cell:
                open_element(nodes, stacks, s, el.TR, 0, begin, 0)
            else:
                pop(nodes, stacks, s)
        elif is_cell:
            open_element(nodes, stacks, s, tag, key, begin, flags)
            mark(nodes, stacks, s)
            return
        else:
            pop(nodes, stacks, s)


@bare_part
def end_part(nodes, stacks, s, tag):
    """An end tag of a table or of its parts."""
    is_section = (el.TRAITS[tag] & el.SECTION) > 0
    place = table_place(nodes, stacks, s)
    if place == 0:
        at = cell_at(nodes, stacks, s)
        if at < 0:
            return
        k = nodes[KIND, stacks[0, at]]
        if tag == k:
            _close_cell(nodes, stacks, s, at)
            return
        if k == el.CAPTION:
            if tag != el.TABLE:
                return
        elif not (tag == el.TABLE or tag == el.TR or is_section) or _in_scope_of_table(nodes, stacks, s, tag) < 0:
            return
        _close_cell(nodes, stacks, s, at)
    while True:
        place = table_place(nodes, stacks, s)
        k = nodes[KIND, stacks[0, s[OPEN] - 1]]
        if tag == k:
            pop(nodes, stacks, s)
            return
        if place == 1 or place == 0:
            return
        if place == 2 and tag != el.TABLE:
            return
        if place == 3 and tag != el.TABLE and not (is_section and _in_scope_of_table(nodes, stacks, s, tag) >= 0):
            return
        if place == 4 and tag == el.COL:
            return
        pop(nodes, stacks, s)


@bare_part
def _in_scope_of_table(nodes, stacks, s, tag):
    """As _in_scope, up to the innermost table."""
    for i in range(s[OPEN] - 1, -1, -1):
        if nodes[KIND, stacks[0, i]] == tag:
            return i
        if nodes[KIND, stacks[0, i]] == el.TABLE:
            break
    return np.int64(-1)
