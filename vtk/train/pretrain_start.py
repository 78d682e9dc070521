"""A start for small attention: heads that look up what resembles the query and copy what they find.

With random heads a narrow model needs thousands of steps before it finds an object of the clip by
its word, because matching and copying are each useless without the other. Here, in every layer, the
heads of the first key-value group begin with equal query and key weights, so that a word attends to
what is similar to it, and with output weights that undo the value weights, so that what is found is
added as it is. Since the tower speaks in the words' embeddings (`vtk.train.pretrain_vision`), the
word " red" finds the red object and its place from the first step on, and training sharpens this.
The other heads stay random.
"""

from typing import TYPE_CHECKING

import torch

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration

_SHARPNESS = 1.6  # times the initializer's; attention scores grow with its square


def start_by_similarity(model: "Qwen2_5_VLForConditionalGeneration") -> None:
    """Tie the first key-value group's projections of every layer, once, before training."""
    text = model.model.language_model.config
    head_size = text.hidden_size // text.num_attention_heads
    num_heads = text.num_attention_heads // text.num_key_value_heads
    with torch.no_grad():
        for layer in model.model.language_model.layers:
            attention = layer.self_attn
            keys, values = attention.k_proj.weight[:head_size], attention.v_proj.weight[:head_size]
            keys.mul_(_SHARPNESS)
            for head in range(num_heads):
                rows = slice(head * head_size, (head + 1) * head_size)
                attention.q_proj.weight[rows] = keys
                attention.o_proj.weight[:, rows] = values.T
