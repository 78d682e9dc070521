"""Graded questions that several processes wrote, made one samples.jsonl.

```
eval/<suite>/parts/rank_1.jsonl     what process 1 has answered; the main process is rank 0
```

Each process appends to a file of its own. The main process holds the lock of samples.jsonl for the
whole evaluation and moves the rows there, in the order of the plan; what a killed attempt left in
its parts is moved by the next one, whatever its number of processes.
"""

import time
from collections.abc import Callable, Collection, Sequence
from contextlib import ExitStack
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Final

from vtk.errors import DataError
from vtk.evals.record import PARTS_DIR, EvalRow, RowKey, SampleLog, read_rows, row_from_json
from vtk.runs.background import Background
from vtk.runs.events import decode_line, encode_line
from vtk.runs.files import storage_error, write_bytes_atomic

PATIENCE_S: Final = 120.0
_POLL_S: Final = 0.5


def part_log(folder: Path, rank: int) -> SampleLog:
    """Where one of several processes writes what it answers.

    Args:
        folder: eval/<suite> of a run.
        rank: The process.
    """
    return SampleLog(folder, f"{PARTS_DIR}/rank_{rank}.jsonl")


def part_files(folder: Path) -> list[Path]:
    """The parts that are there, in order of their names."""
    return sorted((folder / PARTS_DIR).glob("rank_*.jsonl"))


def take_in_parts(log: SampleLog, folder: Path, plan: Sequence[RowKey]) -> int:
    """Append the rows of all parts that samples.jsonl does not have, in the order of the plan.

    Args:
        log: samples.jsonl, held by this process.
        folder: eval/<suite> of a run.
        plan: Every question and draw, in order.

    Returns:
        How many rows were new.

    Raises:
        DataError: A part cannot be read.
        VtkError: The disk is full or failing.
    """
    known = read_rows(log.path).rows
    found: dict[RowKey, EvalRow] = {}
    for path in part_files(folder):
        found |= read_rows(path).rows
    new = [key for key in plan if key in found and found[key] != known.get(key)]
    for key in new:
        log.append(found[key])
    return len(new)


def wait_for_rows(folder: Path, keys: Collection[RowKey], patience_s: float = PATIENCE_S) -> None:
    """Return once the parts hold these rows: a shared file system may show another machine's late.

    Args:
        folder: eval/<suite> of a run.
        keys: The rows that all processes together have written.
        patience_s: How long to wait, in seconds.

    Raises:
        DataError: They do not appear: the machines do not share the folder.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        there = {key for path in part_files(folder) for key in read_rows(path).rows}
        missing = len(set(keys) - there)
        if not missing:
            return
        if time.monotonic() > deadline_s:
            raise DataError(
                f"{missing} rows that other processes wrote do not appear in {folder}",
                "All machines need the same --runs-dir, on a file system that they share.",
            )
        time.sleep(_POLL_S)


def remove_parts(folder: Path) -> None:
    """Remove the parts, once their rows are in samples.jsonl.

    Raises:
        ConfigError: A process still writes one of them.
        VtkError: They cannot be removed.
    """
    paths = part_files(folder)
    with ExitStack() as held:
        for path in paths:
            held.enter_context(SampleLog(folder, f"{PARTS_DIR}/{path.name}"))
        try:
            for path in paths:
                path.unlink()
            if paths:
                (folder / PARTS_DIR).rmdir()
        except OSError as error:
            raise storage_error(folder / PARTS_DIR, error) from error


def put_in_order(path: Path, plan: Sequence[RowKey]) -> None:
    """Make samples.jsonl one line a row in the order of the plan, if it is complete and is not.

    So the file of a complete evaluation has the same bytes however often it was stopped and by how
    many processes it was made. One with unreadable lines stays as it is: they are evidence.

    Raises:
        VtkError: The file cannot be replaced; the old one stays.
    """
    found = read_rows(path)
    if found.num_unreadable or any(key not in found.rows for key in plan):
        return
    ordered = b"".join(encode_line(asdict(found.rows[key])) for key in plan)
    if ordered != path.read_bytes():
        write_bytes_atomic(path, ordered)


class PartsFollower(Background):
    """Tells of every row that any process appends to its part; a context manager with a thread.

    Args:
        folder: eval/<suite> of a run.
        on_row: Called with each row, in that thread; what it raises rises when the block is left.
    """

    def __init__(self, folder: Path, on_row: Callable[[EvalRow], None]) -> None:
        super().__init__(self._poll, _POLL_S, "parts")
        self._folder, self._on_row = folder, on_row
        self._read: dict[Path, int] = {}

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        super().__exit__(kind, error, _)
        if error is None:
            self._poll()  # what came after the last look

    def _poll(self) -> None:
        for path in part_files(self._folder):
            with path.open("rb") as stream:
                stream.seek(self._read.get(path, 0))
                content = stream.read()
            whole = content[: content.rfind(b"\n") + 1]
            self._read[path] = self._read.get(path, 0) + len(whole)
            for line in whole.split(b"\n")[:-1]:
                self._on_row(row_from_json(decode_line(line)))
