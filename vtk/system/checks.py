"""One line of `vtk setup`: what was looked at, how it stands, and what mends it."""

import importlib
import importlib.util
import shutil
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from types import ModuleType
from typing import Literal

Status = Literal["ok", "note", "fail"]

IMPORT_FAULTS = (ImportError, RuntimeError, OSError)
"""What an import raises when a package is missing or its shared libraries do not fit."""


@dataclass(frozen=True, slots=True)
class Check:
    """The outcome of one check.

    Attributes:
        name: What was looked at.
        status: ok; note (vtk works, something optional is missing); fail (vtk will not work).
        detail: What was found.
        fix: The command or step that mends it; None where nothing has to be mended.
        packages: What pip has to install to mend it; empty where that does not help.
    """

    name: str
    status: Status
    detail: str
    fix: str | None = None
    packages: tuple[str, ...] = ()


def missing_package(name: str, detail: str, packages: Sequence[str]) -> Check:
    """A failed check that installing `packages` mends."""
    return Check(name, "fail", detail, " ".join(pip_command(packages)), tuple(packages))


def pip_command(packages: Sequence[str]) -> list[str]:
    """The command that installs `packages` into this very environment.

    An environment made by uv has no pip, so uv itself is used there.
    """
    has_pip = importlib.util.find_spec("pip") is not None
    if not has_pip and shutil.which("uv"):
        return ["uv", "pip", "install", "--python", sys.executable, *packages]
    return [sys.executable, "-m", "pip", "install", *packages]


def try_import(name: str) -> ModuleType | str:
    """The module, or the first line of why it does not import."""
    try:
        return importlib.import_module(name)
    except IMPORT_FAULTS as error:
        return first_line(error)


def first_line(error: BaseException) -> str:
    """The first line of an error's text, or its kind where it has none."""
    return str(error).strip().partition("\n")[0] or type(error).__name__
