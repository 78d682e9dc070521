"""The language model's training reads what the real model reads, and learns."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from torch.nn import functional
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.models.tiny import build_tiny_model
from vtk.rollout.prompts import PromptInputs
from vtk.train.pretrain.data import Example, PretrainScene, place_example, question_example
from vtk.train.pretrain.language import (
    TextBatch,
    draw_example,
    encode_scenes,
    language_loss,
    tokenize,
    train_language,
)
from vtk.train.pretrain.start import clip_rotation

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Prompt = Callable[[PretrainScene, str], PromptInputs]
Weights = Callable[[torch.nn.Module], dict[str, torch.Tensor]]

TEXTS_PER_CLIP = 2


@pytest.fixture(scope="module")
def examples(scenes: list[PretrainScene]) -> list[Example]:
    """Two texts about each of the first three scenes: a question and where things are."""
    rng = np.random.default_rng(0)
    return [
        example
        for scene in scenes[:3]
        for example in (
            question_example(scene.scene, scene.questions[0], "describe"),
            place_example(rng, scene.scene),
        )
    ]


@pytest.fixture(scope="module")
def features(still: Tiny, scenes: list[PretrainScene]) -> torch.Tensor:
    return encode_scenes(still[0], scenes[:3])


def num_tokens(still: Tiny, inputs: PromptInputs) -> int:
    return int((inputs.input_ids_1P == still[0].config.video_token_id).sum())


def test_tokens_are_those_of_the_prompt(
    still: Tiny, scenes: list[PretrainScene], examples: list[Example], prompt: Prompt
) -> None:
    tokenizer = still[1].tokenizer
    inputs = [prompt(scenes[i // TEXTS_PER_CLIP], e.problem) for i, e in enumerate(examples)]
    batch = tokenize(still[1], examples, num_tokens(still, inputs[0]))
    assert batch.input_ids_BL.shape == batch.attention_mask_BL.shape == batch.weights_BL.shape
    for row, (example, made) in enumerate(zip(examples, inputs, strict=True)):
        prompt_ids = made.input_ids_1P[0]
        completion_ids = tokenizer(f"{example.completion}<|im_end|>").input_ids
        expected = [*prompt_ids.tolist(), *completion_ids]
        length, start = len(expected), len(prompt_ids)
        assert batch.input_ids_BL[row, :length].tolist() == expected
        assert (batch.input_ids_BL[row, length:] == tokenizer.pad_token_id).all()
        assert batch.attention_mask_BL[row].tolist() == [1] * length + [0] * (
            batch.input_ids_BL.shape[1] - length
        )
        weights = batch.weights_BL[row]
        for weight, word in zip(
            weights[start:length].tolist(),
            tokenizer.convert_ids_to_tokens(completion_ids),
            strict=True,
        ):
            assert weight == (4.0 if word in ("Ġyes", "Ġno") else 1.0)
        assert (weights[length:] == 0.0).all()
        is_video = batch.input_ids_BL[row] == still[0].config.video_token_id
        assert (weights[is_video] == 0.0).all()
        assert 0 < weights[:start].max() < 1.0  # the question counts a little


def test_the_loss_is_the_real_models(
    still: Tiny,
    scenes: list[PretrainScene],
    examples: list[Example],
    features: torch.Tensor,
    prompt: Prompt,
) -> None:
    """Row by row, from pixels, through the model's own forward with its own positions."""
    model = still[0]
    batch = tokenize(still[1], examples, features.shape[1])
    with torch.no_grad():
        loss, completion_loss = language_loss(model, features, batch)
    summed = counted = 0.0
    completions = []
    for row, example in enumerate(examples):
        inputs = prompt(scenes[row // TEXTS_PER_CLIP], example.problem)
        length = int(batch.attention_mask_BL[row].sum())
        ids = batch.input_ids_BL[row : row + 1, :length]
        is_video = (ids == model.config.video_token_id).int() * 2
        with torch.no_grad():
            logits = model(
                input_ids=ids,
                attention_mask=torch.ones_like(ids),
                mm_token_type_ids=is_video,
                pixel_values_videos=inputs.pixel_values_videos,
                video_grid_thw=inputs.video_grid_thw,
                second_per_grid_ts=inputs.second_per_grid_ts,
            ).logits[0]
        losses = functional.cross_entropy(logits[:-1], ids[0, 1:], reduction="none")
        weights = batch.weights_BL[row, 1:length]
        first_text = int(is_video[0].nonzero()[-1]) + 1  # the vision's end is not a target
        summed += float((losses * weights)[first_text:].sum())
        counted += float(weights[first_text:].sum())
        completions.append(losses[weights >= 1.0])
    assert loss.item() == pytest.approx(summed / counted, rel=1e-4)
    assert completion_loss == pytest.approx(torch.cat(completions).mean().item(), rel=1e-4)


def test_the_loss_depends_on_clip_question_and_answer(
    still: Tiny, scenes: list[PretrainScene], examples: list[Example], features: torch.Tensor
) -> None:
    def loss_of(features_CMD: torch.Tensor, batch: TextBatch) -> float:
        with torch.no_grad():
            return language_loss(still[0], features_CMD, batch)[0].item()

    batch = tokenize(still[1], examples, features.shape[1])
    base = loss_of(features, batch)
    assert loss_of(features, batch) == base
    assert loss_of(features[[1, 0, 2]], batch) != base
    for field in ("problem", "completion"):
        changed = [
            Example(**{"problem": e.problem, "completion": e.completion, field: "A red B"})
            for e in examples
        ]
        assert loss_of(features, tokenize(still[1], changed, features.shape[1])) != base
    padded = TextBatch(
        functional.pad(batch.input_ids_BL, (0, 5), value=still[1].tokenizer.pad_token_id),
        functional.pad(batch.attention_mask_BL, (0, 5)),
        functional.pad(batch.weights_BL, (0, 5)),
    )
    assert loss_of(features, padded) == pytest.approx(base, rel=1e-5)


def test_a_few_steps_lower_the_loss_and_leave_the_tower(
    fresh: Tiny, scenes: list[PretrainScene], weights: Weights
) -> None:
    before = weights(fresh[0])
    losses: list[float] = []
    train_language(
        fresh[0],
        fresh[1],
        scenes,
        clip_rotation(fresh[0], fresh[1].tokenizer, scenes),
        num_steps=10,
        clips_per_step=2,
        on_step=lambda _step, loss, _completion: losses.append(loss),
    )
    assert len(set(losses)) == len(losses)
    assert np.mean(losses[-3:]) < 0.85 * np.mean(losses[:3])
    for name, tensor in fresh[0].state_dict().items():
        is_tower = name.startswith("model.visual.")
        assert torch.equal(tensor, before[name]) == is_tower, name


def test_known_features_are_used_as_they_are(still: Tiny, scenes: list[PretrainScene]) -> None:
    turn_DD = clip_rotation(still[0], still[1].tokenizer, scenes)

    def first_loss(features: torch.Tensor | None) -> float:
        found: list[float] = []
        train_language(
            *build_tiny_model(seed=0),
            scenes[:3],
            turn_DD,
            num_steps=1,
            clips_per_step=2,
            learning_rate=1e-12,
            features=features,
            on_step=lambda _step, loss, _completion: found.append(loss),
        )
        return found[0]

    known = encode_scenes(still[0], scenes[:3])
    assert first_loss(known) == pytest.approx(first_loss(None), rel=1e-5)
    assert first_loss(known.flip(0)) != pytest.approx(first_loss(None), rel=1e-5)


def test_both_strategies_are_taught_about_the_same_questions(
    scenes: list[PretrainScene],
) -> None:
    rng = np.random.default_rng(0)
    scene = scenes[0]
    drawn = {draw_example(rng, scene, 0.9) for _ in range(600)}
    for question in scene.questions:
        for strategy in ("describe", "reason"):
            assert question_example(scene.scene, question, strategy) in drawn
