"""Gives tables of data and preformatted code of a page's tree the shape that its text is to keep.

A table becomes one preformatted text: a line a row, cells between tabs, or a pipe table of Markdown (GFM 4.10). Layout
tables stay as they are. Tables and code in a figure are taken out of it.
"""

import re
from collections.abc import Iterator

from resiliparse.parse.html import ElementNode, HTMLTree

from gristmill.pipeline.kernels.text.markup import Scan
from gristmill.stages.ingest.content.cells import SPACE, cell_text
from gristmill.stages.ingest.content.code import fence
from gristmill.stages.ingest.content.elements import found

PLAIN, MARKDOWN = "plain", "markdown"
STYLES = (PLAIN, MARKDOWN)

_CONTROLS = "form, textarea, select, iframe, object, embed, h1, h2, input:not([type=checkbox])"
_PROSE = "ul, ol, h3, h4, h5, h6, blockquote, article, section, p + p, br + br"  # of cells in a table without headings
# A cell without any of these has the text that its nodes have.
_COMPOSED = ", ".join(
    f"{cell}:has(br, p, div, li, dd, h3, img, svg, i, input, script, style, button, noscript, select, span:empty, "
    "[hidden], [style*=none])"
    for cell in ("td", "th")
)
# Cells in which the extractor would begin a line, and those that may hold an icon alone.
_BROKEN = "td:has(br, p, div, li, dd, h3), th:has(br, p, div, li, dd, h3)"
_ICONS = "td:has(img, svg, i, input, span:empty):not(:has(br, p, div, li, dd, h3))"
CELL_CHARS = 400  # a longer cell is a column of the page, not a cell
BARE_CELL_CHARS, BARE_MEAN_CHARS = 300, 60  # the same in tables that name no heading, and the mean of theirs
EXTRACTOR_TABS = "\t\t"  # what resiliparse sets between cells
_MARK = re.compile("[\u25c0-\u277f]")
FIGURE_DEPTH = 16  # elements between a figure and what it shows
SPAN = 100  # most rows and columns that a cell is taken to cover
CELLS = 100_000  # of a table; a larger one stays as it is
_NAVIGATION = re.compile(r"nav|sidebar|menu|metadata|mbox|(?:^|[ _-])toc(?:$|[ _-])|calendar", re.I)
_NO_DATA = frozenset(("presentation", "none"))  # roles of tables

Row = list[ElementNode]


def may_have_blocks(style: str, scan: Scan) -> bool:
    """Whether with_blocks has to look at the page's tree."""
    return bool(scan.pres or scan.figured or (scan.tables if _is_whole(style, scan) else scan.composed))


def with_blocks(tree: HTMLTree, style: str, scan: Scan) -> bool:
    """Changes `tree`; whether anything was changed. style: of STYLES; scan: of the page."""
    changed = False
    whole = _is_whole(style, scan)
    if scan.tables if whole else scan.composed:
        for table in _named(tree, "table"):
            if table.query_selector("table, pre, td.blob-code") is None and (headed := _headed(table)) is not None:
                changed = (_reshape(tree, table, headed, style) if whole else _fill(tree, table, headed)) or changed
    for pre in _named(tree, "pre") if scan.pres else ():
        changed = fence(pre, style == MARKDOWN) or changed
    return (_lift(tree) or changed) if scan.figured else changed


def _lift(tree: HTMLTree) -> bool:
    """Tables and code out of figures, which the extractor leaves out."""
    lifted = False
    for block in found(tree, "figure table, figure pre"):
        figure, above = None, block.parent
        for _ in range(FIGURE_DEPTH):
            if not isinstance(above, ElementNode) or above.tag in ("table", "pre"):
                break
            figure = above if above.tag == "figure" else figure
            above = above.parent
        if figure is not None and figure.parent is not None:
            figure.parent.insert_before(block, figure)
            lifted = True
    return lifted


def _is_whole(style: str, scan: Scan) -> bool:
    """Whether tables are written anew; else the extractor's rows stay, with two tabs between cells."""
    return style == MARKDOWN or scan.pres > 0


def _named(tree: HTMLTree, name: str) -> list[ElementNode]:
    return [] if tree.document is None else list(tree.document.get_elements_by_tag_name(name)[:])


def _headed(table: ElementNode) -> bool | None:
    """Whether a table names headings or has a caption; None: it is no table of data."""
    n = len(table.query_selector_all("td, th"))
    if not 4 <= n <= CELLS or (table.getattr("role") or "") in _NO_DATA:
        return None
    if _NAVIGATION.search(f"{table.getattr('class') or ''} {table.getattr('id') or ''}"):
        return None
    headed = table.query_selector("th, caption") is not None
    if not headed:
        rows, chars = len(table.query_selector_all("tr")), len("".join((table.text_content or "").split()))
        if rows < 3 or n < 2 * rows or chars > BARE_MEAN_CHARS * n:
            return None
    if table.query_selector(_CONTROLS if headed else f"{_CONTROLS}, {_PROSE}") is not None:
        return None
    return headed


def _fill(tree: HTMLTree, table: ElementNode, headed: bool) -> bool:
    """Each cell that is more than a text as one line, where the table holds data."""
    icons = [cell for cell in found(table, _ICONS) if not (cell.text_content or "").strip()]
    cells = [*found(table, _BROKEN), *icons]
    most = CELL_CHARS if headed else BARE_CELL_CHARS
    if any(len(" ".join((cell.text_content or "").split())) > most for cell in cells):
        return False
    texts = [cell_text(cell).replace("\n", " ") for cell in cells]
    if _MARK.search(table.text_content or "") or any(map(_MARK.search, texts)):  # the extractor leaves out such cells
        return _reshape(tree, table, headed, PLAIN, EXTRACTOR_TABS)
    for cell, text in zip(cells, texts, strict=True):
        cell.text_content = text
    return True


def _reshape(tree: HTMLTree, table: ElementNode, headed: bool, style: str, between: str = "\t") -> bool:
    """A table of data as one preformatted text. between: what stands between the cells of a plain row."""
    rows: list[Row] = []
    caption = None
    for node in found(table, "tr, td, th, caption" if headed else "tr, td"):
        tag = node.tag
        if tag == "tr":
            rows.append([])
        elif tag == "caption":
            caption = node
        elif rows:
            rows[-1].append(node)
    texts = [[SPACE.sub(" ", cell.text_content or "").strip() for cell in row] for row in rows]
    longest = max((len(text) for row in texts for text in row), default=0)
    if longest > (CELL_CHARS if headed else BARE_CELL_CHARS) or not any(sum(map(bool, row)) > 1 for row in texts):
        return False
    composed = set(found(table, _COMPOSED))
    for row, row_texts in zip(rows, texts, strict=True):
        for at, cell in enumerate(row):
            if cell in composed:
                row_texts[at] = cell_text(cell)
    grid = [row for row in _spread(rows, texts) if any(row)]
    first = all(cell.tag == "th" for cell in rows[0])
    lines = list(pipes(grid, first) if style == MARKDOWN else tabs(grid, between))
    if caption is not None and (name := cell_text(caption).replace("\n", " ")):
        lines = [name, *([""] if style == MARKDOWN else []), *lines]
    holder = tree.create_element("pre")
    if not isinstance(holder, ElementNode):
        return False
    holder.text_content = "\n".join(lines)
    for child in table.child_nodes[:]:
        table.remove_child(child)
    table.append_child(holder)
    return True


def _spread(rows: list[Row], texts: list[list[str]]) -> Iterator[list[str]]:
    """Each row with its cells in their columns: what a cell covers beside its first place is empty; columns in which
    no cell begins are left out."""
    placed: list[dict[int, str]] = []
    covered: dict[int, int] = {}  # column -> rows that a cell above still covers
    for row, row_texts in zip(rows, texts, strict=True):
        at, here = 0, {}
        taken = {column: n - 1 for column, n in covered.items() if n > 1}
        for cell, text in zip(row, row_texts, strict=True):
            while covered.get(at, 0) > 0:
                at += 1
            here[at] = text
            down = _span(cell, "rowspan")
            for _ in range(_span(cell, "colspan")):
                if down > 1:
                    taken[at] = down - 1
                at += 1
        covered = taken
        placed.append(here)
    columns = sorted({column for row in placed for column in row})
    for row in placed:
        yield [row.get(column, "") for column in columns]


def _span(cell: ElementNode, name: str) -> int:
    value = cell.getattr(name)
    return min(max(int(value), 1), SPAN) if value and value.isascii() and value.isdigit() and len(value) < 6 else 1


def tabs(rows: list[list[str]], between: str = "\t") -> Iterator[str]:
    """Rows as lines of cells between tabs, without empty cells at their end."""
    for row in rows:
        yield between.join(SPACE.sub(" ", cell) for cell in row).rstrip("\t")


def pipes(rows: list[list[str]], headed: bool) -> Iterator[str]:
    r"""A GFM table: pipes as \|, line breaks as <br>; an empty heading where the first row is none."""
    width = max(map(len, rows), default=0)
    first = rows[0] if headed and rows else [""] * width
    yield _piped(first)
    yield _piped(["---"] * width)
    for row in rows[1:] if headed else rows:
        yield _piped(row)


def _piped(cells: list[str]) -> str:
    return (
        "|"
        + "|".join(f" {c.replace('|', chr(92) + '|').replace(chr(10), '<br>')} " if c else "  " for c in cells)
        + "|"
    )
