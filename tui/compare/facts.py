"""What is known of the runs that are compared: their states, followed, and their settings."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from threading import Lock
from typing import Any, Final

from tui.folded_log import FoldedLog
from tui.series import ColumnSeries
from vtk.errors import DataError
from vtk.format import visible_text
from vtk.runs.events import is_finite, to_json_value
from vtk.runs.files import read_json
from vtk.runs.snapshot import RunState
from vtk.runs.state import RunFollower
from vtk.runs.store import RunPaths, list_runs

MAX_LISTED: Final = 200
_VALUE_CHARS: Final = 60
_MAX_DEPTH: Final = 8


@dataclass(frozen=True, slots=True)
class RunFacts:
    """One run.

    Attributes:
        name: The folder, as `RunSet.poll` was asked for it.
        run_id: Safe to print.
        state: Its snapshot; None if its log cannot be read.
        settings: Dotted name to value, as safe text.
        problems: What could not be read.
    """

    name: str
    run_id: str
    state: RunState | None
    settings: Mapping[str, str] = field(default_factory=dict)
    problems: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Moment:
    """Where the replay of one run is: what is compared is what had happened by then.

    Attributes:
        run_id: The folder of the run that is replayed, as `RunSet.poll` is asked for it.
        last_seq: The last of its events that had been written.
        time_s: UTC seconds of then, by its log.
        state: The run then; follows from the others.
    """

    run_id: str
    last_seq: int
    time_s: float
    state: RunState = field(compare=False)


@dataclass(frozen=True, slots=True)
class Listed:
    """A run that can be chosen: its folder's name, and its stage as far as it says one."""

    run_id: str
    stage: str


class RunSet:
    """Follows the runs that are compared; safe between threads.

    Args:
        runs_dir: The folder of all runs.
        elsewhere: Absolute paths of runs outside of it.
    """

    def __init__(self, runs_dir: Path, elsewhere: Sequence[str] = ()) -> None:
        self.runs_dir, self.elsewhere = runs_dir, elsewhere
        self._followers: dict[str, RunFollower] = {}
        self._logs: dict[str, FoldedLog] = {}
        self._lock = Lock()

    def listed(self, moment: Moment | None = None) -> list[Listed]:
        """The newest runs of the folder, newest first; in a replay those that were there."""
        inside = (_listed(run, run.run_id, moment) for run in list_runs(self.runs_dir))
        outside = (_listed(RunPaths(Path(path)), path, moment) for path in self.elsewhere)
        found = [*islice((run for run in inside if run is not None), MAX_LISTED)]
        return [*found, *(run for run in outside if run is not None)]

    def poll(self, run_ids: Sequence[str], moment: Moment | None = None) -> tuple[RunFacts, ...]:
        """The runs as of now, or of a replay's moment, in the order asked for."""
        with self._lock:
            self._followers = {name: f for name, f in self._followers.items() if name in run_ids}
            self._logs = {name: log for name, log in self._logs.items() if name in run_ids}
            return tuple(self._facts(run_id, moment) for run_id in run_ids)

    def _facts(self, run_id: str, moment: Moment | None) -> RunFacts:
        paths = RunPaths(self.runs_dir / run_id)  # an absolute path stays what it is
        name = visible_text(run_id, 100)
        if not paths.exists():
            self._followers.pop(run_id, None)
            return RunFacts(run_id, name, None, problems=("the run is not there any more",))
        settings, problems = _settings(paths)
        try:
            state = self._state(run_id, paths, moment)
        except DataError as error:
            return RunFacts(run_id, name, None, settings, (*problems, visible_text(error.message)))
        told = (visible_text(problem) for problem in state.problems)
        return RunFacts(run_id, name, state, settings, tuple(dict.fromkeys((*problems, *told))))

    def _state(self, run_id: str, paths: RunPaths, moment: Moment | None) -> RunState:
        if moment is None:
            follower = self._followers.get(run_id) or RunFollower(paths, new_series=ColumnSeries)
            self._followers[run_id] = follower
            return follower.poll()
        if run_id == moment.run_id:
            return moment.state
        log = self._logs.get(run_id) or FoldedLog(paths)
        self._logs[run_id] = log
        return log.at(moment.time_s)


def name_in(runs_dir: Path, run: RunPaths) -> str:
    """The run's folder within the folder of all runs; elsewhere its absolute path."""
    root = run.root.resolve()
    return root.name if root.parent == runs_dir else str(root)


def _listed(paths: RunPaths, name: str, moment: Moment | None) -> Listed | None:
    """A run of the list; None if it was not there yet at the moment."""
    try:
        facts = read_json(paths.run_json)
    except DataError:
        return Listed(name, "")
    stage, created = facts.get("stage"), facts.get("created")
    if moment is not None and is_finite(created) and created > moment.time_s:
        return None
    return Listed(name, visible_text(stage, 12) if isinstance(stage, str) else "")


def _settings(paths: RunPaths) -> tuple[dict[str, str], tuple[str, ...]]:
    try:
        config = read_json(paths.config_json).get("config")
    except DataError as error:
        return {}, (visible_text(error.message),)
    return flattened(config) if isinstance(config, dict) else {}, ()


def flattened(config: Mapping[str, Any], prefix: str = "", depth: int = 0) -> dict[str, str]:
    """Settings by dotted name; a value is its JSON, as text that is safe to print."""
    found: dict[str, str] = {}
    for name, value in config.items():
        dotted = f"{prefix}{visible_text(name, 60)}"
        if isinstance(value, dict) and value and depth < _MAX_DEPTH:
            found |= flattened(value, f"{dotted}.", depth + 1)
        else:
            shown = json.dumps(to_json_value(value), ensure_ascii=False)
            found[dotted] = visible_text(shown, _VALUE_CHARS)
    return found
