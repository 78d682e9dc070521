"""One chart as cells: lines, axes, marks and the crosshair; pure, so it is drawn without an app.

The result is characters with the name of a style each. What is drawn later covers what was drawn
before, whole cells at a time, so that the colours of two lines never mix in one cell.
"""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np

from tui.braille import DOTS_ACROSS, DOTS_DOWN, braille_cells, cell_text, line_dots
from tui.scales import Scale, ScaleName, fitted_scale, step_ticks, tick_labels, ticks
from tui.series import Bools, ColumnView, Envelope, Floats

MARKERS: Final = "●▲■◆✚▼"
ASCII_MARKERS: Final = "oa#d+v"
NUM_COLOURS: Final = len(MARKERS)
_LABEL_CHARS: Final = 9
_ROWS_PER_TICK: Final = 3
_CELLS_PER_STEP_TICK: Final = 12
_CELLS_PER_MARKER: Final = 14
_CELLS_PER_MARK: Final = 4
_BESIDE: Final = (0, 1, -1, 2, -2)
_SMALLEST: Final = (12, 3)


def marker(number: int, ascii_only: bool) -> str:
    """The shape of a line; with its colour it differs from those of the 35 lines before."""
    shapes = ASCII_MARKERS if ascii_only else MARKERS
    return shapes[(number + number // NUM_COLOURS) % NUM_COLOURS]


@dataclass(frozen=True, slots=True)
class PlotLine:
    """One line: `colour` also numbers its marker; `is_faint` is the raw data behind an average."""

    label: str
    view: ColumnView
    colour: int = 0
    is_faint: bool = False


@dataclass(frozen=True, slots=True)
class PlotMark:
    """Something that happened at a step: a letter below a vertical line, on the axis."""

    step: int
    letter: str
    style: str = "mark"


@dataclass(frozen=True, slots=True)
class Plot:
    """What to draw.

    Attributes:
        lines: In the order in which they are drawn.
        marks: Vertical marks.
        window: First and last step in sight; None is all there is.
        scale: Kind of the vertical axis.
        zero: Keep zero in sight and draw a line there.
        values: Lowest and highest value in sight; None fits the axis to the data.
        cursor: The step under the crosshair.
        ascii_only: Use ASCII characters only.
    """

    lines: Sequence[PlotLine]
    marks: Sequence[PlotMark] = ()
    window: tuple[float, float] | None = None
    scale: ScaleName = "linear"
    zero: bool = False
    values: tuple[float, float] | None = None
    cursor: int | None = None
    ascii_only: bool = False


@dataclass(slots=True)
class Cells:
    """Rows of characters, each with the name of its style ("" is plain)."""

    width: int
    height: int
    chars: list[list[str]] = field(init=False)
    styles: list[list[str]] = field(init=False)

    def __post_init__(self) -> None:
        self.chars = [[" "] * self.width for _ in range(self.height)]
        self.styles = [[""] * self.width for _ in range(self.height)]

    def put(self, row: int, column: int, text: str, style: str) -> None:
        """Write `text`; what lies outside is left out."""
        if 0 <= row < self.height:
            for offset, char in enumerate(text):
                if 0 <= column + offset < self.width:
                    self.chars[row][column + offset] = char
                    self.styles[row][column + offset] = style

    def text(self) -> str:
        """The characters as lines."""
        return "\n".join("".join(row).rstrip() for row in self.chars)


@dataclass(frozen=True, slots=True)
class Frame:
    """Where things lie on the cells: the area of the lines, and what a column and a row mean."""

    left: int
    columns: int
    rows: int
    window: tuple[float, float]
    scale: Scale

    def column_of(self, step: float) -> int:
        """The cell column of a step, within the cells of the whole chart."""
        first, last = self.window
        share = (step - first) / (last - first)
        return self.left + min(self.columns - 1, math.floor(share * self.columns))

    def step_at(self, column: int) -> int:
        """The step nearest to the middle of a cell column."""
        first, last = self.window
        middle = first + (column - self.left + 0.5) / self.columns * (last - first)
        return min(math.ceil(last) - 1, max(math.ceil(first), round(middle)))

    def row_of(self, value: float) -> int | None:
        """The cell row of a value; None if it is out of sight."""
        place = float(self.scale.place(np.array([value]))[0])
        if not 0 <= place <= 1:
            return None
        return round((1 - place) * (self.rows * DOTS_DOWN - 1)) // DOTS_DOWN


def extent(views: Iterable[ColumnView]) -> tuple[float, float]:
    """Return the window that holds all points: whole steps, the end excluded."""
    ends = [(int(view.steps_T[0]), int(view.steps_T[-1])) for view in views if len(view)]
    firsts, lasts = [first for first, _ in ends], [last for _, last in ends]
    if not firsts:
        return 0.0, 1.0
    return float(min(firsts)), float(max(lasts) + 1)


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
    for line, envelope in zip(plot.lines, envelopes, strict=True):
        _draw_line(cells, frame, plot, line, envelope)
    _draw_bad(cells, frame, plot, envelopes)
    _draw_cursor(cells, frame, plot)
    _draw_axes(cells, frame, plot)
    return cells, frame


def _framed(plot: Plot, width: int, height: int) -> tuple[Frame, list[Envelope]]:
    rows, window = height - 1, plot.window or extent(line.view for line in plot.lines)
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


def _letters(frame: Frame, plot: Plot) -> dict[int, PlotMark]:
    """Column to mark; those of one column stand beside each other, the last kind first."""
    placed: dict[int, PlotMark] = {}
    known: set[tuple[int, str]] = set()
    for mark in reversed(_in_sight(plot.marks, frame)):
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


def _draw_line(cells: Cells, frame: Frame, plot: Plot, line: PlotLine, envelope: Envelope) -> None:
    lows, highs = frame.scale.place(envelope.low_W), frame.scale.place(envelope.high_W)
    if frame.scale.name == "log":  # no line is drawn over what has no place
        envelope = replace(envelope, bad_W=envelope.bad_W | _has_none_on_log(envelope))
    dots = line_dots(envelope, lows, highs, frame.rows * DOTS_DOWN)
    style = "faint" if line.is_faint else f"line{line.colour % NUM_COLOURS}"
    for row, text in enumerate(cell_text(braille_cells(dots), plot.ascii_only)):
        for column, char in enumerate(text):
            if char != " ":
                cells.put(row, frame.left + column, char, style)
    if not line.is_faint:
        _draw_markers(cells, frame, plot, line, lows, style)


def _draw_markers(
    cells: Cells, frame: Frame, plot: Plot, line: PlotLine, places_W: Floats, style: str
) -> None:
    """A shape at the end of the line, and along it where there are several."""
    known = np.flatnonzero(np.isfinite(places_W))
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
        if 0 <= places_W[column] <= 1:
            row = round((1 - places_W[column]) * (frame.rows * DOTS_DOWN - 1)) // DOTS_DOWN
            cells.put(row, frame.left + column // DOTS_ACROSS, shape, style)


def _has_none_on_log(envelope: Envelope) -> Bools:
    """In which columns there is a value that a logarithm has no place for."""
    return np.asarray(envelope.low_W <= 0)


def _draw_bad(cells: Cells, frame: Frame, plot: Plot, envelopes: Sequence[Envelope]) -> None:
    """What has no height is told at the bottom: an arrow for zero and below on a logarithmic scale,
    a cross for what is not finite.
    """
    if frame.scale.name == "log":
        is_below = np.logical_or.reduce([_has_none_on_log(each) for each in envelopes])
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


def _draw_axes(cells: Cells, frame: Frame, plot: Plot) -> None:
    values = ticks(frame.scale, max(2, frame.rows // _ROWS_PER_TICK))
    for value, label in zip(values, tick_labels(values), strict=True):
        row = frame.row_of(value)
        if row is not None:
            cells.put(row, 0, label[: frame.left - 1].rjust(frame.left - 1), "axis")
    letters = _letters(frame, plot)
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
