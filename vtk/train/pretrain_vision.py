"""First stage of `vtk mini pretrain`: the vision tower learns where which object is.

A head that is thrown away says for every token which colours' objects have their centre in its
14x14 px cell, where in the whole frame the object is in both frames of the token's pair (as numbers
and as tenths of the view), its shape and material, and how much of the clip is over. The tower
knows relative positions only: place and time come from the light on the table.

The head's rows for colours, tenths, shapes, materials and moments are the language model's own
embeddings of the words for them. So the tower learns to speak in words: a token's feature is a sum
of embeddings, and the language model finds "red" in the clip as it finds it in a question.

Shape suffixes: B clips or frame pairs, F frames, C channels, H height, W width, M merged tokens
(row-major over the grid), D hidden size, K colours, O the head's outputs, 4 the pixel coordinates
(x, y) in both frames.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, fields
from typing import TYPE_CHECKING

import numpy as np
import torch
from torch import nn
from torch.nn import functional

from vtk.mini.language import COLORS, MATERIALS, SHAPES
from vtk.models.tiny import (
    TINY_FRAME_HEIGHT_PX,
    TINY_FRAME_WIDTH_PX,
    TINY_MERGE,
    TINY_PATCH_PX,
)
from vtk.train.pretrain_data import (
    MOMENT_WORDS,
    PLACE_WORDS,
    PretrainScene,
    attribute_ids,
    centers_px,
)

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

NUM_BINS = 10
_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
_NUM_SCALE_SCENES = 64
_NOISE_STD = 3.0  # of 255; H.264 leaves about this much


@dataclass(frozen=True, slots=True)
class Targets:
    """What the head should say about B frame pairs.

    Attributes:
        present_BMK: 1 where an object of this colour has its centre in the token's cell.
        owned_BM: Whether any has.
        places_BM4: The object's centre in both frames, from -1 to 1 over the view.
        bins_BM2: Its mean place in tenths of the view.
        shape_BM: Its shape.
        material_BM: Its material.
        pair_BM: Which frame pair of the clip it is.
    """

    present_BMK: torch.Tensor
    owned_BM: torch.Tensor
    places_BM4: torch.Tensor
    bins_BM2: torch.Tensor
    shape_BM: torch.Tensor
    material_BM: torch.Tensor
    pair_BM: torch.Tensor


_GROUPS = (
    tuple(f" {word}" for word in COLORS),
    PLACE_WORDS[0],
    PLACE_WORDS[1],
    tuple(f" {word}" for word in SHAPES),
    tuple(f" {word}" for word in MATERIALS),
    MOMENT_WORDS,
)
_SHARPNESS = 6.0  # of the choice among a group's words at first; it is learned


class SceneHead(nn.Module):
    """Per token: two places (linear), and scores of the words of each group (embeddings)."""

    def __init__(
        self, model: "Qwen2_5_VLForConditionalGeneration", tokenizer: "Qwen2Tokenizer"
    ) -> None:
        super().__init__()
        embeddings = model.lm_head.weight.detach()  # tied to the input embeddings
        self.places = nn.Linear(embeddings.shape[1], 4)
        self.sharpness = nn.Parameter(torch.full((len(_GROUPS),), _SHARPNESS))
        self.color_bias = nn.Parameter(torch.full((len(COLORS),), -3.0))
        for number, words in enumerate(_GROUPS):
            ids = [tokenizer(word).input_ids for word in words]
            assert all(len(one) == 1 for one in ids), words
            self.register_buffer(f"words_{number}", embeddings[[one[0] for one in ids]].clone())

    def forward(self, features_BMD: torch.Tensor) -> tuple[torch.Tensor, ...]:
        """(B, M, D) features -> colours, places, then the other groups, each (B, M, outputs)."""
        colors, *others = (
            self.sharpness[number] * features_BMD @ getattr(self, f"words_{number}").T
            for number in range(len(_GROUPS))
        )
        return (colors + self.color_bias, self.places(features_BMD), *others)


def patchify(
    frames_BFCHW: torch.Tensor, patch_px: int = TINY_PATCH_PX, merge: int = TINY_MERGE
) -> torch.Tensor:
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
    grid = torch.tensor(
        [[num_frames // 2, height // TINY_PATCH_PX, width // TINY_PATCH_PX]]
    ).repeat(batch, 1)
    patches = patchify(frames_BFCHW)
    features: torch.Tensor = model.model.visual(patches, grid_thw=grid).pooler_output
    return features.view(batch, -1, features.shape[-1])


def make_targets(scene: PretrainScene, pair: int) -> Targets:
    """Targets of one frame pair (B = 1)."""
    columns, rows = TINY_FRAME_WIDTH_PX // TINY_PATCH_PX, TINY_FRAME_HEIGHT_PX // TINY_PATCH_PX
    num_cells = rows * columns
    present = torch.zeros(1, num_cells, len(COLORS))
    places = torch.zeros(1, num_cells, 4)
    labels = torch.zeros(4, 1, num_cells, dtype=torch.long)
    view = np.array([TINY_FRAME_WIDTH_PX, TINY_FRAME_HEIGHT_PX], dtype=np.float32)
    share_2N2 = centers_px(scene.scene)[2 * pair : 2 * pair + 2] / view
    for i, (color, shape, material) in enumerate(zip(*attribute_ids(scene.scene), strict=True)):
        x, y = np.clip(share_2N2[:, i].mean(axis=0), 0.0, 0.999)
        cell = int(y * rows) * columns + int(x * columns)
        present[0, cell, color] = 1.0
        places[0, cell] = torch.from_numpy(share_2N2[:, i].reshape(4) * 2.0 - 1.0)
        labels[:, 0, cell] = torch.tensor([int(x * NUM_BINS), int(y * NUM_BINS), shape, material])
    return Targets(
        present_BMK=present,
        owned_BM=present.any(dim=-1),
        places_BM4=places,
        bins_BM2=labels[:2].permute(1, 2, 0),
        shape_BM=labels[2],
        material_BM=labels[3],
        pair_BM=torch.full((1, num_cells), pair),
    )


def head_loss(
    outputs: Sequence[torch.Tensor], targets: Targets
) -> tuple[torch.Tensor, dict[str, float]]:
    """Sum of the head's losses, and what it gets right: colours, place, shape, material, time."""
    colors, places, bins_x, bins_y, shapes, materials, pairs = outputs
    own = targets.owned_BM
    presence = functional.binary_cross_entropy_with_logits(
        colors, targets.present_BMK, pos_weight=torch.tensor(4.0)
    )
    place = functional.smooth_l1_loss(places[own], targets.places_BM4[own], beta=0.05)
    cross_entropy = functional.cross_entropy
    bins = cross_entropy(bins_x[own], targets.bins_BM2[own][:, 0]) + cross_entropy(
        bins_y[own], targets.bins_BM2[own][:, 1]
    )
    kinds = cross_entropy(shapes[own], targets.shape_BM[own]) + cross_entropy(
        materials[own], targets.material_BM[own]
    )
    time = cross_entropy(pairs.flatten(0, 1), targets.pair_BM.flatten())
    loss = 8.0 * presence + 4.0 * place + 0.3 * bins + 0.1 * kinds + 0.2 * time
    with torch.no_grad():
        error = (places[own] - targets.places_BM4[own]).abs() / 2.0
        sides = torch.tensor([TINY_FRAME_WIDTH_PX, TINY_FRAME_HEIGHT_PX] * 2)
        is_right = ((colors > 0) == targets.present_BMK.bool()).all(dim=-1)
        report = {
            "presence_accuracy": float(is_right.float().mean()),
            "place_error_px": float((error * sides).mean()),
            "shape_accuracy": _accuracy(shapes[own], targets.shape_BM[own]),
            "material_accuracy": _accuracy(materials[own], targets.material_BM[own]),
            "time_accuracy": _accuracy(pairs.flatten(0, 1), targets.pair_BM.flatten()),
        }
    return loss, report


def train_vision(
    model: "Qwen2_5_VLForConditionalGeneration",
    tokenizer: "Qwen2Tokenizer",
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
        tokenizer: Gives the ids of the words that the head scores.
        scenes: Clips to draw frame pairs from.
        num_steps: Optimizer steps.
        pairs_per_step: Frame pairs in a batch.
        learning_rate: Peak of a one-cycle schedule.
        seed: Decides the head's first weights, the frame pairs and the noise on them. The global
            random state is left as it was.
        on_step: Called after each step with its number, its loss and what the head gets right.
    """
    rng = np.random.default_rng([0x5EE, seed])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SceneHead(model, tokenizer)
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
    _scale_features(model, head, scenes)


def _accuracy(logits: torch.Tensor, labels: torch.Tensor) -> float:
    return float((logits.argmax(-1) == labels).float().mean())


def _with_noise(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    noisy = frames.float() + torch.randn(frames.shape, generator=generator) * _NOISE_STD
    return noisy.clamp(0, 255)


def _stack(targets: Sequence[Targets]) -> Targets:
    names = [field.name for field in fields(Targets)]
    return Targets(*(torch.cat([getattr(t, name) for t in targets]) for name in names))


def _scale_features(
    model: "Qwen2_5_VLForConditionalGeneration", head: SceneHead, scenes: Sequence[PretrainScene]
) -> None:
    """Scale the tower's last layer so that a colour's part of a feature is as long as its word."""
    words_KD = head.get_buffer("words_0")
    targets = _stack([make_targets(scene, 0) for scene in scenes[:_NUM_SCALE_SCENES]])
    frames = torch.stack([scene.frames_FCHW[:2] for scene in scenes[:_NUM_SCALE_SCENES]])
    with torch.no_grad():
        shares_BMK = encode(model, frames) @ words_KD.T / words_KD.pow(2).sum(dim=1)
        share = shares_BMK[targets.present_BMK.bool()].mean()
        for parameter in model.model.visual.merger.mlp[-1].parameters():
            parameter.div_(share)
