"""Reads YAML by the core schema of YAML 1.2, refuses a key that stands twice, and writes what reads back the same.

YAML 1.1, which PyYAML reads, takes `no` for false, `0100` for 64, `1:00:00` for 3600 and `1e6` for text. Here `no` and
`1:00:00` are text, `0100` is 100 and `1e6` a number (https://yaml.org/spec/1.2.2/#103-core-schema). One addition:
digits may be grouped, 100_000_000.
"""

import re

import yaml

# Aliases may repeat parts; a config of such a size is an attack or an accident.
MAX_NODES = 100_000
MAX_CHARS = 16_000_000
_DIGITS = r"[0-9]+(?:_[0-9]+)*"
_PATTERNS = {
    "null": re.compile(r"(?:~|null|Null|NULL|)\Z"),
    "bool": re.compile(r"(?:true|True|TRUE|false|False|FALSE)\Z"),
    "int": re.compile(rf"(?:[-+]?{_DIGITS}|0o[0-7]+|0x[0-9a-fA-F]+)\Z"),
    "float": re.compile(
        rf"(?:[-+]?(?:\.{_DIGITS}|{_DIGITS}(?:\.(?:{_DIGITS})?)?)(?:[eE][-+]?[0-9]+)?|[-+]?\.(?:inf|Inf|INF)|\.(?:nan|NaN|NAN))\Z"
    ),
}
_TAG = "tag:yaml.org,2002:"
Value = object  # None, bool, int, float, str, or lists and dicts of them


class YamlError(ValueError):
    """Not YAML, or YAML that says something twice; the message names the line."""


class _Loader(yaml.SafeLoader):
    yaml_implicit_resolvers = {}  # noqa: RUF012 - every plain scalar comes as text and is read below


class _Dumper(yaml.SafeDumper):
    """Quotes text that either version of YAML would take for something else."""


for _kind in ("int", "float"):
    _Dumper.add_implicit_resolver(f"{_TAG}{_kind}", _PATTERNS[_kind], list("-+.0123456789"))


def parse_yaml(text: str) -> Value:
    """One document as plain values; None for an empty one. Raises YamlError."""
    loader = None
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        return None if node is None else _Reader().value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f"line {mark.line + 1}: " if mark else ""
        raise YamlError(f"{where}{error.problem or error.context}") from None
    except yaml.YAMLError as error:
        raise YamlError(" ".join(str(error).split())) from None
    except RecursionError:
        raise YamlError("it is nested too deep") from None
    finally:
        if loader is not None:
            loader.dispose()


def dump_yaml(tree: Value) -> str:
    return yaml.dump(tree, Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110)


class _Reader:
    def __init__(self) -> None:
        self.nodes = self.chars = 0

    def value(self, node: yaml.Node, above: tuple[yaml.Node, ...]) -> Value:
        self.nodes += 1
        if self.nodes > MAX_NODES:
            raise YamlError(f"more than {MAX_NODES:,} values (with all its aliases)")
        if any(node is other for other in above):
            raise YamlError(f"line {_line(node)}: an anchor that holds itself")
        if isinstance(node, yaml.ScalarNode):
            self.chars += len(node.value)
            if self.chars > MAX_CHARS:
                raise YamlError(f"more than {MAX_CHARS:,} characters (with all its aliases)")
            return _scalar(node)
        if node.tag not in (f"{_TAG}map", f"{_TAG}seq"):
            raise YamlError(f"line {_line(node)}: the tag {node.tag} is not known here")
        below = (*above, node)
        if isinstance(node, yaml.SequenceNode):
            return [self.value(child, below) for child in node.value]
        return self._mapping(node, below)

    def _mapping(self, node: yaml.Node, below: tuple[yaml.Node, ...]) -> dict[str, Value]:
        result: dict[str, Value] = {}
        merged: dict[str, Value] = {}
        lines: dict[str, int] = {}
        for key_node, child in node.value:
            if not isinstance(key_node, yaml.ScalarNode):
                raise YamlError(f"line {_line(key_node)}: a key must be text")
            key = key_node.value
            if key in lines:
                raise YamlError(f"line {_line(key_node)}: {key!r} stands a second time, first in line {lines[key]}")
            lines[key] = _line(key_node)
            value = self.value(child, below)
            if key == "<<" and key_node.style is None:
                for other in reversed(value if isinstance(value, list) else [value]):
                    if not isinstance(other, dict):
                        raise YamlError(f"line {_line(child)}: << takes a mapping or a list of them")
                    merged |= other
            else:
                result[key] = value
        return {**merged, **result}


def _line(node: yaml.Node) -> int:
    return node.start_mark.line + 1


def _scalar(node: yaml.ScalarNode) -> Value:
    text, plain = node.value, node.style is None
    if node.tag not in (f"{_TAG}str", "!"):
        raise YamlError(f"line {_line(node)}: the tag {node.tag} is not known here")
    if not plain or node.tag == "!":
        return text
    if _PATTERNS["null"].match(text):
        return None
    if _PATTERNS["bool"].match(text):
        return text.lower() == "true"
    if _PATTERNS["int"].match(text):
        if len(text) > 400:  # Python reads no longer ones, and no setting holds them
            raise YamlError(f"line {_line(node)}: a number of {len(text)} digits")
        base = {"0o": 8, "0x": 16}.get(text[:2], 10)
        return int(text[2:] if base != 10 else text, base)
    if _PATTERNS["float"].match(text):
        return float(text.replace("_", "").lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
