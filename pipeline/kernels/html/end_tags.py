"""End tags in a body (WHATWG HTML, 13.2.6.4.7)."""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.stack import (
    ADOPTED,
    FIRST,
    FORM_AT,
    FORM_ORDER,
    FOSTERED,
    KIND,
    MARKS,
    OPEN,
    SELECTED,
    SELECTS,
    STOP,
    TEMPLATED,
    WHY,
    add_void,
    clear_marks,
    close_implied,
    close_p,
    forget,
    in_scope,
    pop,
    pop_to,
    reopen,
)  # fmt: skip
from gristmill.pipeline.kernels.html.table_parts import end_part, table_place


@bare_part
def _end_other(nodes, stacks, s, tag, key):
    """Any other end tag: closes the innermost element of its name, unless a special one stands before it."""
    for i in range(s[OPEN] - 1, 0, -1):
        n = stacks[0, i]
        if nodes[KIND, n] == tag and (tag != el.OTHER or nodes[FIRST, n] == key):
            close_implied(nodes, stacks, s, tag)
            pop_to(nodes, stacks, s, i)
            return
        if el.TRAITS[nodes[KIND, n]] & el.SPECIAL:
            return


@bare_part
def _open_at(nodes, stacks, s, n):
    """Where an open element is in the stack, or -1 where a bound stands before it."""
    at = s[OPEN] - 1
    while stacks[0, at] != n:
        if el.TRAITS[nodes[KIND, stacks[0, at]]] & el.SCOPE:
            return np.int64(-1)
        at -= 1
    return np.int64(at)


@bare_part
def _end_format(nodes, stacks, s, tag, key):
    """The end of a formatting element, where no block stands between (13.2.6.4.7)."""
    at = s[MARKS] - 1
    while at >= 0 and stacks[1, at] >= 0 and nodes[KIND, stacks[1, at]] != tag:
        at -= 1
    current = stacks[0, s[OPEN] - 1]
    if nodes[KIND, current] == tag:
        is_listed = False
        for i in range(s[MARKS] - 1, -1, -1):
            is_listed |= stacks[1, i] == current
        if not is_listed:
            pop(nodes, stacks, s)
            return
    if at < 0 or stacks[1, at] < 0:
        _end_other(nodes, stacks, s, tag, key)
        return
    n = stacks[1, at]
    if nodes[STOP, n] >= 0:
        forget(nodes, stacks, s, at)
        return
    where = _open_at(nodes, stacks, s, n)
    if where < 0:
        return
    for i in range(where + 1, s[OPEN]):
        if el.TRAITS[nodes[KIND, stacks[0, i]]] & el.SPECIAL:
            s[WHY] = ADOPTED
            return
    pop_to(nodes, stacks, s, where)
    forget(nodes, stacks, s, at)


@bare_part
def end_tag(nodes, stacks, s, tag, key):
    """An end tag in a body."""
    start = el.START_OF[tag]
    if start == el.START_PART or tag == el.TABLE:
        end_part(nodes, stacks, s, tag)
        return
    if start == el.START_HTML or start == el.START_BODY or start == el.START_HEAD:
        return
    place = table_place(nodes, stacks, s)
    if place > 0 and (tag == el.P or tag == el.BR):
        s[WHY] = FOSTERED
        return
    if s[SELECTS] > 0 and tag != el.SELECT and tag != el.OPTION and tag != el.OPTGROUP:
        s[WHY] = SELECTED
    elif tag == el.FORM:
        n = s[FORM_AT]
        s[FORM_AT] = -1
        if n < 0 or nodes[STOP, n] >= 0 or _open_at(nodes, stacks, s, n) < 0:
            return
        close_implied(nodes, stacks, s, 0)
        if stacks[0, s[OPEN] - 1] != n:
            s[WHY] = FORM_ORDER
            return
        pop(nodes, stacks, s)
    elif tag == el.P:
        if in_scope(nodes, stacks, s, el.P, el.BUTTON_SCOPE) < 0:
            add_void(nodes, stacks, s, el.P, key, 0, 0)
            return
        close_p(nodes, stacks, s)
    elif el.TRAITS[tag] & el.CLOSED:
        at = in_scope(nodes, stacks, s, tag, el.SCOPE)
        if at >= 0:
            close_implied(nodes, stacks, s, 0)
            pop_to(nodes, stacks, s, at)
    elif start == el.START_LI or start == el.START_DD:
        at = in_scope(nodes, stacks, s, tag, el.LIST_SCOPE if start == el.START_LI else el.SCOPE)
        if at >= 0:
            close_implied(nodes, stacks, s, tag)
            pop_to(nodes, stacks, s, at)
    elif start == el.START_HEADING:
        at = s[OPEN] - 1
        while at > 0 and el.START_OF[nodes[KIND, stacks[0, at]]] != el.START_HEADING:
            if el.TRAITS[nodes[KIND, stacks[0, at]]] & el.SCOPE:
                return
            at -= 1
        if at > 0:
            close_implied(nodes, stacks, s, 0)
            pop_to(nodes, stacks, s, at)
    elif start == el.START_ANCHOR or start == el.START_FORMAT:
        _end_format(nodes, stacks, s, tag, key)
    elif start == el.START_OBJECT:
        at = in_scope(nodes, stacks, s, tag, el.SCOPE)
        if at >= 0:
            close_implied(nodes, stacks, s, 0)
            pop_to(nodes, stacks, s, at)
            clear_marks(nodes, stacks, s)
    elif tag == el.BR:
        reopen(nodes, stacks, s)
        add_void(nodes, stacks, s, el.BR, key, 0, 0)
    elif start == el.START_REFUSED:
        s[WHY] = TEMPLATED
    else:
        _end_other(nodes, stacks, s, tag, key)
