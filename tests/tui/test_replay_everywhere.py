"""A replay shows on every screen what had happened by then, whichever way one came there."""

import json
from pathlib import Path

from textual.pilot import Pilot

from tests.tui.conftest import Drive, shown, until
from tests.tui.made_runs import plain_steps, write_run
from tui.app import DashboardApp
from tui.compare.facts import Moment, RunSet
from tui.folded_log import FoldedLog
from tui.plot_parts import PlotLine
from tui.replay import ReplaySource
from tui.samples.browser import SampleBrowser
from tui.samples.query import Query
from tui.widgets.chart import Chart
from vtk.runs.snapshot import RunState
from vtk.runs.store import RunPaths
from vtk.runs.writer import EventWriter

START_S = 1_800_000_000.0


def _dated(paths: RunPaths, start_s: float) -> RunPaths:
    """The run with its events a second apart from `start_s` on."""
    events = [json.loads(line) for line in paths.events.read_text().splitlines()]
    for second, event in enumerate(events):
        event["time"] = start_s + second
    paths.events.write_text("".join(json.dumps(event) + "\n" for event in events))
    facts = json.loads(paths.run_json.read_text()) | {"created": start_s - 1}
    paths.run_json.write_text(json.dumps(facts))
    return paths


def _seq_of_step(paths: RunPaths, step: int) -> int:
    events = [json.loads(line) for line in paths.events.read_text().splitlines()]
    return next(int(e["seq"]) for e in events if e["type"] == "step" and e["step"] == step)


def test_samples_of_a_replay_are_those_that_were_there(drive: Drive, runs_dir: Path) -> None:
    paths = _dated(write_run(runs_dir, "one", plain_steps(20)), START_S)
    source = ReplaySource(paths, at_share=0.5, is_playing=False)

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("3")
        middle = len(app.snapshot.state.rollouts)
        assert 5 < middle < 15
        await shown(app, pilot, f"{2 * middle} groups · newest")
        await shown(app, pilot, f"step {middle}  group")
        source.seek(0.25)
        await until(pilot, lambda: len(app.snapshot.state.rollouts) < middle)
        earlier = len(app.snapshot.state.rollouts)
        text = await shown(app, pilot, f"{2 * earlier} groups · newest")
        assert f"\n{earlier + 1} " not in text
        source.seek(1.0)
        await shown(app, pilot, "40 groups · newest")
        source.seek(0.0)
        await shown(app, pilot, "There are no completions here yet.")

    drive(look, source=source, size=(120, 50))


def test_a_comparison_in_a_replay_knows_nothing_later(drive: Drive, runs_dir: Path) -> None:
    paths = _dated(write_run(runs_dir, "played", plain_steps(20)), START_S)
    _dated(write_run(runs_dir, "beside", plain_steps(20)), START_S - 10)
    _dated(write_run(runs_dir, "later", plain_steps(3)), START_S + 30)
    source = ReplaySource(paths, at_share=0.4, is_playing=False)

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        step = app.snapshot.state.step
        text = await shown(app, pilot, "beside cdpo")
        assert "later" not in text
        # Two events a step: ten seconds ahead is five steps ahead.
        await shown(app, pilot, f"{step} of 20")
        await shown(app, pilot, f"{step + 5} of 20")
        source.seek(1.0)
        await shown(app, pilot, "later cdpo")
        await until(pilot, lambda: app.screen_text().count("20 of 20") == 2)

    drive(look, source=source, size=(140, 40))


def test_a_run_that_had_not_begun_is_empty_and_the_present_is_whole(tmp_path: Path) -> None:
    played = _dated(write_run(tmp_path, "played", plain_steps(4)), START_S)
    _dated(write_run(tmp_path, "later", plain_steps(4)), START_S + 100)
    runs, then = RunSet(tmp_path), RunState(step=3)
    moment = Moment("played", 5, START_S + 6, then)
    own, later = (facts.state for facts in runs.poll(["played", "later"], moment))
    assert own is then
    assert later is not None
    assert (later.status, later.step) == ("created", 0)
    assert [run.run_id for run in runs.listed(moment)] == ["played"]
    assert {run.run_id for run in runs.listed()} == {"played", "later"}
    assert [f.state.step for f in runs.poll(["played", "later"]) if f.state] == [4, 4]
    assert FoldedLog(played).at(START_S - 1).num_events == 0


def test_a_run_of_another_folder_is_not_taken_for_the_one_that_is_played(tmp_path: Path) -> None:
    here, there = tmp_path / "here", tmp_path / "there"
    _dated(write_run(here, "played", plain_steps(4)), START_S)
    other = _dated(write_run(there, "played", plain_steps(20)), START_S - 10)
    name = str(other.root)
    runs, then = RunSet(here, [name]), RunState(step=3)
    own, beside = (f.state for f in runs.poll(["played", name], Moment("played", 5, START_S, then)))
    assert own is then
    assert beside is not None
    assert 0 < beside.step < 20
    early, late = (Moment("played", 5, START_S - s, then) for s in (20, 5))
    assert [run.run_id for run in runs.listed(early)] == []
    assert [run.run_id for run in runs.listed(late)] == [name]


def test_curves_of_a_comparison_end_where_the_replay_is(drive: Drive, runs_dir: Path) -> None:
    paths = _dated(write_run(runs_dir, "played", plain_steps(20)), START_S)
    _dated(write_run(runs_dir, "beside", plain_steps(20)), START_S - 10)
    source = ReplaySource(paths, at_share=0.4, is_playing=False)

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await pilot.press("4")
        chart = app.screen.query_one("#overlay", Chart)
        step = app.snapshot.state.step
        await until(pilot, lambda: len(chart.curves) == 2)
        assert [curve.view.steps_T[-1] for curve in chart.curves] == [step, step + 5]
        source.seek(1.0)
        await until(pilot, lambda: [c.view.steps_T[-1] for c in chart.curves] == [20, 20])
        source.seek(0.4)
        await until(pilot, lambda: [c.view.steps_T[-1] for c in chart.curves] == [step, step + 5])

    drive(look, source=source, size=(140, 40))


def test_an_average_ends_where_the_replay_is(drive: Drive, runs_dir: Path) -> None:
    paths = _dated(write_run(runs_dir, "played", plain_steps(20)), START_S)
    source = ReplaySource(paths, at_share=1.0, is_playing=False)

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        chart = app.screen.query_one("#reward", Chart)
        await pilot.press("s")
        await until(pilot, lambda: [_end(line) for line in chart.plot().lines] == [20, 20])
        source.seek(0.4)
        await until(pilot, lambda: _end(chart.plot().lines[0]) < 20)
        raw, average = chart.plot().lines
        assert _end(average) == _end(raw) == app.snapshot.state.step

    drive(look, source=source)


def _end(line: PlotLine) -> int:
    return int(line.view.steps_T[-1])


def test_going_back_and_forth_over_a_resumption_gives_what_going_on_gives(tmp_path: Path) -> None:
    paths = write_run(tmp_path, "one", plain_steps(6), ends_as=None)
    with EventWriter(paths, attempt_resumed_from_step=3) as writer:
        for step, rows in plain_steps(5).items():
            if step > 3:
                writer.rollouts(step, rows)
                writer.step(step, {"reward/mean": 1.0})
    last = json.loads(paths.events.read_text().splitlines()[-1])["seq"]
    moments = [_seq_of_step(paths, 6), last, _seq_of_step(paths, 2), -1, last]
    browser, found = SampleBrowser(paths), []
    for moment in moments:
        browser.poll(moment)
        found.append(sorted(set(browser.listing(Query()).steps.tolist())))
    assert found == [[1, 2, 3, 4, 5, 6], [1, 2, 3, 4, 5], [1, 2], [], [1, 2, 3, 4, 5]]
    assert browser.poll(_seq_of_step(paths, 2)) == {1, 2, 3, 4, 5}
