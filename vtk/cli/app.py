"""The command `vtk`: what it offers, and the one place where errors end.

Every command module is light (typer and the standard library); the engine is imported inside the
command that needs it. `main` turns each failure into what happened, what mends it and an exit code.
"""

import errno
import importlib
import importlib.util
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from vtk.cli.console import Console
from vtk.errors import MemoryExhausted, UserInterrupt, VtkError

DEBUG_FLAG = "--debug"

app = typer.Typer(
    name="vtk",
    help="Train and judge small video language models that reason instead of describing.",
    no_args_is_help=True,
    rich_markup_mode="rich",
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="Start with [bold]vtk demo[/bold]: the whole method on a laptop CPU.",
)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code.

    Args:
        argv: Arguments after the program's name; the process's own when None.

    Returns:
        0, or the code of `vtk.errors` for what went wrong (130 after Ctrl-C).
    """
    _replace_closed_streams()
    arguments = list(sys.argv[1:] if argv is None else argv)
    is_debug = _take_debug_flag(arguments)
    console = Console(is_json="--json" in arguments)
    try:
        code = _run(arguments, console)
    except Exception as fault:  # the one catcher: everything below lets faults rise
        if is_debug:
            raise
        code = _tell(console, fault)
    return _flushed(console, code)


def explain(fault: Exception) -> VtkError:
    """The user's view of a fault: itself if it is one of ours, else the nearest kind.

    Args:
        fault: What rose out of a command.
    """
    if isinstance(fault, VtkError):
        return fault
    if _is_out_of_memory(fault):
        return MemoryExhausted(
            f"Out of memory: {_first_line(fault)}",
            hint="Lower optim.prompts_per_device and raise optim.accumulation_steps by the same "
            "factor, or lower rollout.max_completion_tokens or video.max_pixels_px, or use LoRA.",
        )
    if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return VtkError(
            f"The disk is full: {_first_line(fault)}",
            hint="Free some space or choose another folder, then repeat the command: "
            "what was complete is kept.",
        )
    if isinstance(fault, OSError):
        return VtkError(f"{type(fault).__name__}: {_first_line(fault)}")
    return VtkError(
        f"Unexpected {type(fault).__name__}: {_first_line(fault)}",
        hint=f"This is a fault in vtk. Run the command again with {DEBUG_FLAG} for the traceback.",
    )


def _take_debug_flag(arguments: list[str]) -> bool:
    """Remove `--debug`, which every command takes, and tell whether it or VTK_DEBUG was given."""
    end = arguments.index("--") if "--" in arguments else len(arguments)
    is_given = DEBUG_FLAG in arguments[:end]
    arguments[:end] = [argument for argument in arguments[:end] if argument != DEBUG_FLAG]
    return is_given or os.environ.get("VTK_DEBUG", "0") not in ("", "0")


def _is_out_of_memory(fault: Exception) -> bool:
    torch: Any = sys.modules.get("torch")
    if torch is not None and isinstance(fault, torch.OutOfMemoryError):
        return True
    is_cpu_allocator = isinstance(fault, RuntimeError) and "can't allocate memory" in str(fault)
    return isinstance(fault, MemoryError) or is_cpu_allocator


def _first_line(fault: Exception) -> str:
    return str(fault).strip().partition("\n")[0] or type(fault).__name__


def _run(arguments: list[str], console: Console) -> int:
    """Run one command; its exit code unless it fails."""
    try:
        app(arguments, prog_name="vtk")
    except (SystemExit, KeyboardInterrupt) as leaving:
        code = leaving.code if isinstance(leaving, SystemExit) else UserInterrupt.exit_code
        if code == UserInterrupt.exit_code:
            console.note("Interrupted.")
        return code if isinstance(code, int) else int(code is not None)
    return 0


def _tell(console: Console, fault: Exception) -> int:
    """Print the user's view of a fault and return its exit code."""
    error = explain(fault)
    try:
        console.error(error)
    except OSError:
        _silence_stdout()  # stderr has the message; stdout is what failed and cannot carry it
    return error.exit_code


def _flushed(console: Console, code: int) -> int:
    """Flush what was printed; a reader that left early (`vtk runs list | head`) is no fault."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        _silence_stdout()
    except OSError as fault:
        _silence_stdout()
        return code or _tell(console, fault)
    return code


def _silence_stdout() -> None:
    """Send what is still buffered nowhere, so that the interpreter's own exit does not fail."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _replace_closed_streams() -> None:
    """Give a process that was started without stdout or stderr (`>&-`) somewhere to write."""
    for name in ("stdout", "stderr"):
        if getattr(sys, name) is None:
            stream = Path(os.devnull).open("w", encoding="utf-8")  # noqa: SIM115 - open to the end
            setattr(sys, name, stream)


@app.callback(invoke_without_command=True)
def _root(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and leave.")
    ] = False,
    debug: Annotated[  # taken out of the arguments by `main`; declared for the help page
        bool,
        typer.Option(
            DEBUG_FLAG, help="Show the traceback of an error (any command; or VTK_DEBUG=1)."
        ),
    ] = False,
) -> None:
    """Train and judge small video language models that reason instead of describing."""
    del debug
    if version:
        from importlib.metadata import version as version_of

        Console().say(f"vtk {version_of('videothinker-toolkit')}")
        raise typer.Exit


START, DATA, TRAIN, JUDGE, LOOK = "Start", "Data", "Train", "Judge", "Look"

_COMMANDS = [
    ("vtk.cli.demo", "demo", "demo", START),
    ("vtk.cli.setup", "setup", "setup", START),
    ("vtk.cli.data", "download", "download", DATA),
    ("vtk.cli.data", "split", "split", DATA),
    ("vtk.cli.train", "train_bias", "train-bias", TRAIN),
    ("vtk.cli.train", "train_cdpo", "train-cdpo", TRAIN),
    ("vtk.cli.train", "train_grpo", "train-grpo", TRAIN),
    ("vtk.cli.evaluate", "evaluate", "eval", JUDGE),
    ("vtk.cli.evaluate", "compare", "compare", JUDGE),
    ("vtk.cli.runs", "dashboard", "dashboard", LOOK),
    ("vtk.cli.runs", "runs_app", "runs", LOOK),
    ("vtk.cli.config", "config_app", "config", LOOK),
    ("vtk.cli.mini", "mini_app", "mini", DATA),
]


def _register() -> None:
    for module, attribute, name, panel in _COMMANDS:
        if importlib.util.find_spec(module) is None:
            continue
        command = getattr(importlib.import_module(module), attribute, None)
        if isinstance(command, typer.Typer):
            app.add_typer(command, name=name, rich_help_panel=panel, no_args_is_help=True)
        elif command is not None:
            app.command(name, rich_help_panel=panel)(command)


_register()
