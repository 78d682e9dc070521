"""`vtk bench growth` as a picture: seconds of a step over each size, a panel for each."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtk.format import format_number
from vtk.svg import Scale, element, label, nice_ticks, picture, tick_text

PANEL_PX: Final = (320.0, 230.0)
_LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 44.0, 66.0, 40.0, 42.0
_STYLE: Final = """
svg { background: #fff; }
text { font: 11px sans-serif; fill: #444; }
.chart-title { font-weight: bold; fill: #111; }
.grid { stroke: #ddd; }
polyline { fill: none; stroke-width: 2; }
.published { stroke: #c44e00; } .reference { stroke: #767676; stroke-dasharray: 5 3; }
.shared { stroke: #0063b2; }
text.published { stroke: none; fill: #c44e00; } text.reference { stroke: none; fill: #767676; }
text.shared { stroke: none; fill: #0063b2; font-weight: bold; }
circle { fill: #fff; stroke-width: 2; }
"""


def draw_growth(document: Mapping[str, Any]) -> str:
    """A standalone SVG.

    Args:
        document: Of `bench_growth`.
    """
    axes, (width_px, height_px) = document["axes"], PANEL_PX
    panels = [
        element("g", {"transform": f"translate({number * width_px:g} 0)"}, _panel(axis))
        for number, axis in enumerate(axes)
    ]
    told = "; ".join(f"{axis['name']}: {_course(axis['points'])}" for axis in axes)
    drawn = picture(
        width_px * len(axes), height_px, f"Seconds of a step. {told}", _style(), *panels
    )
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)


def _style() -> str:
    return f"<style>{_STYLE}</style>"


def _course(points: Sequence[Mapping[str, Any]]) -> str:
    last = points[-1]
    times = ", ".join(
        f"{format_number(ratio['median'], 2)} times of {name}"
        for name, ratio in last["ratio"].items()
    )
    return f"at {last['value']} shared is {times}"


def _panel(axis: Mapping[str, Any]) -> str:
    points = axis["points"]
    names = list(points[0]["seconds"])
    ticks = nice_ticks(0.0, max(max(point["seconds"].values()) for point in points))
    x = Scale(0, points[-1]["value"], _LEFT_PX, PANEL_PX[0] - _RIGHT_PX)
    y = Scale(0, ticks[-1], PANEL_PX[1] - _BOTTOM_PX, _TOP_PX)
    parts = [label("seconds of a step", 2, 14, "chart-title", "start")]
    for tick in ticks:
        line = {"x1": x.first_px, "x2": x.last_px, "y1": y(tick), "y2": y(tick), "class": "grid"}
        parts.append(element("line", line))
        parts.append(label(tick_text(tick, ticks), x.first_px - 6, y(tick) + 3.5, "tick", "end"))
    for point in points:
        parts.append(label(point["value"], x(point["value"]), y.first_px + 15))
    parts.append(label(axis["name"], (x.first_px + x.last_px) / 2, y.first_px + 32))
    return "".join(parts + [_curve(name, points, x, y) for name in names])


def _curve(name: str, points: Sequence[Mapping[str, Any]], x: Scale, y: Scale) -> str:
    places = [(x(point["value"]), y(point["seconds"][name])) for point in points]
    text = " ".join(f"{left:.1f},{top:.1f}" for left, top in places)
    marks = [
        element("circle", {"cx": left, "cy": top, "r": 2.6, "class": name}) for left, top in places
    ]
    left, top = places[-1]
    return "".join(
        [
            element("polyline", {"points": text, "class": name}),
            *marks,
            label(name, left + 6, top + 3.5, name, "start"),
        ]
    )
