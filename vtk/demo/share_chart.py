"""Which strategy the completions follow: one stacked bar per model and question type."""

from collections.abc import Mapping, Sequence
from typing import Any, Final

from vtk.format import format_percent
from vtk.svg import element, label, picture, title

STRATEGIES: Final = ("reason", "describe", "neither")
_ROW_PX, _HEAD_PX, _WIDTH_PX = 30.0, 28.0, 500.0
_BAR_PX, _MIN_TEXT_PX = 18.0, 34.0
_NAME_GAP_PX, _CHAR_PX = 22.0, 8.2


def draw_shares(heading: str, rows: Sequence[tuple[str, Mapping[str, Mapping[str, Any]]]]) -> str:
    """Stacked bars from 0 to 100 %.

    Args:
        heading: The chart's title.
        rows: Name of the model, and strategy -> {n, share, accuracy}.
    """
    height_px = _HEAD_PX + _ROW_PX * len(rows)
    parts = [label(heading, 2, 14, "chart-title", "start")]
    told = []
    name_px = _NAME_GAP_PX + _CHAR_PX * max((len(name) for name, _ in rows), default=0)
    for number, (name, shares) in enumerate(rows):
        y_px = _HEAD_PX + _ROW_PX * number
        parts.append(label(name, name_px - 12, y_px + 13, "row-name", "end"))
        parts.append(_draw_bar(name, shares, name_px, y_px))
        told.append(f"{name} reasons in {format_percent(shares['reason']['share'], 0)}")
    return picture(_WIDTH_PX, height_px, f"{heading}: {'; '.join(told)}", *parts)


def _draw_bar(
    name: str, shares: Mapping[str, Mapping[str, Any]], first_px: float, y_px: float
) -> str:
    parts, x_px = [], first_px
    for strategy in STRATEGIES:
        found = shares[strategy]
        width_px = found["share"] * (_WIDTH_PX - first_px - 4)
        if width_px <= 0:
            continue
        text = format_percent(found["share"], 0)
        right = "" if found["accuracy"] is None else f", {format_percent(found['accuracy'])} right"
        box = {"x": x_px, "y": y_px, "width": width_px, "height": _BAR_PX}
        told = title(f"{name}, {strategy}: {text} of completions (n = {found['n']}){right}")
        parts.append(element("rect", box | {"class": f"share {strategy}", "rx": 2.0}, told))
        if width_px >= _MIN_TEXT_PX:
            css = f"share-text on-{strategy}"
            parts.append(label(text, x_px + width_px / 2, y_px + 13, css))
        x_px += width_px
    return "".join(parts)
