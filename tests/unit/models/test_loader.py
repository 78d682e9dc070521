"""Loading by architecture, completely, safely; and the identity of weights."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file, save_file
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.config.sections import LoraSettings, ModelSettings
from vtk.errors import ConfigError, DataError, MissingEnvironmentError
from vtk.models.adapters import attach_policy_adapter
from vtk.models.loader import attention_kernel, load_policy, model_dtype, weights_hash

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Forward = Callable[[torch.nn.Module], torch.Tensor]
SETTINGS = ModelSettings(path="folder", dtype="float32")
LORA = LoraSettings(enabled=True, rank=4, alpha=8.0, target_modules=["q_proj", "down_proj"])


@pytest.fixture
def copy(tiny_folder: Path, tmp_path: Path) -> Path:
    """A copy of the saved model to damage."""
    return Path(shutil.copytree(tiny_folder, tmp_path / "copy"))


def rewrite(path: Path, **fields: object) -> None:
    path.write_text(json.dumps(json.loads(path.read_text()) | fields))


def test_saved_model_comes_back(tiny: Tiny, tiny_folder: Path, forward: Forward) -> None:
    model, processor = load_policy(tiny_folder, SETTINGS)
    assert type(model) is Qwen2_5_VLForConditionalGeneration
    assert torch.equal(forward(model), forward(tiny[0]))
    assert model.generation_config.eos_token_id == tiny[0].generation_config.eos_token_id
    assert not model.training
    assert processor.tokenizer.get_vocab() == tiny[1].tokenizer.get_vocab()
    assert processor.chat_template == tiny[1].chat_template
    assert attention_kernel(model) == "sdpa"


def test_eager_attention_agrees(tiny_folder: Path, tiny: Tiny, forward: Forward) -> None:
    model, _ = load_policy(tiny_folder, SETTINGS.model_copy(update={"attention": "eager"}))
    assert attention_kernel(model) == "eager"
    assert torch.allclose(forward(model), forward(tiny[0]), atol=1e-4)


def test_bfloat16_and_frozen_tower(tiny_folder: Path) -> None:
    settings = ModelSettings(path="folder", dtype="bfloat16", freeze_vision=True)
    model, _ = load_policy(tiny_folder, settings)
    assert {parameter.dtype for parameter in model.parameters()} == {torch.bfloat16}
    trainable = {name.split(".")[1] for name, p in model.named_parameters() if p.requires_grad}
    assert trainable == {"language_model"}


def test_auto_dtype_follows_the_machine() -> None:
    if torch.cuda.is_available() and torch.cuda.is_bf16_supported():
        assert model_dtype("auto") == torch.bfloat16
    else:
        assert model_dtype("auto") == torch.float32
    with pytest.raises(ConfigError, match="float8"):
        model_dtype("float8")


def test_flash_attention_is_refused_where_it_is_absent(tiny_folder: Path) -> None:
    if torch.cuda.is_available():
        pytest.skip("needs a machine without a GPU")
    settings = SETTINGS.model_copy(update={"attention": "flash_attention_2"})
    with pytest.raises(MissingEnvironmentError, match="flash-attn"):
        load_policy(tiny_folder, settings)


def test_another_architecture_is_refused_whatever_its_path_says(copy: Path) -> None:
    folder = copy.rename(copy.with_name("Qwen2.5-VL-3B-Instruct"))
    rewrite(folder / "config.json", model_type="llama")
    with pytest.raises(DataError, match="architecture 'llama'"):
        load_policy(folder, SETTINGS)


def test_foreign_attention_kernel_is_refused(copy: Path) -> None:
    text = json.loads((copy / "config.json").read_text())["text_config"]
    rewrite(
        copy / "config.json", text_config=text | {"_attn_implementation_internal": "evil/kernel"}
    )
    with pytest.raises(DataError, match="evil/kernel"):
        load_policy(copy, SETTINGS)


def test_code_in_a_checkpoint_is_not_run(copy: Path, tmp_path: Path, forward: Forward) -> None:
    mark = tmp_path / "ran"
    (copy / "evil.py").write_text(f"open({str(mark)!r}, 'w').close()\nclass Evil: pass\n")
    rewrite(copy / "config.json", auto_map={"AutoConfig": "evil.Evil", "AutoModel": "evil.Evil"})
    forward(load_policy(copy, SETTINGS)[0])
    assert not mark.exists()


def test_pickled_weights_are_refused(copy: Path) -> None:
    torch.save(load_file(copy / "model.safetensors"), copy / "pytorch_model.bin")
    (copy / "model.safetensors").unlink()
    with pytest.raises(DataError, match="cannot load the model"):
        load_policy(copy, SETTINGS)


def test_truncated_weights_are_an_error(copy: Path) -> None:
    weights = copy / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DataError, match=str(copy)):
        load_policy(copy, SETTINGS)


def test_absent_weights_are_an_error_and_not_random(copy: Path) -> None:
    tensors = load_file(copy / "model.safetensors")
    gone = next(name for name in tensors if "layers.0" in name and "visual" not in name)
    del tensors[gone]
    save_file(tensors, copy / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(DataError, match=r"1 missing weights: .*layers\.0"):
        load_policy(copy, SETTINGS)


def test_folder_without_a_model_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=str(tmp_path)):
        load_policy(tmp_path, SETTINGS)


def test_adapter_folder_loads_base_and_adapter(
    tiny_folder: Path, tmp_path: Path, forward: Forward
) -> None:
    base, _ = load_policy(tiny_folder, SETTINGS)
    plain = forward(base)
    policy = attach_policy_adapter(base, LORA)
    for name, parameter in policy.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(parameter, std=0.1, generator=torch.Generator().manual_seed(0))
    policy.train(False)
    expected = forward(policy)
    assert (expected - plain).abs().max() > 0.01
    policy.save_pretrained(str(tmp_path / "adapter"))

    merged, _ = load_policy(tmp_path / "adapter", SETTINGS)
    assert type(merged) is Qwen2_5_VLForConditionalGeneration
    assert torch.allclose(forward(merged), expected, atol=1e-4)
    kept, _ = load_policy(tmp_path / "adapter", SETTINGS, merge_adapter=False)
    assert torch.equal(forward(kept), expected)
    assert not any(parameter.requires_grad for parameter in kept.parameters())


def test_adapter_whose_base_is_gone_says_so(tiny_folder: Path, tmp_path: Path) -> None:
    base, _ = load_policy(tiny_folder, SETTINGS)
    attach_policy_adapter(base, LORA).save_pretrained(str(tmp_path / "adapter"))
    rewrite(tmp_path / "adapter" / "adapter_config.json", base_model_name_or_path="/gone/base")
    with pytest.raises(DataError, match="/gone/base, which is not here"):
        load_policy(tmp_path / "adapter", SETTINGS)


def test_hash_is_of_the_weights(tiny: Tiny, tiny_folder: Path) -> None:
    model, _ = tiny
    loaded, _ = load_policy(tiny_folder, SETTINGS)
    original = weights_hash(model)
    assert weights_hash(loaded) == original
    weight = loaded.model.visual.blocks[0].attn.proj.weight
    with torch.no_grad():
        weight[0, 0] += 1e-6
    assert weights_hash(loaded) != original
    halved, _ = load_policy(tiny_folder, SETTINGS.model_copy(update={"dtype": "bfloat16"}))
    assert weights_hash(halved) != original


def test_hash_of_one_adapter_ignores_the_others(tiny: Tiny) -> None:
    policy = attach_policy_adapter(tiny[0], LORA)
    policy.add_adapter("ref", policy.peft_config["default"])
    of_reference, of_all = weights_hash(policy, "ref"), weights_hash(policy)
    with torch.no_grad():
        for name, parameter in policy.named_parameters():
            if "lora_B.default" in name:
                parameter.fill_(0.5)
    assert weights_hash(policy, "ref") == of_reference
    assert weights_hash(policy) != of_all
    assert weights_hash(policy, "default") != of_reference
