"""Dotted keys such as `optim.learning_rate`: which exist, near misses, values written as text."""

import difflib
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache, reduce
from types import MappingProxyType, NoneType
from typing import Any, Literal, get_args, get_origin

from pydantic import TypeAdapter, ValidationError

from vtk.config.schema import VtkConfig
from vtk.config.sections import Section
from vtk.errors import ConfigError

OTHER_NAMES: Mapping[str, str] = MappingProxyType(
    {
        "attn_implementation": "model.attention",
        "batch_size": "optim.prompts_per_device",
        "epochs": "optim.num_steps",
        "epsilon": "objective.clip_low",
        "epsilon_high": "objective.clip_high",
        "freeze_vision_modules": "model.freeze_vision",
        "gradient_accumulation_steps": "optim.accumulation_steps",
        "jsonl_path": "data.train",
        "kl_coef": "objective.beta",
        "lora_rank": "lora.rank",
        "lr": "optim.learning_rate",
        "max_completion_length": "rollout.max_completion_tokens",
        "max_prompt_length": "prompt.max_prompt_tokens",
        "max_steps": "optim.num_steps",
        "model_name_or_path": "model.path",
        "per_device_train_batch_size": "optim.prompts_per_device",
        "ref_model_path": "reference.path",
        "save_steps": "checkpoint.every_steps",
        "torch_dtype": "model.dtype",
    }
)
"""What other tools call our settings: for the hint on an unknown key, never accepted as a key."""


@dataclass(frozen=True, slots=True)
class Key:
    """One setting: where it is, what it may hold, and the sentence about it."""

    dotted: str
    annotation: Any
    default: Any
    description: str

    @property
    def members(self) -> tuple[Any, ...]:
        """The types it may hold, an optional's None included."""
        is_union = get_origin(self.annotation) not in (Literal, list, None)
        return get_args(self.annotation) if is_union else (self.annotation,)

    @property
    def is_optional(self) -> bool:
        """Whether the setting can be switched off with none."""
        return NoneType in self.members


@cache
def known_keys() -> Mapping[str, Key]:
    """Every setting of `VtkConfig` by its dotted key, but `stage`, which the command gives."""
    keys: dict[str, Key] = {}
    for name, field in VtkConfig.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            for leaf, leaf_field in field.annotation.model_fields.items():
                dotted = f"{name}.{leaf}"
                keys[dotted] = Key(
                    dotted, leaf_field.annotation, leaf_field.default, leaf_field.description or ""
                )
        elif name != "stage":
            keys[name] = Key(name, field.annotation, field.default, field.description or "")
    return MappingProxyType(keys)


def closest_keys(dotted: str) -> list[str]:
    """The known keys that `dotted` may have meant, best first, at most three."""
    known = known_keys()
    leaf = dotted.rsplit(".", 1)[-1]
    elsewhere = [OTHER_NAMES[leaf]] if leaf in OTHER_NAMES else []
    same_leaf = [key for key in known if key.rsplit(".", 1)[-1] == leaf]
    similar = difflib.get_close_matches(dotted, known, n=3, cutoff=0.6)
    leaves = {key.rsplit(".", 1)[-1]: key for key in known}
    similar_leaf = [
        leaves[near] for near in difflib.get_close_matches(leaf, leaves, n=2, cutoff=0.7)
    ]
    return list(dict.fromkeys([*elsewhere, *same_leaf, *similar, *similar_leaf]))[:3]


def require_key(dotted: str, source: str) -> Key:
    """The setting named `dotted`.

    Raises:
        ConfigError: There is none; the hint names the nearest.
    """
    key = known_keys().get(dotted)
    if key is None:
        near = closest_keys(dotted)
        hint = (
            f"Did you mean {' or '.join(near)}?" if near else "`vtk config show` lists every key."
        )
        raise ConfigError(f"unknown setting {dotted!r} ({source})", hint=hint)
    return key


def value_at(config: VtkConfig, dotted: str) -> Any:
    """The value that `config` holds under a dotted key."""
    return reduce(getattr, dotted.split("."), config)


def value_from_text(key: Key, text: str, source: str) -> Any:
    """Read a value given as text (environment, `--set`) as the type that the setting holds.

    Raises:
        ConfigError: The text is not a value of that type.
    """
    if key.is_optional and text.lower() in ("none", "null"):
        return None
    kinds = [member for member in key.members if member is not NoneType]
    if any(kind is str or get_origin(kind) is Literal for kind in kinds):
        return text
    if any(get_origin(kind) is list for kind in kinds):
        items = (item.strip().strip("\"'") for item in text.strip("[]").split(","))
        return [item for item in items if item]
    try:
        return TypeAdapter(key.annotation).validate_strings(text)
    except ValidationError as error:
        reason = error.errors()[0]["msg"]
        raise ConfigError(
            f"{key.dotted} = {text!r} ({source}): {reason}", hint=key.description
        ) from error
