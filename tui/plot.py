"""One chart as cells: lines, axes, marks and the crosshair; pure, so it is drawn without an app.

The result is characters with the name of a style each.
"""

import math
from collections.abc import Sequence
from typing import Final

import numpy as np

from tui.braille import DOTS_ACROSS
from tui.plot_lines import draw_lines, has_none_on_log
from tui.plot_parts import NUM_COLOURS, Cells, Frame, Plot, PlotMark, extent, marker
from tui.scales import Scale, fitted_scale, step_ticks, tick_labels, ticks
from tui.series import Envelope

_LABEL_CHARS: Final = 9
_ROWS_PER_TICK: Final = 3
_CELLS_PER_STEP_TICK: Final = 12
_CELLS_PER_MARK: Final = 4
_BESIDE: Final = (0, 1, -1, 2, -2)
_SMALLEST: Final = (12, 3)
_LEAST_ROWS: Final = 5


def draw(plot: Plot, width: int, height: int) -> tuple[Cells, Frame | None]:
    """Return the chart in `width` x `height` cells, and where things lie.

    Where nothing can be drawn (no point yet, or no room) the cells are blank and there is no frame.
    """
    cells = Cells(max(0, width), max(0, height))
    if width < _SMALLEST[0] or height < _SMALLEST[1] or not any(len(x.view) for x in plot.lines):
        return cells, None
    frame, envelopes = _framed(plot, width, height)
    _draw_zero(cells, frame, plot)
    _draw_marks(cells, frame, plot)
    draw_lines(cells, frame, plot, envelopes)
    _draw_bad(cells, frame, plot, envelopes)
    _draw_cursor(cells, frame, plot)
    _draw_axes(cells, frame, plot)
    _draw_lanes(cells, frame, plot)
    return cells, frame


def _framed(plot: Plot, width: int, height: int) -> tuple[Frame, list[Envelope]]:
    window = plot.window or extent(line.view for line in plot.lines)
    rows = height - 1 - min(len(plot.lanes), max(0, height - _LEAST_ROWS) // 2)
    left = _LABEL_CHARS + 1
    edges = np.linspace(*window, (width - left) * DOTS_ACROSS + 1)
    envelopes = [line.view.envelope(edges) for line in plot.lines]
    scale = _scale(plot, envelopes)
    labels = tick_labels(ticks(scale, max(2, rows // _ROWS_PER_TICK)))
    needed = min(_LABEL_CHARS, max(map(len, labels), default=1)) + 1
    if needed < left:  # narrower labels leave more room: once more with the true width
        left = needed
        edges = np.linspace(*window, (width - left) * DOTS_ACROSS + 1)
        envelopes = [line.view.envelope(edges) for line in plot.lines]
    return Frame(left, width - left, rows, window, scale), envelopes


def _scale(plot: Plot, envelopes: Sequence[Envelope]) -> Scale:
    lows = np.concatenate([e.low_W for e in envelopes])
    highs = np.concatenate([e.high_W for e in envelopes])
    if not np.isfinite(lows).any():
        return fitted_scale("linear", math.nan, math.nan)
    low, high = float(np.nanmin(lows)), float(np.nanmax(highs))
    fitted = fitted_scale(plot.scale, low, high, zero=plot.zero)
    if plot.values is None:
        return fitted
    return Scale(fitted.name, *plot.values, fitted.constant)


def _draw_zero(cells: Cells, frame: Frame, plot: Plot) -> None:
    row = frame.row_of(0.0) if plot.zero and frame.scale.name != "log" else None
    if row is not None:
        cells.put(row, frame.left, ("-" if plot.ascii_only else "┈") * frame.columns, "zero")


def _draw_marks(cells: Cells, frame: Frame, plot: Plot) -> None:
    """The vertical lines, behind the curves; where there are too many the letters say enough."""
    marks = _in_sight(plot.marks, frame)
    if len(marks) <= frame.columns // _CELLS_PER_MARK:
        for mark in marks:
            for row in range(1, frame.rows):
                shape = ":" if plot.ascii_only else "┊"
                cells.put(row, frame.column_of(mark.step), shape, mark.style)


def _letters(frame: Frame, marks: Sequence[PlotMark]) -> dict[int, PlotMark]:
    """Column to mark; those of one column stand beside each other, the last kind first."""
    placed: dict[int, PlotMark] = {}
    known: set[tuple[int, str]] = set()
    for mark in reversed(_in_sight(marks, frame)):
        column = frame.column_of(mark.step)
        if (column, mark.letter) not in known:
            known.add((column, mark.letter))
            inside = range(frame.left, frame.left + frame.columns)
            near = (column + by for by in _BESIDE)
            free = (at for at in near if at in inside and at not in placed)
            placed[next(free, column)] = mark
    return placed


def _in_sight(marks: Sequence[PlotMark], frame: Frame) -> list[PlotMark]:
    first, last = frame.window
    return [mark for mark in marks if first <= mark.step < last]


def _draw_bad(cells: Cells, frame: Frame, plot: Plot, envelopes: Sequence[Envelope]) -> None:
    """What has no height is told at the bottom: an arrow for zero and below on a logarithmic scale,
    a cross for what is not finite.
    """
    if frame.scale.name == "log":
        is_below = np.logical_or.reduce([has_none_on_log(each) for each in envelopes])
        for column in set((np.flatnonzero(is_below) // DOTS_ACROSS).tolist()):
            shape = "v" if plot.ascii_only else "↓"
            cells.put(frame.rows - 1, frame.left + column, shape, "bad")
    is_bad = np.logical_or.reduce([envelope.bad_W for envelope in envelopes])
    for column in set((np.flatnonzero(is_bad) // DOTS_ACROSS).tolist()):
        cells.put(frame.rows - 1, frame.left + column, "x" if plot.ascii_only else "×", "bad")


def _draw_cursor(cells: Cells, frame: Frame, plot: Plot) -> None:
    if plot.cursor is None or not frame.window[0] <= plot.cursor < frame.window[1]:
        return
    column = frame.column_of(plot.cursor)
    for row in range(frame.rows):
        is_blank = cells.chars[row][column] in " ┊┈:-"
        shape = ("|" if plot.ascii_only else "│") if is_blank else cells.chars[row][column]
        cells.put(row, column, shape, "cursor")


def _draw_lanes(cells: Cells, frame: Frame, plot: Plot) -> None:
    """Each run's letters behind its marker."""
    for row, lane in enumerate(plot.lanes[: cells.height - frame.rows - 1], start=frame.rows + 1):
        style = f"line{lane.colour % NUM_COLOURS}"
        cells.put(row, frame.left - 2, marker(lane.colour, plot.ascii_only), style)
        for column, mark in _letters(frame, lane.marks).items():
            cells.put(row, column, mark.letter, mark.style)


def _draw_axes(cells: Cells, frame: Frame, plot: Plot) -> None:
    values = ticks(frame.scale, max(2, frame.rows // _ROWS_PER_TICK))
    for value, label in zip(values, tick_labels(values), strict=True):
        row = frame.row_of(value)
        if row is not None:
            cells.put(row, 0, label[: frame.left - 1].rjust(frame.left - 1), "axis")
    letters = _letters(frame, plot.marks)
    for column, mark in letters.items():
        cells.put(frame.rows, column, mark.letter, mark.style)
    first, last = frame.window
    free_from = frame.left
    for step in step_ticks(first, last - 1, max(2, frame.columns // _CELLS_PER_STEP_TICK)):
        label = f"{step:d}"
        column = min(frame.column_of(step) - len(label) // 2, cells.width - len(label))
        is_free = letters.keys().isdisjoint(range(column - 1, column + len(label) + 1))
        if column >= free_from and is_free:
            cells.put(frame.rows, column, label, "axis")
            free_from = column + len(label) + 1
