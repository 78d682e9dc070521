"""Published accuracies as a picture: a dot a number, under the words of how it was asked.

Numbers that were asked or scored in different ways stand in different groups, so that nobody reads
a ranking across them.
"""

from collections.abc import Sequence
from typing import Final

from vtk.evals.published import Published
from vtk.svg import Scale, element, label, picture, title

CHANCE: Final = {"mmvu": 1 / 5, "video-holmes": 1 / 6, "mvbench": 0.283, "video-mme": 1 / 4}
"""What guessing gets, where it is one number: one in the options; MVBench's options were counted
in the recipe's file."""

DRAWN_TYPES: Final = ("all", "observational", "inferential")
_WIDTH_PX, _NAME_PX, _VALUE_PX = 760.0, 268.0, 46.0
_ROW_PX, _GROUP_PX, _HEAD_PX, _FOOT_PX = 17.0, 44.0, 34.0, 26.0
_DOT_PX = 4.5
_TICKS: Final = (0.0, 0.25, 0.5, 0.75, 1.0)
_STYLE: Final = """
svg { background: #fff; }
text { font: 11px sans-serif; fill: #444; }
.chart-title { font-weight: bold; font-size: 13px; fill: #111; }
.asked { font-weight: bold; }
.asked, .source { paint-order: stroke; stroke: #fff; stroke-width: 3px; }
.grid { stroke: #ddd; } .chance { stroke: #767676; stroke-dasharray: 4 3; }
.stem { stroke-width: 1; stroke: #ccc; }
.recipe { fill: #0063b2; } .official { fill: #c44e00; } .strict { fill: #7a3e9d; }
.partial { fill: #00754a; } .per_option { fill: #8a6d00; }
"""

Groups = dict[tuple[str, str], list[Published]]
"""How numbers were asked, and where they are published -> the numbers."""


def draw_published(name: str, numbers: Sequence[Published]) -> str:
    """A standalone SVG of a suite's published accuracies.

    Args:
        name: What the numbers are called.
        numbers: Of one suite, at least one; those of `DRAWN_TYPES` are drawn.
    """
    groups = group_by_asking(numbers)
    rows_px = sum(_GROUP_PX + _ROW_PX * len(group) for group in groups.values())
    bottom_px = _HEAD_PX + rows_px
    x = Scale(0.0, 1.0, _NAME_PX, _WIDTH_PX - _VALUE_PX)
    parts = [element("style", {}, _STYLE), label(name, 4, 18, "chart-title", "start")]
    parts += _axis(x, bottom_px, CHANCE.get(numbers[0].suite))
    y_px = _HEAD_PX
    for (asking, source), group in groups.items():
        parts.append(label(asking, 4, y_px + _GROUP_PX - 25, "asked", "start"))
        parts.append(label(source, 4, y_px + _GROUP_PX - 11, "source", "start"))
        y_px += _GROUP_PX
        for number in group:
            parts.append(_row(number, x, y_px))
            y_px += _ROW_PX
    told = f"{name}: {sum(map(len, groups.values()))} published accuracies, by how they were asked"
    drawn = picture(_WIDTH_PX, bottom_px + _FOOT_PX, told, *parts)
    return drawn.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1) + "\n"


def group_by_asking(numbers: Sequence[Published]) -> Groups:
    """The numbers that are drawn, the best of a group first; groups in the order of the file."""
    groups: Groups = {}
    for number in numbers:
        if number.type in DRAWN_TYPES:
            kind = "" if number.type == "all" else f"{number.type}, "
            asking = f"{kind}{number.protocol}: {number.asked}"
            groups.setdefault((asking, number.source), []).append(number)
    return {
        key: sorted(group, key=lambda number: -number.accuracy) for key, group in groups.items()
    }


def _axis(x: Scale, bottom_px: float, chance: float | None) -> list[str]:
    parts = []
    for tick in _TICKS:
        line = {"x1": x(tick), "x2": x(tick), "y1": _HEAD_PX, "y2": bottom_px, "class": "grid"}
        parts += [element("line", line), label(f"{100 * tick:.0f} %", x(tick), bottom_px + 15)]
    if chance is not None:
        line = {"x1": x(chance), "x2": x(chance), "y1": _HEAD_PX, "y2": bottom_px}
        parts += [element("line", line | {"class": "chance"})]
        parts += [label(f"chance {100 * chance:.1f} %", x(chance), _HEAD_PX - 5)]
    return parts


def _row(number: Published, x: Scale, top_px: float) -> str:
    y_px = top_px + _ROW_PX / 2
    stem = {"x1": x(0.0), "x2": x(number.accuracy), "y1": y_px, "y2": y_px, "class": "stem"}
    dot = {"cx": x(number.accuracy), "cy": y_px, "r": _DOT_PX, "class": number.protocol}
    percent = f"{100 * number.accuracy:.1f}"
    return "".join(
        [
            label(number.model, x.first_px - 10, y_px + 4, "name", "end"),
            element("line", stem),
            element("circle", dot, title(f"{number.model}: {percent} %, {number.source}")),
            label(percent, _WIDTH_PX - 6, y_px + 4, "value", "end"),
        ]
    )
