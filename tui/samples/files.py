"""One step's file of completions, read when it is looked at and kept while it is."""

from collections import OrderedDict
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO, Final

from tui.samples.rows import Group, groups_of
from vtk.errors import DataError
from vtk.format import visible_text
from vtk.runs.events import ROLLOUT_SCHEMA_VERSION, decode_line
from vtk.runs.reader import MAX_LINE_BYTES
from vtk.runs.store import RunPaths

NUM_STEPS_KEPT: Final = 96
_CHUNK_BYTES: Final = 2**20


@dataclass(frozen=True, slots=True)
class StepGroups:
    """What one step's file holds.

    Attributes:
        groups: Its groups, in the file's order.
        num_unreadable: Lines that are no completions.
        notice: What else is wrong with the file; empty if nothing is.
    """

    groups: tuple[Group, ...]
    num_unreadable: int = 0
    notice: str = ""


class StepFiles:
    """Reads steps' files and keeps the latest; not safe between threads.

    Args:
        paths: The run.
    """

    def __init__(self, paths: RunPaths) -> None:
        self.paths = paths
        self._kept: OrderedDict[int, StepGroups] = OrderedDict()

    def read(self, step: int) -> StepGroups:
        """What a step's file holds; a file that cannot be read holds nothing and says why."""
        if step not in self._kept:
            self._kept[step] = read_groups(self.paths.rollout_file(step))
        self._kept.move_to_end(step)
        while len(self._kept) > NUM_STEPS_KEPT:
            self._kept.popitem(last=False)
        return self._kept[step]

    def forget(self, step: int) -> None:
        """Read a step's file again the next time: it was made again or is gone."""
        self._kept.pop(step, None)


def read_groups(path: Path) -> StepGroups:
    """The groups of one file."""
    try:
        rows, num_unreadable = read_rows(path)
    except DataError as error:
        return StepGroups((), notice=visible_text(error.message))
    groups, num_malformed = groups_of(rows)
    newest = max((row["v"] for row in rows if isinstance(row.get("v"), int)), default=0)
    notice = ""
    if newest > ROLLOUT_SCHEMA_VERSION:
        notice = f"written by a newer vtk (rows of version {newest}): some of it is not shown"
    return StepGroups(tuple(groups), num_unreadable + num_malformed, notice)


def read_rows(path: Path) -> tuple[list[dict[str, Any]], int]:
    """The rows of a file, and the lines that are none; a line without its end is not one yet.

    Raises:
        DataError: The file is missing or cannot be read.
    """
    rows: list[dict[str, Any]] = []
    num_unreadable = 0
    try:
        if not path.is_file():
            raise DataError(f"{path.name} is not there")
        with path.open("rb") as stream:
            for line in _lines(stream):
                try:
                    rows.append(decode_line(line))
                except ValueError:
                    num_unreadable += 1
    except OSError as error:
        raise DataError(f"cannot read {path.name}: {error.strerror or error}") from error
    return rows, num_unreadable


def _lines(stream: BinaryIO) -> Iterator[bytes]:
    """Complete lines; of one that is too long only the beginning, which does not parse."""
    partial = b""
    while chunk := stream.read(_CHUNK_BYTES):
        *complete, rest = chunk.split(b"\n")
        for line in complete:
            whole, partial = partial + line, b""
            if whole.strip():
                yield whole
        partial = (partial + rest)[:MAX_LINE_BYTES]
