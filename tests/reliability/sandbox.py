"""A process that may not reach a network, and a watch over files that nobody may open; no root.

The kernel ends a process, and any that it starts, at the first socket that is not local to the
machine and at the first connection of any kind: C libraries are bound by it as Python is.
"""

import ctypes
import os
import platform
import signal
import struct
import sys
from collections.abc import Callable
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from tests.reliability.process import fork

CAUGHT: Final = -signal.SIGSYS
"""Exit code of a process that reached out."""

_PR_SET_NO_NEW_PRIVS, _PR_SET_SECCOMP, _SECCOMP_MODE_FILTER = 38, 22, 2
_KILL_PROCESS, _ALLOW = 0x80000000, 0x7FFF0000
_AF_UNIX, _IO_URING_SETUP = 1, 425
_MACHINES: Final = {  # the kernel's number of the machine; its calls `socket` and `connect`
    "x86_64": (0xC000003E, 41, 42),
    "aarch64": (0xC00000B7, 198, 203),
}
_LOAD, _JUMP_IF_EQUAL, _RETURN = 0x20, 0x15, 0x06
_AT_NUMBER, _AT_MACHINE, _AT_FIRST_ARGUMENT = 0, 4, 16
_IN_OPEN: Final = 0x20


class _Program(ctypes.Structure):
    _fields_ = (("length", ctypes.c_ushort), ("filter", ctypes.c_char_p))


def can_forbid_network() -> bool:
    """Whether the kernel of this machine lets a process give the network up."""
    return sys.platform == "linux" and fork(_try_to_forbid, Path(os.devnull)).wait() == 0


def _try_to_forbid() -> int:
    forbid_network()
    return 0


def forbid_network() -> None:
    """Give up the network for this process and all that it starts; there is no way back.

    Raises:
        OSError: The kernel knows no such filter, or forbids filters.
    """
    machine, socket, connect = _MACHINES[platform.machine()]
    steps = [
        (_LOAD, 0, 0, _AT_MACHINE),
        (_JUMP_IF_EQUAL, 1, 0, machine),
        (_RETURN, 0, 0, _KILL_PROCESS),
        (_LOAD, 0, 0, _AT_NUMBER),
        (_JUMP_IF_EQUAL, 5, 0, connect),
        (_JUMP_IF_EQUAL, 4, 0, _IO_URING_SETUP),
        (_JUMP_IF_EQUAL, 0, 2, socket),
        (_LOAD, 0, 0, _AT_FIRST_ARGUMENT),
        (_JUMP_IF_EQUAL, 0, 1, _AF_UNIX),
        (_RETURN, 0, 0, _ALLOW),
        (_RETURN, 0, 0, _KILL_PROCESS),
    ]
    code = b"".join(struct.pack("=HBBI", *step) for step in steps)
    program = _Program(len(steps), code)
    libc = ctypes.CDLL(None, use_errno=True)
    for arguments in (
        (_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0),
        (_PR_SET_SECCOMP, _SECCOMP_MODE_FILTER, ctypes.byref(program), 0, 0),
    ):
        if libc.prctl(*arguments) != 0:
            raise OSError(ctypes.get_errno(), "the kernel takes no filter")


def confined(work: Callable[[], int], log: Path) -> int:
    """Exit code of `work` in a process without a network; `CAUGHT` if it reached out."""

    def run() -> int:
        forbid_network()
        return work()

    return fork(run, log).wait()


class OpenWatch:
    """Counts how often anybody opens files in a folder; a context manager.

    Args:
        folder: It exists.
    """

    def __init__(self, folder: Path) -> None:
        self._folder, self._libc = folder, ctypes.CDLL(None, use_errno=True)
        self._descriptor = -1

    def __enter__(self) -> Self:
        self._descriptor = self._libc.inotify_init1(os.O_NONBLOCK)
        name = os.fsencode(self._folder)
        if self._libc.inotify_add_watch(self._descriptor, name, _IN_OPEN) < 0:
            raise OSError(ctypes.get_errno(), f"{self._folder} cannot be watched")
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        os.close(self._descriptor)

    def opened(self) -> list[str]:
        """The names that were opened since the last question, the folder itself as ""."""
        try:
            events = os.read(self._descriptor, 1 << 20)
        except BlockingIOError:
            return []
        names, place = [], 0
        while place < len(events):
            length = struct.unpack_from("=iIII", events, place)[3]
            names.append(events[place + 16 : place + 16 + length].rstrip(b"\0").decode())
            place += 16 + length
        return names
