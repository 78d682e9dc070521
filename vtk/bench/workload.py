"""The computations that are measured: a model of the real architecture with random weights, one
batch of prompts with clips, and completions of given lengths.

Random weights are as fast as trained ones; nothing here says anything about quality.

Shape letters: B prompts, G completions per prompt, P prompt tokens, L completion tokens.
"""

from dataclasses import dataclass
from typing import Any

import torch
from transformers import GenerationConfig, Qwen2_5_VLConfig, Qwen2_5_VLForConditionalGeneration

from vtk.models.tiny import build_tiny_config, build_tiny_tokenizer
from vtk.rollout.prompts import PromptInputs
from vtk.train.forward import ScoringBatch

_SPECIAL_IDS = {"vision_start": 1, "vision_end": 2, "image": 3, "video": 4, "end": 5, "pad": 6}
_TEXT_IDS = (16, 256)  # of no model a special token
_SECONDS_PER_PATCH = 1.0


@dataclass(frozen=True, slots=True)
class Workload:
    """One size of problem.

    Attributes:
        name: What it is called on the command line.
        what: In words.
        model: Which config: "tiny", "small" or "3b".
        num_prompts: B.
        num_generations: G.
        num_frames: Frames of each clip; two make one patch in time.
        height_px: Of a frame; a multiple of patch size times merge size.
        width_px: Likewise.
        num_text_tokens: Tokens of a prompt that are not video.
        completion_length: L, the same for every completion, since the library's generation cannot
            be told to end rows at different places.
    """

    name: str
    what: str
    model: str
    num_prompts: int
    num_generations: int
    num_frames: int
    height_px: int
    width_px: int
    num_text_tokens: int
    completion_length: int


WORKLOADS = {
    one.name: one
    for one in (
        Workload(
            "tiny",
            "one step of the preset tiny: clevrer-mini clips, six prompts",
            model="tiny",
            num_prompts=6,
            num_generations=8,
            num_frames=16,
            height_px=56,
            width_px=84,
            num_text_tokens=60,
            completion_length=40,
        ),
        Workload(
            "short",
            "a short clip for a quick look",
            model="small",
            num_prompts=1,
            num_generations=8,
            num_frames=4,
            height_px=224,
            width_px=392,
            num_text_tokens=40,
            completion_length=64,
        ),
        Workload(
            "published",
            "the published training shape: CLEVRER at 10 frames of 476x308, 8 completions of 300 "
            "tokens; a small model",
            model="small",
            num_prompts=1,
            num_generations=8,
            num_frames=10,
            height_px=308,
            width_px=476,
            num_text_tokens=160,
            completion_length=300,
        ),
        Workload(
            "3b",
            "the published training shape with Qwen2.5-VL-3B's config; needs a GPU",
            model="3b",
            num_prompts=1,
            num_generations=8,
            num_frames=10,
            height_px=308,
            width_px=476,
            num_text_tokens=160,
            completion_length=300,
        ),
    )
}
"""By name. The published shape is that of github.com/falonss703/VideoThinker with qwen-vl-utils'
defaults on CLEVRER's 480x320 clips of 5.12 s."""


def build_model(name: str, device: torch.device, dtype: torch.dtype, seed: int = 0) -> Any:
    """A Qwen2.5-VL model with random weights, made on its device.

    Args:
        name: "tiny" (2 million parameters), "small" (9 million, with the real patch merging and
            window attention) or "3b" (Qwen2.5-VL-3B's numbers).
        device: Where.
        dtype: Number format.
        seed: Of the weights.
    """
    config = build_tiny_config(build_tiny_tokenizer()) if name == "tiny" else _CONFIGS[name]()
    with torch.random.fork_rng(devices=[device] if device.type == "cuda" else []), device:
        torch.manual_seed(seed)
        default = torch.get_default_dtype()
        torch.set_default_dtype(dtype)
        try:
            model: Any = Qwen2_5_VLForConditionalGeneration(config)
        finally:
            torch.set_default_dtype(default)
    # No token has this number, so every completion has its full length.
    end = model.config.text_config.vocab_size
    model.generation_config = GenerationConfig.from_dict(
        {"eos_token_id": end, "pad_token_id": model.config.text_config.pad_token_id}
    )
    return model.eval()


def build_prompts(workload: Workload, model: Any, seed: int = 0) -> PromptInputs:
    """B prompts of the same length about random pixels, on the model's device."""
    config, generator = model.config, torch.Generator().manual_seed(seed)
    vision, num_prompts = config.vision_config, workload.num_prompts
    grid = (
        workload.num_frames // vision.temporal_patch_size,
        workload.height_px // vision.patch_size,
        workload.width_px // vision.patch_size,
    )
    num_patches = grid[0] * grid[1] * grid[2]
    num_video = num_patches // vision.spatial_merge_size**2
    num_values = 3 * vision.temporal_patch_size * vision.patch_size**2
    num_before = workload.num_text_tokens // 4
    length = workload.num_text_tokens + num_video
    ids_BP = torch.randint(*_TEXT_IDS, (num_prompts, length), generator=generator)
    ids_BP[:, num_before - 1] = config.vision_start_token_id
    ids_BP[:, num_before : num_before + num_video] = config.video_token_id
    is_video_BP = ids_BP == config.video_token_id
    pixels = torch.randn(num_prompts * num_patches, num_values, generator=generator)
    prompts = PromptInputs(
        input_ids_1P=ids_BP,
        attention_mask_1P=torch.ones_like(ids_BP),
        mm_token_type_ids=2 * is_video_BP.long(),
        pixel_values_videos=pixels.to(model.dtype),
        video_grid_thw=torch.tensor([grid] * num_prompts),
        second_per_grid_ts=torch.full((num_prompts,), _SECONDS_PER_PATCH),
    )
    return prompts.to(model.device)


def build_batch(prompts: PromptInputs, lengths: list[int], seed: int = 1) -> ScoringBatch:
    """Random completions of given lengths, N = len(lengths) in prompt-major order."""
    generator = torch.Generator().manual_seed(seed)
    shape = (len(lengths), max(lengths))
    ids_NL = torch.randint(*_TEXT_IDS, shape, generator=generator)
    mask_NL = (torch.arange(shape[1]) < torch.tensor(lengths).unsqueeze(1)).long()
    device = prompts.input_ids_1P.device
    return ScoringBatch(prompts, ids_NL.to(device), mask_NL.to(device))


def _small_config() -> Qwen2_5_VLConfig:
    """Nine million parameters with Qwen2.5-VL's merging, windows and grouped-query attention."""
    return Qwen2_5_VLConfig(
        text_config=_text_config(
            vocab_size=8192,
            hidden_size=256,
            intermediate_size=704,
            num_hidden_layers=6,
            num_attention_heads=8,
            num_key_value_heads=2,
            mrope_section=[4, 6, 6],
        ),
        vision_config={
            "depth": 6,
            "hidden_size": 160,
            "intermediate_size": 448,
            "num_heads": 4,
            "out_hidden_size": 256,
            "fullatt_block_indexes": [2, 5],
        },
        **_token_ids(),
    )


def _3b_config() -> Qwen2_5_VLConfig:
    """The numbers of huggingface.co/Qwen/Qwen2.5-VL-3B-Instruct's config.json."""
    return Qwen2_5_VLConfig(
        text_config=_text_config(
            vocab_size=151936,
            hidden_size=2048,
            intermediate_size=11008,
            num_hidden_layers=36,
            num_attention_heads=16,
            num_key_value_heads=2,
            mrope_section=[16, 24, 24],
        ),
        vision_config={
            "depth": 32,
            "hidden_size": 1280,
            "intermediate_size": 3420,
            "num_heads": 16,
            "out_hidden_size": 2048,
            "fullatt_block_indexes": [7, 15, 23, 31],
        },
        **_token_ids(),
    )


def _text_config(mrope_section: list[int], **sizes: int) -> dict[str, Any]:
    rope = {"rope_type": "default", "rope_theta": 1e6, "mrope_section": mrope_section}
    ids = {"eos_token_id": _SPECIAL_IDS["end"], "pad_token_id": _SPECIAL_IDS["pad"]}
    shared = {"rope_parameters": rope, "tie_word_embeddings": True, "bos_token_id": None}
    return {**sizes, **shared, **ids, "max_position_embeddings": 32768}


def _token_ids() -> dict[str, Any]:
    return {
        "vision_start_token_id": _SPECIAL_IDS["vision_start"],
        "vision_end_token_id": _SPECIAL_IDS["vision_end"],
        "image_token_id": _SPECIAL_IDS["image"],
        "video_token_id": _SPECIAL_IDS["video"],
        "tie_word_embeddings": True,
    }


_CONFIGS = {"small": _small_config, "3b": _3b_config}
