"""YAML as version 1.2's core schema reads it, what it refuses, and that it reads back what it writes."""

import math

import pytest

from gristmill.pipeline.contract.yaml12 import YamlError, dump_yaml, parse_yaml


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("no", "no"), ("yes", "yes"), ("off", "off"), ("true", True), ("0100", 100), ("0o17", 15), ("0x1F", 31),
        ("1:00:00", "1:00:00"), ("1e6", 1e6), ("100_000", 100_000), ("-.5", -0.5), (".inf", math.inf), ("~", None),
        ("", None),
        ("2024-10-01", "2024-10-01"), ("'1'", "1"), ("[no, 1]", ["no", 1]), ("{a: {b: 1}}", {"a": {"b": 1}}),
        ("a: &x {b: 1}\nc: {<<: *x, d: 2}", {"a": {"b": 1}, "c": {"b": 1, "d": 2}}),
    ],
)  # fmt: skip
def test_values(text: str, value: object):
    assert parse_yaml(text) == value


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("a: 1\nb: 2\na: 3", "line 3: 'a' stands a second time, first in line 1"),
        ("x:\n  a: 1\n  a: 2", "line 3: 'a' stands a second time"),
        ("a: &a [*a]", "holds itself"),
        ("a: [1", "line 1"),
        ("[" * 5000, "nested too deep"),
        ("a: !!python/object/apply:os.system [x]", "is not known here"),
        ("? [1]\n: 2", "a key must be text"),
        ("a: 1\n---\nb: 2", "another document"),
        ("\x00", "not allowed"),
        ("a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
            f"{b}: &{b} [{', '.join(['*' + a] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
        ), "more than"),
    ],
    ids=["twice", "twice-inside", "itself", "open", "deep", "tag", "key", "two", "nul", "laughs"],
)  # fmt: skip
def test_what_is_refused(text: str, said: str):
    with pytest.raises(YamlError, match=said):
        parse_yaml(text)


@pytest.mark.parametrize(
    "value", ["no", "1e6", "1_0", "0o7", "1:00", "5", "x: y", "", "null", "~", 1e-5, 1e22, None, True]
)
def test_what_is_written_reads_back(value: object):
    assert parse_yaml(dump_yaml({"a": value})) == {"a": value}
