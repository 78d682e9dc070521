"""Plays a run's event log again: the same snapshots that a dashboard beside the run would have had.

Time is that of the recording, with long silences (a night between two attempts) cut to a few
seconds.
"""

import time
from bisect import bisect_right
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Final

from tui.folded_log import FoldedLog
from tui.source import Playback, Snapshot, config_of
from vtk.runs.events import ALERT
from vtk.runs.store import RunPaths

_LONGEST_SILENCE_S: Final = 5.0
_WHOLE_RUN_S: Final = 60.0
_SPEEDS: Final = (0.125, 4096.0)


class ReplaySource:
    """Gives the snapshots of a recording.

    Args:
        paths: The run.
        at_share: Where to begin, from 0 to 1.
        is_playing: Whether to move on by itself.
        monotonic: Gives seconds that never jump.
    """

    def __init__(
        self,
        paths: RunPaths,
        *,
        at_share: float = 0.0,
        is_playing: bool = True,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths = paths
        self._monotonic = monotonic
        self._is_playing, self._at_share = is_playing, at_share
        self._log: FoldedLog | None = None
        self._times_s: list[float] = []
        self._config: Mapping[str, Any] = {}
        self._position_s, self._speed = 0.0, 1.0
        self._looked_at_s = monotonic()

    @property
    def duration_s(self) -> float:
        """Seconds of the recording."""
        return self._times_s[-1] if self._times_s else 0.0

    def look(self) -> Snapshot:
        """Move on and return the snapshot of that place.

        Raises:
            DataError: The log cannot be read.
        """
        log = self._log or self._load()
        now_s = self._monotonic()
        if self._is_playing:
            self._position_s += (now_s - self._looked_at_s) * self._speed
        self._looked_at_s = now_s
        if self._position_s >= self.duration_s:
            self._position_s, self._is_playing = self.duration_s, False
        return self._snapshot(log)

    def toggle(self) -> None:
        """Play or hold; at the end it begins anew."""
        if not self._is_playing and self._position_s >= self.duration_s:
            self._position_s = 0.0
        self._is_playing = not self._is_playing
        self._looked_at_s = self._monotonic()

    def seek(self, share: float) -> None:
        """Go to a share of the recording, from 0 to 1."""
        self._position_s = min(1.0, max(0.0, share)) * self.duration_s

    def seek_by(self, share: float) -> None:
        """Go forth or back by a share of the recording."""
        self.seek(self._position_s / self.duration_s + share if self.duration_s else 0.0)

    def change_speed(self, factor: float) -> None:
        """Play `factor` times as fast."""
        self._speed = min(_SPEEDS[1], max(_SPEEDS[0], self._speed * factor))

    def seek_alert(self, direction: int) -> None:
        """Go to the next alert (1) or the one before (-1), and hold there."""
        places = [
            place
            for place, event in zip(
                self._times_s, self._log.events if self._log else (), strict=True
            )
            if event["type"] == ALERT
        ]
        later = [place for place in places if place > self._position_s + 1e-6]
        earlier = [place for place in places if place < self._position_s - 1e-6]
        found = later[:1] if direction > 0 else earlier[-1:]
        if found:
            self._position_s, self._is_playing = found[0], False

    def _load(self) -> FoldedLog:
        log = self._log = FoldedLog(self.paths)
        self._times_s = _places(log.events)
        self._config = config_of(self.paths)
        while self.duration_s / self._speed > _WHOLE_RUN_S:
            self._speed *= 2
        self.seek(self._at_share)
        self._looked_at_s = self._monotonic()
        return log

    def _snapshot(self, log: FoldedLog) -> Snapshot:
        num_events = bisect_right(self._times_s, self._position_s)
        state = log.after(num_events)
        last_seq = log.events[num_events - 1]["seq"] if num_events else -1
        playback = Playback(
            self._position_s, self.duration_s, self._speed, self._is_playing, last_seq
        )
        now = state.last_event_time or state.created or 0.0
        return Snapshot(state, self.paths, self._config, now, playback=playback)


def _places(events: Sequence[Mapping[str, Any]]) -> list[float]:
    """Where each event lies in the recording, in seconds from its first."""
    places: list[float] = []
    place, before = 0.0, None
    for event in events:
        now = float(event["time"])
        if before is not None:
            place += min(_LONGEST_SILENCE_S, max(0.0, now - before))
        places.append(place)
        before = now
    return places
