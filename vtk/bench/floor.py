"""The physical limit of a training step: its operations and bytes, held against the machine.

`vtk.train.work` counts them. Divided by what the machine can do at most, they are the least time of
each part.
"""

from typing import Any

from vtk.bench.machine import Ceilings
from vtk.bench.workload import Workload
from vtk.train.model_sizes import ModelSizes
from vtk.train.work import StepShape, Tower, step_flop, weights_read


def sizes_of(model: Any) -> ModelSizes:
    """Read off a model."""
    return ModelSizes.from_config(
        model.config.to_dict(),
        num_parameters=sum(p.numel() for p in model.parameters()),
        num_vision_parameters=sum(p.numel() for p in model.model.visual.parameters()),
    )


def shape_of(workload: Workload, sizes: ModelSizes) -> StepShape:
    """Read off a workload."""
    num_patches = sizes.num_patches(workload.num_frames, workload.height_px * workload.width_px)
    return StepShape(
        workload.num_prompts,
        workload.num_generations,
        num_patches,
        workload.num_text_tokens + num_patches // sizes.merge**2,
        workload.completion_length,
    )


def step_floor_s(
    sizes: ModelSizes,
    shape: StepShape,
    ceilings: Ceilings,
    bytes_per_weight: int,
    is_tower_trained: bool,
) -> dict[str, float]:
    """Least seconds of each part of a step, and of all of it.

    Args:
        sizes: The model's.
        shape: The step's.
        ceilings: What the machine can do.
        bytes_per_weight: Of the number format.
        is_tower_trained: Else the clip's features are there already.
    """
    tower: Tower = "trained" if is_tower_trained else "known"
    flop, weights = step_flop(sizes, shape, tower), weights_read(sizes, shape)
    parts = {
        name: ceilings.floor_s(flop[name], float(bytes_per_weight * weights[name])) for name in flop
    }
    return parts | {"step": sum(parts.values())}
