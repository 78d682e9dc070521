"""Reads command lines as the real command does, up to the moment when it would begin to work."""

import re
import shlex
from dataclasses import dataclass
from typing import Any

import typer
from typer.core import TyperCommand, TyperGroup

from vtk.cli.app import app

ROOT = typer.main.get_command(app)


@dataclass(frozen=True)
class Read:
    """One command line as it was understood.

    Attributes:
        words: The command's own words, such as ("runs", "show").
        options: The value of each of its options and arguments, by parameter.
    """

    words: tuple[str, ...]
    options: dict[str, Any]


def read_command(line: str) -> Read:
    """Parse one `vtk ...` line; what is not a command of today raises Typer's own error.

    Args:
        line: As typed in a shell; a remark after `#` is left out.

    Raises:
        typer.exceptions.TyperException: It is wrong.
    """
    program, *arguments = shlex.split(line, comments=True)
    assert program == "vtk", line
    command: Any = ROOT
    context: Any = None
    words: tuple[str, ...] = ()
    if arguments and arguments[0] in {name for option in ROOT.params for name in option.opts}:
        return Read(words, {arguments[0]: True})  # such as `vtk --version`
    while isinstance(command, TyperGroup):
        context = command.context_class(command, info_name="vtk", parent=context)
        name, command, arguments = command.resolve_command(context, arguments)
        words = (*words, str(name))
    assert isinstance(command, TyperCommand), line
    options = command.make_context(words[-1], arguments, parent=context).params
    return Read(words, options)


def commands_in(hint: str) -> list[str]:
    """The commands to paste at the end of a hint or of "Next:"."""
    pasted = hint.rpartition(": vtk ")[2] if ": vtk " in hint else ""
    lines = f"vtk {pasted}".split(" && ") if pasted else []
    return [re.sub(r"  \(.*\)$", "", line) for line in lines]
