"""Where a run is between reward and distance: the trail of both over steps, and what it means.

The cross of the four quarters lies at the mean of the first steps. A quarter is named only where
the last steps differ from the first by more than twice the standard error of that difference
(steps taken as independent); else the run is not told apart from its start.

Shapes: T steps.
"""

import math
from dataclasses import dataclass
from typing import Final

import numpy as np

from tui.series import ColumnSeries, ColumnView, Floats, Ints
from tui.smoothing import Smoothed
from vtk.format import format_number
from vtk.runs.snapshot import RunState

QUARTERS: Final = {
    (True, True): "learning away",
    (True, False): "drifting away",
    (False, False): "collapsing back",
    (False, True): "reward without distance",
}
"""(further from the bias model, more reward) to the name of the quarter."""

MEANINGS: Final = {
    "learning away": "reward grows and the policy leaves the bias model: CDPO does its work",
    "drifting away": "the policy leaves the bias model and loses reward: beta is too strong",
    "collapsing back": "reward falls and the policy nears the bias model",
    "reward without distance": "reward grows but the policy stays near the bias model: it may be "
    "learning the shortcut",
}
_SMOOTHING: Final = 0.9
WINDOW: Final = 20
_FEWEST: Final = 3
_SIGNIFICANT: Final = 2.0


@dataclass(frozen=True, slots=True)
class Trail:
    """Signed KL and reward of the steps that have both, raw and smoothed; at least one step.

    `origin` is where the quarters meet: mean distance and reward of the run's first steps.
    """

    steps_T: Ints
    distance_T: Floats
    reward_T: Floats
    smooth_distance_T: Floats
    smooth_reward_T: Floats
    origin: tuple[float, float]

    def index_at(self, step: int) -> int | None:
        """The place of the last step at or before `step`; None before the first."""
        index = int(np.searchsorted(self.steps_T, step, side="right")) - 1
        return index if index >= 0 else None

    def quarter_at(self, index: int) -> str:
        """The name of the quarter in which the average of a step lies."""
        x, y = self.smooth_distance_T[index], self.smooth_reward_T[index]
        return QUARTERS[(bool(x > self.origin[0]), bool(y > self.origin[1]))]

    def within(self, window: tuple[float, float] | None) -> "Trail | None":
        """The part of it from a first step to an end; None where it has no step there."""
        if window is None:
            return self
        start, end = np.searchsorted(self.steps_T, window).tolist()
        part = slice(start, end)
        return None if start == end else Trail(
            self.steps_T[part], self.distance_T[part], self.reward_T[part],
            self.smooth_distance_T[part], self.smooth_reward_T[part], self.origin,
        )  # fmt: skip


@dataclass(frozen=True, slots=True)
class Change:
    """A mean of the last steps minus that of the first, and its standard error."""

    start: float
    difference: float
    error: float

    @property
    def is_clear(self) -> bool:
        """Whether it is more than noise."""
        return abs(self.difference) > _SIGNIFICANT * self.error


@dataclass(frozen=True, slots=True)
class Verdict:
    """The quarter, if one can be named; both changes; what they mean, and their figures."""

    quarter: str | None
    distance: Change
    reward: Change
    meaning: str
    figures: str


def trail_of(state: RunState) -> Trail | None:
    """The trail of a run; None before its first step with a finite KL."""
    distance, reward = state.history.get("kl/signed"), state.history.get("reward/mean")
    if not isinstance(distance, ColumnView) or not isinstance(reward, ColumnView):
        return None
    steps, at_distance, at_reward = np.intersect1d(
        distance.steps_T, reward.steps_T, assume_unique=True, return_indices=True
    )
    xs, ys = distance.values_T[at_distance], reward.values_T[at_reward]
    is_finite = np.isfinite(xs) & np.isfinite(ys)
    if not is_finite.any():
        return None
    steps, xs, ys = steps[is_finite], xs[is_finite], ys[is_finite]
    size = max(1, min(WINDOW, len(steps) // 2))
    origin = float(xs[:size].mean()), float(ys[:size].mean())
    return Trail(steps, xs, ys, _smoothed(steps, xs), _smoothed(steps, ys), origin)


def verdict(trail: Trail) -> Verdict | None:
    """What the trail says; None where it is too short to compare its ends."""
    size = min(WINDOW, len(trail.steps_T) // 2)
    if size < _FEWEST:
        return None
    distance, reward = _change(trail.distance_T, size), _change(trail.reward_T, size)
    quarter = QUARTERS[(distance.difference > 0, reward.difference > 0)]
    figures = (
        f"signed KL {_signed(distance)}, reward {_signed(reward)} (last {size} less first {size})"
    )
    if distance.is_clear and reward.is_clear:
        return Verdict(quarter, distance, reward, MEANINGS[quarter], figures)
    return Verdict(None, distance, reward, _half_known(distance, reward), figures)


def _half_known(distance: Change, reward: Change) -> str:
    """What can be said where one of both has not clearly changed, or neither."""
    for name, change, other in (("signed KL", distance, "reward"), ("reward", reward, "signed KL")):
        if change.is_clear:
            way = "grown" if change.difference > 0 else "fallen"
            return f"{name} has {way}, no clear change of {other} yet"
    return "no clear change of signed KL and reward yet"


def _smoothed(steps_T: Ints, values_T: Floats) -> Floats:
    series = ColumnSeries()
    series.extend(steps_T, values_T)
    return Smoothed(_SMOOTHING).update(series.points()).values_T


def _change(values_T: Floats, size: int) -> Change:
    first, last = values_T[:size], values_T[-size:]
    error = math.sqrt(first.var(ddof=1) / size + last.var(ddof=1) / size)
    return Change(float(first.mean()), float(last.mean() - first.mean()), error)


def _signed(change: Change) -> str:
    return f"{'+' if change.difference >= 0 else ''}{format_number(change.difference, 3)}"
