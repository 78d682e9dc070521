"""Text from files on a real terminal: every byte that comes out is Textual's, none the data's."""

import re
import shlex
import shutil
from base64 import b64encode
from collections.abc import Sequence
from pathlib import Path

import pytest
from textual.pilot import Pilot
from textual.widgets import OptionList

from tests.pseudo_terminal import PseudoTerminal
from tests.tui.conftest import Drive, NewRun, metrics_at, shown
from tests.tui.hostile import HOSTILE_TEXTS, LITERAL
from tui.app import SCREENS, DashboardApp
from tui.literal import literal
from vtk.runs.events import encode_line
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

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
    r"\x1b(?:_Gi=31,s=1,v=1,a=q,t=d,f=24;AAAA\x1b\\|"  # which pictures it draws
    r"\[[0-9;?<>=]*[ -/$]*[@-~]|\][0-9]+;[^\x07\x1b]*(?:\x07|\x1b\\)|[()][0-9A-B]|[=>78])"
)
_OURS = re.compile(r"\x1b\](?:22|8|10|11);")


def hostile_run(run: RunPaths, texts: Sequence[str] = NASTY) -> RunPaths:
    """A run in which every text that a screen shows is nasty."""
    with EventWriter(run) as writer:
        writer.emit("phase", name=NASTY[3], objective=NASTY[4])
        for step, text in enumerate(texts, start=1):
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
        per_type = {text[:100]: {"n": 4, "accuracy": 0.5, "ci95": [0.1, 0.9]} for text in texts}
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


def test_no_character_of_an_alert_is_lost(drive: Drive, new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        writer.step(1, metrics_at(1))
        for text in LITERAL.values():
            writer.emit("alert", step=1, rule="a_rule", message=text)
            writer.emit("alert", step=1, rule=f"after {text}"[:40], message="between")

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await pilot.press("5")
            text = await shown(app, pilot, "a_rule")
            listing = app.screen.query_one("#alert-list", OptionList)
            listing.focus()
            seen = ""
            for _ in range(listing.option_count):
                seen += app.screen_text()
                await pilot.press("down")
                await pilot.pause()
            assert text
            assert [text for text in LITERAL.values() if text not in seen] == []

        drive(look, size=(160, 44))


ALL_SCREENS = [*(entry.key for entry in SCREENS), "?", "\x1b", "r", "a", "s", "t", "o", "a", "1"]
DEEPLY = [
    "2", "3", *["\x1b[B", "v", "\r", "\x1b[C", "\r", "\x1b[6~", "\x1b"] * 6, "/", "[/", "\r",
    "4", "\t", " ", "b", "v", "v", "V", "d", "d", "d", *["\x1b[6~"] * 8, "5",
    *["\x1b[B"] * 45, "\t", *["\x1b[6~"] * 4, "c", "e", "Y", "\x10", "exp", "\x1b", *ALL_SCREENS,
]  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize(
    ("texts", "keys"),
    [
        pytest.param(NASTY, ALL_SCREENS, id="every-screen"),
        pytest.param(
            tuple(HOSTILE_TEXTS.values()), DEEPLY, id="every-text", marks=pytest.mark.thorough
        ),
    ],
)
def test_no_control_byte_of_the_data_reaches_a_real_terminal(
    new_run: NewRun, tmp_path: Path, texts: Sequence[str], keys: Sequence[str]
) -> None:
    run = hostile_run(new_run(), texts)
    shutil.copytree(run.root, run.root.with_name("\x1b]0;HACKED\x07\u202e[bold]"))
    sent, code = seen_in_a_terminal(run, keys, tmp_path)
    assert code == 0
    text = sent.decode()  # what cannot be decoded would be a raw byte of the data
    assert "␛]52;c;" in text, "the data was on the screen"
    sequences = _SEQUENCE.findall(text)
    assert len(sequences) > 100
    copied = [f"\x1b]52;c;{b64encode(word).decode()}\x07" for word in our_copies(run)]
    titles = [found for found in sequences if found.startswith("\x1b]") and not _OURS.match(found)]
    assert set(titles) <= set(copied), "no window title, no clipboard but what Y copies"
    rest = _SEQUENCE.sub("", text)
    assert re.findall("[\x00-\x07\x0b\x0c\x0e-\x1f\x7f-\x9f\u202e\u2066]", rest) == []


def our_copies(run: RunPaths) -> list[bytes]:
    """What the key for it copies, on purpose."""
    return [f"vtk dashboard {shlex.quote(str(run.root))}".encode()]


def seen_in_a_terminal(run: RunPaths, keys: Sequence[str], folder: Path) -> tuple[bytes, int]:
    """All that `vtk dashboard` sends while the keys are pressed, and how it ends."""
    command = ("-m", "vtk", "dashboard", str(run.root))
    colours = {"COLORTERM": "truecolor"}
    with PseudoTerminal(*command, cwd=folder, environment=colours) as terminal:
        terminal.read_until(b"failed")
        for key in keys:
            terminal.write(key.encode())
            terminal.read_for(0.4)
        terminal.write(b"\x03")
        code = terminal.read_to_end()
        return terminal.sent, code


def test_ctrl_c_leaves_the_terminal_as_it_was(new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        writer.step(1, metrics_at(1))
        command = ("-m", "vtk", "dashboard", "--runs-dir", str(writer.paths.root.parent))
        with PseudoTerminal(*command) as terminal:
            terminal.read_until(b"running")
            left = terminal.leave()
        assert b"\x1b[?1049l" in left
        assert b"\x1b[?25h" in left
