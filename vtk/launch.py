"""The parent side of a run: make its directory, start the worker, pass signals on, follow, judge.

One process runs as `python -m vtk.worker RUN_DIR`, several through `accelerate launch` (on CPUs
through `torch.distributed.run`); the run directory is the worker's whole argument and the event log
its whole answer, so this process holds no model and imports none of the libraries that do.
"""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import FrameType
from typing import Any

from vtk import errors
from vtk.config.loading import Resolved
from vtk.errors import Interrupted, UserInterrupt, VtkError
from vtk.runs.files import storage_error
from vtk.runs.ranks import fault_of, read_reports
from vtk.runs.reader import EventTail
from vtk.runs.state import RunFollower, RunState
from vtk.runs.store import RunPaths, create_run, resume_hint
from vtk.system.signals import handle_signals
from vtk.train.inputs import INPUTS_KEY, pin_inputs

LOG_TAIL_LINES = 20
_ONE_MACHINE = (
    "--multi_gpu",
    "--num_machines",
    "1",
    "--mixed_precision",
    "no",
    "--dynamo_backend",
    "no",
)
_POLL_S = 0.2
_FORWARDED = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)

Event = Mapping[str, Any]
OnProgress = Callable[[Sequence[Event], RunState], None]


@dataclass(frozen=True, slots=True)
class Processes:
    """How a run is spread over processes.

    Attributes:
        num_processes: One per GPU; None takes every visible GPU, or one process without any.
        accelerate_config: A file of `accelerate config`, or None.
    """

    num_processes: int | None = None
    accelerate_config: Path | None = None


def create_training_run(
    resolved: Resolved,
    *,
    data_dir: Path,
    runs_dir: Path,
    name: str | None = None,
    argv: Sequence[str] = (),
) -> RunPaths:
    """Make the directory of a new run, with its inputs found and pinned.

    Args:
        resolved: Its settings.
        data_dir: The folder of all data sets.
        runs_dir: The folder of all runs.
        name: The run's id; default the stage and the time.
        argv: The command line, for the record.

    Raises:
        ConfigError: Something is not named, or contradicts itself.
        DataError: A model, run or file is not there.
    """
    inputs = pin_inputs(resolved.config, data_dir, runs_dir)
    return create_run(
        runs_dir,
        resolved.config.stage,
        name,
        argv=argv,
        config=resolved.config.model_dump(mode="json"),
        provenance=resolved.provenance,
        extra={INPUTS_KEY: inputs.as_json()},
    )


def launch(
    paths: RunPaths,
    processes: Processes = Processes(),
    on_progress: OnProgress = lambda _events, _state: None,
) -> RunState:
    """Run one attempt to its end.

    The worker lives in a session of its own, so Ctrl-C reaches it only through this process: once
    to save and leave, twice to end at once.

    Args:
        paths: The run; an attempt goes on from its newest intact checkpoint.
        processes: How many, and how they are set up.
        on_progress: Called with new events and the state after them.

    Returns:
        The state of the finished run.

    Raises:
        VtkError: The run did not finish; the kind says why.
    """
    log_path = _next_log(paths)
    start = paths.events.stat().st_size if paths.events.exists() else 0
    tail, follower = EventTail(paths.events, start), RunFollower(paths)
    past: list[Event] = []
    fault, began = None, time.time()
    command, environment = worker_command(paths, processes)
    with log_path.open("wb") as log:
        worker = subprocess.Popen(
            command,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        with _forwarding(worker, past):
            while worker.poll() is None:
                _follow(tail, follower, past, on_progress)
                # The first to break: a launcher ends the others, which then look the same.
                fault = fault or fault_of(paths, read_reports(paths, began))
                time.sleep(_POLL_S)
    _follow(tail, follower, past, on_progress)
    _raise_unless_finished(paths, past, worker.returncode, log_path, fault)
    return follower.poll()


def worker_command(paths: RunPaths, processes: Processes) -> tuple[list[str], dict[str, str]]:
    """The command that trains a run, and its environment."""
    environment = dict(os.environ)
    gpus = visible_gpus(environment)
    num_processes = processes.num_processes or max(1, len(gpus))
    worker = ["-m", "vtk.worker", str(paths.root.absolute())]
    if num_processes == 1 and processes.accelerate_config is None:
        if len(gpus) > 1:  # one process must see one GPU, or the library splits every batch
            environment["CUDA_VISIBLE_DEVICES"] = gpus[0]
        return [sys.executable, *worker], environment
    count = str(num_processes)
    if processes.accelerate_config is not None:
        file = str(processes.accelerate_config)
        launcher = ["accelerate.commands.launch", "--num_processes", count, "--config_file", file]
    elif gpus:
        launcher = ["accelerate.commands.launch", "--num_processes", count, *_ONE_MACHINE]
    else:  # accelerate starts several CPU processes only through MPI
        launcher = ["torch.distributed.run", "--standalone", "--nproc_per_node", count]
    return [sys.executable, "-m", *launcher, *worker], environment


def visible_gpus(environ: Mapping[str, str]) -> list[str]:
    """The GPUs that a process may use, as `CUDA_VISIBLE_DEVICES` would name them."""
    named = environ.get("CUDA_VISIBLE_DEVICES")
    if named is not None:
        return [device.strip() for device in named.split(",") if device.strip() not in ("", "-1")]
    from vtk.system.gpu import read_gpus

    return [str(device.index) for device in read_gpus().devices]


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
def _forwarding(worker: "subprocess.Popen[bytes]", past: Sequence[Event]) -> Iterator[None]:
    """Pass signals to the process that owns the run; from the third on, end everything."""
    num_signals = 0

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        nonlocal num_signals
        num_signals += 1
        if num_signals > 2:
            os.killpg(worker.pid, signal.SIGKILL)
            return
        wanted = signal.SIGINT if number == signal.SIGINT else signal.SIGTERM
        try:
            os.kill(_owner_pid(past) or worker.pid, wanted)
        except ProcessLookupError:
            return  # it ended meanwhile; the loop sees that

    with handle_signals(_FORWARDED, forward):
        yield


def _owner_pid(events: Sequence[Event]) -> int | None:
    """The main process of the attempt; a launcher of several would kill them before they saved."""
    owners = (event.get("owner") for event in events if event["type"] == "attempt_started")
    pid = next((owner.get("pid") for owner in owners if isinstance(owner, dict)), None)
    return pid if isinstance(pid, int) else None


def _next_log(paths: RunPaths) -> Path:
    """A new file for the worker's own words, one per attempt."""
    number = 1 + sum(1 for _ in paths.logs_dir.glob("attempt_*"))
    folder = paths.logs_dir / f"attempt_{number}"
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
