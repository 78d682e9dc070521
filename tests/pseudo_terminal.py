"""A Python program on a pseudo-terminal of its own: press keys, and read what it sends."""

import fcntl
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
import time
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.conftest import REPOSITORY

PATIENCE_S: Final = 60.0
_LOOK_S: Final = 0.05
_BETWEEN: Final = ("TMUX", "STY", "NO_COLOR")


class PseudoTerminal:
    """A program and what it has sent so far.

    Args:
        arguments: For Python.
        size: Columns and rows.
        cwd: Where it runs.
        environment: Besides ours, of which what names a terminal between, and `NO_COLOR`, are left
            out.
    """

    def __init__(
        self,
        *arguments: str,
        size: tuple[int, int] = (120, 40),
        cwd: Path | None = None,
        environment: Mapping[str, str] | None = None,
    ) -> None:
        self._ours, theirs = pty.openpty()
        fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", size[1], size[0], 0, 0))
        kept = {name: value for name, value in os.environ.items() if name not in _BETWEEN}
        own = {"TERM": "xterm-256color", "LANG": "C.UTF-8", "PYTHONPATH": str(REPOSITORY)}
        self.process = subprocess.Popen(
            [sys.executable, *arguments],
            stdin=theirs, stdout=theirs, stderr=theirs, start_new_session=True,
            cwd=cwd, env=kept | own | dict(environment or {}),
        )  # fmt: skip
        os.close(theirs)
        self.sent = b""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.process.kill()
        self.process.wait()
        os.close(self._ours)

    def write(self, keys: bytes) -> None:
        """Press keys."""
        os.write(self._ours, keys)

    def read(self, wait_s: float = PATIENCE_S) -> bool:
        """Take in what comes next; whether the program may send more."""
        if select.select([self._ours], [], [], wait_s)[0]:
            try:
                self.sent += os.read(self._ours, 2**16)
            except OSError:  # the program has gone: Linux says EIO
                return False
        return True

    def read_until(self, wanted: bytes | re.Pattern[bytes], start: int = 0) -> bytes:
        """What was sent from a place on, once what is wanted is in it."""
        pattern = re.compile(re.escape(wanted)) if isinstance(wanted, bytes) else wanted
        end_s = time.monotonic() + PATIENCE_S
        while not pattern.search(self.sent, start):
            assert time.monotonic() < end_s, self.sent[-2000:]
            assert self.read(), self.sent[-2000:]
        return self.sent[start:]

    def read_for(self, seconds: float) -> None:
        """Take in what comes in so many seconds."""
        end_s = time.monotonic() + seconds
        while (rest_s := end_s - time.monotonic()) > 0 and self.read(rest_s):
            pass

    def read_to_end(self, patience_s: float = PATIENCE_S) -> int:
        """Take in all that comes until the program has gone, and give its exit code."""
        end_s = time.monotonic() + patience_s
        while self.read(_LOOK_S):
            assert time.monotonic() < end_s, self.sent[-2000:]
        return self.process.wait(patience_s)

    def until_stopped(self) -> None:
        """Take in what comes until a signal has stopped the program."""
        end_s = time.monotonic() + PATIENCE_S
        while not os.waitpid(self.process.pid, os.WUNTRACED | os.WNOHANG)[1]:
            assert time.monotonic() < end_s, self.sent[-2000:]
            self.read(_LOOK_S)
        while select.select([self._ours], [], [], 0)[0]:
            self.read()

    def leave(self, keys: bytes = b"\x03") -> bytes:
        """Press keys that end the program well, and give what it sent from then on."""
        start = len(self.sent)
        self.write(keys)
        assert self.read_to_end() == 0, self.sent[-2000:]
        return self.sent[start:]
