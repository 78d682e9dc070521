"""Texts about scenes: what each strategy makes of a question, and answers that are true."""

import re
from collections import defaultdict
from itertools import combinations

import numpy as np
import pytest
import torch

from vtk.data.problem import split_problem
from vtk.mini.language import MOMENTS, STRATEGIES, classify_strategy, option_letters
from vtk.mini.physics import TABLE_DEPTH, TABLE_WIDTH, simulate
from vtk.mini.render import SPARK_FRAMES
from vtk.scoring.rewards import grade
from vtk.train.pretrain import scenes as pretrain_scenes
from vtk.train.pretrain.data import (
    FRAME_INDICES,
    PretrainScene,
    course_example,
    draw_scenes,
    hits_example,
    imagined_collisions,
    moment_of,
    on_course,
    place_example,
    question_example,
)
from vtk.train.pretrain.scenes import held_out_scenes, training_scenes


def test_scenes_are_the_same_every_time(scenes: list[PretrainScene]) -> None:
    again = list(draw_scenes(77, 2))
    for scene, other in zip(scenes, again, strict=False):
        assert torch.equal(scene.frames_FCHW, other.frames_FCHW)
        assert scene.questions == other.questions
    assert scenes[0].frames_FCHW.shape == (16, 3, 56, 84)
    assert scenes[0].frames_FCHW.dtype == torch.uint8
    assert all(scene.questions for scene in scenes)
    assert not torch.equal(next(draw_scenes(78, 1)).frames_FCHW, scenes[0].frames_FCHW)


def test_describing_suffices_on_observational_questions_and_imagining_on_most_others(
    scenes: list[PretrainScene],
) -> None:
    scores: dict[tuple[str, bool], list[float]] = defaultdict(list)
    for scene in scenes:
        for question in scene.questions:
            gold, num_options = option_letters(question.gold), len(question.gold)
            for strategy in STRATEGIES:
                example = question_example(scene.scene, question, strategy)
                assert split_problem(example.problem) == (question.text, question.options)
                assert classify_strategy(example.completion) == strategy
                found = grade(example.completion, gold, num_options)
                assert found.format == 1.0
                scores[strategy, question.observational].append(found.strict)
    assert set(scores["describe", True]) == {1.0}
    assert set(scores["describe", False]) == {0.0}
    assert np.mean(scores["reason", False]) > 0.7
    assert 0.4 < np.mean(scores["reason", True]) < 0.8


def test_a_trace_names_the_collisions_of_its_world(scenes: list[PretrainScene]) -> None:
    for scene in (s.scene for s in scenes):
        names = [thing.color for thing in scene.things]

        def told(text: str, mark: str, names: list[str] = names) -> list[tuple[int, ...]]:
            pairs = re.findall(rf" (\w+){mark}(\w+)", text)
            return [tuple(sorted((names.index(a), names.index(b)))) for a, b in pairs]

        for question in next(s for s in scenes if s.scene is scene).questions:
            seen, imagined = (
                question_example(scene, question, strategy).completion.split(". A ")[0]
                for strategy in STRATEGIES
            )
            assert told(seen, "-") == [c.pair for c in scene.collisions]
            assert imagined.startswith(f"<think>Without {names[question.removed]} ")
            expected = imagined_collisions(scene, question.removed)
            assert set(told(imagined, ">")) == {c.pair for c in expected}


def test_what_is_imagined_are_the_contacts_that_do_not_need_the_object(
    scenes: list[PretrainScene],
) -> None:
    num_true = num_imagined = 0
    for scene in (s.scene for s in scenes):
        for removed in range(len(scene.things)):
            imagined = imagined_collisions(scene, removed)
            pairs = {c.pair for c in imagined}
            assert pairs == {pair for pair in on_course(scene) if removed not in pair}
            assert [c.frame for c in imagined] == sorted(c.frame for c in imagined)
            num_imagined += len(imagined)
            num_true += len(pairs & scene.pairs_without(removed))
    assert num_imagined > num_true > 0.5 * num_imagined


def test_a_moment_is_the_frame_pair_that_shows_the_spark_first() -> None:
    for frame in range(max(FRAME_INDICES) + 1):
        shown = [i for i, f in enumerate(FRAME_INDICES) if 0 <= f - frame < SPARK_FRAMES]
        assert shown
        assert moment_of(frame) == shown[0] // 2


def test_a_pair_on_course_collides_where_the_two_are_alone(scenes: list[PretrainScene]) -> None:
    num_on_course = 0
    for scene in (s.scene for s in scenes):
        num_objects = len(scene.things)
        for pair in combinations(range(num_objects), 2):
            present = np.isin(np.arange(num_objects), pair)[None]
            start = scene.positions_TN2[:1], scene.velocities_TN2[:1]
            alone = simulate(*start, present).collision_frame_SNN[0][pair] >= 0
            assert alone == (pair in on_course(scene))
            num_on_course += int(alone)
    assert num_on_course > len(scenes)


def test_places_are_where_the_objects_are(scenes: list[PretrainScene]) -> None:
    rng = np.random.default_rng(0)
    num_told = 0
    for scene in (pretrain_scene.scene for pretrain_scene in scenes):
        names = [thing.color for thing in scene.things]
        example = place_example(rng, scene)
        for moment, name, x, y in re.findall(r"([p-w]) ([a-z]+)(\d)([a-j])", example.completion):
            assert f"{moment} {name}" in example.problem
            first = 2 * MOMENTS.index(moment)
            frames = [FRAME_INDICES[first], FRAME_INDICES[first + 1]]
            place = scene.positions_TN2[frames, names.index(name)].mean(axis=0)
            cell = np.array([int(x), "abcdefghij".index(y)])
            told = (cell + 0.5) / 10 * (TABLE_WIDTH, TABLE_DEPTH)
            assert np.abs(told - place).max() <= 0.15 + 1e-9
            num_told += 1
    assert num_told == 5 * len(scenes)


def test_quizzes_about_pairs_have_true_answers(scenes: list[PretrainScene]) -> None:
    rng = np.random.default_rng(0)
    said = []
    for scene in (pretrain_scene.scene for pretrain_scene in scenes):
        names = [thing.color for thing in scene.things]
        moments = {c.pair: MOMENTS[moment_of(c.frame)] for c in scene.collisions}
        courses = dict.fromkeys(on_course(scene), "yes")
        for quiz, mark, true in ((hits_example, "-", moments), (course_example, ">", courses)):
            example = quiz(rng, scene)
            answers = re.findall(rf"(\w+){mark}(\w+) (\w+)", example.completion)
            assert len(answers) == example.problem.count(mark) == 4
            for a, b, answer in answers:
                pair = (min(names.index(a), names.index(b)), max(names.index(a), names.index(b)))
                assert answer == true.get(pair, "no")
                said.append(answer)
    assert 0.3 < said.count("no") / len(said) < 0.7


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
