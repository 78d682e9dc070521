"""A command in a terminal of its own: when it shows something, what it writes, what it costs."""

import fcntl
import os
import pty
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Sequence
from types import TracebackType
from typing import Self

from vtk.errors import VtkError

_ROWS, _COLUMNS = 40, 120
_LONGEST_S = 120.0
_CHUNK_BYTES = 65536


class MeasuredTerminal:
    """Runs `vtk ARGUMENTS` on 120 x 40 cells; a context manager.

    Args:
        arguments: Of vtk.
    """

    def __init__(self, arguments: Sequence[str]) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", _ROWS, _COLUMNS, 0, 0))
        self._began_s = time.monotonic()
        self._seen = b""
        self.num_bytes = 0
        self._process = subprocess.Popen(
            [sys.executable, "-m", "vtk", *arguments],
            stdin=theirs,
            stdout=theirs,
            stderr=theirs,
            start_new_session=True,
            env=os.environ
            | {"TERM": "xterm-256color", "COLORTERM": "truecolor"}
            | {"LINES": str(_ROWS), "COLUMNS": str(_COLUMNS)},
        )
        os.close(theirs)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self._process.kill()
        self._process.wait()
        os.close(self._ours)

    def seconds_until(self, text: str) -> float:
        """Seconds from the start until `text` has been written.

        Raises:
            VtkError: It did not come, or the command ended.
        """
        wanted = text.encode()
        while wanted not in self._seen:
            elapsed_s = time.monotonic() - self._began_s
            if elapsed_s > _LONGEST_S or self._process.poll() is not None:
                raise VtkError(f"the dashboard did not show {text!r} in {elapsed_s:.0f} s")
            self._read(0.1)
        return time.monotonic() - self._began_s

    def watch(self, seconds: float) -> tuple[float, float]:
        """Let it work; return its share of one core and the bytes it writes a second."""
        cpu_s, num_bytes, began_s = self.cpu_s(), self.num_bytes, time.monotonic()
        while (left_s := seconds - (time.monotonic() - began_s)) > 0:
            self._read(left_s)
        elapsed_s = time.monotonic() - began_s
        return (self.cpu_s() - cpu_s) / elapsed_s, (self.num_bytes - num_bytes) / elapsed_s

    def cpu_s(self) -> float:
        """Processor seconds of the command so far (proc_pid_stat(5), fields 14 and 15)."""
        with open(f"/proc/{self._process.pid}/stat", "rb") as stream:  # noqa: PTH123
            fields = stream.read().rpartition(b")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory_bytes(self) -> int:
        """Memory that the command holds."""
        with open(f"/proc/{self._process.pid}/statm", "rb") as stream:  # noqa: PTH123
            return int(stream.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

    def _read(self, longest_s: float) -> None:
        if select.select([self._ours], [], [], longest_s)[0]:
            try:
                piece = os.read(self._ours, _CHUNK_BYTES)
            except OSError:  # the command has ended; Linux says EIO
                time.sleep(0.01)
                return
            self.num_bytes += len(piece)
            self._seen = (self._seen + piece)[-4 * _CHUNK_BYTES :]
