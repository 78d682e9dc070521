"""The objective as pure functions of tensors; nothing here knows a trainer.

Shape letters: B prompts, G completions per prompt, N = B·G sequences, L completion tokens.

Per token, d = log π_bias − log π_θ. The loss of one sequence is the masked mean over its tokens of

    −min(r·A, clip(r, 1 − low, 1 + high)·A)  +  beta · term(d),        r = π_θ / π_old

and the loss of a batch is the mean over its sequences. The term is zero when policy and bias model
agree and grows as they part, so a negative beta repels. d is clamped to ±c (`log_ratio_clamp`);
past a clamp the gradient is zero. With m = min(hinge margin, c) and t the NPO temperature:

| mode  | term(d)                            | slope by log π_θ                      |
| ----- | ---------------------------------- | ------------------------------------- |
| paper | k3(d) = exp(d) − d − 1             | 1 − exp(d)                            |
| hinge | k3(d) for |d| ≤ m; k3(−m) below −m; | 1 − exp(d); 0 below −m;               |
|       | k3(m) + (exp(m) − 1)(d − m) above  | 1 − exp(m) above                      |
| npo   | (4/t²) · log cosh(t·d/2)           | −(2/t) · tanh(t·d/2)                  |

| mode  | largest term                       | largest |slope| |
| ----- | ---------------------------------- | --------------- |
| paper | k3(c)                              | exp(c) − 1      |
| hinge | k3(m) + (exp(m) − 1)(c − m)        | exp(m) − 1      |
| npo   | (4/t²) · log cosh(t·c/2)           | 2/t             |

`paper` is the published recipe: k3 without importance ratio, d clamped to ±11. `hinge` pushes a
token up no further once the policy gives it exp(m) times the bias model's probability, and down
with a force that stops growing at the same distance. `npo` weights the push by a sigmoid, as
Negative Preference Optimization does (https://arxiv.org/abs/2404.05868): the slope
−(2/t)·(2σ(t·d) − 1) ends at 2/t. All three are d²/2 near agreement, so beta means the same there;
as t goes to 0, npo tends to d²/2 everywhere, whose gradient on the policy's own samples is that of
the reverse KL.
"""

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING

import torch
from torch import Tensor

if TYPE_CHECKING:
    from vtk.config.sections import ObjectiveSettings

ADVANTAGE_EPSILON = 1e-4
_NEAR = 0.25
"""Below it the series of log cosh is exact to 1e-7, and above it its logarithm is to 1e-6."""


@dataclass(frozen=True, slots=True)
class SequenceLosses:
    """What each sequence contributes; every field is (N,), a mean over its completion tokens.

    Attributes:
        policy_N: Clipped surrogate, with gradient.
        term_N: Repulsion term before beta, with gradient; zero without a reference.
        k3_N: Published KL estimate of the clamped d, in nats; NaN without a reference.
        signed_kl_N: log π_θ − log π_bias, not clamped, in nats; NaN without a reference.
        clamped_frac_N: Share of tokens whose |d| exceeds the clamp; NaN without a reference.
        has_reference: Whether there was one.
    """

    policy_N: Tensor
    term_N: Tensor
    k3_N: Tensor
    signed_kl_N: Tensor
    clamped_frac_N: Tensor
    has_reference: bool = True

    def total(self, beta: float) -> Tensor:
        """The batch's loss, a scalar with gradient.

        At beta 0 the term does not enter at all, not even multiplied by zero.
        """
        per_sequence_N = self.policy_N if beta == 0.0 else self.policy_N + beta * self.term_N
        return per_sequence_N.mean()


def group_advantages(rewards_BG: Tensor) -> Tensor:
    """Rewards relative to their group: (R − mean) / (sample standard deviation + 1e-4), (B, G).

    Raises:
        ValueError: Fewer than two completions per prompt, which leaves nothing to compare.
    """
    if rewards_BG.ndim != 2 or rewards_BG.shape[1] < 2:
        raise ValueError(f"advantages need (B, G >= 2) rewards, got {tuple(rewards_BG.shape)}")
    deviation_BG = rewards_BG - rewards_BG.mean(dim=1, keepdim=True)
    return deviation_BG / (rewards_BG.std(dim=1, keepdim=True) + ADVANTAGE_EPSILON)


def masked_token_mean(values_NL: Tensor, mask_NL: Tensor) -> Tensor:
    """Mean over each sequence's unmasked tokens, as (N,); 0 for a sequence without tokens."""
    mask_NL = mask_NL.to(values_NL.dtype)
    return (values_NL * mask_NL).sum(dim=1) / mask_NL.sum(dim=1).clamp(min=1.0)


def clipped_surrogate(
    logps_NL: Tensor,
    old_logps_NL: Tensor,
    advantages_N: Tensor,
    clip_low: float,
    clip_high: float,
) -> Tensor:
    """−min(r·A, clip(r, 1 − clip_low, 1 + clip_high)·A) per token, as (N, L).

    Args:
        logps_NL: log π_θ of the sampled tokens, with gradient.
        old_logps_NL: Their log-probabilities when they were sampled, without gradient.
        advantages_N: One advantage per sequence.
        clip_low: The ratio is not followed below 1 − clip_low.
        clip_high: The ratio is not followed above 1 + clip_high.
    """
    ratio_NL = torch.exp(logps_NL - old_logps_NL)
    clipped_NL = ratio_NL.clamp(1.0 - clip_low, 1.0 + clip_high)
    advantages_N1 = advantages_N.unsqueeze(1)
    return -torch.minimum(ratio_NL * advantages_N1, clipped_NL * advantages_N1)


def k3(d_NL: Tensor) -> Tensor:
    """exp(d) − d − 1, the non-negative KL estimate (http://joschu.net/blog/kl-approx.html)."""
    return torch.exp(d_NL) - d_NL - 1.0


def repulsion_term(d_NL: Tensor, objective: "ObjectiveSettings") -> Tensor:
    """The chosen mode's term of d = log π_bias − log π_θ, per token (the module's table)."""
    clamp = objective.log_ratio_clamp
    d_NL = d_NL.clamp(-clamp, clamp)
    match objective.repulsion:
        case "paper":
            return k3(d_NL)
        case "hinge":
            margin = min(objective.hinge_margin, clamp)
            return k3(d_NL.clamp(-margin, margin)) + math.expm1(margin) * (d_NL - margin).relu()
        case "npo":
            return _scaled_log_cosh(d_NL, 0.5 * objective.npo_temperature, clamp)


def sequence_losses(
    logps_NL: Tensor,
    ref_logps_NL: Tensor | None,
    mask_NL: Tensor,
    advantages_N: Tensor,
    objective: "ObjectiveSettings",
    old_logps_NL: Tensor | None = None,
) -> SequenceLosses:
    """Loss and KL statistics of each sequence.

    Args:
        logps_NL: log π_θ of the completion tokens, with gradient.
        ref_logps_NL: log π_bias of the same tokens, or None without a reference.
        mask_NL: 1 up to and including the first end-of-sequence token, else 0.
        advantages_N: From `group_advantages`, flattened.
        objective: Mode, margins and clips.
        old_logps_NL: log-probabilities at sampling time; None says that the policy has not moved
            since, so that the ratio is 1.
    """
    logps_NL = logps_NL.float()
    old_NL = logps_NL.detach() if old_logps_NL is None else old_logps_NL.float()
    surrogate_NL = clipped_surrogate(
        logps_NL, old_NL, advantages_N, objective.clip_low, objective.clip_high
    )
    policy_N = masked_token_mean(surrogate_NL, mask_NL)
    if ref_logps_NL is None:
        zero_N, none_N = torch.zeros_like(policy_N), torch.full_like(policy_N, math.nan)
        return SequenceLosses(policy_N, zero_N, none_N, none_N, none_N, has_reference=False)
    # Padding holds no probability; 0 keeps exp() finite there, and the mask removes it.
    d_NL = torch.where(mask_NL.bool(), ref_logps_NL.float() - logps_NL, torch.zeros_like(logps_NL))
    clamp, fixed_d_NL = objective.log_ratio_clamp, d_NL.detach()
    return SequenceLosses(
        policy_N=policy_N,
        term_N=masked_token_mean(repulsion_term(d_NL, objective), mask_NL),
        k3_N=masked_token_mean(k3(fixed_d_NL.clamp(-clamp, clamp)), mask_NL),
        signed_kl_N=masked_token_mean(-fixed_d_NL, mask_NL),
        clamped_frac_N=masked_token_mean((fixed_d_NL.abs() > clamp).float(), mask_NL),
    )


def _scaled_log_cosh(d_NL: Tensor, half: float, clamp: float) -> Tensor:
    """log cosh(half·d) / half² for |d| ≤ clamp, to float32's precision for every half > 0.

    Near 0 the logarithm is a difference of nearly equal numbers, and half² makes its rounding
    large. So below `_NEAR` it is the Taylor series, in which half² cancels.
    """
    x_NL = half * d_NL
    square_NL = x_NL.square()
    factor_NL = 1 - square_NL * (1 / 6 - square_NL * (2 / 45 - square_NL * 17 / 1260))
    near_NL = 0.5 * d_NL.square() * factor_NL
    if half * clamp <= _NEAR:
        return near_NL
    far_NL = x_NL.abs().clamp(min=_NEAR)
    far_NL = (far_NL + torch.log1p(0.5 * torch.expm1(-2 * far_NL))) / half**2
    return torch.where(x_NL.abs() <= _NEAR, near_NL, far_NL)
