"""Names the process of several that the others wait for.

Between two collectives each process works alone, and a run is as fast as its slowest. The main
process reads what all of them report (`vtk.runs.ranks`) and raises an alert when one has been
silent, or behind the others, for longer than a heartbeat can explain.
"""

import time
from collections.abc import Callable, Sequence
from typing import Any, Final

from vtk.format import format_duration_s
from vtk.runs.background import Background
from vtk.runs.owner import HEARTBEAT_INTERVAL_S, STALE_AFTER_S
from vtk.runs.ranks import RankReport, read_reports
from vtk.runs.store import RunPaths

_PHASES: Final = ("load", "paused", "decode", "generate", "score", "update", "save", "eval")
"""The order within a backward pass: who is in an earlier phase keeps the others waiting."""


class LateWatch(Background):
    """Looks now and then, in a thread of its own, and alerts once a process and phase.

    Args:
        paths: The run.
        emit: Writes an event, from any thread.
    """

    def __init__(self, paths: RunPaths, emit: Callable[..., None]) -> None:
        super().__init__(lambda: self.look(time.time()), HEARTBEAT_INTERVAL_S, "late-watch")
        self.paths, self.emit = paths, emit
        self._told: set[tuple[int, int, int, str]] = set()

    def look(self, now: float) -> None:
        """Alert to the processes that are late and have not been named for it.

        Args:
            now: UTC seconds.
        """
        for report in late_reports(read_reports(self.paths), now):
            place = (report.rank, report.step, report.pass_number, report.phase)
            if place in self._told:
                continue
            self._told.add(place)
            alert: dict[str, Any] = {
                "step": report.step,
                "rule": "late_process",
                "message": describe_late(report, now),
                "value": round(now - report.since, 1),
                "threshold": STALE_AFTER_S,
            }
            self.emit("alert", **alert)


def late_reports(reports: Sequence[RankReport], now: float) -> list[RankReport]:
    """The processes that the others wait for: silent, or long behind one that has long waited.

    Args:
        reports: Of all processes of one run.
        now: UTC seconds.
    """
    working = [report for report in reports if report.end is None]
    silent = [report for report in working if now - report.time > STALE_AFTER_S]
    if silent:
        return silent
    furthest = max((_place(report) for report in working), default=None)
    ahead = [report for report in working if _place(report) == furthest]
    # Who has only just come there has not waited, however long the others have been at theirs.
    if all(now - report.since <= STALE_AFTER_S for report in ahead):
        return []
    return [
        report for report in working if report not in ahead and now - report.since > STALE_AFTER_S
    ]


def describe_late(report: RankReport, now: float) -> str:
    """One sentence on a late process."""
    if now - report.time > STALE_AFTER_S:
        silence = format_duration_s(now - report.time)
        return f"{report.name} has not been heard of for {silence}; it was at {report.doing}"
    busy = format_duration_s(now - report.since)
    return f"{report.name} has been at {report.doing} for {busy} while the others wait"


def _place(report: RankReport) -> tuple[int, int, int]:
    order = _PHASES.index(report.phase) if report.phase in _PHASES else len(_PHASES)
    return report.step, report.pass_number, order
