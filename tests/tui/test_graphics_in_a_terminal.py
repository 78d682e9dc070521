"""`vtk dashboard` on a pseudo-terminal that answers, or not, what pictures it draws."""

import fcntl
import os
import pty
import re
import select
import signal
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import REPOSITORY
from tests.tui.made_runs import plain_steps, write_run
from tui.graphics.terminal import QUERY, Answers, ask_terminal
from vtk.cli.app import main

PATIENCE_S = 30.0
LOOK_S = 0.05
KITTY_ANSWER = b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;22c"
SIXEL_ANSWER = b"\x1b[6;20;10t\x1b[?1;0;256S\x1b[?62;4;22c"
DELETED = re.compile(rb"\x1b_Ga=d,d=I,i=\d+,q=2\x1b\\")
PLACED = re.compile(rb"\x1b\[(\d+);(\d+)H\x1b_Ga=p,i=\d+,p=(\d),x=(\d+),y=0,w=8,h=4,c=8,r=2,")
SECOND_PLACED = re.compile(rb"a=p,i=\d+,p=2,[^\x1b]*\x1b\\")
SIXELS = re.compile(rb'\x1b\[(\d+);(\d+)H\x1bP0;1;0q"1;1;80;40#')


class Terminal:
    """A run's dashboard on 120 by 40 cells of 10 by 20 pixels."""

    def __init__(self, run: Path, *options: str, **environment: str) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
        kept = {k: v for k, v in os.environ.items() if k not in ("TMUX", "STY", "NO_COLOR")}
        self.process = subprocess.Popen(
            [sys.executable, "-m", "vtk", "dashboard", str(run), *options],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=kept | {"TERM": "xterm-256color", "PYTHONPATH": str(REPOSITORY)} | environment,
        )  # fmt: skip
        os.close(theirs)
        self.sent = b""

    def write(self, keys: bytes) -> None:
        os.write(self._ours, keys)

    def read_until(self, wanted: bytes | re.Pattern[bytes], start: int = 0) -> bytes:
        """What was sent from a place on, once what is wanted is in it."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, bytes) else wanted
        end_s = time.monotonic() + PATIENCE_S
        while not pattern.search(self.sent, start):
            assert time.monotonic() < end_s, self.sent[-2000:]
            assert self._read(), self.sent[-2000:]
        return self.sent[start:]

    def until_stopped(self, start: int) -> bytes:
        """What was sent from a place on until the program stood still."""
        end_s = time.monotonic() + PATIENCE_S
        while not os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)[1]:
            assert time.monotonic() < end_s, self.sent[-2000:]
            self._read(LOOK_S)
        while select.select([self._ours], [], [], 0)[0]:
            self._read()
        return self.sent[start:]

    def go_on(self) -> int:
        """Let the program go on, as `fg` does, and give where what it sends begins."""
        start = len(self.sent)
        self.process.send_signal(signal.SIGCONT)
        return start

    def leave(self) -> bytes:
        start = len(self.sent)
        self.write(b"\x03")
        while self._read():
            pass
        assert self.process.wait(PATIENCE_S) == 0
        return self.sent[start:]

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def _read(self, patience_s: float = PATIENCE_S) -> bool:
        if select.select([self._ours], [], [], patience_s)[0]:
            try:
                self.sent += os.read(self._ours, 2**16)
            except OSError:  # the program has gone
                return False
        return True


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs", "one", plain_steps(3)).root


@pytest.fixture
def opened() -> Iterator[list[Terminal]]:
    terminals: list[Terminal] = []
    yield terminals
    for terminal in terminals:
        terminal.close()


def on_samples(
    run: Path, opened: list[Terminal], answer: bytes, picture: re.Pattern[bytes]
) -> Terminal:
    """A terminal that answers so, once a picture is on its screen of samples."""
    terminal = Terminal(run)
    opened.append(terminal)
    terminal.read_until(QUERY.encode())
    terminal.write(answer)
    terminal.read_until(b"signed KL")
    assert b"\x1b_Ga=t" not in terminal.sent, "no pictures but on the screen of samples"
    terminal.write(b"3")
    terminal.read_until(picture)
    return terminal


def test_kitty_is_asked_placed_and_removed(run: Path, opened: list[Terminal]) -> None:
    terminal = on_samples(run, opened, KITTY_ANSWER, SECOND_PLACED)
    first, second = PLACED.findall(terminal.sent)[:2]
    assert (first[2:], second[2:]) == ((b"1", b"0"), (b"2", b"8"))
    assert first[0] == second[0]
    assert int(second[1]) - int(first[1]) == 9, "eight cells and a gap"
    start = len(terminal.sent)
    terminal.write(b"1")
    terminal.read_until(DELETED, start)
    start = len(terminal.sent)
    terminal.write(b"3")
    terminal.read_until(PLACED, start)
    assert DELETED.search(terminal.leave()), "nor does one stay when the dashboard is left"


def test_sixels_come_at_the_size_of_cells_that_the_terminal_named(
    run: Path, opened: list[Terminal]
) -> None:
    terminal = on_samples(run, opened, SIXEL_ANSWER, SIXELS)
    assert b"\x1b_Ga=" not in terminal.sent.replace(QUERY.encode(), b"")
    assert b"\x1b_G" not in terminal.leave()


@pytest.mark.parametrize("is_by_key", [True, False], ids=["ctrl-z", "SIGTSTP"])
def test_kitty_gets_strip_and_frames_again_after_fg(
    run: Path, opened: list[Terminal], is_by_key: bool
) -> None:
    terminal = on_samples(run, opened, KITTY_ANSWER, PLACED)
    start = len(terminal.sent)
    if is_by_key:
        terminal.write(b"\x1a")
    else:
        terminal.process.send_signal(signal.SIGTSTP)
    sent = terminal.until_stopped(start)
    assert sent.count(b"\x1b[?1049l") == 1, "the shell's own screen is back"
    assert bool(DELETED.search(sent)) == is_by_key, "a signal leaves no time to say goodbye"
    again = re.compile(rb"\x1b_Ga=t,.*" + PLACED.pattern, re.DOTALL)
    terminal.read_until(again, terminal.go_on())
    terminal.leave()


def test_sixels_come_again_after_fg(run: Path, opened: list[Terminal]) -> None:
    terminal = on_samples(run, opened, SIXEL_ANSWER, SIXELS)
    start = len(terminal.sent)
    terminal.write(b"\x1a")
    terminal.until_stopped(start)
    terminal.read_until(SIXELS, terminal.go_on())
    terminal.leave()


@pytest.mark.parametrize(
    ("options", "environment"), [(["--pictures", "cells"], {}), ([], {"TMUX": "/tmp/tmux-0/x,1,0"})]
)
def test_cells_are_drawn_without_a_question(
    run: Path, opened: list[Terminal], options: list[str], environment: dict[str, str]
) -> None:
    terminal = Terminal(run, *options, **environment)
    opened.append(terminal)
    terminal.read_until(b"signed KL")
    terminal.write(b"3")
    assert "▀".encode() in terminal.read_until(b"1.25 s")
    terminal.leave()
    assert b"\x1b_G" not in terminal.sent
    assert b"\x1bP" not in terminal.sent


def test_a_silent_terminal_costs_the_wait_and_keeps_its_settings() -> None:
    ours, theirs = pty.openpty()
    before, began_s = termios.tcgetattr(theirs), time.monotonic()
    assert ask_terminal(theirs, theirs, wait_s=0.05) == Answers()
    assert 0.05 <= time.monotonic() - began_s < 20
    assert termios.tcgetattr(theirs) == before
    assert os.read(ours, 4096).startswith(QUERY.encode())
    os.write(ours, KITTY_ANSWER)
    assert ask_terminal(theirs, theirs, wait_s=PATIENCE_S).has_kitty
    os.close(ours)
    os.close(theirs)


@pytest.mark.parametrize("other", ["--ascii", "--serve"])
def test_pixels_are_refused_where_there_are_none(
    capsys: pytest.CaptureFixture[str], other: str
) -> None:
    assert main(["dashboard", "--pictures", "sixel", other]) == 2
    said = capsys.readouterr().err
    assert "--pictures sixel" in said
    assert other in said
