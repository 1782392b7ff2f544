"""Values as the command line has them: `section.key=value`, where the value is YAML or a path that YAML cannot read."""

import json
import re
import shlex

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.contract.yaml12 import YamlError, parse_yaml

_NAMELESS = ("*", "&")  # an alias and an anchor: a value that stands alone has none, so *.jsonl is a path
_TEXT = (*_NAMELESS, "!", "%", "@", "`", "|", ">")  # other characters that no plain text of YAML begins with


def value_of(key: str, text: str) -> object:
    """The value of an override. What is no YAML for its first character alone, as a path or an address may have it, is
    text. Raises ConfigError, with the text in quotes, for anything else that is no YAML."""
    plain_text = text.strip()
    if plain_text.startswith(_NAMELESS):
        return plain_text
    try:
        return parse_yaml(text)
    except YamlError as error:
        if plain_text.startswith(_TEXT):
            return plain_text
        raise ConfigError(f"{key}: {text!r} is not a YAML value ({error}); {_in_quotes(key, plain_text)}") from None


def _in_quotes(key: str, text: str) -> str:
    """How to write an override that is no YAML, for the shell."""
    items = re.fullmatch(r"\[([^\[\]{}]*)\]", text)
    if not items and re.fullmatch(r"(?s)[\[{].*[\]}]", text):
        return "text inside it goes in double quotes, and all of it in single ones"
    inside = [item.strip().strip("\"'") for item in items[1].split(",")] if items else text
    return f"text goes in quotes: {shlex.quote(f'{key}={json.dumps(inside, ensure_ascii=False)}')}"
