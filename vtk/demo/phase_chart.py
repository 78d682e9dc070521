"""The phase diagram: towards which strategy training drifts, one panel per beta."""

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

from vtk.demo.phase import (
    SHARE_AXIS,
    PhasePoint,
    critical_accuracy,
    drift,
    drift_grid,
)
from vtk.format import format_number
from vtk.svg import Scale, element, label, nice_ticks, picture, title

_SIZE_PX, _LEFT_PX, _RIGHT_PX, _TOP_PX, _BOTTOM_PX = 250.0, 44.0, 16.0, 26.0, 36.0
_FULL_DRIFT: Final = 0.12
_NUM_BOUNDARY_POINTS: Final = 60
_LOW_ACCURACY: Final = 0.5
_NUM_ROWS: Final = 10


def draw_phase(point: PhasePoint, betas: Sequence[float], marks: Sequence[PhasePoint] = ()) -> str:
    """One panel per beta.

    A cell's colour says where the drift goes and how strong it is; the line is where it is zero.

    Args:
        point: What the panels share: how often describing is right, and the shares of reasoning.
        betas: KL coefficients, 0 for plain GRPO.
        marks: Policies to mark, at their own share of observational questions and their reasoning
            accuracy on that mixture.
    """
    is_low = any(reasoning_accuracy(mark) < _LOW_ACCURACY for mark in marks)
    first = 0.0 if is_low else _LOW_ACCURACY
    accuracies = [first + (1.0 - first) * row / _NUM_ROWS for row in range(_NUM_ROWS + 1)]
    return "".join(_draw_panel(point, beta, accuracies, marks) for beta in betas)


def reasoning_accuracy(point: PhasePoint) -> float:
    """How often reasoning is right on a policy's own mixture of questions."""
    share = point.observational_frac
    return share * point.reason.observational + (1 - share) * point.reason.inferential


def _draw_panel(
    point: PhasePoint, beta: float, accuracies: Sequence[float], marks: Sequence[PhasePoint]
) -> str:
    x = Scale(0.0, 1.0, _LEFT_PX, _SIZE_PX - _RIGHT_PX)
    y = Scale(accuracies[0], accuracies[-1], _SIZE_PX - _BOTTOM_PX, _TOP_PX)
    name = "plain GRPO" if beta == 0 else f"beta {format_number(beta)}".replace("-", "−")
    parts = [
        label(name, _LEFT_PX, 14, "chart-title", "start"),
        *_cells(point, beta, accuracies, x, y),
        _boundary(point, beta, x, y),
        *_frame(x, y),
        *(_mark(mark, beta, x, y) for mark in marks),
    ]
    boundary = critical_accuracy(point, beta)
    told = "none" if boundary is None else f"at reasoning accuracy {boundary:.2f}"
    share = format_number(point.observational_frac, 2)
    alternative = f"{name}: drift changes sign {told} where {share} of questions are observational"
    return picture(_SIZE_PX, _SIZE_PX, alternative, *parts)


def _cells(
    point: PhasePoint, beta: float, accuracies: Sequence[float], x: Scale, y: Scale
) -> list[str]:
    half_share = (SHARE_AXIS[1] - SHARE_AXIS[0]) / 2
    half_accuracy = (accuracies[1] - accuracies[0]) / 2
    cells = []
    grid = drift_grid(point, beta, accuracies)
    for accuracy, row in zip(accuracies, grid, strict=True):
        for share, value in zip(SHARE_AXIS, row, strict=True):
            left, right = x(max(0.0, share - half_share)), x(min(1.0, share + half_share))
            top = y(min(y.high, accuracy + half_accuracy))
            bottom = y(max(y.low, accuracy - half_accuracy))
            cells.append(
                element(
                    "rect",
                    {
                        "x": left,
                        "y": top,
                        "width": right - left,
                        "height": bottom - top,
                        "class": "to-reason" if value > 0 else "to-describe",
                        "fill_opacity": min(1.0, abs(value) / _FULL_DRIFT),
                    },
                    title(f"{accuracy:.0%} right, {share:.0%} observational: drift {value:+.3f}"),
                )
            )
    return cells


def _boundary(point: PhasePoint, beta: float, x: Scale, y: Scale) -> str:
    """Where the drift is zero, within the panel."""
    places = []
    for number in range(_NUM_BOUNDARY_POINTS + 1):
        share = number / _NUM_BOUNDARY_POINTS
        accuracy = critical_accuracy(replace(point, observational_frac=share), beta)
        if accuracy is not None and y.low <= accuracy <= y.high:
            places.append(f"{x(share):.1f},{y(accuracy):.1f}")
    return element("polyline", {"points": " ".join(places), "class": "boundary"})


def _frame(x: Scale, y: Scale) -> list[str]:
    parts = []
    for tick in (0.0, 0.25, 0.5, 0.75, 1.0):
        parts.append(label(f"{100 * tick:.0f}%", x(tick), y.first_px + 14))
    for tick in nice_ticks(y.low, y.high, 5):
        parts.append(label(f"{100 * tick:.0f}%", x.first_px - 6, y(tick) + 3.5, "tick", "end"))
    middle = (x.first_px + x.last_px) / 2
    parts.append(label("observational questions", middle, y.first_px + 29))
    middle = (y.first_px + y.last_px) / 2
    turned = {"transform": f"rotate(-90 9 {middle:.1f})"}
    parts.append(label("reasoning right", 9, middle, **turned))
    return parts


def _mark(mark: PhasePoint, beta: float, x: Scale, y: Scale) -> str:
    accuracy = reasoning_accuracy(mark)
    place = {"cx": x(mark.observational_frac), "cy": y(accuracy), "r": 6.0, "class": "mark"}
    told = (
        f"the base model: reasoning right on {accuracy:.0%} of its training mixture, "
        f"expected drift {drift(mark, beta):+.3f}"
    )
    return element("circle", place, title(told))
