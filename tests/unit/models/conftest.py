"""Tiny models with random weights, saved where the model tests want them."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.models.tiny import build_tiny_model

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Forward = Callable[[torch.nn.Module], torch.Tensor]


@pytest.fixture
def tiny() -> Tiny:
    """A fresh tiny model, because these tests put adapters on it."""
    model, processor = build_tiny_model(seed=0)
    model.train(False)
    return model, processor


@pytest.fixture(scope="session")
def tiny_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A saved tiny model; its folder's name says nothing about what it is."""
    folder = tmp_path_factory.mktemp("weights")
    model, processor = build_tiny_model(seed=0)
    model.save_pretrained(folder)
    processor.save_pretrained(folder)
    return folder


@pytest.fixture
def forward() -> Forward:
    """Logits of a fixed text."""

    def run(model: torch.nn.Module) -> torch.Tensor:
        with torch.no_grad():
            logits: torch.Tensor = model(input_ids=torch.arange(20, 36).unsqueeze(0)).logits
        return logits

    return run
