"""The options that commands share, declared once so that they read the same everywhere."""

import os
import shlex
from pathlib import Path
from typing import Annotated, Final

import typer

_DATA_VARIABLE: Final = "VTK_DATA_DIR"
_RUNS_VARIABLE: Final = "VTK_RUNS_DIR"
Json = Annotated[
    bool, typer.Option("--json", help="Print one JSON document on stdout; prose goes to stderr.")
]
DataDir = Annotated[
    Path,
    typer.Option(
        "--data-dir", envvar=_DATA_VARIABLE, help="Folder of the data sets.", show_default=True
    ),
]
RunsDir = Annotated[
    Path,
    typer.Option(
        "--runs-dir", envvar=_RUNS_VARIABLE, help="Folder of the runs.", show_default=True
    ),
]

DEFAULT_DATA_DIR = Path("data")
DEFAULT_RUNS_DIR = Path("runs")


def folder_options(*, data_dir: Path | None = None, runs_dir: Path | None = None) -> str:
    """The options by which the next command finds the same folders; empty if it does so anyway."""
    folders = (
        ("--data-dir", data_dir, os.environ.get(_DATA_VARIABLE) or DEFAULT_DATA_DIR),
        ("--runs-dir", runs_dir, os.environ.get(_RUNS_VARIABLE) or DEFAULT_RUNS_DIR),
    )
    return "".join(
        f" {option} {shlex.quote(str(path))}"
        for option, path, found_anyway in folders
        if path is not None and str(path) != str(found_anyway)
    )
