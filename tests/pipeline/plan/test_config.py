"""Strict config: what is meant is built, what cannot be meant is an error that names the key and the way out."""

import shlex
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from gristmill.pipeline.contract.errors import ConfigError, GristmillError
from gristmill.pipeline.plan.config import build, check_keys, override, read_config, section
from gristmill.pipeline.recipe import known_keys, make_recipe


@dataclass(frozen=True)
class Inner:
    column: str
    weight: float = 1.0


@dataclass(frozen=True)
class Outer:
    paths: tuple[str, ...]
    limit: int | None = 3
    share: float = 0.5
    rules: tuple[Inner, ...] = ()
    caps: dict[str, float] = field(default_factory=dict)


def test_build_takes_lists_one_string_for_a_tuple_and_whole_numbers_for_floats():
    assert build(Outer, {"paths": "a", "share": 1, "rules": [{"column": "q"}], "caps": {"c00": 0.5}}, "x") == Outer(
        ("a",), 3, 1.0, (Inner("q"),), {"c00": 0.5}
    )


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"paths": ["a"], "limit": "60"}, r"x\.limit: .*integer.*got '60'"),
        ({"paths": ["a"], "limit": 0.5}, r"x\.limit"),
        ({"paths": ["a"], "share": True}, r"x\.share"),
        ({"paths": [1]}, r"x\.paths"),
        ({}, r"x: `paths` is missing; its keys are paths"),
        (
            {"paths": ["a"], "rules": [{"weight": 2}]},
            r"x\.rules, entry 1: `column` is missing; its keys are column, weight",
        ),
    ],
)
def test_build_of_a_wrong_type_names_the_key(values: dict, message: str):
    with pytest.raises(ConfigError, match=message):
        build(Outer, values, "x")


def test_override_reaches_into_sections_and_reads_yaml():
    tree = override({"gates": {"min_words": 50}}, ["gates.min_words=null", "dedup.minhash.bands=[1, 2]", "name=x=y"])
    assert tree == {"gates": {"min_words": None}, "dedup": {"minhash": {"bands": [1, 2]}}, "name": "x=y"}


@pytest.mark.parametrize("text", ["gates.min_words", "=3", "name.x.y=3", "a=[1"])
def test_override_that_cannot_be_meant(text: str):
    with pytest.raises(ConfigError):
        override({"name": "n"}, [text])


@pytest.mark.parametrize(
    "value",
    ["*.jsonl", "*/a*.parquet", "&a.jsonl", "!x.jsonl", "%7Ea.jsonl", "@a", "`a`", "|a", ">a", "http://h/a?b=*&c"],
)
def test_override_with_a_path_that_yaml_has_other_plans_for_is_text(value: str):
    assert override({}, [f"input.paths={value}"]) == {"input": {"paths": value}}


@pytest.mark.parametrize(
    ("text", "way_out"),
    [
        ("input.paths=[http://h/a?sig=b, c]", """'input.paths=["http://h/a?sig=b", "c"]'"""),
        ("input.paths=[*.jsonl]", """'input.paths=["*.jsonl"]'"""),
        ("input.paths=[ab]*.jsonl", """'input.paths="[ab]*.jsonl"'"""),
        ("name=a: b: c", """'name="a: b: c"'"""),
        ("sources=[{name: a, paths: *.jsonl}]", "in double quotes, and all of it in single ones"),
    ],
)
def test_override_that_is_no_yaml_says_how_it_is_quoted(text: str, way_out: str):
    with pytest.raises(ConfigError) as caught:
        override({}, [text])
    assert way_out in str(caught.value)
    if way_out.startswith("'"):
        (again,) = shlex.split(way_out)
        override({}, [again])


KNOWN = {
    "": ["name"],
    "gates": ["min_words", "max_words"],
    "dedup.minhash": ["bands"],
    "domain": ["model"],
    "domain.bucket": ["by"],
}


@pytest.mark.parametrize(
    ("tree", "message"),
    [
        ({"gate": {}}, "unknown key 'gate'; did you mean gates?"),
        ({"gates": {"min_word": 3}}, "unknown key 'gates.min_word'; did you mean gates.min_words?"),
        ({"dedup": {"minhsh": {}}}, "unknown key 'dedup.minhsh'; did you mean dedup.minhash?"),
        ({"domain": {"bands": 3}}, "unknown key 'domain.bands'; there is dedup.minhash.bands"),
        ({"domain": {"bucket": {"bye": 1}}}, "did you mean domain.bucket.by?"),
        ({"gates": 3}, "gates must be a section"),
    ],
)
def test_unknown_keys_name_the_nearest(tree: dict, message: str):
    with pytest.raises(ConfigError, match=message.replace(".", r"\.").replace("?", r"\?")):
        check_keys(tree, KNOWN)


def test_known_keys_pass():
    check_keys(
        {"name": "x", "gates": None, "dedup": {"minhash": {"bands": 1}}, "domain": {"bucket": {"by": "cluster"}}}, KNOWN
    )


def test_read_config_errors(tmp_path: Path):
    with pytest.raises(ConfigError, match="no config"):
        read_config(tmp_path / "none.yaml")
    (tmp_path / "a.yaml").write_text("a: [1")
    with pytest.raises(ConfigError, match="not valid YAML"):
        read_config(tmp_path / "a.yaml")
    (tmp_path / "b.yaml").write_text("- 1")
    with pytest.raises(ConfigError, match="must be a mapping"):
        read_config(tmp_path / "b.yaml")


CONFIGS = sorted((Path(__file__).parents[3] / "configs").glob("*.yaml"))


@pytest.mark.parametrize("path", CONFIGS, ids=lambda p: p.name)
def test_configs_that_come_with_gristmill_are_valid(path: Path):
    recipe = make_recipe(read_config(path), path.stem)
    assert recipe.name == path.stem


def test_every_section_of_the_recipe_is_known_and_resolved():
    recipe = make_recipe({"input": {"paths": "x"}}, "x")
    for path, keys in known_keys().items():
        if path and path not in ("engine", "domain"):
            assert set(keys) <= set(section(recipe.resolved, path)), path


def test_recipe_errors_name_the_key():
    with pytest.raises(ConfigError, match=r"unknown key 'gates\.min_wordz'; did you mean gates\.min_words\?"):
        make_recipe({"gates": {"min_wordz": 3}}, "x")
    with pytest.raises(ConfigError, match=r"gates\.min_words.*got 'many'"):
        make_recipe({"gates": {"min_words": "many"}, "input": {"paths": "x"}}, "x")
    with pytest.raises(GristmillError, match=r"input\.paths"):
        make_recipe({}, "x").stages[0].parts()
