"""Pictures as bytes for a terminal, read again by PIL and by a Sixel reader of the test's own."""

import io
import re
from base64 import b64decode
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray
from PIL import Image
from textual.geometry import Region
from textual.pilot import Pilot

from tests.tui.conftest import Drive, shown, until
from tests.tui.made_runs import STRIP_NAME, group, plain_steps, write_run
from tui.app import DashboardApp
from tui.graphics.kitty import KittyPainter
from tui.graphics.palette import median_cut
from tui.graphics.places import Place, Shown
from tui.graphics.sixel import SixelPainter
from tui.graphics.terminal import Answers, read_answers
from tui.samples.group_view import GroupView
from tui.samples.pictures import frame_pixels
from tui.samples.placing import shown_on
from vtk.runs.frame_strip import FrameStrip, encode_strip

COMMAND = re.compile(r"\x1b_G([a-zA-Z0-9=,]*);?([A-Za-z0-9+/=]*)\x1b\\")
POSITION = re.compile(r"\x1b\[\d+;\d+H")
SIXEL = re.compile(r'\x1bP0;1;0q"1;1;(\d+);(\d+)([0-9#;!$?-~-]*)\x1b\\')


def noisy_strip(num_frames: int = 3) -> FrameStrip:
    """Frames of 48 by 27 with more colours than a palette, and too large for one chunk."""
    pixels = np.random.default_rng(0).integers(0, 256, 27 * num_frames * 48 * 3, dtype=np.uint8)
    times = tuple(float(number) for number in range(num_frames))
    return FrameStrip(48, 27, tuple(range(num_frames)), times, num_frames, pixels.tobytes())


def place(frame: int, *, y: int = 5, height: int = 7, first_row: int = 0) -> Place:
    return Place(frame, Region(frame * 13, y, 12, height), 7, first_row)


def commands(sent: str) -> list[dict[str, str]]:
    return [
        dict(part.split("=") for part in match[1].split(",")) | {"data": match[2]}
        for match in COMMAND.finditer(sent)
    ]


def read_sixel(match: re.Match[str]) -> NDArray[np.uint8]:
    """The pixels of a picture, in percent of red, green and blue."""
    width, height, body = int(match[1]), int(match[2]), match[3]
    pixels = np.full((height + 6, width, 3), 255, dtype=np.uint8)
    palette: dict[int, tuple[int, ...]] = {}
    x = y = colour = 0
    for token in re.finditer(r"#(\d+)((?:;\d+){4})?|!(\d+)([?-~])|([?-~])|(\$)|(-)", body):
        if token[1]:
            colour = int(token[1])
            if token[2]:
                palette[colour] = tuple(map(int, token[2].split(";")[2:]))
        elif token[6]:
            x = 0
        elif token[7]:
            x, y = 0, y + 6
        else:
            bits, length = ord(token[4] or token[5]) - 63, int(token[3] or 1)
            for line in range(6):
                if bits >> line & 1:
                    pixels[y + line, x : x + length] = palette[colour]
            x += length
    assert (pixels[height:] == 255).all(), "nothing is drawn below the picture"
    return pixels[:height]


def test_kitty_gets_the_strip_as_png_once_and_each_frame_as_a_part_of_it() -> None:
    strip, painter = noisy_strip(), KittyPainter()
    places = (place(0), place(1), place(2, height=3, first_row=4))
    sent = painter.paint(Shown(strip, places), ())
    assert COMMAND.sub("", POSITION.sub("", sent)) == "", "nothing else is sent"
    found = commands(sent)
    chunks = [c for c in found if c.get("data")]
    assert len(chunks) > 1
    assert [c["m"] for c in chunks] == ["1"] * (len(chunks) - 1) + ["0"]
    assert max(len(c["data"]) for c in chunks) == 4096
    image = Image.open(io.BytesIO(b64decode("".join(c["data"] for c in chunks))))
    frames = np.split(np.asarray(image), 3, axis=1)
    assert (np.stack(frames) == frame_pixels(strip)).all()
    last = found[-1]
    assert [last[key] for key in "xywhcr"] == ["96", "15", "48", "12", "12", "3"]
    assert "\x1b[6;27H\x1b_Ga=p" in sent
    assert painter.paint(Shown(strip, places), ()) == "", "what stands there is not sent again"


def test_kitty_moves_deletes_and_replaces_what_was_written_over() -> None:
    strip, painter = noisy_strip(), KittyPainter()
    painter.paint(Shown(strip, (place(0), place(1))), ())
    scrolled = commands(painter.paint(Shown(strip, (place(0, y=3),)), ()))
    assert [(c["a"], c.get("d"), c["p"]) for c in scrolled] == [("d", "i", "2"), ("p", None, "1")]
    again = commands(painter.paint(Shown(strip, (place(0, y=3),)), (place(0, y=3),)))
    assert [c["a"] for c in again] == ["p"]
    other = commands(painter.paint(Shown(noisy_strip(2), (place(0),)), ()))
    assert [c.get("a") for c in other][:2] == ["d", "t"]
    gone = commands(painter.paint(Shown(), ()))
    assert [(c["a"], c["d"]) for c in gone] == [("d", "I")]
    assert painter.clear() == ""


@pytest.mark.parametrize("cell_px", [(9, 18), (3, 2), None])
def test_sixels_read_again_are_the_frame_in_as_many_pixels_as_its_cells(
    cell_px: tuple[int, int] | None,
) -> None:
    pixels = np.zeros((4, 8, 3), dtype=np.uint8)
    pixels[:2, :] = (255, 0, 51)
    pixels[2:, 4:] = (0, 102, 255)
    strip = FrameStrip(8, 4, (0,), (0.0,), 1, pixels.tobytes())
    seen = Place(0, Region(2, 4, 8, 1), rows=2, first_row=1)
    sent = SixelPainter(lambda: cell_px, 256).paint(Shown(strip, (seen,)), ())
    match = SIXEL.fullmatch(sent.removeprefix("\x1b[5;3H"))
    assert match is not None
    width_px, height_px = cell_px or (10, 20)
    drawn = read_sixel(match)
    assert drawn.shape == (height_px, 8 * width_px, 3)
    assert (drawn[:, : 4 * width_px] == 0).all()
    assert (drawn[:, 4 * width_px :] == (0, 40, 100)).all()


def test_sixel_is_drawn_again_only_where_cells_were_written() -> None:
    strip, painter = noisy_strip(), SixelPainter(lambda: (9, 18), 16)
    both = (place(0), place(1))
    first = painter.paint(Shown(strip, both), both)
    assert len(SIXEL.findall(first)) == 2
    assert painter.paint(Shown(strip, both), ()) == ""
    assert painter.paint(Shown(strip, both), both[1:]) == first[first.rindex("\x1b[") :]
    assert max(map(int, re.findall(r"#(\d+);2;", first))) < 16


def test_a_palette_keeps_few_colours_exactly_and_many_nearly() -> None:
    few = np.array([[[0, 0, 0], [0, 0, 0], [0, 0, 9]], [[255, 1, 2]] * 3], dtype=np.uint8)
    colours, numbers = median_cut(few, 3)
    assert (colours[numbers] == few).all()
    ramp = np.arange(256, dtype=np.uint8).repeat(3).reshape(16, 16, 3)
    colours, numbers = median_cut(ramp, 64)
    assert len(colours) == 64
    assert np.abs(colours[numbers].astype(int) - ramp).max() <= 4


def test_answers_are_numbers_of_a_range_or_nothing() -> None:
    kitty = b"q\x1b_Gi=31;OK\x1b\\\x1b[6;18;9t\x1b[?62;22c"
    assert read_answers(kitty) == Answers(has_kitty=True, cell_px=(9, 18))
    sixel = b"\x1b_Gi=31;ENOTSUP\x1b\\\x1b[?1;0;16;0S\x1b[?64;4c"
    assert read_answers(sixel) == Answers(has_sixel=True, num_colours=16)
    odd = b"\x1b[6;9999;0t\x1b[?1;0;999999999S\x1b[?14;44c"
    assert read_answers(odd) == Answers()
    assert read_answers(b"\xff\x00") == Answers()


def test_pictures_stand_on_the_cells_of_their_frames_and_hide_below_others(
    drive: Drive, runs_dir: Path
) -> None:
    write_run(runs_dir, "one", plain_steps(3))

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        assert shown_on(app.screen) == Shown()
        await pilot.press("3")
        await shown(app, pilot, "1.25 s")
        await until(pilot, lambda: len(shown_on(app.screen).places) == 2)
        lines = app.screen_text().splitlines()
        found = shown_on(app.screen)
        cells = {cell for p in found.places for cell in cells_of(p.seen)}
        drawn = {(x, y) for y, line in enumerate(lines) for x, c in enumerate(line) if c == "▀"}
        assert cells == drawn
        assert len(cells) == 2 * 8 * 2
        await pilot.press("question_mark")
        await shown(app, pilot, "Everywhere")
        assert shown_on(app.screen) == Shown()
        await pilot.press("escape")
        await until(pilot, lambda: shown_on(app.screen) == found)
        await pilot.press("f", "f")
        await until(pilot, lambda: shown_on(app.screen) == Shown())

    drive(look, size=(120, 40))


def test_a_frame_below_a_note_stays_cells_and_one_scrolled_half_away_is_cut(
    drive: Drive, runs_dir: Path
) -> None:
    run = write_run(runs_dir, "one", {1: group(1, 0, completion="a word\n" * 40)})
    (run.frames_dir / STRIP_NAME).write_bytes(encode_strip(noisy_strip(8)))

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await until(pilot, lambda: len(shown_on(app.screen).places) == 8)
        for number in range(8):
            app.notify(f"note {number}", timeout=600)
        await until(pilot, lambda: 0 < len(shown_on(app.screen).places) < 8)
        assert [p.frame for p in shown_on(app.screen).places][:2] == [0, 1], "notes stand right"
        app.clear_notifications()
        await until(pilot, lambda: len(shown_on(app.screen).places) == 8)
        before = shown_on(app.screen).places[0]
        view = app.screen.query_one(GroupView)
        view.scroll_to(y=before.seen.y - view.region.y + 1, animate=False)
        await until(pilot, lambda: shown_on(app.screen).places[0].first_row > 0)
        cut = shown_on(app.screen).places[0]
        assert cut.rows == before.rows
        assert cut.seen.height == before.rows - cut.first_row

    drive(look, size=(120, 34))


def cells_of(region: Region) -> list[tuple[int, int]]:
    return [(x, y) for y in region.line_range for x in region.column_range]
