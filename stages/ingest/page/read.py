"""Reads a page: parses it here if tame, in a child process if heavy, and refuses what would hang a parser."""

from collections.abc import Mapping

from gristmill.pipeline.kernels.text.markup import Scan, scan_markup
from gristmill.stages.ingest.content.blocks import PLAIN as BLOCKS
from gristmill.stages.ingest.page.evidence import NEEDLES
from gristmill.stages.ingest.page.parse import PLAIN, Page, parsed
from gristmill.stages.ingest.page.sandbox import GUARD

# What resiliparse 2.0 (lexbor) takes long for is quadratic; at these limits a page takes about 0.2 s.
DEPTH = 3000  # <div> x 3000: 0.15 s, x 10000: 1.1 s, x 100000: minutes
ATTRIBUTES = 10_000  # in one tag: 0.2 s; x 100000: 15 s
FORMATTING = 300_000  # elements reopened by <p><font a=1><p><font a=2>...: 1M take 0.6 s and 200 MB
OPTIONS = 8000  # <option> x 8000: 0.17 s, x 40000: 4.2 s, x 150000: 100 s
HEAVY_BYTES = 3 << 20
PLAIN_S = 10.0  # for the text between the tags, at least: it takes 0.1 s per MB


class TooNested(Exception):
    """The page would hang a parser, or exhaust it."""


def is_wild(scan: Scan) -> bool:
    return scan.depth > DEPTH or scan.attributes > ATTRIBUTES or scan.formatting > FORMATTING or scan.options > OPTIONS


def is_heavy(scan: Scan, size: int) -> bool:
    """Costs a multiple of an ordinary page, but a bounded one; the largest pages of web/ are far below."""
    return (
        scan.depth > DEPTH // 4
        or scan.attributes > ATTRIBUTES // 4
        or scan.formatting > FORMATTING // 4
        or size > HEAVY_BYTES
    )


def read_page(
    html: str,
    utf8: bytes | None,
    headers: Mapping[str, str],
    extractor: str,
    page_s: float,
    beside: bool = False,
    blocks: str = BLOCKS,
) -> Page:
    """`utf8`: the page's bytes where they are UTF-8 already; `headers`: of the HTTP response, lower-case names.

    Raises TooNested, and TimedOut or Crashed for a page that had to be read beside the worker, as all are with
    `beside`. The extractor `plain` does not parse: any page has some text between its tags.
    """
    raw = html.encode("utf-8", "replace") if utf8 is None else utf8
    scan = scan_markup(raw, NEEDLES)
    if extractor != PLAIN and is_wild(scan):
        raise TooNested
    heavy = is_wild(scan) or is_heavy(scan, len(raw))
    if beside or heavy or extractor not in (PLAIN, "resiliparse"):
        seconds = max(page_s, PLAIN_S) if extractor == PLAIN else page_s
        page = GUARD.read((raw, dict(headers), extractor, blocks), seconds)
        assert isinstance(page, Page)
        return page
    return parsed(html, raw, headers, extractor, scan, blocks)
