"""XHTML that is served as XML, rewritten so that an HTML parser reads what an XML parser would.

Elements that close themselves get an end tag, CDATA becomes text, prefixes of the XHTML namespace and the doctype's
declarations go. What is not well-formed stays as it is: a browser would show none of it.
"""

import re
from html import escape

_VOID = frozenset(
    ["area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "param", "source", "track", "wbr"]
)
_RAW = frozenset(("script", "style"))
# An attribute's value holds no < in XML, so no tag can make this read far
_MARK = re.compile(
    r"<!--|<!\[CDATA\[|<\?|<!DOCTYPE\b|<(/?)(?:([\w.-]++):)?([A-Za-z_][\w.-]*+)((?:[^<>\"']|\"[^\"<]*\"|'[^'<]*')*+)>"
)
_DOCTYPE = re.compile(r"<!DOCTYPE\b[^\[<>]*(\[)?")
_PREFIX = re.compile(r"xmlns:([\w.-]+)\s*=\s*[\"']http://www\.w3\.org/1999/xhtml[\"']")
PREFIXES = 8  # for one namespace; for each the end of its scripts is sought anew
_ENDS = {"<!--": "-->", "<![CDATA[": "]]>", "<?": "?>"}


def as_html(xml: str) -> str:
    prefixes = set(_PREFIX.findall(xml, 0, 1 << 16)[:PREFIXES])
    parts: list[str] = []
    missing: set[str] = set()  # ends that are nowhere behind
    at = 0
    while found := _MARK.search(xml, at):
        parts.append(xml[at : found.start()])
        mark, at = found.group(), found.end()
        if end := _ENDS.get(mark):
            stop = -1 if end in missing else xml.find(end, at)
            if stop < 0:
                missing.add(end)
                parts.append(mark)
                continue
            if mark == "<![CDATA[":
                parts.append(escape(xml[at:stop], quote=False))
            elif mark == "<!--":
                parts.append(xml[found.start() : stop + len(end)])
            at = stop + len(end)
        elif mark == "<!DOCTYPE":
            parts.append("<!DOCTYPE html>")
            at = _behind_doctype(xml, found.start(), missing)
        else:
            slash, prefix, name, rest = found.groups()
            outer = f"{prefix}:" if prefix and prefix not in prefixes else ""
            empty = rest.endswith("/") and not slash
            if empty and name.lower() not in _VOID:
                parts.append(f"<{outer}{name}{rest[:-1].rstrip()}></{outer}{name}>")
            else:
                parts.append(f"<{slash}{outer}{name}{rest}>")
            if name in _RAW and outer == "" and not slash and not empty:
                end = f"</{prefix}:{name}" if prefix else f"</{name}"
                stop = -1 if end in missing else xml.find(end, at)
                if stop < 0:
                    missing.add(end)
                else:
                    parts.append(xml[at:stop])
                    at = stop
    return "".join([*parts, xml[at:]])


def _behind_doctype(xml: str, start: int, missing: set[str]) -> int:
    """Where the doctype at `start` ends; `missing` gets its end where that is nowhere behind."""
    found = _DOCTYPE.match(xml, start)
    at = found.end() if found else start
    if found and found.group(1) and "]" not in missing:
        stop = xml.find("]", at)
        at = max(stop, at)
        if stop < 0:
            missing.add("]")
    return xml.find(">", at) + 1 or len(xml)
