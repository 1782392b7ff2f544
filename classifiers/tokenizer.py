"""Opens a `tokenizers` file for counting and encoding: truncation and padding off, whatever the file says.

Sentence models ship files that cut every text at 128 or 512 tokens; a count of those is no count of the text. The
marks that a file's post-processor adds (`[CLS]`, `<s>`) are left out by its callers: `add_special_tokens=False`.
"""

from pathlib import Path
from typing import TYPE_CHECKING

from gristmill.pipeline.contract.errors import ConfigError

if TYPE_CHECKING:
    from tokenizers import Tokenizer


def open_tokenizer(path: Path, key: str = "tokenizer.path") -> "Tokenizer":
    """Raises ConfigError, naming `key`, where there is no such file or it is none that `tokenizers` reads."""
    from tokenizers import Tokenizer

    if not path.is_file():
        raise ConfigError(f"{key}: no file {path}")
    try:
        tokenizer = Tokenizer.from_file(str(path))
    except Exception as error:  # the library raises Exception itself
        raise ConfigError(f"{key}: {path} is not a tokenizers file ({error})") from error
    tokenizer.no_truncation()
    tokenizer.no_padding()
    return tokenizer
