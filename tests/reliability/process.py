"""Real worker processes that start at once: forked from a parent that has imported everything."""

import contextlib
import os
import signal
import sys
import time
import traceback
import warnings
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vtk.runs.store import RunPaths

POLL_S = 0.001


@dataclass(frozen=True)
class Child:
    """A process of ours.

    Attributes:
        pid: Its id.
    """

    pid: int

    def is_alive(self) -> bool:
        """Whether it has not ended; an ended one is left for `wait`."""
        info = os.waitid(os.P_PID, self.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        return info is None

    def send(self, number: int) -> None:
        """Send a signal; an ended process takes it without effect, being not waited for yet."""
        os.kill(self.pid, number)

    def wait(self, timeout_s: float = 120.0) -> int:
        """Its exit code, or minus the signal that ended it.

        Raises:
            TimeoutError: It lives on; it is killed.
        """
        deadline_s = time.monotonic() + timeout_s
        while self.is_alive():
            if time.monotonic() > deadline_s:
                os.kill(self.pid, signal.SIGKILL)
                os.waitpid(self.pid, 0)
                raise TimeoutError(f"process {self.pid} did not end in {timeout_s} s")
            time.sleep(POLL_S)
        return os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def fork(work: Callable[[], int], log: Path) -> Child:
    """Run `work` in a child whose output goes to a file; its return value is the exit code."""
    sys.stdout.flush()
    sys.stderr.flush()
    with warnings.catch_warnings():
        # From Python 3.12 on it warns of threads: those there may be wait and hold no lock.
        warnings.simplefilter("ignore", DeprecationWarning)
        pid = os.fork()
    if pid:
        return Child(pid)
    code = 99  # the child leaves by its end alone, so that the parent's code runs once
    try:
        descriptor = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o666)
        for stream in (1, 2):
            os.dup2(descriptor, stream)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        code = work()
    except BaseException:  # noqa: BLE001 - the child's border: the log and the code tell of it
        traceback.print_exc()
    finally:
        with contextlib.suppress(OSError):
            sys.stdout.flush()
            sys.stderr.flush()
        os._exit(code)


def start_worker(paths: RunPaths) -> Child:
    """The training process of a run, as `vtk train-*` starts it, but for the imports."""
    from vtk.worker import main

    return fork(lambda: main([str(paths.root)]), paths.root.parent / f"{paths.run_id}.log")


def wait_for(child: Child, happened: Callable[[], bool], timeout_s: float = 120.0) -> bool:
    """Wait until something happened; False if the process ended before.

    Raises:
        TimeoutError: Neither came.
    """
    deadline_s = time.monotonic() + timeout_s
    while not happened():
        if not child.is_alive():
            return False
        if time.monotonic() > deadline_s:
            raise TimeoutError("nothing happened")
        time.sleep(POLL_S)
    return True


class PhaseWatch:
    """Counts the phases that a run's log names, from where the log ended when it was made."""

    def __init__(self, paths: RunPaths) -> None:
        self.path = paths.events
        self.offset = self.path.stat().st_size if self.path.exists() else 0
        self.seen: list[str] = []

    def count(self, phase: str) -> int:
        """How often a phase began."""
        if self.path.exists():
            with self.path.open("rb") as stream:
                stream.seek(self.offset)
                new = stream.read()
            whole = new[: new.rfind(b"\n") + 1]
            self.offset += len(whole)
            for line in whole.splitlines():
                if b'"type":"phase"' in line:
                    self.seen.append(line.split(b'"name":"')[1].split(b'"')[0].decode())
        return self.seen.count(phase)
