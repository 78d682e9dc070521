"""Decoding in tensors of fixed shape and place, so that a GPU can replay one step for many.

A step of a small model is hundreds of short kernels, and starting them one by one takes longer than
running them. A recorded step (`vtk.rollout.recorded`) starts them all at once, but its shapes
and addresses cannot change: the place of the new token is a tensor, and a row attends to a window
of its buffer in which the places still to come are hidden.

Shape letters are those of `vtk.models.branches`; t is the window here.
"""

from collections.abc import Sequence
from typing import Any, Final

import torch
from torch import Tensor
from typing_extensions import override

from vtk.models.branches import Branches, PromptStates

FIRST_WINDOW: Final = 64
"""Places in the first window; each next one is twice as long, so that few recordings are made."""


class StaticBranches(Branches):
    """`Branches` with a window; arguments are the same."""

    def __init__(
        self, prompts: PromptStates, prompt_lengths: Sequence[int], num_rows: int, max_length: int
    ) -> None:
        super().__init__(prompts, prompt_lengths, num_rows, max_length)
        self._max_length = max_length
        for keys, values in self._own:  # a hidden place has weight 0, and 0 times NaN is NaN
            keys.zero_()
            values.zero_()
        device = self._own[0][0].device
        self._place = torch.zeros(1, dtype=torch.long, device=device)
        self._places_S = torch.arange(max_length, device=device)

    @property
    def window(self) -> int:
        """How many places of a row's buffer the next step attends to, t."""
        window = FIRST_WINDOW
        while window <= self.length:
            window *= 2
        return min(window, self._max_length)

    @override
    def update(self, key: Tensor, value: Tensor, layer_idx: int, *_: Any) -> tuple[Tensor, Tensor]:
        """Put each row's new token, (M, K, 1, D), behind its others; the window, (M, K, t, D)."""
        keys, values = self._own[layer_idx]
        keys.index_copy_(2, self._place, key)
        values.index_copy_(2, self._place, value)
        return keys[:, :, : self.window], values[:, :, : self.window]

    @override
    def advance(self) -> None:
        super().advance()
        self._place += 1

    @override
    def _seen(self, own_MKRt: Tensor) -> Tensor:
        is_to_come_t = self._places_S[: own_MKRt.shape[3]] > self._place
        return own_MKRt.masked_fill(is_to_come_t, -torch.inf)
