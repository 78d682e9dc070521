"""Texts about scenes: what each strategy makes of a question, and answers that are true."""

import re

import numpy as np
import pytest
import torch

from vtk.data.problem import split_problem
from vtk.mini.language import classify_strategy, option_letters
from vtk.mini.physics import TABLE_DEPTH, TABLE_WIDTH
from vtk.scoring.rewards import grade
from vtk.train import pretrain_scenes
from vtk.train.pretrain_data import (
    FRAME_INDICES,
    PretrainScene,
    draw_scenes,
    hits_example,
    place_example,
    question_example,
)
from vtk.train.pretrain_scenes import held_out_scenes, training_scenes


def test_scenes_are_the_same_every_time(scenes: list[PretrainScene]) -> None:
    again = list(draw_scenes(77, 2))
    for scene, other in zip(scenes, again, strict=False):
        assert torch.equal(scene.frames_FCHW, other.frames_FCHW)
        assert scene.questions == other.questions
    assert scenes[0].frames_FCHW.shape == (16, 3, 56, 84)
    assert scenes[0].frames_FCHW.dtype == torch.uint8
    assert all(scene.questions for scene in scenes)
    assert not torch.equal(next(draw_scenes(78, 1)).frames_FCHW, scenes[0].frames_FCHW)


def test_describing_is_right_on_observational_questions_and_reasoning_on_all(
    scenes: list[PretrainScene],
) -> None:
    num_asked = {True: 0, False: 0}
    for scene in scenes:
        for question in scene.questions:
            num_asked[question.observational] += 1
            gold, num_options = option_letters(question.gold), len(question.gold)
            for strategy in ("describe", "reason"):
                example = question_example(scene.scene, question, strategy)
                assert split_problem(example.problem) == (question.text, question.options)
                assert classify_strategy(example.completion) == strategy
                found = grade(example.completion, gold, num_options)
                is_right = strategy == "reason" or question.observational
                assert found.strict == float(is_right)
                assert found.format == 1.0
    assert min(num_asked.values()) > 10


def test_a_trace_names_the_collisions_of_its_world(scenes: list[PretrainScene]) -> None:
    for scene in scenes:
        names = [thing.color for thing in scene.scene.things]
        for question in scene.questions:
            for strategy, collisions in (
                ("describe", scene.scene.collisions),
                ("reason", scene.scene.without[question.removed]),
            ):
                text = question_example(scene.scene, question, strategy).completion  # type: ignore[arg-type]
                told = [set(pair) for pair in re.findall(r"(\w+) hits (\w+)", text)]
                assert told == [{names[a], names[b]} for a, b in (c.pair for c in collisions)]
                if strategy == "reason":
                    assert f"Without {names[question.removed]} " in text


def test_places_are_where_the_objects_are(scenes: list[PretrainScene]) -> None:
    rng = np.random.default_rng(0)
    num_told = 0
    for scene in (pretrain_scene.scene for pretrain_scene in scenes):
        names = [thing.color for thing in scene.things]
        for removed in (None, 0):
            example = place_example(rng, scene, removed)
            paths = scene.positions_TN2
            if removed is not None:
                paths = scene.positions_without_RTN2[removed]
                assert example.problem.startswith(f"Without {names[removed]}, where is")
                assert names[removed] not in example.completion
            for moment, name, x, y in re.findall(
                r"([p-w]) ([a-z]+)(\d)([a-j])", example.completion
            ):
                assert f"{moment} {name}" in example.problem
                first = 2 * "pqrstuvw".index(moment)
                frames = [FRAME_INDICES[first], FRAME_INDICES[first + 1]]
                place = paths[frames, names.index(name)].mean(axis=0)
                cell = np.array([int(x), "abcdefghij".index(y)])
                told = (cell + 0.5) / 10 * (TABLE_WIDTH, TABLE_DEPTH)
                assert np.abs(told - place).max() <= 0.15 + 1e-9
                num_told += 1
    assert num_told == 2 * 5 * len(scenes)


def test_hits_are_those_of_the_world(scenes: list[PretrainScene]) -> None:
    rng = np.random.default_rng(0)
    said = []
    for scene in (pretrain_scene.scene for pretrain_scene in scenes):
        names = [thing.color for thing in scene.things]
        for removed in (None, 1):
            happened = scene.observed_pairs() if removed is None else scene.pairs_without(removed)
            example = hits_example(rng, scene, removed)
            calls = re.findall(r"(\w+) hits (\w+) (yes|no)", example.completion)
            assert len(calls) == example.problem.count(" hits ") == 4
            for a, b, call in calls:
                pair = sorted((names.index(a), names.index(b)))
                assert (tuple(pair) in happened) == (call == "yes")
                said.append(call)
    assert 0.3 < said.count("yes") / len(said) < 0.7


@pytest.mark.parametrize("workers", [1, 2])
def test_training_scenes_are_chunks_in_order(workers: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pretrain_scenes, "CHUNK_SCENES", 2)
    progress: list[tuple[int, int]] = []
    found = list(training_scenes(0, 3, workers, lambda *done: progress.append(done)))
    expected = [*draw_scenes(1, 2), *draw_scenes(2, 1)]
    assert len(found) == 3
    for scene, other in zip(found, expected, strict=True):
        assert torch.equal(scene.frames_FCHW, other.frames_FCHW)
        assert scene.questions == other.questions
        np.testing.assert_array_equal(scene.scene.positions_TN2, other.scene.positions_TN2)
    assert progress == [(0, 3), (2, 3), (3, 3)]


def test_held_out_scenes_are_no_training_scenes() -> None:
    held_out = held_out_scenes(1)[0]
    first = next(iter(training_scenes(0, 1, 1, lambda *_: None)))
    assert not torch.equal(held_out.frames_FCHW, first.frames_FCHW)
    chunks = range(1, pretrain_scenes.MAX_SCENES // pretrain_scenes.CHUNK_SCENES + 1)
    assert pretrain_scenes.HELD_OUT_SEED not in chunks
