"""The same command several times on this machine, as the processes of one piece of work.

Each process is told who it is as torch's own launchers tell it (RANK, WORLD_SIZE, MASTER_ADDR,
MASTER_PORT), so that a command needs no second way to find the others. The first that fails ends
all; what it said is kept in a file, because only process 0 talks to the user.
"""

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from types import FrameType
from typing import IO, Final

from vtk import errors
from vtk.errors import Interrupted, UserInterrupt, VtkError
from vtk.mini.processes import num_cores
from vtk.system.signals import handle_signals

STARTED_BY: Final = "VTK_STARTED_BY"
"""Names the process that started this one and speaks for it."""

LEFT_WITH_OTHERS: Final = 76
"""Exit code of a process that ends because another one did, which says why."""

GRACE_S: Final = 60.0
"""Seconds that a process has to stop at its next token before it is killed."""

_POLL_S: Final = 0.05
_NUM_LINES_SHOWN: Final = 20
_FORWARDED: Final = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


def is_started_together(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether this process is one of several that `run_together` started."""
    return STARTED_BY in environ


def has_lost_starter(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether the process that started this one and its likes is gone."""
    return STARTED_BY in environ and os.getppid() != int(environ[STARTED_BY])


def run_together(command: Sequence[str], count: int, hint: str, is_captured: bool) -> str:
    """Run a command in several processes, to the end of all.

    Args:
        command: The program and its arguments, the same for all.
        count: How many.
        hint: What to do when they were stopped or one died.
        is_captured: Keep what process 0 writes to its stdout, instead of letting it through.

    Returns:
        What was kept. Process 0's stderr is this process's; the stdout of the others is dropped.

    Raises:
        UserInterrupt: Ctrl-C.
        Interrupted: SIGTERM or SIGHUP.
        Spoken: Process 0 failed, and has told the user why.
        VtkError: A process failed or was killed; of that process's kind, and names it.
    """
    with TemporaryDirectory(prefix="vtk-together-") as name, ExitStack() as opened:
        folder, port = Path(name), _free_port()
        processes: list[subprocess.Popen[bytes]] = []
        with _ended(processes), _forwarding(processes) as received:
            for rank in range(count):
                streams = _streams(folder, rank, is_captured, opened)
                environment = _environment(rank, count, port)
                processes.append(_start(command, environment, *streams))
            failed = _first_failure(processes)
            _end(processes)
        captured = _read(folder / "stdout") if is_captured else ""
        if received:
            raise _stopped_by(received[0], hint)
        if failed is not None:
            raise _fault_of(failed, processes[failed], captured, folder, hint)
        return captured


class Spoken(Exception):
    """Process 0 failed and has said why.

    Args:
        code: Its exit code.
        captured: What it wrote to its stdout, if that was kept.
    """

    def __init__(self, code: int, captured: str) -> None:
        super().__init__(f"process 0 ended with exit code {code}")
        self.code, self.captured = code, captured


def _streams(
    folder: Path, rank: int, is_captured: bool, opened: ExitStack
) -> tuple[IO[bytes] | None, IO[bytes] | None]:
    """Where a process's stdout and stderr go; None is where this process's go."""
    if rank > 0:
        said = opened.enter_context(_log(folder, rank).open("wb"))
        return opened.enter_context(Path(os.devnull).open("wb")), said
    out = opened.enter_context((folder / "stdout").open("wb")) if is_captured else None
    return out, None


def _environment(rank: int, count: int, port: int) -> dict[str, str]:
    """What a process is told; a number of threads that the user set stays."""
    place = {"RANK": rank, "WORLD_SIZE": count, "LOCAL_RANK": rank, "LOCAL_WORLD_SIZE": count}
    meeting = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port, STARTED_BY: os.getpid()}
    threads = {"OMP_NUM_THREADS": str(max(1, num_cores() // count))}
    return threads | dict(os.environ) | {k: str(v) for k, v in (place | meeting).items()}


def _start(
    command: Sequence[str],
    environment: Mapping[str, str],
    out: IO[bytes] | None,
    said: IO[bytes] | None,
) -> "subprocess.Popen[bytes]":
    return subprocess.Popen(
        command,
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=out,
        stderr=said,
        start_new_session=True,
    )


def _free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        port: int = found.getsockname()[1]
    return port


def _log(folder: Path, rank: int) -> Path:
    return folder / f"stderr_{rank}"


def _first_failure(processes: "Sequence[subprocess.Popen[bytes]]") -> int | None:
    """The process that is to blame, once one has failed; None once all have ended well.

    A process that only lost another one is to blame when nobody else is.
    """
    while True:
        codes = [_code_of(process) for process in processes]
        failed = [rank for rank, code in enumerate(codes) if code]
        to_blame = [rank for rank in failed if codes[rank] != LEFT_WITH_OTHERS]
        if to_blame:  # a killed one first: what it leaves can make others fail as well
            return min(to_blame, key=lambda rank: ((codes[rank] or 0) >= 0, rank))
        if None not in codes:
            return failed[0] if failed else None
        time.sleep(_POLL_S)


def _code_of(process: "subprocess.Popen[bytes]") -> int | None:
    """A process's exit code, None while it works; what it has started ends with it."""
    was_there = process.returncode is None
    code = process.poll()
    if was_there and code is not None:  # at once: its number still names the group
        with suppress(ProcessLookupError):  # it had started nothing
            os.killpg(process.pid, signal.SIGKILL)
    return code


def _end(processes: "Sequence[subprocess.Popen[bytes]]") -> None:
    """Ask those that still work to stop, and kill what does not in time."""
    _signal(processes, signal.SIGTERM)
    deadline_s = time.monotonic() + GRACE_S
    while any(_code_of(process) is None for process in processes):
        if time.monotonic() > deadline_s:
            return
        time.sleep(_POLL_S)


@contextmanager
def _ended(processes: "Sequence[subprocess.Popen[bytes]]") -> Iterator[None]:
    """Nothing is left behind, however the block is left; what they started goes with them."""
    try:
        yield
    finally:
        for process in processes:
            if _code_of(process) is None:
                os.killpg(process.pid, signal.SIGKILL)
            process.wait()


@contextmanager
def _forwarding(processes: "Sequence[subprocess.Popen[bytes]]") -> Iterator[list[int]]:
    """Pass signals on as SIGTERM, the third as SIGKILL; yields those that came."""
    received: list[int] = []

    def forward(number: int, frame: FrameType | None) -> None:
        del frame
        received.append(number)
        _signal(processes, signal.SIGKILL if len(received) > 2 else signal.SIGTERM)

    with handle_signals(_FORWARDED, forward):
        yield received


def _signal(processes: "Sequence[subprocess.Popen[bytes]]", number: int) -> None:
    for process in processes:
        if _code_of(process) is None:
            process.send_signal(number)


def _stopped_by(number: int, hint: str) -> VtkError:
    if number == signal.SIGINT:
        return UserInterrupt("interrupted", hint)
    return Interrupted(f"stopped by {signal.Signals(number).name}", hint)


def _fault_of(
    rank: int, process: "subprocess.Popen[bytes]", captured: str, folder: Path, hint: str
) -> Exception:
    """Why the processes were ended."""
    code, name = process.returncode, f"process {rank} (pid {process.pid})"
    if code < 0:
        return VtkError(
            f"{name} was killed by {signal.Signals(-code).name}; the others were ended", hint
        )
    if code == Interrupted.exit_code:
        return Interrupted(f"{name} was asked to stop; so were the others", hint)
    if rank == 0:
        return Spoken(code, captured)
    kinds: dict[int, type[VtkError]] = {kind.exit_code: kind for kind in _kinds()}
    said = "\n".join(_read(_log(folder, rank)).strip().splitlines()[-_NUM_LINES_SHOWN:])
    return kinds.get(code, VtkError)(f"{name} failed with exit code {code}:\n{said}", hint)


def _read(path: Path) -> str:
    return path.read_text(encoding="utf-8", errors="replace")


def _kinds() -> list[type[VtkError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type)]
    return [value for value in found if issubclass(value, VtkError)]


def this_command(arguments: Sequence[str]) -> list[str]:
    """The command that runs `vtk` with these arguments as this process does."""
    return [sys.executable, "-m", "vtk", *arguments]
