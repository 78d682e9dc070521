"""How far several downloads are: a line each on a terminal, else lines now and then."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from vtk.cli.console import Console, encodable, is_terminal, safe_lines
from vtk.format import format_bytes, format_duration_s

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_S = 10.0


class Transfers(Protocol):
    """Where downloads report how far they are, from any thread."""

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        """`num_bytes` of a file are here."""

    def on_note(self, name: str, note: str) -> None:
        """Something happened that explains a delay."""


@contextmanager
def show_transfers(console: Console) -> Iterator[Transfers]:
    """Show the downloads of the enclosed work on stderr."""
    if not is_terminal(console.stderr):
        yield TransferLines(console)
        return
    with _bars(console) as bars:
        yield _TransferBars(console, bars)


@dataclass(slots=True)
class _Progress:
    """How far one file is, and since when."""

    since_s: float
    first_bytes: int
    num_bytes: int = 0
    total_bytes: int | None = None

    def line(self, now_s: float) -> str:
        """`1.2 GiB of 11.5 GiB, 12.1 MiB/s, 14 min left`."""
        speed = (self.num_bytes - self.first_bytes) / max(now_s - self.since_s, 1e-3)
        of_total = "" if self.total_bytes is None else f" of {format_bytes(self.total_bytes)}"
        parts = [f"{format_bytes(self.num_bytes)}{of_total}", f"{format_bytes(speed)}/s"]
        if self.total_bytes and speed > 0:
            left_s = max(0, self.total_bytes - self.num_bytes) / speed
            parts.append(f"{format_duration_s(left_s)} left")
        return ", ".join(parts)


class TransferLines:
    """For streams that nobody watches live: a line a file at most every `every_s` seconds.

    Args:
        console: The command's console.
        every_s: Seconds between lines.
    """

    def __init__(self, console: Console, every_s: float = LINE_EVERY_S) -> None:
        self._console, self._every_s = console, every_s
        self._lock = threading.Lock()
        self._said_s = time.monotonic()
        self._files: dict[str, _Progress] = {}

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        """Report the bytes of a file that are here."""
        now_s = time.monotonic()
        with self._lock:
            file = self._files.setdefault(name, _Progress(now_s, num_bytes))
            file.num_bytes, file.total_bytes = num_bytes, total_bytes
            if num_bytes == total_bytes:
                del self._files[name]
            if now_s - self._said_s >= self._every_s:
                self._said_s = now_s
                for each, progress in self._files.items():
                    self._console.note(f"{each}: {progress.line(now_s)}")

    def on_note(self, name: str, note: str) -> None:
        """Say at once what explains a delay."""
        with self._lock:
            self._console.note(f"{name}: {note}")


class _TransferBars:
    """For a terminal, drawn by Rich; a finished file's line goes."""

    def __init__(self, console: Console, bars: "RichProgress") -> None:
        self._console, self._bars = console, bars
        self._lock = threading.Lock()
        self._tasks: dict[str, TaskID] = {}

    def on_bytes(self, name: str, num_bytes: int, total_bytes: int | None) -> None:
        """Draw the bytes of a file that are here."""
        with self._lock:
            if num_bytes == total_bytes:
                task = self._tasks.pop(name, None)
                if task is not None:
                    self._bars.remove_task(task)
                return
            if name not in self._tasks:
                self._tasks[name] = self._bars.add_task(self._clean(name), completed=num_bytes)
            self._bars.update(self._tasks[name], completed=num_bytes, total=total_bytes)

    def on_note(self, name: str, note: str) -> None:
        """Say at once what explains a delay, above the bars."""
        with self._lock:
            self._console.note(f"{name}: {note}")

    def _clean(self, text: str) -> str:
        return encodable(safe_lines(text), self._console.stderr).replace("\n", " ")


def _bars(console: Console) -> "RichProgress":
    from rich.console import Console as RichConsole
    from rich.progress import (
        BarColumn,
        DownloadColumn,
        ProgressColumn,
        Task,
        TextColumn,
        TimeRemainingColumn,
    )
    from rich.progress import Progress as RichProgress
    from rich.text import Text

    class Speed(ProgressColumn):
        """Bytes a second in the units of all other sizes."""

        def render(self, task: Task) -> Text:
            """The speed of one file."""
            return Text("" if task.speed is None else f"{format_bytes(task.speed)}/s")

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        DownloadColumn(binary_units=True),
        Speed(),
        TimeRemainingColumn(compact=True),
        console=RichConsole(file=console.stderr, highlight=False),
    )
