"""Load a policy, bias or reference model and its processor.

The class follows from the architecture that the checkpoint's config states, never from a word in
its path. No code from a checkpoint is ever run, and weights come from safetensors files only.
"""

import hashlib
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    PreTrainedConfig,
    Qwen2_5_VLForConditionalGeneration,
    Qwen2_5_VLProcessor,
)
from transformers.utils import logging as transformers_logging
from transformers.utils.import_utils import is_flash_attn_2_available
from transformers.utils.peft_utils import find_adapter_config_file

from vtk.config.sections import ModelSettings
from vtk.errors import ConfigError, DataError, MissingEnvironmentError
from vtk.models.adapters import adapter_base, load_adapter
from vtk.models.hub_cache import located
from vtk.models.sources import resolve_model_path

if not sys.stderr.isatty():
    transformers_logging.disable_progress_bar()  # a bar that moves is for a terminal

__all__ = [
    "attention_kernel",
    "is_adapter",
    "load_policy",
    "model_dtype",
    "number_format",
    "resolve_model_path",
    "weights_hash",
]

MODEL_CLASSES = {
    "qwen2_5_vl": (Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor),
}
"""Architectures that can be loaded: a config's `model_type` -> model and processor class."""

ATTENTION_KERNELS = ("sdpa", "flash_attention_2", "eager")


def load_policy(
    path: Path | str, settings: ModelSettings, *, merge_adapter: bool = True
) -> tuple[Any, Qwen2_5_VLProcessor]:
    """Load a model and its processor onto the CPU.

    Args:
        path: a model folder, an adapter folder, or a hub id (see `resolve_model_path`).
        settings: number format, attention kernel and whether the vision tower is frozen;
            gradient checkpointing is switched on by the trainer.
        merge_adapter: for an adapter folder, add its weights to the base's and return a plain
            model, which rounds them to the base's number format; else return base and adapter
            apart, the adapter frozen and named "default".

    Returns:
        The model in evaluation mode, and its processor.

    Raises:
        DataError: not a model, another architecture, damaged or missing weights.
        NetworkError: a hub id that is not on this disk, and the Hub cannot be reached.
        MissingEnvironmentError: the attention kernel is not installed.
    """
    path = located(path)
    if is_adapter(path):
        return _load_adapted(path, settings, merge_adapter)
    model_class, processor_class = MODEL_CLASSES[_architecture(path)]
    model, report = _from_checkpoint(
        path,
        model_class.from_pretrained,
        dtype=model_dtype(settings.dtype),
        attn_implementation=_available_kernel(settings.attention),
        use_safetensors=True,
        output_loading_info=True,
    )
    _require_all_weights(path, report)
    _set_trainable(model, settings)
    return model, _from_checkpoint(path, processor_class.from_pretrained)


def is_adapter(path: Path | str) -> bool:
    """Whether a path or hub id is an adapter, which lies on another model's weights."""
    return find_adapter_config_file(str(path)) is not None


def _set_trainable(model: Any, settings: ModelSettings) -> None:
    model.requires_grad_(True)
    if settings.freeze_vision:
        model.model.visual.requires_grad_(False)


def _load_adapted(
    path: Path | str, settings: ModelSettings, merge_adapter: bool
) -> tuple[Any, Qwen2_5_VLProcessor]:
    base_path = adapter_base(path)
    if is_adapter(base_path):
        raise DataError(f"the adapter {path} lies on another adapter, {base_path}")
    base, processor = load_policy(base_path, settings)
    adapted = load_adapter(base, path)
    if not merge_adapter:
        return adapted, processor
    merged = adapted.merge_and_unload()
    _set_trainable(merged, settings)  # what lies under an adapter was frozen
    return merged, processor


def _from_checkpoint(path: Path | str, load: Callable[..., Any], **arguments: Any) -> Any:
    """Call a library loader without remote code, its failures as DataError."""
    try:
        return load(str(path), trust_remote_code=False, **arguments)
    except (OSError, SafetensorError, ValueError) as error:
        first_line = next(iter(str(error).strip().splitlines()), repr(error))
        raise DataError(
            f"cannot load the model {path}: {first_line}",
            hint="Check the name or path; fetch a backbone with: vtk download qwen2.5-vl-3b",
        ) from error


def _architecture(path: Path | str) -> str:
    """The checkpoint's `model_type`, after looking for fields that could make a loader run code."""
    config, _ = _from_checkpoint(path, PreTrainedConfig.get_config_dict)
    _refuse_foreign_kernels(path, config)
    architecture = str(config.get("model_type"))
    if architecture not in MODEL_CLASSES:
        raise DataError(
            f"the model {path} is of architecture {architecture!r}",
            hint=f"Supported: {', '.join(MODEL_CLASSES)}.",
        )
    return architecture


def _refuse_foreign_kernels(path: Path | str, config: Mapping[str, Any]) -> None:
    """A config may name attention code on the hub; only the kernels known here are let through."""
    for key, value in config.items():
        if isinstance(value, Mapping):
            _refuse_foreign_kernels(path, value)
        elif "attn_implementation" in key and value not in (None, *ATTENTION_KERNELS):
            raise DataError(f"the model {path} names a foreign attention kernel: {value!r}")


def _require_all_weights(path: Path | str, report: Mapping[str, Any]) -> None:
    """The library fills absent weights at random and only warns."""
    for kind in ("missing_keys", "mismatched_keys"):
        if names := sorted(str(name) for name in report[kind]):
            raise DataError(
                f"the model {path} has {len(names)} {kind.replace('_keys', '')} weights: {names[0]}"
            )


def model_dtype(name: str) -> torch.dtype:
    """The number format that a setting means on this machine.

    Args:
        name: ``auto`` (bfloat16 on a GPU that has it, else float32), ``float32`` or ``bfloat16``.

    Raises:
        ConfigError: another name.
    """
    if name == "auto":
        has_bfloat16 = torch.cuda.is_available() and torch.cuda.is_bf16_supported()
        return torch.bfloat16 if has_bfloat16 else torch.float32
    if name not in ("float32", "bfloat16"):
        raise ConfigError(f"unknown number format {name!r}", "One of: auto, float32, bfloat16.")
    return torch.float32 if name == "float32" else torch.bfloat16


def number_format(name: str) -> str:
    """A setting's number format by its own name: ``auto`` becomes what it means on this machine."""
    return str(model_dtype(name)).removeprefix("torch.")


def _available_kernel(name: str) -> str:
    if name == "flash_attention_2" and not is_flash_attn_2_available():
        raise MissingEnvironmentError(
            "flash_attention_2 needs the flash-attn package and a CUDA GPU",
            hint="Use model.attention=sdpa, or install it with: vtk setup --install",
        )
    return name


def attention_kernel(model: Any) -> str:
    """The attention kernel that a loaded model's layers really use."""
    return str(model.config._attn_implementation)


def weights_hash(model: torch.nn.Module, adapter: str | None = None) -> str:
    """sha256 over the names, types, shapes and bytes of a model's weights, in sorted order.

    Two names of one tensor (tied weights) count its bytes once.

    Args:
        model: bare, or with adapters.
        adapter: leave out all adapters but this one, so that the hash of a reference does not
            change with the policy beside it; None takes everything.
    """
    others = set(getattr(model, "peft_config", ())) - {adapter} if adapter is not None else set()
    digest = hashlib.sha256()
    first_names: dict[tuple[int, tuple[int, ...]], str] = {}
    for name, tensor in sorted(model.state_dict().items()):
        if others.intersection(name.split(".")):
            continue
        alias = first_names.setdefault((tensor.data_ptr(), tuple(tensor.shape)), name)
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}\n".encode())
        if alias == name:
            flat = tensor.detach().contiguous().cpu().reshape(-1)
            digest.update(memoryview(flat.view(torch.uint8).numpy()))
    return digest.hexdigest()
