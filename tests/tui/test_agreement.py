"""Agreement with the bias model by question type: pooled, with n and interval, at every size."""

import re

from textual.pilot import Pilot

from tests.tui.conftest import Drive, NewRun, held, metrics_at, shown
from tui.agreement import agreement_content
from tui.app import DashboardApp
from vtk.runs.snapshot import RunState
from vtk.runs.state import fold
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter


def _run_that_moves_away() -> RunState:
    """Agreement on inferential questions: 3 of 4 for twenty steps, then 1 of 4."""
    events = [
        {
            "v": 1, "seq": step, "time": float(step), "mono": float(step), "type": "step",
            "step": step,
            "metrics": {
                "acc/inferential": 0.5,
                "acc/inferential_n": 4.0,
                "bias_agreement/inferential": 0.75 if step <= 20 else 0.25,
                "bias_agreement/inferential_n": 4.0,
            },
        }
        for step in range(1, 41)
    ]  # fmt: skip
    return fold(events)


def _rows(state: RunState, width: int = 60, height: int = 4) -> list[str]:
    return agreement_content(state, width, height).plain.splitlines()


def test_shares_are_of_the_last_steps_and_of_the_first() -> None:
    names, last, first, right = _rows(_run_that_moves_away())
    assert names.split() == ["last", "20", "steps", "inferential"]
    assert last.split(maxsplit=4)[-1].strip() == "25% [25,25] n 80"
    assert first.split(maxsplit=5)[-1].strip() == "75% [75,75] n 80"
    assert right.split(maxsplit=2)[-1].strip() == "50% [50,50] n 80"


def test_little_room_leaves_the_first_steps_out() -> None:
    assert [row.split()[0] for row in _rows(_run_that_moves_away(), height=3)] == [
        "last",
        "as",
        "right",
    ]


def test_a_run_without_it_says_how_to_get_it(drive: Drive, new_run: NewRun) -> None:
    with EventWriter(new_run()) as writer:
        for step in range(1, 4):
            writer.step(step, metrics_at(step))

        async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
            await shown(app, pilot, "step 3/100")
            app.open("repulsion")
            await shown(app, pilot, "--set record.bias_answers=true")
            assert "inferential" in app.screen_text()

        drive(look)


def test_the_recording_shows_both_types_on_the_smallest_screen(
    drive: Drive, recording: RunPaths
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        app.open("repulsion")
        text = await shown(app, pilot, "as the bias model")
        (row,) = [line for line in text.splitlines() if "as the bias model" in line]
        assert len(re.findall(r"\d+% \[\d+,\d+\] n \d+", row)) == 2

    drive(look, source=held(recording), size=(60, 20))
