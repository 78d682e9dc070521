"""Alerts that belong together: a rule that fires again within a few steps is one episode.

A limit that a run touches ten times in a row is one thing that happened, not ten; told ten times
it would hide what else there is.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from tui.source import Snapshot
from tui.watch import watched_alerts
from vtk.format import MISSING
from vtk.runs.snapshot import Alert

COOL_DOWN_STEPS: Final = 10
Key = tuple[str, int, int | None]
"""What makes it one thing that happened: rule, attempt, step."""


@dataclass(frozen=True, slots=True)
class Episode:
    """Alerts of one rule without a quiet stretch between them; at least one."""

    alerts: tuple[Alert, ...]

    @property
    def key(self) -> Key:
        """The same for the episode of which more is known later."""
        return key_of(self.first)

    @property
    def first(self) -> Alert:
        """What it began with."""
        return self.alerts[0]

    @property
    def last(self) -> Alert:
        """What it ended with."""
        return self.alerts[-1]

    @property
    def worst(self) -> Alert:
        """The alert furthest beyond its threshold; the first of equals."""
        return max(self.alerts, key=_excess)

    @property
    def steps(self) -> str:
        """The steps it went over, for people."""
        first, last = self.first.step, self.last.step
        if first is None:
            return MISSING
        return str(first) if last in (None, first) else f"{first}-{last}"


def episodes_of(snapshot: Snapshot) -> list[Episode]:
    """Return the episodes of a run's guards and of the dashboard's own rules, newest last."""
    return grouped([*snapshot.state.alerts, *watched_alerts(snapshot)])


def grouped(alerts: Sequence[Alert]) -> list[Episode]:
    """Put alerts together by rule, attempt and nearness in steps."""
    open_now: dict[tuple[str, int], list[Alert]] = {}
    episodes: list[list[Alert]] = []
    for alert in alerts:
        key = alert.rule, alert.attempt
        running = open_now.get(key)
        if running is not None and _is_near(running[-1], alert):
            running.append(alert)
        else:
            open_now[key] = [alert]
            episodes.append(open_now[key])
    found = [Episode(tuple(each)) for each in episodes]
    return sorted(found, key=lambda episode: episode.last.time)


def key_of(alert: Alert) -> Key:
    """The same for an alert whose words or value change with the time."""
    return alert.rule, alert.attempt, alert.step


def _is_near(before: Alert, alert: Alert) -> bool:
    if before.step is None or alert.step is None:
        return before.step == alert.step
    return 0 <= alert.step - before.step <= COOL_DOWN_STEPS


def _excess(alert: Alert) -> float:
    if alert.value is None or alert.threshold is None:
        return 0.0
    return abs(alert.value - alert.threshold)
