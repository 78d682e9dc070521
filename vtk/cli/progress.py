"""How far a long command is: a bar on a terminal, else one line every few seconds."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Protocol

from vtk.cli.console import Console, encodable, is_terminal, safe_lines
from vtk.format import format_duration_s

if TYPE_CHECKING:
    from rich.progress import Progress as RichProgress
    from rich.progress import TaskID

LINE_EVERY_S = 10.0


class Progress(Protocol):
    """Where a command reports how far it is."""

    def advance(self, num_done: float = 1) -> None:
        """Report that `num_done` more units are done."""

    def update(
        self, done: float | None = None, total: float | None = None, note: str | None = None
    ) -> None:
        """Report the units done, a better known total, or what is being done now."""


@contextmanager
def show_progress(
    console: Console, what: str, total: float | None = None, unit: str = ""
) -> Iterator[Progress]:
    """Show the progress of the enclosed work on stderr.

    Args:
        console: The command's console.
        what: What is being done, for instance "Rendering clips".
        total: Units of work in all; None while unknown.
        unit: The unit's name, for instance "clips".
    """
    if is_terminal(console.stderr):
        with _bar(console) as bar:
            yield _Bar(bar, console, what, total, unit)
    else:
        lines = Lines(console, what, total, unit)
        yield lines
        lines.finish()


class Lines:
    """Progress for streams that nobody watches live: a line at most every `LINE_EVERY_S` seconds.

    Args:
        console: The command's console.
        what: What is being done.
        total: Units of work in all; None while unknown.
        unit: The unit's name.
        every_s: Seconds between lines.
    """

    def __init__(
        self,
        console: Console,
        what: str,
        total: float | None = None,
        unit: str = "",
        every_s: float = LINE_EVERY_S,
    ) -> None:
        self._console, self._what, self._total, self._unit = console, what, total, unit
        self._every_s = every_s
        self._done, self._note = 0.0, ""
        self._first_done: float | None = None
        self._started_s = self._said_s = self._first_s = time.monotonic()

    def advance(self, num_done: float = 1) -> None:
        """Report that `num_done` more units are done."""
        if self._first_done is None:
            self._first_done = 0.0
        self.update(done=self._done + num_done)

    def update(
        self, done: float | None = None, total: float | None = None, note: str | None = None
    ) -> None:
        """Report the units done, a better known total, or what is being done now."""
        self._done = self._done if done is None else done
        if done is not None and self._first_done is None:  # a run that goes on begins in the midst
            self._first_done, self._first_s = done, time.monotonic()
        self._total = self._total if total is None else total
        self._note = self._note if note is None else note
        now_s = time.monotonic()
        if now_s - self._said_s >= self._every_s:
            self._said_s = now_s
            self._console.note(self._line(now_s - self._first_s))

    def finish(self) -> None:
        """Say what was done and how long it took."""
        took = format_duration_s(time.monotonic() - self._started_s)
        self._console.note(f"{self._what}: {self._amount()} in {took}")

    def _amount(self) -> str:
        of_total = "" if self._total is None else f"/{self._total:g}"
        return f"{self._done:g}{of_total} {self._unit}".rstrip()

    def _line(self, elapsed_s: float) -> str:
        parts = [f"{self._what}: {self._amount()}"]
        since_first = self._done - (self._first_done or 0.0)
        if self._total and since_first > 0 and self._done <= self._total:
            left_s = elapsed_s / since_first * (self._total - self._done)
            parts.append(f"{format_duration_s(left_s)} left")
        return ", ".join([*parts, *([self._note] if self._note else [])])


class _Bar:
    """Progress for a terminal, drawn by Rich."""

    def __init__(
        self, bar: "RichProgress", console: Console, what: str, total: float | None, unit: str
    ) -> None:
        self._bar, self._console = bar, console
        self._task: TaskID = bar.add_task(self._clean(what), total=total, unit=unit, note="")

    def advance(self, num_done: float = 1) -> None:
        self._bar.advance(self._task, num_done)

    def update(
        self, done: float | None = None, total: float | None = None, note: str | None = None
    ) -> None:
        self._bar.update(self._task, completed=done, total=total)
        if note is not None:
            self._bar.update(self._task, note=self._clean(note))

    def _clean(self, text: str) -> str:
        return encodable(safe_lines(text), self._console.stderr).replace("\n", " ")


def _bar(console: Console) -> "RichProgress":
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeRemainingColumn
    from rich.progress import Progress as RichProgress

    return RichProgress(
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[unit]}", markup=False),
        TimeRemainingColumn(compact=True),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=RichConsole(file=console.stderr, highlight=False),
    )
