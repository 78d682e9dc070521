"""What a run will need, before it starts: memory and time from parameter counts and token counts.

An estimate, and a rough one: it counts weights, gradients, optimizer and reference exactly, and
work by two operations per weight and token; activations are left out. Nothing is loaded: sizes are
read from the headers of safetensors files.
"""

import json
import os
import struct
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from math import prod
from pathlib import Path
from typing import Any, Final

from vtk.config.schema import VtkConfig
from vtk.errors import DataError
from vtk.runs.files import read_json
from vtk.train.inputs import TrainingInputs

GIB: Final = 2**30
TEXT_TOKENS: Final = 160


@dataclass(frozen=True, slots=True)
class HubModel:
    """Sizes of a model that is not on this machine yet.

    From the model card's safetensors metadata and its config.json; the vision tower's size follows
    from the latter.
    """

    num_parameters: int
    num_vision_parameters: int
    num_layers: int
    hidden_size: int
    key_value_size: int
    intermediate_size: int

    def adapted_shapes(self, target_modules: Sequence[str]) -> list[tuple[int, int]]:
        """Shapes of the language model's layers of these names."""
        hidden, inner = self.hidden_size, self.intermediate_size
        shapes = {
            "q_proj": (hidden, hidden),
            "k_proj": (self.key_value_size, hidden),
            "v_proj": (self.key_value_size, hidden),
            "o_proj": (hidden, hidden),
            "gate_proj": (inner, hidden),
            "up_proj": (inner, hidden),
            "down_proj": (hidden, inner),
        }
        return [shapes[name] for name in target_modules if name in shapes] * self.num_layers


HUB_MODELS: Final = {
    "Qwen/Qwen2.5-VL-3B-Instruct": HubModel(3_754_622_976, 668_684_288, 36, 2048, 256, 11008),
    "Qwen/Qwen2.5-VL-7B-Instruct": HubModel(8_292_166_656, 676_550_144, 28, 3584, 512, 18944),
}
GPU_TFLOPS: Final = {"H100": 790, "H200": 790, "A100": 312, "A6000": 155, "L40": 181, "4090": 165}
"""Dense bfloat16 matrix throughput, from the makers' data sheets."""
_EFFICIENCY: Final = 0.35
_CPU_GFLOPS_PER_THREAD: Final = 40.0
_HEADER_LENGTH_BYTES: Final = 8


@dataclass(frozen=True, slots=True)
class Estimate:
    """Needs of one process and one step.

    Attributes:
        num_parameters: Of the policy; None when its files are not here.
        num_trained_parameters: Those that get an update.
        memory_gib: By kind, and in all; without activations.
        tokens_per_step: Prompt and completion tokens that one process computes, at full length.
        tflop_per_step: Arithmetic of one process.
        step_s: Seconds of one step, at `assumed`.
        run_s: Seconds of the run.
        assumed: The machine that the seconds assume.
    """

    num_parameters: int | None
    num_trained_parameters: int | None
    memory_gib: dict[str, float] | None
    tokens_per_step: int
    tflop_per_step: float | None
    step_s: float | None
    run_s: float | None
    assumed: str

    def as_json(self) -> dict[str, Any]:
        """The estimate as plain data."""
        return asdict(self)


def estimate(config: VtkConfig, inputs: TrainingInputs) -> Estimate:
    """What one process of a run needs.

    Args:
        config: The run's settings.
        inputs: Its models, pinned.
    """
    optim, rollout = config.optim, config.rollout
    num_sequences = optim.prompts_per_device * optim.accumulation_steps * rollout.num_generations
    num_prompts = num_sequences // (rollout.num_generations if rollout.engine == "shared" else 1)
    prompt_tokens = num_prompts * (_video_tokens(config, inputs.model) + TEXT_TOKENS)
    tokens = prompt_tokens + num_sequences * rollout.max_completion_tokens
    flops_per_s, assumed, has_gpu = _machine()
    num_parameters = count_parameters(inputs.model)
    if num_parameters is None:
        return Estimate(None, None, None, tokens, None, None, None, assumed)
    num_trained = _num_trained(config, inputs.model, num_parameters)
    # 2 operations per weight and token forward, 4 backward; sampling is one more forward.
    num_passes = 2 + 2 + 4 + (2 if inputs.reference is not None else 0)
    flop = float(num_passes) * num_parameters * tokens
    step_s = flop / flops_per_s
    return Estimate(
        num_parameters,
        num_trained,
        _memory_gib(config, inputs, num_parameters, num_trained, has_gpu),
        tokens,
        flop / 1e12,
        step_s,
        step_s * optim.num_steps,
        assumed,
    )


def count_parameters(model: str) -> int | None:
    """Parameters of a model folder, or of a known hub id; None where neither is known.

    Raises:
        DataError: A weights file is damaged.
    """
    files = sorted(Path(model).glob("*.safetensors")) if Path(model).is_dir() else []
    weights = [path for path in files if path.name.startswith(("model", "adapter_model"))]
    if weights:
        return sum(sum(_tensor_sizes(path).values()) for path in weights)
    known = HUB_MODELS.get(model)
    return None if known is None else known.num_parameters


def _tensor_sizes(path: Path) -> dict[str, int]:
    """Elements of each tensor, from the file's header (github.com/huggingface/safetensors)."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(_HEADER_LENGTH_BYTES))
            header = json.loads(stream.read(length))
        return {name: prod(one["shape"]) for name, one in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise DataError(f"the weights file {path} is damaged: {error}") from error


def _num_trained(config: VtkConfig, model: str, num_parameters: int) -> int:
    if config.lora.enabled:
        shapes = _adapted_shapes(config, model)
        return sum(config.lora.rank * (rows + columns) for rows, columns in shapes)
    return num_parameters - (_num_vision(model) if config.model.freeze_vision else 0)


def _num_vision(model: str) -> int:
    """Parameters of the vision tower."""
    if model in HUB_MODELS:
        return HUB_MODELS[model].num_vision_parameters
    sizes: dict[str, int] = {}
    for path in Path(model).glob("model*.safetensors"):
        sizes |= _tensor_sizes(path)
    return sum(size for name, size in sizes.items() if "visual." in name)


def _adapted_shapes(config: VtkConfig, model: str) -> list[tuple[int, int]]:
    """Shapes of the layers that get an adapter."""
    if model in HUB_MODELS:
        return HUB_MODELS[model].adapted_shapes(config.lora.target_modules)
    shapes = []
    for path in Path(model).glob("model*.safetensors"):
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(_HEADER_LENGTH_BYTES))
            header = json.loads(stream.read(length))
        for name, one in header.items():
            layer = name.removesuffix(".weight").rpartition(".")[2]
            if layer in config.lora.target_modules and "visual." not in name:
                rows, columns = one["shape"]
                shapes.append((rows, columns))
    return shapes


def _memory_gib(
    config: VtkConfig, inputs: TrainingInputs, num_parameters: int, num_trained: int, has_gpu: bool
) -> dict[str, float]:
    is_bfloat16 = config.model.dtype == "bfloat16" or (config.model.dtype == "auto" and has_gpu)
    weight_bytes = 2 if is_bfloat16 else 4
    trained_bytes = 4 if config.lora.enabled else weight_bytes
    needs = {
        "weights": num_parameters * weight_bytes,
        "gradients": num_trained * trained_bytes,
        "optimizer": num_trained * (8 + (2 if trained_bytes == 2 else 0)),
        "reference": _reference_bytes(config, inputs, num_parameters, num_trained, weight_bytes),
    }
    found = {name: size / GIB for name, size in needs.items()}
    return found | {"total": sum(found.values())}


def _reference_bytes(
    config: VtkConfig,
    inputs: TrainingInputs,
    num_parameters: int,
    num_trained: int,
    weight_bytes: int,
) -> int:
    """With LoRA an adapter (or the bare base); else a second model."""
    if inputs.reference is None:
        return 0
    if not config.lora.enabled:
        return num_parameters * weight_bytes
    is_adapter = (Path(inputs.reference) / "adapter_config.json").is_file()
    if inputs.reference == "self":
        return 0
    return num_trained * 4 if is_adapter else num_parameters * weight_bytes


def _video_tokens(config: VtkConfig, model: str) -> int:
    """Tokens of a clip: two frames make one patch in time, merged patches one token."""
    video, (patch_px, merge) = config.video, _patch_and_merge(model)
    return video.num_frames // 2 * max(1, video.max_pixels_px // (patch_px * merge) ** 2)


def _patch_and_merge(model: str) -> tuple[int, int]:
    """Side of a patch in pixels, and how many patches a token merges per side."""
    path = Path(model) / "config.json"
    vision = read_json(path).get("vision_config", {}) if path.is_file() else {}
    return vision.get("patch_size", 14), vision.get("spatial_merge_size", 2)


def _machine() -> tuple[float, str, bool]:
    """Operations per second to assume, in words, and whether a GPU gives them."""
    from vtk.system.gpu import read_gpus

    devices = read_gpus().devices
    if devices:
        name = devices[0].name
        tflops = next((value for key, value in GPU_TFLOPS.items() if key in name), 100)
        share = f"{_EFFICIENCY:.0%} of {tflops} TFLOP/s"
        return tflops * 1e12 * _EFFICIENCY, f"{name} at {share}", True
    num_threads = int(os.environ.get("OMP_NUM_THREADS") or os.cpu_count() or 1)
    rate = f"{num_threads} CPU threads at {_CPU_GFLOPS_PER_THREAD:g} GFLOP/s each"
    return num_threads * _CPU_GFLOPS_PER_THREAD * 1e9, rate, False
