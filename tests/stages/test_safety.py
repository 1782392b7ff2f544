"""Safety: listed words and URLs and classifiers become columns; limits on them drop."""

from pathlib import Path

import polars as pl
import pytest

from gristmill.classifiers import fasttext
from gristmill.pipeline.contract.errors import ConfigError
from gristmill.pipeline.recipe import make_recipe
from gristmill.stages.safety import Safety, SafetyGate


def frame(*rows: tuple[str, str | None, str | None]) -> pl.DataFrame:
    ids = [(str(i), *row) for i, row in enumerate(rows)]
    return pl.DataFrame(ids, schema=dict.fromkeys(("doc_id", "text", "url", "language"), pl.String), orient="row")


@pytest.fixture
def words(tmp_path: Path) -> str:
    (tmp_path / "words").mkdir()
    (tmp_path / "words" / "en").write_text("grumble\nmuddy boots\n")
    (tmp_path / "words" / "de").write_text("murren\n")
    return str(tmp_path / "words")


def test_listed_words_are_counted_by_language_and_their_share_in_the_beginning(words: str):
    late = "Water wheels turn slowly. " * 60 + "grumble " * 9
    rows = [
        ("GRUMBLE, said the miller with muddy boots, grumble.", None, "en"),
        ("Das Murren der Mühle.", None, "deu"),
        ("grumble", None, "fr"),
        ("grumbled boots", None, "en"),
        (late, None, "en"),
        ("", None, "en"),
    ]
    found = Safety(words=words).open({})(frame(*rows))
    assert found["unsafe_words_n"].to_list() == [3, 1, None, 0, 9, 0]
    # grumble said miller with muddy boots grumble: seven words of four letters and more
    assert found["unsafe_words_frac"].to_list() == pytest.approx([3 / 7, 1 / 2, None, 0, 0, 0])
    assert SafetyGate(words=words).decide(found).to_list() == ["too_many_unsafe_words"] * 2 + [None] * 4
    assert SafetyGate(words=words, max_words_frac=0.45).decide(found)[0] is None
    assert SafetyGate(words=words, max_words_frac=None).decide(found).null_count() == 6


def test_urls_are_looked_up_by_host_domain_above_and_path(tmp_path: Path):
    (tmp_path / "adult").mkdir()
    (tmp_path / "adult" / "domains").write_text("bad.example\n# a comment\nworse.example # why\n")
    (tmp_path / "spam.txt").write_text("https://www.blog.example/spam/\n")
    lists = (f"{tmp_path}/adult/domains", f"{tmp_path}/spam.txt")
    urls = {
        "http://bad.example/x": "adult", "https://www.Bad.example:8080": "adult", "http://a.b.worse.example/": "adult",
        "http://notbad.example/": None, "http://bad.example.com/": None, "http://x.com/?u=bad.example": None,
        "https://blog.example/spam/1?x": "spam", "https://blog.example/spam": "spam",
        "https://blog.example/spamless": None,
        "https://blog.example/": None, "http://user@bad.example/": "adult",
    }  # fmt: skip
    found = Safety(url_lists=lists).open({})(frame(*(("text", url, "en") for url in urls), ("text", None, "en")))
    assert dict(zip(urls, found["url_list"], strict=False)) == urls
    assert found["url_list"][-1] is None
    decided = SafetyGate(url_lists=lists).decide(found)
    assert decided.to_list()[:-1] == ["listed_url" if name else None for name in urls.values()]
    assert SafetyGate(url_lists=lists, listed_urls=False).decide(found).null_count() == len(urls) + 1


def test_a_classifier_by_path_gives_probabilities_and_drops_only_by_a_limit(tmp_path: Path):
    path, label = tmp_path / "model.bin", fasttext.POSITIVE
    settings = fasttext.Training(min_count=1, buckets=1000)
    fasttext.train(["stupid awful hateful words here"] * 20, ["water turns the mill wheel"] * 20, settings, path)
    stage = Safety(toxicity=str(path), toxicity_label=label)
    stage.preflight()
    found = stage.open({})(frame(("stupid awful hateful", None, "en"), ("the mill wheel turns", None, "en")))
    high, low = found["toxicity_prob"]
    assert 1 >= high > 0.9 > 0.1 > low >= 0
    assert found["adult_prob"].null_count() == 2
    gate = SafetyGate(toxicity=stage.toxicity)
    assert gate.decide(found).null_count() == 2
    assert SafetyGate(toxicity=stage.toxicity, max_toxicity=0.5).decide(found).to_list() == ["toxic", None]
    with pytest.raises(ConfigError, match=r"safety\.adult_label: no '__label__x'; the model has __label__"):
        Safety(adult=str(path), adult_label="__label__x").preflight()


def test_without_lists_and_models_there_is_no_such_step(words: str):
    names = [s.name for s in make_recipe({"input": {"paths": "x"}}, "t").stages]
    assert "safety" not in names
    names = [s.name for s in make_recipe({"input": {"paths": "x"}, "safety": {"words": words}}, "t").stages]
    assert names[names.index("safety") + 1] == "safety.gate"
