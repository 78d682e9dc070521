"""bfloat16 weights follow a float32 optimizer exactly, also where steps are below their grain."""

from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from vtk.train.optimizer import MasterAdamW, join_master, split_master
from vtk.train.saved_state import load_optimizer, save_optimizer
from vtk.train.sharding import whole_moments

SETTINGS = {"lr": 1e-6, "betas": (0.9, 0.999), "eps": 1e-8, "weight_decay": 0.1}


def _start() -> Tensor:
    return (0.02 * torch.randn(64, 8, generator=torch.Generator().manual_seed(0))).bfloat16()


def _gradient(step: int) -> Tensor:
    return torch.randn(64, 8, generator=torch.Generator().manual_seed(step)).bfloat16()


def _train(optimizer: torch.optim.Optimizer, weight: Tensor, steps: range) -> None:
    for step in steps:
        weight.grad = _gradient(step).to(weight.dtype)
        optimizer.step()


@settings(max_examples=300, deadline=None)
@given(st.floats(width=32, allow_nan=False, min_value=-(2.0**99), max_value=2.0**99))
def test_split_and_join_are_exact(value: float) -> None:
    master = torch.tensor([value], dtype=torch.float32)
    upper, remainder = split_master(master)
    assert torch.equal(join_master(upper, remainder), master)
    assert (upper.float() - master).abs() <= master.abs() * 2**-8 + 1e-38


def test_masters_equal_float32_adamw() -> None:
    weight = _start().requires_grad_()
    exact = _start().float().requires_grad_()
    ours, theirs = MasterAdamW([weight], **SETTINGS), torch.optim.AdamW([exact], **SETTINGS)  # type: ignore[arg-type]
    _train(ours, weight, range(50))
    _train(theirs, exact, range(50))
    master = join_master(weight.detach(), ours.state[weight]["remainder"])
    torch.testing.assert_close(master, exact.detach(), rtol=1e-6, atol=1e-9)


def test_small_steps_move_weights_that_they_could_not_move_alone() -> None:
    ours, plain = _start().requires_grad_(), _start().requires_grad_()
    mine = MasterAdamW([ours], lr=1e-6)
    torch_own = torch.optim.AdamW([plain], lr=1e-6, weight_decay=0.0)

    def moved_frac(weight: Tensor) -> float:
        return float((weight.detach() != _start()).float().mean())

    for step in range(100):
        ours.grad = plain.grad = _gradient(0)
        mine.step()
        torch_own.step()
        if step == 0:
            assert moved_frac(ours) < 0.1
    assert moved_frac(ours) > 0.5
    assert moved_frac(plain) < 0.2


def test_float32_weights_are_updated_as_usual() -> None:
    ours, theirs = (_start().float().requires_grad_() for _ in range(2))
    _train(MasterAdamW([ours], **SETTINGS), ours, range(5))  # type: ignore[arg-type]
    _train(torch.optim.AdamW([theirs], **SETTINGS), theirs, range(5))  # type: ignore[arg-type]
    torch.testing.assert_close(ours, theirs, rtol=1e-6, atol=1e-9)


def test_without_gradient_nothing_changes() -> None:
    weight = _start().requires_grad_()
    optimizer = MasterAdamW([weight], lr=1.0)
    _train(optimizer, weight, range(1))
    before = weight.detach().clone()
    weight.grad = None
    optimizer.step()
    assert torch.equal(weight, before)
    assert optimizer.state[weight]["step"] == 1


def test_saved_and_loaded_it_goes_on_bit_for_bit(tmp_path: Path) -> None:
    straight, stopped = (_start().requires_grad_() for _ in range(2))
    _train(MasterAdamW([straight], **SETTINGS), straight, range(6))  # type: ignore[arg-type]
    optimizer = MasterAdamW([stopped], **SETTINGS)  # type: ignore[arg-type]
    _train(optimizer, stopped, range(3))
    save_optimizer(tmp_path, whole_moments(optimizer))
    resumed = stopped.detach().clone().requires_grad_()
    optimizer = MasterAdamW([resumed], **SETTINGS)  # type: ignore[arg-type]
    load_optimizer(tmp_path, optimizer)
    assert optimizer.state[resumed]["exp_avg"].dtype == torch.float32
    _train(optimizer, resumed, range(3, 6))
    assert torch.equal(resumed, straight)


@pytest.mark.parametrize("value", [0.0, -0.0, 1.0, -1.0, 3e-38, -2.5])
def test_bfloat16_numbers_have_no_remainder(value: float) -> None:
    upper, remainder = split_master(torch.tensor([value]).bfloat16().float())
    assert upper.item() == torch.tensor(value).bfloat16().item()
    assert remainder.item() == 0
