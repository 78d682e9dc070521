"""`vtk dashboard`: one run on the whole screen, or its facts printed once."""

import io
import sys
import time
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Final, TextIO

import typer

from vtk.cli.console import Console, encodable, has_colour, is_terminal
from vtk.cli.options import DEFAULT_RUNS_DIR, Json, RunsDir
from vtk.errors import ConfigError
from vtk.runs.snapshot import RunState
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths, resolve_run

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or a path.")]
OptionalRun = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's id, its beginning, or a path; default newest."),
]
_PLAIN_CHARS: Final = 100
_DRAWING: Final = "▁█×–"
_BRAILLE: Final = "⣿●┊"


def dashboard(
    run: OptionalRun = None,
    once: Annotated[bool, typer.Option("--once", help="Print the facts once and leave.")] = False,
    fps: Annotated[
        float, typer.Option("--fps", min=0.1, max=30, help="Looks at the run a second.")
    ] = 2.0,
    read_only: Annotated[
        bool, typer.Option("--read-only", help="Look only: nothing can be asked of the run.")
    ] = False,
    demo: Annotated[
        bool, typer.Option("--demo", help="Play a recorded run that is part of the package.")
    ] = False,
    ascii_only: Annotated[
        bool, typer.Option("--ascii", help="Draw with ASCII characters only.")
    ] = False,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Watch a run: reward, distance from the bias model, accuracy by question type, memory.

    On a terminal it stays open, waits for a run that is not there yet, and shows all keys with
    "?"; elsewhere, or with --once or --json, the facts are printed once.
    """
    console = Console(as_json)
    if demo and run is not None:
        raise ConfigError(
            "--demo plays its own run and takes no RUN", f"Leave out {run!r}, or --demo."
        )
    is_screen = is_terminal(console.stdout) and is_terminal(sys.stderr) and sys.stdin.isatty()
    if as_json or once or not is_screen:
        state = read_state(_recording() if demo else resolve_run(runs_dir, run))
        console.document(state.to_dict())
        if not as_json:
            print_view(console, state)
        return
    from tui.app import run_dashboard  # the engine knows the dashboard here only

    is_plain = ascii_only or encodable(_BRAILLE, console.stdout) != _BRAILLE
    ref = _recording() if demo else run
    run_dashboard(runs_dir, ref, fps=fps, read_only=read_only, ascii_only=is_plain)


def _recording() -> RunPaths:
    from tui.recording import demo_run

    return demo_run()


def print_view(console: Console, state: RunState) -> None:
    """Print the picture of one run: in colour on a terminal, else as plain lines."""
    if has_colour(console.prose):
        screen = _rich_console(console.prose)
        screen.print(_view(state, console.prose, screen.width))
        return
    memory = io.StringIO()
    width = get_terminal_size((_PLAIN_CHARS, 0)).columns
    lines = _rich_console(memory, width)
    lines.print(_view(state, console.prose, width), soft_wrap=True)
    console.say("\n".join(line.rstrip() for line in memory.getvalue().rstrip().split("\n")))


def _view(state: RunState, stream: TextIO, width: int) -> "RenderableType":
    from tui.once import run_view

    ascii_only = encodable(_DRAWING, stream) != _DRAWING
    return run_view(state, now=time.time(), width=width, ascii_only=ascii_only)


def _rich_console(stream: TextIO, width: int | None = None) -> "RichConsole":
    from rich.console import Console as RichConsole

    return RichConsole(
        file=stream, width=width, highlight=False, markup=False, emoji=False,
        no_color=not has_colour(stream),
    )  # fmt: skip
