"""Credentials in URLs and commands: a public form that is written, a real one that is used, nothing said of them."""

import subprocess
import sys
from pathlib import Path

import pytest

import growing
from gristmill.pipeline.contract import secrets
from gristmill.pipeline.contract.secrets import public, real, scrubbed, without_secrets
from places import SOURCE


@pytest.fixture(autouse=True)
def forgetful(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(secrets, "_real", {})
    monkeypatch.setattr(secrets, "_secrets", set())


@pytest.mark.parametrize(
    ("given", "shown"),
    [
        ("s3://bucket/a.parquet", "s3://bucket/a.parquet"),
        ("https://h/a?X-Amz-Signature=abcd&X-Amz-Expires=60", "https://h/a"),
        ("https://user:pass@h:8080/a", "https://h:8080/a"),
        ("https://token@h/a#x", "https://h/a"),
        ("http://user:pass@h/*.gz?.warc", "http://h/*.gz?.warc"),
        ("https://account.blob/x?sv=2022&sig=abcdef&se=2026", "https://account.blob/x"),
        ("/home/me/a b=c.jsonl", "/home/me/a b=c.jsonl"),
        ("train.py --tokens 400000 --tokenizer gpt2 {mixture}", "train.py --tokens 400000 --tokenizer gpt2 {mixture}"),
        ("WANDB_API_KEY=abcdef0123 train.py {mixture}", "WANDB_API_KEY=*** train.py {mixture}"),
        ("train.py --api-key 'my key' --auth=x1y2", "train.py --api-key *** --auth=***"),
        ("train.py --token $HF_TOKEN", "train.py --token $HF_TOKEN"),
        ("curl -H 'Authorization: Bearer abc.def' x", "curl -H 'Authorization: Bearer ***' x"),
        ("login hf_" + "a" * 34 + " && train", "login *** && train"),
        ("get https://me:pw12@h/f?sig=abcdef && train {metrics}", "get https://h/f && train {metrics}"),
    ],
)
def test_the_public_form_has_no_credentials_and_gives_the_real_one_back(given: str, shown: str):
    assert public(given) == shown
    assert real(shown) == given
    assert public(shown) == shown
    assert real(shown) == given


def test_two_files_that_differ_in_their_query_alone_stay_two():
    first, second = public("https://h/get?id=1&token=abcd"), public("https://h/get?id=2&token=abcd")
    assert first != second
    assert "abcd" not in first + second
    assert public("https://h/get?id=1&token=other") == first


def test_what_is_said_holds_neither_known_secrets_nor_those_of_unknown_urls():
    public("https://me:hunter22@h/a?sig=SIGNED1")
    public("API_TOKEN=topsecret run")
    said = scrubbed(
        "401 for hunter22, https://h/a?sig=SIGNED1 and topsecret; https://x:y@other/b?token=abcd and ?id=3 of https://h/c?id=3"
    )
    for secret in ("hunter22", "SIGNED1", "topsecret", "x:y@", "abcd"):
        assert secret not in said
    assert "https://other/b" in said
    assert "https://h/c?id=3" in said


def test_a_config_keeps_its_shape():
    tree = {"input": {"paths": ["https://u:p@h/a", 3, None]}, "run": "KEY=abcd x"}
    assert without_secrets(tree) == {"input": {"paths": ["https://h/a", 3, None]}, "run": "KEY=*** x"}


def test_another_process_that_was_given_the_real_forms_knows_the_secrets_too():
    public("https://u:longpassword@h/a")
    code = (
        "import sys; from gristmill.pipeline.contract import secrets as s; "
        "s.remember(eval(sys.argv[1])); print(s.real('https://h/a'), s.scrubbed('no longpassword'))"
    )
    command = [sys.executable, "-c", code, repr(secrets.known())]
    done = subprocess.run(command, capture_output=True, text=True, check=True, env={"PYTHONPATH": str(SOURCE)})
    assert done.stdout.split() == ["https://u:longpassword@h/a", "no", "***"]


def test_long_texts_are_looked_through_in_linear_time():
    for piece in ("a-", "key=", "--key ", "bearer ", "https://", "hf_", "'", "a_key"):
        growing.linear(lambda size, piece=piece: scrubbed(piece * (size // len(piece))), 50_000)


def test_a_commands_key_reaches_the_trainer_and_nothing_that_a_run_writes(tmp_path: Path):
    from gristmill.pipeline.plan.config import to_yaml
    from gristmill.pipeline.plan.identity import freeze, thaw
    from gristmill.pipeline.recipe import make_recipe
    from gristmill.stages.mixture import Mixture

    (tmp_path / "a.jsonl").write_text('{"text": "words"}\n')
    command = "API_KEY=verysecret train {mixture} {metrics}"
    tree = {"input": {"paths": f"{tmp_path}/a.jsonl"}, "mixture": {"proxy": "command", "command": {"run": command}}}
    made = make_recipe(tree | {"engine": {"slurm": {"env_command": "export HF_TOKEN=alsosecret"}}}, "c")
    mixture = next(s for s in made.stages if isinstance(s, Mixture))
    written = to_yaml(made.resolved) + str(freeze(mixture))
    assert "verysecret" not in written
    assert "alsosecret" not in written
    assert made.engine["slurm"]["env_command"].endswith("alsosecret")
    again = thaw(freeze(mixture))
    assert isinstance(again, Mixture)
    assert real(str(again.command.run)) == command
