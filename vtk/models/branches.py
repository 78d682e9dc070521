"""Decoding many completions of a few prompts: every prompt's keys and values are kept once.

A completion's new token attends to its prompt's states, which all completions of the prompt share,
and to its own, which lie in a buffer of full length; so nothing is ever repeated, grown or copied,
and the prompt's states are read once for all completions (the idea: bifurcated attention,
https://arxiv.org/abs/2403.08845).

Shape letters: B prompts, M rows (completions that go on) in prompt-major order, P tokens of a
prompt, S places of a row's buffer, t tokens in it, Q query heads, K key-value heads, D head size,
R = Q / K query heads that share a key-value head, m a prompt's seats times R.
"""

from collections.abc import Iterator, Sequence
from typing import Any

import torch
from torch import Tensor
from torch.nn.utils.rnn import pad_sequence


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
        prompts: The prompts' states, which are handed over.
        prompt_lengths: Tokens of each of the B prompts.
        num_rows: Rows that each prompt begins with.
        max_length: S.
    """

    def __init__(
        self, prompts: PromptStates, prompt_lengths: Sequence[int], num_rows: int, max_length: int
    ) -> None:
        self.length = 0
        key = prompts.layers[0][0]
        num_prompts, device = len(prompt_lengths), key.device
        self._prompt_of_row = torch.arange(num_prompts).repeat_interleave(num_rows)
        self._lengths_B = torch.tensor(prompt_lengths)
        self._prompts = [
            (_padded(keys, prompt_lengths), _padded(values, prompt_lengths))
            for keys, values in _handed_over(prompts.layers)
        ]
        shape = (num_prompts * num_rows, key.shape[1], max_length, key.shape[3])
        self._own = [(key.new_empty(shape), key.new_empty(shape)) for _ in self._prompts]
        self._seats = _Seats(self._prompt_of_row, num_prompts, device)
        self._hidden_BP = self._hidden()

    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Put each row's new token, (M, K, 1, D), behind its others; all of them, (M, K, t, D)."""
        place = self.length
        for buffer, new in zip(self._own[layer_idx], (key, value), strict=True):
            buffer[:, :, place] = new[:, :, 0]
        keys, values = self._own[layer_idx]
        return keys[:, :, : place + 1], values[:, :, : place + 1]

    def advance(self) -> None:
        """All layers have this token: the next one goes behind it."""
        self.length += 1

    def keep(self, index_M: Tensor) -> None:
        """Drop every row that is not in `index_M`, which is ascending, and prompts without rows."""
        self._own = [(keys[index_M], values[index_M]) for keys, values in self._own]
        kept = self._prompt_of_row[index_M.cpu()]
        is_live_B = kept.bincount(minlength=len(self._lengths_B)) > 0
        live, self._prompt_of_row = is_live_B.nonzero().flatten(), (is_live_B.cumsum(0) - 1)[kept]
        if len(live) < len(self._lengths_B):
            self._lengths_B, index = self._lengths_B[live], live.to(index_M.device)
            self._prompts = [(keys[index], values[index]) for keys, values in self._prompts]
            self._hidden_BP = self._hidden()
        self._seats = _Seats(self._prompt_of_row, len(live), index_M.device)

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
        own_MKRt = self._seen(query_MKRD @ key_MKtD.transpose(2, 3))
        key_BKPD, value_BKPD = self._prompts[layer]
        # All rows of a prompt are queries of one product with its states: (B, K, rows·R, D).
        scores_BKmP = self._seats.take(query_MKRD) @ key_BKPD.transpose(2, 3)
        if self._hidden_BP is not None:
            scores_BKmP = scores_BKmP.masked_fill(self._hidden_BP[:, None, None], -torch.inf)
        scores = torch.cat([scores_BKmP, self._seats.take(own_MKRt)], dim=3)
        weights = scores.softmax(dim=3, dtype=torch.float32).to(query_MQ1D.dtype)
        prompt_part = self._seats.leave(weights[..., :-length] @ value_BKPD, num_heads // num_kv)
        own_part = self._seats.leave(weights[..., -length:], num_heads // num_kv) @ value_MKtD
        return (prompt_part + own_part).reshape(num_rows, 1, num_heads, size)

    def _seen(self, own_MKRt: Tensor) -> Tensor:
        """The scores against a row's own tokens: of all that `update` gave."""
        return own_MKRt

    def _hidden(self) -> Tensor | None:
        """Which places of the prompts are padding, (B, P); None if none is."""
        longest = self._prompts[0][0].shape[2]
        if bool((self._lengths_B == longest).all()):
            return None
        hidden_BP = torch.arange(longest) >= self._lengths_B.unsqueeze(1)
        return hidden_BP.to(self._prompts[0][0].device)


class _Seats:
    """Where each row sits among equally many seats of each prompt, so that all are one product.

    Args:
        prompt_of_row: Prompt of each of the M rows, ascending, on the CPU.
        num_prompts: B.
        device: Of the rows.
    """

    def __init__(self, prompt_of_row: Tensor, num_prompts: int, device: torch.device) -> None:
        counts_B = prompt_of_row.bincount(minlength=num_prompts)
        self._num_prompts, self._per_prompt = num_prompts, int(counts_B.max())
        self._is_full = prompt_of_row.shape[0] == num_prompts * self._per_prompt
        first_B = counts_B.cumsum(0) - counts_B
        number_M = torch.arange(prompt_of_row.shape[0]) - first_B[prompt_of_row]
        self._seat_M = (prompt_of_row * self._per_prompt + number_M).to(device)

    def take(self, rows_MKRX: Tensor) -> Tensor:
        """Rows to seats, (B, K, seats·R, X); nobody's seat holds zeros."""
        shape = (self._num_prompts, self._per_prompt, *rows_MKRX.shape[1:])
        if self._is_full:
            seats = rows_MKRX
        else:
            seats = rows_MKRX.new_zeros(shape[0] * shape[1], *shape[2:])
            seats[self._seat_M] = rows_MKRX
        return seats.view(shape).transpose(1, 2).flatten(2, 3)

    def leave(self, seats_BKmX: Tensor, num_repeats: int) -> Tensor:
        """Seats back to rows, (M, K, R, X).

        Args:
            seats_BKmX: As `take` gives them.
            num_repeats: R.
        """
        shape = (*seats_BKmX.shape[:2], self._per_prompt, num_repeats, -1)
        rows = seats_BKmX.reshape(shape).transpose(1, 2).flatten(0, 1)
        return rows if self._is_full else rows[self._seat_M]


def _handed_over(layers: list[tuple[Tensor, Tensor]]) -> Iterator[tuple[Tensor, Tensor]]:
    """The layers one by one, each given up when it is taken."""
    layers.reverse()
    while layers:
        yield layers.pop()


def _padded(packed_1KSD: Tensor, lengths: Sequence[int]) -> Tensor:
    """Prompts one behind the other, (1, K, ΣP, D), as (B, K, longest P, D); one alone is a view."""
    split = torch.split(packed_1KSD[0], list(lengths), dim=1)
    parts = [part.transpose(0, 1) for part in split]
    if len(parts) == 1:
        return packed_1KSD
    return pad_sequence(parts, batch_first=True).transpose(1, 2).contiguous()
