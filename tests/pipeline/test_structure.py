"""The shape of the house: no circles, small modules and folders, short signatures, tests that say what they read."""

import ast
import os
import subprocess
import sys
from pathlib import Path

import grimp
import pytest

from places import ROOT

CODE = ("pipeline", "stages", "classifiers")
LINES = 350
PARAMETERS = 8
MODULES = 14
COMPILED = ("kernel", "inlined", "bare_")  # decorators (pipeline/kernels/compiled.py)
# Settings of one thing, each by name at every call (docs/decisions/laws.md)
WIDE = {("constraints.py", "constraints_from"), ("ngram.py", "fit")}
# Kept together, for it is one idea (docs/decisions/laws.md)
LONG = {"pipeline/kernels/numbers/ngram.py"}
# Tables and texts: data written as Python
DATA = {
    "pipeline/contract/columns.py",
    "classifiers/license/names.py",
    "classifiers/license/sites.py",
    "classifiers/license/terms.py",
}


def modules(*tops: str) -> list[Path]:
    return [p for top in tops for p in sorted((ROOT / top).rglob("*.py")) if "__pycache__" not in p.parts]


def functions(tree: ast.Module) -> list[ast.FunctionDef]:
    return [n for n in ast.walk(tree) if isinstance(n, ast.FunctionDef)]


def test_no_circle_in_the_import_graph():
    graph = grimp.build_graph("gristmill", cache_dir=None)
    left = {m: set(graph.find_modules_directly_imported_by(m)) for m in graph.modules}
    while leaves := [m for m, seen in left.items() if not seen & left.keys()]:
        for m in leaves:
            del left[m]
    assert left == {}, sorted(left)


def test_no_module_is_long():
    long = {
        str(p.relative_to(ROOT)): n
        for p in modules(*CODE)
        if (n := len(p.read_text(encoding="utf-8").splitlines())) > LINES
        and str(p.relative_to(ROOT)) not in DATA | LONG
    }
    assert long == {}


def test_no_function_takes_many_parameters():
    """Compiled kernels apart: they take a text's buffers one by one, for numba has no cheap structure for them."""
    wide = []
    for path in modules(*CODE):
        for f in functions(ast.parse(path.read_text(encoding="utf-8"))):
            if any(ast.unparse(d).startswith(COMPILED) for d in f.decorator_list) or (path.name, f.name) in WIDE:
                continue
            a = f.args
            names = [x.arg for x in (*a.posonlyargs, *a.args, *a.kwonlyargs) if x.arg not in ("self", "cls")]
            if len(names) > PARAMETERS:
                wide.append(f"{path.relative_to(ROOT)}:{f.lineno} {f.name} {len(names)}")
    assert wide == []


def test_no_folder_holds_many_modules():
    folders: dict[str, int] = {}
    for path in modules(*CODE, "tests", "benchmarks"):
        if path.name != "__init__.py":
            folders[str(path.parent.relative_to(ROOT))] = folders.get(str(path.parent.relative_to(ROOT)), 0) + 1
    assert {f: n for f, n in folders.items() if n > MODULES} == {}


def test_modules_say_what_they_do():
    silent = [
        str(p.relative_to(ROOT))
        for p in modules(*CODE)
        if p.name != "__init__.py" and not ast.get_docstring(ast.parse(p.read_text(encoding="utf-8")))
    ]
    assert silent == []


def test_no_two_public_things_of_one_package_have_one_name():
    twice = []
    for folder in {p.parent for p in modules(*CODE)}:
        seen: dict[str, str] = {}
        for path in sorted(folder.glob("*.py")):
            for node in ast.parse(path.read_text(encoding="utf-8")).body:
                if not isinstance(node, ast.FunctionDef | ast.ClassDef) or node.name.startswith("_"):
                    continue
                if node.name in seen:
                    twice.append(f"{folder.relative_to(ROOT)}: {node.name} in {seen[node.name]} and {path.name}")
                seen[node.name] = path.name
    assert sorted(twice) == []


def reads_shared(path: Path) -> list[str]:
    """Test functions of a module that reach SHARED (by name, or through a name or function of the module that does) and
    neither take the fixture `shared` nor carry the marker."""
    tree = ast.parse(path.read_text(encoding="utf-8"))
    if any(isinstance(n, ast.Constant) and n.value == "GRISTMILL" + "_SHARED" for n in ast.walk(tree)):
        return [f"{path.name}: reads GRISTMILL_SHARED itself"]

    def uses(node: ast.AST) -> set[str]:
        return {n.id for n in ast.walk(node) if isinstance(n, ast.Name)}

    reached = {"SHARED"}
    parts: list[tuple[str, ast.AST]] = []
    for n in tree.body:
        if isinstance(n, ast.FunctionDef):
            parts.append((n.name, n))
        elif isinstance(n, ast.Assign):
            parts += [(t.id, n.value) for t in n.targets if isinstance(t, ast.Name)]
    while new := {name for name, n in parts if name not in reached and uses(n) & reached}:
        reached |= new
    marked = any(isinstance(n, ast.Assign) and "needs_shared" in uses(n.value) for n in tree.body)
    found = []
    for f in (n for n in tree.body if isinstance(n, ast.FunctionDef) and n.name.startswith("test")):
        excused = marked or "needs_shared" in {n for d in f.decorator_list for n in uses(d)}
        excused = excused or "shared" in [a.arg for a in f.args.args]
        body = ast.Module([*f.body], [])
        asked = uses(body) | {a.arg for a in f.args.args}
        if not excused and asked & reached:
            found.append(f"{path.name}: {f.name}")
    return found


@pytest.mark.parametrize("path", [p for p in modules("tests") if p.name.startswith("test_")], ids=lambda p: p.stem)
def test_what_reads_shared_data_says_so(path: Path):
    assert reads_shared(path) == []


def test_a_test_that_reads_shared_data_unmarked_is_found(tmp_path: Path):
    (tmp_path / "test_a.py").write_text(
        "from places import SHARED, needs_shared\nWEB = SHARED / 'web'\n\ndef pages():\n    return WEB\n\n"
        "def test_bad():\n    pages()\n\n@needs_shared\ndef test_good():\n    pages()\n\ndef test_other():\n    pass\n"
    )
    assert reads_shared(tmp_path / "test_a.py") == ["test_a.py: test_bad"]


@pytest.mark.slow
def test_the_wheel_has_one_name_and_stands_beside_a_user_s_own_modules(tmp_path: Path):
    """Built, unpacked where nothing else of this clone is, and run beside a `pipeline.py` of the user's."""
    quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.PIPE, "text": True}
    build = [sys.executable, "-m", "pip", "wheel", "--no-deps", "--no-build-isolation", "-q", "-w", str(tmp_path), "."]
    made = subprocess.run(build, cwd=ROOT, check=False, **quiet)  # pyright: ignore[reportCallIssue, reportArgumentType]
    assert made.returncode == 0, made.stderr
    (wheel,) = tmp_path.glob("*.whl")
    site = tmp_path / "site"
    subprocess.run([sys.executable, "-m", "zipfile", "-e", str(wheel), str(site)], check=True)
    assert [p.name for p in sorted(site.iterdir()) if not p.name.endswith(".dist-info")] == ["gristmill"]
    home = tmp_path / "mine"
    home.mkdir()
    for name in ("pipeline", "stages", "classifiers"):
        (home / f"{name}.py").write_text("raise RuntimeError('the user\\'s own module was imported')\n")
    environment = {k: v for k, v in os.environ.items() if not k.startswith("PYTHON")}
    environment["PYTHONPATH"] = f"{home}{os.pathsep}{site}"
    code = "import gristmill, sys; print(gristmill.__file__); from gristmill.pipeline.cli import main; sys.exit(main())"
    for command in (
        ["sample-data", "input"],
        ["run", str(site / "gristmill" / "configs" / "quickstart.yaml"), "input.paths=input/*.warc.gz", "--out", "run"],
    ):
        line = [sys.executable, "-c", code, *command]
        done = subprocess.run(line, cwd=home, env=environment, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr[-3000:]
        assert done.stdout.startswith(str(site))
    assert (home / "run" / "corpus" / "README.md").is_file()
