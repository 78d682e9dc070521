"""A tiny model with random weights and a few scenes, for the tests of its pretraining."""

from collections.abc import Callable

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.mini.physics import FRAMES_PER_S, NUM_FRAMES
from vtk.models.tiny import build_tiny_model
from vtk.rollout.prompts import PromptInputs, prepare_prompt
from vtk.train.pretrain.data import FRAME_INDICES, PretrainScene, draw_scenes
from vtk.video.frames import Clip

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Prompt = Callable[[PretrainScene, str], PromptInputs]


@pytest.fixture
def fresh() -> Tiny:
    """A model to train."""
    return build_tiny_model(seed=0)


@pytest.fixture(scope="session")
def still() -> Tiny:
    """A model that no test changes."""
    model, processor = build_tiny_model(seed=0)
    model.requires_grad_(False)
    return model, processor


@pytest.fixture(scope="session")
def scenes() -> list[PretrainScene]:
    return list(draw_scenes(77, 12))


@pytest.fixture(scope="session")
def prompt(still: Tiny) -> Prompt:
    """The model's inputs for a question about a scene, made by the real processor."""

    def make(scene: PretrainScene, problem: str) -> PromptInputs:
        clip = Clip(
            frames_FCHW=scene.frames_FCHW,
            timestamps_s=tuple(index / FRAMES_PER_S for index in FRAME_INDICES),
            source_fps=float(FRAMES_PER_S),
            num_source_frames=NUM_FRAMES,
            decoder="none",
            source_indices=FRAME_INDICES,
        )
        return prepare_prompt(still[1], problem, clip, "mini")

    return make


@pytest.fixture
def weights() -> Callable[[torch.nn.Module], dict[str, torch.Tensor]]:
    """A copy of a model's weights."""

    def copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    return copy
