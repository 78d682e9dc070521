"""The dashboard in a real terminal (tmux) beside a real training."""

import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.reliability.bench import Bench, make_world
from vtk.runs.owner import Owner
from vtk.runs.store import RunPaths

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(shutil.which("tmux") is None, reason="no tmux on this machine"),
]
PATIENCE_S = 240.0
_STEP = re.compile(r"step ([\d,]+)/")


class Terminal:
    """A terminal of its own tmux server, with one program in it."""

    def __init__(self, folder: Path, *command: str, size: tuple[int, int] = (120, 40)) -> None:
        self._tmux = ["tmux", "-S", str(folder / "tmux"), "-f", "/dev/null"]
        width, height = map(str, size)
        self._call("new-session", "-d", "-s", "t", "-x", width, "-y", height, *command)

    def screen(self) -> str:
        return self._call("capture-pane", "-p", "-t", "t")

    def press(self, *keys: str) -> None:
        for key in keys:
            self._call("send-keys", "-t", "t", key)

    def write(self, text: str) -> None:
        """Type characters, whatever names of keys they are."""
        self._call("send-keys", "-t", "t", "-l", "--", text)

    def ask(self, key: str, question: str, answer: str) -> str:
        """Ask the run for something, and give the screen once it answered."""
        self.press("c", key)
        return self.confirm(question, answer)

    def confirm(self, question: str, answer: str) -> str:
        self.shows(lambda screen: question in screen)
        self.press("y")
        return self.shows(lambda screen: answer in screen)

    def resize(self, width: int, height: int) -> None:
        self._call("resize-window", "-t", "t", "-x", str(width), "-y", str(height))

    def shows(self, is_so: Callable[[str], bool]) -> str:
        """The screen, once something is so."""
        end = time.monotonic() + PATIENCE_S
        while not is_so(screen := self.screen()):
            assert time.monotonic() < end, screen
            time.sleep(0.1)
        return screen

    def close(self) -> None:
        subprocess.run([*self._tmux, "kill-server"], check=False, capture_output=True)

    def _call(self, *arguments: str) -> str:
        done = subprocess.run(
            [*self._tmux, *arguments], check=True, capture_output=True, encoding="utf-8",
            env=os.environ | {"LC_ALL": "C.UTF-8", "TERM": "xterm-256color"},
        )  # fmt: skip
        return done.stdout


@pytest.fixture
def terminal(tmp_path: Path) -> Iterator[Terminal]:
    command = [sys.executable, "-m", "vtk", "dashboard", "--runs-dir", str(tmp_path / "runs")]
    made = Terminal(tmp_path, *command)
    yield made
    made.close()


@pytest.fixture
def training(tmp_path: Path) -> Iterator[RunPaths]:
    """`vtk train-cdpo` in a process of its own, long enough to be watched."""
    world = make_world(tmp_path / "world")
    settings = Bench.SETTINGS | {"optim.num_steps": 5000, "objective.beta": -0.05}
    given = [part for name, value in settings.items() for part in ("--set", f"{name}={value}")]
    process = subprocess.Popen(
        [
            sys.executable, "-m", "vtk", "train-cdpo", "--preset", "tiny", "--name", "watched",
            "--data", "clevrer-mini", "--data-dir", str(world.data_dir),
            "--runs-dir", str(tmp_path / "runs"), "--model", str(world.base),
            "--bias-model", str(world.bias), *given,
        ],
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )  # fmt: skip
    run = RunPaths(tmp_path / "runs" / "watched")
    yield run
    process.terminate()  # and with it the worker, which outlives a starter that is killed
    process.wait()


def step_on(screen: str) -> int:
    found = _STEP.search(screen)
    return int(found[1].replace(",", "")) if found else 0


def marks_on(screen: str) -> set[str]:
    """The letters on the charts' axes of steps."""
    axes = [line for line in screen.splitlines() if re.fullmatch(r"[\s\d,ceur!]+", line)]
    return set("".join(axes)) & set("ceur!")


def test_a_training_is_watched_asked_killed_and_called_lost(
    terminal: Terminal, training: RunPaths
) -> None:
    first = step_on(terminal.shows(lambda screen: step_on(screen) > 0))
    screen = terminal.shows(lambda screen: step_on(screen) > first + 2)
    assert "● running" in screen
    for title in ("reward", "signed KL", "GPU memory", "accuracy"):
        assert title in screen

    terminal.ask("k", "Checkpoint now?", "checkpoint: saving after this step")
    assert list(training.control_dir.glob("*.json")) == [], "the run took the request"
    until(lambda: any(training.checkpoints_dir.glob("step_*/manifest.json")))
    terminal.shows(lambda screen: "c" in marks_on(screen))
    steer(terminal, training)

    owner = Owner.read(training)
    assert owner is not None
    os.kill(owner.pid, signal.SIGKILL)
    terminal.shows(lambda screen: "? lost" in screen)
    terminal.resize(60, 20)
    wanted = ("reward", "signed KL", "GPU memory", "accuracy", "? lost", "1 alert")
    small = terminal.shows(
        lambda screen: len(screen.splitlines()) <= 20 and all(word in screen for word in wanted)
    )
    assert all(len(line) <= 60 for line in small.splitlines())
    terminal.resize(120, 40)
    terminal.shows(lambda screen: "completion length" in screen)
    terminal.press("q")
    terminal.shows(lambda screen: "completion length" not in screen)


def steer(terminal: Terminal, training: RunPaths) -> None:
    """Evaluate, change beta, pause and go on, all from the dashboard."""
    terminal.ask("v", "Evaluate now?", "eval: evaluating after this step")
    terminal.shows(lambda screen: "e" in marks_on(screen) and "clevrer-mini at step" in screen)

    terminal.press("c", "b")
    terminal.shows(lambda screen: "New beta (now -0.05)" in screen)
    terminal.press("C-a", "C-k")
    terminal.shows(lambda screen: screen.count("-0.05") == 1)  # in the question alone
    terminal.write("-0.02")
    terminal.shows(lambda screen: "-0.02" in screen)
    terminal.press("Enter")
    terminal.confirm("-0.05 to -0.02", "set_beta: beta -0.05 -> -0.02")
    terminal.shows(lambda screen: "beta set to -0.02" in screen)

    terminal.ask("p", "Pause?", "pause: paused before the next step")
    paused = terminal.shows(lambda screen: "paused" in "\n".join(screen.splitlines()[:3]))
    size = training.events.stat().st_size
    assert step_on(paused) > 0
    terminal.ask("g", "Go on?", "resume: going on")
    terminal.shows(lambda screen: step_on(screen) > step_on(paused))
    assert training.events.stat().st_size > size
    assert marks_on(terminal.screen()) >= {"c", "e", "u"}


def until(is_so: Callable[[], bool]) -> None:
    end = time.monotonic() + PATIENCE_S
    while not is_so():
        assert time.monotonic() < end
        time.sleep(0.1)
