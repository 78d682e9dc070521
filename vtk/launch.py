"""The parent side of a run: make its directory, start the worker, pass signals on, follow, judge.

The run directory is the worker's whole argument and the event log its whole answer, so this process
holds no model and imports none of the libraries that do. On several machines each has one such
process; the one of machine 0 makes the directory, which all see on a shared file system.
"""

import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from types import FrameType
from typing import Any

from vtk import errors
from vtk.config.loading import Resolved
from vtk.errors import DataError, Interrupted, UserInterrupt, VtkError
from vtk.runs.files import storage_error
from vtk.runs.owner import Owner
from vtk.runs.ranks import fault_of, read_reports
from vtk.runs.reader import EventTail
from vtk.runs.state import RunFollower, RunState
from vtk.runs.store import RunPaths, create_run, resume_hint
from vtk.system.launchers import Processes, worker_command
from vtk.system.signals import handle_signals
from vtk.train.inputs import INPUTS_KEY, pin_inputs, read_config
from vtk.train.measured import ESTIMATE_KEY, best_estimate

LOG_TAIL_LINES = 20
_POLL_S = 0.2
JOIN_TIMEOUT_S = 600.0
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Event = Mapping[str, Any]
OnProgress = Callable[[Sequence[Event], RunState], None]


def create_training_run(
    resolved: Resolved,
    *,
    data_dir: Path,
    runs_dir: Path,
    name: str | None = None,
    argv: Sequence[str] = (),
    processes: Processes | None = None,
) -> RunPaths:
    """Make the directory of a new run, with its inputs found and pinned.

    Args:
        resolved: Its settings.
        data_dir: The folder of all data sets.
        runs_dir: The folder of all runs.
        name: The run's id; default the stage and the time.
        argv: The command line, for the record.
        processes: How many will train it, for the estimate.

    Raises:
        ConfigError: Something is not named, or contradicts itself.
        DataError: A model, run or file is not there.
    """
    inputs = pin_inputs(resolved.config, data_dir, runs_dir)
    needs = best_estimate(resolved.config, inputs, runs_dir, (processes or Processes()).count)
    return create_run(
        runs_dir,
        resolved.config.stage,
        name,
        argv=argv,
        config=resolved.config.model_dump(mode="json"),
        provenance=resolved.provenance,
        extra={
            INPUTS_KEY: inputs.as_json(),
            ESTIMATE_KEY: None if needs is None else needs.as_json(),
        },
    )


def join_run(runs_dir: Path, name: str, patience_s: float = JOIN_TIMEOUT_S) -> RunPaths:
    """The run that the process of machine 0 makes, once it is there.

    Args:
        runs_dir: The folder of all runs, on a file system that the machines share.
        name: The run's id.
        patience_s: How long to wait, in seconds.

    Raises:
        DataError: It is not there in time.
    """
    paths, deadline_s = RunPaths(runs_dir / name), time.monotonic() + patience_s
    while not (paths.run_json.is_file() and paths.config_json.is_file()):
        if time.monotonic() > deadline_s:
            raise DataError(
                f"machine 0 has made no run {name} in {runs_dir} after {patience_s:.0f} s",
                "All machines need the same --name, and a --runs-dir that they share.",
            )
        time.sleep(_POLL_S)
    return paths


def launch(
    paths: RunPaths,
    processes: Processes | None = None,
    on_progress: OnProgress = lambda _events, _state: None,
) -> RunState:
    """Run one attempt to its end.

    The worker lives in a session of its own, so Ctrl-C reaches it only through this process: once
    to save and leave, twice to end at once.

    Args:
        paths: The run; an attempt goes on from its newest intact checkpoint.
        processes: How many, and how they are set up; None is what the visible GPUs ask for.
        on_progress: Called with new events and the state after them.

    Returns:
        The state of the finished run.

    Raises:
        VtkError: The run did not finish; the kind says why.
    """
    processes = processes or Processes()
    machine = processes.machines.rank
    log_path = _next_log(paths, machine)
    start = paths.events.stat().st_size if paths.events.exists() else 0
    tail, follower = EventTail(paths.events, start), RunFollower(paths)
    past: list[Event] = []
    fault, began = None, time.time()
    device = read_config(paths).reference.device
    command, environment = worker_command(paths.root, processes, device)
    with log_path.open("wb") as log:
        worker = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _forwarding(worker, paths, past):
            while worker.poll() is None:
                _follow(tail, follower, past, on_progress)
                # The first to break: a launcher ends the others, which then look the same.
                fault = fault or fault_of(paths, read_reports(paths, began))
                time.sleep(_POLL_S)
    _follow(tail, follower, past, on_progress)
    if machine > 0 and worker.returncode == 0:
        return follower.poll()  # a shared file system may show the last event late
    _raise_unless_finished(paths, past, worker.returncode, log_path, fault)
    return follower.poll()


def log_tail(path: Path, num_lines: int = LOG_TAIL_LINES) -> str:
    """The last lines of a log."""
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    return "\n".join(lines[-num_lines:])


def _follow(
    tail: EventTail, follower: RunFollower, past: list[Event], on_progress: OnProgress
) -> None:
    new = tail.poll()
    if new:
        past += new
        on_progress(new, follower.poll())


@contextmanager
def _forwarding(
    worker: "subprocess.Popen[bytes]", paths: RunPaths, past: Sequence[Event]
) -> Iterator[None]:
    """Pass signals to a process of the run; from the third on, end everything."""
    num_signals = 0

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        nonlocal num_signals
        num_signals += 1
        if num_signals > 2:
            _end_everything(worker, paths)
            return
        wanted = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        try:
            os.kill(_asked_pid(paths, past) or worker.pid, wanted)
        except ProcessLookupError:
            return  # it ended meanwhile; the loop sees that

    with handle_signals(_FORWARDED, forward):
        yield


def _end_everything(worker: "subprocess.Popen[bytes]", paths: RunPaths) -> None:
    """Kill the launcher's session and the processes here, which launchers give their own."""
    here = [r.owner.pid for r in read_reports(paths) if r.owner.state() == "alive"]
    with suppress(ProcessLookupError):
        os.killpg(worker.pid, signal.SIGKILL)
    for pid in here:
        with suppress(ProcessLookupError):  # it ended meanwhile
            os.kill(pid, signal.SIGKILL)


def _asked_pid(paths: RunPaths, events: Sequence[Event]) -> int | None:
    """The main process of the attempt, or of another machine's processes the first here.

    Whichever is asked to stop tells the others. Their launcher is not asked: it would kill them
    before they saved.
    """
    started = [event["owner"] for event in events if event["type"] == "attempt_started"]
    owners = [Owner(**facts) for facts in started[-1:]]
    owners += [report.owner for report in read_reports(paths)]
    return next((owner.pid for owner in owners if owner.state() == "alive"), None)


def _next_log(paths: RunPaths, machine: int) -> Path:
    """A new file for the worker's own words, one per attempt and machine."""
    prefix = f"machine_{machine}_attempt" if machine else "attempt"
    number = 1 + sum(1 for _ in paths.logs_dir.glob(f"{prefix}_*"))
    folder = paths.logs_dir / f"{prefix}_{number}"
    try:
        folder.mkdir(parents=True)
    except OSError as error:
        raise storage_error(folder, error) from error
    return folder / "worker.log"


def _raise_unless_finished(
    paths: RunPaths,
    events: Sequence[Event],
    code: int,
    log_path: Path,
    fault: VtkError | None = None,
) -> None:
    """Turn the attempt's last event, or its absence, into the error that a user sees."""
    ends = [event for event in events if event["type"] == "run_finished"]
    if ends and ends[-1]["status"] == "finished":
        return
    if ends:
        kind, message = str(ends[-1].get("error_kind")), str(ends[-1].get("message"))
        if (known := _error_kinds().get(kind)) is not None:
            raise known(message, ends[-1].get("hint"))
        raise VtkError(
            f"the worker failed: {kind}: {message}\n{log_tail(log_path)}",
            f"All it said is in {log_path}.",
        )
    if fault is not None:
        raise fault
    if code == -signal.SIGINT:
        raise UserInterrupt("interrupted before the run began", resume_hint(paths))
    if code == -signal.SIGTERM:
        raise Interrupted("stopped by SIGTERM before the run began", resume_hint(paths))
    by_code = {found.exit_code: found for found in _error_kinds().values()}
    said = log_tail(log_path)
    how = f"with signal {-code}" if code < 0 else f"with exit code {code}"
    raise by_code.get(code, VtkError)(f"the worker ended {how}\n{said}", resume_hint(paths))


def _error_kinds() -> dict[str, type[VtkError]]:
    found = {name: value for name, value in vars(errors).items() if isinstance(value, type)}
    return {name: kind for name, kind in found.items() if issubclass(kind, VtkError)}
