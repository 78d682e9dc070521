"""What a run will need, and what it took: `--dry-run`, and the end of a training command."""

from pathlib import Path
from typing import TYPE_CHECKING, Any

from vtk.cli.config import setting_text
from vtk.cli.console import Console
from vtk.format import format_bytes, format_count, format_duration_s

if TYPE_CHECKING:
    from vtk.config.loading import Resolved
    from vtk.runs.store import RunPaths
    from vtk.system.launchers import Processes
    from vtk.train.estimate import Estimate

GIB = 2**30
_LONGEST_PLAN_S = 14 * 24 * 3600


def show_plan(
    resolved: "Resolved",
    data_dir: Path,
    runs_dir: Path,
    processes: "Processes",
    console: Console,
) -> None:
    """Every setting with its source, and what one process will need."""
    from vtk.config.schema import describe_attention, describe_objective
    from vtk.train.inputs import pin_inputs
    from vtk.train.measured import best_estimate

    inputs = pin_inputs(resolved.config, data_dir, runs_dir)
    needs = best_estimate(resolved.config, inputs, runs_dir, processes.count)
    sentence = describe_objective(resolved.config)
    console.say(f"vtk would train stage {resolved.config.stage}: {sentence}.", style="bold")
    rows = [
        (key, setting_text(value), resolved.provenance[key])
        for key, value in resolved.flat().items()
    ]
    console.table(["setting", "value", "from"], rows)
    console.table(["input", "found"], list(inputs.as_json().items()))
    _show_estimate(needs, console)
    config = resolved.config
    kernels = describe_attention(config.model.attention, config.rollout.engine)
    console.say(f"Attention kernel: {kernels}.")
    console.document(
        {
            "stage": resolved.config.stage,
            "objective": sentence,
            "config": resolved.config.model_dump(mode="json"),
            "provenance": resolved.provenance,
            "inputs": inputs.as_json(),
            "estimate": None if needs is None else needs.as_json(),
        }
    )


def show_took(paths: "RunPaths", console: Console) -> dict[str, Any]:
    """Print what was estimated before a run beside what it took; both as plain data."""
    from vtk.runs.files import read_json
    from vtk.train.measured import ESTIMATE_KEY, measure

    predicted, took = read_json(paths.run_json).get(ESTIMATE_KEY), measure(paths)
    if took is None:
        return {"predicted": predicted, "measured": None}
    if predicted is not None:
        expected_gib = predicted["memory_gib"]["total"]
        rows = [
            ("a step", format_duration_s(predicted["step_s"]), format_duration_s(took.step_s)),
            ("all steps", format_duration_s(predicted["run_s"]), format_duration_s(took.steps_s)),
            ("memory", format_bytes(round(expected_gib * GIB)), _size(took.memory_gib)),
        ]
        console.table(["", "estimated", "took"], rows)
    return {"predicted": predicted, "measured": took.as_json()}


def _size(gib: float | None) -> str:
    return "not known" if gib is None else format_bytes(round(gib * GIB))


def _show_estimate(needs: "Estimate | None", console: Console) -> None:
    """Print what one process of a run needs."""
    if needs is None:
        console.say("Memory and time are not known until the model is on this machine.")
        return
    trained = format_count(needs.num_trained_parameters)
    console.say(f"{format_count(needs.num_parameters)} parameters, {trained} of them trained.")
    rows = [(kind, format_bytes(round(size * GIB))) for kind, size in needs.memory_gib.items()]
    console.table(["memory at most", "per process"], rows)
    console.say(
        f"About {format_duration_s(needs.step_s)} a step and {format_duration_s(needs.run_s)} "
        f"in all, at full length; assumed: {needs.assumed}."
    )
    if needs.run_s > _LONGEST_PLAN_S:
        console.warn("This machine is too slow for these settings; --preset tiny fits a CPU.")
