"""Cuts a document's text to the beginning that a report shows."""

TEXT_CHARS, TEXT_LINES = 640, 12


def beginning(text: str) -> str:
    lines = [line for line in text[: TEXT_CHARS + 1].splitlines() if line.strip()]
    cut = "\n".join(lines[:TEXT_LINES])[:TEXT_CHARS]
    return cut + (" …" if len(text) > TEXT_CHARS or len(lines) > TEXT_LINES else "")
