"""First stage of `vtk mini pretrain`: the vision tower learns where which object is.

A head that is thrown away says for every merged token and colour whether the object's centre lies
in the token's 28x28 px cell, where it is in both frames of the token's pair, and its shape and
material.

Shape suffixes: B clips or frame pairs, F frames, C channels, H height, W width, M merged tokens
(row-major over the grid), D hidden size, K colours, O the head's outputs, 4 the pixel coordinates
(x, y) in both frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vtk.mini.language import COLORS, MATERIALS, SHAPES
from vtk.models.tiny import TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX
from vtk.train.pretrain_data import PretrainScene, attribute_ids, centers_px

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration

CELL_PX = 28
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
_NOISE_STD = 3.0  # of 255; H.264 leaves about this much


@dataclass(frozen=True, slots=True)
class Targets:
    """What the head should say about B frame pairs."""

    present_BMK: torch.Tensor
    places_BMK4: torch.Tensor
    shape_BMK: torch.Tensor
    material_BMK: torch.Tensor


class SceneHead(nn.Module):
    """Per merged token and colour: presence, two places, shape, material."""

    def __init__(self, hidden_size: int) -> None:
        super().__init__()
        self.num_outputs = 1 + 4 + len(SHAPES) + len(MATERIALS)
        self.linear = nn.Linear(hidden_size, len(COLORS) * self.num_outputs)

    def forward(self, features_BMD: torch.Tensor) -> torch.Tensor:
        """(B, M, D) features -> (B, M, K, outputs)."""
        outputs: torch.Tensor = self.linear(features_BMD)
        return outputs.view(*outputs.shape[:-1], len(COLORS), self.num_outputs)


def patchify(frames_BFCHW: torch.Tensor, patch_px: int = 14, merge: int = 2) -> torch.Tensor:
    """What Qwen2VLVideoProcessor makes of frames, batched; a test compares the two.

    Args:
        frames_BFCHW: RGB from 0 to 255.
        patch_px: Side of a patch.
        merge: Patches per side of a merged token.

    Returns:
        (B * F/2 * patches, C * 2 * patch * patch), in the order pair of frames, merged cell, patch
        within the cell.
    """
    pixels = (frames_BFCHW.float() / 255.0 - _MEAN[:, None, None]) / _STD[:, None, None]
    batch, num_frames, channels, height, width = pixels.shape
    rows, columns = height // (patch_px * merge), width // (patch_px * merge)
    blocks = pixels.view(
        batch, num_frames // 2, 2, channels, rows, merge, patch_px, columns, merge, patch_px
    )
    return blocks.permute(0, 1, 4, 7, 5, 8, 3, 2, 6, 9).reshape(
        -1, channels * 2 * patch_px * patch_px
    )


def encode(model: "Qwen2_5_VLForConditionalGeneration", frames_BFCHW: torch.Tensor) -> torch.Tensor:
    """Vision features of clips, (B, F/2 * M, D), from frames of 0 to 255."""
    batch, num_frames, _, height, width = frames_BFCHW.shape
    grid = torch.tensor([[num_frames // 2, height // 14, width // 14]]).repeat(batch, 1)
    patches = patchify(frames_BFCHW)
    features: torch.Tensor = model.model.visual(patches, grid_thw=grid).pooler_output
    return features.view(batch, -1, features.shape[-1])


def make_targets(scene: PretrainScene, pair: int) -> Targets:
    """Targets of one frame pair (B = 1)."""
    rows, columns = TINY_FRAME_HEIGHT_PX // CELL_PX, TINY_FRAME_WIDTH_PX // CELL_PX
    shape = (1, rows * columns, len(COLORS))
    present, places = torch.zeros(shape), torch.zeros(*shape, 4)
    kinds, materials = torch.zeros(shape, dtype=torch.long), torch.zeros(shape, dtype=torch.long)
    centers = centers_px(scene.scene)[2 * pair : 2 * pair + 2]
    for i, (color, kind, material) in enumerate(zip(*attribute_ids(scene.scene), strict=True)):
        x, y = centers[:, i].mean(axis=0)
        column, row = min(int(x) // CELL_PX, columns - 1), min(int(y) // CELL_PX, rows - 1)
        cell = row * columns + column
        origin = np.array([column * CELL_PX, row * CELL_PX]) + CELL_PX / 2
        present[0, cell, color] = 1.0
        places[0, cell, color] = torch.from_numpy(
            ((centers[:, i] - origin) / (CELL_PX / 2)).reshape(4)
        )
        kinds[0, cell, color], materials[0, cell, color] = kind, material
    return Targets(present, places, kinds, materials)


def head_loss(
    outputs_BMKO: torch.Tensor, targets: Targets
) -> tuple[torch.Tensor, dict[str, float]]:
    """Sum of the head's losses, and what it gets right: presence, place, shape, material."""
    present = targets.present_BMK
    inside = present.bool()
    presence = functional.binary_cross_entropy_with_logits(
        outputs_BMKO[..., 0], present, pos_weight=torch.tensor(4.0)
    )
    places = functional.smooth_l1_loss(
        outputs_BMKO[..., 1:5][inside], targets.places_BMK4[inside], beta=0.1
    )
    shape_logits = outputs_BMKO[..., 5 : 5 + len(SHAPES)][inside]
    material_logits = outputs_BMKO[..., 5 + len(SHAPES) :][inside]
    shapes = functional.cross_entropy(shape_logits, targets.shape_BMK[inside])
    materials = functional.cross_entropy(material_logits, targets.material_BMK[inside])
    loss = 4.0 * presence + 2.0 * places + 0.1 * shapes + 0.1 * materials
    with torch.no_grad():
        calls = (outputs_BMKO[..., 0] > 0) == inside
        error = (outputs_BMKO[..., 1:5][inside] - targets.places_BMK4[inside]).abs().mean()
        report = {
            "presence_accuracy": float(calls.float().mean()),
            "place_error_px": float(error * CELL_PX / 2),
            "shape_accuracy": _accuracy(shape_logits, targets.shape_BMK[inside]),
            "material_accuracy": _accuracy(material_logits, targets.material_BMK[inside]),
        }
    return loss, report


def train_vision(
    model: "Qwen2_5_VLForConditionalGeneration",
    scenes: Sequence[PretrainScene],
    *,
    num_steps: int,
    pairs_per_step: int = 256,
    learning_rate: float = 2e-3,
    seed: int = 0,
    on_step: Callable[[int, float, dict[str, float]], None],
) -> None:
    """Train the tower in place on single frame pairs of random scenes.

    Args:
        model: Its `visual` part is trained.
        scenes: Clips to draw frame pairs from.
        num_steps: Optimizer steps.
        pairs_per_step: Frame pairs in a batch.
        learning_rate: Peak of a one-cycle schedule.
        seed: Decides the head's first weights, the frame pairs and the noise on them. The global
            random state is left as it was.
        on_step: Called after each step with its number, its loss and what the head gets right.
    """
    rng = np.random.default_rng([0x5EE, seed])
    head = SceneHead(model.lm_head.in_features)
    parameters = [*model.model.visual.parameters(), *head.parameters()]
    optimizer = torch.optim.AdamW(
        parameters, lr=learning_rate, weight_decay=0.01, betas=(0.9, 0.98)
    )
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, learning_rate, total_steps=num_steps, pct_start=0.06
    )
    num_pairs = scenes[0].frames_FCHW.shape[0] // 2
    for step in range(num_steps):
        picks = [
            (int(rng.integers(len(scenes))), int(rng.integers(num_pairs)))
            for _ in range(pairs_per_step)
        ]
        frames = torch.stack([scenes[s].frames_FCHW[2 * p : 2 * p + 2] for s, p in picks])
        frames = _with_noise(frames, rng)
        targets = _stack([make_targets(scenes[s], p) for s, p in picks])
        loss, report = head_loss(head(encode(model, frames)), targets)
        optimizer.zero_grad()
        torch.autograd.backward(loss)
        torch.nn.utils.clip_grad_norm_(parameters, 1.0)
        optimizer.step()
        schedule.step()
        on_step(step, loss.item(), report)


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float((logits.argmax(-1) == labels).float().mean())


def _with_noise(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    noisy = frames.float() + torch.randn(frames.shape, generator=generator) * _NOISE_STD
    return noisy.clamp(0, 255)


def _stack(targets: Sequence[Targets]) -> Targets:
    return Targets(
        torch.cat([t.present_BMK for t in targets]),
        torch.cat([t.places_BMK4 for t in targets]),
        torch.cat([t.shape_BMK for t in targets]),
        torch.cat([t.material_BMK for t in targets]),
    )
