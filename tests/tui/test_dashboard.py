"""The dashboard as a user meets it: real runs, every screen, keys and mouse."""

import csv
import json
import math
from pathlib import Path

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import (
    Drive,
    NewRun,
    gpu_event,
    held,
    metrics_at,
    shown,
    until,
    write_steps,
)
from tui import keys
from tui.app import SCREENS, DashboardApp
from tui.screens.dialogs import help_content
from tui.screens.run_screen import RunScreen
from tui.source import LiveSource, Snapshot
from tui.theme import THEMES
from tui.widgets.chart import Chart
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

SIZES = [(60, 20), (80, 24), (120, 40), (200, 60)]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("ascii_only", [False, True])
def test_the_four_things_are_on_the_first_screen_at_every_size(
    drive: Drive, recording: RunPaths, size: tuple[int, int], ascii_only: bool
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        text = await shown(app, pilot, "step 90/90")
        lines = text.splitlines()
        assert len(lines) == size[1]
        for title in ("reward", "signed KL", "GPU memory", "accuracy", "no GPU"):
            assert title in text
        assert "2 alerts " in text
        for name in ("reward", "kl"):
            chart = app.screen.query_one(f"#{name}", Chart)
            assert chart.frame is not None, "it draws"
            assert chart.frame.rows >= 3
        assert "observ" in text
        assert "inferent" in text
        if ascii_only:
            assert text.isascii()

    drive(look, source=held(recording), size=size, ascii_only=ascii_only)


def test_a_live_run_is_followed_step_by_step(drive: Drive, new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 3)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            text = await shown(app, pilot, "step 3/100")
            assert "● running" in text
            assert "reward ● 1.03" in text
            write_steps(writer, 4, 6)
            writer.emit("gpu", **gpu_event(11.0))
            writer.emit("gpu", **gpu_event(10.0))
            text = await shown(app, pilot, "10 peak 11 of 80 GiB")
            assert "step 6/100" in text
            assert "97% 350 W 61 °C" in text
            assert "observational" in text
            assert "75.0%" in text
            assert "n 72" in text, "six steps of twelve completions"
            writer.finish("finished")
            await shown(app, pilot, "■ finished")

        drive(look)


def test_a_run_that_is_not_there_yet_is_waited_for(drive: Drive, new_run: NewRun) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "there is no run")
        with EventWriter(new_run("late")) as writer:
            write_steps(writer, 1, 2)
            text = await shown(app, pilot, "step 2/100")
            assert "late" in text

    drive(look)


def test_a_misspelt_run_is_named_with_what_is_close(
    drive: Drive, new_run: NewRun, runs_dir: Path
) -> None:
    new_run("cdpo-first")

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "Did you mean cdpo-first")

    drive(look, source=LiveSource(runs_dir, "cdpo-frist"), size=(140, 30))


def test_a_run_whose_process_is_gone_is_lost(drive: Drive, new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 2)
    # leaving without `finish` writes no end: to a reader that is a run that was cut off

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "? lost")

    drive(look)


def test_a_new_attempt_takes_back_the_later_steps(drive: Drive, new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 9)
    with EventWriter(run, attempt_resumed_from_step=5) as writer:
        writer.step(6, metrics_at(6) | {"reward/mean": 7.5})

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            text = await shown(app, pilot, "attempt 2 from step 5")
            assert "reward ● 7.5" in text
            chart = app.screen.query_one("#reward", Chart)
            assert [mark.letter for mark in chart.marks] == ["r"]
            assert list(chart.curves[0].view.steps_T) == [1, 2, 3, 4, 5, 6]

        drive(look)


def test_torn_damaged_and_cut_logs_are_told(drive: Drive, recording: RunPaths) -> None:
    whole = recording.events.read_bytes().splitlines(keepends=True)
    damaged = [*whole[:40], b'{"v":1,"seq":\n', b"\0\0\0\n", *whole[40:200], whole[200][:30]]
    recording.events.write_bytes(b"".join(damaged))

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        text = await shown(app, pilot, "2 unreadable lines")
        before = app.snapshot.state.num_events
        assert before == 200
        with recording.events.open("ab") as log:
            log.write(whole[200][30:])
        await until(pilot, lambda: app.snapshot.state.num_events == 201)
        recording.events.write_bytes(b"".join(whole[:120]))  # cut short: read from the start
        await until(pilot, lambda: app.snapshot.state.num_events == 120)
        text = app.screen_text()
        assert "unreadable" not in text

    drive(look, size=(120, 30))


def test_nan_is_seen(drive: Drive, new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 10)
        write_steps(writer, 11, 12, **{"kl/signed": math.nan})

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            text = await shown(app, pilot, "step 12/100")
            assert "signed KL ● nan" in text
            assert "×" in text

        drive(look)


def test_one_table_makes_help_palette_and_footer(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        text = help_content(app.keys, is_read_only=False).plain
        assert len(keys.KEYS) > 20
        assert all(key.help in text for key in keys.KEYS)
        for name, where in (("overview", "charts"), ("samples", "samples"), ("compare", "compare")):
            app.open(name)
            await until(pilot, lambda: getattr(app.screen, "screen_name", "") == name)  # noqa: B023
            screen = app.screen
            assert isinstance(screen, RunScreen)
            commands = {command.title for command in app.get_system_commands(app.screen)}
            owners = (app, screen, screen.actor)
            for key in [key for key in keys.KEYS if key.where in ("app", "replay", where)]:
                assert key.label in commands or key.action == "command_palette"
                method = f"action_{key.action.partition('(')[0]}"
                assert any(hasattr(owner, method) for owner in owners), method
        await pilot.press("question_mark")
        lines = (await shown(app, pilot, "Ctrl-C does")).splitlines()
        begun = next(line for line in lines if "Leave the dashboard; the run goes on." in line)
        more = lines[lines.index(begun) + 1]
        assert more.index("does too, anywhere.") >= begun.index("Leave"), "below its beginning"

    drive(look, source=held(recording), size=(60, 30))


def test_keys_and_mouse_move_one_crosshair_over_all_charts(
    drive: Drive, recording: RunPaths
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("left")
        assert "reward step 90" in await shown(app, pilot, "signed KL step 90")
        await pilot.press("left", "left")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        cursor = screen.viewport.cursor
        assert cursor is not None
        assert cursor < 90
        await pilot.hover("#kl", offset=(30, 4))
        moved = screen.viewport.cursor
        assert moved is not None
        assert moved != cursor
        assert f"reward step {moved}" in await shown(app, pilot, f"signed KL step {moved}")
        await pilot.press("escape")
        assert screen.viewport.cursor is None

    drive(look, source=held(recording), size=(120, 40))


def window(screen: RunScreen) -> tuple[float, float] | None:
    return screen.viewport.window


def test_zoom_pan_smoothing_and_scale(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        screen = app.screen
        assert isinstance(screen, RunScreen)
        await pilot.press("plus")
        assert window(screen) == (46.0, 91.0)
        await pilot.press("h")
        assert window(screen) == (34.75, 79.75)
        chart = screen.query_one("#reward", Chart)
        chart.post_message(Chart.Zoomed(2.0, 60))
        await pilot.pause()
        assert window(screen) is None, "twice as many steps are all steps"
        await pilot.press("0", "s", "y", "K")
        assert window(screen) is None
        assert screen.viewport.smoothing > 0
        text = await shown(app, pilot, "smoothed 0.6")
        assert "linear" in text
        assert len(chart.plot().lines) == 6, "three curves and their raw data behind"

    drive(look, source=held(recording), size=(140, 40))


def test_every_theme_draws_lines_in_colours_of_its_own(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        pictures = set()
        for theme in THEMES:
            assert app.theme == theme.name
            pictures.add(app.export_screenshot())
            await pilot.press("t")
        assert len(pictures) == len(THEMES) == 3

    drive(look, source=held(recording))


def test_a_view_is_exported_as_picture_text_and_points(
    drive: Drive, recording: RunPaths, tmp_path: Path
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("e")
        folder = tmp_path / "exported"
        name = "vtk-cdpo-demo-overview-step90"
        await until(pilot, lambda: (folder / f"{name}.csv").exists())
        svg = (folder / f"{name}.svg").read_text()
        assert svg.startswith("<svg")
        assert "http://www.w3.org" in svg
        assert "font-face" not in svg, "nothing is fetched to show it"
        assert "signed KL" in (folder / f"{name}.txt").read_text()
        rows = list(csv.DictReader((folder / f"{name}.csv").read_text().splitlines()))
        kl = [float(row["value"]) for row in rows if row["curve"] == "signed KL"]
        assert len(kl) == 90
        events = map(json.loads, recording.events.read_text().splitlines())
        steps = [event for event in events if event["type"] == "step"]
        assert kl == [event["metrics"]["kl/signed"] for event in steps]

    drive(look, source=held(recording))


def test_a_newer_run_is_offered(drive: Drive, new_run: NewRun, runs_dir: Path) -> None:
    with EventWriter(new_run("older")) as writer:
        write_steps(writer, 1, 2)
        with EventWriter(new_run("newer")) as second:
            write_steps(second, 1, 5)

            async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
                await shown(app, pilot, "newer run newer: press n")
                await pilot.press("n")
                await shown(app, pilot, "step 5/100")

            drive(look, source=LiveSource(runs_dir, "older"))


def test_a_screen_without_a_body_cannot_be_made() -> None:
    class Bodiless(RunScreen):
        def show_body(self, snapshot: Snapshot) -> None:
            self.snapshot = snapshot

    with pytest.raises(TypeError, match="abstract method"):
        Bodiless()  # type: ignore[abstract]


def test_every_screen_has_a_key(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        assert len({entry.key for entry in SCREENS}) == len(SCREENS) >= 3
        for entry in SCREENS:
            await pilot.press(entry.key)
            await pilot.pause()
            assert app.current_mode == entry.name

    drive(look, source=held(recording))
