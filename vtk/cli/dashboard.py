"""`vtk dashboard`: one run on the whole screen, or its facts printed once."""

import io
import shlex
import sys
import time
import tomllib
from collections.abc import Sequence
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Final, Literal, TextIO

import typer

from vtk.cli.completion import complete_run
from vtk.cli.console import Console, encodable, has_colour, is_terminal
from vtk.cli.options import Json, RunsDir
from vtk.cli.serve import DEFAULT_HOST, DEFAULT_PORT, Serving, serve_dashboard
from vtk.errors import ConfigError
from vtk.hints import DEFAULT_RUNS_DIR, folder_options
from vtk.runs.snapshot import RunState
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths, resolve_run

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

Run = Annotated[
    str,
    typer.Argument(
        metavar="RUN",
        help="A run's id, its beginning, or a path.",
        autocompletion=complete_run,
    ),
]
OptionalRun = Annotated[
    str | None,
    typer.Argument(
        metavar="[RUN]",
        help="A run's id, its beginning, or a path; default newest.",
        autocompletion=complete_run,
    ),
]
Runs = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[RUN]...",
        help="A run's id, its beginning, or a path; default newest. Several are compared.",
        show_default=False,
        autocompletion=complete_run,
    ),
]
_LOOK: Final = "How it looks"
_BROWSER: Final = "In a browser"
Pictures = Literal["auto", "cells", "kitty", "sixel"]
_PLAIN_CHARS: Final = 100
_DRAWING: Final = "▁█×–"
_BRAILLE: Final = "⣿●┊"


def dashboard(
    runs: Runs = None,
    once: Annotated[bool, typer.Option("--once", help="Print the facts once and leave.")] = False,
    fps: Annotated[
        float,
        typer.Option(
            "--fps", min=0.1, max=30, help="Looks at the run a second.", rich_help_panel=_LOOK
        ),
    ] = 2.0,
    read_only: Annotated[
        bool | None,
        typer.Option(
            "--read-only/--control",
            help="Look only, or ask the run for things too; --serve looks only by default.",
            show_default=False,
        ),
    ] = None,
    demo: Annotated[
        bool, typer.Option("--demo", help="Play a recorded run that is part of the package.")
    ] = False,
    ascii_only: Annotated[
        bool,
        typer.Option("--ascii", help="Draw with ASCII characters only.", rich_help_panel=_LOOK),
    ] = False,
    pictures: Annotated[
        Pictures,
        typer.Option(
            metavar="NAME",
            help="Frames of samples: cells, kitty, sixel, or auto, which asks the terminal.",
            rich_help_panel=_LOOK,
        ),
    ] = "auto",
    shows_keys: Annotated[
        bool, typer.Option("--keys", help="Print every key, as a file that can change them.")
    ] = False,
    is_served: Annotated[
        bool,
        typer.Option(
            "--serve", help="Show it in a browser; prints the address.", rich_help_panel=_BROWSER
        ),
    ] = False,
    host: Annotated[
        str,
        typer.Option(
            "--host",
            metavar="HOST",
            help="With --serve: name or address to bind to.",
            rich_help_panel=_BROWSER,
        ),
    ] = DEFAULT_HOST,
    port: Annotated[
        int,
        typer.Option(
            "--port",
            min=0,
            max=65535,
            help="With --serve; 0 takes a free one.",
            rich_help_panel=_BROWSER,
        ),
    ] = DEFAULT_PORT,
    is_behind_page: Annotated[bool, typer.Option("--behind-page", hidden=True)] = False,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Watch a run: reward, distance from the bias model, accuracy.

    On a terminal it stays open, waits for a run that is not there yet, and shows all keys with
    "?"; elsewhere, or with --once or --json, the facts are printed once.
    """
    console, named = Console(as_json), runs or []
    is_screen = is_terminal(console.stdout) and is_terminal(sys.stderr) and sys.stdin.isatty()
    is_printed = as_json or once or not (is_screen or is_behind_page)
    _check(named, demo, once or (is_printed and not is_served), is_served, runs_dir)
    if not is_served and (host, port) != (DEFAULT_HOST, DEFAULT_PORT):
        raise ConfigError("--host and --port say where to serve", "Add --serve, or leave them out.")
    if pictures in ("kitty", "sixel"):
        _check_pictures(pictures, ascii_only, is_served)
    if shows_keys:
        _print_keys(console)
        return
    if is_served:
        options = [*(["--demo"] if demo else []), *(["--ascii"] if ascii_only else [])]
        options += ["--fps", f"{fps:g}"]
        is_read_only = read_only is not False
        serving = Serving(named, runs_dir, host, port, is_read_only, options)
        serve_dashboard(serving, console)
        return
    if is_printed:
        ref = named[0] if named else None
        _print_once(console, _recording() if demo else resolve_run(runs_dir, ref), ascii_only)
        return
    from tui.opening import run_dashboard  # the engine knows the dashboard here only

    is_plain = ascii_only or (
        not is_behind_page and encodable(_BRAILLE, console.stdout) != _BRAILLE
    )
    run_dashboard(
        runs_dir,
        [_recording()] if demo else named,
        fps=fps,
        read_only=read_only is True,
        ascii_only=is_plain,
        is_behind_page=is_behind_page,
        pictures=pictures,
    )


def _check(
    named: Sequence[str], demo: bool, is_once: bool, is_served: bool, runs_dir: Path
) -> None:
    """Refuse what contradicts itself.

    Raises:
        ConfigError: It does.
    """
    if demo and named:
        raise ConfigError(
            "--demo plays its own run and takes no RUN", f"Leave out {named[0]!r}, or --demo."
        )
    if is_once and len(named) > 1:
        raise ConfigError(
            f"the facts of one run are printed, and {len(named)} are named",
            f"Compare them: vtk compare {shlex.join(named)}{folder_options(runs_dir=runs_dir)}",
        )
    if is_once and is_served:
        raise ConfigError("--once leaves at once, and --serve stays", "Leave out one of them.")


def _check_pictures(pictures: Pictures, ascii_only: bool, is_served: bool) -> None:
    """Refuse real pictures where there are none.

    Raises:
        ConfigError: Cells alone can be drawn there.
    """
    if ascii_only or is_served:
        other = "--ascii draws characters" if ascii_only else "--serve draws in a browser"
        raise ConfigError(
            f"--pictures {pictures} draws pixels on this terminal, and {other}",
            "Leave out one of them.",
        )


def _print_keys(console: Console) -> None:
    from tui.opening import keys_as_toml

    text = keys_as_toml()
    console.document({"keys": tomllib.loads(text)})
    if not console.is_json:
        console.say(text)


def _print_once(console: Console, paths: RunPaths, ascii_only: bool) -> None:
    state = read_state(paths)
    console.document(state.to_dict())
    if not console.is_json:
        print_view(console, state, ascii_only)


def _recording() -> RunPaths:
    from tui.recording import demo_run

    return demo_run()


def print_view(console: Console, state: RunState, ascii_only: bool = False) -> None:
    """Print the picture of one run: in colour on a terminal, else as plain lines.

    Args:
        console: Where.
        state: The run.
        ascii_only: Draw with ASCII characters, also where the stream could show others.
    """
    ascii_only = ascii_only or encodable(_DRAWING, console.prose) != _DRAWING
    if has_colour(console.prose):
        screen = _rich_console(console.prose)
        screen.print(_view(state, screen.width, ascii_only))
        return
    memory = io.StringIO()
    width = get_terminal_size((_PLAIN_CHARS, 0)).columns
    lines = _rich_console(memory, width)
    lines.print(_view(state, width, ascii_only), soft_wrap=True)
    console.say("\n".join(line.rstrip() for line in memory.getvalue().rstrip().split("\n")))


def _view(state: RunState, width: int, ascii_only: bool) -> "RenderableType":
    from tui.once import run_view

    return run_view(state, now=time.time(), width=width, ascii_only=ascii_only)


def _rich_console(stream: TextIO, width: int | None = None) -> "RichConsole":
    from rich.console import Console as RichConsole

    return RichConsole(
        file=stream, width=width, highlight=False, markup=False, emoji=False,
        no_color=not has_colour(stream),
    )  # fmt: skip
