"""Clips and texts that teach the tiny model to see, and to answer by describing and by reasoning.

Shape suffixes: F frames, H height, W width, C channels, N objects, 2 pixel coordinates (x, y).
"""

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations

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
# A place is a tenth of the view's width and one of its depth, a moment a frame pair. Each has a
# word of its own, so that no word means two things.
PLACE_WORDS = tuple("0123456789"), tuple("abcdefghij")
MOMENT_WORDS = tuple("pqrstuvw")
_PLACE_BINS = len(PLACE_WORDS[0])
_NUM_PLACES = 5
_NUM_PAIRS = 4


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
    names = [t.color for t in scene.things]
    return Example(
        render_problem(question.text, question.options),
        render_trace(
            strategy,
            names[question.removed],
            [(names[a], names[b]) for a, b in (c.pair for c in collisions)],
            [(names[a], names[b]) for a, b in question.pairs],
            question.polarity,
        ),
    )


def place_example(rng: np.random.Generator, scene: Scene, removed: int | None) -> Example:
    """Where some objects are at some moments, in the clip or in the world without one of them.

    The answer gives each place as tenths of the view's width and depth, "p red4c". The place
    follows the colour at once, so that one look at the clip finds it.

    Args:
        rng: Decides objects and moments.
        scene: The world.
        removed: The object that is not there; None asks about the clip.
    """
    positions = scene.positions_TN2 if removed is None else scene.positions_without_RTN2[removed]
    asked, cells = [], []
    for _ in range(_NUM_PLACES):
        index = _other_than(rng, scene, removed)
        moment = int(rng.integers(len(MOMENT_WORDS)))
        pair = positions[list(FRAME_INDICES[2 * moment : 2 * moment + 2]), index].mean(axis=0)
        share = pair / (TABLE_WIDTH, TABLE_DEPTH)
        x, y = np.clip((share * _PLACE_BINS).astype(int), 0, _PLACE_BINS - 1)
        asked.append(f"{MOMENT_WORDS[moment]} {scene.things[index].color}")
        cells.append(PLACE_WORDS[0][x] + PLACE_WORDS[1][y])
    return _quiz("where is", asked, cells, scene, removed)


def hits_example(rng: np.random.Generator, scene: Scene, removed: int | None) -> Example:
    """Which pairs touch, in the clip or in the world without one object; about half of them do.

    Args:
        rng: Decides the pairs.
        scene: The world.
        removed: The object that is not there; None asks about the clip.
    """
    happened = scene.observed_pairs() if removed is None else scene.pairs_without(removed)
    others = [i for i in range(len(scene.things)) if i != removed]
    pairs = list(combinations(others, 2))
    asked, calls = [], []
    for _ in range(_NUM_PAIRS):
        touching = bool(rng.random() < 0.5)
        wanted = [p for p in pairs if (p in happened) == touching] or pairs
        a, b = (int(i) for i in rng.permutation(wanted[int(rng.integers(len(wanted)))]))
        asked.append(f"{scene.things[a].color} hits {scene.things[b].color}")
        calls.append(" yes" if _sorted((a, b)) in happened else " no")
    return _quiz("which of", asked, calls, scene, removed)


def _quiz(
    question: str, items: list[str], answers: list[str], scene: Scene, removed: int | None
) -> Example:
    """A quiz whose answer repeats each item, so that what belongs together is near."""
    condition = "" if removed is None else f"Without {scene.things[removed].color}, "
    answer = ", ".join(f"{item}{answer}" for item, answer in zip(items, answers, strict=True))
    problem = f"{condition}{question} {', '.join(items)}?"
    return Example(problem, f"<think></think><answer> {answer}</answer>")


def _other_than(rng: np.random.Generator, scene: Scene, removed: int | None) -> int:
    others = [i for i in range(len(scene.things)) if i != removed]
    return others[int(rng.integers(len(others)))]


def _sorted(pair: Pair) -> Pair:
    return (min(pair), max(pair))
