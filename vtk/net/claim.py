"""One process at a time writes a file, on any file system.

`flock` succeeds for everybody on some network file systems, so a claim is a small file that only
one process can create (O_EXCL). It names its owner: a claim whose process has ended is taken over
at once, one of another machine when nobody has touched it for a while.
"""

import os
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from vtk.net.disk import disk_error
from vtk.runs.events import decode_line, encode_line
from vtk.runs.owner import Owner

FORGOTTEN_AFTER_S: Final = 120.0
"""Seconds after which a claim from another machine that nobody touched is void."""

_TORN_AFTER_S = 5.0
_POLL_S = 0.1


class LostClaimError(Exception):
    """Another process has taken the claim over; what is half done here must not be finished."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A claim that this process holds.

    Attributes:
        path: The claim's file.
        token: What tells it from every other claim.
    """

    path: Path
    token: str

    def renew(self) -> None:
        """Show that the owner lives, and make sure that the claim is still its own.

        Raises:
            LostClaimError: It is not.
        """
        facts, _ = _read(self.path)
        if facts is None or facts.get("token") != self.token:
            raise LostClaimError(str(self.path))
        os.utime(self.path)

    def release(self) -> None:
        """Let others write; a claim that was lost stays as it is."""
        facts, _ = _read(self.path)
        if facts is not None and facts.get("token") == self.token:
            self.path.unlink(missing_ok=True)


@contextmanager
def claimed(
    path: Path,
    is_cancelled: Callable[[], bool],
    on_wait: Callable[[str], None] = lambda _owner: None,
) -> Iterator[Claim]:
    """Hold the claim `path` within the block; waits for whoever holds it.

    Args:
        path: The claim's file; its folder is made.
        is_cancelled: Asked while waiting; True ends the wait with LostClaimError.
        on_wait: Told once who holds it.
    """
    claim = _take(path, is_cancelled, on_wait)
    try:
        yield claim
    finally:
        claim.release()


def _take(path: Path, is_cancelled: Callable[[], bool], on_wait: Callable[[str], None]) -> Claim:
    claim, told = Claim(path, uuid.uuid4().hex), False
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        while not _create(claim):
            facts, age_s = _read(path)
            if _is_void(facts, age_s):
                _remove(path, facts)
                continue
            if is_cancelled():
                raise LostClaimError(str(path))
            if not told:
                told = True
                on_wait(_describe(facts))
            time.sleep(_POLL_S)
    except OSError as error:
        raise disk_error(path, error) from error
    return claim


def _create(claim: Claim) -> bool:
    try:
        descriptor = os.open(claim.path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o666)
    except FileExistsError:
        return False
    with os.fdopen(descriptor, "wb") as stream:
        stream.write(encode_line({"token": claim.token, **Owner.current().to_dict()}))
    return True


def _read(path: Path) -> tuple[dict[str, Any] | None, float]:
    """What a claim says, None if it is gone or torn; and the seconds since it was touched."""
    try:
        with path.open("rb") as stream:
            content, age_s = stream.read(), time.time() - os.fstat(stream.fileno()).st_mtime
    except FileNotFoundError:
        return None, 0.0
    try:
        return decode_line(content), age_s
    except ValueError:
        return None, age_s


def _is_void(facts: dict[str, Any] | None, age_s: float) -> bool:
    if facts is None:
        return age_s > _TORN_AFTER_S  # its maker was killed between creating and writing it
    try:
        owner = Owner.from_facts(facts)
    except ValueError:
        return True
    state = owner.state()
    return state == "dead" or (state == "elsewhere" and age_s > FORGOTTEN_AFTER_S)


def _remove(path: Path, void: dict[str, Any] | None) -> None:
    """Remove a void claim; one that came in its place meanwhile is put back."""
    aside = path.with_name(f"{path.name}.{uuid.uuid4().hex[:8]}")
    try:
        path.rename(aside)
    except FileNotFoundError:
        return
    found, _ = _read(aside)
    if found != void:
        with suppress(FileExistsError):  # somebody has claimed already; the displaced one notices
            os.link(aside, path)
    aside.unlink()


def _describe(facts: dict[str, Any] | None) -> str:
    if facts is None:
        return "another process"
    return f"process {facts.get('pid')} on {facts.get('host')}"
