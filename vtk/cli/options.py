"""The options that commands share, declared once so that they read the same everywhere."""

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; prose goes to stderr.")
]
DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar="VTK_DATA_DIR", help="Folder of the data sets.", show_default=True
    ),
]
RunsDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir", envvar="VTK_RUNS_DIR", help="Folder of the runs.", show_default=True
    ),
]

DEFAULT_DATA_DIR = Path("data")
DEFAULT_RUNS_DIR = Path("runs")
