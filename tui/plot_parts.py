"""What a chart consists of: lines, marks and lanes, and the cells and places they become."""

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from tui.braille import DOTS_DOWN
from tui.scales import Scale, ScaleName
from tui.series import ColumnView

MARKERS: Final = "●▲■◆✚▼"
ASCII_MARKERS: Final = "oa#d+v"
NUM_COLOURS: Final = len(MARKERS)


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
class Lane:
    """What happened in one of several runs, in a row of its own below the steps.

    Attributes:
        colour: Names the run's colour and marker, as its line's does.
        marks: The marks.
    """

    colour: int
    marks: tuple[PlotMark, ...]


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
        lanes: Rows of marks below the steps, the first ones where there is not room for all.
    """

    lines: Sequence[PlotLine]
    marks: Sequence[PlotMark] = ()
    window: tuple[float, float] | None = None
    scale: ScaleName = "linear"
    zero: bool = False
    values: tuple[float, float] | None = None
    cursor: int | None = None
    ascii_only: bool = False
    lanes: Sequence[Lane] = ()


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
