"""A chart as cells: every kind of line, scale and mark stands where it must."""

import math
from dataclasses import replace

import numpy as np
import pytest
from numpy.typing import NDArray

from tui.plot import draw
from tui.plot_parts import Lane, Plot, PlotLine, PlotMark, marker
from tui.scales import Scale, fitted_scale, step_ticks, tick_labels, ticks
from tui.series import ColumnSeries, ColumnView


def view(points: list[float]) -> ColumnView:
    series = ColumnSeries()
    for step, value in enumerate(points, start=1):
        series.add(step, value)
    return series.points()


def plotted(points: list[float], **options: object) -> Plot:
    return replace(Plot([PlotLine("a", view(points))]), **options)  # type: ignore[arg-type]


def styled(plot: Plot, style: str, width: int = 60, height: int = 12) -> set[tuple[int, int]]:
    """Rows and columns of the cells of one style."""
    cells, _ = draw(plot, width, height)
    return {
        (row, column)
        for row, names in enumerate(cells.styles)
        for column, name in enumerate(names)
        if name == style
    }


def test_a_rising_line_rises_without_holes() -> None:
    cells, frame = draw(plotted([float(n) for n in range(30)]), 60, 12)
    assert frame is not None
    line = styled(plotted([float(n) for n in range(30)]), "line0")
    columns = [column for _, column in line]
    assert set(range(frame.left, max(columns))) <= set(columns)
    top = [min(row for row, c in line if c == column) for column in sorted(set(columns))]
    assert top == sorted(top, reverse=True)
    assert (top[0], top[-1]) == (frame.rows - 1, 0)
    assert cells.chars[0][max(columns)] == "●"


def test_a_value_that_is_not_finite_is_a_gap_with_a_cross() -> None:
    points = [1.0] * 20 + [math.nan] * 3 + [1.0] * 20
    plot = plotted(points)
    _, frame = draw(plot, 60, 12)
    assert frame is not None
    gap = {frame.column_of(step) for step in (21, 22, 23)}
    assert {column for _, column in styled(plot, "bad")} == gap
    assert not gap & {column for _, column in styled(plot, "line0")} - {min(gap), max(gap)}


def test_what_a_logarithm_has_no_place_for_is_told() -> None:
    points = [1.0] * 20 + [-0.5, 0.0, -2.0] + [10.0] * 20
    cells, frame = draw(plotted(points, scale="log"), 60, 12)
    assert frame is not None
    below = {column for _, column in styled(plotted(points, scale="log"), "bad")}
    assert below == {frame.column_of(step) for step in (21, 22, 23)}
    assert {cells.chars[frame.rows - 1][column] for column in below} == {"↓"}
    assert styled(plotted(points), "bad") == set()
    line = {column for _, column in styled(plotted(points, scale="log"), "line0")}
    assert not below & line - {min(below), max(below)}


def test_one_spike_among_a_hundred_thousand_points_is_drawn() -> None:
    series = ColumnSeries()
    values = np.zeros(100_000)
    values[54_321] = 7.0
    series.extend(np.arange(100_000), values)
    plot = Plot([PlotLine("a", series.points())])
    _, frame = draw(plot, 80, 20)
    assert frame is not None
    assert (0, frame.column_of(54_321)) in styled(plot, "line0", 80, 20)


def test_several_lines_carry_shapes_of_their_own() -> None:
    lines = [PlotLine("a", view([1.0, 2.0] * 20), 0), PlotLine("b", view([5.0, 6.0] * 20), 1)]
    text = draw(Plot(lines), 70, 14)[0].text()
    assert text.count("●") >= 3
    assert text.count("▲") >= 3
    ascii_text = draw(Plot(lines, ascii_only=True), 70, 14)[0].text()
    assert ascii_text.isascii()
    assert ascii_text.count("o") >= 3
    assert ascii_text.count("a") >= 3


def test_lines_that_cross_keep_all_their_dots_whichever_comes_last() -> None:
    rising, falling = view([float(n) for n in range(60)]), view([59.0 - n for n in range(60)])
    bowed = view([abs(n - 30.0) + 5 for n in range(60)])
    lines = [PlotLine("a", rising, 0), PlotLine("b", falling, 1), PlotLine("c", bowed, 2)]
    together = dots_of(Plot(lines, values=(0.0, 60.0)))
    assert (together == dots_of(Plot(lines[::-1], values=(0.0, 60.0)))).all()
    for line in lines:
        alone = dots_of(Plot([line], values=(0.0, 60.0)))
        assert alone.sum() > 40
        assert (together & alone)[together > 0].sum() == alone[together > 0].sum()


def dots_of(plot: Plot) -> NDArray[np.int64]:
    """The braille pattern of each cell; 0 where there is none, or a marker."""
    cells, frame = draw(plot, 70, 14)
    assert frame is not None
    codes = [[ord(char) - 0x2800 for char in row] for row in cells.chars[: frame.rows]]
    patterns = np.array(codes)
    return np.where((patterns > 0) & (patterns < 256), patterns, 0)


def test_a_marker_that_is_in_the_way_of_another_leaves_both_in_sight() -> None:
    same = view([1.0, 2.0, 3.0] * 10)
    cells, frame = draw(Plot([PlotLine(str(n), same, n) for n in range(3)]), 70, 14)
    assert frame is not None
    ends = "".join(
        cells.chars[row][column] for row in range(frame.rows) for column in range(60, 70)
    )
    assert all(ends.count(marker(number, ascii_only=False)) >= 1 for number in range(3))


def test_each_lane_has_the_marks_of_its_run_as_far_as_there_is_room() -> None:
    lanes = [
        Lane(0, (PlotMark(10, "c"), PlotMark(20, "!", "alert"))),
        Lane(1, (PlotMark(15, "e"),)),
        Lane(2, (PlotMark(999, "u"),)),
    ]
    plot = plotted([float(n) for n in range(40)], lanes=lanes)
    cells, frame = draw(plot, 90, 12)
    assert frame is not None
    assert [row.split() for row in cells.text().splitlines()[frame.rows + 1 :]] == [
        ["●", "c", "!"], ["▲", "e"], ["■"],
    ]  # fmt: skip
    first, second = cells.chars[frame.rows + 1], cells.chars[frame.rows + 2]
    assert (first[frame.column_of(10)], first[frame.column_of(20)]) == ("c", "!")
    assert second[frame.column_of(15)] == "e"
    _, small = draw(plot, 90, 8)
    assert small is not None
    assert small.rows == 6, "one lane, and the lines keep most of a low chart"


def test_marks_zero_line_and_crosshair() -> None:
    marks = [PlotMark(10, "c"), PlotMark(20, "!", "alert"), PlotMark(999, "e")]
    plot = plotted([math.sin(n / 5) for n in range(40)], marks=marks, zero=True, cursor=30)
    cells, frame = draw(plot, 90, 12)
    assert frame is not None
    axis = cells.chars[frame.rows]
    assert axis[frame.column_of(10)] == "c"
    assert axis[frame.column_of(20)] == "!"
    assert "".join(axis).split() == ["c", "!", "30", "40"]  # 10 and 20 give way
    assert {c for _, c in styled(plot, "cursor", 90, 12)} == {frame.column_of(30)}
    zero_row = frame.row_of(0.0)
    assert zero_row is not None
    assert (zero_row, frame.left + 30) in styled(plot, "zero", 90, 12)
    assert cells.chars[zero_row][frame.left - 2] == "0"


def test_marks_of_one_column_stand_beside_each_other() -> None:
    marks = [PlotMark(10, "u"), PlotMark(11, "c"), PlotMark(12, "c"), PlotMark(10, "!", "alert")]
    cells, frame = draw(plotted([0.0] * 2000, marks=marks), 60, 12)
    assert frame is not None
    first = frame.column_of(10)
    assert first == frame.column_of(12) == frame.left
    assert "".join(cells.chars[frame.rows][first : first + 4]) == "!cu "


def test_a_window_shows_its_steps_only() -> None:
    plot = plotted([float(n) for n in range(1000)], window=(500.0, 520.0))
    _, frame = draw(plot, 60, 12)
    assert frame is not None
    assert 495 < frame.scale.low < 500
    assert 518 < frame.scale.high < 525
    assert frame.step_at(frame.left) == 500
    assert frame.step_at(59) == 519


@pytest.mark.parametrize(("width", "height"), [(0, 0), (5, 2), (11, 9), (13, 3), (200, 60)])
def test_any_size_is_drawn_or_left_blank(width: int, height: int) -> None:
    cells, _ = draw(plotted([1.0, 2.0, 3.0]), width, height)
    assert [len(row) for row in cells.chars] == [width] * height


@pytest.mark.parametrize("points", [[0.0], [math.nan], [math.inf, -math.inf], [5.0, 5.0], [-1e300]])
def test_odd_values_are_drawn(points: list[float]) -> None:
    for scale in ("linear", "log", "symlog"):
        assert draw(plotted(points, scale=scale), 40, 10)[0].text().strip()


@pytest.mark.parametrize(
    "scale",
    [fitted_scale("linear", -3, 9), fitted_scale("log", 1e-4, 20), fitted_scale("symlog", -2, 50)],
)
def test_a_place_on_a_scale_leads_back_to_its_value(scale: Scale) -> None:
    places = np.linspace(0, 1, 21)
    back = np.array([scale.value_at(float(place)) for place in places])
    assert (np.diff(back) > 0).all()
    assert scale.place(back) == pytest.approx(places)


@pytest.mark.parametrize(
    ("low", "high"),
    [(511.2, 512.9), (0.9990, 0.9999), (1000, 1004), (11.02, 11.08), (-10290, -10230), (0, 2)],
)
def test_labels_are_their_ticks_on_the_screen_too(low: float, high: float) -> None:
    scale = fitted_scale("linear", low, high)
    values = ticks(scale, 5)
    assert len(values) >= 2
    assert [float(label) for label in tick_labels(values)] == pytest.approx(values, rel=1e-9)
    assert tick_labels([0.5, 1.0]) == ["0.5", "1"]
    cells, frame = draw(plotted([low, high]), 60, 15)
    assert frame is not None
    shown = ["".join(row[: frame.left]).strip() for row in cells.chars[: frame.rows]]
    drawn = ticks(frame.scale, frame.rows // 3)
    assert [float(label) for label in shown if label][::-1] == pytest.approx(drawn, rel=1e-9)


def test_ticks_are_round_few_and_hold_zero_where_it_is_in_sight() -> None:
    assert ticks(Scale("linear", -0.1, 1.9), 5) == [0.0, 0.5, 1.0, 1.5]
    assert 0.0 in ticks(fitted_scale("symlog", -0.5, 120), 5)
    assert ticks(fitted_scale("log", 1e-3, 2), 6) == [0.001, 0.01, 0.1, 1.0]
    assert step_ticks(1, 100, 5) == [20, 40, 60, 80, 100]
    for low, high in ((0.0, 1e-9), (-1e12, 1e12), (3.0, 3.1)):
        found = ticks(Scale("linear", low, high), 6)
        assert 2 <= len(found) <= 6


def test_symlog_tells_small_values_of_both_signs_apart() -> None:
    scale = fitted_scale("symlog", -10.0, 10.0)
    below, zero, above = scale.place(np.array([-0.2, 0.0, 0.2]))
    assert zero == pytest.approx(0.5)
    assert above - zero > 0.1
    assert zero - below == pytest.approx(above - zero)
