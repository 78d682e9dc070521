"""Examples are chosen by their rule, and frames are those that the models saw."""

import itertools
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from vtk.demo.examples import NUM_SHOWN_FRAMES, choose_examples, read_frames
from vtk.evals.record import EvalRow
from vtk.mini.world import WorldSettings, clip_path, write_world

Rows = dict[str, list[EvalRow]]


def right(row: EvalRow, is_right: bool) -> EvalRow:
    return replace(row, strict=float(is_right))


@pytest.fixture
def answers(rows_of: Callable[..., Rows]) -> Rows:
    """Everything right, so that a test decides what is not."""
    rows = rows_of(num_clips=10, num_draws=1)
    return {name: [right(row, True) for row in found] for name, found in rows.items()}


def put(rows: Rows, model: str, place: int, is_right: bool) -> None:
    rows[model][place] = right(rows[model][place], is_right)


def test_each_outcome_gets_a_question_of_another_clip(rows_of: Callable[..., Rows]) -> None:
    chosen = choose_examples(rows_of(num_clips=40), seed=0)
    assert [one.outcome for one in chosen] == [
        "CDPO right, GRPO wrong",
        "GRPO right, CDPO wrong",
        "both wrong",
    ]
    rightness = [
        (one.said["cdpo"].strict, one.said["grpo"].strict) for one in chosen if one.said is not None
    ]
    assert rightness == [(1.0, 0.0), (0.0, 1.0), (0.0, 0.0)]
    assert len({one.question.clip_id for one in chosen}) == 3
    assert {one.question.label for one in chosen} == {"inferential"}


def test_the_seed_decides_among_equals_and_the_order_of_rows_does_not(
    rows_of: Callable[..., Rows],
) -> None:
    rows = rows_of(num_clips=40)
    chosen = [one.question.sample_id for one in choose_examples(rows, seed=0)]
    turned = {name: found[::-1] for name, found in rows.items()}
    assert [one.question.sample_id for one in choose_examples(turned, seed=0)] == chosen
    others = {
        tuple(one.question.sample_id for one in choose_examples(rows, seed=s)) for s in range(5)
    }
    assert len(others) > 1


def test_an_observational_question_stands_in_and_a_missing_outcome_is_said(answers: Rows) -> None:
    put(answers, "grpo", 4, False)
    assert answers["grpo"][4].label == "observational"
    first, second, third = choose_examples(answers, seed=0)
    assert first.question.sample_id == answers["grpo"][4].sample_id
    assert second.said is None
    assert third.said is None


def test_questions_with_errors_are_not_shown(answers: Rows) -> None:
    put(answers, "grpo", 5, False)
    broken = {"kind": "decode", "type": "DataError", "message": "damaged"}
    answers["bias"][5] = replace(answers["bias"][5], error=broken, completion=None)
    assert choose_examples(answers, seed=0)[0].said is None


def test_frames_are_every_other_one_of_the_model_s(tmp_path: Path) -> None:
    write_world(tmp_path, WorldSettings(1, 1, seed=5))
    frames = read_frames(clip_path(tmp_path, "train", 0), num_model_frames=16)
    assert len(frames) == NUM_SHOWN_FRAMES
    assert frames[0].time_s == 0.0
    assert [b.time_s > a.time_s for a, b in itertools.pairwise(frames)] == [True] * 7
    assert all(frame.uri.startswith("data:image/jpeg;base64,/9j/") for frame in frames)
