"""Decoding many completions of a few prompts: every prompt's keys and values are kept once.

A completion's new token attends to its prompt's states, which all completions of the prompt share,
and to its own, which lie in a buffer of full length; so nothing is ever repeated, grown or copied,
and the prompt's states are read once for all completions (the idea: bifurcated attention,
https://arxiv.org/abs/2403.08845).

Shape letters: B prompts, M rows (completions that go on) in prompt-major order, P tokens of a
prompt, S places of a row's buffer, t tokens in it, Q query heads, K key-value heads, D head size,
R = Q / K query heads that share a key-value head.
"""

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor


class PromptStates:
    """Takes the place of the library's cache while packed prompts are computed, and keeps all."""

    def __init__(self) -> None:
        self.layers: list[tuple[Tensor, Tensor]] = []

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Keep one layer's rotated keys and values, (1, K, ΣP, D); layers come in order."""
        if layer_idx != len(self.layers):
            raise ValueError(f"layer {layer_idx} came after {len(self.layers)} layers")
        self.layers.append((key, value))
        return key, value


class Branches:
    """Takes the place of the library's cache, and of the attention mask, while rows are decoded.

    Args:
        prompts: The prompts' states.
        prompt_lengths: Tokens of each of the B prompts.
        num_rows: Rows that each prompt begins with.
        max_length: S.
    """

    def __init__(
        self, prompts: PromptStates, prompt_lengths: Sequence[int], num_rows: int, max_length: int
    ) -> None:
        self.length = 0
        self._num_rows = torch.tensor([num_rows] * len(prompt_lengths))
        self._prompts = [
            [
                (key[0, :, start:end], value[0, :, start:end])
                for start, end in pairwise([0, *torch.tensor(prompt_lengths).cumsum(0).tolist()])
            ]
            for key, value in prompts.layers
        ]
        key = prompts.layers[0][0]
        shape = (len(prompt_lengths) * num_rows, key.shape[1], max_length, key.shape[3])
        self._own = [(key.new_empty(shape), key.new_empty(shape)) for _ in prompts.layers]

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Put each row's new token, (M, K, 1, D), behind its others; all of them, (M, K, t, D)."""
        place = self.length
        for buffer, new in zip(self._own[layer_idx], (key, value), strict=True):
            buffer[:, :, place] = new[:, :, 0]
        if layer_idx == len(self._own) - 1:
            self.length += 1
        keys, values = self._own[layer_idx]
        return keys[:, :, : place + 1], values[:, :, : place + 1]

    def keep(self, index_M: Tensor) -> None:
        """Drop every row that is not in `index_M`, which is ascending."""
        prompt_of_row = torch.arange(len(self._num_rows)).repeat_interleave(self._num_rows)
        kept = prompt_of_row[index_M.cpu()]
        self._num_rows = kept.bincount(minlength=len(self._num_rows))
        self._own = [(keys[index_M], values[index_M]) for keys, values in self._own]

    def attend(
        self, query_MQ1D: Tensor, key_MKtD: Tensor, value_MKtD: Tensor, layer: int, scale: float
    ) -> Tensor:
        """Attention of the rows' new tokens, as (M, 1, Q, D).

        Args:
            query_MQ1D: Rotated queries.
            key_MKtD: The rows' own keys, from `update`.
            value_MKtD: Likewise values.
            layer: Which layer.
            scale: Factor of the scores before the softmax.
        """
        num_heads, (num_rows, num_kv, length, size) = query_MQ1D.shape[1], key_MKtD.shape
        query_MKRD = query_MQ1D.reshape(num_rows, num_kv, num_heads // num_kv, size) * scale
        own_MKRt = query_MKRD @ key_MKtD.transpose(2, 3)
        outputs, start = [], 0
        for (key_KPD, value_KPD), count in zip(
            self._prompts[layer], self._num_rows.tolist(), strict=True
        ):
            if count == 0:
                continue
            rows = slice(start, start + count)
            # All rows of a prompt are queries of one product with its states: (K, rows·R, D).
            query_KmD = query_MKRD[rows].transpose(0, 1).flatten(1, 2)
            scores_KmP = query_KmD @ key_KPD.transpose(1, 2)
            own_Kmt = own_MKRt[rows].transpose(0, 1).flatten(1, 2)
            weights = torch.cat([scores_KmP, own_Kmt], dim=2).softmax(dim=2, dtype=torch.float32)
            weights = weights.to(query_MQ1D.dtype)
            prompt_part = weights[..., :-length] @ value_KPD
            shape = (num_kv, count, num_heads // num_kv, -1)
            own_part = weights[..., -length:].reshape(shape).transpose(0, 1) @ value_MKtD[rows]
            outputs.append(prompt_part.reshape(shape).transpose(0, 1) + own_part)
            start += count
        return torch.cat(outputs).reshape(num_rows, 1, num_heads, size)
