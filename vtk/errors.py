"""The errors a user can meet, one kind per exit code.

```
VtkError                 1   the run failed
├── ConfigError          2   usage or configuration is invalid
├── MissingEnvironmentError 3   something is missing on this machine
├── DataError            4   data are missing or damaged
├── GuardStop            5   a training guard stopped the run
├── MemoryExhausted      6   the device ran out of memory
├── NetworkError         7   a server cannot be reached or does not send what it should
├── AccessError          8   a server wants a login or an agreement first
├── Interrupted         75   stopped from outside; the run can be resumed
└── UserInterrupt      130   Ctrl-C
```

`vtk.cli.app.main` is the only catcher: it prints what happened, why, and the command that mends it.
"""

from typing import ClassVar


class VtkError(Exception):
    """A failure that the user can understand and act on.

    Args:
        message: What happened, with the offending value: the rest of a sentence that begins with
            "Error:", so with a small letter and without a full stop.
        hint: What to do about it, if anything can be done: whole sentences, with a capital and a
            full stop, but for a command to copy, which stands at the end after a colon.
    """

    exit_code: ClassVar[int] = 1

    def __init__(self, message: str, hint: str | None = None) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint


class ConfigError(VtkError):
    """Usage or configuration is invalid."""

    exit_code = 2


class MissingEnvironmentError(VtkError):
    """Something that the command needs is missing on this machine."""

    exit_code = 3


class DataError(VtkError):
    """Data are missing, malformed or damaged."""

    exit_code = 4


class GuardStop(VtkError):
    """A training guard stopped the run."""

    exit_code = 5


class MemoryExhausted(VtkError):
    """The device ran out of memory."""

    exit_code = 6


class NetworkError(VtkError):
    """A server cannot be reached, or does not send what it should; what arrived is kept."""

    exit_code = 7


class AccessError(VtkError):
    """A server wants a login, or an agreement to its terms, before it sends anything."""

    exit_code = 8


class Interrupted(VtkError):
    """Stopped from outside (SIGTERM, preemption); the run can be resumed."""

    exit_code = 75


class UserInterrupt(VtkError):
    """Stopped by the user with Ctrl-C."""

    exit_code = 130
