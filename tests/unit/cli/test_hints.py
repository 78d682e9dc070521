"""A command in a hint works when it is pasted: it parses, and it names the same folders."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.commands import Read, commands_in, read_command
from vtk.cli.app import main
from vtk.hints import download_hint, folder_options, results_hint, split_hint
from vtk.runs.store import create_run

Hints = Callable[..., list[Read]]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder of work with a blank in its name, and a run in runs of its own."""
    folder = tmp_path / "my work"
    folder.mkdir()
    (folder / "DIR").mkdir()  # a hint's own word for a folder that the user has
    monkeypatch.chdir(folder)
    for name, stage in (("cdpo-1", "cdpo"), ("cdpo-2", "cdpo"), ("grpo-1", "grpo")):
        create_run(folder / "my runs", stage, name)
    return folder


@pytest.fixture
def hints(here: Path, capsys: pytest.CaptureFixture[str]) -> Hints:
    """The commands in the hint of a command that fails."""

    def call(line: str, *folders: str) -> list[Read]:
        assert main([*line.split(), *folders, "--json"]) != 0
        hint = json.loads(capsys.readouterr().out)["error"]["hint"]
        return [read_command(command) for command in commands_in(hint)]

    return call


DATA = ("--data-dir", "my data")
RUNS = ("--runs-dir", "my runs")


@pytest.mark.parametrize(
    ("line", "folders", "words"),
    [
        ("split clevrer-mini", DATA, [("download",)]),
        ("split clevrer", DATA, [("download",)]),
        ("data check mvbench", DATA, [("download",)]),
        ("data check clevrer", DATA, [("download",)]),
        ("download mmvu --verify", DATA, [("download",)]),
        ("eval mvbench --model tiny", (*DATA, *RUNS), [("download",)]),
        ("eval clevrer-mini --model tiny", (*DATA, *RUNS), [("download",), ("split",)]),
        ("eval all --model tiny", (*DATA, *RUNS), [("download",), ("split",)]),
        (
            "train-grpo --preset tiny --data clevrer-mini --dry-run",
            (*DATA, *RUNS),
            [("download",), ("split",)],
        ),
        ("train-grpo --preset 3b-80gb --dry-run", (*DATA, *RUNS), [("download",), ("split",)]),
        ("train-grpo --model tiny --dry-run", (*DATA, *RUNS), [("download",), ("split",)]),
        ("train-grpo grpo-1", (*DATA, *RUNS), [("train-grpo",)]),
        ("runs show zebra", RUNS, [("runs", "list")]),
        ("compare cdpo-1 cdpo-2", RUNS, [("eval",)]),
        ("compare cdpo-1 cdpo-2 --suite mvbench-recipe", RUNS, [("eval",)]),
        ("dashboard cdpo-1 cdpo-2 --once", RUNS, [("compare",)]),
    ],
)
def test_a_hint_names_the_folders_that_the_user_named(
    hints: Hints, line: str, folders: tuple[str, ...], words: list[tuple[str, ...]]
) -> None:
    found = hints(line, *folders)
    assert [read.words for read in found] == words
    for read in found:
        given = {
            "data_dir": Path("my data") if "my data" in folders else None,
            "runs_dir": Path("my runs") if "my runs" in folders else None,
        }
        wanted = {name: path for name, path in given.items() if path and name in read.options}
        assert wanted
        assert {name: read.options[name] for name in wanted} == wanted


def test_the_hint_of_a_run_without_results_asks_the_same_results(hints: Hints) -> None:
    (read,) = hints("compare cdpo-1 cdpo-2 --suite mvbench-recipe.cold", *RUNS)
    assert read.options["suites"] == ["mvbench"]
    assert (read.options["protocol"], read.options["name"]) == ("recipe", "cold")
    assert read.options["model"] == "cdpo-1"


def test_a_pasted_hint_leads_on(hints: Hints, capsys: pytest.CaptureFixture[str]) -> None:
    (read,) = hints("runs show zebra", *RUNS)
    assert main(["runs", "list", "--runs-dir", str(read.options["runs_dir"]), "--json"]) == 0
    assert len(json.loads(capsys.readouterr().out)) == 3


def test_folders_that_are_found_anyway_are_left_out(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    assert folder_options(data_dir=Path("data"), runs_dir=Path("runs")) == ""
    assert download_hint("mmvu", Path("data")) == "Get it with: vtk download mmvu"
    monkeypatch.setenv("VTK_DATA_DIR", str(tmp_path))
    assert split_hint("clevrer", tmp_path) == (
        "Get it with: vtk download clevrer && vtk split clevrer"
    )
    assert results_hint("mmvu", "a", Path("b")).endswith("vtk eval mmvu --model a --runs-dir b")


def test_the_next_command_of_a_split_is_whole(
    here: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    small = ["--scenes", "3", "--validation-scenes", "2", "--workers", "1"]
    assert main(["download", "clevrer-mini", *small, *DATA]) == 0
    told = capsys.readouterr().err
    (read,) = (read_command(line) for line in commands_in(next_line(told)))
    assert (read.words, read.options["data_dir"]) == (("split",), Path("my data"))
    assert main(["split", "clevrer-mini", *DATA]) == 0
    (read,) = (read_command(line) for line in commands_in(next_line(capsys.readouterr().err)))
    wanted: dict[str, Any] = {"data": "clevrer-mini", "preset": "tiny", "data_dir": Path("my data")}
    assert {name: read.options[name] for name in wanted} == wanted


def next_line(told: str) -> str:
    return next(line for line in told.splitlines() if line.startswith("Next: "))
