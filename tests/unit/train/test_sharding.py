"""Which weights a process holds whole, and when; a run of several processes is tested elsewhere."""

from collections.abc import Iterator
from typing import Any

import pytest
import torch
import torch.distributed as dist
from torch.distributed.tensor import DTensor

from vtk.models.tiny import build_tiny_model
from vtk.train.sharding import gathered, is_sharded, shard

TOKENS = torch.tensor([[1, 5, 9, 2]])


@pytest.fixture
def _group_of_one() -> Iterator[None]:
    store = dist.HashStore()  # type: ignore[attr-defined]  # public by its documentation
    dist.init_process_group("gloo", store=store, rank=0, world_size=1)
    yield
    dist.destroy_process_group()


def _sharded(keeps_until_backward: bool) -> Any:
    model: Any = build_tiny_model(seed=0)[0]
    assert not is_sharded(model)
    shard(model, keeps_until_backward)
    assert is_sharded(model)
    return model


def _whole_blocks(model: Any) -> list[bool]:
    """Of each block of the language model, whether its weights are whole on this process."""
    blocks = model.model.language_model.layers
    assert len(blocks) > 1
    return [not any(isinstance(w, DTensor) for w in block.parameters()) for block in blocks]


@pytest.mark.usefixtures("_group_of_one")
@pytest.mark.parametrize("keeps", [False, True], ids=["fsdp2", "zero2"])
def test_blocks_are_whole_until_their_backward_only_under_zero2(keeps: bool) -> None:
    model = _sharded(keeps)
    assert not any(_whole_blocks(model))
    for _ in range(2):  # sampling leaves the setting as it was
        loss = model(input_ids=TOKENS, labels=TOKENS).loss
        assert set(_whole_blocks(model)) == {keeps}
        loss.backward()
        assert not any(_whole_blocks(model))
        assert all(isinstance(w.grad, DTensor) for w in model.model.language_model.parameters())
        with gathered(model):
            assert all(_whole_blocks(model))
        assert not any(_whole_blocks(model))
