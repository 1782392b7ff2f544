"""`tokenizer.path` as people have it: a file, a folder of a model, the name of one on the hub."""

import pytest
from tokenizers import Tokenizer, models

from gristmill.pipeline.contract.errors import ConfigError
from gristmill.stages.tokens import TokenizerModel


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
