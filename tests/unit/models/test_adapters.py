"""Two adapters on one base: trained and frozen, switched and restored, refused when they differ."""

from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from peft import PeftModel
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.config.sections import LoraSettings
from vtk.errors import ConfigError, DataError
from vtk.models.adapters import (
    attach_policy_adapter,
    attach_reference_adapter,
    load_adapter,
    use_reference,
)
from vtk.models.loader import weights_hash
from vtk.models.tiny import build_tiny_model

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Forward = Callable[[torch.nn.Module], torch.Tensor]
LORA = LoraSettings(enabled=True, rank=4, alpha=8.0, target_modules=["q_proj", "down_proj"])


def fill(model: PeftModel, seed: int) -> None:
    """Give every adapter matrix values, as training would."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_" in name:
                parameter.normal_(std=0.1, generator=generator)


@pytest.fixture
def bias_folder(tmp_path: Path) -> Path:
    """The saved adapter of a bias run."""
    bias = attach_policy_adapter(build_tiny_model(seed=0)[0], LORA)
    fill(bias, seed=1)
    bias.save_pretrained(str(tmp_path / "bias"))
    return tmp_path / "bias"


@pytest.fixture
def pair(tiny: Tiny, bias_folder: Path) -> PeftModel:
    """Policy and bias adapter on one base."""
    policy = attach_policy_adapter(tiny[0], LORA)
    fill(policy, seed=2)
    attach_reference_adapter(policy, bias_folder)
    policy.train(False)
    return policy


def trainable(model: torch.nn.Module) -> set[str]:
    return {name for name, parameter in model.named_parameters() if parameter.requires_grad}


def test_only_the_policy_adapter_is_trainable_and_the_tower_has_none(pair: PeftModel) -> None:
    names = trainable(pair)
    assert names
    assert all(".default." in name and "language_model" in name for name in names)
    adapted = {name for name, _ in pair.named_parameters() if "lora_" in name}
    assert len(adapted) == 2 * len(names)
    assert not any("visual" in name for name in adapted)


def test_reference_is_the_bias_model_and_the_policy_comes_back(
    pair: PeftModel, bias_folder: Path, forward: Forward
) -> None:
    base, _ = build_tiny_model(seed=0)
    bias = load_adapter(base.train(False), bias_folder)
    before, names = forward(pair), trainable(pair)
    with use_reference(pair):
        assert torch.equal(forward(pair), forward(bias))
        assert trainable(pair) == set()
    assert torch.equal(forward(pair), before)
    assert (before - forward(bias)).abs().max() > 0.01
    assert trainable(pair) == names
    assert pair.active_adapter == "default"


def test_policy_comes_back_after_an_error(pair: PeftModel) -> None:
    names = trainable(pair)
    with pytest.raises(RuntimeError, match="in the block"), use_reference(pair):
        raise RuntimeError("in the block")
    assert (pair.active_adapter, trainable(pair)) == ("default", names)


def test_training_moves_the_policy_and_never_the_reference(pair: PeftModel) -> None:
    reference, policy = weights_hash(pair, "ref"), weights_hash(pair, "default")
    optimizer = torch.optim.AdamW(pair.parameters(), lr=1e-2, weight_decay=0.1)
    ids = torch.arange(20, 36).unsqueeze(0)
    with use_reference(pair), torch.no_grad():
        target = pair(input_ids=ids).logits
    (pair(input_ids=ids).logits - target).square().mean().backward()
    optimizer.step()
    assert weights_hash(pair, "ref") == reference
    assert weights_hash(pair, "default") != policy


@pytest.mark.parametrize(
    ("changed", "field"),
    [
        ({"rank": 8}, "has r 4"),
        ({"target_modules": ["q_proj"]}, "target_modules down_proj, q_proj"),
    ],
)
def test_bias_adapter_of_another_shape_is_refused(
    tiny: Tiny, bias_folder: Path, changed: dict[str, object], field: str
) -> None:
    policy = attach_policy_adapter(tiny[0], LORA.model_copy(update=changed))
    with pytest.raises(DataError, match=field):
        attach_reference_adapter(policy, bias_folder)
    assert list(policy.peft_config) == ["default"]


def test_full_model_as_bias_adapter_is_refused(tiny: Tiny, tiny_folder: Path) -> None:
    policy = attach_policy_adapter(tiny[0], LORA)
    with pytest.raises(DataError, match="not an adapter"):
        attach_reference_adapter(policy, tiny_folder)


def test_pickled_and_damaged_adapters_are_refused(tiny: Tiny, bias_folder: Path) -> None:
    policy = attach_policy_adapter(tiny[0], LORA)
    weights = bias_folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-50])
    with pytest.raises(DataError, match="cannot load the adapter"):
        attach_reference_adapter(policy, bias_folder)
    weights.rename(bias_folder / "adapter_model.bin")
    with pytest.raises(DataError, match=r"no adapter_model\.safetensors"):
        attach_reference_adapter(policy, bias_folder)


@pytest.mark.parametrize("name", ["nosuch_proj", "qkv", "lm_head"])
def test_unknown_layers_are_refused(tiny: Tiny, name: str) -> None:
    with pytest.raises(ConfigError, match=name):
        attach_policy_adapter(tiny[0], LORA.model_copy(update={"target_modules": ["q_proj", name]}))


def test_reference_must_be_there(tiny: Tiny) -> None:
    policy = attach_policy_adapter(tiny[0], LORA)
    with pytest.raises(ConfigError, match="no adapter 'ref'"), use_reference(policy):
        pytest.fail("the block must not run")
