"""The help pages: a list for each panel of options, as plain lines that fit 80 columns.

Typer draws panels with Rich, which costs more than the rest of a help page together, gives a flag a
type, and cuts long names short. Here Typer's own formatter is filled instead: a name with its value
in one column, the sentence with unit, default and environment variable in the other.
"""

import re
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, TypeVar, get_args

import typer
from typer.core import TyperArgument, TyperCommand, TyperGroup, TyperOption
from typer.exceptions import TyperException

from vtk.cli.console import encodable, has_colour
from vtk.errors import ConfigError

NAMES_CHARS: Final = 28
_VALUE_NAMES: Final = {int: "N", float: "X", Path: "PATH"}
_KEPT_TOGETHER: Final = {ord(" "): "\ue000", ord("-"): "\ue001"}  # of Unicode's private use
_OPTION: Final = re.compile(r"--[a-z-]+")
_ARGUMENTS, _OPTIONS, _COMMANDS = "Arguments", "Options", "Commands"
Command = TypeVar("Command", bound=Callable[..., Any])
Rows = dict[str, list[tuple[str, str]]]


class HelpCommand(TyperCommand):
    """A command whose help is written as above."""

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Split the words; a complaint about them knows the command."""
        try:
            return super().parse_args(ctx, args)
        except TyperException as error:
            if getattr(error, "ctx", ctx) is None:
                error.ctx = ctx  # type: ignore[attr-defined]
            raise

    def get_help(self, ctx: Any) -> str:
        """The whole page."""
        return _with_breaks(super().get_help(ctx))

    def collect_usage_pieces(self, ctx: Any) -> list[str]:
        """The words after the command's name in the usage line."""
        return _usage(self, ctx)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the arguments and the options, panel after panel."""
        _write(formatter, _parameter_rows(self.get_params(ctx)))


class HelpGroup(TyperGroup):
    """A group whose help is written as above, commands before options."""

    def get_help(self, ctx: Any) -> str:
        """The whole page."""
        return _with_breaks(super().get_help(ctx))

    def parse_args(self, ctx: Any, args: list[str]) -> list[str]:
        """Split the words; without any, print the help and leave as after wrong usage."""
        if not args and not ctx.resilient_parsing:
            typer.echo(ctx.get_help())
            raise typer.Exit(ConfigError.exit_code)
        return super().parse_args(ctx, args)

    def format_options(self, ctx: Any, formatter: Any) -> None:
        """Write the commands and then the options, panel after panel."""
        rows: Rows = {}
        for name, command in self.commands.items():
            if not command.hidden:
                panel = getattr(command, "rich_help_panel", None) or _COMMANDS
                about = (command.short_help or command.help or "").partition("\n\n")[0]
                rows.setdefault(panel, []).append((name, about))
        _write(formatter, rows)
        _write(formatter, _parameter_rows(self.get_params(ctx)))


class Menu(typer.Typer):
    """A Typer whose commands have the help pages of this module.

    Args:
        settings: Those of `typer.Typer`.
    """

    def __init__(self, **settings: Any) -> None:
        super().__init__(
            cls=HelpGroup,
            rich_markup_mode=None,
            context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
            **settings,
        )

    def command(self, name: str | None = None, **settings: Any) -> Callable[[Command], Command]:
        """Offer a command; `settings` are those of `typer.Typer.command`."""
        return super().command(name, cls=HelpCommand, **settings)


def examples_epilog(*commands: str) -> str:
    """The end of a help page: commands to copy, one a line.

    Args:
        commands: Whole commands.
    """
    return "\n".join(["\b", "Examples:", *(f"  {command}" for command in commands)])


def spelled_out(option: TyperOption) -> str:
    """An option as it is typed: its names without further spellings, and what it takes."""
    longs = [name for name in option.opts if name.startswith("--")]
    shorts = [name for name in option.opts if not name.startswith("--")]
    if option.is_flag:
        return " / ".join([", ".join([*longs[:1], *shorts]), *option.secondary_opts])
    return f"{', '.join([*longs[:1], *shorts])} {_value_name(option)}"


def _value_name(option: TyperOption) -> str:
    if option.metavar:
        return option.metavar
    kind = option.type_descriptor.annotation
    kind = get_args(kind)[0] if option.multiple and get_args(kind) else kind
    return _VALUE_NAMES.get(kind, "NAME")


def _usage(command: TyperCommand, ctx: Any) -> list[str]:
    arguments = [each for each in command.get_params(ctx) if isinstance(each, TyperArgument)]
    names = [_argument_name(each) for each in arguments]
    return ["[OPTIONS]", *(f"{name}" for name in names)]


def _argument_name(argument: TyperArgument) -> str:
    name = argument.metavar or argument.name.upper()
    name += "..." if argument.nargs != 1 and not name.endswith("...") else ""
    return name if argument.required or name.startswith("[") else f"[{name}]"


def _parameter_rows(parameters: Iterable[Any]) -> Rows:
    """Panel -> names and sentence of each of its parameters; --help stands with the last."""
    rows: Rows = {}
    panel = _OPTIONS
    for each in parameters:
        if isinstance(each, TyperArgument):
            rows.setdefault(_ARGUMENTS, []).append((_argument_name(each), each.help or ""))
        elif not each.hidden:
            is_help = each.name == "help"
            panel = panel if is_help else each.rich_help_panel or _OPTIONS
            rows.setdefault(panel, []).append((spelled_out(each), _sentence(each)))
    return rows


def _sentence(option: TyperOption) -> str:
    """What an option means, and in brackets what can be given and what is taken otherwise."""
    remarks = "; ".join(map(_unbroken, _remarks(option)))
    return " ".join(filter(None, [option.help, remarks and f"[{remarks}]"]))


def _remarks(option: TyperOption) -> Iterator[str]:
    if option.required:
        yield "required"
    if option.min is not None and option.max is not None:
        yield f"{option.min:g} to {option.max:g}"
    elif option.min is not None and option.min > 1:
        yield f"{option.min:g} or more"
    if option.show_default and (default := _default(option)) is not None:
        yield f"default: {default}"
    if option.envvar:
        yield f"or {option.envvar}"
    longs = [name.replace("_", "-") for name in option.opts if name.startswith("--")]
    others = [name for name in dict.fromkeys(longs) if name != longs[0]]
    if others:
        yield f"also {', '.join(others)}"


def _unbroken(text: str) -> str:
    """`text` in signs at which the formatter does not break a line; `_with_breaks` undoes it."""
    return text.translate(_KEPT_TOGETHER)


def _unbroken_options(text: str) -> str:
    """`text` with each name such as --data-dir kept on one line."""
    return _OPTION.sub(lambda found: _unbroken(found[0]), text)


def _with_breaks(page: str) -> str:
    plain = page.translate({ord(sign): chr(code) for code, sign in _KEPT_TOGETHER.items()})
    return encodable(plain, sys.stdout)


def _default(option: TyperOption) -> str | None:
    """The value without the option, as one types it; None for a flag that is off, and nothing."""
    value = option.default
    if isinstance(option.show_default, str):
        return option.show_default
    if isinstance(value, bool):
        names = option.opts if value else option.secondary_opts
        return names[0] if names and option.secondary_opts else None
    if value is None or callable(value):
        return None
    return f"{value:g}" if isinstance(value, float) else str(value)


def _write(formatter: Any, rows: Mapping[str, list[tuple[str, str]]]) -> None:
    """Write the panels; the sentences of all of them begin in one column."""
    names = [name for panel in rows.values() for name, _ in panel]
    width = max((len(name) for name in names if len(name) <= NAMES_CHARS), default=0)
    is_bold = has_colour(sys.stdout)
    for panel, entries in rows.items():
        with formatter.section(typer.style(panel, bold=True) if is_bold else panel):
            shown = [(name.ljust(width), _unbroken_options(text)) for name, text in entries]
            formatter.write_dl(shown, col_max=width)
