"""Several runs in one chart: distinct lines, a crosshair that reads all, a baseline, a choice."""

import math
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from textual.pilot import Pilot

from tests.tui.conftest import Drive, shown, until
from tests.tui.made_runs import plain_steps, write_run
from tui.app import DashboardApp
from tui.compare.facts import RunSet
from tui.compare.overlay import RunNumbers, metrics_of, overlay
from tui.plot_parts import ASCII_MARKERS, MARKERS, NUM_COLOURS, marker
from tui.smoothing import Smoothed
from tui.source import LiveSource
from tui.widgets.chart import Chart
from vtk.cli.app import main
from vtk.runs.store import RunPaths

SIZE = (140, 60)


@pytest.fixture
def three_runs(runs_dir: Path, tmp_path: Path) -> list[RunPaths]:
    """Two of one folder and one of another, with a metric that the second alone has."""
    folders = {"base": runs_dir, "other": runs_dir, "far": tmp_path / "elsewhere"}
    return [
        write_run(
            folder,
            name,
            plain_steps(6, 1),
            config={"seed": number},
            metrics=lambda step, number=number: {  # type: ignore[misc]
                "reward/mean": step + 10 * number,
                "kl/signed": math.nan if step == 3 else number / step,
                **({"own/metric": 1.0} if number == 1 else {}),
            },
        )
        for number, (name, folder) in enumerate(folders.items())
    ]


def test_lines_of_36_runs_differ_in_colour_or_marker() -> None:
    for ascii_only, shapes in ((False, MARKERS), (True, ASCII_MARKERS)):
        looks = [(n % NUM_COLOURS, marker(n, ascii_only)) for n in range(NUM_COLOURS**2)]
        assert len(set(looks)) == 36
        assert [shape for _, shape in looks[:NUM_COLOURS]] == list(shapes)


def test_a_run_keeps_its_number_while_it_is_chosen() -> None:
    numbers = RunNumbers()
    numbers.choose(["a", "b", "c"])
    numbers.choose(["c", "b"])
    assert (numbers["b"], numbers["c"]) == (1, 2)
    numbers.choose(["c", "b", "d"])
    assert [numbers[name] for name in "bcd"] == [1, 2, 0]


def test_each_run_that_has_the_metric_is_a_curve(three_runs: list[RunPaths]) -> None:
    base, other, _ = RunSet(three_runs[0].root.parent).poll(["base", "other", "gone"])
    numbers = RunNumbers()
    numbers.choose(["base", "other", "gone"])
    assert metrics_of([base, other])[:2] == ["reward/mean", "kl/signed"]
    assert metrics_of([base, other])[-1] == "own/metric"
    curves = overlay([base, other, _], "kl/signed", numbers)
    assert [(c.label, c.number) for c in curves] == [("base", 0), ("other", 1)]
    assert [value for _, value in curves[1].view][3:] == [1 / 4, 1 / 5, 1 / 6]
    assert math.isnan(curves[1].view[2][1])
    assert [c.label for c in overlay([base, other], "own/metric", numbers)] == ["other"]


def test_named_runs_lie_over_each_other_and_are_read_at_one_crosshair(
    drive: Drive, three_runs: list[RunPaths]
) -> None:
    far = str(three_runs[2].root)

    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        text = await shown(app, pilot, "reward/mean ● base 6 ▲ other 16 ■")
        assert app.current_mode == "compare"
        assert "● base (baseline)" in text
        assert "▲ +10" in text
        assert "seed" in text
        chart = app.screen.query_one("#overlay", Chart)
        assert [curve.label for curve in chart.curves] == ["base", "other", far]
        await pilot.press("left", "left")
        await shown(app, pilot, "reward/mean step 5 ● base 5 ▲ other 15 ■")
        await pilot.press("v", "left", "left")
        await shown(app, pilot, "kl/signed step 3 ● base nan")
        assert "×" in app.screen_text()
        await pilot.press("plus", "s", "y")
        assert chart.viewport.window is not None
        assert (chart.viewport.smoothing, chart.viewport.scale) == (0.6, "linear")
        assert len(chart.plot().lines) == 6, "three runs and their raw data behind"
        await pilot.press("V")
        await until(pilot, lambda: chart.title == "reward/mean")
        runs: Any = app.screen.query_one("#runs")
        runs.deselect("base")
        await until(pilot, lambda: [c.number for c in chart.curves] == [1, 2])

    source = LiveSource(three_runs[0].root.parent, "base")
    drive(look, source=source, size=SIZE, beside=three_runs)


def test_another_metric_has_its_own_average(drive: Drive, three_runs: list[RunPaths]) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "reward/mean ● base 6")
        chart = app.screen.query_one("#overlay", Chart)
        await pilot.press("s")
        before = [line.view.values_T.tolist() for line in chart.plot().lines[3:]]
        await pilot.press("v")
        await until(pilot, lambda: chart.title == "kl/signed")
        averages = [line.view.values_T for line in chart.plot().lines[3:]]
        expected = [Smoothed(0.6).update(curve.view).values_T for curve in chart.curves]
        assert len(averages) == 3
        for average, own in zip(averages, expected, strict=True):
            np.testing.assert_array_equal(average, own)
        await pilot.press("V")
        await until(pilot, lambda: chart.title == "reward/mean")
        assert [line.view.values_T.tolist() for line in chart.plot().lines[3:]] == before

    source = LiveSource(three_runs[0].root.parent, "base")
    drive(look, source=source, size=SIZE, beside=three_runs)


def test_a_small_screen_has_the_table_or_the_chart(
    drive: Drive, three_runs: list[RunPaths]
) -> None:
    async def look(app: DashboardApp, pilot: Pilot[None]) -> None:
        await shown(app, pilot, "baseline")
        chart, table = app.screen.query_one("#overlay"), app.screen.query_one("#table-box")
        assert (chart.display, table.display) == (False, True)
        await pilot.press("d")
        await until(pilot, lambda: (chart.display, table.display) == (True, False))
        await shown(app, pilot, "reward/mean ● ")
        await pilot.press("d", "d")
        await until(pilot, lambda: (chart.display, table.display) == (False, True))

    source = LiveSource(three_runs[0].root.parent, "base")
    drive(look, source=source, size=(60, 20), beside=three_runs)


@pytest.mark.parametrize(
    ("arguments", "said", "hint"),
    [
        (["base", "other", "--once"], "one run are printed, and 2", "vtk compare base other"),
        (["base", "other", "--json"], "one run are printed, and 2", "vtk compare base other"),
        (["--serve", "--once"], "--once leaves at once", "Leave out"),
        (["base", "--demo"], "takes no RUN", "'base'"),
    ],
)
def test_what_contradicts_itself_is_refused(
    capsys: pytest.CaptureFixture[str], arguments: list[str], said: str, hint: str
) -> None:
    assert main(["dashboard", *arguments]) == 2
    told = capsys.readouterr().err
    assert said in told
    assert hint in told
