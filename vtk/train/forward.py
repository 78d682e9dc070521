"""Log-probabilities of completions under a video language model.

Shape letters: B prompts, G completions per prompt, N = B·G sequences (prompt-major), P prompt
tokens (left padded), L completion tokens (right padded), S = P + L, H hidden size, K scored
tokens, V vocabulary.

A clip goes through the vision tower once per prompt, and a prompt through the language model once,
however many completions hang on it: prompts and completions are packed into one sequence without
padding (`vtk.models.shared_prefix`). `score_repeated` does the usual thing, everything G times
over; it is the oracle that the tests compare with and the baseline of the benchmarks.
"""

import functools
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor
from torch.nn.functional import linear
from torch.utils.checkpoint import checkpoint

from vtk.models.shared_prefix import PackedLayout, packed_layout, use_shared_prefix
from vtk.rollout.embeddings import prompt_embeddings, prompt_positions
from vtk.rollout.generate import base_model
from vtk.rollout.prompts import PromptInputs
from vtk.train.activations import MAX_LOGITS_ELEMENTS


@dataclass(frozen=True, slots=True)
class ScoringBatch:
    """B prompts with their clips, and G completions of each.

    Attributes:
        prompts: Left padded prompts, one row and one clip each.
        completion_ids_NL: Token ids, rows in prompt-major order.
        completion_mask_NL: 1 up to and including the first end-of-sequence token, else 0.
    """

    prompts: PromptInputs
    completion_ids_NL: Tensor
    completion_mask_NL: Tensor

    @property
    def num_generations(self) -> int:
        """Completions per prompt, G."""
        return self.completion_ids_NL.shape[0] // self.prompts.num_prompts

    def to(self, device: torch.device | str) -> "ScoringBatch":
        """The same batch on another device; itself where it is there."""
        if self.completion_ids_NL.device == torch.device(device):
            return self
        moved = (tensor.to(device) for tensor in (self.completion_ids_NL, self.completion_mask_NL))
        return ScoringBatch(self.prompts.to(device), *moved)


@dataclass(frozen=True, slots=True)
class TokenScores:
    """Per completion token; 0 where the mask is 0.

    Attributes:
        logps_NL: log π(token) in nats, float32, with gradient where grad is enabled.
        entropies_NL: Entropy of the next token's distribution in nats, float32, no gradient.
    """

    logps_NL: Tensor
    entropies_NL: Tensor

    def to(self, device: torch.device) -> "TokenScores":
        """The same scores on another device."""
        return TokenScores(self.logps_NL.to(device), self.entropies_NL.to(device))


def pad_completions(
    completion_ids: Sequence[Sequence[int]], eos_ids: Sequence[int], pad_id: int
) -> tuple[Tensor, Tensor]:
    """Right padded ids and their mask, both (N, L) int64.

    Every id in `eos_ids` ends a completion: what follows the first one is padding.
    """
    ends = set(eos_ids)
    rows = [list(ids[: _length_to_first(ids, ends)]) for ids in completion_ids]
    longest = max((len(row) for row in rows), default=0)
    ids = [row + [pad_id] * (longest - len(row)) for row in rows]
    mask = [[1] * len(row) + [0] * (longest - len(row)) for row in rows]
    return torch.tensor(ids, dtype=torch.long), torch.tensor(mask, dtype=torch.long)


def score_completions(
    model: Any, batch: ScoringBatch, temperature: float = 1.0, engine: str = "shared"
) -> TokenScores:
    """Score a batch; gradients flow where grad is enabled.

    Args:
        model: A Qwen2.5-VL model, bare or with PEFT adapters; one wrapped by DDP or FSDP is called
            as `model(scoring=batch)` after `install_scoring`.
        batch: What to score.
        temperature: Logits are divided by it, as they were when sampling.
        engine: "shared" or "reference".
    """
    score = score_repeated if engine == "reference" else score_packed
    return score(model, batch, temperature)


def score_packed(
    model: Any,
    batch: ScoringBatch,
    temperature: float = 1.0,
    layout: PackedLayout | None = None,
) -> TokenScores:
    """Score with vision tower and prompt computed once per prompt, and no padding computed.

    Args:
        model: As in `score_completions`.
        batch: What to score.
        temperature: Divides the logits.
        layout: Who sees whom, if not as the batch says; a comparison's negative control.
    """
    base = base_model(model)
    prompts, language = batch.prompts, base.model.language_model
    use_shared_prefix(language)
    if layout is None:
        layout = packed_layout(prompts.prompt_lengths_tokens, batch.completion_mask_NL)
    is_prompt_BP, is_token_NL = prompts.attention_mask_1P.bool(), batch.completion_mask_NL.bool()
    prompt_KH = prompt_embeddings(base, prompts)[is_prompt_BP]
    completion_KH = base.get_input_embeddings()(batch.completion_ids_NL[is_token_NL])
    positions_3BP, next_B = prompt_positions(base, prompts)
    positions_3NL = _completion_positions(next_B, batch)
    states_1TH = language(
        inputs_embeds=torch.cat([prompt_KH, completion_KH]).unsqueeze(0),
        position_ids=torch.cat(
            [positions_3BP[:, is_prompt_BP], positions_3NL[:, is_token_NL]], dim=1
        ).unsqueeze(1),
        attention_mask={"full_attention": layout},
        use_cache=False,
    ).last_hidden_state
    return _token_scores(base, states_1TH[0, layout.previous_index], batch, temperature)


def score_repeated(model: Any, batch: ScoringBatch, temperature: float = 1.0) -> TokenScores:
    """Score N whole sequences, each with its own copy of the prompt and its video features."""
    base = base_model(model)
    group, last = batch.num_generations, batch.prompts.input_ids_1P.shape[1] - 1
    positions_3BP, next_B = prompt_positions(base, batch.prompts)
    positions_3NP = positions_3BP.repeat_interleave(group, dim=1)
    prompt_NPH = prompt_embeddings(base, batch.prompts).repeat_interleave(group, dim=0)
    completion_NLH = base.get_input_embeddings()(batch.completion_ids_NL)
    states_NSH = base.model.language_model(
        inputs_embeds=torch.cat([prompt_NPH, completion_NLH], dim=1),
        attention_mask=_full_mask(batch),
        position_ids=torch.cat([positions_3NP, _completion_positions(next_B, batch)], dim=2),
        use_cache=False,
    ).last_hidden_state
    states_KH = states_NSH[:, last:-1][batch.completion_mask_NL.bool()]
    return _token_scores(base, states_KH, batch, temperature)


def install_scoring(model: Any, temperature: float, engine: str = "shared") -> None:
    """Let `model(scoring=batch)` return `TokenScores`; every other call does what it did.

    A wrapper such as DDP sets up the gradients' reduction in its own forward, so a policy that is
    wrapped has to be scored through it.
    """
    original = model.forward

    @functools.wraps(original)
    def forward(*args: Any, scoring: ScoringBatch | None = None, **kwargs: Any) -> Any:
        if scoring is None:
            return original(*args, **kwargs)
        return score_completions(model, scoring, temperature, engine)

    model.forward = forward


def _length_to_first(ids: Sequence[int], ends: set[int]) -> int:
    return next((i + 1 for i, token in enumerate(ids) if token in ends), len(ids))


def _full_mask(batch: ScoringBatch) -> Tensor:
    prompt_BP, group = batch.prompts.attention_mask_1P, batch.num_generations
    return torch.cat([prompt_BP.repeat_interleave(group, dim=0), batch.completion_mask_NL], dim=1)


def _completion_positions(next_B: Tensor, batch: ScoringBatch) -> Tensor:
    """Text follows text one by one in all three axes, as (3, N, L)."""
    steps_L = torch.arange(batch.completion_ids_NL.shape[1], device=next_B.device)
    start_N = next_B.repeat_interleave(batch.num_generations)
    return (start_N[:, None] + steps_L).unsqueeze(0).expand(3, -1, -1)


def _token_scores(
    base: Any, states_KH: Tensor, batch: ScoringBatch, temperature: float
) -> TokenScores:
    """Head and log-softmax at the completions' K tokens only, in slices that bound memory.

    Args:
        base: Gives the head.
        states_KH: The state before each unmasked token, which predicts it.
        batch: What is scored.
        temperature: Divides the logits.
    """
    is_token_NL = batch.completion_mask_NL.bool()
    ids_K = batch.completion_ids_NL[is_token_NL]
    weight_VH = base.get_output_embeddings().weight
    slice_tokens = max(1, MAX_LOGITS_ELEMENTS // weight_VH.shape[0])
    is_sliced = states_KH.shape[0] > slice_tokens
    scored = [
        _score_slice(states_kH, weight_VH, ids_k, temperature, is_sliced)
        for states_kH, ids_k in zip(
            torch.split(states_KH, slice_tokens), torch.split(ids_K, slice_tokens), strict=True
        )
    ]
    empty_NL = torch.zeros(is_token_NL.shape, dtype=torch.float32, device=states_KH.device)
    return TokenScores(
        logps_NL=empty_NL.masked_scatter(is_token_NL, torch.cat([logps for logps, _ in scored])),
        entropies_NL=empty_NL.masked_scatter(is_token_NL, torch.cat([entr for _, entr in scored])),
    )


def _score_slice(
    states_KH: Tensor, weight_VH: Tensor, ids_K: Tensor, temperature: float, is_sliced: bool
) -> tuple[Tensor, Tensor]:
    """Log-probabilities and entropies; one slice of several keeps no logits for the backward."""
    if not (is_sliced and torch.is_grad_enabled()):
        return _score_tokens(states_KH, weight_VH, ids_K, temperature)
    scored: tuple[Tensor, Tensor] = checkpoint(
        _score_tokens, states_KH, weight_VH, ids_K, temperature, use_reentrant=False
    )
    return scored


def _score_tokens(
    states_KH: Tensor, weight_VH: Tensor, ids_K: Tensor, temperature: float
) -> tuple[Tensor, Tensor]:
    logps_KV = torch.log_softmax(linear(states_KH, weight_VH).float() / temperature, dim=-1)
    with torch.no_grad():
        entropies_K = -(logps_KV.exp() * logps_KV).sum(dim=-1)
    return logps_KV.gather(1, ids_K.unsqueeze(1)).squeeze(1), entropies_K
