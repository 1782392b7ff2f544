"""Every setting of every section, outside its range, of a wrong type, naming a lost file: exit 2, one line, the key."""

from collections.abc import Iterator
from dataclasses import MISSING, fields, is_dataclass
from pathlib import Path
from types import UnionType
from typing import Annotated, NamedTuple, Union, get_args, get_origin, get_type_hints

import pytest

from gristmill.pipeline.cli import main
from gristmill.pipeline.contract.loading import Options
from gristmill.pipeline.contract.ranges import NamesFile, Range
from gristmill.pipeline.contract.yaml12 import parse_yaml
from gristmill.pipeline.recipe import make_recipe, standard


class Setting(NamedTuple):
    key: str  # as an error names it
    hint: object
    write: str  # the override's key
    wrap: str  # the override's value, with {} for the setting's own


def settings() -> list[Setting]:
    found: dict[str, Setting] = {}
    for section, cls in standard():
        for setting in section_settings(cls, section, section, "{}", cls.borrowed):
            found.setdefault(setting.key, setting)
    return list(found.values())


def section_settings(cls: type, key: str, write: str, wrap: str, without: object = ()) -> Iterator[Setting]:
    hints = get_type_hints(cls, include_extras=True)
    for f in fields(cls):
        if f.name in without:  # pyright: ignore[reportOperatorIssue]
            continue
        if wrap == "{}":
            yield from of_hint(hints[f.name], f"{key}.{f.name}", f"{write}.{f.name}", "{}")
        else:  # inside a list: the item's other required fields stand beside it
            others = "".join(f", {o.name}: {sample(hints[o.name])}" for o in fields(cls) if o is not f and required(o))
            yield from of_hint(
                hints[f.name], f"{key}.{f.name}", write, wrap.replace("{}", f"{{{f.name}: {{}}{others}}}")
            )


def of_hint(hint: object, key: str, write: str, wrap: str) -> Iterator[Setting]:
    yield Setting(key, hint, write, wrap)
    yield from inside(hint, key, write, wrap)


def inside(hint: object, key: str, write: str, wrap: str) -> Iterator[Setting]:
    if isinstance(hint, type) and is_dataclass(hint):
        yield from section_settings(hint, key, write, wrap)
    elif get_origin(hint) is tuple:
        yield from inside(get_args(hint)[0], f"{key}.0", write, wrap.replace("{}", "[{}]"))
    elif get_origin(hint) in (Union, UnionType):
        for inner in get_args(hint):
            yield from inside(inner, key, write, wrap)


def required(f: object) -> bool:
    return f.default is MISSING and f.default_factory is MISSING  # pyright: ignore[reportAttributeAccessIssue]


def sample(hint: object) -> str:
    return "[x]" if get_origin(hint) is tuple else "x" if str in (hint, *get_args(hint)) else "1"


def numbers(hint: object) -> Iterator[tuple[object, Range | None]]:
    """int and float in a type, with their ranges."""
    if get_origin(hint) is Annotated:
        kind, *marks = get_args(hint)
        if kind in (int, float):
            yield kind, next((m for m in marks if isinstance(m, Range)), None)
    elif hint in (int, float):
        yield hint, None
    else:
        for inner in get_args(hint):
            if not is_dataclass(inner):
                yield from numbers(inner)


def files(hint: object) -> bool:
    if get_origin(hint) is Annotated:
        return any(isinstance(m, NamesFile) for m in get_args(hint)[1:])
    return any(files(inner) for inner in get_args(hint) if not is_dataclass(inner))


SETTINGS = settings()


@pytest.fixture
def config(tmp_path: Path) -> Path:
    (tmp_path / "a.jsonl").write_text('{"text": "words"}\n')
    path = tmp_path / "c.yaml"
    path.write_text(f"input: {{paths: {tmp_path}/a.jsonl}}\nclean: {{enabled: true}}\n")
    return path


def refused(config: Path, setting: Setting, value: str, capsys: pytest.CaptureFixture[str]) -> None:
    override = f"{setting.write}={setting.wrap.replace('{}', value)}"
    status = main(["plan", str(config), "--out", str(config.parent / "out"), override])
    said = capsys.readouterr()
    assert (status, said.out, said.err.count("\n")) == (2, "", 1), (override, said)
    key = setting.key.rpartition(".0.")
    assert setting.key in said.err or (key[1] and key[0] in said.err and key[2] in said.err), (override, said.err)


def test_every_number_of_every_section_has_a_range():
    without = [s.key for s in SETTINGS for _, span in numbers(s.hint) if span is None]
    assert without == [], "declare the range in the type: pipeline/contract/ranges.py"


@pytest.mark.parametrize("setting", [s for s in SETTINGS if list(numbers(s.hint))], ids=lambda s: s.key)
def test_a_number_outside_its_range_is_refused_with_the_key(setting: Setting, config: Path, capsys):
    kind, span = next(numbers(setting.hint))
    assert span is not None
    listed = any(get_origin(h) is tuple for h in (setting.hint, *get_args(setting.hint)))
    step = 1 if kind is int else 1e-9 * max(1.0, abs(span.low))
    for value in (span.low - step, span.high * 2 + 1 if kind is float else int(span.high) + 1, ".nan", ".inf"):
        if value != float("-inf") and not (isinstance(value, float) and abs(value) > 1e308):
            refused(config, setting, f"[{value}]" if listed else str(value), capsys)


@pytest.mark.parametrize("setting", SETTINGS, ids=lambda s: s.key)
def test_a_value_of_the_wrong_type_is_refused_with_the_key(setting: Setting, config: Path, capsys):
    free = setting.hint == Options or any(get_origin(h) is dict for h in (setting.hint, *get_args(setting.hint)))
    refused(config, setting, "[[1]]" if free else "{no_such_key: 1}", capsys)


@pytest.mark.parametrize("setting", [s for s in SETTINGS if files(s.hint)], ids=lambda s: s.key)
def test_a_file_that_is_not_there_is_refused_with_the_key(setting: Setting, config: Path, capsys):
    listed = any(get_origin(h) is tuple for h in (setting.hint, *get_args(setting.hint)))
    refused(config, setting, "[nowhere/nope.jsonl]" if listed else "nowhere/nope.jsonl", capsys)


@pytest.mark.parametrize("value", ["1e9", "1000000000.0", "1B", "1G", "1000M", "1_000_000_000"])
def test_counts_may_be_written_short(value: str, config: Path, capsys):
    def plan(said: str) -> str:
        assert main(["plan", str(config), "--out", str(config.parent / "out"), f"mixture.budget_tokens={said}"]) == 0
        return capsys.readouterr().out

    assert plan(value) == plan("1000000000")


def test_a_count_that_is_no_number_says_how_numbers_are_written(config: Path, capsys):
    with_it = ["plan", str(config), "--out", str(config.parent / "out"), "mixture.budget_tokens=10X"]
    assert main(with_it) == 2
    assert "got '10X'; a number is written 5000000, 5e6, 5M or 1.5B" in capsys.readouterr().err


def test_a_limit_on_a_score_in_its_models_section_is_shown_its_place(config: Path, capsys):
    assert main(["plan", str(config), "--out", str(config.parent / "out"), "quality.min_mine=0.3"]) == 2
    said = "unknown key 'quality.min_mine'; a limit on a column stands in gates.limits: [{column: q_mine, min: 0.5}]"
    assert said in capsys.readouterr().err


GATES_WITH_LIMITS = (
    ("language.gate", "language: {keep: [en]}"),
    ("language.gate", "language: {min_score: 0.5}"),
    ("pii.gate", "pii: {enabled: true, secret: drop}"),
    ("quality.gate", "quality: {min_reference: 0.5}"),
)


@pytest.mark.parametrize(("gate", "limit"), GATES_WITH_LIMITS)
def test_a_gate_that_can_drop_nothing_is_no_step(gate, limit):
    def names(text):
        return [stage.name for stage in make_recipe(parse_yaml(f"input: {{paths: x}}\n{text}"), "x").stages]

    section = limit.split(":")[0]
    assert gate not in names("pii: {enabled: true}" if section == "pii" else "")
    assert names(limit).count(gate) == 1


def test_an_extra_step_behind_a_gate_that_is_left_out_stands_in_its_place():
    extra = "extra: [{stage: 'gristmill.stages.embed:Embed', after: language.gate}]"
    names = [stage.name for stage in make_recipe(parse_yaml(f"input: {{paths: x}}\n{extra}"), "x").stages]
    assert names[names.index("language") + 1] == "embed"
