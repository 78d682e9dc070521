"""The options that commands share, declared once so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated, Final

import typer

from vtk.hints import DATA_VARIABLE, RUNS_VARIABLE

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
