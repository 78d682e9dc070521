"""What autograd keeps of a packed pass for its backward, counted by tensor of a layer.

The counts are of the layers as transformers computes them; `tests/unit/train/test_estimate.py`
holds them against what is really saved.

Letters: H hidden size, I width inside the feed-forward, K width of keys.
"""

from vtk.train.model_sizes import ModelSizes
from vtk.train.work import StepShape

MAX_LOGITS_ELEMENTS = 1 << 27
"""Logits that scoring has alive at once, 0.5 GiB in float32; more are made in slices, none kept."""
_FLOAT32_BYTES = 4


def activation_bytes(
    sizes: ModelSizes,
    shape: StepShape,
    bytes_per_value: int,
    *,
    is_tower_trained: bool,
    is_checkpointed: bool,
) -> int:
    """Bytes that are held at the end of a forward with gradients.

    With checkpointing the largest layer is added, which the backward computes again.

    Args:
        sizes: The model's.
        shape: The pass: one micro-batch.
        bytes_per_value: Of the number format.
        is_tower_trained: Whether the vision tower's layers are kept too.
        is_checkpointed: Layers keep their input only and are computed again.
    """
    layer = _layer_values(sizes, shape)
    entry = shape.num_tokens * sizes.hidden
    kept = sizes.num_layers * (entry if is_checkpointed else layer)
    largest = layer
    if is_tower_trained:
        patches = shape.num_prompts * shape.num_patches
        block = patches * (17 * sizes.vision_hidden + 4 * sizes.vision_intermediate)
        kept += sizes.vision_depth * (patches * sizes.vision_hidden if is_checkpointed else block)
        largest = max(layer, block)
    values = kept + (largest if is_checkpointed else 0)
    num_logits = shape.num_completion_tokens * sizes.vocabulary
    head = num_logits if num_logits <= MAX_LOGITS_ELEMENTS else 0
    return values * bytes_per_value + head * _FLOAT32_BYTES


def logits_bytes(sizes: ModelSizes, shape: StepShape) -> int:
    """Bytes of the logits of one slice, and of their gradient, while they are worked on."""
    num_logits = shape.num_completion_tokens * sizes.vocabulary
    return 2 * min(num_logits, MAX_LOGITS_ELEMENTS) * _FLOAT32_BYTES


def _layer_values(sizes: ModelSizes, shape: StepShape) -> int:
    """Two norms (3H each), attention (queries, result, joined result: 4H; keys and values: 2K, and
    the prompt's again for each completion), feed-forward (input, gate, its activation, up, product:
    H + 4I)."""
    per_token = 11 * sizes.hidden + 4 * sizes.key_value + 4 * sizes.intermediate
    copied = (
        shape.num_prompts * shape.num_generations * (shape.prompt_tokens + shape.completion_tokens)
    )
    return shape.num_tokens * per_token + copied * 2 * sizes.key_value
