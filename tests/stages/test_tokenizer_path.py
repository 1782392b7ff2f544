"""`tokenizer.path` as people have it: a file, a folder of a model, the name of one on the hub; and a trained one."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages import tokens
from gristmill.stages.tokens import TokenizerModel
from places import SOURCE


def test_a_folder_is_its_tokenizer_file(tmp_path):
    with pytest.raises(ConfigError, match=r"holds no tokenizer\.json"):
        TokenizerModel(path=str(tmp_path))
    Tokenizer(models.BPE()).save(str(tmp_path / "tokenizer.json"))
    made = TokenizerModel(path=str(tmp_path))
    assert made == TokenizerModel(path=str(tmp_path / "tokenizer.json"))
    made.preflight()


@pytest.mark.parametrize("name", ["gpt2", "meta-llama/Llama-3.1-8B"])
def test_the_name_of_a_model_gets_the_command_that_fetches_its_file(name):
    with pytest.raises(ConfigError, match=f"hf download {name} tokenizer.json"):
        TokenizerModel(path=name)


@pytest.mark.parametrize("threads", [2, 3])
def test_a_tokenizer_is_trained_alike_on_any_number_of_threads(threads: int, tmp_path: Path):
    """Each in a process of its own, whose pool of threads is made once."""
    trained = []
    for n in (1, threads):
        code = (
            "import polars as pl\n"
            "from pathlib import Path\n"
            "from gristmill.stages import tokens\n"
            f"tokens.THREADS = {n}\n"
            f"texts = [p.read_text() for p in sorted(Path({str(Path(tokens.__file__).parent)!r}).rglob('*.py'))]\n"
            "known = {'texts': pl.DataFrame({'text': texts})}\n"
            f"tokens.TokenizerModel(vocab_size=2000).finish(known, None, Path({str(tmp_path)!r}))\n"
        )
        subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ, "PYTHONPATH": str(SOURCE)})
        trained.append((tmp_path / tokens.TOKENIZER).read_bytes())
    assert trained[0] == trained[1]
