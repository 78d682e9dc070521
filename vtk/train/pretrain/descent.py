"""The optimizer of both stages of `vtk mini pretrain`: AdamW on a one-cycle schedule, clipped."""

from collections.abc import Iterable

import torch

_BETAS = (0.9, 0.98)
_MAX_GRAD_NORM = 1.0


class Descent:
    """Steps down a loss."""

    def __init__(
        self,
        parameters: Iterable[torch.nn.Parameter],
        *,
        learning_rate: float,
        num_steps: int,
        weight_decay: float,
        warmup_frac: float,
    ) -> None:
        """Begin a training.

        Args:
            parameters: What is trained; one that is named twice counts once.
            learning_rate: Peak of the schedule.
            num_steps: Steps that will be taken.
            weight_decay: Of AdamW.
            warmup_frac: Share of the steps before the peak.
        """
        self.parameters = list({id(parameter): parameter for parameter in parameters}.values())
        self.optimizer = torch.optim.AdamW(
            self.parameters, lr=learning_rate, weight_decay=weight_decay, betas=_BETAS
        )
        self.schedule = torch.optim.lr_scheduler.OneCycleLR(
            self.optimizer, learning_rate, total_steps=num_steps, pct_start=warmup_frac
        )

    def step(self, loss: torch.Tensor) -> None:
        """One optimizer step; the gradients of earlier ones are dropped first."""
        self.optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(self.parameters, _MAX_GRAD_NORM)
        self.optimizer.step()
        self.schedule.step()
