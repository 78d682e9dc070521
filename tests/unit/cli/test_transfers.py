"""How far downloads are: plain lines with speed and time left, and bars on a terminal."""

import io
from pathlib import Path

import pytest

from vtk.cli.console import Console
from vtk.cli.transfers import TransferLines, show_transfers


class Terminal(io.StringIO):
    """A stream that says a person looks at it."""

    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


def test_lines_tell_bytes_speed_and_time_left(monkeypatch: pytest.MonkeyPatch) -> None:
    now = [100.0]
    monkeypatch.setattr("time.monotonic", lambda: now[0])
    stream = io.StringIO()
    lines = TransferLines(Console(stderr=stream), every_s=10.0)
    lines.on_bytes("a.zip", 1 << 20, 11 << 20)
    now[0] = 105.0
    lines.on_bytes("a.zip", 6 << 20, 11 << 20)
    assert stream.getvalue() == "", "not yet"
    now[0] = 110.0
    lines.on_bytes("b.zip", 5, None)
    lines.on_bytes("a.zip", 6 << 20, 11 << 20)
    said = stream.getvalue().splitlines()
    assert said[0] == "a.zip: 6.0 MiB of 11.0 MiB, 512.0 KiB/s, 10 s left"
    now[0] = 130.0
    lines.on_bytes("a.zip", 11 << 20, 11 << 20)
    names = [line.split(":")[0] for line in stream.getvalue().splitlines()]
    assert names == ["a.zip", "b.zip", "b.zip"], "a finished file has no line"
    lines.on_note("b.zip", "the server answers 503; trying again in 1.0 s")
    assert stream.getvalue().endswith("b.zip: the server answers 503; trying again in 1.0 s\n")


def test_names_of_strangers_draw_no_markup_and_move_no_cursor(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("TERM", "xterm")
    stream = Terminal()
    with show_transfers(Console(stderr=stream)) as transfers:
        transfers.on_bytes("[red]\x1b]52;c;cGF3bmVk\x07.mp4", 10, 100)
        transfers.on_bytes("other.mp4", 100, 100)
        transfers.on_note("x\x1b[2J", "late")
    drawn = stream.getvalue()
    assert "[red]" in drawn
    assert "\x1b]52" not in drawn
    assert "x\x1b[2J" not in drawn
    assert "10/100 bytes" in drawn
