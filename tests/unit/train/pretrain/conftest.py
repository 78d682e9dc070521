"""A tiny model with random weights and a few scenes, for the tests of its pretraining."""

from collections.abc import Callable

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.models.tiny import build_tiny_model
from vtk.rollout.prompts import PromptInputs, prepare_prompt
from vtk.train.pretrain.data import PretrainScene, clip_of, draw_scenes

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
        return prepare_prompt(still[1], problem, clip_of(scene), "mini")

    return make


@pytest.fixture
def weights() -> Callable[[torch.nn.Module], dict[str, torch.Tensor]]:
    """A copy of a model's weights."""

    def copy(model: torch.nn.Module) -> dict[str, torch.Tensor]:
        return {name: tensor.clone() for name, tensor in model.state_dict().items()}

    return copy
