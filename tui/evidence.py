"""What stands behind an alert: the metric before and after it, and the worst completions there."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from tui.advice import advice_on
from tui.series import ColumnView
from vtk.errors import DataError
from vtk.format import format_number, format_value
from vtk.runs.events import METRICS, is_finite
from vtk.runs.reader import read_rollouts
from vtk.runs.snapshot import Alert, RunState
from vtk.runs.store import RunPaths

BASELINE_STEPS: Final = 20
_NUM_WORST: Final = 3
_LARGEST_FILE_BYTES: Final = 64 * 2**20


@dataclass(frozen=True, slots=True)
class Worst:
    """The completions of one step that earned least, or why they cannot be shown."""

    rows: Sequence[Mapping[str, Any]]
    problem: str | None = None


def baseline_sentence(alert: Alert, state: RunState) -> str:
    """The value against the steps before it, where it is of the metric that they have."""
    if alert.value is None and alert.threshold is None:
        return "no figures: its words say it all"
    advice = advice_on(alert)
    name = advice.metric or ""
    unit = METRICS[name].unit if name in METRICS else ""
    shown = f"value {format_number(alert.value)}, threshold {format_number(alert.threshold)}"
    view = state.history.get(name)
    if not advice.is_of_metric or not isinstance(view, ColumnView) or alert.step is None:
        return shown
    end = int(np.searchsorted(view.steps_T, alert.step))
    before = view.values_T[max(0, end - BASELINE_STEPS) : end]
    before = before[np.isfinite(before)]
    if not len(before):
        return f"{shown}; no step before it"
    usual, low, high = (
        format_value(float(value), unit)
        for value in (np.median(before), before.min(), before.max())
    )
    return f"{shown}; {name} in the {len(before)} steps before: median {usual}, {low} to {high}"


def worst_completions(paths: RunPaths, step: int | None) -> Worst:
    """Read the completions of a step and keep those that earned least, furthest away first.

    Slow files are the reason to call this in a thread.
    """
    if step is None:
        return Worst((), "the alert belongs to no step")
    path = paths.rollout_file(step)
    try:
        if path.stat().st_size > _LARGEST_FILE_BYTES:
            return Worst((), f"{path.name} is too large to look through here")
        rows, num_unreadable = read_rollouts(path)
    except FileNotFoundError:
        return Worst((), f"no completions of step {step} are kept")
    except (DataError, OSError) as error:
        return Worst((), str(error))
    worst = sorted(rows, key=_badness)[:_NUM_WORST]
    damage = f"{num_unreadable} lines of {path.name} are damaged" if num_unreadable else None
    return Worst(worst, damage)


def _badness(row: Mapping[str, Any]) -> tuple[float, float]:
    reward, distance = row.get("reward"), row.get("signed_kl")
    return (
        float(reward) if is_finite(reward) else float("-inf"),
        -float(distance) if is_finite(distance) else 0.0,
    )
