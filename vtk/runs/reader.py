"""Reading an event log while it grows. A reader never writes and never blocks the writer."""

import os
import stat
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from vtk.errors import DataError
from vtk.format import visible_text
from vtk.runs.events import decode_event, decode_line

MAX_LINE_BYTES: Final = 16 * 2**20
_CHUNK_BYTES: Final = 2**20
_NUM_KEPT: Final = 5
_PREVIEW_BYTES: Final = 120


@dataclass(frozen=True, slots=True)
class UnreadableLine:
    """A complete line that is no event: where, why, and how it begins (made safe to print)."""

    line: int
    reason: str
    preview: str


class EventTail:
    """Follows one event log from a byte offset.

    A last line without its newline waits: the writer may be in the middle of it. A complete line
    that does not parse is counted in `num_unreadable` and the latest are kept in `unreadable`. When
    the file shrinks or is replaced, reading starts again from its beginning and `num_restarts`
    grows, so that a consumer can throw away what it had.

    Args:
        path: The event log; it may not exist yet.
        start_offset: Where to begin, in bytes; a line that is cut by it is passed over without
            being counted.
        types: Give events of these types only. Lines that name none of them are not parsed, and
            so not counted either: many times as fast where few events are wanted.
    """

    def __init__(
        self, path: Path, start_offset: int = 0, types: Collection[str] | None = None
    ) -> None:
        self.path = path
        self._types = types
        self._names = None if types is None else tuple(name.encode() for name in types)
        self.num_restarts = 0
        self._reset(start_offset)

    def poll(self, max_bytes: int | None = None) -> list[dict[str, Any]]:
        """Return the events completed since the last call.

        Args:
            max_bytes: Stop once so much was read, to the next MiB; `is_behind` tells if more waits.

        Raises:
            DataError: The file is there but cannot be read, or is a device or a pipe.
        """
        try:
            if not stat.S_ISREG(self.path.stat().st_mode):
                raise DataError(
                    f"{self.path} is not a file"
                )  # a pipe would block, a device never end
            with self.path.open("rb") as stream:
                return self._read(stream, max_bytes)
        except FileNotFoundError:
            return []
        except OSError as error:
            raise DataError(f"cannot read {self.path}: {error.strerror or error}") from error

    def _reset(self, offset: int) -> None:
        self.is_behind = False
        self.num_unreadable = 0
        self.unreadable: tuple[UnreadableLine, ...] = ()
        self._identity: tuple[int, int] | None = None
        self._offset = offset
        self._num_lines = 0
        self._partial = bytearray()
        self._partial_is_cut = offset > 0
        self._partial_is_too_long = False

    def _read(self, stream: BinaryIO, max_bytes: int | None) -> list[dict[str, Any]]:
        status = os.fstat(stream.fileno())
        identity = (status.st_dev, status.st_ino)
        if status.st_size < self._offset or self._identity not in (None, identity):
            self._reset(0)
            self.num_restarts += 1
        self._identity = identity
        stream.seek(self._offset)
        found: list[dict[str, Any]] = []
        end = None if max_bytes is None else self._offset + max_bytes
        while (end is None or self._offset < end) and (chunk := stream.read(_CHUNK_BYTES)):
            self._offset += len(chunk)
            self._take(chunk, found)
        self.is_behind = self._offset < status.st_size
        return found

    def _take(self, chunk: bytes, found: list[dict[str, Any]]) -> None:
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            self._extend_partial(line)
            self._finish_line(found)
        self._extend_partial(rest)

    def _extend_partial(self, piece: bytes) -> None:
        if len(self._partial) + len(piece) > MAX_LINE_BYTES:
            self._partial_is_too_long = True
            piece = piece[: max(0, _PREVIEW_BYTES - len(self._partial))]
        self._partial += piece

    def _finish_line(self, found: list[dict[str, Any]]) -> None:
        line, is_cut, is_too_long = (
            bytes(self._partial),
            self._partial_is_cut,
            self._partial_is_too_long,
        )
        self._partial.clear()
        self._partial_is_cut = self._partial_is_too_long = False
        self._num_lines += 1
        if is_cut or not line.strip():
            return
        if self._names is not None and not any(name in line for name in self._names):
            return
        try:
            if is_too_long:
                raise ValueError(f"longer than {MAX_LINE_BYTES} bytes")
            event = decode_event(line)
            if self._types is None or event["type"] in self._types:
                found.append(event)
        except ValueError as error:
            self._count_unreadable(line, str(error))

    def _count_unreadable(self, line: bytes, reason: str) -> None:
        preview = visible_text(line[:_PREVIEW_BYTES].decode(errors="replace"))
        self.num_unreadable += 1
        kept = UnreadableLine(self._num_lines, visible_text(reason), preview)
        self.unreadable = (*self.unreadable, kept)[-_NUM_KEPT:]


def read_rollouts(path: Path) -> tuple[list[dict[str, Any]], int]:
    """Return the rows of a rollout file and the number of lines that do not parse.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    try:
        lines = path.read_bytes().split(b"\n")
    except OSError as error:
        raise DataError(f"cannot read {path}: {error.strerror or error}") from error
    rows: list[dict[str, Any]] = []
    num_unreadable = 0
    for line in lines:
        if not line.strip():
            continue
        try:
            rows.append(decode_line(line))
        except ValueError:
            num_unreadable += 1
    return rows, num_unreadable
