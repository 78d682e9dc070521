"""`vtk runs list | show | stop`: looking at runs, and asking one to stop."""

import shlex
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from vtk.cli.console import Console
from vtk.cli.dashboard import OptionalRun, Run, print_view
from vtk.cli.help import Menu, examples_epilog
from vtk.cli.options import Json, RunsDir
from vtk.errors import ConfigError, DataError
from vtk.format import MISSING, format_age_s, format_bytes, format_count, format_number
from vtk.hints import DEFAULT_RUNS_DIR, folder_options
from vtk.runs.control import request
from vtk.runs.events import to_json_value
from vtk.runs.snapshot import RunState
from vtk.runs.state import read_state
from vtk.runs.store import RunPaths, list_runs, read_json, resolve_run

runs_app = Menu(
    help="List, show and stop runs.",
    epilog=examples_epilog(
        "vtk runs list", "vtk runs show cdpo-20260101-120000", "vtk runs stop cdpo-2026 --json"
    ),
)

_TAIL_BYTES: Final = 2**20
_COLUMNS: Final = ("run", "stage", "status", "step", "reward", "signed KL", "age")


@runs_app.command("list")
def list_command(runs_dir: RunsDir = DEFAULT_RUNS_DIR, as_json: Json = False) -> None:
    """List all runs, newest first, with how each stands."""
    console = Console(as_json)
    states, unreadable = _read_states(list_runs(runs_dir))
    console.document([_summary(state) for state in states] + unreadable)
    for run in unreadable:
        console.warn(f"run {run['run_id']} cannot be read: {run['status_reason']}")
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
    print_view(console, state)
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
            hint="See where it stands: "
            f"vtk runs show {state.run_id}{folder_options(runs_dir=runs_dir)}",
        )
    if state.stage == "eval":
        raise ConfigError(
            f"run {state.run_id} is an evaluation, which takes no requests",
            "Stop its command with Ctrl-C or SIGTERM; it goes on when it is repeated.",
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


def _read_states(runs: Sequence[RunPaths]) -> tuple[list[RunState], list[dict[str, Any]]]:
    """The runs that can be read, and what to say of the others."""
    states, unreadable = list[RunState](), list[dict[str, Any]]()
    for run in runs:
        try:
            states.append(read_state(run, tail_bytes=_TAIL_BYTES))
        except DataError as error:
            facts = {"status": "unreadable", "status_reason": error.message}
            unreadable.append({"run_id": run.run_id, "path": str(run.root), **facts})
    return states, unreadable


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
