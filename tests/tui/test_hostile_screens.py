"""Text from files on a real terminal: every byte that comes out is Textual's, none the data's."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time

import pytest

from tests.tui.conftest import Drive, NewRun, metrics_at, shown
from tui.app import SCREENS, DashboardApp
from tui.literal import literal
from vtk.runs.events import encode_line
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

PATIENCE_S = 30.0
NASTY = [
    "[/",
    "x [/INST] y [bold red]",
    "<answer>[B]</answer>",
    "\x1b[31mred\x1b]52;c;SGFja2Vk\x07\x1b]0;owned\x07",
    "\x9b2J\x9d52;c;SGFja2Vk\x9c",
    "abc\u202edcba\u2066\u200b",
    "nul\x00bell\x07back\x08",
    "広い文字🎬e\u0301",
    "line\nfeed\r\ttab",
    "a" * 200_000,
    "[SUPABASE_URL=http://x",
]
_SEQUENCE = re.compile(
    r"\x1b(?:\[[0-9;?<>=]*[ -/$]*[@-~]|\][0-9]+;[^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78])"
)
_OURS = re.compile(r"\x1b\](?:22|8|10|11);")


def hostile_run(run: RunPaths) -> RunPaths:
    """A run in which every text that a screen shows is nasty."""
    with EventWriter(run) as writer:
        writer.emit("phase", name=NASTY[3], objective=NASTY[4])
        for step, text in enumerate(NASTY, start=1):
            metrics = metrics_at(step) | {text[:200]: 1.0}
            writer.rollouts(
                step, [{"reward": 0.0, "completion": text, "label": text, "step": step}]
            )
            writer.step(step, metrics)
            writer.emit(
                "alert", step=step, rule=text[:300], message=text, value=1.0, threshold=None
            )
            writer.emit(
                "control", id=f"{step:020d}-0123abcd", action=text[:50], args={"x": text[:50]},
                who=text[:50], result=text,
            )  # fmt: skip
        per_type = {text[:100]: {"n": 4, "accuracy": 0.5, "ci95": [0.1, 0.9]} for text in NASTY}
        writer.emit("eval_result", step=3, suite=NASTY[3], per_type=per_type)
        writer.emit("gpu", devices=[], absent_reason=NASTY[3], process_memory_gib=1.0)
        with run.events.open("ab") as log:
            log.write(b'{"torn": "\x1b]52;c;AA\x07\n')
            log.write(encode_line({"v": 1, "seq": 1, "time": 1.0, "type": NASTY[3]}))
        writer.finish("failed", NASTY[3], NASTY[1])
    return run


@pytest.mark.parametrize("text", NASTY)
def test_literal_text_is_shown_whole_and_harmless(text: str) -> None:
    plain = literal(text, max_chars=300_000).plain
    assert all(char.isprintable() or char == " " for char in plain)
    assert len(plain) == len(text)
    if text.isprintable():
        assert plain == text


def test_hostile_text_breaks_no_screen(drive: Drive, new_run: NewRun) -> None:
    run = hostile_run(new_run())

    async def look(app: DashboardApp, pilot: object) -> None:
        text = await shown(app, pilot, "failed")  # type: ignore[arg-type]
        assert "no GPU: ␛[31mred␛]52;c" in text
        for entry in SCREENS:
            app.open(entry.name)
            await shown(app, pilot, entry.title)  # type: ignore[arg-type]
            picture = app.screen_text()
            assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e\u2066]", picture)

    assert run.events.exists()
    drive(look, size=(120, 40))


def test_an_alert_shows_an_answer_in_brackets_as_it_is(drive: Drive, new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        writer.rollouts(1, [{"reward": 0.0, "completion": NASTY[2], "signed_kl": 0.1}])
        writer.step(1, metrics_at(1))
        writer.emit("alert", step=1, rule="format_floor", message=NASTY[2])

        async def look(app: DashboardApp, pilot: object) -> None:
            app.open("alerts")
            text = await shown(app, pilot, "- reward 0")  # type: ignore[arg-type]
            assert text.count("<answer>[B]</answer>") == 3, "alert line, evidence, completion"

        drive(look, size=(120, 40))


@pytest.mark.slow
def test_no_control_byte_of_the_data_reaches_a_real_terminal(new_run: NewRun) -> None:
    run = hostile_run(new_run())
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 120, 0, 0))
    process = subprocess.Popen(
        [sys.executable, "-m", "vtk", "dashboard", "--runs-dir", str(run.root.parent)],
        stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
        env=os.environ | {"TERM": "xterm-256color", "COLORTERM": "truecolor"},
    )  # fmt: skip
    os.close(theirs)
    output = _read_until(ours, b"failed")
    for key in [*(entry.key for entry in SCREENS), "?", "\x1b", "r", "a", "s", "t", "1"]:
        os.write(ours, key.encode())
        output += _read_for(ours, 0.4)
    os.write(ours, b"\x03")
    output += _read_to_end(ours)
    os.close(ours)
    assert process.wait(PATIENCE_S) == 0
    text = output.decode()  # what cannot be decoded would be a raw byte of the data
    assert "␛]52;c;" in text, "the data was on the screen"
    sequences = _SEQUENCE.findall(text)
    assert len(sequences) > 100
    titles = [found for found in sequences if found.startswith("\x1b]") and not _OURS.match(found)]
    assert titles == [], "no window title, no clipboard"
    rest = _SEQUENCE.sub("", text)
    assert re.findall("[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\u2066]", rest) == []


def test_ctrl_c_leaves_the_terminal_as_it_was(new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        writer.step(1, metrics_at(1))
        ours, theirs = pty.openpty()
        process = subprocess.Popen(
            [sys.executable, "-m", "vtk", "dashboard", "--runs-dir", str(writer.paths.root.parent)],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color"},
        )  # fmt: skip
        os.close(theirs)
        _read_until(ours, b"running")
        os.write(ours, b"\x03")
        left = _read_to_end(ours)
        os.close(ours)
        assert process.wait(PATIENCE_S) == 0
        assert b"\x1b[?1049l" in left
        assert b"\x1b[?25h" in left


def _read_until(descriptor: int, text: bytes) -> bytes:
    end, seen = time.monotonic() + PATIENCE_S, b""
    while text not in seen:
        assert time.monotonic() < end, seen[-2000:]
        seen += _read_for(descriptor, 0.1)
    return seen


def _read_for(descriptor: int, seconds: float) -> bytes:
    """What comes in so many seconds."""
    end, seen = time.monotonic() + seconds, b""
    while (rest := end - time.monotonic()) > 0 and select.select([descriptor], [], [], rest)[0]:
        try:
            piece = os.read(descriptor, 65536)
        except OSError:  # the other end is gone: Linux says EIO
            return seen
        seen += piece
    return seen


def _read_to_end(descriptor: int) -> bytes:
    """What comes until the other end is closed."""
    end, seen = time.monotonic() + PATIENCE_S, b""
    while True:
        assert time.monotonic() < end, seen[-2000:]
        if select.select([descriptor], [], [], 0.1)[0]:
            try:
                seen += os.read(descriptor, 65536)
            except OSError:  # Linux says EIO
                return seen
