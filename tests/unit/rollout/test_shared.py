"""The shared engine gives the reference engine's tokens, and computes each prompt once."""

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.errors import Interrupted
from vtk.rollout import shared
from vtk.rollout.embeddings import video_features
from vtk.rollout.generate import SamplingSettings, generate
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.rollout.shared import Part, generate_shared
from vtk.video.frames import Clip

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
MakeClip = Callable[..., Clip]


@pytest.fixture
def batch(tiny: Tiny, make_clip: MakeClip) -> PromptInputs:
    """Three prompts of unequal text, frame count and frame size."""
    _, processor = tiny
    questions = ["What?\nA. red", "Which event will not happen without the sphere?\nA. none", "A?"]
    sizes: list[dict[str, int]] = [{}, {"num_frames": 12, "height_px": 28}, {"width_px": 56}]
    prompts = [
        prepare_prompt(processor, question, make_clip(seed=seed, **size), "mini")
        for seed, (question, size) in enumerate(zip(questions, sizes, strict=True))
    ]
    pad_id = processor.tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    return collate_prompts(prompts, pad_id)


# Both engines draw with exponential noise over all rows (torch.multinomial does inside), so even
# sampled tokens are the same; at temperature 3 rows end early and leave the shared engine's batch.
@pytest.mark.parametrize(
    "sampling",
    [
        SamplingSettings(24, temperature=0.0),
        SamplingSettings(24, temperature=0.0, repetition_penalty=1.3),
        SamplingSettings(24),
        SamplingSettings(160, temperature=3.0),
        SamplingSettings(24, 0.7, top_p=0.9, top_k=30, min_p=0.05, repetition_penalty=1.1),
        SamplingSettings(1),
    ],
)
def test_tokens_equal_the_reference_engine(
    tiny: Tiny, batch: PromptInputs, sampling: SamplingSettings
) -> None:
    expected = generate(*tiny, batch, sampling, num_generations=5, generator_seed=3)
    assert generate_shared(*tiny, batch, sampling, 5, 3) == expected
    static = generate_shared(*tiny, batch, sampling, 5, 3, is_static=True)
    assert static.completion_ids == expected.completion_ids


@pytest.mark.parametrize("sampling", [SamplingSettings(24), SamplingSettings(160, temperature=3.0)])
def test_parts_draw_what_the_whole_draws(
    tiny: Tiny, batch: PromptInputs, sampling: SamplingSettings
) -> None:
    whole = generate_shared(*tiny, batch, sampling, 4, 3)
    for num_rows in (8, 4, 2, 1):  # two prompts, one prompt, part of one prompt's completions
        drawn = []
        for first in range(0, 12, num_rows):
            last = min(first + num_rows, 12)
            prompts = batch.part(first // 4, -(-last // 4))
            part = Part(first, 12)
            count = min(4, num_rows)
            drawn += generate_shared(*tiny, prompts, sampling, count, 3, part=part).completion_ids
        assert drawn == whole.completion_ids


def test_a_part_of_a_batch_holds_its_own_clips(
    tiny: Tiny, batch: PromptInputs, make_clip: MakeClip
) -> None:
    features_VH = video_features(tiny[0], batch).detach()
    parts = [replace(batch, video_features_VH=features_VH).part(n, n + 1) for n in range(3)]
    for part in parts:
        own_VH = video_features(tiny[0], part).detach()
        assert part.video_features_VH is not None
        torch.testing.assert_close(part.video_features_VH, own_VH)
    assert batch.part(0, 2).video_features_VH is None
    pixels = torch.cat([part.pixel_values_videos for part in parts])
    assert torch.equal(pixels, batch.pixel_values_videos)
    assert [part.num_prompts for part in parts] == [1, 1, 1]
    assert torch.equal(parts[2].video_grid_thw, batch.video_grid_thw[2:])
    assert len({part.pixel_values_videos.shape[0] for part in parts}) > 1


@pytest.mark.parametrize(
    "sampling",
    [SamplingSettings(24, 0.7, top_p=0.9, top_k=30, repetition_penalty=1.1), SamplingSettings(24)],
)
def test_drawn_log_probabilities_are_those_of_the_scored_forward(
    tiny: Tiny, batch: PromptInputs, sampling: SamplingSettings
) -> None:
    from vtk.train.forward import ScoringBatch, pad_completions, score_completions

    rollout = generate_shared(*tiny, batch, sampling, 4, 3)
    ids_NL, mask_NL = pad_completions(rollout.completion_ids, [], 0)
    with torch.no_grad():
        scored_NL = score_completions(
            tiny[0], ScoringBatch(batch, ids_NL, mask_NL), sampling.temperature
        ).logps_NL
    assert rollout.logps is not None
    assert len(rollout.logps) == 12
    for row, ids, scored in zip(rollout.logps, rollout.completion_ids, scored_NL, strict=True):
        assert len(row) == len(ids)
        torch.testing.assert_close(torch.tensor(row), scored[: len(row)], rtol=0, atol=1e-4)


def test_rows_that_ended_leave_the_batch(
    tiny: Tiny, batch: PromptInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    make_step = shared._step

    def counted(model: Any, states: Any) -> Any:
        forward = make_step(model, states)

        def step(token_M: torch.Tensor, position_M: torch.Tensor) -> torch.Tensor:
            sizes.append(token_M.shape[0])
            return forward(token_M, position_M)

        return step

    monkeypatch.setattr(shared, "_step", counted)
    rollout = generate_shared(*tiny, batch, SamplingSettings(160, temperature=3.0), 5, 3)
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] == 15
    assert sizes[-1] < 15
    assert len(sizes) == max(len(row) for row in rollout.completion_ids) - 1


def test_each_prompt_is_computed_once(tiny: Tiny, batch: PromptInputs) -> None:
    model, _ = tiny
    patches: list[int] = []
    prompt_tokens: list[int] = []
    hooks = [
        model.model.visual.register_forward_pre_hook(
            lambda _, arguments: patches.append(arguments[0].shape[0])
        ),
        model.model.language_model.layers[0].register_forward_pre_hook(
            lambda _, arguments: prompt_tokens.append(arguments[0].shape[0] * arguments[0].shape[1])
        ),
    ]
    generate_shared(*tiny, batch, SamplingSettings(4), num_generations=5, generator_seed=0)
    for hook in hooks:
        hook.remove()
    assert patches == [batch.pixel_values_videos.shape[0]]
    assert prompt_tokens[0] == sum(batch.prompt_lengths_tokens)  # no padding


def test_random_state_and_stop_request(tiny: Tiny, batch: PromptInputs) -> None:
    before = torch.get_rng_state()
    with pytest.raises(Interrupted):
        generate_shared(*tiny, batch, SamplingSettings(8), 2, 0, should_stop=lambda: True)
    assert torch.equal(torch.get_rng_state(), before)
