"""Files of `accelerate config`: how many processes they start, and what they cut over them.

What such a file says of sharding becomes the run's own (`model.sharding`, vtk/train/sharding.py):
the plug-ins of accelerate shard on GPUs only, and meet weights that sampling needs whole.
https://huggingface.co/docs/accelerate/concept_guides/fsdp_and_deepspeed sets the two plug-ins'
words side by side.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import yaml

from vtk.config.files import presets_dir
from vtk.errors import ConfigError

_KINDS: Final = ("NO", "MULTI_GPU", "MULTI_CPU", "FSDP", "DEEPSPEED")
_ZERO_STAGES: Final[dict[object, str]] = {0: "none", 2: "zero2", 3: "fsdp2"}
_FSDP_CUTS: Final[dict[object, str]] = {
    "FULL_SHARD": "fsdp2",
    "SHARD_GRAD_OP": "zero2",
    "NO_SHARD": "none",
    "TRUE": "fsdp2",
    "FALSE": "zero2",
}
_OFFLOADS: Final = (
    "offload_optimizer_device",
    "offload_param_device",
    "fsdp_offload_params",
    "fsdp_cpu_offload",
)


@dataclass(frozen=True, slots=True)
class AccelerateFile:
    """A file of `accelerate config`.

    Attributes:
        path: Where it is.
        num_processes: On all machines together; None if it leaves that to its reader.
        sharding: The `model.sharding` that it asks for; None if it says nothing of it.
    """

    path: Path
    num_processes: int | None = None
    sharding: str | None = None


def find_accelerate_file(named: Path) -> AccelerateFile:
    """The file that is meant: the file itself, or one that comes with vtk, by its name.

    Raises:
        ConfigError: There is none, it is of another kind, or asks for what a run cannot do.
    """
    shipped = presets_dir() / "accelerate"
    path = named if named.is_file() else shipped / f"{named}.yaml"
    if not path.is_file():
        names = ", ".join(sorted(file.stem for file in shipped.glob("*.yaml")))
        raise ConfigError(f"there is no accelerate configuration {named}", f"Shipped: {names}.")
    content = _read(path)
    kind = str(content["distributed_type"]).upper()
    if kind not in _KINDS:
        raise ConfigError(
            f"{path} asks for {kind}, which a run cannot do",
            f"Take --accelerate-config 8-gpu, or a file with one of {', '.join(_KINDS)}.",
        )
    count = content.get("num_processes")
    num_processes = count if isinstance(count, int) and count > 0 else None
    return AccelerateFile(path.absolute(), num_processes, _sharding(path, kind, content))


def _read(path: Path) -> Mapping[str, Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))  # JSON is YAML too
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise ConfigError(f"{path} is no accelerate configuration: {error}") from error
    if not isinstance(content, dict) or "distributed_type" not in content:
        raise ConfigError(f"{path} is no accelerate configuration: it has no distributed_type")
    return content


def _sharding(path: Path, kind: str, content: Mapping[str, Any]) -> str | None:
    if kind == "DEEPSPEED":
        given = content.get("deepspeed_config") or {}
        asked, cuts = given.get("zero_stage"), _ZERO_STAGES
        wanted = "a zero_stage of 2 or 3 in its deepspeed_config"
    elif kind == "FSDP":
        given = content.get("fsdp_config") or {}
        names = ("fsdp_reshard_after_forward", "fsdp_sharding_strategy")
        asked = next((str(given[name]).upper() for name in names if name in given), "FULL_SHARD")
        cuts = _FSDP_CUTS
        wanted = "fsdp_reshard_after_forward true or false in its fsdp_config"
    else:
        return None
    for name in _OFFLOADS:
        if str(given.get(name, "none")).lower() not in ("none", "false"):
            raise ConfigError(
                f"{path} asks for {name}: {given[name]}, and a run keeps all of it on its GPUs",
                "Leave that out. For less memory: --lora, or --set reference.device=cpu without "
                "sharding.",
            )
    if asked not in cuts:
        raise ConfigError(
            f"{path} asks {kind} for a cut that a run does not know: {asked}",
            f"It knows {wanted}.",
        )
    return cuts[asked]
