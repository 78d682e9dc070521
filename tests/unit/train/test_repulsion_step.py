"""One step on the real architecture: the sign of beta is the direction that the policy moves in."""

from typing import Any

import pytest
import torch

from vtk.config.sections import ObjectiveSettings
from vtk.models.tiny import build_tiny_model
from vtk.rollout.generate import SamplingSettings
from vtk.rollout.prompts import prepare_prompt
from vtk.rollout.shared import generate_shared
from vtk.train.forward import ScoringBatch, pad_completions, score_completions
from vtk.train.losses import sequence_losses
from vtk.video.frames import Clip


def _clip() -> Clip:
    generator = torch.Generator().manual_seed(0)
    frames_FCHW = torch.randint(0, 256, (4, 3, 28, 56), generator=generator, dtype=torch.uint8)
    return Clip(frames_FCHW, (0.0, 1.6, 3.2, 4.8), 25.0, 128, "none", (0, 40, 80, 120))


class _Pair:
    """A policy with random weights, a bias model a little away, and the policy's samples."""

    def __init__(self) -> None:
        self.policy, processor = build_tiny_model(seed=0)
        bias: Any = build_tiny_model(seed=0)[0]
        generator = torch.Generator().manual_seed(1)
        with torch.no_grad():
            for parameter in bias.parameters():
                noise = torch.randn(parameter.shape, generator=generator)
                parameter.add_(0.1 * parameter.abs().mean() * noise)
        prompt = prepare_prompt(processor, "What will happen?\nA. a\nB. b", _clip(), "mini")
        rollout = generate_shared(
            self.policy, processor, prompt, SamplingSettings(8), 64, generator_seed=0
        )
        self.batch = ScoringBatch(prompt, *pad_completions(rollout.completion_ids, [], 0))
        with torch.no_grad():
            self.ref_logps_NL = score_completions(bias, self.batch).logps_NL

    def reverse_kl(self, logps_NL: torch.Tensor, start_NL: torch.Tensor) -> float:
        """KL(policy || bias) per token, the start's samples weighted by their likelihood now."""
        mask_NL = self.batch.completion_mask_NL
        weights_NL = torch.exp((logps_NL - start_NL).cumsum(dim=1)) * mask_NL
        log_ratio_NL = logps_NL - self.ref_logps_NL
        return float((weights_NL * log_ratio_NL).sum() / weights_NL.sum())


@pytest.fixture(scope="module")
def pair() -> _Pair:
    return _Pair()


@pytest.mark.parametrize("mode", ["paper", "hinge", "npo"])
def test_one_step_raises_or_lowers_the_kl(pair: _Pair, mode: Any) -> None:
    objective = ObjectiveSettings(repulsion=mode, npo_temperature=1.0)
    start = {name: value.clone() for name, value in pair.policy.state_dict().items()}
    mask_NL, no_advantage_N = pair.batch.completion_mask_NL, torch.zeros(64)
    moved = {}
    for beta in (-1.0, 1.0):
        pair.policy.load_state_dict(start)
        pair.policy.zero_grad()
        scores = score_completions(pair.policy, pair.batch)
        start_NL = scores.logps_NL.detach()
        losses = sequence_losses(
            scores.logps_NL, pair.ref_logps_NL, mask_NL, no_advantage_N, objective
        )
        loss = losses.total(beta)
        loss.backward()  # type: ignore[no-untyped-call]
        grads = {p: p.grad for p in pair.policy.parameters() if p.grad is not None}
        squared_norm = sum(float(grad.square().sum()) for grad in grads.values())
        with torch.no_grad():
            for parameter, grad in grads.items():  # to first order, the loss falls by 1e-3
                parameter.sub_(1e-3 / squared_norm * grad)
            after_NL = score_completions(pair.policy, pair.batch).logps_NL
        before_kl = pair.reverse_kl(start_NL, start_NL)
        moved[beta] = pair.reverse_kl(after_NL, start_NL) - before_kl
    pair.policy.load_state_dict(start)
    assert moved[-1.0] > 0 > moved[1.0]
