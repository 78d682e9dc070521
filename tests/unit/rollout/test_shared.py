"""The shared engine gives the reference engine's tokens, and computes each prompt once."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.errors import Interrupted
from vtk.rollout import shared
from vtk.rollout.generate import SamplingSettings, generate
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.rollout.shared import generate_shared
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


def test_rows_that_ended_leave_the_batch(
    tiny: Tiny, batch: PromptInputs, monkeypatch: pytest.MonkeyPatch
) -> None:
    sizes: list[int] = []
    forward = shared._forward

    def counted(model: Any, rows: Any, token_M: torch.Tensor) -> None:
        sizes.append(token_M.shape[0])
        forward(model, rows, token_M)

    monkeypatch.setattr(shared, "_forward", counted)
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
