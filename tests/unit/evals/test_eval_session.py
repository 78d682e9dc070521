"""One suite on disk: stopped anywhere and resumed, it ends with the same bytes."""

import json
import random
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import pytest

from tests.unit.evals.conftest import SAMPLED, Script
from vtk.errors import ConfigError, Interrupted
from vtk.evals.folder import SETTINGS_FILE
from vtk.evals.record import SAMPLES_FILE, EvalRow, ReadRows, read_rows
from vtk.evals.session import Inquiry, questions_hash, run_inquiry
from vtk.evals.suites import find_suite
from vtk.runs.results import RESULTS_FILE

Ask = Callable[..., dict[str, object]]


@pytest.fixture
def inquiry(script: Script, tmp_path: Path) -> Inquiry:
    return Inquiry(
        suite=find_suite("clevrer-mini"),
        samples=script.samples,
        settings=replace(script.settings, sampling=SAMPLED, num_draws=2),
        model_identity={"weights_sha256": "ab", "dtype": "float32"},
        folder=tmp_path / "eval",
        origin={"ref": "tiny"},
    )


def test_a_finished_inquiry_leaves_settings_rows_and_results(
    script: Script, inquiry: Inquiry
) -> None:
    seen: list[EvalRow] = []
    document = run_inquiry(inquiry, script.backend, on_row=seen.append)
    assert (document["complete"], document["num_completions"]) == (True, 24)
    assert json.loads((inquiry.folder / RESULTS_FILE).read_text()) == document
    assert list(read_rows(inquiry.folder / SAMPLES_FILE).rows.values()) == seen
    settings = json.loads((inquiry.folder / SETTINGS_FILE).read_text())
    assert settings["hash"] == document["settings_hash"]
    assert settings["settings"]["questions"]["num"] == 12
    assert settings["environment"]["device"] == "cpu"
    assert "torch" in settings["environment"]["packages"]


def test_resuming_from_any_crash_gives_the_same_bytes(
    script: Script, inquiry: Inquiry, tmp_path: Path
) -> None:
    script.bad_clips = {"clip2"}
    run_inquiry(inquiry, script.backend)
    whole = (inquiry.folder / SAMPLES_FILE).read_bytes()
    results = (inquiry.folder / RESULTS_FILE).read_bytes()
    for cut in random.Random(3).sample(range(len(whole)), 100):
        (inquiry.folder / SAMPLES_FILE).write_bytes(whole[:cut])
        (inquiry.folder / RESULTS_FILE).unlink()
        run_inquiry(inquiry, script.backend)
        assert (inquiry.folder / SAMPLES_FILE).read_bytes() == whole
        assert (inquiry.folder / RESULTS_FILE).read_bytes() == results


def test_a_stop_keeps_what_was_answered_and_says_it_is_incomplete(
    script: Script, inquiry: Inquiry
) -> None:
    answers = iter([False] * 6 + [True] * 99)
    with pytest.raises(Interrupted):
        run_inquiry(inquiry, script.backend, should_stop=lambda: next(answers))
    document = json.loads((inquiry.folder / RESULTS_FILE).read_text())
    assert (document["complete"], document["num_missing"]) == (False, 16)
    kept: list[tuple[int, int]] = []

    def note(found: ReadRows, num_rows: int) -> None:
        kept.append((len(found.rows), num_rows))

    run_inquiry(inquiry, script.backend, on_start=note)
    assert kept == [(8, 24)]


def test_errors_stay_until_they_are_retried(script: Script, inquiry: Inquiry) -> None:
    clean = run_inquiry(inquiry, script.backend)
    script.bad_clips = {"clip1"}
    failed = run_inquiry(inquiry, script.backend, is_restart=True)
    assert failed["errors"] == {"decode": 6}
    script.bad_clips = set()
    assert run_inquiry(inquiry, script.backend) == failed
    kept: list[tuple[int, int]] = []
    retried = run_inquiry(
        inquiry,
        script.backend,
        on_start=lambda found, num_rows: kept.append((len(found.rows), num_rows)),
        is_retry=True,
    )
    assert retried == clean
    assert kept == [(18, 24)]


def test_a_finished_inquiry_asks_nothing_again(script: Script, inquiry: Inquiry) -> None:
    run_inquiry(inquiry, script.backend)
    script.calls.clear()
    run_inquiry(inquiry, script.backend)
    assert script.calls == []


def test_other_settings_weights_or_questions_do_not_mix(script: Script, inquiry: Inquiry) -> None:
    run_inquiry(inquiry, script.backend)
    before = (inquiry.folder / SAMPLES_FILE).read_bytes()
    others = [
        replace(inquiry, settings=replace(inquiry.settings, seed=9)),
        replace(inquiry, settings=replace(inquiry.settings, batch_size=2)),
        replace(inquiry, model_identity={"weights_sha256": "cd", "dtype": "float32"}),
        replace(inquiry, samples=script.samples[:11]),
    ]
    for other in others:
        with pytest.raises(ConfigError, match="other settings"):
            run_inquiry(other, script.backend)
    assert (inquiry.folder / SAMPLES_FILE).read_bytes() == before


def test_where_the_weights_lie_is_not_part_of_the_settings(
    script: Script, inquiry: Inquiry
) -> None:
    run_inquiry(inquiry, script.backend)
    moved = replace(inquiry, origin={"ref": "elsewhere"})
    assert run_inquiry(moved, script.backend)["complete"]


def test_the_questions_hash_sees_words_order_and_gold(script: Script) -> None:
    samples = script.samples
    hashes = {
        questions_hash(samples),
        questions_hash(samples[::-1]),
        questions_hash([replace(samples[0], problem="Other?\nA. x\nB. y"), *samples[1:]]),
        questions_hash([replace(samples[0], solution="B"), *samples[1:]]),
        questions_hash(samples[:-1]),
        questions_hash([replace(samples[0], label=None), *samples[1:]]),
        questions_hash([replace(samples[0], polarity="will_not"), *samples[1:]]),
    }
    assert len(hashes) == 7
