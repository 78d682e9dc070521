"""Limits that a healthy run keeps: each one crossed is an alert with its evidence, and can stop it.

Nothing here touches a model. The trainer keeps a non-finite gradient from the weights and reports
it here; everything else is read off a step's metrics.
"""

import math
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from statistics import median
from typing import Any, Literal

from vtk.config.sections import GuardSettings
from vtk.errors import GuardStop


@dataclass(frozen=True, slots=True)
class Alert:
    """One limit crossed at one step; the payload of an `alert` event."""

    rule: str
    message: str
    value: float | None = None
    threshold: float | None = None


@dataclass(frozen=True, slots=True)
class _Limit:
    """How one setting is watched.

    Attributes:
        setting: The field of `GuardSettings` that holds the threshold.
        metric: What is compared with it.
        what: What has happened, for people.
        scope: What is compared: the "step", the mean over the "window", or the step's "ratio" to
            the median of the window before it.
        is_floor: The value must not fall below it; else not rise above it.
        is_absolute: Its sign does not matter.
    """

    setting: str
    metric: str
    what: str
    scope: Literal["step", "window", "ratio"] = "step"
    is_floor: bool = False
    is_absolute: bool = False


_LIMITS = (
    _Limit("kl_budget_step", "kl/signed", "one step's KL left its budget", is_absolute=True),
    _Limit(
        "kl_budget_run", "kl/signed", "the run's KL left its budget", "window", is_absolute=True
    ),
    _Limit("grad_norm_max", "optim/grad_norm", "the gradient norm spiked"),
    _Limit("grad_spike_ratio", "optim/grad_norm", "the gradient norm spiked", "ratio"),
    _Limit("logp_gap_max", "sampling/logp_gap_max", "sampler and trainer disagree"),
    _Limit("entropy_floor", "entropy/mean", "the policy's entropy collapsed", is_floor=True),
    _Limit("reward_floor", "reward/mean", "the reward collapsed", "window", is_floor=True),
    _Limit("format_floor", "reward/format", "the format is lost", "window", is_floor=True),
    _Limit("truncated_frac_max", "completion/truncated_frac", "completions are cut", "window"),
    _Limit("zero_variance_frac_max", "reward/zero_variance_frac", "groups teach nothing", "window"),
)


class Guards:
    """Watches the steps of one run in order.

    A limit that stays crossed alerts once, and again only after it was kept in between.

    Args:
        settings: Thresholds; None is off.
    """

    def __init__(self, settings: GuardSettings) -> None:
        self.settings = settings
        self._num_nonfinite = 0
        self._window: dict[str, deque[float]] = {
            limit.setting: deque(maxlen=settings.window_steps) for limit in _LIMITS
        }
        self._crossed: set[str] = set()

    def observe(self, metrics: Mapping[str, float], is_update_skipped: bool) -> list[Alert]:
        """Take in one step; its new alerts, worst first.

        Args:
            metrics: The step's metrics.
            is_update_skipped: Its loss or gradient was not finite, so the weights were left alone.
        """
        return [*self._nonfinite(metrics, is_update_skipped), *self._breaches(metrics)]

    def stop_reason(self, alerts: list[Alert], restart: Callable[[str], str]) -> GuardStop | None:
        """The error that ends the run after these alerts, if they end it.

        Args:
            alerts: From `observe`.
            restart: The sentence that says how to begin again with this setting changed.
        """
        if self._num_nonfinite >= self.settings.max_nonfinite_steps:
            return GuardStop(
                f"loss or gradient was not finite in {self._num_nonfinite} steps in a row; "
                "the weights are those of the last good step",
                "It takes a lower optim.learning_rate or a beta nearer 0. "
                + restart("optim.learning_rate"),
            )
        breaches = [alert for alert in alerts if alert.rule != "nonfinite"]
        if not breaches or self.settings.on_breach == "alert":
            return None
        rule = f"guards.{breaches[0].rule}"
        return GuardStop(
            f"stopped by a guard: {breaches[0].message}",
            f"Look at what the run did; if it may go further, change {rule}, switch it off as "
            f"here, or set guards.on_breach=alert. {restart(rule)}",
        )

    def state(self) -> dict[str, Any]:
        """What a resumed run needs, as JSON data."""
        return {
            "num_nonfinite": self._num_nonfinite,
            "window": {name: list(values) for name, values in self._window.items()},
            "crossed": sorted(self._crossed),
        }

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from `state`."""
        self._num_nonfinite = state["num_nonfinite"]
        self._crossed = set(state["crossed"])
        for name, values in state["window"].items():
            if name in self._window:  # a checkpoint of another version may watch other things
                self._window[name].extend(values)

    def _nonfinite(self, metrics: Mapping[str, float], is_skipped: bool) -> Iterator[Alert]:
        self._num_nonfinite = self._num_nonfinite + 1 if is_skipped else 0
        if is_skipped:
            watched = ("loss/total", "optim/grad_norm")
            culprits = " and ".join(name for name in watched if not _is_finite(metrics, name))
            yield Alert(
                "nonfinite",
                f"{culprits or 'the gradient'} not finite: the step changed no weights",
                self._num_nonfinite,
                self.settings.max_nonfinite_steps,
            )

    def _breaches(self, metrics: Mapping[str, float]) -> Iterator[Alert]:
        for limit in _LIMITS:
            threshold = getattr(self.settings, limit.setting)
            if threshold is None or not _is_finite(metrics, limit.metric):
                continue
            value = self._watched(limit, metrics[limit.metric])
            if value is None:
                continue
            is_crossed = value < threshold if limit.is_floor else value > threshold
            if is_crossed and limit.setting not in self._crossed:
                message = f"{limit.what}: {_comparison(limit, value, threshold)}"
                yield Alert(limit.setting, message, value, threshold)
            (self._crossed.add if is_crossed else self._crossed.discard)(limit.setting)

    def _watched(self, limit: _Limit, value: float) -> float | None:
        """The number to compare; None while a window is not full."""
        if limit.is_absolute:
            value = abs(value)
        if limit.scope == "step":
            return value
        window = self._window[limit.setting]
        before = list(window)
        window.append(value)
        if limit.scope == "window":
            return sum(window) / len(window) if len(window) == window.maxlen else None
        usual = median(before) if len(before) == window.maxlen else 0.0
        return value / usual if usual > 0 else None


def _comparison(limit: _Limit, value: float, threshold: float) -> str:
    """What was compared with what, in words."""
    side = "below" if limit.is_floor else "above"
    if limit.scope == "ratio":
        return f"{limit.metric} is {value:.4g} times its recent median, {side} {threshold:g}"
    return f"{limit.metric} {value:.4g} is {side} {threshold:g}"


def _is_finite(metrics: Mapping[str, float], name: str) -> bool:
    return math.isfinite(metrics.get(name, math.nan))
