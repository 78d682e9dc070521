"""One file from a server to the disk, whatever happens on the way.

The file appears under its name only when it is whole and its content is the expected one. Until
then its bytes lie in a part (`vtk.net.partial`) that any later process goes on with.
"""

import math
import random
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import requests
import urllib3

from vtk.errors import DataError, NetworkError
from vtk.format import format_bytes, format_duration_s
from vtk.net.claim import Claim, LostClaimError, claimed
from vtk.net.content import Expected, Integrity, digest_file
from vtk.net.faults import SpeedGuard, TryLater, network_fault, raise_for, unreachable
from vtk.net.partial import Partial
from vtk.net.patience import LONGEST_RETRY_AFTER_S, Patience
from vtk.net.reply import Reply, read_reply
from vtk.net.session import Session

BLOCK_BYTES = 1 << 20
PROGRESS_BYTES = 1 << 14
"""Fewer new bytes than this count as a failed try, so that no server can hold us for ever."""


class Cancelled(Exception):
    """The work was called off; what arrived is kept."""


class Watch(Protocol):
    """Who is told how far a file is; called from the threads that fetch."""

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        """`num_bytes` of the file are here."""

    def on_note(self, name: str, note: str) -> None:
        """Something happened that explains a delay."""


@dataclass(frozen=True, slots=True)
class FileJob:
    """A file to fetch.

    Attributes:
        name: How messages call it.
        url: Where it is.
        target: Where it goes.
        expected: What is known of it.
        find_fault: What its format tells against the whole file at a path; None if nothing.
        mend_access: What a user who is refused has to do.
        max_bytes: A file that is longer, or is said to be, is refused; None for any length.
    """

    name: str
    url: str
    target: Path
    expected: Expected = field(default_factory=Expected)
    find_fault: Callable[[Path], str | None] = lambda _path: None
    mend_access: str = ""
    max_bytes: int | None = None


@dataclass(frozen=True, slots=True)
class Fetched:
    """A file that is here.

    Attributes:
        num_bytes: Its size.
        sha256: Of its content.
        integrity: What it was checked against.
        is_new: Whether it was fetched now.
    """

    num_bytes: int
    sha256: str
    integrity: Integrity
    is_new: bool


class Transfer:
    """Fetches files, one after the other; each thread needs its own.

    Args:
        session: The connections.
        patience: When to try again and when to give up.
        watch: Who is told.
        cancelled: Set by whoever calls it off.
        draw: For the jitter of the pauses.
    """

    def __init__(
        self,
        session: Session,
        patience: Patience,
        watch: Watch,
        cancelled: threading.Event,
        draw: random.Random | None = None,
    ) -> None:
        self._session, self._patience, self._watch = session, patience, watch
        self._cancelled = cancelled
        self._draw = draw or random.Random()

    def fetch(self, job: FileJob) -> Fetched:
        """Have the file on the disk, whole and checked.

        Raises:
            NetworkError: The server cannot be reached, or never sends the file.
            AccessError: It wants a login or an agreement.
            DataError: It has no such file, or only a damaged one.
            VtkError: The disk is full or fails.
            Cancelled: The work was called off.
        """
        path = job.target.with_name(job.target.name + ".part.owner")
        while True:
            try:
                with claimed(path, self._cancelled.is_set, self._tell_wait(job)) as claim:
                    return self._fetch_claimed(job, claim)
            except LostClaimError as error:
                if self._cancelled.is_set():
                    raise Cancelled from error

    def _tell_wait(self, job: FileJob) -> Callable[[str], None]:
        return lambda owner: self._watch.on_note(job.name, f"waits: {owner} is fetching it")

    def _fetch_claimed(self, job: FileJob, claim: Claim) -> Fetched:
        if job.target.is_file():
            found = digest_file(job.target, job.expected)
            if found.problem() is None and job.find_fault(job.target) is None:
                return Fetched(found.num_bytes, found.sha256, job.expected.integrity, is_new=False)
        partial = Partial(job.target, job.url, job.expected)
        try:
            partial.open()
            if partial.can_resume:
                self._watch.on_note(job.name, f"goes on after {format_bytes(partial.num_bytes)}")
            self._until_right(job, partial, claim)
            claim.renew()
            partial.commit()
        finally:
            partial.close()
        digest = partial.digest
        return Fetched(digest.num_bytes, digest.sha256, job.expected.integrity, is_new=True)

    def _until_right(self, job: FileJob, partial: Partial, claim: Claim) -> None:
        """Fetch until the part is the file; a damaged one is thrown away and fetched again."""
        for num_damaged in range(1, self._patience.num_corrupt + 2):
            self._until_whole(job, partial, claim)
            fault = partial.digest.problem() or job.find_fault(partial.part)
            if fault is None:
                return
            self._watch.on_note(job.name, f"arrived damaged: {fault}")
            partial.restart(None)
            if num_damaged > self._patience.num_corrupt:
                raise DataError(
                    f"{job.url} arrived damaged {num_damaged} times: {fault}",
                    "The server or something on the way changes the file. Try another network, "
                    "or another server with --mirror.",
                )

    def _until_whole(self, job: FileJob, partial: Partial, claim: Claim) -> None:
        """Try until the last byte is here; raises what does not pass."""
        num_failures, furthest = 0, partial.num_bytes
        while True:
            try:
                self._attempt(job, partial, claim)
                return
            except (requests.RequestException, urllib3.exceptions.HTTPError, OSError) as error:
                failure = network_fault(error, job.url)
            except TryLater as error:
                failure = error
            is_progress = partial.num_bytes - furthest >= PROGRESS_BYTES
            num_failures = 1 if is_progress else num_failures + 1
            furthest = max(furthest, partial.num_bytes)
            if num_failures > self._patience.num_retries:
                contact = self._session.contact
                if not contact.has_answered:
                    raise unreachable(job.url, str(failure), contact.waited_s()) from failure
                raise NetworkError(
                    f"{job.url} cannot be fetched: {failure}, {num_failures} times in a row",
                    f"{format_bytes(partial.num_bytes)} are kept. Check the network and proxy "
                    "(or name another server with --mirror); then repeat the command: it goes on.",
                ) from failure
            self._pause(job, failure, num_failures)

    def _seconds_left(self, job: FileJob, failure: TryLater) -> float:
        """How long to go on; without end once any server has answered.

        Raises:
            NetworkError: None has, for too long.
        """
        contact = self._session.contact
        if contact.has_answered:
            return math.inf
        waited_s = contact.waited_s()
        if waited_s >= self._patience.unreachable_s:
            raise unreachable(job.url, str(failure), waited_s) from failure
        return self._patience.unreachable_s - waited_s

    def _pause(self, job: FileJob, failure: TryLater, num_failures: int) -> None:
        asked_s = failure.retry_after_s
        if asked_s is not None and asked_s > LONGEST_RETRY_AFTER_S:
            raise NetworkError(
                f"{job.url}: {failure}, and asks to wait {format_duration_s(asked_s)}",
                "What arrived is kept. Repeat the command after that time: it goes on.",
            )
        left_s = self._seconds_left(job, failure)
        pause_s = min(left_s, self._patience.pause_s(num_failures, asked_s, self._draw))
        self._watch.on_note(job.name, f"{failure}; trying again in {format_duration_s(pause_s)}")
        if self._cancelled.wait(pause_s):
            raise Cancelled

    def _attempt(self, job: FileJob, partial: Partial, claim: Claim) -> None:
        """One request and its body; returns when the last byte is here."""
        start = partial.num_bytes if partial.can_resume else 0
        if start and start == job.expected.num_bytes:
            return
        headers = {}
        if start:
            headers["Range"] = f"bytes={start}-"
            if partial.validator is not None:
                headers["If-Range"] = partial.validator
        with self._session.get(job.url, headers) as response:
            reply = read_reply(
                response.status_code, response.headers, start, partial.validator, job.expected
            )
            if reply.kind == "complete":
                return
            raise_for(reply, job.url, job.mend_access)
            if reply.kind == "again":
                partial.restart(None)
                raise TryLater(reply.why, retry_after_s=0.0)
            if reply.kind == "whole":
                partial.restart(reply.validator)
            self._receive(job, partial, claim, response, reply)

    def _receive(
        self,
        job: FileJob,
        partial: Partial,
        claim: Claim,
        response: requests.Response,
        reply: Reply,
    ) -> None:
        """Append the body, and make sure that it ended where it should."""
        total = job.expected.num_bytes if reply.total_bytes is None else reply.total_bytes
        _refuse_endless(job, partial, total or 0)
        window = SpeedGuard(self._patience)
        while True:
            if self._cancelled.is_set():
                raise Cancelled
            block = _read_some(response, reply.is_encoded)
            if not block:
                break
            if partial.append(block):
                claim.renew()
            _refuse_endless(job, partial, partial.num_bytes)
            self._watch.on_bytes(job.name, partial.num_bytes, total)
            window.count(len(block))
            if total is not None and partial.num_bytes > total:
                partial.restart(None)
                raise TryLater(f"the server sent more than {total} bytes")
        if total is not None and partial.num_bytes < total:
            raise TryLater(f"the connection ended at byte {partial.num_bytes} of {total}")
        if total is None:
            self._watch.on_bytes(job.name, partial.num_bytes, partial.num_bytes)


def _refuse_endless(job: FileJob, partial: Partial, num_bytes: int) -> None:
    if job.max_bytes is not None and num_bytes > job.max_bytes:
        partial.restart(None)
        raise DataError(
            f"{job.url} is longer than {format_bytes(job.max_bytes)}, which {job.name} never is",
            "The server sends something else. Check --mirror and HF_ENDPOINT.",
        )


def _read_some(response: requests.Response, is_encoded: bool) -> bytes:
    raw: Any = response.raw
    if is_encoded:
        return bytes(raw.read(BLOCK_BYTES, decode_content=True))
    return bytes(raw.read1(BLOCK_BYTES, decode_content=False))
