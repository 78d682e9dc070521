"""A small restatement of the published training step, as the baseline of the benchmarks.

It does the same amount of work as github.com/falonss703/VideoThinker
(src/open_r1/trainer/grpo_trainer.py): G copies of prompt and clip go through vision tower and
language model in rollout, reference pass and policy pass alike, and log-probabilities are taken
over the whole vocabulary at every token of prompt and completion before the prompt's are dropped.
"""

from typing import Any

import torch
from torch import Tensor

from vtk.rollout.prompts import PromptInputs
from vtk.train.forward import ScoringBatch


def repeat_prompts(prompts: PromptInputs, num_generations: int) -> PromptInputs:
    """Every prompt and clip G times over, prompt-major."""
    patches = prompts.video_grid_thw.prod(dim=1).tolist()
    clips = torch.split(prompts.pixel_values_videos, patches)
    repeated = [clip.repeat(num_generations, 1) for clip in clips]

    def rows(tensor: Tensor) -> Tensor:
        return tensor.repeat_interleave(num_generations, dim=0)

    return PromptInputs(
        input_ids_1P=rows(prompts.input_ids_1P),
        attention_mask_1P=rows(prompts.attention_mask_1P),
        mm_token_type_ids=rows(prompts.mm_token_type_ids),
        pixel_values_videos=torch.cat(repeated),
        video_grid_thw=rows(prompts.video_grid_thw),
        second_per_grid_ts=rows(prompts.second_per_grid_ts),
    )


def published_rollout(
    model: Any,
    prompts: PromptInputs,
    num_generations: int,
    num_tokens: int,
    *,
    is_greedy: bool = False,
) -> Tensor:
    """Draw exactly `num_tokens` tokens for each of N rows, as (N, P + num_tokens) ids."""
    inputs = repeat_prompts(prompts, num_generations).model_inputs()
    how = {"do_sample": False} if is_greedy else {"do_sample": True, "temperature": 1.0, "top_k": 0}
    with torch.no_grad():
        ids: Tensor = model.generate(**inputs, **how, max_new_tokens=num_tokens)
    return ids


def published_logps(model: Any, batch: ScoringBatch) -> Tensor:
    """Log-probabilities of the completions' tokens, as (N, L)."""
    prompts = repeat_prompts(batch.prompts, batch.num_generations)
    inputs = prompts.model_inputs()
    tail = {
        "input_ids": batch.completion_ids_NL,
        "attention_mask": batch.completion_mask_NL,
        "mm_token_type_ids": torch.zeros_like(batch.completion_ids_NL),
    }
    for name, tokens in tail.items():
        inputs[name] = torch.cat([inputs[name], tokens], dim=1)
    model.model.rope_deltas = None
    logits_NSV = model(**inputs, use_cache=False).logits[:, :-1]
    rows = [
        row_SV.log_softmax(dim=-1).gather(1, ids_S.unsqueeze(1)).squeeze(1)
        for row_SV, ids_S in zip(logits_NSV, inputs["input_ids"][:, 1:], strict=True)
    ]
    return torch.stack(rows)[:, -batch.completion_ids_NL.shape[1] :]
