"""How far a step is, read from what its command writes."""

import json
from pathlib import Path

import pytest

from vtk.demo.folder import DemoFolder, Record, claim_folder
from vtk.demo.gauges import BASE_RUN_FACT, Gauges
from vtk.demo.plan import Step, demo_settings, plan_steps
from vtk.demo.study import plan_study, seed_folder
from vtk.mini.world import WorldSettings, write_world
from vtk.runs.store import RunPaths, create_run
from vtk.runs.writer import EventWriter

SETTINGS = demo_settings(is_quick=True)


@pytest.fixture
def folder(tmp_path: Path) -> DemoFolder:
    return DemoFolder(tmp_path / "demo")


@pytest.fixture
def record(folder: DemoFolder) -> Record:
    return claim_folder(folder, SETTINGS.as_json(), is_forced=False)


def step(name: str) -> Step:
    return next(one for one in plan_steps(SETTINGS) if one.name == name)


def write_lines(path: Path, num: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("{}\n" * num)


def test_nothing_is_done_in_an_empty_folder(folder: DemoFolder, record: Record) -> None:
    gauges = Gauges(folder, record)
    assert [gauges.fraction(one) for one in plan_steps(SETTINGS)] == [0.0] * 10
    assert gauges.note(step("train-bias")) == f"0 of {SETTINGS.num_bias_steps} steps"
    assert gauges.note(step("split")) == ""


def test_a_seed_that_gets_ablations_later_is_not_done(tmp_path: Path) -> None:
    plain, with_variants = (
        plan_study(tmp_path, {3: demo_settings(is_quick=True, seed=3, has_variants=has)}, [])[0]
        for has in (False, True)
    )
    seed = DemoFolder(seed_folder(tmp_path, 3))
    record = claim_folder(seed, SETTINGS.as_json(), is_forced=False)
    for name in (one.name for one in plan_steps(SETTINGS)):
        record.of(name).command = "done"
    record.write()
    gauges = Gauges(DemoFolder(tmp_path), record)
    assert gauges.fraction(plain) == 0.99, "its numbers are not there yet"
    seed.results.write_text("{}")
    assert gauges.fraction(plain) == 1.0
    assert gauges.fraction(with_variants) == pytest.approx(10 / 22)
    assert gauges.note(with_variants) == "10 of 22 commands"


def test_clips_count_as_they_are_written(folder: DemoFolder, record: Record) -> None:
    write_world(folder.data_dir / "clevrer-mini", WorldSettings(2, 1, seed=0))
    assert Gauges(folder, record).fraction(step("download")) == 1.0
    next((folder.data_dir / "clevrer-mini" / "videos").rglob("*.mp4")).unlink()
    assert 0.5 < Gauges(folder, record).fraction(step("download")) < 1.0


def test_a_training_is_done_when_its_run_says_so(folder: DemoFolder, record: Record) -> None:
    gauges, bias = Gauges(folder, record), step("train-bias")
    run = create_run(folder.runs_dir, "bias", "bias")
    with EventWriter(run) as writer:
        writer.step(SETTINGS.num_bias_steps // 2, {"reward/mean": 1.0})
        assert gauges.fraction(bias) == pytest.approx(0.5)
        writer.step(SETTINGS.num_bias_steps, {"reward/mean": 1.0})
        assert gauges.fraction(bias) == 0.99
        writer.finish("finished")
    assert gauges.fraction(bias) == 1.0


def test_a_failed_training_is_not_done(folder: DemoFolder, record: Record) -> None:
    run = create_run(folder.runs_dir, "grpo", "grpo")
    with EventWriter(run) as writer:
        writer.step(SETTINGS.num_policy_steps, {"reward/mean": 1.0})
        writer.finish("failed", error_kind="VtkError", message="no")
    assert Gauges(folder, record).fraction(step("train-grpo")) == 0.99


def test_answers_are_counted_against_the_held_out_questions(
    folder: DemoFolder, record: Record
) -> None:
    split = folder.data_dir / "clevrer-mini" / "split"
    write_lines(split / "validation.jsonl", 10)
    answers = RunPaths(folder.runs_dir / "grpo").eval_dir("clevrer-mini")
    write_lines(answers / "samples.jsonl", 4)
    gauges = Gauges(folder, record)
    assert gauges.fraction(step("eval-grpo")) == pytest.approx(0.4)
    assert gauges.note(step("eval-grpo")) == "4 of 10 answers"
    for is_complete, fraction in ((False, 0.4), (True, 1.0)):
        (answers / "results.json").write_text(json.dumps({"complete": is_complete}))
        assert gauges.fraction(step("eval-grpo")) == pytest.approx(fraction)


def test_the_base_model_s_answers_lie_in_the_run_that_was_recorded(
    folder: DemoFolder, record: Record
) -> None:
    mine = create_run(folder.runs_dir, "eval", "eval-1")
    other = create_run(folder.runs_dir, "eval", "eval-2")
    for run, is_complete in ((mine, True), (other, False)):
        answers = run.eval_dir("clevrer-mini")
        answers.mkdir(parents=True)
        (answers / "results.json").write_text(json.dumps({"complete": is_complete}))
    record.facts[BASE_RUN_FACT] = "eval-1"
    assert Gauges(folder, record).fraction(step("eval-base")) == 1.0
