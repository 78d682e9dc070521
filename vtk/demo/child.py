"""One command of a demo as a process of its own."""

import os
import shlex
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Final

from vtk import errors
from vtk.errors import VtkError
from vtk.runs.files import storage_error

NUM_LAST_LINES: Final = 15
_MAX_TAIL_BYTES: Final = 64 * 1024
_NUM_SIGNALS_TO_END: Final = 3
_LAST_GRACE_S: Final = 5.0


def as_typed(arguments: Sequence[str]) -> str:
    """The command as a user types it."""
    return shlex.join(["vtk", *arguments])


class Child:
    """A running command: `vtk ARGUMENTS`, in this interpreter's twin.

    It gets a session of its own, so that Ctrl-C reaches it only through `stop`. Its result goes to
    NAME.out and its remarks to NAME.log, where each attempt begins with the command.

    Args:
        arguments: The words after `vtk`.
        environment: Added to this process's own.
        logs_dir: Where the two files go; made if missing.
        name: Names the files.

    Raises:
        VtkError: The files cannot be written.
    """

    def __init__(
        self, arguments: Sequence[str], environment: Mapping[str, str], logs_dir: Path, name: str
    ) -> None:
        self.out_path, self.log_path = logs_dir / f"{name}.out", logs_dir / f"{name}.log"
        self.started_s = time.monotonic()
        self._num_stops = 0
        try:
            logs_dir.mkdir(parents=True, exist_ok=True)
            with self.out_path.open("wb") as out, self.log_path.open("ab") as log:
                log.write(f"$ {as_typed(arguments)}\n".encode())
                log.flush()
                self._process = subprocess.Popen(
                    [sys.executable, "-m", "vtk", *arguments],
                    env={**os.environ, **environment},
                    stdin=subprocess.DEVNULL,
                    stdout=out,
                    stderr=log,
                    start_new_session=True,
                )
        except OSError as error:
            raise storage_error(logs_dir, error) from error

    @property
    def elapsed_s(self) -> float:
        """Seconds since the start."""
        return time.monotonic() - self.started_s

    def poll(self) -> int | None:
        """The exit code, or None while it runs; what it left behind is ended with it."""
        code = self._process.poll()
        if code is not None:
            self._sweep()
        return code

    def stop(self) -> None:
        """Ask it to save and leave; from the third time on a training run ends at once."""
        self._num_stops += 1
        self._process.send_signal(signal.SIGTERM)

    def end(self) -> None:
        """End it and everything it started, now.

        A worker lives in a session of its own, so the command itself has to end it, which it does
        at its third signal.
        """
        for _ in range(self._num_stops, _NUM_SIGNALS_TO_END):
            self.stop()
            time.sleep(0.1)
        deadline_s = time.monotonic() + _LAST_GRACE_S
        while self._process.poll() is None and time.monotonic() < deadline_s:
            time.sleep(0.1)
        self._sweep()
        self._process.wait()

    def last_lines(self, num_lines: int = NUM_LAST_LINES) -> str:
        """The end of what it said."""
        with self.log_path.open("rb") as log:
            size = log.seek(0, os.SEEK_END)
            log.seek(max(0, size - _MAX_TAIL_BYTES))
            text = log.read().decode(errors="replace")
        return "\n".join(text.rstrip().split("\n")[-num_lines:])

    def failure(self, code: int) -> VtkError:
        """The error of a command that did not end well; it keeps the command's exit code."""
        kinds = [kind for kind in vars(errors).values() if isinstance(kind, type)]
        by_code = {kind.exit_code: kind for kind in kinds if issubclass(kind, VtkError)}
        how = f"was ended by signal {-code}" if code < 0 else f"failed with exit code {code}"
        name = self.log_path.stem
        return by_code.get(code, VtkError)(
            f"the step {name} {how}; the end of what it said:\n{self.last_lines()}",
            f"All of it is in {self.log_path}. When the cause is mended, the same vtk demo goes on "
            "from here.",
        )

    def _sweep(self) -> None:
        """End what is left of the command's own process group."""
        try:
            os.killpg(self._process.pid, signal.SIGKILL)
        except ProcessLookupError:
            return  # nothing is left, as it should be
