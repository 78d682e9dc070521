"""An evaluation ends where nothing works, and only there."""

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from tests.unit.evals.conftest import SAMPLED, Script
from vtk.data.sample import VideoSample
from vtk.errors import Interrupted, VtkError
from vtk.evals.failures import MAX_FAILURES
from vtk.evals.record import SAMPLES_FILE, EvalRow, read_rows
from vtk.evals.session import Inquiry, run_inquiry
from vtk.evals.suites import find_suite

NUM_LOST = 20


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return tmp_path / "eval"


def ask(
    script: Script, folder: Path, samples: list[VideoSample], **options: Any
) -> dict[str, object]:
    inquiry = Inquiry(find_suite("clevrer-mini"), samples, script.settings, {}, folder)
    return run_inquiry(inquiry, script.backend, **options)


def lost(script: Script, num: int = NUM_LOST) -> list[VideoSample]:
    """Questions about one clip that is not there."""
    script.bad_clips.add("lost")
    video = script.samples[0].video.with_name("lost.mp4")
    return [
        replace(script.samples[0], sample_id=f"lost{index}", clip_id="lost", video=video)
        for index in range(num)
    ]


def many(script: Script, times: int) -> list[VideoSample]:
    return [
        replace(sample, sample_id=f"r{index}-{sample.sample_id}")
        for index in range(times)
        for sample in script.samples
    ]


def test_an_evaluation_in_which_nothing_works_ends_and_goes_on_if_told(
    script: Script, folder: Path
) -> None:
    samples = lost(script)
    for is_retry in (False, True):
        with pytest.raises(VtkError, match=f"first {MAX_FAILURES} questions all failed") as told:
            ask(script, folder, samples, is_retry=is_retry)
        assert "lost.mp4 is damaged" in told.value.message
        assert len(read_rows(folder / SAMPLES_FILE).rows) == MAX_FAILURES
    assert ask(script, folder, samples)["errors"] == {"decode": NUM_LOST}


def test_where_it_was_stopped_does_not_decide_whether_it_ends(script: Script, folder: Path) -> None:
    samples = [*script.samples, *lost(script)]
    answered: list[object] = []
    with pytest.raises(Interrupted):
        ask(
            script,
            folder,
            samples,
            on_row=answered.append,
            should_stop=lambda: len(answered) >= len(script.samples),
        )
    resumed = ask(script, folder, samples)
    assert (resumed["complete"], resumed["errors"]) == (True, {"decode": NUM_LOST})
    assert ask(script, folder.with_name("whole"), samples) == resumed


def test_a_retry_of_clips_that_are_still_lost_is_no_end(script: Script, folder: Path) -> None:
    samples = [*script.samples, *lost(script)]
    assert ask(script, folder, samples) == ask(script, folder, samples, is_retry=True)


def test_questions_are_counted_and_not_their_draws(script: Script, folder: Path) -> None:
    script.settings = replace(script.settings, sampling=SAMPLED, num_draws=MAX_FAILURES)
    found = ask(script, folder, [*lost(script, 1), *script.samples])
    assert found["errors"] == {"decode": MAX_FAILURES}


def test_an_engine_that_dies_later_ends_it_too(script: Script, folder: Path) -> None:
    samples = many(script, 3)

    def die(row: EvalRow) -> None:
        if row.sample_id == samples[11].sample_id:
            script.refused = {sample.sample_id for sample in script.samples}

    with pytest.raises(VtkError, match=f"{MAX_FAILURES} questions in a row") as told:
        ask(script, folder, samples, on_row=die)
    assert "engine broke" in told.value.message
    assert len(read_rows(folder / SAMPLES_FILE).rows) == 12 + MAX_FAILURES
    script.refused = set()
    mended = ask(script, folder, samples, is_retry=True)
    assert mended == ask(script, folder.with_name("clean"), samples)


def test_single_questions_that_the_engine_cannot_bear_do_not_end_it(
    script: Script, folder: Path
) -> None:
    script.refused = {sample.sample_id for sample in script.samples[::2]}
    assert ask(script, folder, many(script, 3))["errors"] == {"generate": 18}
