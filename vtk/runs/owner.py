"""Which process writes a run, told apart from any later process that got the same number.

A pid alone lies after a crash: the system gives it to another process. An owner is therefore host,
boot, pid namespace, pid *and* the process's start time. Where these cannot be checked (another
machine, another container), the answer is "elsewhere", and only the heartbeat can tell.
"""

import os
import socket
import subprocess
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final, Literal, Self

from vtk.errors import DataError
from vtk.runs.files import read_json, storage_error, write_json_atomic
from vtk.runs.store import RunPaths

HEARTBEAT_INTERVAL_S: Final = 5.0
STALE_AFTER_S: Final = 30.0
"""Seconds without an event after which a run no longer counts as running."""

OwnerState = Literal["alive", "dead", "elsewhere", "absent"]
_PS_TIMEOUT_S = 10


@dataclass(frozen=True, slots=True)
class Owner:
    """One process on one machine since one boot."""

    host: str
    boot_id: str | None
    pid_namespace: str | None
    pid: int
    start_time: str | None

    @classmethod
    def current(cls) -> Self:
        """Return this process."""
        pid = os.getpid()
        return cls(socket.gethostname(), boot_id(), _pid_namespace(), pid, process_start_time(pid))

    @classmethod
    def read(cls, paths: RunPaths) -> Self | None:
        """Return the owner that a run names; None if it names none.

        Raises:
            DataError: The owner file is damaged.
        """
        if not paths.owner_json.exists():
            return None
        try:
            return cls.from_facts(read_json(paths.owner_json))
        except ValueError as error:
            raise DataError(f"{paths.owner_json} is damaged: {error}") from error

    @classmethod
    def from_facts(cls, facts: Mapping[str, Any]) -> Self:
        """Return the owner that JSON data describe.

        Raises:
            ValueError: They do not.
        """
        pid, host = facts.get("pid"), facts.get("host")
        if (
            not isinstance(pid, int)
            or isinstance(pid, bool)
            or pid <= 0
            or not isinstance(host, str)
        ):
            raise ValueError("it needs a pid and a host")
        optional = {
            key: facts[key] if isinstance(facts.get(key), str) else None for key in _OPTIONAL
        }
        return cls(host=host, pid=pid, **optional)

    def to_dict(self) -> dict[str, Any]:
        """Return the owner as JSON data."""
        return asdict(self)

    def shares_machine(self) -> bool:
        """Tell whether this process can see the owner's process table."""
        return (self.host, self.boot_id, self.pid_namespace) == (
            socket.gethostname(),
            boot_id(),
            _pid_namespace(),
        )

    def state(self) -> OwnerState:
        """Return whether the owner lives, is dead, or cannot be seen from here."""
        if not self.shares_machine():
            return "elsewhere"
        started = process_start_time(self.pid)
        return "alive" if started is not None and started == self.start_time else "dead"


_OPTIONAL = ("boot_id", "pid_namespace", "start_time")


@contextmanager
def deciding_owner(paths: RunPaths) -> Iterator[None]:
    """Hold the lock under which ownership changes, so that two newcomers cannot both win."""
    import fcntl  # POSIX only; readers never need it

    try:
        descriptor = os.open(paths.owner_lock, os.O_RDWR | os.O_CREAT, 0o666)
    except OSError as error:
        raise storage_error(paths.owner_lock, error) from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX)
        yield
    finally:
        os.close(descriptor)


def write_owner(paths: RunPaths, owner: Owner) -> None:
    """Name `owner` as the run's writer."""
    write_json_atomic(paths.owner_json, owner.to_dict())


def boot_id() -> str | None:
    """Return the id of this boot of this machine; None where the system gives none."""
    path = Path("/proc/sys/kernel/random/boot_id")
    return path.read_text().strip() if path.exists() else None


def process_start_time(pid: int) -> str | None:
    """Return when a process started, as text; None if there is no such process.

    Linux gives clock ticks since boot (field 22 of `/proc/PID/stat`, proc_pid_stat(5)), which no
    change of the wall clock moves; elsewhere `ps` gives the date. A zombie has ended and counts as
    gone.
    """
    if not Path("/proc/self/stat").exists():
        return _start_time_from_ps(pid)
    try:
        stat = Path(f"/proc/{pid}/stat").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return None
    fields = stat[
        stat.rindex(b")") + 2 :
    ].split()  # the name before it may hold spaces and parentheses
    return None if fields[0] in (b"Z", b"X") else fields[19].decode()


def _start_time_from_ps(pid: int) -> str | None:
    done = subprocess.run(
        ["ps", "-o", "lstart=", "-p", str(pid)],
        capture_output=True,
        text=True,
        timeout=_PS_TIMEOUT_S,
        check=False,
    )
    return done.stdout.strip() or None


def _pid_namespace() -> str | None:
    path = Path("/proc/self/ns/pid")
    try:
        return str(path.readlink())
    except OSError:
        return None  # not Linux, or hidden: nothing to compare
