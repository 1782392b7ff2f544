"""Elements of a tree of resiliparse's: found by a CSS selector."""

from resiliparse.parse.html import ElementNode, HTMLTree


def found(within: HTMLTree | ElementNode, selector: str) -> list[ElementNode]:
    """In the order of the document."""
    holder = within.document if isinstance(within, HTMLTree) else within
    # One slice: an iterator over the list makes all nodes anew for each of its steps.
    nodes = [] if holder is None else holder.query_selector_all(selector)[:]
    return [node for node in nodes if isinstance(node, ElementNode)]
