"""What a vLLM engine is called with: its own arguments, requests and sampling. No engine here.

The clip is decoded and sized by vtk and handed over as frames with their metadata, and the engine's
processor is told to neither sample nor resize, so that the model is shown exactly what transformers
would show it.
"""

from collections.abc import Iterable
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from vtk.evals.settings import EvaluationSettings
from vtk.rollout.prompts import chat_text, video_metadata
from vtk.video.frames import TEMPORAL_PATCH_FRAMES, Clip

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

VLLM: Final = "vllm"
_MAX_TEXT_TOKENS: Final = 4096
_NO_CHANGES: Final = {"do_resize": False, "do_sample_frames": False}


def group_px(processor: "Qwen2_5_VLProcessor") -> int:
    """Height and width of what one visual token stands for, in pixels."""
    shown = processor.video_processor
    return int(shown.patch_size * shown.merge_size)


def longest_tokens(settings: Iterable[EvaluationSettings], per_token_px: int) -> int:
    """Tokens that the longest prompt and its completion can have, which decides the cache.

    Args:
        settings: Of everything that will be asked.
        per_token_px: See `group_px`.
    """
    return max(
        _longest_prompt(one, per_token_px) + one.sampling.max_completion_tokens for one in settings
    )


def _longest_prompt(settings: EvaluationSettings, per_token_px: int) -> int:
    frames = settings.frames
    pairs = -(-frames.num_frames // TEMPORAL_PATCH_FRAMES)
    needed = pairs * (frames.max_pixels_px // per_token_px**2) + _MAX_TEXT_TOKENS
    bound = settings.max_prompt_tokens
    return needed if bound is None else min(needed, bound)


def engine_arguments(path: Path | str, dtype: str, max_tokens: int, seed: int) -> dict[str, Any]:
    """The keyword arguments of `vllm.LLM`.

    Args:
        path: A whole model: a folder or a hub id.
        dtype: float32 or bfloat16.
        max_tokens: See `longest_tokens`.
        seed: Of the engine; each request has its own besides.
    """
    return {
        "model": str(path),
        "dtype": dtype,
        "seed": seed,
        "max_model_len": max_tokens,
        "limit_mm_per_prompt": {"video": 1, "image": 0},
        "mm_processor_kwargs": _NO_CHANGES,
        "generation_config": VLLM,  # not the checkpoint's own temperature
        "trust_remote_code": False,
    }


def sampling_arguments(
    settings: EvaluationSettings, end_ids: frozenset[int], seed: int
) -> dict[str, Any]:
    """The keyword arguments of `vllm.SamplingParams` for one question.

    Args:
        settings: How completions are drawn; greedy draws are all the same and made once.
        end_ids: Tokens that end a completion.
        seed: Decides the draws.
    """
    sampling = settings.sampling
    return {
        "n": 1 if sampling.is_greedy else settings.num_draws,
        "temperature": sampling.temperature,
        "top_p": sampling.top_p,
        "top_k": sampling.top_k,
        "min_p": sampling.min_p,
        "repetition_penalty": sampling.repetition_penalty,
        "max_tokens": sampling.max_completion_tokens,
        "stop_token_ids": sorted(end_ids),
        "seed": None if sampling.is_greedy else seed,
    }


def request_of(processor: "Qwen2_5_VLProcessor", words: str, clip: Clip) -> dict[str, Any]:
    """One question as `vllm.LLM.generate` takes it.

    Args:
        processor: Has the chat's template.
        words: The user turn after the video.
        clip: Frames that are already sampled and sized.
    """
    frames_FHWC = clip.frames_FCHW.permute(0, 2, 3, 1).contiguous().numpy()
    return {
        "prompt": chat_text(processor, words),
        "multi_modal_data": {"video": [(frames_FHWC, video_metadata(clip))]},
    }
