"""The objective against hand-worked numbers, numpy, TRL's own loss, and its stated bounds."""

import math
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor

from tests.reliability.repulsion import scaled_log_cosh, term_bounds
from vtk.config.sections import ObjectiveSettings
from vtk.train.losses import (
    clipped_surrogate,
    group_advantages,
    masked_token_mean,
    repulsion_term,
    sequence_losses,
)

PAPER = ObjectiveSettings(beta=-0.01)
MODES = [
    PAPER,
    ObjectiveSettings(repulsion="hinge"),
    ObjectiveSettings(repulsion="hinge", hinge_margin=0.5),
    ObjectiveSettings(repulsion="npo"),
    ObjectiveSettings(repulsion="npo", npo_temperature=2.0),
]
STEEPEST = ObjectiveSettings(repulsion="npo", npo_temperature=100.0, log_ratio_clamp=80.0)


def _mode_name(objective: ObjectiveSettings) -> str:
    return f"{objective.repulsion}-{objective.hinge_margin}-{objective.npo_temperature}"


class _Case:
    """Two completions of one prompt, two token places; the second completion has one token."""

    logps_NL = torch.tensor([[0.5, 0.25], [0.2, 0.1]], dtype=torch.float64).log()
    ref_NL = torch.tensor([[0.25, 0.25], [0.4, 0.05]], dtype=torch.float64).log()
    mask_NL = torch.tensor([[1, 1], [1, 0]])
    rewards_BG = torch.tensor([[2.0, 0.0]])


def test_advantages_use_the_sample_deviation() -> None:
    advantages_BG = group_advantages(torch.tensor([[2.0, 0.0], [1.0, 1.0]]))
    by_hand = 1.0 / (math.sqrt(2.0) + 1e-4)
    assert advantages_BG.tolist()[0] == pytest.approx([by_hand, -by_hand], rel=1e-6)
    assert advantages_BG.tolist()[1] == [0.0, 0.0]


def test_a_group_of_one_is_refused() -> None:
    with pytest.raises(ValueError, match="G >= 2"):
        group_advantages(torch.ones(4, 1))


def test_hand_computed_loss_and_gradient() -> None:
    logps_NL = _Case.logps_NL.float().requires_grad_()
    advantages_N = group_advantages(_Case.rewards_BG).flatten()
    losses = sequence_losses(logps_NL, _Case.ref_NL, _Case.mask_NL, advantages_N, PAPER)
    loss = losses.total(-0.01)
    loss.backward()  # type: ignore[no-untyped-call]
    # k3(-ln 2) = 0.5 + ln 2 - 1, k3(0) = 0, k3(ln 2) = 2 - ln 2 - 1; the surrogates cancel.
    terms = [(math.log(2) - 0.5) / 2, 1 - math.log(2)]
    assert loss.item() == pytest.approx(-0.01 * sum(terms) / 2, abs=1e-7)
    advantage = 1 / (math.sqrt(2) + 1e-4)
    by_hand = [
        [0.25 * (-advantage - 0.01 * 0.5), 0.25 * -advantage],
        [0.5 * (advantage - 0.01 * -1.0), 0.0],
    ]
    assert logps_NL.grad is not None
    np.testing.assert_allclose(logps_NL.grad.numpy(), by_hand, rtol=1e-6)
    assert losses.signed_kl_N.tolist() == pytest.approx([math.log(2) / 2, -math.log(2)])
    assert losses.clamped_frac_N.tolist() == [0.0, 0.0]


def _numpy_paper_loss(
    logps: np.ndarray, ref: np.ndarray, mask: np.ndarray, rewards: np.ndarray, beta: float
) -> float:
    """The published objective, written without looking at `vtk.train.losses`."""
    total, rows = 0.0, iter(range(len(logps)))
    for group in rewards:
        for reward in group:
            advantage = (reward - np.mean(group)) / (np.std(group, ddof=1) + 1e-4)
            row = next(rows)
            tokens = []
            for t in np.flatnonzero(mask[row]):
                d = min(max(ref[row, t] - logps[row, t], -11.0), 11.0)
                tokens.append(-(advantage - beta * (math.exp(d) - d - 1)))
            total += sum(tokens) / len(tokens)
    return total / len(logps)


@pytest.mark.parametrize("beta", [-0.01, 0.3])
def test_paper_equals_an_independent_formula(beta: float) -> None:
    rng = np.random.default_rng(0)
    logps, ref = -rng.exponential(3.0, (8, 5)), -rng.exponential(6.0, (8, 5))
    ref[0, 0] -= 40.0  # past the clamp
    mask = (np.arange(5) < rng.integers(1, 6, (8, 1))).astype(np.int64)
    rewards = rng.uniform(0, 2, (2, 4))
    advantages_N = group_advantages(torch.tensor(rewards)).flatten()
    losses = sequence_losses(
        torch.tensor(logps), torch.tensor(ref), torch.tensor(mask), advantages_N, PAPER
    )
    expected = _numpy_paper_loss(logps, ref, mask, rewards, beta)
    assert losses.total(beta).item() == pytest.approx(expected, rel=1e-5)


def _toy_policy_step(beta: float, objective: ObjectiveSettings) -> tuple[float, float]:
    """Exact KL(policy || bias) of a 16-token softmax policy, before and after one SGD step."""
    generator = torch.Generator().manual_seed(3)
    theta_V = torch.randn(16, generator=generator).requires_grad_()
    bias_V = torch.log_softmax(torch.randn(16, generator=generator), dim=0)

    def kl() -> float:
        policy_V = torch.log_softmax(theta_V.detach(), dim=0)
        return float((policy_V.exp() * (policy_V - bias_V)).sum())

    before = kl()
    policy_V = torch.log_softmax(theta_V, dim=0)
    tokens_NL = torch.multinomial(policy_V.exp(), 4096, True, generator=generator).view(64, 64)
    mask_NL, no_advantage_N = torch.ones_like(tokens_NL), torch.zeros(64)
    losses = sequence_losses(
        policy_V[tokens_NL], bias_V[tokens_NL], mask_NL, no_advantage_N, objective
    )
    losses.total(beta).backward()  # type: ignore[no-untyped-call]
    assert theta_V.grad is not None
    with torch.no_grad():
        theta_V -= 0.5 * theta_V.grad
    return before, kl()


@pytest.mark.parametrize("objective", MODES, ids=_mode_name)
def test_the_sign_of_beta_is_the_sign_of_the_push(objective: ObjectiveSettings) -> None:
    before, repelled = _toy_policy_step(-0.1, objective)
    _, attracted = _toy_policy_step(0.1, objective)
    assert repelled > before > attracted


@pytest.mark.parametrize("objective", MODES, ids=_mode_name)
def test_beta_zero_is_plain_grpo_bit_for_bit(objective: ObjectiveSettings) -> None:
    advantages_N = group_advantages(_Case.rewards_BG).flatten()

    def loss_and_gradient(ref_NL: Tensor | None) -> tuple[Tensor, Tensor]:
        logps_NL = _Case.logps_NL.float().requires_grad_()
        losses = sequence_losses(logps_NL, ref_NL, _Case.mask_NL, advantages_N, objective)
        loss = losses.total(0.0)
        loss.backward()  # type: ignore[no-untyped-call]
        assert logps_NL.grad is not None
        return loss.detach(), logps_NL.grad

    plain, with_reference = loss_and_gradient(None), loss_and_gradient(_Case.ref_NL)
    assert all(torch.equal(a, b) for a, b in zip(plain, with_reference, strict=True))


@settings(max_examples=300, deadline=None)
@given(
    gap=st.floats(-1e4, 1e4, width=32),
    mode=st.sampled_from([*MODES, STEEPEST]),
    dtype=st.sampled_from([torch.float32, torch.bfloat16]),
    beta=st.floats(-10, 10),
)
def test_term_and_slope_stay_within_their_bounds(
    gap: float, mode: ObjectiveSettings, dtype: torch.dtype, beta: float
) -> None:
    """|loss| and |gradient coefficient| of a lone token, whatever the two models say of it."""
    logps_NL = torch.zeros(1, 1, dtype=dtype, requires_grad=True)
    ref_NL = torch.full((1, 1), gap, dtype=dtype)
    losses = sequence_losses(logps_NL, ref_NL, torch.ones(1, 1), torch.zeros(1), mode)
    loss = losses.total(beta)
    loss.backward()  # type: ignore[no-untyped-call]
    bound, slope_bound = term_bounds(mode)
    assert logps_NL.grad is not None
    rounding = 2**-7 if dtype is torch.bfloat16 else 1e-5
    assert abs(loss.item()) <= abs(beta) * bound * (1 + 1e-5) + 1e-6
    assert abs(logps_NL.grad.item()) <= abs(beta) * slope_bound * (1 + rounding) + 1e-6


@settings(max_examples=300, deadline=None)
@given(exponent=st.floats(-8, 2), d=st.floats(-10.5, 10.5, width=32))
def test_npo_is_exact_in_float32(exponent: float, d: float) -> None:
    """Term and slope against float64; at t = 0.01 and |d| = 0.01 the term once came out as 0."""
    npo = ObjectiveSettings(repulsion="npo", npo_temperature=10.0**exponent)
    d_NL, half = torch.tensor([[d]], requires_grad=True), 0.5 * npo.npo_temperature
    term = repulsion_term(d_NL, npo).sum()
    term.backward()  # type: ignore[no-untyped-call]
    assert term.item() == pytest.approx(scaled_log_cosh(d, half), rel=2e-6, abs=1e-30)
    assert d_NL.grad is not None
    assert d_NL.grad.item() == pytest.approx(math.tanh(half * d) / half, rel=2e-6, abs=1e-30)


def test_stated_bounds_are_reached() -> None:
    far_NL = torch.tensor([[-1e4, 1e4]])
    for objective in [*MODES, STEEPEST]:
        reached = repulsion_term(far_NL, objective).max().item()
        assert reached == pytest.approx(term_bounds(objective)[0], rel=1e-5)
    assert term_bounds(PAPER)[0] == pytest.approx(59_862, abs=1)


@pytest.mark.parametrize("objective", MODES, ids=_mode_name)
def test_modes_agree_near_agreement(objective: ObjectiveSettings) -> None:
    d_NL = torch.tensor([[-0.02, 0.01, 0.03]], dtype=torch.float64)
    np.testing.assert_allclose(repulsion_term(d_NL, objective), d_NL**2 / 2, rtol=0.02)


def test_hinge_leaves_alone_what_the_policy_already_favours() -> None:
    d_NL = torch.tensor([[-2.5, -1.0, 1.0, 2.5, 9.0]], requires_grad=True)
    hinge = ObjectiveSettings(repulsion="hinge", hinge_margin=2.0)
    repulsion_term(d_NL, hinge).sum().backward()  # type: ignore[no-untyped-call]
    assert d_NL.grad is not None
    by_hand = [0.0, math.expm1(-1), math.expm1(1), math.expm1(2), math.expm1(2)]
    assert d_NL.grad[0].tolist() == pytest.approx(by_hand, rel=1e-6)


def test_clip_binds_only_off_policy_and_only_outward() -> None:
    ratios = torch.tensor([[0.5, 1.0, 2.0]])
    old_NL = torch.zeros(1, 3)

    def surrogate(advantage: float) -> list[float]:
        values = clipped_surrogate(ratios.log(), old_NL, torch.tensor([advantage]), 0.2, 0.28)
        return [round(value, 4) for value in values[0].tolist()]

    assert surrogate(1.0) == [-0.5, -1.0, -1.28]
    assert surrogate(-1.0) == [0.8, 1.0, 2.0]


def test_padding_changes_nothing() -> None:
    advantages_N = group_advantages(_Case.rewards_BG).flatten()
    ref_NL = _Case.ref_NL.clone()
    ref_NL[1, 1] = -math.inf
    losses = [
        sequence_losses(_Case.logps_NL, ref, _Case.mask_NL, advantages_N, PAPER).total(-0.01)
        for ref in (_Case.ref_NL, ref_NL)
    ]
    assert torch.equal(losses[0], losses[1])
    assert masked_token_mean(torch.ones(1, 2), torch.zeros(1, 2)).item() == 0.0


def _trl_loss(
    logps_NL: Tensor, ref_NL: Tensor, mask_NL: Tensor, advantages_N: Tensor, beta: float
) -> Tensor:
    """TRL's own loss on given log-probabilities: `GRPOTrainer._compute_loss` without a model."""
    from collections import defaultdict

    from trl.trainer.grpo_trainer import GRPOTrainer

    trainer: Any = GRPOTrainer.__new__(GRPOTrainer)
    identity: Callable[..., Tensor] = lambda tensor, **_: tensor  # noqa: E731
    trainer.accelerator = SimpleNamespace(reduce=identity, gather=identity, num_processes=1)
    trainer.model = SimpleNamespace(training=True)
    trainer.args = SimpleNamespace(use_bias_correction_kl=False, delta=None)
    trainer.beta, trainer.loss_type, trainer.importance_sampling_level = beta, "grpo", "token"
    trainer.epsilon_low, trainer.epsilon_high = 0.2, 0.28
    trainer.off_policy_mask_threshold, trainer.top_entropy_quantile = None, 1.0
    trainer.use_vllm = trainer.aux_loss_enabled = trainer._entropy_bonus_enabled = False
    trainer.current_gradient_accumulation_steps = 1
    trainer._metrics = {"train": defaultdict(list)}
    trainer._get_per_token_logps_and_entropies = lambda *_, **__: (logps_NL, logps_NL * 0, None)
    inputs = {
        "prompt_ids": torch.zeros(len(mask_NL), 1, dtype=torch.long),
        "prompt_mask": torch.ones(len(mask_NL), 1),
        "completion_ids": torch.zeros_like(mask_NL),
        "completion_mask": mask_NL,
        "ref_per_token_logps": ref_NL,
        "advantages": advantages_N,
    }
    loss: Tensor = trainer._compute_loss(trainer.model, inputs)
    return loss


@pytest.mark.parametrize("beta", [0.0, -0.01, 0.04])
def test_trl_agrees_on_the_same_log_probabilities(beta: float) -> None:
    generator = torch.Generator().manual_seed(1)
    mask_NL = (torch.arange(7) < torch.randint(1, 8, (8, 1), generator=generator)).long()
    base_NL = -3 * torch.rand(8, 7, generator=generator)
    ref_NL = base_NL + torch.randn(8, 7, generator=generator)
    advantages_N = group_advantages(torch.rand(2, 4, generator=generator)).flatten()
    ours_NL, theirs_NL = (base_NL.clone().requires_grad_() for _ in range(2))
    ours = sequence_losses(ours_NL, ref_NL, mask_NL, advantages_N, PAPER).total(beta)
    theirs = _trl_loss(theirs_NL, ref_NL, mask_NL, advantages_N, beta)
    ours.backward()  # type: ignore[no-untyped-call]
    theirs.backward()  # type: ignore[no-untyped-call]
    assert ours.item() == pytest.approx(theirs.item(), abs=1e-7)
    torch.testing.assert_close(ours_NL.grad, theirs_NL.grad)
