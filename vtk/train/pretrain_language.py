"""Second stage of `vtk mini pretrain`: the language model learns to read the tower and to answer.

The tower is frozen and its features are computed once per scene. A batch mixes where-is questions
about the clip, the same about the world without an object, and counterfactual questions answered by
describing or by reasoning, half of each.

Shape suffixes: B examples, L tokens, D hidden size, M vision tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from vtk.mini.language import STRATEGIES
from vtk.train.pretrain_data import Example, PretrainScene, question_example, track_example
from vtk.train.pretrain_vision import encode

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

SECONDS_PER_GRID = 2 * 128 / 25 / 16  # two frames of sixteen over 128 at 25 a second
_PROMPT_LOSS_WEIGHT = 0.2
_TRACK_FRAC = 0.2
_UNSEEN_TRACK_FRAC = 0.2
_ENCODE_BATCH = 64


@dataclass(frozen=True, slots=True)
class TextBatch:
    """Tokens of B examples and how much each counts as a target."""

    input_ids_BL: torch.Tensor
    attention_mask_BL: torch.Tensor
    weights_BL: torch.Tensor


def encode_scenes(
    model: "Qwen2_5_VLForConditionalGeneration", scenes: Sequence[PretrainScene]
) -> torch.Tensor:
    """Vision features of every scene, (scenes, M, D)."""
    with torch.no_grad():
        parts = [
            encode(model, torch.stack([s.frames_FCHW for s in scenes[i : i + _ENCODE_BATCH]]))
            for i in range(0, len(scenes), _ENCODE_BATCH)
        ]
    return torch.cat(parts)


def draw_example(rng: np.random.Generator, scene: PretrainScene) -> Example:
    """One text about a scene."""
    kind = rng.random()
    if kind < _TRACK_FRAC + _UNSEEN_TRACK_FRAC:
        return track_example(rng, scene.scene, counterfactual=kind >= _TRACK_FRAC)
    question = scene.questions[int(rng.integers(len(scene.questions)))]
    return question_example(scene.scene, question, STRATEGIES[int(rng.integers(2))])


def tokenize(
    processor: "Qwen2_5_VLProcessor", examples: Sequence[Example], num_vision_tokens: int
) -> TextBatch:
    """Chat turns with the clip's place holders, padded on the right.

    A prompt's ids are those that `vtk.rollout.prompts` makes; a test compares the two.

    Args:
        processor: Gives the tokenizer.
        examples: B of them.
        num_vision_tokens: Place holders of a clip.
    """
    tokenizer = processor.tokenizer
    clip = f"<|vision_start|>{processor.video_token * num_vision_tokens}<|vision_end|>"
    head = f"<|im_start|>user\n{clip}"
    rows, weights = [], []
    for example in examples:
        prompt = tokenizer(f"{head}{example.problem}<|im_end|>\n<|im_start|>assistant\n").input_ids
        completion = tokenizer(f"{example.completion}<|im_end|>").input_ids
        rows.append([*prompt, *completion])
        text_start = num_vision_tokens + 5
        weights.append(
            [0.0] * text_start
            + [_PROMPT_LOSS_WEIGHT] * (len(prompt) - text_start)
            + [1.0] * len(completion)
        )
    longest = max(len(row) for row in rows)
    pad = tokenizer.pad_token_id
    return TextBatch(
        torch.tensor([row + [pad] * (longest - len(row)) for row in rows]),
        torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        torch.tensor([w + [0.0] * (longest - len(w)) for w in weights]),
    )


def language_loss(
    model: "Qwen2_5_VLForConditionalGeneration", features_BMD: torch.Tensor, batch: TextBatch
) -> tuple[torch.Tensor, float]:
    """Cross-entropy of the next token, weighted as the batch says.

    Args:
        model: Reads features in place of pixels.
        features_BMD: Vision features of each example's clip.
        batch: The texts.

    Returns:
        The weighted mean, and the unweighted mean over the completions' tokens alone.
    """
    ids = batch.input_ids_BL
    embeds = model.get_input_embeddings()(ids)
    is_video = ids == model.config.video_token_id
    embeds = embeds.masked_scatter(is_video[..., None], features_BMD.to(embeds.dtype))
    num_clips = len(ids)
    grid = torch.tensor([[features_BMD.shape[1] // 6, 4, 6]]).repeat(num_clips, 1)
    positions, _ = model.model.get_rope_index(
        ids,
        mm_token_type_ids=is_video.int() * 2,
        video_grid_thw=grid,
        second_per_grid_ts=torch.full((num_clips,), SECONDS_PER_GRID),
        attention_mask=batch.attention_mask_BL,
    )
    hidden = model.model.language_model(
        inputs_embeds=embeds,
        attention_mask=batch.attention_mask_BL,
        position_ids=positions,
        use_cache=False,
    ).last_hidden_state
    weights = batch.weights_BL[:, 1:]
    chosen = weights > 0
    losses = functional.cross_entropy(
        model.lm_head(hidden[:, :-1][chosen]), ids[:, 1:][chosen], reduction="none"
    )
    weights = weights[chosen]
    completion = losses[weights == 1.0].mean()
    return (losses * weights).sum() / weights.sum(), completion.item()


def train_language(
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    scenes: Sequence[PretrainScene],
    *,
    num_steps: int,
    examples_per_step: int = 48,
    learning_rate: float = 2e-3,
    seed: int = 0,
    on_step: Callable[[int, float, float], None],
) -> None:
    """Train everything but the tower in place."""
    rng = np.random.default_rng([0x1A46, seed])
    features = encode_scenes(model, scenes)
    parameters = [*model.model.language_model.parameters(), *model.lm_head.parameters()]
    parameters = list({id(p): p for p in parameters}.values())
    optimizer = torch.optim.AdamW(
        parameters, lr=learning_rate, weight_decay=0.02, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=num_steps, pct_start=0.05
    )
    for step in range(num_steps):
        picks = rng.integers(len(scenes), size=examples_per_step)
        examples = [draw_example(rng, scenes[i]) for i in picks]
        batch = tokenize(processor, examples, features.shape[1])
        loss, completion_loss = language_loss(model, features[torch.from_numpy(picks)], batch)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        on_step(step, loss.item(), completion_loss)
