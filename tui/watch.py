"""Rules that the dashboard applies to what it reads, beside the guards of the run itself.

Those on metrics look at the history and not at the moment, so that a log gives the same alerts
however often it is opened, each dated by its own step. They have hysteresis: once one has fired it
is silent until what it watches has clearly recovered. Silence alone is of the moment.
"""

from collections.abc import Iterable, Iterator
from functools import lru_cache
from typing import Final

import numpy as np

from tui.series import ColumnView, Floats
from tui.source import Snapshot
from vtk.format import format_age_s, format_number, format_percent
from vtk.runs.owner import HEARTBEAT_INTERVAL_S
from vtk.runs.snapshot import Alert, RunState

_WINDOW: Final = 10
_LONGEST: Final = 20_000
_LEAST_DISTANCE: Final = 0.05
_RETURNED_SHARE: Final = 0.25
_RECOVERED_SHARE: Final = 0.5
_CREEP_REPORTS: Final = 40
_CREEP_RATIO: Final = 1.15
_SETTLED_RATIO: Final = 1.05
_SILENT_BEATS: Final = 3


def watched_alerts(snapshot: Snapshot) -> list[Alert]:
    """Return what the rules say of a run now."""
    state = snapshot.state
    return [*_returns(state), *_memory_creep(state), *_silence(snapshot)]


def _returns(state: RunState) -> Iterator[Alert]:
    """The policy had left the bias model and has come back to it.

    Compared are medians of ten steps with the largest such median before: below a quarter of it is
    back, above half of it is away again.
    """
    view = state.history.get("kl/signed")
    for step, value, peak in _falls(view) if isinstance(view, ColumnView) else ():
        message = (
            f"signed KL fell back to {format_number(value, 3)} from {format_number(peak, 3)} "
            f"(medians of {_WINDOW} steps)"
        )
        yield _alert(step, "kl_return", message, value, _RETURNED_SHARE * peak, state)


@lru_cache(maxsize=4)
def _falls(view: ColumnView) -> tuple[tuple[int, float, float], ...]:
    """Step, median and the peak before it, of each fall within the last `_LONGEST` points."""
    if len(view) < 2 * _WINDOW:
        return ()
    medians = _medians(view.values_T[-_LONGEST:])
    steps = view.steps_T[-_LONGEST:][_WINDOW - 1 :]
    peaks = np.fmax.accumulate(medians)
    was_far = peaks > _LEAST_DISTANCE
    is_back = (medians < _RETURNED_SHARE * peaks) & was_far
    is_away = (medians > _RECOVERED_SHARE * peaks) | ~was_far
    found = _onsets(is_back, is_away) if is_back.any() else ()
    return tuple((int(steps[at]), float(medians[at]), float(peaks[at])) for at in found)


def _memory_creep(state: RunState) -> Iterator[Alert]:
    """Memory has grown in each quarter of the last reports, and by a lot in all.

    Compared are medians of ten reports with those of thirty before: 15 % more is growth, less than
    5 % has settled.
    """
    view = state.history.get("gpu/memory_gib", state.process_memory)
    for step, before, after in _creeps(view) if isinstance(view, ColumnView) else ():
        growth, now = format_percent(after / before - 1, 0), format_number(after, 3)
        message = f"memory grew by {growth} over {_CREEP_REPORTS} reports, to {now} GiB"
        yield _alert(step, "memory_creep", message, after, _CREEP_RATIO * before, state)


@lru_cache(maxsize=4)
def _creeps(view: ColumnView) -> tuple[tuple[int, float, float], ...]:
    """Step, first and last median, of each growth within the last `_LONGEST` points."""
    if len(view) < _CREEP_REPORTS:
        return ()
    medians = _medians(view.values_T[-_LONGEST:])
    steps = view.steps_T[-_LONGEST:][_CREEP_REPORTS - 1 :]
    first, second, third, last = (
        medians[start : start + len(steps)] for start in range(0, _CREEP_REPORTS, _WINDOW)
    )
    is_growing = (first > 0) & (second > first) & (third > second) & (last > third)
    is_creeping = is_growing & (last > _CREEP_RATIO * first)
    found = _onsets(is_creeping, last < _SETTLED_RATIO * first) if is_creeping.any() else ()
    return tuple((int(steps[at]), float(first[at]), float(last[at])) for at in found)


def _silence(snapshot: Snapshot) -> Iterator[Alert]:
    """A process that should write every few seconds is silent, or gone."""
    state, age_s = snapshot.state, snapshot.state.heartbeat_age_s
    if snapshot.playback is not None or age_s is None:
        return
    limit_s, last_s = _SILENT_BEATS * HEARTBEAT_INTERVAL_S, state.last_event_time or 0.0
    if state.status == "lost":
        message = f"the run is lost: {state.status_reason}"
        yield Alert(state.step, "lost", message, None, None, last_s, len(state.attempts))
    elif state.status == "running" and age_s > limit_s:
        message = f"the run has written nothing for {format_age_s(age_s)}"
        number, began_s = len(state.attempts), last_s + limit_s
        yield Alert(state.step, "silent", message, age_s, limit_s, began_s, number)


def _medians(values_T: Floats) -> Floats:
    """The median of the finite ones of each ten values in a row; NaN where none is.

    Sorting puts what is not finite last, and takes a tenth of the time of `numpy.nanmedian`.
    """
    finite = np.where(np.isfinite(values_T), values_T, np.nan)
    windows = np.sort(np.lib.stride_tricks.sliding_window_view(finite, _WINDOW), axis=1)
    num_finite = np.isfinite(windows).sum(axis=1)
    rows, below = np.arange(len(windows)), np.maximum(num_finite - 1, 0) // 2
    above = np.minimum(num_finite // 2, _WINDOW - 1)
    medians: Floats = (windows[rows, below] + windows[rows, above]) / 2
    return medians


def _onsets(begins: Iterable[np.bool_], ends: Iterable[np.bool_]) -> Iterator[int]:
    """Where something begins, each time after it has ended."""
    is_on = False
    for index, (begin, end) in enumerate(zip(begins, ends, strict=True)):
        if begin and not is_on:
            is_on = True
            yield index
        elif end:
            is_on = False


def _alert(
    step: int,
    rule: str,
    message: str,
    value: float | None,
    threshold: float | None,
    state: RunState,
) -> Alert:
    time_s = _time_of(step, state)
    numbers = [attempt.number for attempt in state.attempts if attempt.time <= time_s]
    return Alert(step, rule, message, value, threshold, time_s, max(numbers, default=0))


def _time_of(step: int, state: RunState) -> float:
    """When the step was recorded; when memory was reported before it, the step before."""
    view = state.step_times
    at = view.value_near(step) if isinstance(view, ColumnView) else None
    return (state.created or 0.0) if at is None else at[1]
