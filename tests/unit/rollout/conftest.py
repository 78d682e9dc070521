"""A tiny model with random weights and clips of noise for the rollout tests."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.models.tiny import build_tiny_model
from vtk.video.frames import Clip

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
MakeClip = Callable[..., Clip]


@pytest.fixture(scope="session")
def tiny() -> Tiny:
    """The tiny architecture and its processor."""
    model, processor = build_tiny_model(seed=0)
    model.train(False)
    return model, processor


@pytest.fixture
def make_clip() -> MakeClip:
    """Frames of noise with the metadata of a 25 fps, 128-frame file."""

    def make(seed: int = 0, num_frames: int = 8, height_px: int = 56, width_px: int = 84) -> Clip:
        generator = torch.Generator().manual_seed(seed)
        shape = (num_frames, 3, height_px, width_px)
        indices = tuple(int(index) for index in np.linspace(0, 127, num_frames).round())
        return Clip(
            frames_FCHW=torch.randint(0, 256, shape, dtype=torch.uint8, generator=generator),
            timestamps_s=tuple(index / 25 for index in indices),
            source_fps=25.0,
            num_source_frames=128,
            decoder="pyav",
            source_indices=indices,
        )

    return make
