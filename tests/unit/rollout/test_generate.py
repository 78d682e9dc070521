"""The reference engine: right rows, explicit sampling, honest ends, no trace on the caller."""

from collections.abc import Callable
from typing import Any

import pytest
import torch
from peft import LoraConfig, get_peft_model
from transformers import GenerationConfig, Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.errors import ConfigError, Interrupted
from vtk.rollout.generate import (
    Rollout,
    SamplingSettings,
    build_rollout,
    end_token_ids,
    generate,
)
from vtk.rollout.prompts import PromptInputs, collate_prompts, prepare_prompt
from vtk.video.frames import Clip

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
MakeClip = Callable[..., Clip]
GREEDY = SamplingSettings(max_completion_tokens=12, temperature=0.0)
SAMPLED = SamplingSettings(max_completion_tokens=12)


@pytest.fixture
def prompts(tiny: Tiny, make_clip: MakeClip) -> list[PromptInputs]:
    """Two prompts of unequal text, frame count and frame size."""
    _, processor = tiny
    return [
        prepare_prompt(processor, "What?\nA. red\nB. blue", make_clip(seed=1), "mini"),
        prepare_prompt(
            processor,
            "Which event will not happen without the sphere?\nA. none",
            make_clip(seed=2, num_frames=12, height_px=28),
            "mini",
        ),
    ]


@pytest.fixture
def batch(tiny: Tiny, prompts: list[PromptInputs]) -> PromptInputs:
    pad_id = tiny[1].tokenizer.pad_token_id
    assert isinstance(pad_id, int)
    return collate_prompts(prompts, pad_id)


def test_greedy_batch_equals_each_prompt_alone(
    tiny: Tiny, prompts: list[PromptInputs], batch: PromptInputs
) -> None:
    together = generate(*tiny, batch, GREEDY, num_generations=3, generator_seed=None)
    alone = [generate(*tiny, prompt, GREEDY, 1, None).completion_ids[0] for prompt in prompts]
    assert alone[0] != alone[1]
    assert together.completion_ids == [alone[0]] * 3 + [alone[1]] * 3


def test_sampled_rows_are_prompt_major_and_see_their_own_video(
    tiny: Tiny, batch: PromptInputs
) -> None:
    """At top_k 1 sampling is greedy, but takes the path that repeats the prompts G times."""
    top_1 = SamplingSettings(max_completion_tokens=12, top_k=1)
    sampled = generate(*tiny, batch, top_1, num_generations=3, generator_seed=0)
    greedy = generate(*tiny, batch, GREEDY, num_generations=3, generator_seed=None)
    assert sampled.completion_ids == greedy.completion_ids


def test_rows_follow_the_library_forward(tiny: Tiny, prompts: list[PromptInputs]) -> None:
    """Each greedy token is the arg-max of a full forward over prompt and completion so far."""
    model, _ = tiny
    prompt = prompts[0]
    completion = generate(*tiny, prompt, GREEDY, 1, None).completion_ids[0]
    inputs = prompt.model_inputs()
    tail = torch.tensor([completion])
    inputs["input_ids"] = torch.cat([inputs["input_ids"], tail], dim=1)
    inputs["attention_mask"] = torch.cat([inputs["attention_mask"], torch.ones_like(tail)], dim=1)
    inputs["mm_token_type_ids"] = torch.cat(
        [inputs["mm_token_type_ids"], torch.zeros_like(tail, dtype=torch.int32)], dim=1
    )
    with torch.inference_mode():
        logits = model(**inputs).logits[0]
    predicted = logits[prompt.input_ids_1P.shape[1] - 1 : -1].argmax(dim=-1)
    assert predicted.tolist() == completion


def test_seed_decides_the_draw_and_leaves_the_random_state(tiny: Tiny, batch: PromptInputs) -> None:
    torch.manual_seed(11)
    before = torch.get_rng_state()
    first = generate(*tiny, batch, SAMPLED, 3, generator_seed=5)
    assert torch.equal(torch.get_rng_state(), before)
    torch.manual_seed(12)
    assert generate(*tiny, batch, SAMPLED, 3, generator_seed=5) == first
    assert generate(*tiny, batch, SAMPLED, 3, generator_seed=6) != first


def test_group_is_diverse_whatever_the_checkpoint_says(tiny: Tiny, batch: PromptInputs) -> None:
    """Qwen2.5-VL's own generation config would make every completion of a group the same."""
    model, processor = tiny
    original = model.generation_config
    model.generation_config = GenerationConfig.from_dict(
        {
            "do_sample": True,
            "temperature": 1e-6,
            "top_k": 1,
            "top_p": 0.001,
            "repetition_penalty": 1.05,
            "no_repeat_ngram_size": 1,
            "max_length": 20,
            "eos_token_id": original.eos_token_id,
        }
    )
    checkpoint_config = model.generation_config
    try:
        rollout = generate(model, processor, batch, SAMPLED, 4, generator_seed=0)
        assert model.generation_config is checkpoint_config
    finally:
        model.generation_config = original
    assert len({tuple(row) for row in rollout.completion_ids[:4]}) == 4
    assert rollout == generate(*tiny, batch, SAMPLED, 4, generator_seed=0)


def test_completions_end_at_the_first_end_token_or_are_truncated(tiny: Tiny) -> None:
    _, processor = tiny
    end_ids = end_token_ids(tiny[0], processor)
    im_end, endoftext = (
        processor.tokenizer.convert_tokens_to_ids(token)
        for token in ("<|im_end|>", "<|endoftext|>")
    )
    assert end_ids == {im_end, endoftext}
    words = processor.tokenizer("A,B").input_ids
    rows = [[*words, im_end, endoftext], [*words, endoftext, *words], [*words, *words], [im_end]]
    rollout = build_rollout(rows, end_ids, processor)
    assert rollout == Rollout(
        completion_ids=[[*words, im_end], [*words, endoftext], [*words, *words], [im_end]],
        texts=["A,B", "A,B", "A,BA,B", ""],
        truncated=[False, False, True, False],
    )


def test_both_end_tokens_stop_the_sampling(tiny: Tiny, batch: PromptInputs) -> None:
    model, processor = tiny
    end_ids = end_token_ids(model, processor)
    long = SamplingSettings(max_completion_tokens=48, temperature=2.0)
    rollout = generate(model, processor, batch, long, 24, generator_seed=1)
    last = {
        row[-1]
        for row, cut in zip(rollout.completion_ids, rollout.truncated, strict=True)
        if not cut
    }
    assert last == end_ids
    for row, cut in zip(rollout.completion_ids, rollout.truncated, strict=True):
        assert not end_ids & set(row[:-1])
        assert len(row) == 48 if cut else row[-1] in end_ids


@pytest.mark.parametrize("max_tokens", [1, 3])
def test_length_bound(tiny: Tiny, batch: PromptInputs, max_tokens: int) -> None:
    rollout = generate(*tiny, batch, SamplingSettings(max_tokens), 2, generator_seed=0)
    assert max(len(row) for row in rollout.completion_ids) <= max_tokens


def test_stop_request_leaves_the_loop(tiny: Tiny, batch: PromptInputs) -> None:
    model, processor = tiny
    polls: list[int] = []

    def should_stop() -> bool:
        polls.append(1)
        return len(polls) == 4

    config = model.generation_config
    with pytest.raises(Interrupted):
        generate(model, processor, batch, SAMPLED, 2, generator_seed=0, should_stop=should_stop)
    assert len(polls) == 4
    assert model.generation_config is config


def test_modes_come_back_and_dropout_is_off(tiny: Tiny, batch: PromptInputs) -> None:
    model, processor = tiny
    expected = generate(model, processor, batch, GREEDY, 1, None)
    model.train(True)
    model.model.visual.train(False)
    before = [module.training for module in model.modules()]
    try:
        assert generate(model, processor, batch, GREEDY, 1, None) == expected
        assert [module.training for module in model.modules()] == before
    finally:
        model.train(False)


# peft 0.21 reads a property that transformers 5.23 renamed (huggingface/peft: peft_model.py).
@pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning")
def test_adapter_is_sampled_from(tiny: Tiny, batch: PromptInputs) -> None:
    model, processor = tiny
    expected = generate(model, processor, batch, GREEDY, 1, None)
    config = LoraConfig(r=4, target_modules=["q_proj", "v_proj"], init_lora_weights=False)
    adapted = get_peft_model(model, config)
    try:
        assert generate(adapted, processor, batch, GREEDY, 1, None) != expected
        with adapted.disable_adapter():
            assert generate(adapted, processor, batch, GREEDY, 1, None) == expected
    finally:
        adapted.unload()


@pytest.mark.parametrize(
    "fields",
    [
        {"max_completion_tokens": 0},
        {"temperature": -1.0},
        {"top_p": 0.0},
        {"top_k": -1},
        {"min_p": 2.0},
    ],
)
def test_impossible_sampling_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(ConfigError, match=next(iter(fields))):
        SamplingSettings(**{"max_completion_tokens": 8, **fields})
