"""Attention for one packed sequence: B prompts and the G completions of each, without padding.

The tokens of a packed sequence are the B prompts one after another, then the N = B·G completions in
prompt-major order. A prompt's tokens see the prompt up to themselves; a completion's tokens see
their whole prompt and their own completion up to themselves, and no other completion. So one
forward gives the completions' states at the cost of P + ΣC tokens instead of G·P + ΣC, with the
gradients of the unpacked forward. It needs no key-value cache, so it works under activation
checkpointing (the idea: Prefix Grouper, https://arxiv.org/abs/2506.05433).

No mask over the packed length is ever made: the prompt part is plain causal attention, and the
completions' part has as many queries as completion tokens, so no masked block is computed.

Shape letters: B prompts, G completions per prompt, N = B·G, T tokens of the packed sequence,
P prompt tokens, L tokens of the longest completion, Q query heads, K key-value heads, D head size.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.attention.bias import causal_lower_right
from torch.nn.functional import scaled_dot_product_attention
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.masking_utils import ALL_MASK_ATTENTION_FUNCTIONS
from transformers.modeling_utils import ALL_ATTENTION_FUNCTIONS
from transformers.models.qwen2_5_vl.modeling_qwen2_5_vl import eager_attention_forward

from vtk.errors import ConfigError
from vtk.models.branches import Branches

_NAME_PREFIX = "shared_prefix_"


@dataclass(frozen=True, slots=True)
class PackedLayout:
    """Where the tokens of a packed sequence are.

    Attributes:
        prompt_lengths: Tokens of each of the B prompts.
        num_generations: G.
        token_index_NL: Place in the packed sequence of each completion token; padding points at
            the completion's own last token.
        source_index: For each of the ΣC completion tokens in packed order, its place in the
            flattened (N, L) grid.
        previous_index: Likewise, the place in the packed sequence of the token before it, whose
            state predicts it: for a completion's first token, its prompt's last.
    """

    prompt_lengths: tuple[int, ...]
    num_generations: int
    token_index_NL: Tensor
    source_index: Tensor
    previous_index: Tensor

    @property
    def num_prompt_tokens(self) -> int:
        """Tokens of all prompts together."""
        return sum(self.prompt_lengths)


def prompts_layout(prompt_lengths: Sequence[int], device: torch.device) -> PackedLayout:
    """The layout of prompts of these lengths without completions."""
    none = torch.empty(0, dtype=torch.long, device=device)
    return PackedLayout(tuple(prompt_lengths), 0, none.unsqueeze(0), none, none)


def packed_layout(prompt_lengths: Sequence[int], completion_mask_NL: Tensor) -> PackedLayout:
    """The layout of prompts of these lengths and right padded completions.

    Args:
        prompt_lengths: B lengths in tokens.
        completion_mask_NL: 1 for a token, 0 for padding behind it.
    """
    is_token_NL = completion_mask_NL.bool()
    # Counting tokens numbers them in packed order; behind a completion the count stands still.
    order_NL = is_token_NL.flatten().cumsum(0).view_as(completion_mask_NL) - 1
    index_NL = order_NL.clamp(min=0) + sum(prompt_lengths)
    group = completion_mask_NL.shape[0] // len(prompt_lengths)
    lengths_B = torch.tensor(prompt_lengths, device=index_NL.device)
    last_N1 = (lengths_B.cumsum(0) - 1).repeat_interleave(group).unsqueeze(1)
    previous_NL = torch.cat([last_N1, index_NL[:, :-1]], dim=1)
    return PackedLayout(
        prompt_lengths=tuple(prompt_lengths),
        num_generations=group,
        token_index_NL=index_NL,
        source_index=is_token_NL.flatten().nonzero().squeeze(1),
        previous_index=previous_NL[is_token_NL],
    )


def use_shared_prefix(language_model: Any) -> None:
    """Let a language model take a `PackedLayout` or `Branches` where it takes an attention mask.

    Its forward then accepts `attention_mask={"full_attention": layout}` for a packed sequence, and
    `Branches` there and as `past_key_values` for decoding; every other call does what it did, with
    the kernel it had.

    Args:
        language_model: The text model inside a Qwen2.5-VL model.
    """
    kernel = str(language_model.config._attn_implementation)
    if kernel.startswith(_NAME_PREFIX):
        return
    name = _NAME_PREFIX + kernel
    if name not in ALL_ATTENTION_FUNCTIONS.valid_keys():
        AttentionInterface.register(name, _attention_of(kernel))
        AttentionMaskInterface.register(name, ALL_MASK_ATTENTION_FUNCTIONS[kernel])
    language_model.set_attn_implementation(name)


def _attention_of(kernel: str) -> Callable[..., tuple[Tensor, Tensor | None]]:
    usual = ALL_ATTENTION_FUNCTIONS.get_interface(kernel, eager_attention_forward)

    def attention(
        module: Any, query: Tensor, key: Tensor, value: Tensor, attention_mask: Any, **options: Any
    ) -> tuple[Tensor, Tensor | None]:
        if isinstance(attention_mask, Branches):
            layer, scale = module.layer_idx, options["scaling"]
            return attention_mask.attend(query, key, value, layer, scale), None
        if not isinstance(attention_mask, PackedLayout):
            found: tuple[Tensor, Tensor | None] = usual(
                module, query, key, value, attention_mask, **options
            )
            return found
        if options.get("dropout"):
            raise ConfigError(
                "the shared engine has no attention dropout, which this model asks for",
                "Set attention_dropout to 0 in config.json, or use --set rollout.engine=reference.",
            )
        return packed_attention(query, key, value, attention_mask, options["scaling"]), None

    return attention


def packed_attention(
    query_1QTD: Tensor, key_1KTD: Tensor, value_1KTD: Tensor, layout: PackedLayout, scale: float
) -> Tensor:
    """Attention of a packed sequence.

    Args:
        query_1QTD: Rotated queries.
        key_1KTD: Rotated keys; Q is a multiple of K (grouped-query attention).
        value_1KTD: Values.
        layout: Where the tokens are.
        scale: Factor of the scores before the softmax.

    Returns:
        (1, T, Q, D), as the library's kernels do.
    """
    prompts, completions, group, start = [], [], layout.num_generations, 0
    for number, length in enumerate(layout.prompt_lengths):
        place = slice(start, start + length)
        q, k, v = (states[:, :, place] for states in (query_1QTD, key_1KTD, value_1KTD))
        prompts.append(_attend(q, k, v, scale, is_causal=True).transpose(1, 2)[0])
        start += length
        if group == 0:
            continue
        index_GL = layout.token_index_NL[number * group : (number + 1) * group]
        completions.append(
            _attend(
                _grid(query_1QTD, index_GL),
                torch.cat([k.expand(group, -1, -1, -1), _grid(key_1KTD, index_GL)], dim=2),
                torch.cat([v.expand(group, -1, -1, -1), _grid(value_1KTD, index_GL)], dim=2),
                scale,
                bias=causal_lower_right(index_GL.shape[1], length + index_GL.shape[1]),
            )
        )
    if group > 0:
        flat = torch.cat(completions).transpose(1, 2).flatten(0, 1)  # (N·L, Q, D)
        prompts.append(flat[layout.source_index])
    return torch.cat(prompts).unsqueeze(0)


def _grid(states_1HTD: Tensor, index_GL: Tensor) -> Tensor:
    """The states of a prompt's completions as a right padded batch, (G, H, L, D)."""
    return states_1HTD[0][:, index_GL].transpose(0, 1)


def _attend(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    scale: float,
    *,
    is_causal: bool = False,
    bias: Any = None,
) -> Tensor:
    return scaled_dot_product_attention(
        query, key, value, attn_mask=bias, is_causal=is_causal, scale=scale, enable_gqa=True
    )
