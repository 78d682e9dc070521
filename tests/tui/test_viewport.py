"""Steps in sight and crosshair: one choice for overview, repulsion and comparison."""

import math
from dataclasses import replace

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, NewRun, held, metrics_at, shown, until, write_steps
from tests.tui.made_runs import plain_steps, write_run
from tui.app import DashboardApp
from tui.screens.run_screen import RunScreen
from tui.source import LiveSource
from tui.viewport import Viewport
from tui.widgets.chart import Chart
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter


def test_a_window_that_ends_with_the_run_moves_on_with_it_and_another_stays() -> None:
    assert Viewport((80.0, 91.0)).followed(91.0, 95.0).window == (84.0, 95.0)
    assert Viewport((80.0, 91.0)).followed(91.0, 50.0).window == (39.0, 50.0), "sought back"
    assert Viewport((20.0, 60.0)).followed(91.0, 95.0).window == (20.0, 60.0)
    assert Viewport().followed(91.0, 95.0).window is None


def test_a_window_without_any_step_of_a_screen_gives_way_to_all() -> None:
    beyond = Viewport((200.0, 300.0), cursor=250)
    assert beyond.reaching((1.0, 91.0)) == replace(beyond, window=None)
    assert beyond.reaching((1.0, 201.0)) == beyond


def test_a_window_ends_where_the_steps_end() -> None:
    assert Viewport((34.0, 98.0)).ended(91.0).window == (34.0, 91.0)
    assert Viewport((34.0, 60.0)).ended(91.0).window == (34.0, 60.0)
    assert Viewport((95.0, 98.0)).ended(91.0).window == (95.0, 98.0)


@pytest.mark.parametrize(
    ("window", "cursor", "zoomed"),
    [
        (None, None, (500.0, 1000.0)),  # the newest step stays
        ((800.0, 1000.0), None, (900.0, 1000.0)),
        ((100.0, 200.0), None, (125.0, 175.0)),  # the middle does
        ((100.0, 200.0), 120, (110.0, 160.0)),  # the crosshair does
        ((100.0, 200.0), 900, (125.0, 175.0)),  # which is out of sight
        ((100.0, 200.0), 200, (125.0, 175.0)),  # just so: the window ends before it
        ((800.0, 1000.0), 3, (900.0, 1000.0)),
    ],
)
def test_zooming_keeps_the_crosshair_in_sight_the_newest_step_or_the_middle(
    window: tuple[float, float] | None, cursor: int | None, zoomed: tuple[float, float]
) -> None:
    assert Viewport(window, cursor).zoomed(0.5, (0.0, 1000.0), None).window == zoomed


async def opened(app: DashboardApp, pilot: Pilot[None], key: str, name: str) -> RunScreen:
    await pilot.press(key)
    await until(pilot, lambda: getattr(app.screen, "screen_name", "") == name)
    screen = app.screen
    assert isinstance(screen, RunScreen)
    return screen


def test_zoom_pan_and_crosshair_are_carried_and_scales_are_not(
    drive: Drive, recording: RunPaths
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("plus", "h", "left", "left", "y", "K", "s")
        chosen = app.viewport
        assert chosen.window == (34.75, 79.75)
        assert chosen.cursor == 78
        compare = await opened(app, pilot, "4", "compare")
        await shown(app, pilot, "reward/mean step 78")
        chart = compare.query_one("#overlay", Chart)
        assert chart.viewport == replace(chosen, scale=None, stretch=1.0)
        assert chart.frame is not None
        assert chart.frame.window == chosen.window
        await pilot.press("right", "minus")
        assert compare.viewport.window is None
        repulsion = await opened(app, pilot, "2", "repulsion")
        assert (repulsion.viewport.window, repulsion.viewport.cursor) == (None, 79)
        overview = await opened(app, pilot, "1", "overview")
        await shown(app, pilot, "signed KL step 79")
        assert (overview.viewport.scale, overview.viewport.stretch) == ("linear", 0.5)

    drive(look, source=held(recording), size=(140, 46))


def test_alerts_look_at_their_own_steps(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("plus", "plus", "left")
        chosen = app.viewport
        alerts = await opened(app, pilot, "5", "alerts")
        await shown(app, pilot, "worst completions of")
        assert alerts.viewport.window != chosen.window
        await pilot.press("minus", "right")
        assert app.viewport == chosen

    drive(look, source=held(recording), size=(120, 40))


def test_a_mouse_that_is_left_behind_takes_no_crosshair_along(
    drive: Drive, recording: RunPaths
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.hover("#kl", offset=(30, 4))
        await until(pilot, lambda: app.viewport.cursor is not None)
        cursor = app.viewport.cursor
        await opened(app, pilot, "5", "alerts")
        await pilot.pause()
        assert app.viewport.cursor == cursor
        await opened(app, pilot, "1", "overview")
        await shown(app, pilot, f"signed KL step {cursor}")

    drive(look, source=held(recording), size=(120, 40))


@pytest.mark.parametrize(("key", "name"), [("1", "overview"), ("4", "compare")])
def test_the_end_is_followed_whatever_screen_is_in_front(
    drive: Drive, new_run: NewRun, key: str, name: str
) -> None:
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 40)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 40/100")
            await pilot.press("plus")
            assert app.viewport.window == (21.0, 41.0)
            await opened(app, pilot, key, name)
            write_steps(writer, 41, 50)
            await shown(app, pilot, "step 50/100")
            assert app.viewport.window == (31.0, 51.0)
            writer.step(51, metrics_at(51) | {"reward/mean": math.nan})
            await until(pilot, lambda: app.viewport.window == (32.0, 52.0))

        drive(look, size=(120, 46))


def test_a_window_on_a_longer_run_leaves_the_other_screens_all_steps(
    drive: Drive, new_run: NewRun
) -> None:
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 20)
        writer.finish("finished")
        longer = write_run(writer.paths.root.parent, "longer", plain_steps(200, 0))

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 20/100")
            compare = await opened(app, pilot, "4", "compare")
            chart = compare.query_one("#overlay", Chart)
            await until(pilot, lambda: len(chart.curves) == 2)
            await pilot.press("plus", "plus")
            assert app.viewport.window == (151.0, 201.0)
            overview = await opened(app, pilot, "1", "overview")
            assert overview.viewport.window is None
            assert overview.query_one("#reward", Chart).frame is not None
            await opened(app, pilot, "4", "compare")
            assert compare.viewport.window == (151.0, 201.0)
            assert longer.root.name in app.screen_text()

        drive(look, source=LiveSource(writer.paths.root.parent, "mine"), size=(120, 46))
