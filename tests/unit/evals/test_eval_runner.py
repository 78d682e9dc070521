"""Asking and grading: order, errors at their border, plans that survive a stop."""

import threading
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch

from tests.unit.evals.conftest import FRAMES, GREEDY, SAMPLED, Script, scripted_text
from vtk.errors import ConfigError, Interrupted, MissingEnvironmentError
from vtk.evals.record import EvalRow, RowKey
from vtk.evals.results import summarise
from vtk.evals.runner import iter_rows
from vtk.evals.settings import EvaluationSettings, plan_rows
from vtk.scoring.rewards import grade


def ask(script: Script, **options: Any) -> list[EvalRow]:
    return list(iter_rows(script.backend, script.samples, script.settings, **options))


def by_key(rows: list[EvalRow]) -> dict[RowKey, EvalRow]:
    return {row.key: row for row in rows}


def test_rows_come_in_the_order_of_the_plan_and_are_graded(script: Script) -> None:
    rows = ask(script)
    assert [row.key for row in rows] == plan_rows(script.samples, script.settings)
    for row, sample in zip(rows, script.samples, strict=True):
        said = scripted_text(sample.problem, None)
        graded = grade(said, sample.solution, 2)
        assert (row.completion, row.strict, row.partial) == (said, graded.strict, graded.partial)
        assert (row.per_option, row.lenient, row.format) == (graded.per_option, graded.lenient, 1.0)
        assert (row.status, row.label, row.error) == (graded.extraction.status, sample.label, None)
        assert row.strategy == ("describe" if "I see" in said else "reason")
        assert row.timestamps_s == [0.0, 0.5]
    assert len({row.video_sha256 for row in rows}) == 4
    assert {row.strict for row in rows} == {0.0, 1.0}


def test_questions_are_asked_in_batches_and_have_a_seed_each(script: Script) -> None:
    ask(script)
    assert [asked for asked, _ in script.calls] == [
        ["q00", "q01", "q02", "q03"],
        ["q04", "q05", "q06", "q07"],
        ["q08", "q09", "q10", "q11"],
    ]
    assert len({seed for _, seeds in script.calls for seed in seeds}) == 12


def test_one_draw_a_question_unless_asked(script: Script) -> None:
    script.settings = replace(script.settings, sampling=SAMPLED, num_draws=3)
    rows = ask(script)
    assert [row.key for row in rows] == plan_rows(script.samples, script.settings)
    assert len(rows) == 36
    assert len({row.completion for row in rows if row.sample_id == "q00"}) > 1


def test_several_greedy_draws_are_refused() -> None:
    with pytest.raises(ConfigError, match="temperature 0"):
        EvaluationSettings("mini", FRAMES, GREEDY, num_draws=2)


def test_a_damaged_clip_costs_its_own_questions_only(script: Script) -> None:
    clean = by_key(ask(script))
    script.bad_clips = {"clip1"}
    rows = by_key(ask(script))
    assert len(rows) == 12
    for key, row in rows.items():
        if row.clip_id == "clip1":
            assert row.error is not None
            assert (row.error["kind"], row.error["type"]) == ("decode", "DataError")
            assert "clip1.mp4 is damaged" in row.error["message"]
            assert (row.status, row.strict, row.completion) == ("error", 0.0, None)
        else:
            assert row == clean[key]


def test_what_fails_in_a_batch_changes_no_answer_beside_it(script: Script) -> None:
    script.settings = replace(script.settings, sampling=SAMPLED, num_draws=2)
    clean = by_key(ask(script))
    script.bad_clips, script.refused = {"clip1"}, {"q09"}
    rows = by_key(ask(script))
    assert list(rows) == list(clean)
    hit = {"q03", "q04", "q05", "q09"}
    assert {row.sample_id for row in rows.values() if row.error} == hit
    assert all(row == clean[key] for key, row in rows.items() if key[0] not in hit)


def test_clips_that_take_too_long_cost_their_own_questions_only(script: Script) -> None:
    clean = by_key(ask(script))
    script.slow_clips = {"clip0", "clip1", "clip2"}  # more than there are threads
    script.settings = replace(script.settings, clip_patience_s=0.05)
    rows = by_key(ask(script))
    late = {key for key, row in rows.items() if row.error}
    assert late == {key for key, row in clean.items() if row.clip_id in script.slow_clips}
    assert all(row == clean[key] for key, row in rows.items() if key not in late)
    first = rows["q00", 0]
    assert first.error is not None
    assert (first.error["kind"], first.error["type"]) == ("timeout", "ClipTooSlow")
    assert "clip0.mp4 was not read in 0.05 s" in first.error["message"]


def test_a_stop_is_heard_while_a_clip_is_waited_for(script: Script) -> None:
    script.slow_clips = {"clip0"}
    with pytest.raises(Interrupted):
        ask(script, should_stop=keep_reading(3))


def test_a_prompt_that_cannot_be_made_is_an_error_with_the_clips_evidence(script: Script) -> None:
    script.bad_prompts = {"q05"}
    row = by_key(ask(script))["q05", 0]
    assert row.error is not None
    assert row.error["kind"] == "prompt"
    assert row.video_sha256 is not None


def test_where_a_batch_fails_its_questions_are_asked_one_by_one(script: Script) -> None:
    script.refused = {"q06"}
    rows = by_key(ask(script))
    errors = {row.sample_id: row.error for row in rows.values() if row.error}
    assert errors == {
        "q06": {"kind": "generate", "type": "RuntimeError", "message": "engine broke"}
    }
    assert [asked for asked, _ in script.calls][1:6] == [
        ["q04", "q05", "q06", "q07"], ["q04"], ["q05"], ["q06"], ["q07"],
    ]  # fmt: skip


@pytest.mark.parametrize("fault", [torch.OutOfMemoryError("CUDA out of memory"), MemoryError()])
def test_memory_that_does_not_suffice_for_one_question_is_named(
    script: Script, fault: Exception
) -> None:
    script.refused, script.fault = {"q00"}, fault
    row = by_key(ask(script))["q00", 0]
    assert row.error is not None
    assert row.error["kind"] == "memory"


def test_memory_that_does_not_suffice_for_a_batch_costs_nothing(script: Script) -> None:
    clean = ask(script)
    script.refused_together, script.fault = True, torch.OutOfMemoryError("CUDA out of memory")
    assert ask(script) == clean


def test_errors_keep_the_denominator_and_count_as_wrong(script: Script) -> None:
    rows = ask(script)
    clean = summarise(rows)
    script.bad_clips = {"clip0"}
    found = summarise(ask(script))
    left = sum(row.strict for row in rows if row.clip_id != "clip0")
    assert found["strict"]["all"]["n"] == clean["strict"]["all"]["n"] == 12
    assert found["strict"]["all"]["num_errors"] == 3
    assert found["strict"]["all"]["accuracy"] == pytest.approx(left / 12)


@pytest.mark.parametrize(
    "fault",
    [Interrupted("stop"), ConfigError("no"), MissingEnvironmentError("no"), KeyboardInterrupt()],
)
def test_what_is_not_about_one_question_is_not_swallowed(
    script: Script, fault: BaseException
) -> None:
    script.refused = {"q04"}
    script.fault = fault  # type: ignore[assignment]
    with pytest.raises(type(fault)):
        ask(script)


def test_a_stop_between_questions_is_heard(script: Script) -> None:
    answers = iter([False] * 5 + [True] * 20)
    with pytest.raises(Interrupted):
        ask(script, should_stop=lambda: next(answers))
    assert len(script.calls) == 1


def test_asking_goes_on_where_every_clip_is_lost(script: Script) -> None:
    """A training evaluates so, and is not to end by it."""
    script.samples = [
        replace(s, sample_id=f"r{i}-{s.sample_id}") for i in range(3) for s in script.samples
    ]
    script.bad_clips = {"clip0", "clip1", "clip2", "clip3"}
    assert [row.error is not None for row in ask(script)] == [True] * 36


@pytest.mark.parametrize("num_done", range(13))
def test_a_resumed_evaluation_gives_the_same_rows_and_asks_no_finished_batch(
    script: Script, num_done: int
) -> None:
    script.settings = replace(script.settings, sampling=SAMPLED, num_draws=2)
    whole = ask(script)
    done = {row.key for row in whole[: 2 * num_done + num_done % 2]}
    script.calls.clear()
    rest = ask(script, done=done)
    assert rest == [row for row in whole if row.key not in done]
    assert len(script.calls) == 3 - len(done) // 8


def test_retried_questions_are_asked_in_their_old_company(script: Script) -> None:
    script.settings = replace(script.settings, sampling=SAMPLED)
    whole = by_key(ask(script))
    rest = ask(script, done=set(whole) - {("q05", 0)})
    assert rest == [whole["q05", 0]]


def keep_reading(stop_after: int) -> Callable[[], bool]:
    left = iter(range(stop_after))
    return lambda: next(left, None) is None


def test_decoding_ahead_leaves_no_thread_behind(script: Script) -> None:
    before = threading.active_count()
    with pytest.raises(Interrupted):
        ask(script, should_stop=keep_reading(6))
    assert threading.active_count() == before
