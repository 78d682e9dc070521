"""What holds the building up: light start, one-way imports, small files, a complete wheel."""

import ast
import json
import os
import re
import subprocess
import sys
import zipfile
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

RunPython = Callable[..., subprocess.CompletedProcess[str]]

HEAVY = {"torch", "transformers", "trl", "datasets", "accelerate", "peft", "av", "decord", "PIL"}
COMMAND = """
import json, sys
from vtk.cli.app import main
code = main(sys.argv[1:])
print("MODULES", json.dumps([code, sorted({name.split(".")[0] for name in sys.modules})]))
"""
MODULES_OF_THE_DASHBOARD = """
import importlib, importlib.util, json, pkgutil, sys
import tui
names = [found.name for found in pkgutil.walk_packages(tui.__path__, "tui.")]
if importlib.util.find_spec("textual_serve") is None:
    names.remove("tui.web.server")  # the extra `serve`
for name in ["tui", *names]:
    importlib.import_module(name)
print("MODULES", json.dumps([0, sorted({name.split(".")[0] for name in sys.modules})]))
"""
MAX_FILE_LINES, MAX_FUNCTION_LINES = 400, 50
VAGUE_NAMES = {"utils", "helpers", "common", "misc"}


def sources(root: Path) -> list[Path]:
    """Every Python file of the product and its tests."""
    return [path for folder in ("vtk", "tui", "tests") for path in (root / folder).rglob("*.py")]


def loaded(done: subprocess.CompletedProcess[str]) -> set[str]:
    """The top-level modules that a process reports on its last line, after it exited with 0."""
    line = done.stdout.strip().splitlines()[-1] if done.stdout.strip() else ""
    assert line.startswith("MODULES "), done.stdout + done.stderr
    code, names = json.loads(line.removeprefix("MODULES "))
    assert code == 0, done.stderr
    return set(names)


@pytest.mark.parametrize(
    "arguments",
    [["--help"], ["--version"], ["config", "--help"], ["setup", "--help"], ["runs", "list"]],
    ids=" ".join,
)
def test_what_only_asks_loads_nothing_heavy(run_python: RunPython, arguments: list[str]) -> None:
    modules = loaded(run_python("-c", COMMAND, *arguments))
    assert "vtk" in modules
    assert modules & (HEAVY | {"numpy", "textual"}) == set()


def test_help_of_every_command_loads_nothing_heavy(run_python: RunPython) -> None:
    from vtk.cli.app import app

    words = [*_command_words(app)]
    assert {"eval", "bench step", "mini pretrain", "runs list"} <= set(words)
    code = COMMAND.replace(
        "code = main(sys.argv[1:])",
        "code = max(main([*name.split(), '-h']) for name in sys.argv[1:])",
    )
    modules = loaded(run_python("-c", code, *words))
    assert modules & (HEAVY | {"numpy", "textual"}) == set()


def _command_words(menu: Any, prefix: str = "") -> Iterator[str]:
    """Every command of a menu and of the menus in it, as it is typed."""
    yield from (f"{prefix}{command.name}" for command in menu.registered_commands)
    for group in menu.registered_groups:
        yield from _command_words(group.typer_instance, f"{prefix}{group.name} ")


def test_configuration_loads_nothing_heavy(run_python: RunPython) -> None:
    modules = loaded(run_python("-c", COMMAND, "config", "show", "tiny", "--json"))
    assert "pydantic" in modules
    assert modules & (HEAVY | {"numpy", "textual"}) == set()


def test_the_dashboard_loads_no_engine(run_python: RunPython) -> None:
    modules = loaded(run_python("-c", MODULES_OF_THE_DASHBOARD))
    assert "tui" in modules
    assert modules & HEAVY == set()


def test_imports_run_one_way(repository: Path) -> None:
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run(
        [linter, "--no-cache", "--no-logo"],
        cwd=repository,
        env=os.environ | {"PYTHONUTF8": "1"},
        capture_output=True,
        text=True,
        encoding="utf-8",
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "0 broken" in done.stdout


def test_files_are_small_and_named_for_what_they_hold(repository: Path) -> None:
    files = sources(repository)
    assert len(files) > 60
    too_long = {
        str(path.relative_to(repository)): num_lines
        for path in files
        if (num_lines := len(path.read_text(encoding="utf-8").splitlines())) > MAX_FILE_LINES
    }
    assert too_long == {}
    assert [path for path in files if path.stem in VAGUE_NAMES] == []


def test_functions_fit_on_a_screen(repository: Path) -> None:
    lengths = dict(_function_lengths(repository))
    assert len(lengths) > 500
    assert {name: lines for name, lines in lengths.items() if lines > MAX_FUNCTION_LINES} == {}


def test_every_setting_is_read_somewhere(repository: Path) -> None:
    from vtk.config.keys import known_keys

    engine = "\n".join(
        path.read_text(encoding="utf-8")
        for path in (repository / "vtk").rglob("*.py")
        if path.parent.name != "config"
    )
    keys = [dotted.split(".") for dotted in known_keys()]
    assert len(keys) > 70
    num_named = Counter(leaf for *_, leaf in keys)
    unread = []
    for *section, leaf in keys:
        # A name that several sections have must be read with its section before it.
        owner = section[-1] if section and num_named[leaf] > 1 else ""
        if not re.search(rf'{owner}[."]{leaf}\b', engine):
            unread.append(".".join([*section, leaf]))
    assert unread == []


@pytest.mark.slow
def test_the_wheel_holds_both_packages_the_presets_and_the_tiny_model(
    repository: Path, tmp_path: Path, run_python: RunPython
) -> None:
    built = subprocess.run(
        [sys.executable, "-m", "hatchling", "build", "-t", "wheel", "-d", str(tmp_path)],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert built.returncode == 0, built.stderr
    (wheel,) = tmp_path.glob("*.whl")
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
        archive.extractall(tmp_path / "installed")
    top_level = {name.split("/")[0] for name in names}
    (metadata,) = {name for name in top_level if name.endswith(".dist-info")}
    assert top_level == {"vtk", "tui", metadata}
    presets = {path.name for path in (repository / "presets").glob("*.toml")}
    assert len(presets) == 4
    sources_in_repository = {
        str(path.relative_to(repository))
        for package in ("vtk", "tui")
        for path in (repository / package).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts
    }
    assert names >= sources_in_repository
    assert names >= {f"vtk/presets/{name}" for name in presets}
    assert names >= {"vtk/models/tiny_weights/model.safetensors", f"{metadata}/licenses/LICENSE"}
    _check_presets_outside_the_checkout(run_python, tmp_path / "installed")


def _check_presets_outside_the_checkout(run_python: RunPython, installed: Path) -> None:
    """The presets load from the package itself where there is no checkout."""
    done = run_python(
        "-S",
        "-c",
        "import sys; sys.path[:0] = sys.argv[1:]\n"
        "from vtk.config.files import list_presets, presets_dir\n"
        "from vtk.config.loading import load_config\n"
        "for name in list_presets():\n"
        "    for stage in ('bias', 'cdpo', 'grpo'):\n"
        "        load_config(stage, name, is_reference_needed=False)\n"
        "print(len(list_presets()), presets_dir())\n",
        str(installed),
        *[path for path in sys.path if path.endswith("site-packages")],
    )
    assert done.stdout.strip() == f"4 {installed.resolve() / 'vtk' / 'presets'}", done.stderr


def _function_lengths(repository: Path) -> Iterator[tuple[str, int]]:
    """Lines of each function's body, its docstring not counted; tests hold tables and are free."""
    tests = repository / "tests"
    for path in [path for path in sources(repository) if tests not in path.parents]:
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                is_documented = ast.get_docstring(node) is not None and len(node.body) > 1
                first = node.body[1] if is_documented else node.body[0]
                name = f"{path.relative_to(repository)}:{node.lineno} {node.name}"
                yield name, (node.end_lineno or node.lineno) - first.lineno + 1
