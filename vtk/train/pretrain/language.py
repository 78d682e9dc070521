"""Second stage of `vtk mini pretrain`: the language model learns to read the tower and to answer.

The tower is frozen and its features are computed once per scene. Short quizzes about what the clip
shows come first: where objects are, which collide and when, which are on course for each other.
Then most texts are counterfactual questions, half answered by describing, half by reasoning.

Shape suffixes: B examples, L tokens, D hidden size, M vision tokens.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch.nn import functional

from vtk.mini.language import STRATEGIES
from vtk.models.tiny import TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX, TINY_PATCH_PX
from vtk.train.pretrain.attention import attend_to_pairs_at_once
from vtk.train.pretrain.data import (
    Example,
    PretrainScene,
    course_example,
    hits_example,
    place_example,
    question_example,
)
from vtk.train.pretrain.descent import Descent
from vtk.train.pretrain.progress import StageProgress
from vtk.train.pretrain.start import start_by_similarity
from vtk.train.pretrain.vision import encode

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

SECONDS_PER_GRID = 2 * 128 / 25 / 16  # two frames of sixteen over 128 at 25 a second
_PROMPT_LOSS_WEIGHT = 0.2
_VERDICT_LOSS_WEIGHT = 4.0  # of "yes" and "no": one wrong verdict and the answer is lost
_QUIZZES_FIRST_FRAC = 0.15  # of the training; finding a thing by its word comes before all else
_QUIZ_FRAC = 0.15  # of the texts after that
_QUIZZES = (place_example, hits_example, course_example)
_ENCODE_BATCH = 64
_TOKENS_PER_PAIR = (TINY_FRAME_HEIGHT_PX // TINY_PATCH_PX) * (TINY_FRAME_WIDTH_PX // TINY_PATCH_PX)
TEXTS_PER_CLIP = 4


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
    with torch.no_grad(), attend_to_pairs_at_once(model):
        parts = [
            encode(model, torch.stack([s.frames_FCHW for s in scenes[i : i + _ENCODE_BATCH]]))
            for i in range(0, len(scenes), _ENCODE_BATCH)
        ]
    return torch.cat(parts)


def draw_example(rng: np.random.Generator, scene: PretrainScene, progress: float) -> Example:
    """One text about a scene.

    Args:
        rng: Decides which.
        scene: The clip, with at least one question.
        progress: How much of the training is over, from 0 to 1.
    """
    if progress < _QUIZZES_FIRST_FRAC or rng.random() < _QUIZ_FRAC:
        return _QUIZZES[int(rng.integers(len(_QUIZZES)))](rng, scene.scene)
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
    verdicts = {tokenizer(word).input_ids[0] for word in (" yes", " no")}
    rows, weights = [], []
    for example in examples:
        prompt = tokenizer(f"{head}{example.problem}<|im_end|>\n<|im_start|>assistant\n").input_ids
        completion = tokenizer(f"{example.completion}<|im_end|>").input_ids
        rows.append([*prompt, *completion])
        text_start = len(tokenizer(head).input_ids)
        weights.append(
            [0.0] * text_start
            + [_PROMPT_LOSS_WEIGHT] * (len(prompt) - text_start)
            + [_VERDICT_LOSS_WEIGHT if id_ in verdicts else 1.0 for id_ in completion]
        )
    longest = max(len(row) for row in rows)
    pad = tokenizer.pad_token_id
    return TextBatch(
        torch.tensor([row + [pad] * (longest - len(row)) for row in rows]),
        torch.tensor([[1] * len(row) + [0] * (longest - len(row)) for row in rows]),
        torch.tensor([w + [0.0] * (longest - len(w)) for w in weights]),
    )


def language_loss(
    model: "Qwen2_5_VLForConditionalGeneration", features_CMD: torch.Tensor, batch: TextBatch
) -> tuple[torch.Tensor, float]:
    """Cross-entropy of the next token, weighted as the batch says.

    Args:
        model: Reads features in place of pixels.
        features_CMD: Vision features of C clips.
        batch: As many texts about each clip, one clip after the other. What they share, the turn's
            beginning and the video, is computed once per clip.

    Returns:
        The weighted mean, and the unweighted mean over the completions' tokens alone.
    """
    ids, mask = batch.input_ids_BL, batch.attention_mask_BL
    is_video = ids == model.config.video_token_id
    num_texts = len(ids) // len(features_CMD)
    prefix = int(is_video[0].nonzero()[-1]) + 1  # every row begins with the same tokens
    grid_3 = (
        features_CMD.shape[1] // _TOKENS_PER_PAIR,
        TINY_FRAME_HEIGHT_PX // TINY_PATCH_PX,
        TINY_FRAME_WIDTH_PX // TINY_PATCH_PX,
    )
    positions, _ = model.model.get_rope_index(
        ids,
        mm_token_type_ids=is_video.int() * 2,
        video_grid_thw=torch.tensor([grid_3]).repeat(len(ids), 1),
        second_per_grid_ts=torch.full((len(ids),), SECONDS_PER_GRID),
        attention_mask=mask,
    )
    embeds = model.get_input_embeddings()(ids)
    clips = embeds[::num_texts, :prefix].masked_scatter(
        is_video[::num_texts, :prefix, None], features_CMD.to(embeds.dtype)
    )
    language = model.model.language_model
    cache = language(
        inputs_embeds=clips, position_ids=positions[:, ::num_texts, :prefix], use_cache=True
    ).past_key_values
    cache.batch_repeat_interleave(num_texts)
    hidden = language(
        inputs_embeds=embeds[:, prefix:],
        attention_mask=mask,
        position_ids=positions[:, :, prefix:],
        past_key_values=cache,
        use_cache=True,
    ).last_hidden_state
    weights, targets = batch.weights_BL[:, prefix + 1 :], ids[:, prefix + 1 :]
    chosen = weights > 0
    losses = functional.cross_entropy(
        model.lm_head(hidden[:, :-1][chosen]), targets[chosen], reduction="none"
    )
    weights = weights[chosen]
    completion = losses[weights >= 1.0].mean()
    return (losses * weights).sum() / weights.sum(), completion.item()


def train_language(
    model: "Qwen2_5_VLForConditionalGeneration",
    processor: "Qwen2_5_VLProcessor",
    scenes: Sequence[PretrainScene],
    turn_DD: torch.Tensor,
    *,
    num_steps: int,
    clips_per_step: int = 5,
    learning_rate: float = 7e-4,
    seed: int = 0,
    features: torch.Tensor | None = None,
    progress: StageProgress | None = None,
    on_step: Callable[[int, float, float], None],
) -> None:
    """Train everything but the tower in place.

    Args:
        model: Its tower is left as it is.
        processor: Gives the tokenizer.
        scenes: What to ask about; each has at least one question.
        turn_DD: The rotation between texts and clips that `train_vision` gave.
        num_steps: Optimizer steps.
        clips_per_step: Clips in a batch, with `TEXTS_PER_CLIP` texts about each.
        learning_rate: Peak of a one-cycle schedule.
        seed: Decides every batch.
        features: What `encode_scenes` gives for these scenes, if it is known already.
        progress: Goes on from what it holds, and is given each step.
        on_step: Called after each step with its number, its loss and the completions' loss.
    """
    rng = np.random.default_rng([0x1A46, seed])
    if features is None:
        features = encode_scenes(model, scenes)
    start_by_similarity(model, processor.tokenizer, turn_DD)
    descent = Descent(
        [*model.model.language_model.parameters(), *model.lm_head.parameters()],
        learning_rate=learning_rate,
        num_steps=num_steps,
        weight_decay=0.02,
        warmup_frac=0.05,
    )
    modules = {"language": model.model.language_model}  # its embeddings are the head's, too
    first_step = 0 if progress is None else progress.restore(modules, descent, rng)
    for step in range(first_step, num_steps):
        picks = rng.integers(len(scenes), size=clips_per_step)
        examples = [
            draw_example(rng, scenes[i], step / num_steps)
            for i in picks
            for _ in range(TEXTS_PER_CLIP)
        ]
        batch = tokenize(processor, examples, features.shape[1])
        loss, completion_loss = language_loss(model, features[torch.from_numpy(picks)], batch)
        descent.step(loss)
        on_step(step, loss.item(), completion_loss)
        if progress is not None:
            progress.note(step + 1, modules, descent, rng)
