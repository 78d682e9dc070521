"""The samples and compare screens inside the dashboard: keys, palette, help, another run."""

from functools import partial
from pathlib import Path

from textual.pilot import Pilot

from tests.tui.conftest import Drive, shown, until
from tests.tui.made_runs import plain_steps, write_run
from tui.app import DashboardApp
from tui.source import LiveSource


def test_the_samples_and_the_comparison_are_one_key_away(drive: Drive, runs_dir: Path) -> None:
    write_run(runs_dir, "older", plain_steps(2))
    write_run(runs_dir, "newest", plain_steps(3), config={"seed": 7})

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await shown(app, pilot, "6 groups · newest")
        await pilot.press("s")
        await shown(app, pilot, "most repelled")
        await pilot.press("4")
        await shown(app, pilot, "newest (baseline)")
        await shown(app, pilot, "older")
        await shown(app, pilot, "metrics, mean of the last 50 steps")
        await pilot.press("m")
        await shown(app, pilot, "metrics, latest value")
        await pilot.press("question_mark")
        await shown(app, pilot, "Everywhere")

    drive(look, size=(120, 40))


def test_the_palette_offers_the_keys_of_the_screen_in_front(drive: Drive, runs_dir: Path) -> None:
    write_run(runs_dir, "one", plain_steps(3))

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await shown(app, pilot, "6 groups · newest")
        titles = {command.title for command in app.get_system_commands(app.screen)}
        assert {"Sort", "Frames", "Theme"} <= titles
        assert not titles & {"Baseline", "Smooth"}
        (sort,) = (key for key in app.keys if key.id == "samples.sort")
        await app._run_from_palette(sort)
        await shown(app, pilot, "most repelled")

    drive(look, size=(120, 40))


def test_the_samples_follow_the_dashboard_to_another_run(drive: Drive, runs_dir: Path) -> None:
    write_run(runs_dir, "first", plain_steps(3))

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        await shown(app, pilot, "6 groups · newest")
        other = write_run(runs_dir, "second", plain_steps(5))
        source = app.poller.source
        assert isinstance(source, LiveSource)
        app.poller.soon(partial(source.switch, other.run_id))
        await shown(app, pilot, "10 groups · newest")
        await until(pilot, lambda: "step 5  group 8" in app.screen_text())

    drive(look, size=(120, 50))
