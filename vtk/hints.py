"""What the hint of an error says: the name that was meant, and a command that works when pasted.

A command finds the same folders again only with the options that named them, so whoever writes one
adds `folder_options`.
"""

import os
import shlex
from collections.abc import Iterable
from difflib import get_close_matches
from pathlib import Path
from typing import Final

DATA_VARIABLE: Final = "VTK_DATA_DIR"
RUNS_VARIABLE: Final = "VTK_RUNS_DIR"
DEFAULT_DATA_DIR: Final = Path("data")
DEFAULT_RUNS_DIR: Final = Path("runs")


def nearest_hint(name: str, known: Iterable[str], what: str) -> str:
    """A hint for a name that is none of the known ones: the one that was meant, and all of them.

    Args:
        name: As the user gave it.
        known: All that there are.
        what: What they are called, with a capital: "Suites".
    """
    names = {known_name.lower(): known_name for known_name in known}
    near = get_close_matches(name.lower(), names, n=1)
    meant = f"Did you mean {names[near[0]]}? " if near else ""
    return f"{meant}{what}: {', '.join(names.values())}."


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


def download_hint(name: str, data_dir: Path, options: str = "") -> str:
    """How to get a data set.

    Args:
        name: As `vtk download --list` calls it.
        data_dir: The folder of all data sets.
        options: Further options of the command.
    """
    further = f" {options}" if options else ""
    return f"Get it with: vtk download {name}{further}{folder_options(data_dir=data_dir)}"


def split_hint(name: str, data_dir: Path) -> str:
    """How to get a data set and the files of `vtk split`; as `download_hint`."""
    folders = folder_options(data_dir=data_dir)
    return f"{download_hint(name, data_dir)} && vtk split {name}{folders}"


def results_hint(results: str, run: str, runs_dir: Path) -> str:
    """How to have a run answer a suite.

    Args:
        results: A suite, or the name of its results: mvbench-recipe, mvbench.NAME.
        run: The run's id.
        runs_dir: The folder of all runs.
    """
    stem, _, variant = results.partition(".")
    suite = stem.removesuffix("-recipe")
    options = " --protocol recipe" if suite != stem else ""
    options += f" --name {shlex.quote(variant)}" if variant else ""
    folders = folder_options(runs_dir=runs_dir)
    return f"Make them with: vtk eval {suite} --model {shlex.quote(run)}{options}{folders}"
