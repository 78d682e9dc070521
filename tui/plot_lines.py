"""The lines of a chart and their markers.

A cell that several lines cross has the dots of all of them, in the colour of the line with most;
markers tell the lines apart there.
"""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np

from tui.braille import DOTS_ACROSS, DOTS_DOWN, braille_cells, cell_text, line_dots
from tui.plot_parts import NUM_COLOURS, Cells, Frame, Plot, PlotLine, marker
from tui.series import Bools, Envelope, Floats

_CELLS_PER_MARKER: Final = 14
_MOST_TRIED: Final = 8


def draw_lines(cells: Cells, frame: Frame, plot: Plot, envelopes: Sequence[Envelope]) -> None:
    """All lines, those behind averages first; then the markers, which no line covers."""
    drawn = list(zip(plot.lines, envelopes, strict=True))
    for is_faint in (True, False):
        layer = [(line, each) for line, each in drawn if line.is_faint == is_faint]
        _draw_layer(cells, frame, layer, plot.ascii_only)
    taken: set[tuple[int, int]] = set()
    for line, envelope in drawn:
        if not line.is_faint:
            _draw_markers(cells, frame, plot, line, frame.scale.place(envelope.low_W), taken)


def _draw_layer(
    cells: Cells, frame: Frame, layer: Sequence[tuple[PlotLine, Envelope]], ascii_only: bool
) -> None:
    """The dots of some lines together, each cell in the colour of the line with most of them."""
    if not layer:
        return
    patterns = np.stack([braille_cells(_dots(frame, envelope)) for _, envelope in layer])
    most = np.bitwise_count(patterns).argmax(axis=0).tolist()
    together = np.bitwise_or.reduce(patterns, axis=0)
    for row, text in enumerate(cell_text(together, ascii_only)):
        for column, char in enumerate(text):
            if char != " ":
                style = _style(layer[most[row][column]][0])
                cells.put(row, frame.left + column, char, style)


def _dots(frame: Frame, envelope: Envelope) -> Bools:
    lows, highs = frame.scale.place(envelope.low_W), frame.scale.place(envelope.high_W)
    if frame.scale.name == "log":  # no line is drawn over what has no place
        envelope = replace(envelope, bad_W=envelope.bad_W | has_none_on_log(envelope))
    return line_dots(envelope, lows, highs, frame.rows * DOTS_DOWN)


def _style(line: PlotLine) -> str:
    return "faint" if line.is_faint else f"line{line.colour % NUM_COLOURS}"


def _draw_markers(
    cells: Cells,
    frame: Frame,
    plot: Plot,
    line: PlotLine,
    places_W: Floats,
    taken: set[tuple[int, int]],
) -> None:
    """A shape at the end of the line, and along it where there are several.

    Where another line's shape stands already, it goes to the left along its own line.
    """
    known = np.flatnonzero((places_W >= 0) & (places_W <= 1))
    if not len(known):
        return
    columns = {int(known[-1])}
    if sum(not other.is_faint for other in plot.lines) > 1:
        every = _CELLS_PER_MARKER * DOTS_ACROSS
        wanted = np.arange(line.colour * every // NUM_COLOURS % every, len(places_W), every)
        nearest = known[np.clip(np.searchsorted(known, wanted), None, len(known) - 1)]
        columns |= set(nearest.tolist())
    shape = marker(line.colour, plot.ascii_only)
    for column in columns:
        before = known[known <= column][: -_MOST_TRIED - 1 : -1].tolist()
        at = next(
            (cell for each in before if (cell := _cell(frame, places_W, each)) not in taken), None
        )
        if at is not None:
            taken.add(at)
            cells.put(*at, shape, _style(line))


def _cell(frame: Frame, places_W: Floats, column: int) -> tuple[int, int]:
    """The cell of a line's point in a pixel column."""
    row = round((1 - places_W[column]) * (frame.rows * DOTS_DOWN - 1)) // DOTS_DOWN
    return row, frame.left + column // DOTS_ACROSS


def has_none_on_log(envelope: Envelope) -> Bools:
    """In which columns there is a value that a logarithm has no place for."""
    return np.asarray(envelope.low_W <= 0)
