"""One decoding step, recorded on a GPU and replayed for the tokens that follow.

Shape letters: M rows that go on, V vocabulary.
"""

from collections.abc import Callable

import torch
from torch import Tensor

Compute = Callable[[Tensor, Tensor], Tensor]
"""Tokens and positions, (M,) each, to the logits of the tokens after, (M, V)."""


class RecordedStep:
    """A CUDA graph of a step (https://docs.pytorch.org/docs/stable/notes/cuda.html, "CUDA Graphs").

    What the step reads and writes beside its arguments must keep shape and address while the key
    stays. Where there is no GPU, every step is computed.

    Args:
        compute: The step; may be repeated with the same arguments.
    """

    def __init__(self, compute: Compute) -> None:
        self._compute = compute
        self._key: object = None
        self._graph: torch.cuda.CUDAGraph | None = None

    def __call__(self, token_M: Tensor, position_M: Tensor, key: object) -> Tensor:
        """Logits of the tokens after, (M, V), valid until the next call.

        Args:
            token_M: The rows' newest tokens.
            position_M: Their positions.
            key: Another one when a shape or an address changed.
        """
        if not token_M.is_cuda:
            return self._compute(token_M, position_M)
        if key != self._key or self._graph is None:
            self._key = key
            return self._record(token_M, position_M)
        self._token_M.copy_(token_M)
        self._position_M.copy_(position_M)
        self._graph.replay()
        return self._logits_MV

    def _record(self, token_M: Tensor, position_M: Tensor) -> Tensor:
        """Compute this step, which also warms the libraries up, then record it."""
        logits_MV = self._compute(token_M, position_M)
        self._token_M, self._position_M = token_M.clone(), position_M.clone()
        self._graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(self._graph):
            self._logits_MV = self._compute(self._token_M, self._position_M)
        return logits_MV
