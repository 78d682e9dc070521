"""What the tower should say about a frame pair, token by token.

Shape suffixes: B frame pairs, N objects, M tokens (row-major over the grid), K colours, W words, 2
the partners now and later, 4 the coordinates (x, y) in both frames.
"""

from collections.abc import Sequence
from dataclasses import dataclass, fields

import numpy as np
import torch
from torch.nn import functional

from vtk.mini.language import COLORS, MATERIALS, MOMENTS, SHAPES
from vtk.models.tiny import TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX, TINY_PATCH_PX
from vtk.train.pretrain.data import (
    PretrainScene,
    attribute_ids,
    centers_px,
    moment_of,
    on_course,
)

NUM_BINS = 10


@dataclass(frozen=True, slots=True)
class Targets:
    """What the head should say about B frame pairs.

    Attributes:
        present_BMK: 1 where an object of this colour has its centre in the token's cell. The rest
            is about that object; where two share a cell, about the later one.
        partners_BM2K: 1 for the colours that it collides with in this pair of frames, and for those
            that it is on course for in the first pair.
        owned_BM: Whether any object has its centre there.
        places_BM4: The object's centre in both frames, from -1 to 1 over the view.
        bins_BM2: Its mean place in tenths of the view.
        shape_BM: Its shape.
        material_BM: Its material.
        pair_BM: Which frame pair of the clip it is.
    """

    present_BMK: torch.Tensor
    partners_BM2K: torch.Tensor
    owned_BM: torch.Tensor
    places_BM4: torch.Tensor
    bins_BM2: torch.Tensor
    shape_BM: torch.Tensor
    material_BM: torch.Tensor
    pair_BM: torch.Tensor


def make_targets(scene: PretrainScene, pair: int) -> Targets:
    """Targets of one frame pair (B = 1)."""
    columns, rows = TINY_FRAME_WIDTH_PX // TINY_PATCH_PX, TINY_FRAME_HEIGHT_PX // TINY_PATCH_PX
    num_cells = rows * columns
    present = torch.zeros(1, num_cells, len(COLORS))
    places = torch.zeros(1, num_cells, 4)
    labels = torch.zeros(4, 1, num_cells, dtype=torch.long)
    partners = torch.zeros(1, num_cells, 2, len(COLORS))
    view = np.array([TINY_FRAME_WIDTH_PX, TINY_FRAME_HEIGHT_PX], dtype=np.float32)
    share_2N2 = centers_px(scene.scene)[2 * pair : 2 * pair + 2] / view
    partners_N2K = _partners(scene, pair)
    for i, (color, shape, material) in enumerate(zip(*attribute_ids(scene.scene), strict=True)):
        x, y = np.clip(share_2N2[:, i].mean(axis=0), 0.0, 0.999)
        cell = int(y * rows) * columns + int(x * columns)
        present[0, cell, color] = 1.0
        places[0, cell] = torch.from_numpy(share_2N2[:, i].reshape(4) * 2.0 - 1.0)
        partners[0, cell] = partners_N2K[i]
        labels[:, 0, cell] = torch.tensor([int(x * NUM_BINS), int(y * NUM_BINS), shape, material])
    return Targets(
        present_BMK=present,
        partners_BM2K=partners,
        owned_BM=present.any(dim=-1),
        places_BM4=places,
        bins_BM2=labels[:2].permute(1, 2, 0),
        shape_BM=labels[2],
        material_BM=labels[3],
        pair_BM=torch.full((1, num_cells), pair),
    )


def _partners(scene: PretrainScene, pair: int) -> torch.Tensor:
    """(N, 2, K): which colours each object collides with now, and is on course for at first."""
    colors, _, _ = attribute_ids(scene.scene)
    hits = [c.pair for c in scene.scene.collisions if moment_of(c.frame) == pair]
    courses = on_course(scene.scene) if pair == 0 else ()
    partners = torch.zeros(len(colors), 2, len(COLORS))
    for kind, pairs in enumerate((hits, courses)):
        for a, b in pairs:
            partners[a, kind, colors[b]] = partners[b, kind, colors[a]] = 1.0
    return partners


def true_words(targets: Targets) -> torch.Tensor:
    """(B, M, W) How often each of the `WORDS`, in their order, is true of a token: once or not."""
    labels = (
        (targets.bins_BM2[..., 0], NUM_BINS),
        (targets.bins_BM2[..., 1], NUM_BINS),
        (targets.shape_BM, len(SHAPES)),
        (targets.material_BM, len(MATERIALS)),
        (targets.pair_BM, len(MOMENTS)),
    )
    own_BM1 = targets.owned_BM[..., None]
    singles = [functional.one_hot(label, num) * own_BM1 for label, num in labels]
    return torch.cat([targets.present_BMK, *singles, targets.partners_BM2K.flatten(2)], dim=-1)


def stack_targets(targets: Sequence[Targets]) -> Targets:
    """Targets of many frame pairs, one after the other."""
    names = [field.name for field in fields(Targets)]
    return Targets(*(torch.cat([getattr(t, name) for t in targets]) for name in names))
