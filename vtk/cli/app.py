"""The command `vtk`: what it offers, and the one place where errors end.

Every command module is light (typer and the standard library); the engine is imported inside the
command that needs it. `main` turns each failure into what happened, what mends it and an exit code.
"""

import errno
import os
import re
import signal
import sys
from collections.abc import Callable, Sequence
from pathlib import Path
from types import FrameType
from typing import Annotated, Any

import typer
from typer.exceptions import TyperException

from vtk.cli.bench import bench_app
from vtk.cli.cache import data_app
from vtk.cli.check import check
from vtk.cli.compare import compare
from vtk.cli.config import config_app
from vtk.cli.console import Console
from vtk.cli.dashboard import dashboard
from vtk.cli.data import split
from vtk.cli.demo import demo
from vtk.cli.download import download
from vtk.cli.evaluate import evaluate
from vtk.cli.help import Menu, examples_epilog
from vtk.cli.mini import mini_app
from vtk.cli.runs import runs_app
from vtk.cli.setup import setup
from vtk.cli.train import train_bias, train_cdpo, train_grpo
from vtk.errors import ConfigError, Interrupted, MemoryExhausted, UserInterrupt, VtkError
from vtk.system.signals import handle_signals

DEBUG_FLAG = "--debug"
_ANEW = ("--restart", "--force")  # given twice, they would throw away what was kept
_UNFIT_FOLDER = (errno.EROFS, errno.ENOTDIR, errno.EEXIST, errno.EISDIR)

app = Menu(
    name="vtk",
    help="Train and judge small video language models that reason instead of describing.",
    pretty_exceptions_enable=False,
    epilog="Start with vtk demo: the whole method on a laptop CPU.",
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
        with handle_signals((signal.SIGTERM, signal.SIGHUP), _leave):
            code = _run(arguments, console)
    except Exception as fault:  # the one catcher: everything below lets faults rise
        if is_debug:
            raise
        code = _tell(console, fault)
    return _flushed(console, code)


def _leave(number: int, frame: FrameType | None) -> None:
    """What a signal does to a command that has no better way to stop."""
    del frame
    raise Interrupted(
        f"stopped by {signal.Signals(number).name}",
        hint="What was complete is kept; the same command goes on.",
    )


def explain(fault: Exception) -> VtkError:
    """The user's view of a fault: itself if it is one of ours, else the nearest kind.

    Args:
        fault: What rose out of a command.
    """
    if isinstance(fault, VtkError):
        return fault
    if _is_out_of_memory(fault):
        return MemoryExhausted(
            f"out of memory: {_first_line(fault)}",
            hint="Lower optim.prompts_per_device and raise optim.accumulation_steps by the same "
            "factor, or lower rollout.max_completion_tokens or video.max_pixels_px, or use LoRA.",
        )
    if isinstance(fault, OSError) and fault.errno in (errno.ENOSPC, errno.EDQUOT):
        return VtkError(
            f"the disk is full: {_first_line(fault)}",
            hint="Free some space or choose another folder, then repeat the command: "
            "what was complete is kept.",
        )
    if isinstance(fault, PermissionError):
        return VtkError(
            f"no permission to use {fault.filename}"
            if fault.filename
            else f"no permission: {_first_line(fault)}",
            hint="Choose a folder that you may write to "
            "(--data-dir, --runs-dir, --out, VTK_CACHE_DIR).",
        )
    if isinstance(fault, OSError) and fault.errno in _UNFIT_FOLDER:
        return VtkError(
            f"cannot use {fault.filename}: {fault.strerror}",
            hint="Choose another folder (--data-dir, --runs-dir, --out, VTK_CACHE_DIR).",
        )
    if isinstance(fault, OSError):
        return VtkError(f"{type(fault).__name__}: {_first_line(fault)}")
    return VtkError(
        f"unexpected {type(fault).__name__}: {_first_line(fault)}",
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
        returned = app(arguments, prog_name="vtk", standalone_mode=False)
    except KeyboardInterrupt:
        returned = UserInterrupt.exit_code
    except SystemExit as leaving:
        if not isinstance(leaving.__context__, BrokenPipeError):
            raise
        return 0  # a reader that left early (`vtk dashboard --once | head`) is no fault
    except TyperException as error:
        raise _wrong_usage(error) from error
    code = returned if isinstance(returned, int) else 0
    if code == UserInterrupt.exit_code:
        anew = [word for word in arguments if word in _ANEW]
        rest = f", without {anew[0]}," if anew else ""
        console.note(f"Interrupted. What was complete is kept; the same command{rest} goes on.")
    return code


def _wrong_usage(error: TyperException) -> ConfigError:
    """Typer's complaint as one of ours: what was meant and the command's help in the hint."""
    context = getattr(error, "ctx", None)
    path = "vtk" if context is None else context.command_path
    near = getattr(error, "possibilities", None) or []
    said = str(getattr(error, "message", "")) if near else error.format_message()
    said, _, commands = said.partition(" Did you mean ")  # Typer puts commands into the message
    near = [*near, *re.findall(r"'([^']+)'", commands)]
    said = said.replace(": Input should be", ": it must be").replace(": Value error,", ":")
    said = said.partition(", unable to parse")[0]
    meant = f"Did you mean {' or '.join(near)}? " if near else ""
    return ConfigError(
        f"{said[:1].lower()}{said[1:].strip().rstrip('.')}", f"{meant}See: {path} --help"
    )


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


def _add(command: Callable[..., None], name: str, panel: str, *examples: str) -> None:
    """Offer a command in a panel of the help, with examples where its own text has none."""
    epilog = examples_epilog(*examples) if examples else None
    app.command(name, rich_help_panel=panel, epilog=epilog)(command)


START, DATA, TRAIN, JUDGE, LOOK = "Start", "Data", "Train", "Judge", "Look"

_add(demo, "demo", START, "vtk demo --quick", "vtk demo --seeds 0,1,2 --out demo-seeds")
_add(setup, "setup", START, "vtk setup", "vtk setup --install", "vtk setup --model qwen2.5-vl-3b")
_add(
    download,
    "download",
    DATA,
    "vtk download --list",
    "vtk download clevrer-mini --scenes 500 --seed 0",
    "vtk download clevrer",
    "vtk download mmvu video-holmes --accept-licence",
    "vtk download clevrer --verify",
)
_add(split, "split", DATA, "vtk split clevrer-mini")
_add(
    train_bias,
    "train-bias",
    TRAIN,
    "vtk train-bias --preset tiny --data clevrer-mini",
    "vtk train-bias --resume",
)
_add(
    train_cdpo,
    "train-cdpo",
    TRAIN,
    "vtk train-cdpo --preset tiny --data clevrer-mini --bias-model RUN --beta -0.05",
)
_add(train_grpo, "train-grpo", TRAIN, "vtk train-grpo --preset tiny --data clevrer-mini")
_add(
    evaluate,
    "eval",
    JUDGE,
    "vtk eval clevrer-mini --model tiny --preset tiny",
    "vtk eval all --model RUN --num-processes 8",
)
_add(
    compare,
    "compare",
    JUDGE,
    "vtk compare BASELINE_RUN OTHER_RUN",
    "vtk compare BASELINE_RUN OTHER_RUN --html compare.html",
)
_add(dashboard, "dashboard", LOOK, "vtk dashboard", "vtk dashboard RUN --once --json")
app.add_typer(bench_app, name="bench", rich_help_panel=LOOK)
app.add_typer(runs_app, name="runs", rich_help_panel=LOOK)
app.add_typer(config_app, name="config", rich_help_panel=LOOK)
data_app.command("check", epilog=examples_epilog("vtk data check mvbench --workers 4"))(check)
app.add_typer(data_app, name="data", rich_help_panel=DATA)
app.add_typer(mini_app, name="mini", rich_help_panel=DATA)
