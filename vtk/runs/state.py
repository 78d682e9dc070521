"""A run's state as far as anyone can tell from outside: the log, the owner, the clock.

Status is finished, failed or stopped where the log says so. Otherwise the run is running if its
last sign of life is fresh and its owner is alive or cannot be seen from here, and lost if not. A
run without events and without an owner has been created only.
"""

import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from vtk.errors import DataError
from vtk.format import format_age_s, visible_text
from vtk.runs.control import read_mailbox
from vtk.runs.events import EVENT_SCHEMA_VERSION, FINAL_STATUSES, is_finite
from vtk.runs.files import read_json
from vtk.runs.fold import EventFold
from vtk.runs.owner import STALE_AFTER_S, Owner, OwnerState
from vtk.runs.reader import EventTail
from vtk.runs.results import StoredResults
from vtk.runs.series import PointSeries, Series
from vtk.runs.snapshot import RunState, Status
from vtk.runs.store import RunPaths, num_steps_of

__all__ = ["Liveness", "RunFollower", "RunState", "fold", "known_facts", "read_state"]


@dataclass(frozen=True, slots=True)
class Liveness:
    """The process behind a run: who it is, whether it lives, seconds since its last event."""

    owner: Owner | None = None
    owner_state: OwnerState = "absent"
    heartbeat_age_s: float | None = None


def fold(events: Iterable[Mapping[str, Any]], liveness: Liveness | None = None) -> RunState:
    """Return the snapshot after `events`; a run that has not ended is lost without `liveness`."""
    folded = EventFold()
    for event in events:
        folded.add(event)
    return _judged(folded.snapshot(), liveness or Liveness())


def read_state(paths: RunPaths, tail_bytes: int | None = None) -> RunState:
    """Return the snapshot of a run.

    Args:
        paths: The run.
        tail_bytes: Read only so much of the end of the log (all of it if no step is in there), for
            a list of many runs; the snapshot is then partial.

    Raises:
        DataError: The log is there but cannot be read.
    """
    size = paths.events.stat().st_size if tail_bytes is not None and paths.events.exists() else 0
    start_offset = max(0, size - tail_bytes) if tail_bytes is not None else 0
    state = RunFollower(paths, start_offset=start_offset).poll()
    return RunFollower(paths).poll() if state.is_partial and not state.history else state


class RunFollower:
    """Follows one run: each `poll` reads what is new and returns a snapshot.

    Args:
        paths: The run.
        start_offset: Where in the log to begin, in bytes.
        new_series: Makes what holds the points of one metric.
        now: Gives UTC seconds.
        monotonic: Gives the monotonic seconds that a writer on this machine would stamp.
    """

    def __init__(
        self,
        paths: RunPaths,
        *,
        start_offset: int = 0,
        new_series: Callable[[], PointSeries] = Series,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths = paths
        self._is_partial = start_offset > 0
        self._now, self._monotonic = now, monotonic
        self._tail = EventTail(paths.events, start_offset)
        self._num_restarts = 0
        self._known, self._problems = known_facts(paths)
        self._new_series = new_series
        self._fold = EventFold(self._known, new_series)
        self._results = StoredResults(paths)

    @property
    def is_behind(self) -> bool:
        """Whether the last `poll` left some of the log unread."""
        return self._tail.is_behind

    @property
    def num_restarts(self) -> int:
        """How often the log was found replaced: by a run that was made anew under this name."""
        return self._num_restarts

    def poll(self, max_bytes: int | None = None) -> RunState:
        """Return the snapshot as of now.

        Args:
            max_bytes: Read about so much of the log and no more.

        Raises:
            DataError: The log is there but cannot be read.
        """
        before = _owner(self.paths)
        new = self._tail.poll(max_bytes)
        if self._tail.num_restarts != self._num_restarts:
            self._num_restarts, self._is_partial = self._tail.num_restarts, False
            self._known, self._problems = known_facts(self.paths)
            self._fold = EventFold(self._known, self._new_series)
        for event in new:
            self._fold.add(event)
        # The owner is asked before and after: a run that starts or ends meanwhile was not lost.
        seen = [before] if before.state == "alive" else [before, _owner(self.paths)]
        return self._judged_with_files(seen[-1])

    def _judged_with_files(self, seen: "_SeenOwner") -> RunState:
        state = self._fold.snapshot()
        mailbox = read_mailbox(self.paths)
        is_told = state.stage == "eval"  # the log of an evaluation holds its results
        stored, unreadable_results = ((), ()) if is_told else self._results.poll()
        acted_on = {record.id for record in state.controls}
        problems = (*self._problems, *seen.problems, *unreadable_results, *_version_notice(state))
        state = replace(
            state,
            root=self.paths.root,
            eval_history=(*state.eval_history, *stored),
            pending_requests=tuple(r for r in mailbox.requests if r.id not in acted_on),
            num_unreadable_requests=len(mailbox.unreadable),
            num_unreadable_lines=state.num_unreadable_lines + self._tail.num_unreadable,
            last_unreadable_lines=self._tail.unreadable + state.last_unreadable_lines,
            problems=problems,
            is_partial=self._is_partial,
        )
        return _judged(
            state, Liveness(seen.owner, seen.state, self._heartbeat_age_s(state, seen.owner))
        )

    def _heartbeat_age_s(self, state: RunState, owner: Owner | None) -> float | None:
        if state.last_event_time is None:
            return None
        mono = self._fold.last_mono
        if mono is not None and owner is not None and owner.boot_id and owner.shares_machine():
            return max(0.0, self._monotonic() - mono)  # one boot, one clock: no wall-clock jumps
        return max(0.0, self._now() - state.last_event_time)


@dataclass(frozen=True, slots=True)
class _SeenOwner:
    owner: Owner | None
    state: OwnerState
    problems: tuple[str, ...] = ()


def _owner(paths: RunPaths) -> _SeenOwner:
    try:
        owner = Owner.read(paths)
    except DataError as error:
        return _SeenOwner(None, "absent", (error.message,))
    return _SeenOwner(owner, "absent" if owner is None else owner.state())


def _judged(state: RunState, liveness: Liveness) -> RunState:
    status, reason = _status(state, liveness)
    eta_s = state.eta_s if status == "running" else None
    age_s = liveness.heartbeat_age_s
    return replace(state, status=status, status_reason=reason, eta_s=eta_s, heartbeat_age_s=age_s)


def _status(state: RunState, liveness: Liveness) -> tuple[Status, str]:
    age_s, age = liveness.heartbeat_age_s, format_age_s(liveness.heartbeat_age_s)
    if state.status in FINAL_STATUSES:
        return state.status, _ending(state, age)
    if liveness.owner_state == "dead" and liveness.owner is not None:
        return "lost", f"its process {liveness.owner.pid} is gone; last event {age} ago"
    if state.num_events == 0 and liveness.owner_state == "absent":
        return "created", "no process has written an event yet"
    if state.num_events == 0:
        return "running", "its process has claimed the run and written no event yet"
    if liveness.owner_state == "absent":
        return "lost", f"no process writes it and its end was not recorded; last event {age} ago"
    if age_s is not None and age_s > STALE_AFTER_S:
        where = "its process is there but" if liveness.owner_state == "alive" else "its process"
        return "lost", f"{where} has written nothing for {age}"
    return "running", f"last event {age} ago"


def _ending(state: RunState, age: str) -> str:
    said = ": ".join(part for part in (state.error_kind, state.error_message) if part)
    return f"{said}; {age} ago" if said else f"{age} ago"


def _version_notice(state: RunState) -> tuple[str, ...]:
    if state.newest_version <= EVENT_SCHEMA_VERSION:
        return ()
    return (
        f"written by a newer vtk (event schema {state.newest_version}, this one knows"
        f" {EVENT_SCHEMA_VERSION}): what it does not know is not shown",
    )


def known_facts(paths: RunPaths) -> tuple[dict[str, Any], tuple[str, ...]]:
    """Return what run.json and config.json say of a run, and what is wrong with these files."""
    facts: dict[str, Any] = {"run_id": paths.run_id}
    problems: list[str] = []
    try:
        run_json = read_json(paths.run_json)
        stage, created = run_json.get("stage"), run_json.get("created")
        facts["stage"] = stage if isinstance(stage, str) else None
        facts["created"] = float(created) if is_finite(created) else None
    except DataError as error:
        problems.append(visible_text(error.message))
    try:
        facts["num_steps"] = num_steps_of(read_json(paths.config_json))
    except DataError as error:
        problems.append(visible_text(error.message))
    return facts, tuple(problems)
