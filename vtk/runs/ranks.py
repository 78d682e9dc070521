"""What each process of a run says of itself, so that one that is dead or late can be named.

Only the main process writes the event log, and when another one dies it is told no more than
that a connection was lost. So every process of several also keeps one small file in `ranks/`: who
it is, what it is doing since when, and how it ended. A process that is gone without having said how
it ended has died.
"""

import shutil
import threading
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from types import TracebackType
from typing import Any, Final, Self

from vtk import errors
from vtk.errors import DataError, VtkError
from vtk.runs.files import read_json, write_json_atomic
from vtk.runs.owner import HEARTBEAT_INTERVAL_S, Owner
from vtk.runs.store import RunPaths, resume_hint

SETTLING_S: Final = 2.0
_SETTLING_POLL_S: Final = 0.05


@dataclass(frozen=True, slots=True)
class RankReport:
    """One process of a run.

    Attributes:
        rank: Its number, counted from 0, the main process.
        owner: Which process it is.
        step: Optimizer steps that it has done.
        phase: What it is doing.
        since: UTC seconds when that began.
        time: UTC seconds of this report.
        end: How it ended: "done", or the kind of its error; None while it works.
        message: The error in words.
        hint: What mends it.
        pass_number: The step's backward pass that it makes, counted from 1; 0 between steps.
    """

    rank: int
    owner: Owner
    step: int = 0
    phase: str = "load"
    since: float = 0.0
    time: float = 0.0
    end: str | None = None
    message: str = ""
    hint: str | None = None
    pass_number: int = 0

    @property
    def has_died(self) -> bool:
        """Whether it is gone without having said how it ended; False where it cannot be seen."""
        return self.end is None and self.owner.state() == "dead"

    @property
    def name(self) -> str:
        """The process as people are told of it."""
        return f"process {self.rank} (pid {self.owner.pid} on {self.owner.host})"

    @property
    def doing(self) -> str:
        """What it was doing when it last said so."""
        return f"{self.phase} in step {self.step + 1}"


class RankReporter:
    """Keeps the file of this process fresh; a context manager with a thread of its own.

    Leaving it by an exception reports that exception as the end.

    Args:
        paths: The run.
        rank: This process.
    """

    def __init__(self, paths: RunPaths, rank: int) -> None:
        self.paths = paths
        now = time.time()
        self._report = RankReport(rank, Owner.current(), since=now, time=now)
        self._lock, self._closing = threading.Lock(), threading.Event()
        self._thread = threading.Thread(target=self._beat, name="rank-report", daemon=True)

    def __enter__(self) -> Self:
        self._write()
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._closing.set()
        self._thread.join()
        end = "done" if kind is None else kind.__name__
        message = "" if error is None else str(error)
        with self._lock:
            hint = getattr(error, "hint", None)
            self._report = replace(self._report, end=end, message=message, hint=hint)
        self._write()

    def doing(self, step: int, phase: str, pass_number: int = 0) -> None:
        """Say what this process does now; it reaches the disk with the next report.

        Args:
            step: Optimizer steps done.
            phase: As in the event log.
            pass_number: The step's backward pass, counted from 1; 0 between steps.
        """
        since = time.time()
        with self._lock:
            self._report = replace(
                self._report, step=step, phase=phase, since=since, pass_number=pass_number
            )

    def _beat(self) -> None:
        while not self._closing.wait(HEARTBEAT_INTERVAL_S):
            try:
                self._write()
            except VtkError as fault:  # told with the next report that reaches the disk
                with self._lock:
                    self._report = replace(self._report, message=fault.message)

    def _write(self) -> None:
        with self._lock:
            report = replace(self._report, time=time.time())
        write_json_atomic(self.paths.rank_file(report.rank), asdict(report))


def clear_reports(paths: RunPaths) -> None:
    """Remove what the processes of an earlier attempt said."""
    shutil.rmtree(paths.ranks_dir, ignore_errors=True)


def read_reports(paths: RunPaths, since: float = 0.0) -> list[RankReport]:
    """What every process has said last, by rank; empty for a run of one process.

    Args:
        paths: The run.
        since: UTC seconds; what was said before, in an earlier attempt, is left out.
    """
    reports = []
    for path in paths.ranks_dir.glob("rank_*.json"):
        try:
            facts: dict[str, Any] = read_json(path)
        except DataError:
            continue  # removed by the next attempt meanwhile
        reports.append(RankReport(**facts | {"owner": Owner(**facts["owner"])}))
    new = (report for report in reports if report.time >= since)
    return sorted(new, key=lambda report: report.rank)


def fault_of(paths: RunPaths, reports: Sequence[RankReport]) -> VtkError | None:
    """Why a run of several processes broke: one died, or the first that met an error.

    Args:
        paths: The run.
        reports: Of the processes that may be to blame.

    Returns:
        An error of that process's kind that names it; None if nobody is to blame.
    """
    dead = next((report for report in reports if report.has_died), None)
    if dead is not None:
        return VtkError(
            f"{dead.name} died while at {dead.doing}; the others were ended",
            resume_hint(paths),
        )
    faulty = [report for report in reports if report.end not in (None, "done")]
    if not faulty:
        return None
    first = min(faulty, key=lambda report: report.time)
    kind = getattr(errors, str(first.end), None)
    if isinstance(kind, type) and issubclass(kind, VtkError):
        return kind(f"{first.name}: {first.message}", first.hint)
    return VtkError(f"{first.name} failed: {first.end}: {first.message}", resume_hint(paths))


def fault_of_peers(paths: RunPaths, rank: int, patience_s: float = SETTLING_S) -> VtkError | None:
    """Why a collective of this process failed.

    Args:
        paths: The run.
        rank: This process.
        patience_s: How long to wait for a dying peer to be gone, in seconds; 0 looks once.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        peers = [report for report in read_reports(paths) if report.rank != rank]
        fault = fault_of(paths, peers)
        if fault is not None or time.monotonic() > deadline_s:
            return fault
        time.sleep(_SETTLING_POLL_S)
