"""Attention of the vision tower for many frame pairs of one size at once.

The library calls attention once per frame pair and layer, a thousand small calls a step here. Pairs
of one size need one call per layer; a test compares the two.

Shape suffixes: B frame pairs, M tokens of one, H heads, D a head's width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from typing import TYPE_CHECKING, Any

import torch
from torch.nn import functional

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import Qwen2_5_VLVisionAttention


@contextmanager
def attend_to_pairs_at_once(model: "Qwen2_5_VLForConditionalGeneration") -> Iterator[None]:
    """Within it, the tower reads only frame pairs that all have the same number of tokens."""
    modules = [block.attn for block in model.model.visual.blocks]
    for module in modules:
        module.forward = partial(_forward, module)
    try:
        yield
    finally:
        for module in modules:
            del module.forward  # the class's own is seen again


def _forward(
    module: "Qwen2_5_VLVisionAttention",
    hidden_states: torch.Tensor,
    cu_seqlens: torch.Tensor,
    position_embeddings: tuple[torch.Tensor, torch.Tensor],
    **_: Any,
) -> torch.Tensor:
    from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import apply_rotary_pos_emb_vision

    num_pairs = len(cu_seqlens) - 1
    heads = module.num_heads
    query, key, value = module.qkv(hidden_states).view(len(hidden_states), 3, heads, -1).unbind(1)
    query, key = apply_rotary_pos_emb_vision(query, key, *position_embeddings)
    query, key, value = (
        part.reshape(num_pairs, -1, heads, part.shape[-1]).transpose(1, 2)
        for part in (query, key, value)
    )
    attended_BHMD = functional.scaled_dot_product_attention(query, key, value, scale=module.scaling)
    attended: torch.Tensor = module.proj(attended_BHMD.transpose(1, 2).flatten(0, 1).flatten(1))
    return attended
