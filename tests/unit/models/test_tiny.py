"""The tiny model: real classes, small weights, words as single tokens, the same every time."""

import hashlib
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors import safe_open
from transformers import (
    Qwen2_5_VLConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)

from vtk.errors import DataError
from vtk.mini.language import (
    COLLIDE,
    COLORS,
    LETTERS,
    MATERIALS,
    MOMENTS,
    SHAPES,
    WOULD_COLLIDE,
    tokenizer_corpus,
)
from vtk.models import tiny as tiny_module
from vtk.models.tiny import (
    END_TOKENS,
    TINY_FRAME_HEIGHT_PX,
    TINY_FRAME_WIDTH_PX,
    TINY_MERGE,
    TINY_NUM_FRAMES,
    TINY_PATCH_PX,
    build_tiny_config,
    build_tiny_model,
    build_tiny_tokenizer,
    tiny_model_dir,
)
from vtk.rollout.prompts import PromptInputs, prepare_prompt
from vtk.video.frames import Clip

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]

MAX_WEIGHTS_BYTES = 8_000_000
VOCABULARY = """
import hashlib, json
from vtk.models.tiny import build_tiny_tokenizer
print(hashlib.sha256(json.dumps(sorted(build_tiny_tokenizer().get_vocab().items())).encode()).hexdigest())
"""


@pytest.fixture(scope="module")
def tiny() -> Tiny:
    """One model for all tests here; none of them changes it."""
    return build_tiny_model(seed=0)


def prompt_of(processor: Qwen2_5_VLProcessor) -> PromptInputs:
    indices = tuple(range(0, 8 * TINY_NUM_FRAMES, 8))
    generator = torch.Generator().manual_seed(0)
    shape = (TINY_NUM_FRAMES, 3, TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX)
    clip = Clip(
        frames_FCHW=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
        timestamps_s=tuple(index / 25 for index in indices),
        source_fps=25.0,
        num_source_frames=128,
        decoder="none",
        source_indices=indices,
    )
    return prepare_prompt(processor, "Without the red cube, what will happen?", clip, "mini")


def test_classes_are_the_real_ones_and_the_weights_small(tiny: Tiny) -> None:
    model, processor = tiny
    assert type(model) is Qwen2_5_VLForConditionalGeneration
    assert type(processor) is Qwen2_5_VLProcessor
    num_parameters = sum(parameter.numel() for parameter in model.parameters())
    assert 1_000_000 < num_parameters < MAX_WEIGHTS_BYTES / 4
    assert model.lm_head.weight is model.get_input_embeddings().weight


def test_config_and_tokenizer_name_the_same_tokens(tiny: Tiny) -> None:
    model, processor = tiny
    config: Any = model.config
    tokenizer = processor.tokenizer
    assert len(tokenizer) <= config.text_config.vocab_size

    def token(index: int) -> str:
        name = tokenizer.convert_ids_to_tokens(index)
        assert isinstance(name, str)
        return name

    assert token(config.video_token_id) == "<|video_pad|>" == processor.video_token
    assert token(config.image_token_id) == "<|image_pad|>" == processor.image_token
    assert token(config.vision_start_token_id) == "<|vision_start|>"
    assert token(config.vision_end_token_id) == "<|vision_end|>"
    assert token(tokenizer.eos_token_id) == "<|im_end|>" == tokenizer.eos_token
    assert token(tokenizer.pad_token_id) == "<|endoftext|>" == tokenizer.pad_token
    generation = model.generation_config
    assert [token(index) for index in generation.eos_token_id] == list(END_TOKENS)
    assert generation.pad_token_id == tokenizer.pad_token_id


def test_a_clip_becomes_whole_tokens(tiny: Tiny) -> None:
    model, processor = tiny
    prompt = prompt_of(processor)
    cell_px = TINY_PATCH_PX * TINY_MERGE
    assert TINY_FRAME_HEIGHT_PX % cell_px == TINY_FRAME_WIDTH_PX % cell_px == 0
    rows, columns = TINY_FRAME_HEIGHT_PX // cell_px, TINY_FRAME_WIDTH_PX // cell_px
    expected = TINY_NUM_FRAMES // 2 * rows * columns
    assert int((prompt.input_ids_1P == model.config.video_token_id).sum()) == expected
    with torch.no_grad():
        logits = model(**prompt.model_inputs()).logits
    assert logits.shape == (*prompt.input_ids_1P.shape, model.lm_head.out_features)
    assert torch.isfinite(logits).all()


def test_processor_survives_being_saved(tiny: Tiny, tmp_path: Path) -> None:
    processor = tiny[1]
    processor.save_pretrained(tmp_path)
    loaded = Qwen2_5_VLProcessor.from_pretrained(tmp_path)
    before, after = (prompt_of(each).model_inputs() for each in (processor, loaded))
    for name, tensor in before.items():
        assert torch.equal(tensor, after[name]), name
    assert loaded.tokenizer.get_vocab() == processor.tokenizer.get_vocab()
    assert loaded.tokenizer.padding_side == processor.tokenizer.padding_side


def test_the_chat_has_no_system_turn(tiny: Tiny) -> None:
    content = [{"type": "video"}, {"type": "text", "text": "Why?"}]
    messages: list[Any] = [
        {"role": "user", "content": content},
        {"role": "assistant", "content": "A"},
    ]
    text = tiny[1].apply_chat_template(
        messages,
        tokenize=False,
        add_generation_prompt=True,
    )
    assert text == (
        "<|im_start|>user\n<|vision_start|><|video_pad|><|vision_end|>Why?<|im_end|>\n"
        "<|im_start|>assistant\nA<|im_end|>\n<|im_start|>assistant\n"
    )


def test_every_text_comes_back_from_its_tokens(tiny: Tiny) -> None:
    tokenizer = tiny[1].tokenizer
    texts = [*tokenizer_corpus(), "Ünïcödé ✓ 日本 \t\n tail", "12 + 3 = 15; it's <think> not"]
    assert len(texts) > 1000
    for text in texts:
        assert tokenizer.decode(tokenizer(text).input_ids) == text


def test_words_are_single_tokens(tiny: Tiny) -> None:
    tokenizer = tiny[1].tokenizer
    spaced = [*COLORS, *MATERIALS, *SHAPES, "object", "the", "yes", "no"]
    spaced += ["collides", "collide", "with", "will", "happen", "not", "removed", "without"]
    spaced += ["see", *LETTERS[:2], *MOMENTS]
    bare = [
        "Without",
        "The",
        "If",
        "What",
        "Which",
        "I",
        *LETTERS[:3],
        *"0123456789",
        ",",
        ".",
        "\n",
    ]
    bare += [f"{mark}{color}" for mark in (COLLIDE, WOULD_COLLIDE) for color in COLORS]
    tags = ["<think>", "</think>", "<answer>", "</answer>", *END_TOKENS, "<|video_pad|>"]
    for word in [*(f" {word}" for word in spaced), *bare, *tags]:
        assert len(tokenizer(word).input_ids) == 1, word


def test_a_seed_decides_the_weights_and_nothing_else_moves(tiny: Tiny) -> None:
    torch.manual_seed(5)
    state = torch.get_rng_state()
    again, other = build_tiny_model(seed=0)[0], build_tiny_model(seed=1)[0]
    assert torch.equal(torch.get_rng_state(), state)
    for (name, one), two in zip(
        tiny[0].state_dict().items(), again.state_dict().values(), strict=True
    ):
        assert torch.equal(one, two), name
    assert not torch.equal(other.lm_head.weight, tiny[0].lm_head.weight)


@pytest.mark.slow
def test_the_vocabulary_does_not_depend_on_the_process() -> None:
    vocabulary = json.dumps(sorted(build_tiny_tokenizer().get_vocab().items()))
    expected = hashlib.sha256(vocabulary.encode()).hexdigest()
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        done = subprocess.run(
            [sys.executable, "-c", VOCABULARY], env=environment, capture_output=True, text=True
        )
        assert done.stdout.strip() == expected, done.stderr


def test_missing_weights_are_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tiny_module, "__file__", str(tmp_path / "tiny.py"))
    with pytest.raises(DataError, match="missing") as caught:
        tiny_model_dir()
    assert "vtk mini pretrain" in str(caught.value.hint)


def test_the_shipped_weights_fit_this_architecture(tiny: Tiny) -> None:
    folder = tiny_model_dir()
    path = folder / "model.safetensors"
    assert path.stat().st_size <= MAX_WEIGHTS_BYTES
    with safe_open(path, framework="pt") as stored:
        shapes = {name: tuple(stored.get_slice(name).get_shape()) for name in stored.keys()}  # noqa: SIM118
        dtypes = {stored.get_slice(name).get_dtype() for name in stored.keys()}  # noqa: SIM118
    assert dtypes == {"F32"}
    own = {name: tuple(tensor.shape) for name, tensor in tiny[0].state_dict().items()}
    own.pop("lm_head.weight")  # tied
    assert len(shapes) == len(own)
    assert sorted(shapes.values()) == sorted(own.values())
    config = Qwen2_5_VLConfig.from_pretrained(folder)
    expected = build_tiny_config(tiny[1].tokenizer)
    for part in ("text_config", "vision_config"):
        stated, wanted = getattr(config, part).to_dict(), getattr(expected, part).to_dict()
        for name in ("hidden_size", "intermediate_size"):
            assert stated[name] == wanted[name]
    processor = Qwen2_5_VLProcessor.from_pretrained(folder)
    assert processor.tokenizer.get_vocab() == tiny[1].tokenizer.get_vocab()
