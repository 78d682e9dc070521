"""What `vtk.rollout.prompts` gives the model."""

from collections.abc import Callable

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.errors import ConfigError, DataError
from vtk.rollout.prompts import (
    PROMPT_TEMPLATES,
    PromptInputs,
    build_prompt_text,
    collate_prompts,
    prepare_prompt,
    prompt_hash,
)
from vtk.video.frames import Clip

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
MakeClip = Callable[..., Clip]
PROBLEM = "Which event will happen?\nA. the red cube collides with the sphere\nB. none"


@pytest.mark.parametrize("template", PROMPT_TEMPLATES)
def test_prompt_holds_the_question_and_one_token_per_merged_patch(
    tiny: Tiny, make_clip: MakeClip, template: str
) -> None:
    _, processor = tiny
    prompt = prepare_prompt(processor, PROBLEM, make_clip(), template)
    assert prompt.video_grid_thw.tolist() == [[4, 4, 6]]
    assert prompt.pixel_values_videos.shape == (4 * 4 * 6, 3 * 2 * 14 * 14)
    is_video = prompt.input_ids_1P[0] == processor.video_token_id
    assert int(is_video.sum()) == 4 * 4 * 6  # the tiny model does not merge patches
    assert torch.equal(prompt.mm_token_type_ids[0] == 2, is_video)
    text = processor.tokenizer.decode(prompt.input_ids_1P[0], skip_special_tokens=True)
    assert PROBLEM in text
    assert text.rstrip().endswith("assistant")


def test_paper_template_asks_for_both_tags_and_mini_for_nothing() -> None:
    paper = build_prompt_text(PROBLEM, "paper")
    assert paper.startswith(PROBLEM)
    for tag in ("<think>", "</think>", "<answer>", "</answer>"):
        assert tag in paper
    assert build_prompt_text(PROBLEM, "mini") == PROBLEM


def test_braces_in_a_question_are_kept() -> None:
    assert build_prompt_text("{a} and {problem}?", "mini") == "{a} and {problem}?"


def test_prompt_hash_names_the_words() -> None:
    assert prompt_hash("paper") != prompt_hash("mini")
    assert len(prompt_hash("paper")) == 64
    with pytest.raises(ConfigError, match="papper"):
        prompt_hash("papper")


def test_control_tokens_in_a_question_are_refused() -> None:
    with pytest.raises(DataError, match="video_pad"):
        build_prompt_text("What is <|video_pad|>?", "mini")


def test_pixels_are_the_normalised_frames(tiny: Tiny, make_clip: MakeClip) -> None:
    _, processor = tiny
    clip = make_clip(height_px=28, width_px=28, num_frames=2)
    prompt = prepare_prompt(processor, PROBLEM, clip, "mini")
    video = processor.video_processor
    mean, std = (
        torch.tensor(values).view(1, 3, 1, 1) for values in (video.image_mean, video.image_std)
    )
    normal = (clip.frames_FCHW.float() / 255 - mean) / std
    first_patch = prompt.pixel_values_videos[0].view(3, 2, 14, 14)
    assert torch.allclose(first_patch, normal[:, :, :14, :14].transpose(0, 1), atol=1e-5)


def test_temporal_positions_do_not_collapse(tiny: Tiny, make_clip: MakeClip) -> None:
    model, processor = tiny
    clip = make_clip()
    prompt = prepare_prompt(processor, PROBLEM, clip, "mini")
    sampled_fps = len(clip.source_indices) / clip.num_source_frames * clip.source_fps
    expected_s = processor.video_processor.temporal_patch_size / sampled_fps
    assert prompt.second_per_grid_ts.tolist() == pytest.approx([expected_s])
    inputs = prompt.model_inputs()
    del inputs["pixel_values_videos"]
    positions_31P, _ = model.model.get_rope_index(**inputs)
    temporal = positions_31P[0, 0][prompt.mm_token_type_ids[0] == 2]
    steps = temporal.unique() - temporal.min()
    vision = model.model.visual.config
    per_patch = vision.tokens_per_second * expected_s
    assert steps.tolist() == [int(patch * per_patch) for patch in range(4)]


def test_too_long_a_prompt_is_refused_with_its_counts(tiny: Tiny, make_clip: MakeClip) -> None:
    _, processor = tiny
    length = prepare_prompt(processor, PROBLEM, make_clip(), "mini").input_ids_1P.shape[1]
    prepare_prompt(processor, PROBLEM, make_clip(), "mini", max_prompt_tokens=length)
    with pytest.raises(DataError, match=rf"{length} tokens \(96 of video, {length - 96} of text\)"):
        prepare_prompt(processor, PROBLEM, make_clip(), "mini", max_prompt_tokens=length - 1)


@pytest.fixture
def two_prompts(tiny: Tiny, make_clip: MakeClip) -> list[PromptInputs]:
    _, processor = tiny
    return [
        prepare_prompt(processor, "Short?", make_clip(seed=1), "mini"),
        prepare_prompt(processor, PROBLEM, make_clip(seed=2, height_px=28, num_frames=12), "mini"),
    ]


def test_collate_pads_on_the_left(tiny: Tiny, two_prompts: list[PromptInputs]) -> None:
    pad_id = tiny[1].tokenizer.pad_token_id
    batch = collate_prompts(two_prompts, pad_id)
    lengths = [prompt.input_ids_1P.shape[1] for prompt in two_prompts]
    assert batch.num_prompts == 2
    assert batch.prompt_lengths_tokens == lengths
    for row, prompt in enumerate(two_prompts):
        width = prompt.input_ids_1P.shape[1]
        assert torch.equal(batch.input_ids_1P[row, -width:], prompt.input_ids_1P[0])
        assert set(batch.input_ids_1P[row, : max(lengths) - width].tolist()) <= {pad_id}
        assert int(batch.attention_mask_1P[row].sum()) == width
    assert batch.video_grid_thw.tolist() == [[4, 4, 6], [6, 2, 6]]
    assert batch.pixel_values_videos.shape[0] == 4 * 4 * 6 + 6 * 2 * 6


def test_last_logits_of_a_batch_equal_each_prompt_alone(
    tiny: Tiny, two_prompts: list[PromptInputs]
) -> None:
    model, processor = tiny
    batch = collate_prompts(two_prompts, processor.tokenizer.pad_token_id)
    with torch.inference_mode():
        together = model(**batch.model_inputs()).logits[:, -1]
        alone = torch.cat([model(**prompt.model_inputs()).logits[:, -1] for prompt in two_prompts])
    assert torch.allclose(together, alone, atol=1e-4)


def test_the_model_sees_the_video(tiny: Tiny, make_clip: MakeClip) -> None:
    model, processor = tiny
    prompts = [prepare_prompt(processor, PROBLEM, make_clip(seed=seed), "mini") for seed in (1, 2)]
    assert torch.equal(prompts[0].input_ids_1P, prompts[1].input_ids_1P)
    with torch.inference_mode():
        first, second = (model(**prompt.model_inputs()).logits[0, -1] for prompt in prompts)
    assert (first - second).abs().max() > 1e-3
