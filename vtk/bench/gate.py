"""What has to hold before a speed is worth reporting: the engines compute the same.

Differences are those of float32 on random weights; the negative control lets completions see each
other, which the comparison must notice.
"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from typing import Any

import torch
from torch import Tensor

from vtk.bench.engines import Engine
from vtk.models.shared_prefix import packed_layout
from vtk.train.forward import score_packed

MAX_LOGP_GAP = {torch.float32: 1e-5, torch.bfloat16: 0.25}
"""Largest |difference| of a token's log-probability in nats, by number format. Long float32 sums in
another order give about 1e-6; bfloat16 keeps eight bits."""
_NUM_GREEDY_TOKENS = 12


@dataclass(frozen=True, slots=True)
class Gate:
    """How far an engine is from the plain one.

    Attributes:
        logp_gap: Largest |difference| of a token's log-probability, in nats.
        gradient_gap: Largest norm of a weight's difference of gradients, relative to the largest
            norm of a gradient.
        greedy_tokens_agree: Whether greedy rollouts give the same tokens.
        control_gap: `logp_gap` of a pass whose completions see each other, which must be large.
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


def check_equal(oracle: Engine, engines: Sequence[Engine]) -> dict[str, Gate]:
    """Compare engines with the one that does everything the plain way.

    Returns:
        What was found of each, by name.
    """
    logps_NL, gradients = _logps_and_gradients(oracle)
    tokens = oracle.greedy(_NUM_GREEDY_TOKENS)
    with torch.no_grad():
        control_gap = (_logps_in_sight(oracle) - logps_NL).abs().max().item()
    return {
        engine.name: _compare(engine, logps_NL, gradients, tokens, control_gap)
        for engine in engines
    }


def _compare(
    engine: Engine,
    logps_NL: Tensor,
    gradients: Mapping[str, Tensor],
    tokens: Sequence[Sequence[int]],
    control_gap: float,
) -> Gate:
    found_NL, found = _logps_and_gradients(engine)
    logp_gap = (logps_NL - found_NL).abs().max().item()
    largest = max(gradient.norm().item() for gradient in gradients.values())
    gradient_gap = (
        max((gradients[name] - found[name]).norm().item() for name in gradients) / largest
    )
    limit, is_exact = MAX_LOGP_GAP[engine.model.dtype], engine.model.dtype == torch.float32
    agree = engine.greedy(_NUM_GREEDY_TOKENS) == tokens
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


def _logps_in_sight(engine: Engine) -> Tensor:
    """Log-probabilities when a prompt's completions count as one: each sees those before it."""
    batch = engine.batch
    lengths = batch.prompts.prompt_lengths_tokens
    layout = packed_layout(lengths, batch.completion_mask_NL)
    merged = replace(
        layout, num_generations=1, token_index_NL=layout.token_index_NL.view(len(lengths), -1)
    )
    return score_packed(engine.model, batch, layout=merged).logps_NL
