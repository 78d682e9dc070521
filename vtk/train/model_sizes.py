"""How large a model is, without loading it: its config.json and the headers of its weights.

Shape letters: H hidden size.
"""

import json
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any, Final, Self

from vtk.errors import DataError
from vtk.runs.files import read_json

_HEADER_LENGTH_BYTES: Final = 8
_PROJECTIONS: Final = {
    "q_proj": ("hidden", "hidden"),
    "k_proj": ("key_value", "hidden"),
    "v_proj": ("key_value", "hidden"),
    "o_proj": ("hidden", "hidden"),
    "gate_proj": ("intermediate", "hidden"),
    "up_proj": ("intermediate", "hidden"),
    "down_proj": ("hidden", "intermediate"),
}
"""Rows and columns of a layer's matrices (huggingface.co/docs/transformers, Qwen2.5-VL)."""


@dataclass(frozen=True, slots=True)
class ModelSizes:
    """The numbers of a Qwen2.5-VL model that its work and memory follow from.

    Attributes:
        num_parameters: All of them, shared ones once.
        num_vision_parameters: Those of the vision tower.
        hidden: H of the language model.
        intermediate: Width inside its feed-forward layers.
        key_value: Width of the keys of a layer, and of its values.
        num_layers: Of the language model.
        vocabulary: Tokens.
        vision_hidden: Width of the tower.
        vision_intermediate: Width inside its feed-forward layers.
        vision_depth: Layers of the tower.
        patch_px: Side of a patch.
        merge: Patches per side that become one token.
        frames_per_patch: Frames that become one patch in time.
    """

    num_parameters: int
    num_vision_parameters: int
    hidden: int
    intermediate: int
    key_value: int
    num_layers: int
    vocabulary: int
    vision_hidden: int
    vision_intermediate: int
    vision_depth: int
    patch_px: int = 14
    merge: int = 2
    frames_per_patch: int = 2

    @classmethod
    def from_config(
        cls, config: Mapping[str, Any], num_parameters: int, num_vision_parameters: int
    ) -> Self:
        """The sizes that a model's config.json names.

        Args:
            config: Its content.
            num_parameters: As the attribute.
            num_vision_parameters: As the attribute.

        Raises:
            KeyError: It is not the config of a Qwen2.5-VL model.
        """
        text, vision = config["text_config"], config["vision_config"]
        head_width = text["hidden_size"] // text["num_attention_heads"]
        return cls(
            num_parameters,
            num_vision_parameters,
            hidden=text["hidden_size"],
            intermediate=text["intermediate_size"],
            key_value=head_width * text["num_key_value_heads"],
            num_layers=text["num_hidden_layers"],
            vocabulary=text["vocab_size"],
            vision_hidden=vision["hidden_size"],
            vision_intermediate=vision["intermediate_size"],
            vision_depth=vision["depth"],
            patch_px=vision["patch_size"],
            merge=vision["spatial_merge_size"],
            frames_per_patch=vision["temporal_patch_size"],
        )

    @property
    def num_layer_weights(self) -> int:
        """Weights of the matrices of all layers of the language model."""
        shapes = self.adapted_shapes(tuple(_PROJECTIONS))
        return sum(rows * columns for rows, columns in shapes)

    @property
    def num_head_weights(self) -> int:
        """Weights of the output embedding."""
        return self.hidden * self.vocabulary

    def adapted_shapes(self, target_modules: Sequence[str]) -> list[tuple[int, int]]:
        """Rows and columns of the language model's matrices of these names, layer by layer."""
        shapes = [_PROJECTIONS[name] for name in target_modules if name in _PROJECTIONS]
        found: list[tuple[int, int]] = [
            (getattr(self, rows), getattr(self, columns)) for rows, columns in shapes
        ]
        return found * self.num_layers

    def num_patches(self, num_frames: int, frame_px: int) -> int:
        """Patches of a clip whose frames have this many pixels."""
        token_px = (self.patch_px * self.merge) ** 2
        return num_frames // self.frames_per_patch * max(1, frame_px // token_px) * self.merge**2


HUB_MODELS: Final = {
    "Qwen/Qwen2.5-VL-3B-Instruct": ModelSizes(
        3_754_622_976, 668_684_288, 2048, 11008, 256, 36, 151936, 1280, 3420, 32
    ),
    "Qwen/Qwen2.5-VL-7B-Instruct": ModelSizes(
        8_292_166_656, 676_550_144, 3584, 18944, 512, 28, 152064, 1280, 3420, 32
    ),
}
"""Sizes of models that may not be on this machine yet, from the model cards' safetensors metadata
and config.json; the vision towers' follow from the latter."""


def read_sizes(model: str) -> ModelSizes | None:
    """Sizes of a model folder, or of a known hub id; None where neither is known.

    Raises:
        DataError: A weights file is damaged.
    """
    folder = Path(model)
    config = folder / "config.json"
    if not config.is_file():
        return HUB_MODELS.get(model)
    shapes: dict[str, list[int]] = {}
    for path in sorted(folder.glob("model*.safetensors")):
        shapes |= _tensor_shapes(path)
    num_vision = sum(prod(shape) for name, shape in shapes.items() if "visual." in name)
    num_all = sum(prod(shape) for shape in shapes.values())
    try:
        return ModelSizes.from_config(read_json(config), num_all, num_vision) if shapes else None
    except KeyError:
        return None


def _tensor_shapes(path: Path) -> dict[str, list[int]]:
    """Shape of each tensor, from the file's header (github.com/huggingface/safetensors)."""
    try:
        with path.open("rb") as stream:
            (length,) = struct.unpack("<Q", stream.read(_HEADER_LENGTH_BYTES))
            header = json.loads(stream.read(length))
        return {name: list(one["shape"]) for name, one in header.items() if name != "__metadata__"}
    except (OSError, ValueError, KeyError, TypeError, struct.error) as error:
        raise DataError(f"the weights file {path} is damaged: {error}") from error
