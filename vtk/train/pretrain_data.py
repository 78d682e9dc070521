"""Clips and texts that teach the tiny model to see, and to answer by describing and by reasoning.

Shape suffixes: F frames, H height, W width, C channels, N objects, 2 pixel coordinates (x, y).
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray

from vtk.mini.language import COLORS, MATERIALS, SHAPES, Strategy, render_problem, render_trace
from vtk.mini.physics import NUM_FRAMES, TABLE_DEPTH, TABLE_WIDTH
from vtk.mini.questions import Question, ask
from vtk.mini.render import render_frames
from vtk.mini.scenes import Pair, Scene, sample_scenes
from vtk.models.tiny import TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX, TINY_NUM_FRAMES

FRAME_INDICES = tuple(int(i) for i in np.linspace(0, NUM_FRAMES - 1, TINY_NUM_FRAMES).round())
_QUESTIONS_PER_SCENE = 8
_TRACK_BINS = 10


@dataclass(frozen=True, slots=True)
class Example:
    """A text about a clip: what the user asks and what the model should write."""

    problem: str
    completion: str


@dataclass(frozen=True, slots=True)
class PretrainScene:
    """A scene with the small frames that the model sees and its questions."""

    scene: Scene
    frames_FCHW: torch.Tensor
    questions: tuple[Question, ...]


def draw_scenes(seed: int, count: int) -> Iterator[PretrainScene]:
    """Render scenes that no `vtk download clevrer-mini` seed reaches.

    Args:
        seed: The same seed gives the same scenes.
        count: How many; a scene about which nothing can be asked is passed over.
    """
    rng = np.random.default_rng([0x7E47, seed])
    scenes = sample_scenes(rng)
    question_rng = np.random.default_rng([0x7E48, seed])
    drawn = 0
    while drawn < count:
        scene = next(scenes)
        questions = tuple(ask(question_rng, scene, _QUESTIONS_PER_SCENE, 0.5))
        if not questions:
            continue
        drawn += 1
        frames = torch.from_numpy(render_frames(scene, FRAME_INDICES)).permute(0, 3, 1, 2)
        small = torch.nn.functional.interpolate(
            frames, (TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX), mode="bicubic", antialias=True
        )
        yield PretrainScene(scene, small, questions)


def centers_px(scene: Scene) -> NDArray[np.float32]:
    """(F, N, 2): where each object's centre is in the small frames."""
    scale = (TINY_FRAME_WIDTH_PX / TABLE_WIDTH, TINY_FRAME_HEIGHT_PX / TABLE_DEPTH)
    return (scene.positions_TN2[list(FRAME_INDICES)] * scale).astype(np.float32)


def attribute_ids(scene: Scene) -> tuple[list[int], list[int], list[int]]:
    """Indices of each object's colour, shape and material."""
    things = scene.things
    return (
        [COLORS.index(t.color) for t in things],
        [SHAPES.index(t.shape) for t in things],
        [MATERIALS.index(t.material) for t in things],
    )


def question_example(scene: Scene, question: Question, strategy: Strategy) -> Example:
    """A counterfactual question answered as one strategy has it, right or wrong."""
    collisions = scene.collisions if strategy == "describe" else scene.without[question.removed]
    happened = frozenset(c.pair for c in collisions)
    names = [t.color for t in scene.things]
    return Example(
        render_problem(question.text, question.options),
        render_trace(
            strategy,
            names[question.removed],
            [(names[a], names[b]) for a, b in (c.pair for c in collisions)],
            [_sorted(p) in happened for p in question.pairs],
            question.polarity,
        ),
    )


def track_example(rng: np.random.Generator, scene: Scene, counterfactual: bool) -> Example:
    """Where one object goes, in the clip or in the world without another one.

    The answer gives the object's place at eight times as two digits, tenths of the view's width and
    depth.

    Args:
        rng: Decides which object, and which other one is missing.
        scene: The world.
        counterfactual: Ask about the world without the other one.
    """
    index, removed = (int(i) for i in rng.permutation(len(scene.things))[:2])
    name, missing = scene.things[index].color, scene.things[removed].color
    positions = scene.positions_without_RTN2[removed] if counterfactual else scene.positions_TN2
    path = positions[list(FRAME_INDICES[::2]), index] / (TABLE_WIDTH, TABLE_DEPTH)
    cells = np.clip((path * _TRACK_BINS).astype(int), 0, _TRACK_BINS - 1)
    answer = " ".join(f"{x}{y}" for x, y in cells)
    condition = f" without the {missing} object" if counterfactual else ""
    return Example(
        f"Where is the {name} object{condition}?", f"<think></think><answer>{answer}</answer>"
    )


def _sorted(pair: Pair) -> Pair:
    return (min(pair), max(pair))
