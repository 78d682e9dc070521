"""Attention to many frame pairs at once gives what the library's gives, forward and backward."""

import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.train.pretrain.attention import attend_to_pairs_at_once
from vtk.train.pretrain.data import PretrainScene
from vtk.train.pretrain.vision import encode

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]


def test_features_and_gradients_are_the_librarys(fresh: Tiny, scenes: list[PretrainScene]) -> None:
    model = fresh[0]
    frames = torch.stack([scene.frames_FCHW for scene in scenes[:3]])

    def features_and_gradients() -> tuple[torch.Tensor, list[torch.Tensor]]:
        model.zero_grad()
        features = encode(model, frames)
        features.pow(2).sum().backward()  # type: ignore[no-untyped-call]
        return features.detach(), [
            p.grad for p in model.model.visual.parameters() if p.requires_grad
        ]

    expected, expected_gradients = features_and_gradients()
    with attend_to_pairs_at_once(model):
        found, gradients = features_and_gradients()
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-6)
    for gradient, other in zip(gradients, expected_gradients, strict=True):
        torch.testing.assert_close(gradient, other, rtol=1e-3, atol=1e-4)
    torch.testing.assert_close(encode(model, frames), expected, rtol=0, atol=0)
