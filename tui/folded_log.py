"""A run's log read once and folded up to any of its events: the run as it was then."""

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import replace
from itertools import accumulate
from typing import Any

from tui.series import ColumnSeries
from vtk.runs.fold import EventFold
from vtk.runs.reader import EventTail
from vtk.runs.snapshot import RunState
from vtk.runs.state import known_facts
from vtk.runs.store import RunPaths


class FoldedLog:
    """The events of a log as it is now; used by one thread.

    Going on folds what is new, going back folds anew from the beginning, so a state never depends
    on how one came to it.

    Args:
        paths: The run.

    Raises:
        DataError: The log cannot be read.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self.events: Sequence[dict[str, Any]] = EventTail(paths.events).poll()
        self._times_s = [*accumulate((float(event["time"]) for event in self.events), max)]
        self._fold, self._num_folded = self._new_fold(), 0

    def after(self, num_events: int) -> RunState:
        """The run when so many of its events had been written."""
        if num_events < self._num_folded:
            self._fold, self._num_folded = self._new_fold(), 0
        for event in self.events[self._num_folded : num_events]:
            self._fold.add(event)
        self._num_folded = num_events
        return replace(self._fold.snapshot(), root=self.paths.root)

    def at(self, time_s: float) -> RunState:
        """The run at a time in UTC seconds, by the clock of its writer; jumps back do not count."""
        return self.after(bisect_right(self._times_s, time_s))

    def _new_fold(self) -> EventFold:
        facts, _ = known_facts(self.paths)
        return EventFold(facts, ColumnSeries)
