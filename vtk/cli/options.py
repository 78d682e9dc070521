"""The options that commands share, declared once so that they read the same everywhere."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

DATA_VARIABLE: Final = "VTK_DATA_DIR"
RUNS_VARIABLE: Final = "VTK_RUNS_DIR"
COMMON: Final = "Common"
"""The panel of what every command takes; the last of each help page."""
Json = Annotated[
    bool,
    typer.Option(
        "--json",
        help="Print one JSON document on stdout; prose goes to stderr.",
        rich_help_panel=COMMON,
    ),
]
DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir",
        metavar="DIR",
        envvar=DATA_VARIABLE,
        help="Folder of the data sets.",
        rich_help_panel=COMMON,
    ),
]
RunsDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir",
        metavar="DIR",
        envvar=RUNS_VARIABLE,
        help="Folder of the runs.",
        rich_help_panel=COMMON,
    ),
]

DEFAULT_DATA_DIR = Path("data")
DEFAULT_RUNS_DIR = Path("runs")


def folder_options(*, data_dir: Path | None = None, runs_dir: Path | None = None) -> str:
    """The options by which the next command finds the same folders; empty if it does so anyway."""
    folders = (
        ("--data-dir", data_dir, os.environ.get(DATA_VARIABLE) or DEFAULT_DATA_DIR),
        ("--runs-dir", runs_dir, os.environ.get(RUNS_VARIABLE) or DEFAULT_RUNS_DIR),
    )
    return "".join(
        f" {option} {shlex.quote(str(path))}"
        for option, path, found_anyway in folders
        if path is not None and str(path) != str(found_anyway)
    )
