"""One metric over steps, growing and sometimes cut back."""

from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from typing import Protocol

Point = tuple[int, float]


class PointSeries(Protocol):
    """What the fold puts the points of one metric into; a reader of many points brings its own."""

    def add(self, step: int, value: float) -> None:
        """Put in one point; a step written twice keeps its last value."""

    def drop_after(self, step: int) -> None:
        """Take out the points of later steps."""

    def points(self) -> Sequence[Point]:
        """Return all points by rising step; what was returned never changes."""


class Series:
    """The points of one metric by rising step: a step written twice keeps its last value."""

    def __init__(self) -> None:
        self._points: list[Point] = []
        self._frozen: tuple[Point, ...] | None = ()

    def add(self, step: int, value: float) -> None:
        """Put in one point."""
        self._frozen = None
        if not self._points or step > self._points[-1][0]:
            self._points.append((step, value))
            return
        index = bisect_left(self._points, step, key=_step_of)
        is_there = index < len(self._points) and self._points[index][0] == step
        self._points[index : index + is_there] = [(step, value)]

    def drop_after(self, step: int) -> None:
        """Take out the points of later steps."""
        self._frozen = None
        del self._points[bisect_right(self._points, step, key=_step_of) :]

    def points(self) -> tuple[Point, ...]:
        """Return all points; the same object until something changes."""
        if self._frozen is None:
            self._frozen = tuple(self._points)
        return self._frozen


def _step_of(point: Point) -> int:
    return point[0]
