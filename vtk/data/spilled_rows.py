"""Labelled rows that lie on the disk, so that a set of any size takes the same memory."""

import json
import weakref
from array import array
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, overload

from vtk.runs.files import storage_error

Row = dict[str, Any]


class SpilledRows(Sequence[Row]):
    """Rows in the order in which they were added; each is read again when it is asked for.

    The file has no name: it is gone with the process.

    Args:
        folder: On the disk that holds it.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._starts = array("Q", [0])
        try:
            self._file = TemporaryFile(dir=folder)  # noqa: SIM115 - it lives as long as the rows
        except OSError as error:
            raise storage_error(folder, error) from error
        weakref.finalize(self, self._file.close)

    def append(self, row: Row) -> None:
        """Add a row that JSON can hold.

        Raises:
            VtkError: The disk is full or fails.
        """
        line = json.dumps(row).encode() + b"\n"
        try:
            self._file.seek(self._starts[-1])
            self._file.write(line)
        except OSError as error:
            raise storage_error(self._folder, error) from error
        self._starts.append(self._starts[-1] + len(line))

    def __len__(self) -> int:
        return len(self._starts) - 1

    def __iter__(self) -> Iterator[Row]:
        for number in range(len(self)):
            yield self._read(number)

    @overload
    def __getitem__(self, index: int) -> Row: ...
    @overload
    def __getitem__(self, index: slice) -> list[Row]: ...
    def __getitem__(self, index: int | slice) -> Row | list[Row]:
        found = range(len(self))[index]
        return self._read(found) if isinstance(found, int) else [self._read(n) for n in found]

    def _read(self, number: int) -> Row:
        start, end = self._starts[number], self._starts[number + 1]
        self._file.seek(start)
        row: Row = json.loads(self._file.read(end - start))
        return row
