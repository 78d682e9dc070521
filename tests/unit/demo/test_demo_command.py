"""`vtk demo` as a user meets it: refusals, what is told on the way, and the ending."""

import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from vtk.cli import demo as command
from vtk.cli.app import main
from vtk.cli.console import Console
from vtk.cli.demo_view import Bars, Lines, narrate
from vtk.demo.pipeline import DemoView, StepView
from vtk.demo.plan import Gauge, Step
from vtk.format import format_percent

STEP = Step("train-bias", "Train the bias model", ("train-bias",), (), Gauge("train", 60), 1.0)


class Screen(io.StringIO):
    """A stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True


def view(done: float = 0.5, left_s: float = 125.0) -> DemoView:
    running = (StepView(STEP, done, f"{60 * done:.0f} of 60 steps", 12.0),)
    return DemoView(running, num_done=3, num_steps=10, left_s=left_s)


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["--seeds", "0,x"], "is no list of whole numbers"),
        (["--seeds", "1,1"], "names a seed twice"),
        (["--seeds", "0,1", "--seed", "0"], "exclude each other"),
        (["--seeds", ""], "is no list of whole numbers"),
        (["--seeds", "0,1,"], "is no list of whole numbers"),
        (["--seed", "-1"], "seed"),
        (["--processes", "3"], "processes"),
    ],
)
def test_bad_options_are_refused_before_any_work(
    arguments: list[str], said: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), *arguments]) == 2
    assert said in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


def test_a_model_that_is_not_there_is_told_before_any_work(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["demo", "--out", str(tmp_path / "demo"), "--model", "nosuch"]) == 4
    assert "nosuch" in capsys.readouterr().err
    assert not (tmp_path / "demo").exists()


@pytest.mark.parametrize("extra", [[], ["--force"], ["--seeds", "0,1"]])
def test_a_folder_with_other_files_is_left_alone(
    extra: list[str], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "notes.txt").write_text("mine")
    assert main(["demo", "--out", str(tmp_path), "--json", *extra]) == 2
    captured = capsys.readouterr()
    assert json.loads(captured.out)["error"]["kind"] == "ConfigError"
    assert "holds other files" in captured.err
    assert [entry.name for entry in tmp_path.iterdir()] == ["notes.txt"]


def test_lines_name_the_command_the_progress_and_the_time_left() -> None:
    err = io.StringIO()
    lines = Lines(Console(stderr=err), every_s=0.0)
    lines.started(STEP, "vtk train-bias --max-steps 60")
    lines.progressed(view())
    lines.progressed(view())
    lines.ended(STEP, 80.0)
    lines.stopping(1)
    assert err.getvalue().splitlines() == [
        "# Train the bias model",
        "$ vtk train-bias --max-steps 60",
        "  train-bias 30 of 60 steps; 3 of 10 commands done; about 2 min 5 s left",
        "  train-bias done in 1 min 20 s",
        "Stopping 1 command; they save first ...",
    ]


def test_a_terminal_gets_bars_and_the_commands_above_them() -> None:
    err = Screen()
    with narrate(Console(stderr=err), is_study=False) as watcher:
        assert isinstance(watcher, Bars)
        watcher.started(STEP, "vtk train-bias --max-steps 60")
        watcher.progressed(view(0.25))
        watcher.ended(STEP, 80.0)
        watcher.progressed(DemoView((), 4, 10, 60.0))
    text = err.getvalue()
    assert "vtk train-bias --max-steps 60" in text
    assert "train-bias done in 1 min 20 s" in text


def test_the_ending_is_the_table_and_what_was_found(
    document_of: Callable[..., dict[str, Any]],
) -> None:
    out = io.StringIO()
    document = document_of(num_clips=20)
    command._show_results(Console(stdout=out), document)
    text = out.getvalue()
    title, header, *rows = text.splitlines()[:6]
    assert "40 inferential" in title
    assert "inferential" in header
    assert [row.split()[0] for row in rows] == ["base", "bias", "GRPO", "CDPO"]
    for name, row in zip(("base", "bias", "grpo", "cdpo"), rows, strict=True):
        assert format_percent(document["models"][name]["inferential"]["strict"]) in row
    findings = document["findings"]
    for sentence in (findings["decisive"], *findings["details"], *findings["caveats"]):
        assert sentence in text
    assert f"[{findings['verdict']}]" in text


def test_seeds_are_read_from_a_list() -> None:
    assert command._parse_seeds("0, 1,12") == [0, 1, 12]
