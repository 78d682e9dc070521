"""What the language model is given for a prompt: token embeddings with the clip's features in
place, and M-RoPE positions. One place for it, so that rollouts and training see the same.

A frozen vision tower gives a clip the same features in every pass and epoch, so they are computed
once: rollout, policy and a reference with the same tower share them.

Shape letters: B prompts, P prompt tokens (left padded), V visual tokens, H hidden size.
"""

from collections import OrderedDict
from collections.abc import Hashable
from dataclasses import replace
from typing import Any

import torch
from torch import Tensor

from vtk.rollout.prompts import PromptInputs


def prompt_embeddings(base: Any, prompts: PromptInputs) -> Tensor:
    """Token embeddings with the clips' features at the video placeholders, as (B, P, H).

    Args:
        base: A bare Qwen2.5-VL model.
        prompts: B prompts; features that they carry are used instead of the tower.

    Raises:
        ValueError: Placeholders and features differ in number, as when a prompt was cut.
    """
    embeds_BPH: Tensor = base.get_input_embeddings()(prompts.input_ids_1P)
    features_VH = prompts.video_features_VH
    if features_VH is None:
        features_VH = video_features(base, prompts)
    features_VH = features_VH.to(embeds_BPH.device, embeds_BPH.dtype)
    is_video_BP = prompts.input_ids_1P == base.config.video_token_id
    num_placeholders = int(is_video_BP.sum())
    if num_placeholders != features_VH.shape[0]:
        raise ValueError(f"{num_placeholders} placeholders, {features_VH.shape[0]} features")
    return embeds_BPH.masked_scatter(is_video_BP.unsqueeze(-1), features_VH)


def video_features(base: Any, prompts: PromptInputs) -> Tensor:
    """The vision tower's output for the clips, one after another, as (V, H)."""
    features = base.model.get_video_features(
        prompts.pixel_values_videos, prompts.video_grid_thw, return_dict=True
    )
    return torch.cat(features.pooler_output)


def prompt_positions(base: Any, prompts: PromptInputs) -> tuple[Tensor, Tensor]:
    """The model's own M-RoPE positions (3, B, P), and where each completion begins (B,).

    A completion goes on one past its prompt's last token, which is text and so has one position in
    all axes, as it does in the library's own generation. A clip's temporal positions may be
    greater.
    """
    positions_3BP, _ = base.model.get_rope_index(
        prompts.input_ids_1P,
        mm_token_type_ids=prompts.mm_token_type_ids,
        video_grid_thw=prompts.video_grid_thw,
        second_per_grid_ts=prompts.second_per_grid_ts,
        attention_mask=prompts.attention_mask_1P,
    )
    return positions_3BP, positions_3BP[0, :, -1] + 1


def has_frozen_tower(base: Any) -> bool:
    """Whether no weight of the vision tower is trained."""
    return not any(parameter.requires_grad for parameter in base.model.visual.parameters())


class FeatureCache:
    """Features of clips under one frozen tower, in host memory, least recently used out first.

    Args:
        max_bytes: Bound on what is kept; a clip above it is computed but not kept.
    """

    def __init__(self, max_bytes: int) -> None:
        self.max_bytes = max_bytes
        self.num_bytes = 0
        self._features: OrderedDict[Hashable, Tensor] = OrderedDict()

    def attach(self, base: Any, prompt: PromptInputs, key: Hashable) -> PromptInputs:
        """One prompt with its clip's features; the tower runs only if they are not kept.

        Args:
            base: A bare model whose tower is frozen, always the same.
            prompt: One prompt.
            key: The clip's identity and the settings that it was read with.
        """
        kept = self._features.get(key)
        if kept is not None:
            self._features.move_to_end(key)
            return replace(prompt, video_features_VH=kept)
        with torch.no_grad():
            computed_VH = video_features(base, prompt.to(base.device)).cpu()
        self._keep(key, computed_VH)
        return replace(prompt, video_features_VH=computed_VH)

    def _keep(self, key: Hashable, features_VH: Tensor) -> None:
        if features_VH.nbytes > self.max_bytes:
            return
        self._features[key] = features_VH
        self.num_bytes += features_VH.nbytes
        while self.num_bytes > self.max_bytes:
            _, oldest = self._features.popitem(last=False)
            self.num_bytes -= oldest.nbytes
