"""`vtk eval` and `vtk compare`: killed and resumed, compared, looked through."""

import base64
import io
import json
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from tests.integration.evaluation.conftest import (
    SUITE,
    Cli,
    eval_arguments,
)
from vtk.evals.compare import load_graded_run
from vtk.evals.page.differing import differing_questions
from vtk.evals.page.frames import add_strips
from vtk.models.tiny import build_tiny_model
from vtk.runs.store import RunPaths

pytestmark = pytest.mark.slow


@pytest.mark.parametrize(
    ("sign", "exit_code"),
    [(signal.SIGKILL, -9), pytest.param(signal.SIGTERM, 75, marks=pytest.mark.thorough)],
)
def test_a_stopped_evaluation_goes_on_and_ends_with_the_same_results(
    sign: int,
    exit_code: int,
    uninterrupted: dict[str, Any],
    data_dir: Path,
    model_dir: Path,
    tmp_path: Path,
) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    arguments = eval_arguments(cli, model_dir)
    whole = uninterrupted["suites"][SUITE]
    code, num_left = cli.stop_midway(arguments, sign)
    assert code == exit_code
    assert 6 <= num_left < whole["num_completions"]
    code, out, err = cli.run(*arguments, "--json")
    assert code == 0, err
    assert f"Kept {num_left} of {whole['num_completions']}" in err
    found = json.loads(out)
    assert found["suites"][SUITE] == whole
    here = Path(found["run_dir"]) / "eval" / SUITE / "results.json"
    there = Path(uninterrupted["run_dir"]) / "eval" / SUITE / "results.json"
    assert here.read_bytes() == there.read_bytes()


def test_two_models_are_compared_on_the_same_questions(
    uninterrupted: dict[str, Any], data_dir: Path, tmp_path: Path
) -> None:
    first = Path(uninterrupted["run_dir"])
    cli = Cli(data_dir, first.parent)
    other = tmp_path / "other"
    for part in build_tiny_model(seed=1):
        part.save_pretrained(other)
    code, out, err = cli.run(*eval_arguments(cli, other), "--json")
    assert code == 0, err
    second = json.loads(out)["run_id"]
    assert second != first.name
    page = tmp_path / "compare.html"
    options = ["--html", str(page), "--json"]
    code, out, err = cli.run("compare", first.name, second, *options, *cli.places)
    assert code == 0, err
    document = json.loads(out)
    assert document["html"] == str(page)
    assert f"{first.name} and {second}, side by side" in page.read_text()
    expected = uninterrupted["suites"][SUITE]
    assert document["runs"][0]["strict"]["all"]["n"] == expected["num_questions"]
    assert document["differences"][0]["run"] == second
    assert list(document["settings_differ"]) == ["model.weights_sha256"]


def test_a_page_shows_frames_that_the_model_saw(
    uninterrupted: dict[str, Any], data_dir: Path
) -> None:
    asked = load_graded_run(RunPaths(Path(uninterrupted["run_dir"])), SUITE)
    right = {
        name: [replace(row, strict=1.0, parsed="A") for row in draws]
        for name, draws in asked.questions.items()
    }
    other = replace(asked, name="other", questions=right)
    questions = {SUITE: differing_questions(SUITE, [asked, other])}
    assert len(questions[SUITE]) == len(asked.questions)
    strips = add_strips(questions, {SUITE: asked.settings}, data_dir, max_clips=3)
    assert (len(strips.by_key), strips.problems) == (3, [])
    shown = [one for one in questions[SUITE] if one.facts["frames"] is not None]
    assert len(shown) + strips.num_left_out == len(questions[SUITE])
    for one in shown:
        strip, times_s = strips.by_key[one.facts["frames"]], one.asked.timestamps_s
        assert times_s is not None
        assert strip["num_frames"] == len(times_s)
        assert (strip["times_s"][0], strip["times_s"][-1]) == (times_s[0], round(times_s[-1], 2))
        kind, _, content = strip["uri"].partition(",")
        picture = Image.open(io.BytesIO(base64.b64decode(content)))
        assert (kind, picture.format) == ("data:image/jpeg;base64", "JPEG")
        assert picture.width > 5 * picture.height


def test_a_page_does_not_show_another_clip_than_was_asked_about(
    uninterrupted: dict[str, Any], data_dir: Path
) -> None:
    asked = load_graded_run(RunPaths(Path(uninterrupted["run_dir"])), SUITE)
    changed = {
        name: [replace(row, strict=float(is_right), video_sha256="0" * 64) for row in draws]
        for is_right, (name, draws) in enumerate(list(asked.questions.items())[:2])
    }
    first = replace(asked, questions=changed)
    flipped = {
        name: [replace(row, strict=1.0 - row.strict) for row in draws]
        for name, draws in changed.items()
    }
    questions = {SUITE: differing_questions(SUITE, [first, replace(first, questions=flipped)])}
    strips = add_strips(questions, {SUITE: asked.settings}, data_dir, max_clips=9)
    assert strips.by_key == {}
    assert strips.problems
    assert all("is not the clip that was asked about" in text for text in strips.problems)


def test_faults_have_their_exit_codes(data_dir: Path, model_dir: Path, tmp_path: Path) -> None:
    cli = Cli(data_dir, tmp_path / "runs")
    code, out, err = cli.run("eval", "clevrer-mimi", "--model", "tiny", *cli.places, "--json")
    assert (code, json.loads(out)["error"]["kind"]) == (2, "ConfigError")
    assert "Did you mean clevrer-mini?" in err
    code, _, err = cli.run("eval", "clevrer", "--model", str(model_dir), *cli.places)
    assert code == 4
    assert "vtk split clevrer" in err
    code, _, err = cli.run("compare", "a", "b", "--runs-dir", str(cli.runs_dir))
    assert code == 4
