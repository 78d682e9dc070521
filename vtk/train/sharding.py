"""Weights, gradients and optimizer state cut over the processes of a run: FSDP2 (`fully_shard`).

Each transformer block is a unit that is gathered for its forward and backward, and the rest of the
model is one more; so a process holds a share of all, and the whole of one block at a time (ZeRO-3,
https://arxiv.org/abs/1910.02054). Under "zero2" a block that was gathered for its forward stays
until its backward: more memory for the weights, one gathering less. Every gathering needs all
processes at once. A backward pass is the same blocks in the same order on each of them; sampling is
not, so it happens with the whole model gathered once (`gathered`).

The library's own sharding is not used: accelerate shards on GPUs only, and this does on CPUs too.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor
from torch.distributed.device_mesh import init_device_mesh
from torch.distributed.fsdp import FSDPModule, fully_shard
from torch.distributed.tensor import DTensor, distribute_tensor

from vtk.models.adapters import POLICY_ADAPTER
from vtk.rollout.generate import base_model
from vtk.train.forward import TokenScores

torch.export.register_dataclass(TokenScores)  # or the gathering for the backward would not see it


def shard(model: Any, keeps_until_backward: bool = False) -> None:
    """Cut a model's weights over all processes, in place.

    Args:
        model: A Qwen2.5-VL model, the same on every process, bare or with adapters.
        keeps_until_backward: Leave a block gathered between its forward and its backward.
    """
    base = base_model(model)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    mesh = init_device_mesh(device, (dist.get_world_size(),))
    units: dict[str, list[FSDPModule]] = {name: [] for name in base._no_split_modules}
    for module in base.modules():
        if type(module).__name__ in units:
            units[type(module).__name__].append(fully_shard(module, mesh=mesh))
    _fix_prefetch([*units.values(), [fully_shard(base, mesh=mesh)]])
    _claim_root(base)
    base.keeps_until_backward = keeps_until_backward
    _reshard_as_set(base)
    # Tells the training loop that nothing is left to place, wrap or reduce.
    base._is_distributed_loading_by_transformers = True


def is_sharded(model: Any) -> bool:
    """Whether `shard` was applied to a model."""
    return isinstance(base_model(model), FSDPModule)


@contextmanager
def gathered(model: Any) -> Iterator[None]:
    """Hold the whole model inside the block, so that a process can compute at its own pace.

    All processes enter it together. It does nothing to a model that is not sharded.

    Args:
        model: Bare or with adapters.
    """
    base = base_model(model)
    units = [module for module in base.modules() if isinstance(module, FSDPModule)]
    for unit in units:
        unit.set_reshard_after_forward(False, recurse=False)
        unit.unshard()
    try:
        yield
    finally:
        _reshard_as_set(base)
        for unit in units:
            unit.reshard()


def whole_weights(policy: Any) -> dict[str, Tensor] | None:
    """The weights that a checkpoint holds, gathered onto the CPU of the main process.

    All processes call it together.

    Returns:
        None for a model that is not sharded, which can be saved as it is; empty on other processes.
    """
    if not is_sharded(policy):
        return None
    marks = f".{POLICY_ADAPTER}." if hasattr(policy, "peft_config") else ""
    state = policy.state_dict(keep_vars=True)  # tied weights stay one tensor
    return _on_main({name: tensor for name, tensor in state.items() if marks in name})


def whole_moments(optimizer: Any) -> dict[str, Tensor]:
    """The optimizer's state as "index.name", gathered onto the CPU of the main process.

    All processes call it together; it is empty on the others.
    """
    state: Mapping[int, Mapping[str, Tensor]] = optimizer.state_dict()["state"]
    named = {
        f"{index}.{name}": value for index, entry in state.items() for name, value in entry.items()
    }
    return _on_main(named)


def share_of(value: Tensor, weight: Tensor) -> Tensor:
    """What this process keeps of a weight's saved state.

    Args:
        value: The whole of it, the same on every process.
        weight: The weight, sharded or not; a state of another shape is kept whole.
    """
    if not isinstance(weight, DTensor) or value.shape != weight.shape:
        return value
    mesh, placements = weight.device_mesh, weight.placements
    on_device = value.to(mesh.device_type)
    return distribute_tensor(on_device, mesh, placements, src_data_rank=None)


def local(tensor: Tensor) -> Tensor:
    """This process's part of a tensor: a view of it, and the tensor itself if it is whole."""
    if not isinstance(tensor, DTensor):
        return tensor
    part: Tensor = tensor.to_local()
    return part


def whole(tensor: Tensor) -> Tensor:
    """All of a tensor, on every process; these call it together."""
    if not isinstance(tensor, DTensor):
        return tensor
    if tensor.dtype == torch.int16:  # which neither gloo nor NCCL carries
        return whole(tensor.to(torch.int32)).to(torch.int16)
    full: Tensor = tensor.full_tensor()
    return full


def _fix_prefetch(stacks: Sequence[Sequence[FSDPModule]]) -> None:
    """In the backward, gather the block before while one is computed; the first gathers itself.

    By itself FSDP2 gathers what ran before, which sampling and skipped questions make another unit
    on each process: their gatherings would no longer match.
    """
    for stack in stacks:
        for unit, before in zip(stack, [*stack[:1], *stack], strict=False):
            unit.set_modules_to_backward_prefetch([before])


def _reshard_as_set(base: Any) -> None:
    """Which units give up their weights after their forward: none, or all but the root."""
    for module in base.modules():
        if isinstance(module, FSDPModule):
            is_given_up = module is not base and not base.keeps_until_backward
            module.set_reshard_after_forward(is_given_up, recurse=False)


def _claim_root(base: Any) -> None:
    """Call the model once with nothing to do: the unit called first becomes the others' root."""
    base.forward = lambda: None
    base()
    del base.forward
    base.reshard()


def _on_main(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    is_main = not dist.is_initialized() or dist.get_rank() == 0
    kept: dict[int, Tensor] = {}
    for tensor in tensors.values():
        if id(tensor) not in kept:
            full = whole(tensor.detach())  # one after another: only the main process keeps them
            kept[id(tensor)] = full.cpu().contiguous() if is_main else tensor.new_empty(0)
    return {name: kept[id(tensor)] for name, tensor in tensors.items()} if is_main else {}
