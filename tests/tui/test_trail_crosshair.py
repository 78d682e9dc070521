"""The crosshair on the repulsion screen: the point, what is read at it, keys and mouse."""

import re

import numpy as np
import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, held, shown, until
from tui.app import DashboardApp
from tui.plot_parts import Cells
from tui.screens.repulsion import readout
from tui.series import ColumnSeries, Floats
from tui.trail import Trail, trail_of
from tui.trail_plot import draw_trail, step_near
from tui.widgets.trail_view import TrailView
from vtk.runs.snapshot import RunState
from vtk.runs.store import RunPaths

SIZE = (100, 24)


def trail(distance_T: Floats, reward_T: Floats, first_step: int = 1) -> Trail:
    """The trail of a run with these values, a step each."""
    history = {}
    for name, values_T in (("kl/signed", distance_T), ("reward/mean", reward_T)):
        series = ColumnSeries()
        series.extend(np.arange(first_step, first_step + len(values_T)), values_T)
        history[name] = series.points()
    found = trail_of(RunState(history=history))
    assert found is not None
    return found


@pytest.fixture
def leaving() -> Trail:
    """Forty steps up and to the right, then forty down and further to the right."""
    distance_T = np.concatenate([np.linspace(0, 1, 40), np.linspace(1, 2, 40)])
    reward_T = np.concatenate([np.linspace(1, 3, 40), np.linspace(3, -1, 40)])
    return trail(distance_T, reward_T)


def where(cells: Cells, shape: str) -> tuple[int, int]:
    """The one cell of the crosshair with a shape."""
    found = [
        (row, column)
        for row, names in enumerate(cells.styles)
        for column, name in enumerate(names)
        if name == "cursor" and cells.chars[row][column] == shape
    ]
    assert len(found) == 1
    return found[0]


@pytest.mark.parametrize(("ascii_only", "own", "average"), [(False, "○", "✚"), (True, "o", "+")])
def test_the_point_lies_on_the_trail_and_the_steps_own_beside_it(
    leaving: Trail, ascii_only: bool, own: str, average: str
) -> None:
    row, column = where(draw_trail(leaving, *SIZE, ascii_only, cursor=60), average)
    own_row, own_column = where(draw_trail(leaving, *SIZE, ascii_only, cursor=60), own)
    assert own_row > row, "the average falls behind a falling reward"
    assert own_column > column
    later = where(draw_trail(leaving, *SIZE, ascii_only, cursor=70), average)
    assert later[0] > row
    assert later[1] > column
    assert step_near(leaving, *SIZE, column, row) in range(58, 63)
    without = draw_trail(leaving, *SIZE, ascii_only)
    assert sum(name == "cursor" for names in without.styles for name in names) == 1, "its end only"


def test_numbers_of_steps_never_run_into_each_other() -> None:
    noise = np.random.default_rng(3)
    walked = trail(0.3 + 0.1 * noise.standard_normal(400), 1.5 + 0.3 * noise.standard_normal(400))
    for width, height in ((60, 12), (80, 24), (120, 40)):
        cells = draw_trail(walked, width, height, ascii_only=False, cursor=260)
        text = "\n".join("".join(row[8:]) for row in cells.chars[: height - 2])
        numbers = re.findall(r"\d+", text)
        assert numbers
        assert set(numbers) <= {"100", "200", "300", "400"}


def test_what_is_read_is_the_number_of_the_series_and_the_quarter(leaving: Trail) -> None:
    assert readout(leaving, 30, 200, False).endswith("learning away  ○ this step: 2.49, 0.744")
    assert ": drifting away  " in readout(leaving, 80, 200, False)
    assert readout(leaving, 0, 200, False) == "step 0: no signed KL yet"
    assert readout(leaving, 95, 200, True).startswith("step 95 (at 80)  + average: reward ")
    for width in (58, 78, 98):
        assert len(readout(leaving, 80, width, False)) <= width


def test_a_part_of_the_trail_keeps_the_cross_of_the_whole(leaving: Trail) -> None:
    part = leaving.within((41.0, 61.0))
    assert part is not None
    assert part.steps_T.tolist() == list(range(41, 61))
    assert part.origin == leaving.origin
    assert leaving.within((200.0, 300.0)) is None
    assert leaving.within(None) is leaving


def read_step(text: str) -> int:
    found = re.search(r"step (\d+)  ✚ average: reward", text)
    assert found is not None, text
    return int(found[1])


def test_keys_of_the_overview_move_it_zoom_and_show_all(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("2", "left", "left", "left")
        text = await shown(app, pilot, "step 88  ✚ average: reward")
        raw = app.snapshot.state.history["reward/mean"][87][1]
        assert f"○ this step: {raw:.3g}, " in text
        await pilot.press("plus")
        await until(pilot, lambda: app.viewport.window is not None)
        await pilot.press("escape")
        text = await shown(app, pilot, "S 45   ● 89   line")
        assert "✚" not in text
        await pilot.press("0")
        await shown(app, pilot, "S start   ● now")

    drive(look, source=held(recording), size=(120, 40))


def test_the_mouse_puts_it_on_the_nearest_point(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("2")
        await shown(app, pilot, "S start")
        view = app.screen.query_one(TrailView)
        found = trail_of(app.snapshot.state)
        assert found is not None
        row, column = where(draw_trail(found, *view.size, ascii_only=False, cursor=40), "✚")
        await pilot.hover(TrailView, offset=(column, row))
        text = await shown(app, pilot, "✚ average: reward")
        near = read_step(text)
        own = where(draw_trail(found, *view.size, ascii_only=False, cursor=near), "✚")
        assert abs(own[0] - row) <= 1
        assert abs(own[1] - column) <= 2

    drive(look, source=held(recording), size=(120, 40))
