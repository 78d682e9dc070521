"""`vtk runs list | show | stop` and `vtk dashboard`: looking at runs, and asking one to stop."""

import io
import shlex
import time
from collections.abc import Mapping
from pathlib import Path
from shutil import get_terminal_size
from typing import TYPE_CHECKING, Annotated, Any, Final, TextIO

import typer

from vtk.cli.console import Console, encodable, has_colour, is_terminal
from vtk.cli.options import DEFAULT_RUNS_DIR, Json, RunsDir, folder_options
from vtk.errors import ConfigError, DataError
from vtk.format import MISSING, format_age_s, format_bytes, format_count, format_number
from vtk.runs.control import request
from vtk.runs.events import to_json_value
from vtk.runs.snapshot import RunState
from vtk.runs.state import RunFollower, read_state
from vtk.runs.store import RunPaths, list_runs, read_json, resolve_run

if TYPE_CHECKING:
    from rich.console import Console as RichConsole
    from rich.console import RenderableType

runs_app = typer.Typer(
    help="List, show and stop runs.",
    epilog="Examples:\n\nvtk runs list\n\nvtk runs show cdpo-20260101-120000\n\n"
    "vtk runs stop cdpo-2026 --json",
)

Run = Annotated[str, typer.Argument(metavar="RUN", help="A run's id, its beginning, or a path.")]
OptionalRun = Annotated[
    str | None,
    typer.Argument(metavar="RUN", help="A run's id, its beginning, or a path; default newest."),
]
_PLAIN_CHARS: Final = 100
_DRAWING: Final = "▁█×–"
_TAIL_BYTES: Final = 2**20
_COLUMNS: Final = ("run", "stage", "status", "step", "reward", "signed KL", "age")


@runs_app.command("list")
def list_command(runs_dir: RunsDir = DEFAULT_RUNS_DIR, as_json: Json = False) -> None:
    """List all runs, newest first, with how each stands."""
    console = Console(as_json)
    states = [read_state(run, tail_bytes=_TAIL_BYTES) for run in list_runs(runs_dir)]
    console.document([_summary(state) for state in states])
    if not states:
        console.say(f"There are no runs in {runs_dir}.")
        console.next_command("vtk demo", "the whole method on this machine")
        return
    console.table(_COLUMNS, [_row(state) for state in states])
    console.next_command(f"vtk dashboard {states[0].run_id}{folder_options(runs_dir=runs_dir)}")


@runs_app.command("show")
def show_command(
    run: OptionalRun = None, runs_dir: RunsDir = DEFAULT_RUNS_DIR, as_json: Json = False
) -> None:
    """Show a run: settings that differ from the defaults, metrics, evaluations, checkpoints."""
    console = Console(as_json)
    paths = resolve_run(runs_dir, run)
    state = read_state(paths)
    origin, config = _read_or_empty(paths.run_json), _read_or_empty(paths.config_json)
    changes, checkpoints = _changes(config), _checkpoints(paths, state, config)
    extra = {"run": origin, "changes": changes, "checkpoints": checkpoints}
    console.document(state.to_dict() | to_json_value(extra))
    _say_origin(console, origin)
    _print_view(console, state)
    if changes:
        rows = [(name, str(change["value"]), change["from"]) for name, change in changes.items()]
        console.table(("setting", "value", "from"), rows, title="Not the default:")
    if checkpoints:
        sizes = [(c["step"], c["path"], c["state"], format_bytes(c["bytes"])) for c in checkpoints]
        console.table(("step", "checkpoint", "state", "size"), sizes, title="Checkpoints:")


@runs_app.command("stop")
def stop_command(run: Run, runs_dir: RunsDir = DEFAULT_RUNS_DIR, as_json: Json = False) -> None:
    """Ask a run to stop after its current step; it saves a checkpoint first and can be resumed."""
    console = Console(as_json)
    paths = resolve_run(runs_dir, run)
    state = read_state(paths)
    if not state.is_live:
        raise ConfigError(
            f"run {state.run_id} is not running, it is {state.status}: {state.status_reason}",
            hint="see where it stands: "
            f"vtk runs show {state.run_id}{folder_options(runs_dir=runs_dir)}",
        )
    waiting = [asked for asked in state.pending_requests if asked.action == "stop"]
    asked = waiting[0] if waiting else request(paths, "stop")
    facts = {"run_id": state.run_id, "status": state.status, "was_asked_before": bool(waiting)}
    console.document(facts | {"request": to_json_value(asked.to_dict())})
    if waiting:
        ago = format_age_s(time.time() - asked.time)
        console.say(f"Run {state.run_id} was already asked to stop, {ago} ago by {asked.who}.")
    else:
        console.say(f"Asked run {state.run_id} to stop.")
    when = "after its current step" if state.status == "running" else "as soon as it has started"
    console.note(f"It stops {when}, saves a checkpoint first, and can be resumed.")
    console.next_command(f"vtk dashboard {state.run_id}{folder_options(runs_dir=runs_dir)}")


def dashboard(
    run: OptionalRun = None,
    once: Annotated[bool, typer.Option("--once", help="Print the facts once and leave.")] = False,
    every_s: Annotated[
        float, typer.Option("--every", min=0.2, help="Seconds between looks.")
    ] = 1.0,
    runs_dir: RunsDir = DEFAULT_RUNS_DIR,
    as_json: Json = False,
) -> None:
    """Watch a run: status, step, metrics, accuracy by question type, GPU and alerts.

    On a terminal the picture is renewed until Ctrl-C; elsewhere it is printed once.
    """
    console = Console(as_json)
    paths = resolve_run(runs_dir, run)
    if as_json:
        console.document(read_state(paths).to_dict())
    elif once or not is_terminal(console.stdout):
        _print_view(console, read_state(paths))
    else:
        _watch(console, paths, every_s)


def _watch(console: Console, paths: RunPaths, every_s: float) -> None:
    """Renew the picture in place until Ctrl-C, then leave the last one on the screen."""
    from rich.live import Live

    follower = RunFollower(paths)
    screen = _rich_console(console.stdout)
    try:
        with Live(console=screen, screen=True, auto_refresh=False) as live:
            while True:
                view = _view(follower.poll(), console.stdout, screen.width)
                live.update(_fitted(view, screen), refresh=True)
                time.sleep(every_s)
    except KeyboardInterrupt:
        _print_view(console, follower.poll())


def _fitted(view: "RenderableType", screen: "RichConsole") -> "RenderableType":
    """The picture, and in its last line how much of it the screen is too small for."""
    from rich.console import Group
    from rich.segment import Segments
    from rich.text import Text

    lines = screen.render_lines(view, pad=False, new_lines=True)
    num_hidden = len(lines) - screen.height + 1
    if num_hidden <= 1:
        return view
    shown = [segment for line in lines[:-num_hidden] for segment in line]
    note = f"{num_hidden} more lines: enlarge the terminal, or leave with Ctrl-C to see all"
    return Group(Segments(shown), Text(note, style="dim"))


def _print_view(console: Console, state: RunState) -> None:
    """Print the picture of one run: in colour on a terminal, else as plain lines."""
    if has_colour(console.prose):
        screen = _rich_console(console.prose)
        screen.print(_view(state, console.prose, screen.width))
        return
    memory = io.StringIO()
    width = get_terminal_size((_PLAIN_CHARS, 0)).columns
    lines = _rich_console(memory, width)
    lines.print(_view(state, console.prose, width), soft_wrap=True)
    console.say("\n".join(line.rstrip() for line in memory.getvalue().rstrip().split("\n")))


def _view(state: RunState, stream: TextIO, width: int) -> "RenderableType":
    from tui.once import run_view  # the one place where the engine knows the dashboard

    ascii_only = encodable(_DRAWING, stream) != _DRAWING
    return run_view(state, now=time.time(), width=width, ascii_only=ascii_only)


def _rich_console(stream: TextIO, width: int | None = None) -> "RichConsole":
    from rich.console import Console as RichConsole

    return RichConsole(
        file=stream, width=width, highlight=False, markup=False, emoji=False,
        no_color=not has_colour(stream),
    )  # fmt: skip


def _summary(state: RunState) -> dict[str, Any]:
    """Return one run as an item of `vtk runs list --json`."""
    since = state.created if state.created is not None else state.last_event_time
    facts = {
        "run_id": state.run_id,
        "path": state.root,
        "stage": state.stage,
        "status": state.status,
        "status_reason": state.status_reason,
        "step": state.step,
        "num_steps": state.num_steps,
        "reward": state.metrics.get("reward/mean"),
        "signed_kl": state.metrics.get("kl/signed"),
        "created": state.created,
        "age_s": None if since is None else max(0.0, time.time() - since),
        "problems": state.problems,
    }
    plain: dict[str, Any] = to_json_value(facts)
    return plain


def _row(state: RunState) -> tuple[str, ...]:
    since = state.created if state.created is not None else state.last_event_time
    steps = "" if state.num_steps is None else f"/{format_count(state.num_steps)}"
    return (
        state.run_id,
        state.stage or MISSING,
        state.status,
        MISSING if state.stage == "eval" else format_count(state.step) + steps,
        format_number(state.metrics.get("reward/mean"), 3),
        format_number(state.metrics.get("kl/signed"), 3),
        MISSING if since is None else format_age_s(time.time() - since),
    )


def _say_origin(console: Console, origin: Mapping[str, Any]) -> None:
    argv, git = origin.get("argv"), origin.get("git")
    if isinstance(argv, list) and argv:
        console.say("$ " + shlex.join(map(str, argv)))
    if isinstance(git, dict) and isinstance(git.get("commit"), str):
        console.say(f"code {git['commit'][:12]}{' with changes' if git.get('dirty') else ''}")


def _read_or_empty(path: Path) -> dict[str, Any]:
    """Return a JSON file, or nothing if it is damaged: the run's state names the damage."""
    try:
        return read_json(path)
    except DataError:
        return {}


def _changes(config_json: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Return the settings that did not come from the defaults: dotted name to value and source."""
    provenance = config_json.get("provenance")
    if not isinstance(provenance, dict):
        return {}
    return {
        name: {"value": _setting(config_json.get("config"), name), "from": source}
        for name, source in provenance.items()
        if source != "default"
    }


def _setting(config: Any, dotted: str) -> Any:
    for part in dotted.split("."):
        config = config.get(part) if isinstance(config, dict) else None
    return config


def _checkpoints(
    paths: RunPaths, state: RunState, config_json: Mapping[str, Any]
) -> list[dict[str, Any]]:
    """Return the checkpoints on disk, and those the log names that are no longer there."""
    found = {
        int(f.name[5:]) for f in paths.checkpoints_dir.glob("step_*") if f.name[5:].isdecimal()
    }
    steps = found | {checkpoint.step for checkpoint in state.checkpoints}
    listed = [_checkpoint(step, paths.checkpoint_dir(step)) for step in sorted(steps)]
    keep = _setting(config_json.get("config"), "checkpoint.keep")
    if isinstance(keep, int):
        for checkpoint in listed[:-keep]:
            if checkpoint["state"] == "missing":
                checkpoint["state"] = "not kept"
    return listed


def _checkpoint(step: int, folder: Path) -> dict[str, Any]:
    sizes = [file.stat().st_size for file in folder.rglob("*") if file.is_file()]
    is_complete = (folder / "manifest.json").is_file()
    state = "complete" if is_complete else "incomplete" if folder.is_dir() else "missing"
    return {"step": step, "path": folder, "state": state, "bytes": sum(sizes)}
