"""The policy where an attempt begins: the model that the run names, or its newest checkpoint."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from peft import set_peft_model_state_dict
from safetensors.torch import load_file

from vtk.config.schema import VtkConfig
from vtk.errors import DataError
from vtk.models.adapters import POLICY_ADAPTER, attach_policy_adapter
from vtk.models.loader import load_policy, weights_hash
from vtk.train.dataset import derive_seed


@dataclass(frozen=True, slots=True)
class Start:
    """A policy as an attempt begins with it.

    Attributes:
        policy: Bare, or with the adapter "default" that is trained.
        processor: Its own.
        sha256: Hash of its weights. A new adapter adds nothing yet, so that of a LoRA policy is its
            base's until it is resumed.
        base_sha256: Hash of what a LoRA policy lies on, which no checkpoint holds; else None.
    """

    policy: Any
    processor: Any
    sha256: str
    base_sha256: str | None = None


def load_start(start: Path | str, checkpoint: Path | None, config: VtkConfig) -> Start:
    """Load the policy that an attempt begins with.

    Args:
        start: The model folder or hub id that the run began with.
        checkpoint: The folder to go on from; None begins.
        config: The run's settings.

    Raises:
        DataError: A model is not there, is damaged, or does not fit.
    """
    if not config.lora.enabled:
        policy, processor = load_policy(checkpoint or start, config.model)
        return Start(policy, processor, weights_hash(policy))
    base, processor = load_policy(start, config.model)
    base_sha256 = sha256 = weights_hash(base)
    torch.manual_seed(derive_seed(config.seed, "adapter"))
    policy = attach_policy_adapter(base, config.lora)
    # Not the folder of this machine's cache that it was loaded from: checkpoints travel.
    policy.peft_config[POLICY_ADAPTER].base_model_name_or_path = str(start)
    if checkpoint is not None:
        _restore_adapter(policy, checkpoint)
        sha256 = weights_hash(policy, adapter=POLICY_ADAPTER)
    return Start(policy, processor, sha256, base_sha256)


def _restore_adapter(policy: Any, folder: Path) -> None:
    path = folder / "adapter_model.safetensors"
    if not path.is_file():
        raise DataError(f"{folder} holds no adapter, but the run trains one (lora.enabled)")
    report: Any = set_peft_model_state_dict(policy, load_file(path), adapter_name=POLICY_ADAPTER)
    absent = [name for name in report.missing_keys if f".{POLICY_ADAPTER}." in name]
    if absent or report.unexpected_keys:
        raise DataError(f"{path} does not fit the policy: {(absent + report.unexpected_keys)[0]}")
