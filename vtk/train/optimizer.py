"""AdamW for bfloat16 weights with exact float32 masters, at two more bytes a weight.

A bfloat16 number near 0.02 steps by about 1e-4, so an update of 1e-6 is lost whenever it is added
to it. Here the float32 master is kept as the bfloat16 weight itself (its upper 16 bits, rounded)
and a 16-bit remainder, so small updates add up until the weight moves.
"""

import math
from collections.abc import Callable, Collection, Iterable
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtk.train.sharding import local

if TYPE_CHECKING:
    from vtk.config.sections import OptimSettings

_UPPER_BITS = 16
_HALF = 1 << (_UPPER_BITS - 1)


def has_bfloat16(policy: torch.nn.Module) -> bool:
    """Whether any trained weight is bfloat16."""
    trained = (weight for weight in policy.parameters() if weight.requires_grad)
    return any(weight.dtype == torch.bfloat16 for weight in trained)


def master_adamw(
    policy: torch.nn.Module, decayed: Collection[str], optim: "OptimSettings"
) -> "MasterAdamW":
    """The optimizer of a policy's trained weights.

    Args:
        policy: The model.
        decayed: Names of the weights that weight decay acts on.
        optim: The run's settings.
    """
    trained = {name: w for name, w in policy.named_parameters() if w.requires_grad}
    groups = [
        {
            "params": [w for name, w in trained.items() if (name in decayed) == is_decayed],
            "weight_decay": optim.weight_decay if is_decayed else 0.0,
        }
        for is_decayed in (True, False)
    ]
    betas = (optim.adam_beta1, optim.adam_beta2)
    return MasterAdamW(groups, lr=optim.learning_rate, betas=betas)


class MasterAdamW(torch.optim.Optimizer):
    """AdamW as in torch, on the float32 masters of bfloat16 weights; others are updated as usual.

    Args:
        parameters: Weights, or groups of them.
        lr: Learning rate.
        betas: Decay of the first and second moment.
        eps: Added to the denominator.
        weight_decay: Decoupled weight decay.
    """

    def __init__(
        self,
        parameters: Iterable[Any],
        lr: float,
        betas: tuple[float, float] = (0.9, 0.999),
        eps: float = 1e-8,
        weight_decay: float = 0.0,
    ) -> None:
        defaults = {"lr": lr, "betas": betas, "eps": eps, "weight_decay": weight_decay}
        super().__init__(parameters, defaults)

    @torch.no_grad()
    def step(self, closure: Callable[[], float] | None = None) -> float | None:  # type: ignore[override]
        """Update every weight that has a gradient.

        Args:
            closure: Not used; the libraries' signature.
        """
        del closure
        for group in self.param_groups:
            for weight in group["params"]:
                if weight.grad is not None:
                    self._update(weight, group)
        return None

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Put back a state as it was; torch would cast moments and remainders to bfloat16."""
        weights = [weight for group in self.param_groups for weight in group["params"]]
        self.state.clear()
        for index, entry in state_dict["state"].items():
            weight = weights[int(index)]
            self.state[weight] = {
                name: value.clone() if name == "step" else value.to(weight.device, copy=True)
                for name, value in entry.items()
            }
        for group, saved in zip(self.param_groups, state_dict["param_groups"], strict=True):
            group.update({name: value for name, value in saved.items() if name != "params"})

    def _update(self, weight: Tensor, group: dict[str, Any]) -> None:
        state = self.state[weight]
        if not state:
            state["step"] = torch.zeros((), dtype=torch.float32)
            state["exp_avg"] = torch.zeros_like(weight, dtype=torch.float32)
            state["exp_avg_sq"] = torch.zeros_like(weight, dtype=torch.float32)
            if weight.dtype == torch.bfloat16:
                state["remainder"] = torch.zeros_like(weight, dtype=torch.int16)
        state["step"] += 1
        # Each element is updated by itself, so a process can update its part of a sharded weight.
        parts = {name: local(value) for name, value in state.items()}
        own, gradient = local(weight), local(weight.grad)  # type: ignore[arg-type]
        has_master = weight.dtype == torch.bfloat16
        master = join_master(own, parts["remainder"]) if has_master else own
        _adamw(master, gradient.float(), parts, group)
        if has_master:
            upper, remainder = split_master(master)
            own.copy_(upper)
            parts["remainder"].copy_(remainder)


def join_master(upper: Tensor, remainder: Tensor) -> Tensor:
    """The float32 number that a bfloat16 weight and its remainder stand for."""
    bits = (upper.view(torch.int16).to(torch.int32) << _UPPER_BITS) + remainder.to(torch.int32)
    return bits.view(torch.float32)


def split_master(master: Tensor) -> tuple[Tensor, Tensor]:
    """The nearest bfloat16 (halves away from zero), and the 16 bits that it leaves out."""
    bits = master.contiguous().view(torch.int32)
    upper = (bits + _HALF) >> _UPPER_BITS
    remainder = bits - (upper << _UPPER_BITS)
    return upper.to(torch.int16).view(torch.bfloat16), remainder.to(torch.int16)


def _adamw(master: Tensor, gradient: Tensor, state: dict[str, Any], group: dict[str, Any]) -> None:
    """One step of AdamW (https://arxiv.org/abs/1711.05101), in torch's order of operations."""
    beta1, beta2 = group["betas"]
    step = float(state["step"])
    master.mul_(1 - group["lr"] * group["weight_decay"])
    state["exp_avg"].lerp_(gradient, 1 - beta1)
    state["exp_avg_sq"].mul_(beta2).addcmul_(gradient, gradient, value=1 - beta2)
    step_size = group["lr"] / (1 - beta1**step)
    denominator = state["exp_avg_sq"].sqrt().div_(math.sqrt(1 - beta2**step)).add_(group["eps"])
    master.addcdiv_(state["exp_avg"], denominator, value=-step_size)
