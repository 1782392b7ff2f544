"""Model files of others: a damaged fastText model is an error that names it, whatever it does to the library."""

import random
import struct
from pathlib import Path

import pytest

from gristmill.classifiers.fasttext import Training, labels_of, load, train
from gristmill.classifiers.fasttext.file import read_labels
from gristmill.classifiers.language import open_fasttext
from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.errors import InputError


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("model") / "good.bin"
    lines = [f"some words of line {i}" for i in range(40)]
    train(lines, [line.upper() for line in lines], Training(dim=4, buckets=50, min_count=1, steps=100), path)
    return path


def test_a_sound_model_is_opened_in_a_process_of_its_own_and_gives_its_labels(model: Path):
    assert set(labels_of(str(model), "k")) == {"__label__reference", "__label__crawl"}


def test_every_form_of_a_model_file_is_measured_to_its_last_byte(model: Path, tmp_path: Path):
    import fasttext

    path, text = tmp_path / "model.ftz", tmp_path / "lines.txt"
    text.write_text("".join(f"__label__{i % 300} w{i % 77} w{i % 101}\n" for i in range(900)))
    for norms, output in ((False, False), (True, True)):
        made = fasttext.train_supervised(str(text), dim=4, epoch=1, thread=1, verbose=0, bucket=500, wordNgrams=2)
        made.quantize(qnorm=norms, qout=output, cutoff=300)
        made.save_model(str(path))
        assert len(read_labels(str(path))) == 300
        path.write_bytes(path.read_bytes()[:-1])
        with pytest.raises(InputError, match="is damaged: it has"):
            read_labels(str(path))


def damaged(model: Path, folder: Path, at: int, data: bytes) -> Path:
    content = bytearray(model.read_bytes())
    content[at : at + len(data)] = data
    path = folder / f"at-{at}.bin"
    path.write_bytes(bytes(content))
    return path


DIM, LOSS, BUCKETS, ENTRIES = 8, 32, 40, 64  # offsets in the file of three arguments and of the dictionary's size


@pytest.mark.parametrize(
    ("at", "value"),
    [(DIM, -1), (DIM, 0), (DIM, 2**31 - 1), (LOSS, 99), (BUCKETS, 2**31 - 1), (ENTRIES, 2**31 - 1)],
    ids=["negative dim", "no dim", "endless dim", "an unknown loss", "endless buckets", "endless words"],
)
def test_a_size_that_cannot_be_is_an_error_with_setting_and_file(model: Path, tmp_path: Path, at: int, value: int):
    path = damaged(model, tmp_path, at, struct.pack("<i", value))
    with pytest.raises(InputError, match=rf"^language\.model: {path} is (damaged|no fastText)"):
        labels_of(str(path), "language.model")


def test_a_model_cut_short_anywhere_is_an_error_that_names_it(model: Path, tmp_path: Path):
    content, path = model.read_bytes(), tmp_path / "short.bin"
    for share in (0.0, 0.02, 0.2, 0.6, 0.99):
        path.write_bytes(content[: int(share * len(content))])
        with pytest.raises(InputError, match=f"{path} is "):
            labels_of(str(path), "k")


def test_of_models_with_changed_bytes_each_is_opened_or_named_and_the_process_lives(model: Path, tmp_path: Path):
    rng = random.Random(0)
    named = 0
    for i in range(12):
        path = damaged(model, tmp_path, rng.randrange(4, 200), rng.randbytes(4)).rename(tmp_path / f"{i}.bin")
        try:
            labels_of(str(path), "k")
        except InputError as error:
            named += str(path) in str(error)
    assert named


@pytest.mark.parametrize("key", ["language.model", "domain.model", "safety.toxicity", "safety.adult", "quality.models"])
def test_plan_refuses_a_damaged_model_with_the_key(key: str, model: Path, tmp_path: Path, capsys):
    path = damaged(model, tmp_path, DIM, struct.pack("<i", -1))
    (tmp_path / "a.jsonl").write_text('{"text": "words"}\n')
    given = f"[{{name: a, path: {path}, label: __label__crawl}}]" if key == "quality.models" else str(path)
    config = tmp_path / "c.yaml"
    config.write_text(f"input: {{paths: {tmp_path}/a.jsonl}}\n")
    assert main(["plan", str(config), "--out", str(tmp_path / "out"), f"{key}={given}"]) == 2
    said = capsys.readouterr().err
    assert said.startswith(f"gristmill: {key}")
    assert str(path) in said
    assert said.count("\n") == 1


def test_workers_translate_the_librarys_errors_too(model: Path, tmp_path: Path):
    path = damaged(model, tmp_path, 0, b"0000")
    for opened in (load, open_fasttext):
        with pytest.raises(InputError, match=str(path)):
            opened(str(path))
