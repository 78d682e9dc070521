"""A metric of a run as one number with its error, and the sign of a difference of two.

The standard error of a mean takes steps as independent; a difference within twice its own standard
error is not told apart from noise.
"""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal

from vtk.format import MISSING, format_count
from vtk.runs.snapshot import RunState

Reading = Literal["mean", "latest"]
MEAN_STEPS: Final = 50
_FEWEST: Final = 3
_CLEAR: Final = 2.0


@dataclass(frozen=True, slots=True)
class Measured:
    """A latest value, or a mean with its standard error; 0 for what has none."""

    value: float
    error: float = 0.0

    def differs_from(self, base: "Measured") -> bool:
        """Whether the difference is more than noise, as far as errors are known."""
        return abs(self.value - base.value) > _CLEAR * math.hypot(self.error, base.error)


@dataclass(frozen=True, slots=True)
class Signs:
    """Before a difference: it is not resolved, it is more, it is less."""

    about: str
    more: str
    less: str

    @staticmethod
    def of(ascii_only: bool) -> "Signs":
        """Those of a terminal."""
        return Signs("~", "^", "v") if ascii_only else Signs("≈", "▲", "▼")

    def sign(self, difference: float, is_clear: bool) -> str:
        """That of one difference."""
        return self.about if not is_clear else self.more if difference > 0 else self.less


def measured(state: RunState | None, name: str, reading: Reading) -> Measured | None:
    """A metric of a run; None if it has none, NaN if one of the values is.

    Args:
        state: The run; None if it cannot be read.
        name: The metric.
        reading: Its latest value, or its mean over the last `MEAN_STEPS` recorded steps.
    """
    points = state.history.get(name, ()) if state is not None else ()
    if not points:
        return None
    values = [value for _, value in points[-MEAN_STEPS if reading == "mean" else -1 :]]
    if any(map(math.isnan, values)):
        return Measured(math.nan)
    mean = sum(values) / len(values)
    if len(values) < _FEWEST or not math.isfinite(mean):
        return Measured(mean)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    return Measured(mean, math.sqrt(variance / len(values)))


def steps_meant(state: RunState | None, names: Sequence[str]) -> str:
    """First and last step that a mean is over, of the first of the metrics that the run has."""
    histories = (state.history.get(name, ()) for name in names) if state is not None else ()
    points = next((history[-MEAN_STEPS:] for history in histories if history), ())
    if not points:
        return MISSING
    return f"{format_count(points[0][0])} to {format_count(points[-1][0])}"
