"""Alerts in words: one line of the newest, and what to do about each rule."""

from typing import Final

from textual.content import Content

from tui.literal import joined, literal
from tui.source import Snapshot
from vtk.format import MISSING, format_age_s
from vtk.runs.snapshot import Alert

_NEWEST_FOR_S: Final = 600.0


def alert_line(snapshot: Snapshot) -> Content:
    """How many alerts there are, and the newest."""
    alerts = snapshot.state.alerts
    if not alerts:
        return literal("no alerts", "$foreground-muted")
    newest = alerts[-1]
    words = "alert" if len(alerts) == 1 else "alerts"
    return joined(
        literal(f"! {len(alerts)} {words}  ", "bold $error"),
        literal(f"step {step_of(newest)} {newest.rule}: ", "$error", 80),
        literal(newest.message),
        literal(f"  {format_age_s(snapshot.now - newest.time)} ago", "$foreground-muted"),
    )


def step_of(alert: Alert) -> str:
    """The step of an alert for people."""
    return MISSING if alert.step is None else str(alert.step)
