"""LoRA adapters: the policy's ("default") and the bias model's ("ref") on one set of base weights.

The bias model then costs its adapter and no second model. The adapters sit on the language model's
linear layers only; the vision tower, whose layers partly have the same names, is left out.
"""

import re
import warnings
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from peft import LoraConfig, PeftConfig, PeftModel, get_peft_model
from safetensors import SafetensorError
from torch import nn
from transformers.utils.hub import cached_file
from transformers.utils.peft_utils import find_adapter_config_file

from vtk.config.sections import LoraSettings
from vtk.errors import ConfigError, DataError

POLICY_ADAPTER = "default"
REFERENCE_ADAPTER = "ref"

_VISION_TOWER = r".*\.visual\..*"
_MUST_AGREE = ("r", "target_modules", "exclude_modules", "use_rslora", "use_dora", "rank_pattern")


def attach_policy_adapter(model: Any, settings: LoraSettings) -> PeftModel:
    """Add the trainable adapter "default"; every other weight is frozen.

    Args:
        model: a bare model.
        settings: rank, scale, dropout and which layers.

    Raises:
        ConfigError: a named layer does not exist in the language model.
    """
    _require_layers(model, settings.target_modules)
    config = LoraConfig(
        r=settings.rank,
        lora_alpha=settings.alpha,  # type: ignore[arg-type]
        lora_dropout=settings.dropout,
        target_modules=list(settings.target_modules),
        exclude_modules=_VISION_TOWER,
        task_type="CAUSAL_LM",
    )
    with _without_rename_warning():
        return get_peft_model(model, config, adapter_name=POLICY_ADAPTER)


def attach_reference_adapter(model: PeftModel, path: Path | str) -> None:
    """Add the bias model's adapter as "ref", frozen; "default" stays the active one.

    Args:
        model: base with the policy's adapter on it.
        path: adapter folder of a bias run's checkpoint, or a hub id.

    Raises:
        DataError: no adapter there, damaged, or of another shape than the policy's.
    """
    _require_same_shape(path, model.peft_config[POLICY_ADAPTER])
    _load_into(model, path, REFERENCE_ADAPTER)
    model.set_adapter(POLICY_ADAPTER)
    for name, parameter in model.named_parameters():
        if f".{REFERENCE_ADAPTER}." in name:
            parameter.requires_grad_(False)


def load_adapter(base: Any, path: Path | str) -> PeftModel:
    """Put a trained adapter on its base as "default", frozen.

    Args:
        base: the model that the adapter was trained on.
        path: adapter folder or hub id.

    Raises:
        DataError: no safetensors weights there, or they do not fit the base.
    """
    _require_safetensors(path)
    try:
        with _without_rename_warning():
            return PeftModel.from_pretrained(base, str(path), adapter_name=POLICY_ADAPTER)
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise _unfit(path, error) from error


def adapter_base(path: Path | str) -> Path | str:
    """The folder or hub id of the model that an adapter belongs to.

    Raises:
        DataError: not an adapter, not LoRA, or its base is a folder that is not here.
    """
    config = _adapter_config(path)
    base = config.base_model_name_or_path
    if not base:
        raise DataError(f"the adapter {path} does not say which model it belongs to")
    if Path(base).is_absolute() and not Path(base).is_dir():
        raise DataError(
            f"the adapter {path} belongs to the model {base}, which is not here",
            hint="Put the base model there, or correct base_model_name_or_path in the adapter.",
        )
    return Path(base) if Path(base).is_dir() else str(base)


@contextmanager
def use_reference(model: PeftModel, adapter: str = REFERENCE_ADAPTER) -> Iterator[None]:
    """Compute with another adapter inside the block; what was active and trainable comes back.

    Args:
        model: base with both adapters.
        adapter: the one to compute with.

    Raises:
        ConfigError: the model has no such adapter.
    """
    if adapter not in model.peft_config:
        known = ", ".join(model.peft_config)
        raise ConfigError(f"the model has no adapter {adapter!r}", f"It has: {known}.")
    active = model.active_adapter
    trainable = [parameter for parameter in model.parameters() if parameter.requires_grad]
    model.set_adapter(adapter, inference_mode=True)
    try:
        yield
    finally:
        model.set_adapter(active, inference_mode=True)
        for parameter in trainable:
            parameter.requires_grad_(True)


def _require_layers(model: Any, target_modules: Sequence[str]) -> None:
    """PEFT passes over a name that matches nothing as long as another one matches."""
    present = {
        name.rsplit(".", 1)[-1]
        for name, module in model.named_modules()
        if isinstance(module, nn.Linear)
        and not re.fullmatch(_VISION_TOWER, name)
        and module is not model.get_output_embeddings()  # its adapter would never be trained
    }
    for target in target_modules:
        if target not in present:
            raise ConfigError(
                f"lora.target_modules names {target!r}, which takes no adapter",
                hint=f"It has: {', '.join(sorted(present))}.",
            )


def _adapter_config(path: Path | str) -> LoraConfig:
    if find_adapter_config_file(str(path)) is None:
        raise DataError(
            f"{path} is not an adapter: it has no adapter_config.json",
            hint="With LoRA the bias model must come from a LoRA run; or set lora.enabled=false.",
        )
    config = PeftConfig.from_pretrained(str(path))
    if not isinstance(config, LoraConfig):
        raise DataError(f"the adapter {path} is of kind {config.peft_type}, not LoRA")
    return config


def _require_same_shape(path: Path | str, policy: Any) -> None:
    reference = _adapter_config(path)
    for field in _MUST_AGREE:
        theirs, ours = getattr(reference, field), getattr(policy, field)
        if _comparable(theirs) != _comparable(ours):
            raise DataError(
                f"the bias adapter {path} has {field} {_shown(theirs)}; "
                f"the policy's has {_shown(ours)}",
                hint="Train the policy with the [lora] settings of the bias run.",
            )
    if reference.modules_to_save:
        names = ", ".join(reference.modules_to_save)
        raise DataError(f"the bias adapter {path} replaces whole base modules: {names}")


def _comparable(value: Any) -> Any:
    return frozenset(value) if isinstance(value, (set, list, tuple)) else value


def _shown(value: Any) -> str:
    return ", ".join(sorted(value)) if isinstance(value, (set, list, tuple)) else repr(value)


def _load_into(model: PeftModel, path: Path | str, name: str) -> None:
    _require_safetensors(path)
    try:
        report = model.load_adapter(str(path), adapter_name=name, is_trainable=False)
    except (RuntimeError, ValueError, OSError, SafetensorError) as error:
        raise _unfit(path, error) from error
    absent = [key for key in report.missing_keys if f".{name}." in key]
    if absent or report.unexpected_keys:
        raise DataError(f"the adapter {path} does not fit: {(absent + report.unexpected_keys)[0]}")


def _require_safetensors(path: Path | str) -> None:
    """PEFT would fall back to a pickle; only safetensors are read here."""
    try:
        cached_file(str(path), "adapter_model.safetensors")
    except OSError as error:
        raise DataError(f"the adapter {path} has no adapter_model.safetensors") from error


def _unfit(path: Path | str, error: Exception) -> DataError:
    first_line = next(iter(str(error).strip().splitlines()), repr(error))
    return DataError(f"cannot load the adapter {path}: {first_line}")


@contextmanager
def _without_rename_warning() -> Iterator[None]:
    """peft 0.21 reads a property that transformers 5.23 renamed (peft/peft_model.py)."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message="`is_gradient_checkpointing`")
        yield
