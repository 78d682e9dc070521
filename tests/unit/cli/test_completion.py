"""What a shell offers after Tab, asked as bash asks it: in a process of its own."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from vtk.runs.store import create_run


@pytest.fixture
def runs_dir(tmp_path: Path) -> Path:
    folder = tmp_path / "runs"
    for number, stage in enumerate(("cdpo", "grpo", "eval")):
        create_run(folder, stage, f"{stage}-{number}")
    damaged = folder / "cdpo-broken"
    damaged.mkdir()
    (damaged / "run.json").write_text("{")
    return folder


def complete(line: str, runs_dir: Path) -> list[str]:
    """The words that bash would offer at the end of `line`."""
    words = line.split(" ")
    asked = {"_VTK_COMPLETE": "complete_bash", "COMP_WORDS": line.strip()}
    environment = os.environ | asked | {"COMP_CWORD": str(len(words) - 1)}
    done = subprocess.run(
        [sys.executable, "-m", "vtk"],
        env=environment | {"VTK_RUNS_DIR": str(runs_dir)},
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    assert done.stderr == ""
    return done.stdout.split()


@pytest.mark.parametrize(
    ("line", "offered"),
    [
        ("vtk ev", {"eval"}),
        ("vtk runs s", {"show", "stop"}),
        ("vtk train-cdpo --bet", {"--beta"}),
        ("vtk eval mv", {"mvbench"}),
        (
            "vtk download video",
            {"video-holmes", "video-mme", "videothinker-r1", "videothinker-r1-bias"},
        ),
        ("vtk train-grpo --preset 3b-2", {"3b-24gb", "3b-2x48gb"}),
        ("vtk config show ti", {"tiny"}),
        ("vtk train-bias --data clevrer-", {"clevrer-mini"}),
        ("vtk runs show cdpo", {"cdpo-0", "cdpo-broken"}),
        ("vtk dashboard eval", {"eval-2"}),
        ("vtk train-cdpo --resume ", {"cdpo-0"}),
        ("vtk eval clevrer --model ", {"tiny", "cdpo-0", "grpo-1"}),
    ],
)
def test_names_are_offered(runs_dir: Path, line: str, offered: set[str]) -> None:
    assert set(complete(line, runs_dir)) == offered


def test_runs_are_those_of_the_folder_that_the_line_names(runs_dir: Path, tmp_path: Path) -> None:
    line = f"vtk runs show --runs-dir {runs_dir} grpo"
    assert complete(line, tmp_path / "elsewhere") == ["grpo-1"]
    assert complete("vtk runs show ", tmp_path / "elsewhere") == []


def test_bash_is_told_to_ask(tmp_path: Path) -> None:
    environment = os.environ | {
        "HOME": str(tmp_path),
        "_TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION": "1",
    }
    done = subprocess.run(
        [sys.executable, "-m", "vtk", "--install-completion", "bash"],
        env=environment,
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    script = (tmp_path / ".bash_completions" / "vtk.sh").read_text()
    assert "_VTK_COMPLETE=complete_bash" in script
    assert "complete -o default -F _vtk_completion vtk" in script
    assert "vtk.sh" in (tmp_path / ".bashrc").read_text()
    assert "Traceback" not in done.stderr
