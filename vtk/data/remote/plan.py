"""What has to be fetched for a source: asked of its server once, before the first byte."""

import re
from fnmatch import fnmatchcase
from heapq import nlargest
from pathlib import Path

import requests

from vtk.data.remote.formats import format_fault
from vtk.data.remote.record import FileState, Record
from vtk.data.remote.routes import file_target
from vtk.data.remote.sources import Source
from vtk.data.resolve import relative_reference
from vtk.errors import DataError
from vtk.net.content import Expected
from vtk.net.hub import (
    Listing,
    file_url,
    hub_endpoint,
    listing_url,
    mend_access,
    read_listing,
)
from vtk.net.session import Session
from vtk.net.transfer import FileJob, Transfer

_BRANCH = "main"
_LISTING_NAME = "listing.json"
MAX_LISTING_BYTES = 64 << 20
"""A listing says about 300 bytes of each file; it is parsed in memory."""


def source_url(source: Source, mirror: str | None, revision: str, path: str) -> str:
    """Where a file of a source is fetched."""
    if source.base_url:
        return f"{(mirror or source.base_url).rstrip('/')}/{path}"
    return file_url(hub_endpoint(mirror), source.kind, source.repo, revision, path)


def make_plan(
    source: Source, root: Path, mirror: str | None, session: Session, transfer: Transfer
) -> Record:
    """Ask the server for a source's files.

    Raises:
        DataError: It does not have what the source is known for, or names a path that leaves its
            folder.
        AccessError, NetworkError: It refuses, or cannot be reached.
    """
    if source.base_url:
        sizes = _asked_sizes(session, [source_url(source, mirror, "", p) for p in source.patterns])
        states = [
            FileState(
                path, path, Expected(), source.archive_rule(path) is not None, about_bytes=size
            )
            for path, size in zip(source.patterns, sizes, strict=True)
        ]
        return Record(root, "", {state.path: state for state in states})
    listing = _fetch_listing(source, root, hub_endpoint(mirror), transfer)
    files = {}
    for pattern in source.patterns:
        found = [path for path in listing.files if fnmatchcase(path, pattern)]
        if not found and source.kind == "dataset":
            raise DataError(
                f"{source.page} has no file like {pattern}",
                "Its owners may have changed the layout; a newer vtk may know the new one.",
            )
        files.update({path: _hub_state(source, path, listing.files[path]) for path in found})
    if source.kind == "model" and "config.json" not in files:
        raise DataError(f"{source.page} holds no model: it has no config.json")
    return Record(root, listing.revision, files)


def _fetch_listing(source: Source, root: Path, endpoint: str, transfer: Transfer) -> Listing:
    path = root / _LISTING_NAME
    try:
        path.unlink(missing_ok=True)  # of an earlier try: it may have changed since
        job = FileJob(
            name=f"{source.name}: listing",
            url=listing_url(endpoint, source.kind, source.repo, _BRANCH),
            target=path,
            find_fault=lambda found: format_fault(found, _LISTING_NAME),
            mend_access=mend_access(source.page),
            max_bytes=MAX_LISTING_BYTES,
        )
        transfer.fetch(job)
        return read_listing(path)
    finally:
        path.unlink(missing_ok=True)


def _hub_state(source: Source, path: str, expected: Expected) -> FileState:
    if path.startswith("/") or relative_reference(path).as_posix() != path:
        raise DataError(f"{source.page}: the listing holds a file at {path!r}")
    is_archive = source.archive_rule(path) is not None
    return FileState(path, file_target(source, path, expected), expected, is_archive)


def _asked_sizes(session: Session, urls: list[str]) -> list[int | None]:
    """Sizes of files as a web server says them, for planning only; None where it does not.

    A server that cannot be reached is not asked again: the transfer will say so, and try again.
    """
    sizes: list[int | None] = []
    for url in urls:
        try:
            answer = session.head(url)
        except requests.RequestException:
            break
        length = answer.headers.get("Content-Length", "")
        sizes.append(int(length) if answer.ok and re.fullmatch("[0-9]{1,18}", length) else None)
    return sizes + [None] * (len(urls) - len(sizes))


def space_needed(
    source: Source, record: Record, num_parallel: int, is_keeping: bool, selection: str
) -> int:
    """Bytes that will be written at most at one time, as far as the sizes are known.

    An archive goes once it is unpacked, so besides all that is unpacked only as many of the largest
    archives count as are fetched at once. What is here already, whole or in part, does not count.
    """
    missing = [each for each in record.files.values() if not record.is_ready(each, selection)]
    if any(state.planned_bytes == 0 and state.expected.num_bytes != 0 for state in missing):
        return (source.about_bytes or 0) if len(missing) == len(record.files) else 0
    num_bytes, archives = 0, []
    for state in missing:
        left = max(0, state.planned_bytes - _held_bytes(record.path_of(state)))
        rule = source.archive_rule(state.path)
        if rule is None:
            num_bytes += left
        elif left:  # what is here whole is looked at exactly before it is unpacked
            num_bytes += int(rule.ratio * state.planned_bytes)
            archives.append(left)
    return num_bytes + sum(archives if is_keeping else nlargest(num_parallel, archives))


def _held_bytes(target: Path) -> int:
    held = [target, target.with_name(target.name + ".part")]
    return max((path.stat().st_size for path in held if path.is_file()), default=0)
