"""From a value to a height: linear, logarithmic, and both signs of a logarithm.

A symmetric logarithm is linear within `constant` of zero and logarithmic beyond, as in Webber 2013
(doi:10.1088/0957-0233/24/2/027001): sign(v) log10(1 + |v| / constant).
"""

import math
from dataclasses import dataclass
from itertools import pairwise
from typing import Final, Literal

import numpy as np

from tui.series import Floats
from vtk.format import format_number

ScaleName = Literal["linear", "log", "symlog"]
SCALES: Final[tuple[ScaleName, ...]] = ("linear", "log", "symlog")
_NICE: Final = (1.0, 2.0, 2.5, 5.0, 10.0)
_MARGIN: Final = 0.04
_SMALLEST_CONSTANT: Final = 1e-9
_FEWEST_DIGITS: Final = 3
_MOST_DIGITS: Final = 12


@dataclass(frozen=True, slots=True)
class Scale:
    """How values lie on an axis from `low` to `high`.

    `constant` is where a symlog axis turns from linear to logarithmic.
    """

    name: ScaleName
    low: float
    high: float
    constant: float = 1.0

    def place(self, values: Floats) -> Floats:
        """Return 0 at the lower end, 1 at the upper, NaN for what the scale has no place for."""
        bottom, top = self._bent(np.array([self.low, self.high]))
        with np.errstate(invalid="ignore", divide="ignore"):
            placed: Floats = (self._bent(values) - bottom) / (top - bottom)
        return placed

    def value_at(self, place: float) -> float:
        """The inverse of `place`."""
        bottom, top = self._bent(np.array([self.low, self.high]))
        bent = float(bottom + place * (top - bottom))
        if self.name == "log":
            return float(10.0**bent)
        if self.name == "symlog":
            return math.copysign(self.constant * (10.0 ** abs(bent) - 1), bent)
        return bent

    def _bent(self, values: Floats) -> Floats:
        if self.name == "log":
            with np.errstate(divide="ignore", invalid="ignore"):
                logs: Floats = np.log10(np.where(values > 0, values, np.nan))
            return logs
        if self.name == "symlog":
            signed: Floats = np.sign(values) * np.log10(1 + np.abs(values) / self.constant)
            return signed
        return values


def fitted_scale(name: ScaleName, low: float, high: float, *, zero: bool = False) -> Scale:
    """Return a scale that shows everything from `low` to `high` with a little room.

    Args:
        name: Its kind; a logarithm of what is nowhere positive becomes linear.
        low: Smallest finite value; NaN if there is none.
        high: Largest finite value.
        zero: Keep zero in sight.
    """
    if not (math.isfinite(low) and math.isfinite(high)):
        return Scale("linear", 0.0, 1.0)
    if name == "log" and high > 0:
        low = low if low > 0 else high * 1e-4
        return Scale("log", low / 1.1, max(high * 1.1, low * 1.21))
    if zero:
        low, high = min(low, 0.0), max(high, 0.0)
    room = _MARGIN * (high - low) or abs(high) * 0.1 or 1.0
    if name == "symlog":
        constant = max(abs(low), abs(high)) / 100 or 1.0
        return Scale("symlog", low - room, high + room, max(constant, _SMALLEST_CONSTANT))
    return Scale("linear", low - room, high + room)


def ticks(scale: Scale, max_ticks: int) -> list[float]:
    """Return round values on the axis, at most `max_ticks`; zero is one where it is in sight."""
    if max_ticks < 1:
        return []
    if scale.name == "linear":
        return _linear_ticks(scale.low, scale.high, max_ticks)
    found = _decades(scale)
    if len(found) < 2:
        return _linear_ticks(scale.low, scale.high, max_ticks)
    if len(found) <= max_ticks:
        return found
    stride = -(-len(found) // max_ticks)
    anchor = found.index(0.0) if 0.0 in found else len(found) - 1
    return [value for index, value in enumerate(found) if (index - anchor) % stride == 0]


def tick_labels(values: list[float]) -> list[str]:
    """Return one label a tick, each as short as all can be and still be right.

    A label is right if it is off by less than a hundredth of what lies between two ticks.
    """
    allowed = min((abs(b - a) for a, b in pairwise(values)), default=math.inf) / 100
    for digits in range(_FEWEST_DIGITS, _MOST_DIGITS + 1):
        labels = [format_number(value, digits) for value in values]
        if all(
            abs(float(each) - value) < allowed for each, value in zip(labels, values, strict=True)
        ):
            break
    return labels


def step_ticks(first: float, last: float, max_ticks: int) -> list[int]:
    """Return round steps from `first` to `last`."""
    found = _linear_ticks(first, last, max_ticks)
    return sorted({int(value) for value in found if float(value).is_integer()})


def _linear_ticks(low: float, high: float, max_ticks: int) -> list[float]:
    span = high - low
    if span <= 0 or not math.isfinite(span):
        return []
    power = 10.0 ** math.floor(math.log10(span / max_ticks))
    for factor in (*_NICE, 20.0, 25.0, 50.0, 100.0):
        size = factor * power
        first, last = math.ceil(low / size - 1e-9), math.floor(high / size + 1e-9)
        if last - first + 1 <= max_ticks:
            return [round(index * size, 12) for index in range(first, last + 1)]
    return []


def _decades(scale: Scale) -> list[float]:
    top = max(abs(scale.low), abs(scale.high))
    smallest = scale.constant if scale.name == "symlog" else max(scale.low, top * 1e-12)
    powers = range(math.floor(math.log10(smallest)), math.ceil(math.log10(top)) + 1)
    sizes = [10.0**power for power in powers]
    both = [-size for size in reversed(sizes)] + [0.0, *sizes] if scale.name == "symlog" else sizes
    return [value for value in both if scale.low <= value <= scale.high]
