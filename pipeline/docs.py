"""Generates docs/: the config reference, the column dictionary and the command line, from the code that defines them.

python -m gristmill.pipeline.docs    (a test checks that docs/ is what this writes)
"""

import ast
import inspect
import io
import re
import textwrap
import tokenize
from collections.abc import Mapping, Sequence
from dataclasses import MISSING, Field, dataclass, fields, is_dataclass, replace
from itertools import groupby
from pathlib import Path
from typing import Literal, get_args, get_origin, get_type_hints

from gristmill.pipeline.cli import parser
from gristmill.pipeline.contract.columns import DICTIONARY
from gristmill.pipeline.plan.schedule import PHASES
from gristmill.pipeline.plan.sources import SOURCES
from gristmill.pipeline.recipe import OPTIONAL, borrowing, make_recipe, settings_of, standard
from gristmill.pipeline.report.limits import bounded

LISTS = {
    SOURCES: "A list: inputs, with what differs from the common settings; also `share` or `weight`, and `trusted`.",
    PHASES: "A list: stretches of training, each with shares and a folder of its own below corpus/.",
}
ENGINES = (
    "`engine.slurm` and `engine.ray` hold options of datatrove's SlurmPipelineExecutor and RayPipelineExecutor.",
    "Slurm needs `time` (of one task: 01:00:00) and `partition`; there are also `qos`, `cpus_per_task`,",
    "`mem_per_cpu_gb`, `sbatch_args` (a mapping: {account: me}), `env_command`, `max_array_size` (default: what the",
    "cluster allows), `slurm_logs_folder` (what tasks say; default: in the run folder, or /tmp of their nodes where",
    "that is in S3). Ray takes the `address` of a cluster (null: one on this machine).",
    "",
    "`engine.resources` reserves more for the phases of a stage, on Slurm and Ray: {embed: {gpus: 1, memory_gb: 16},",
    "mixture: {cpus: 8, time: 08:00:00}}. Steps that run in one pass get what the most demanding one asks for. A",
    "worker computes with one thread on any engine; more processors are for what a stage starts itself. The local",
    "engine has no reservations and reads over them.",
    "",
    "[weights.md](weights.md) says what stands in a run's weights.json.",
    "",
)
DOCS = Path(__file__).resolve().parents[1] / "docs"


def field_notes(cls: type) -> dict[str, str]:
    """field -> its comment, those of the bases too: on its line, just above it, or on the line of the group above."""
    notes: dict[str, str] = {}
    for base in reversed(cls.__mro__):
        if is_dataclass(base):
            notes |= _own_notes(base)
    return notes


def _own_notes(cls: type) -> dict[str, str]:
    source = textwrap.dedent(inspect.getsource(cls))
    body = ast.parse(source).body[0]
    assert isinstance(body, ast.ClassDef)
    comments: dict[int, str] = {}
    alone: set[int] = set()
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            comments[token.start[0]] = token.string.lstrip("# ").strip()
            if token.line.strip().startswith("#"):
                alone.add(token.start[0])
    notes: dict[str, str] = {}
    group, last = "", 0  # the comment that stands above a run of fields, and the line on which that run has come to
    for node in body.body:
        if isinstance(node, ast.AnnAssign) and isinstance(node.target, ast.Name):
            end = node.end_lineno or node.lineno
            here = [comments[n] for n in range(node.lineno, end + 1) if n in comments]
            above, line = [], node.lineno - 1
            while line in alone:
                above.insert(0, comments[line])
                line -= 1
            if above or line != last:
                group = " ".join(above)
            last = end
            notes[node.target.id] = " ".join([*above, *here]) or group
    return notes


@dataclass(frozen=True)
class Key:
    """A row of the reference."""

    name: str
    default: str
    note: str


def default_of(f: Field) -> str:
    if f.default is not MISSING:
        value = f.default
    elif f.default_factory is not MISSING:
        value = f.default_factory()
    else:
        return "required"
    if isinstance(value, tuple) and value and is_dataclass(value[0]):
        return f"{len(value)} entries"
    text = as_yaml(value)
    return text if len(text) < 60 or not isinstance(value, tuple) else f"[{as_yaml(value[0])}, ... {len(value)} in all]"


def as_yaml(value: object) -> str:
    if isinstance(value, (tuple, list)):
        return f"[{', '.join(map(as_yaml, value))}]"
    if value is None or isinstance(value, bool):
        return {None: "null", True: "true", False: "false"}[value]
    return str(value)


def keys_of_field(f: Field, note: str, hint: object, path: str = "") -> list[Key]:
    """The field's row; of a nested section, and of what a list holds, a row for each of its keys, with dotted names."""
    name = f"{path}{f.name}"
    choices = [value for part in (hint, *get_args(hint)) if get_origin(part) is Literal for value in get_args(part)]
    if unnamed := [as_yaml(c) for c in choices if not re.search(rf"\\b{re.escape(as_yaml(c))}\\b", note)]:
        note = f"{note}{'; ' if note else ''}one of {', '.join(map(as_yaml, choices))}" if unnamed else note
    value = f.default if f.default_factory is MISSING else f.default_factory()
    if not is_dataclass(value):
        rows = [Key(name, default_of(f), note)]
        lists = (part for part in (hint, *get_args(hint)) if get_origin(part) is tuple)
        item = next((a for part in lists for a in get_args(part) if is_dataclass(a)), None)
        return rows + (keys_of_class(item, f"{name}[].") if isinstance(item, type) else [])
    own = [Key(name, "see below", note)] if "null" in note else []
    return own + keys_of_class(type(value), f"{name}.")


def keys_of_class(cls: type, path: str) -> list[Key]:
    notes, hints = field_notes(cls), get_type_hints(cls, include_extras=True)
    return [key for f in fields(cls) for key in keys_of_field(f, notes.get(f.name, ""), hints[f.name], path)]


def rule_note(cls: type, field: str, note: str) -> str:
    """The note on a gate's limit, behind the rule that it limits and the column that the rule reads."""
    limits = getattr(cls, "limits", {})
    rules = [rule for rule, limit in limits.items() if limit == field] if isinstance(limits, Mapping) else []
    side, _, rest = field.partition("_")
    if not rules or side not in ("min", "max"):
        return note
    columns = tuple(c for read in cls().reads.values() for c in read)
    column = bounded(rest, columns) or bounded(rest.removesuffix("_redpajama"), columns)
    what = f"documents with `{column}` {'below' if side == 'min' else 'above'} it" if column else "documents"
    return f"`{rules[0]}` drops {what}. {note}"


def table_of(keys: Sequence[Key]) -> list[str]:
    """Consecutive keys of one note stand in one row."""
    lines = ["| key | default | meaning |", "|---|---|---|"]
    for note, group in groupby(keys, key=lambda k: k.note or k.name):
        same = list(group)
        names = "<br>".join(f"`{cell(k.name)}`" for k in same)
        defaults = "<br>".join(f"`{cell(k.default)}`" for k in same)
        lines.append(f"| {names} | {defaults} | {cell(note) if same[0].note else ''} |")
    return [*lines, ""]


def cell(text: str) -> str:
    return re.sub(r"\bNone\b", "null", text).replace("|", "\\|").replace("\n", " ")


def config_page() -> str:
    lines = [
        "# Config reference",
        "",
        "Generated by `python -m gristmill.pipeline.docs`; every key may be left out.",
        "",
    ]
    lines += [
        "Besides the sections: `name` (of the run; default: the file's name), `extra` (stages of your own, see the",
        "README), `engine.memory` (bytes that the workers of a machine may take for sorting, e.g. 4GB; default: half",
        "of the machine's).",
        "",
        *ENGINES,
    ]
    common = {f.name for path, cls in standard() if path == "input" for f in settings_of(cls)}
    for key, about in LISTS.items():
        rows: dict[str, Key] = {}
        for hint in borrowing(key):
            item = get_args(hint)[0]
            own = [k for k in keys_of_class(item, "") if "." not in k.name]
            alone = [k.name for k in own if k.name != "name"]
            for row in own:
                named = "of the source: what the ledger, the report and buckets call it" if row.name == "name" else ""
                as_common = f"as `input.{row.name}`, of this source" if row.name in common and key == SOURCES else ""
                about_class = first_sentence(item) if alone == [row.name] else ""
                known = rows.get(row.name)
                if known is None or not known.note:
                    rows[row.name] = replace(row, note=row.note or named or as_common or about_class)
        lines += [f"## {key}", "", about, "", *table_of(list(rows.values()))]
    for path in dict.fromkeys(p for p, _ in standard()):
        lines += [f"## {path}", ""]
        classes = [c for p, c in standard() if p == path]
        seen: set[str] = set()
        if path in OPTIONAL:
            lines += ["`enabled: false` (or the section as `null`) leaves this out: what it would write is null.", ""]
        for cls in classes:
            own = [f for f in settings_of(cls) if f.name not in seen]
            lines += [f"`{cls.__name__}`: {cell(first_sentence(cls))}", ""]
            if not own:
                continue
            notes, hints = field_notes(cls), get_type_hints(cls, include_extras=True)
            keys = [k for f in own for k in keys_of_field(f, notes.get(f.name, ""), hints[f.name])]
            lines += table_of([replace(k, note=rule_note(cls, k.name, k.note)) for k in keys])
            seen |= {f.name for f in own}
    return "\n".join(lines)


def first_sentence(cls: type) -> str:
    return inspect.cleandoc(cls.__doc__ or "").split("\n\n")[0].replace("\n", " ")


def columns_page() -> str:
    optional = {"clean": {"enabled": True}, "pii": {"enabled": True}}
    recipe = make_recipe({"input": {"paths": "x"}, **optional}, "x")
    owner = {c: s.name for s in reversed(recipe.stages) for c in s.writes}
    lines = ["# Column dictionary", "", "Generated by `python -m gristmill.pipeline.docs`.", ""]
    lines += ["| column | dataset | type | unit | meaning | source |", "|---|---|---|---|---|---|"]
    for c in DICTIONARY:
        lines.append(
            f"| `{c.name}` | {owner.get(c.name, '')} | {c.type} | {c.unit} | {cell(c.meaning)} | {cell(c.source)} |"
        )
    return "\n".join([*lines, ""])


def cli_page() -> str:
    import argparse

    top = parser()
    # argparse has no public way to list subcommands.
    commands = next(a for a in top._actions if isinstance(a, argparse._SubParsersAction)).choices
    lines = ["# Command line", "", "Generated by `python -m gristmill.pipeline.docs`.", ""]
    for name, command in commands.items():
        lines += [f"## gristmill {name}", "", command.description or "", ""]
        lines += ["| argument | meaning |", "|---|---|"]
        for action in command._actions:
            if action.dest != "help":
                label = ", ".join(action.option_strings) or action.metavar or action.dest
                lines.append(f"| `{label}` | {action.help or ''} |")
        lines.append("")
    status = "0 done and balanced; 1 parts failed or the books do not balance; 2 usage or config; 130 interrupted."
    lines += [f"Exit status: {status}", ""]
    return "\n".join(lines)


def pages() -> dict[str, str]:
    return {"config.md": config_page(), "columns.md": columns_page(), "cli.md": cli_page()}


if __name__ == "__main__":
    DOCS.mkdir(exist_ok=True)
    for name, text in pages().items():
        (DOCS / name).write_text(text, encoding="utf-8")
