"""Where snapshots come from: the newest run, a named run, or one that does not exist yet."""

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

from tui.series import ColumnSeries
from vtk.errors import DataError
from vtk.runs.files import read_json
from vtk.runs.snapshot import RunState
from vtk.runs.state import RunFollower
from vtk.runs.store import RunPaths, newest_run, resolve_run

_BYTES_PER_LOOK: Final = 4 * 2**20
_NEWER_EVERY_S: Final = 5.0


@dataclass(frozen=True, slots=True)
class Playback:
    """Where a replay is: seconds of the recording, how fast, and whether it moves.

    `last_seq` is the number of the last event that had been written then, -1 before the first.
    """

    position_s: float
    duration_s: float
    speed: float
    is_playing: bool
    last_seq: int


@dataclass(frozen=True, slots=True)
class Snapshot:
    """What the screens show at one moment; immutable.

    Attributes:
        state: The run as far as it was read.
        paths: Where it lies; None while there is no run yet.
        config: The values of config.json; empty if there are none.
        now: UTC seconds that ages are counted from.
        waiting_for: Why there is nothing to show yet.
        is_reading: More of the log is being read.
        newer_run: The id of a run that was created since; None if there is none.
        playback: Where a replay is; None for a run that is followed.
    """

    state: RunState = field(default_factory=RunState)
    paths: RunPaths | None = None
    config: Mapping[str, Any] = field(default_factory=dict)
    now: float = 0.0
    waiting_for: str | None = None
    is_reading: bool = False
    newer_run: str | None = None
    playback: Playback | None = None

    def setting(self, dotted: str) -> Any:
        """A value of the run's configuration; None if it has none."""
        value: Any = self.config
        for part in dotted.split("."):
            value = value.get(part) if isinstance(value, Mapping) else None
        return value


class Source(Protocol):
    """Gives one snapshot a look; used by one thread."""

    def look(self) -> Snapshot:
        """Read what is new."""


class LiveSource:
    """Follows a run, and waits for one that is not there yet.

    Args:
        runs_dir: The folder of all runs.
        ref: A run's id, its beginning or a path; None is the newest, whichever that is once there
            is one.
    """

    def __init__(self, runs_dir: Path, ref: str | None = None) -> None:
        self.runs_dir, self.ref = runs_dir, ref
        self._follower: RunFollower | None = None
        self._config: Mapping[str, Any] = {}
        self._num_restarts = 0
        self._newer: str | None = None
        self._next_search_s = 0.0

    def look(self) -> Snapshot:
        """Read what is new; a fault of the files is a snapshot that says so."""
        now = time.time()
        try:
            follower = self._follower or self._found()
            state = follower.poll(_BYTES_PER_LOOK)
            if follower.num_restarts != self._num_restarts:
                self._num_restarts = follower.num_restarts
                self._config = config_of(follower.paths)
        except DataError as error:
            return Snapshot(now=now, waiting_for=_sentence(error))
        return Snapshot(
            state, follower.paths, self._config, now, None, follower.is_behind, self._newer_run()
        )

    def switch(self, ref: str) -> None:
        """Follow another run from the next look on."""
        self.ref, self._follower, self._newer = ref, None, None

    def _found(self) -> RunFollower:
        paths = resolve_run(self.runs_dir, self.ref)
        self._config, self._num_restarts = config_of(paths), 0
        self._follower = RunFollower(paths, new_series=ColumnSeries)
        return self._follower

    def _newer_run(self) -> str | None:
        if time.monotonic() >= self._next_search_s and self._follower is not None:
            self._next_search_s = time.monotonic() + _NEWER_EVERY_S
            newest = newest_run(self.runs_dir)
            is_newer = newest is not None and _created(newest) > _created(self._follower.paths)
            self._newer = newest.run_id if newest is not None and is_newer else None
        return self._newer


def config_of(paths: RunPaths) -> Mapping[str, Any]:
    """The values of a run's config.json; empty where it is missing or damaged."""
    try:
        config = read_json(paths.config_json).get("config")
    except DataError:
        return {}  # the run's state names the damage
    return config if isinstance(config, dict) else {}


def _created(paths: RunPaths) -> float:
    try:
        created = read_json(paths.run_json).get("created")
    except DataError:
        return 0.0  # a damaged run is offered to nobody; its state names the damage
    return float(created) if isinstance(created, (int, float)) else 0.0


def _sentence(error: DataError) -> str:
    return error.message if error.hint is None else f"{error.message}; {error.hint}"
