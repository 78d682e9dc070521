"""The physical limit of a training step: operations and bytes that no engine can do without.

Two operations per weight and token forward, four more backward, and attention's products; per
decoded token all weights are read once for all rows. Divided by what the machine can do at most,
that is the least time of each part. Nothing is counted twice, nothing recomputed.

Letters: B prompts, G completions per prompt, P prompt tokens, L completion tokens.
"""

from dataclasses import dataclass
from typing import Any

from vtk.bench.machine import Ceilings
from vtk.bench.workload import Workload

_FORWARD, _WITH_BACKWARD = 1, 3


@dataclass(frozen=True, slots=True)
class Sizes:
    """What the counts are made of.

    Attributes:
        language: Weights of the language model's layers.
        head: Weights of the output embedding.
        tower: Weights of the vision tower.
        num_patches: Of one clip.
        prompt_tokens: P.
        attention_width: Operations per pair of query and key token, all layers together.
        bytes_per_weight: Of the number format.
    """

    language: int
    head: int
    tower: int
    num_patches: int
    prompt_tokens: int
    attention_width: int
    bytes_per_weight: int

    @classmethod
    def of(cls, model: Any, workload: Workload) -> "Sizes":
        """Read off a model and a workload."""
        text, vision = model.config.text_config, model.config.vision_config
        area = (workload.height_px // vision.patch_size) * (workload.width_px // vision.patch_size)
        num_patches = workload.num_frames // vision.temporal_patch_size * area
        layers = model.model.language_model.layers
        return cls(
            language=sum(p.numel() for p in layers.parameters()),
            head=text.vocab_size * text.hidden_size,
            tower=sum(p.numel() for p in model.model.visual.parameters()),
            num_patches=num_patches,
            prompt_tokens=workload.num_text_tokens + num_patches // vision.spatial_merge_size**2,
            attention_width=4 * text.hidden_size * text.num_hidden_layers,
            bytes_per_weight=model.dtype.itemsize,
        )


def step_floor_s(
    sizes: Sizes, workload: Workload, ceilings: Ceilings, is_tower_trained: bool
) -> dict[str, float]:
    """Least seconds of each part of a step, and of all of it.

    Args:
        sizes: The model's and the prompt's.
        workload: B, G and L.
        ceilings: What the machine can do.
        is_tower_trained: Else the clip's features are there already.
    """
    prompts, group = workload.num_prompts, workload.num_generations
    length, prompt = workload.completion_length, sizes.prompt_tokens
    completion_tokens = prompts * group * length
    prompt_pairs = prompts * prompt * prompt / 2
    completion_pairs = completion_tokens * (prompt + length / 2)
    tower = 2.0 * sizes.tower * sizes.num_patches * prompts if is_tower_trained else 0.0
    prefill = 2.0 * sizes.language * prompts * prompt + sizes.attention_width * prompt_pairs
    completions = (
        2.0 * (sizes.language + sizes.head) * completion_tokens
        + sizes.attention_width * completion_pairs
    )
    weights_bytes = float(sizes.bytes_per_weight * (sizes.language + sizes.head))
    scored = tower + prefill + completions
    parts = {
        "prefill": ceilings.floor_s(tower + prefill, weights_bytes),
        "decode": ceilings.floor_s(completions, weights_bytes * length),
        "score": ceilings.floor_s(_FORWARD * scored, weights_bytes),
        "update": ceilings.floor_s(_WITH_BACKWARD * scored, weights_bytes),
    }
    return parts | {"step": sum(parts.values())}
