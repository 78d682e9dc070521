"""The tower's training: the processor's patches, true targets, a loss that falls."""

from collections.abc import Callable, Iterable

import numpy as np
import torch
from transformers import Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor

from vtk.models.tiny import (
    TINY_FRAME_HEIGHT_PX,
    TINY_FRAME_WIDTH_PX,
    TINY_NUM_FRAMES,
    build_tiny_model,
)
from vtk.rollout.prompts import PromptInputs
from vtk.train.pretrain.data import (
    PretrainScene,
    attribute_ids,
    centers_px,
    moment_of,
    on_course,
)
from vtk.train.pretrain.head import SceneHead, head_loss
from vtk.train.pretrain.targets import make_targets
from vtk.train.pretrain.vision import encode, patchify, train_vision

Tiny = tuple[Qwen2_5_VLForConditionalGeneration, Qwen2_5_VLProcessor]
Prompt = Callable[[PretrainScene, str], PromptInputs]
Weights = Callable[[torch.nn.Module], dict[str, torch.Tensor]]


def train(
    tiny: Tiny, scenes: list[PretrainScene], num_steps: int, seed: int = 0
) -> list[tuple[float, dict[str, float]]]:
    history: list[tuple[float, dict[str, float]]] = []
    train_vision(
        tiny[0],
        tiny[1].tokenizer,
        scenes,
        num_steps=num_steps,
        pairs_per_step=16,
        seed=seed,
        on_step=lambda _, loss, found: history.append((loss, found)),
    )
    return history


def test_patches_are_the_processors(scenes: list[PretrainScene], prompt: Prompt) -> None:
    for scene in scenes[:2]:
        expected = prompt(scene, "Why?").pixel_values_videos
        patches = patchify(scene.frames_FCHW[None])
        assert patches.shape == expected.shape
        torch.testing.assert_close(patches, expected, rtol=0, atol=1e-5)
    together = patchify(torch.stack([scene.frames_FCHW for scene in scenes[:2]]))
    alone = torch.cat([patchify(scene.frames_FCHW[None]) for scene in scenes[:2]])
    assert torch.equal(together, alone)


def test_features_are_those_that_the_model_reads(
    still: Tiny, scenes: list[PretrainScene], prompt: Prompt
) -> None:
    model = still[0]
    inputs = prompt(scenes[0], "Why?")
    with torch.no_grad():
        expected = model.model.get_video_features(
            inputs.pixel_values_videos, inputs.video_grid_thw
        ).pooler_output[0]
        features = encode(model, torch.stack([s.frames_FCHW for s in scenes[:3]]))
    assert features.shape == (3, *expected.shape)
    torch.testing.assert_close(features[0], expected, rtol=1e-4, atol=1e-4)
    assert not torch.allclose(features[0], features[1])


def test_targets_are_where_the_objects_are(scenes: list[PretrainScene]) -> None:
    view = np.array([TINY_FRAME_WIDTH_PX, TINY_FRAME_HEIGHT_PX])
    for scene in scenes:
        for pair in (0, TINY_NUM_FRAMES // 2 - 1):
            targets = make_targets(scene, pair)
            present = targets.present_BMK[0]
            assert present.sum() == len(scene.scene.things)
            centers_2N2 = centers_px(scene.scene)[2 * pair : 2 * pair + 2]
            rows, columns = _grid(len(present))
            for i, color in enumerate(attribute_ids(scene.scene)[0]):
                x, y = centers_2N2[:, i].mean(axis=0) / view
                (cell,) = present[:, color].nonzero().flatten().tolist()
                assert (cell // columns, cell % columns) == (int(y * rows), int(x * columns))


def test_targets_name_whom_an_object_collides_with_and_is_on_course_for(
    scenes: list[PretrainScene],
) -> None:
    for scene in scenes:
        colors = attribute_ids(scene.scene)[0]
        num_collisions = 0
        for pair in range(TINY_NUM_FRAMES // 2):
            targets = make_targets(scene, pair)
            owners = [row.nonzero().flatten().tolist() for row in targets.present_BMK[0]]
            alone = {colors.index(cell[0]) for cell in owners if len(cell) == 1}
            told: list[set[tuple[int, int]]] = [set(), set()]
            for cell, kind, partner in targets.partners_BM2K[0].nonzero().tolist():
                if len(owners[cell]) == 1:  # where two share a cell one of them speaks
                    told[kind].add((colors.index(owners[cell][0]), colors.index(partner)))
            hits = {c.pair for c in scene.scene.collisions if moment_of(c.frame) == pair}
            courses = on_course(scene.scene) if pair == 0 else frozenset()
            assert told == [
                {(a, b) for a, b in both_ways(pairs) if a in alone} for pairs in (hits, courses)
            ]
            num_collisions += len(hits)
        assert num_collisions == len(scene.scene.collisions)


def both_ways(pairs: Iterable[tuple[int, int]]) -> set[tuple[int, int]]:
    return {ends for a, b in pairs for ends in ((a, b), (b, a))}


def _grid(num_cells: int) -> tuple[int, int]:
    """Rows and columns of square cells over the view."""
    side_px = int((TINY_FRAME_HEIGHT_PX * TINY_FRAME_WIDTH_PX / num_cells) ** 0.5)
    return TINY_FRAME_HEIGHT_PX // side_px, TINY_FRAME_WIDTH_PX // side_px


def test_a_few_steps_lower_the_loss_and_move_the_tower_alone(
    fresh: Tiny, scenes: list[PretrainScene], weights: Weights
) -> None:
    before = weights(fresh[0])
    history = train(fresh, scenes, num_steps=14)
    losses = [loss for loss, _ in history]
    assert len(set(losses)) == len(losses)  # it is computed anew each time
    assert np.mean(losses[-3:]) < 0.9 * np.mean(losses[:3])
    assert all(np.isfinite(list(found.values())).all() for _, found in history)
    for name, tensor in fresh[0].state_dict().items():
        is_tower = name.startswith("model.visual.")
        assert torch.equal(tensor, before[name]) != is_tower, name


def test_the_seed_decides_everything(scenes: list[PretrainScene]) -> None:
    towers = []
    for seed, state in ((0, 1), (0, 2), (1, 1)):
        model, processor = build_tiny_model(seed=0)
        torch.manual_seed(state)  # the caller's random state must not matter
        train((model, processor), scenes[:4], num_steps=2, seed=seed)
        towers.append(torch.cat([p.flatten() for p in model.model.visual.parameters()]))
    assert torch.equal(towers[0], towers[1])
    assert not torch.equal(towers[0], towers[2])


def test_a_batch_of_later_pairs_alone_has_a_loss(fresh: Tiny, scenes: list[PretrainScene]) -> None:
    """It has no courses to learn."""
    head = SceneHead(fresh[0], fresh[1].tokenizer)
    for pair in (0, 3):
        features = encode(fresh[0], scenes[0].frames_FCHW[None, 2 * pair : 2 * pair + 2])
        loss, found = head_loss(head(features), make_targets(scenes[0], pair))
        assert torch.isfinite(loss)
        assert found["courses_f1"] <= 1.0
