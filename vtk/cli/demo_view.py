"""How a demo is told while it runs: its commands as lines, its progress as bars or as lines."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from vtk.cli.console import Console, encodable, is_terminal, safe_lines
from vtk.format import format_duration_s

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from vtk.demo.pipeline import DemoView, Watcher
    from vtk.demo.plan import Step

LINE_EVERY_S: Final = 10.0
SAME_LINE_EVERY_S: Final = 60.0


@contextmanager
def narrate(console: Console, *, is_study: bool) -> Iterator["Watcher"]:
    """Tell what a demo does: bars on a terminal, else a line every few seconds.

    Args:
        console: The command's console.
        is_study: Whether the steps are whole demos.
    """
    what = "The study" if is_study else "The demo"
    if not is_terminal(console.stderr):
        yield Lines(console)
        return
    with _progress(console) as progress:
        yield Bars(console, progress, what)


class Lines:
    """A demo for streams that nobody watches live.

    Args:
        console: The command's console.
        every_s: Seconds between lines on the progress.
    """

    def __init__(self, console: Console, every_s: float = LINE_EVERY_S) -> None:
        self.console = console
        self._every_s = every_s
        self._said, self._said_s = "", time.monotonic()

    def kept(self, step: "Step", command: str) -> None:
        """A step was done in an earlier attempt."""
        self.console.note(f"# {step.title}: done before")
        self.console.note(f"$ {command}")

    def started(self, step: "Step", command: str) -> None:
        """A step's command starts."""
        self.console.note(f"# {step.title}")
        self.console.note(f"$ {command}", style="")

    def progressed(self, view: "DemoView") -> None:
        """Say how far the demo is, now and then; less often while nothing changes."""
        parts = [f"{one.step.name} {one.note}".rstrip() for one in view.running]
        done = "; ".join([*parts, f"{view.num_done} of {view.num_steps} commands done"])
        now_s = time.monotonic()
        every_s = SAME_LINE_EVERY_S if done == self._said else self._every_s
        if now_s - self._said_s >= every_s:
            self._said, self._said_s = done, now_s
            self.console.note(f"  {done}; about {format_duration_s(view.left_s)} left")

    def ended(self, step: "Step", wall_s: float) -> None:
        """A step is done."""
        self.console.note(f"  {step.name} done in {format_duration_s(wall_s)}")

    def stopping(self, num_running: int) -> None:
        """Children were asked to save and leave."""
        commands = "command" if num_running == 1 else "commands"
        self.console.note(f"Stopping {num_running} {commands}; they save first ...")


class Bars(Lines):
    """A demo on a terminal: a bar for each running command and one for the whole.

    Args:
        console: The command's console.
        progress: The bars.
        what: What the whole is called.
    """

    def __init__(self, console: Console, progress: "Progress", what: str) -> None:
        super().__init__(console)
        self._progress, self._what = progress, what
        self._tasks: dict[str, TaskID] = {}
        self._whole: TaskID = progress.add_task(what, total=1.0, note="")

    def progressed(self, view: "DemoView") -> None:
        """Draw how far the demo is."""
        for one in view.running:
            note = f"{one.note}, {format_duration_s(round(one.elapsed_s))}".removeprefix(", ")
            self._progress.update(
                self._task(one.step), completed=one.fraction, note=self._clean(note)
            )
        inside = sum(one.fraction for one in view.running)
        is_over = view.num_done == view.num_steps
        left = "writing" if is_over else f"about {format_duration_s(view.left_s)} left"
        share = (view.num_done + inside) / view.num_steps
        self._progress.update(self._whole, completed=share, note=self._clean(left))

    def ended(self, step: "Step", wall_s: float) -> None:
        """A step is done: its bar makes room."""
        task = self._tasks.pop(step.name, None)
        if task is not None:
            self._progress.remove_task(task)
        super().ended(step, wall_s)

    def _task(self, step: "Step") -> "TaskID":
        if step.name not in self._tasks:
            title = self._clean(step.title)
            self._tasks[step.name] = self._progress.add_task(title, total=1.0, note="")
        return self._tasks[step.name]

    def _clean(self, text: str) -> str:
        return encodable(safe_lines(text), self.console.stderr).replace("\n", " ")


def _progress(console: Console) -> "Progress":
    from rich.console import Console as RichConsole
    from rich.progress import BarColumn, Progress, TextColumn

    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=24),
        TextColumn("{task.percentage:>3.0f}%", markup=False),
        TextColumn("{task.fields[note]}", style="dim", markup=False),
        console=RichConsole(file=console.stderr, highlight=False),
        transient=True,
    )
