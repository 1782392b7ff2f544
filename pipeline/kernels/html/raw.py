"""Comments, raw text and SVG: what is read over as a whole (WHATWG HTML, 13.2.5)."""

import numpy as np

from gristmill.pipeline.kernels.compiled import bare_part
from gristmill.pipeline.kernels.html import elements as el
from gristmill.pipeline.kernels.html.stack import FOREIGN, LAST_TEXT, WHY, add_resolved, add_text, open_element, pop
from gristmill.pipeline.kernels.html.tags import BYTES, CLOSED_ITSELF, END, SLASH, SPACE, raw_end, script_end, skip_tag
from gristmill.pipeline.kernels.signs import next_byte

_DOCTYPE = np.frombuffer(b"<!doctype", dtype=np.uint8)
FOREIGN_NAMES = 64  # elements of an SVG open at once
# Start tags that end foreign content (13.2.6.5), and those whose content is HTML or a script
_BREAKS = (
    b"b big blockquote body br center code dd div dl dt em embed h1 h2 h3 h4 h5 h6 head hr i img li listing menu meta "
    b"nobr ol p pre ruby s small span strong strike sub sup table tt u ul var font "
    b"foreignobject script a annotation-xml template"
)
_BREAK_KEYS = np.array([el.name_key(name) for name in _BREAKS.split()], dtype=np.uint32)


@bare_part
def comment_end(page, i):
    """What stands behind a comment or declaration that begins with <! at i (13.2.5.42 to 53)."""
    size = page.size
    if i + 3 < size and page[i + 2] == 45 and page[i + 3] == 45:
        if i + 4 < size and page[i + 4] == 62:
            return i + 5
        if i + 5 < size and page[i + 4] == 45 and page[i + 5] == 62:
            return i + 6
        k = next_byte(page, i + 4, 62)
        while k < size:
            if k >= i + 6 and page[k - 1] == 45 and page[k - 2] == 45:
                return k + 1
            if k >= i + 7 and page[k - 1] == 33 and page[k - 2] == 45 and page[k - 3] == 45:
                return k + 1
            k = next_byte(page, k + 1, 62)
        return np.int64(size)
    return min(next_byte(page, i + 2, 62) + 1, size)


@bare_part
def is_doctype(page, lower, i):
    for k in range(_DOCTYPE.size):
        if i + k >= page.size or lower[page[i + k]] != _DOCTYPE[k]:
            return False
    return True


@bare_part
def tag_name(page, lower, i):
    """Behind a tag's name, and the name's key."""
    key = np.uint32(0)
    while i < page.size:
        if BYTES[page[i]] & (SPACE | SLASH | END):
            break
        key = np.uint32(key * np.uint32(31) + np.uint32(lower[page[i]]))
        i += 1
    return i, key


@bare_part
def element_of(key):
    slot = np.uint32(key * el.FACTOR) >> np.uint32(20)
    return np.int64(el.BY_KEY[slot]) if el.KEYS[slot] == key else np.int64(el.OTHER)


@bare_part
def add_raw(nodes, stacks, s, page, lower, tag, key, begin, flags, start, name, data, slots, entries):
    """An element whose content is text up to its end tag, from `start` on; where that tag begins. Its name stands at
    `name`, its attributes at `begin`."""
    length = begin - name
    end = script_end(page, lower, start) if tag == el.SCRIPT else raw_end(page, lower, start, name, length)
    open_element(nodes, stacks, s, tag, key, begin, flags)
    if s[WHY]:
        return end
    if tag == el.TEXTAREA and start < end:
        start += page[start] == 13 and start + 1 < end and page[start + 1] == 10
        start += page[start] == 10
    if tag == el.TEXTAREA or tag == el.TITLE:
        add_resolved(nodes, stacks, s, data, start, end, slots, entries)
    else:
        add_text(nodes, stacks, s, data, start, end)
    if s[WHY] == 0:
        pop(nodes, stacks, s)
    return end


@bare_part
def _breaks(key):
    for i in range(_BREAK_KEYS.size):
        if _BREAK_KEYS[i] == key:
            return True
    return False


@bare_part
def read_svg(nodes, stacks, s, page, lower, i, found, names, data, slots, entries):
    """The content of an svg element, of which texts are kept; what stands behind its end tag."""
    size = page.size
    names_n = 0
    while i < size and s[WHY] == 0:
        if page[i] != 60 or i + 1 >= size:
            end = next_byte(page, i + 1, 60)
            add_resolved(nodes, stacks, s, data, i, end, slots, entries)
            i = end
            continue
        c = lower[page[i + 1]]
        if c == 33:
            if i + 2 < size and page[i + 2] == 91:
                s[WHY] = FOREIGN
            i = comment_end(page, i)
            s[LAST_TEXT] = -1
        elif c == 47 and i + 2 < size and 97 <= lower[page[i + 2]] <= 122:
            i, key = tag_name(page, lower, i + 2)
            i = skip_tag(page, i, found)
            s[LAST_TEXT] = -1
            if names_n == 0:
                if element_of(key) != el.SVG:
                    s[WHY] = FOREIGN
                break
            if names[names_n - 1] != key:
                s[WHY] = FOREIGN
            names_n -= 1
        elif 97 <= c <= 122:
            i, key = tag_name(page, lower, i + 1)
            if _breaks(key):
                s[WHY] = FOREIGN
            i = skip_tag(page, i, found)
            s[LAST_TEXT] = -1
            if not found[CLOSED_ITSELF]:
                if names_n >= FOREIGN_NAMES:
                    s[WHY] = FOREIGN
                    break
                names[names_n] = key
                names_n += 1
        else:
            s[WHY] = FOREIGN
    if i >= size:
        s[WHY] = FOREIGN
    return i


@bare_part
def behind_raw(page, end, length, found):
    """Behind the end tag that begins at `end`."""
    if end >= page.size:
        return np.int64(page.size)
    return skip_tag(page, end + 2 + length, found)


@bare_part
def quirks_of(page, lower, i):
    """Whether a doctype makes a page's tables stay in paragraphs (13.2.6.4.1): 0 no, 1 yes, -1 unknown."""
    end = min(next_byte(page, i, 62), i + 200)
    k = i + 9
    while k < end and page[k] <= 32:
        k += 1
    is_html = (
        k + 4 <= end
        and lower[page[k]] == 104
        and lower[page[k + 1]] == 116
        and lower[page[k + 2]] == 109
        and lower[page[k + 3]] == 108
    )
    k += 4
    while k < end and page[k] <= 32:
        k += 1
    return 0 if is_html and k >= end else -1
