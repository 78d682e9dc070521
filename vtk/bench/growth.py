"""How the cost of a step grows with the clip, the number of completions and their length.

One size is changed at a time; the others stay those of the workload.
"""

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import torch

from vtk.bench.engines import Engine
from vtk.bench.floor import shape_of, sizes_of
from vtk.bench.machine import this_machine
from vtk.bench.step import StepSettings, build_engines, where
from vtk.bench.timing import time_rounds
from vtk.bench.workload import WORKLOADS, Workload

OnProgress = Callable[[str], None]


@dataclass(frozen=True, slots=True)
class Axis:
    """One size that is changed.

    Attributes:
        name: In words, with its unit.
        field: Of `Workload`.
        values: What it is set to.
    """

    name: str
    field: str
    values: tuple[int, ...]


AXES: Final = (
    Axis("frames of a clip", "num_frames", (2, 4, 8, 16)),
    Axis("completions of a prompt", "num_generations", (2, 4, 8, 16)),
    Axis("tokens of a completion", "completion_length", (32, 64, 128, 256)),
)


def bench_growth(
    settings: StepSettings, on_progress: OnProgress = lambda _: None
) -> dict[str, Any]:
    """Time whole steps along each axis.

    Args:
        settings: Workload, engines, rounds; "shared" is compared with each of the others.
        on_progress: Told what is done now.

    Returns:
        A JSON document: machine, workload, and for each axis the points with seconds by engine,
        ratios to the shared engine, and the tokens of a prompt.

    Raises:
        ConfigError: No such workload or engine.
        MissingEnvironmentError: The workload needs a GPU.
    """
    device, dtype = where(settings)
    base = WORKLOADS[settings.workload]
    axes = []
    for axis in AXES:
        points = []
        for value in axis.values:
            on_progress(f"{axis.name}: {value}")
            changed: dict[str, Any] = {axis.field: value}
            workload = replace(base, **changed)
            engines = build_engines(settings, device, dtype, workload)
            points.append({"value": value} | _point(engines, workload, settings, device))
        axes.append({"name": axis.name, "field": axis.field, "points": points})
    return {
        "machine": this_machine(device).as_json(),
        "workload": {"name": base.name, "what": base.what},
        "is_tower_trained": settings.is_tower_trained,
        "num_rounds": settings.num_rounds,
        "axes": axes,
    }


def _point(
    engines: dict[str, Engine], workload: Workload, settings: StepSettings, device: torch.device
) -> dict[str, Any]:
    steps = {name: engine.step for name, engine in engines.items()}
    rounds = time_rounds(steps, settings.num_rounds, device)
    return {
        "prompt_tokens": shape_of(workload, sizes_of(engines["shared"].model)).prompt_tokens,
        "seconds": {name: rounds.median_s(name) for name in steps},
        "ratio": {name: rounds.ratio(name, "shared") for name in steps if name != "shared"},
    }
