"""From a question and a clip to the tensors that the model is called with.

The real processor does the work; this file decides what it is given. Two things go wrong silently
without it: the temporal positions of a clip collapse onto one instant unless the frames' metadata
reach the processor, and cutting a long prompt removes video tokens while their pixels stay.

Shape letters: B prompts, P prompt tokens (padded on the left), F frames, C H W.
"""

import hashlib
import json
import re
from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import torch
from torch import Tensor

from vtk.errors import ConfigError, DataError
from vtk.hints import nearest_hint
from vtk.video.frames import Clip

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLProcessor

PROMPT_TEMPLATES = {
    "paper": (
        "{problem}\n"
        "Work the question out step by step before answering: what happens in the video, and "
        "what would follow from it. Write the reasoning between <think> and </think>. Then write "
        "only the letter of the correct option between <answer> and </answer>; if several options "
        'are correct, write all of their letters separated by ",".'
    ),
    "mini": "{problem}",
}
"""What the user turn says after the video. "paper" asks for what the published prompt asks for
(github.com/falonss703/VideoThinker, src/open_r1/grpo.py), in other words."""

AS_IT_IS = "mini"
"""The template that adds nothing."""

_CONTROL_TOKEN = re.compile(r"<\|[^|<>\s]*\|>")


@dataclass(frozen=True)
class PromptInputs:
    """Tensors of one prompt, or of B prompts after `collate_prompts`.

    Attributes:
        input_ids_1P: token ids, int64; one row a prompt, padded on the left.
        attention_mask_1P: 1 for prompt tokens, 0 for padding.
        mm_token_type_ids: like the ids; 0 text, 2 video.
        pixel_values_videos: normalised patches of all clips one after another (patches, values).
        video_grid_thw: (clips, 3) temporal patches, height patches, width patches.
        second_per_grid_ts: (clips,) seconds that one temporal patch spans.
        video_features_VH: a frozen vision tower's output for the clips, (visual tokens, hidden
            size), where it was computed before; else None.
    """

    input_ids_1P: Tensor
    attention_mask_1P: Tensor
    mm_token_type_ids: Tensor
    pixel_values_videos: Tensor
    video_grid_thw: Tensor
    second_per_grid_ts: Tensor
    video_features_VH: Tensor | None = None

    @property
    def num_prompts(self) -> int:
        """Number of rows, B."""
        return self.input_ids_1P.shape[0]

    @property
    def prompt_lengths_tokens(self) -> list[int]:
        """Tokens of each prompt without its padding."""
        lengths: list[int] = self.attention_mask_1P.sum(dim=1).tolist()
        return lengths

    def to(self, device: torch.device | str) -> "PromptInputs":
        """The same prompts on another device."""
        moved = {name: value.to(device) for name, value in vars(self).items() if value is not None}
        return PromptInputs(**moved)

    def part(self, first: int, last: int) -> "PromptInputs":
        """Rows first to last − 1 with their clips, as wide as before."""
        num_patches, patches_B = len(self.pixel_values_videos), self.video_grid_thw.prod(dim=1)
        begin, end = (int(patches_B[:row].sum()) for row in (first, last))
        rows: dict[str, Any] = {}
        for name, value in vars(self).items():
            if name == "pixel_values_videos":
                rows[name] = value[begin:end]
            elif name == "video_features_VH" and value is not None:
                per_token = num_patches // len(value)  # the tower merges patches into tokens
                rows[name] = value[begin // per_token : end // per_token]
            elif value is not None:
                rows[name] = value[first:last]
        return PromptInputs(**rows)

    def split(self) -> "list[PromptInputs]":
        """The B prompts one by one, without their padding; each has one clip."""
        num_patches = self.video_grid_thw.prod(dim=1).tolist()
        clips = torch.split(self.pixel_values_videos, num_patches)
        starts = [self.input_ids_1P.shape[1] - length for length in self.prompt_lengths_tokens]
        return [
            PromptInputs(
                input_ids_1P=self.input_ids_1P[row : row + 1, start:],
                attention_mask_1P=self.attention_mask_1P[row : row + 1, start:],
                mm_token_type_ids=self.mm_token_type_ids[row : row + 1, start:],
                pixel_values_videos=clips[row],
                video_grid_thw=self.video_grid_thw[row : row + 1],
                second_per_grid_ts=self.second_per_grid_ts[row : row + 1],
            )
            for row, start in enumerate(starts)
        ]

    def model_inputs(self) -> dict[str, Tensor]:
        """The keyword arguments of the model's forward and generate."""
        return {
            "input_ids": self.input_ids_1P,
            "attention_mask": self.attention_mask_1P,
            "mm_token_type_ids": self.mm_token_type_ids,
            "pixel_values_videos": self.pixel_values_videos,
            "video_grid_thw": self.video_grid_thw,
            "second_per_grid_ts": self.second_per_grid_ts,
        }


def build_prompt_text(problem: str, template: str) -> str:
    """The words of the user turn.

    Args:
        problem: the question and its lettered options.
        template: a key of `PROMPT_TEMPLATES`.

    Raises:
        ConfigError: no such template.
        DataError: the question holds a control token of the chat format.
    """
    if found := _CONTROL_TOKEN.search(problem):
        raise DataError(f"the question holds the control token {found[0]!r}: {problem[:80]!r}")
    return _template(template).replace("{problem}", problem)


def prompt_hash(template: str) -> str:
    """sha256 of a template's words, so that a run records which prompt it was trained with.

    Raises:
        ConfigError: no such template.
    """
    return hashlib.sha256(json.dumps(_template(template)).encode()).hexdigest()


def _template(name: str) -> str:
    if name not in PROMPT_TEMPLATES:
        raise ConfigError(
            f"unknown prompt template {name!r}", nearest_hint(name, PROMPT_TEMPLATES, "Templates")
        )
    return PROMPT_TEMPLATES[name]


def prepare_prompt(
    processor: "Qwen2_5_VLProcessor",
    problem: str,
    clip: Clip,
    template: str,
    max_prompt_tokens: int | None = None,
) -> PromptInputs:
    """Turn a question about a clip into model inputs.

    Args:
        processor: the model's own processor.
        problem: the question and its lettered options.
        clip: frames that are already sampled and sized.
        template: a key of `PROMPT_TEMPLATES`.
        max_prompt_tokens: the longest prompt that is accepted, video included; None for no bound.

    Raises:
        ConfigError: no such template.
        DataError: the prompt is longer than accepted (it is never cut), or holds a control token.
    """
    inputs = processor(
        text=[chat_text(processor, build_prompt_text(problem, template))],
        videos=[clip.frames_FCHW],
        video_metadata=[video_metadata(clip)],
        do_resize=False,
        do_sample_frames=False,
        return_mm_token_type_ids=True,
        return_tensors="pt",
    )
    prompt = PromptInputs(
        input_ids_1P=inputs["input_ids"],
        attention_mask_1P=inputs["attention_mask"],
        mm_token_type_ids=inputs["mm_token_type_ids"],
        pixel_values_videos=inputs["pixel_values_videos"],
        video_grid_thw=inputs["video_grid_thw"],
        second_per_grid_ts=torch.as_tensor(inputs["second_per_grid_ts"], dtype=torch.float32),
    )
    _require_length(prompt, max_prompt_tokens)
    return prompt


def chat_text(processor: "Qwen2_5_VLProcessor", user_text: str) -> str:
    """The chat up to where the completion begins: one token for the clip, then the words."""
    content = [{"type": "video"}, {"type": "text", "text": user_text}]
    messages: list[dict[str, Any]] = [{"role": "user", "content": content}]
    text: str = processor.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    return text


def video_metadata(clip: Clip) -> dict[str, Any]:
    """What the processor needs to know of a clip's frames: which they are, of how many a second."""
    return {
        "total_num_frames": clip.num_source_frames,
        "fps": clip.source_fps,
        "frames_indices": list(clip.source_indices),
        "height": clip.frames_FCHW.shape[2],
        "width": clip.frames_FCHW.shape[3],
    }


def _require_length(prompt: PromptInputs, max_prompt_tokens: int | None) -> None:
    num_tokens = prompt.input_ids_1P.shape[1]
    if max_prompt_tokens is None or num_tokens <= max_prompt_tokens:
        return
    num_video_tokens = int((prompt.mm_token_type_ids != 0).sum())
    raise DataError(
        f"the prompt has {num_tokens} tokens ({num_video_tokens} of video, "
        f"{num_tokens - num_video_tokens} of text); at most {max_prompt_tokens} are accepted",
        hint="Lower video.num_frames or video.max_pixels_px, or raise prompt.max_prompt_tokens.",
    )


def collate_prompts(prompts: Sequence[PromptInputs], pad_id: int) -> PromptInputs:
    """One batch of several prompts, padded on the left to the longest.

    Args:
        prompts: at least one.
        pad_id: token id of the padding.
    """
    longest = max(prompt.input_ids_1P.shape[1] for prompt in prompts)
    has_no_features = any(prompt.video_features_VH is None for prompt in prompts)

    def padded(name: str, value: int) -> Tensor:
        tensors = [getattr(prompt, name) for prompt in prompts]
        pad = torch.nn.functional.pad
        return torch.cat(
            [pad(tensor, (longest - tensor.shape[1], 0), value=value) for tensor in tensors]
        )

    def joined(name: str) -> Tensor:
        return torch.cat([getattr(prompt, name) for prompt in prompts])

    return PromptInputs(
        input_ids_1P=padded("input_ids_1P", pad_id),
        attention_mask_1P=padded("attention_mask_1P", 0),
        mm_token_type_ids=padded("mm_token_type_ids", 0),
        pixel_values_videos=joined("pixel_values_videos"),
        video_grid_thw=joined("video_grid_thw"),
        second_per_grid_ts=joined("second_per_grid_ts"),
        video_features_VH=None if has_no_features else joined("video_features_VH"),
    )
