"""The control mailbox: how a dashboard or a command asks a running process for something.

A request is one small file in `control/`, put there whole. The process that trains looks between
steps, acts, writes a `control` event with the result, and then removes the file; so a request is
either waiting or recorded.
"""

import getpass
import os
import re
import socket
import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Final, Self

from vtk.errors import ConfigError
from vtk.format import visible_text
from vtk.runs.events import CONTROL, decode_line, is_finite
from vtk.runs.files import write_json_atomic
from vtk.runs.store import RunPaths

ACTIONS: Final[dict[str, tuple[str, ...]]] = {
    "checkpoint": (),
    "pause": (),
    "resume": (),
    "stop": (),
    "eval": (),
    "set_beta": ("beta",),
}
"""Action to the names of its arguments, all of them finite numbers."""

_REQUEST_ID: Final = re.compile(r"[0-9]{20}-[0-9a-f]{8}")
_MAX_REQUEST_BYTES: Final = 64 * 1024


@dataclass(frozen=True, slots=True)
class Request:
    """One request. `id` sorts by time; `who` is user@host; `time` is UTC seconds."""

    id: str
    action: str
    args: Mapping[str, Any] = field(default_factory=dict)
    who: str = ""
    time: float = 0.0

    def to_dict(self) -> dict[str, Any]:
        """Return the request as JSON data."""
        return asdict(self)

    @classmethod
    def from_dict(cls, facts: Mapping[str, Any]) -> Self:
        """Return the request that `facts` describe.

        Raises:
            ValueError: They describe none: unknown action, wrong arguments, or a missing field.
        """
        request_id, action, args = facts.get("id"), facts.get("action"), facts.get("args")
        if not isinstance(request_id, str) or not _REQUEST_ID.fullmatch(request_id):
            raise ValueError("a request needs an id")
        if not isinstance(action, str) or not isinstance(args, dict):
            raise ValueError("a request needs an action and args")
        problem = _problem(action, args)
        if problem is not None:
            raise ValueError(problem)
        when = facts.get("time")
        made_at = float(when) if is_finite(when) else 0.0
        return cls(request_id, action, args, str(facts.get("who", "")), made_at)


@dataclass(frozen=True, slots=True)
class Mailbox:
    """What lies in the mailbox: requests by time, and files that are no request."""

    requests: tuple[Request, ...]
    unreadable: tuple[Path, ...]


def request(paths: RunPaths, action: str, **args: float) -> Request:
    """Put a request into the run's mailbox, whole or not at all.

    Raises:
        ConfigError: There is no such action, or its arguments are wrong.
        VtkError: The file cannot be written.
    """
    problem = _problem(action, args)
    if problem is not None:
        raise ConfigError(problem)
    request_id = f"{time.time_ns():020d}-{uuid.uuid4().hex[:8]}"
    made = Request(request_id, action, args, who=_who(), time=time.time())
    write_json_atomic(_file(paths, made.id), made.to_dict())
    return made


def pending(paths: RunPaths) -> list[Request]:
    """Return the requests that wait, oldest first; `read_mailbox` also tells of damaged files."""
    return list(read_mailbox(paths).requests)


def read_mailbox(paths: RunPaths) -> Mailbox:
    """Return everything in the mailbox; a missing mailbox is empty."""
    if not paths.control_dir.is_dir():
        return Mailbox((), ())
    requests: list[Request] = []
    unreadable: list[Path] = []
    for path in sorted(paths.control_dir.glob("*.json")):
        try:
            requests.append(_read(path))
        except FileNotFoundError:
            continue  # acknowledged since the folder was listed
        except (OSError, ValueError):
            unreadable.append(path)
    return Mailbox(tuple(requests), tuple(unreadable))


def answer(
    paths: RunPaths, request: Request, result: str, step: int, emit: Callable[..., None]
) -> None:
    """Record what came of a request, then take it out of the mailbox.

    Args:
        paths: The run.
        request: What was asked.
        result: What was done, in words.
        step: Optimizer steps done.
        emit: Writes an event.
    """
    emit(
        CONTROL,
        id=request.id,
        action=request.action,
        args=dict(request.args),
        who=request.who,
        result=result,
        step=step,
    )
    acknowledge(paths, request)


def answer_leftovers(paths: RunPaths, step: int, emit: Callable[..., None]) -> None:
    """Refuse what was asked of an earlier attempt, which ended before it looked.

    Args:
        paths: The run, of which a new attempt has just begun.
        step: The step that it goes on from.
        emit: Writes an event.
    """
    for request in pending(paths):
        answer(paths, request, "not done: its attempt ended first", step, emit)


def acknowledge(paths: RunPaths, request: Request) -> None:
    """Take a request out of the mailbox; call it once its `control` event is written."""
    _file(paths, request.id).unlink(missing_ok=True)


def _read(path: Path) -> Request:
    with path.open("rb") as stream:
        content = stream.read(_MAX_REQUEST_BYTES + 1)
    if len(content) > _MAX_REQUEST_BYTES:
        raise ValueError(f"a request is larger than {_MAX_REQUEST_BYTES} bytes")
    request = Request.from_dict(decode_line(content))
    if request.id != path.stem:
        raise ValueError("a request's id must be its file's name")
    return request


def _file(paths: RunPaths, request_id: str) -> Path:
    return paths.control_dir / f"{request_id}.json"


def _problem(action: str, args: Mapping[str, Any]) -> str | None:
    if action not in ACTIONS:
        return f"there is no action {visible_text(action)!r}; there are {', '.join(ACTIONS)}"
    if set(args) != set(ACTIONS[action]):
        return f"{action} takes {list(ACTIONS[action])}, not {sorted(map(visible_text, args))}"
    for name, value in args.items():
        if not is_finite(value):
            return f"{action}: {name} must be a finite number, not {visible_text(value)!r}"
    return None


def _who() -> str:
    try:
        user = getpass.getuser()
    except (KeyError, OSError):
        user = f"uid{os.getuid()}"  # a container's user without a name
    return f"{user}@{socket.gethostname()}"
