"""The one writer of a run's event log.

Each event is one line in one write, so a crash costs at most the event being written. A tail that a
crash left torn is closed with a newline first: otherwise the first event after the crash would be
glued to it and lost too. State changes are synced to the disk. A thread writes a heartbeat, and
what it meets (a full disk) rises at the next event.
"""

import os
import shlex
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from types import TracebackType
from typing import Any, Self

from vtk.errors import ConfigError, DataError, GuardStop, Interrupted, UserInterrupt, VtkError
from vtk.format import without_secrets
from vtk.runs import events
from vtk.runs.files import read_json, storage_error, write_bytes_atomic
from vtk.runs.owner import (
    HEARTBEAT_INTERVAL_S,
    STALE_AFTER_S,
    Owner,
    deciding_owner,
    write_owner,
)
from vtk.runs.reader import EventTail
from vtk.runs.store import RunPaths, num_steps_of

_STOPPING_ERRORS = (Interrupted, UserInterrupt, GuardStop, KeyboardInterrupt)


class EventWriter:
    """Appends events to one run; a context manager, safe in threads but not in signal handlers.

    Entering it claims the run, writes `run_started` (first attempt only) and `attempt_started`, and
    starts the heartbeat. Leaving it by an exception without `finish` writes `run_finished` with
    that exception; leaving it quietly without `finish` writes nothing, and readers call the run
    lost.

    Args:
        paths: The run, made by `create_run`.
        attempt_resumed_from_step: The step whose checkpoint this attempt continues; None starts
            from the beginning.
        heartbeat_interval_s: Seconds between heartbeats.
        now: Gives UTC seconds.
        monotonic: Gives seconds that never jump.

    Attributes:
        attempt: Which attempt at the run this is, counted from 1; 0 before it is entered.

    Raises:
        ConfigError: Another process writes this run.
        VtkError: The files cannot be written.
    """

    def __init__(
        self,
        paths: RunPaths,
        attempt_resumed_from_step: int | None = None,
        *,
        heartbeat_interval_s: float = HEARTBEAT_INTERVAL_S,
        now: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.paths = paths
        self._resumed_from_step = attempt_resumed_from_step
        self._heartbeat_interval_s = heartbeat_interval_s
        self._now, self._monotonic = now, monotonic
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._heartbeat = threading.Thread(target=self._beat, name="vtk-heartbeat", daemon=True)
        self._owner = Owner.current()
        self._descriptor: int | None = None
        self._failure: VtkError | None = None
        self._seq = 0
        self._torn = False
        self._finished = False
        self.attempt = 0

    def __enter__(self) -> Self:
        _claim(self.paths, self._owner, self._now())
        try:
            self.attempt = self._open() + 1
            self._announce()
        except BaseException:
            self._release()
            raise
        self._heartbeat.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None and not self._finished:
                self._finish_with(error)
        finally:
            self._closing.set()
            self._heartbeat.join()
            self._release()

    def emit(self, type: str, **payload: Any) -> None:
        """Append one event.

        Raises:
            ValueError: The payload uses a name of the envelope.
            TypeError: The payload holds something that has no JSON form.
            VtkError: The event, or an earlier heartbeat, could not be written (disk full); or the
                run has been finished.
        """
        clash = set(payload) & set(events.ENVELOPE)
        if clash:
            raise ValueError(f"an event's payload cannot use the names {sorted(clash)}")
        with self._lock:
            if self._failure is not None:
                failure, self._failure = self._failure, None
                raise failure
            if self._finished:
                raise VtkError(f"run {self.paths.run_id} is finished; {type} came too late")
            self._append(type, payload)
            self._finished = type == events.RUN_FINISHED
        self._sync(type)

    def step(self, step: int, metrics: Mapping[str, float]) -> None:
        """Append the metrics of one optimizer step, named as in `vtk.runs.events.METRICS`."""
        self.emit(
            events.STEP, step=step, metrics={name: float(value) for name, value in metrics.items()}
        )

    def phase(self, name: str) -> None:
        """Say what the run is doing now: load, decode, generate, score, update, save, eval."""
        self.emit(events.PHASE, name=name)

    def rollouts(self, step: int, rows: Sequence[Mapping[str, Any]]) -> None:
        """Write the completions of one step to their own file, then the event that names it."""
        path = self.paths.rollout_file(step)
        version = {"v": events.ROLLOUT_SCHEMA_VERSION}
        write_bytes_atomic(path, b"".join(events.encode_line(version | dict(row)) for row in rows))
        self.emit(
            events.ROLLOUTS, step=step, path=str(path.relative_to(self.paths.root)), count=len(rows)
        )

    def finish(
        self, status: str, error_kind: str | None = None, message: str | None = None
    ) -> None:
        """Append the last event: `status` is finished, failed or stopped.

        Raises:
            ValueError: The status is none of these.
        """
        if status not in events.FINAL_STATUSES:
            raise ValueError(f"status must be one of {events.FINAL_STATUSES}, not {status!r}")
        told = None if message is None else without_secrets(message)
        self.emit(events.RUN_FINISHED, status=status, error_kind=error_kind, message=told)

    def _open(self) -> int:
        """Open the log, close a torn tail, and return how many attempts it holds."""
        try:
            self._descriptor = os.open(
                self.paths.events, os.O_RDWR | os.O_CREAT | os.O_APPEND, 0o666
            )
            size = os.fstat(self._descriptor).st_size
            self._torn = size > 0 and os.pread(self._descriptor, 1, size - 1) != b"\n"
            self._close_torn_tail()
        except OSError as error:
            raise storage_error(self.paths.events, error) from error
        past = EventTail(self.paths.events).poll()
        self._seq = 1 + max((event["seq"] for event in past), default=-1)
        return sum(event["type"] == events.ATTEMPT_STARTED for event in past)

    def _announce(self) -> None:
        run_json = read_json(self.paths.run_json)
        num_steps = num_steps_of(read_json(self.paths.config_json))
        if self._seq == 0:
            self.emit(
                events.RUN_STARTED,
                run_id=self.paths.run_id,
                stage=run_json.get("stage"),
                num_steps=num_steps,
            )
        self.emit(
            events.ATTEMPT_STARTED,
            attempt=self.attempt,
            resumed_from_step=self._resumed_from_step,
            num_steps=num_steps,
            owner=self._owner.to_dict(),
        )

    def _append(self, type: str, payload: Mapping[str, Any]) -> None:
        assert self._descriptor is not None, "the writer is used outside its with block"
        envelope = {
            "v": events.EVENT_SCHEMA_VERSION,
            "seq": self._seq,
            "time": self._now(),
            "mono": self._monotonic(),
            "type": type,
        }
        line = events.encode_event({**envelope, **payload})
        try:
            self._close_torn_tail()
            self._write(line)
        except OSError as error:
            raise storage_error(self.paths.events, error) from error
        self._seq += 1

    def _close_torn_tail(self) -> None:
        if self._torn:
            self._write(b"\n")

    def _write(self, line: bytes) -> None:
        assert self._descriptor is not None
        rest = memoryview(line)
        while rest:
            written = os.write(self._descriptor, rest)
            self._torn = written < len(rest)
            rest = rest[written:]

    def _sync(self, type: str) -> None:
        if type in events.DURABLE_TYPES and self._descriptor is not None:
            try:
                os.fsync(self._descriptor)
            except OSError as error:
                raise storage_error(self.paths.events, error) from error

    def _beat(self) -> None:
        while not self._closing.wait(self._heartbeat_interval_s):
            with self._lock:
                if self._finished:
                    return
            try:
                self._beat_once()
            except VtkError as failure:
                with self._lock:
                    self._failure = failure

    def _beat_once(self) -> None:
        if Owner.read(self.paths) != self._owner:
            raise VtkError(
                f"run {self.paths.run_id} was taken over by another process; this one must stop"
            )
        with self._lock:
            if not self._finished:
                self._append(events.HEARTBEAT, {})
        self._sync(events.HEARTBEAT)

    def _finish_with(self, error: BaseException) -> None:
        status = "stopped" if isinstance(error, _STOPPING_ERRORS) else "failed"
        try:
            self.finish(status, error_kind=type(error).__name__, message=str(error))
        except VtkError as failure:
            error.add_note(f"the run's end could not be recorded either: {failure}")

    def _release(self) -> None:
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None
        with deciding_owner(self.paths):
            if Owner.read(self.paths) == self._owner:
                self.paths.owner_json.unlink()


def _claim(paths: RunPaths, owner: Owner, now: float) -> None:
    """Make `owner` the run's owner, or refuse."""
    with deciding_owner(paths):
        refuse_living_owner(paths, now)
        write_owner(paths, owner)


def refuse_living_owner(paths: RunPaths, now: float | None = None) -> None:
    """Refuse a run that another process is writing.

    Args:
        paths: The run.
        now: UTC seconds; the clock's when None.

    Raises:
        ConfigError: Somebody owns the run and lives.
    """
    try:
        owner = Owner.read(paths)
    except DataError:
        return  # damaged by a crash of its writer: nobody can be shown to own the run
    if owner is None or owner.state() == "dead":
        return
    now = time.time() if now is None else now
    if owner.state() == "elsewhere" and not _written_lately(paths, now):
        return
    raise ConfigError(
        f"run {paths.run_id} is being written by process {owner.pid} on {owner.host}",
        hint=f"Stop it first: vtk runs stop {shlex.quote(str(paths.root))}",
    )


def _written_lately(paths: RunPaths, now: float) -> bool:
    return paths.events.exists() and now - paths.events.stat().st_mtime < STALE_AFTER_S
