"""What the training commands say: progress while a run goes on, and what came of it."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.cli.console import Console
from vtk.cli.progress import Progress
from vtk.errors import ConfigError, DataError
from vtk.format import format_count

if TYPE_CHECKING:
    from vtk.runs.state import RunState
    from vtk.runs.store import RunPaths

_NOTED_METRICS = (
    ("reward/mean", "reward"),
    ("kl/signed", "KL"),
    ("acc/observational", "obs"),
    ("acc/inferential", "inf"),
)
_UNNAMED_PHASES = ("decode", "generate", "score", "update")


class Narrator:
    """Turns a run's events into progress and remarks.

    Args:
        console: The command's console.
        progress: Where steps are counted.
    """

    def __init__(self, console: Console, progress: Progress) -> None:
        self._console, self._progress = console, progress

    def __call__(self, events: Sequence[Mapping[str, Any]], state: "RunState") -> None:
        """Take in what is new.

        Args:
            events: New events, in order.
            state: The run after them.
        """
        for event in events:
            remark = _remark(event)
            if remark:
                self._console.note(remark, style="yellow" if event["type"] == "alert" else "dim")
        self._progress.update(done=state.step, total=state.num_steps, note=_note(state))


def summary(paths: "RunPaths", state: "RunState", objective: str) -> dict[str, Any]:
    """The document that a training command ends with.

    Args:
        paths: The run.
        state: Its last state.
        objective: What its KL term did, in one sentence.
    """
    checkpoint = paths.root / state.checkpoints[-1].path if state.checkpoints else None
    facts = state.to_dict(max_history=0)
    return {
        "run_id": paths.run_id,
        "run_dir": str(paths.root),
        "stage": state.stage,
        "status": state.status,
        "step": state.step,
        "objective": objective,
        "checkpoint": None if checkpoint is None else str(checkpoint),
        "metrics": {name: found["value"] for name, found in facts["metrics"].items()},
        "per_type": facts["per_type"],
        "num_alerts": len(state.alerts),
        "num_samples_skipped": state.num_samples_skipped,
        "elapsed_s": state.elapsed_s,
    }


def find_resumable(
    runs_dir: Path, stage: str, ref: str | None, must_be_free: bool = True
) -> "RunPaths":
    """The run to go on with.

    Args:
        runs_dir: The folder of all runs.
        stage: The command's stage.
        ref: A run; None for the newest one of this stage.
        must_be_free: Refuse a run that a process trains now. The machines that join the first one
            find it at work.

    Raises:
        ConfigError: It is of another stage, finished, or being trained now.
        DataError: There is none.
    """
    from vtk.runs.state import read_state
    from vtk.runs.store import list_runs, read_json, resolve_run
    from vtk.runs.writer import refuse_living_owner

    if ref is None:
        runs = (run for run in list_runs(runs_dir) if stage_of(run) == stage)
        paths = next(runs, None)
        if paths is None:
            raise DataError(f"there is no run of stage {stage} in {runs_dir}")
    else:
        paths = resolve_run(runs_dir, ref)
    found = read_json(paths.run_json).get("stage")
    if found != stage:
        raise ConfigError(f"{paths.run_id} is a run of stage {found}, not {stage}")
    if read_state(paths).status == "finished":
        raise ConfigError(f"{paths.run_id} is finished; there is nothing to go on with")
    if must_be_free:
        refuse_living_owner(paths)
    return paths


def stage_of(run: "RunPaths") -> str | None:
    """The stage of a run; None for a damaged one, which is listed and never chosen."""
    from vtk.runs.store import read_json

    try:
        stage = read_json(run.run_json).get("stage")
    except DataError:
        return None
    return stage if isinstance(stage, str) else None


def _remark(event: Mapping[str, Any]) -> str:
    """What a user should read of an event; empty for most."""
    match event["type"]:
        case "attempt_started" if event.get("resumed_from_step") is not None:
            return f"Going on from step {event['resumed_from_step']}."
        case "phase" if "policy" in event:
            return _models(event)
        case "alert":
            return f"Alert at step {event.get('step')}: {event.get('message')}"
        case "sample_skipped":
            return f"Skipped {event.get('path')}: {event.get('reason')}"
        case "eval_result":
            return _accuracies(event)
        case "control":
            return f"{event.get('who')} asked to {event.get('action')}: {event.get('result')}"
    return ""


def _models(event: Mapping[str, Any]) -> str:
    policy, reference = event["policy"], event.get("reference")
    trained, total = policy["num_trained_parameters"], policy["num_parameters"]
    lines = [
        f"Policy {policy['path']} ({policy['sha256'][:12]}): {format_count(trained)} of "
        f"{format_count(total)} parameters trained, {policy['dtype']}, attention kernel "
        f"{policy['attention']}."
    ]
    if reference is not None:
        lines.append(f"Reference {reference['path']} ({reference['sha256'][:12]}).")
    return "\n".join(lines)


def _accuracies(event: Mapping[str, Any]) -> str:
    shares = [
        f"{name} {found['accuracy']:.1%} of {found['n']}"
        for name, found in event.get("per_type", {}).items()
    ]
    return f"Held-out at step {event.get('step')}: {', '.join(shares)}"


def _note(state: "RunState") -> str:
    """The newest numbers beside the bar."""
    parts = [
        f"{label} {state.metrics[name]:+.3f}"
        if label == "KL"
        else f"{label} {state.metrics[name]:.2f}"
        for name, label in _NOTED_METRICS
        if name in state.metrics
    ]
    if state.phase is not None and state.phase not in _UNNAMED_PHASES:
        parts.append(state.phase)
    return "  ".join(parts)
