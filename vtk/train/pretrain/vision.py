"""First stage of `vtk mini pretrain`: the vision tower learns what moves where, and what meets.

It learns from single frame pairs, through a head that is thrown away (`vtk.train.pretrain.head`).

Shape suffixes: B clips or frame pairs, F frames, C channels, H height, W width, M merged tokens
(row-major over the grid), D hidden size, K colours.
"""

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import numpy as np
import torch

from vtk.mini.scenes import Scene
from vtk.models.tiny import TINY_MERGE, TINY_PATCH_PX
from vtk.train.pretrain.attention import attend_to_pairs_at_once
from vtk.train.pretrain.data import PretrainScene, moment_of
from vtk.train.pretrain.descent import Descent
from vtk.train.pretrain.head import SceneHead, head_loss
from vtk.train.pretrain.progress import StageProgress
from vtk.train.pretrain.start import clip_rotation
from vtk.train.pretrain.targets import make_targets, stack_targets
from vtk.train.pretrain.words import word_ids

if TYPE_CHECKING:
    from transformers import Qwen2_5_VLForConditionalGeneration
    from transformers.models.qwen2.tokenization_qwen2 import Qwen2Tokenizer

_MEAN = torch.tensor([0.48145466, 0.4578275, 0.40821073])
_STD = torch.tensor([0.26862954, 0.26130258, 0.27577711])
_NUM_SCALE_SCENES = 64
_FIRST_PAIR_FRAC = 0.35
_COLLISION_FRAC = 0.35
_NOISE_STD = 3.0  # of 255; H.264 leaves about this much


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


def train_vision(
    model: "Qwen2_5_VLForConditionalGeneration",
    tokenizer: "Qwen2Tokenizer",
    scenes: Sequence[PretrainScene],
    *,
    num_steps: int,
    pairs_per_step: int = 256,
    learning_rate: float = 2e-3,
    seed: int = 0,
    progress: StageProgress | None = None,
    on_step: Callable[[int, float, dict[str, float]], None],
) -> torch.Tensor:
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
        progress: Goes on from what it holds, and is given each step.
        on_step: Called after each step with its number, its loss and what the head gets right.

    Returns:
        The rotation that the clip's words are turned by (`vtk.train.pretrain.start`), (D, D).
    """
    rng = np.random.default_rng([0x5EE, seed])
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        head = SceneHead(model, tokenizer)
    descent = Descent(
        [*model.model.visual.parameters(), *head.parameters()],
        learning_rate=learning_rate,
        num_steps=num_steps,
        weight_decay=0.01,
        warmup_frac=0.06,
    )
    num_pairs = scenes[0].frames_FCHW.shape[0] // 2
    modules = {"visual": model.model.visual, "head": head}
    first_step = 0 if progress is None else progress.restore(modules, descent, rng)
    for step in range(first_step, num_steps):
        picks = [
            (index, _draw_pair(rng, scenes[index].scene, num_pairs))
            for index in rng.integers(len(scenes), size=pairs_per_step).tolist()
        ]
        frames = torch.stack([scenes[s].frames_FCHW[2 * p : 2 * p + 2] for s, p in picks])
        frames = _with_noise(frames, rng)
        targets = stack_targets([make_targets(scenes[s], p) for s, p in picks])
        with attend_to_pairs_at_once(model):
            loss, report = head_loss(head(encode(model, frames)), targets)
        descent.step(loss)
        on_step(step, loss.item(), report)
        if progress is not None:
            progress.note(step + 1, modules, descent, rng)
    return _finish_features(model, tokenizer, scenes)


def _draw_pair(rng: np.random.Generator, scene: Scene, num_pairs: int) -> int:
    """A frame pair of a scene: the one that has courses to learn, one with a collision, or any."""
    kind = rng.random()
    if kind < _FIRST_PAIR_FRAC:
        return 0
    if kind < _FIRST_PAIR_FRAC + _COLLISION_FRAC:
        return moment_of(scene.collisions[int(rng.integers(len(scene.collisions)))].frame)
    return int(rng.integers(num_pairs))


def _with_noise(frames: torch.Tensor, rng: np.random.Generator) -> torch.Tensor:
    generator = torch.Generator().manual_seed(int(rng.integers(2**31)))
    noisy = frames.float() + torch.randn(frames.shape, generator=generator) * _NOISE_STD
    return noisy.clamp(0, 255)


def _finish_features(
    model: "Qwen2_5_VLForConditionalGeneration",
    tokenizer: "Qwen2Tokenizer",
    scenes: Sequence[PretrainScene],
) -> torch.Tensor:
    """Change the tower's last layer.

    A colour's part of a feature becomes as long as its word, and the clip's words are turned away
    from those of texts (`vtk.train.pretrain.start`).

    Returns:
        The rotation, (D, D).
    """
    words_KD = model.lm_head.weight.detach()[word_ids(tokenizer, "colors")]
    targets = stack_targets([make_targets(scene, 0) for scene in scenes[:_NUM_SCALE_SCENES]])
    frames = torch.stack([scene.frames_FCHW[:2] for scene in scenes[:_NUM_SCALE_SCENES]])
    last = model.model.visual.merger.mlp[-1]
    with torch.no_grad():
        shares_BMK = encode(model, frames) @ words_KD.T / words_KD.pow(2).sum(dim=1)
        share = shares_BMK[targets.present_BMK.bool()].mean()
        turn_DD = clip_rotation(model, tokenizer, scenes)
        last.weight.copy_(turn_DD @ last.weight / share)
        last.bias.copy_(turn_DD @ last.bias / share)
    return turn_DD
