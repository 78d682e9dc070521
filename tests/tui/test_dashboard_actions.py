"""What a user does with the dashboard: asks the run for things, opens alerts, plays it again."""

from typing import Any

import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, NewRun, held, shown, until, write_steps
from tui.app import DashboardApp
from tui.widgets.chart import Chart
from vtk.runs.control import pending
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter


def test_a_request_is_confirmed_written_and_pending_until_the_run_answers(
    drive: Drive, new_run: NewRun
) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 3)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 3/100")
            await pilot.press("c", "k")
            await shown(app, pilot, "Checkpoint now? The run mine saves")
            await pilot.press("n")
            assert pending(run) == []
            await pilot.press("c", "k", "y")
            await shown(app, pilot, "asked, not yet done: checkpoint")
            (asked,) = pending(run)
            assert (asked.action, "@" in asked.who) == ("checkpoint", True)
            writer.emit(
                "control", id=asked.id, action="checkpoint", args={}, who=asked.who,
                result="saving after this step", step=3,
            )  # fmt: skip
            text = await shown(app, pilot, "checkpoint: saving after this step")
            assert "not yet done" not in text
            chart = app.screen.query_one("#reward", Chart)
            assert [(mark.step, mark.letter) for mark in chart.marks] == [(3, "u")]

        drive(look)


def test_beta_is_typed_checked_and_confirmed(drive: Drive, new_run: NewRun) -> None:
    run = new_run()
    with EventWriter(run) as writer:
        write_steps(writer, 1, 3)

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "repels")
            await pilot.press("c", "b")
            await shown(app, pilot, "New beta (now -0.05)")
            await pilot.press("ctrl+a", "ctrl+k", *"much", "enter")
            await shown(app, pilot, "a number is wanted")
            await pilot.press("ctrl+a", "ctrl+k", "minus", *"0", "full_stop", *"02", "enter")
            await shown(app, pilot, "-0.05 to -0.02")
            await pilot.press("y")
            await until(pilot, lambda: bool(pending(run)))
            assert pending(run)[0].args == {"beta": -0.02}

        drive(look)


@pytest.mark.parametrize("why", ["read-only", "replay", "finished"])
def test_nothing_is_asked_where_nothing_may_be(
    drive: Drive, new_run: NewRun, recording: RunPaths, why: str
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("c")
        sentence = {"read-only": "--read-only", "replay": "press r", "finished": "nothing listens"}
        await shown(app, pilot, sentence[why])
        assert len(app.screen_stack) == 1
        assert not recording.control_dir.exists()

    source = held(recording) if why == "replay" else None
    drive(look, source=source, read_only=why == "read-only", size=(140, 30))


def test_an_alert_opens_with_its_evidence(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.press("5")
        text = await shown(app, pilot, "- reward 1  signed KL")
        assert "worst completions of step 84" in text
        assert "step 64-88  kl_budget_step x7" in text
        assert "value 0.1921, threshold 0.15" in text
        assert "in the 20 steps before: median" in text
        assert "set beta to -0.01" in text

    drive(look, source=held(recording), size=(140, 44))


def test_the_alerts_stay_as_they_are_looked_at_while_the_run_goes_on(
    drive: Drive, new_run: NewRun
) -> None:
    with EventWriter(new_run()) as writer:
        write_steps(writer, 1, 59, **{"kl/signed": 0.5})
        write_steps(writer, 60, 90, **{"kl/signed": 0.01})

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 90/100")
            await pilot.press("5")
            await shown(app, pilot, "no completions of step 65 are kept")
            screen: Any = app.screen
            options, read = screen.query_one("#alert-list").options, screen._worst
            await pilot.press("0")
            assert screen.viewport.window is None
            for step in range(91, 94):
                write_steps(writer, step, step, **{"kl/signed": 0.01})
                await shown(app, pilot, f"step {step}/100")
            assert screen.viewport.window is None, "the zoom is the user's"
            assert screen._worst is read, "its completions are read once"
            now = screen.query_one("#alert-list").options
            assert [id(each) for each in now] == [id(each) for each in options]

        drive(look, size=(140, 40))


def test_a_replay_shows_the_run_as_it_was(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "■ finished")
        await pilot.press("r")
        await shown(app, pilot, "▶ replay")
        await pilot.press("space", "a")
        await until(pilot, lambda: len(app.snapshot.state.alerts) == 1)
        assert app.snapshot.state.alerts[0].step == 25
        assert app.snapshot.playback is not None
        assert not app.snapshot.playback.is_playing
        steps = app.snapshot.state.step
        await pilot.press("comma")
        await until(pilot, lambda: app.snapshot.state.step < steps)
        assert app.snapshot.state.alerts == ()
        await pilot.press("r")
        await shown(app, pilot, "■ finished")

    drive(look)


def test_tabs_and_play_bar_answer_the_mouse(drive: Drive, recording: RunPaths) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "step 90/90")
        await pilot.click("Tabs", offset=(15, 0))
        await shown(app, pilot, "learning away")
        await pilot.click("#play-bar", offset=(60, 0))
        await until(pilot, lambda: app.snapshot.state.step < 60)

    drive(look, source=held(recording))
