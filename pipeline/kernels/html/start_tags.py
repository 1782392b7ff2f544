"""Start tags in a body whose content is no raw text (WHATWG HTML, 13.2.6.4.7)."""

from gristmill.pipeline.kernels.compiled import bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.stack import (
    ADOPTED,
    DOCTYPE,
    FORM_AT,
    FOSTERED,
    KIND,
    MARKS,
    OPEN,
    PARAGRAPHS,
    QUIRKS,
    SELECTED,
    SELECTS,
    TEMPLATED,
    WHY,
    N,
    close_implied,
    close_p,
    in_scope,
    mark,
    open_element,
    pop,
    pop_to,
    remember,
    reopen,
)  # fmt: skip
from gristmill.pipeline.kernels.html.table_parts import start_part, table_place


@bare_part
def _is_in_table(nodes, stacks, s, tag, hidden_input):
    """Whether the current element is a table's part, which holds only forms and hidden fields beside its own."""
    place = table_place(nodes, stacks, s)
    if place == 4:
        pop(nodes, stacks, s)
    if place > 0 and not (tag == el.FORM or hidden_input):
        s[WHY] = FOSTERED
    return place > 0


@bare_part
def _make_room(nodes, stacks, s, tag, start):
    """Closes what an element of its kind may not stand in; whether it is opened at all."""
    if start == el.START_FORM:
        return s[FORM_AT] < 0
    if start == el.START_ANCHOR:
        for i in range(s[MARKS] - 1, -1, -1):
            if stacks[1, i] < 0:
                break
            if nodes[KIND, stacks[1, i]] == el.A:
                s[WHY] = ADOPTED
                break
    elif start == el.START_LI or start == el.START_DD:
        for i in range(s[OPEN] - 1, 0, -1):
            k = nodes[KIND, stacks[0, i]]
            if el.START_OF[k] == start:
                close_implied(nodes, stacks, s, k)
                pop_to(nodes, stacks, s, i)
                break
            if el.TRAITS[k] & el.SPECIAL and k != el.ADDRESS and k != el.DIV and k != el.P:
                break
    elif start == el.START_BUTTON:
        at = in_scope(nodes, stacks, s, el.BUTTON, el.SCOPE)
        if at >= 0:
            close_implied(nodes, stacks, s, 0)
            pop_to(nodes, stacks, s, at)
    elif start == el.START_OPTION:
        if nodes[KIND, stacks[0, s[OPEN] - 1]] == el.OPTION:
            pop(nodes, stacks, s)
        if s[SELECTS] > 0 and tag == el.OPTGROUP and nodes[KIND, stacks[0, s[OPEN] - 1]] == el.OPTGROUP:
            pop(nodes, stacks, s)
    elif start == el.START_RUBY:
        if in_scope(nodes, stacks, s, el.RUBY, el.SCOPE) >= 0:
            close_implied(nodes, stacks, s, el.RTC if tag == el.RT or tag == el.RP else 0)
    elif start == el.START_REFUSED:
        s[WHY] = TEMPLATED
    return s[WHY] == 0


@bare_part
def _stays_in_p(nodes, stacks, s, start):
    """Whether a table stands in a paragraph, as in pages of old doctypes."""
    if start != el.START_TABLE or s[PARAGRAPHS] == 0 or s[QUIRKS] == 0:
        return False
    is_in = in_scope(nodes, stacks, s, el.P, el.BUTTON_SCOPE) >= 0
    if is_in and s[QUIRKS] < 0:
        s[WHY] = DOCTYPE
    return is_in


@bare_part
def start_tag(nodes, stacks, s, page, tag, key, begin, flags, hidden_input):
    """Opens an element; whether a line feed behind the tag is to be left out."""
    start = el.START_OF[tag]
    if s[SELECTS] > 0 and start != el.START_OPTION:
        s[WHY] = SELECTED
        return False
    if start == el.START_PART:
        start_part(nodes, stacks, s, tag, key, begin, flags)
        return False
    if start == el.START_HEAD or start == el.START_BODY:
        return False
    does = el.DOES[start]
    if _is_in_table(nodes, stacks, s, tag, start == el.START_VOID and hidden_input):
        does = el.IS_VOID  # a form, too, is closed at once
        if s[WHY] or (tag == el.FORM and s[FORM_AT] >= 0):
            return False
    else:
        if not _make_room(nodes, stacks, s, tag, start):
            return False
        if does & el.CLOSES_P and not _stays_in_p(nodes, stacks, s, start):
            close_p(nodes, stacks, s)
        if start == el.START_HEADING and el.START_OF[nodes[KIND, stacks[0, s[OPEN] - 1]]] == el.START_HEADING:
            pop(nodes, stacks, s)
        if does & el.REOPENS and not (start == el.START_OPTION and s[SELECTS] > 0):
            reopen(nodes, stacks, s)
    if s[WHY]:
        return False
    n = s[N]
    open_element(nodes, stacks, s, el.IMG if tag == el.IMAGE else tag, key, begin, flags)
    if s[WHY]:
        return False
    if tag == el.FORM:
        s[FORM_AT] = n
    if does & el.IS_VOID:
        pop(nodes, stacks, s)
    elif start == el.START_ANCHOR or start == el.START_FORMAT:
        remember(nodes, stacks, s, page, n)
    elif start == el.START_OBJECT:
        mark(nodes, stacks, s)
    return start == el.START_PRE
