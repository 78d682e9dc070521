"""`vtk dashboard` on a pseudo-terminal that answers, or not, what pictures it draws."""

import os
import pty
import re
import signal
import termios
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.pseudo_terminal import PATIENCE_S, PseudoTerminal
from tests.tui.made_runs import plain_steps, write_run
from tui.graphics.terminal import QUERY, Answers, ask_terminal
from vtk.cli.app import main

KITTY_ANSWER = b"\x1b_Gi=31;OK\x1b\\\x1b[6;20;10t\x1b[?62;22c"
SIXEL_ANSWER = b"\x1b[6;20;10t\x1b[?1;0;256S\x1b[?62;4;22c"
DELETED = re.compile(rb"\x1b_Ga=d,d=I,i=\d+,q=2\x1b\\")
PLACED = re.compile(rb"\x1b\[(\d+);(\d+)H\x1b_Ga=p,i=\d+,p=(\d),x=(\d+),y=0,w=8,h=4,c=8,r=2,")
SECOND_PLACED = re.compile(rb"a=p,i=\d+,p=2,[^\x1b]*\x1b\\")
SIXELS = re.compile(rb'\x1b\[(\d+);(\d+)H\x1bP0;1;0q"1;1;80;40#')


OpenTerminal = Callable[..., PseudoTerminal]


@pytest.fixture
def run(tmp_path: Path) -> Path:
    return write_run(tmp_path / "runs", "one", plain_steps(3)).root


@pytest.fixture
def dashboard(run: Path) -> Iterator[OpenTerminal]:
    """Opens the run's dashboard on 120 by 40 cells."""
    with ExitStack() as stack:

        def opened(*options: str, **environment: str) -> PseudoTerminal:
            command = ("-m", "vtk", "dashboard", str(run), *options)
            return stack.enter_context(PseudoTerminal(*command, environment=environment))

        yield opened


def on_samples(
    dashboard: OpenTerminal, answer: bytes, picture: re.Pattern[bytes]
) -> PseudoTerminal:
    """A terminal that answers so, once a picture is on its screen of samples."""
    terminal = dashboard()
    terminal.read_until(QUERY.encode())
    terminal.write(answer)
    terminal.read_until(b"signed KL")
    assert b"\x1b_Ga=t" not in terminal.sent, "no pictures but on the screen of samples"
    terminal.write(b"3")
    terminal.read_until(picture)
    return terminal


def test_kitty_is_asked_placed_and_removed(dashboard: OpenTerminal) -> None:
    terminal = on_samples(dashboard, KITTY_ANSWER, SECOND_PLACED)
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


def test_sixels_come_at_the_size_of_cells_that_the_terminal_named(dashboard: OpenTerminal) -> None:
    terminal = on_samples(dashboard, SIXEL_ANSWER, SIXELS)
    assert b"\x1b_Ga=" not in terminal.sent.replace(QUERY.encode(), b"")
    assert b"\x1b_G" not in terminal.leave()


@pytest.mark.parametrize("is_by_key", [True, False], ids=["ctrl-z", "SIGTSTP"])
def test_kitty_gets_strip_and_frames_again_after_fg(
    dashboard: OpenTerminal, is_by_key: bool
) -> None:
    terminal = on_samples(dashboard, KITTY_ANSWER, PLACED)
    start = len(terminal.sent)
    if is_by_key:
        terminal.write(b"\x1a")
    else:
        terminal.process.send_signal(signal.SIGTSTP)
    terminal.until_stopped()
    sent = terminal.sent[start:]
    assert sent.count(b"\x1b[?1049l") == 1, "the shell's own screen is back"
    assert bool(DELETED.search(sent)) == is_by_key, "a signal leaves no time to say goodbye"
    again = re.compile(rb"\x1b_Ga=t,.*" + PLACED.pattern, re.DOTALL)
    start = len(terminal.sent)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.read_until(again, start)
    terminal.leave()


def test_sixels_come_again_after_fg(dashboard: OpenTerminal) -> None:
    terminal = on_samples(dashboard, SIXEL_ANSWER, SIXELS)
    terminal.write(b"\x1a")
    terminal.until_stopped()
    start = len(terminal.sent)
    terminal.process.send_signal(signal.SIGCONT)
    terminal.read_until(SIXELS, start)
    terminal.leave()


@pytest.mark.parametrize(
    ("options", "environment"), [(["--pictures", "cells"], {}), ([], {"TMUX": "/tmp/tmux-0/x,1,0"})]
)
def test_cells_are_drawn_without_a_question(
    dashboard: OpenTerminal, options: list[str], environment: dict[str, str]
) -> None:
    terminal = dashboard(*options, **environment)
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
