"""Points in columns: NumPy arrays that grow at their end, with a min/max pyramid above them.

A million points are drawn from the pyramid level that has a few blocks for each pixel column, so a
drawing costs what the screen is wide. Appending costs the new points only; cutting a series back
(a new attempt) copies it, so that a view that was handed out never changes.

Shapes: T points, K blocks of a level, W pixel columns.
"""

import itertools
import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, overload

import numpy as np
from numpy.typing import NDArray

from vtk.runs.series import Point

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Bools = NDArray[np.bool_]

BLOCK: Final = 16
_MIN_CAPACITY: Final = 256
_BLOCKS_PER_COLUMN: Final = 4
_NUM_LEVELS: Final = 5
_GENERATIONS: Final = itertools.count()
"""Never the same number twice in a process, so that two series never pass for one."""


@dataclass(frozen=True, slots=True)
class Envelope:
    """What lies in each pixel column: smallest and largest finite value, and whether any is not.

    A column without a finite point has NaN in `low_W` and `high_W`.
    """

    low_W: Floats
    high_W: Floats
    bad_W: Bools


class _Growing:
    """An array that is appended to; `taken` views stay as they were."""

    def __init__(self, dtype: Any) -> None:
        self.size = 0
        self._array = np.empty(_MIN_CAPACITY, dtype)

    def append(self, values: NDArray[Any]) -> None:
        """Put `values` at the end."""
        end = self.size + len(values)
        if end > len(self._array):
            grown = np.empty(max(end, 2 * len(self._array)), self._array.dtype)
            grown[: self.size] = self._array[: self.size]
            self._array = grown
        self._array[self.size : end] = values
        self.size = end

    def cut(self, size: int) -> None:
        """Keep the first `size` values, in a copy: views of the old array stay whole."""
        self._array = self._array[:size].copy()
        self.size = size

    def taken(self, start: int = 0) -> NDArray[Any]:
        """The values from `start` on."""
        return self._array[start : self.size]


class _Level:
    """Smallest, largest and bad of each block of `BLOCK` things of the level below."""

    def __init__(self) -> None:
        self.low, self.high = _Growing(np.float64), _Growing(np.float64)
        self.bad = _Growing(np.bool_)

    @property
    def size(self) -> int:
        """Whole blocks so far."""
        return self.low.size

    def extend(self, low: Floats, high: Floats, bad: Bools) -> None:
        """Add the whole blocks of what is new below."""
        num_whole = len(low) // BLOCK * BLOCK
        if num_whole:
            shape = (-1, BLOCK)
            self.low.append(np.fmin.reduce(low[:num_whole].reshape(shape), axis=1))
            self.high.append(np.fmax.reduce(high[:num_whole].reshape(shape), axis=1))
            self.bad.append(np.logical_or.reduce(bad[:num_whole].reshape(shape), axis=1))

    def cut(self, size: int) -> None:
        """Keep the first `size` blocks."""
        for column in (self.low, self.high, self.bad):
            column.cut(size)


class ColumnSeries:
    """The points of one metric by rising step; a step written twice keeps its last value."""

    def __init__(self) -> None:
        self._steps, self._values = _Growing(np.int64), _Growing(np.float64)
        self._levels = [_Level() for _ in range(_NUM_LEVELS)]
        self._new_steps: list[int] = []
        self._new_values: list[float] = []
        self._last_step = -1
        self._generation = next(_GENERATIONS)
        self._view: ColumnView | None = None

    def add(self, step: int, value: float) -> None:
        """Put in one point."""
        self._view = None
        if step > self._last_step:
            self._new_steps.append(step)
            self._new_values.append(value)
            self._last_step = step
        else:
            self._replace(step, value)

    def extend(self, steps_T: Ints, values_T: Floats) -> None:
        """Put in points whose steps rise and are later than all before."""
        self._flush()
        self._view = None
        self._steps.append(steps_T)
        self._values.append(values_T)
        self._last_step = int(steps_T[-1]) if len(steps_T) else self._last_step

    def drop_after(self, step: int) -> None:
        """Take out the points of later steps."""
        self._flush()
        keep = int(np.searchsorted(self._steps.taken(), step, side="right"))
        if keep < self._steps.size:
            self._cut(keep)

    def points(self) -> "ColumnView":
        """Return all points; the same object until something changes."""
        if self._view is None:
            self._flush()
            self._raise_pyramid()
            self._view = ColumnView(
                self._steps.taken(),
                self._values.taken(),
                tuple((x.low.taken(), x.high.taken(), x.bad.taken()) for x in self._levels),
                self._generation,
            )
        return self._view

    def _flush(self) -> None:
        if self._new_steps:
            self._steps.append(np.array(self._new_steps, np.int64))
            self._values.append(np.array(self._new_values, np.float64))
            self._new_steps.clear()
            self._new_values.clear()

    def _replace(self, step: int, value: float) -> None:
        self._flush()
        steps = self._steps.taken()
        index = int(np.searchsorted(steps, step))
        is_there = index < len(steps) and steps[index] == step
        later_steps = steps[index + is_there :].copy()
        later_values = self._values.taken(index + is_there).copy()
        self._cut(index)
        self.extend(np.append(np.int64(step), later_steps), np.append(value, later_values))

    def _cut(self, size: int) -> None:
        self._view = None
        self._generation = next(_GENERATIONS)
        self._steps.cut(size)
        self._values.cut(size)
        self._last_step = int(self._steps.taken()[-1]) if size else -1
        for level in self._levels:
            size //= BLOCK
            level.cut(min(size, level.size))

    def _raise_pyramid(self) -> None:
        values = self._values.taken(self._levels[0].size * BLOCK)
        is_finite = np.isfinite(values)
        finite = np.where(is_finite, values, np.nan)
        self._levels[0].extend(finite, finite, ~is_finite)
        for below, level in zip(self._levels, self._levels[1:], strict=False):
            start = level.size * BLOCK
            level.extend(below.low.taken(start), below.high.taken(start), below.bad.taken(start))


class ColumnView(Sequence[Point]):
    """The points of one metric at one moment: immutable, and a sequence of (step, value).

    Attributes:
        steps_T: Rising steps.
        values_T: Their values, non-finite ones included.
        generation: Another for each series, and changes when earlier points were changed or taken
            out; a longer view with the same number begins with this one.
    """

    def __init__(
        self,
        steps_T: Ints,
        values_T: Floats,
        levels: tuple[tuple[Floats, Floats, Bools], ...],
        generation: int,
    ) -> None:
        self.steps_T, self.values_T, self.generation = steps_T, values_T, generation
        self._levels = levels

    def __len__(self) -> int:
        return len(self.steps_T)

    @overload
    def __getitem__(self, index: int) -> Point: ...
    @overload
    def __getitem__(self, index: slice) -> Sequence[Point]: ...
    def __getitem__(self, index: int | slice) -> Point | Sequence[Point]:
        if isinstance(index, slice):
            steps, values = self.steps_T[index].tolist(), self.values_T[index].tolist()
            return list(zip(steps, values, strict=True))
        return int(self.steps_T[index]), float(self.values_T[index])

    def __iter__(self) -> Iterator[Point]:
        return zip(self.steps_T.tolist(), self.values_T.tolist(), strict=True)

    def value_near(self, step: int) -> Point | None:
        """The last point at or before a step; None if there is none."""
        index = int(np.searchsorted(self.steps_T, step, side="right")) - 1
        return self[index] if index >= 0 else None

    def envelope(self, edges_W1: Floats) -> Envelope:
        """Return what lies between each two neighbouring edges, the right one excluded.

        No point is left out: where blocks of the pyramid are used, one that reaches into two
        columns counts in both, which is less than half a column.

        Args:
            edges_W1: W + 1 rising steps.
        """
        index = np.searchsorted(self.steps_T, edges_W1, side="left")
        per_column = (index[-1] - index[0]) / max(1, len(edges_W1) - 1)
        depth = int(math.log(max(1.0, per_column / _BLOCKS_PER_COLUMN), BLOCK))
        if depth == 0:
            first, last = index[0], index[-1]
            values = self.values_T[first:last]
            is_finite = np.isfinite(values)
            finite = np.where(is_finite, values, np.nan)
            return _reduced(finite, finite, ~is_finite, index[:-1] - first, index[1:] - first)
        return self._from_level(min(depth, _NUM_LEVELS) - 1, index)

    def _from_level(self, depth: int, index_W1: Ints) -> Envelope:
        low, high, bad = self._levels[depth]
        size = BLOCK ** (depth + 1)
        rest = self.values_T[len(low) * size :]
        if len(rest):
            is_finite = np.isfinite(rest)
            finite = np.where(is_finite, rest, np.nan)
            low = np.append(low, np.fmin.reduce(finite))
            high = np.append(high, np.fmax.reduce(finite))
            bad = np.append(bad, not is_finite.all())
        ends = np.minimum(-(-index_W1[1:] // size), len(low))
        return _reduced(low, high, bad, index_W1[:-1] // size, ends)


def _reduced(low_K: Floats, high_K: Floats, bad_K: Bools, starts_W: Ints, ends_W: Ints) -> Envelope:
    """Reduce [start, end) of each column; an empty one has NaN."""
    is_empty = ends_W <= starts_W
    pairs = np.stack([starts_W, np.maximum(ends_W, starts_W + 1)], axis=1).ravel()
    pairs = np.minimum(pairs, len(low_K))  # index len(low_K) is the padding below
    low = np.fmin.reduceat(np.append(low_K, np.nan), pairs)[::2]
    high = np.fmax.reduceat(np.append(high_K, np.nan), pairs)[::2]
    bad = np.logical_or.reduceat(np.append(bad_K, False), pairs)[::2]
    low[is_empty] = high[is_empty] = np.nan
    return Envelope(low, high, bad & ~is_empty)
