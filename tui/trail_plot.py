"""The picture of a trail: raw points, the smoothed trail, its ends, the quarters; pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import numpy as np

from tui.braille import DOTS_ACROSS, DOTS_DOWN, braille_cells, cell_text
from tui.plot_parts import Cells
from tui.scales import Scale, fitted_scale, step_ticks, tick_labels, ticks
from tui.series import Bools, Floats
from tui.trail import QUARTERS, Trail

_LEFT: Final = 8
_BELOW: Final = 2
_SMALLEST: Final = (12, 3)
_MOST_CORNERS: Final = 400
_DOTS_PER_CORNER: Final = 24
_ROOM: Final = 0.15
_AXIS_NAMES: Final = (
    "signed KL, nats/token (away from the bias model to the right)",
    "signed KL, nats/token: away from the bias model",
    "signed KL, nats/token",
)
_MOST_STEPS: Final = 4
_BLANK: Final = " ┊┈:-|"
_CELL_RATIO: Final = 2.0
"""Height of a cell by its width, as most fonts have it."""
CURSOR: Final = "○✚"
ASCII_CURSOR: Final = "o+"
"""What the crosshair puts on the step's own point, and on the trail's."""


@dataclass(frozen=True, slots=True)
class _Area:
    """The cells of the picture itself, and the scales of both axes."""

    columns: int
    rows: int
    x: Scale
    y: Scale

    def cell(self, distance: float, reward: float) -> tuple[int, int]:
        """Row and column of a point, within the cells of the whole picture."""
        x = float(self.x.place(np.array([distance]))[0])
        y = float(self.y.place(np.array([reward]))[0])
        return round((1 - y) * (self.rows - 1)), _LEFT + round(x * (self.columns - 1))

    def dots(self, distance_T: Floats, reward_T: Floats) -> Bools:
        """Which dots the points set, [rows of dots, columns of dots]."""
        dots = np.zeros((self.rows * DOTS_DOWN, self.columns * DOTS_ACROSS), np.bool_)
        across = np.rint(self.x.place(distance_T) * (dots.shape[1] - 1)).astype(int)
        down = np.rint((1 - self.y.place(reward_T)) * (dots.shape[0] - 1)).astype(int)
        dots[np.clip(down, 0, dots.shape[0] - 1), np.clip(across, 0, dots.shape[1] - 1)] = True
        return dots


def draw_trail(
    trail: Trail, width: int, height: int, ascii_only: bool, cursor: int | None = None
) -> Cells:
    """Return the picture in `width` x `height` cells; blank where there is no room for one.

    Args:
        trail: What is in sight of the run.
        width: Cells across.
        height: Cells down.
        ascii_only: Use ASCII characters only.
        cursor: The step under the crosshair.
    """
    cells, area = Cells(width, height), _area(trail, width, height)
    if area is None:
        return cells
    _draw_cross(cells, area, trail, ascii_only)
    _put_dots(cells, area.dots(trail.distance_T, trail.reward_T), "faint", ascii_only)
    half = len(trail.steps_T) // 2
    for part, style in ((slice(0, half + 1), "line4"), (slice(half, None), "line0")):
        path = _path(trail.smooth_distance_T[part], trail.smooth_reward_T[part])
        _put_dots(cells, area.dots(*path), style, ascii_only)
    _draw_quarters(cells, area, trail)
    points = list(_points(area, trail, cursor, ascii_only))
    _draw_steps(cells, area, trail, {at for at, *_ in points})
    _draw_cursor(cells, area, trail, cursor, ascii_only)
    for at, shape, style in points:
        cells.put(*at, shape, style)
    _draw_axes(cells, area)
    return cells


def step_near(trail: Trail, width: int, height: int, column: int, row: int) -> int | None:
    """The step whose point on the line is nearest to a cell; None where nothing is drawn.

    Args:
        trail: As it was drawn.
        width: Cells across.
        height: Cells down.
        column: Of the cell, from the left.
        row: Of the cell, from above.
    """
    area = _area(trail, width, height)
    if area is None:
        return None
    across = area.x.place(trail.smooth_distance_T) * (area.columns - 1) - (column - _LEFT)
    down = (1 - area.y.place(trail.smooth_reward_T)) * (area.rows - 1) - row
    return int(trail.steps_T[np.argmin(across**2 + (_CELL_RATIO * down) ** 2)])


def _area(trail: Trail, width: int, height: int) -> _Area | None:
    columns, rows = width - _LEFT, height - _BELOW
    if columns < _SMALLEST[0] or rows < _SMALLEST[1]:
        return None
    (x0, y0) = trail.origin
    return _Area(columns, rows, _scale(trail.distance_T, x0), _scale(trail.reward_T, y0))


def _scale(values_T: Floats, origin: float) -> Scale:
    """An axis with all points in sight and the cross not at its edge."""
    low, high = float(values_T.min()), float(values_T.max())
    room = max(high - low, abs(origin) * 0.05, 1e-6) * _ROOM
    return fitted_scale("linear", min(low, origin - room), max(high, origin + room))


def _path(distance_T: Floats, reward_T: Floats) -> tuple[Floats, Floats]:
    """Points so close that they make a line: straight between at most `_MOST_CORNERS` steps."""
    num_corners = min(len(distance_T), _MOST_CORNERS)
    corners = np.linspace(0, len(distance_T) - 1, num_corners)
    fine = np.linspace(0, num_corners - 1, max(2, num_corners * _DOTS_PER_CORNER))
    at, every = np.interp(fine, np.arange(num_corners), corners), np.arange(len(distance_T))
    return np.interp(at, every, distance_T), np.interp(at, every, reward_T)


def _put_dots(cells: Cells, dots: Bools, style: str, ascii_only: bool) -> None:
    for row, text in enumerate(cell_text(braille_cells(dots), ascii_only)):
        for column, char in enumerate(text):
            if char != " ":
                cells.put(row, _LEFT + column, char, style)


def _draw_cross(cells: Cells, area: _Area, trail: Trail, ascii_only: bool) -> None:
    across, down = ("-", "|") if ascii_only else ("┈", "┊")
    row, column = area.cell(*trail.origin)
    cells.put(row, _LEFT, across * area.columns, "zero")
    for each in range(area.rows):
        cells.put(each, column, down, "zero")


def _draw_quarters(cells: Cells, area: _Area, trail: Trail) -> None:
    """The names in the corners; in a narrow quarter a word a line, cut where it must be."""
    _, column = area.cell(*trail.origin)
    left_room, right_room = column - _LEFT - 1, _LEFT + area.columns - column - 1
    for (is_away, is_better), name in QUARTERS.items():
        room = max(0, right_room if is_away else left_room)
        shown = [name] if len(name) <= room else name.split()
        first_row = 0 if is_better else area.rows - len(shown)
        for row, words in enumerate(shown, start=first_row):
            at = _LEFT + area.columns - len(words[:room]) if is_away else _LEFT
            cells.put(row, at, words[:room], "note")


def _draw_steps(cells: Cells, area: _Area, trail: Trail, taken: set[tuple[int, int]]) -> None:
    """The number of some steps beside the trail: its direction without colours.

    Two numbers that met would read as a third, so one that has no room of its own is left out.
    """
    wanted = step_ticks(float(trail.steps_T[0]), float(trail.steps_T[-1]), _MOST_STEPS)
    for step in wanted:
        index = int(np.searchsorted(trail.steps_T, step))
        row, column = area.cell(trail.smooth_distance_T[index], trail.smooth_reward_T[index])
        style = "line4" if index <= len(trail.steps_T) // 2 else "line0"
        text = str(step)
        start = min(column + 1, cells.width - len(text))
        around = {(row, start + offset) for offset in range(-1, len(text) + 1)}
        if taken.isdisjoint(around - {(row, start - 1)}):
            cells.put(row, start, text, style)
            taken |= around


def _points(
    area: _Area, trail: Trail, cursor: int | None, ascii_only: bool
) -> Iterator[tuple[tuple[int, int], str, str]]:
    """Cell, shape and style of both ends, of the step under the crosshair and of its average."""
    for index, shape, style in ((0, "S", "mark"), (-1, "@" if ascii_only else "●", "cursor")):
        at = area.cell(trail.smooth_distance_T[index], trail.smooth_reward_T[index])
        yield at, shape, style
    chosen = None if cursor is None else trail.index_at(cursor)
    if chosen is not None:
        own, average = ASCII_CURSOR if ascii_only else CURSOR
        yield area.cell(trail.distance_T[chosen], trail.reward_T[chosen]), own, "cursor"
        at = area.cell(trail.smooth_distance_T[chosen], trail.smooth_reward_T[chosen])
        yield at, average, "cursor"


def _draw_cursor(
    cells: Cells, area: _Area, trail: Trail, cursor: int | None, ascii_only: bool
) -> None:
    """Lines from both axes to the point on the trail."""
    index = None if cursor is None else trail.index_at(cursor)
    if index is None:
        return
    row, column = area.cell(trail.smooth_distance_T[index], trail.smooth_reward_T[index])
    to_left = [(row, each, "-" if ascii_only else "─") for each in range(_LEFT, column)]
    to_bottom = [(each, column, "|" if ascii_only else "│") for each in range(row + 1, area.rows)]
    for at_row, at_column, shape in (*to_left, *to_bottom):
        if cells.chars[at_row][at_column] in _BLANK:
            cells.put(at_row, at_column, shape, "cursor")


def _draw_axes(cells: Cells, area: _Area) -> None:
    values = ticks(area.y, max(2, area.rows // 3))
    for value, label in zip(values, tick_labels(values), strict=True):
        row, _ = area.cell(area.x.low, value)
        cells.put(row, 0, label.rjust(_LEFT - 1)[: _LEFT - 1], "axis")
    values = ticks(area.x, max(2, area.columns // 12))
    for value, label in zip(values, tick_labels(values), strict=True):
        _, column = area.cell(value, area.y.low)
        cells.put(area.rows, min(column, cells.width - len(label)), label, "axis")
    fitting = [name for name in _AXIS_NAMES if len(name) <= area.columns]
    cells.put(area.rows + 1, _LEFT, (fitting or [""])[0], "axis")
