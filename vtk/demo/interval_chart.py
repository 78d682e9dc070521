"""Estimates with their intervals as dots on a line: accuracies, and differences around zero."""

from collections.abc import Sequence
from dataclasses import dataclass

from vtk.svg import Scale, element, label, nice_ticks, picture, title

_ROW_PX, _HEAD_PX, _FOOT_PX = 24.0, 28.0, 26.0
_VALUE_PX, _DOT_PX = 64.0, 5.0
_NAME_GAP_PX, _CHAR_PX = 22.0, 8.2


@dataclass(frozen=True, slots=True)
class Interval:
    """One estimate: `css` names its colour, the numbers are fractions, `text` stands beside it."""

    name: str
    css: str
    value: float
    ci95: tuple[float, float]
    text: str


def draw_intervals(
    heading: str, rows: Sequence[Interval], *, is_difference: bool = False, width_px: float = 500.0
) -> str:
    """Rows of dots with their 95 % intervals.

    Args:
        heading: The chart's title.
        rows: From top to bottom, at least one.
        is_difference: Values lie around zero, in points; else from 0 % to 100 %.
        width_px: Width of the drawing.
    """
    height_px = _HEAD_PX + _ROW_PX * len(rows) + _FOOT_PX
    ticks = _ticks(rows, is_difference)
    name_px = _NAME_GAP_PX + _CHAR_PX * max(len(row.name) for row in rows)
    x = Scale(ticks[0], ticks[-1], name_px, width_px - _VALUE_PX)
    bottom_px = height_px - _FOOT_PX
    parts = [label(heading, 2, 14, "chart-title", "start")]
    for tick in ticks:
        css = "level" if is_difference and tick == 0 else "grid"
        line = {"x1": x(tick), "x2": x(tick), "y1": _HEAD_PX - 4, "y2": bottom_px, "class": css}
        text = f"{100 * tick:+.0f}".replace("-", "−") if is_difference else f"{100 * tick:.0f}%"
        text = "0" if is_difference and tick == 0 else text
        parts += [element("line", line), label(text, x(tick), bottom_px + 14)]
    for number, row in enumerate(rows):
        parts.append(_draw_row(row, x, _HEAD_PX + _ROW_PX * (number + 0.5), width_px))
    told = "; ".join(f"{row.name} {row.text}" for row in rows)
    return picture(width_px, height_px, f"{heading}: {told}", *parts)


def _ticks(rows: Sequence[Interval], is_difference: bool) -> list[float]:
    if not is_difference:
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    reach = max(0.05, *(abs(end) for row in rows for end in row.ci95))
    ticks = nice_ticks(0.0, reach, 3)
    return [-tick for tick in reversed(ticks[1:])] + ticks


def _draw_row(row: Interval, x: Scale, y_px: float, width_px: float) -> str:
    low, high = row.ci95
    told = title(f"{row.name}: {row.text}, 95 % interval {low:.3f} to {high:.3f}")
    bar = {"x1": x(low), "x2": x(high), "y1": y_px, "y2": y_px, "class": f"bar {row.css}"}
    dot = {"cx": x(row.value), "cy": y_px, "r": _DOT_PX, "class": f"dot {row.css}"}
    return "".join(
        [
            label(row.name, x.first_px - 12, y_px + 4, "row-name", "end"),
            element("line", bar, told),
            element("circle", dot, told),
            label(row.text, width_px - 4, y_px + 4, "row-value", "end"),
        ]
    )
