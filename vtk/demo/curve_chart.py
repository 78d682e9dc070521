"""A metric over the steps of several runs as one small line chart."""

import math
from collections.abc import Sequence
from dataclasses import dataclass

from vtk.format import format_number
from vtk.svg import Scale, element, label, nice_ticks, picture, tick_text, title

Points = Sequence[tuple[int, float]]

WIDTH_PX, HEIGHT_PX = 330.0, 208.0
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 46.0, 12.0, 34.0, 30.0
_SMOOTHING = 0.85
_MAX_RAW_POINTS = 25


@dataclass(frozen=True, slots=True)
class Curve:
    """One run's values: `css` names its colour and dash, `name` is what the legend says."""

    name: str
    css: str
    points: Points


@dataclass(frozen=True, slots=True)
class CurveChart:
    """What one chart shows.

    Attributes:
        heading: Its title.
        curves: One per run; those without points are left out.
        unit: Shown behind the title.
        is_percent: The values are fractions, drawn from 0 % to 100 %.
        level: A horizontal line, such as zero.
        note: Said in place of curves where there are none.
    """

    heading: str
    curves: Sequence[Curve]
    unit: str = ""
    is_percent: bool = False
    level: float | None = None
    note: str = "not measured"


def draw_curves(chart: CurveChart) -> str:
    """The chart as SVG; raw values are faint behind their smoothed course."""
    curves = [curve for curve in chart.curves if _finite(curve.points)]
    head = label(chart.heading, 2, 14, "chart-title", "start")
    if chart.unit:
        head += label(chart.unit, WIDTH_PX - _RIGHT_PX, 14, "tick", "end")
    if not curves:
        empty = label(chart.note, WIDTH_PX / 2, HEIGHT_PX / 2, "tick")
        return picture(WIDTH_PX, HEIGHT_PX, f"{chart.heading}: {chart.note}", head, empty)
    ticks = _value_ticks(chart, curves)
    last_step = max(step for curve in curves for step, _ in curve.points)
    x = Scale(0, max(1, last_step), _LEFT_PX, WIDTH_PX - _RIGHT_PX)
    y = Scale(ticks[0], ticks[-1], HEIGHT_PX - _BOTTOM_PX, _TOP_PX)
    drawn = [_draw_curve(curve, x, y, chart) for curve in reversed(curves)]  # dashed over solid
    body = _axes(chart, x, y, ticks) + "".join(drawn)
    told = ", ".join(f"{c.name} ends at {format_number(smooth(c.points)[-1][1])}" for c in curves)
    return picture(WIDTH_PX, HEIGHT_PX, f"{chart.heading}: {told}", head, body)


def smooth(points: Points, weight: float = _SMOOTHING) -> list[tuple[int, float]]:
    """Exponential moving average without its start bias; non-finite values are left out."""
    smoothed, total, norm = [], 0.0, 0.0
    for step, value in _finite(points):
        total = weight * total + (1 - weight) * value
        norm = weight * norm + (1 - weight)
        smoothed.append((step, total / norm))
    return smoothed


def _finite(points: Points) -> list[tuple[int, float]]:
    return [(step, value) for step, value in points if math.isfinite(value)]


def _value_ticks(chart: CurveChart, curves: Sequence[Curve]) -> list[float]:
    if chart.is_percent:
        return [0.0, 0.25, 0.5, 0.75, 1.0]
    values = [value for curve in curves for _, value in _finite(curve.points)]
    values += [] if chart.level is None else [chart.level]
    return nice_ticks(min(values), max(values))


def _axes(chart: CurveChart, x: Scale, y: Scale, ticks: Sequence[float]) -> str:
    parts = []
    for tick in ticks:
        line = {"x1": x.first_px, "x2": x.last_px, "y1": y(tick), "y2": y(tick), "class": "grid"}
        parts.append(element("line", line))
        text = tick_text(tick, ticks, chart.is_percent)
        parts.append(label(text, x.first_px - 6, y(tick) + 3.5, "tick", "end"))
    steps = [tick for tick in nice_ticks(0, x.high) if tick <= x.high]
    for step in steps:
        parts.append(label(f"{step:g}", x(step), y.first_px + 15, "tick"))
    parts.append(label("step", x.last_px, y.first_px + 27, "tick", "end"))
    if chart.level is not None:
        where = y(chart.level)
        line = {"x1": x.first_px, "x2": x.last_px, "y1": where, "y2": where, "class": "level"}
        parts.append(element("line", line))
    return "".join(parts)


def _draw_curve(curve: Curve, x: Scale, y: Scale, chart: CurveChart) -> str:
    finite = _finite(curve.points)
    is_sparse = len(finite) <= _MAX_RAW_POINTS
    course = finite if is_sparse else smooth(curve.points)
    parts = []
    if not is_sparse:
        parts.append(_polyline(finite, x, y, f"raw {curve.css}"))
    parts.append(_polyline(course, x, y, f"course {curve.css}"))
    step, value = course[-1]
    shown = f"{100 * value:.1f} %" if chart.is_percent else format_number(value)
    end = {"cx": x(step), "cy": y(value), "r": 3.2, "class": f"end {curve.css}"}
    parts.append(element("circle", end, title(f"{curve.name}, step {step}: {shown}")))
    for step, value in curve.points:
        if not math.isfinite(value):
            told = title(f"{curve.name}, step {step}: {value}")
            where = {"x": x(step), "y": y.last_px + 4, "class": f"lost {curve.css}"}
            parts.append(element("text", where | {"text_anchor": "middle"}, "×", told))
    return "".join(parts)


def _polyline(points: Points, x: Scale, y: Scale, css: str) -> str:
    places = " ".join(f"{x(step):.1f},{y(value):.1f}" for step, value in points)
    return element("polyline", {"points": places, "class": css})
