"""The memory of one training process at its largest, by kind."""

from pathlib import Path
from typing import Final

from vtk.config.schema import VtkConfig
from vtk.config.sections import SAME_DEVICE
from vtk.train.activations import activation_bytes, logits_bytes
from vtk.train.inputs import SELF_REFERENCE, TrainingInputs
from vtk.train.model_sizes import ModelSizes
from vtk.train.work import StepShape

GIB: Final = 2**30
TEXT_TOKENS: Final = 160
_LIBRARIES_GIB: Final = 0.8
"""Main memory of a process that has loaded torch, transformers and trl and does nothing."""


def num_trained(config: VtkConfig, sizes: ModelSizes) -> int:
    """Parameters that get an update."""
    if config.lora.enabled:
        shapes = sizes.adapted_shapes(config.lora.target_modules)
        return sum(config.lora.rank * (rows + columns) for rows, columns in shapes)
    frozen = sizes.num_vision_parameters if config.model.freeze_vision else 0
    return sizes.num_parameters - frozen


def memory_gib(
    config: VtkConfig,
    inputs: TrainingInputs,
    sizes: ModelSizes,
    has_gpu: bool,
    num_processes: int = 1,
) -> dict[str, float]:
    """Memory of one process at its largest, the backward pass, by kind.

    Args:
        config: The run's settings.
        inputs: Its models.
        sizes: The policy's.
        has_gpu: Else the process's own memory counts, with the libraries in it.
        num_processes: See `estimate`.
    """
    is_bfloat16 = config.model.dtype == "bfloat16" or (config.model.dtype == "auto" and has_gpu)
    weight_bytes = 2 if is_bfloat16 else 4
    trained, trained_bytes = num_trained(config, sizes), 4 if config.lora.enabled else weight_bytes
    sharding = config.model.sharding
    share = num_processes if sharding != "none" else 1
    micro_batch = step_shape(config, sizes, config.optim.prompts_per_device)
    kept = activation_bytes(
        sizes,
        micro_batch,
        weight_bytes,
        is_tower_trained=has_trained_tower(config),
        is_checkpointed=config.model.gradient_checkpointing,
    )
    needs = {
        "weights": sizes.num_parameters * weight_bytes / (share if sharding == "fsdp2" else 1),
        "gradients": trained * trained_bytes / share,
        "optimizer": trained * (8 + (2 if trained_bytes == 2 else 0)) / share,
        "reference": _reference_bytes(config, inputs, sizes, trained, weight_bytes) / share,
        "activations": kept + logits_bytes(sizes, micro_batch),
        "libraries": 0.0 if has_gpu else _LIBRARIES_GIB * GIB,
    }
    found = {name: size / GIB for name, size in needs.items()}
    return found | {"total": sum(found.values())}


def has_trained_tower(config: VtkConfig) -> bool:
    """Whether the vision tower gets updates; an adapter lies on the language model alone."""
    return not (config.model.freeze_vision or config.lora.enabled)


def step_shape(config: VtkConfig, sizes: ModelSizes, num_prompts: int) -> StepShape:
    """So many prompts at full length; the reference engine has a copy for each completion."""
    video, rollout = config.video, config.rollout
    is_repeated = rollout.engine == "reference"
    num_patches = sizes.num_patches(video.num_frames, video.max_pixels_px)
    prompt_tokens = num_patches // sizes.merge**2 + TEXT_TOKENS
    return StepShape(
        num_prompts * (rollout.num_generations if is_repeated else 1),
        1 if is_repeated else rollout.num_generations,
        num_patches,
        prompt_tokens,
        rollout.max_completion_tokens,
    )


def _reference_bytes(
    config: VtkConfig,
    inputs: TrainingInputs,
    sizes: ModelSizes,
    num_trained_parameters: int,
    weight_bytes: int,
) -> int:
    """With LoRA an adapter (or the bare base); else a second model, which may be elsewhere."""
    if inputs.reference is None or config.reference.device != SAME_DEVICE:
        return 0
    if not config.lora.enabled:
        return sizes.num_parameters * weight_bytes
    is_adapter = (Path(inputs.reference) / "adapter_config.json").is_file()
    if inputs.reference == SELF_REFERENCE:
        return 0
    return num_trained_parameters * 4 if is_adapter else sizes.num_parameters * weight_bytes
