"""What runs really took, beside what was estimated: printed at a run's end, and remembered.

A run's estimate lies in its run.json, written before any work; what it took is read off its event
log. Their ratio corrects the estimate of the next run of the same model on the same machine.
"""

import statistics
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Final

from vtk.config.schema import VtkConfig
from vtk.errors import DataError
from vtk.runs.events import GPU
from vtk.runs.files import read_json
from vtk.runs.reader import EventTail
from vtk.runs.store import RunPaths, list_runs
from vtk.train.estimate import Estimate, estimate
from vtk.train.inputs import TrainingInputs

ESTIMATE_KEY: Final = "estimate"
_MIN_STEPS: Final = 3
_MAX_RUNS: Final = 50
_SAME: Final = ("machine", "num_parameters", "num_trained_parameters")


@dataclass(frozen=True, slots=True)
class Measured:
    """What a run took.

    Attributes:
        step_s: Median seconds of a step.
        steps_s: Seconds of all steps together.
        num_steps: How many were made.
        memory_gib: The most that the main process held: of its GPU, or without one of memory.
    """

    step_s: float
    steps_s: float
    num_steps: int
    memory_gib: float | None

    def as_json(self) -> dict[str, Any]:
        """The measurement as plain data."""
        return asdict(self)


def measure(paths: RunPaths) -> Measured | None:
    """What a run has taken so far; None before its first step.

    Raises:
        DataError: The log cannot be read.
    """
    seconds: list[float] = []
    on_gpu: list[float] = []
    in_memory: list[float] = []
    for event in EventTail(paths.events).poll():
        metrics = event.get("metrics")
        if event["type"] == "step" and isinstance(metrics, Mapping):
            seconds += _numbers(metrics, "perf/step_s")
            on_gpu += _numbers(metrics, "gpu/peak_memory_gib")
        elif event["type"] == GPU:
            in_memory += _numbers(event, "process_memory_gib")
    if not seconds:
        return None
    peak_gib = max(on_gpu or in_memory, default=None)
    return Measured(statistics.median(seconds), sum(seconds), len(seconds), peak_gib)


def best_estimate(
    config: VtkConfig, inputs: TrainingInputs, runs_dir: Path, num_processes: int = 1
) -> Estimate | None:
    """The estimate of a run, with its times as the newest comparable run found them.

    Args:
        config: The run's settings.
        inputs: Its models, pinned.
        runs_dir: Where earlier runs are.
        num_processes: See `estimate`.

    Raises:
        DataError: A weights file is damaged.
    """
    needs = estimate(config, inputs, num_processes)
    if needs is None:
        return None
    for paths in list_runs(runs_dir)[:_MAX_RUNS]:
        counted_s = _comparable_step_s(paths, needs)
        found = _measured(paths) if counted_s is not None else None
        if counted_s is not None and found is not None and found.num_steps >= _MIN_STEPS:
            return needs.corrected(found.step_s / counted_s, f"as fast as {paths.run_id} was")
    return needs


def _measured(paths: RunPaths) -> Measured | None:
    try:
        return measure(paths)
    except DataError:
        return None  # `vtk runs list` tells of a damaged log; here it is only not comparable


def _comparable_step_s(paths: RunPaths, needs: Estimate) -> float | None:
    """The seconds a step that were counted for a run of the same model on the same machine."""
    try:
        stored = read_json(paths.run_json).get(ESTIMATE_KEY)
    except DataError:
        return None  # `vtk runs list` tells of a damaged run; here it is only not comparable
    if not isinstance(stored, Mapping):
        return None
    mine = needs.as_json()
    if any(stored.get(name) != mine[name] for name in _SAME):
        return None
    counted_s = stored.get("counted_step_s")
    return counted_s if isinstance(counted_s, float) and counted_s > 0 else None


def _numbers(found: Mapping[str, Any], name: str) -> list[float]:
    value = found.get(name)
    return [float(value)] if isinstance(value, int | float) else []
