"""Clips and texts that teach the tiny model to see, and to answer by describing and by reasoning.

Shape suffixes: F frames, H height, W width, C channels, N objects, 2 pixel coordinates (x, y).
"""

from bisect import bisect_left
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import combinations

import numpy as np
import torch
from numpy.typing import NDArray

from vtk.mini.language import (
    COLLIDE,
    COLORS,
    MATERIALS,
    MOMENTS,
    SHAPES,
    WOULD_COLLIDE,
    Strategy,
    in_order,
    render_problem,
    render_trace,
)
from vtk.mini.physics import FRAMES_PER_S, FRICTION, NUM_FRAMES, RADIUS, TABLE_DEPTH, TABLE_WIDTH
from vtk.mini.questions import Question, ask
from vtk.mini.render import render_frames
from vtk.mini.scenes import Collision, Pair, Scene, sample_scenes
from vtk.models.tiny import TINY_FRAME_HEIGHT_PX, TINY_FRAME_WIDTH_PX, TINY_NUM_FRAMES
from vtk.video.frames import Clip

FRAME_INDICES = tuple(int(i) for i in np.linspace(0, NUM_FRAMES - 1, TINY_NUM_FRAMES).round())
_QUESTIONS_PER_SCENE = 8
# A place is a tenth of the view's width and one of its depth, a moment a frame pair. Each has a
# word of its own, so that no word means two things.
PLACE_WORDS = tuple("0123456789"), tuple("abcdefghij")
_PLACE_BINS = len(PLACE_WORDS[0])
_NUM_PLACES = 5
_NUM_PAIRS = 4
_TINY_SPEED = 1e-9  # units/s; what is slower rests


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


def clip_of(scene: PretrainScene) -> Clip:
    """A scene's frames as they would be if they had been read from its video."""
    return Clip(
        frames_FCHW=scene.frames_FCHW,
        timestamps_s=tuple(index / FRAMES_PER_S for index in FRAME_INDICES),
        source_fps=float(FRAMES_PER_S),
        num_source_frames=NUM_FRAMES,
        decoder="none",
        source_indices=FRAME_INDICES,
    )


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


def moment_of(frame: int) -> int:
    """Which frame pair first shows what happens at a frame of the clip."""
    return bisect_left(FRAME_INDICES, frame) // 2


def contacts_on_course(scene: Scene) -> list[Collision]:
    """Pairs that would touch within the clip if no other object were there, the earliest first.

    Free motion under friction in closed form, looked at once a frame.
    """
    starts_N2, velocities_N2 = scene.positions_TN2[0], scene.velocities_TN2[0]
    speeds_N = np.linalg.norm(velocities_N2, axis=1)
    times_T1 = np.arange(NUM_FRAMES)[:, None] / FRAMES_PER_S
    times_TN = np.minimum(times_T1, speeds_N / FRICTION)  # until each has come to rest
    ways_TN = times_TN - FRICTION * times_TN**2 / 2 / np.maximum(speeds_N, _TINY_SPEED)
    paths_TN2 = starts_N2 + ways_TN[..., None] * velocities_N2
    contacts = []
    for a, b in combinations(range(len(scene.things)), 2):
        distances_T = np.linalg.norm(paths_TN2[:, a] - paths_TN2[:, b], axis=1)
        (touching,) = np.nonzero(distances_T <= 2 * RADIUS)
        if touching.size:
            contacts.append(Collision((a, b), int(touching[0])))
    return sorted(contacts, key=lambda contact: (contact.frame, contact.pair))


def on_course(scene: Scene) -> frozenset[Pair]:
    """Pairs that would touch within the clip if no other object were there."""
    return frozenset(contact.pair for contact in contacts_on_course(scene))


def imagined_collisions(scene: Scene, removed: int) -> list[Collision]:
    """What one would expect without an object from the courses at the start alone.

    Every pair that is on course for each other is expected to meet, as if no collision before
    bent a course. With perfect eyes that is right on about 59 % of observational and 92 % of
    inferential questions.
    """
    return [contact for contact in contacts_on_course(scene) if removed not in contact.pair]


def question_example(scene: Scene, question: Question, strategy: Strategy) -> Example:
    """A counterfactual question answered as one strategy has it, right or wrong.

    Describing takes what the clip shows for the answer, reasoning what `imagined_collisions` says.
    """
    collisions = (
        scene.collisions if strategy == "describe" else imagined_collisions(scene, question.removed)
    )
    names = [t.color for t in scene.things]
    return Example(
        render_problem(question.text, question.options),
        render_trace(
            strategy,
            names[question.removed],
            [((names[a], names[b]), moment_of(c.frame)) for c in collisions for a, b in [c.pair]],
            [(names[a], names[b]) for a, b in question.pairs],
            question.polarity,
        ),
    )


def place_example(rng: np.random.Generator, scene: Scene) -> Example:
    """Where some objects are at some moments.

    The answer gives each place as tenths of the view's width and depth, "p red4c". The place
    follows the colour at once, so that one look at the clip finds it.
    """
    asked, cells = [], []
    for _ in range(_NUM_PLACES):
        index, moment = int(rng.integers(len(scene.things))), int(rng.integers(len(MOMENTS)))
        frames = list(FRAME_INDICES[2 * moment : 2 * moment + 2])
        share = scene.positions_TN2[frames, index].mean(axis=0) / (TABLE_WIDTH, TABLE_DEPTH)
        x, y = np.clip((share * _PLACE_BINS).astype(int), 0, _PLACE_BINS - 1)
        asked.append(f"{MOMENTS[moment]} {scene.things[index].color}")
        cells.append(PLACE_WORDS[0][x] + PLACE_WORDS[1][y])
    return _quiz("Where is", asked, cells)


def hits_example(rng: np.random.Generator, scene: Scene) -> Example:
    """Which pairs collide, and at which moment; about half of them do."""
    moments = {c.pair: f" {MOMENTS[moment_of(c.frame)]}" for c in scene.collisions}
    return _pairs_quiz(rng, scene, "When do", COLLIDE, moments)


def course_example(rng: np.random.Generator, scene: Scene) -> Example:
    """Which pairs are on course for each other at the start; about half of them are."""
    return _pairs_quiz(
        rng, scene, "Which of", WOULD_COLLIDE, dict.fromkeys(on_course(scene), " yes")
    )


def _pairs_quiz(
    rng: np.random.Generator, scene: Scene, question: str, mark: str, found: Mapping[Pair, str]
) -> Example:
    """A quiz about pairs: those found have an answer, the others "no"."""
    names = [thing.color for thing in scene.things]
    pairs = list(combinations(range(len(names)), 2))
    asked, answers = [], []
    for _ in range(_NUM_PAIRS):
        wanted = [p for p in pairs if (p in found) == bool(rng.random() < 0.5)] or pairs
        pair = wanted[int(rng.integers(len(wanted)))]
        asked.append(
            mark.join(in_order((scene.things[pair[0]].color, scene.things[pair[1]].color)))
        )
        answers.append(found.get(pair, " no"))
    return _quiz(question, asked, answers)


def _quiz(question: str, items: list[str], answers: list[str]) -> Example:
    """A quiz whose answer repeats each item, so that what belongs together is near."""
    answer = ", ".join(f"{item}{answer}" for item, answer in zip(items, answers, strict=True))
    return Example(f"{question} {', '.join(items)}?", f"<think></think><answer> {answer}</answer>")
