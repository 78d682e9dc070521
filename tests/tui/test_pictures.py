"""Each screen of the recorded run, character by character, at two sizes.

A change that is meant is written by UPDATE_SNAPSHOTS=1 in the environment.
"""

import difflib
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, held, is_updating, settled, shown
from tui.app import SCREENS, DashboardApp
from vtk.runs.store import RunPaths

PICTURES = Path(__file__).parent / "pictures"
SIZES = [(80, 24), (120, 40)]
OURS = {"overview": "reward", "repulsion": "learning away", "alerts": "worst completions of"}
"""Screen to words that stand on it once all of it is there."""


def test_every_screen_of_this_room_has_a_picture() -> None:
    names = {entry.name for entry in SCREENS}
    assert set(OURS) <= names
    wanted = {f"{name}-{width}x{height}.txt" for name in OURS for width, height in SIZES}
    assert {path.name for path in PICTURES.glob("*.txt")} == wanted


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("name", OURS)
def test_a_screen_looks_as_its_picture(
    drive: Drive, recording: RunPaths, name: str, size: tuple[int, int]
) -> None:
    path = PICTURES / f"{name}-{size[0]}x{size[1]}.txt"

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        app.open(name)
        await shown(app, pilot, "step 90/90")
        if not (name == "alerts" and size[1] < 30):  # there the completions are below the edge
            await shown(app, pilot, OURS[name])
        app.screen.set_focus(None)
        text = await settled(app, pilot)
        if is_updating():
            path.parent.mkdir(exist_ok=True)
            path.write_text(text, encoding="utf-8")
        expected = path.read_text(encoding="utf-8")
        difference = difflib.unified_diff(expected.splitlines(), text.splitlines(), lineterm="")
        assert text == expected, "\n".join(difference)

    drive(look, source=held(recording), size=size)
