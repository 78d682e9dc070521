"""What has to hold before a speed is worth reporting: the engines compute the same.

Differences are those of float32 on random weights; the negative control lets completions see each
other, which the comparison must notice.
"""

from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vtk.bench.engines import Engine, rollout
from vtk.models.shared_prefix import packed_layout
from vtk.rollout.generate import SamplingSettings
from vtk.train.forward import score_packed

MAX_LOGP_GAP = {torch.float32: 1e-5, torch.bfloat16: 0.25}
"""Largest |difference| of a token's log-probability in nats, by number format. Long float32 sums in
another order give about 1e-6; bfloat16 keeps eight bits."""
_NUM_GREEDY_TOKENS = 12


@dataclass(frozen=True, slots=True)
class Gate:
    """How far two engines are apart.

    Attributes:
        logp_gap: Largest |difference| of a token's log-probability, in nats.
        gradient_gap: Largest norm of a weight's difference of gradients, relative to the largest
            norm of a gradient.
        greedy_tokens_agree: Whether greedy rollouts give the same tokens.
        control_gap: `logp_gap` when completions see each other, which must be large.
        is_passed: Whether all of this is as it must be.
    """

    logp_gap: float
    gradient_gap: float
    greedy_tokens_agree: bool
    control_gap: float
    is_passed: bool

    def as_json(self) -> dict[str, Any]:
        """The findings as plain data."""
        return asdict(self)


def check_equal(oracle: Engine, fast: Engine) -> Gate:
    """Compare an engine with the one that does everything the plain way."""
    logps, gradients = zip(
        *(_logps_and_gradients(engine) for engine in (oracle, fast)), strict=True
    )
    logp_gap = (logps[0] - logps[1]).abs().max().item()
    largest = max(gradient.norm().item() for gradient in gradients[0].values())
    gaps = ((gradients[0][name] - gradients[1][name]).norm().item() for name in gradients[0])
    with torch.no_grad():
        control_gap = (_logps_in_sight(fast) - logps[0]).abs().max().item()
    limit = MAX_LOGP_GAP[fast.model.dtype]
    gradient_gap, agree = max(gaps) / largest, _greedy_agree(oracle, fast)
    is_exact = fast.model.dtype == torch.float32
    return Gate(
        logp_gap,
        gradient_gap,
        agree,
        control_gap,
        # bfloat16 may draw another token where two are as likely.
        logp_gap < limit < control_gap and gradient_gap < limit and (agree or not is_exact),
    )


def _logps_and_gradients(engine: Engine) -> tuple[Tensor, dict[str, Tensor]]:
    engine.update()
    named = engine.model.named_parameters()
    found = {name: p.grad.float().cpu() for name, p in named if p.grad is not None}
    with torch.no_grad():
        return engine.logps(), found


def _greedy_agree(oracle: Engine, fast: Engine) -> bool:
    sampling = SamplingSettings(_NUM_GREEDY_TOKENS, temperature=0.0)
    plain, shared = (
        rollout(engine.name, engine.model, engine.batch.prompts, sampling, 1)
        for engine in (oracle, fast)
    )
    return plain.completion_ids == shared.completion_ids


def _logps_in_sight(engine: Engine) -> Tensor:
    """Log-probabilities when a prompt's completions count as one: each sees those before it."""
    batch = engine.batch
    lengths = batch.prompts.prompt_lengths_tokens
    layout = packed_layout(lengths, batch.completion_mask_NL)
    merged = replace(
        layout, num_generations=1, token_index_NL=layout.token_index_NL.view(len(lengths), -1)
    )
    return score_packed(engine.model, batch, layout=merged).logps_NL
